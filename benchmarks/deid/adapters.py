"""Drives other de-identifiers, each as its documentation advises, file by file.

    python -m benchmarks.deid.adapters NAME INPUT OUTPUT REQUEST

A file that one of them cannot take costs that file, not the run. What each is given
towards the scenario is said at its function; none of them is changed.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.deid import scenarios as s
from benchmarks.deid.corpus import quiet
from benchmarks.deid.standard import Row, Standard, read

_DAYS = -1234  # the fixed jitter that deid's recipes use

OneFile = Callable[[Path, Path], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a de-identifier.

    Attributes:
        options: Options of PS3.15 Annex E.
        keeps_private: Whether private elements are to be kept.
        seed: For what it generates.
        work: Directory for its configuration.
        standard: The tables, to write configurations from.
    """

    options: frozenset[str]
    keeps_private: bool
    seed: int
    work: Path
    standard: Standard


def dicognito(request: Request) -> OneFile:
    """dicognito, with a seed. It has no options of PS3.15 and keeps private elements.

    Its `--keep` is given what the scenario retains of the patient and the device.
    """
    import pydicom  # noqa: PLC0415  (with the de-identifier it belongs to)

    anonymizer = import_module("dicognito.anonymizer").Anonymizer(seed=str(request.seed))
    keeper = import_module("dicognito.value_keeper").ValueKeeper
    for row in _kept(request):
        anonymizer.add_element_handler(keeper(f"{row.tag >> 16:04X},{row.tag & 0xFFFF:04X}"))

    def run(source: Path, target: Path) -> None:
        with pydicom.dcmread(source) as dataset:
            anonymizer.anonymize(dataset)
            dataset.save_as(target, enforce_file_format=True)

    return run


def dicom_anonymizer(request: Request) -> OneFile:
    """KitwareMedical's dicom-anonymizer by its newest table, 2024b.

    Retained attributes are given as `keep`; it cannot shift dates or clean texts.
    """
    module = import_module("dicomanonymizer.simpledicomanonymizer")
    rules = {(row.tag >> 16, row.tag & 0xFFFF): module.keep for row in _kept(request)}

    def run(source: Path, target: Path) -> None:
        module.anonymize_dicom_file(
            str(source),
            str(target),
            extra_anonymization_rules=rules,
            delete_private_tags=not request.keeps_private,
            base_rules_gen=module.initialize_actions_2024b,
        )

    return run


def dicom_anonymizer_default(request: Request) -> OneFile:
    """KitwareMedical's dicom-anonymizer as it comes: its table of 2023, no private elements."""
    del request
    module = import_module("dicomanonymizer.simpledicomanonymizer")

    def run(source: Path, target: Path) -> None:
        module.anonymize_dicom_file(str(source), str(target))

    return run


def deid_default(request: Request) -> OneFile:
    """Pydicom's deid with the recipe it comes with, deid.dicom, and private elements removed."""
    del request
    header = import_module("deid.dicom.parser")
    import_module("deid.logger").bot.level = 0
    recipe = import_module("deid.config").DeidRecipe()

    def run(source: Path, target: Path) -> None:
        parser: Any = header.DicomParser(str(source), recipe=recipe)
        parser.parse(remove_private=True)
        parser.dicom.save_as(target)

    return run


def deid(request: Request) -> OneFile:
    """Pydicom's deid with a recipe written from Table E.1-1.

    REMOVE, BLANK, REPLACE and JITTER by the scenario's codes. Its `values:` groups, which
    remove whatever holds the patient's name, are left out: they take whole sequences with
    them, and the score is better without.
    """
    header = import_module("deid.dicom.parser")
    config = import_module("deid.config")
    import_module("deid.logger").bot.level = 0
    recipe_file = request.work / "deid.recipe"
    recipe_file.write_text(_recipe(request), encoding="utf-8")
    recipe = config.DeidRecipe(deid=str(recipe_file), base=False)

    def run(source: Path, target: Path) -> None:
        parser: Any = header.DicomParser(str(source), recipe=recipe)
        parser.parse(remove_private=not request.keeps_private)
        parser.reset_preamble()
        parser.dicom.save_as(target, enforce_file_format=True)

    return run


ADAPTERS: dict[str, Callable[[Request], OneFile]] = {
    "dicognito": dicognito,
    "dicom-anonymizer": dicom_anonymizer_default,
    "dicom-anonymizer, best": dicom_anonymizer,
    "deid": deid_default,
    "deid, best": deid,
}


def _kept(request: Request) -> list[Row]:
    return [
        row
        for row in request.standard.rows.values()
        if set(row.codes(request.options).values()) == {"K"} and not row.tag >> 16 & 1
    ]


def _recipe(request: Request) -> str:
    lines = ["FORMAT dicom", "", "%header", "ADD PatientIdentityRemoved YES"]
    for row in request.standard.rows.values():
        action = _recipe_action(row, request.options)
        if action:
            lines.append(action)
    return "\n".join(lines) + "\n"


def _recipe_action(row: Row, options: frozenset[str]) -> str:
    field = f"({row.tag >> 16:04X},{row.tag & 0xFFFF:04X})"
    codes = row.codes(options)
    is_walked = row.vr == "SQ" and (row.basic == "X/Z/U*" or s.CLEAN_DESCRIPTORS in codes)
    if "K" in codes.values() or is_walked:
        return ""
    if s.MODIFIED_DATES in codes:
        return f"JITTER {field} {_DAYS}" if row.vr in ("DA", "DT") else ""
    if row.basic == "U":
        return f"REPLACE {field} deid_func:pydicom_uuid"
    if row.basic == "X" or row.vr == "SQ":
        return f"REMOVE {field}"
    if row.basic in ("D", "Z/D", "X/D", "X/Z/D") and row.vr in ("LO", "SH", "PN", "UT", "ST", "LT"):
        return f"REPLACE {field} REMOVED"
    return f"BLANK {field}"


def main(arguments: list[str]) -> int:
    """Run one de-identifier over a directory."""
    name, source, target, text = arguments
    request = json.loads(text)
    make = ADAPTERS[name]
    run = make(
        Request(
            frozenset(request["options"]),
            bool(request["keeps_private"]),
            int(request["seed"]),
            Path(request["work"]),
            read(Path(request["standard"])),
        )
    )
    refused = 0
    for path in sorted(Path(source).iterdir()):
        with quiet():
            try:
                run(path, Path(target) / path.name)
            except Exception as error:  # noqa: BLE001  (whatever a program fails with costs this file)
                refused += 1
                (Path(target) / path.name).unlink(missing_ok=True)
                print(f"{path.name}: {type(error).__name__}")
    print(f"{refused} not taken")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
