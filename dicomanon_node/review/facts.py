"""Facts about the rules, asked of the program, in words: for the reference.

Everything here is found by asking the plan, the table or the function that does it; none
of it is written down a second time.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Final

from dicomanon_node.deid import dictionary
from dicomanon_node.deid.decisions import Change, Decision, Verb, from_code
from dicomanon_node.deid.floor import CLASS_UID_TAGS, IDENTIFYING_TAGS, SPEAKING_TAGS
from dicomanon_node.deid.iod import Type
from dicomanon_node.deid.plan import AVAILABLE_OPTIONS, Plan
from dicomanon_node.deid.pseudonyms import KEY_BYTES, Key
from dicomanon_node.deid.rules import Option, StudyRules
from dicomanon_node.deid.standard import DicomDictionary
from dicomanon_node.deid.table import TABLE, Code, Row
from dicomanon_node.review.coverage import described

SHORT_OPTIONS: Final[Mapping[Option, str]] = {
    Option.RETAIN_SAFE_PRIVATE: "Private",
    Option.RETAIN_UIDS: "UIDs",
    Option.RETAIN_DEVICE_IDENTITY: "Device",
    Option.RETAIN_INSTITUTION_IDENTITY: "Institution",
    Option.RETAIN_PATIENT_CHARACTERISTICS: "Patient",
    Option.RETAIN_LONGITUDINAL_FULL_DATES: "Full",
    Option.RETAIN_LONGITUDINAL_MODIFIED_DATES: "Modified",
    Option.CLEAN_DESCRIPTORS: "Descriptors",
    Option.CLEAN_STRUCTURED_CONTENT: "Structured",
    Option.CLEAN_GRAPHICS: "Graphics",
}
"""Names of the table's columns, short enough for a cell."""

BY_TYPE: Final = (Type.OPTIONAL, Type.PRESENT, Type.VALUE)
"""The Types in the order in which compound codes are written: X, Z, D."""

_NO_DATA_SET_GROUPS: Final = frozenset({0x0000, 0x0002, 0x0004, 0xFFFE})
# Changes that any attribute of a VR may have; all others are for particular attributes.
_GENERAL: Final = frozenset(
    {
        Change.EMPTY,
        Change.DUMMY,
        Change.UID,
        Change.SHIFT_DATE,
        Change.CLEAN_TEXT,
        Change.CLASS_UID,
    }
)


@cache
def plan(*options: Option) -> Plan:
    """The basic profile with these options; what it decides does not depend on the key."""
    return Plan(StudyRules("reference", options=frozenset(options)), Key(bytes(KEY_BYTES)))


@cache
def keeping_plan(*options: Option) -> Plan:
    """The same for a study that does not remove private elements."""
    rules = replace(plan(*options).rules, removes_private=False)
    return Plan(rules, Key(bytes(KEY_BYTES)))


def is_compound(code: Code) -> bool:
    """Whether the attribute's Type in the IOD chooses."""
    return "/" in code


def by_type(row: Row, code: Code) -> list[str]:
    """What a compound code does to an attribute of Type 3, 2 and 1."""
    return [described(from_code(row, code, row.vr, "", required)) for required in BY_TYPE]


def basic(row: Row) -> str:
    """What the profile does about a row, in words."""
    decision = plan().decide(row.tag, row.vr)
    if not is_compound(row.basic) or decision.source != f"Table E.1-1 {row.basic}":
        return described(decision)
    return ", ".join(dict.fromkeys(by_type(row, row.basic)))


def by_option(row: Row, option: Option) -> str:
    """What an option does about a row, in words; "" if it says nothing or is not available."""
    if option not in row.options or option not in AVAILABLE_OPTIONS:
        return ""
    return described(plan(option).decide(row.tag, row.vr))


def special_rows(*options: Option) -> Iterator[tuple[Row, Decision]]:
    """Rows that are met in a way of their own."""
    for row in sorted(TABLE.values(), key=lambda row: row.tag):
        decision = plan(*options).decide(row.tag, row.vr)
        if decision.verb is Verb.CHANGE and decision.change not in _GENERAL:
            yield row, decision


@cache
def unlisted() -> Mapping[str, list[int]]:
    """By VR, the attributes that neither Table E.1-1 nor the floor's lists name."""
    named = CLASS_UID_TAGS | IDENTIFYING_TAGS | SPEAKING_TAGS | dictionary.PIXEL_DATA_TAGS
    found: dict[str, list[int]] = {}
    for tag, (vr, *_) in sorted(DicomDictionary.items()):
        is_element = tag >> 16 not in _NO_DATA_SET_GROUPS and tag & 0xFFFF
        if is_element and vr in dictionary.VRS and tag not in TABLE and tag not in named:
            found.setdefault(vr, []).append(tag)
    return found


def name_of(tag: int) -> str:
    """An attribute's name as PS3.6 or Table E.1-1 has it."""
    if tag in TABLE:
        return TABLE[tag].name
    entry = DicomDictionary.get(tag)
    return entry[2] if entry else ""


def grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Keys by what is said of them, in the order of first use."""
    found: dict[str, list[str]] = {}
    for key, said in pairs:
        found.setdefault(said, []).append(key)
    return found
