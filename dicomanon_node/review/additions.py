"""What an output has that its original had not: labels, file meta, an empty preamble.

Standard: PS3.15 E.1.1 (labels), PS3.10 7.1 (File Meta Information).
"""

from collections.abc import Iterator
from typing import Final

import dicomanon_node
from dicomanon_node.deid import labels as tags
from dicomanon_node.deid.plan import Plan
from dicomanon_node.deid.rules import Profile
from dicomanon_node.deid.table import METHOD_CODES
from dicomanon_node.review.checks import words
from dicomanon_node.review.reading import Element, Instance, Item, text_of

_EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
# Deflated and Big Endian are written as Explicit VR Little Endian.
_CONVERTED: Final = frozenset(("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"))
_META_ELEMENTS: Final = frozenset((0x0000, 0x0001, 0x0002, 0x0003, 0x0010, 0x0012, 0x0013))
_BURNED_IN: Final = "burned in annotation not removed"
_PATIENT_IDENTITY: Final = ((0x00100010, "PN"), (0x00100020, "LO"))
# Code Value, Coding Scheme Designator, Code Meaning.
_CODE_TAGS: Final = (0x00080100, 0x00080102, 0x00080104)
_BASIC_PROFILE: Final = METHOD_CODES["basic_profile"].value
_LABEL: Final = "label"

# (which rule, what it demands, what is wrong)
Judged = tuple[str, str, str]


def labels(
    old: Item, new: Item, plan: Plan, *, keeps_dates: bool, shifts_dates: bool
) -> Iterator[Judged]:
    """Whether the labels say what was done, and nothing else.

    Args:
        old: The original's data set.
        new: The output's.
        plan: The rules.
        keeps_dates: A date of the original is in the output.
        shifts_dates: A shifted one is.
    """
    yield _judged(tags.PATIENT_IDENTITY_REMOVED, _identity_removed(old, new, plan))
    yield _judged(tags.DEIDENTIFICATION_METHOD, _method(old, new, plan))
    yield _judged(tags.DEIDENTIFICATION_METHOD_CODES, _codes(old, new, plan))
    tag = tags.LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED
    if shifts_dates or (keeps_dates and old.ascii(tag) == "MODIFIED"):
        wanted = "MODIFIED"
    else:
        wanted = "UNMODIFIED" if keeps_dates else "REMOVED"
    yield _judged(tag, "" if new.ascii(tag) == wanted else "is not what happened to the dates")


def file_faults(original: Instance, output: Instance) -> Iterator[Judged]:
    """Whether preamble and File Meta Information are new."""
    meta, dataset = output.meta, output.dataset
    is_zero = output.preamble == bytes(128)
    yield "preamble", "zero", "" if is_zero else "is not zero"
    foreign = [e for e in meta.elements.values() if e.tag & 0xFFFF not in _META_ELEMENTS]
    is_ours = meta.ascii(0x00020012) == tags.IMPLEMENTATION_CLASS_UID
    faults = (
        ("holds more than a new one does", bool(foreign)),
        ("is not the node's own", not is_ours),
        ("names another SOP Class", meta.ascii(0x00020002) != dataset.ascii(0x00080016)),
        ("names another SOP Instance", meta.ascii(0x00020003) != dataset.ascii(0x00080018)),
        ("names another transfer syntax", output.transfer_syntax_uid != _syntax(original)),
    )
    reason = next((reason for reason, is_fault in faults if is_fault), "")
    yield "File Meta Information", "new", reason


def _syntax(original: Instance) -> str:
    uid = original.transfer_syntax_uid
    return _EXPLICIT_LITTLE if uid in _CONVERTED else uid


def _judged(tag: int, reason: str) -> Judged:
    return f"{_LABEL} ({tag >> 16:04x},{tag & 0xFFFF:04x})", "says what was done", reason


def _identity_removed(old: Item, new: Item, plan: Plan) -> str:
    tag = tags.PATIENT_IDENTITY_REMOVED
    is_removed = all(plan.decide(each, vr).removes for each, vr in _PATIENT_IDENTITY)
    wanted = "YES" if is_removed or old.ascii(tag) == "YES" else "NO"
    return "" if new.ascii(tag) == wanted else f"is not {wanted}"


def _method(old: Item, new: Item, plan: Plan) -> str:
    found = new.get(tags.DEIDENTIFICATION_METHOD)
    if found is None:
        return "is missing"
    before = old.get(tags.DEIDENTIFICATION_METHOD)
    known = set(words(_text(before, old))) if before is not None else set()
    program = f"dicomanon_node {dicomanon_node.__version__}"
    rules = f"rules {plan.rules_digest}" if plan.rules_digest else program
    values = [value.strip() for value in _text(found, new).split("\\")]
    if program not in values or rules not in values:
        return "does not name program and rules"
    foreign = [value for value in values if value not in (program, rules, _BURNED_IN)]
    if any(not words(value) <= known for value in foreign):
        return "says more than what was done"
    return ""


def _codes(old: Item, new: Item, plan: Plan) -> str:
    before, after = (each.get(tags.DEIDENTIFICATION_METHOD_CODES) for each in (old, new))
    known = {(code.value, code.scheme, code.meaning) for code in METHOD_CODES.values()}
    kept = len(before.items or ()) if before is not None else 0
    items = (after.items or ()) if after is not None else ()
    if len(items) < kept:
        return "has fewer items than the original"
    for item in items[kept:]:
        found = tuple(item.ascii(tag) for tag in _CODE_TAGS)
        if found not in known or len(item.elements) != len(_CODE_TAGS):
            return "has a code that is none of CID 7050"
    codes = {item.ascii(_CODE_TAGS[0]) for item in items}
    if plan.rules.profile is Profile.BASIC and _BASIC_PROFILE not in codes:
        return "does not name the profile"
    return ""


def _text(element: Element, item: Item) -> str:
    return text_of(element, item.character_set).strip(" \0")
