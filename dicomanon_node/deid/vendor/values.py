"""The values of a blob's fields, each changed as the study's plan says.

Between the makers' ways of writing (ISO dates, several values in one text, numbers in
quotes) and those that `Fields` understands. Whoever uses this puts the result where the
value was, with the escapes of the format.
"""

import base64
import binascii
import re
from typing import TYPE_CHECKING

from dicomanon_node.deid.vendor.names import Attribute, attribute

if TYPE_CHECKING:
    from dicomanon_node.deid.vendor import Fields

# Five components or more; versions have four at most. Longer ones than PS3.5 9.1 allows
# are UIDs with something appended.
_UID = re.compile(rb"((?<![0-9.])[0-2](?:\.[0-9]{1,40}){4,30}+(?![0-9.]))")
_MIN_UID_BYTES = 12
_NUMBER = re.compile(rb"[-+]?(?:0[xX][0-9a-fA-F]+|[0-9]+\.?[0-9]*(?:[eE][-+]?[0-9]+)?|nan|inf)")
_NUMBERS = re.compile(rb"[-+0-9.eE \\/,;x]*\Z")
_WORDS = re.compile(rb"[A-Za-z\x80-\xff]|[0-9]{4}")
_ISO_DATE = re.compile(
    rb"(?P<year>[0-9]{4})(?P<dash>[-./])(?P<month>[0-9]{2})(?P=dash)(?P<day>[0-9]{2})(?P<rest>.*)",
    re.DOTALL,
)
_DATE = re.compile(rb"[0-9]{8}\Z")
_DATE_TIME = re.compile(rb"[0-9]{8,14}(?:\.[0-9]{1,6})?(?:[-+][0-9]{4})?\Z")
_TIME = re.compile(rb"[0-9]{2,6}(?:\.[0-9]{1,6})?\Z")
_YEARS = re.compile(rb"[0-9]{1,3}(?:\.[0-9]*)?\Z")
_AGE = re.compile(rb"[0-9]{3}[DWMY]\Z")
_BASE_64 = re.compile(
    rb"(?=[A-Za-z0-9+/\s]*?[a-z])(?=[A-Za-z0-9+/\s]*?[A-Z])[A-Za-z0-9+/\s]{40,}={0,2}\s*\Z"
)
_BLANK = b" \t\r\n\f\0"
# A blob may have very many fields, and a hostile one different ones.
_MAX_REMEMBERED = 10_000


def is_number(raw: bytes) -> bool:
    """Whether the text is one number, decimal or hexadecimal."""
    return _NUMBER.fullmatch(raw) is not None


def is_packed(value: bytes) -> bool:
    """Whether a value is bytes in Base64 that nobody can look into.

    Philips' examination records hold data sets in this form.
    """
    if not _BASE_64.match(value):
        return False
    try:
        raw = base64.b64decode(b"".join(value.split()), validate=True)
    except binascii.Error:
        return False
    return any(byte < ord("\t") for byte in raw)


class Cleaner:
    """Changes the values of one blob; equal ones are changed once.

    Args:
        fields: What becomes of a field.
    """

    def __init__(self, fields: "Fields") -> None:
        self._fields = fields
        self._known: dict[tuple[int | None, str, bytes], bytes] = {}

    def field(self, name: bytes, raw: bytes) -> bytes | None:
        """The value of a field that repeats a standard attribute; None if it repeats none."""
        found = attribute(name)
        return None if found is None else self.attribute(found, raw)

    def attribute(self, found: Attribute, raw: bytes) -> bytes:
        """The value of a field that repeats this attribute."""
        core = raw.strip(_BLANK)
        if not core:
            return raw
        new = self._of_vr(found.tag, found.vr, core)
        return raw if new == core else new

    def unnamed(self, vr: str, raw: bytes) -> bytes:
        """The value of a field that repeats no attribute, and has a VR."""
        core = raw.strip(_BLANK)
        if not core:
            return raw
        if vr in ("PN", "UI", "DA", "DT"):
            new = self._of_vr(None, vr, core)
        elif vr == "DS":
            new = self._changed(None, vr, core)
        elif vr in ("AS", "TM"):
            new = self._of_vr(None, vr, core) if self._is_of(vr, core) else self.text(core)
        else:
            new = self.text(core)
        return raw if new == core else new

    def text(self, raw: bytes) -> bytes:
        """Free text without identifiers; UIDs in it are mapped, blanks around it stay."""
        if not _WORDS.search(raw) and not _UID.search(raw):
            return raw
        core = raw.strip(_BLANK)
        parts = _UID.split(core)
        new = b"".join(
            self._uid(part) if number % 2 else self._piece(part)
            for number, part in enumerate(parts)
        )
        if new == core:
            return raw
        start = raw.find(core)
        return raw[:start] + new + raw[start + len(core) :]

    def _uid(self, raw: bytes) -> bytes:
        if len(raw) < _MIN_UID_BYTES:
            return raw
        return self._changed(None, "UI", raw)

    def _piece(self, raw: bytes) -> bytes:
        if not _WORDS.search(raw):
            return raw
        core = raw.strip(_BLANK)
        new = self._changed(None, "UT", core)
        return raw if new == core else raw.replace(core, new, 1)

    def _of_vr(self, tag: int | None, vr: str, core: bytes) -> bytes:
        if vr == "UI":
            # It may be called one and be several, or none.
            return self._uids(tag, core)
        if vr in ("DA", "DT"):
            return self._date(tag, vr, core)
        if vr == "TM" and not self._is_of(vr, core):
            plain = core.replace(b":", b"")
            new = self._changed(tag, vr, plain) if self._is_of(vr, plain) else b""
            return core if new == plain and new else new
        if vr == "AS" and not self._is_of(vr, core):
            return self._years(tag, core)
        if vr == "DS" and not is_number(core):
            return b""
        return self._changed(tag, vr, core)

    def _years(self, tag: int | None, core: bytes) -> bytes:
        # An age as a number, such as 27.00.
        if not _YEARS.match(core):
            return b""
        age = b"%03dY" % int(core.split(b".")[0])
        return core if self._changed(tag, "AS", age) == age else b""

    def _uids(self, tag: int | None, core: bytes) -> bytes:
        parts = _UID.split(core)
        return b"".join(
            self._changed(tag, "UI", part) if number % 2 else self._piece(part)
            for number, part in enumerate(parts)
        )

    def _date(self, tag: int | None, vr: str, core: bytes) -> bytes:
        if self._is_of(vr, core):
            return self._changed(tag, vr, core)
        if vr == "DA" and self._is_of("DT", core):
            return self._changed(tag, "DT", core)
        match = _ISO_DATE.match(core)
        if match is None:
            return b""  # nobody can say what it is, and a date may not stay as it is
        plain = match["year"] + match["month"] + match["day"]
        new = self._changed(tag, "DA", plain)
        if not _DATE.match(new):
            return b""
        rest = match["rest"] if _NUMBERS.match(match["rest"].translate(None, b"T:Z")) else b""
        return match["dash"].join((new[:4], new[4:6], new[6:8])) + rest

    @staticmethod
    def _is_of(vr: str, core: bytes) -> bool:
        pattern = {"DA": _DATE, "DT": _DATE_TIME, "TM": _TIME, "AS": _AGE}[vr]
        return pattern.match(core) is not None

    def _changed(self, tag: int | None, vr: str, raw: bytes) -> bytes:
        key = (tag, vr, raw)
        new = self._known.get(key)
        if new is None:
            new = self._fields.changed(tag, vr, raw)
            if len(self._known) < _MAX_REMEMBERED:
                self._known[key] = new
        return new
