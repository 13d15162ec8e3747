"""Encoded values as text for a person (PHI): in their character set, numbers as numbers.

What is neither text nor a short list of numbers has no text. Nothing is escaped or cut
here: that is for whoever knows where it will be shown.
"""

from struct import iter_unpack
from typing import Final

from dicomanon_node.deid import charset
from dicomanon_node.deid.dictionary import ASCII_VRS, CHARSET_VRS

_FORMATS: Final = {
    "FD": "<d", "FL": "<f", "SL": "<i", "SS": "<h", "SV": "<q", "UL": "<I", "US": "<H", "UV": "<Q",
}  # fmt: skip
_AT_BYTES: Final = 4
_MAX_NUMBERS: Final = 64  # more are a table, not a value that anybody reads
_PADDING: Final = " \0"


def text_of(raw: bytes, vr: str, character_set: bytes) -> str | None:
    """A value as text, several values joined by a backslash; None where it has none.

    Args:
        raw: Encoded value, little endian (PHI).
        vr: Its VR.
        character_set: Specific Character Set (0008,0005), encoded.
    """
    if vr in CHARSET_VRS:
        return charset.decode(raw, character_set, is_name=vr == "PN").rstrip(_PADDING)
    if vr in ASCII_VRS:
        return charset.decode(raw, b"").rstrip(_PADDING)
    if vr == "AT":
        return _tags(raw)
    if vr in _FORMATS:
        return _numbers(raw, _FORMATS[vr])
    return None


def _numbers(raw: bytes, code: str) -> str | None:
    size = {"d": 8, "q": 8, "Q": 8, "h": 2, "H": 2}.get(code[1], 4)
    if len(raw) % size or len(raw) > _MAX_NUMBERS * size:
        return None
    return "\\".join(
        f"{number:.9g}" if code[1] in "df" else str(number) for (number,) in iter_unpack(code, raw)
    )


def _tags(raw: bytes) -> str | None:
    if len(raw) % _AT_BYTES or len(raw) > _MAX_NUMBERS * _AT_BYTES:
        return None
    return "\\".join(f"({group:04x},{element:04x})" for group, element in iter_unpack("<HH", raw))
