"""Action Information is read and Event Information written as pydicom understands them."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence as Items
from support_commitment import action

from dicomanon_node.commitment.information import (
    ActionFaultError,
    Fault,
    Reference,
    read_action,
    write_event,
)

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
REFERENCES = [(CT, "2.25.1"), (CT, "2.25.123")]


def encoded(dataset: Dataset, syntax: str) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = syntax == IMPLICIT
    buffer.is_little_endian = True
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def decoded(data: bytes, syntax: str) -> Dataset:
    found: Dataset = read_dataset(
        BytesIO(data), is_implicit_VR=syntax == IMPLICIT, is_little_endian=True
    )
    return found


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
@pytest.mark.parametrize("undefined", [False, True], ids=["defined", "undefined"])
def test_what_pydicom_writes_is_understood(syntax: str, undefined: bool) -> None:
    information = action(REFERENCES, "2.25.99")
    information["ReferencedSOPSequence"].is_undefined_length = undefined
    for item in information.ReferencedSOPSequence:
        item.is_undefined_length_sequence_item = undefined
    information.StorageMediaFileSetID = "SET"
    found = read_action(encoded(information, syntax), syntax, 10)
    assert found.transaction_uid == "2.25.99"
    assert [tuple(one) for one in found.references] == REFERENCES


def test_a_sequence_inside_an_item_is_passed_over() -> None:
    information = action(REFERENCES, "2.25.99")
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = "2.25.666"
    information.ReferencedSOPSequence[0].PurposeOfReferenceCodeSequence = Items([inner])
    found = read_action(encoded(information, EXPLICIT), EXPLICIT, 10)
    assert [tuple(one) for one in found.references] == REFERENCES


def fault_of(information: Dataset, max_instances: int = 10) -> Fault:
    with pytest.raises(ActionFaultError) as raised:
        read_action(encoded(information, EXPLICIT), EXPLICIT, max_instances)
    return raised.value.fault


def test_each_fault_is_told_apart() -> None:
    assert fault_of(action(REFERENCES), max_instances=1) is Fault.TOO_MANY
    assert fault_of(action([])) is Fault.NOTHING
    information = action(REFERENCES)
    del information.TransactionUID
    assert fault_of(information) is Fault.TRANSACTION
    information = action(REFERENCES)
    del information.ReferencedSOPSequence[1].ReferencedSOPInstanceUID
    assert fault_of(information) is Fault.REFERENCE
    information = action(REFERENCES)
    del information.ReferencedSOPSequence
    assert fault_of(information) is Fault.NOTHING


@pytest.mark.parametrize("uid", [b"", b"DOE^JANE", b"1..2", b"1.2\n", b"1" * 65])
def test_what_is_no_uid_is_refused(uid: bytes) -> None:
    good = encoded(action(REFERENCES, "2.25.99"), EXPLICIT)
    value = uid + b"\0" * (len(uid) % 2)
    bad = b"\x08\x00\x95\x11UI" + len(value).to_bytes(2, "little") + value
    place = good.index(b"\x08\x00\x99\x11")
    with pytest.raises(ActionFaultError) as raised:
        read_action(bad + good[place:], EXPLICIT, 10)
    assert raised.value.fault is Fault.TRANSACTION
    assert "DOE" not in str(raised.value)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_a_list_that_is_cut_short_is_never_taken_for_a_shorter_one(syntax: str) -> None:
    whole = encoded(action(REFERENCES, "2.25.99"), syntax)
    for end in range(len(whole)):
        with pytest.raises(ActionFaultError):
            read_action(whole[:end], syntax, 10)


@given(data=st.data(), syntax=st.sampled_from([IMPLICIT, EXPLICIT]))
def test_damaged_bytes_are_refused_or_read_and_nothing_else(
    data: st.DataObject, syntax: str
) -> None:
    whole = bytearray(encoded(action(REFERENCES, "2.25.99"), syntax))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_action(bytes(whole), syntax, 10)
    except ActionFaultError:
        return
    assert 1 <= len(found.references) <= 10


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_pydicom_reads_the_report_as_it_is_meant(syntax: str) -> None:
    references = [Reference(*pair) for pair in [*REFERENCES, (CT, "2.25.3")]]
    event_type, data = write_event("2.25.99", references, {1: 0x0112}, syntax)
    information = decoded(data, syntax)
    assert event_type == 2
    assert information.TransactionUID == "2.25.99"
    assert [item.ReferencedSOPInstanceUID for item in information.ReferencedSOPSequence] == [
        "2.25.1",
        "2.25.3",
    ]
    [failed] = information.FailedSOPSequence
    assert (failed.ReferencedSOPClassUID, failed.ReferencedSOPInstanceUID) == REFERENCES[1]
    assert failed.FailureReason == 0x0112


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_where_all_is_well_no_failure_is_mentioned(syntax: str) -> None:
    references = [Reference(*pair) for pair in REFERENCES]
    event_type, data = write_event("2.25.99", references, {}, syntax)
    assert event_type == 1
    assert "FailedSOPSequence" not in decoded(data, syntax)
    event_type, data = write_event("2.25.99", references, {0: 0x0110, 1: 0x0110}, syntax)
    assert event_type == 2
    assert "ReferencedSOPSequence" not in decoded(data, syntax)
