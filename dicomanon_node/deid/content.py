"""Content items of structured reports, judged by their concept names (PS3.15 E.3.4).

With Clean Structured Content a report keeps its tree: Table E.3.4-1 says by concept which
items go, stay or get a dummy; of what it does not list, text is cleaned, and names,
dates and UIDs are handled as everywhere else. Without the option `structured` reduces a
report to its references.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from dicomanon_node.deid import charset, encoding, structured
from dicomanon_node.deid.decisions import Change, Decision, Verb, kept
from dicomanon_node.deid.elements import is_implicit_content
from dicomanon_node.deid.rules import Option
from dicomanon_node.deid.table import CONCEPTS, Code, Concept

if TYPE_CHECKING:
    from dicomanon_node.deid.plan import Plan
    from dicomanon_node.deid.rewrite import Rewriter
    from dicomanon_node.deid.structured import Span

_CONTENT_SEQUENCE = 0x0040A730
# There only where there is content: Type 1C, and Type 1 in Specimen Preparation (PS3.3 C.7.6.22).
_NEVER_EMPTY = frozenset({_CONTENT_SEQUENCE, 0x00400612})
_VALUE_TYPE = 0x0040A040
_CONCEPT_NAME = 0x0040A043
_MEASURED_VALUE = 0x0040A300
_NUMERIC_VALUE = 0x0040A30A
_UNITS = 0x004008EA
# Code Value, Long Code Value, URN Code Value (PS3.3 Table 8.8-1).
_CODE_VALUES = (0x00080100, 0x00080119, 0x00080120)
_CODE_MEANING = 0x00080104
# By value type: where the value is, and its VR (PS3.3 Table C.17-5).
_VALUES = {
    "TEXT": (0x0040A160, "UT"),
    "PNAME": (0x0040A123, "PN"),
    "DATE": (0x0040A121, "DA"),
    "TIME": (0x0040A122, "TM"),
    "DATETIME": (0x0040A120, "DT"),
    "UIDREF": (0x0040A124, "UI"),
}
# Referenced Content Item Identifier, encoded: some item is referred to by its position.
_BY_REFERENCE = b"\x40\x00\x73\xdb"
_SUBJECT_AGE = "121033"

Overrides = Mapping[int, Decision]


@dataclass(frozen=True, slots=True)
class _Item:
    value_type: str
    code: str
    meaning: str


def clean(rewriter: "Rewriter", span: "Span", _decision: Decision) -> bytes:
    """Clean the content items of a sequence, and those below them.

    An item that goes leaves a dummy in its place where items are referred to by their
    positions (PS3.3 C.17.3.2.5).
    """
    implicit = is_implicit_content(span.encoded_vr, implicit=span.implicit)
    keeps_places = _BY_REFERENCE in rewriter.buffer
    written = []
    outer = rewriter.overrides
    for number, item in enumerate(structured.items(rewriter, span, implicit=implicit)):
        found = _read(rewriter, item, implicit=implicit)
        source, overrides = _judged(rewriter.plan, found)
        rewriter.enter(span.tag, number)
        if overrides is None:
            rewriter.forget_items(span._replace(value=item.start, after=item.end))
            rewriter.note_removed(_VALUE_TYPE, "CS", source)
            if keeps_places:
                written.append(encoding.item(structured.dummy_content_item(implicit=implicit)))
        else:
            rewriter.overrides = overrides or None
            written.append(structured.rewritten_item(rewriter, item, span, implicit=implicit))
        rewriter.leave()
    rewriter.overrides = outer
    if not written and span.tag in _NEVER_EMPTY:
        written.append(encoding.item(structured.dummy_content_item(implicit=implicit)))
    return rewriter.with_content(span.start, span.value, b"".join(written), is_undefined=False)


def cap_measured_age(rewriter: "Rewriter", span: "Span", _decision: Decision) -> bytes:
    """A subject's age in years, at most 90, in the items of a Measured Value Sequence."""
    implicit = is_implicit_content(span.encoded_vr, implicit=span.implicit)
    written = []
    outer = rewriter.overrides
    source = "ages over 89 are capped"
    for item in structured.items(rewriter, span, implicit=implicit):
        units = _code_of(rewriter, item, _UNITS, implicit=implicit)
        is_years = units is None or units[0] == "a"
        capped = Decision(Verb.CHANGE, source, Change.CAP_YEARS)
        rewriter.overrides = {_NUMERIC_VALUE: capped} if is_years else None
        written.append(structured.rewritten_item(rewriter, item, span, implicit=implicit))
    rewriter.overrides = outer
    return rewriter.with_content(span.start, span.value, b"".join(written), is_undefined=False)


