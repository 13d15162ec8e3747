"""The tables of PS3.15 Annex E, read from the standard's JSON, not from the node's code.

Tag numbers are (group << 16) | element. Nothing here decides; `expectation` does.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.datadict import dictionary_VR

from benchmarks.deid import scenarios as s

_TABLE = "ps3.15-table-e1-1.json"
_SAFE_PRIVATE = "ps3.15-table-e3-10-1.json"
_CONTENT = "ps3.15-table-e3-4-1.json"
_ELEMENTS = "ps3.6-2026c-not-in-pydicom-3.0.2.json"

_COLUMNS = {
    s.SAFE_PRIVATE: "retain_safe_private",
    s.RETAIN_UIDS: "retain_uids",
    s.RETAIN_DEVICE: "retain_device_identity",
    s.RETAIN_INSTITUTION: "retain_institution_identity",
    s.RETAIN_CHARACTERISTICS: "retain_patient_characteristics",
    s.FULL_DATES: "retain_longitudinal_full_dates",
    s.MODIFIED_DATES: "retain_longitudinal_modified_dates",
    s.CLEAN_DESCRIPTORS: "clean_descriptors",
    s.CLEAN_STRUCTURED_CONTENT: "clean_structured_content",
    s.CLEAN_GRAPHICS: "clean_graphics",
}

# Repeating groups (PS3.5 7.6): the table writes them as 50xx and 60xx.
_CURVES = range(0x5000, 0x5100)
OVERLAY_GROUPS = range(0x6000, 0x6100)
_WHOLE_CURVE = 0x50000000


@dataclass(frozen=True, slots=True)
class Row:
    """One attribute of Table E.1-1, or one concept of Table E.3.4-1.

    Attributes:
        tag: Tag number; 0 for a concept.
        name: Attribute name or code meaning.
        vr: Value representation; the value type of a concept.
        basic: The Basic Profile's code.
        options: Codes by option, where the option says something.
    """

    tag: int
    name: str
    vr: str
    basic: str
    options: Mapping[str, str]

    def codes(self, options: Collection[str]) -> dict[str, str]:
        """What the chosen options say: code by option."""
        return {name: code for name, code in self.options.items() if name in options}


@dataclass(frozen=True, slots=True)
class Concept:
    """A coded concept of structured content (PS3.15 Table E.3.4-1)."""

    value: str
    scheme: str
    meaning: str
    row: Row


@dataclass(frozen=True, slots=True)
class Standard:
    """The tables.

    Attributes:
        rows: Table E.1-1 by tag number; 50xx and 60xx by their first group.
        safe_private: Table E.3.10-1: VR by (group, creator, low byte of the element).
        concepts: Table E.3.4-1.
        vrs: VRs of elements that pydicom's dictionary lacks.
    """

    rows: Mapping[int, Row]
    safe_private: Mapping[tuple[int, str, int], str]
    concepts: tuple[Concept, ...]
    vrs: Mapping[int, str]

    def row(self, tag: int) -> Row | None:
        """The row of Table E.1-1 for a standard element, if it lists it."""
        group = tag >> 16
        if group in _CURVES:
            return self.rows[_WHOLE_CURVE]
        if group in OVERLAY_GROUPS:
            return self.rows.get(0x60000000 | tag & 0xFFFF)
        return self.rows.get(tag)

    def vr(self, tag: int) -> str | None:
        """The VR of a standard element, the first of several; None where PS3.6 has none."""
        try:
            return dictionary_VR(tag).split(" or ", 1)[0]
        except KeyError:
            return self.vrs.get(tag)


def read(directory: Path) -> Standard:
    """Read the tables.

    Args:
        directory: Where the JSON files are.
    """
    rows = {}
    for row in _rows(directory / _TABLE):
        text = str(row["tag"])
        if "odd" in text:
            continue  # all private attributes; `expectation` knows them by their group
        tag = int(text[1:5].replace("x", "0") + text[6:10].replace("x", "0"), 16)
        rows[tag] = Row(
            tag,
            str(row["name"]),
            str(row["vr"]).split(" or ", 1)[0],
            str(row["basic_profile"]),
            _options(row["options"]),
        )
    safe = {
        (
            int(str(row["tag"])[1:5], 16),
            str(row["private_creator"]),
            int(str(row["tag"])[8:10], 16),
        ): str(row["vr"])
        for row in _rows(directory / _SAFE_PRIVATE)
    }
    concepts = tuple(
        Concept(
            str(row["code_value"]),
            str(row["scheme_designator"]),
            str(row["code_meaning"]),
            Row(
                0,
                str(row["code_meaning"]),
                str(row["value_type"]),
                str(row["basic_profile"]),
                _options(row),
            ),
        )
        for row in _rows(directory / _CONTENT)
    )
    return Standard(rows, safe, concepts, _element_vrs(directory / _ELEMENTS))


def _rows(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return rows


def _options(columns: Mapping[str, str]) -> dict[str, str]:
    return {name: columns[column] for name, column in _COLUMNS.items() if columns.get(column)}


def _element_vrs(path: Path) -> dict[int, str]:
    rows: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return {
        int(tag.strip("()").replace(",", ""), 16): row["vr"].split(" or ", 1)[0]
        for tag, row in rows.items()
        if "x" not in tag.lower()
    }
