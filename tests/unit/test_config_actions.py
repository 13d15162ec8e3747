"""Actions of studies.json against the VRs they are for (A6, A10, A11, A16)."""

import pytest
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import dictionary_VR

from dicomanon_node.config.studies import compile_studies
from dicomanon_node.deid.rules import ActionKind, PrivateTag, RuleAction, StudyRules
from dicomanon_node.errors import Problem

FILE = "studies.json"
STANDARD = {entry[4]: tag for tag, entry in DicomDictionary.items()}
NOTHING = StudyRules("could not be compiled")
TAG = {
    "AE": "RetrieveAETitle", "AS": "PatientAge", "AT": "FrameIncrementPointer",
    "CS": "BodyPartExamined", "DA": "StudyDate", "DS": "PatientWeight",
    "DT": "AcquisitionDateTime", "FD": "DiffusionBValue", "FL": "ExaminedBodyThickness",
    "IS": "SeriesNumber", "LO": "PatientID", "LT": "PatientComments", "OB": "MAC",
    "OW": "RedPaletteColorLookupTableData", "PN": "PatientName", "SH": "AccessionNumber",
    "SL": "ReferencePixelX0", "SQ": "RequestAttributesSequence", "SS": "TagAngleSecondAxis",
    "ST": "InstitutionAddress", "TM": "StudyTime", "UC": "LongCodeValue",
    "UI": "FrameOfReferenceUID", "UL": "SimpleFrameList", "UR": "RetrieveURL", "US": "Rows",
    "UT": "TextValue",
}  # fmt: skip
SECRET = "a1b2c3d4e5f60718293a4b5c6d7e8f90"  # noqa: S105  (made up for these tests)


def compiled(
    tags: object = None, vrs: object = None, **settings: object
) -> tuple[StudyRules, list[Problem], list[Problem]]:
    study = {"AnonymizeTag": tags or {}, "AnonymizeVR": vrs or {}, **settings}
    studies, problems, warnings = compile_studies({"s": study}, FILE)
    return studies.get("s", NOTHING), problems, warnings


def one(keyword: str, **action: object) -> RuleAction:
    """The rule that one element gets."""
    study, problems, _ = compiled({keyword: action})
    assert not problems
    return study.tags[STANDARD[keyword]]


def faulty(keyword: str, **action: object) -> tuple[str, str]:
    """The only problem of one element: its path from the element on, and its message."""
    _, problems, _ = compiled({keyword: action})
    assert len(problems) == 1, problems
    return problems[0].path.removeprefix("s.AnonymizeTag."), problems[0].message


def test_the_examples_have_the_vrs_they_stand_for() -> None:
    assert {vr: dictionary_VR(keyword) for vr, keyword in TAG.items()} == {vr: vr for vr in TAG}


@pytest.mark.parametrize("vr", sorted(TAG))
@pytest.mark.parametrize("kind", ["delete", "clear", "keep"])
def test_delete_clear_and_keep_are_for_every_vr(vr: str, kind: str) -> None:
    assert one(TAG[vr], action=kind) == RuleAction(ActionKind(kind))


def test_an_entry_without_action_deletes() -> None:
    assert one("PatientID") == RuleAction(ActionKind.DELETE)


@pytest.mark.parametrize("kind", list(ActionKind))
def test_a11_an_unknown_action_names_its_path_and_the_seven_actions(kind: str) -> None:
    path, message = faulty("PatientID", action="scramble")
    assert path == "PatientID.action"
    assert kind in message


def test_a11_an_action_in_another_case_is_unknown_with_the_right_one_named() -> None:
    _, message = faulty("PatientID", action="Clear")
    assert 'did you mean "clear"' in message


@pytest.mark.parametrize("action", [None, "delete", ["delete"], 5])
def test_an_action_must_be_an_object(action: object) -> None:
    _, problems, _ = compiled({"PatientID": action})
    assert [problem.path for problem in problems] == ["s.AnonymizeTag.PatientID"]


def test_a6_tag_and_vr_rules_stand_beside_each_other() -> None:
    study, problems, _ = compiled({"PatientID": {"action": "keep"}}, {"LO": {"action": "delete"}})
    assert not problems
    assert study.tags == {0x00100020: RuleAction(ActionKind.KEEP)}
    assert study.vrs == {"LO": RuleAction(ActionKind.DELETE)}


