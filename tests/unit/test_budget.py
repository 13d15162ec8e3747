"""Memory for headers is shared: who comes too late is told to come again, and nothing leaks."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from support_deid import BIG_ENDIAN, CT, DEFLATED, EXPLICIT, ROOT, basic_dataset, encode, plan_of

from dicomanon_node.budget import FREE_BYTES, Budget, Share
from dicomanon_node.dataset_stream import Announced, DatasetStream
from dicomanon_node.deid.boundaries import Limits
from dicomanon_node.deid.rules import StationRule
from dicomanon_node.errors import Reason, Refused
from dicomanon_node.routing import Router

MIB = 1 << 20


class Bounds:
    limits = Limits()
    deflated_bytes = converted_bytes = 64 * MIB


def large(number: int, size: int = 3 * MIB) -> Dataset:
    """An object whose header is large: a lookup table."""
    ds = basic_dataset(SOPInstanceUID=f"{ROOT}13.{number}")
    ds.add_new(0x00283006, "OW", bytes(size))  # LUT Data
    ds.add_new(0x7FE00010, "OW", bytes(1024))
    return ds


def stream_of(ds: Dataset, budget: Budget, syntax: str) -> DatasetStream:
    rule = StationRule(name="default", tag_for_study=0x00081030, split="", split_index=0)
    return DatasetStream(
        Announced(CT, str(ds.SOPInstanceUID), syntax, "NODE"),
        Router({"default": rule}, {"study": plan_of()}, "study"),
        Bounds(),
        lambda _: None,
        budget=budget,
    )


def pass_all(stream: DatasetStream, data: bytes) -> None:
    stream.feed([memoryview(data)])
    stream.finish()


def encoded(ds: Dataset, syntax: str) -> bytes:
    body = encode(ds, syntax)
    if syntax != DEFLATED:
        return body
    deflating = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflating.compress(body) + deflating.flush()


@pytest.mark.parametrize("syntax", [EXPLICIT, DEFLATED, BIG_ENDIAN])
def test_who_comes_too_late_is_refused_for_now(syntax: str) -> None:
    budget = Budget(4 * MIB)
    first, second = (stream_of(large(number), budget, syntax) for number in range(2))
    first.feed([memoryview(encoded(large(0), syntax))])
    data = encoded(large(1), syntax)
    with pytest.raises(Refused) as refused:
        pass_all(second, data)
    assert refused.value.reason is Reason.MEMORY_BUDGET
    second.abandon()
    first.finish()
    first.release()
    again = stream_of(large(1), budget, syntax)
    pass_all(again, data)
    again.release()
    budget.take(4 * MIB)  # all of it is there again


def test_what_follows_the_pixel_data_counts_beside_the_header() -> None:
    ds = large(0)
    ds.add_new(0xFFFCFFFC, "OB", bytes(3 * MIB))  # Data Set Trailing Padding
    stream = stream_of(ds, Budget(4 * MIB), EXPLICIT)
    with pytest.raises(Refused) as refused:
        pass_all(stream, encode(ds))
    assert refused.value.reason is Reason.MEMORY_BUDGET


def test_an_ordinary_header_takes_nothing() -> None:
    stream = stream_of(large(0, 1000), Budget(0), EXPLICIT)
    stream.feed([memoryview(encode(large(0, 1000)))])
    stream.finish()


@given(
    sizes=st.lists(st.lists(st.integers(0, 8 * MIB), max_size=5), max_size=8),
    limit=st.integers(0, 16 * MIB),
)
def test_what_is_covered_never_exceeds_the_limit(sizes: list[list[int]], limit: int) -> None:
    budget = Budget(limit)
    shares = [Share(budget) for _ in sizes]
    covered = [0] * len(sizes)
    for number, growing in enumerate(sizes):
        for size in growing:
            try:
                shares[number].cover(size)
            except Refused:
                continue
            covered[number] = max(covered[number], size)
        assert sum(max(0, size - FREE_BYTES) for size in covered) <= limit
    for share in shares:
        share.release()
        share.release()
    budget.take(limit)
