"""Clean Structured Content: a report keeps what says nothing about anybody."""

import json

import pytest
import support_table as table
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from support_deid import EXPLICIT, IMPLICIT, ROOT, SR, basic_dataset, deidentify, plan_of

from dicomanon_node.deid.rules import ActionKind, Option, RuleAction

SYNTAXES = pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
_ROWS = json.loads((table.DATA / "ps3.15-table-e3-4-1.json").read_text(encoding="utf-8"))["rows"]
_OPTIONS = {
    "": frozenset({Option.CLEAN_STRUCTURED_CONTENT}),
    "retain_uids": frozenset({Option.CLEAN_STRUCTURED_CONTENT, Option.RETAIN_UIDS}),
    "retain_device_identity": frozenset(
        {Option.CLEAN_STRUCTURED_CONTENT, Option.RETAIN_DEVICE_IDENTITY}
    ),
    "retain_institution_identity": frozenset(
        {Option.CLEAN_STRUCTURED_CONTENT, Option.RETAIN_INSTITUTION_IDENTITY}
    ),
    "retain_patient_characteristics": frozenset(
        {Option.CLEAN_STRUCTURED_CONTENT, Option.RETAIN_PATIENT_CHARACTERISTICS}
    ),
    "retain_longitudinal_full_dates": frozenset(
        {Option.CLEAN_STRUCTURED_CONTENT, Option.RETAIN_LONGITUDINAL_FULL_DATES}
    ),
    "retain_longitudinal_modified_dates": frozenset(
        {Option.CLEAN_STRUCTURED_CONTENT, Option.RETAIN_LONGITUDINAL_MODIFIED_DATES}
    ),
    "clean_descriptors": frozenset({Option.CLEAN_STRUCTURED_CONTENT, Option.CLEAN_DESCRIPTORS}),
}
CLEANING = plan_of(options=_OPTIONS[""])
UID = f"{ROOT}77.1"
# "Quillfeather" is the patient, "kepi" is a word of nobody's.
_VALUES = {
    "TEXT": ("TextValue", "kepi Quillfeather"),
    "PNAME": ("PersonName", "Quillfeather^Ottoline"),
    "DATE": ("Date", "20200102"),
    "TIME": ("Time", "112233"),
    "DATETIME": ("DateTime", "20200102112233"),
    "UIDREF": ("UID", UID),
}


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def content(value_type: str, concept: tuple[str, str, str], **attributes: object) -> Dataset:
    item = Dataset()
    item.RelationshipType = "CONTAINS"
    item.ValueType = value_type
    item.ConceptNameCodeSequence = [code(*concept)]
    if value_type in _VALUES:
        setattr(item, *_VALUES[value_type])
    if value_type in ("IMAGE", "COMPOSITE", "WAVEFORM"):
        reference = Dataset()
        reference.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
        reference.ReferencedSOPInstanceUID = UID
        item.ReferencedSOPSequence = [reference]
    if value_type == "NUM":
        measured = Dataset()
        measured.MeasurementUnitsCodeSequence = [code("1", "UCUM", "no units")]
        measured.NumericValue = "12"
        item.MeasuredValueSequence = [measured]
    if value_type == "CODE":
        item.ConceptCodeSequence = [code("R-1", "99X", "kepi")]
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


def report(*items: Dataset, sop_class_uid: str = SR) -> Dataset:
    ds = basic_dataset(SOPClassUID=sop_class_uid, Modality="SR")
    ds.ValueType = "CONTAINER"
    ds.ContentSequence = Sequence(items)
    return ds


def _chosen(row: dict[str, str], option: str) -> str:
    return (option and row[option]) or row["basic_profile"]


def _fault(item: Dataset | None, value_type: str, chosen: str) -> str | None:
    """What Table E.1-1a's words say of a content item; None if it is so."""
    if chosen == "X":
        return None if item is None else "is there"
    if item is None:
        return "is absent"
    if value_type not in _VALUES:
        return None
    keyword, original = _VALUES[value_type]
    found = str(item[keyword].value) if keyword in item else ""
    if chosen == "K":
        # What is kept on purpose still names nobody who is sought elsewhere.
        return None if found in (original, "kepi") else f"{len(found)} characters"
    if chosen == "C" and value_type == "TEXT":
        return None if found == "kepi" else f"{len(found)} characters"
    if chosen == "C" and value_type == "TIME":
        return None if found == original else "is changed"
    return None if found and found != original else "is not replaced"