@pytest.mark.parametrize("vr", ["AE", "CS", "LO", "LT", "PN", "SH", "SQ", "ST", "UC", "UT"])
def test_a10_hash_is_for_vrs_that_can_hold_a_hash_or_a_cut_of_it(vr: str) -> None:
    assert one(TAG[vr], action="hash") == RuleAction(ActionKind.HASH)
    study, problems, _ = compiled(vrs={vr: {"action": "hash", "salt": SECRET}})
    assert not problems
    assert study.vrs == {vr: RuleAction(ActionKind.HASH, salt=SECRET)}


@pytest.mark.parametrize(
    "vr", ["AS", "AT", "DA", "DS", "DT", "FD", "FL", "IS", "OB", "OW", "SL", "SS", "TM", "UI", "UL",
           "US"]
)  # fmt: skip
def test_a10_hash_of_what_cannot_hold_text_is_refused(vr: str) -> None:
    path, message = faulty(TAG[vr], action="hash")
    assert path == TAG[vr]
    assert vr in message


def test_hash_of_a_date_or_uid_names_the_cure() -> None:
    assert "regen" in faulty("StudyDate", action="hash")[1]
    assert "regen" in faulty("FrameOfReferenceUID", action="hash")[1]


@pytest.mark.parametrize("vr", ["UI", "DA", "DT", "TM"])
@pytest.mark.parametrize("parameter", ["seed", "entropy_src"])
def test_regen_takes_its_salt_in_both_spellings(vr: str, parameter: str) -> None:
    expected = RuleAction(ActionKind.REGEN, salt=SECRET)
    assert one(TAG[vr], action="regen", **{parameter: SECRET}) == expected


def test_two_spellings_that_differ_are_refused_without_the_values() -> None:
    path, message = faulty(
        "FrameOfReferenceUID", action="regen", seed=SECRET, entropy_src="0ther-and-longer"
    )
    assert path == "FrameOfReferenceUID.entropy_src"
    assert SECRET not in message
    assert "0ther" not in message


@pytest.mark.parametrize("vr", sorted(set(TAG) - {"UI", "DA", "DT", "TM"}))
def test_regen_of_anything_but_uids_and_dates_is_refused(vr: str) -> None:
    assert vr in faulty(TAG[vr], action="regen")[1]


@pytest.mark.parametrize("vr", ["DA", "DT", "TM"])
def test_offset_without_amount_is_the_patients_day_shift(vr: str) -> None:
    assert one(TAG[vr], action="offset") == RuleAction(ActionKind.OFFSET)
    assert one(TAG[vr], action="offset", seed=SECRET) == RuleAction(ActionKind.OFFSET, salt=SECRET)


@pytest.mark.parametrize("parameter", ["delta", "value"])
@pytest.mark.parametrize(
    ("seconds", "days"), [(86400, 1), (-86400, -1), (-86400.0, -1), ("864000", 10), (31536000, 365)]
)
def test_offset_of_dates_is_seconds_that_make_whole_days(
    parameter: str, seconds: object, days: float
) -> None:
    expected = RuleAction(ActionKind.OFFSET, amount=days)
    assert one("StudyDate", action="offset", **{parameter: seconds}) == expected


@pytest.mark.parametrize("vr", ["DA", "DT", "TM"])
@pytest.mark.parametrize("seconds", [1, 3600, 86401, -43200, 86400.5, 465265356])
def test_offset_that_would_tear_dates_and_times_apart_is_refused(vr: str, seconds: object) -> None:
    path, message = faulty(TAG[vr], action="offset", delta=seconds)
    assert path == f"{TAG[vr]}.delta"
    assert "whole number of days" in message
    assert "DA, TM and DT" in message


@pytest.mark.parametrize("amount", [0, 86400 * 40_000, "a day", True, [1], {}])
def test_offset_by_nothing_or_by_no_sensible_amount_is_refused(amount: object) -> None:
    assert faulty("StudyDate", action="offset", delta=amount)[0] == "StudyDate.delta"


