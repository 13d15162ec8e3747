"""Does any identifier of this very object survive in what is about to be written?

`survives` is a cheap detector over the rewritten header's bytes. Where it finds
something, the object is rewritten once more with a `Guard`, which looks at every
kept element by its VR: text is cleaned and its other words stay, anything else
goes. What may not go, and what `remains` even so, refuses the object.
"""

import re
import unicodedata
from collections.abc import Iterator

from dicomanon_node.deid import charset, dictionary, dummies, encoding
from dicomanon_node.deid.identity import Identity
from dicomanon_node.deid.needles import Needles
from dicomanon_node.deid.trade import trade_words
from dicomanon_node.errors import Reason, Refused

# VRs whose bytes are no text but may hold some. In those of numbers it is a maker's oddity
# (UTF-16 as US) or chance, which shorter identifiers meet with.
_BINARY = frozenset(["OB", "UN"])
_MIN_IN_BINARY, _MIN_IN_NUMBERS = 4, 6
_SPECIFIC_CHARACTER_SET = 0x00080005
# VRs of numbers and times in characters: what looks like one is one.
_FIGURES = frozenset(["AS", "DA", "DS", "DT", "IS", "TM"])
_FIGURE = re.compile(rb"[0-9+\-.,: eE\\DWMY\0]*\Z")

_LOWER = bytes(range(256)).lower()
# Windows keep the copies small; the overlap is longer than any identifier's encoding.
# Other threads run between two windows.
_WINDOW_BYTES, _OVERLAP_BYTES = 1 << 16, 1 << 10
# The first characters of a UID name its root, and few roots are in an object.
_ROOT_BYTES = 10
_MAX_ROOTS = 8
# Each run of digits is read once: a sender decides how long they are.
_UID_RUN = re.compile(rb"(?<![0-9])[0-9]++(?:\.[0-9]++)++")
_UID_IN_TEXT = re.compile(r"(?<![0-9])[0-9]++(?:\.[0-9]++)++", re.ASCII)
_WIDE_TEXT = re.compile(rb"(?:[\x20-\x7e]\0){3,}+")
_ESCAPE = re.compile(rb"\x1b[\x20-\x2f]++[\x30-\x7e]")
# Where words are glued by capitals.
_CAPITAL = re.compile(
    "(?<=[a-z\xdf-\xff])(?=[A-Z\xc0-\xde])|(?<=[A-Z\xc0-\xde])(?=[A-Z\xc0-\xde][a-z\xdf-\xff])"
)

# What identifies in free text whoever it is about (CleanDescriptors): dates, telephone
# numbers, electronic addresses, UIDs, long numbers.
_GENERIC = re.compile(
    r"""
      (?<!\d)(?:19|20)\d\d(?P<s>[-./ ]?)(?:0[1-9]|1[0-2])(?P=s)(?:0[1-9]|[12]\d|3[01])(?!\d)
    | (?<![\d.])(?:0?[1-9]|[12]\d|3[01])(?P<t>[-./])(?:0?[1-9]|[12]\d|3[01])(?P=t)
      (?:19|20)\d\d(?!\d)
    | (?<![\d.])(?:0[1-9]|[12]\d|3[01])(?P<u>[-./])(?:0[1-9]|[12]\d|3[01])(?P=u)\d\d(?![\d.])
    | (?<![\w.+-])[\w.+-]++@[\w-]++(?:\.[\w-]++)++
    | (?<![\w.])\d++(?:\.\d++){4,}+(?![\w.])
    | (?<![\w.])\+\d{1,3}[ /-]?\d{2,4}[ /-]?\d{3,4}[ -]?\d{0,5}(?![\w.])
    | (?<![\w.])(?:\(\d{2,5}\)|0\d{1,4})[ /-]?\d{3,4}[ -]?\d{3,5}(?![\w.])
    | (?<![\w.])\d{3}-\d{3}-\d{4}(?![\w.])
    | (?<!\w)\d{7,}+(?!\w)
    """,
    re.VERBOSE,
)
# Persons by their title. MR and DR are modalities and MS is an illness: in capitals they
# are titles only with a full stop.
_TITLED = re.compile(
    r"\b(?:(?:DR|PROF|MR|MRS|MS)\.|(?:Dr|Prof|Mr|Mrs|Ms|Mme|Herr|Frau)\b\.?)[ ^]*+"
    r"([^\W\d_][\w'-]*+)"
)
_SPACES = re.compile(r"[ \t]{2,}")


