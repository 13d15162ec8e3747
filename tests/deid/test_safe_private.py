"""Retain Safe Private: Table E.3.10-1, by creator, looked into like all that is kept."""

import json

import pytest
import support_table as table
from pydicom.dataset import Dataset
from support_deid import EXPLICIT, IMPLICIT, ROOT, basic_dataset, deidentify, encode, plan_of

from dicomanon_node.deid.rules import Option

SYNTAXES = pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
SAFE = plan_of(options=frozenset({Option.RETAIN_SAFE_PRIVATE}))
_ROWS = json.loads((table.DATA / "ps3.15-table-e3-10-1.json").read_text(encoding="utf-8"))["rows"]
_VALUES: dict[str, object] = {
    "AS": "042Y", "CS": "XYZ", "DS": "12.5", "FD": 12.5, "FL": 12.5, "IS": "12", "LO": "kepi",
    "LT": "kepi", "OB": b"\1\2\3\4", "OW": b"\1\2\3\4", "SH": "kepi", "SL": 12, "SS": 12,
    "ST": "kepi", "UL": 12, "UN": b"\1\2\3\4", "US": 12, "UT": "kepi", "OF": b"\1\2\3\4",
}  # fmt: skip


def _group(row: dict[str, str]) -> int:
    return int(row["tag"][1:5], 16)


def _element(row: dict[str, str]) -> int:
    return int(row["tag"][8:10], 16)


def _vr(row: dict[str, str]) -> str:
    return row["vr"].split("/")[0]


def _planted(row: dict[str, str], value: object) -> Dataset:
    ds = basic_dataset()
    block = ds.private_block(_group(row), row["private_creator"], create=True)
    block.add_new(_element(row), _vr(row), value)
    return ds


def test_every_safe_element_stays_byte_for_byte() -> None:
    lost = []
    for row in _ROWS:
        if _vr(row) not in _VALUES:
            continue
        ds = _planted(row, _VALUES[_vr(row)])
        output = deidentify(ds, SAFE).dataset
        try:
            block = output.private_block(_group(row), row["private_creator"])
            is_same = (
                block[_element(row)].value
                == ds.private_block(_group(row), row["private_creator"])[_element(row)].value
            )
        except KeyError:
            is_same = False
        if not is_same:
            lost.append((row["tag"], row["private_creator"], row["vr"]))
    assert lost == []
    assert len(_ROWS) == 479


def test_the_values_above_are_of_nearly_all_rows() -> None:
    other = {_vr(row) for row in _ROWS} - set(_VALUES)
    assert other == {"", "AT", "SQ", "UI"}


@SYNTAXES
def test_uids_in_safe_elements_are_mapped_like_all_others(syntax: str) -> None:
    rows = [row for row in _ROWS if _vr(row) == "UI"]
    for row in rows:
        ds = _planted(row, f"{ROOT}55.1")
        ds.FrameOfReferenceUID = f"{ROOT}55.1"
        output = deidentify(ds, SAFE, syntax)
        block = output.dataset.private_block(_group(row), row["private_creator"])
        found = block[_element(row)].value
        # In Implicit VR pydicom knows nothing of these but their bytes.
        text = found.decode() if isinstance(found, bytes) else str(found)
        assert text.rstrip("\0") == output.dataset.FrameOfReferenceUID
        assert f"{ROOT}55.1".encode() not in output.data


@SYNTAXES
def test_what_is_in_safe_sequences_is_rewritten(syntax: str) -> None:
    for row in [row for row in _ROWS if _vr(row) == "SQ"]:
        item = Dataset()
        item.PatientName = "Quillfeather^Ottoline"
        item.ReferencedSOPInstanceUID = f"{ROOT}55.1"
        item.SliceThickness = "2.5"
        output = deidentify(_planted(row, [item]), SAFE, syntax)
        block = output.dataset.private_block(_group(row), row["private_creator"])
        kept = table.at(output.dataset, (block.get_tag(_element(row)),))
        assert kept.SliceThickness == 2.5
        assert kept.ReferencedSOPInstanceUID != f"{ROOT}55.1"
        assert b"Quillfeather" not in output.data


def test_the_same_number_of_another_creator_goes() -> None:
    row = _ROWS[0]
    ds = basic_dataset()
    block = ds.private_block(_group(row), "ACME 1.0", create=True)
    block.add_new(_element(row), _vr(row), _VALUES.get(_vr(row), ""))
    output = deidentify(ds, SAFE)
    assert b"ACME" not in output.data
    assert not [element for element in output.dataset if element.tag.is_private]


def test_the_block_number_makes_no_difference() -> None:
    row = next(row for row in _ROWS if _vr(row) == "DS")
    ds = basic_dataset()
    group = _group(row) << 16
    ds.add_new(group | 0x77, "LO", row["private_creator"])
    ds.add_new(group | 0x7700 | _element(row), "DS", "12.5")
    assert deidentify(ds, SAFE).dataset[group | 0x7700 | _element(row)].value == 12.5


def test_the_identity_goes_out_of_a_text_that_is_called_safe() -> None:
    row = next(row for row in _ROWS if _vr(row) == "LO")
    output = deidentify(_planted(row, "kepi Quillfeather 2020-01-02"), SAFE)
    block = output.dataset.private_block(_group(row), row["private_creator"])
    assert block[_element(row)].value == "kepi"


def test_an_element_whose_vr_was_lost_is_safe_by_its_number() -> None:
    row = next(row for row in _ROWS if _vr(row) == "DS")
    ds = basic_dataset()
    block = ds.private_block(_group(row), row["private_creator"], create=True)
    block.add_new(_element(row), "UN", b"12.5")
    output = deidentify(encode(ds), SAFE).dataset
    assert output.private_block(_group(row), row["private_creator"])[_element(row)].value


def test_without_the_option_the_same_elements_go() -> None:
    row = _ROWS[0]
    output = deidentify(_planted(row, _VALUES.get(_vr(row), "")))
    assert row["private_creator"].encode() not in output.data