def test_offset_by_two_amounts_or_by_amount_and_seed_is_refused() -> None:
    assert "differs" in faulty("StudyDate", action="offset", delta=86400, value=-86400)[1]
    assert faulty("StudyDate", action="offset", delta=86400, seed=SECRET)[0] == "StudyDate.seed"
    same = one("StudyDate", action="offset", delta=86400, value=86400)
    assert same == RuleAction(ActionKind.OFFSET, amount=1)


@pytest.mark.parametrize("vr", ["IS", "DS", "US", "SS", "UL", "SL", "FL", "FD"])
def test_offset_of_numbers_is_added(vr: str) -> None:
    assert one(TAG[vr], action="offset", delta=-5) == RuleAction(ActionKind.OFFSET, amount=-5)
    assert "needs delta" in faulty(TAG[vr], action="offset")[1]


def test_offset_of_whole_numbers_is_whole() -> None:
    assert faulty("SeriesNumber", action="offset", delta=0.5)[0] == "SeriesNumber.delta"
    assert one("PatientWeight", action="offset", delta=0.5).amount == 0.5


@pytest.mark.parametrize("vr", ["AE", "AS", "AT", "CS", "LO", "OB", "PN", "SQ", "UI", "UT"])
def test_offset_of_anything_else_is_refused(vr: str) -> None:
    assert vr in faulty(TAG[vr], action="offset", delta=86400)[1]


@pytest.mark.parametrize(
    ("vr", "value", "text"),
    [
        ("AE", "RESEARCH", "RESEARCH"),
        ("AS", "045Y", "045Y"),
        ("CS", "HEAD", "HEAD"),
        ("DA", "20000101", "20000101"),
        ("DS", 70.5, "70.5"),
        ("DS", "7e1", "7e1"),
        ("DT", "20000101123000.5+0100", "20000101123000.5+0100"),
        ("DT", "2000", "2000"),
        ("FD", 1000, "1000"),
        ("IS", 3, "3"),
        ("IS", "-3", "-3"),
        ("LO", "Lande^URMC", "Lande^URMC"),
        ("LO", "  ", "  "),
        ("LT", "two\r\nlines \\ one value", "two\r\nlines \\ one value"),
        ("PN", "ANON^EXAMPLE", "ANON^EXAMPLE"),
        ("SH", "sixteen is right", "sixteen is right"),
        ("SL", -1, "-1"),
        ("TM", "1230", "1230"),
        ("UI", "2.25.1", "2.25.1"),
        ("UL", 7, "7"),
        ("US", 65535, "65535"),
        ("UT", "long " * 100, "long " * 100),
    ],
)
def test_value_is_kept_as_it_would_be_written(vr: str, value: object, text: str) -> None:
    expected = RuleAction(ActionKind.VALUE, value=text)
    assert one(TAG[vr], action="value", value=value) == expected


@pytest.mark.parametrize("action", [{}, {"value": None}, {"value": ""}])
def test_value_without_a_value_clears(action: dict[str, object]) -> None:
    assert one("PatientID", action="value", **action) == RuleAction(ActionKind.VALUE)


@pytest.mark.parametrize(
    ("vr", "value"),
    [
        ("AE", "seventeen letters"),
        ("AS", "45"),
        ("AS", "Anonymous"),
        ("CS", "lower"),
        ("DA", "Anonymous"),
        ("DA", "20000230"),
        ("DA", "20000101-20001231"),
        ("DA", "2000-01-01"),
        ("DS", "heavy"),
        ("DS", "1" * 17),
        ("DT", "20000230"),
        ("FD", "inf"),
        ("FL", 1e39),
        ("IS", "1.5"),
        ("IS", 2**31 + 7),
        ("LO", "x" * 65),
        ("LO", "two\nlines"),
        ("LO", "\x1b$B"),
        ("PN", "x" * 65),
        ("SH", "this is seventeen"),
        ("SL", 2**31 + 7),
        ("TM", "2561"),
        ("TM", "10-11"),
        ("UI", "1.02.3"),
        ("UI", "1.2.x"),
        ("UR", "no url at all"),
        ("US", -1),
        ("US", 65536),
        ("US", "many"),
        ("PN", "Ünicode\x00"),
        ("CS", "ÄRM"),
    ],
)
def test_value_that_the_vr_cannot_hold_is_refused_unseen(vr: str, value: object) -> None:
    path, message = faulty(TAG[vr], action="value", value=value)
    assert path == f"{TAG[vr]}.value"
    assert str(value) not in message


