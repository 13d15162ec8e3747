"""Binary and decimal numbers in encoded values (PS3.5 6.2), little endian."""

import math
from struct import Struct, error, pack

from dicomanon_node.deid.dictionary import MAX_CHARACTERS

_FORMATS = {
    "FD": "d", "FL": "f", "SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q",
}  # fmt: skip
_FLOATS = frozenset({"FD", "FL"})
NUMERIC_VRS = frozenset(_FORMATS) | {"DS", "IS"}


def pack_numbers(vr: str, text: str) -> bytes | None:
    """A text of backslash separated numbers as a binary value; None for other VRs.

    Raises:
        ValueError: If a part is no number, or none that the VR can hold.
    """
    code = _FORMATS.get(vr)
    if code is None:
        return None
    if not text:
        return b""
    convert = float if vr in _FLOATS else int
    try:
        return b"".join(pack("<" + code, convert(part)) for part in text.split("\\"))
    except (error, OverflowError):
        raise ValueError("out of range") from None


def add_to_numbers(vr: str, raw: bytes, amount: float) -> bytes:
    """Add to each number of a value (PHI).

    Raises:
        ValueError: If the value is not made of numbers, or the sum does not fit its VR.
    """
    if vr in ("DS", "IS"):
        return b"\\".join(_add_to_text(vr, part, amount) for part in raw.split(b"\\"))
    if vr not in _FORMATS:
        raise ValueError("no number")
    code = Struct("<" + _FORMATS[vr])
    if len(raw) % code.size:
        raise ValueError("not a whole number of values")
    try:
        return b"".join(
            code.pack(number + (amount if vr in _FLOATS else int(amount)))
            for (number,) in code.iter_unpack(raw)
        )
    except (error, OverflowError):
        raise ValueError("out of range") from None


def _add_to_text(vr: str, part: bytes, amount: float) -> bytes:
    text = part.decode("ascii").strip(" \0")
    if not text:
        return b""
    if not math.isfinite(float(text)):
        raise ValueError("not finite")
    # PS3.5 6.2: DS has at most 16 characters; 10 significant digits always fit.
    summed = str(int(text) + int(amount)) if vr == "IS" else f"{float(text) + amount:.10g}"
    if len(summed) > MAX_CHARACTERS[vr]:
        raise ValueError("too long")
    return summed.encode()
