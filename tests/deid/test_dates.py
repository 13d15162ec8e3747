"""Dates: one keyed shift a patient, whole days, everywhere; what is no date says nothing."""

import datetime as dt
import re
from itertools import combinations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import DA, DT
from support_deid import (
    EXPLICIT,
    IMPLICIT,
    KEY,
    ROOT,
    SR,
    Output,
    basic_dataset,
    deidentify,
    encode,
    encode_as_un,
    nested,
    plan_of,
)

from dicomanon_node.deid.dates import shift_date, shift_datetime, shift_values, times_of_day
from dicomanon_node.deid.plan import Plan
from dicomanon_node.deid.rules import Option, PrivateTag, StudyRules

MODIFIED, FULL = Option.RETAIN_LONGITUDINAL_MODIFIED_DATES, Option.RETAIN_LONGITUDINAL_FULL_DATES
SHIFTING = plan_of(options=frozenset({MODIFIED}))
SYNTAXES = pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
STUDY_DATE, ACQUISITION_DATE_TIME = 0x00080020, 0x0008002A
# Invalid values make pydicom, which builds and reads the objects, warn.
pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR")

_DAYS = st.integers(-5000, 5000)
# Those that a shift of either sign cannot move out of the calendar.
_DATES = st.dates(dt.date(100, 1, 1), dt.date(9900, 12, 31))
_ZONES = st.sampled_from(["", "+0000", "-0000", "+0100", "-0500", "+0545", "-0930", "+1400"])


def _days_between(old: str, new: str) -> int:
    return (_day(new) - _day(old)).days


def _day(text: str) -> dt.date:
    return dt.datetime.strptime(text[:8], "%Y%m%d").replace(tzinfo=dt.UTC).date()


# One value


@given(_DATES, _DAYS)
@example(dt.date(2020, 2, 29), 365)
@example(dt.date(2019, 2, 28), 366)
@example(dt.date(1900, 2, 28), 1)
@example(dt.date(999, 12, 31), 1)
def test_a_date_is_moved_as_the_calendar_moves_it(day: dt.date, days: int) -> None:
    text = f"{day.year:04}{day:%m%d}"
    moved = shift_date(text, days)
    assert moved is not None
    assert DA(moved) == day + dt.timedelta(days=days)
    assert shift_date(moved, -days) == text


