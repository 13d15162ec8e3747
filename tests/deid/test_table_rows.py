"""Every row of Table E.1-1, wherever its attribute stands and however it is encoded."""

import re
from collections.abc import Container
from functools import cache

import pytest
import support_table as table
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from support_deid import (
    EXPLICIT,
    IMPLICIT,
    INSTANCE_UID,
    Output,
    basic_dataset,
    deidentify,
    encode,
    encode_as_un,
    plan_of,
)

# Sequences that the table does not list.
_DEPTH_3 = (0x52009230, 0x00540016, 0x00540300)
_PRIVATE = (0x00091001, 0x00540016, 0x00540300)

# Without these an object is refused; pydicom and we read them only with their VR.
_MANDATORY = {0x00080016, 0x00080018, 0x0020000D, 0x0020000E}

PRIVATE_CLASS = "1.2.752.24.3.7.6"

_CODES = sorted({row.basic for row in table.rows()})


def _planted() -> Dataset:
    ds = Dataset()
    for row in table.rows():
        for tag in row.tags:
            ds.add(table.element_of(row, tag))
    return ds


def _wrapped(inner: Dataset, path: tuple[int, ...], *, undefined: bool = False) -> Dataset:
    for tag in reversed(path):
        inner.is_undefined_length_sequence_item = undefined
        element = DataElement(tag, "SQ", [inner])
        element.is_undefined_length = undefined
        inner = Dataset()
        if tag & 0x10000:
            inner.add_new(tag & 0xFFFF0000 | 0x10, "LO", "ACME 1.0")
        inner.add(element)
    return inner


# How it is encoded, the path to what is planted, elements that are UN, private kept.
_CONTEXTS: dict[str, tuple[str, tuple[int, ...], bool, Container[int], bool]] = {
    "top-level": (EXPLICIT, (), False, (), False),
    "top-level-implicit": (IMPLICIT, (), False, (), False),
    "top-level-as-un": (EXPLICIT, (), False, table.listed_tags() - _MANDATORY, False),
    "depth-3": (EXPLICIT, _DEPTH_3, False, (), False),
    "depth-3-implicit": (IMPLICIT, _DEPTH_3, False, (), False),
    "depth-3-undefined-length": (EXPLICIT, _DEPTH_3, True, (), False),
    "depth-3-implicit-undefined-length": (IMPLICIT, _DEPTH_3, True, (), False),
    "depth-3-in-un": (EXPLICIT, _DEPTH_3, False, _DEPTH_3[:1], False),
    "depth-3-in-un-undefined-length": (EXPLICIT, _DEPTH_3, True, _DEPTH_3[:1], False),
    "in-kept-private-sequence": (EXPLICIT, _PRIVATE, False, (), True),
    "in-kept-private-un-sequence": (EXPLICIT, _PRIVATE, False, _PRIVATE[:1], True),
    "in-kept-private-implicit": (IMPLICIT, _PRIVATE, False, (), True),
    "in-kept-private-implicit-undefined-length": (IMPLICIT, _PRIVATE, True, (), True),
}


@cache
def _output(context: str) -> tuple[Output, Dataset]:
    syntax, path, undefined, as_un, keeps_private = _CONTEXTS[context]
    # Of a class whose IOD is nobody's but its maker's: no Type chooses among compound codes.
    ds = basic_dataset()
    ds.update(_wrapped(_planted(), path, undefined=undefined))
    ds.SOPClassUID = PRIVATE_CLASS
    body = encode(ds, syntax) if syntax == IMPLICIT else encode_as_un(ds, as_un)
    output = deidentify(body, plan_of(removes_private=not keeps_private), syntax)
    return output, table.at(output.dataset, path)


def test_the_sequences_used_here_are_not_listed() -> None:
    assert not set(_DEPTH_3) & table.listed_tags()


@pytest.mark.parametrize("code", _CODES)
@pytest.mark.parametrize("context", _CONTEXTS)
def test_every_row_is_acted_upon_by_its_code(context: str, code: str) -> None:
    _, item = _output(context)
    faults = {}
    for row in table.rows():
        for tag in row.tags if row.basic == code else ():
            fault = table.fault(row, tag, code, item.get(tag))
            if fault:
                faults[row.label] = fault
    assert faults == {}


