"""Looks at every element that is kept in an object in which an identifier may have survived.

Text is cleaned and its other words stay; of what is no text, what holds an identifier
goes. Where to look, and what to do about what is still there, is said in `leaks`.
"""

import re
from collections.abc import Iterator

from dicomanon_node.deid import dictionary, dummies, encoding
from dicomanon_node.deid.cleaning import cleaned, is_hidden_in, is_plainly_clean, spans_in
from dicomanon_node.deid.generic import Generic
from dicomanon_node.deid.identity import Identity
from dicomanon_node.deid.spelling import folded
from dicomanon_node.errors import Reason, Refused

# VRs whose bytes are no text but may hold some. In those of numbers it is a maker's oddity
# (UTF-16 as US) or chance, which shorter identifiers meet with.
_BINARY = frozenset(["OB", "UN"])
_MIN_IN_BINARY, _MIN_IN_NUMBERS = 4, 6
_SPECIFIC_CHARACTER_SET = 0x00080005
# VRs of numbers and times in characters: what looks like one is one.
_FIGURES = frozenset(["AS", "DA", "DS", "DT", "IS", "TM"])
_FIGURE = re.compile(rb"[0-9+\-.,: eE\\DWMY\0]*\Z")
# YYYYMMDDhhmm, with or without seconds.
_MIN_MOMENT, _MAX_MOMENT = 12, 14
_NUMBER = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_UID_LIKE = re.compile(rb"[0-9. \\\0]*\Z")

# Windows keep the copies small; the overlap is longer than any identifier's encoding.
# Other threads run between two windows.
_WINDOW_BYTES, _OVERLAP_BYTES = 1 << 16, 1 << 10
_UID_RUN = re.compile(rb"(?<![0-9])[0-9]++(?:\.[0-9]++)++")
# UTF-16, in both byte orders.
_WIDE_TEXTS = (
    re.compile(rb"(?:[\x20-\x7e]\0){3,}+"),
    re.compile(rb"(?:\0[\x20-\x7e]){3,}+"),
)
# Readable text in what is none; identifiers are not shorter.
_READABLE = re.compile(rb"[\x20-\x7e\xa0-\xff]{3,}+")


def windows(output: bytes) -> Iterator[bytes]:
    """The bytes, in pieces that overlap."""
    for start in range(0, len(output), _WINDOW_BYTES):
        yield output[start : start + _WINDOW_BYTES + _OVERLAP_BYTES]


def uid_runs(output: bytes) -> Iterator[bytes]:
    """Whatever looks like a UID in the bytes, also where it runs into what follows its NULs."""
    for window in windows(output):
        yield from _UID_RUN.findall(window)
        yield from _UID_RUN.findall(window.translate(None, b"\0"))


def has_uid(data: bytes, identity: Identity) -> bool:
    """Whether one of the original UIDs is in the bytes."""
    return any(identity.holds_uid(run) for run in _UID_RUN.findall(data))


def is_uid(raw: bytes) -> bool:
    """Whether the value of a UI is UIDs and nothing else."""
    return _UID_LIKE.match(raw) is not None


def is_figure(vr: str, raw: bytes) -> bool:
    """Whether the value is a number or a time in characters, as its VR says."""
    return vr in _FIGURES and _FIGURE.match(raw) is not None


def is_in_binary(raw: bytes, vr: str, identity: Identity) -> bool:
    """Whether an identifier is in a value that is no text (PHI)."""
    shortest = _MIN_IN_BINARY if vr in _BINARY else _MIN_IN_NUMBERS
    return any(_is_in_window(window, shortest, identity) for window in windows(raw))


def _is_in_window(raw: bytes, shortest: int, identity: Identity) -> bool:
    needles = identity.needles()
    if needles.detector.has_wide(raw):
        return True
    is_suspect = needles.detector.may_be_in(raw)
    wide = (b"\n".join(wide.findall(raw)).replace(b"\0", b"") for wide in _WIDE_TEXTS)
    for data in (raw, *wide):
        if has_uid(data, identity):
            return True
        if not is_suspect:
            continue
        readable = b"\n".join(_READABLE.findall(data))
        for text in {readable.decode("latin-1"), readable.decode("utf-8", "ignore")}:
            if any(stop - start >= shortest for start, stop in spans_in(text, identity)):
                return True
            if needles.glued is not None and needles.glued.search(folded(text)):
                return True
    return False


def _is_one_of(part: bytes, numbers: frozenset[bytes]) -> bool:
    # However the number is written, and be it the day of a date and time.
    part = part.strip(b" \0").lstrip(b"+-0")
    if b"." in part:
        part = part.rstrip(b"0").rstrip(b".")
    is_moment = _MIN_MOMENT <= len(part) <= _MAX_MOMENT and part[:8] in numbers
    return part in numbers or (is_moment and part.isdigit())


def _is_no_number(part: bytes) -> bool:
    # Figures with signs between them are a date, a telephone or a UID.
    part = part.strip(b" \0")
    return bool(part) and _NUMBER.fullmatch(part) is None


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
            new = cleaned(raw, vr, character_set, self._identity, generic=Generic.NONE)
            self.removed_count += new is not raw
            return new
        if vr == "UI" and is_uid(raw):
            return raw
        if is_figure(vr, raw):
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
        if is_in_binary(raw, vr, self._identity):
            self.removed_count += 1
            return None
        return raw

    def _figures(self, vr: str, raw: bytes) -> bytes:
        # A number among others is one; only the patient's own, digit by digit, is not.
        numbers = self._identity.needles().numbers
        if vr not in ("DS", "IS"):
            return raw
        parts = raw.split(b"\\")
        kept = [
            b""
            if _is_one_of(part, numbers) or (_is_no_number(part) and self._is_in_text(part))
            else part
            for part in parts
        ]
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
        if is_plainly_clean(raw, self._identity):
            return False
        text = raw.decode("latin-1")
        return bool(spans_in(text, self._identity)) or is_hidden_in(raw, b"", self._identity)
