"""Each study against Table E.1-1: what its profile does, what its own rules change.

A row is covered (the profile with the study's options decides), overridden (a rule of
the study for the tag or its VR decides) or uncovered (nothing decides: the study has no
profile). A rule is weaker where more of the original stays than the Basic Profile with
the study's options would leave: kept instead of replaced, shifted instead of emptied.

Decisions are asked of the compiled plan, so this says what the engine does.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Any, Final

from dicomanon_node.deid.decisions import Change, Decision, Verb
from dicomanon_node.deid.dictionary import format_tag, is_curve, is_overlay, is_private
from dicomanon_node.deid.plan import Plan
from dicomanon_node.deid.pseudonyms import KEY_BYTES, Key
from dicomanon_node.deid.rules import Option, PrivateTag, Profile, StudyRules
from dicomanon_node.deid.table import TABLE, TABLE_EDITION, Row

FORM_VERSION: Final = 1
"""Of the JSON form; grows when a key changes its meaning or goes."""

FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "version": f"Version of this form, {FORM_VERSION}",
        "edition": "Edition of PS3.15",
        "rules": "Digest of the rules, as in the log",
        "studies": "The studies, in their order",
    }
)
STUDY_FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "study": "Its name",
        "profile": "`basic` or null",
        "options": "Its options",
        "counts": "Rows: `covered`, `by_option` (among the covered), `overridden`, `weaker`"
        " (among the overridden), `uncovered`",
        "rows": "Every row of Table E.1-1",
    }
)
ROW_FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "tag": "As the table writes it",
        "name": "Attribute name",
        "vr": "Its VR",
        "code": "What the profile says, under the study's options",
        "option": "The option that says so, or null",
        "state": "`covered`, `overridden` or `uncovered`",
        "action": "What is done, in words",
        "weaker": "Whether more of the original stays than the profile would leave",
    }
)

_PRIVATE_TAG: Final = "(gggg,eeee), odd group"
_PRIVATE_NAME: Final = "Private Attributes"
_SOME_PRIVATE: Final = PrivateTag(0x0009, "NOBODY'S", 0x00)
_CURVES: Final = 0x50000000
_FIRST_OVERLAY: Final = 0x6000


class State(Enum):
    """Whose rule decides about a row."""

    COVERED = "covered"
    OVERRIDDEN = "overridden"
    UNCOVERED = "uncovered"


class _Left(IntEnum):
    # How much of the original a decision leaves; the order is what counts.

    NOTHING = 0  # removed, emptied, a constant, a keyed pseudonym
    PART = 1  # words, intervals, the items of a sequence
    ALL = 2


# Changes that leave a part: cleaned texts and capped ages, and these.
_PARTIAL: Final = frozenset(
    {Change.SHIFT_DATE, Change.OFFSET, Change.HASH_ITEMS, Change.CLASS_UID}
) | {change for change in Change if change.name.startswith(("CLEAN_", "CAP_"))}


@dataclass(frozen=True, slots=True)
class RowCoverage:
    """What a study does about one row.

    Attributes:
        tag: As the table writes it.
        name: Attribute name.
        vr: Its VR.
        code: What the profile says, under the study's options.
        option: The option that says so.
        state: Whose rule decides.
        action: What is done, in words.
        is_weaker: More of the original stays than the profile would leave.
    """

    tag: str
    name: str
    vr: str
    code: str
    option: Option | None
    state: State
    action: str
    is_weaker: bool = False


@dataclass(frozen=True, slots=True)
class StudyCoverage:
    """What a study does about every row of Table E.1-1."""

    rules: StudyRules
    rows: tuple[RowCoverage, ...]

    def of_state(self, state: State) -> list[RowCoverage]:
        """The rows in this state."""
        return [row for row in self.rows if row.state is state]

    @property
    def weaker(self) -> list[RowCoverage]:
        """The rows whose own rule leaves more than the profile."""
        return [row for row in self.rows if row.is_weaker]

    @property
    def is_whole(self) -> bool:
        """Whether every row is covered at least as the profile asks."""
        return not self.weaker and not self.of_state(State.UNCOVERED)

    @property
    def counts(self) -> dict[str, int]:
        """Rows, by what `STUDY_FIELDS` says of `counts`."""
        states = Counter(row.state for row in self.rows)
        covered = self.of_state(State.COVERED)
        return {
            "covered": states[State.COVERED],
            "by_option": sum(row.option is not None for row in covered),
            "overridden": states[State.OVERRIDDEN],
            "weaker": len(self.weaker),
            "uncovered": states[State.UNCOVERED],
        }


def of(rules: StudyRules) -> StudyCoverage:
    """Compare a study with the table. Coverage does not depend on the key."""
    key = Key(bytes(KEY_BYTES))
    plan = Plan(rules, key)
    floor = replace(rules, profile=Profile.BASIC, tags={}, vrs={}, private_tags={})
    profile = Plan(floor, key)
    rows = [_standard(row, plan, profile) for row in TABLE.values()]
    return StudyCoverage(rules, (*rows, _private(rules, plan)))


def described(decision: Decision) -> str:
    """What a decision does, in words."""
    match decision.verb:
        case Verb.DROP:
            return "removed"
        case Verb.WALK:
            return "items rewritten"
        case Verb.KEEP | Verb.KEEP_DATE:
            return "kept"
        case Verb.CHANGE:
            return decision.change.value if decision.change else "changed"


def as_json(studies: list[StudyCoverage], digest: str) -> dict[str, Any]:
    """The JSON form; its keys are `FIELDS`, `STUDY_FIELDS` and `ROW_FIELDS`."""
    return {
        "version": FORM_VERSION,
        "edition": TABLE_EDITION,
        "rules": digest,
        "studies": [
            {
                "study": study.rules.name,
                "profile": study.rules.profile,
                "options": sorted(study.rules.options),
                "counts": study.counts,
                "rows": [
                    {
                        "tag": row.tag,
                        "name": row.name,
                        "vr": row.vr,
                        "code": row.code,
                        "option": row.option,
                        "state": row.state.value,
                        "action": row.action,
                        "weaker": row.is_weaker,
                    }
                    for row in study.rows
                ],
            }
            for study in studies
        ],
    }


def tag_of(row: Row) -> str:
    """The row's tag as the table writes it, repeating groups with their xx."""
    text = format_tag(row.tag)
    if row.tag == _CURVES:
        return "(50xx,xxxx)"
    return f"(60xx,{text[6:]}" if row.tag >> 16 == _FIRST_OVERLAY else text


