"""An identifier is found in every spelling people and programs have for it."""

import pytest
from support_deid import basic_dataset, deidentify, plan_of

from dicomanon_node.deid.rules import ActionKind, Option, RuleAction
from dicomanon_node.errors import Reason, Refused

MODIFIED_DATES = frozenset({Option.RETAIN_LONGITUDINAL_MODIFIED_DATES})
FULL_DATES = frozenset({Option.RETAIN_LONGITUDINAL_FULL_DATES})
# Software Versions: kept by the profile.
WORDS = ("VX", "T2")


def said(text: str, character_set: str | None = "ISO_IR 192", **attributes: object) -> str:
    """What is left of a text that the profile keeps, in an object about somebody."""
    ds = basic_dataset(**attributes)
    ds.SpecificCharacterSet = character_set
    ds.SoftwareVersions = f"{WORDS[0]} {text} {WORDS[1]}"
    output = deidentify(ds)
    return str(output.dataset.get("SoftwareVersions", ""))


NAMES = [
    ("Müllerström^Anna", spelling)
    for spelling in (
        "Müllerström",
        "Muellerstroem",
        "MULLERSTROM",
        "Mullerstrom",
        "Muellerström",
        "MÜLLERSTRÖM",
        "Mu\u0308llerstro\u0308m",
        "Muller-strom",
    )
]
NAMES += [
    ("Mueller^Gerd", "Müller"),
    ("Muller^Gerd", "Müller"),
    ("Strauss^Gerd", "Strauß"),
    ("Weißkirch^Gerd", "WEISSKIRCH"),
    ("Sørensen^Åge", "Soerensen"),
    ("Sørensen^Åge", "SORENSEN"),
    ("Soerensen^Åge", "Sørensen"),
    ("Håkansson^Bo", "Haakansson"),
    ("Håkansson^Bo", "Hakansson"),
    ("Haakansson^Bo", "Håkansson"),
    ("Kjærgaard^Bo", "Kjaergaard"),
    ("Muñoz^Íñigo", "MUNOZ"),
    ("Munoz^Pepe", "Muñoz"),
    ("Lefèvre^Zoé", "Lefevre"),
    ("Lefevre^Zoe", "LEFÈVRE"),
    ("Garçon^Zoe", "Garcon"),
    ("Dvořáček^Jiří", "Dvoracek"),
    ("Dvoracek^Jiri", "Dvořáček"),
    ("Quillfeather^Ottoline", "Quillfeather's"),
    ("Quillfeather^Ottoline", "Quillfeather\u2019s"),
    ("Quillfeather^Ottoline", "Quillfeathers"),
    ("Quillfeather^Ottoline", "Quill-feather"),
    ("Quillfeather^Ottoline", "QUILL FEATHER"),
    ("Quillfeather^Ottoline", "Quill_feather"),
    ("Quillfeather^Ottoline", "J.Quillfeather"),
    ("Quillfeather^Ottoline", "QUILLFEATHER^OTTOLINE"),
    ("Quillfeather^Ottoline", "Ottoline, Quillfeather"),
    ("Quillfeather^Ottoline", "Ottoline_Quillfeather"),
    ("Quillfeather^Ottoline", "ottoline.quillfeather"),
    ("Quillfeather^Ottoline", "OttolineQuillfeather"),
    ("Quillfeather^Ottoline", "QuillfeatherOttoline"),
    ("Quillfeather^Ottoline", "O. Quillfeather"),
    ("Quillfeather^Ottoline", "Quillfeather, O."),
    ("Quillfeather^Ottoline", "Quillfeather O"),
    ("Quillfeather^Ottoline", "OQuillfeather"),
    ("Quillfeather^Ottoline", "QuillfeatherO"),
    ("Quillfeather^Ottoline", "Q u i l l f e a t h e r"),
    ("Quillfeather^Ottoline", "".join(chr(ord(letter) + 0xFEE0) for letter in "Quillfeather")),
    ("Zorn^Anne-Marie", "Annemarie"),
    ("Zorn^Anne-Marie", "Anne Marie"),
    ("Zorn^Annemarie", "Anne-Marie"),
    ("Иванов^Пётр", "ИВАНОВ"),
    ("Иванов^Пётр", "Петр"),
    ("Διονύσιος^Νίκος", "ΔΙΟΝΥΣΙΟΣ"),
    ("Yamada^Tarou=山田^太郎=やまだ^たろう", "山田太郎"),
    ("Yamada^Tarou=山田^太郎=やまだ^たろう", "山田 太郎"),
    ("Yamada^Tarou=山田^太郎=やまだ^たろう", "ヤマダ"),
    ("Yamada^Tarou=山田^太郎=やまだ^たろう", "ﾔﾏﾀﾞ"),
    ("Hong^Gildong=洪^吉洞=홍^길동", "홍길동"),
    ("Hong^Gildong=洪^吉洞=홍^길동", "홍 길동"),
    ("Wang^XiaoDong=王^小東", "Xiao Dong"),
    ("Wang^XiaoDong=王^小東", "王小東"),
]


