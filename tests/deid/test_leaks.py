"""The guard: the object's own identifiers go wherever they turn up, and nothing else does."""

import pytest
from pydicom.dataset import Dataset
from support_deid import (
    EXPLICIT,
    IMPLICIT,
    NAME,
    PATIENT_ID,
    STUDY_UID,
    Output,
    basic_dataset,
    decode,
    deidentify,
    encode,
    plan_of,
)

from dicomanon_node.deid import leaks
from dicomanon_node.deid.rules import ActionKind, Option, RuleAction
from dicomanon_node.errors import Reason, Refused

KEEP = RuleAction(ActionKind.KEEP)
# Exposure Control Mode Description, LT, and Trigger Source or Type, LO: not in the table.
COMMENT, LABEL = 0x00187062, 0x00181061
DESCRIPTIONS = frozenset({Option.CLEAN_DESCRIPTORS})


def _said(text: str, character_set: str | None = None, **attributes: object) -> Dataset:
    ds = basic_dataset(**attributes)
    if character_set:
        ds.SpecificCharacterSet = character_set
    ds.add_new(COMMENT, "LT", text)
    return ds


def _left(output: Output) -> str:
    return str(output.dataset[COMMENT].value)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("seen Quillfeather today", "seen today"),
        ("seen QUILLFEATHER, OTTOLINE today", "seen today"),
        ("seen quillfeather_ottoline today", "seen today"),
        ("seen Ottoline Quillfeather today", "seen today"),
        ("seen OttolineQuillfeather today", "seen today"),
        ("seen Quillfeather2 today", "seen 2 today"),
        ("seen OQuillfeather today", "seen today"),
        ("MRN7741902 today", "today"),
        ("mrn7741902 today", "today"),
        ("MRN-7741902 today", "today"),
        ("7741902 today", "today"),
        ("Quillfeather", "-"),
        (f"study {STUDY_UID} today", "study today"),
        (f"study {STUDY_UID}.0.0.0 today", "study today"),
        ("QUILLFEATHERCT", "-"),
        # What only looks alike stays.
        ("Quillfeat", "Quillfeat"),
        ("study 1.2.826.0.1.3680043.10.543.112", "study 1.2.826.0.1.3680043.10.543.112"),
        ("MRN77419020", "MRN77419020"),
        ("T1 MPRAGE sag 1mm", "T1 MPRAGE sag 1mm"),
    ],
)
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_names_numbers_and_uids_go_and_the_other_words_stay(
    syntax: str, text: str, left: str
) -> None:
    assert _left(deidentify(_said(text), plan_of(), syntax)) == left


@pytest.mark.parametrize("depth", [1, 3])
def test_the_guard_looks_into_items(depth: int) -> None:
    inner = Dataset()
    inner.ScanOptions = ["FS", "QUILLFEATHER"]
    for _ in range(depth):
        outer = Dataset()
        outer.ReferencedInstanceSequence = [inner]
        inner = outer
    ds = basic_dataset(ReferencedInstanceSequence=inner.ReferencedInstanceSequence)
    output = deidentify(ds)
    assert b"QUILLFEATHER" not in output.data
    assert output.header.guarded_count == 1


def test_a_name_deep_in_an_item_is_looked_for_everywhere() -> None:
    item = Dataset()
    item.PersonName = "Marrowby^Tib"
    ds = _said("reported by Marrowby", ReferencedInstanceSequence=[item])
    assert _left(deidentify(ds)) == "reported by"


def test_a_name_in_a_sequence_that_goes_is_looked_for_too() -> None:
    item = Dataset()
    item.PersonName = "Marrowby^Tib"
    ds = _said("reported by Marrowby", ReferencedPatientSequence=[item])
    output = deidentify(ds)
    assert "ReferencedPatientSequence" not in output.dataset
    assert _left(output) == "reported by"


