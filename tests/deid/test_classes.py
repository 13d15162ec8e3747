"""Every class of objects comes through: readable, nobody's, and still worth having."""

import datetime as dt
import io
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pydicom
import pytest
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID
from pydicom.valuerep import DA
from support_classes import (
    DEVICE,
    MONTH,
    NUMBERS,
    PATIENT,
    PEOPLE,
    PLACES,
    UIDS,
    kind,
    values,
)
from support_classes_all import KINDS
from support_deid import EXPLICIT, IMPLICIT, Output, deidentify, plan_of, read_file
from support_identity import found_in, identifiers
from support_table import rows

from dicomanon_node.deid.rules import Option, PrivateTag
from dicomanon_node.errors import Reason, Refused

CLEAN = frozenset(
    {Option.CLEAN_DESCRIPTORS, Option.CLEAN_STRUCTURED_CONTENT, Option.CLEAN_GRAPHICS}
)
PLANS = {
    "none": plan_of(),
    "clean": plan_of(options=CLEAN),
    "research": plan_of(
        options=CLEAN
        | {
            Option.RETAIN_DEVICE_IDENTITY,
            Option.RETAIN_PATIENT_CHARACTERISTICS,
            Option.RETAIN_LONGITUDINAL_MODIFIED_DATES,
            Option.RETAIN_SAFE_PRIVATE,
        }
    ),
}
_EVERYBODY = PATIENT | PEOPLE | PLACES | NUMBERS | {UIDS, MONTH}
_BULK = (
    "PixelData FloatPixelData WaveformData SpectroscopyData PointCoordinatesData VectorGridData"
    " ContourData LongTrianglePointIndexList RedPaletteColorLookupTableData ICCProfile"
).split()

every_plan = pytest.mark.parametrize("plan", PLANS)
every_kind = pytest.mark.parametrize("name", KINDS)


@cache
def _output(name: str, plan: str, syntax: str = EXPLICIT) -> Output:
    return deidentify(KINDS[name].dataset(), PLANS[plan], syntax)


@every_plan
@every_kind
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_nothing_of_the_identity_is_in_the_bytes(name: str, plan: str, syntax: str) -> None:
    output = _output(name, plan, syntax)
    for element in output.dataset.iterall():
        assert element.VR
    sought = _EVERYBODY if plan == "research" else _EVERYBODY | DEVICE
    lowered = output.data.lower()
    assert [word for word in sought if word in lowered] == []


@every_plan
@every_kind
def test_what_makes_the_class_worth_keeping_is_still_there(name: str, plan: str) -> None:
    made = KINDS[name]
    old, new = made.dataset(), _output(name, plan).dataset
    assert new.SOPClassUID == made.sop_class_uid
    assert new.Modality == made.modality
    keeps = made.keeps | (made.keeps_clean if plan != "none" else frozenset())
    changed = [word for word in sorted(keeps) if values(new, word) != values(old, word)]
    assert changed == []
    for word in _BULK:
        if word in made.keeps:
            assert values(old, word)


@every_kind
def test_what_is_said_beside_the_identity_stays_where_descriptors_are_cleaned(name: str) -> None:
    new = _output(name, "clean").dataset
    assert new.StudyDescription == "kepi"
    assert new.SeriesDescription == "kepi"
    assert new.ManufacturerModelName == "Kepi 3"


@every_kind
def test_research_keeps_the_device_and_shifts_the_dates_alike(name: str) -> None:
    new = _output(name, "research").dataset
    assert new.DeviceSerialNumber == "SNQ88812"
    assert new.StationName == "QXSTATION7"
    # 1, 2 and 3 March, before and after.
    days = [DA(new[word].value) for word in ("StudyDate", "SeriesDate", "ContentDate")]
    assert [day - days[0] for day in days] == [dt.timedelta(n) for n in (0, 1, 2)]
    assert new.StudyTime == "112231"
    assert new.LongitudinalTemporalInformationModified == "MODIFIED"


def _uid_pairs(old: Dataset, new: Dataset) -> list[tuple[str, str]]:
    """UIDs at the same places of two data sets, where both have them."""
    pairs = []
    for element in old:
        if element.tag not in new:
            continue
        other = new[element.tag]
        if element.VR == "SQ":
            # Content items may be fewer: only their own places can be compared.
            if len(element.value) == len(other.value):
                for item, new_item in zip(element.value, other.value, strict=True):
                    pairs += _uid_pairs(item, new_item)
        elif element.VR == "UI" and str(element.value).encode().startswith(UIDS):
            pairs.append((str(element.value), str(other.value)))
    return pairs


