"""An acceptor that grants an Asynchronous Operations Window: stock peers at hand do not.

Association PDUs and command sets are pynetdicom's; it answers out of order, as PS3.7
D.3.3.3 allows, and remembers how much was outstanding.
"""

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO

from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode, encode
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_AC, A_ASSOCIATE_RQ, A_RELEASE_RP
from pynetdicom.pdu_primitives import A_ABORT, AsynchronousOperationsWindowNegotiation
from support_delivery import ABORT, no_answer

_IDLE_S = 0.05


@dataclass
class WindowPeer:
    """Serves any number of associations, a thread each.

    Attributes:
        grants: Operations it lets be outstanding; None leaves the item out of its answer.
        answer: The status for a SOP Instance UID, or `ABORT`.
        drops_those_that_ask: Ends such associations at the first message, as some peers do.
        proposed: What each association asked for; None if it did not.
        received: Data set bytes by SOP Instance UID.
        order: SOP Instance UIDs of every C-STORE-RQ, as they came.
        most_outstanding: The most that waited for an answer on one association.
    """

    grants: int | None = 8
    answer: Callable[[str], int] = no_answer
    drops_those_that_ask: bool = False
    proposed: list[tuple[int, int] | None] = field(default_factory=list)
    received: dict[str, bytes] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    most_outstanding: int = 0
    port: int = 0

    @contextlib.contextmanager
    def serving(self) -> Iterator["WindowPeer"]:
        threads: list[threading.Thread] = []
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = server.getsockname()[1]
            is_over = threading.Event()

            def accept() -> None:
                server.settimeout(0.02)
                while not is_over.is_set():
                    with contextlib.suppress(TimeoutError):
                        connection, _ = server.accept()
                        thread = threading.Thread(target=self._serve, args=(connection,))
                        threads.append(thread)
                        thread.start()

            acceptor = threading.Thread(target=accept)
            acceptor.start()
            try:
                yield self
            finally:
                is_over.set()
                for thread in (acceptor, *threads):
                    thread.join(15)
                    assert not thread.is_alive()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        with connection, contextlib.suppress(ConnectionError):
            request = A_ASSOCIATE_RQ()
            request.decode(_read_pdu(connection)[1])
            assert request.user_information
            asked = request.user_information.async_ops_window
            self.proposed.append(
                (asked.max_operations_invoked or 0, asked.max_operations_performed or 0)
                if asked
                else None
            )
            connection.sendall(self._accept(request, is_asked=asked is not None))
            outstanding: list[tuple[int, Dataset]] = []
            while True:
                if outstanding and not select.select([connection], [], [], _IDLE_S)[0]:
                    if not self._answer_all(connection, outstanding):
                        return
                    continue
                kind, pdu = _read_pdu(connection)
                if kind == 5:
                    connection.sendall(A_RELEASE_RP().encode())
                if kind != 4:
                    return
                if self.drops_those_that_ask and asked:
                    return
                outstanding.append(self._read_message(connection, pdu))
                self.most_outstanding = max(self.most_outstanding, len(outstanding))

    def _accept(self, request: A_ASSOCIATE_RQ, *, is_asked: bool) -> bytes:
        primitive = request.to_primitive()
        for context in primitive.presentation_context_definition_list:
            context.result = 0
            context.transfer_syntax = [*context.transfer_syntax[:1]]
            primitive.presentation_context_definition_results_list.append(context)
        primitive.maximum_length_received = 16384
        primitive.user_information = [
            item
            for item in primitive.user_information
            if not isinstance(item, AsynchronousOperationsWindowNegotiation)
        ]
        if self.grants is not None and is_asked:
            window = AsynchronousOperationsWindowNegotiation()
            window.maximum_number_operations_invoked = self.grants
            window.maximum_number_operations_performed = 1
            primitive.user_information.append(window)
        return A_ASSOCIATE_AC(primitive).encode()

    def _read_message(self, connection: socket.socket, pdu: bytes) -> tuple[int, Dataset]:
        command_set, dataset, is_complete, context_id = b"", b"", False, 0
        while not is_complete:
            _, context_id, control = struct.unpack_from(">LBB", pdu, 6)
            if control & 1:
                command_set += pdu[12:]
            else:
                dataset += pdu[12:]
                is_complete = bool(control & 2)
            if not is_complete:
                kind, pdu = _read_pdu(connection)
                assert kind == 4
        request = decode(BytesIO(command_set), is_implicit_vr=True, is_little_endian=True)
        uid = str(request.AffectedSOPInstanceUID)
        self.order.append(uid)
        self.received[uid] = dataset
        return context_id, request

    def _answer_all(
        self, connection: socket.socket, outstanding: list[tuple[int, Dataset]]
    ) -> bool:
        while outstanding:
            context_id, request = outstanding.pop()  # the last one first
            uid = str(request.AffectedSOPInstanceUID)
            status = self.answer(uid)
            if status == ABORT:
                for _, lost in [*outstanding, (0, request)]:
                    self.received.pop(str(lost.AffectedSOPInstanceUID), None)
                abort = A_ABORT()
                abort.abort_source = 0
                connection.sendall(A_ABORT_RQ(abort).encode())
                return False
            if status and status >> 12 != 0xB:
                self.received.pop(uid, None)
            response = Dataset()
            response.AffectedSOPClassUID = request.AffectedSOPClassUID
            response.CommandField = 0x8001
            response.MessageIDBeingRespondedTo = request.MessageID
            response.CommandDataSetType = 0x0101
            response.Status = status
            response.AffectedSOPInstanceUID = request.AffectedSOPInstanceUID
            encoded = encode(response, is_implicit_vr=True, is_little_endian=True)
            assert encoded is not None
            pdv = struct.pack(">LBB", len(encoded) + 2, context_id, 3) + encoded
            connection.sendall(struct.pack(">BxL", 4, len(pdv)) + pdv)
        return True


def _read_pdu(connection: socket.socket) -> tuple[int, bytes]:
    header = _read(connection, 6)
    if len(header) < 6:
        return 0, b""
    return header[0], header + _read(connection, struct.unpack(">L", header[2:])[0])


def _read(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        chunk = connection.recv(count - len(received))
        if not chunk:
            break
        received += chunk
    return received
