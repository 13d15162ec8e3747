"""Requests for an association, judged before they are decoded."""

import struct
import time
from dataclasses import replace
from typing import Any

import pytest
from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC
from pynetdicom.pdu_primitives import (
    SOPClassCommonExtendedNegotiation,
    UserIdentityNegotiation,
)
from support_network import CT, EXPLICIT, IMPLICIT, MR, SETTINGS, VERIFICATION, associate_rq

from dicomanon_node.network import negotiation
from dicomanon_node.network.admission import Admission, Verdict
from dicomanon_node.network.contexts import ContextPolicy
from dicomanon_node.network.negotiation import (
    MAX_SUB_ITEMS,
    REMEMBERED,
    Negotiator,
    TooManyItemsError,
)
from dicomanon_node.network.peers import CALLED_AE_TITLE, CALLING_AE_TITLE, Peer
from dicomanon_node.network.service import ListenerSettings
from dicomanon_node.network.supported import TRANSFER_SYNTAXES

FIXED_BYTES = 74
STRANGER = (Peer("OTHER"),)


def ours_with(settings: dict[str, Any]) -> ListenerSettings:
    return replace(SETTINGS, **settings)


def negotiator(**settings: object) -> Negotiator:
    return Negotiator(ours_with(settings), ContextPolicy())


def consider(encoded: bytes, **settings: object) -> Verdict:
    ours = ours_with(settings)
    failures: list[Exception] = []
    verdict = Admission(ours, Negotiator(ours, ContextPolicy())).consider(
        encoded, "127.0.0.1", failures.append
    )
    assert not failures
    return verdict


def with_items(items: bytes) -> bytes:
    """An ordinary request with more variable items behind its own."""
    body = associate_rq()[6:] + items
    return struct.pack(">BxL", 1, len(body)) + body


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


TINY_SYNTAX = item(0x40, b"1")
HUGE = with_items(
    b"".join(
        item(0x20, b"\x01\0\0\0" + item(0x30, b"1.2") + TINY_SYNTAX * 13_000) for _ in range(16)
    )
)


def decoded(encoded: bytes) -> A_ASSOCIATE_AC:
    answer = A_ASSOCIATE_AC()
    answer.decode(encoded)
    return answer


@pytest.mark.parametrize(
    ("settings", "rejection"),
    [
        ({"peers": STRANGER}, CALLING_AE_TITLE),
        ({"ae_titles": ("ANOTHER",)}, CALLED_AE_TITLE),
    ],
)
@pytest.mark.parametrize("garbage", [HUGE, with_items(b"\x20"), with_items(b"\xff" * 99)])
def test_a_peer_that_may_not_associate_is_rejected_by_the_fixed_fields(
    settings: dict[str, Any], rejection: object, garbage: bytes
) -> None:
    start = time.process_time()
    verdict = consider(garbage, **settings)
    assert verdict.rejection == rejection
    assert verdict.agreement is None
    assert time.process_time() - start < 0.1, "a megabyte was decoded"


def common_extended(related: int) -> SOPClassCommonExtendedNegotiation:
    asked = SOPClassCommonExtendedNegotiation()
    asked.sop_class_uid = UID(CT)
    asked.service_class_uid = UID("1.2.840.10008.4.2")
    asked.related_general_sop_class_identification = [UID("1.2.3")] * related
    return asked


@pytest.mark.parametrize(
    "encoded",
    [
        HUGE,
        with_items(b"".join(item(0x20, bytes([1, 0, 0, 0])) for _ in range(128))),
        with_items(item(0x50, item(0x51, b"\0\0\0\0") * (MAX_SUB_ITEMS - 100)) + HUGE[-9000:]),
        with_items(item(0x10, b"") * 100_000),
        with_items(item(0x50, item(0x57, bytes(60_000))) * 2),
    ],
    ids=["transfer syntaxes", "contexts", "user information", "items", "common extended"],
)
def test_more_items_than_a_request_can_have_are_not_decoded(encoded: bytes) -> None:
    start = time.process_time()
    with pytest.raises(TooManyItemsError):
        consider(encoded)
    assert time.process_time() - start < 0.1


def test_the_largest_sensible_request_is_decoded() -> None:
    syntaxes = sorted(TRANSFER_SYNTAXES)
    contexts = [(number, CT, syntaxes) for number in range(1, 256, 2)]
    identity = UserIdentityNegotiation()
    identity.user_identity_type = 2
    identity.primary_field = b"u" * 30_000
    identity.secondary_field = b"p" * 30_000
    verdict = consider(associate_rq(contexts, extra=[identity, common_extended(500)]))
    assert verdict.agreement is not None
    assert len(verdict.agreement.accepted) == 128


def test_the_same_request_is_answered_with_the_same_bytes_and_decoded_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = negotiator()
    request = associate_rq([(1, CT, [EXPLICIT]), (3, MR, [IMPLICIT]), (5, "1.2.3", [IMPLICIT])])
    first = ours.agree(request)
    monkeypatch.setattr(negotiation, "A_ASSOCIATE_RQ", None)
    assert ours.agree(request) is first


def test_a_request_that_differs_in_any_byte_is_answered_by_itself() -> None:
    ours = negotiator()
    requests = [
        associate_rq(),
        associate_rq(calling="OTHER"),
        associate_rq(max_pdu_bytes=0),
        associate_rq([(3, CT, [EXPLICIT])]),
    ]
    answers = [ours.agree(request) for request in requests * 2]
    assert answers[:4] == answers[4:]
    lengths = [answer.peer_max_pdu_bytes for answer in answers[:4] if answer is not None]
    assert lengths == [16384, 16384, 0, 16384]
    assert decoded(answers[1].encoded).reserved_aec == "OTHER"  # type: ignore[union-attr]


def test_listeners_of_other_settings_answer_otherwise() -> None:
    request = associate_rq()
    answers = [negotiator(max_pdu_bytes=size).agree(request) for size in (16384, 65536)]
    information = [decoded(answer.encoded).user_information for answer in answers if answer]
    assert [found.maximum_length for found in information if found] == [16384, 65536]


def test_what_is_remembered_is_bounded_and_holds_no_request() -> None:
    ours = negotiator()
    for number in range(REMEMBERED * 2):
        ours.agree(associate_rq(calling=f"CONSOLE{number}"))
    assert len(ours._remembered) == REMEMBERED
    assert {len(digest) for digest in ours._remembered} == {32}


def test_a_request_that_cannot_be_decoded_is_never_remembered() -> None:
    ours = negotiator()
    for _ in range(2):
        with pytest.raises(KeyError):
            ours.agree(with_items(item(0x99, b"?")))
    assert not ours._remembered


def test_the_answer_lists_what_is_accepted_by_id_and_then_the_rest() -> None:
    answer = negotiator().agree(
        associate_rq([(5, CT, [IMPLICIT]), (3, "1.2.3", [IMPLICIT]), (1, VERIFICATION, [IMPLICIT])])
    )
    assert answer is not None
    assert [
        (context.context_id, context.result_reason)
        for context in decoded(answer.encoded).presentation_context
    ] == [(1, 0), (5, 0), (3, 3)]