@pytest.mark.parametrize("value", [True, {"a": 1}, [["nested"]], [None]])
def test_value_that_is_no_text_or_number_is_refused(value: object) -> None:
    assert faulty("PatientID", action="value", value=value)[0] == "PatientID.value"


@pytest.mark.parametrize("vr", ["SQ", "OB", "OW", "AT"])
def test_value_of_binary_data_and_sequences_is_refused(vr: str) -> None:
    assert vr in faulty(TAG[vr], action="value", value="x")[1]


@pytest.mark.parametrize("value", ["DAnow", "TMnow", "DTnow", "danow"])
@pytest.mark.parametrize("keyword", ["StudyDate", "StudyTime", "StudyDescription"])
def test_the_time_of_processing_is_refused_with_the_reason(keyword: str, value: object) -> None:
    _, message = faulty(keyword, action="value", value=value)
    assert "the same object must give the same bytes on any day" in message


def test_several_values_are_joined_and_counted() -> None:
    spacing = one("PixelSpacing", action="value", value=[0.5, 0.5])
    assert spacing == RuleAction(ActionKind.VALUE, value="0.5\\0.5")
    assert one("PixelSpacing", action="value", value="0.5\\0.5") == spacing
    assert "3 values" in faulty("PixelSpacing", action="value", value=[1, 2, 3])[1]
    assert "2 values" in faulty("PatientID", action="value", value="a\\b")[1]
    assert one("OtherPatientIDs", action="value", value="a\\b").value == "a\\b"  # VM 1-n
    assert faulty("OtherPatientIDs", action="value", value=["a\\b", "c"])[0] == (
        "OtherPatientIDs.value"
    )


def test_each_of_several_values_is_checked() -> None:
    assert faulty("OtherPatientIDs", action="value", value="a\\" + "x" * 65)


def test_text_beyond_ascii_is_allowed_with_a_warning() -> None:
    study, problems, warnings = compiled(
        {"InstitutionName": {"action": "value", "value": "Universität"}}
    )
    assert not problems
    assert study.tags[0x00080080].value == "Universität"
    assert ["character set" in warning.message for warning in warnings] == [True]


@pytest.mark.parametrize(
    ("action", "parameter"),
    [
        ({"action": "delete", "value": "x"}, "value"),
        ({"action": "clear", "salt": SECRET}, "salt"),
        ({"action": "keep", "delta": 1}, "delta"),
        ({"action": "value", "value": "x", "salt": SECRET}, "salt"),
        ({"action": "hash", "seed": SECRET}, "seed"),
        ({"action": "regen", "salt": SECRET}, "salt"),
    ],
)
def test_a_parameter_that_an_action_does_not_use_is_refused(
    action: dict[str, object], parameter: str
) -> None:
    path, message = faulty("PatientID", **action)
    assert path == f"PatientID.{parameter}"
    assert SECRET not in message


def test_an_unknown_parameter_is_refused_with_the_nearest() -> None:
    path, message = faulty("PatientID", action="hash", slat=SECRET)
    assert path == "PatientID.slat"
    assert 'did you mean "salt"' in message
    assert SECRET not in message


PUBLISHED = [
    "be76acfcfdb04e64ba7525dbf745fe5f",
    "BE76ACFC-FDB0-4E64-BA75-25DBF745FE5F",
    "change me",
    "Change Me",
    "CHANGE_ME",
    " change-me ",
    "ARandomSeed",
    "a random string",
    "arandomstring",
    "",
    "   ",
]


@pytest.mark.parametrize("salt", PUBLISHED)
def test_a16_published_salts_are_refused_wherever_a_salt_may_stand(salt: str) -> None:
    tags = {
        "PatientID": {"action": "hash", "salt": salt},
        "FrameOfReferenceUID": {"action": "regen", "seed": salt},
        "StudyInstanceUID": {"action": "regen", "entropy_src": salt},
        "StudyDate": {"action": "offset", "seed": salt},
    }
    _, problems, _ = compiled(tags, {"PN": {"action": "hash", "salt": salt}}, RandomSeed=salt)
    assert [problem.path for problem in problems] == [
        "s.RandomSeed",
        "s.AnonymizeTag.PatientID.salt",
        "s.AnonymizeTag.FrameOfReferenceUID.seed",
        "s.AnonymizeTag.StudyInstanceUID.entropy_src",
        "s.AnonymizeTag.StudyDate.seed",
        "s.AnonymizeVR.PN.salt",
    ]


