"""Every row of Table E.1-1 under every option that is available, at the top and nested."""

import datetime as dt
from functools import cache

import pytest
import support_table as table
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from support_deid import ROOT, basic_dataset, deidentify, nested, plan_of

from dicomanon_node.deid.plan import AVAILABLE_OPTIONS
from dicomanon_node.deid.rules import Option

_COLUMNS = {
    "retain_uids": Option.RETAIN_UIDS,
    "retain_device_identity": Option.RETAIN_DEVICE_IDENTITY,
    "retain_institution_identity": Option.RETAIN_INSTITUTION_IDENTITY,
    "retain_patient_characteristics": Option.RETAIN_PATIENT_CHARACTERISTICS,
    "retain_longitudinal_full_dates": Option.RETAIN_LONGITUDINAL_FULL_DATES,
    "retain_longitudinal_modified_dates": Option.RETAIN_LONGITUDINAL_MODIFIED_DATES,
    "clean_descriptors": Option.CLEAN_DESCRIPTORS,
    "retain_safe_private": Option.RETAIN_SAFE_PRIVATE,
    "clean_structured_content": Option.CLEAN_STRUCTURED_CONTENT,
    "clean_graphics": Option.CLEAN_GRAPHICS,
}
_TEXT_VRS = frozenset("LO LT SH ST UC UT".split())
_CURVES, _OVERLAYS = 0x50, 0x60
_DEPTH_2 = ("RadiopharmaceuticalInformationSequence", "PatientOrientationCodeSequence")
_DEPTH_2_TAGS = (0x00540016, 0x00540410)
# "Quillfeather" is the patient, "Kp" is nobody.
_PLANTED_TEXT = "Kp Quillfeather"


def _planted(cleaned_by: str | None) -> Dataset:
    # The texts that an option cleans hold the patient's name, all else is its own.
    ds = Dataset()
    for row in table.rows():
        for tag in row.tags if not row.is_foreign else ():
            element = table.element_of(row, tag)
            if cleaned_by and row.option(cleaned_by) == "C" and element.VR in _TEXT_VRS:
                element.value = _PLANTED_TEXT
            ds.add(element)
    return ds


@cache
def _original(cleaned_by: str | None = None) -> Dataset:
    ds = _planted(cleaned_by)
    ds.update(basic_dataset())
    ds.update(nested(_planted(cleaned_by), _DEPTH_2))
    return ds


@cache
def _outputs(option: str, *, texts: bool = False) -> tuple[Dataset, Dataset]:
    plan = plan_of(options=frozenset({_COLUMNS[option]}))
    ds = deidentify(_original(option if texts else None), plan).dataset
    return ds, table.at(ds, _DEPTH_2_TAGS)


def _rows(option: str, code: str) -> list[tuple[table.Row, int]]:
    return [
        (row, tag)
        for row in table.rows()
        if row.option(option) == code and not row.is_foreign
        for tag in row.tags
    ]


def test_every_available_option_is_tested() -> None:
    assert set(_COLUMNS.values()) == AVAILABLE_OPTIONS


@pytest.mark.parametrize("option", _COLUMNS)
def test_k_keeps_what_is_no_sequence_byte_for_byte(option: str) -> None:
    original = _original()
    outer, inner = _outputs(option)
    changed = []
    for row, tag in _rows(option, "K"):
        if original[tag].VR == "SQ":
            continue
        changed += [row.label for ds in (outer, inner) if tag not in ds]
        expected = {str(original[tag].value), str(table.element_of(row, tag).value)}
        changed += [row.label for ds in (outer, inner) if str(ds[tag].value) not in expected]
    assert changed == []


@pytest.mark.parametrize("option", _COLUMNS)
def test_k_and_c_keep_sequences_and_look_into_them(option: str) -> None:
    faults = []
    for row, tag in _rows(option, "K") + _rows(option, "C"):
        if table.vr_of(row, tag) != "SQ":
            continue
        for ds in _outputs(option):
            if tag not in ds or not ds[tag].value:
                faults.append(row.label)
                continue
            item = ds[tag].value[0]
            uid = f"{ROOT}8.{row.number}"
            if table.word(row, "i") in str(item.PatientName):
                faults.append(row.label)
            if (item.ReferencedSOPInstanceUID == uid) is not (option == "retain_uids"):
                faults.append(row.label)
    assert faults == []


