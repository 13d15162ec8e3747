"""The seven actions of studies.json: what each makes of a value, at every depth."""

import pytest
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.valuerep import validate_value
from support_deid import (
    EXPLICIT,
    IMPLICIT,
    KEY,
    PATIENT_ID,
    ROOT,
    basic_dataset,
    decode,
    deidentify,
    encode,
    encode_as_un,
    plan_of,
)

from dicomanon_node.deid.rules import ActionKind, Option, RuleAction
from dicomanon_node.errors import Reason, Refused

SERIES_DESCRIPTION, STUDY_DATE, STUDY_TIME = 0x0008103E, 0x00080020, 0x00080030
COMMENTS, ROWS, WEIGHT, FLIP_ANGLE = 0x00204000, 0x00280010, 0x00101030, 0x00181314
REFERENCED = 0x00081155
DELETE, CLEAR, KEEP, HASH, REGEN = (
    RuleAction(kind)
    for kind in (
        ActionKind.DELETE,
        ActionKind.CLEAR,
        ActionKind.KEEP,
        ActionKind.HASH,
        ActionKind.REGEN,
    )
)
SYNTAXES = pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])


def value(text: str | None) -> RuleAction:
    return RuleAction(ActionKind.VALUE, value=text)


def offset(amount: float | None = None, salt: str | None = None) -> RuleAction:
    return RuleAction(ActionKind.OFFSET, amount=amount, salt=salt)


def _two_levels(**attributes: object) -> Dataset:
    item = Dataset()
    for keyword, content in attributes.items():
        setattr(item, keyword, content)
    return basic_dataset(**attributes, RadiopharmaceuticalInformationSequence=[item])


def _both(ds: Dataset) -> tuple[Dataset, Dataset]:
    return ds, ds.RadiopharmaceuticalInformationSequence[0]


@SYNTAXES
def test_delete_clear_and_keep_at_every_depth(syntax: str) -> None:
    ds = _two_levels(SeriesDescription="T1", ImageComments="text", StudyDate="20200101")
    plan = plan_of(tags={SERIES_DESCRIPTION: DELETE, COMMENTS: CLEAR, STUDY_DATE: KEEP})
    for level in _both(deidentify(ds, plan, syntax).dataset):
        assert "SeriesDescription" not in level
        assert level["ImageComments"].is_empty
        assert level.StudyDate == "20200101"


@SYNTAXES
def test_clear_empties_a_sequence(syntax: str) -> None:
    ds = basic_dataset(ReferencedInstanceSequence=[basic_dataset()])
    new = deidentify(ds, plan_of(tags={0x0008114A: CLEAR}), syntax).dataset
    assert list(new.ReferencedInstanceSequence) == []


@SYNTAXES
def test_value_sets_at_every_depth_and_adds_at_the_top(syntax: str) -> None:
    plan = plan_of(tags={SERIES_DESCRIPTION: value("new"), COMMENTS: value("added")})
    new = deidentify(_two_levels(SeriesDescription="T1"), plan, syntax).dataset
    for level in _both(new):
        assert level.SeriesDescription == "new"
    assert new.ImageComments == "added"
    assert "ImageComments" not in _both(new)[1]


@pytest.mark.parametrize(
    ("tag", "text", "read"),
    [
        (ROWS, "512", 512),
        (0x00189073, "2.5", 2.5),
        (0x00200037, "1\\0\\0\\0\\1\\0", [1, 0, 0, 0, 1, 0]),
        (0x00080008, "DERIVED\\PRIMARY", ["DERIVED", "PRIMARY"]),
        (0x00189219, "-3", -3),
    ],
)
@SYNTAXES
def test_value_is_encoded_as_its_vr_demands(syntax: str, tag: int, text: str, read: object) -> None:
    new = deidentify(basic_dataset(), plan_of(tags={tag: value(text)}), syntax).dataset
    assert new[tag].value == read


def test_value_without_a_value_clears_and_adds_nothing() -> None:
    plan = plan_of(tags={SERIES_DESCRIPTION: value(None), COMMENTS: value(None)})
    new = deidentify(basic_dataset(SeriesDescription="T1"), plan).dataset
    assert new["SeriesDescription"].is_empty
    assert "ImageComments" not in new


