"""Negotiation of presentation contexts, with stock pynetdicom's own list of syntaxes."""

from collections.abc import Sequence

import pytest
from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES
from pynetdicom.pdu_primitives import AsynchronousOperationsWindowNegotiation
from pynetdicom.presentation import (
    AllStoragePresentationContexts,
    PresentationContext,
    build_context,
)
from support_network import CT, EXPLICIT, IMPLICIT, MR, VERIFICATION

from dicomanon_node.network.contexts import ContextPolicy
from dicomanon_node.network.supported import TRANSFER_SYNTAXES

JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
JPIP = "1.2.840.10008.1.2.4.94"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
PRIVATE = "1.3.12.2.1107.5.9.1"

LEFT_OUT = {
    "1.2.840.10008.1.2.4.94": "JPIP",
    "1.2.840.10008.1.2.4.95": "JPIP",
    "1.2.840.10008.1.2.4.204": "JPIP",
    "1.2.840.10008.1.2.4.205": "JPIP",
    "1.2.840.10008.1.2.7.1": "SMPTE ST 2110",
    "1.2.840.10008.1.2.7.2": "SMPTE ST 2110",
    "1.2.840.10008.1.2.7.3": "SMPTE ST 2110",
    "1.2.840.10008.1.2.8.1": "Deflated Image Frame",
}


def proposed(context_id: int, sop_class: str, syntaxes: Sequence[str]) -> PresentationContext:
    context = build_context(sop_class, list(syntaxes))
    context.context_id = context_id
    return context


@pytest.mark.parametrize("syntax", sorted(TRANSFER_SYNTAXES))
def test_the_requestors_first_syntax_is_taken(syntax: str) -> None:
    others = [uid for uid in (IMPLICIT, EXPLICIT, JPEG_LOSSLESS) if uid != syntax]
    answer = ContextPolicy().negotiate([proposed(1, CT, [syntax, *others])])
    assert answer.accepted[1].transfer_syntax_uid == syntax
    assert answer.accepted_items[1].transfer_syntax == [syntax]
    assert answer.accepted_items[1].result == 0


def test_every_syntax_of_pynetdicom_is_accepted_or_left_out_on_purpose() -> None:
    # pynetdicom does not list the JPEG processes that PS3.6 retired.
    retired = {f"1.2.840.10008.1.2.4.{process}" for process in range(52, 67)}
    retired -= set(ALL_TRANSFER_SYNTAXES)
    assert set(ALL_TRANSFER_SYNTAXES) | retired == TRANSFER_SYNTAXES | set(LEFT_OUT)
    assert not TRANSFER_SYNTAXES & set(LEFT_OUT)


@pytest.mark.parametrize("syntax", sorted(LEFT_OUT))
def test_a_syntax_left_out_is_passed_over(syntax: str) -> None:
    policy = ContextPolicy()
    answer = policy.negotiate([proposed(1, CT, [syntax, IMPLICIT]), proposed(3, CT, [syntax])])
    assert answer.accepted[1].transfer_syntax_uid == IMPLICIT
    [rejected] = answer.rejected_items
    assert (rejected.context_id, rejected.result) == (3, 4)


def test_contexts_of_one_class_are_answered_each_in_its_own_order() -> None:
    answer = ContextPolicy().negotiate(
        [
            proposed(1, CT, [IMPLICIT, EXPLICIT]),
            proposed(3, CT, [EXPLICIT, IMPLICIT]),
            proposed(5, CT, [JPEG_LOSSLESS]),
        ]
    )
    chosen = {i: context.transfer_syntax_uid for i, context in answer.accepted.items()}
    assert chosen == {1: IMPLICIT, 3: EXPLICIT, 5: JPEG_LOSSLESS}


@pytest.mark.parametrize(
    "sop_class", [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
)
def test_every_storage_class_is_accepted_as_storage(sop_class: str) -> None:
    answer = ContextPolicy().negotiate([proposed(1, sop_class, [EXPLICIT])])
    assert answer.accepted[1].is_storage


def test_verification_is_accepted_but_stores_nothing() -> None:
    answer = ContextPolicy().negotiate([proposed(1, VERIFICATION, [IMPLICIT])])
    assert not answer.accepted[1].is_storage


@pytest.mark.parametrize("sop_class", [FIND, PRIVATE, "1.2.3.999"])
def test_other_classes_are_rejected_as_abstract_syntax(sop_class: str) -> None:
    answer = ContextPolicy().negotiate([proposed(1, sop_class, [EXPLICIT])])
    assert not answer.accepted
    assert [item.result for item in answer.rejected_items] == [3]


def test_a_configured_private_class_is_accepted() -> None:
    answer = ContextPolicy([PRIVATE]).negotiate([proposed(1, PRIVATE, [EXPLICIT])])
    assert answer.accepted[1].is_storage


def test_a_context_without_transfer_syntax_is_rejected() -> None:
    context = PresentationContext()
    context.context_id = 1
    context.abstract_syntax = UID(CT)
    answer = ContextPolicy().negotiate([context])
    assert [item.result for item in answer.rejected_items] == [4]


def test_an_id_proposed_twice_keeps_its_first_meaning() -> None:
    answer = ContextPolicy().negotiate(
        [proposed(1, CT, [EXPLICIT]), proposed(1, MR, [IMPLICIT]), proposed(1, FIND, [IMPLICIT])]
    )
    assert answer.accepted[1].sop_class_uid == CT
    assert not answer.rejected_items


def test_a_window_is_answered_with_one_operation() -> None:
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = 0
    window.maximum_number_operations_performed = 0
    [answer] = ContextPolicy().negotiate([], [window]).user_information
    assert answer.maximum_number_operations_invoked == 1
    assert answer.maximum_number_operations_performed == 1


def test_no_window_is_answered_with_none() -> None:
    assert ContextPolicy().negotiate([]).user_information == []