@pytest.mark.parametrize("option", _COLUMNS)
def test_where_an_option_says_nothing_the_profile_holds(option: str) -> None:
    faults = {}
    for row, tag in _rows(option, ""):
        for ds in _outputs(option):
            fault = table.fault(row, tag, row.basic, ds.get(tag))
            if fault:
                faults[row.label] = fault
    assert faults == {}


@pytest.mark.parametrize("option", _COLUMNS)
def test_c_cleans_the_identity_out_of_texts_and_keeps_the_rest(option: str) -> None:
    faults = {}
    for row, tag in _rows(option, "C"):
        # The comment of an overlay goes with its plane, whose bits may be writing.
        is_text = table.vr_of(row, tag) in _TEXT_VRS and tag >> 24 != _OVERLAYS
        # A zone has no words.
        is_text = is_text and row.name != "Timezone Offset From UTC"
        for ds in _outputs(option, texts=True) if is_text else ():
            value = str(ds[tag].value) if tag in ds else ""
            if value != "Kp":
                faults[row.label] = value
    assert faults == {}


def test_clean_graphics_leaves_nothing_of_overlays_and_curves() -> None:
    for ds in _outputs("clean_graphics"):
        assert [element for element in ds if element.tag.group >> 8 in (_CURVES, _OVERLAYS)] == []


def test_two_options_that_say_the_same_are_one_on_the_label() -> None:
    """(0012,0064) has the options whose actions ran: full dates come before modified ones."""
    options = {Option.RETAIN_LONGITUDINAL_FULL_DATES, Option.RETAIN_LONGITUDINAL_MODIFIED_DATES}
    ds = deidentify(_original(), plan_of(options=frozenset(options))).dataset
    codes = [item.CodeValue for item in ds.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113106"]


@pytest.mark.parametrize("option", ["retain_device_identity", "clean_descriptors"])
def test_c_on_what_has_no_words_falls_back_to_the_profile(option: str) -> None:
    faults = {}
    for row, tag in _rows(option, "C"):
        if table.vr_of(row, tag) in (*_TEXT_VRS, "SQ"):
            continue
        for ds in _outputs(option):
            fault = table.fault(row, tag, row.basic, ds.get(tag))
            if fault:
                faults[row.label] = fault
    assert faults == {}


def _day(element: DataElement) -> dt.date:
    text = str(element.value)
    return dt.date(int(text[:4]), int(text[4:6]), int(text[6:8]))


def test_modified_dates_are_all_shifted_by_the_same_days() -> None:
    original = _original()
    shifts = set()
    for _, tag in _rows("retain_longitudinal_modified_dates", "C"):
        if original[tag].VR not in ("DA", "DT"):
            continue
        for ds in _outputs("retain_longitudinal_modified_dates"):
            shifts.add(_day(original[tag]) - _day(ds[tag]))
            assert str(ds[tag].value)[8:] == str(original[tag].value)[8:]
    assert len(shifts) == 1
    assert shifts.pop() > dt.timedelta(days=30)


def test_modified_dates_leave_the_time_of_day_as_it_is() -> None:
    original = _original()
    for row, tag in _rows("retain_longitudinal_modified_dates", "C"):
        if row.vr == "TM":
            for ds in _outputs("retain_longitudinal_modified_dates"):
                assert str(ds[tag].value) == str(original[tag].value), row.label


@pytest.mark.parametrize(
    ("option", "label"),
    [
        ("clean_descriptors", "REMOVED"),
        ("retain_longitudinal_full_dates", "UNMODIFIED"),
        ("retain_longitudinal_modified_dates", "MODIFIED"),
    ],
)
def test_the_label_says_what_happened_to_the_dates(option: str, label: str) -> None:
    assert _outputs(option)[0].LongitudinalTemporalInformationModified == label


@pytest.mark.parametrize("option", _COLUMNS)
def test_the_label_names_the_profile_and_the_option(option: str) -> None:
    codes = {
        "retain_uids": "113110",
        "retain_device_identity": "113109",
        "retain_institution_identity": "113112",
        "retain_patient_characteristics": "113108",
        "retain_longitudinal_full_dates": "113106",
        "retain_longitudinal_modified_dates": "113107",
        "clean_descriptors": "113105",
        "clean_structured_content": "113104",
        "clean_graphics": "113103",
        "retain_safe_private": "113111",
    }  # PS3.16 CID 7050
    sequence = _outputs(option)[0].DeidentificationMethodCodeSequence
    assert [item.CodeValue for item in sequence] == ["113100", codes[option]]
    assert {item.CodingSchemeDesignator for item in sequence} == {"DCM"}
