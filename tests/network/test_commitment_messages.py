"""The commitment messages of an association, from requestors that keep to nothing."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from support_network import (
    ABORT_TYPE,
    CT,
    EXPLICIT,
    IMPLICIT,
    P_DATA_TYPE,
    SETTINGS,
    VERIFICATION,
    MemoryService,
    RawRequestor,
    Recorder,
    associate_rq,
    command_set,
    message,
    store_rq,
    wait_until,
)

from dicomanon_node.network import commitment
from dicomanon_node.network.commitment import Report, Verdict
from dicomanon_node.network.listener import Listener, bind
from dicomanon_node.network.service import AssociationFacts

PUSH_MODEL = "1.2.840.10008.1.20.1"
WELL_KNOWN = "1.2.840.10008.1.20.1.1"
DATASET = b"\x08\x00\x95\x11UI\x06\x002.25.9"


@dataclass
class Ticket:
    """Reports once it is told to."""

    is_due: threading.Event = field(default_factory=threading.Event)
    statuses: list[int] = field(default_factory=list)
    released: int = 0
    raises: bool = False

    def report(self, transfer_syntax_uid: str) -> Report | None:
        assert transfer_syntax_uid == EXPLICIT
        if self.raises:
            raise RuntimeError("a fault of ours")
        return Report(1, DATASET * 1000) if self.is_due.is_set() else None

    def answered(self, status: int) -> None:
        self.statuses.append(status)

    def release(self) -> None:
        self.released += 1


@dataclass
class Service:
    """Takes what it is given."""

    request_bytes: int = 2 << 20
    requests: list[tuple[bytes, str]] = field(default_factory=list)
    ticket: Ticket | None = None
    raises: bool = False

    def request(
        self, dataset: bytes, transfer_syntax_uid: str, association: AssociationFacts
    ) -> Verdict:
        assert association.calling_aet == "RAW"
        if self.raises:
            raise RuntimeError("a fault of ours")
        self.requests.append((dataset, transfer_syntax_uid))
        return Verdict(0x0000, ticket=self.ticket)


@dataclass
class Running:
    port: int
    observer: Recorder
    storage: MemoryService


@contextlib.contextmanager
def listening(service: Service | None) -> Iterator[Running]:
    observer, storage = Recorder(), MemoryService()
    listener = Listener(SETTINGS, storage, observer, commitment=service)
    with bind("127.0.0.1", 0) as sock:
        thread = threading.Thread(target=listener.serve, args=(sock,))
        thread.start()
        try:
            yield Running(sock.getsockname()[1], observer, storage)
        finally:
            listener.stop_accepting()
            listener.abort_all()
            thread.join(10)
            wait_until(lambda: listener.connection_count == 0)


def request(max_pdu_bytes: int = 16384) -> bytes:
    return associate_rq(
        (
            (1, PUSH_MODEL, (EXPLICIT, IMPLICIT)),
            (3, CT, (EXPLICIT,)),
            (5, VERIFICATION, (IMPLICIT,)),
        ),
        max_pdu_bytes=max_pdu_bytes,
    )


def n_action(
    sop_class_uid: str = PUSH_MODEL,
    sop_instance_uid: str = WELL_KNOWN,
    action_type: int = 1,
    dataset_type: int = 1,
) -> bytes:
    return command_set(
        RequestedSOPClassUID=sop_class_uid,
        CommandField=0x0130,
        MessageID=7,
        CommandDataSetType=dataset_type,
        RequestedSOPInstanceUID=sop_instance_uid,
        ActionTypeID=action_type,
    )


def n_event_report_rsp(responded_to: int, status: int = 0) -> bytes:
    return command_set(
        AffectedSOPClassUID=PUSH_MODEL,
        CommandField=0x8100,
        MessageIDBeingRespondedTo=responded_to,
        CommandDataSetType=0x0101,
        Status=status,
        AffectedSOPInstanceUID=WELL_KNOWN,
        EventTypeID=1,
    )


def read_report(peer: RawRequestor) -> tuple[int, bytes]:
    """Message ID and data set of an N-EVENT-REPORT-RQ, by its PDVs."""
    command = peer.response()
    assert command.CommandField == 0x0100
    assert command.AffectedSOPInstanceUID == WELL_KNOWN
    data = b""
    while True:
        kind, body = peer.pdu()
        assert kind == P_DATA_TYPE
        data += body[6:]
        if body[5] & 2:
            return command.MessageID, data


def test_a_request_is_answered_and_reported_on_its_association() -> None:
    ticket = Ticket()
    service = Service(ticket=ticket)
    with listening(service) as node, RawRequestor(node.port) as peer:
        peer.associate(request(max_pdu_bytes=4096))
        peer.send(message(n_action(), DATASET))
        response = peer.response()
        assert (response.CommandField, response.Status) == (0x8130, 0x0000)
        assert response.MessageIDBeingRespondedTo == 7
        assert response.AffectedSOPInstanceUID == WELL_KNOWN
        assert service.requests == [(DATASET, EXPLICIT)]
        ticket.is_due.set()
        message_id, dataset = read_report(peer)
        assert dataset == DATASET * 1000
        peer.send(message(n_event_report_rsp(message_id), None))
        wait_until(lambda: ticket.released)
        assert ticket.statuses == [0x0000]
        peer.release()


def test_nothing_is_reported_in_the_middle_of_a_message() -> None:
    ticket = Ticket()
    with listening(Service(ticket=ticket)) as node, RawRequestor(node.port) as peer:
        peer.associate(request())
        peer.send(message(n_action(), DATASET))
        peer.response()
        whole = message(store_rq(), DATASET, context_id=3)
        peer.send(whole[:-5])
        wait_until(lambda: node.storage.instances)
        ticket.is_due.set()
        peer.socket.settimeout(commitment.POLL_S * 5)
        with pytest.raises(TimeoutError):
            peer.pdu()
        peer.socket.settimeout(10)
        peer.send(whole[-5:])
        assert peer.response().CommandField == 0x8001
        assert read_report(peer)[1] == DATASET * 1000


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (n_action(sop_class_uid=CT), 0x0118),
        (n_action(sop_instance_uid="2.25.5"), 0x0112),
        (n_action(action_type=2), 0x0123),
        (n_action(dataset_type=0x0101), 0x0115),
    ],
    ids=["class", "instance", "action", "no data set"],
)
def test_what_is_no_request_for_commitment_is_refused(command: bytes, status: int) -> None:
    service = Service()
    with listening(service) as node, RawRequestor(node.port) as peer:
        peer.associate(request())
        peer.send(message(command, None if status == 0x0115 else DATASET))
        response = peer.response()
        assert (response.CommandField, response.Status) == (0x8130, status)
        assert service.requests == []
        peer.release()


def test_no_more_than_so_many_requests_wait_on_one_association() -> None:
    service = Service(ticket=Ticket())
    with listening(service) as node, RawRequestor(node.port) as peer:
        peer.associate(request())
        for _ in range(commitment.MAX_WAITING):
            peer.send(message(n_action(), DATASET))
            assert peer.response().Status == 0x0000
        peer.send(message(n_action(), DATASET))
        assert peer.response().Status == 0x0213
        assert len(service.requests) == commitment.MAX_WAITING
        peer.release()


def test_a_fault_of_ours_is_a_processing_failure_and_the_association_goes_on() -> None:
    with listening(Service(raises=True)) as node, RawRequestor(node.port) as peer:
        peer.associate(request())
        peer.send(message(n_action(), DATASET))
        assert peer.response().Status == 0x0110
        peer.send(message(store_rq(), DATASET, context_id=3))
        assert peer.response().Status == 0x0000
        assert len(node.observer.failures) == 1
        peer.release()


def test_a_report_that_cannot_be_made_is_left_to_others() -> None:
    ticket = Ticket(raises=True)
    with listening(Service(ticket=ticket)) as node, RawRequestor(node.port) as peer:
        peer.associate(request())
        peer.send(message(n_action(), DATASET))
        assert peer.response().Status == 0x0000
        wait_until(lambda: ticket.released)
        assert ticket.statuses == []
        peer.release()


def test_a_peer_that_does_not_answer_its_report_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commitment, "RESPONSE_S", 0.2)
    ticket = Ticket()
    ticket.is_due.set()
    with listening(Service(ticket=ticket)) as node, RawRequestor(node.port) as peer:
        peer.associate(request())
        peer.send(message(n_action(), DATASET))
        peer.response()
        message_id, _ = read_report(peer)
        wait_until(lambda: ticket.released)
        assert ticket.statuses == []
        peer.send(message(n_event_report_rsp(message_id), None))  # too late, and no harm
        peer.release()


@pytest.mark.parametrize("how", ["lost", "wrong answer", "echo response"])
def test_a_ticket_is_released_once_however_the_association_ends(how: str) -> None:
    ticket = Ticket()
    ticket.is_due.set()
    with listening(Service(ticket=ticket)) as node, RawRequestor(node.port) as peer:
        peer.associate(request())
        peer.send(message(n_action(), DATASET))
        peer.response()
        message_id, _ = read_report(peer)
        if how == "lost":
            peer.socket.close()
        elif how == "wrong answer":
            peer.send(message(n_event_report_rsp(message_id + 1), None))
            assert peer.pdu()[0] == ABORT_TYPE
        else:
            peer.send(
                message(
                    command_set(
                        CommandField=0x8030,
                        MessageIDBeingRespondedTo=message_id,
                        CommandDataSetType=0x0101,
                        Status=0,
                    ),
                    None,
                )
            )
            assert peer.pdu()[0] == ABORT_TYPE
        wait_until(lambda: ticket.released)
        node.observer.ending()
        assert ticket.released == 1
        assert ticket.statuses == []


def test_a_request_over_the_bound_is_aborted_before_it_is_held() -> None:
    service = Service()
    with listening(service) as node, RawRequestor(node.port) as peer:
        peer.associate(request())
        piece = bytes(65536)
        whole = message(n_action(), piece * 33, fragment_bytes=65536)
        with contextlib.suppress(ConnectionError):
            peer.send(whole)
        with contextlib.suppress(ConnectionError):
            assert peer.pdu()[0] == ABORT_TYPE
        assert service.requests == []


def test_without_the_service_its_context_is_rejected() -> None:
    with listening(None) as node, RawRequestor(node.port) as peer:
        accept = peer.associate(request())
        # Presentation context items of an A-ASSOCIATE-AC: type, reserved, length, ID, 0, result.
        start = accept.index(b"\x21\x00", 68)
        results = {}
        while accept[start] == 0x21:
            length = int.from_bytes(accept[start + 2 : start + 4])
            results[accept[start + 4]] = accept[start + 6]
            start += 4 + length
        assert results == {1: 3, 3: 0, 5: 0}
        peer.release()
