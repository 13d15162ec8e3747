"""Which value representations a tag has: PS3.6, as pydicom knows it and beyond.

Tag numbers are (group << 16) | element. This module knows nothing of the rules.
"""

import json
import re
from importlib import resources
from typing import Any

from dicomanon_node.deid.standard import DicomDictionary, private_dictionaries

ITEM = 0xFFFEE000
ITEM_DELIMITATION = 0xFFFEE00D
SEQUENCE_DELIMITATION = 0xFFFEE0DD
UNDEFINED_LENGTH = 0xFFFFFFFF

# PS3.5 7.1.2: explicit VRs with a 16-bit length field, and those with a reserved
# field and a 32-bit length.
SHORT_VRS = frozenset("AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
LONG_VRS = frozenset("OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
VRS = SHORT_VRS | LONG_VRS

# VRs whose values are text in the data set's character set (PS3.5 6.1.2.3).
CHARSET_VRS = frozenset("LO LT PN SH ST UC UT".split())
# VRs whose values are text in the default repertoire.
ASCII_VRS = frozenset("AE AS CS DA DS DT IS TM UI UR".split())
TEXT_VRS = CHARSET_VRS | ASCII_VRS

# Greatest lengths in characters (PS3.5 Table 6.2-1); PN counts a component group.
MAX_CHARACTERS = {
    "AE": 16, "AS": 4, "CS": 16, "DA": 8, "DS": 16, "DT": 26, "IS": 12, "LO": 64,
    "LT": 10240, "PN": 64, "SH": 16, "ST": 1024, "TM": 14, "UI": 64,
}  # fmt: skip

PIXEL_DATA = 0x7FE00010
FLOAT_PIXEL_DATA = 0x7FE00008
DOUBLE_FLOAT_PIXEL_DATA = 0x7FE00009
PIXEL_DATA_TAGS = frozenset((PIXEL_DATA, FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA))


def _data(name: str) -> Any:  # noqa: ANN401  (JSON)
    return json.loads(
        resources.files(__package__).joinpath(f"data/{name}").read_text(encoding="utf-8")
    )


def _load() -> dict[int, str]:
    known = {tag: entry[0] for tag, entry in DicomDictionary.items()}
    newer = _data("ps3.6-2026c-not-in-pydicom-3.0.2.json")["rows"]
    rows = [(tag, row["vr"]) for tag, row in newer.items()]
    # Table E.1-1 is of a later edition than both.
    rows += [(row["tag"], row["vr"]) for row in _data("ps3.15-table-e1-1.json")["rows"]]
    for name, vr in rows:
        digits = name.strip("()").replace(",", "")
        if re.fullmatch("[0-9A-Fa-f]{8}", digits):
            known.setdefault(int(digits, 16), vr)
    # "US or SS": the choice hangs on Pixel Representation, and no rule hangs on the choice.
    first = {tag: vr.split(" or ", 1)[0] for tag, vr in known.items()}
    return {tag: vr for tag, vr in first.items() if vr in VRS}


_VR_BY_TAG = _load()
# Private creators that pydicom or Table E.3.10-1 knows, and RSNA's Clinical Trial Processor.
_MAKERS = (
    frozenset(private_dictionaries)
    | {"CTP"}
    | {row["private_creator"] for row in _data("ps3.15-table-e3-10-1.json")["rows"]}
)
# Repeating groups (PS3.5 7.6): curves 50xx and overlays 60xx, looked up by their first group.
_FIRST_CURVE, _LAST_CURVE = 0x5000, 0x50FF
_FIRST_OVERLAY, _LAST_OVERLAY = 0x6000, 0x60FF
_OVERLAY_VRS = {
    0x0010: "US", 0x0011: "US", 0x0012: "US", 0x0013: "US", 0x0015: "IS", 0x0022: "LO",
    0x0040: "CS", 0x0045: "LO", 0x0050: "SS", 0x0051: "US", 0x0052: "US", 0x0060: "CS",
    0x0066: "AT", 0x0100: "US", 0x0102: "US", 0x0110: "CS", 0x0200: "US", 0x0800: "CS",
    0x0802: "US", 0x0803: "US", 0x0804: "US", 0x1001: "CS", 0x1100: "US", 0x1101: "US",
    0x1102: "US", 0x1103: "US", 0x1200: "US", 0x1201: "US", 0x1202: "US", 0x1203: "US",
    0x1301: "IS", 0x1302: "DS", 0x1303: "DS", 0x1500: "LO", 0x3000: "OW", 0x4000: "LT",
}  # fmt: skip


def is_overlay(tag: int) -> bool:
    """Whether the tag is in an overlay group (PS3.3 C.9.2)."""
    return _FIRST_OVERLAY <= tag >> 16 <= _LAST_OVERLAY and not tag & 0x10000


def is_curve(tag: int) -> bool:
    """Whether the tag is in a curve group (PS3.3-2004 C.10.2, retired)."""
    return _FIRST_CURVE <= tag >> 16 <= _LAST_CURVE and not tag & 0x10000


# PS3.5 7.8.1: the elements that name private blocks.
_FIRST_CREATOR, _LAST_CREATOR = 0x0010, 0x00FF


def is_creator(tag: int) -> bool:
    """Whether the tag is that of a private creator (PS3.5 7.8.1)."""
    return bool(tag & 0x10000) and _FIRST_CREATOR <= tag & 0xFFFF <= _LAST_CREATOR


def is_private(tag: int) -> bool:
    """Whether the tag's group number is odd (PS3.5 7.8)."""
    return bool(tag & 0x10000)


def vr_of(tag: int) -> str | None:
    """The VR of a standard element, or None where PS3.6 has no such element."""
    vr = _VR_BY_TAG.get(tag)
    if vr is None:
        if is_overlay(tag):
            return _OVERLAY_VRS.get(tag & 0xFFFF)
        if not tag & 0xFFFF:
            return "UL"  # group length (PS3.5 7.2)
    return vr


def private_vr_of(creator: str, tag: int) -> str | None:
    """The VR of a private element where its creator is known to pydicom's dictionary."""
    entries = private_dictionaries.get(creator)
    if entries is None:
        return None
    entry = entries.get(f"{tag >> 16:04X}xx{tag & 0xFF:02X}")
    return entry[0].split(" or ", 1)[0] if entry else None


def names_a_maker(tag: int, raw: bytes) -> bool:
    """Whether an element is a private creator that the dictionaries know: nobody's name."""
    return is_creator(tag) and raw.decode("ascii", "replace").strip(" \0") in _MAKERS


def format_tag(tag: int) -> str:
    """The tag as written in the standard: (gggg,eeee)."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
