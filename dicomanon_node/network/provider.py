"""What of pynetdicom's upper layer is replaced: its clock, its socket, its thread.

The state machine of PS3.8 9.2 stays pynetdicom's; these are the parts it holds in
its hands. Stock pynetdicom polls with select(2) every millisecond, which costs a
core for a hundred idle associations and cannot hold a descriptor above 1023.
"""

import contextlib
import select
import socket
import struct
import threading
from time import monotonic
from typing import TYPE_CHECKING, Final

from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.timer import Timer
from pynetdicom.transport import AssociationSocket

if TYPE_CHECKING:
    from pynetdicom.pdu_primitives import _PDUPrimitiveType


A_ASSOCIATE_RQ: Final = 0x01

_NEVER_EXPECTED: Final = {A_ASSOCIATE_RQ: "Evt6", 0x02: "Evt3", 0x04: "Evt10"}
"""PDUs with items that end an association, whatever is in them: an A-ASSOCIATE-RQ but the first,
an A-ASSOCIATE-AC, a P-DATA-TF out of place. Decoding one of 1 MiB would take seconds."""

_BACK_REFERENCES: Final = ("_assoc", "assoc", "dul", "_target", "_take_pdu", "_take_unknown")


def abort_pdu(source: int, reason: int) -> bytes:
    """An A-ABORT (PS3.8 9.3.8)."""
    return struct.pack(">BxLxxBB", 0x07, 4, source, reason)


def forget_whole(part: object) -> None:
    """Remove from a part of an association what refers to the whole."""
    if part is not None:
        for name in _BACK_REFERENCES:
            vars(part).pop(name, None)


class Waker:
    """Makes a thread that waits in poll(2) come back. `wake` may be called from anywhere."""

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)

    def fileno(self) -> int:
        """The descriptor to poll for POLLIN."""
        return self._receiver.fileno()

    def wake(self) -> None:
        """Wake the waiting thread, or let it not fall asleep."""
        # Full: it is awake already. Closed: it has ended.
        with contextlib.suppress(OSError):
            self._sender.send(b"\0")

    def clear(self) -> None:
        """Called by the woken thread."""
        with contextlib.suppress(BlockingIOError):
            self._receiver.recv(4096)

    def close(self) -> None:
        """Release the descriptors."""
        self._sender.close()
        self._receiver.close()


class MonotonicTimer(Timer):
    """pynetdicom's timer on a clock that nobody sets. A stopped timer never expires."""

    def start(self) -> None:
        """Start, or start again."""
        self._start_time = monotonic()

    def stop(self) -> None:
        """Stop."""
        self._start_time = None

    @property
    def remaining(self) -> float:
        """Seconds until it expires; its whole time-out while it is not running."""
        timeout = self.timeout or 0.0
        return timeout if self._start_time is None else self._start_time + timeout - monotonic()


class EventDrivenDul(DULServiceProvider):
    """The state machine and its queues, without a thread: its association runs it."""

    def __init__(self, assoc: Association, waker: Waker) -> None:
        super().__init__(assoc)
        self.artim_timer = MonotonicTimer(None)
        self._waker = waker

    def take(self, encoded: bytearray) -> str:
        """Take a PDU from the peer; the event it is."""
        event = _NEVER_EXPECTED.get(encoded[0])
        if event is None:
            try:
                pdu, event = self._decode_pdu(encoded)
            except Exception:  # noqa: BLE001  (decoding what anybody can send raises anything)
                return "Evt19"
            self._recv_pdu.put(pdu)
        return event

    def send_pdu(self, primitive: "_PDUPrimitiveType") -> None:
        """Queue a primitive for the peer, from any thread."""
        super().send_pdu(primitive)
        if threading.current_thread() is not self.assoc:
            self._waker.wake()


class AcceptorSocket(AssociationSocket):
    """A connected, non-blocking socket as pynetdicom's state machine knows it.

    Args:
        assoc: Its association.
        client_socket: The connection.
        send_timeout_s: Seconds a peer may refuse to take what we send.
    """

    def __init__(
        self, assoc: Association, client_socket: socket.socket, send_timeout_s: float
    ) -> None:
        super().__init__(assoc, client_socket=client_socket)
        self._send_timeout_s = send_timeout_s

    def send(self, bytestream: bytes) -> None:
        """Send a PDU; what goes wrong becomes Evt17, as the state machine expects."""
        try:
            self.transmit(bytestream)
        except OSError:
            self.event_queue.put("Evt17")

    def transmit(self, data: bytes) -> None:
        """Send all of `data`.

        Raises:
            OSError: The connection is lost or the peer does not take it in time.
        """
        if self.socket is None:
            raise ConnectionResetError
        rest = memoryview(data)
        deadline = monotonic() + self._send_timeout_s
        while rest:
            try:
                sent = self.socket.send(rest)
            except BlockingIOError:
                poller = select.poll()
                poller.register(self.socket, select.POLLOUT)
                if not poller.poll(max(deadline - monotonic(), 0) * 1000):
                    raise TimeoutError from None
            else:
                rest = rest[sent:]
