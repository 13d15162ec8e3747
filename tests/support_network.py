"""Peers and doubles for the tests of the acceptor side of `network`.

The raw requestor builds its PDUs and command sets with stock pynetdicom and
pydicom, so that what the listener is fed does not come from the code under test.
"""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any, Self

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.uid import UID
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import build_context

from dicomanon_node.errors import Status
from dicomanon_node.network.listener import Listener, bind
from dicomanon_node.network.service import (
    AssociationFacts,
    Ending,
    ListenerSettings,
    Outcome,
    StoreRequest,
)

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
INSTANCE = "2.25.1234567890"

STORED = Outcome(Status.SUCCESS)

SETTINGS = ListenerSettings(
    ae_titles=("NODE",),
    implementation_class_uid="2.25.99",
    implementation_version_name="TEST",
    acse_timeout_s=5.0,
    idle_timeout_s=5.0,
)


def wait_until(condition: Callable[[], object], deadline_s: float = 10.0) -> None:
    """Poll until the condition holds; fail at the deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.005)


@dataclass
class StoredInstance:
    """What a `MemoryService` got of one C-STORE."""

    request: StoreRequest
    association: AssociationFacts
    outcome: Outcome
    data: bytearray = field(default_factory=bytearray)
    writes: int = 0
    finished: int = 0
    abandoned: int = 0
    answered_count: int = 0

    def write(self, fragments: Sequence[memoryview]) -> None:
        self.writes += 1
        for fragment in fragments:
            self.data += fragment

    def finish(self) -> Outcome:
        self.finished += 1
        return self.outcome

    def answered(self) -> None:
        self.answered_count += 1

    def abandon(self) -> None:
        self.abandoned += 1


class MemoryService:
    """Keeps what it is given."""

    def __init__(self, outcome: Outcome = STORED) -> None:
        self.outcome = outcome
        self.instances: list[StoredInstance] = []

    def begin(self, request: StoreRequest, association: AssociationFacts) -> StoredInstance:
        instance = StoredInstance(request, association, self.outcome)
        self.instances.append(instance)
        return instance

    @property
    def received(self) -> list[bytes]:
        return [bytes(instance.data) for instance in self.instances if instance.finished]


@dataclass
class Recorder:
    """An observer that remembers."""

    openings: list[AssociationFacts] = field(default_factory=list)
    rejections: list[tuple[str, AssociationFacts]] = field(default_factory=list)
    endings: list[tuple[Ending, AssociationFacts]] = field(default_factory=list)
    strangers: list[tuple[Ending, str]] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    failed_in: list[AssociationFacts | None] = field(default_factory=list)

    def opened(self, association: AssociationFacts) -> None:
        self.openings.append(association)

    def rejected(self, reason: str, association: AssociationFacts) -> None:
        self.rejections.append((reason, association))

    def closed(self, association: AssociationFacts, how: Ending) -> None:
        self.endings.append((how, association))

    def unassociated(self, peer_address: str, how: Ending) -> None:
        self.strangers.append((how, peer_address))

    def failed(self, association: AssociationFacts | None, error: Exception) -> None:
        self.failures.append(error)
        self.failed_in.append(association)

    def ending(self) -> Ending:
        """How the one association ended; waits for its end."""
        wait_until(lambda: self.endings)
        [(how, _)] = self.endings
        return how


@dataclass
class Node:
    """A running listener."""

    listener: Listener
    port: int
    observer: Recorder
    service: MemoryService
    tls_port: int = 0


@contextlib.contextmanager
def running_node(service: MemoryService | None = None, **settings: object) -> Iterator[Node]:
    """A listener on a free port of the loopback interface, until the block ends."""
    service = service or MemoryService()
    observer = Recorder()
    listener = Listener(
        replace(SETTINGS, **settings),  # type: ignore[arg-type]
        service,
        observer,
    )
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(bind("127.0.0.1", 0))
        secure = stack.enter_context(bind("127.0.0.1", 0)) if settings.get("tls") else None
        thread = threading.Thread(target=listener.serve, args=(sock, secure))
        thread.start()
        tls_port = secure.getsockname()[1] if secure else 0
        try:
            yield Node(listener, sock.getsockname()[1], observer, service, tls_port)
        finally:
            listener.stop_accepting()
            listener.abort_all()
            thread.join(10)
            wait_until(lambda: listener.connection_count == 0)


def associate_rq(
    contexts: Sequence[tuple[int, str, Sequence[str]]] = ((1, CT, (EXPLICIT, IMPLICIT)),),
    *,
    called: str = "NODE",
    calling: str = "RAW",
    max_pdu_bytes: int = 16384,
    extra: Sequence[Any] = (),
) -> bytes:
    """An A-ASSOCIATE-RQ, encoded by pynetdicom."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = UID("1.2.840.10008.3.1.1.1")
    primitive.calling_ae_title = calling
    primitive.called_ae_title = called
    maximum = MaximumLengthNotification()
    maximum.maximum_length_received = max_pdu_bytes
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = UID("2.25.1")
    primitive.user_information = [maximum, implementation, *extra]
    proposed = []
    for context_id, abstract_syntax, transfer_syntaxes in contexts:
        context = build_context(abstract_syntax, list(transfer_syntaxes))
        context.context_id = context_id
        proposed.append(context)
    primitive.presentation_context_definition_list = proposed
    encoded: bytes = A_ASSOCIATE_RQ(primitive).encode()
    return encoded