def _read(rewriter: "Rewriter", item: structured.Item, *, implicit: bool) -> _Item:
    raw = structured.find(rewriter, item, _VALUE_TYPE, implicit=implicit) or b""
    code, meaning = _code_of(rewriter, item, _CONCEPT_NAME, implicit=implicit) or ("", "")
    return _Item(raw.decode("ascii", "replace").strip(" \0"), code, meaning)


def _code_of(
    rewriter: "Rewriter", item: structured.Item, tag: int, *, implicit: bool
) -> tuple[str, str] | None:
    # Code value and meaning in the first item of a code sequence.
    inner = structured.first_item(rewriter, item, tag, implicit=implicit)
    if inner is None:
        return None
    code, inner_implicit = inner
    values = [
        structured.find(rewriter, code, wanted, implicit=inner_implicit)
        for wanted in (*_CODE_VALUES, _CODE_MEANING)
    ]
    *codes, meaning = [
        charset.decode(value or b"", rewriter.character_set).strip(" \0") for value in values
    ]
    return next((value for value in codes if value), ""), meaning


def _judged(plan: "Plan", item: _Item) -> tuple[str, Overrides | None]:
    # What is done with the item's value beyond the plan's own decisions; None: it goes.
    concept = _concept(item)
    if concept is None:
        return "", _unlisted(plan, item)
    code, option = concept.code(plan.rules.options)
    source = f"Table E.3.4-1 {code}" + (f" by {option}" if option else "")
    if code is Code.X:
        return source, None
    if item.value_type == "NUM" and item.code == _SUBJECT_AGE:
        capped = Decision(Verb.CHANGE, source, Change.CAP_MEASURED_AGE)
        return source, _unless_ruled(plan, {_MEASURED_VALUE: capped}, "SQ")
    tag, vr = _VALUES.get(item.value_type, (0, ""))
    if not tag:
        return source, {}
    return source, _unless_ruled(plan, {tag: _decided(code, option, vr, source)}, vr)


def _concept(item: _Item) -> Concept | None:
    # A concept is the same in another scheme or edition when it has the same meaning.
    for key in (item.code, item.meaning.casefold()):
        rows = CONCEPTS.get(key) if key else None
        if rows:
            return rows.get(item.value_type) or next(iter(rows.values()))
    return None


def _unlisted(plan: "Plan", item: _Item) -> Overrides:
    if item.value_type != "TEXT":
        return {}
    tag, vr = _VALUES["TEXT"]
    source = "content item that Table E.3.4-1 does not list"
    return _unless_ruled(plan, {tag: Decision(Verb.CHANGE, source, Change.CLEAN_TEXT)}, vr)


def _unless_ruled(plan: "Plan", overrides: Overrides, vr: str) -> Overrides:
    # The study's own rules come first.
    if vr in plan.rules.vrs or any(tag in plan.rules.tags for tag in overrides):
        return {}
    return overrides


def _decided(code: Code, option: Option | None, vr: str, source: str) -> Decision:
    if vr == "UI":
        # A dummy that is the same for the same UID, so that references resolve.
        return kept(vr, source) if code is Code.K else Decision(Verb.CHANGE, source, Change.UID)
    if code is Code.K:
        return kept(vr, source)
    if code is Code.C and vr == "UT":
        return Decision(Verb.CHANGE, source, Change.CLEAN_TEXT)
    if code is Code.C and option is Option.RETAIN_LONGITUDINAL_MODIFIED_DATES:
        if vr == "TM":
            return Decision(Verb.CHANGE, source, Change.TIME_OF_DAY)
        return Decision(Verb.CHANGE, source, Change.SHIFT_DATE)
    return Decision(Verb.CHANGE, source, Change.DUMMY)


SEQUENCE_CHANGES: Mapping[Change | None, structured.SequenceChange] = MappingProxyType(
    {Change.CLEAN_CONTENT: clean, Change.CAP_MEASURED_AGE: cap_measured_age}
)
