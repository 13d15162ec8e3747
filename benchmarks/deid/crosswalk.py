"""Which output belongs to which input, and which new UID or patient to which old one.

MIDI-B's maps: two CSV files with the header `id_old,id_new`. Where a de-identifier
writes none, they are read off its outputs: the same path in input and output holds the
old and the new value, and what most outputs say is the map.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from benchmarks.deid.corpus import quiet
from benchmarks.deid.paths import walk
from benchmarks.deid.standard import Standard

UID_FILE, PATIENT_FILE = "uid_mapping.csv", "patid_mapping.csv"
_HEADER = ["id_old", "id_new"]
_PATIENT_ID = 0x00100020
_INSTANCE_NUMBER = 0x00200013


@dataclass(frozen=True, slots=True)
class Crosswalk:
    """Old to new identifiers.

    Attributes:
        uids: New UID by old UID.
        patients: New Patient ID by old Patient ID.
        is_exported: Whether the de-identifier said so itself.
    """

    uids: Mapping[str, str]
    patients: Mapping[str, str]
    is_exported: bool


def read(directory: Path) -> Crosswalk:
    """Read the maps that a de-identifier exported."""
    return Crosswalk(_read(directory / UID_FILE), _read(directory / PATIENT_FILE), True)


def write(directory: Path, crosswalk: Crosswalk) -> None:
    """Write the maps as MIDI-B's scoring reads them."""
    for name, entries in ((UID_FILE, crosswalk.uids), (PATIENT_FILE, crosswalk.patients)):
        with (directory / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(_HEADER)
            writer.writerows(sorted(entries.items()))


def outputs(directory: Path) -> dict[int, Path]:
    """The files of an output directory by their Instance Number.

    The planter gave every input an Instance Number of its own, which no profile removes.
    """
    found: dict[int, Path] = {}
    for path in sorted(directory.rglob("*")):
        if not path.is_file():
            continue
        with quiet():
            try:
                dataset = pydicom.dcmread(path, force=True, specific_tags=[_INSTANCE_NUMBER])
                number = int(str(dataset.get("InstanceNumber", "")))
            except (OSError, ValueError, NotImplementedError, KeyError):
                continue
        found.setdefault(number, path)
    return found


def derive(pairs: Iterable[tuple[Path, Path]], standard: Standard) -> Crosswalk:
    """Read the maps off inputs and outputs.

    Args:
        pairs: Input and output files.
        standard: The tables.
    """
    uids: dict[str, Counter[str]] = defaultdict(Counter)
    patients: dict[str, Counter[str]] = defaultdict(Counter)
    for before, after in pairs:
        with quiet():
            olds = _identifiers(pydicom.dcmread(before, force=True), standard)
            news = _identifiers(pydicom.dcmread(after, force=True), standard)
        for path, (is_uid, old) in olds.items():
            _, new = news.get(path, (is_uid, ""))
            counters = uids if is_uid else patients
            for one, other in zip(old.split("\\"), new.split("\\"), strict=False):
                if one and other:
                    counters[one][other] += 1
    return Crosswalk(_most_common(uids), _most_common(patients), False)


def _identifiers(dataset: Dataset, standard: Standard) -> dict[str, tuple[bool, str]]:
    return {
        node.path: (node.vr == "UI", node.text)
        for node in walk(dataset, standard)
        if node.vr == "UI" or node.tag == _PATIENT_ID
    }


def _most_common(counters: Mapping[str, Counter[str]]) -> dict[str, str]:
    return {old: counter.most_common(1)[0][0] for old, counter in counters.items()}


def _read(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        header = next(rows, None)
        if header != _HEADER:
            raise ValueError(f"{path.name}: header is not {','.join(_HEADER)}")
        return {row[0]: row[1] for row in rows}
