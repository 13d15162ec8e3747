"""studies.json: what is done with the objects of each study.

Checks and compiles each entry into `StudyRules`; the standard's table comes in later,
in `deid.plan`. Looks at one study at a time, with every problem it has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dicomanon_node.config import tags
from dicomanon_node.config.actions import ActionError, compile_action, salt_fault
from dicomanon_node.config.names import contradictions, name_fault
from dicomanon_node.config.options import compile_options
from dicomanon_node.config.problems import join, kind, name, show, suggest
from dicomanon_node.config.rulemodel import ActionEntry, StudyEntry
from dicomanon_node.config.shape import check
from dicomanon_node.deid import dictionary
from dicomanon_node.deid.envelope import Recipient
from dicomanon_node.deid.rules import (
    ActionKind,
    BurnedIn,
    PrivateTag,
    Profile,
    RuleAction,
    StudyRules,
)
from dicomanon_node.errors import Problem

_SOP_CLASS_UID = 0x00080016
_SPECIFIC_CHARACTER_SET = 0x00080005
_KEEP = frozenset({ActionKind.KEEP})
_IDENTITY = _KEEP | {ActionKind.REGEN}

# What may be done with elements that an object cannot do without, and why not more.
_PROTECTED = {
    _SPECIFIC_CHARACTER_SET: (_KEEP, "without it text cannot be read"),
    _SOP_CLASS_UID: (_KEEP, "without it nobody knows what the object is"),
    0x00080018: (_IDENTITY, "every instance needs a SOP Instance UID of its own"),
    0x0020000D: (_IDENTITY | {ActionKind.VALUE}, "every instance belongs to a study"),
    0x0020000E: (_IDENTITY | {ActionKind.VALUE}, "every instance belongs to a series"),
} | dict.fromkeys(dictionary.PIXEL_DATA_TAGS, (_KEEP, "pixel data passes as it is"))

_FILE_META_GROUP = 0x0002


@dataclass
class _Compiling:
    """One entry while it is compiled: where it is, and what was found."""

    file: str
    study: str
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def refuse(self, message: str, *path: str | int) -> None:
        self.problems.append(Problem(self.file, join(self.study, *path), message))

    def warn(self, message: str, *path: str | int) -> None:
        self.warnings.append(Problem(self.file, join(self.study, *path), message))


def compile_studies(
    content: Mapping[str, object], file: str
) -> tuple[dict[str, StudyRules], list[Problem], list[Problem]]:
    """Make the rules of every study.

    Args:
        content: studies.json, parsed.
        file: Its name, for the problems.

    Returns:
        The rules by study name, the problems, the warnings.
    """
    studies: dict[str, StudyRules] = {}
    problems: list[Problem] = []
    warnings: list[Problem] = []
    for study, raw in content.items():
        compiling = _Compiling(file, study)
        fault = name_fault(study)
        if fault:
            compiling.refuse(fault)
        rules = _compile(compiling, raw)
        if rules is not None:
            studies[study] = rules
        problems += compiling.problems
        warnings += compiling.warnings
    nameless = {study: replace(rules, name="") for study, rules in studies.items()}
    return studies, problems + contradictions(nameless, file), warnings


def _compile(compiling: _Compiling, raw: object) -> StudyRules | None:
    if not isinstance(raw, Mapping):
        compiling.refuse(f"must be a table of keys, not {kind(raw)}")
        return None
    # The rules are checked one by one below, so that one fault does not hide the others.
    settings = {key: raw[key] for key in raw if key not in ("AnonymizeTag", "AnonymizeVR")}
    entry, problems = check(StudyEntry, settings, compiling.file, (compiling.study,))
    compiling.problems += problems
    if entry is not None:
        _check_settings(compiling, entry)
    by_tag, by_private_tag = _tag_rules(compiling, raw.get("AnonymizeTag", {}))
    by_vr = _vr_rules(compiling, raw.get("AnonymizeVR", {}))
    if entry is None:
        return None
    saved_private, saved_groups = _saved_private(compiling, entry)
    options = compile_options(entry.options, has_profile=entry.profile is not None)
    for index, message in options.faults:
        compiling.refuse(message, "Options", *([] if index is None else [index]))
    return StudyRules(
        name=compiling.study,
        profile=None if entry.profile is None else Profile(entry.profile),
        options=options.chosen,
        tags=by_tag,
        private_tags=by_private_tag,
        vrs=by_vr,
        removes_private=entry.remove_private_tags,
        saved_private=saved_private,
        saved_groups=saved_groups,
        random_seed=entry.random_seed,
        destinations=entry.destinations,
        writes_outgoing=entry.outgoing,
        is_compatible=entry.compatibility is not None,
        burned_in=BurnedIn(entry.burned_in),
        accepts_phoenix=entry.accept_phoenix,
        encrypts_for=_recipient(compiling, entry.encrypt_originals),
    )


def _check_settings(compiling: _Compiling, entry: StudyEntry) -> None:
    if entry.profile is None:
        compiling.warn(
            "null: elements that no rule lists are kept, identifying ones too", "Profile"
        )
    if not entry.remove_private_tags:
        compiling.warn("false: private elements that no rule lists are kept", "RemovePrivateTags")
    if entry.random_seed is not None:
        fault = salt_fault(entry.random_seed)
        if fault:
            compiling.refuse(fault, "RandomSeed")
    elif entry.compatibility is not None:
        compiling.refuse(
            "needs RandomSeed: the formulas of DCMAnonymize are not keyed", "Compatibility"
        )


def _recipient(compiling: _Compiling, file_name: str | None) -> Recipient | None:
    if file_name is None:
        return None
    # Brings in what reads certificates, which hardly any configuration needs.
    from dicomanon_node.config.recipients import (  # noqa: PLC0415  (slow, rarely needed)
        RecipientError,
        read_recipient,
    )

    try:
        recipient, warning = read_recipient(Path(compiling.file).parent, file_name)
    except RecipientError as error:
        compiling.refuse(str(error), "EncryptOriginals")
        return None
    if warning:
        compiling.warn(warning, "EncryptOriginals")
    return recipient


def _tag_rules(
    compiling: _Compiling, raw: object
) -> tuple[dict[int, RuleAction], dict[PrivateTag, RuleAction]]:
    by_tag: dict[int, RuleAction] = {}
    by_private_tag: dict[PrivateTag, RuleAction] = {}
    spelling: dict[int | PrivateTag, str] = {}
    for text, entry in _entries(compiling, "AnonymizeTag", raw):
        path = ("AnonymizeTag", text)
        try:
            tag = tags.parse(text)
        except tags.TagError as error:
            compiling.refuse(str(error), *path)
            continue
        first = spelling.setdefault(tag, text)
        if first != text:
            compiling.refuse(f"is the same element as {name(first)}", *path)
            continue
        if isinstance(tag, PrivateTag):
            vr = dictionary.private_vr_of(tag.creator, tag.group << 16 | tag.element)
            rule = _rule(compiling, entry, vr, None, *path)
            if rule is not None:
                by_private_tag[tag] = rule
        elif dictionary.is_private(tag):
            rule = _rule(compiling, entry, None, None, *path)
            if rule is not None:
                compiling.warn(_by_number(tag), *path)
                by_tag[tag] = rule
        else:
            multiplicity = tags.value_multiplicity(tag)
            rule = _rule(compiling, entry, dictionary.vr_of(tag), multiplicity, *path)
            if rule is not None:
                _check_standard(compiling, tag, rule, *path)
                by_tag[tag] = rule
    return by_tag, by_private_tag


def _by_number(tag: int) -> str:
    # PS3.5 7.8.1: which creator gets which block is decided in each data set.
    return (
        "is for whatever private element has this number, which differs from object to object: "
        f'better write ({tag >> 16:04X},"PRIVATE CREATOR",{tag & 0xFF:02X})'
    )


def _check_standard(compiling: _Compiling, tag: int, rule: RuleAction, *path: str) -> None:
    allowed, reason = _PROTECTED.get(tag, (None, ""))
    if allowed is not None and rule.kind not in allowed:
        words = " or ".join(sorted(allowed))
        compiling.refuse(f"{rule.kind} is not possible, only {words}: {reason}", *path)
    if tag >> 16 == _FILE_META_GROUP and rule.kind is not ActionKind.REGEN:
        compiling.warn("has no effect: File Meta Information is always made anew", *path)
    if rule.value is not None and not rule.value.isascii():
        compiling.warn(
            "is not ASCII: objects whose character set cannot hold the value are refused", *path
        )


def _vr_rules(compiling: _Compiling, raw: object) -> dict[str, RuleAction]:
    by_vr: dict[str, RuleAction] = {}
    for vr, entry in _entries(compiling, "AnonymizeVR", raw):
        path = ("AnonymizeVR", vr)
        if vr not in dictionary.VRS:
            nearest = suggest(vr, dictionary.VRS)
            compiling.refuse(f"{show(vr)} is no VR of DICOM (PS3.5 6.2){nearest}", *path)
            continue
        rule = _rule(compiling, entry, vr, None, *path)
        if rule is None:
            continue
        if vr == "UI" and rule.kind not in _IDENTITY:
            compiling.refuse(
                f"{rule.kind} of every UI is not possible, only keep or regen: objects cannot do "
                "without UIDs",
                *path,
            )
        by_vr[vr] = rule
    return by_vr


def _entries(compiling: _Compiling, key: str, raw: object) -> list[tuple[str, ActionEntry]]:
    """The well-formed entries of AnonymizeTag or AnonymizeVR."""
    if not isinstance(raw, Mapping):
        compiling.refuse(f"must be a table of keys, not {kind(raw)}", key)
        return []
    found = []
    for text, action in raw.items():
        if not text:
            compiling.warn("an entry without a tag is ignored", key, text)
            continue
        entry, problems = check(ActionEntry, action, compiling.file, (compiling.study, key, text))
        compiling.problems += problems
        if entry is not None:
            found.append((text, entry))
    return found


def _rule(
    compiling: _Compiling,
    entry: ActionEntry,
    vr: str | None,
    multiplicity: str | None,
    *path: str,
) -> RuleAction | None:
    try:
        return compile_action(entry, vr, multiplicity)
    except ActionError as error:
        compiling.refuse(str(error), *path, *([error.parameter] if error.parameter else []))
        return None


def _saved_private(
    compiling: _Compiling, entry: StudyEntry
) -> tuple[frozenset[PrivateTag], frozenset[int]]:
    by_creator: set[PrivateTag] = set()
    by_number: set[int] = set()
    for index, text in enumerate(entry.save_private_tags):
        path = ("SavePrivateTags", index)
        try:
            tag = tags.parse(text)
        except tags.TagError as error:
            compiling.refuse(str(error), *path)
            continue
        if isinstance(tag, PrivateTag):
            by_creator.add(tag)
        elif dictionary.is_private(tag):
            compiling.warn(_by_number(tag), *path)
            by_number.add(tag)
        else:
            compiling.refuse("is not a private element: list it in AnonymizeTag with keep", *path)
    return frozenset(by_creator), frozenset(by_number)
