"""`proposal`: A-ASSOCIATE as stock pynetdicom reads and writes it."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, AsynchronousOperationsWindowNegotiation
from support_delivery import CT, EXPLICIT, IMPLICIT, JPEG_LOSSLESS, MR

from dicomanon_node.deid.labels import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicomanon_node.network.failures import ContextNotAcceptedError, ProtocolError
from dicomanon_node.network.proposal import (
    Context,
    decode_accept,
    decode_reject,
    encode_request,
)

CONTEXTS = (
    Context(CT, (EXPLICIT,)),
    Context(CT, (JPEG_LOSSLESS,)),
    Context(MR, (EXPLICIT, IMPLICIT)),
)


def request() -> A_ASSOCIATE_RQ:
    pdu = A_ASSOCIATE_RQ()
    pdu.decode(encode_request("COURIER", "PACS", CONTEXTS))
    return pdu


def accept(results: dict[int, int], max_pdu_bytes: int | None = 16384) -> bytes:
    """An A-ASSOCIATE-AC by pynetdicom: results by context ID, the last syntax proposed."""
    primitive: A_ASSOCIATE = request().to_primitive()
    for context in primitive.presentation_context_definition_list:
        assert context.context_id is not None
        if context.context_id in results:
            context.result = results[context.context_id]
            context.transfer_syntax = [*context.transfer_syntax[-1:]]
            primitive.presentation_context_definition_results_list.append(context)
    if max_pdu_bytes is None:
        del primitive.user_information[0]
    else:
        primitive.maximum_length_received = max_pdu_bytes
    return A_ASSOCIATE_AC(primitive).encode()


def test_the_request_says_who_calls_whom_and_with_what() -> None:
    pdu = request()
    assert (pdu.calling_ae_title, pdu.called_ae_title) == ("COURIER", "PACS")
    assert [
        (
            context.context_id,
            context.abstract_syntax,
            tuple(context.transfer_syntax),
        )
        for context in pdu.presentation_context
    ] == [
        (1, CT, (EXPLICIT,)),
        (3, CT, (JPEG_LOSSLESS,)),
        (5, MR, (EXPLICIT, IMPLICIT)),
    ]
    information = pdu.user_information
    assert information is not None
    assert information.implementation_class_uid == IMPLEMENTATION_CLASS_UID
    assert information.implementation_version_name == IMPLEMENTATION_VERSION_NAME


def test_our_implementation_class_uid_is_a_valid_one() -> None:
    assert UID(IMPLEMENTATION_CLASS_UID).is_valid
    assert len(IMPLEMENTATION_VERSION_NAME) <= 16


def test_what_the_peer_accepted_is_found_by_class_and_syntax() -> None:
    agreement = decode_accept(accept({1: 0, 3: 4, 5: 0}, max_pdu_bytes=0), CONTEXTS)
    assert agreement.max_pdu_bytes == 0
    assert agreement.context_id(CT, EXPLICIT) == 1
    assert agreement.context_id(MR, IMPLICIT) == 5


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (1, "context-not-accepted"),
        (2, "context-not-accepted"),
        (3, "sop-class-not-accepted"),
        (4, "transfer-syntax-not-accepted"),
    ],
)
def test_a_refused_context_says_why(result: int, code: str) -> None:
    agreement = decode_accept(accept({1: result, 5: 0}), CONTEXTS)
    with pytest.raises(ContextNotAcceptedError, match=code):
        agreement.context_id(CT, EXPLICIT)
    with pytest.raises(ContextNotAcceptedError, match="transfer-syntax-not-accepted"):
        agreement.context_id(MR, EXPLICIT)  # the other one of the two was taken
    with pytest.raises(ContextNotAcceptedError, match="context-not-accepted"):
        agreement.context_id(CT, JPEG_LOSSLESS)  # left out of the answer


def test_a_peer_that_says_no_maximum_length_gets_short_pdus() -> None:
    assert decode_accept(accept({1: 0}, max_pdu_bytes=None), CONTEXTS).max_pdu_bytes == 16384


def test_a_rejection_is_read_as_pynetdicom_writes_it() -> None:
    pdu = A_ASSOCIATE_RJ()
    pdu.result, pdu.source, pdu.reason_diagnostic = 1, 1, 3
    error = decode_reject(pdu.encode())
    assert (error.result, error.source, error.diagnostic) == (1, 1, 3)
    assert error.code == "calling-aet-not-recognised"


def test_values_a_rejection_may_not_have_are_kept_as_numbers() -> None:
    error = decode_reject(bytes.fromhex("030000000004 00 ff ff ff"))
    assert (error.result, error.source, error.diagnostic, error.code) == (255, 255, 255, "rejected")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_damage_to_an_acceptance_raises_anything_of_pynetdicom(data: st.DataObject) -> None:
    pdu = bytearray(accept({1: 0, 3: 0, 5: 0}))
    for _ in range(data.draw(st.integers(1, 6))):
        pdu[data.draw(st.integers(6, len(pdu) - 1))] = data.draw(st.integers(0, 255))
    del pdu[data.draw(st.integers(6, len(pdu))) :]
    with contextlib.suppress(ProtocolError):
        decode_accept(bytes(pdu), CONTEXTS)


@pytest.mark.parametrize("aet", ["", " ", "A" * 17, "A\\B", "A\n", "Ä"])
def test_an_ae_title_that_is_none_is_not_sent(aet: str) -> None:
    with pytest.raises(ValueError, match="Invalid"):
        encode_request(aet, "PACS", CONTEXTS)


def window_accept(invoked: int | None) -> bytes:
    """An A-ASSOCIATE-AC by pynetdicom with or without an Asynchronous Operations Window."""
    primitive: A_ASSOCIATE = request().to_primitive()
    primitive.presentation_context_definition_results_list = []
    if invoked is not None:
        window = AsynchronousOperationsWindowNegotiation()
        window.maximum_number_operations_invoked = invoked
        window.maximum_number_operations_performed = 1
        primitive.user_information.append(window)
    return A_ASSOCIATE_AC(primitive).encode()


@pytest.mark.parametrize(
    ("asked", "invoked", "window"),
    [(8, 8, 8), (8, 3, 3), (8, 20, 8), (8, 0, 8), (8, 1, 1), (8, None, 1), (1, 8, 1), (1, 0, 1)],
)
def test_the_operations_window_is_what_both_agree_to(
    asked: int, invoked: int | None, window: int
) -> None:
    agreement = decode_accept(window_accept(invoked), CONTEXTS, operations_window=asked)
    assert agreement.operations_window == window


@pytest.mark.parametrize("asked", [1, 2, 64])
def test_a_window_of_one_is_not_worth_a_word(asked: int) -> None:
    pdu = A_ASSOCIATE_RQ()
    pdu.decode(encode_request("COURIER", "PACS", CONTEXTS, operations_window=asked))
    assert pdu.user_information
    item = pdu.user_information.async_ops_window
    if asked == 1:
        assert item is None
    else:
        assert item
        assert (item.max_operations_invoked, item.max_operations_performed) == (asked, 1)