@pytest.mark.parametrize("context", _CONTEXTS)
def test_no_original_value_of_any_row_is_in_the_bytes(context: str) -> None:
    data = _output(context)[0].data.lower()
    left = [
        row.label
        for row in table.rows()
        if any(table.word(row, end).lower().encode() in data for end in "iv")
    ]
    left += [
        row.label
        for row in table.rows()
        if re.search(rb"\.10\.543\.[78]\.%d(?![0-9])" % row.number, data)
    ]
    assert left == []


@pytest.mark.parametrize("context", _CONTEXTS)
def test_an_attribute_that_some_iod_requires_is_not_removed(context: str) -> None:
    """Where the IOD is not known, the part of a compound code that every IOD allows."""
    _, item = _output(context)
    removed = {
        row.name
        for row in table.rows()
        if row.basic not in ("X", "X/Z/U*") and not row.is_foreign and row.tags[0] not in item
    }
    # A whole module that no IOD requires; and Type 3 in General Study (PS3.3 C.7.2.1),
    # where one item or more have to be in it.
    expected = {"Waveform Annotation Sequence"}
    if not _CONTEXTS[context][1]:
        expected.add("Referenced Study Sequence")
    assert removed == expected


@pytest.mark.parametrize("context", _CONTEXTS)
def test_an_attribute_that_some_iod_wants_a_value_of_has_one(context: str) -> None:
    _, item = _output(context)
    empty = [
        row.label
        for row in table.rows()
        if row.basic.endswith("D") and row.tags[0] in item and item[row.tags[0]].is_empty
    ]
    assert empty == []


@pytest.mark.parametrize("context", _CONTEXTS)
def test_uids_map_to_one_another(context: str) -> None:
    """U: internally consistent, so each original has one new UID, and no two share one."""
    output, item = _output(context)
    news = [
        str(item[row.tags[0]].value)
        for row in table.rows()
        if row.vr == "UI" and row.basic in ("U", "D") and not row.is_foreign
    ]
    assert len(news) == len(set(news))
    top = _output("top-level")[1]
    assert news == [
        str(top[row.tags[0]].value)
        for row in table.rows()
        if row.vr == "UI" and row.basic in ("U", "D") and not row.is_foreign
    ]
    meta = output.dataset.file_meta
    assert meta.MediaStorageSOPInstanceUID == output.dataset.SOPInstanceUID != INSTANCE_UID


@pytest.mark.parametrize("group", range(0x5000, 0x5020, 2))
def test_curves_go_in_every_repeating_group(group: int) -> None:
    ds = basic_dataset()
    ds.add_new(group << 16 | 0x0022, "LO", "Zqxcurve")
    ds.add_new(group << 16 | 0x2500, "LO", "Zqxcurve")
    output = deidentify(ds)
    assert b"Zqxcurve" not in output.data
    assert not [e for e in output.dataset if e.tag.group == group]


@pytest.mark.parametrize("group", range(0x6000, 0x6020, 2))
def test_overlays_go_in_every_repeating_group(group: int) -> None:
    ds = basic_dataset()
    ds.add_new(group << 16 | 0x0010, "US", 8)
    ds.add_new(group << 16 | 0x3000, "OW", b"Zqxdata.")
    ds.add_new(group << 16 | 0x4000, "LT", "Zqxcomment")
    output = deidentify(ds)
    assert b"Zqx" not in output.data
    assert not [e for e in output.dataset if e.tag.group == group]


def test_private_attributes_go_at_every_depth() -> None:
    """The row (gggg,eeee) where gggg is odd, X."""
    inner = Dataset()
    inner.add_new(0x00290010, "LO", "ACME 1.0")
    inner.add_new(0x00291001, "LO", "Zqxprivate")
    inner.CodeMeaning = "stays"
    ds = basic_dataset()
    ds.update(inner)
    ds.update(_wrapped(inner, _DEPTH_3))
    output = deidentify(ds)
    assert not [e for e in output.dataset.iterall() if e.tag.is_private]
    assert b"ACME" not in output.data
    assert table.at(output.dataset, _DEPTH_3).CodeMeaning == "stays"
