"""What happened to one object and why: entries for a table, and a stable JSON form.

Without `shows_values` nothing of the object's values is in either, nor the names of
private creators that nobody knows: they are free text of the object.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from dicomanon_node.config.problems import escape
from dicomanon_node.config.tags import keyword_of
from dicomanon_node.deid import charset
from dicomanon_node.deid.dictionary import format_tag, is_private
from dicomanon_node.deid.rules import StationRule, StudyRules
from dicomanon_node.deid.standard import private_dictionaries
from dicomanon_node.deid.table import SAFE_PRIVATE, TABLE
from dicomanon_node.deid.trace import Outcome, Step
from dicomanon_node.review.cures import CURES, NO_TRANSFER_SYNTAX
from dicomanon_node.review.passage import Passage, Refusal
from dicomanon_node.review.values import text_of
from dicomanon_node.routing import DEFAULT_STATION

FORM_VERSION: Final = 1
"""Of the JSON form; grows when a key changes its meaning or goes."""

FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "version": f"Version of this form, {FORM_VERSION}",
        "file": "The file, as it was named",
        "sop_class": "SOP Class UID",
        "transfer_syntax": "Transfer Syntax UID",
        "study": "The study whose rules hold; null if the object was refused before",
        "by_default": "Whether a value that routes was missing and the default was taken",
        "rules": "Digest of the rules, as in the log",
        "refused": "null, or an object of `reason` (one of the table above, or `transfer-syntax`),"
        " `status`, `comment`, `tag` and `cure`",
        "counts": "Elements by outcome",
        "elements": "What happened to each element, in the order of the object",
    }
)
"""Keys of the JSON form, with their meaning."""

ELEMENT_FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "path": "From the top level, such as `(0008,1140)[0].(0008,1155)`; items count from 0",
        "keyword": "Its keyword; empty for private elements",
        "vr": "Its VR, as it was handled",
        "outcome": "One of " + ", ".join(f"`{outcome.name.lower()}`" for outcome in Outcome),
        "rule": "The rule that decided, in words",
        "original": "With `--show-values`: the value; null if it is binary",
        "original_bytes": "With `--show-values`: its encoded length",
        "new": "With `--show-values`: the value as written; null if it is binary",
        "new_bytes": "With `--show-values`: its encoded length",
    }
)
"""Keys of each of `elements`."""

_STATION_NAME: Final = 0x00081010
# What mostly happens to all elements of a private block.
_WHOLESALE: Final = (Outcome.KEPT, Outcome.REMOVED)
_PRIVATE_NUMBER: Final = re.compile(r',(?P<creator>"[^"]*",|[0-9a-f]{2})[0-9a-f]{2}\)\Z')
_GROUP_LENGTH: Final = "group length"
_WHOLE_SHAPE: Final = 5
_ITEM: Final = re.compile(r"\[\d+\]")
_UNREMARKED: Final = ("not listed", "floor for")


@dataclass(frozen=True, slots=True)
class Value:
    """A value to be shown (PHI): its text, None if it is binary, and its length in bytes."""

    text: str | None
    length: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One element, or several alike, and what happened.

    Attributes:
        path: Where it is; `[*]` stands for several items.
        keyword: Its keyword; empty for private elements.
        vr: Its VR.
        outcome: What became of it.
        rule: The rule that decided.
        original: Its value; None unless values are shown.
        new: What is written; None unless values are shown.
        count: How many elements it stands for.
        is_empty: It had no value.
    """

    path: str
    keyword: str
    vr: str
    outcome: Outcome
    rule: str
    original: Value | None
    new: Value | None
    count: int = 1
    is_empty: bool = False

    @property
    def is_remarkable(self) -> bool:
        """Whether more happened than that an element stayed which no rule speaks of."""
        if self.outcome is Outcome.WALKED:
            return False
        if self.outcome is not Outcome.KEPT:
            return True
        return not self.is_empty and not self.rule.startswith(_UNREMARKED)


def entries(passage: Passage, *, shows_values: bool) -> list[Entry]:
    """An entry for each element, in the order of the object."""
    names = _Creators(passage.route.plan.rules if passage.route else None, hides=not shows_values)
    return [_entry(step, names, shows_values=shows_values) for step in passage.trace.steps]


def collapsed(found: Sequence[Entry]) -> list[Entry]:
    """Elements alike in different items as one entry, and so what happens to a private block."""
    shapes = [_shape(entry) for entry in found]
    counts = Counter(shapes)
    first: dict[tuple[str, ...], Entry] = {}
    for entry, shape in zip(found, shapes, strict=True):
        if shape not in first:
            first[shape] = entry
    return [
        entry if counts[shape] == 1 else _together(entry, shape, counts[shape])
        for shape, entry in first.items()
    ]


def _together(entry: Entry, shape: tuple[str, ...], count: int) -> Entry:
    # Only elements of one keyword are of one VR for sure.
    vr = entry.vr if len(shape) == _WHOLE_SHAPE else ""
    return replace(entry, path=shape[0], vr=vr, count=count)