@pytest.mark.parametrize("character_set", ["ISO_IR 100", "ISO_IR 192", "ISO 2022 IR 100"])
def test_value_beyond_ascii_is_written_in_the_objects_character_set(character_set: str) -> None:
    plan = plan_of(tags={0x00080080: value("Universitätsklinik"), COMMENTS: value("Zürich")})
    ds = basic_dataset(SpecificCharacterSet=character_set, InstitutionName="Somewhere")
    new = deidentify(ds, plan).dataset
    assert new.InstitutionName == "Universitätsklinik"
    assert new.ImageComments == "Zürich"


@pytest.mark.parametrize("character_set", [None, "ISO_IR 101", "ISO_IR 144"])
def test_value_that_the_objects_character_set_cannot_say_is_refused(
    character_set: str | None,
) -> None:
    ds = basic_dataset()
    if character_set:
        ds.SpecificCharacterSet = character_set
    with pytest.raises(Refused) as refused:
        deidentify(ds, plan_of(tags={COMMENTS: value("Ñandú ß 大")}))
    assert refused.value.reason is Reason.ACTION_FAILED


@pytest.mark.parametrize(
    ("tag", "vr", "action"),
    [
        (ROWS, "US", value("70000")),
        (ROWS, "US", value("many")),
        (ROWS, "US", HASH),
        (STUDY_DATE, "DA", HASH),
        (ROWS, "US", REGEN),
        (SERIES_DESCRIPTION, "LO", REGEN),
        (SERIES_DESCRIPTION, "LO", offset(1)),
        (0x54000110, "OW", value("x")),
    ],
)
def test_an_action_that_cannot_be_carried_out_refuses_the_object(
    tag: int, vr: str, action: RuleAction
) -> None:
    ds = basic_dataset()
    ds.add_new(tag, vr, {"US": 1, "DA": "20200101", "OW": b"\0\0"}.get(vr, "text"))
    with pytest.raises(Refused) as refused:
        deidentify(ds, plan_of(tags={tag: action}))
    assert refused.value.reason is Reason.ACTION_FAILED
    assert refused.value.tag == tag


# hash


@SYNTAXES
def test_a_hash_is_keyed_and_salted(syntax: str) -> None:
    ds = basic_dataset(StudyDescription="Brain")
    expected = KEY.digest("text", "seed", b"Brain").hex()
    plan = plan_of(random_seed="seed", tags={0x00081030: HASH})
    assert deidentify(ds, plan, syntax).dataset.StudyDescription == expected
    salted = plan_of(
        random_seed="other", tags={0x00081030: RuleAction(ActionKind.HASH, salt="seed")}
    )
    assert deidentify(ds, salted, syntax).dataset.StudyDescription == expected


def test_each_value_is_hashed_on_its_own() -> None:
    ds = basic_dataset(ImageType=["ORIGINAL", "", "AXIAL", "ORIGINAL"])
    first, second, third, fourth = deidentify(
        ds, plan_of(tags={0x00080008: HASH})
    ).dataset.ImageType
    assert first == fourth != third
    assert second == ""
    for part in (first, third):
        validate_value("CS", part, config.RAISE)


def test_nothing_stays_nothing() -> None:
    ds = basic_dataset(StudyDescription="", ImageComments="  ")
    new = deidentify(ds, plan_of(tags={0x00081030: HASH, COMMENTS: HASH})).dataset
    assert new.StudyDescription == ""
    assert new.ImageComments.strip() == ""


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        (None, "Adams^John"),
        ("ISO_IR 100", "Buc^Jérôme"),
        ("ISO_IR 144", "Люкceмбypг"),  # noqa: RUF001  (the standard's own example, PS3.5 H)
        ("ISO_IR 192", "Wang^XiaoDong=王^小東"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    ],
)
def test_a_hash_is_that_of_the_text_whatever_its_character_set(
    character_set: str | list[str] | None, name: str
) -> None:
    ds = basic_dataset(PatientName=name)
    if character_set:
        ds.SpecificCharacterSet = character_set
    new = deidentify(ds, plan_of(profile=None, tags={0x00100010: HASH})).dataset
    assert str(new.PatientName) == KEY.digest("text", "", name.encode()).hex()