@pytest.mark.parametrize(("name", "spelling"), NAMES)
def test_a_name_goes_in_every_spelling(name: str, spelling: str) -> None:
    left = said(spelling, PatientName=name)
    rest = left.replace(WORDS[0], "").replace(WORDS[1], "").strip(" .,J")
    assert not rest
    assert left == "-" or all(word in left for word in WORDS)


@pytest.mark.parametrize(
    ("number", "spelling"),
    [
        ("774-19-02", "774 19 02"),
        ("774-19-02", "7741902"),
        ("774 19 02", "774.19.02"),
        ("7741902", "774-1902"),
        ("7741902", "774.1902"),
        ("7741902", "774_1902"),
        ("7741902", "7 741 902"),
        ("7741902", "0007741902"),
        ("0007741902", "7741902"),
        ("7741902", "MRN7741902"),
        ("7741902", "7741902-A"),
        ("7741902", "(7741902)"),
        ("7741902", "#7741902"),
        ("MRN7741902", "7741902"),
        ("MRN7741902", "MRN-7741902"),
        ("MRN7741902", "mrn 7741902"),
        ("AB-12345", "AB12345"),
        ("AB12345", "AB-12345"),
        ("AB12345", "ab 12345"),
        ("A7741902/3", "A7741902"),
    ],
)
def test_a_number_goes_whatever_separates_its_figures(number: str, spelling: str) -> None:
    left = said(spelling, PatientID=number)
    figures = "".join(character for character in left if character.isdigit())
    assert figures in ("", "2", "32")
    assert all(word in left for word in WORDS)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("7741902", "77419021"),
        ("7741902", "17741902"),
        ("123", "123"),
        ("12345", "1.12345"),
        ("12345", "12 345"),
    ],
)
def test_what_only_holds_the_figures_of_a_number_stays(number: str, text: str) -> None:
    assert said(text, PatientID=number) == f"VX {text} T2"


DAYS = (
    "19620403|1962-04-03|1962-4-3|1962/04/03|1962.04.03|1962_04_03|1962 04 03|03.04.1962|3.4.1962"
    "|03/04/1962|04/03/1962|4/3/1962|03-04-1962|3.4.62|03.04.62|04/03/62|03/04/62|4-3-62|62-04-03"
    "|62/04/03|3 April 1962|3. April 1962|03 APR 1962|03APR1962|03-APR-1962|3-Apr-62|3 Apr 62"
    "|April 3 1962|April 3, 1962|April 3rd 1962|April 3rd, 1962|Apr 3 62|3rd of April 1962"
    "|1962 Apr 03|1962Apr03|1962-APR-03|3 avril 1962|19620403101500|19620403T1015|03041962"
)


@pytest.mark.parametrize("day", DAYS.split("|"))
def test_the_birth_date_goes_in_every_spelling(day: str) -> None:
    assert said(day, PatientBirthDate="19620403") == "VX T2"


@pytest.mark.parametrize(
    ("birth", "day"),
    [
        ("19620303", "3. März 1962"),
        ("19620303", "3 Maerz 1962"),
        ("19621203", "03. Dezember 1962"),
        ("19621003", "3. Okt. 1962"),
        ("19620203", "3 février 1962"),
        ("19620803", "3 AOÛT 1962"),
    ],
)
@pytest.mark.parametrize("character_set", ["ISO_IR 100", "ISO_IR 192"])
def test_months_have_german_and_french_names_too(character_set: str, birth: str, day: str) -> None:
    assert said(day, character_set, PatientBirthDate=birth) == "VX T2"


