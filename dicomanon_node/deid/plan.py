"""A study's rules and the standard's table, compiled: for each tag, what is done.

    a tag's rule > a VR's rule > the profile with its options > the floor for what
    the table does not list

A `Plan` decides; it does not touch an object. Decisions are cached by (tag, VR), so
that the hot path asks a dictionary. Each SOP class has a plan of its own: the Types of
its IOD choose among compound codes.
"""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass

from dicomanon_node.deid import dictionary, dummies
from dicomanon_node.deid.decisions import Change, Decision, Verb, from_code, from_rule, kept
from dicomanon_node.deid.encoding import element
from dicomanon_node.deid.floor import (
    CLASS_UID_TAGS,
    CONTENT_TAGS,
    IDENTIFYING_TAGS,
    IDENTIFYING_VRS,
    SPEAKING_TAGS,
    TEMPORAL_VRS,
    VERBATIM_TAGS,
)
from dicomanon_node.deid.identity import SOURCE_TAGS, Identity
from dicomanon_node.deid.iod import Types, types_of
from dicomanon_node.deid.kinds import Kind
from dicomanon_node.deid.labels import LABEL_TAGS
from dicomanon_node.deid.pseudonyms import Key, Pseudonyms
from dicomanon_node.deid.rules import (
    ActionKind,
    Option,
    PrivateTag,
    Profile,
    RuleAction,
    StudyRules,
)
from dicomanon_node.deid.table import SAFE_PRIVATE, TABLE, Code, Row

AVAILABLE_OPTIONS: frozenset[Option] = frozenset(
    {
        Option.RETAIN_UIDS,
        Option.RETAIN_DEVICE_IDENTITY,
        Option.RETAIN_INSTITUTION_IDENTITY,
        Option.RETAIN_PATIENT_CHARACTERISTICS,
        Option.RETAIN_LONGITUDINAL_FULL_DATES,
        Option.RETAIN_LONGITUDINAL_MODIFIED_DATES,
        Option.CLEAN_DESCRIPTORS,
        Option.RETAIN_SAFE_PRIVATE,
        Option.CLEAN_STRUCTURED_CONTENT,
        Option.CLEAN_GRAPHICS,
    }
)

_ENCAPSULATED_DOCUMENT_LENGTH = 0x00420015
# Type 1C in Encapsulated CDA (PS3.3 C.24.2): it may be a dummy, like its document, not absent.
_HL7_INSTANCE_IDENTIFIER = 0x0040E001

# Groups that do not belong into a data set (PS3.5 7.1, PS3.7 E.1, PS3.10 7.1).
_FOREIGN_GROUPS = frozenset({0x0000, 0x0002, 0x0004})
_LENGTH_TO_END = 0x00080001  # retired; as a group length, it counts what is no longer there
_SPECIFIC_CHARACTER_SET = 0x00080005

_MODIFIED = Option.RETAIN_LONGITUDINAL_MODIFIED_DATES
# Context Group Version and Local Version: whoever looks the date of a vocabulary up in
# PS3.16 and sees it shifted knows the patient's shift.
_PUBLISHED_DATES = frozenset({0x00080106, 0x00080107})


# Elements whose values must be looked at, whatever is done with them.
_SEEN_TAGS = SOURCE_TAGS | LABEL_TAGS | {_SPECIFIC_CHARACTER_SET}

DROPPED_PRIVATE = Decision(Verb.DROP, "Table E.1-1 X: private attributes")

Decisions = dict[tuple[int, str], Decision]
Shortcuts = dict[tuple[int, str], bytes]