def survives(output: bytes, identity: Identity) -> bool:
    """Whether an identifier may be in the bytes: false alarms are possible, misses are not."""
    needles = identity.needles()
    roots = {uid[:_ROOT_BYTES] for uid in identity.uids}
    for window in _windows(output):
        if _is_suspect(window, needles):
            return True
        # With its NULs, a UID does not grow together with the length field before it.
        flat = window.translate(None, b"\0")
        if (len(roots) > _MAX_ROOTS or any(root in flat for root in roots)) and any(
            _has_uid(run, identity) for run in (window, flat)
        ):
            return True
    return False


def _is_suspect(data: bytes, needles: Needles) -> bool:
    # Without its NULs, UTF-16 looks like ASCII.
    flat = data.translate(_LOWER, b"\0")
    if needles.may_be_in(flat):
        return True
    return b"\x1b" in data and needles.may_be_in(_without_escapes(data).lower())


def _without_escapes(data: bytes) -> bytes:
    return _ESCAPE.sub(b"", data.translate(None, b"\0"))


def remains(output: bytes, identity: Identity) -> bool:
    """Whether a name is in bytes that a `Guard` has looked at: there are no false alarms."""
    sure = identity.needles().sure
    return sure is not None and any(
        sure.search(data.lower())
        for window in _windows(output)
        for data in (window, _without_escapes(window))
    )


def _windows(output: bytes) -> Iterator[bytes]:
    for start in range(0, len(output), _WINDOW_BYTES):
        yield output[start : start + _WINDOW_BYTES + _OVERLAP_BYTES]


def _has_uid(data: bytes, identity: Identity) -> bool:
    return any(identity.holds_uid(run) for run in _UID_RUN.findall(data))


def cleaned(
    raw: bytes, vr: str, character_set: bytes, identity: Identity, *, generic: bool
) -> bytes:
    """A text value (PHI) without the object's identifiers; the other words stay.

    Args:
        raw: Encoded value.
        vr: One of the VRs in the data set's character set.
        character_set: Specific Character Set (0008,0005), encoded.
        identity: What to look for.
        generic: Also remove what identifies in any text, such as dates.

    Returns:
        The value unchanged if there was nothing to remove; a dummy if nothing is left or
        the rest cannot be encoded.
    """
    text = charset.decode(raw, character_set, is_name=vr == "PN")
    new = _without_identifiers(text, identity)
    if generic:
        new = _TITLED.sub(_without_person, _GENERIC.sub(" ", new))
    if new == text:
        return raw
    new = _SPACES.sub(" ", new).strip(" \0^,;-_/")
    # Code extensions are not encoded again.
    encoded = None if b"\x1b" in raw else charset.encode(new, character_set, is_ours=False)
    return encoded or dummies.dummy(vr)


def _without_identifiers(text: str, identity: Identity) -> str:
    pattern = identity.needles().text
    identity.spend(len(text))
    if identity.uids:
        text = _UID_IN_TEXT.sub(
            lambda run: " " if identity.holds_uid(run[0].encode()) else run[0], text
        )
    return pattern.sub(" ", text) if pattern is not None else text


def _without_person(match: re.Match[str]) -> str:
    return match[0] if match[1].lower() in trade_words() else " "


