"""Did one output become of its original what the rules demand, and nothing else?

The rules are asked (`Plan.decide`); the engine is not. Both files are read by pydicom,
every element of both is judged, and each judgement goes to a `Verdicts`. Judges one
pair; what holds for a whole set is in `setwide`, the judging of values in `checks`.
"""

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, Protocol

from dicomanon_node.deid import dictionary
from dicomanon_node.deid.actions import HASHABLE_VRS
from dicomanon_node.deid.decisions import Change, Decision, Verb
from dicomanon_node.deid.labels import LABEL_TAGS
from dicomanon_node.deid.plan import Plan
from dicomanon_node.deid.rules import PrivateTag, RuleAction
from dicomanon_node.review import additions, checks, contents, makers
from dicomanon_node.review.checks import CHECKS, Pair, Subject
from dicomanon_node.review.contents import Overrides
from dicomanon_node.review.excuses import Excuses
from dicomanon_node.review.memory import CLEANING, Memory
from dicomanon_node.review.reading import Element, Instance, Item, Steps
from dicomanon_node.review.residue import Residue
from dicomanon_node.review.setwide import SetWide

_PATIENT_ID: Final = 0x00100020
_SOP_CLASS_UID: Final = 0x00080016
_STUDY_INSTANCE_UID: Final = 0x0020000D
_VALUE_TYPE: Final = 0x0040A040
_REFERENCED_STUDY_SEQUENCE: Final = 0x00081110
_REFERENCED_IMAGE_SEQUENCE: Final = 0x00081140
# Content items that refer or hold the tree together stay (PS3.3 C.17.3.2.1).
_REFERRING: Final = frozenset({b"CONTAINER", b"IMAGE", b"COMPOSITE", b"WAVEFORM"})
_GRAPHICS_KEPT: Final = frozenset({0x00081140, 0x00700002, 0x00700009})
_CONTENT_SEQUENCE: Final = 0x0040A730
_ENCRYPTED_ATTRIBUTES: Final = 0x04000500
_GONE: Final = "is to stay and is gone"
_MAKERS_FORMAT: Final = "cleaned within a maker's own format"
_NONE: Final[Overrides] = MappingProxyType({})
_NO_CREATOR: Final = Decision(Verb.DROP, "Table E.1-1 X: private attributes")
_PIXELS: Final = Decision(Verb.KEEP, "pixel data stay as they are")
_NOT_ASKED_FOR: Final = "added by nobody's rule"


class Verdicts(Protocol):
    """Takes each judgement of one pair."""

    def tell(self, path: Steps, source: str, demand: str, reason: str) -> None:
        """One judgement.

        Args:
            path: The element; () is the file itself.
            source: The rule that decided, in words.
            demand: What it demands, in words.
            reason: What is wrong, in words without values; "" if nothing is.
        """

    def not_judged(self, path: Steps, source: str, demand: str) -> None:
        """A demand that no check is known for."""


@dataclass(frozen=True, slots=True)
class _Place:
    # Where the judging is: steps to the data set, the hash rule of a sequence around it,
    # decisions that come before the plan's in this data set.
    path: Steps = ()
    item_hash: RuleAction | None = None
    overrides: Overrides = field(default_factory=lambda: _NONE)

    def at(self, element: Element, number: int | None = None) -> Steps:
        return (*self.path, (element.tag, element.creator, number))


