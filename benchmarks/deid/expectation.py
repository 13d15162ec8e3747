"""What has to happen to an element under a scenario, by PS3.15 alone.

Where the standard leaves a choice, or where two chosen options contradict each other,
the fate is OPEN: nothing is asked but that no planted identifier survives.
"""

from enum import Enum, auto

from pydicom._uid_dict import UID_dictionary

from benchmarks.deid import scenarios as s
from benchmarks.deid.paths import ASCII_VRS, BINARY_VRS, CHARSET_VRS, NUMBER_VRS, Node
from benchmarks.deid.scenarios import Scenario
from benchmarks.deid.standard import OVERLAY_GROUPS, Row, Standard

# UI attributes that name a class, a syntax or a vocabulary (PS3.6 Table A-1), never an
# instance: an object whose class was replaced is unreadable.
CLASS_UIDS = frozenset(
    {
        0x00020002,
        0x00020010,
        0x00080016,
        0x0008001A,
        0x0008001B,
        0x00080062,
        0x0008010C,
        0x00080117,
        0x00080118,
        0x0008040E,
        0x00081150,
        0x0008115A,
        0x00083002,
        0x00340003,
        0x04000010,
        0x04000510,
        0x30100052,
        0x30100053,
    }
)

# What a de-identifier writes itself (PS3.15 E.1.1), or what describes the encoding.
_OWN = frozenset({0x00120062, 0x00120063, 0x00120064, 0x00280301, 0x00280302, 0x00280303})
_CHARACTER_SET = 0x00080005
_TIMEZONE = 0x00080201
# Context Group Version and Local Version.
_VERSIONS = frozenset({0x00080106, 0x00080107})
_PATIENT_ID = 0x00100020
_CONTENT_SEQUENCE = 0x0040A730
_DOCUMENT_LENGTH = 0x00420015
_PIXEL_DATA = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
# Creator, group and VR of a private element tell nothing about these: text, or numbers.
_TEMPORAL = frozenset({"DA", "DT", "TM"})
_OLDEST_TOLD = 89  # years; 45 CFR 164.514(b)(2)(i)(C)


class Fate(Enum):
    """What has to happen to an element."""

    KEPT = auto()  # the value stays; in texts, identifiers go
    CLEANED = auto()  # identifiers and what may identify go, technical words stay
    REMOVED = auto()  # the value goes, with all that is in it
    UID = auto()  # another UID, the same everywhere
    DATE = auto()  # moved by the patient's whole days
    DATE_REMOVED = auto()  # the date goes
    PATIENT = auto()  # a pseudonym, the same everywhere
    WALKED = auto()  # a sequence: its items are decided one by one
    PIXELS = auto()  # byte for byte
    OPEN = auto()  # nothing but that no identifier survives


class Expectation:
    """Decides by the tables what a scenario asks for. Thread-safe.

    Args:
        standard: The tables.
        scenario: What is asked of the de-identifier.
    """

    def __init__(self, standard: Standard, scenario: Scenario) -> None:
        self._standard = standard
        self._options = scenario.options
        self._keeps_private = scenario.keeps_private

    def fate(self, node: Node) -> Fate:
        """What has to happen to an element whose parents are all walked."""
        if node.is_private:
            return self._private(node)
        tag = node.tag
        if tag >> 16 == 0x0002 or not tag & 0xFFFF:  # noqa: PLR2004  (File Meta Information)
            return Fate.OPEN
        if tag in _PIXEL_DATA:
            return Fate.PIXELS if not node.parents else Fate.OPEN
        if tag in _OWN or tag in (_CHARACTER_SET, _DOCUMENT_LENGTH):
            return Fate.OPEN
        if tag == _PATIENT_ID:
            return Fate.PATIENT
        row = self._standard.row(tag)
        if row is not None:
            return self._listed(row, node)
        if self._standard.vr(tag) is None or tag >> 16 in OVERLAY_GROUPS:
            # What describes an overlay plane says nothing once its data is removed.
            return Fate.OPEN
        return self._by_vr(node)

    def _listed(self, row: Row, node: Node) -> Fate:
        codes = row.codes(self._options)
        if len(set(codes.values())) > 1:
            return Fate.OPEN
        if "K" in codes.values():
            if _is_old(node):
                return Fate.OPEN
            return Fate.WALKED if node.vr == "SQ" else Fate.KEPT
        if codes:
            return self._cleaned(codes, row, node)
        if row.basic == "X/Z/U*":
            return Fate.WALKED
        if node.vr == "UI":
            return Fate.UID
        if node.vr in ("DA", "DT"):
            return Fate.DATE_REMOVED
        return Fate.REMOVED

    @staticmethod
    def _cleaned(codes: dict[str, str], row: Row, node: Node) -> Fate:
        if s.MODIFIED_DATES in codes:
            if node.tag in _VERSIONS and not node.text[8:].strip("0."):
                # Published in PS3.16: shifted, it would tell by how much.
                return Fate.OPEN
            if node.vr in ("DA", "DT"):
                return Fate.DATE
            is_time = node.vr == "TM" or row.tag == _TIMEZONE
            return Fate.KEPT if is_time else Fate.OPEN
        if s.CLEAN_STRUCTURED_CONTENT in codes or s.CLEAN_GRAPHICS in codes:
            # What stays hangs on each content item: `plant_content` says so where it planted.
            return Fate.OPEN
        if node.vr == "SQ":
            return Fate.WALKED
        return Fate.CLEANED if node.vr in CHARSET_VRS else Fate.OPEN

    def _private(self, node: Node) -> Fate:
        if not node.creator:
            # The creators themselves, and elements of a block that nobody reserved.
            return Fate.OPEN
        if self._keeps_private:
            return self._by_vr(node)
        if s.SAFE_PRIVATE not in self._options:
            return Fate.OPEN
        key = (node.tag >> 16, node.creator, node.tag & 0xFF)
        return self._by_vr(node) if key in self._standard.safe_private else Fate.OPEN

    def _by_vr(self, node: Node) -> Fate:
        # What Table E.1-1 does not list, and private elements that are kept.
        vr = node.vr
        if vr == "SQ":
            return Fate.WALKED
        if vr == "UI":
            if node.tag in CLASS_UIDS or s.RETAIN_UIDS in self._options:
                return Fate.KEPT
            return Fate.UID
        if vr == "PN":
            return Fate.REMOVED
        if vr in _TEMPORAL:
            return self._temporal(vr)
        if vr in ("AE", "UR"):
            return Fate.OPEN
        if vr in CHARSET_VRS | ASCII_VRS | NUMBER_VRS | BINARY_VRS:
            return Fate.KEPT
        return Fate.OPEN

    def _temporal(self, vr: str) -> Fate:
        if s.FULL_DATES in self._options:
            return Fate.KEPT
        if vr == "TM":
            return Fate.KEPT if s.MODIFIED_DATES in self._options else Fate.OPEN
        return Fate.DATE if s.MODIFIED_DATES in self._options else Fate.DATE_REMOVED


def is_standard_uid(value: str) -> bool:
    """Whether the UID is the standard's own, such as a SOP class (PS3.6 A)."""
    return value in UID_dictionary


def _is_old(node: Node) -> bool:
    # Ages over 89 are capped, so that the value may not stay as it is.
    if node.vr != "AS" or not node.text[:3].isdigit():
        return False
    return node.text.endswith("Y") and int(node.text[:3]) > _OLDEST_TOLD
