"""Makes the checks of one planted file from its elements, its plants and a scenario.

All that was planted is checked; of what the vendor wrote, a seeded sample, so that an
object with thousands of elements does not outweigh the others.
"""

import hashlib
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from pydicom.dataset import Dataset

from benchmarks.deid import scenarios as s
from benchmarks.deid.answer_key import Action, Answers, Check
from benchmarks.deid.expectation import Expectation, Fate, is_standard_uid
from benchmarks.deid.identity import CATEGORIES, Kind, Token, freed
from benchmarks.deid.paths import BINARY_VRS, CHARSET_VRS, Node, label, walk
from benchmarks.deid.phrases import WORDS
from benchmarks.deid.planting import Planted
from benchmarks.deid.scenarios import Scenario
from benchmarks.deid.spots import Plant
from benchmarks.deid.standard import Standard

# How many of the vendor's own elements are checked in an object.
_MAX_KEPT, _MAX_REMOVED, _MAX_UIDS, _MAX_DATES = 120, 40, 60, 40
_MIN_REMOVED_CHARACTERS = 4  # shorter values are found in any dummy
_MAX_VALUE_CHARACTERS = 256

# Vendors' values that say who or where, and fates whose checks ask for words.
_IDENTIFIER_VRS = frozenset({"AE", "LO", "PN", "SH"})
_TEXTUAL = frozenset({Fate.KEPT, Fate.CLEANED})

_DATED = re.compile(r"(?<!\d)(19|20)\d\d[-./]?[01]\d[-./]?[0-3]\d(?!\d)")

_CODE_TAGS = frozenset({0x00080100, 0x00080102, 0x00080104})
_PIXEL_DATA = 0x7FE00010
_BURNED_IN = 0x00280301
_MAIN_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")