@SYNTAXES
@pytest.mark.parametrize("option", _OPTIONS)
def test_every_concept_of_the_table_is_acted_upon_by_its_code(option: str, syntax: str) -> None:
    items = [
        content(
            row["value_type"], (row["code_value"], row["scheme_designator"], row["code_meaning"])
        )
        for row in _ROWS
        if row["value_type"] != "CONTAINER"
    ]
    output = deidentify(report(*items), plan_of(options=_OPTIONS[option]), syntax).dataset
    left = {
        (item.ConceptNameCodeSequence[0].CodeValue, item.ValueType): item
        for item in output.ContentSequence
    }
    faults = {}
    for row in _ROWS:
        key = row["code_value"], row["value_type"]
        if row["value_type"] != "CONTAINER":
            chosen = _chosen(row, option)
            fault = _fault(left.get(key), row["value_type"], chosen)
            if fault:
                faults[(*key, row["code_meaning"])] = chosen, fault
    assert faults == {}


@SYNTAXES
def test_what_the_table_does_not_list_keeps_its_words_without_the_identity(syntax: str) -> None:
    finding = ("99-7", "99X", "Kp")
    nested = content("TEXT", finding, TextValue="xyz seen by Dr. Marrowby on 2020-01-02")
    items = [
        content("CONTAINER", finding, ContentSequence=[nested]),
        content("NUM", ("410668003", "SCT", "Length")),
        content("CODE", finding),
        content("PNAME", ("1", "99X", "Kp")),
        content("UIDREF", ("2", "99X", "Kp")),
        content("IMAGE", ("3", "99X", "Kp")),
    ]
    output = deidentify(report(*items), CLEANING, syntax)
    tree = output.dataset.ContentSequence
    assert [item.ValueType for item in tree] == [item.ValueType for item in items]
    words = tree[0].ContentSequence[0].TextValue.split()
    assert "xyz" in words
    assert "Marrowby" not in words
    assert "2020-01-02" not in words
    assert tree[1].MeasuredValueSequence[0].NumericValue == 12
    assert tree[2].ConceptCodeSequence[0].CodeMeaning == "kepi"
    assert tree[3].PersonName
    assert tree[4].UID == tree[5].ReferencedSOPSequence[0].ReferencedSOPInstanceUID != UID
    assert b"Quillfeather" not in output.data


def test_a_listed_concept_under_another_code_is_known_by_its_meaning() -> None:
    items = [content("TEXT", ("99-1", "99LOCAL", "Accession Number"))]
    tree = deidentify(report(*items), CLEANING).dataset.ContentSequence
    assert [item.TextValue for item in tree] == ["-"]


def test_a_concept_with_a_long_code_value_is_known() -> None:
    item = content("TEXT", ("121022", "DCM", "Kp"))
    concept = item.ConceptNameCodeSequence[0]
    concept.LongCodeValue = concept.CodeValue
    del concept.CodeValue
    other = content("NUM", ("410668003", "SCT", "Length"))
    tree = deidentify(report(item, other), CLEANING).dataset.ContentSequence
    assert [item.ValueType for item in tree] == ["NUM"]


def test_items_keep_their_places_where_others_refer_to_them() -> None:
    """PS3.3 C.17.3.2.5: Referenced Content Item Identifier counts positions."""
    pointing = Dataset()
    pointing.RelationshipType = "INFERRED FROM"
    pointing.ReferencedContentItemIdentifier = [1, 2]
    measured = content("NUM", ("410668003", "SCT", "Length"), ContentSequence=[pointing])
    accession = content("TEXT", ("121022", "DCM", "Accession Number"))
    output = deidentify(report(accession, measured), CLEANING)
    tree = output.dataset.ContentSequence
    assert [item.ValueType for item in tree] == ["TEXT", "NUM"]
    assert tree[0].TextValue == "-"
    assert tree[0].ConceptNameCodeSequence[0].CodeValue != "121022"
    assert b"Quillfeather" not in output.data


def test_a_report_that_loses_every_item_still_has_content() -> None:
    items = [content("TEXT", ("121022", "DCM", "Accession Number"))]
    tree = deidentify(report(*items), CLEANING).dataset.ContentSequence
    assert [item.ValueType for item in tree] == ["TEXT"]
    assert tree[0].TextValue == "-"


