"""A trace says what happened to every element, and changes nothing."""

from collections.abc import Iterator

from hypothesis import HealthCheck, given, settings
from pydicom.dataset import Dataset
from support_deid import EXPLICIT, basic_dataset, decode, deidentify, encode, plan_of
from support_strategies import datasets

from dicomanon_node.deid.trace import Outcome, Trace

quick = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
KEEPING_PRIVATE = plan_of(removes_private=False)


def nodes(trace: Trace) -> set[tuple[tuple[int, int | None], ...]]:
    return {tuple((tag, item) for tag, _, item in step.path) for step in trace.steps}


def paths(
    ds: Dataset, inside: tuple[tuple[int, int | None], ...] = ()
) -> Iterator[tuple[tuple[int, int | None], ...]]:
    for element in ds:
        tag = int(element.tag)
        if not element.tag.is_private_creator:
            yield (*inside, (tag, None))
        if element.VR == "SQ":
            for number, item in enumerate(element.value):
                yield from paths(item, (*inside, (tag, number)))


@quick
@given(ds=datasets())
def test_the_bytes_are_the_same_with_and_without_a_trace(ds: Dataset) -> None:
    body = encode(ds)
    traced = deidentify(body, KEEPING_PRIVATE, EXPLICIT, trace=Trace())
    assert traced.data == deidentify(body, KEEPING_PRIVATE, EXPLICIT).data


@quick
@given(ds=datasets())
def test_each_element_of_the_output_is_a_step_of_the_trace(ds: Dataset) -> None:
    trace = Trace()
    output = deidentify(encode(ds), KEEPING_PRIVATE, EXPLICIT, trace=trace)
    # Pixel data passes by; these sequences are made anew, items and all.
    made = {0x7FE00010, 0x00120064, 0x0040A730, 0x00700001}
    assert {
        path for path in paths(decode(output.body)) if not any(tag in made for tag, _ in path)
    } <= nodes(trace)


def test_every_removed_replaced_and_kept_element_is_told_with_its_rule() -> None:
    ds = basic_dataset(InstitutionName="St. Marrow", KVP="120", StudyDate="20200102")
    trace = Trace()
    deidentify(ds, trace=trace)
    told = {step.where: step for step in trace.steps}
    assert told["(0010,0010)"].outcome is Outcome.REPLACED
    assert told["(0010,0010)"].original == b"Quillfeather^Ottoline "
    assert told["(0008,0080)"].outcome is not Outcome.KEPT
    assert told["(0008,0080)"].source.startswith("Table E.1-1")
    assert told["(0018,0060)"].outcome is Outcome.KEPT
    assert told["(0008,0020)"].outcome is Outcome.EMPTIED
    assert told["(0012,0062)"].outcome is Outcome.ADDED


def test_private_elements_are_told_by_their_creator() -> None:
    ds = basic_dataset()
    ds.private_block(0x0029, "MAKER ONE", create=True).add_new(0x10, "LO", "xyz")
    trace = Trace()
    deidentify(ds, KEEPING_PRIVATE, trace=trace)
    assert '(0029,"MAKER ONE",10)' in {step.where for step in trace.steps}


def test_the_trace_knows_every_uid_and_patient_id_that_was_replaced() -> None:
    ds = basic_dataset()
    trace = Trace()
    output = deidentify(ds, trace=trace).dataset
    assert trace.uids[ds.StudyInstanceUID.encode()].decode() == output.StudyInstanceUID
    assert trace.uids[ds.SOPInstanceUID.encode()].decode() == output.SOPInstanceUID
    assert {k.decode(): v.decode() for k, v in trace.patients.items()} == {
        ds.PatientID: output.PatientID
    }