def test_a16_a_salt_of_the_sites_own_is_taken() -> None:
    study, problems, _ = compiled(RandomSeed=SECRET)
    assert not problems
    assert study.random_seed == SECRET


def test_a_salt_that_is_no_text_is_refused_without_showing_it() -> None:
    _, problems, _ = compiled(
        {"PatientID": {"action": "hash", "salt": 8675309}}, RandomSeed=8675309
    )
    assert len(problems) == 2
    assert not [problem for problem in problems if "8675309" in str(problem)]


@pytest.mark.parametrize("vr", ["pn", "XX", "", "PatientName"])
def test_only_vrs_of_the_standard_have_rules(vr: str) -> None:
    _, problems, warnings = compiled(vrs={vr: {"action": "clear"}})
    assert bool(problems) == bool(vr)
    assert bool(warnings) != bool(vr)  # the empty name is ignored, as for tags


@pytest.mark.parametrize(
    ("keyword", "kinds"),
    [
        ("SOPClassUID", {"keep"}),
        ("SOPInstanceUID", {"keep", "regen"}),
        ("StudyInstanceUID", {"keep", "regen", "value"}),
        ("SeriesInstanceUID", {"keep", "regen", "value"}),
        ("SpecificCharacterSet", {"keep"}),
        ("PixelData", {"keep"}),
    ],
)
def test_what_an_object_cannot_do_without_stays(keyword: str, kinds: set[str]) -> None:
    allowed = set()
    for kind in ActionKind:
        value = {"value": "2.25.1"} if kind == "value" else {}
        _, problems, _ = compiled({keyword: {"action": kind, **value}})
        if not problems:
            allowed.add(kind)
    assert allowed == kinds


def test_private_rules_are_by_creator_and_their_vr_is_checked_where_it_is_known() -> None:
    csa = '(0029,"SIEMENS CSA HEADER",10)'
    study, problems, _ = compiled({csa: {"action": "delete"}})
    assert not problems
    assert study.private_tags == {
        PrivateTag(0x0029, "SIEMENS CSA HEADER", 0x10): RuleAction(ActionKind.DELETE)
    }
    _, problems, _ = compiled({csa: {"action": "hash"}})  # OB in pydicom's private dictionary
    assert "OB" in problems[0].message


def test_a_private_element_nobody_knows_may_be_hashed_but_not_set() -> None:
    unknown = '(0077,"ACME 1.0",01)'
    study, problems, _ = compiled({unknown: {"action": "hash"}})
    assert not problems
    assert study.private_tags == {PrivateTag(0x0077, "ACME 1.0", 1): RuleAction(ActionKind.HASH)}
    for action in ({"action": "value", "value": "x"}, {"action": "offset", "delta": 1}):
        _, problems, _ = compiled({unknown: action})
        assert "VR" in problems[0].message


def test_private_elements_by_number_are_taken_with_a_warning() -> None:
    study, problems, warnings = compiled(
        {"(0029,1010)": {"action": "delete"}},
        SavePrivateTags=["00191028", '(0043,"GEMS_PARM_01",39)'],
    )
    assert not problems
    assert study.tags == {0x00291010: RuleAction(ActionKind.DELETE)}
    assert study.saved_groups == {0x00191028}
    assert study.saved_private == {PrivateTag(0x0043, "GEMS_PARM_01", 0x39)}
    assert [warning.path for warning in warnings] == [
        's.AnonymizeTag."(0029,1010)"',
        "s.SavePrivateTags[0]",
    ]


def test_only_private_elements_are_saved_private_elements() -> None:
    _, problems, _ = compiled(SavePrivateTags=["PatientName", "no tag"])
    assert [problem.path for problem in problems] == [
        "s.SavePrivateTags[0]",
        "s.SavePrivateTags[1]",
    ]
