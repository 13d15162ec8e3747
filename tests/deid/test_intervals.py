"""Intervals of nuclear medicine: what decays between two moments decays the same afterwards.

The scale of SUVbw is computed here by the formula of the QIBA profile, from the header
alone, before and after.
"""

import datetime as dt
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.valuerep import DA, DT, TM
from support_classes import dataset
from support_deid import EXPLICIT, IMPLICIT, basic_dataset, deidentify, plan_of, read_file

from dicomanon_node.deid.rules import Option

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"
PET = "1.2.840.10008.5.1.4.1.1.128"
ENHANCED_PET = "1.2.840.10008.5.1.4.1.1.130"
NM = "1.2.840.10008.5.1.4.1.1.20"
SYNTAXES = pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
PLAN = plan_of(
    options=frozenset(
        {Option.RETAIN_LONGITUDINAL_MODIFIED_DATES, Option.RETAIN_PATIENT_CHARACTERISTICS}
    )
)
KEEPING_PRIVATE = plan_of(options=PLAN.rules.options, removes_private=False)
_DAY = dt.timedelta(days=1)


def _moment(ds: Dataset, name: str) -> dt.datetime:
    return dt.datetime.combine(DA(ds[f"{name}Date"].value), TM(ds[f"{name}Time"].value))


def _datetime(text: str) -> dt.datetime:
    value = DT(text)
    assert value is not None
    return value


def suv_scale(ds: Dataset) -> float:
    """What stored activity is multiplied with for SUVbw in g/ml; for Decay Correction START."""
    info = ds.RadiopharmaceuticalInformationSequence[0]
    assert ds.DecayCorrection in ("START", "ADMIN")
    elapsed = dt.timedelta()
    if ds.DecayCorrection == "START":
        scan = _moment(ds, "Series")
        if "RadiopharmaceuticalStartDateTime" in info:
            injection = _datetime(info.RadiopharmaceuticalStartDateTime)
        else:
            # Only a time: of the day of the scan, or of the day before it.
            injection = dt.datetime.combine(scan.date(), TM(info.RadiopharmaceuticalStartTime))
            if injection > scan:
                injection -= _DAY
        elapsed = scan - injection
    half_life = float(info.RadionuclideHalfLife)
    left = float(info.RadionuclideTotalDose) * 2 ** (-elapsed.total_seconds() / half_life)
    return float(ds.PatientWeight) * 1000 / left


def _pet(**attributes: object) -> Dataset:
    info: dict[str, object] = {
        "RadiopharmaceuticalStartTime": "141700.5",
        "RadionuclideTotalDose": "370000000",
        "RadionuclideHalfLife": "6586.2",
    }
    top: dict[str, object] = {}
    for keyword, value in attributes.items():
        (info if keyword.startswith("Radio") else top)[keyword] = value
    ds = basic_dataset(
        SOPClassUID=PET,
        Modality="PT",
        PatientWeight="69.7344",
        SeriesDate="20200229",
        SeriesTime="152316.921",
        AcquisitionDate="20200229",
        AcquisitionTime="152316.921",
        Units="BQML",
        DecayCorrection="START",
        DecayFactor="1.01587",
        FrameReferenceTime="1543.5",
        ActualFrameDuration="180000",
        **top,
    )
    ds.RadiopharmaceuticalInformationSequence = [dataset(info)]
    return ds


@SYNTAXES
@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"RadiopharmaceuticalStartDateTime": "20200229141700.5"},
        {"RadiopharmaceuticalStartDateTime": "20200229141700.500000"},
        # Injected before midnight, scanned after it: with its day, and by its time alone.
        {
            "RadiopharmaceuticalStartDateTime": "20200229233000",
            "RadiopharmaceuticalStopDateTime": "20200301000130.25",
            "SeriesDate": "20200301",
            "SeriesTime": "003000",
        },
        {"RadiopharmaceuticalStartTime": "233000", "SeriesTime": "003000"},
        {
            "RadiopharmaceuticalStartDateTime": "20191231235959.999999",
            "SeriesDate": "20200101",
            "SeriesTime": "000000",
        },
        {"DecayCorrection": "ADMIN"},
    ],
)
def test_the_scale_of_suv_is_the_same_before_and_after(
    attributes: dict[str, str], syntax: str
) -> None:
    ds = _pet()
    for keyword, value in attributes.items():
        holder = ds
        if keyword.startswith("Radio"):
            holder = ds.RadiopharmaceuticalInformationSequence[0]
        setattr(holder, keyword, value)
    new = deidentify(ds, PLAN, syntax).dataset
    assert suv_scale(new) == suv_scale(ds)
    assert new.SeriesDate != ds.SeriesDate
    for keyword in ("DecayFactor", "FrameReferenceTime", "ActualFrameDuration", "DecayCorrection"):
        assert new[keyword].value == ds[keyword].value


_MOMENTS = st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2090, 1, 1))  # noqa: DTZ001  (DT without a zone)


