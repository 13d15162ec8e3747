"""Table E.1-1 as the tests read it, and an original value for each of its rows.

Reads the standard's table itself. What follows from a row is computed from Table
E.1-1a's words, never from the code under test.
"""

import datetime as dt
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pydicom
from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_sequence
from pydicom.uid import UID
from pydicom.valuerep import validate_value
from support_deid import ROOT

# Command sets, File Meta Information and directories: no data set has them (PS3.5 7.1).
FOREIGN_GROUPS = (0x0000, 0x0002, 0x0004)
DATA = Path(__file__).parents[1] / "dicomanon_node" / "deid" / "data"


@dataclass(frozen=True)
class Row:
    """One row of the table: its tag where it names one, its columns."""

    number: int
    tag: str
    name: str
    vr: str
    basic: str
    options: tuple[tuple[str, str], ...]

    def option(self, name: str) -> str:
        return dict(self.options)[name]

    @property
    def tags(self) -> tuple[int, ...]:
        """Tags to plant it at: repeating groups at their first and at another group."""
        if self.tag == "(50xx,xxxx)":
            return 0x50000005, 0x50043000
        if "xx" in self.tag:
            element = int(self.tag[6:10], 16)
            return 0x60000000 | element, 0x60020000 | element
        return (int(self.tag[1:5] + self.tag[6:10], 16),)

    @property
    def is_foreign(self) -> bool:
        return self.tags[0] >> 16 in FOREIGN_GROUPS

    @property
    def label(self) -> str:
        return f"{self.tag} {self.name}"


@cache
def rows() -> tuple[Row, ...]:
    """All rows that name attributes, in the table's order; the private row has its own tests."""
    table = json.loads((DATA / "ps3.15-table-e1-1.json").read_text(encoding="utf-8"))
    assert table["edition"] == "2026d"
    assert len(table["rows"]) == 657
    return tuple(
        Row(
            number=number,
            tag=row["tag"],
            name=row["name"],
            vr=row["vr"],
            basic=row["basic_profile"],
            options=tuple(row["options"].items()),
        )
        for number, row in enumerate(table["rows"])
        if "odd" not in row["tag"]
    )


def listed_tags() -> frozenset[int]:
    return frozenset(tag for row in rows() for tag in row.tags)


def vr_of(row: Row, tag: int) -> str:
    """The VR that the row's attribute has, or its first."""
    if row.tag == "(50xx,xxxx)":
        return "US" if tag & 0xFFFF == 0x0005 else "OW"
    vr = row.vr or dictionary_VR(tag)
    return vr.split(" or ")[0]


def _day(row: Row) -> str:
    return f"{dt.date(1971, 3, 1) + dt.timedelta(days=row.number):%Y%m%d}"


def word(row: Row, end: str = "v") -> str:
    """A word of letters that stands for the row and no other."""
    high, low = divmod(row.number, 26)
    return f"Zq{chr(97 + high)}{chr(97 + low)}{end}"


_ORIGINALS: dict[str, Callable[[Row], object]] = (
    {
        "AS": lambda row: f"{row.number:03}D",
        "DA": _day,
        "DT": lambda row: f"{_day(row)}1122{row.number % 60:02}.5",
        "PN": lambda row: f"{word(row)}^Given",
        "SQ": lambda row: [_item(row)],
        "TM": lambda row: f"1122{row.number % 60:02}.{row.number:04}",
        "UI": lambda row: f"{ROOT}7.{row.number}",
        "UR": lambda row: f"http://{word(row)}.example/",
    }
    | dict.fromkeys(("AE", "CS"), lambda row: word(row).upper())
    | dict.fromkeys(("DS", "IS"), lambda row: f"77{row.number:04}")
    | dict.fromkeys(("FD", "FL"), lambda row: 7000.5 + row.number)
    | dict.fromkeys("AT SL SS SV UL US UV".split(), lambda row: 7000 + row.number)
    | dict.fromkeys("OB OD OF OL OV OW UN".split(), lambda row: f"{word(row):8}".encode())
)


def original(row: Row, tag: int) -> object:
    """A valid value that is found nowhere else."""
    return _ORIGINALS.get(vr_of(row, tag), word)(row)


def _item(row: Row) -> Dataset:
    item = Dataset()
    item.ReferencedSOPInstanceUID = f"{ROOT}8.{row.number}"
    item.PatientName = f"{word(row, 'i')}^Given"
    return item


def element_of(row: Row, tag: int) -> DataElement:
    return DataElement(tag, vr_of(row, tag), original(row, tag))


def is_zero_length(found: DataElement) -> bool:
    return found.is_empty


def is_valid(found: DataElement) -> bool:
    """Whether pydicom takes every value for one of its VR."""
    values = found.value if found.VM > 1 else [found.value]
    if found.VR in ("SQ", "OB", "OW", "OD", "OF", "OL", "OV", "UN", "AT"):
        return True
    if found.VR == "UI":
        return all(UID(value).is_valid for value in values)
    try:
        for value in values:
            raw = value
            if found.VR in ("DA", "TM", "DT", "PN", "IS", "DS"):
                raw = getattr(value, "original_string", None) or str(value)
            validate_value(found.VR, raw, config.RAISE)
    except ValueError:
        return False
    return True


def is_dummy(row: Row, tag: int, found: DataElement) -> bool:
    """D: a value of non-zero length, consistent with the VR, and not the original."""
    if found.is_empty or not is_valid(found):
        return False
    if found.VR == "SQ":
        return not any(word(row, "i") in name for item in found.value for name in names_in(item))
    return str(found.value) != str(DataElement(tag, vr_of(row, tag), original(row, tag)).value)


def names_in(ds: Dataset) -> set[str]:
    """Every person name in a data set, at every depth."""
    return {str(element.value) for element in ds.iterall() if element.VR == "PN"}


def is_replaced_uid(row: Row, found: DataElement) -> bool:
    """U: another valid UID."""
    if found.VR == "SQ":
        uids = {str(uid.value) for uid in found.value[0].iterall() if uid.VR == "UI"}
        return is_dummy(row, int(found.tag), found) and f"{ROOT}8.{row.number}" not in uids
    return is_valid(found) and not found.is_empty and str(found.value) != f"{ROOT}7.{row.number}"


def fault(row: Row, tag: int, code: str, found: DataElement | None) -> str | None:
    """What is wrong with what became of a row's attribute under a code; None if nothing is.

    Standard: PS3.15 Table E.1-1a. Of a compound code any of its parts will do, as it is
    the IOD that chooses.
    """
    if tag >> 16 in FOREIGN_GROUPS:
        code = "X"
    for part in code.removesuffix("*").split("/"):
        match part:
            case "X":
                good = found is None
            case "Z":
                good = found is not None and (is_zero_length(found) or is_dummy(row, tag, found))
            case "D":
                good = found is not None and is_dummy(row, tag, found)
            case "U":
                good = found is not None and is_replaced_uid(row, found)
            case _:
                raise AssertionError(part)
        if good:
            return None
    return "absent" if found is None else f"{found.VR} of {len(str(found.value))} characters"


def at(ds: pydicom.Dataset, sequences: tuple[int, ...]) -> Dataset:
    """The first item of the first item of ..., looking into what pydicom leaves as UN."""
    found: Dataset = ds
    for tag in sequences:
        value = found[tag].value
        if isinstance(value, bytes):
            value = read_sequence(io.BytesIO(value), True, True, len(value), "iso8859")
        found = value[0]
    return found