class Guard:
    """Looks at every kept element of an object in which something may have survived.

    Attributes:
        removed_count: Elements cleaned or removed.
    """

    __slots__ = ("_identity", "removed_count")

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self.removed_count = 0

    def kept(self, tag: int, vr: str, raw: bytes, character_set: bytes) -> bytes | None:
        """The value without the identifiers; None if it is to be removed.

        Raises:
            Refused: LEAK_FOUND if the data set cannot be read without the element.
        """
        if vr in dictionary.CHARSET_VRS:
            new = cleaned(raw, vr, character_set, self._identity, generic=False)
            if self._is_hidden_in(new, character_set):
                new = dummies.dummy(vr)
            self.removed_count += new is not raw
            return new
        if vr == "UI":
            return raw
        if vr in _FIGURES and _FIGURE.match(raw):
            return self._figures(vr, raw)
        if vr in dictionary.ASCII_VRS:
            # Half a code string or URL says something else than the whole.
            parts = raw.split(b"\\")
            kept = [b"" if self._is_in_text(part) else part for part in parts]
            if kept == parts:
                return raw
            if tag == _SPECIFIC_CHARACTER_SET:
                raise Refused(Reason.LEAK_FOUND, tag)
            self.removed_count += 1
            # A value that its object must have is still there.
            return b"\\".join(kept) if any(kept) else dummies.dummy(vr)
        if self._is_in_binary(raw, _MIN_IN_BINARY if vr in _BINARY else _MIN_IN_NUMBERS):
            self.removed_count += 1
            return None
        return raw

    def _figures(self, vr: str, raw: bytes) -> bytes:
        # A number among others is one; only the patient's own, digit by digit, is not.
        figures = self._identity.needles().figures
        if vr not in ("DS", "IS") or not figures:
            return raw
        parts = raw.split(b"\\")
        kept = [b"" if part.strip(b" \0").lstrip(b"+0") in figures else part for part in parts]
        if kept == parts:
            return raw
        self.removed_count += 1
        return b"\\".join(kept) if any(kept) else b""

    def element(
        self, tag: int, vr: str, raw: bytes, character_set: bytes, *, implicit: bool
    ) -> bytes | None:
        """The element as `kept` leaves it: None if it stays, b"" if it is removed."""
        new = self.kept(tag, vr, raw, character_set)
        if new is raw:
            return None
        return b"" if new is None else encoding.element(tag, vr, new, implicit=implicit)

    def is_clean_name(self, raw: bytes) -> bool:
        """Whether a private creator's name holds no identifier."""
        return not self._is_in_text(raw)

    def _is_in_text(self, raw: bytes) -> bool:
        text = raw.decode("latin-1")
        return _without_identifiers(text, self._identity) != text or self._is_hidden_in(raw, b"")

    def _is_hidden_in(self, raw: bytes, character_set: bytes) -> bool:
        # What no reader of this character set sees, another one does.
        needles = self._identity.needles()
        if not _is_suspect(raw, needles):
            return False
        for reading in _readings(raw, character_set):
            self._identity.spend(len(reading))
            if needles.glued is not None and needles.glued.search(reading):
                return True
            if needles.text is not None and any(
                needles.text.search(text) for text in (reading, _CAPITAL.sub(" ", reading))
            ):
                return True
        return False

    def _is_in_binary(self, raw: bytes, shortest: int) -> bool:
        return any(self._is_in_window(window, shortest) for window in _windows(raw))

    def _is_in_window(self, raw: bytes, shortest: int) -> bool:
        needles = self._identity.needles()
        if needles.wide is not None and needles.wide.search(raw.translate(_LOWER, b"\0")):
            return True
        is_suspect = _is_suspect(raw, needles)
        for data in (raw, b"\n".join(_WIDE_TEXT.findall(raw)).replace(b"\0", b"")):
            if _has_uid(data, self._identity):
                return True
            if not is_suspect or needles.text is None:
                continue
            self._identity.spend(len(data))
            if any(
                len(match[0]) >= shortest
                for match in needles.text.finditer(data.decode("ascii", "replace"))
            ):
                return True
        return False


def _readings(raw: bytes, character_set: bytes) -> Iterator[str]:
    flat = _without_escapes(raw)
    texts = {
        charset.decode(raw.replace(b"\0", b""), character_set),
        charset.decode(flat, character_set),
        flat.decode("latin-1"),
        flat.decode("utf-8", "ignore"),
    }
    if b"\0" in raw:
        texts |= {raw.decode("utf-16-le", "ignore"), raw.decode("utf-16-be", "ignore")}
    for text in sorted(texts):
        yield unicodedata.normalize("NFC", text)
