"""Bytes that lie: they end in a refusal, never in another exception, soon and in little memory."""

import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from support_deid import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    ROOT,
    basic_dataset,
    deidentify,
    encode,
    nested,
    plan_of,
)

from dicomanon_node.deid.boundaries import Limits
from dicomanon_node.deid.convert import Inflater
from dicomanon_node.deid.rules import Option
from dicomanon_node.errors import Reason, Refused

SYNTAXES = (EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED)
PLANS = (
    plan_of(),
    plan_of(removes_private=False, options=frozenset({Option.CLEAN_DESCRIPTORS})),
    plan_of(profile=None),
)
SMALL = Limits(header_bytes=1 << 20, object_bytes=1 << 20)
# Of a test machine that has other things to do.
SOON_S = 5.0

many = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


def outcome(body: bytes, syntax: str = EXPLICIT, *, limits: Limits = SMALL) -> Reason | None:
    """The reason of the refusal, None where it passed; anything else raises."""
    try:
        for plan in PLANS:
            deidentify(body, plan, syntax, limits=limits)
    except Refused as refused:
        return refused.reason
    return None


def _rich() -> Dataset:
    inner = Dataset()
    inner.PatientName = "Inner^Name"
    inner.ReferencedSOPInstanceUID = ROOT + "13"
    inner.add_new(0x00090010, "LO", "ACME 1.0")
    inner.add_new(0x00091001, "UN", b"\xfe\xff\x00\xe0\x00\x00\x00\x00")
    ds = basic_dataset(StudyDate="20200101", SeriesDescription="T1", SpecificCharacterSet="GB18030")
    ds.RequestAttributesSequence = [inner]
    ds.ContentSequence = [nested(inner, ["ContentSequence"]), inner]
    ds.GraphicAnnotationSequence = [inner]
    ds["ContentSequence"].is_undefined_length = True
    ds["ContentSequence"].value[0].is_undefined_length_sequence_item = True
    ds.update(nested(inner, ["SharedFunctionalGroupsSequence", "PixelMeasuresSequence"]))
    ds.add_new(0x00290010, "LO", "ACME 1.0")
    ds.add_new(0x00291001, "SQ", [inner])
    ds.add_new(0x7FE00010, "OW", bytes(32))
    ds.add_new(0xFFFCFFFC, "OB", bytes(8))
    return ds


def _encoded(syntax: str) -> bytes:
    if syntax == DEFLATED:
        compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return compressor.compress(encode(_rich())) + compressor.flush()
    return encode(_rich(), syntax)


@many
@given(body=st.binary(max_size=400), syntax=st.sampled_from(SYNTAXES))
def test_random_bytes_are_refused(body: bytes, syntax: str) -> None:
    assert outcome(body, syntax) is not None


@many
@given(
    syntax=st.sampled_from(SYNTAXES),
    changes=st.lists(
        st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=4)), min_size=1
    ),
)
def test_mutated_objects_pass_or_are_refused(syntax: str, changes: list[tuple[int, bytes]]) -> None:
    body = bytearray(_encoded(syntax))
    for place, new in changes:
        place %= len(body)  # noqa: PLW2901  (anywhere in it)
        body[place : place + len(new)] = new
    outcome(bytes(body), syntax)