@SYNTAXES
def test_hash_of_a_sequence_hashes_the_texts_in_its_items(syntax: str) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "123", "99X", "A meaning"
    person = Dataset()
    person.PersonIdentificationCodeSequence = [code]
    person.InstitutionName = "Somewhere"
    person.ReferencedSOPInstanceUID = ROOT + "13"
    person.Rows = 512
    ds = basic_dataset(VerifyingObserverSequence=[person])
    new = deidentify(ds, plan_of(profile=None, tags={0x0040A073: HASH}), syntax).dataset
    item = new.VerifyingObserverSequence[0]
    inner = item.PersonIdentificationCodeSequence[0]
    assert inner.CodeMeaning == KEY.digest("text", "", b"A meaning").hex()
    assert inner.CodeValue == KEY.digest("text", "", b"123").hex()[:16]
    assert item.InstitutionName == KEY.digest("text", "", b"Somewhere").hex()
    assert item.Rows == 512
    assert new.PatientName == basic_dataset().PatientName


def test_the_profile_still_holds_inside_of_a_hashed_sequence() -> None:
    person = Dataset()
    person.VerifyingObserverName = "Inner^Name"
    person.ReferencedSOPInstanceUID = ROOT + "13"
    person.CodeMeaning = "words"
    ds = basic_dataset(VerifyingObserverSequence=[person])
    output = deidentify(ds, plan_of(tags={0x0040A073: HASH}))
    item = output.dataset.VerifyingObserverSequence[0]
    assert b"Inner" not in output.data
    assert item.ReferencedSOPInstanceUID == output.dataset.SOPInstanceUID
    assert item.CodeMeaning == KEY.digest("text", "", b"words").hex()


# regen and offset


@SYNTAXES
def test_regen_maps_uids_by_the_rules_own_salt(syntax: str) -> None:
    salted = RuleAction(ActionKind.REGEN, salt="other")
    ds = basic_dataset(FrameOfReferenceUID=ROOT + "13")
    new = deidentify(ds, plan_of(tags={0x00200052: salted}), syntax).dataset
    assert new.FrameOfReferenceUID.startswith("2.25.")
    assert new.FrameOfReferenceUID != new.SOPInstanceUID
    plain = deidentify(ds, plan_of(tags={0x00200052: REGEN}), syntax).dataset
    assert plain.FrameOfReferenceUID == plain.SOPInstanceUID


@pytest.mark.parametrize("action", [REGEN, offset()])
@SYNTAXES
def test_dates_of_a_patient_move_by_the_same_days_and_times_do_not(
    syntax: str, action: RuleAction
) -> None:
    tags = dict.fromkeys((STUDY_DATE, 0x00080021, 0x0008002A, STUDY_TIME), action)
    ds = basic_dataset(
        StudyDate="20200301",
        SeriesDate="20200229",
        AcquisitionDateTime="20200301235959.123456+0100",
        StudyTime="235959",
    )
    new = deidentify(ds, plan_of(tags=tags), syntax).dataset
    day = new.StudyDate
    assert "19" < day[:2] <= "20"
    assert day < "20200201"
    assert new.AcquisitionDateTime == f"{day}235959.123456+0100"
    assert new.StudyTime == "235959"
    other = deidentify(
        basic_dataset(PatientID="OTHER1", StudyDate="20200301"), plan_of(tags=tags), syntax
    ).dataset
    assert other.StudyDate != day


@pytest.mark.parametrize(
    ("vr", "before", "days", "after"),
    [
        ("DA", "20200301", -1, "20200229"),
        ("DA", "20191231", 1, "20200101"),
        ("DA", "2019.12.31", 1, "20200101"),
        ("DA", "20191231\\20200101", 1, "20200101\\20200102"),
        ("DA", "", 1, ""),
        ("DA", "not a date", 1, ""),
        ("DA", "20200230", 1, ""),
        ("DA", "99991231", 1, ""),
        ("DA", "00010101", -1, ""),
        ("DT", "2019", 400, "2020"),
        ("DT", "201912", 31, "202001"),
        ("DT", "20191231", 1, "20200101"),
        ("DT", "20191231235959.999999-0500", 1, "20200101235959.999999-0500"),
        ("DT", "20191231 2359", 1, ""),
    ],
)
def test_offset_moves_dates_by_whole_days(vr: str, before: str, days: int, after: str) -> None:
    tag = STUDY_DATE if vr == "DA" else 0x0008002A
    body = encode(basic_dataset())
    ds = Dataset()
    ds.add_new(tag, "LO", before)
    raw = encode(ds)
    body = body[: 8 + 26] + raw[:4] + vr.encode() + raw[6:] + body[8 + 26 :]
    new = deidentify(body, plan_of(tags={tag: offset(days)}))
    found = new.dataset.get_item(tag).value or b""
    assert found.decode().strip() == after


