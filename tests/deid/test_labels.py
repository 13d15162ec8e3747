"""What is added to a de-identified object, and what of the old labels stays."""

import re

import pydicom
import pytest
from pydicom.dataset import Dataset
from support_deid import (
    EXPLICIT,
    IMPLICIT,
    INSTANCE_UID,
    Output,
    basic_dataset,
    deidentify,
    encode,
    plan_of,
)

import dicomanon_node
from dicomanon_node.deid.rules import ActionKind, Option, RuleAction

KEEP = RuleAction(ActionKind.KEEP)


def _code(value: str, meaning: str = "Somebody's method") -> Dataset:
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = "DCM"
    item.CodeMeaning = meaning
    return item


def _codes(output: Output) -> list[str]:
    return [str(item.CodeValue) for item in output.dataset.DeidentificationMethodCodeSequence]


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_the_labels_of_the_basic_profile(syntax: str) -> None:
    ds = deidentify(basic_dataset(StudyDate="20200101"), plan_of(), syntax).dataset
    assert ds.PatientIdentityRemoved == "YES"
    assert list(ds.DeidentificationMethod) == [
        f"dicomanon_node {dicomanon_node.__version__}",
        "rules 0123456789ab",
    ]
    item = ds.DeidentificationMethodCodeSequence[0]
    assert (item.CodeValue, item.CodingSchemeDesignator) == ("113100", "DCM")
    assert item.CodeMeaning == "Basic Application Confidentiality Profile"
    assert ds.LongitudinalTemporalInformationModified == "REMOVED"


def test_a_method_value_fits_its_vr() -> None:
    for value in deidentify(basic_dataset()).dataset.DeidentificationMethod:
        assert len(value) <= 64


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("sequence_is_undefined", [False, True])
@pytest.mark.parametrize("item_is_undefined", [False, True])
def test_methods_that_are_there_are_kept(
    syntax: str, sequence_is_undefined: bool, item_is_undefined: bool
) -> None:
    first, second = _code("113102"), _code("113107")
    first.is_undefined_length_sequence_item = item_is_undefined
    ds = basic_dataset(
        DeidentificationMethod=["Scrubber 1.0", "by hand"],
        DeidentificationMethodCodeSequence=[first, second],
    )
    ds["DeidentificationMethodCodeSequence"].is_undefined_length = sequence_is_undefined
    output = deidentify(ds, plan_of(), syntax)
    assert _codes(output) == ["113102", "113107", "113100"]
    assert list(output.dataset.DeidentificationMethod)[:2] == ["Scrubber 1.0", "by hand"]
    assert len(output.dataset.DeidentificationMethod) == 4


def test_a_code_that_is_there_is_not_added_again() -> None:
    ds = basic_dataset(DeidentificationMethodCodeSequence=[_code("113100")])
    assert _codes(deidentify(ds)) == ["113100"]


def test_a_code_is_not_taken_for_there_because_a_meaning_names_it() -> None:
    ds = basic_dataset(DeidentificationMethodCodeSequence=[_code("113102", "not 113100 at all")])
    assert _codes(deidentify(ds)) == ["113102", "113100"]


def test_identity_in_an_old_method_is_cleaned() -> None:
    ds = basic_dataset(
        DeidentificationMethod=["Quillfeather removed", "by hand"],
        DeidentificationMethodCodeSequence=[_code("113102", "for Ottoline Quillfeather")],
    )
    output = deidentify(ds)
    assert b"uillfeather" not in output.data
    assert "by hand" in output.dataset.DeidentificationMethod
    assert _codes(output) == ["113102", "113100"]


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_labels_do_not_grow_when_it_is_done_again(syntax: str) -> None:
    plan = plan_of(options=frozenset({Option.RETAIN_LONGITUDINAL_MODIFIED_DATES}))
    first = deidentify(basic_dataset(StudyDate="20200101"), plan, syntax)
    second = deidentify(first.body, plan, syntax)
    assert _codes(second) == _codes(first) == ["113100", "113107"]
    assert second.dataset.DeidentificationMethod == first.dataset.DeidentificationMethod
    assert second.dataset.LongitudinalTemporalInformationModified == "MODIFIED"


@pytest.mark.parametrize(
    ("options", "before", "after"),
    [
        (set(), None, "REMOVED"),
        ({Option.RETAIN_LONGITUDINAL_FULL_DATES}, None, "UNMODIFIED"),
        ({Option.RETAIN_LONGITUDINAL_MODIFIED_DATES}, None, "MODIFIED"),
        # Dates that came shifted are kept, but they are not true ones.
        ({Option.RETAIN_LONGITUDINAL_FULL_DATES}, "MODIFIED", "MODIFIED"),
        (set(), "UNMODIFIED", "REMOVED"),
    ],
)
def test_the_temporal_label_says_what_happened(
    options: set[Option], before: str | None, after: str
) -> None:
    ds = basic_dataset(StudyDate="20200101")
    if before:
        ds.LongitudinalTemporalInformationModified = before
    new = deidentify(ds, plan_of(options=frozenset(options))).dataset
    assert new.LongitudinalTemporalInformationModified == after


