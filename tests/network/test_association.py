"""Associations over real sockets: how they begin, how they end, what they survive."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest
from pynetdicom.pdu import A_ASSOCIATE_AC
from pynetdicom.pdu_items import AsynchronousOperationsWindowSubItem, UserInformationItem
from pynetdicom.pdu_primitives import AsynchronousOperationsWindowNegotiation
from support_network import (
    ABORT_TYPE,
    CT,
    EXPLICIT,
    IMPLICIT,
    MR,
    P_DATA_TYPE,
    RELEASE_RP_TYPE,
    RELEASE_RQ,
    RJ_TYPE,
    VERIFICATION,
    MemoryService,
    RawRequestor,
    StoredInstance,
    abort_rq,
    associate_rq,
    command_set,
    decoded,
    message,
    p_data,
    pdv,
    running_node,
    store_rq,
    wait_until,
)

from dicomanon_node.errors import Status
from dicomanon_node.network import association, relay
from dicomanon_node.network.peers import Peer
from dicomanon_node.network.service import AssociationFacts, Ending, Outcome, StoreRequest

NO_REASON = b"\0\0\0\0"
PROVIDER_UNRECOGNIZED = b"\0\0\x02\x01"
PROVIDER_UNEXPECTED = b"\0\0\x02\x02"
PROVIDER_INVALID_PARAMETER = b"\0\0\x02\x06"
HALF_OBJECT = p_data(pdv(1, 3, store_rq())) + p_data(pdv(1, 0, b"half"))
ECHO_RQ = command_set(
    AffectedSOPClassUID=VERIFICATION, CommandField=0x0030, MessageID=3, CommandDataSetType=0x0101
)


@pytest.fixture(autouse=True)
def _short_close_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(association, "CLOSE_WAIT_S", 0.05)


# Storing.


def test_an_instance_is_stored_and_the_association_released() -> None:
    with running_node() as node, RawRequestor(node.port) as peer:
        peer.associate()
        peer.send(message(store_rq(9), b"x" * 300_000, fragment_bytes=5000))
        response = peer.response()
        assert (response.Status, response.MessageIDBeingRespondedTo) == (0x0000, 9)
        peer.release()
        assert node.observer.ending() is Ending.RELEASED
        assert node.service.received == [b"x" * 300_000]
        [(_, facts)] = node.observer.endings
        assert (facts.calling_aet, facts.called_aet) == ("RAW", "NODE")
        assert facts.peer_address == "127.0.0.1"
        assert (facts.stored_count, facts.refused_count) == (1, 0)
        assert facts.received_bytes == 300_000


def test_messages_sent_in_a_row_are_answered_in_order() -> None:
    stream = (
        message(store_rq(1), b"one")
        + message(ECHO_RQ, None, 5)
        + message(store_rq(2, MR), b"two", 3)
        + RELEASE_RQ
    )
    contexts = [(1, CT, [EXPLICIT]), (3, MR, [IMPLICIT]), (5, VERIFICATION, [IMPLICIT])]
    with running_node() as node, RawRequestor(node.port) as peer:
        peer.associate(associate_rq(contexts))
        peer.send(stream)
        fields = [
            (r.CommandField, r.MessageIDBeingRespondedTo)
            for r in (peer.response(), peer.response(), peer.response())
        ]
        assert fields == [(0x8001, 1), (0x8030, 3), (0x8001, 2)]
        assert peer.pdu()[0] == RELEASE_RP_TYPE
        assert node.service.received == [b"one", b"two"]


def test_a_request_and_its_data_in_one_segment_with_the_association_are_taken() -> None:
    # No peer may do it, but nothing is lost if it does.
    with running_node() as node, RawRequestor(node.port) as peer:
        peer.send(associate_rq() + message(store_rq(), b"early"))
        assert peer.pdu()[0] == 0x02
        assert peer.response().Status == 0x0000
        assert node.service.received == [b"early"]


def test_a_response_is_cut_to_what_the_peer_receives() -> None:
    with running_node() as node, RawRequestor(node.port) as peer:
        peer.associate(associate_rq(max_pdu_bytes=32))
        peer.send(message(store_rq(), b"x"))
        assert peer.response().Status == 0x0000
        assert node.service.received == [b"x"]


def test_a_handler_slower_than_the_idle_time_out_harms_nothing() -> None:
    class Slow(MemoryService):
        def begin(self, request: StoreRequest, association: AssociationFacts) -> StoredInstance:
            time.sleep(0.5)
            return super().begin(request, association)

    with running_node(Slow(), idle_timeout_s=0.2) as node, RawRequestor(node.port) as peer:
        peer.associate()
        peer.send(message(store_rq(), b"x"))
        assert peer.response().Status == 0x0000
        peer.release()
        assert node.observer.ending() is Ending.RELEASED


def test_a_peer_that_reads_no_answers_is_given_up() -> None:
    with running_node(pdu_timeout_s=0.5) as node:
        peer = socket.socket()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with peer:
            peer.settimeout(0.2)
            peer.connect(("127.0.0.1", node.port))
            peer.sendall(associate_rq())
            stream = message(store_rq(), b"") * 200
            # Until both socket buffers are full of answers, and of requests behind them.
            while not node.observer.endings:
                try:
                    peer.sendall(stream)
                except TimeoutError:
                    continue
                except OSError:
                    break
            assert node.observer.ending() in (Ending.LOST, Ending.SLOW)


# Who may associate.


def rejection(node_settings: dict[str, Any], request: bytes) -> tuple[bytes, list[str], list[Any]]:
    """The three words of the A-ASSOCIATE-RJ, the observed reasons, the failures."""
    with running_node(**node_settings) as node, RawRequestor(node.port) as peer:
        peer.send(request)
        kind, body = peer.pdu()
        assert kind == RJ_TYPE
        peer.socket.shutdown(socket.SHUT_WR)
        wait_until(lambda: node.listener.connection_count == 0)
        assert not node.observer.endings
        assert not node.observer.strangers
        assert not node.service.instances
        return body[1:], [code for code, _ in node.observer.rejections], node.observer.failures


def test_a_wrong_called_title_is_rejected() -> None:
    words, codes, _ = rejection({}, associate_rq(called="OTHER"))
    assert (words, codes) == (b"\x01\x01\x07", ["called-ae-title"])


@pytest.mark.parametrize(
    "peer",
    [Peer("OTHER"), Peer("RAW", (ip_network("10.0.0.0/8"),)), Peer(None, (ip_network("::1"),))],
)
def test_a_peer_that_is_not_listed_is_rejected(peer: Peer) -> None:
    words, codes, _ = rejection({"peers": (peer,)}, associate_rq())
    assert (words, codes) == (b"\x01\x01\x03", ["peer-not-allowed"])


def test_a_listed_peer_is_accepted() -> None:
    peers = (Peer("OTHER"), Peer("RAW", (ip_network("127.0.0.0/8"),)))
    with running_node(peers=peers) as node, RawRequestor(node.port) as peer:
        peer.associate()


def test_a_check_that_raises_rejects() -> None:
    class Broken:
        def is_calling(self, *_: object) -> bool:
            raise RuntimeError("DOE^JANE")

    words, codes, failures = rejection({"peers": (Broken(),)}, associate_rq())
    assert (words, codes) == (b"\x02\x01\x01", ["peer-check-failed"])
    assert [type(error) for error in failures] == [RuntimeError]


def test_another_application_context_is_rejected() -> None:
    request = associate_rq().replace(b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.2")
    words, codes, _ = rejection({}, request)
    assert (words, codes) == (b"\x01\x01\x02", ["application-context"])


def answered_user_information(body: bytes) -> UserInformationItem:
    """The User Information of an A-ASSOCIATE-AC, decoded by pynetdicom."""
    answer = A_ASSOCIATE_AC()
    answer.decode(struct.pack(">BxL", 2, len(body)) + body)
    assert answer.user_information is not None
    return answer.user_information


def test_an_asynchronous_window_is_answered_with_one_operation() -> None:
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = 8
    window.maximum_number_operations_performed = 8
    with running_node() as node, RawRequestor(node.port) as peer:
        body = peer.associate(associate_rq(extra=[window]))
    items = [
        (item.max_operations_invoked, item.max_operations_performed)
        for item in answered_user_information(body).user_data
        if isinstance(item, AsynchronousOperationsWindowSubItem)
    ]
    assert items == [(1, 1)]


def test_the_answer_says_who_we_are_and_what_we_receive() -> None:
    with running_node(max_pdu_bytes=65536) as node, RawRequestor(node.port) as peer:
        body = peer.associate()
    answer = answered_user_information(body)
    assert answer.maximum_length == 65536
    assert answer.implementation_class_uid == "2.25.99"
    assert answer.implementation_version_name == "TEST"


# Time.


def test_a_silent_peer_is_dropped_after_the_acse_time_out() -> None:
    with running_node(acse_timeout_s=0.3) as node, RawRequestor(node.port) as silent:
        with RawRequestor(node.port) as other:
            other.associate()  # nobody has to wait for the silent one
        assert silent.is_closed()
        wait_until(lambda: node.observer.strangers)
        assert node.observer.strangers == [(Ending.TIMEOUT, "127.0.0.1")]


def test_a_peer_that_sends_its_request_drop_by_drop_is_dropped_too() -> None:
    with running_node(acse_timeout_s=0.4) as node, RawRequestor(node.port) as peer:
        start = time.monotonic()
        for byte in associate_rq():
            try:
                peer.send(bytes([byte]))
            except OSError:
                break
            if node.observer.strangers:
                break
            time.sleep(0.02)  # the dripping itself, not a wait for something
        wait_until(lambda: node.observer.strangers)
        assert time.monotonic() - start < 3
        assert node.observer.strangers == [(Ending.TIMEOUT, "127.0.0.1")]


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        struct.pack(">BxL", 4, 1000)[:3],
        struct.pack(">BxL", 5, 4),
        HALF_OBJECT,
        HALF_OBJECT + struct.pack(">BxL", 4, 1000),
        HALF_OBJECT + struct.pack(">BxLLBB", 4, 1000, 996, 1, 0) + b"more",
    ],
    ids=["nothing", "PDU header", "control PDU", "object", "PDU", "PDV"],
)
def test_a_peer_that_falls_silent_in_the_middle_is_dropped(begun: bytes) -> None:
    with running_node(idle_timeout_s=0.3) as node, RawRequestor(node.port) as peer:
        peer.associate()
        peer.send(begun)
        assert peer.pdu() == (ABORT_TYPE, NO_REASON)
        assert node.observer.ending() is Ending.TIMEOUT
        for instance in node.service.instances:
            assert (instance.finished, instance.abandoned) == (0, 1)
        assert node.listener.active_count == 0


def test_a_peer_that_keeps_sending_is_not_idle() -> None:
    with (
        running_node(idle_timeout_s=0.8, min_bytes_per_s=1) as node,
        RawRequestor(node.port) as peer,
    ):
        peer.associate()
        peer.send(p_data(pdv(1, 3, store_rq())))
        for _ in range(11):
            peer.send(p_data(pdv(1, 0, b"x")))
            time.sleep(0.1)  # longer than the time-out in total
        peer.send(p_data(pdv(1, 2, b"x")))
        assert peer.response().Status == 0x0000


def test_a_flood_after_our_abort_ends_with_the_connection() -> None:
    with running_node() as node, RawRequestor(node.port) as peer:
        peer.send(struct.pack(">BxL", 1, 0xFFFFFFFF))
        assert peer.pdu() == (ABORT_TYPE, PROVIDER_INVALID_PARAMETER)

        def is_refused() -> bool:
            try:
                peer.send(bytes(65536))
            except OSError:
                return True
            return False

        wait_until(is_refused)
        wait_until(lambda: node.listener.connection_count == 0)


# Violations.


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (struct.pack(">BxL", 1, 0xFFFFFFFF), PROVIDER_INVALID_PARAMETER),
        (struct.pack(">BxL", 1, 512 * 1024 + 1), PROVIDER_INVALID_PARAMETER),
        (struct.pack(">BxL", 7, 0xFFFFFFFF), PROVIDER_INVALID_PARAMETER),
        (struct.pack(">BxL", 3, 0xFFFFFFFF), NO_REASON),
        (b"GET / HTTP/1.1\r\n\r\n", NO_REASON),
        (message(store_rq(), b"x"), NO_REASON),
        (RELEASE_RQ, NO_REASON),
        (b"\x01\x00\x00\x00\x00\x04abcd", NO_REASON),
        (associate_rq().replace(b"RAW" + b" " * 13, b"\xff\xfe" + b" " * 14), NO_REASON),
    ],
    ids=[
        "4 GiB",
        "over 512 KiB",
        "abort of 4 GiB",
        "answer of 4 GiB",
        "HTTP",
        "P-DATA",
        "release",
        "truncated",
        "title",
    ],
)
def test_what_is_no_association_request_is_aborted(stream: bytes, reason: bytes) -> None:
    with running_node() as node, RawRequestor(node.port) as peer:
        peer.send(stream)
        assert peer.pdu() == (ABORT_TYPE, reason)
        assert peer.is_closed()
        wait_until(lambda: node.observer.strangers)
        assert node.observer.strangers == [(Ending.PROTOCOL_ERROR, "127.0.0.1")]
        assert not node.observer.failures


def test_a_request_with_another_protocol_version_is_rejected() -> None:
    request = bytearray(associate_rq())
    request[6:8] = b"\x00\x02"
    with running_node() as node, RawRequestor(node.port) as peer:
        peer.send(bytes(request))
        kind, body = peer.pdu()
        assert (kind, body[1:]) == (RJ_TYPE, b"\x01\x02\x02")
        wait_until(lambda: node.observer.strangers)
        assert node.observer.strangers == [(Ending.PROTOCOL_ERROR, "127.0.0.1")]


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (struct.pack(">BxL", 4, 0xFFFFFFFF), PROVIDER_INVALID_PARAMETER),
        (struct.pack(">BxL", 4, 131072 + 129), PROVIDER_INVALID_PARAMETER),
        (struct.pack(">BxL", 5, 0xFFFFFFFF), PROVIDER_INVALID_PARAMETER),
        (b"\x2a\x00\x00\x00\x00\x00", PROVIDER_UNRECOGNIZED),
        (b"\x2a\x00\xff\xff\xff\xff", PROVIDER_UNRECOGNIZED),
        (associate_rq(), PROVIDER_UNEXPECTED),
        (struct.pack(">BxL", 2, 0xFFFFFFFF), PROVIDER_UNEXPECTED),
        (b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00", PROVIDER_UNEXPECTED),
        (p_data(pdv(9, 3, store_rq())), PROVIDER_INVALID_PARAMETER),
        (
            message(command_set(CommandField=0x0100, MessageID=1, CommandDataSetType=0x0101), None),
            PROVIDER_INVALID_PARAMETER,
        ),
        (
            message(command_set(CommandField=0x7777, MessageID=1, CommandDataSetType=0x0101), None),
            PROVIDER_INVALID_PARAMETER,
        ),
    ],
    ids=[
        "P-DATA of 4 GiB",
        "P-DATA over the maximum",
        "release of 4 GiB",
        "unknown PDU",
        "unknown PDU of 4 GiB",
        "second request",
        "answer of 4 GiB",
        "release response",
        "unknown context",
        "N-EVENT-REPORT",
        "unknown message",
    ],
)
@pytest.mark.parametrize("in_object", [False, True])
def test_a_violation_aborts_and_abandons(stream: bytes, reason: bytes, in_object: bool) -> None:
    with running_node() as node, RawRequestor(node.port) as peer:
        peer.associate()
        peer.send((HALF_OBJECT if in_object else b"") + stream)
        kind, body = peer.pdu()
        assert kind == ABORT_TYPE
        # A message on top of half an object is a violation of another kind.
        assert body == (reason if not in_object or stream[0] != 4 else PROVIDER_INVALID_PARAMETER)
        assert peer.is_closed()
        assert node.observer.ending() is Ending.PROTOCOL_ERROR
        assert [(i.finished, i.abandoned) for i in node.service.instances] == [(0, 1)] * in_object
        assert not node.observer.failures


@pytest.mark.parametrize("field", [0x0020, 0x0010, 0x0021, 0x0110, 0x0120, 0x0130, 0x0140, 0x0150])
def test_a_service_that_was_not_negotiated_is_never_a_store(field: int) -> None:
    request = command_set(
        AffectedSOPClassUID=CT,
        CommandField=field,
        MessageID=1,
        Priority=0,
        CommandDataSetType=1,
        AffectedSOPInstanceUID="2.25.1",
    )
    with running_node() as node, RawRequestor(node.port) as peer:
        peer.associate()
        peer.send(message(request, b"x" * 8))
        peer.socket.settimeout(0.3)
        try:
            kind, body = peer.pdu()
        except TimeoutError:
            kind = 0  # pynetdicom ignores what is no valid request
        assert kind in (0, ABORT_TYPE, P_DATA_TYPE)
        if kind == P_DATA_TYPE:
            assert b"\x00\x00\x00\x09\x02\x00\x00\x00\x00\x00" not in body  # Status 0000H
        assert not node.service.instances
        with RawRequestor(node.port) as other:
            other.associate()


CANCEL_RQ = command_set(CommandField=0x0FFF, MessageIDBeingRespondedTo=1, CommandDataSetType=0x0101)
STORE_RSP = command_set(
    AffectedSOPClassUID=CT,
    CommandField=0x8001,
    MessageIDBeingRespondedTo=1,
    CommandDataSetType=0x0101,
    Status=0,
    AffectedSOPInstanceUID="2.25.1",
)


@pytest.mark.parametrize("ignored", [CANCEL_RQ, STORE_RSP], ids=["C-CANCEL-RQ", "C-STORE-RSP"])
def test_what_needs_no_answer_gets_none_and_the_association_goes_on(ignored: bytes) -> None:
    with running_node() as node, RawRequestor(node.port) as peer:
        peer.associate()
        peer.send(message(ignored, None) + message(store_rq(7), b"x"))
        assert peer.response().MessageIDBeingRespondedTo == 7
        peer.release()
        assert node.observer.ending() is Ending.RELEASED


@pytest.mark.parametrize("context_id", [1, 5])
def test_an_echo_is_answered_in_the_context_it_came_in(context_id: int) -> None:
    contexts = [(1, CT, [EXPLICIT]), (5, VERIFICATION, [IMPLICIT])]
    with running_node() as node, RawRequestor(node.port) as peer:
        peer.associate(associate_rq(contexts))
        peer.send(message(ECHO_RQ, None, context_id))
        kind, body = peer.pdu()
        assert (kind, body[4]) == (P_DATA_TYPE, context_id)
        answer = decoded(body[6:])
        assert (answer.CommandField, answer.Status) == (0x8030, 0x0000)
        assert (answer.MessageIDBeingRespondedTo, answer.AffectedSOPClassUID) == (3, VERIFICATION)


# Ends.


@pytest.mark.parametrize(
    ("how", "ending"), [("abort", Ending.ABORTED), ("close", Ending.LOST), ("reset", Ending.LOST)]
)
def test_an_association_that_ends_in_an_object_abandons_it_once(how: str, ending: Ending) -> None:
    with running_node() as node:
        with RawRequestor(node.port) as peer:
            peer.associate()
            peer.send(HALF_OBJECT)
            wait_until(lambda: node.service.instances and node.service.instances[0].data)
            if how == "abort":
                peer.send(abort_rq())
                assert peer.is_closed()
            elif how == "reset":
                peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert node.observer.ending() is ending
        [instance] = node.service.instances
        assert (instance.finished, instance.abandoned) == (0, 1)


def test_a_release_in_an_object_abandons_it() -> None:
    with running_node() as node, RawRequestor(node.port) as peer:
        peer.associate()
        peer.send(HALF_OBJECT + RELEASE_RQ)
        assert peer.pdu()[0] == RELEASE_RP_TYPE
        assert node.observer.ending() is Ending.RELEASED
        assert [(i.finished, i.abandoned) for i in node.service.instances] == [(0, 1)]


def test_a_port_scan_is_one_quiet_word() -> None:
    with running_node() as node:
        RawRequestor(node.port).socket.close()
        wait_until(lambda: node.observer.strangers)
        wait_until(lambda: node.listener.connection_count == 0)
        assert node.observer.strangers == [(Ending.LOST, "127.0.0.1")]
        assert not node.observer.endings
        assert not node.observer.rejections


def test_a_fault_of_ours_ends_the_association_and_is_told() -> None:
    class Confused(MemoryService):
        def begin(self, request: StoreRequest, association: AssociationFacts) -> StoredInstance:
            instance = super().begin(request, association)
            instance.outcome = "stored"  # type: ignore[assignment]
            return instance

    with running_node(Confused()) as node, RawRequestor(node.port) as peer:
        peer.associate()
        peer.send(message(store_rq(), b"x"))
        assert peer.pdu()[0] == ABORT_TYPE
        assert peer.is_closed()
        assert node.observer.ending() is Ending.INTERNAL_ERROR
        assert [type(error) for error in node.observer.failures] == [AttributeError]


def test_refusals_are_counted() -> None:
    refused = Outcome(Status.OUT_OF_RESOURCES, "Storage is full")
    with running_node(MemoryService(refused)) as node, RawRequestor(node.port) as peer:
        peer.associate()
        for message_id in (1, 2):
            peer.send(message(store_rq(message_id), b"x"))
            response = peer.response()
            assert (response.Status, response.ErrorComment) == (0xA700, "Storage is full")
        peer.release()
        node.observer.ending()
        [(_, facts)] = node.observer.endings
        assert (facts.stored_count, facts.refused_count) == (0, 2)


def test_associations_do_not_disturb_each_other() -> None:
    count = 12
    errors: list[BaseException] = []

    def store(number: int, port: int) -> None:
        try:
            with RawRequestor(port) as peer:
                peer.associate()
                for message_id in range(5):
                    uid = f"2.25.{number}.{message_id}"
                    data = uid.encode() * 5000
                    peer.send(message(store_rq(message_id, CT, uid), data, fragment_bytes=9000))
                    assert peer.response().AffectedSOPInstanceUID == uid
                peer.release()
        except BaseException as error:
            errors.append(error)
            raise

    with running_node() as node:
        threads = [threading.Thread(target=store, args=(i, node.port)) for i in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        wait_until(lambda: len(node.observer.endings) == count)
        assert {how for how, _ in node.observer.endings} == {Ending.RELEASED}
        assert len({facts.association_id for _, facts in node.observer.endings}) == count
        assert len(node.service.instances) == count * 5
        for instance in node.service.instances:
            assert instance.data == instance.request.sop_instance_uid.encode() * 5000


# Pace.


def drip(peer: RawRequestor, stream: bytes, is_over: Callable[[], object]) -> None:
    """Send a stream byte by byte, slowly, until it is over."""
    for byte in stream:
        try:
            peer.send(bytes([byte]))
        except OSError:
            return
        if is_over():
            return
        time.sleep(0.02)  # the dripping itself, not a wait for something


@pytest.mark.parametrize(
    "stream",
    [
        struct.pack(">BxL", 4, 100_000) + bytes(1000),
        HALF_OBJECT + struct.pack(">BxLLBB", 4, 100_000, 99_996, 1, 0) + bytes(1000),
        struct.pack(">BxL", 5, 60) + bytes(60),
    ],
    ids=["PDV header", "fragment", "release"],
)
def test_a_pdu_that_comes_drop_by_drop_is_not_waited_for(stream: bytes) -> None:
    with (
        running_node(pdu_timeout_s=0.3, idle_timeout_s=60.0) as node,
        RawRequestor(node.port) as peer,
    ):
        peer.associate()
        drip(peer, stream, lambda: node.observer.endings)
        assert node.observer.ending() in (Ending.SLOW, Ending.PROTOCOL_ERROR)
        assert node.listener.active_count == 0


def test_an_object_in_small_pdus_without_end_is_not_waited_for() -> None:
    small = p_data(pdv(1, 0, b"x"))
    with (
        running_node(idle_timeout_s=0.5, min_bytes_per_s=10_000) as node,
        RawRequestor(node.port) as peer,
    ):
        peer.associate()
        peer.send(p_data(pdv(1, 3, store_rq())))
        for _ in range(1000):
            try:
                peer.send(small)
            except OSError:
                break
            if node.observer.endings:
                break
            time.sleep(0.02)  # the pace of the peer, not a wait for something
        assert node.observer.ending() is Ending.SLOW
        assert [(i.finished, i.abandoned) for i in node.service.instances] == [(0, 1)]


def test_pauses_between_objects_are_not_counted_against_them() -> None:
    with (
        running_node(pdu_timeout_s=0.25, idle_timeout_s=0.5) as node,
        RawRequestor(node.port) as peer,
    ):
        peer.associate()
        for number in range(4):
            stream = message(store_rq(number + 1), b"x")
            peer.send(stream[:3])
            time.sleep(0.1)  # a pause within a PDU
            peer.send(stream[3:])
            assert peer.response().Status == 0x0000
            time.sleep(0.2)  # and one between objects: together longer than either time
        peer.release()
        assert node.observer.ending() is Ending.RELEASED


def test_a_slow_line_is_no_offence() -> None:
    with (
        running_node(idle_timeout_s=0.5, pdu_timeout_s=0.5, min_bytes_per_s=1000) as node,
        RawRequestor(node.port) as peer,
    ):
        peer.associate()
        stream = message(store_rq(), bytes(6000), fragment_bytes=3000)
        for start in range(0, len(stream), 300):
            peer.send(stream[start : start + 300])
            time.sleep(0.05)  # the line
        assert peer.response().Status == 0x0000


def test_stopping_does_not_wait_for_a_peer_that_reads_no_answers() -> None:
    with running_node(pdu_timeout_s=600.0, idle_timeout_s=600.0) as node:
        peer = socket.socket()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with peer:
            peer.settimeout(0.5)
            peer.connect(("127.0.0.1", node.port))
            peer.sendall(associate_rq([(5, VERIFICATION, [IMPLICIT])]))
            stream = message(ECHO_RQ, None, 5) * 500
            with contextlib.suppress(TimeoutError):  # both socket buffers are full
                while True:
                    peer.sendall(stream)
            node.listener.abort_all()
            assert node.observer.ending() is Ending.STOPPED


# The end of an association.


@pytest.mark.parametrize("offence", [b"\x2a\0\0\0\0\0", RELEASE_RQ, associate_rq()])
def test_the_peers_abort_ends_the_wait_for_it_to_close(
    offence: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(association, "CLOSE_WAIT_S", 60.0)
    with running_node() as node, RawRequestor(node.port) as peer:
        peer.associate()
        peer.send(offence)
        peer.pdu()
        peer.send(struct.pack(">BxL", 4, 10) + bytes(10))  # on its way already
        peer.send(abort_rq()[:3])
        peer.send(abort_rq()[3:])
        assert peer.is_closed()
        wait_until(lambda: node.listener.connection_count == 0)


def test_messages_of_other_services_come_to_an_end() -> None:
    request = command_set(
        AffectedSOPClassUID=CT, CommandField=0x0020, MessageID=1, Priority=0, CommandDataSetType=1
    )
    with running_node() as node, RawRequestor(node.port) as peer:
        peer.associate()
        peer.send(message(request, b"") * (relay.MAX_OTHER_MESSAGES + 1))
        assert node.observer.ending() is Ending.PROTOCOL_ERROR


@pytest.mark.parametrize("size", [1, 2, 5, 6, 7])
def test_a_peer_that_receives_next_to_nothing_is_answered_or_aborted(size: int) -> None:
    request = command_set(
        AffectedSOPClassUID=VERIFICATION,
        CommandField=0x0030,
        MessageID=1,
        CommandDataSetType=1,
    )
    with running_node() as node, RawRequestor(node.port) as peer:
        peer.associate(associate_rq([(1, VERIFICATION, [IMPLICIT])], max_pdu_bytes=size))
        peer.send(message(request, b""))
        assert peer.pdu()[0] in (ABORT_TYPE, P_DATA_TYPE)