class Verification:
    """Judges one pair.

    Args:
        original: The original (PHI).
        output: What became of it.
        plan: The rules of the original's study.
        verdicts: Where judgements go.
        whole: What is remembered of the whole set; None if this pair is only tried.
    """

    def __init__(
        self,
        original: Instance,
        output: Instance,
        plan: Plan,
        verdicts: Verdicts,
        whole: SetWide | None = None,
    ) -> None:
        self._original, self._output = original, output
        self._plan = plan.for_sop_class(original.dataset.ascii(_SOP_CLASS_UID))
        self._verdicts = verdicts
        self._memory = Memory(self._plan, whole)
        self._excuses = Excuses(original.dataset, self._plan)
        self.subject = subject_of(original, plan)

    def run(self) -> Residue:
        """Judge everything but the raw bytes; returns what must not be found in them."""
        self._dataset(self._original.dataset, self._output.dataset, _Place())
        for label in additions.labels(
            self._original.dataset,
            self._output.dataset,
            self._plan,
            keeps_dates=self._memory.keeps_dates,
            shifts_dates=self._memory.shifts_dates,
        ):
            self._tell((), *label)
        for fault in additions.file_faults(self._original, self._output):
            self._tell((), *fault)
        return self._memory.residue

    def _tell(self, path: Steps, source: str, demand: str, reason: str) -> None:
        self._verdicts.tell(path, source, demand, reason)

    def _dataset(self, old: Item, new: Item, place: _Place) -> None:
        for key, element in old.elements.items():
            if place.path == () and element.tag in LABEL_TAGS:
                self._label(element, new.elements.get(key), old, place)
                continue
            self._element(element, new.elements.get(key), (old, new), place)
        for key, element in new.elements.items():
            if key not in old.elements:
                self._added(element, new, place)

    def _label(self, old: Element, new: Element | None, item: Item, place: _Place) -> None:
        # What labels said before, they still say; the rest is judged by `additions`.
        if old.items is None:
            self._memory.residue.excuse(old, item.character_set)
            return
        news = (new.items if new is not None else None) or ()
        for number, (before, after) in enumerate(zip(old.items, news, strict=False)):
            self._dataset(before, after, replace(place, path=place.at(old, number)))

    def _element(
        self, old: Element, new: Element | None, sets: tuple[Item, Item], place: _Place
    ) -> None:
        if not place.path and old.tag in dictionary.PIXEL_DATA_TAGS:
            self._pixels(old, new, place)
            return
        if old.is_creator:
            self._creator(old, new, sets, place)
            return
        decision = self._decision(old, place)
        self._memory.remember(old, sets[0], decision)
        if old.items is not None:
            self._sequence(old, new, decision, place)
            return
        path = place.at(old)
        if decision.verb is Verb.DROP:
            self._tell(path, decision.source, _demand(decision), _absent(new))
        elif new is None:
            reason = self._excused_absence(old, decision, sets[0])
            self._tell(path, decision.source, _demand(decision), reason)
        else:
            pair = Pair(old, new, sets[0].character_set, sets[1].character_set)
            self._value(pair, decision, path)

    def _value(self, pair: Pair, decision: Decision, path: Steps) -> None:
        demand = _demand(decision)
        check = CHECKS.get(decision.change)
        is_cleaned = decision.verb is not Verb.CHANGE or decision.change in CLEANING
        if is_cleaned and self._plan.is_guarded and self._is_makers(pair):
            self._verdicts.not_judged(path, decision.source, _MAKERS_FORMAT)
        elif decision.verb is not Verb.CHANGE:
            self._memory.note_date(pair)
            self._tell(path, decision.source, demand, self._kept(pair))
        elif check is None:
            self._verdicts.not_judged(path, decision.source, demand)
        else:
            reason = check(pair, decision, self.subject)
            if decision.change in CLEANING and not pair.old.has_value_of(pair.new):
                reason = reason or self._excuses.judge(pair, generic=True)
            self._tell(path, decision.source, demand, reason)
            self._memory.note_change(pair, decision, self.subject)

    def _is_makers(self, pair: Pair) -> bool:
        # A maker's text from which words went that identify is judged like any other.
        if not makers.is_changed_within(pair.old, pair.new):
            return False
        is_text = pair.old.vr in dictionary.CHARSET_VRS
        return not is_text or bool(checks.cleaned(pair) or self._excuses.judge(pair, generic=True))

    def _decision(self, element: Element, place: _Place) -> Decision:
        if element.is_private:
            if not element.creator:
                return _NO_CREATOR
            private = PrivateTag(element.tag >> 16, element.creator, element.tag & 0xFF)
            decision = self._plan.decide_private(private, element.tag, element.vr)
        else:
            decision = self._plan.decide(element.tag, element.vr, nested=bool(place.path))
        if place.item_hash and decision.verb is Verb.KEEP and element.vr in HASHABLE_VRS:
            decision = Decision(Verb.CHANGE, decision.source, Change.HASH, place.item_hash)
        return decision if element.is_private else place.overrides.get(element.tag, decision)

    # What stays, and what may have been cleaned out of it.

    def _kept(self, pair: Pair) -> str:
        reason = checks.kept(pair)
        if reason and self._plan.is_guarded and pair.new.vr in dictionary.TEXT_VRS:
            return self._excuses.judge(pair, generic=pair.old.is_private) or checks.cleaned(pair)
        return reason

    def _excused_absence(self, old: Element, decision: Decision, item: Item) -> str:
        if decision.change is Change.CLASS_UID:
            uids = checks.uids(old)
            is_class = checks.are_well_formed(uids) and not any(map(self._excuses.holds_uid, uids))
            return _GONE if is_class else ""  # what is no class goes
        is_cleaned = decision.verb is not Verb.CHANGE or decision.change in CLEANING
        if is_cleaned and self._plan.is_guarded:
            # Of a text there is always something left.
            is_text = old.vr in dictionary.TEXT_VRS
            had_identity = not is_text and self._excuses.hold(old, item.character_set)
            return "" if had_identity or makers.is_hopeless(old) else _GONE
        return _GONE

    def _creator(
        self, old: Element, new: Element | None, sets: tuple[Item, Item], place: _Place
    ) -> None:
        # A creator goes with the last element of its block; without it they are nobody's.
        if new is not None:
            pair = Pair(old, new, sets[0].character_set, sets[1].character_set)
            self._tell(place.at(old), "private creator", "kept with its block", checks.kept(pair))

    def _pixels(self, old: Element, new: Element | None, place: _Place) -> None:
        reason = _GONE if new is None else checks.kept(Pair(old, new, b"", b""))
        self._tell(place.at(old), _PIXELS.source, "kept", reason)

    # Sequences.

    def _sequence(
        self, old: Element, new: Element | None, decision: Decision, place: _Place
    ) -> None:
        path, demand = place.at(old), _demand(decision)
        items = old.items or ()
        if decision.verb is Verb.DROP:
            self._memory.forget(items)
            self._tell(path, decision.source, demand, _absent(new))
            return
        if decision.change is Change.EMPTY:
            self._memory.forget(items)
            goes = old.tag == _REFERENCED_STUDY_SEQUENCE and not place.path
            wanted = new is None if goes else new is not None and not new.length
            self._tell(path, decision.source, demand, "" if wanted else "is not empty")
            return
        if new is None or new.items is None:
            self._tell(path, decision.source, demand, _GONE)
            return
        if decision.verb is Verb.WALK or decision.change is Change.HASH_ITEMS:
            rule = decision.rule if decision.change is Change.HASH_ITEMS else place.item_hash
            self._walk(old, new, decision, replace(place, item_hash=rule))
        elif decision.change is Change.DUMMY_CODE:
            self._memory.forget(items)
            reason = "" if len(new.items) == 1 else "is to have one dummy item"
            self._tell(path, decision.source, demand, reason or self._no_words_left(old, new))
        elif decision.change is Change.REDUCE_CONTENT:
            self._content(old, new, decision, place)
        elif decision.change is Change.CLEAN_CONTENT:
            self._clean_content(old, new, decision, place)
        elif decision.change is Change.CAP_MEASURED_AGE:
            self._walk(old, new, decision, place)
        elif decision.change is Change.REDUCE_GRAPHICS:
            self._graphics(old, new, decision, place)
        else:
            self._memory.forget(items)
            self._verdicts.not_judged(path, decision.source, demand)

    def _walk(self, old: Element, new: Element, decision: Decision, place: _Place) -> None:
        olds, news = old.items or (), new.items or ()
        reason = "" if len(olds) == len(news) else "has another number of items"
        self._tell(place.at(old), decision.source, _demand(decision), reason)
        is_age = decision.change is Change.CAP_MEASURED_AGE
        for number, (before, after) in enumerate(zip(olds, news, strict=False)):
            overrides = contents.capped_years(before) if is_age else {}
            inner = replace(place, path=place.at(old, number), overrides=overrides)
            self._dataset(before, after, inner)

    def _clean_content(self, old: Element, new: Element, decision: Decision, place: _Place) -> None:
        stays: list[tuple[int, Item, contents.Overrides]] = []
        gone: list[int] = []
        olds, news = old.items or (), new.items or ()
        for number, item in enumerate(olds):
            overrides = contents.demanded(item, self._plan)
            if overrides is None:
                gone.append(number)
                self._memory.forget((item,))
            else:
                stays.append((number, item, overrides))
        keeps_places = contents.keeps_places(self._original.dataset)
        wanted = len(olds) if keeps_places else len(stays)
        dummies = gone if keeps_places else []
        if not wanted and old.tag == _CONTENT_SEQUENCE:
            wanted, dummies = 1, [0]
        reason = "" if len(news) == wanted else "has another number of items"
        if not reason and not all(contents.is_dummy(news[number]) for number in dummies):
            reason = "is to be a dummy item and is not"
        self._tell(place.at(old), decision.source, _demand(decision), reason)
        if reason:
            return
        for place_of, (number, before, overrides) in enumerate(stays):
            after = news[number if keeps_places else place_of]
            inner = replace(place, path=place.at(old, number), overrides=overrides)
            self._dataset(before, after, inner)

    def _content(self, old: Element, new: Element, decision: Decision, place: _Place) -> None:
        stays = []
        for number, item in enumerate(old.items or ()):
            kind = item.get(_VALUE_TYPE)
            if kind is not None and kind.value.strip(b" \0") in _REFERRING:
                stays.append((number, item))
            else:
                self._memory.forget((item,))
        news = new.items or ()
        reason = "" if len(news) == max(len(stays), 1) else "has another number of items"
        if not stays and not reason and not contents.is_dummy(news[0]):
            reason = "is to be a dummy item and is not"
        self._tell(place.at(old), decision.source, _demand(decision), reason)
        for (number, before), after in zip(stays, news, strict=False):
            self._dataset(
                before, after, replace(place, path=place.at(old, number), overrides=_NONE)
            )

    def _graphics(self, old: Element, new: Element, decision: Decision, place: _Place) -> None:
        olds, news = old.items or (), new.items or ()
        reason = "" if len(olds) == len(news) else "has another number of items"
        for number, (before, after) in enumerate(zip(olds, news, strict=False)):
            if any(element.tag not in _GRAPHICS_KEPT for element in after.elements.values()):
                reason = reason or "has more than references and a dummy"
            inner = replace(place, path=place.at(old, number), overrides=_NONE)
            for element in before.elements.values():
                if element.tag in (_REFERENCED_IMAGE_SEQUENCE, 0x00700002):
                    self._element(element, after.elements.get(element.key), (before, after), inner)
                else:
                    self._memory.forget((Item({element.key: element}, before.character_set),))
        self._tell(place.at(old), decision.source, _demand(decision), reason)

    def _no_words_left(self, old: Element, new: Element) -> str:
        olds, news = (
            {
                word
                for item in each.items or ()
                for _, leaf, _ in item.leaves()
                if leaf.tag == 0x00080104  # noqa: PLR2004  (Code Meaning)
                for word in checks.words(leaf.value.decode("latin-1"))
            }
            for each in (old, new)
        )
        return "words of the original are left" if olds & (news - {"comment"}) else ""

    # What only the output has.

    def _added(self, new: Element, item: Item, place: _Place) -> None:
        top = not place.path
        if top and new.tag in LABEL_TAGS:
            return
        reason = _NOT_ASKED_FOR
        decision = Decision(Verb.KEEP, "not in the original")
        if top and not new.is_private:
            wanted = dict(self._plan.added_values())
            decided = self._plan.decide(new.tag, new.vr)
            old = Element(new.tag, new.vr, "", b"", 0)
            pair = Pair(old, new, item.character_set, item.character_set)
            is_patient = new.tag == _PATIENT_ID and decided.change is Change.PATIENT
            if new.tag == _ENCRYPTED_ATTRIBUTES and self._plan.rules.encrypts_for is not None:
                reason = "" if len(new.items or ()) == 1 else "is to have one item"
            elif new.tag in wanted or is_patient:
                decision = decided
                check = CHECKS[decided.change]
                reason = check(pair, decided, self.subject)
        self._tell(place.at(new), decision.source, "added", reason)


def subject_of(original: Instance, plan: Plan) -> Subject:
    """Whose object it is: the patient's, or without a number the study's."""
    found = original.dataset.get(_PATIENT_ID)
    own_id = found.value.strip(b" \0") if found is not None else b""
    study = original.dataset.ascii(_STUDY_INSTANCE_UID).encode()
    return Subject(own_id, own_id or b"study:" + study, plan.pseudonyms)


def _absent(new: Element | None) -> str:
    return "" if new is None else "is to be removed and is there"


def _demand(decision: Decision) -> str:
    match decision.verb:
        case Verb.DROP:
            return "removed"
        case Verb.CHANGE:
            return decision.change.value if decision.change is not None else "changed"
        case Verb.WALK:
            return "kept, items looked into"
        case _:
            return "kept"