@pytest.mark.parametrize(
    ("keyword", "before", "amount", "after"),
    [
        ("PatientWeight", "70.5", 1.25, 71.75),
        ("InstanceNumber", "12", -2, 10),
        ("Rows", 512, 8, 520),
        ("EchoTime", ["1.5", "2"], 0.5, [2, 2.5]),
        ("DiffusionBValue", 1000.5, -0.5, 1000.0),
    ],
)
@SYNTAXES
def test_offset_adds_to_numbers(
    syntax: str, keyword: str, before: object, amount: float, after: object
) -> None:
    ds = basic_dataset()
    if keyword == "EchoTime":
        ds.add_new(0x00181063, "DS", before)  # Frame Time, as a list
        tag = 0x00181063
    else:
        setattr(ds, keyword, before)
        tag = int(ds[keyword].tag)
    assert deidentify(ds, plan_of(tags={tag: offset(amount)}), syntax).dataset[tag].value == after


def test_offset_beyond_what_the_vr_can_hold_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        deidentify(basic_dataset(Rows=65535), plan_of(tags={ROWS: offset(1)}))
    assert refused.value.reason is Reason.ACTION_FAILED


# who wins


def test_a_tag_rule_wins_over_a_vr_rule_and_both_over_the_profile() -> None:
    ds = basic_dataset(StudyDescription="one", SeriesDescription="two", ImageComments="three")
    plan = plan_of(tags={SERIES_DESCRIPTION: KEEP}, vrs={"LO": CLEAR, "LT": KEEP})
    new = deidentify(ds, plan).dataset
    assert new.SeriesDescription == "two"
    assert new["StudyDescription"].is_empty
    assert new.ImageComments == "three"


def test_a_vr_rule_holds_for_what_the_element_is_and_for_what_it_says() -> None:
    """A name that says it is a text is still a name."""
    ds = Dataset()
    ds.add_new(0x00080090, "LO", "Somebody")
    body = encode(basic_dataset())
    body = body[:34] + encode(ds) + body[34:]
    for vr in ("PN", "LO"):
        new = deidentify(body, plan_of(profile=None, vrs={vr: DELETE})).dataset
        assert 0x00080090 not in new


def test_without_profile_what_is_not_listed_is_kept_byte_for_byte() -> None:
    ds = basic_dataset(SeriesDescription="for Quillfeather", StudyDate="20200101")
    ds.add_new(0x54000110, "OB", b"\1\2")
    plan = plan_of(profile=None, tags={0x00100010: CLEAR, 0x00100020: HASH})
    new = deidentify(ds, plan).dataset
    assert new.SeriesDescription == "for Quillfeather"
    assert new.StudyDate == "20200101"
    assert new.StudyInstanceUID == ds.StudyInstanceUID
    assert PATIENT_ID not in new.PatientID


@pytest.mark.parametrize("tag", [0x00100020, 0x00080018, 0x0020000D])
def test_elements_that_are_un_are_handled_by_what_they_are(tag: int) -> None:
    ds = basic_dataset()
    output = deidentify(encode_as_un(ds, {tag}))
    assert output.dataset[tag].value == deidentify(ds).dataset[tag].value
    assert decode(output.body)[tag].VR != "UN"


def test_a_value_that_claims_another_vr_does_not_escape_the_floor() -> None:
    """A date that is not listed stays no date by being called a text."""
    unlisted = 0x0014407E  # Calibration Date, DA
    ds = Dataset()
    ds.add_new(unlisted, "LO", "19700203")
    body = encode(basic_dataset())
    end_of_0008 = body.index(b"\x10\x00\x10\x00PN")
    output = deidentify(body[:end_of_0008] + body[end_of_0008:] + encode(ds))
    assert b"19700203" not in output.data


# patients


