"""Same in, same out: what came before an object leaves no mark on it."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from support_deid import ROOT, basic_dataset, deidentify, encode, plan_of
from support_strategies import datasets

from dicomanon_node.deid import dummies
from dicomanon_node.deid.decisions import Change
from dicomanon_node.deid.dictionary import SHORT_VRS
from dicomanon_node.deid.rules import Option
from dicomanon_node.deid.table import TABLE

PLANS: dict[str, dict[str, Any]] = {
    "basic": {},
    "private": {"removes_private": False},
    "clean": {"options": frozenset({Option.CLEAN_DESCRIPTORS, Option.RETAIN_DEVICE_IDENTITY})},
}


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(several=st.lists(datasets(), min_size=2, max_size=4), name=st.sampled_from(sorted(PLANS)))
def test_the_same_bytes_whatever_came_before(several: list[Dataset], name: str) -> None:
    shared = plan_of(**PLANS[name])
    for ds in [*several, *several]:
        body = encode(ds)
        assert deidentify(body, shared).data == deidentify(body, plan_of(**PLANS[name])).data


MODELS = [
    "Quillfeather 64",  # the patient
    "Quillfeather",
    "Marrowby 64",  # in some of the objects, the physician
    "J. Quillfeather of Oona",
    f"see {ROOT}11 here",
    f"see {ROOT}13.7 here",
    "nobody",
    "",
]
PHYSICIANS = ["Marrowby^Tib", "Jubb^Oona", "Quill^J", ""]


@settings(max_examples=80, deadline=None)
@given(
    series=st.lists(
        st.tuples(
            st.sampled_from(MODELS), st.sampled_from(MODELS), st.sampled_from(PHYSICIANS),
            st.sampled_from(["", "by J Quill and Oona"]),
        ),
        min_size=2,
        max_size=8,
    )
)  # fmt: skip
def test_the_objects_of_one_patient_leave_no_mark_on_each_other(
    series: list[tuple[str, str, str, str]],
) -> None:
    shared = plan_of()
    for number, (model, comment, physician, speech) in enumerate(series):
        ds = basic_dataset(
            ManufacturerModelName=model,
            ReferringPhysicianName=physician,
            SOPInstanceUID=f"{ROOT}13.{number}",
        )
        ds.add_new(0x00180015, "CS", "HEAD")
        ds.add_new(0x00181261, "LO", comment)  # Phosphor Type, not in the table
        ds.add_new(0x00400400, "LT", speech)  # free text
        body = encode(ds)
        assert deidentify(body, shared).data == deidentify(body, plan_of()).data


@pytest.mark.parametrize("comment", [model for model in MODELS if "Quillfeather" in model])
def test_what_survived_in_one_object_does_not_in_the_next(comment: str) -> None:
    shared = plan_of()
    for number in range(4):
        ds = basic_dataset(ManufacturerModelName=comment, SOPInstanceUID=f"{ROOT}13.{number}")
        output = deidentify(ds, shared)
        assert b"Quillfeather" not in output.data
        assert output.header.guarded_count == 1


def dummied() -> list[tuple[int, str, bytes]]:
    """Attributes that get a dummy, their VR and the dummy, one of each VR."""
    plan = plan_of()
    found: dict[str, tuple[int, str, bytes]] = {}
    for row in TABLE.values():
        decision = plan.decide(row.tag, row.vr)
        if decision.change is Change.DUMMY and row.vr not in ("PN", "SQ", "UI"):
            found.setdefault(row.vr, (row.tag, row.vr, dummies.dummy(row.vr)))
    return list(found.values())


@pytest.mark.parametrize("row", dummied(), ids=lambda row: row[1])
@pytest.mark.parametrize("is_odd", [False, True])
def test_a_dummy_that_was_there_already_is_written_as_any_other(
    row: tuple[int, str, bytes], *, is_odd: bool
) -> None:
    """The first object decides by the rules, the second by what was remembered of them."""
    tag, vr, value = row
    value = value if is_odd else value + b" " * (len(value) % 2)
    header = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") + vr.encode()
    if vr in SHORT_VRS:
        element = header + len(value).to_bytes(2, "little") + value
    else:
        element = header + b"\1\1" + len(value).to_bytes(4, "little") + value
    before, after = Dataset(), Dataset()
    for other in basic_dataset():
        if other.tag != tag:
            (before if other.tag < tag else after).add(other)
    body = encode(before) + element + encode(after)
    shared = plan_of()
    first, second = deidentify(body, shared).data, deidentify(body, shared).data
    assert first == second