@many
@given(
    syntax=st.sampled_from(SYNTAXES),
    start=st.integers(0, 1500),
    size=st.integers(1, 60),
    copies=st.integers(0, 3),
)
def test_objects_with_parts_lost_or_repeated_pass_or_are_refused(
    syntax: str, start: int, size: int, copies: int
) -> None:
    body = _encoded(syntax)
    outcome(body[:start] + body[start : start + size] * copies + body[start + size :], syntax)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_an_object_that_ends_inside_of_its_pixel_data_is_refused(syntax: str) -> None:
    ds = basic_dataset()
    ds.add_new(0x7FE00010, "OW", bytes(range(256)) * 40)
    body = encode(ds, EXPLICIT if syntax == DEFLATED else syntax)
    if syntax == DEFLATED:
        compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        body = compressor.compress(body) + compressor.flush()
    for end in (len(body) - 1, len(body) - 9, len(body) * 2 // 3):
        assert outcome(body[:end], syntax) is Reason.TRUNCATED


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_an_object_cut_anywhere_passes_or_is_refused(syntax: str) -> None:
    body = _encoded(syntax)
    for end in range(0, len(body), 3):
        outcome(body[:end], syntax)


def _deep(count: int, opening: Callable[[bytes], bytes]) -> bytes:
    content = b""
    for _ in range(count):
        content = opening(content)
    return content


_TAG = struct.pack("<HH", 0x5400, 0x0100)
_ITEM = b"\xfe\xff\x00\xe0"
_UNDEFINED = b"\xff\xff\xff\xff"
_ENDS = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"


def _defined(header: bytes) -> Callable[[bytes], bytes]:
    return lambda content: (
        _TAG
        + header
        + struct.pack("<I", len(content) + 8)
        + _ITEM
        + struct.pack("<I", len(content))
        + content
    )


_OPENING = _UNDEFINED + _ITEM + _UNDEFINED
_DEEP = {
    "explicit": (EXPLICIT, b"", _TAG + b"SQ\0\0" + _OPENING),
    # What is in UN is in Implicit VR (PS3.5 6.2.2).
    "explicit-un": (EXPLICIT, _TAG + b"UN\0\0" + _OPENING, _TAG + _OPENING),
    "implicit": (IMPLICIT, b"", _TAG + _OPENING),
    "big-endian": (
        BIG_ENDIAN,
        b"",
        b"\x54\x00\x01\x00SQ\0\0" + _UNDEFINED + b"\xff\xfe\xe0\x00" + _UNDEFINED,
    ),
    "big-endian-un": (
        BIG_ENDIAN,
        b"\x54\x00\x01\x00UN\0\0" + _OPENING,
        _TAG + _OPENING,
    ),
}


@pytest.mark.parametrize("kind", _DEEP)
def test_sequences_nested_ten_thousand_deep_are_refused(kind: str) -> None:
    syntax, first, opening = _DEEP[kind]
    started = time.monotonic()
    body = encode(basic_dataset(), syntax) + first + opening * 10_000
    assert outcome(body, syntax) is Reason.NESTED_TOO_DEEP
    assert time.monotonic() - started < SOON_S


@pytest.mark.parametrize(("syntax", "header"), [(EXPLICIT, b"SQ\0\0"), (IMPLICIT, b"")])
def test_deep_sequences_of_defined_length_are_refused(syntax: str, header: bytes) -> None:
    body = encode(basic_dataset(), syntax) + _deep(2_000, _defined(header))
    assert outcome(body, syntax) is Reason.NESTED_TOO_DEEP


def test_sixty_sequences_in_one_another_pass() -> None:
    body = encode(basic_dataset()) + _deep(60, _defined(b"SQ\0\0"))
    assert outcome(body) is None


@pytest.mark.parametrize("length", [0xFFFFFFFE, 0x7FFFFFFF, 0xFFFFFFF0, 0x00FFFFFF])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
def test_lengths_that_lie_are_refused(syntax: str, length: int) -> None:
    ds = basic_dataset()
    ds.add_new(0x00420011, "OB", b"document")
    body = encode(ds, syntax)
    order = ">" if syntax == BIG_ENDIAN else "<"
    lying = body[:-12] + struct.pack(order + "I", length) + body[-8:]
    assert outcome(lying, syntax) in (Reason.HEADER_TOO_LARGE, Reason.TRUNCATED)


def test_a_huge_image_that_is_only_claimed_costs_nothing() -> None:
    ds = basic_dataset(Rows=65535, Columns=65535, NumberOfFrames="2147483647", BitsAllocated=64)
    body = encode(ds) + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 0xFFFFFFFE) + bytes(64)
    tracemalloc.start()
    try:
        assert outcome(body) is Reason.TRUNCATED
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def _bomb(size: int) -> bytes:
    compressor = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    start = encode(basic_dataset()) + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 0xFFFFFFF0)
    parts = [compressor.compress(start)]
    parts += [compressor.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    return b"".join(parts) + compressor.flush()


def test_a_deflate_bomb_is_refused_before_it_has_gone_off() -> None:
    bomb = _bomb(256 << 20)
    assert len(bomb) < 300_000
    tracemalloc.start()
    try:
        assert outcome(bomb, DEFLATED) is Reason.DEFLATE_LIMIT
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_deflated_data_comes_in_bounded_pieces() -> None:
    pieces = Inflater(64 << 20).feed(memoryview(_bomb(80 << 20)))
    sizes: list[int] = []
    with pytest.raises(Refused):
        sizes.extend(len(piece) for piece in pieces)
    assert max(sizes) <= 256 << 10
    assert sum(sizes) <= 64 << 20


def test_more_elements_than_the_limit_are_refused() -> None:
    limits = Limits(header_bytes=1 << 20, object_bytes=1 << 20, elements=1_000)
    one = struct.pack("<HH2sH", 0x5400, 0x0100, b"LO", 0)
    assert outcome(encode(basic_dataset()) + one * 2_000, limits=limits) is Reason.TOO_MANY_ELEMENTS
    sequence = struct.pack("<HH2sHI", 0x5400, 0x0100, b"SQ", 0, 8 + 2_000 * 8)
    item = _ITEM + struct.pack("<I", 2_000 * 8)
    body = encode(basic_dataset()) + sequence + item + one * 2_000
    assert outcome(body, limits=limits) is Reason.TOO_MANY_ELEMENTS


def test_more_identifiers_than_anybody_has_are_refused_soon() -> None:
    items = []
    for n in range(3_000):
        item = Dataset()
        item.PatientName = f"Q{'abcdefghij'[n % 10]}{'klmnopqrst'[n // 10 % 10]}{n}^Name{n}"
        items.append(item)
    body = encode(basic_dataset(OtherPatientIDsSequence=items))
    started = time.monotonic()
    assert outcome(body) is Reason.TOO_MANY_ELEMENTS
    assert time.monotonic() - started < SOON_S


@pytest.mark.parametrize("size", [60_000, 1_500_000])
@pytest.mark.parametrize("letter", [b"A", b"\xc4"], ids=["ascii", "umlaut"])
def test_a_name_longer_than_anybodys_is_refused_soon_and_in_little_memory(
    size: int, letter: bytes
) -> None:
    data = encode(basic_dataset(PatientName="SOMEBODY^ELSE1"), IMPLICIT)
    short, long = b"SOMEBODY^ELSE1", letter * size
    head = b"\x10\x00\x10\x00"
    before, after = (head + struct.pack("<I", len(text)) + text for text in (short, long))
    assert data.count(before) == 1
    started = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises(Refused) as caught:
            deidentify(data.replace(before, after), plan_of(), IMPLICIT)
        assert caught.value.reason is Reason.TOO_MANY_ELEMENTS
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()
    assert time.monotonic() - started < SOON_S


def test_an_object_with_very_many_uids_takes_no_longer_than_it_must() -> None:
    uids = [f"{ROOT}5.{n}.{n * 7}" for n in range(20_000)]
    items = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPInstanceUID = uid
        items.append(item)
    # One that is written down elsewhere makes the detector look at each of them.
    ds = basic_dataset(ReferencedInstanceSequence=items)
    ds.ExposureControlModeDescription = f"as in {uids[5]} before"
    started = time.monotonic()
    output = deidentify(encode(ds), plan_of(), limits=Limits())
    assert time.monotonic() - started < SOON_S
    assert uids[5].encode() not in output.data


def test_names_in_a_long_text_are_found_soon() -> None:
    text = ("Quill Ottoline quillfeather " + "qu" * 50) * 2_000
    ds = basic_dataset()
    ds.add_new(0x0040A160, "UT", text)
    ds.add_new(0x00186030, "UT", text)
    started = time.monotonic()
    output = deidentify(encode(ds), plan_of(), limits=Limits())
    assert time.monotonic() - started < SOON_S
    assert b"uillfeather" not in output.data


@pytest.mark.parametrize("code", [b"  ", b"??", b"\0\0", b"un", b"OX", b"\xff\xff"])
def test_an_explicit_element_of_no_known_vr_is_refused(code: bytes) -> None:
    body = encode(basic_dataset()) + struct.pack("<HH2sH", 0x5400, 0x0100, code, 0)
    assert outcome(body) is Reason.UNPARSABLE


def test_an_implicit_data_set_that_is_announced_as_explicit_is_refused() -> None:
    assert outcome(encode(basic_dataset(), IMPLICIT), EXPLICIT) is Reason.UNPARSABLE


def test_a_script_in_a_name_is_only_a_name() -> None:
    ds = basic_dataset(PatientName="<script>alert(1)</script>^'; DROP TABLE--")
    output = deidentify(ds)
    assert b"script" not in output.data
    assert b"DROP" not in output.data
