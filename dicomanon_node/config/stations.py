"""stations.json: how the objects of each station name their study.

Checks and compiles; which station an object comes from is `routing`'s.
"""

from collections.abc import Mapping

from dicomanon_node.config import tags
from dicomanon_node.config.names import contradictions, name_fault
from dicomanon_node.config.problems import join
from dicomanon_node.config.rulemodel import StationEntry
from dicomanon_node.config.shape import check
from dicomanon_node.deid import dictionary
from dicomanon_node.deid.rules import PrivateTag, StationRule
from dicomanon_node.errors import Problem

DEFAULT_STATION = "default"


def compile_stations(
    content: Mapping[str, object], file: str
) -> tuple[dict[str, StationRule], list[Problem], list[Problem]]:
    """Make the station rules.

    Args:
        content: stations.json, parsed.
        file: Its name, for the problems.

    Returns:
        The rules by StationName, the problems, the warnings.
    """
    rules: dict[str, StationRule] = {}
    problems: list[Problem] = []
    warnings: list[Problem] = []
    for name, raw in content.items():
        fault = name_fault(name)
        if fault:
            problems.append(Problem(file, join(name), fault))
        entry, found = check(StationEntry, raw, file, (name,))
        problems += found
        if entry is not None:
            faults, remarks, rule = _compile(name, entry)
            problems += [Problem(file, join(name, *path), text) for path, text in faults]
            warnings += [Problem(file, join(name, *path), text) for path, text in remarks]
            if rule is not None:
                rules[name] = rule
    problems += contradictions(
        {name: (rule.tag_for_study, rule.split, rule.split_index) for name, rule in rules.items()},
        file,
    )
    return rules, problems, warnings


_Remarks = list[tuple[tuple[str, ...], str]]


def _compile(name: str, entry: StationEntry) -> tuple[_Remarks, _Remarks, StationRule | None]:
    faults: _Remarks = []
    remarks: _Remarks = []
    split, split_index = entry.split, entry.split_index
    given = entry.model_fields_set
    if "study_split" in given:
        if "split" in given and entry.split != entry.study_split:
            faults.append((("StudySplit",), "differs from Split, which means the same: keep one"))
        split = entry.study_split
    if "study_split_index" in given:
        if "split_index" in given and entry.split_index != entry.study_split_index:
            faults.append(
                (("StudySplitIndex",), "differs from SplitIndex, which means the same: keep one")
            )
        split_index = entry.study_split_index
    if split == "":
        faults.append((("Split",), "is empty: write null for the whole value"))
    if split is None and split_index:
        remarks.append((("SplitIndex",), "has no effect without Split"))
    tag = _tag_for_study(entry.tag_for_study, faults)
    if faults or tag is None:
        return faults, remarks, None
    return faults, remarks, StationRule(name, tag, split, split_index if split else 0)


def _tag_for_study(text: str, faults: _Remarks) -> int | None:
    path = ("TagForStudy",)
    try:
        tag = tags.parse(text)
    except tags.TagError as error:
        faults.append((path, str(error)))
        return None
    if isinstance(tag, PrivateTag) or dictionary.is_private(tag):
        faults.append((path, "must be a standard element, not a private one"))
        return None
    vr = dictionary.vr_of(tag)
    if vr not in dictionary.TEXT_VRS:
        faults.append((path, f"must be an element with text, {vr} has none"))
        return None
    return tag