def test_a_date_deep_in_an_item_counts_for_the_temporal_label() -> None:
    item = Dataset()
    item.RadiopharmaceuticalStartDateTime = "20200101120000"
    ds = basic_dataset(RadiopharmaceuticalInformationSequence=[item])
    plan = plan_of(options=frozenset({Option.RETAIN_LONGITUDINAL_MODIFIED_DATES}))
    assert deidentify(ds, plan).dataset.LongitudinalTemporalInformationModified == "MODIFIED"


def test_without_dates_there_is_nothing_to_retain() -> None:
    plan = plan_of(options=frozenset({Option.RETAIN_LONGITUDINAL_FULL_DATES}))
    new = deidentify(basic_dataset(StudyDate=""), plan).dataset
    assert new.LongitudinalTemporalInformationModified == "REMOVED"


@pytest.mark.parametrize(
    ("tags", "label"),
    [
        ({}, "NO"),
        ({0x00100010: KEEP}, "NO"),
        ({0x00100010: RuleAction(ActionKind.CLEAR)}, "NO"),
        (
            {0x00100010: RuleAction(ActionKind.CLEAR), 0x00100020: RuleAction(ActionKind.HASH)},
            "YES",
        ),
    ],
)
def test_without_a_profile_the_label_does_not_claim_what_the_rules_do_not_do(
    tags: dict[int, RuleAction], label: str
) -> None:
    new = deidentify(basic_dataset(), plan_of(profile=None, tags=tags)).dataset
    assert new.PatientIdentityRemoved == label
    assert "DeidentificationMethodCodeSequence" not in new


def test_rules_cannot_remove_the_labels() -> None:
    delete = RuleAction(ActionKind.DELETE)
    tags = dict.fromkeys((0x00120062, 0x00120063, 0x00120064, 0x00280303), delete)
    new = deidentify(basic_dataset(PatientIdentityRemoved="NO"), plan_of(tags=tags)).dataset
    assert new.PatientIdentityRemoved == "YES"
    assert "DeidentificationMethodCodeSequence" in new


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_the_file_meta_is_new(syntax: str) -> None:
    output = deidentify(basic_dataset(), plan_of(), syntax)
    meta = output.dataset.file_meta
    assert output.data[:132] == bytes(128) + b"DICM"
    assert {e.keyword for e in meta} == {
        "FileMetaInformationGroupLength",
        "FileMetaInformationVersion",
        "MediaStorageSOPClassUID",
        "MediaStorageSOPInstanceUID",
        "TransferSyntaxUID",
        "ImplementationClassUID",
        "ImplementationVersionName",
    }
    assert meta.TransferSyntaxUID == syntax
    assert meta.MediaStorageSOPClassUID == output.dataset.SOPClassUID
    assert meta.MediaStorageSOPInstanceUID == output.dataset.SOPInstanceUID != INSTANCE_UID
    assert meta.ImplementationClassUID.is_valid
    assert re.fullmatch(r"DCMANON_[0-9.]{1,8}", str(meta.ImplementationVersionName))


def test_elements_of_other_groups_do_not_stay_in_the_data_set() -> None:
    meta = Dataset()
    meta.SourceApplicationEntityTitle = "SCANNER1"
    command = Dataset()
    command.MoveDestination = "QUILLFEATHER"
    output = deidentify(encode(command) + encode(meta) + encode(basic_dataset()))
    assert b"SCANNER1" not in output.data
    assert b"QUILLFEATHER" not in output.data


def test_group_lengths_go_at_every_depth() -> None:
    item = Dataset()
    item.add_new(0x00080000, "UL", 44)
    ds = basic_dataset(ReferencedInstanceSequence=[item])
    ds.add_new(0x00100000, "UL", 44)
    ds.add_new(0x00080001, "UL", 4444)
    new = deidentify(ds).dataset
    assert not [e for e in new.iterall() if e.tag.element == 0]
    assert 0x00080001 not in new


def test_names_are_those_in_the_file() -> None:
    ds = basic_dataset(SeriesNumber="7", InstanceNumber="  12 ")
    output = deidentify(ds)
    new = output.dataset
    assert output.header.names == {
        "SOPClassUID": new.SOPClassUID,
        "SOPInstanceUID": new.SOPInstanceUID,
        "Modality": "CT",
        "PatientID": new.PatientID,
        "StudyInstanceUID": new.StudyInstanceUID,
        "SeriesInstanceUID": new.SeriesInstanceUID,
        "SeriesNumber": "7",
        "InstanceNumber": "12",
    }


def test_names_follow_the_rules() -> None:
    delete, clear = RuleAction(ActionKind.DELETE), RuleAction(ActionKind.CLEAR)
    value = RuleAction(ActionKind.VALUE, value="OT")
    plan = plan_of(tags={0x00200011: delete, 0x00080060: value}, vrs={"IS": clear})
    names = deidentify(basic_dataset(SeriesNumber="7", InstanceNumber="12"), plan).header.names
    assert names["SeriesNumber"] == names["InstanceNumber"] == ""
    assert names["Modality"] == "OT"
    added = deidentify(basic_dataset(Modality=None), plan).header.names
    assert added["Modality"] == "OT"


def test_the_output_is_a_file_that_pydicom_takes_for_one() -> None:
    ds = deidentify(basic_dataset()).dataset
    pydicom.dataset.validate_file_meta(ds.file_meta, enforce_standard=True)
