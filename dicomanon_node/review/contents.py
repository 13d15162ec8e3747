"""What Table E.3.4-1 demands of a content item, by its concept name.

For reports under Clean Structured Content. Says which items stay and what becomes of
their values; the rest of an item is judged like any other data set.

Standard: PS3.15 E.3.4.
"""

from collections.abc import Mapping
from typing import Final

from dicomanon_node.deid.decisions import Change, Decision, Verb, kept
from dicomanon_node.deid.plan import Plan
from dicomanon_node.deid.rules import Option
from dicomanon_node.deid.table import CONCEPTS, Code, Concept
from dicomanon_node.review.reading import Item, text_of

VALUE_TYPE: Final = 0x0040A040
_CONCEPT_NAME: Final = 0x0040A043
_MEASURED_VALUE: Final = 0x0040A300
_NUMERIC_VALUE: Final = 0x0040A30A
_UNITS: Final = 0x004008EA
_CODES: Final = (0x00080100, 0x00080119, 0x00080120)
_CODE_MEANING: Final = 0x00080104
_REFERENCED_BY_POSITION: Final = 0x0040DB73
_SUBJECT_AGE: Final = "121033"
# Where the value of each value type is (PS3.3 Table C.17-5).
_VALUES: Final = {
    "TEXT": (0x0040A160, "UT"),
    "PNAME": (0x0040A123, "PN"),
    "DATE": (0x0040A121, "DA"),
    "TIME": (0x0040A122, "TM"),
    "DATETIME": (0x0040A120, "DT"),
    "UIDREF": (0x0040A124, "UI"),
}

# (121106, DCM, "Comment") with a dummy text.
_DUMMY_ITEM: Final = {
    (0x0040A010, b"CONTAINS"),
    (0x0040A040, b"TEXT"),
    (0x00080100, b"121106"),
    (0x00080102, b"DCM"),
    (0x00080104, b"Comment"),
    (0x0040A160, b"-"),
}

Overrides = Mapping[int, Decision]


def keeps_places(dataset: Item) -> bool:
    """Whether some item is referred to by its position, so that none may go."""
    return any(leaf.tag == _REFERENCED_BY_POSITION for _, leaf, _ in dataset.leaves())


def is_dummy(item: Item) -> bool:
    """Whether an item is the one that stands for those that went."""
    return {(leaf.tag, leaf.value.strip(b" \0")) for _, leaf, _ in item.leaves()} == _DUMMY_ITEM


def demanded(item: Item, plan: Plan) -> Overrides | None:
    """What becomes of an item's own value, beyond the plan; None if the item is to go."""
    value_type = item.ascii(VALUE_TYPE)
    codes, meaning = _code(item, _CONCEPT_NAME) or ([], "")
    concept = _concept(value_type, codes, meaning)
    tag, vr = _VALUES.get(value_type, (0, ""))
    if concept is None:
        if value_type != "TEXT":
            return {}
        source = "content item that Table E.3.4-1 does not list"
        return _unless_ruled(plan, {tag: Decision(Verb.CHANGE, source, Change.CLEAN_TEXT)}, vr)
    code, option = concept.code(plan.rules.options)
    source = f"Table E.3.4-1 {code}" + (f" by {option}" if option else "")
    if code is Code.X:
        return None
    if value_type == "NUM" and _SUBJECT_AGE in codes[:1]:
        capped = Decision(Verb.CHANGE, source, Change.CAP_MEASURED_AGE)
        return _unless_ruled(plan, {_MEASURED_VALUE: capped}, "SQ")
    if not tag:
        return {}
    return _unless_ruled(plan, {tag: _value(code, option, vr, source)}, vr)


def capped_years(item: Item) -> Overrides:
    """What becomes of the number in an item of a Measured Value Sequence that is an age."""
    units = _code(item, _UNITS)
    if units is not None and units[0][:1] != ["a"]:
        return {}
    return {_NUMERIC_VALUE: Decision(Verb.CHANGE, "ages over 89 are capped", Change.CAP_YEARS)}


def _value(code: Code, option: Option | None, vr: str, source: str) -> Decision:
    if code is Code.K:
        return kept(vr, source)
    if vr == "UI":
        return Decision(Verb.CHANGE, source, Change.UID)
    if code is Code.C and vr == "UT":
        return Decision(Verb.CHANGE, source, Change.CLEAN_TEXT)
    if code is Code.C and option is Option.RETAIN_LONGITUDINAL_MODIFIED_DATES:
        if vr == "TM":
            return Decision(Verb.KEEP, source)
        return Decision(Verb.CHANGE, source, Change.SHIFT_DATE)
    return Decision(Verb.CHANGE, source, Change.DUMMY)


def _unless_ruled(plan: Plan, overrides: Overrides, vr: str) -> Overrides:
    is_ruled = vr in plan.rules.vrs or any(tag in plan.rules.tags for tag in overrides)
    return {} if is_ruled else overrides


def _concept(value_type: str, codes: list[str], meaning: str) -> Concept | None:
    for key in (*codes[:1], meaning.casefold()):
        rows = CONCEPTS.get(key) if key else None
        if rows:
            return rows.get(value_type) or next(iter(rows.values()))
    return None


def _code(item: Item, tag: int) -> tuple[list[str], str] | None:
    found = item.get(tag)
    if found is None or not found.items:
        return None
    code = found.items[0]
    texts = [
        text_of(each, code.character_set).strip(" \0") if each is not None else ""
        for each in map(code.get, (*_CODES, _CODE_MEANING))
    ]
    return [text for text in texts[:-1] if text], texts[-1]
