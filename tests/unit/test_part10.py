"""`part10`: what a file is and where its data set begins; pydicom is the oracle."""

import contextlib
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support_delivery import CT, EXPLICIT, IMPLICIT, JPEG_LOSSLESS, encoded_dataset, write_file

from dicomanon_node.network.part10 import MAX_FILE_META_BYTES, DicomFile, Part10Error

PREAMBLE = bytes(128) + b"DICM"
DATASET = bytes.fromhex("08000500") + b"CS\x0a\0ISO_IR 100"


def short(element: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", 2, element, vr, len(value)) + value


def long(element: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sHL", 2, element, vr, 0, len(value)) + value


UIDS = (
    short(0x0002, b"UI", CT.encode() + b"\0")
    + short(0x0003, b"UI", b"2.25.77\0")
    + short(0x0010, b"UI", EXPLICIT.encode() + b"\0")
)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def code_of(path: Path) -> str:
    with pytest.raises(Part10Error) as raised:
        DicomFile.open(path)
    assert str(raised.value) == raised.value.code
    return raised.value.code


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, JPEG_LOSSLESS])
@pytest.mark.parametrize("pixel_bytes", [2, 1000, 100_000])
def test_a_file_written_by_pydicom_is_described_as_pydicom_reads_it(
    tmp_path: Path, syntax: str, pixel_bytes: int
) -> None:
    path = write_file(tmp_path / "a.dcm", "2.25.5", syntax=syntax, pixel_bytes=pixel_bytes)
    file = DicomFile.open(path)
    assert (file.sop_class_uid, file.sop_instance_uid, file.transfer_syntax_uid) == (
        CT,
        "2.25.5",
        syntax,
    )
    dataset = encoded_dataset(path)
    assert path.read_bytes()[file.dataset_offset :] == dataset
    assert file.dataset_bytes == len(dataset)


@pytest.mark.parametrize("stated", [0, 1, 10, len(UIDS) - 1, len(UIDS) + 8, 2**32 - 1])
def test_a_wrong_group_length_is_not_believed(tmp_path: Path, stated: int) -> None:
    group_length = short(0x0000, b"UL", struct.pack("<L", stated))
    path = write(tmp_path / "a.dcm", PREAMBLE + group_length + UIDS + DATASET)
    if stated == 0:  # the one wrong length that the walk meets: nothing is stated to follow
        assert code_of(path) == "file-meta-invalid"
    else:
        assert DicomFile.open(path).dataset_bytes == len(DATASET)


def test_file_meta_without_group_length_ends_where_another_group_begins(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", PREAMBLE + UIDS + DATASET)
    assert DicomFile.open(path).dataset_bytes == len(DATASET)


def test_a_deflated_data_set_may_begin_with_the_bytes_of_group_2(tmp_path: Path) -> None:
    group_length = short(0x0000, b"UL", struct.pack("<L", len(UIDS)))
    deflated = bytes.fromhex("02001000 5549ffff ffffffff")
    path = write(tmp_path / "a.dcm", PREAMBLE + group_length + UIDS + deflated)
    assert DicomFile.open(path).dataset_bytes == len(deflated)


def test_large_private_information_is_read_over(tmp_path: Path) -> None:
    private = long(0x0102, b"OB", bytes(300_000))
    path = write(tmp_path / "a.dcm", PREAMBLE + UIDS + private + DATASET)
    assert DicomFile.open(path).dataset_bytes == len(DATASET)


@pytest.mark.parametrize("size", [MAX_FILE_META_BYTES, 2**31])
def test_file_meta_over_its_limit_is_refused_without_reading_it(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.dcm"
    header = PREAMBLE + UIDS + struct.pack("<HH2sHL", 2, 0x0102, b"OB", 0, size)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + size + 100)
    assert code_of(path) == "file-meta-too-large"


def test_a_file_cut_anywhere_in_its_file_meta_is_refused(tmp_path: Path) -> None:
    whole = PREAMBLE + UIDS + long(0x0102, b"OB", b"abcd")
    for length in range(len(whole)):
        path = write(tmp_path / "a.dcm", whole[:length])
        assert code_of(path) in {"not-dicom", "file-meta-truncated", "file-meta-invalid"}
    assert code_of(write(tmp_path / "a.dcm", whole)) in {"file-meta-truncated", "no-dataset"}


def test_a_file_of_file_meta_alone_has_no_data_set(tmp_path: Path) -> None:
    group_length = short(0x0000, b"UL", struct.pack("<L", len(UIDS)))
    assert code_of(write(tmp_path / "a.dcm", PREAMBLE + group_length + UIDS)) == "no-dataset"


@pytest.mark.parametrize(
    "uid",
    [b"", b"../../etc/passwd", b"1.2.3/4", b"1..2", b"1.2.", b".1", b"1.2\n", b"1" * 65, b"a.b"],
)
def test_a_uid_that_is_not_one_is_refused(tmp_path: Path, uid: bytes) -> None:
    meta = (
        short(0x0002, b"UI", CT.encode() + b"\0")
        + short(0x0003, b"UI", uid)
        + short(0x0010, b"UI", EXPLICIT.encode() + b"\0")
    )
    assert code_of(write(tmp_path / "a.dcm", PREAMBLE + meta + DATASET)) == "file-meta-invalid"


@pytest.mark.parametrize("content", [b"", b"DICM", DATASET, bytes(132), b"P" * 4000])
def test_what_is_no_dicom_file_is_refused(tmp_path: Path, content: bytes) -> None:
    assert code_of(write(tmp_path / "a.dcm", content)) == "not-dicom"


def test_file_meta_in_implicit_vr_is_refused(tmp_path: Path) -> None:
    meta = struct.pack("<HHL", 2, 0x0002, len(CT)) + CT.encode()
    assert code_of(write(tmp_path / "a.dcm", PREAMBLE + meta + DATASET)) == "file-meta-invalid"


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_after_the_preamble_raise_anything_else(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = write(tmp_path_factory.getbasetemp() / "fuzz.dcm", PREAMBLE + content)
    with contextlib.suppress(Part10Error):
        DicomFile.open(path)
