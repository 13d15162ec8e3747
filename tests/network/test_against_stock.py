"""The same byte stream to our acceptor and to stock pynetdicom's: the same outcome.

Unit tests compare P-DATA by P-DATA; here both are whole servers behind a socket,
negotiation, responses and release included.
"""

import contextlib
import struct
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import A_ASSOCIATE_AC
from support_network import (
    ABORT_TYPE,
    CT,
    EXPLICIT,
    IMPLICIT,
    MR,
    RELEASE_RP_TYPE,
    RELEASE_RQ,
    VERIFICATION,
    RawRequestor,
    abort_rq,
    associate_rq,
    command_set,
    message,
    p_data,
    pdv,
    running_node,
    store_rq,
)

from dicomanon_node.network import association


@pytest.fixture(autouse=True)
def _short_close_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(association, "CLOSE_WAIT_S", 0.05)


CONTEXTS = [(1, CT, [EXPLICIT]), (3, MR, [IMPLICIT]), (5, VERIFICATION, [IMPLICIT])]
ECHO_RQ = command_set(
    AffectedSOPClassUID=VERIFICATION, CommandField=0x0030, MessageID=3, CommandDataSetType=0x0101
)
FIND_RQ = command_set(
    AffectedSOPClassUID=CT, CommandField=0x0020, MessageID=3, Priority=0, CommandDataSetType=1
)
DATA = bytes(range(256)) * 40

Stored = list[tuple[str, bytes]]


@contextlib.contextmanager
def stock_server() -> Iterator[tuple[int, Stored]]:
    stored: Stored = []

    def store(event: evt.Event) -> int:
        request = event.request
        assert isinstance(request, C_STORE)
        assert isinstance(request.DataSet, BytesIO)
        stored.append((str(request.AffectedSOPInstanceUID), request.DataSet.getvalue()))
        return 0x0000

    entity = AE("NODE")
    entity.maximum_pdu_size = 131072
    for _, abstract_syntax, syntaxes in CONTEXTS:
        entity.add_supported_context(abstract_syntax, syntaxes)
    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)]
    )
    assert server is not None
    try:
        yield server.server_address[1], stored
    finally:
        server.shutdown()


@contextlib.contextmanager
def our_server() -> Iterator[tuple[int, Stored]]:
    stored: Stored = []
    with running_node() as node:
        yield node.port, stored
        stored += [
            (i.request.sop_instance_uid, bytes(i.data))
            for i in node.service.instances
            if i.finished
        ]


Exchange = list[tuple[int, Any]]


def without_reason(pdu: tuple[int, bytes]) -> tuple[int, bytes]:
    """An A-ABORT of the service-provider without its reason, which stock never gives."""
    kind, body = pdu
    return (kind, body[:3] + b"\0") if kind == ABORT_TYPE else pdu


def exchange(
    server: Callable[[], contextlib.AbstractContextManager[tuple[int, Stored]]],
    steps: list[tuple[bytes, int]],
    last: bytes,
) -> tuple[Exchange, Stored]:
    """Send each step and read so many responses; then the last bytes, and what follows."""
    heard: Exchange = []
    with server() as (port, stored), RawRequestor(port) as peer:
        peer.associate(associate_rq(CONTEXTS))
        for stream, responses in steps:
            peer.send(stream)
            for _ in range(responses):
                response = peer.response()
                heard.append((response.CommandField, response.to_json_dict()))
        peer.send(last)
        with contextlib.suppress(EOFError, ConnectionResetError):
            while True:
                heard.append(without_reason(peer.pdu()))
                if heard[-1][0] == RELEASE_RP_TYPE:
                    break
    return heard, stored


