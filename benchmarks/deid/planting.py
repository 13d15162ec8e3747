"""Plants identities into vendor files: the composition of all `plant_...` modules.

    files -> read -> who is it -> new UIDs -> plants -> written, read back -> Planted

What is written is valid and can be sent; what was planted is known element by element.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from benchmarks.deid import (
    burned_in,
    derived,
    plant_content,
    plant_inside,
    plant_listed,
    plant_odd,
    plant_outside,
    plant_patient,
    plant_private,
    plant_text,
    plant_vendor,
)
from benchmarks.deid.corpus import (
    NotPlantableError,
    Uids,
    declare,
    is_big_endian,
    is_plain,
    load,
    quiet,
)
from benchmarks.deid.identity import Persona, Population
from benchmarks.deid.paths import walk
from benchmarks.deid.phrases import Writer
from benchmarks.deid.spots import Ledger, Plant, Spot
from benchmarks.deid.standard import Concept, Row, Standard

_FIRST_NUMBER = 810_001  # Instance Numbers that no vendor file has
_LISTED_AT_TOP = 14
_UNLISTED_AT_TOP = 8
_DEPTHS = 4

# Planted elsewhere, or what an object cannot be stored with.
_NOT_ROTATED = frozenset(
    {
        0x00080018, 0x0020000D, 0x0020000E, 0x0040A730, 0x00420011, 0x00700001, 0x00880200,
        0x04000561, 0x50000000, 0x60003000, 0x60004000, 0xFFFAFFFA, 0xFFFCFFFC,
    }
)  # fmt: skip
_NOT_ROTATED_GROUPS = frozenset({0x0000, 0x0002, 0x0004})
_MR, _CT = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.2"


@dataclass(frozen=True, slots=True)
class Planted:
    """A planted file.

    Attributes:
        name: Path under the planted tree.
        source: Path under the corpus.
        number: Instance Number, unique in a run.
        sop_class_uid: What it is.
        persona: Who it is about (made up).
        plants: What was planted, by path.
        box: Where the name is in the pixels.
    """

    name: str
    source: str
    number: int
    sop_class_uid: str
    persona: Persona
    plants: dict[str, Plant]
    box: burned_in.Box | None = None


class Planter:
    """Plants a whole corpus. The same seed and files give the same bytes.

    Args:
        standard: The tables.
        seed: Of everything that is chosen.
        output: Directory for the planted files.
    """

    def __init__(self, standard: Standard, seed: int, output: Path) -> None:
        self._standard = standard
        self._output = output
        self._rng = random.Random(seed)
        self._population = Population(seed)
        self._personas: dict[tuple[str, str, bool], Persona] = {}
        self._uids = Uids()
        self._instances: set[str] = set()
        self._rows = cycle(_rotation(standard))
        self._texts = cycle(plant_text.unlisted_texts(standard))
        self._concepts: Iterator[Concept] = cycle(plant_content.concepts(standard))
        self._number = _FIRST_NUMBER
        self.planted: list[Planted] = []
        self.skipped: dict[str, str] = {}

    def plant(self, corpus: Path, sources: Iterable[Path]) -> None:
        """Plant files; those that cannot carry a plant are noted in `skipped`.

        Args:
            corpus: Directory the sources are named by.
            sources: The files.
        """
        has_derived: set[str] = set()
        for source in sources:
            name = source.relative_to(corpus).as_posix()
            try:
                with quiet():
                    dataset = load(source, self._standard)
                    self._plant(dataset, name, "")
                    self._derive(dataset, name, has_derived)
            except NotPlantableError as error:
                self.skipped[name] = str(error)

    def _persona(self, dataset: Dataset, name: str) -> Persona:
        # One patient for each study of a source repository.
        is_plain_text = is_plain(dataset, self._standard)
        folder = name.split("/", 1)[0]
        key = (folder, str(dataset.get("StudyInstanceUID", name)), is_plain_text)
        if key not in self._personas:
            self._personas[key] = self._population.next(None if is_plain_text else "")
        return self._personas[key]

    def _plant(self, dataset: Dataset, name: str, suffix: str, of: Persona | None = None) -> None:
        persona = of or self._persona(dataset, name)
        number = self._number
        self._number += 1
        rng = random.Random(self._rng.random())
        spot = Spot(dataset, Ledger(), "listed")
        if of is None:
            self._identify(dataset, persona)
        writer = Writer(persona, rng, str(dataset.StudyInstanceUID))
        self._fill(spot, persona, writer, rng, number)
        target = self._output / f"{number}{suffix}.dcm"
        is_drawn = of is not None and dataset.SOPClassUID == burned_in.SECONDARY_CAPTURE
        box = burned_in.burn_in(dataset, persona) if is_drawn else None
        self._write(spot, persona, target)
        sop_class = str(dataset.SOPClassUID)
        self.planted.append(
            Planted(target.name, name, number, sop_class, persona, spot.ledger.plants, box)
        )

    def _identify(self, dataset: Dataset, persona: Persona) -> None:
        self._uids.replace(dataset, persona)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            if not dataset.get(keyword):
                setattr(dataset, keyword, self._uids.fresh(persona))
        if str(dataset.SOPInstanceUID) in self._instances:
            # The same image in another encoding.
            dataset.SOPInstanceUID = self._uids.fresh(persona)
        self._instances.add(str(dataset.SOPInstanceUID))
        if persona.character_set and is_plain(dataset, self._standard):
            declare(dataset, persona.character_set)

    def _fill(
        self, spot: Spot, persona: Persona, writer: Writer, rng: random.Random, number: int
    ) -> None:
        dataset = spot.dataset
        seals = not is_big_endian(dataset)

        def new_uid() -> str:
            return self._uids.fresh(persona)

        plant_inside.plant(spot, persona, writer, self._standard, rng)
        listed = plant_listed.ListedPlanter(persona, writer, rng, new_uid)
        plant_text.plant_unlisted(
            spot.at("unlisted text"), persona, islice(self._texts, _UNLISTED_AT_TOP), writer
        )
        for row in islice(self._rows, _LISTED_AT_TOP):
            listed.plant(spot, row)
        plant_text.NestedPlanter(persona, writer, listed, rng).plant(
            spot, self._rows, 1 + number % _DEPTHS, seals=seals
        )
        plant_text.plant_foreign_charset(spot, persona)
        plant_odd.plant(spot, persona, writer, is_little_endian=seals)
        plant_private.plant_vendor(spot, self._standard, writer, rng)
        plant_private.plant_block(spot, persona, writer, new_uid, seals=seals)
        plant_vendor.plant(spot, persona, is_old=number % 3 == 0)
        plant_outside.plant_overlay_and_curve(spot, persona, writer)
        plant_outside.plant_icon(spot, persona)
        plant_outside.plant_history(spot, persona)
        if plant_content.can_plant(dataset):
            plant_content.plant(spot, persona, writer, self._concepts, new_uid)
        mime_type = derived.MIME_TYPES.get(str(dataset.SOPClassUID))
        if mime_type is not None:
            plant_outside.plant_document(spot, persona, writer, mime_type)
        if dataset.SOPClassUID == derived.PRESENTATION_STATE:
            derived.annotate(spot, persona, writer)
        plant_patient.plant(spot, persona, number)
        plant_text.plant_common_words(spot.at("common words"), persona)

    def _write(self, spot: Spot, persona: Persona, target: Path) -> None:
        dataset = spot.dataset
        dataset.preamble = plant_outside.preamble(persona)
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        plant_outside.plant_meta(spot, dataset.file_meta, persona)
        try:
            spot.ledger.seal(persona.character_set)
            dataset.save_as(target, enforce_file_format=True)
            written = {node.path for node in walk(pydicom.dcmread(target), self._standard)}
        except Exception as error:  # noqa: BLE001  (vendor files break writers in many ways)
            target.unlink(missing_ok=True)
            raise NotPlantableError(f"cannot be written: {type(error).__name__}") from None
        lost = set(spot.ledger.plants) - written
        if lost:
            target.unlink()
            raise NotPlantableError(f"plants are not found again: {min(lost)}")

    def _derive(self, dataset: Dataset, name: str, done: set[str]) -> None:
        sop_class = str(dataset.SOPClassUID)
        wanted = {
            derived.PDF: (derived.CDA, derived.STL),
            _MR: (derived.KEY_OBJECTS,),
            _CT: (derived.PRESENTATION_STATE, burned_in.SECONDARY_CAPTURE),
        }.get(sop_class, ())
        for target_class in wanted:
            if target_class not in done:
                done.add(target_class)
                self._plant_derived(dataset, name, target_class)

    def _plant_derived(self, source: Dataset, name: str, sop_class: str) -> None:
        persona = self.planted[-1].persona

        def new_uid() -> str:
            return self._uids.fresh(persona)

        if sop_class == derived.KEY_OBJECTS:
            dataset = derived.key_objects(source, new_uid)
        elif sop_class == burned_in.SECONDARY_CAPTURE:
            dataset = derived.secondary_capture(source, new_uid)
        elif sop_class == derived.PRESENTATION_STATE:
            dataset = derived.presentation_state(source, new_uid)
        else:
            dataset = derived.document(source, sop_class, new_uid)
        dataset.file_meta = derived.file_meta()
        declare(dataset, persona.character_set)
        self._plant(dataset, name, "-derived", of=persona)


def _rotation(standard: Standard) -> list[Row]:
    return [
        row
        for tag, row in sorted(standard.rows.items())
        if tag not in _NOT_ROTATED and tag >> 16 not in _NOT_ROTATED_GROUPS
    ]