@given(_MOMENTS, st.timedeltas(dt.timedelta(seconds=1), dt.timedelta(hours=20)))
def test_the_scale_of_suv_is_the_same_for_any_injection(
    injection: dt.datetime, elapsed: dt.timedelta
) -> None:
    scan = injection + elapsed
    ds = _pet(RadiopharmaceuticalStartDateTime=f"{injection:%Y%m%d%H%M%S.%f}")
    ds.SeriesDate, ds.SeriesTime = f"{scan:%Y%m%d}", f"{scan:%H%M%S.%f}"
    assert suv_scale(deidentify(ds, PLAN).dataset) == suv_scale(ds)


@SYNTAXES
def test_without_patient_characteristics_the_decay_is_still_exact(syntax: str) -> None:
    ds = _pet(RadiopharmaceuticalStartDateTime="20200228235959.25")
    plan = plan_of(options=frozenset({Option.RETAIN_LONGITUDINAL_MODIFIED_DATES}))
    new = deidentify(ds, plan, syntax).dataset
    assert "PatientWeight" not in new
    new.PatientWeight = ds.PatientWeight
    assert suv_scale(new) == suv_scale(ds)


def _moments(ds: Dataset) -> Iterator[tuple[str, dt.datetime]]:
    """All moments of a data set, at every depth, in order: DT, and DA with its TM."""
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                yield from _moments(item)
        elif element.VR == "DT" and not element.is_empty:
            yield element.keyword or str(element.tag), _datetime(str(element.value))
        elif element.VR == "DA" and not element.is_empty:
            time = ds.get(element.keyword.removesuffix("Date") + "Time")
            day = DA(element.value)
            yield (
                element.keyword or str(element.tag),
                dt.datetime.combine(day, TM(time) if time else dt.time()),
            )


def _assert_all_moments_moved_alike(
    old: Dataset, new: Dataset, without: frozenset[str] = frozenset()
) -> int:
    before = [pair for pair in _moments(old) if pair[0] not in without]
    after = [pair for pair in _moments(new) if pair[0] not in without]
    assert [name for name, _ in after] == [name for name, _ in before]
    shifts = {new - old for (_, new), (_, old) in zip(after, before, strict=True)}
    assert len(shifts) == 1
    assert shifts.pop() % _DAY == dt.timedelta()
    return len(before)


def _enhanced_pet() -> Dataset:
    frames: list[dict[str, object]] = [
        {
            "FrameContentSequence": [
                {
                    "FrameAcquisitionDateTime": f"20200229235{number}59.750000",
                    "FrameReferenceDateTime": f"20200301000{number}29.75",
                    "FrameAcquisitionDuration": 59999.5,
                }
            ],
            "PETFrameCorrectionFactorsSequence": [{"DecayFactor": "1.25"}],
            "PETFrameAcquisitionSequence": [{"TableHeight": 12.5}],
        }
        for number in range(3)
    ]
    ds = basic_dataset(SOPClassUID=ENHANCED_PET, Modality="PT", PatientWeight="70")
    ds.update(
        dataset(
            {
                "StudyDate": "20200229",
                "StudyTime": "221500",
                "AcquisitionDateTime": "20200229235959.75+0100",
                "DecayCorrectionDateTime": "20200229235959.75+0100",
                "AcquisitionStartCondition": "MANUAL",
                "RadiopharmaceuticalInformationSequence": [
                    {
                        "RadiopharmaceuticalStartDateTime": "20200229225500.000001+0100",
                        "RadiopharmaceuticalStopDateTime": "20200229225530+0100",
                        "RadionuclideTotalDose": "370000000",
                        "RadionuclideHalfLife": "6586.2",
                    }
                ],
                "RadiopharmaceuticalUsageSequence": [{"RadiopharmaceuticalAgentNumber": 1}],
                "SharedFunctionalGroupsSequence": [
                    {"RadiopharmaceuticalUsageSequence": [{"RadiopharmaceuticalAgentNumber": 1}]}
                ],
                "PerFrameFunctionalGroupsSequence": frames,
            }
        )
    )
    return ds


@SYNTAXES
@pytest.mark.parametrize("is_undefined", [False, True])
def test_frames_of_an_enhanced_pet_keep_their_distances(syntax: str, is_undefined: bool) -> None:
    ds = _enhanced_pet()
    for element in ds.iterall():
        if element.VR == "SQ":
            element.is_undefined_length = is_undefined
    new = deidentify(ds, PLAN, syntax).dataset
    old_moments = {name: value for name, value in _moments(ds) if value.tzinfo is None}
    assert len(old_moments) >= 3
    names = [name for name, _ in _moments(ds)]
    assert [name for name, _ in _moments(new)] == names
    shifts = {
        after - before for (_, before), (_, after) in zip(_moments(ds), _moments(new), strict=True)
    }
    assert len(shifts) == 1
    assert len(names) == 11
    start = "RadiopharmaceuticalStartDateTime"
    info, new_info = (item.RadiopharmaceuticalInformationSequence[0] for item in (ds, new))
    assert new_info[start].value[8:] == info[start].value[8:]
    for old_frame, new_frame in zip(
        ds.PerFrameFunctionalGroupsSequence, new.PerFrameFunctionalGroupsSequence, strict=True
    ):
        content, new_content = (frame.FrameContentSequence[0] for frame in (old_frame, new_frame))
        assert new_content.FrameAcquisitionDuration == content.FrameAcquisitionDuration
        factors = new_frame.PETFrameCorrectionFactorsSequence[0]
        assert factors.DecayFactor == 1.25


