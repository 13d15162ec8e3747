"""The original's identity, searched for in every byte of an output.

Names, the patient's numbers, the accession number, the birth date and the original
UIDs, in Latin-1, UTF-8, UTF-16 and as they were encoded. Plainer than the engine's own
guard, on purpose: it asks whether anything is left, not what to do about it. Pixel
data, which nobody changes, are searched for whole values only.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from dicomanon_node.deid import dictionary
from dicomanon_node.deid.pseudonyms import is_standard_uid
from dicomanon_node.deid.trade import trade_words
from dicomanon_node.review.reading import Element, text_of

# Besides all person names.
_NUMBER_TAGS: Final = frozenset((0x00100020, 0x00101000, 0x00080050))
_PATIENT_NAME: Final = 0x00100010
_BIRTH_DATE: Final = 0x00100030
_MIN_WORD, _MIN_NUMBER, _MIN_DIGITS = 4, 4, 5
_MIN_UID_BYTES: Final = 16
_DATE_CHARACTERS: Final = 8
_MIN_IN_PIXELS: Final = 8
_WINDOW_BYTES, _OVERLAP_BYTES = 1 << 20, 1 << 8
_NAME_PART: Final = re.compile(r"[^\W\d_]+")
# Delimiters of names, and escape sequences (PS3.5 6.1.2.5).
_ENCODED_PART: Final = re.compile(rb"[\^=\\ \0]+|\x1b[\x20-\x2f]+[\x30-\x7e]")
_UID_RUN: Final = re.compile(rb"(?<![0-9.])[0-9]+(?:\.[0-9]+){3,}")


def identifies(element: Element) -> bool:
    """Whether the original's value must not be found in the output."""
    tag = element.tag
    is_name = element.vr == "PN" or dictionary.vr_of(tag) == "PN"
    return not element.is_private and (is_name or tag in _NUMBER_TAGS or tag == _BIRTH_DATE)


class Residue:
    """What to search for in one output (PHI)."""

    def __init__(self) -> None:
        self._own: set[str] = set()
        self._words: set[str] = set()
        self._numbers: set[str] = set()
        self._encoded: set[bytes] = set()
        self._excused: set[str] = set()
        self._constants: set[str] = set()
        self._uids: set[bytes] = set()
        self._kept_uids: set[bytes] = set()

    def add(self, element: Element, character_set: bytes) -> None:
        """Remember an identifying value that is to go."""
        text = text_of(element, character_set).strip(" \0").casefold()
        if element.tag == _BIRTH_DATE:
            self._numbers |= set(_dates(text))
        elif element.tag in _NUMBER_TAGS:
            self._numbers |= {value.strip() for value in text.split("\\")}
        else:
            parts = set(_NAME_PART.findall(text))
            if element.tag == _PATIENT_NAME:
                self._own |= parts
            else:
                self._words |= parts
            for raw in _ENCODED_PART.split(element.value):
                if len(raw) >= _MIN_WORD and not parts & set(_readings(raw)):
                    self._encoded.add(raw)

    def excuse(self, element: Element, character_set: bytes) -> None:
        """A value that stays on purpose identifies no longer, unless as the patient's name."""
        text = text_of(element, character_set).strip(" \0").casefold()
        self._excused |= set(_NAME_PART.findall(text)) | {part.strip() for part in text.split("\\")}
        self._excused |= set(re.findall(r"\w+", text))

    def excuse_text(self, text: str) -> None:
        """A value that the rules set identifies nobody."""
        text = text.casefold()
        self._constants |= set(_NAME_PART.findall(text)) | {text.strip()}

    def add_uid(self, uid: bytes) -> None:
        """Remember a UID that is to go."""
        if len(uid) >= _MIN_UID_BYTES and b"." in uid and not is_standard_uid(uid):
            self._uids.add(uid)

    def keep_uid(self, uid: bytes) -> None:
        """A UID that stays somewhere may be found anywhere."""
        self._kept_uids.add(uid)

    def search(self) -> "Search":
        """Compile what has been remembered."""
        trade = trade_words()
        texts = {
            word
            for word in (self._words - self._excused | self._own) - self._constants
            if len(word) >= _MIN_WORD and word not in trade
        }
        numbers = {
            number
            for number in self._numbers - self._excused - self._constants
            if len(number) >= (_MIN_DIGITS if number.isdigit() else _MIN_NUMBER)
            and number not in trade
            and any(map(str.isdigit, number))
        }
        encoded = {raw.lower() for raw in self._encoded}
        return Search(texts, numbers, encoded, self._uids - self._kept_uids)