@SYNTAXES
def test_the_patient_has_one_pseudonym_in_name_and_number(syntax: str) -> None:
    new = deidentify(basic_dataset(), plan_of(), syntax).dataset
    assert str(new.PatientName) == new.PatientID
    assert len(new.PatientID) == 16
    again = deidentify(basic_dataset(PatientName="Other^Name"), plan_of(), syntax).dataset
    assert again.PatientID == new.PatientID
    other = deidentify(basic_dataset(PatientID="OTHER1"), plan_of(), syntax).dataset
    assert other.PatientID != new.PatientID


@pytest.mark.parametrize("missing", [None, "", "   "])
@SYNTAXES
def test_an_object_without_a_patient_id_gets_one_from_its_study(
    syntax: str, missing: str | None
) -> None:
    first = deidentify(basic_dataset(PatientID=missing), plan_of(), syntax).dataset
    second = deidentify(
        basic_dataset(PatientID=missing, SOPInstanceUID=ROOT + "99"), plan_of(), syntax
    ).dataset
    assert first.PatientID == second.PatientID != ""
    elsewhere = deidentify(
        basic_dataset(PatientID=missing, StudyInstanceUID=ROOT + "99"), plan_of(), syntax
    ).dataset
    assert elsewhere.PatientID != first.PatientID


def test_a_patient_id_that_a_rule_removes_is_not_put_back() -> None:
    for action in (DELETE, CLEAR):
        new = deidentify(basic_dataset(PatientID=None), plan_of(tags={0x00100020: action})).dataset
        assert "PatientID" not in new


def test_padding_of_a_patient_id_makes_no_other_patient() -> None:
    plain = deidentify(basic_dataset(PatientID="ABC")).dataset.PatientID
    for padded in ("ABC ", " ABC", "ABC\0"):
        assert deidentify(basic_dataset(PatientID=padded)).dataset.PatientID == plain


@pytest.mark.parametrize(
    "padded", [b"1.2.3.4.5 ", b" 1.2.3.4.5", b"1.2.3.4.5\0", b"1.2.3.4.5\0\0\0"]
)
def test_padding_of_a_uid_makes_no_other_uid(padded: bytes) -> None:
    ds = basic_dataset(FrameOfReferenceUID="9.9.9.9.9")
    body = encode(ds)
    place = body.index(b"9.9.9.9.9\0") - 2
    body = body[:place] + len(padded).to_bytes(2, "little") + padded + body[place + 12 :]
    expected = deidentify(basic_dataset(FrameOfReferenceUID="1.2.3.4.5")).dataset
    assert deidentify(body).dataset.FrameOfReferenceUID == expected.FrameOfReferenceUID


def test_each_of_two_elements_with_the_same_tag_is_acted_upon() -> None:
    body = encode(basic_dataset())
    ds = Dataset()
    ds.PatientName = "Marrowby^Tib"
    place = body.index(b"\x10\x00\x20\x00")
    output = deidentify(body[:place] + encode(ds) + body[place:])
    assert b"Marrowby" not in output.data
    assert b"uillfeather" not in output.data


def test_elements_out_of_order_are_acted_upon() -> None:
    late = Dataset()
    late.StudyDate, late.ReferringPhysicianName = "20200101", "Marrowby^Tib"
    output = deidentify(encode(basic_dataset(SeriesNumber="3")) + encode(late))
    assert b"Marrowby" not in output.data
    assert b"20200101" not in output.data
    assert output.dataset.SeriesNumber == 3


@pytest.mark.parametrize(
    "keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
)
@pytest.mark.parametrize("content", [None, ""])
def test_an_object_without_a_mandatory_uid_is_refused(keyword: str, content: str | None) -> None:
    with pytest.raises(Refused) as refused:
        deidentify(basic_dataset(**{keyword: content}))
    assert refused.value.reason is Reason.MISSING_UID


def test_uids_stay_under_their_option_and_are_no_leak() -> None:
    ds = basic_dataset(ImageComments=f"study {ROOT}11")
    plan = plan_of(options=frozenset({Option.RETAIN_UIDS}), tags={COMMENTS: KEEP})
    output = deidentify(ds, plan)
    assert output.dataset.StudyInstanceUID == ds.StudyInstanceUID
    assert output.dataset.ImageComments == f"study {ROOT}11"
