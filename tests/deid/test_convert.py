"""Big Endian and Deflated objects become Explicit VR Little Endian, value by value."""

import struct
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from support_deid import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    basic_dataset,
    decode,
    deidentify,
    encode,
    pieces,
    plan_of,
    walk,
)
from support_strategies import datasets

from dicomanon_node.deid.convert import ByteSwapper, Inflater, output_transfer_syntax
from dicomanon_node.errors import Reason, Refused

quick = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
# VRs whose values pydicom leaves in the byte order they came in, and their units' bytes.
_UNITS = {"OB": 1, "UN": 1, "OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}


def swapped(body: bytes, cuts: list[int] | None = None) -> bytes:
    swapper = ByteSwapper(1 << 24, 64)
    out = [piece for part in pieces(body, cuts or []) for piece in swapper.feed(part)]
    return b"".join(out + list(swapper.finish()))


def inflated(body: bytes, cuts: list[int] | None = None, limit: int = 1 << 30) -> bytes:
    inflater = Inflater(limit)
    out = [piece for part in pieces(body, cuts or []) for piece in inflater.feed(part)]
    return b"".join(out + list(inflater.finish()))


def deflated(body: bytes, level: int = 6) -> bytes:
    compressor = zlib.compressobj(level, wbits=-zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


def _native(element: DataElement) -> object:
    # As the number or text it stands for: units of binary VRs in Big Endian are turned.
    if element.VR not in _UNITS or not isinstance(element.value, bytes):
        return element.value
    size = _UNITS[element.VR]
    value = element.value
    return b"".join(value[i : i + size][::-1] for i in range(0, len(value), size))


def _values(ds: Dataset, *, is_big: bool) -> dict[tuple[int, ...], tuple[str, object]]:
    return {
        path: (element.VR, _native(element) if is_big else element.value)
        for path, element in walk(ds)
        if element.VR != "SQ"
    }


@quick
@given(ds=datasets(), cuts=st.lists(st.integers(0, 4000), max_size=20))
def test_every_value_of_a_big_endian_object_is_what_pydicom_reads(
    ds: Dataset, cuts: list[int]
) -> None:
    body = encode(ds, BIG_ENDIAN)
    expected = _values(decode(body, BIG_ENDIAN), is_big=True)
    assert _values(decode(swapped(body, cuts), EXPLICIT), is_big=False) == expected


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (0x00280010, "US", 513),
        (0x00189219, "SS", -2),
        (0x00186024, "UL", 0x01020304),
        (0x00186020, "SL", -3),
        (0x00720082, "SV", -4),
        (0x00720083, "UV", 2**60 + 1),
        (0x00080040, "US", [1, 2, 772]),
        (0x00720062, "FL", 1.5),
        (0x00189073, "FD", 2.5),
        (0x00200052, "AT", 0x00100020),
        (0x00280009, "AT", [0x00181063, 0x00181065]),
    ],
)
def test_numbers_of_each_vr_are_the_same_at_any_depth(tag: int, vr: str, value: object) -> None:
    ds = basic_dataset()
    inner = Dataset()
    inner.add_new(tag, vr, value)
    ds.add(inner[tag])
    ds.SharedFunctionalGroupsSequence = [inner]
    for is_undefined in (False, True):
        ds["SharedFunctionalGroupsSequence"].is_undefined_length = is_undefined
        inner.is_undefined_length_sequence_item = is_undefined
        new = decode(swapped(encode(ds, BIG_ENDIAN)))
        assert new[tag].value == ds[tag].value
        assert new.SharedFunctionalGroupsSequence[0][tag].value == ds[tag].value


@pytest.mark.parametrize("vr", _UNITS)
def test_units_of_binary_values_are_turned_by_their_size(vr: str) -> None:
    ds = basic_dataset()
    ds.add_new(0x00091001, vr, bytes(range(16)))
    size = _UNITS[vr]
    expected = b"".join(bytes(range(i, i + size))[::-1] for i in range(0, 16, size))
    assert decode(swapped(encode(ds, BIG_ENDIAN)))[0x00091001].value == expected


def test_sixteen_bit_pixels_keep_their_numbers() -> None:
    ds = basic_dataset()
    pixels = [0, 1, 258, 4095, 65535]
    ds.add_new(0x7FE00010, "OW", struct.pack(">5H", *pixels))
    output = deidentify(encode(ds, BIG_ENDIAN), plan_of(), BIG_ENDIAN)
    assert list(struct.unpack("<5H", output.dataset.PixelData)) == pixels
    assert output.dataset.file_meta.TransferSyntaxUID == EXPLICIT