@pytest.mark.parametrize(
    ("years", "unit", "expected"),
    [("93", "a", "90"), ("90.5", "a", "90"), ("89", "a", "89"), ("100", "mo", "100")],
)
def test_a_subject_age_over_89_years_is_capped(years: str, unit: str, expected: str) -> None:
    age = content("NUM", ("121033", "DCM", "Subject Age"))
    age.MeasuredValueSequence[0].NumericValue = years
    age.MeasuredValueSequence[0].MeasurementUnitsCodeSequence = [code(unit, "UCUM", "unit")]
    plan = plan_of(options=_OPTIONS["retain_patient_characteristics"])
    tree = deidentify(report(age), plan).dataset.ContentSequence
    assert str(tree[0].MeasuredValueSequence[0].NumericValue) == expected


@pytest.mark.parametrize(
    ("age", "expected"),
    [("089Y", "089Y"), ("090Y", "090Y"), ("097Y", "090Y"), ("097M", "097M"),
     ("104Y", "090Y"), ("011D", "011D")],
)  # fmt: skip
def test_a_patient_age_over_89_years_is_capped(age: str, expected: str) -> None:
    plan = plan_of(options=frozenset({Option.RETAIN_PATIENT_CHARACTERISTICS}))
    ds = basic_dataset()
    ds.add_new(0x00101010, "UN", age.encode())
    ds.add_new(0x00541000, "SQ", [])
    inner = Dataset()
    inner.add_new(0x00101010, "AS", "093Y")
    ds.add_new(0x00081125, "SQ", [inner])
    output = deidentify(ds, plan).dataset
    assert output.PatientAge == expected
    assert output[0x00081125].value[0].PatientAge == "090Y"


def test_a_rule_of_the_study_keeps_a_true_age() -> None:
    plan = plan_of(tags={0x00101010: RuleAction(ActionKind.KEEP)})
    assert deidentify(basic_dataset(PatientAge="097Y"), plan).dataset.PatientAge == "097Y"


@SYNTAXES
def test_an_acquisition_context_is_cleaned_like_a_report(syntax: str) -> None:
    ds = basic_dataset()
    ds.AcquisitionContextSequence = [
        content("TEXT", ("1", "99X", "Kp"), TextValue="xyz Quillfeather"),
        content("TEXT", ("121022", "DCM", "Accession Number")),
    ]
    output = deidentify(ds, CLEANING, syntax)
    assert [item.TextValue for item in output.dataset.AcquisitionContextSequence] == ["xyz"]
    assert b"Quillfeather" not in output.data


def test_the_preparation_of_a_specimen_is_cleaned_like_a_report() -> None:
    step = Dataset()
    step.SpecimenPreparationStepContentItemSequence = [
        content("TEXT", ("1", "99X", "Kp"), TextValue="xyz Quillfeather"),
        content("TEXT", ("121022", "DCM", "Accession Number")),
    ]
    specimen = Dataset()
    specimen.SpecimenPreparationSequence = [step]
    ds = basic_dataset()
    ds.SpecimenDescriptionSequence = [specimen]
    output = deidentify(ds, CLEANING).dataset.SpecimenDescriptionSequence[0]
    left = output.SpecimenPreparationSequence[0].SpecimenPreparationStepContentItemSequence
    assert [item.TextValue for item in left] == ["xyz"]


def test_a_rule_of_the_study_comes_before_the_table_of_concepts() -> None:
    plan = plan_of(
        options=_OPTIONS[""], tags={0x0040A160: RuleAction(ActionKind.VALUE, value="zzz")}
    )
    tree = deidentify(report(content("TEXT", ("1", "99X", "Kp"))), plan).dataset.ContentSequence
    assert [item.TextValue for item in tree] == ["zzz"]


def test_a_blob_that_cannot_be_walked_does_not_make_its_content_item_speak() -> None:
    """What stands before a value in its item, and however it is read, does not change its fate."""
    item = content("TEXT", ("121071", "DCM", "Finding"), TextValue="kepi xyz")  # X/D: a dummy
    block = item.private_block(0x0019, "ACME 1.0", create=True)
    block.add_new(0x01, "OB", b"\xfe\xff\x00\xe0\x04\0\0\0abcd")  # looks like an item, is none
    plan = plan_of(options=_OPTIONS[""], removes_private=False)
    tree = deidentify(report(item), plan).dataset.ContentSequence
    assert [found.TextValue for found in tree] == ["-"]