class KeyMaker:
    """Makes answer keys for a scenario.

    Args:
        standard: The tables.
        scenario: What is asked of the de-identifier.
        seed: Of the sample.
    """

    def __init__(self, standard: Standard, scenario: Scenario, seed: int) -> None:
        self._standard = standard
        self._scenario = scenario
        self._expectation = Expectation(standard, scenario)
        self._freed = freed(scenario.options)
        self._seed = seed

    def answers(self, planted: Planted, dataset: Dataset) -> Answers:
        """The checks of one planted file.

        Args:
            planted: What was planted.
            dataset: The planted file, read back.
        """
        nodes = list(walk(dataset, self._standard))
        digest = pixel_digest(dataset)
        is_refused = self._scenario.refuses_burned_in and _says_burned_in(dataset)
        elements = () if is_refused else self._element_checks(planted, nodes)
        checks = [
            replace(check, value=digest, action_text=digest)
            if check.action is Action.PIXELS_RETAINED
            else check
            for check in elements
        ]
        checks += _pixel_checks(planted, dataset, is_refused=is_refused)
        checks += self._byte_checks(planted, dataset)
        return Answers(
            group=planted.source.split("/", 1)[0],
            modality=str(dataset.get("Modality", "")),
            sop_class_uid=str(dataset.SOPClassUID),
            patient_id=str(dataset.PatientID),
            study_uid=str(dataset.StudyInstanceUID),
            series_uid=str(dataset.SeriesInstanceUID),
            sop_instance_uid=str(dataset.SOPInstanceUID),
            digest=digest,
            number=planted.number,
            source=planted.source,
            checks=tuple(checks),
        )

    def _element_checks(self, planted: Planted, nodes: Sequence[Node]) -> Iterator[Check]:
        fates: dict[str, Fate] = {}
        for node in nodes:
            is_reached = all(fates.get(parent) is Fate.WALKED for parent in node.parents)
            fates[node.path] = self._expectation.fate(node) if is_reached else Fate.OPEN
        repeated = self._repeated(planted, nodes, fates)
        samples: dict[Fate, list[list[Check]]] = {}
        for node in nodes:
            fate = fates[node.path]
            plant = planted.plants.get(node.path)
            if plant is not None:
                yield from self._planted(node, plant, fate)
            elif fate not in _TEXTUAL or repeated is None or not repeated.search(node.text):
                made = list(_unplanted(node, fate, self._standard))
                if made:
                    samples.setdefault(fate, []).append(made)
        rng = random.Random(f"{self._seed} {planted.number}")
        for fate, found in samples.items():
            limit = _LIMITS.get(fate, _MAX_KEPT)
            chosen = rng.sample(found, limit) if len(found) > limit else found
            yield from chain.from_iterable(chosen)

    def _repeated(
        self, planted: Planted, nodes: Iterable[Node], fates: Mapping[str, Fate]
    ) -> re.Pattern[str] | None:
        # Institutions, people and numbers of the vendor file itself, which have to go. Where
        # a maker's name or a description repeats one, it may go there, too.
        found = {
            node.text
            for node in nodes
            if (
                fates[node.path] is Fate.REMOVED
                or (fates[node.path] is Fate.OPEN and node.vr == "AE")
            )
            and node.path not in planted.plants
            and node.vr in _IDENTIFIER_VRS
            and len(node.text) >= _MIN_REMOVED_CHARACTERS
            and self._is_identifier(node)
        }
        if not found:
            return None
        words = "|".join(re.escape(text) for text in sorted(found))
        return re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)

    def _is_identifier(self, node: Node) -> bool:
        row = None if node.is_private else self._standard.row(node.tag)
        return row is not None and s.CLEAN_DESCRIPTORS not in row.options

    def _planted(self, node: Node, plant: Plant, fate: Fate) -> Iterator[Check]:
        if plant.concept is not None:
            fate = self._concept_fate(plant, node)
        removed = [token for token in plant.removes if token.kind not in self._freed]
        for token in removed:
            yield _check(node, Action.TEXT_REMOVED, token.text, CATEGORIES[token.kind], plant.site)
        if plant.may_go:
            return
        if fate in (Fate.KEPT, Fate.CLEANED):
            # What may stay under an option stays in the attributes that the option names;
            # of other texts only the words around it have to.
            is_named = not node.is_private and self._standard.row(node.tag) is not None
            is_whole = not removed and (is_named or not plant.removes)
            yield from self._retained(node, plant, fate, is_whole=is_whole)
        elif fate is Fate.REMOVED and not plant.removes and node.vr != "SQ":
            yield _check(node, Action.TEXT_REMOVED, node.text, "DICOM-PS3.15-X", plant.site)
        else:
            yield from _by_fate(node, fate, plant.site)
        if node.vr == "AS" and fate is Fate.OPEN and s.RETAIN_CHARACTERISTICS in self._options:
            yield _check(node, Action.TEXT_REMOVED, node.text, "HIPAA-C", "age over 89")
            yield _check(node, Action.TEXT_NOTNULL, "", "DICOM-PS3.15-K", "age over 89")

    @property
    def _options(self) -> frozenset[str]:
        return self._scenario.options

    def _retained(self, node: Node, plant: Plant, fate: Fate, *, is_whole: bool) -> Iterator[Check]:
        category = "TCIA-DESC" if fate is Fate.CLEANED else "TCIA-REV"
        if node.is_private:
            category = "TCIA-PRIV"
        if node.vr in BINARY_VRS:
            if plant.is_structured:
                for word in plant.retains:
                    yield _check(node, Action.TEXT_RETAINED, word, category, plant.site)
            elif is_whole and not plant.removes:
                yield _check(node, Action.TAG_RETAINED, "", category, plant.site)
        elif plant.retains and fate is Fate.CLEANED:
            words = " ".join(plant.retains)
            yield _check(node, Action.TEXT_RETAINED, words, category, plant.site)
        elif is_whole and fate is Fate.KEPT and node.text:
            # Nothing in it identifies under this scenario: all of it stays.
            if self._standard.row(node.tag) is not None:
                category = "DICOM-PS3.15-K"
            action = Action.TEXT_NOTNULL if node.tag in _CODE_TAGS else Action.TEXT_RETAINED
            yield _check(node, action, node.text, category, plant.site)
        elif plant.retains:
            words = " ".join(plant.retains)
            yield _check(node, Action.TEXT_RETAINED, words, category, plant.site)

    def _concept_fate(self, plant: Plant, node: Node) -> Fate:
        if plant.concept is None or s.CLEAN_STRUCTURED_CONTENT not in self._options:
            return Fate.OPEN
        codes = plant.concept.codes(self._options)
        if "K" in codes.values():
            return Fate.KEPT
        if s.CLEAN_DESCRIPTORS in codes:
            return Fate.CLEANED
        if s.MODIFIED_DATES in codes:
            return Fate.KEPT if node.vr == "TM" else Fate.DATE
        if node.vr == "UI":
            return Fate.UID if plant.concept.basic == "D" else Fate.OPEN
        return Fate.DATE_REMOVED if node.vr in ("DA", "DT") else Fate.OPEN

    def _byte_checks(self, planted: Planted, dataset: Dataset) -> Iterator[Check]:
        seen = set()
        tokens = list(planted.persona.tokens())
        for keyword in _MAIN_UIDS:
            uid = dataset.get(keyword)
            if uid:
                tokens.append(Token(str(uid), Kind.UID))
        for token in tokens:
            if token.kind in self._freed or token.text in seen:
                continue
            seen.add(token.text)
            category = CATEGORIES[token.kind]
            yield Check(
                Action.BYTES_ABSENT, "", "", "", token.text, token.text, category, token.kind.value
            )


_LIMITS = {
    Fate.REMOVED: _MAX_REMOVED,
    Fate.UID: _MAX_UIDS,
    Fate.DATE: _MAX_DATES,
    Fate.DATE_REMOVED: _MAX_DATES,
}