def test_un_in_big_endian_is_implicit_little_endian() -> None:
    """PS3.5 6.2.2; pydicom takes it for Big Endian, DCMTK does not."""
    item = Dataset()
    item.Rows = 513
    item.PatientName = "Inner^Name"
    implicit = encode(item, "1.2.840.10008.1.2")
    value = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(implicit)) + implicit
    for is_undefined in (False, True):
        length = 0xFFFFFFFF if is_undefined else len(value)
        header = struct.pack(">HH2sxxI", 0x5400, 0x0100, b"UN", length)
        body = encode(basic_dataset(), BIG_ENDIAN) + header + value
        body += b"\xfe\xff\xdd\xe0\0\0\0\0" if is_undefined else b""
        output = deidentify(body, plan_of(), BIG_ENDIAN)
        new = output.dataset[0x54000100].value[0]
        assert new.Rows == 513
        assert "Inner" not in str(new.PatientName)
        assert b"Inner" not in output.data


def test_an_item_that_overlaps_the_next_is_refused() -> None:
    item = struct.pack(">HHI", 0xFFFE, 0xE000, 4) + struct.pack(">HH2sH", 0x0028, 0x0010, b"US", 0)
    body = struct.pack(">HH2sxxI", 0x5400, 0x0100, b"SQ", len(item)) + item
    with pytest.raises(Refused) as refused:
        swapped(encode(basic_dataset(), BIG_ENDIAN) + body)
    assert refused.value.reason is Reason.TRUNCATED


def test_big_endian_data_over_its_limit_is_refused_while_it_comes_in() -> None:
    swapper = ByteSwapper(1000, 64)
    with pytest.raises(Refused) as refused:
        any(list(swapper.feed(memoryview(bytes(100)))) for _ in range(100))
    assert refused.value.reason is Reason.OBJECT_TOO_LARGE


@quick
@given(
    size=st.integers(0, 3 << 18),
    level=st.sampled_from([0, 1, 9]),
    cuts=st.lists(st.integers(0, 1000), max_size=8),
    period=st.sampled_from([1, 7, 256]),
)
def test_deflated_bytes_come_back_whole(
    size: int, level: int, cuts: list[int], period: int
) -> None:
    body = (bytes(range(period)) * (size // period + 1))[:size]
    assert inflated(deflated(body, level), cuts) == body


@pytest.mark.parametrize("size", [256 << 10, (256 << 10) + 1, (256 << 10) + 258, 512 << 10])
def test_output_that_fills_a_piece_exactly_is_not_lost(size: int) -> None:
    assert inflated(deflated(bytes(size), 9)) == bytes(size)


def test_a_deflated_object_is_deidentified_like_the_same_object_undeflated() -> None:
    ds = basic_dataset(StudyDescription="Quillfeather")
    ds.add_new(0x7FE00010, "OW", bytes(range(256)))
    body = encode(ds)
    plain = deidentify(body)
    # PS3.5 A.5: a stream of odd length is padded.
    for padding in (b"", b"\0"):
        assert deidentify(deflated(body) + padding, plan_of(), DEFLATED).data == plain.data


def test_a_deflated_stream_that_does_not_end_is_refused() -> None:
    body = deflated(encode(basic_dataset()))
    with pytest.raises(Refused) as refused:
        inflated(body[:-1])
    assert refused.value.reason is Reason.TRUNCATED


def test_what_is_no_deflated_stream_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        inflated(b"\xff\xff\xff\xff")
    assert refused.value.reason is Reason.UNPARSABLE


def test_an_inflated_object_over_its_limit_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        inflated(deflated(bytes(2 << 20)), limit=1 << 20)
    assert refused.value.reason is Reason.DEFLATE_LIMIT


@pytest.mark.parametrize(
    ("came_in", "goes_out"),
    [
        (DEFLATED, EXPLICIT),
        (BIG_ENDIAN, EXPLICIT),
        (EXPLICIT, EXPLICIT),
        ("1.2.840.10008.1.2", "1.2.840.10008.1.2"),
        ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.90"),
    ],
)
def test_all_other_transfer_syntaxes_stay(came_in: str, goes_out: str) -> None:
    assert output_transfer_syntax(came_in) == goes_out