class Search:
    """A compiled search. Detects; shows nothing."""

    def __init__(
        self,
        texts: Iterable[str],
        numbers: Iterable[str],
        encoded: Iterable[bytes],
        uids: set[bytes],
    ) -> None:
        words = {form for text in texts for form in _forms(text)} | set(encoded)
        digits = {form for number in numbers for form in _forms(number)}
        patterns = [
            rb"(?<![a-z\x80-\xff])(?:" + _any(word for word in words if b"\0" not in word)
            + rb")(?![a-z\x80-\xff])",
            rb"(?<![0-9a-z.])(?:" + _any(number for number in digits if b"\0" not in number)
            + rb")(?![0-9a-z]|\.[0-9])",
            _any(wide for wide in words | digits if b"\0" in wide),
        ]  # fmt: skip
        is_used = (
            any(b"\0" not in word for word in words),
            any(b"\0" not in number for number in digits),
            any(b"\0" in wide for wide in words | digits),
        )
        used = [each for each, has_any in zip(patterns, is_used, strict=True) if has_any]
        self._pattern = re.compile(b"|".join(used)) if used else None
        self._uids = uids
        long = {each for each in words | digits if len(each) >= _MIN_IN_PIXELS}
        self._in_pixels = re.compile(_any(long)) if long else None

    def finds(self, data: bytes) -> str:
        """What sort of identity is in the bytes; "" if none."""
        if self._pattern is not None and self._pattern.search(data.lower()):
            return "identity of the original is left"
        if self._uids and any(run in self._uids for run in _UID_RUN.findall(data)):
            return "a UID of the original is left"
        return ""

    def finds_in_pixels(self, data: bytes) -> str:
        """The same for bytes in which short words are found by chance."""
        if self._in_pixels is not None and self._in_pixels.search(data.lower()):
            return "identity of the original is in pixel data"
        return ""

    def finds_in_file(self, path: Path, pixels: tuple[int, int]) -> str:
        """The same for a whole file, read piece by piece.

        Args:
            path: The file.
            pixels: Offsets of the first byte of pixel data and after the last.
        """
        for offset, data in _windows(path):
            end = offset + len(data)
            for start, stop, search in (
                (0, pixels[0], self.finds),
                (pixels[0], pixels[1], self.finds_in_pixels),
                (pixels[1], end, self.finds),
            ):
                piece = data[max(start - offset, 0) : max(stop - offset, 0)]
                found = search(piece) if piece else ""
                if found:
                    return found
        return ""


def _windows(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        offset, kept = 0, b""
        while piece := file.read(_WINDOW_BYTES):
            data = kept + piece
            yield offset, data
            kept = data[-_OVERLAP_BYTES:]
            offset += len(data) - len(kept)


def _readings(raw: bytes) -> Iterator[str]:
    # What `_forms` finds again, whatever the character set is.
    for codec in ("latin-1", "utf-8"):
        yield from _NAME_PART.findall(raw.decode(codec, "replace").casefold())


def _forms(text: str) -> Iterator[bytes]:
    for codec in ("latin-1", "utf-8", "utf-16-le", "utf-16-be"):
        try:
            form = text.encode(codec)
        except UnicodeEncodeError:
            continue
        yield form.strip(b"\0") if codec == "utf-16-be" else form


def _any(words: Iterable[bytes]) -> bytes:
    return (
        b"(?:" + b"|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)) + b")"
    )


def _dates(text: str) -> Iterator[str]:
    digits = text.replace(".", "").replace("-", "")
    if len(digits) != _DATE_CHARACTERS or not digits.isdigit():
        return
    year, month, day = digits[:4], digits[4:6], digits[6:]
    yield digits
    for separator in "-./":
        yield separator.join((year, month, day))
        yield separator.join((day, month, year))