@pytest.mark.parametrize(
    ("keyword", "value", "text", "left"),
    [
        ("PatientBirthDate", "19700203", "born 1970-02-03 in", "born in"),
        ("PatientBirthDate", "19700203", "born 19700203 in", "born in"),
        ("PatientBirthDate", "19700203", "born 03.02.1970 in", "born in"),
        ("PatientBirthDate", "19700203", "born 2/3/1970 in", "born in"),
        ("PatientBirthDate", "19700203", "born 3 Feb 1970 in", "born in"),
        ("PatientBirthDate", "19700203", "born 03-FEB-1970 in", "born in"),
        ("PatientBirthDate", "19700203", "born February 3, 1970 in", "born in"),
        ("PatientBirthDate", "19700203", "born 1970 in", "born 1970 in"),
        ("AccessionNumber", "ACC-99-1234", "see ACC-99-1234 now", "see now"),
        ("AccessionNumber", "ACC-99-1234", "see ACC991234 now", "see now"),
        ("InstitutionName", "Klinik Hinterzarten", "at Hinterzarten now", "at now"),
        ("InstitutionAddress", "Seeweg 12\r\nHinterzarten", "in HINTERZARTEN now", "in now"),
        ("DeviceSerialNumber", "0045567", "device 45567 now", "device 45567 now"),
        ("DeviceSerialNumber", "00455678", "device 455678 now", "device now"),
        ("StationName", "AWP45557", "on AWP45557 now", "on now"),
        ("ReferringPhysicianName", "Dr^Zaunrith", "for Zaunrith now", "for now"),
        ("OperatorsName", "rwestra\\tquist", "by tquist now", "by now"),
        ("OtherPatientIDs", "X991\\X992", "was X992 now", "was now"),
    ],
)
def test_each_attribute_that_identifies_is_looked_for(
    keyword: str, value: str, text: str, left: str
) -> None:
    ds = _said(text)
    setattr(ds, keyword, value.split("\\"))
    assert _left(deidentify(ds)) == left


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        # Words of the trade count only next to another part of the same name.
        ("Head^Test", "HEAD routine test", "HEAD routine test"),
        ("Head^Test", "for Head Test now", "for now"),
        ("Wu^Li", "Wu, Li 3mm", "3mm"),
        ("Wu^Li", "wu 3mm", "wu 3mm"),
        ("Siemens^Anna", "SIEMENS for Siemens Anna", "SIEMENS for"),
        ("Phantom", "PHANTOM scan", "PHANTOM scan"),
        ("Kim^Bo", "kimono, Kim", "kimono"),
        ("O'Sullivan^Mary", "for Sullivan now", "for now"),
        ("Straße^Ägid", "STRASSE, straße, Strasse", "-"),
    ],
)
def test_short_names_and_words_of_the_trade_spare_what_only_shares_them(
    name: str, text: str, left: str
) -> None:
    ds = _said(text, "ISO_IR 192", PatientName=name)
    assert _left(deidentify(ds)) == left