def test_phases_and_rotations_of_nuclear_medicine_keep_their_times() -> None:
    ds = basic_dataset(
        SOPClassUID=NM,
        Modality="NM",
        StudyDate="20200229",
        StudyTime="221500",
        AcquisitionDate="20200301",
        AcquisitionTime="000010.5",
        AcquisitionDateTime="20200301000010.5",
    )
    ds.update(
        dataset(
            {
                "RadiopharmaceuticalInformationSequence": [
                    {
                        "RadiopharmaceuticalStartTime": "235910",
                        "RadiopharmaceuticalStopTime": "235920",
                        "RadiopharmaceuticalStartDateTime": "20200229235910",
                        "RadionuclideTotalDose": "740",
                    }
                ],
                "PhaseInformationSequence": [{"PhaseDelay": 500, "ActualFrameDuration": "1000"}],
                "RotationInformationSequence": [{"ActualFrameDuration": "20000"}],
                "TimeSlotVector": [1, 2],
            }
        )
    )
    new = deidentify(ds, PLAN).dataset
    assert _assert_all_moments_moved_alike(ds, new) == 4
    info = new.RadiopharmaceuticalInformationSequence[0]
    assert (info.RadiopharmaceuticalStartTime, info.RadiopharmaceuticalStopTime) == (
        "235910",
        "235920",
    )
    assert new.PhaseInformationSequence == ds.PhaseInformationSequence
    assert new.RotationInformationSequence == ds.RotationInformationSequence


def test_a_dynamic_series_keeps_the_distances_between_its_objects() -> None:
    start = dt.datetime(2020, 2, 29, 23, 58, 0, 250000)  # noqa: DTZ001  (DT without a zone)
    before, after = [], []
    for number in range(6):
        moment = start + number * dt.timedelta(seconds=61, microseconds=7)
        ds = _pet(RadiopharmaceuticalStartDateTime="20200229231500")
        ds.SOPInstanceUID += f".{number}"
        ds.AcquisitionDate, ds.AcquisitionTime = f"{moment:%Y%m%d}", f"{moment:%H%M%S.%f}"
        ds.AcquisitionDateTime = f"{moment:%Y%m%d%H%M%S.%f}"
        new = deidentify(ds, PLAN).dataset
        assert _moment(new, "Acquisition") == DT(new.AcquisitionDateTime)
        before.append(_moment(ds, "Acquisition"))
        after.append(_moment(new, "Acquisition"))
    pairs = zip(combinations(before, 2), combinations(after, 2), strict=True)
    assert all(one - other == new_one - new_other for (one, other), (new_one, new_other) in pairs)


# Real ones

_WITH_SUV = ["dicom/1.dcm", "fo-dicom/GH184.dcm"]
_REAL = [*_WITH_SUV, "dicom-test-files/NM1_JLSL", "pydicom/JPEG-lossy.dcm"]
_PUBLISHED = frozenset({"ContextGroupVersion", "PatientBirthDate"})
real = [
    pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus of real files at {CORPUS}"),
    pytest.mark.filterwarnings("ignore"),
]


def _both(name: str, *, private: bool) -> tuple[Dataset, Dataset]:
    body, syntax = read_file(CORPUS / name)
    old = pydicom.dcmread(CORPUS / name, force=True)
    plan = KEEPING_PRIVATE if private else PLAN
    return old, deidentify(body, plan, syntax).dataset


@pytest.mark.parametrize("name", [pytest.param(name, marks=real) for name in _WITH_SUV])
@pytest.mark.parametrize("private", [False, True])
def test_the_scale_of_suv_of_a_real_pet_is_the_same(name: str, private: bool) -> None:
    old, new = _both(name, private=private)
    assert suv_scale(new) == suv_scale(old)
    assert new.SeriesDate != old.SeriesDate


@pytest.mark.parametrize("name", [pytest.param(name, marks=real) for name in _REAL])
@pytest.mark.parametrize("private", [False, True])
def test_all_moments_of_a_real_object_are_moved_alike(name: str, private: bool) -> None:
    old, new = _both(name, private=private)
    if not private:
        old.remove_private_tags()
    assert _assert_all_moments_moved_alike(old, new, _PUBLISHED) >= 4


@pytest.mark.parametrize("private", [pytest.param("GEMS_PETD_01", marks=real)])
def test_a_maker_says_the_same_about_injection_and_scan_as_before(private: str) -> None:
    old, new = _both("fo-dicom/GH184.dcm", private=True)
    moments = []
    for ds in (old, new):
        block = ds.private_block(0x0009, private)
        moments.append([DT(str(block[number].value)) for number in (0x39, 0x3B, 0x3D, 0x0D)])
    before, after = moments
    assert len({new_one - one for one, new_one in zip(before, after, strict=True)}) == 1
    assert after[0] != before[0]
