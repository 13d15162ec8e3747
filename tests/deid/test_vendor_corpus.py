"""Real scanners' blobs: dcm2niix sees the same acquisition, and what was planted is gone."""

import json
import re
import shutil
import subprocess
import zlib
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from support_deid import deidentify, plan_of, read_file
from support_vendor import (
    CORPUS,
    CSA_SERIES,
    FAMILY,
    GIVEN,
    MRN,
    NAME,
    SERIAL,
    Keeps,
    Study,
    blobs,
    bytes_of,
    change_blobs,
    ge_block,
    ge_text,
    holds_token,
    read_csa,
)

from dicomanon_node.deid import vendor
from dicomanon_node.deid.rules import Option, PrivateTag

pytestmark = [
    pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus of real files at {CORPUS}"),
    # Real files make pydicom warn about what is wrong with them.
    pytest.mark.filterwarnings("ignore"),
]

_BOLD = "dcm_qa_nih/epi_pe_ap-00001.dcm"
_GE = "dcm_qa_nih/axial_epi_fmri_sequential_i_to_s-00001.dcm"
# One or two of each maker and version that dcm2niix converts.
_CONVERTED = [
    "dcm_qa/S_BW_INTERP_TEST.MR.HEAD_HARMS.0016.0001.2017.09.20.16.16.44.39766.120117828.IMA",
    "dcm_qa/jp2k1.dcm",
    "dcm_qa/jpg1.dcm",
    "dcm_qa_fmap/e1_01.dcm",
    "dcm_qa_fmap/e1_25.dcm",
    _BOLD,
    "dcm_qa_nih/epi_pe_ap-00002.dcm",
    "fo-dicom/GH1261.dcm",
    "dcm_qa_enh/6_2.dcm",
    "dcm_qa_xa30/0001_1.3.12.2.1107.5.2.43.67093.2022071112123439621008676.dcm",
    "dcm_qa_xa30/0003_1.3.12.2.1107.5.2.43.67093.2022071112142722673312764.dcm",
    "pydicom/examples_overlay.dcm",
    _GE,
    "dcm_qa_polar/081.dcm",
    "dcmjs-dimse/ebe.dcm",
    "dcm_qa_ct/I10",
    "dcm_qa_uih/00000001.dcm",
    "dcm_qa_philips/IM_0001",
    "dcm_qa_enh/IM_0027_fMAP.dcm",
]
_PLANTABLE = [_BOLD, _GE, "dcm_qa_fmap/e1_01.dcm", "dcm_qa_enh/6_2.dcm"]
# What dcm2niix reads of these in the blobs, and nowhere else.
_FROM_BLOBS = {
    _BOLD: {"PhaseEncodingDirection", "PartialFourier", "BaseResolution", "ShimSetting"},
    "dcm_qa_xa30/0003_1.3.12.2.1107.5.2.43.67093.2022071112142722673312764.dcm": {
        "PostLabelingDelay",
        "LabelingDuration",
        "ShimSetting",
    },
}


def _dataset(name: str) -> pydicom.FileDataset:
    return pydicom.dcmread(CORPUS / name)


def _rewritten(dataset: Dataset, fields: vendor.Fields) -> int:
    return change_blobs(dataset, lambda tag, raw: vendor.rewritten(tag, raw, fields))


def _converted(dataset: Dataset, directory: Path) -> dict[str, Any]:
    """dcm2niix's NIfTI bytes and sidecars, by file name."""
    source, output = directory / "in", directory / "out"
    for path in (source, output):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
    dataset.save_as(source / "one.dcm")
    subprocess.run(
        ["dcm2niix", "-b", "y", "-ba", "n", "-z", "n", "-f", "one", "-o", output, source],  # noqa: S607
        check=True,
        capture_output=True,
        timeout=60,
    )
    files: dict[str, Any] = {}
    for path in sorted(output.iterdir()):
        raw = path.read_bytes()
        files[path.name] = json.loads(raw) if path.suffix == ".json" else raw
    return files


@cache
def _original(name: str) -> dict[str, Any]:
    with TemporaryDirectory() as directory:
        return _converted(_dataset(name), Path(directory))


@pytest.mark.tool("dcm2niix")
@pytest.mark.parametrize("name", _CONVERTED)
def test_dcm2niix_makes_the_same_image_and_sidecar(name: str, tmp_path: Path) -> None:
    before = _original(name)
    dataset = _dataset(name)
    _rewritten(dataset, Study())
    after = _converted(dataset, tmp_path)
    assert any(file.endswith(".nii") for file in before)
    assert after == before