@every_plan
@every_kind
def test_uids_are_mapped_one_to_one_within_the_object(name: str, plan: str) -> None:
    pairs = set(_uid_pairs(KINDS[name].dataset(), _output(name, plan).dataset))
    assert len({old for old, _ in pairs}) == len({new for _, new in pairs}) == len(pairs)
    assert len(pairs) >= 3


def _errors(file: Path, data: bytes) -> Counter[str]:
    file.write_bytes(data)
    program = shutil.which("dciodvfy")
    assert program is not None
    run = subprocess.run([program, file], capture_output=True, check=False)
    lines = (run.stderr + run.stdout).decode("latin-1").splitlines()
    return Counter(
        re.sub(r"\[[^\]]*\]|0x[0-9a-f]+|\b\d+(?:\.\d+)*\b|<(?![A-Z][A-Za-z]+>)[^>]*>", "_", line)
        for line in lines
        if "Error" in line
    )


@cache
def _removed_by_the_table() -> frozenset[str]:
    return frozenset(keyword_for_tag(row.tags[0]) for row in rows() if row.basic == "X")


def _unexpected(new: Counter[str]) -> list[str]:
    # The table removes some attributes although an IOD has them as Type 2 or 2C.
    return [
        error
        for error in new
        if not any(
            "Missing attribute" in error and f"Element=<{keyword}>" in error
            for keyword in _removed_by_the_table()
        )
    ]


def _file(ds: Dataset) -> bytes:
    # What the node would write of an object it changes nothing in: pydicom's own file.
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(EXPLICIT)
    fp = io.BytesIO()
    ds.save_as(fp, enforce_file_format=True)
    return fp.getvalue()


@pytest.mark.tool("dciodvfy")
@every_kind
def test_dciodvfy_finds_no_error_that_was_not_there(name: str, tmp_path: Path) -> None:
    before = _errors(tmp_path / "before.dcm", _file(KINDS[name].dataset()))
    for plan in PLANS:
        after = _errors(tmp_path / "after.dcm", _output(name, plan).data)
        assert _unexpected(after - before) == [], plan


# What is not a patient's object in a study


@pytest.mark.parametrize(
    ("name", "sop_class_uid"),
    [
        ("hanging protocol", "1.2.840.10008.5.1.4.38.1"),
        ("color palette", "1.2.840.10008.5.1.4.39.1"),
        ("implant template", "1.2.840.10008.5.1.4.43.1"),
    ],
)
@every_plan
def test_what_belongs_to_no_study_is_refused(name: str, sop_class_uid: str, plan: str) -> None:
    lacks = "StudyInstanceUID SeriesInstanceUID PatientName PatientID"
    ds = kind(name, sop_class_uid, "OT", {}, "", lacks=lacks).dataset()
    with pytest.raises(Refused) as refused:
        deidentify(ds, PLANS[plan])
    assert refused.value.reason is Reason.MISSING_UID


_PAYLOAD = PrivateTag(0x0029, "ACME RAW 1", 0x01)


def _raw_data(payload: bytes) -> Dataset:
    ds: Dataset = KINDS["raw data"].dataset()
    ds.add_new(0x00290010, "LO", "ACME RAW 1")
    ds.add_new(0x00291001, "OB", payload)
    return ds


@every_plan
def test_the_private_payload_of_raw_data_goes_unless_the_study_saves_it(plan: str) -> None:
    ds = _raw_data(bytes(range(200)))
    assert 0x00291001 not in deidentify(ds, PLANS[plan]).dataset
    saving = plan_of(options=PLANS[plan].rules.options, saved_private=frozenset({_PAYLOAD}))
    assert deidentify(ds, saving).dataset[0x00291001].value == bytes(range(200))


@every_plan
def test_a_saved_payload_that_says_the_name_does_not_come_out_with_it(plan: str) -> None:
    saving = plan_of(options=PLANS[plan].rules.options, saved_private=frozenset({_PAYLOAD}))
    ds = _raw_data(b"\x01\x02" + b"Quillfeather^Ottoline" + bytes(11))
    data = deidentify(ds, saving).data
    assert b"Quillfeather" not in data
    assert b"Ottoline" not in data