def encoded(dataset: Dataset) -> bytes:
    """A data set in Implicit VR Little Endian, encoded by pydicom."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = True
    buffer.is_little_endian = True
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def command_set(**elements: object) -> bytes:
    """A command set with its group length, encoded by pydicom."""
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    body = encoded(dataset)
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def store_rq(
    message_id: int = 1,
    sop_class_uid: str = CT,
    sop_instance_uid: str = INSTANCE,
    dataset_type: int = 1,
) -> bytes:
    """The command set of a C-STORE-RQ."""
    return command_set(
        AffectedSOPClassUID=sop_class_uid,
        CommandField=0x0001,
        MessageID=message_id,
        Priority=0,
        CommandDataSetType=dataset_type,
        AffectedSOPInstanceUID=sop_instance_uid,
    )


def pdv(context_id: int, control: int, data: bytes) -> bytes:
    """A Presentation Data Value (PS3.8 9.3.5.1)."""
    return struct.pack(">LBB", len(data) + 2, context_id, control) + data


def p_data(*pdvs: bytes) -> bytes:
    """A P-DATA-TF (PS3.8 9.3.5)."""
    body = b"".join(pdvs)
    return struct.pack(">BBL", 4, 0, len(body)) + body


def message(
    command: bytes, dataset: bytes | None, context_id: int = 1, fragment_bytes: int = 1 << 30
) -> bytes:
    """A DIMSE message as P-DATA-TFs of one PDV each."""
    pdus = []
    for data, flag in ((command, 1), (dataset, 0)):
        if data is None:
            continue
        starts = range(0, max(len(data), 1), fragment_bytes)
        for start in starts:
            last = 2 if start == starts[-1] else 0
            pdus.append(p_data(pdv(context_id, flag | last, data[start : start + fragment_bytes])))
    return b"".join(pdus)


RELEASE_RQ = b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00"
RELEASE_RP_TYPE = 0x06
ABORT_TYPE = 0x07
AC_TYPE = 0x02
RJ_TYPE = 0x03
P_DATA_TYPE = 0x04


def abort_rq() -> bytes:
    pdu = A_ABORT_RQ()
    pdu.source = 0
    pdu.reason_diagnostic = 0
    encoded_pdu: bytes = pdu.encode()
    return encoded_pdu


class RawRequestor:
    """A requestor that sends what it is told and nothing else."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(
            ("127.0.0.1", port), timeout=10, source_address=(address, 0)
        )
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def pdu(self) -> tuple[int, bytes]:
        """The next PDU: its type and its body. EOFError when the node has closed."""
        kind, length = struct.unpack(">BxL", self.exactly(6))
        return kind, self.exactly(length)

    def associate(self, request: bytes | None = None) -> bytes:
        """Associate; the body of the A-ASSOCIATE-AC."""
        self.send(associate_rq() if request is None else request)
        kind, body = self.pdu()
        assert kind == AC_TYPE
        return body

    def response(self) -> Dataset:
        """The command set of the next message, decoded by pydicom."""
        data = b""
        while True:
            kind, body = self.pdu()
            assert kind == P_DATA_TYPE, f"PDU type {kind}"
            length, _, control = struct.unpack(">LBB", body[:6])
            assert length + 4 == len(body)
            assert control & 1
            data += body[6:]
            if control & 2:
                return decoded(data)

    def release(self) -> None:
        self.send(RELEASE_RQ)
        kind, _ = self.pdu()
        assert kind == RELEASE_RP_TYPE

    def is_closed(self) -> bool:
        """Whether the node closes the connection, within the socket's time-out."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


def decoded(command: bytes) -> Dataset:
    """A command set, decoded by pydicom."""
    dataset: Dataset = read_dataset(BytesIO(command), is_implicit_VR=True, is_little_endian=True)
    return dataset