@pytest.mark.tool("dcm2niix")
@pytest.mark.parametrize("name", _FROM_BLOBS)
def test_dcm2niix_reads_the_blobs(name: str, tmp_path: Path) -> None:
    # So that the sameness of sidecars says something.
    dataset = _dataset(name)
    change_blobs(dataset, lambda _, raw: b"" if b"ASCCONV" in raw or raw[:4] == b"SV10" else None)
    lost = _original(name)["one.json"].keys() - _converted(dataset, tmp_path)["one.json"].keys()
    assert _FROM_BLOBS[name] <= lost


@pytest.mark.tool("dcm2niix")
@pytest.mark.parametrize("name", _PLANTABLE)
def test_what_is_planted_in_blobs_is_gone_and_the_sidecar_is_the_same(
    name: str, tmp_path: Path
) -> None:
    before = _original(name)
    dataset = _dataset(name)
    assert change_blobs(dataset, _planted)
    assert any(holds_token(bytes_of(element)) for element, _ in blobs(dataset))
    _rewritten(dataset, Study())
    assert not any(holds_token(bytes_of(element)) for element, _ in blobs(dataset))
    assert _converted(dataset, tmp_path) == before


def _planted(_tag: PrivateTag, raw: bytes) -> bytes | None:
    if raw[4:7] == b"\x1f\x8b\x08":
        text = zlib.decompressobj(31).decompress(raw[4:])
        return ge_block(
            text + b'PATIENT "%s"\nset OPERATOR %s\nX "of %s"\n' % (NAME, GIVEN, FAMILY)
        )
    end = b"### ASCCONV END"
    if end not in raw:
        return None
    lines = (
        b'tPatientName\t = \t""%s""\nsPat.tPatientID\t = \t""%s""\ntDeviceSerialNumber = ""%s""\n'
        b'tFree\t = \t""of %s""\n' % (NAME, MRN, SERIAL, FAMILY)
    )
    if not raw.startswith(b"SV10"):
        return raw.replace(end, lines + end)
    # Without moving the items behind it: the same length, from numbers nobody reads here.
    start = raw.index(end)
    spare = raw.rindex(b"\nsSliceAcceleration", 0, start)
    old = raw[spare - 1500 : spare]
    cut = old.index(b"\n") + 1
    room = old[cut:]
    return raw.replace(room, (lines + b"# " + b"x" * len(room))[: len(room)], 1)


@pytest.mark.parametrize("name", _CONVERTED)
def test_nothing_changes_but_memory_where_the_study_changes_nothing(name: str) -> None:
    old, new = _dataset(name), _dataset(name)
    _rewritten(new, Keeps())
    for (before, tag), (after, _) in zip(blobs(old), blobs(new), strict=True):
        old_raw, new_raw = bytes_of(before), bytes_of(after)
        if old_raw.startswith(b"SV10"):
            assert read_csa(new_raw) == read_csa(old_raw)
            assert len(new_raw) == len(old_raw)
        elif tag.creator == "GEMS_SERS_01":
            assert ge_text(new_raw) == zlib.decompressobj(31).decompress(old_raw[4:])
        elif b"\x1f\x8b\x08" not in old_raw:
            assert new_raw.rstrip(b"\0 9") == old_raw.rstrip(b"\0 9")


def test_the_scanners_name_in_the_memory_behind_a_tags_name_goes() -> None:
    # The station's name, AWP and the serial number, is in no value of this file's header.
    name = "dcm_qa/OS_BW_INTERP_TEST.SR.HEAD_HARMS.0099.0001.2017.09.20.16.16.44.39766.120049184.SR"
    dataset = _dataset(name)
    assert b"AWP166038" in dataset[0x0029, 0x1010].value
    _rewritten(dataset, Keeps())
    assert b"AWP166038" not in dataset[0x0029, 0x1010].value


def test_philips_examination_record_loses_its_uids_and_data_sets() -> None:
    dataset = _dataset("dcm_qa_ct/I10")
    old = dataset[0x01F7, 0x1026].value
    text = zlib.decompressobj(31).decompress(old[old.index(b"\x1f\x8b\x08") :])
    _rewritten(dataset, Study())
    raw = dataset[0x01F7, 0x1026].value
    assert len(raw) == len(old)
    new = zlib.decompressobj(31).decompress(raw[raw.index(b"\x1f\x8b\x08") :])
    uids = set(re.findall(rb">(1\.3\.46\.[0-9.]+)<", text))
    assert uids
    assert not any(uid in new for uid in uids)
    assert b"<StudyValue>" in text
    assert re.search(rb"<StudyValue>\s*</StudyValue>", new)