def _standard(row: Row, plan: Plan, profile: Plan) -> RowCoverage:
    rules = plan.rules
    code, option = row.code(rules.options if rules.profile else frozenset())
    own = _own_tags(row, rules)
    decisions = [plan.decide(tag, row.vr) for tag in own or [row.tag]]
    # Of several groups that repeat, the one of which most is left.
    decision = max(decisions, key=_left)
    is_own = bool(own) or decision.source.startswith("VR rule")
    if is_own:
        state = State.OVERRIDDEN
    elif rules.profile is None:
        state = State.UNCOVERED
    else:
        state = State.COVERED
    action = decision.source if is_own else described(decision)
    is_weaker = is_own and _left(decision) > _left(profile.decide(row.tag, row.vr))
    return RowCoverage(tag_of(row), row.name, row.vr, code, option, state, action, is_weaker)


def _own_tags(row: Row, rules: StudyRules) -> list[int]:
    # Tags of the study's own rules that are of this row.
    if row.tag == _CURVES:
        return [tag for tag in rules.tags if is_curve(tag)]
    if row.tag >> 16 == _FIRST_OVERLAY:
        number = row.tag & 0xFFFF
        return [tag for tag in rules.tags if is_overlay(tag) and tag & 0xFFFF == number]
    return [row.tag] if row.tag in rules.tags else []


def _private(rules: StudyRules, plan: Plan) -> RowCoverage:
    # One row of the table stands for all private attributes; its code is X.
    option = Option.RETAIN_SAFE_PRIVATE
    is_safe = rules.profile is not None and option in rules.options
    made = RowCoverage(
        _PRIVATE_TAG,
        _PRIVATE_NAME,
        "any",
        "C" if is_safe else "X",
        option if is_safe else None,
        State.COVERED,
        "removed but for those known to be safe" if is_safe else "removed",
    )
    if not rules.removes_private:
        if rules.profile is None:
            return replace(made, state=State.UNCOVERED, action="kept")
        return replace(made, state=State.OVERRIDDEN, action="kept", is_weaker=True)
    named = [(tag, tag.group << 16 | 0x1000 | tag.element) for tag in rules.private_tags]
    named += [(_SOME_PRIVATE, tag) for tag in rules.tags if is_private(tag)]
    kept = len(rules.saved_private) + len(rules.saved_groups)
    kept += sum(_left(plan.decide_private(tag, number, "LO")) > 0 for tag, number in named)
    if kept:
        action = f"removed but {kept} listed by the study"
        return replace(made, state=State.OVERRIDDEN, action=action, is_weaker=True)
    if named:
        return replace(made, state=State.OVERRIDDEN, action="removed or changed as listed")
    return made


def _left(decision: Decision) -> _Left:
    if decision.verb is Verb.DROP:
        return _Left.NOTHING
    if decision.verb is Verb.WALK:
        return _Left.PART
    if decision.verb is Verb.CHANGE:
        return _Left.PART if decision.change in _PARTIAL else _Left.NOTHING
    return _Left.ALL
