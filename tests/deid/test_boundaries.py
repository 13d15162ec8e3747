"""Where the header ends and where the pixels end, however the bytes come in."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from support_deid import EXPLICIT, IMPLICIT, basic_dataset, decode, deidentify, encode, pieces

from dicomanon_node.deid.boundaries import MAX_TOP_LEVEL, HeaderScanner, Limits, PixelTail
from dicomanon_node.errors import Reason, Refused

UNDEFINED = 0xFFFFFFFF
DELIMITER = b"\xfe\xff\xdd\xe0\0\0\0\0"
quick = settings(max_examples=60, deadline=None)


def _encapsulated(frames: list[bytes]) -> bytes:
    ds = Dataset()
    ds.add_new(0x7FE00010, "OB", encapsulate(frames))
    ds["PixelData"].is_undefined_length = True
    return encode(ds)


def taken(value: bytes, length: int, cuts: list[int]) -> tuple[int, bool]:
    """How many bytes a tail takes for the pixel value, and whether it is at its end."""
    tail = PixelTail(length)
    count = 0
    for fragment in pieces(value, cuts):
        count += tail.take(fragment)
    return count, tail.is_complete


CUTS = st.lists(st.integers(0, 300), max_size=20)


@quick
@given(frames=st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=5), cuts=CUTS)
def test_an_encapsulated_value_ends_with_its_delimiter(
    frames: list[bytes], cuts: list[int]
) -> None:
    value = _encapsulated(frames)[12:]
    assert taken(value + b"what follows", UNDEFINED, cuts) == (len(value), True)
    assert taken(value[:-1], UNDEFINED, cuts) == (len(value) - 1, False)


@quick
@given(size=st.integers(0, 200), cuts=CUTS)
def test_a_native_value_ends_after_its_length(size: int, cuts: list[int]) -> None:
    assert taken(bytes(size) + b"what follows", size, cuts) == (size, True)
    if size:
        assert taken(bytes(size - 1), size, cuts) == (size - 1, False)


@pytest.mark.parametrize(
    "item",
    [
        b"\xfe\xff\x0d\xe0\0\0\0\0",  # an item delimiter
        b"\xfe\xff\xdd\xe0\x04\0\0\0",  # a sequence delimiter that has a length
        b"\xfe\xff\x00\xe0\xff\xff\xff\xff",  # a fragment without a length
        b"\xe0\x7f\x10\x00OW\0\0",
    ],
)
def test_what_is_no_fragment_is_refused(item: bytes) -> None:
    with pytest.raises(Refused) as refused:
        taken(item, UNDEFINED, [])
    assert refused.value.reason is Reason.UNPARSABLE


@quick
@given(cuts=CUTS, syntax=st.sampled_from([EXPLICIT, IMPLICIT]))
def test_rows_are_the_same_however_the_header_is_cut(cuts: list[int], syntax: str) -> None:
    inner = basic_dataset()
    ds = basic_dataset(ReferencedImageSequence=[inner, inner], ImageComments="text")
    ds["ReferencedImageSequence"].is_undefined_length = True
    inner.is_undefined_length_sequence_item = True
    ds.add_new(0x7FE00010, "OW", bytes(10))
    body = encode(ds, syntax)
    whole = HeaderScanner(implicit=syntax == IMPLICIT, limits=Limits())
    whole.feed(body)
    cut = HeaderScanner(implicit=syntax == IMPLICIT, limits=Limits())
    for fragment in pieces(body, cuts):
        if cut.feed(fragment):
            break
    assert cut.rows == whole.rows
    assert cut.pixel_element == whole.pixel_element is not None
    tags = [row[0] for row in whole.rows]
    assert tags == [int(e.tag) for e in ds if e.tag != 0x7FE00010]


def _with_tail(tail: bytes) -> bytes:
    ds = basic_dataset()
    ds.add_new(0x7FE00010, "OW", bytes(8))
    return encode(ds) + tail


def _element(tag: int, vr: bytes, value: bytes) -> bytes:
    header: bytes = struct.pack("<HH2sxxI", tag >> 16, tag & 0xFFFF, vr, len(value))
    return header + value


def test_what_follows_the_pixel_data_is_judged_by_the_same_rules() -> None:
    signature, padding = (
        _element(0xFFFAFFFA, b"SQ", b""),
        _element(0xFFFCFFFC, b"OB", b"QUILLFEATHER"),
    )
    private = struct.pack("<HH2sH", 0x7FE1, 0x0010, b"LO", 4) + b"ACME"
    private += _element(0x7FE11001, b"OB", b"QUILLFEATHER")
    output = deidentify(_with_tail(private + signature + padding))
    assert b"QUILLFEATHER" not in output.data
    assert [int(e.tag) for e in output.dataset][-1] == 0x7FE00010


def test_encapsulated_private_pixel_data_after_the_pixel_data_goes() -> None:
    private = struct.pack("<HH2sH", 0x7FE1, 0x0010, b"LO", 4) + b"ACME"
    value = _encapsulated([b"QUILLFEATHER"])[12:]
    private += struct.pack("<HH2sxxI", 0x7FE1, 0x1001, b"OB", UNDEFINED) + value
    output = deidentify(_with_tail(private))
    assert b"QUILLFEATHER" not in output.data
    assert len(output.dataset.PixelData) == 8


@pytest.mark.parametrize("tag", [0x00100010, 0x00080018, 0x7FE00010, 0x7FE00001, 0x00120062])
def test_what_belongs_before_the_pixel_data_is_refused_after_it(tag: int) -> None:
    with pytest.raises(Refused) as refused:
        deidentify(_with_tail(_element(tag, b"UN", b"QUILLFEATHER")))
    assert refused.value.reason in (Reason.UNPARSABLE, Reason.TRUNCATED)


@pytest.mark.parametrize("tail", [b"\0", bytes(8), b"\xfe\xff\x00\xe0" + bytes(4), DELIMITER])
def test_bytes_after_the_pixel_data_that_are_no_elements_are_refused(tail: bytes) -> None:
    with pytest.raises(Refused):
        deidentify(_with_tail(tail))


def test_an_object_without_pixel_data_ends_with_its_last_element() -> None:
    body = encode(basic_dataset(ImageComments="text"))
    assert deidentify(body).dataset.PatientIdentityRemoved == "YES"
    for end in (len(body) - 1, len(body) - 5):
        with pytest.raises(Refused) as refused:
            deidentify(body[:end])
        assert refused.value.reason is Reason.TRUNCATED


@pytest.mark.parametrize("vr", ["FloatPixelData", "DoubleFloatPixelData"])
def test_float_pixel_data_is_pixel_data(vr: str) -> None:
    ds = basic_dataset()
    setattr(ds, vr, bytes(range(16)))
    new = deidentify(ds).dataset
    assert new[vr].value == bytes(range(16))


def test_pixel_data_in_an_item_is_no_end_of_the_header() -> None:
    icon = Dataset()
    icon.Rows = icon.Columns = 2
    icon.add_new(0x7FE00010, "OW", b"PIXELS!!")
    ds = basic_dataset(IconImageSequence=[icon], ImageComments="after")
    ds.add_new(0x7FE00010, "OW", bytes(8))
    output = deidentify(ds)
    assert b"PIXELS" not in output.data
    assert decode(output.body).PixelData == bytes(8)


def test_a_header_over_its_limit_is_refused_before_it_has_been_collected() -> None:
    limits = Limits(header_bytes=1000)
    scanner = HeaderScanner(implicit=False, limits=limits)
    ds = basic_dataset()
    ds.add_new(0x00420011, "OB", bytes(5000))
    body = encode(ds)
    with pytest.raises(Refused) as refused:
        any(scanner.feed(fragment) for fragment in pieces(body, range(0, len(body), 100)))
    assert refused.value.reason is Reason.HEADER_TOO_LARGE
    assert len(scanner.buffer) < 1000


def test_more_elements_outside_of_sequences_than_memory_is_held_for_are_refused() -> None:
    body = encode(basic_dataset())
    tiny = b"".join(
        struct.pack("<HH2sH", 0x0011 + 2 * (n >> 15), 0x1000 + (n & 0x7FFF), b"SH", 0)
        for n in range(MAX_TOP_LEVEL)
    )
    with pytest.raises(Refused) as refused:
        deidentify(body + tiny)
    assert refused.value.reason is Reason.TOO_MANY_ELEMENTS