def counted(passage: Passage) -> dict[Outcome, int]:
    """How many elements had each outcome; all outcomes, in their order."""
    counts = Counter(step.outcome for step in passage.trace.steps)
    return {outcome: counts[outcome] for outcome in Outcome}


def station_of(passage: Passage, stations: Mapping[str, StationRule]) -> StationRule | None:
    """The station rule that named the study: of its StationName, or the default one.

    Args:
        passage: The object's.
        stations: All station rules by name.
    """
    elements = passage.elements
    if elements is None:
        return None
    value = elements.value(_STATION_NAME) or b""
    name = charset.decode(value, passage.character_set).strip(" \0")
    folded = {known.casefold(): rule for known, rule in stations.items()}
    return stations.get(name) or folded.get(name.casefold()) or stations.get(DEFAULT_STATION)


def cure(refusal: Refusal) -> str:
    """What to do about a refusal."""
    return NO_TRANSFER_SYNTAX if refusal.reason is None else CURES[refusal.reason]


def as_json(
    passage: Passage,
    *,
    file: str,
    sop_class_uid: str,
    transfer_syntax_uid: str,
    digest: str,
    shows_values: bool,
) -> dict[str, Any]:
    """The JSON form; its keys are `FIELDS` and `ELEMENT_FIELDS`."""
    route, refusal = passage.route, passage.refusal
    return {
        "version": FORM_VERSION,
        "file": file,
        "sop_class": sop_class_uid,
        "transfer_syntax": transfer_syntax_uid,
        "study": route.plan.rules.name if route else None,
        "by_default": route.is_by_default if route else False,
        "rules": digest,
        "refused": None if refusal is None else _refusal_as_json(refusal),
        "counts": {outcome.name.lower(): count for outcome, count in counted(passage).items()},
        "elements": [
            _entry_as_json(entry) for entry in entries(passage, shows_values=shows_values)
        ],
    }


def _refusal_as_json(refusal: Refusal) -> dict[str, Any]:
    return {
        "reason": refusal.code,
        "status": f"{refusal.status:04X}H",
        "comment": refusal.comment,
        "tag": None if refusal.tag is None else format_tag(refusal.tag),
        "cure": cure(refusal),
    }


def _entry_as_json(entry: Entry) -> dict[str, Any]:
    made: dict[str, Any] = {
        "path": entry.path,
        "keyword": entry.keyword,
        "vr": entry.vr,
        "outcome": entry.outcome.name.lower(),
        "rule": entry.rule,
    }
    if entry.original is not None and entry.new is not None:
        made |= {
            "original": entry.original.text,
            "original_bytes": entry.original.length,
            "new": entry.new.text,
            "new_bytes": entry.new.length,
        }
    return made


def _entry(step: Step, names: "_Creators", *, shows_values: bool) -> Entry:
    tag = step.path[-1][0]
    return Entry(
        path=".".join(names.node(*node) for node in step.path),
        keyword="" if is_private(tag) else _name(tag),
        vr=step.vr,
        outcome=step.outcome,
        rule=step.source,
        original=_value(step, step.original) if shows_values else None,
        new=_value(step, step.new) if shows_values else None,
        is_empty=not step.original,
    )


def _value(step: Step, raw: bytes) -> Value:
    return Value(text_of(raw, step.vr, step.character_set), len(raw))


def _shape(entry: Entry) -> tuple[str, ...]:
    path = _ITEM.sub("[*]", entry.path)
    keyword = entry.keyword
    if keyword == _GROUP_LENGTH:
        path = "(gggg,0000)"
    elif not keyword and entry.outcome in _WHOLESALE:
        path = _PRIVATE_NUMBER.sub(r",\g<creator>xx)", path)
        return (path, entry.outcome, entry.rule)
    return (path, keyword, entry.vr, entry.outcome, entry.rule)


@cache
def _name(tag: int) -> str:
    if not tag & 0xFFFF:
        return _GROUP_LENGTH
    name = keyword_of(tag)
    if name.startswith("("):
        row = TABLE.get(tag & 0xFF00FFFF) if tag >> 24 in (0x50, 0x60) else None
        return row.keyword if row else ""
    return name


class _Creators:
    # Private creators by name if the name is the maker's for sure, otherwise by a number.

    def __init__(self, rules: StudyRules | None, *, hides: bool) -> None:
        self._hides = hides
        self._known = _known_creators()
        if rules is not None:
            self._known |= {tag.creator for tag in (*rules.private_tags, *rules.saved_private)}
        self._numbers: dict[str, int] = {}

    def node(self, tag: int, creator: str, item: int | None) -> str:
        """One step of a path."""
        group, number = tag >> 16, tag & 0xFFFF
        name = f"({group:04x},{number:04x})"
        if creator:
            name = f'({group:04x},"{self._shown(creator)}",{number & 0xFF:02x})'
        return name if item is None else f"{name}[{item}]"

    def _shown(self, creator: str) -> str:
        if not self._hides or creator in self._known:
            return escape(creator)
        return f"?{self._numbers.setdefault(creator, len(self._numbers) + 1)}"


def _known_creators() -> frozenset[str]:
    return frozenset(private_dictionaries) | {tag.creator for tag in SAFE_PRIVATE}