@pytest.mark.parametrize(
    ("character_set", "name", "text"),
    [
        ("ISO_IR 100", "Jérôme^Zoë", "pour JÉRÔME ici"),
        ("ISO_IR 144", "Иванов^Пётр", "для ИВАНОВ тут"),
        ("ISO_IR 126", "Διονυσιος^Νικος", "εδω ΔΙΟΝΥΣΙΟΣ εδω"),
        ("ISO_IR 127", "قباني^لنزار", "هنا قباني ثم"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小東", "見 王小東 先生"),
        ("GB18030", "Wang^XiaoDong=王^小东", "见 小东 先生"),
    ],
)
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_names_in_other_scripts_are_found(
    syntax: str, character_set: str, name: str, text: str
) -> None:
    output = deidentify(_said(text, character_set, PatientName=name), plan_of(), syntax)
    words = set(text.split())
    left = set(_left(output).split())
    assert left < words
    assert len(left) == len(words) - 1


def test_a_name_in_another_character_set_than_the_text_is_found() -> None:
    item = Dataset()
    item.SpecificCharacterSet = "ISO_IR 192"
    item.add_new(COMMENT, "LT", "pour Jérôme")
    ds = basic_dataset(
        SpecificCharacterSet="ISO_IR 100",
        PatientName="Jérôme^Zoë",
        ReferencedInstanceSequence=[item],
    )
    output = deidentify(ds)
    assert output.dataset.ReferencedInstanceSequence[0][COMMENT].value == "pour"


def test_japanese_with_escape_sequences_is_found_and_the_other_words_stay() -> None:
    ds = _said("見 山田 先生", PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう")
    ds.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    body = encode(ds)
    output = deidentify(body)
    assert _left(output) == "見 先生"
    assert b"\x1b$B;3ED" not in output.data


# What must not be hurt.


def test_the_maker_and_its_words_stay_when_the_institution_is_called_the_same() -> None:
    ds = _said(
        "SIEMENS protocol by Siemens",
        InstitutionName="Siemens AG",
        Manufacturer="SIEMENS",
        ManufacturerModelName="Prisma",
    )
    output = deidentify(ds)
    assert output.dataset.Manufacturer == "SIEMENS"
    assert output.dataset.ManufacturerModelName == "Prisma"
    assert _left(output) == "SIEMENS protocol by Siemens"


def test_an_institution_that_is_the_maker_leaves_the_maker() -> None:
    ds = basic_dataset(Manufacturer="FO-DICOM", InstitutionName="FO-DICOM")
    output = deidentify(ds)
    assert output.dataset.Manufacturer == "FO-DICOM"
    assert output.dataset.get("InstitutionName") in (None, "-")


def test_numbers_and_code_strings_of_the_trade_stay() -> None:
    ds = basic_dataset(
        PatientName="Axial^Brain",
        PatientID="12345",
        StudyID="1024",
        Rows=12345,
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
        BodyPartExamined="BRAIN",
        EchoTime="12345",
        SeriesNumber="12345",
        WindowCenter="1024",
    )
    new = deidentify(ds).dataset
    for keyword in ("Rows", "ImageType", "BodyPartExamined", "EchoTime", "SeriesNumber"):
        assert new[keyword].value == ds[keyword].value
    assert new.WindowCenter == 1024


def test_a_code_string_that_is_the_name_loses_that_value_only() -> None:
    ds = basic_dataset(
        ImageType=["ORIGINAL", "PRIMARY", "QUILLFEATHER"], ScanOptions="QUILLFEATHER"
    )
    new = deidentify(ds).dataset
    assert list(new.ImageType) == ["ORIGINAL", "PRIMARY", ""]
    assert new.ScanOptions == "_"


def test_letters_in_a_number_that_are_a_name_go() -> None:
    ds = basic_dataset()
    item = Dataset()
    item.add_new(0x00180050, "LO", "Quillfeather")
    body = encode(ds)
    place = body.index(b"\x20\x00\x0d\x00")
    body = body[:place] + encode(item).replace(b"LO", b"DS", 1) + body[place:]
    assert b"uillfeather" not in deidentify(body).data


def test_what_a_rule_keeps_is_no_identifier_any_more() -> None:
    ds = _said(f"for {PATIENT_ID}", OtherPatientIDs=PATIENT_ID)
    output = deidentify(ds, plan_of(tags={0x00100020: KEEP}))
    assert output.dataset.PatientID == PATIENT_ID
    assert _left(output) == f"for {PATIENT_ID}"
    assert "OtherPatientIDs" not in output.dataset


def test_what_an_option_keeps_is_no_identifier_any_more() -> None:
    ds = _said("at Hinterzarten", InstitutionName="Klinik Hinterzarten")
    plan = plan_of(options=frozenset({Option.RETAIN_INSTITUTION_IDENTITY}))
    output = deidentify(ds, plan)
    assert output.dataset.InstitutionName == "Klinik Hinterzarten"
    assert _left(output) == "at Hinterzarten"


def test_a_kept_descriptor_loses_the_patient_only() -> None:
    ds = basic_dataset(SeriesDescription="T1 Quillfeather sag")
    new = deidentify(ds, plan_of(tags={0x0008103E: KEEP})).dataset
    assert new.SeriesDescription == "T1 sag"


def test_without_a_profile_kept_means_kept() -> None:
    plan = plan_of(profile=None, tags={0x00100010: RuleAction(ActionKind.CLEAR)})
    assert _left(deidentify(_said("for Quillfeather"), plan)) == "for Quillfeather"


def test_an_object_in_which_nothing_survives_is_not_touched_twice() -> None:
    output = deidentify(_said("T1 MPRAGE sag"))
    assert output.header.guarded_count == 0


def test_a_character_set_that_is_the_name_is_refused() -> None:
    body = encode(basic_dataset(SpecificCharacterSet="ISO_IR 100"))
    with pytest.raises(Refused) as refused:
        deidentify(
            body.replace(b"CS\x0a\x00ISO_IR 100", b"CS\x0c\x00QUILLFEATHER"),
        )
    assert refused.value.reason is Reason.LEAK_FOUND


@pytest.mark.parametrize(
    "attributes",
    [
        {"ScanOptions": "QUILLFEATHER"},
        {"PatientName": "Kim^Bo", "ScanOptions": "KIM"},
        {"PatientID": "774-190", "ScanOptions": "774 190"},
        {"PatientBirthDate": "19620403", "ScanOptions": "03APR1962"},
    ],
)
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_what_the_guard_misses_is_refused(
    monkeypatch: pytest.MonkeyPatch, syntax: str, attributes: dict[str, str]
) -> None:
    monkeypatch.setattr(leaks.Guard, "element", lambda *_, **__: None)
    with pytest.raises(Refused) as refused:
        deidentify(basic_dataset(**attributes), plan_of(), syntax)
    assert refused.value.reason is Reason.LEAK_FOUND


def test_what_the_rules_set_is_no_identifier() -> None:
    plan = plan_of(tags={0x00080080: RuleAction(ActionKind.VALUE, value="Klinik Hinterzarten")})
    output = deidentify(_said("at Hinterzarten", InstitutionName="Klinik Hinterzarten"), plan)
    assert output.dataset.InstitutionName == "Klinik Hinterzarten"
    assert output.header.guarded_count == 0


def test_an_instance_where_a_class_should_be_goes() -> None:
    ds = basic_dataset(SOPClassesInStudy=[STUDY_UID, "1.2.840.10008.5.1.4.1.1.2"])
    output = deidentify(ds)
    assert STUDY_UID.encode() not in output.data


def test_what_follows_the_pixel_data_is_guarded_by_the_whole_identity() -> None:
    ds = basic_dataset()
    ds.add_new(0x7FE00010, "OW", bytes(4))
    ds.add_new(0x7FE10010, "LO", "ACME 1.0")
    ds.add_new(0x7FE11001, "LT", f"{NAME} was here")
    output = deidentify(ds, plan_of(removes_private=False))
    assert decode(output.body)[0x7FE11001].value == "was here"


# CleanDescriptors


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("MR Brain W/O contrast", "MR Brain W/O contrast"),
        ("DR CHEST 2 VIEWS", "DR CHEST 2 VIEWS"),
        ("MS protocol", "MS protocol"),
        ("t1_mprage_sag_p2_iso 1.0mm", "t1_mprage_sag_p2_iso 1.0mm"),
        ("ep2d_diff_mddw_20_p2 TE 89 TR 12000", "ep2d_diff_mddw_20_p2 TE 89 TR 12000"),
        ("FOV 256 256 1000", "FOV 256 256 1000"),
        ("software 3.0.10 release 2.1.7", "software 3.0.10 release 2.1.7"),
        ("b=0,1000,2000 120kV 250mAs", "b=0,1000,2000 120kV 250mAs"),
        ("Knee left 1/2", "Knee left 1/2"),
        ("ref. by Dr. Zaunrith today", "ref. by today"),
        ("ref. by Dr Zaunrith today", "ref. by today"),
        ("for Mr. Doe, knee", "for , knee"),
        ("control of 2019-03-04 scan", "control of scan"),
        ("control of 20190304 scan", "control of scan"),
        ("control of 4.3.2019 scan", "control of scan"),
        ("control of 04.03.19 scan", "control of scan"),
        ("call 617-555-0123 now", "call now"),
        ("call +49 761 270 3801 now", "call now"),
        ("mail a.b@example.org now", "mail now"),
        ("MRN 12345678 now", "MRN now"),
        ("uid 1.2.840.113619.2.5 now", "uid now"),
        ("Quillfeather", "-"),
    ],
)
def test_descriptors_lose_what_identifies_and_keep_what_describes(text: str, left: str) -> None:
    ds = basic_dataset(StudyDescription=text)
    new = deidentify(ds, plan_of(options=DESCRIPTIONS)).dataset
    assert new.StudyDescription == left


