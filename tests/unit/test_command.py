"""Command sets against pydicom and pynetdicom, which are the oracles here."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pynetdicom.dimse_messages import C_STORE_RSP, DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import P_DATA
from support_network import CT, EXPLICIT, INSTANCE, VERIFICATION, command_set, decoded, store_rq

from dicomanon_node.errors import Reason, Status
from dicomanon_node.network import command
from dicomanon_node.network.command import CommandError
from dicomanon_node.network.service import StoreRequest

REQUEST = StoreRequest(7, CT, INSTANCE, 1, EXPLICIT)


def as_pydicom_says(encoded: bytes) -> Dataset:
    """The elements, after checking the group length that pydicom does not check."""
    dataset = decoded(encoded)
    assert dataset.CommandGroupLength == len(encoded) - 12
    assert [int(element.tag) for element in dataset] == sorted(int(e.tag) for e in dataset)
    return dataset


def element(number: int, value: bytes, length: int | None = None, group: int = 0) -> bytes:
    return struct.pack("<HHL", group, number, len(value) if length is None else length) + value


MANDATORY = element(0x0100, b"\x01\x00") + element(0x0800, b"\x01\x00")


def test_a_store_request_of_pydicom_is_understood() -> None:
    received = command.decode(store_rq(513, CT, INSTANCE))
    assert received == command.Command(
        command_field=0x0001,
        has_dataset=True,
        message_id=513,
        sop_class_uid=CT,
        sop_instance_uid=INSTANCE,
    )


def test_a_store_response_of_pydicom_is_understood() -> None:
    received = command.decode(
        command_set(
            AffectedSOPClassUID=CT,
            CommandField=0x8001,
            MessageIDBeingRespondedTo=513,
            CommandDataSetType=0x0101,
            Status=0xA700,
            ErrorComment="Storage is full",
            AffectedSOPInstanceUID=INSTANCE,
        )
    )
    assert received == command.Command(
        command_field=0x8001,
        has_dataset=False,
        responded_to=513,
        sop_class_uid=CT,
        sop_instance_uid=INSTANCE,
        status=0xA700,
        error_comment="Storage is full",
    )


@pytest.mark.parametrize("uid", ["1.2.3", "1.2.34"])
def test_our_store_request_reads_as_the_one_of_pydicom(uid: str) -> None:
    # Byte for byte: there is one encoding of these elements.
    assert command.encode_store_request(5, CT, uid) == store_rq(5, CT, uid)


@pytest.mark.parametrize("reason", list(Reason))
def test_our_store_response_reads_back_in_pydicom(reason: Reason) -> None:
    dataset = as_pydicom_says(command.encode_store_response(REQUEST, reason.status, reason.comment))
    assert dataset.CommandField == 0x8001
    assert dataset.MessageIDBeingRespondedTo == 7
    assert dataset.CommandDataSetType == 0x0101
    assert dataset.Status == reason.status
    assert dataset.ErrorComment == reason.comment
    assert dataset.AffectedSOPClassUID == CT
    assert dataset.AffectedSOPInstanceUID == INSTANCE


def test_our_store_response_is_one_for_pynetdicom() -> None:
    primitive = P_DATA()
    response = command.encode_store_response(REQUEST, Status.SUCCESS)
    primitive.presentation_data_value_list.append((1, b"\x03" + response))
    message = DIMSEMessage()
    assert message.decode_msg(primitive)
    assert isinstance(message, C_STORE_RSP)
    parameters = message.message_to_primitive()
    assert isinstance(parameters, C_STORE)
    assert parameters.is_valid_response
    assert parameters.Status == 0x0000
    assert parameters.MessageIDBeingRespondedTo == 7


def test_a_comment_is_left_out_when_there_is_none() -> None:
    dataset = as_pydicom_says(command.encode_store_response(REQUEST, Status.SUCCESS))
    assert "ErrorComment" not in dataset


def test_our_echo_request_is_that_of_pydicom() -> None:
    assert command.encode_echo_request(9) == command_set(
        AffectedSOPClassUID=VERIFICATION,
        CommandField=0x0030,
        MessageID=9,
        CommandDataSetType=0x0101,
    )


def test_a_uid_padded_with_a_space_is_read_without_it() -> None:
    received = command.decode(MANDATORY + element(0x0002, b"1.2.3 "))
    assert received.sop_class_uid == "1.2.3"


def test_a_wrong_group_length_does_not_matter() -> None:
    assert command.decode(element(0x0000, b"\xff\xff\xff\xff") + MANDATORY).has_dataset


@pytest.mark.parametrize(
    "lying",
    [
        MANDATORY + element(0x1000, b"1.2.3\0", length=8),
        MANDATORY + element(0x1000, b"1.2.3\0", length=0xFFFFFFFF),
        MANDATORY + element(0x1000, b"1.2.3\0", length=4),
        MANDATORY + b"\0\0\0",
        MANDATORY + element(0x0110, b"\x01"),
        MANDATORY + element(0x0110, b"\x01\x00\x02\x00"),
        MANDATORY + element(0x0010, b"", group=0x0008),
        MANDATORY + element(0x0100, b"\x30\x00"),
        MANDATORY + element(0x1000, b"1.2.\xe4\0"),
        element(0x0100, b"\x01\x00"),
        element(0x0800, b"\x01\x00"),
        b"",
        MANDATORY + element(0x0003, bytes(command.MAX_COMMAND_SET_BYTES)),
    ],
)
def test_what_is_not_a_command_set_is_an_error_of_ours(lying: bytes) -> None:
    with pytest.raises(CommandError):
        command.decode(lying)


FIXED_TEXTS = {
    "command set over its limit",
    "command set ends in an element",
    "element of another group in a command set",
    "length of a command element exceeds the command set",
    "command element repeated",
    "mandatory command element missing",
    "command element of VR US with another length than 2",
    "command element of VR UI that is not ASCII",
}


def is_decoded_or_refused_in_fixed_words(data: bytes | bytearray) -> bool:
    try:
        command.decode(data)
    except CommandError as error:
        return str(error) in FIXED_TEXTS
    return True


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    assert is_decoded_or_refused_in_fixed_words(data)


@given(st.integers(0, len(store_rq()) - 1), st.integers(0, 255))
def test_no_changed_byte_of_a_request_raises_anything_else(position: int, value: int) -> None:
    changed = bytearray(store_rq())
    changed[position] = value
    assert is_decoded_or_refused_in_fixed_words(changed)


def test_a_repr_of_the_error_holds_no_value() -> None:
    with pytest.raises(CommandError) as caught:
        command.decode(MANDATORY + element(0x1000, b"DOE^JANE\xff\0"))
    assert "DOE" not in repr(caught.value)
    assert caught.value.__suppress_context__


def test_an_error_comment_is_cut() -> None:
    received = command.decode(MANDATORY + element(0x0902, b"x" * 200))
    assert received.error_comment == "x" * 64


def understood(data: bytes) -> object:
    """What a decoder without a memory makes of it."""
    try:
        return command._decode(data)[0]
    except CommandError:
        return CommandError


def decoded_or_error(data: bytes) -> object:
    try:
        return command.decode(data)
    except CommandError:
        return CommandError


UIDS = st.one_of(
    st.sampled_from([CT, "1.2.840.10008.5.1.4.1.1.481.5", "1.2.3", INSTANCE, "2.25.1234567891"]),
    st.from_regex(r"2\.25\.[1-9][0-9]{0,38}", fullmatch=True),
)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 0xFFFF),
            UIDS,
            UIDS,
            st.integers(0, 2),
            st.lists(st.tuples(st.integers(0, 150), st.integers(0, 255)), max_size=2),
            st.integers(-3, 3),
        ),
        min_size=2,
        max_size=8,
    )
)
def test_what_was_decoded_before_changes_nothing(
    requests: list[tuple[int, str, str, int, list[tuple[int, int]], int]],
) -> None:
    for message_id, sop_class, instance, priority, changes, cut in requests:
        plain = command.encode_store_request(message_id, sop_class, instance, priority)
        changed = bytearray(plain)
        for position, value in changes:
            changed[position % len(changed)] = value
        cut_or_longer = changed[:cut] if cut < 0 else changed + bytes(cut)
        for data in (plain, bytes(changed), bytes(cut_or_longer)):
            assert decoded_or_error(data) == understood(data)


def test_requests_in_a_row_are_understood_as_pydicom_meant_them() -> None:
    for number in range(200):
        uid = f"2.25.{10**20 + number}"
        received = command.decode(bytearray(store_rq(number, CT, uid)))
        assert (received.message_id, received.sop_class_uid) == (number, CT)
        assert (received.sop_instance_uid, received.has_dataset) == (uid, True)


def test_what_is_remembered_of_requests_is_bounded_and_holds_no_instance() -> None:
    for number in range(500):
        command.decode(store_rq(1, CT, "2.25." + "7" * (1 + number % 39)))
        command.decode(store_rq(1, f"1.2.840.10008.5.1.4.1.1.{number}", "2.25.777"))
    assert 0 < len(command._patterns) <= command._MOST_PATTERNS
    assert "2.25.7" not in repr(command._patterns)