def pixel_digest(dataset: Dataset) -> str:
    """MD5 of the pixel data's bytes, as Little Endian has them; "" without.

    Big Endian is retired: who stores Little Endian instead keeps the pixels.
    """
    if _PIXEL_DATA not in dataset:
        return ""
    element = dataset.get_item(_PIXEL_DATA)
    value = element.value
    if not isinstance(value, bytes):
        return ""
    if element.VR == "OW" and not dataset.original_encoding[1]:
        words = bytearray(value)
        words[0::2], words[1::2] = value[1::2], value[0::2]
        value = bytes(words)
    return hashlib.md5(value, usedforsecurity=False).hexdigest()


def _says_burned_in(dataset: Dataset) -> bool:
    return str(dataset.get("BurnedInAnnotation", "")) == "YES"


def _pixel_checks(planted: Planted, dataset: Dataset, *, is_refused: bool) -> Iterator[Check]:
    if is_refused and planted.box is not None:
        path, text = label(_PIXEL_DATA), planted.box.text
        site = "burned in"
        yield Check(
            Action.PIXELS_HIDDEN, path, "(7fe0,0010)", "", text, str(planted.box), "HIPAA-A", site
        )
    elif not is_refused and _says_burned_in(dataset):
        # What is let pass goes on saying so.
        path, name = label(_BURNED_IN), "Burned In Annotation"
        yield Check(
            Action.TEXT_RETAINED, path, "(0028,0301)", name, "YES", "YES", "TCIA-PIX", "burned in"
        )


def _unplanted(node: Node, fate: Fate, standard: Standard) -> Iterator[Check]:
    site = "vendor private" if node.is_private else "vendor"
    if fate is Fate.KEPT:
        yield from _kept(node, site, standard)
    elif fate is Fate.CLEANED:
        words = [word for word in node.text.upper().split() if word in WORDS]
        if words:
            yield _check(node, Action.TEXT_RETAINED, " ".join(words), "TCIA-DESC", site)
    elif fate is Fate.REMOVED:
        is_text = node.vr in CHARSET_VRS
        if is_text and len(node.text) >= _MIN_REMOVED_CHARACTERS:
            yield _check(node, Action.TEXT_REMOVED, node.text, "DICOM-PS3.15-X", site)
    else:
        yield from _by_fate(node, fate, site)


def _kept(node: Node, site: str, standard: Standard) -> Iterator[Check]:
    row = None if node.is_private else standard.row(node.tag)
    category = "DICOM-IOD" if row is None else "DICOM-PS3.15-K"
    if node.is_private:
        category = "TCIA-PRIV"
    if node.vr in BINARY_VRS or not node.text:
        yield _check(node, Action.TAG_RETAINED, "", category, site)
    elif node.tag in _CODE_TAGS:
        yield _check(node, Action.TEXT_NOTNULL, "", category, site)
    elif row is None and node.vr in CHARSET_VRS and _DATED.search(node.text):
        # A version of software or the day of an export: who cleans texts cannot know.
        return
    elif len(node.text) <= _MAX_VALUE_CHARACTERS:
        yield _check(node, Action.TEXT_RETAINED, node.text, category, site)


def _by_fate(node: Node, fate: Fate, site: str) -> Iterator[Check]:
    if fate is Fate.WALKED:
        yield _check(node, Action.TAG_RETAINED, "", "DICOM-IOD", site)
    elif fate is Fate.PIXELS:
        is_integer = node.tag == _PIXEL_DATA
        action = Action.PIXELS_RETAINED if is_integer else Action.TAG_RETAINED
        yield _check(node, action, "", "TCIA-PIX", site)
    elif fate is Fate.PATIENT and node.text:
        yield _check(node, Action.PATID_CONSISTENT, node.text, "DICOM-PS3.15-C", site)
    elif fate is Fate.UID and node.text:
        if any(not is_standard_uid(uid) for uid in node.text.split("\\")):
            yield _check(node, Action.UID_CHANGED, node.text, "HIPAA-R", site)
            yield _check(node, Action.UID_CONSISTENT, node.text, "DICOM-PS3.15-U", site)
    elif fate is Fate.DATE and _is_date(node.text):
        yield _check(node, Action.DATE_SHIFTED, node.text, "HIPAA-C", site)
        yield _check(node, Action.TEXT_NOTNULL, "", "DICOM-PS3.15-C", site)
    elif fate is Fate.DATE_REMOVED and _is_date(node.text):
        yield _check(node, Action.DATE_SHIFTED, node.text, "HIPAA-C", site)


def _is_date(text: str) -> bool:
    return all(len(part) >= 8 and part[:8].isdigit() for part in text.split("\\"))  # noqa: PLR2004  (YYYYMMDD)


def _check(node: Node, action: Action, action_text: str, category: str, site: str) -> Check:
    tag = f"({node.tag >> 16:04x},{node.tag & 0xFFFF:04x})"
    value = node.text[:_MAX_VALUE_CHARACTERS]
    return Check(action, node.path, tag, node.name, value, action_text, category, site)