@pytest.mark.parametrize("text", ["620403", "1962", "3462", "1.3.4.62", "3.4.621", "13.4.62"])
def test_what_is_less_than_a_date_or_more_stays(text: str) -> None:
    assert said(text, PatientBirthDate="19620403") == f"VX {text} T2"


def _examined(options: frozenset[Option], text: str) -> str:
    ds = basic_dataset(StudyDate="20230405", SeriesDate="20230405")
    ds.ScanOptions = "FS"
    ds.SoftwareVersions = f"VX {text} T2"
    return str(deidentify(ds, plan_of(options=options)).dataset.SoftwareVersions)


@pytest.mark.parametrize("day", ["20230405", "2023-04-05", "5.4.23", "04/05/23", "5 Apr 2023"])
@pytest.mark.parametrize("options", [frozenset(), MODIFIED_DATES])
def test_the_true_day_of_a_study_goes_where_dates_are_removed_or_shifted(
    options: frozenset[Option], day: str
) -> None:
    assert _examined(options, day) == "VX T2"


def test_the_day_of_a_study_is_no_identifier_where_dates_are_kept() -> None:
    ds = basic_dataset(StudyDate="20230405", PatientBirthDate="20230405", ScanOptions="20230405")
    keep = {0x00180022: RuleAction(ActionKind.KEEP)}
    kept = deidentify(ds, plan_of(tags=keep, options=FULL_DATES)).dataset
    assert kept.StudyDate == "20230405"
    ds.PatientBirthDate = "19620403"
    kept = deidentify(ds, plan_of(tags=keep, options=FULL_DATES)).dataset
    assert kept.ScanOptions == "20230405"


@pytest.mark.parametrize(
    "keyword",
    [
        "ClinicalTrialProtocolName",
        "ClinicalTrialSiteID",
        "ClinicalTrialSiteName",
        "ClinicalTrialSubjectID",
        "ClinicalTrialSponsorName",
        "IssuerOfPatientID",
        "PatientTelecomInformation",
        "StudyID",
        "DeviceID",
        "PlateID",
        "CassetteID",
        "GantryID",
        "GeneratorID",
        "DetectorID",
        "ContainerIdentifier",
        "SpecimenIdentifier",
        "StationAETitle",
        "RetrieveAETitle",
        "ScheduledStationName",
        "PerformedStationName",
        "PerformedStationAETitle",
        "PerformedLocation",
        "ScheduledProcedureStepLocation",
        "UniqueDeviceIdentifier",
        "SourceSerialNumber",
        "OtherPatientIDs",
        "AdmissionID",
        "InsurancePlanIdentification",
        "PlacerOrderNumberImagingServiceRequest",
        "TreatmentMachineName",
        "SlideIdentifier",
    ],
)
def test_what_identifies_in_the_table_is_looked_for_elsewhere(keyword: str) -> None:
    assert said("OX77123", **{keyword: "OX77123"}) == "VX T2"


@pytest.mark.parametrize("uid", ["1.2.3.77419021", "1.2.3.19620403", "1.2.99774190219.1"])
def test_a_class_that_has_the_patients_number_or_birth_date_goes(uid: str) -> None:
    ds = basic_dataset(PatientID="77419021", PatientBirthDate="19620403", ContextUID=uid)
    output = deidentify(ds)
    assert uid.encode() not in output.data


def test_a_class_of_an_object_that_has_the_patients_number_refuses_it() -> None:
    ds = basic_dataset(PatientID="MRN7741902", SOPClassUID="1.2.840.99.7741902")
    with pytest.raises(Refused) as refused:
        deidentify(ds)
    assert refused.value.reason is Reason.ACTION_FAILED


def test_another_class_of_no_standard_stays() -> None:
    ds = basic_dataset(PatientID="77419021", ContextUID="1.2.3.7741902")
    assert deidentify(ds).dataset.ContextUID == "1.2.3.7741902"
