"""Encode elements and items (PS3.5 7.1, 7.5)."""

from struct import Struct

from dicomanon_node.deid.dictionary import LONG_VRS
from dicomanon_node.errors import Reason, Refused

_IMPLICIT = Struct("<HHI").pack
_SHORT = Struct("<HH2sH").pack
_LONG = Struct("<HH2s2xI").pack
_UINT32 = Struct("<I").pack

UNDEFINED = b"\xff\xff\xff\xff"
ITEM_TAG = b"\xfe\xff\x00\xe0"
ITEM_DELIMITATION_ITEM = b"\xfe\xff\x0d\xe0\x00\x00\x00\x00"
SEQUENCE_DELIMITATION_ITEM = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"

_NUL_PADDED = frozenset({"UI", "OB", "UN"})
_MAX_SHORT_LENGTH = 0xFFFE


def padded(vr: str, value: bytes) -> bytes:
    """The value with an even length (PS3.5 6.2)."""
    if len(value) & 1:
        return value + (b"\0" if vr in _NUL_PADDED else b" ")
    return value


def element(tag: int, vr: str, value: bytes, *, implicit: bool) -> bytes:
    """One encoded element.

    Raises:
        Refused: ACTION_FAILED if the value is longer than its VR's length field can tell.
    """
    value = padded(vr, value)
    size = len(value)
    if implicit:
        return _IMPLICIT(tag >> 16, tag & 0xFFFF, size) + value
    if vr in LONG_VRS:
        return _LONG(tag >> 16, tag & 0xFFFF, vr.encode(), size) + value
    if size > _MAX_SHORT_LENGTH:
        raise Refused(Reason.ACTION_FAILED, tag)
    return _SHORT(tag >> 16, tag & 0xFFFF, vr.encode(), size) + value


def length(size: int) -> bytes:
    """A 32-bit length field."""
    return _UINT32(size)


def item(content: bytes, *, is_delimited: bool = False) -> bytes:
    """An item of defined length, or one that a delimiter ends."""
    if is_delimited:
        return ITEM_TAG + UNDEFINED + content + ITEM_DELIMITATION_ITEM
    return ITEM_TAG + _UINT32(len(content)) + content


def code_item(value: str, scheme: str, meaning: str, *, implicit: bool) -> bytes:
    """An item with a coded entry (PS3.3 8.8)."""
    return item(
        element(0x00080100, "SH", value.encode(), implicit=implicit)
        + element(0x00080102, "SH", scheme.encode(), implicit=implicit)
        + element(0x00080104, "LO", meaning.encode(), implicit=implicit)
    )
