"""Compound codes of Table E.1-1 are chosen by the attribute's Type in the object's IOD."""

import json
import subprocess
from functools import cache
from pathlib import Path

import pytest
import support_table as table
from pydicom.dataset import Dataset
from support_deid import basic_dataset, deidentify

_FILE = json.loads((table.DATA / "ps3.3-types.json").read_text(encoding="utf-8"))
_SEQUENCE = (0x52009230,)  # not in the table
_COMPOUND = [row for row in table.rows() if "/" in row.basic and "U*" not in row.basic]
# PatientID is never empty; a whole module that no IOD requires.
_OF_THEIR_OWN = {"(0010,0020)", "(0040,B020)"}
# What Table E.1-1a says each code offers, the least first, and what each Type asks for.
_LEAST = {"": "XZD", "2": "ZD", "1": "D"}


def _type(row: table.Row, depth: str, index: int) -> str:
    by_type = _FILE["types"].get(row.tag, {}).get(depth, {})
    return next((digit for digit in "12" if index in by_type.get(digit, ())), "")


def _chosen(row: table.Row, required: str) -> str:
    offered = row.basic.split("/")
    # Z is a zero length value or a dummy: where a value is required, a dummy.
    fallback = "D" if required == "1" else offered[-1]
    return next((code for code in _LEAST[required] if code in offered), fallback)


@cache
def _planted() -> Dataset:
    ds = Dataset()
    for row in _COMPOUND:
        ds.add(table.element_of(row, row.tags[0]))
    return ds


@pytest.mark.parametrize("index", range(len(_FILE["sop_classes"])))
def test_each_class_has_of_a_compound_code_what_its_types_allow(index: int) -> None:
    ds = basic_dataset()
    ds.update(_planted())
    inner = Dataset()
    inner.update(_planted())
    ds.add_new(_SEQUENCE[0], "SQ", [inner])
    ds.PatientID = "MRN7741902"
    ds.SOPClassUID = _FILE["sop_classes"][index]
    output = deidentify(ds).dataset
    faults = {}
    for row in _COMPOUND:
        if row.tag in _OF_THEIR_OWN:
            continue
        for depth, found in (("top", output), ("nested", table.at(output, _SEQUENCE))):
            code = _chosen(row, _type(row, depth, index))
            if row.vr == "SQ" and code != "X":
                is_there = row.tags[0] in found
                fault = None if is_there else "absent"
            else:
                fault = table.fault(row, row.tags[0], code, found.get(row.tags[0]))
            if fault:
                faults[row.label, depth] = code, fault
    assert faults == {}


@pytest.mark.parametrize(
    ("sop_class_uid", "keyword", "is_there"),
    [
        ("1.2.840.10008.5.1.4.1.1.2", "StationName", False),  # CT, General Equipment: 3
        ("1.2.840.10008.5.1.4.1.1.2", "DeviceSerialNumber", False),  # 3
        ("1.2.840.10008.5.1.4.1.1.2", "ContrastBolusAgent", True),  # Contrast/Bolus: 2
        ("1.2.840.10008.5.1.4.1.1.2.1", "DeviceSerialNumber", True),  # Enhanced CT: 1
        ("1.2.840.10008.5.1.4.1.1.66.4", "DeviceSerialNumber", True),  # Segmentation: 1
        ("1.2.840.10008.5.1.4.1.1.481.5", "RTPlanDate", True),  # RT General Plan: 2
        ("1.2.840.10008.5.1.4.1.1.88.33", "ContentDate", True),  # SR Document General: 1
    ],
)
def test_types_are_those_of_the_standard(
    sop_class_uid: str, keyword: str, *, is_there: bool
) -> None:
    """Looked up in PS3.3 by hand."""
    ds = basic_dataset(SOPClassUID=sop_class_uid)
    values = {"RTPlanDate": "20200102", "ContentDate": "20200102"}
    setattr(ds, keyword, values.get(keyword, "Zqx"))
    assert (keyword in deidentify(ds).dataset) is is_there


def test_a_mandatory_content_date_has_a_value() -> None:
    ds = basic_dataset(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33", ContentDate="20200102")
    output = deidentify(ds).dataset
    assert output.ContentDate
    assert output.ContentDate != "20200102"


@pytest.mark.tool("dciodvfy")
def test_dciodvfy_misses_nothing_that_a_compound_code_took_from_a_ct_image(tmp_path: Path) -> None:
    ds = basic_dataset()
    planted = Dataset()
    planted.update(_planted())
    # dciodvfy judges RT and other modules by what is there: only what a CT image may have.
    for row in _COMPOUND:
        if row.tags[0] >> 16 not in (0x0008, 0x0018):
            del planted[row.tags[0]]
    ds.update(planted)
    before, after = tmp_path / "before.dcm", tmp_path / "after.dcm"
    ds.file_meta = deidentify(ds).dataset.file_meta
    ds.save_as(before, enforce_file_format=True)
    after.write_bytes(deidentify(ds).data)

    def errors(path: Path) -> set[str]:
        run = subprocess.run(
            ["dciodvfy", str(path)],  # noqa: S607
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        return {line for line in run.stderr.splitlines() if line.startswith("Error - Missing")}

    assert errors(after) <= errors(before)
