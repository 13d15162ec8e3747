"""What holds for every data set, whatever is in it."""

from collections.abc import Iterator
from typing import Any

import support_table as table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from support_deid import (
    EXPLICIT,
    IMPLICIT,
    Output,
    basic_dataset,
    decode,
    deidentify,
    encode,
    plan_of,
)
from support_identity import found_in, identifiers
from support_strategies import datasets

SYNTAXES = st.sampled_from([EXPLICIT, IMPLICIT])
PLAN = plan_of()
KEEPING_PRIVATE = plan_of(removes_private=False)

quick = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

# VRs whose values the table need not list to be acted upon.
_IDENTIFYING_VRS = frozenset("AE DA DT PN TM UI UR".split())
_LABELS = frozenset({0x00120062, 0x00120063, 0x00120064, 0x00280303})
# What identifies, or may say anything, although the table does not list it; and a length
# that would be wrong.
_BEYOND_THE_TABLE = frozenset(
    {
        0x00080001, 0x00100033, 0x00100034, 0x00102295, 0x00181003, 0x00181803, 0x00380102,
        0x00400400, 0x00401006, 0x00401007, 0x00402006, 0x00402007, 0x0040A160, 0x0040A992,
        0x0040E001, 0x00420010, 0x00720008, 0x0074100C, 0x01000424, 0x21000160, 0x30020004,
        0x30040006, 0x4010101A,
    }
)  # fmt: skip


def must_stay(tag: int, vr: str) -> bool:
    """Whether nothing in the standard lets an attribute of the basic profile change."""
    is_curve_or_overlay = tag >> 24 in (0x50, 0x60)
    return not (
        tag in table.listed_tags()
        or tag in _LABELS
        or tag in _BEYOND_THE_TABLE
        or is_curve_or_overlay
        or tag & 0x10000
        or not tag & 0xFFFF
        or vr in _IDENTIFYING_VRS
        or vr == "SQ"
    )


def raw_values(ds: Dataset, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], bytes]]:
    """The encoded values that must stay, of the items of sequences that must stay."""
    for tag in list(ds.keys()):
        number = int(tag)
        raw: Any = ds.get_item(tag)
        vr = dictionary_VR(tag).split(" or ")[0] if not number & 0x10000 else ""
        if must_stay(number, vr):
            yield (*path, number), raw.value or b""
        elif vr == "SQ" and number not in table.listed_tags():
            for position, item in enumerate(ds[tag].value):
                yield from raw_values(item, (*path, number, position))


def _run(ds: Dataset, syntax: str) -> Output:
    return deidentify(encode(ds, syntax), PLAN, syntax)


@quick
@given(ds=datasets(), syntax=SYNTAXES)
def test_pydicom_reads_all_of_the_output(ds: Dataset, syntax: str) -> None:
    output = _run(ds, syntax)
    for element in output.dataset.iterall():
        assert element.VR
    tags = [element.tag for element in output.dataset]
    assert tags == sorted(set(tags))
    if syntax == EXPLICIT:  # which leaves pydicom no VR to guess
        assert encode(decode(output.body)) == output.body


@quick
@given(ds=datasets(), syntax=SYNTAXES)
def test_what_nobody_asked_to_change_is_byte_for_byte_the_same(ds: Dataset, syntax: str) -> None:
    body = encode(ds, syntax)
    before = dict(raw_values(decode(body, syntax)))
    after = dict(raw_values(decode(deidentify(body, PLAN, syntax).body, syntax)))
    assert {path: after.get(path) for path in before} == before


@quick
@given(ds=datasets() | datasets(leaky=True), syntax=SYNTAXES)
def test_no_identifier_survives(ds: Dataset, syntax: str) -> None:
    original = decode(encode(ds, syntax), syntax)
    assert found_in(_run(ds, syntax).data, identifiers(original)) == set()


@quick
@given(ds=datasets() | datasets(leaky=True), syntax=SYNTAXES)
def test_no_identifier_survives_in_kept_private_elements(ds: Dataset, syntax: str) -> None:
    body = encode(ds, syntax)
    output = deidentify(body, KEEPING_PRIVATE, syntax)
    assert found_in(output.data, identifiers(decode(body, syntax))) == set()
    for element in output.dataset.iterall():
        assert element.VR


@quick
@given(ds=datasets(), syntax=SYNTAXES)
def test_private_elements_that_stay_keep_their_creators(ds: Dataset, syntax: str) -> None:
    output = deidentify(encode(ds, syntax), KEEPING_PRIVATE, syntax)
    for item in (output.dataset, *_items(output.dataset)):
        for element in item:
            if element.tag.is_private and not element.tag.is_private_creator:
                assert _has_creator(item, int(element.tag))


def _items(ds: Dataset) -> Iterator[Dataset]:
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                yield item
                yield from _items(item)


def _has_creator(ds: Dataset, tag: int) -> bool:
    return (tag & 0xFFFF0000 | (tag & 0xFF00) >> 8) in ds


@quick
@given(ds=datasets(), syntax=SYNTAXES)
def test_the_same_object_gives_the_same_bytes(ds: Dataset, syntax: str) -> None:
    body = encode(ds, syntax)
    assert deidentify(body, PLAN, syntax).data == deidentify(body, plan_of(), syntax).data


@quick
@given(ds=datasets(), syntax=SYNTAXES)
def test_labels_are_the_same_the_second_time(ds: Dataset, syntax: str) -> None:
    first = _run(ds, syntax)
    second = deidentify(first.body, PLAN, syntax)
    for keyword in (
        "PatientIdentityRemoved",
        "DeidentificationMethod",
        "DeidentificationMethodCodeSequence",
        "LongitudinalTemporalInformationModified",
    ):
        assert second.dataset[keyword].value == first.dataset[keyword].value
    assert {e.tag for e in second.dataset} == {e.tag for e in first.dataset}


@quick
@given(ds=datasets(), syntax=SYNTAXES, cuts=st.lists(st.integers(0, 4000), max_size=30))
def test_how_the_bytes_are_cut_makes_no_difference(
    ds: Dataset, syntax: str, cuts: list[int]
) -> None:
    body = encode(ds, syntax)
    whole = deidentify(body, PLAN, syntax)
    assert deidentify(body, PLAN, syntax, cuts=cuts).data == whole.data


@quick
@given(
    uids=st.lists(
        st.lists(st.integers(0, 10**6), min_size=2, max_size=8).map(
            lambda parts: "1.2." + ".".join(map(str, parts))
        ),
        min_size=1,
        max_size=30,
    )
)
def test_the_uid_map_is_consistent_and_injective(uids: list[str]) -> None:
    new = deidentify(basic_dataset(FailedSOPInstanceUIDList=uids)).dataset
    value = new.FailedSOPInstanceUIDList
    news = [str(value)] if isinstance(value, str) else [str(uid) for uid in value]
    pairs = set(zip(uids, news, strict=True))
    assert len(pairs) == len(set(uids)) == len(set(news))
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in news)