STEPS: dict[str, tuple[list[tuple[bytes, int]], bytes]] = {
    "one": ([(message(store_rq(), DATA), 1)], RELEASE_RQ),
    "empty": ([(message(store_rq(), b""), 1)], RELEASE_RQ),
    "fragments": ([(message(store_rq(), DATA, fragment_bytes=333), 1)], RELEASE_RQ),
    "command in fragments": (
        [(message(store_rq(), b"abcd", fragment_bytes=11), 1)],
        RELEASE_RQ,
    ),
    "command and data in one PDU": (
        [(p_data(pdv(1, 3, store_rq()), pdv(1, 0, DATA[:99]), pdv(1, 2, DATA[99:])), 1)],
        RELEASE_RQ,
    ),
    "several": (
        [
            (message(store_rq(1, CT, "2.25.1"), DATA), 1),
            (message(ECHO_RQ, None, 5), 1),
            (message(store_rq(2, MR, "2.25.2"), DATA, 3), 1),
        ],
        RELEASE_RQ,
    ),
    "in a row": (
        [
            (
                message(store_rq(1, CT, "2.25.1"), DATA)
                + message(store_rq(2, MR, "2.25.2"), DATA, 3),
                2,
            )
        ],
        RELEASE_RQ,
    ),
    "aborted": (
        [(message(store_rq(), DATA), 1)],
        p_data(pdv(1, 3, store_rq(2)), pdv(1, 0, DATA)) + abort_rq(),
    ),
    "unknown PDU": ([], b"\x2a\x00\x00\x00\x00\x00"),
    "second request": ([], associate_rq(CONTEXTS)),
    "release response": ([], b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00"),
    "another service": ([], message(FIND_RQ, b"", 1)),
}


@pytest.mark.parametrize(("steps", "last"), STEPS.values(), ids=STEPS.keys())
def test_stock_pynetdicom_says_and_stores_the_same(
    steps: list[tuple[bytes, int]], last: bytes
) -> None:
    ours = exchange(our_server, steps, last)
    assert ours == exchange(stock_server, steps, last)


PROPOSALS: dict[str, bytes] = {
    "one": associate_rq([(1, CT, [EXPLICIT, IMPLICIT])]),
    "out of order": associate_rq([(5, MR, [IMPLICIT]), (1, VERIFICATION, [IMPLICIT])]),
    "some unknown": associate_rq([(3, "1.2.3", [IMPLICIT]), (1, CT, [EXPLICIT])]),
    "none supported": associate_rq([(1, "1.2.3", [IMPLICIT])]),
    "no limit": associate_rq(CONTEXTS, max_pdu_bytes=0),
    "long titles": associate_rq(CONTEXTS, calling="A" * 16),
    "padded title": associate_rq(CONTEXTS, calling="  RAW"),
}


@pytest.mark.parametrize("request_pdu", PROPOSALS.values(), ids=PROPOSALS.keys())
def test_stock_pynetdicom_answers_a_proposal_the_same(request_pdu: bytes) -> None:
    def answered(server: Callable[[], Any]) -> list[object]:
        answers: list[object] = []
        with server() as (port, _):
            for _ in range(2):  # the second is remembered
                with RawRequestor(port) as peer:
                    peer.send(request_pdu)
                    kind, body = peer.pdu()
                    answer = A_ASSOCIATE_AC()
                    answer.decode(struct.pack(">BxL", kind, len(body)) + body)
                    contexts = [
                        # What a rejected context repeats has no meaning (PS3.8 9.3.3.2).
                        (c.context_id, c.result, c.transfer_syntax if not c.result else None)
                        for c in answer.presentation_context
                    ]
                    answers.append((body[:68], contexts))
        return answers

    assert answered(our_server) == answered(stock_server)


@pytest.mark.parametrize("kind", [1, 2, 4])
@pytest.mark.parametrize("first", [b"", associate_rq(CONTEXTS)], ids=["first", "second"])
def test_a_megabyte_out_of_place_is_aborted_as_stock_does_and_not_decoded(
    kind: int, first: bytes
) -> None:
    items = b"\x40\0\0\x011" * 200_000
    if kind == 1:
        items = bytes(68) + items[:500_000]  # less than what is not even collected
    if kind == 4:
        if first:
            pytest.skip("in its place")
        items = b"\0\0\0\x02\x01\0" * 170_000

    def ending(server: Callable[[], Any], items: bytes) -> object:
        with server() as (port, _), RawRequestor(port) as peer:
            if first:
                peer.associate(first)
            peer.send(struct.pack(">BxL", kind, len(items)) + items)
            return without_reason(peer.pdu())

    start = time.process_time()
    ours = ending(our_server, items)
    assert time.process_time() - start < 0.3
    assert ours == ending(stock_server, items[:600])