# Real ones

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"
_REAL = {
    "cornerstoneWADOImageLoader/no-pixel-data.dcm": "CompletionFlag",
    "dcm_qa/OS_BW_INTERP_TEST.SR.HEAD_HARMS.0099.0001.2017.09.20.16.16.44.39766.120049184.SR": "",
    "dcm_qa_enh/IM_0027_fMAP.dcm": "ImagePositionPatient EffectiveEchoTime DimensionIndexValues",
    "dcm_qa_spec/31001_1.3.12.2.1107.5.2.61.237021.2026060513334674585008321.dcm": (
        "SpectroscopyData SpectralWidth"
    ),
    "dcmjs-dimse/sr.dcm": "",
    "dcmqi/mf.dcm": "ImagePositionPatient RescaleSlope",
    "dcmqi/partial_overlaps.dcm": "SegmentNumber SegmentAlgorithmType ReferencedSegmentNumber",
    "dcmqi/rwvm.dcm": "RealWorldValueSlope RealWorldValueIntercept",
    "dcmqi/seg.dcm": "SegmentNumber ImagePositionPatient PixelSpacing",
    "dcmqi/sparse-labelmap-ppv5.dcm": "SegmentNumber ImagePositionPatient",
    "dcmqi/sr.dcm": "NumericValue ReferencedSegmentNumber",
    "dwv/sr-ruler.dcm": "GraphicData NumericValue",
    "fo-dicom/OutOfBoundsOverlay.dcm": "ViewPosition ImageLaterality",
    "go-dicom/I_000007.dcm": "NumberOfFrames",
    "go-dicom/I_000000.dcm": "PositionerPrimaryAngle NumberOfFrames",
    "openREM/CT-RDSR-ToshibaPixelMed.dcm": "NumericValue",
    "openREM/DX-RDSR-Carestream_DRXEvolution.dcm": "NumericValue",
    "openREM/MG-RDSR-Hologic_2D.dcm": "NumericValue",
    "pydicom/liver_1frame.dcm": "SegmentNumber ImagePositionPatient",
    "pydicom/reportsi.dcm": "",
    "pydicom/rtdose.dcm": "DoseGridScaling GridFrameOffsetVector DoseUnits",
    "pydicom/rtdose_rle.dcm": "DoseGridScaling GridFrameOffsetVector DoseUnits",
    "pydicom/rtplan.dcm": "BeamNumber BeamMeterset GantryAngle LeafJawPositions NominalBeamEnergy",
    "pydicom/rtstruct.dcm": "ContourData ROINumber ReferencedROINumber ROIDisplayColor",
    "pydicom/test-SR.dcm": "GraphicData NumericValue",
    "pydicom/waveform_ecg.dcm": "WaveformData ChannelSensitivity SamplingFrequency",
    "pynetdicom/RTImageStorage.dcm": "GantryAngle RTImagePosition",
}
_OF_DEVICES = ("StationName", "DeviceSerialNumber", "ScheduledProcedureStepLocation")


def _device_observers(ds: Dataset) -> Iterator[str]:
    # (121012, DCM, "Device Observer UID"): K of Retain Device Identity in Table E.3.4-1.
    for item in ds.get("ContentSequence", ()):
        if (
            item.get("ValueType") == "UIDREF"
            and item.ConceptNameCodeSequence[0].CodeValue == "121012"
        ):
            yield str(item.UID)
        yield from _device_observers(item)


@cache
def _real(name: str, plan: str) -> Output:
    body, syntax = read_file(CORPUS / name)
    return deidentify(body, PLANS[plan], syntax)


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus of real files at {CORPUS}")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("plan", ["clean", "research"])
@pytest.mark.parametrize("name", _REAL)
def test_a_real_object_keeps_what_it_is_for_and_nobody(name: str, plan: str) -> None:
    old = pydicom.dcmread(CORPUS / name, force=True)
    output = _real(name, plan)
    new = output.dataset
    haystack = output.data
    for keyword in ("PixelData", "SpectroscopyData", "WaveformData"):
        pixels = values(old, keyword)
        assert values(new, keyword) == pixels
        for value in pixels:
            assert isinstance(value, bytes)
            haystack = haystack.replace(value, b"")
    assert [word for word in _REAL[name].split() if values(new, word) != values(old, word)] == []
    assert all(values(old, word) for word in _REAL[name].split())
    sought = identifiers(old)
    if plan == "research":
        sought -= {str(value) for word in _OF_DEVICES for value in values(old, word)}
        sought -= set(_device_observers(old))
    assert found_in(haystack, sought) == set()


@pytest.mark.tool("dciodvfy")
@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus of real files at {CORPUS}")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", _REAL)
def test_dciodvfy_finds_no_new_error_in_a_real_object(name: str, tmp_path: Path) -> None:
    before = _errors(tmp_path / "before.dcm", (CORPUS / name).read_bytes())
    for plan in ("clean", "research"):
        after = _errors(tmp_path / "after.dcm", _real(name, plan).data)
        assert _unexpected(after - before) == [], plan