# Shortcuts that are compared by identity: the element stays, byte for byte; or if its
# value is one of `Plan.checked`.
KEPT = b"kept"
CHECKED = b"checked"
_FREE_TEXT_VRS = frozenset({"LO", "LT", "SH", "ST", "UC", "UT"})


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Where the identifiers of an object had survived; the next one is likely to be the same.

    Attributes:
        identity: The object's identifiers (PHI).
        tags: Tags of top-level elements.
    """

    identity: Identity
    tags: frozenset[int]


class Plan:
    """What is done with each element under one study's rules. Thread-safe.

    Attributes:
        shortcuts: At the top level and nested, for Explicit and for Implicit VR, by (tag,
            VR): what an element becomes, of those that are done with by this alone; nothing
            need be known of their values. `KEPT`, b"" to drop it, or the new element where
            the old is not empty.
        drops_all_private: No private element is kept.
        is_guarded: What is kept is searched for identifiers; without the profile, kept
            means kept.
        constants: What the rules themselves set, which identifies nobody.
        keeps_full_dates: Dates are kept, also in text.
        checked: Values (PHI) of text that the table does not list in which there is nothing
            to clean. The objects of a series say the same over and over.
        suspicions: By Patient ID (PHI), where identifiers survived in the patient's last object.
        options_in_force: The options that decide over anything: of two that speak about the
            same attributes, one may say more.
        cleans_text: Identifiers have to be known before the first text is kept.

    Args:
        rules: The study's rules.
        key: The node's key.
        rules_digest: Digest of all rule files; written into what is de-identified.
    """

    def __init__(self, rules: StudyRules, key: Key, rules_digest: str = "") -> None:
        self.rules = rules
        self.key_id = key.key_id
        self.rules_digest = rules_digest
        self.pseudonyms = Pseudonyms(
            key, rules.random_seed or "", is_compatible=rules.is_compatible
        )
        self.drops_all_private = (
            rules.removes_private
            and Option.RETAIN_SAFE_PRIVATE not in rules.options
            and not rules.private_tags
            and not rules.saved_private
            and not rules.saved_groups
            and not any(dictionary.is_private(tag) for tag in rules.tags)
        )
        self.is_guarded = rules.profile is not None
        self.constants = frozenset(
            (Kind.PLACE, rule.value.encode(), b"ISO_IR 192")
            for rule in (*rules.tags.values(), *rules.private_tags.values(), *rules.vrs.values())
            if rule.kind is ActionKind.VALUE and rule.value
        )
        self.cleans_text = Option.CLEAN_DESCRIPTORS in rules.options
        self.keeps_full_dates = Option.RETAIN_LONGITUDINAL_FULL_DATES in rules.options
        self.checked: set[bytes] = set()
        self.suspicions: dict[bytes, Suspicion] = {}
        self.options_in_force = _in_force(rules.options)
        self._by_class: dict[str, Plan] = {}
        self._decide_for(None)

    def _decide_for(self, types: Types | None) -> None:
        self._types = types
        self.shortcuts: tuple[tuple[Shortcuts, Shortcuts], tuple[Shortcuts, Shortcuts]] = (
            ({}, {}),
            ({}, {}),
        )
        self._decisions: tuple[Decisions, Decisions] = {}, {}

    def for_sop_class(self, sop_class_uid: str) -> "Plan":
        """The same rules for objects of one SOP class; of an unknown one, this plan itself."""
        plan = self._by_class.get(sop_class_uid)
        if plan is None:
            types = types_of(sop_class_uid)
            if types is None:
                return self
            plan = copy(self)
            plan._decide_for(types)  # noqa: SLF001  (its own class)
            self._by_class[sop_class_uid] = plan
        return plan

    def decide(self, tag: int, vr: str, *, nested: bool = False) -> Decision:
        """What is done with a standard element.

        Args:
            tag: Tag number, of an even group.
            vr: Its VR; where the object says UN and the dictionary knows, the dictionary's.
            nested: Whether it is in an item of a sequence.
        """
        decision = self._decisions[nested].get((tag, vr))
        if decision is None:
            decision = self._decide(tag, vr, nested=nested)
            # Bounded: only tags the dictionary knows are remembered, the rest is dropped anyway.
            if dictionary.vr_of(tag) is not None:
                self._decisions[nested][tag, vr] = decision
                for implicit in (False, True):
                    shortcut = _shortcut(decision, tag, vr, implicit=implicit)
                    if shortcut is not None:
                        self.shortcuts[nested][implicit][tag, vr] = shortcut
        return decision

    def decide_private(self, private: PrivateTag, tag: int, vr: str) -> Decision:
        """What is done with a private element whose creator is known to the block.

        A study that keeps private elements keeps their numbers and words; names, dates
        and UIDs in them are handled like those of elements the table does not list.

        Args:
            private: The element by its creator.
            tag: Its tag number.
            vr: Its VR, from the object or from the dictionary of private elements.
        """
        rules = self.rules
        if rule := rules.private_tags.get(private) or rules.tags.get(tag):
            return from_rule(rule, vr, "private tag rule")
        source = "private, kept by the study"
        is_saved = private in rules.saved_private or tag in rules.saved_groups
        if rules.removes_private and not is_saved:
            if Option.RETAIN_SAFE_PRIVATE not in rules.options or private not in SAFE_PRIVATE:
                return DROPPED_PRIVATE
            source = f"Table E.3.10-1 by {Option.RETAIN_SAFE_PRIVATE}"
        rule = rules.vrs.get(vr)
        if rule is not None:
            return from_rule(rule, vr, "VR rule")
        if rules.profile is Profile.BASIC and vr == "TM":
            return Decision(Verb.CHANGE, source, Change.TIME_OF_DAY)
        if rules.profile is Profile.BASIC and vr in IDENTIFYING_VRS:
            return self._floor(tag, vr)
        return self._unlisted(vr, source)

    def added_values(self) -> Iterator[tuple[int, RuleAction]]:
        """Top-level elements that are set even where they are absent (`value`)."""
        for tag, rule in self.rules.tags.items():
            # A private element is nobody's without its creator.
            is_foreign = tag >> 16 in _FOREIGN_GROUPS or dictionary.is_private(tag)
            if rule.kind is ActionKind.VALUE and rule.value and not is_foreign:
                yield tag, rule

    def uncovered(self) -> list[Row]:
        """Rows of Table E.1-1 that no rule of the study covers (none with a profile)."""
        if self.rules.profile is not None:
            return []
        return [
            row
            for row in TABLE.values()
            if row.tag not in self.rules.tags and row.vr not in self.rules.vrs
        ]

    def _decide(self, tag: int, vr: str, *, nested: bool) -> Decision:
        known_vr = dictionary.vr_of(tag)
        group = tag >> 16
        if group in _FOREIGN_GROUPS:
            return Decision(Verb.DROP, "not part of a data set")
        if not tag & 0xFFFF or tag == _LENGTH_TO_END:
            return Decision(Verb.DROP, "lengths would be wrong")
        base = _base_tag(tag)
        rule = self.rules.tags.get(tag) or self.rules.tags.get(base)
        if rule is not None:
            return from_rule(rule, vr, "tag rule")
        # A VR rule holds for what an element is and for what it says it is.
        rule = self.rules.vrs.get(vr) or self.rules.vrs.get(known_vr or "")
        if rule is not None and tag != _SPECIFIC_CHARACTER_SET:
            return from_rule(rule, vr, "VR rule")
        if self.rules.profile is Profile.BASIC:
            if known_vr is None:
                return Decision(Verb.DROP, "not in PS3.6")
            if known_vr == "SQ" and vr not in ("SQ", "UN"):
                return Decision(Verb.DROP, "a sequence that cannot be walked")
            row = TABLE.get(base) or _group_row(tag)
            if row is not None:
                return self._from_row(row, vr, nested=nested)
            if known_vr != vr and known_vr in IDENTIFYING_VRS:
                return Decision(Verb.DROP, "not of its VR")
            return self._floor(tag, vr)
        return kept(vr, "not listed, no profile")

    def _from_row(self, row: Row, vr: str, *, nested: bool) -> Decision:
        code, option = row.code(self.rules.options)
        source = f"Table E.1-1 {code}" + (f" by {option}" if option else "")
        if code is Code.K:
            if vr == "AS":
                return Decision(Verb.CHANGE, f"{source}, at most 90 years", Change.CAP_AGE)
            return kept(vr, source)
        if code is Code.C and option is not None:
            return self._cleaned(row, vr, option, source)
        required = None
        if "/" in code and self._types is not None:
            required = self._types.of(row.tag, nested=nested)
        return from_code(row, code, vr, source, required)

    def _cleaned(self, row: Row, vr: str, option: Option, source: str) -> Decision:
        if option is _MODIFIED:
            if vr == "TM" or row.keyword == "TimezoneOffsetFromUTC":
                # Whole days are shifted: the time of day and its zone stay true.
                return Decision(Verb.CHANGE, source, Change.TIME_OF_DAY)
            if vr == "DT" and row.tag in _PUBLISHED_DATES:
                return Decision(Verb.CHANGE, source, Change.SHIFT_VERSION)
            if vr in ("DA", "DT"):
                return Decision(Verb.CHANGE, source, Change.SHIFT_DATE)
            return from_code(row, row.basic, vr, source)
        if dictionary.is_overlay(row.tag) or dictionary.is_curve(row.tag):
            # Bitmaps may be writing: cleaned of what may identify, nothing is left of a plane.
            return Decision(Verb.DROP, source)
        if vr == "SQ":
            if row.tag in CONTENT_TAGS:
                return Decision(Verb.CHANGE, source, Change.CLEAN_CONTENT)
            return Decision(Verb.WALK, source)
        if vr in dictionary.CHARSET_VRS and vr != "PN":
            return Decision(Verb.CHANGE, source, Change.CLEAN_TEXT)
        # An AE title, a code string or a blob has no words to clean: what identifies goes.
        return from_code(row, row.basic, vr, source)

    def _floor(self, tag: int, vr: str) -> Decision:
        if vr in IDENTIFYING_VRS:
            return self._floor_identifying(tag, vr)
        if tag in SOURCE_TAGS or tag in IDENTIFYING_TAGS:
            source = "identifies, though the table does not list it"
            if tag == _HL7_INSTANCE_IDENTIFIER:
                return Decision(Verb.CHANGE, source, Change.DUMMY)
            return Decision(Verb.DROP, source)
        if tag in SPEAKING_TAGS:
            return Decision(Verb.CHANGE, "free text", Change.CLEAN_TEXT)
        if tag == _ENCAPSULATED_DOCUMENT_LENGTH:
            return Decision(Verb.CHANGE, "follows the document", Change.DOCUMENT_LENGTH)
        if tag in CONTENT_TAGS and Option.CLEAN_STRUCTURED_CONTENT in self.rules.options:
            source = f"content items by {Option.CLEAN_STRUCTURED_CONTENT}"
            return Decision(Verb.CHANGE, source, Change.CLEAN_CONTENT)
        source = "not listed in Table E.1-1"
        if tag in VERBATIM_TAGS:
            return kept(vr, source)
        return self._unlisted(vr, source)

    def _unlisted(self, vr: str, source: str) -> Decision:
        # Whoever wants all of them as they are says so in a rule of the study.
        if self.rules.profile is Profile.BASIC:
            if vr == "AS":
                return Decision(Verb.CHANGE, f"{source}, at most 90 years", Change.CAP_AGE)
            if vr in _FREE_TEXT_VRS:
                return Decision(Verb.CHANGE, source, Change.CLEAN_UNLISTED)
        return kept(vr, source)

    def decide_unlisted(self, vr: str) -> Decision:
        """What is done with a value of which nothing but its VR is known."""
        if vr in IDENTIFYING_VRS:
            return self._floor(0, vr)
        return self._unlisted(vr, "its VR")

    def _floor_identifying(self, tag: int, vr: str) -> Decision:
        source = f"floor for {vr}"
        if vr == "UI":
            if tag in CLASS_UID_TAGS:
                return Decision(Verb.CHANGE, source, Change.CLASS_UID)
            if Option.RETAIN_UIDS in self.rules.options:
                return Decision(Verb.KEEP, source)
            return Decision(Verb.CHANGE, source, Change.UID)
        if vr == "PN":
            return Decision(Verb.CHANGE, source, Change.EMPTY)
        if vr in TEMPORAL_VRS:
            return self._floor_temporal(vr, source)
        return Decision(Verb.DROP, source)

    def _floor_temporal(self, vr: str, source: str) -> Decision:
        if Option.RETAIN_LONGITUDINAL_FULL_DATES in self.rules.options:
            return kept(vr, source)
        if _MODIFIED in self.rules.options:
            if vr == "TM":
                return Decision(Verb.CHANGE, source, Change.TIME_OF_DAY)
            return Decision(Verb.CHANGE, source, Change.SHIFT_DATE)
        return Decision(Verb.CHANGE, source, Change.EMPTY)


def _in_force(options: frozenset[Option]) -> tuple[Option, ...]:
    deciding = {row.code(options)[1] for row in TABLE.values()} | {Option.RETAIN_SAFE_PRIVATE}
    return tuple(option for option in Option if option in options & deciding)


def _base_tag(tag: int) -> int:
    """Repeating groups are ruled by their first group (PS3.5 7.6)."""
    if dictionary.is_overlay(tag):
        return 0x60000000 | tag & 0xFFFF
    return tag


def _group_row(tag: int) -> Row | None:
    if dictionary.is_curve(tag):
        return TABLE[0x50000000]
    if dictionary.is_overlay(tag):
        # Without its data an overlay plane is not one: the whole group goes with it.
        return TABLE[0x60003000]
    return None


def _shortcut(decision: Decision, tag: int, vr: str, *, implicit: bool) -> bytes | None:
    # Names and numbers are searched for afterwards, also in sequences that go.
    if vr in ("PN", "SQ", "UI") or tag in _SEEN_TAGS:
        return None
    if decision.verb is Verb.KEEP:
        return KEPT
    if decision.verb is Verb.DROP:
        return b""
    if decision.change is Change.CLEAN_UNLISTED:
        return CHECKED
    if decision.change is Change.EMPTY:
        return element(tag, vr, b"", implicit=implicit)
    if decision.change is Change.DUMMY:
        return element(tag, vr, dummies.dummy(vr), implicit=implicit)
    return None