@given(
    st.datetimes(dt.datetime(100, 1, 1), dt.datetime(9900, 1, 1)),  # noqa: DTZ001  (DT without a zone)
    st.integers(8, 14).map(lambda length: length // 2 * 2),
    st.integers(0, 6),
    _ZONES,
    _DAYS,
)
def test_a_datetime_keeps_its_time_of_day_its_fraction_and_its_zone(
    moment: dt.datetime, length: int, digits: int, zone: str, days: int
) -> None:
    text = f"{moment.year:04}{moment:%m%d%H%M%S}"[:length]
    if length == 14 and digits:
        text += f".{moment:%f}"[: digits + 1]
    is_ambiguous = length == 8 and zone == "-0930"
    moved = shift_datetime(text + zone, days)
    if is_ambiguous:
        assert moved is None
        return
    assert moved is not None
    assert len(moved) == len(text + zone)
    assert moved[8:] == (text + zone)[8:]
    old, new = DT(text + zone), DT(moved)
    assert old is not None
    assert new is not None
    assert new - old == dt.timedelta(days=days)


@given(st.integers(100, 9900), st.integers(1, 12), _DAYS)
def test_a_partial_datetime_keeps_its_precision(year: int, month: int, days: int) -> None:
    first = dt.date(year, month, 1) + dt.timedelta(days=days)
    assert shift_datetime(f"{year:04}{month:02}", days) == f"{first.year:04}{first.month:02}"
    first = dt.date(year, 1, 1) + dt.timedelta(days=days)
    assert shift_datetime(f"{year:04}", days) == f"{first.year:04}"


@pytest.mark.parametrize(
    ("vr", "text", "days", "shifted"),
    [
        ("DA", "20200229", -366, "20190228"),
        ("DA", "20200301", -1, "20200229"),
        ("DA", "21000301", -1, "21000228"),
        ("DA", "00010102", -1, "00010101"),
        ("DA", "00010101", -1, ""),
        ("DA", "99991231", 1, ""),
        ("DA", "99991231", -1, "99991230"),
        ("DA", "2020.01.02", -1, "20200101"),
        ("DA", "20200102  ", -1, "20200101"),
        ("DA", " 20200102", -1, "20200101"),
        ("DA", "20200102\0\0", -1, "20200101"),
        ("DA", "20200102\\\\20200103", -1, "20200101\\\\20200102"),
        ("DA", "\\", -1, "\\"),
        ("DT", "20200102\\", -1, "20200101\\"),
        ("DT", "20161231235960.5", -31, "20161130235960.5"),
        ("DT", "2020010100+0530", -1, "2019123100+0530"),
        ("DT", "2020+0100", -1, "2019+0100"),
        ("DT", "2020-0500", -1, "2019-0500"),
        ("DT", "0001", -1, ""),
        ("DT", "000101010000", -1, ""),
    ],
)
def test_borders_padding_and_several_values(vr: str, text: str, days: int, shifted: str) -> None:
    assert shift_values(text.encode(), vr, days) == shifted.encode()


NO_DATES = [
    "19",
    "1920",
    "192003",
    "2020030",
    "20200230",
    "20190229",
    "19000229",
    "20201301",
    "20200100",
    "00000000",
    "00000101",
    "2020-01-02",
    "2020/01/02",
    "2020.1.2",
    "2020.01-02",
    "02012020",
    "20200101-20200131",
    "-20200131",
    "20200131-",
    "2020 102",
    "2O200102",
    "MRN20200102",
    "20200102Quill",
    "202001021122",
    "Ottoline",
    "*",
    "'20200102'",
    "２０２００１０２",  # noqa: RUF001  (digits of another script)
    "2020年01月02日",
    "20200102\t",
    "20200102\n",
]
NO_DATETIMES = [
    "19",
    "192",
    "20200",
    "2020013",
    "20200230112233",
    "20201301",
    "00000000000000",
    "20200102250000",
    "20200102116000",
    "20200102112261",
    "20200102.5",
    "2020010211.5",
    "20200102112233.",
    "20200102112233.1234567",
    "20200102112233+1",
    "20200102112233+01:00",
    "20200102112233Z",
    "20200102112233-1999",
    "20200102112233+1401",
    "20200102112233-1215",
    "20200101-20200131",
    "20200101-2020",
    "19700203-1970",
    "2020-01-02T11:22:33",
    "20200102T112233",
    "20200102 112233",
    "2020.01.02",
    "202001MRN",
    "２０２００１０２",  # noqa: RUF001  (digits of another script)
    # A year and a zone, or a year, a month and a day: nobody knows.
    "1970-0330",
    "1970-0315",
    "197003-0330",
    "19700330-0930",
]


@pytest.mark.parametrize("text", NO_DATES)
def test_what_is_no_date_comes_back_empty(text: str) -> None:
    assert shift_values(text.encode(), "DA", -40) == b""
    assert shift_values(f"20200102\\{text}".encode(), "DA", -1) == b"20200101\\"


@pytest.mark.parametrize("text", NO_DATETIMES)
def test_what_is_no_datetime_comes_back_empty(text: str) -> None:
    assert shift_values(text.encode(), "DT", -40) == b""
    assert shift_values(f"{text}\\2020".encode(), "DT", -1) == b"\\2019"


@given(st.binary(max_size=40) | st.text("0123456789.+-\\ \0", max_size=30).map(str.encode), _DAYS)
def test_whatever_is_written_where_a_date_should_be_only_dates_come_back(
    raw: bytes, days: int
) -> None:
    for vr, shape in (("DA", r"(\d{8})?"), ("DT", r"(\d{4,14}(\.\d{1,6})?([+-]\d{4})?)?")):
        shifted = shift_values(raw, vr, days).decode("ascii")
        parts = shifted.split("\\")
        assert len(parts) == raw.count(b"\\") + 1
        assert all(re.fullmatch(shape, part, re.ASCII) for part in parts)


# Whole objects


def _shifted(old: str, output: Output, keyword: str = "StudyDate") -> int:
    return _days_between(old, str(output.dataset[keyword].value))


@SYNTAXES
@pytest.mark.parametrize("text", NO_DATES)
def test_an_object_with_an_invalid_date_passes_without_it(text: str, syntax: str) -> None:
    ds = basic_dataset(SeriesDate="20200101", SpecificCharacterSet="ISO_IR 192")
    raw = text.encode()
    ds[STUDY_DATE] = DataElement(STUDY_DATE, "LO", text)  # pydicom writes no such DA
    body = _encoded_as(ds, STUDY_DATE, b"LO", b"DA", syntax)
    output = deidentify(body, SHIFTING, syntax)
    assert output.dataset.StudyDate in ("", None)
    assert len(raw) < 4 or raw not in output.data
    assert output.dataset.SeriesDate not in ("", "20200101")


@SYNTAXES
@pytest.mark.parametrize("text", NO_DATETIMES)
def test_an_object_with_an_invalid_datetime_passes_without_it(text: str, syntax: str) -> None:
    ds = basic_dataset(SeriesDate="20200101", SpecificCharacterSet="ISO_IR 192")
    ds[ACQUISITION_DATE_TIME] = DataElement(ACQUISITION_DATE_TIME, "LO", text)
    body = _encoded_as(ds, ACQUISITION_DATE_TIME, b"LO", b"DT", syntax)
    output = deidentify(body, SHIFTING, syntax)
    assert output.dataset.AcquisitionDateTime in ("", None)
    assert len(text) < 5 or text.encode() not in output.data


def _encoded_as(ds: Dataset, tag: int, vr: bytes, as_vr: bytes, syntax: str) -> bytes:
    body = encode(ds, syntax)
    header = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little")
    return body if syntax == IMPLICIT else body.replace(header + vr, header + as_vr, 1)


_INNER = {"StudyDate": "20200229", "AcquisitionDateTime": "20200301000000.25+0100"}


@SYNTAXES
@pytest.mark.parametrize(
    "path",
    [
        [],
        ["SourceImageSequence"],
        ["SharedFunctionalGroupsSequence", "FrameContentSequence"],
        ["RadiopharmaceuticalInformationSequence"],
        ["ReferencedImageSequence", "PurposeOfReferenceCodeSequence", "EquivalentCodeSequence"],
        ["BeamSequence", "ControlPointSequence"],
    ],
)
@pytest.mark.parametrize("is_undefined", [False, True])
def test_dates_are_shifted_at_every_depth(path: list[str], is_undefined: bool, syntax: str) -> None:
    ds = basic_dataset(SeriesDate="20200101", SeriesTime="235959.5")
    inner = Dataset()
    for keyword, text in _INNER.items():
        setattr(inner, keyword, text)
    inner.AcquisitionTime = "000001"
    ds.update(nested(inner, path))
    for element in ds.iterall():
        if element.VR == "SQ":
            element.is_undefined_length = is_undefined
    new = deidentify(ds, SHIFTING, syntax).dataset
    days = _days_between("20200101", new.SeriesDate)
    assert -3683 < days < -30
    assert new.SeriesTime == "235959.5"
    for keyword in path:
        new = new[keyword].value[0]
    assert _days_between("20200229", new.StudyDate) == days
    assert _days_between("20200301", new.AcquisitionDateTime) == days
    assert new.AcquisitionDateTime[8:] == "000000.25+0100"
    assert new.AcquisitionTime == "000001"


# GE's PET block: its names and VRs are in pydicom's dictionary of private elements.
_GE = "GEMS_PETD_01"
_ADMINISTERED, _SCANNED = PrivateTag(0x0009, _GE, 0x3B), PrivateTag(0x0009, _GE, 0x0D)
_KEEPING = {
    "saved": plan_of(
        options=frozenset({MODIFIED}), saved_private=frozenset({_ADMINISTERED, _SCANNED})
    ),
    "kept": plan_of(options=frozenset({MODIFIED}), removes_private=False),
}


@pytest.mark.parametrize("plan", _KEEPING)
@pytest.mark.parametrize("encoding", ["explicit", "implicit", "UN"])
def test_private_dates_that_are_kept_are_shifted_with_the_others(plan: str, encoding: str) -> None:
    ds = basic_dataset(SeriesDate="20141023")
    ds.add_new(0x00090010, "LO", _GE)
    ds.add_new(0x0009100D, "DT", "20141023110036.00")
    ds.add_new(0x0009103B, "DT", "20141023093200.00")
    if encoding == "UN":
        output = deidentify(encode_as_un(ds, {0x0009100D, 0x0009103B}), _KEEPING[plan])
    else:
        syntax = IMPLICIT if encoding == "implicit" else EXPLICIT
        output = deidentify(ds, _KEEPING[plan], syntax)
    new = output.dataset
    days = _days_between("20141023", new.SeriesDate)
    for number, rest in ((0x0D, "110036.00"), (0x3B, "093200.00")):
        value = str(new[0x0009, 0x1000 | number].value)
        assert _days_between("20141023", value) == days
        assert value[8:] == rest
    assert b"20141023" not in output.data


def test_private_dates_in_private_sequences_are_shifted() -> None:
    inner = Dataset()
    inner.add_new(0x00290010, "LO", "ACME 1.0")
    inner.add_new(0x00291001, "DA", "20200229")
    inner.StudyDate = "20200229"
    ds = basic_dataset(SeriesDate="20200229")
    ds.add_new(0x00290010, "LO", "ACME 1.0")
    ds.add_new(0x00291002, "SQ", [inner])
    output = deidentify(ds, _KEEPING["kept"])
    item = output.dataset[0x0029, 0x1002].value[0]
    assert item.StudyDate == item[0x0029, 0x1001].value == output.dataset.SeriesDate
    assert b"20200229" not in output.data


def _content(value_type: str, keyword: str, value: str, meaning: str = "Kepi Date") -> Dataset:
    concept = Dataset()
    concept.CodeValue, concept.CodingSchemeDesignator = "K-1", "99KEPI"
    concept.CodeMeaning = meaning
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", value_type
    item.ConceptNameCodeSequence = [concept]
    setattr(item, keyword, value)
    return item


@SYNTAXES
def test_dates_in_content_items_are_shifted_with_the_others(syntax: str) -> None:
    container = _content("CONTAINER", "ContinuityOfContent", "SEPARATE")
    container.ContentSequence = [_content("DATETIME", "DateTime", "20200301235959.5")]
    container.ContentSequence.append(_content("TIME", "Time", "235958"))
    ds = basic_dataset(SOPClassUID=SR, Modality="SR", ContentDate="20200229", ValueType="CONTAINER")
    ds.ContentSequence = [_content("DATE", "Date", "20200229"), container]
    plan = plan_of(options=frozenset({MODIFIED, Option.CLEAN_STRUCTURED_CONTENT}))
    output = deidentify(ds, plan, syntax)
    new = output.dataset
    assert new.ContentSequence[0].Date == new.ContentDate != "20200229"
    moment, time = new.ContentSequence[1].ContentSequence
    assert _days_between("20200301", moment.DateTime) == _days_between("20200229", new.ContentDate)
    assert moment.DateTime[8:] == "235959.5"
    assert time.Time == "235958"
    assert b"20200229" not in output.data


@pytest.mark.parametrize("options", [{MODIFIED}, {FULL}, set()], ids=["modified", "full", "none"])
def test_the_birth_date_stays_under_no_option(options: set[Option]) -> None:
    ds = basic_dataset(PatientBirthDate="19580714", PatientBirthTime="0101")
    new = deidentify(ds, plan_of(options=frozenset(options))).dataset
    assert new.PatientBirthDate == ""
    assert "PatientBirthTime" not in new


_TIMES = [
    "",
    "11",
    "1122",
    "112233",
    "112233.5",
    "235960",
    "112233.123456",
    "11:22:33.5",
    "112233 ",
]
_NO_TIMES = [
    "20190317",
    "19580714",
    "20190317112233",
    "2019-03-17",
    "1",
    "112",
    "2500",
    "1160",
    "112261",
    "112233.",
    "112233.1234567",
    "1122.5",
    "11:22:33:44",
    "Quillfeather",
    "１１２２",  # noqa: RUF001  (digits of another script)
]


@pytest.mark.parametrize("text", _TIMES)
def test_times_of_day_stay_byte_for_byte(text: str) -> None:
    assert times_of_day(text.encode(), "TM") == text.encode()
    assert times_of_day(f"{text}\\1200".encode(), "TM") == f"{text}\\1200".encode()


@pytest.mark.parametrize("text", _NO_TIMES)
def test_what_is_no_time_of_day_comes_back_empty(text: str) -> None:
    assert times_of_day(text.encode(), "TM") == b""
    assert times_of_day(f"{text}\\1200".encode(), "TM") == b"\\1200"


@pytest.mark.parametrize("zone", ["+0000", "-0500", "+0545", "+1400", "-0930 "])
def test_a_zone_stays(zone: str) -> None:
    assert times_of_day(zone.encode(), "SH") == zone.encode()


@pytest.mark.parametrize("zone", ["20190317", "+1415", "-1300", "0100", "+01:00", "CET"])
def test_what_is_no_zone_comes_back_empty(zone: str) -> None:
    assert times_of_day(zone.encode(), "SH") == b""


@SYNTAXES
@pytest.mark.parametrize("text", ["20190317", "19580714", "20190317112233", "2019-03-17"])
def test_no_date_is_hidden_in_a_time_or_a_zone(text: str, syntax: str) -> None:
    ds = basic_dataset(StudyDate="20190317", PatientBirthDate="19580714", StudyTime="112233")
    ds.SeriesTime = ds.TimezoneOffsetFromUTC = text
    ds.SourceImageSequence = [Dataset()]
    ds.SourceImageSequence[0].ContentTime = text
    output = deidentify(ds, SHIFTING, syntax)
    assert text.encode() not in output.data
    assert output.dataset.StudyTime == "112233"


# Differences, over all objects of a patient

_KEYWORDS_DA = ["StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"]
_KEYWORDS_DT = ["AcquisitionDateTime", "FrameReferenceDateTime", "DecayCorrectionDateTime"]
_SAFE_DATES = st.dates(dt.date(1900, 1, 1), dt.date(2099, 12, 31))


@st.composite
def _objects(draw: st.DrawFn) -> list[tuple[Dataset, dict[str, str]]]:
    made = []
    for number in range(draw(st.integers(2, 4))):
        texts = {keyword: f"{draw(_SAFE_DATES):%Y%m%d}" for keyword in _KEYWORDS_DA}
        for keyword in _KEYWORDS_DT:
            texts[keyword] = f"{draw(_SAFE_DATES):%Y%m%d}{draw(st.times()):%H%M%S.%f}"
        ds = basic_dataset(
            SOPInstanceUID=f"{ROOT}13.{number}",
            SeriesInstanceUID=f"{ROOT}12.{draw(st.integers(1, 3))}",
            StudyInstanceUID=f"{ROOT}11.{draw(st.integers(1, 3))}",
        )
        holder = draw(st.sampled_from([[], ["FrameContentSequence"]]))
        inner = Dataset()
        for keyword, text in texts.items():
            setattr(inner, keyword, text)
        ds.update(nested(inner, holder))
        made.append((ds, texts))
    return made


def _moment(text: str) -> dt.datetime:
    value = DT(text)
    assert value is not None
    return value


@settings(max_examples=40)
@given(_objects())
def test_differences_between_any_two_dates_of_a_patient_are_exact(
    objects: list[tuple[Dataset, dict[str, str]]],
) -> None:
    before, after = [], []
    for ds, texts in objects:
        # A node of its own for each object: nothing is remembered between them.
        plan = Plan(StudyRules("study", options=frozenset({MODIFIED})), KEY)
        new = deidentify(ds, plan).dataset
        new = new.FrameContentSequence[0] if "FrameContentSequence" in new else new
        before += [_moment(text) for text in texts.values()]
        after += [_moment(str(new[keyword].value)) for keyword in texts]
    for (old, new_old), (other, new_other) in combinations(zip(before, after, strict=True), 2):
        assert new_old - new_other == old - other
        assert old != new_old


def test_the_shift_belongs_to_the_patient_and_the_key() -> None:
    def days(patient_id: str | None, **rules: object) -> int:
        plan = plan_of(options=frozenset({MODIFIED}), **rules)
        ds = basic_dataset(PatientID=patient_id, StudyDate="20200101")
        return _shifted("20200101", deidentify(ds, plan))

    assert days("MRN7741902") == days("MRN7741902") == days(" MRN7741902 ")
    many = {days(f"MRN77419{number:02}") for number in range(40)}
    assert len(many) > 35
    assert all(-3683 < shift < -30 for shift in many)
    assert days("MRN7741902", random_seed="other") != days("MRN7741902")


def test_objects_without_a_patient_id_are_shifted_alike_within_a_study() -> None:
    def days(study: str) -> int:
        ds = basic_dataset(PatientID=None, StudyInstanceUID=study, StudyDate="20200101")
        return _shifted("20200101", deidentify(ds, SHIFTING))

    assert days(f"{ROOT}11") == days(f"{ROOT}11") != days(f"{ROOT}14")


# (0028,0303)

_FULL = plan_of(options=frozenset({FULL}))
_NONE = plan_of()


@SYNTAXES
@pytest.mark.parametrize(
    ("plan", "dates", "before", "label"),
    [
        (_NONE, {"StudyDate": "20200101"}, None, "REMOVED"),
        (_NONE, {"StudyDate": "20200101"}, "MODIFIED", "REMOVED"),
        (_NONE, {}, None, "REMOVED"),
        (_FULL, {"StudyDate": "20200101"}, None, "UNMODIFIED"),
        (_FULL, {"StudyDate": "20200101"}, "MODIFIED", "MODIFIED"),
        (_FULL, {"StudyDate": "20200101"}, "UNMODIFIED", "UNMODIFIED"),
        (_FULL, {}, None, "REMOVED"),
        (_FULL, {"StudyDate": ""}, None, "REMOVED"),
        (_FULL, {"StudyDate": "  "}, None, "REMOVED"),
        (SHIFTING, {"StudyDate": "20200101"}, None, "MODIFIED"),
        (SHIFTING, {"StudyDate": "20200101"}, "MODIFIED", "MODIFIED"),
        (SHIFTING, {"StudyDate": "20200101"}, "UNMODIFIED", "MODIFIED"),
        (SHIFTING, {"StudyDate": "20200101", "SeriesDate": "19"}, None, "MODIFIED"),
        (SHIFTING, {}, None, "REMOVED"),
        (SHIFTING, {"StudyDate": ""}, None, "REMOVED"),
        (SHIFTING, {"StudyDate": "20200230"}, None, "REMOVED"),
        (SHIFTING, {"PatientBirthDate": "19580714"}, None, "REMOVED"),
        (SHIFTING, {"StudyTime": "112233"}, None, "REMOVED"),
    ],
)
def test_the_label_says_what_is_true_of_the_dates(
    plan: Plan, dates: dict[str, str], before: str | None, label: str, syntax: str
) -> None:
    ds = basic_dataset(**dates)
    if before:
        ds.LongitudinalTemporalInformationModified = before
    new = deidentify(ds, plan, syntax).dataset
    assert new.LongitudinalTemporalInformationModified == label


def test_dates_of_a_device_that_is_retained_are_shifted_with_the_others() -> None:
    """A true date beside shifted ones gives the shift away: devices are calibrated daily."""
    options = frozenset({MODIFIED, Option.RETAIN_DEVICE_IDENTITY})
    ds = basic_dataset(
        StudyDate="20200101", DateOfLastCalibration="20200101", TimeOfLastCalibration="060000"
    )
    new = deidentify(ds, plan_of(options=options)).dataset
    assert new.DateOfLastCalibration == new.StudyDate != "20200101"
    assert new.TimeOfLastCalibration == "060000"


def test_the_version_of_a_vocabulary_does_not_give_the_shift_away() -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "T-D1100", "SRT", "Head"
    code.ContextIdentifier, code.MappingResource = "4031", "DCMR"
    # Published in PS3.16: whoever knows it and sees it shifted knows the shift.
    code.ContextGroupVersion = "20020904"
    ds = basic_dataset(StudyDate="20200101", AnatomicRegionSequence=[code])
    new = deidentify(ds, SHIFTING).dataset
    version = str(new.AnatomicRegionSequence[0].get("ContextGroupVersion") or "20020904")
    assert version[:8] in ("20020904", "18500101")