def test_descriptors_before_the_name_are_cleaned_of_it() -> None:
    ds = basic_dataset(SeriesDescription="T1 Quillfeather", OperatorsName="Marrowby^Tib")
    ds.StudyDescription = "by Marrowby"
    new = deidentify(ds, plan_of(options=DESCRIPTIONS)).dataset
    assert (new.SeriesDescription, new.StudyDescription) == ("T1", "by")


@pytest.mark.parametrize("character_set", ["ISO_IR 100", "ISO_IR 192", "GB18030"])
def test_cleaned_text_stays_in_its_character_set(character_set: str) -> None:
    ds = basic_dataset(SpecificCharacterSet=character_set)
    ds.StudyDescription = (
        "Schädel Quillfeather rückwärts" if "GB" not in character_set else "头部 Quillfeather"
    )
    new = deidentify(ds, plan_of(options=DESCRIPTIONS)).dataset
    assert new.StudyDescription == ds.StudyDescription.replace("Quillfeather ", "").replace(
        " Quillfeather", ""
    )


def test_latin_1_that_is_not_declared_goes_back_as_it_came() -> None:
    ds = basic_dataset(StudyDescription="Schädel Quillfeather")
    body = encode(ds)
    assert b"Sch\xe4del" in body
    output = deidentify(body, plan_of(options=DESCRIPTIONS))
    assert b"Sch\xe4del" in output.data
    assert b"uillfeather" not in output.data