_KEPT: list[dict[str, Any]] = [
    {"removes_private": False},
    {
        "removes_private": False,
        "options": frozenset({Option.RETAIN_LONGITUDINAL_FULL_DATES, Option.CLEAN_DESCRIPTORS}),
    },
]
# Not through the engine: its overlay, which the profile removes, is one of dcm2niix's images;
# its slice times are in times that the profile removes; its numbers have another VR when
# Implicit VR becomes explicit.
_OTHERWISE = {"pydicom/examples_overlay.dcm", "dcm_qa_uih/00000001.dcm", "dcmjs-dimse/ebe.dcm"}
# Sidecar fields of attributes that the profile removes, replaces or shifts, or that dcm2niix
# makes of them; and a sequence's note, which says when it was built.
_NOT_ACQUISITION = re.compile(
    r"UID|ID$|Name$|Date|^AcquisitionTime$|Address|Number|Description|Comments|Patient|Institution"
    r"|Station|Serial|RawImage|ProcedureStep|Protocol|Software|PulseSequenceDetails|WipMemBlock"
)
# The bytes of NIfTI-1's descrip and aux_file: the time of the acquisition, comments.
_TEXTS = slice(148, 252)


def _acquisition(files: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for file, content in files.items():
        if isinstance(content, bytes):
            out[file] = content[: _TEXTS.start] + content[_TEXTS.stop :]
        else:
            fields = {
                key: value for key, value in content.items() if not _NOT_ACQUISITION.search(key)
            }
            assert len(fields) > 5
            out[file] = fields
    return out


@pytest.mark.tool("dcm2niix")
@pytest.mark.parametrize("rules", _KEPT, ids=["basic", "options"])
@pytest.mark.parametrize("name", [name for name in _CONVERTED if name not in _OTHERWISE])
def test_the_engine_keeps_the_acquisition(name: str, rules: dict[str, Any], tmp_path: Path) -> None:
    before = _original(name)
    body, syntax = read_file(CORPUS / name)
    after = _converted(deidentify(body, plan_of(**rules), syntax).dataset, tmp_path)
    assert _acquisition(after) == _acquisition(before)


@pytest.mark.tool("dcm2niix")
@pytest.mark.parametrize("rules", _KEPT, ids=["basic", "options"])
@pytest.mark.parametrize("name", _PLANTABLE)
def test_the_engine_removes_what_is_planted_and_keeps_the_acquisition(
    name: str, rules: dict[str, Any], tmp_path: Path
) -> None:
    before = _original(name)
    dataset = _dataset(name)
    dataset.PatientName, dataset.PatientID = NAME.decode(), MRN.decode()
    dataset.DeviceSerialNumber = SERIAL.decode()
    assert change_blobs(dataset, _planted)
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    output = deidentify(dataset, plan_of(**rules), syntax)
    assert not holds_token(output.data)
    assert _acquisition(_converted(output.dataset, tmp_path)) == _acquisition(before)


@cache
def _real_blobs() -> tuple[tuple[PrivateTag, bytes], ...]:
    return tuple(
        (tag, bytes_of(element))
        for name in (
            "dcm_qa/jpg1.dcm",
            _BOLD,
            _GE,
            "dcm_qa_ct/I10",
            "pydicom/examples_ybr_color.dcm",
        )
        for element, tag in blobs(_dataset(name))
        if len(element.value) > 256
    )


@given(st.data())
@settings(max_examples=60, deadline=2000)
def test_damaged_real_blobs_are_rewritten_or_left_or_unreadable(data: st.DataObject) -> None:
    tag, original = data.draw(st.sampled_from(_real_blobs()))
    raw = bytearray(original)
    for _ in range(data.draw(st.integers(0, 8))):
        position = data.draw(st.integers(0, len(raw) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=4))
        raw[position : position + len(piece)] = piece
    cut = data.draw(st.integers(0, len(raw)))
    for value in (bytes(raw[:cut]), bytes(raw)):
        with suppress(vendor.UnreadableError):
            vendor.rewritten(tag, value, Study())


def test_the_date_and_time_in_matrix_sizes_that_are_none_go() -> None:
    # The sequences of this file leave both there; the study's date is the first.
    name = _CONVERTED[0]
    dataset = _dataset(name)
    assert dataset.StudyDate == "20170920"
    assert b"lFinalMatrixSizePhase\t = \t20170920" in dataset[0x0029, 0x1020].value
    _rewritten(dataset, Study())
    series = dataset[0x0029, 0x1020].value
    assert not re.search(rb"FinalMatrixSize\w+\s*=\s*[0-9]{5}", series)


def test_headers_are_known_by_their_creator() -> None:
    assert CSA_SERIES in {tag for _, tag in blobs(_dataset(_BOLD))}
