"""PDUs over one TCP connection: blocking, every wait bounded, nothing parsed.

Not thread-safe, but for `interrupt`. It reads one PDU at a time, never more than
`MAX_RECEIVED_PDU_BYTES`; it knows a PDU's length, not its meaning.
"""

import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from dicomanon_node.network.failures import (
    ConnectionFailedError,
    ConnectionLostError,
    PeerTimeoutError,
    ProtocolError,
)

MAX_RECEIVED_PDU_BYTES: Final = 64 * 1024
"""A requestor of C-STORE and C-ECHO hears command sets and, once, an A-ASSOCIATE-AC: about
4 KiB with 128 contexts."""

if TYPE_CHECKING:
    from dicomanon_node.network.tls import ClientTls

_HEADER = struct.Struct(">BxL")  # type, length of what follows (PS3.8 9.3.1)
_RECEIVE_BYTES: Final = 16 * 1024
_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)  # Linux only


class PduStream:
    """One connection to a peer."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection
        self._timeout_s: float | None = None
        self._received = bytearray()
        self._word_for: Callable[[OSError], str] = _no_word

    @classmethod
    def connect(
        cls, host: str, port: int, timeout_s: float, tls: "ClientTls | None" = None
    ) -> "PduStream":
        """Open a TCP connection, and TLS over it.

        Args:
            host: Name or address; of a name's addresses the first that answers is taken.
            port: TCP port.
            timeout_s: Seconds for each address, and for the handshake of TLS. Resolving the
                name is not bounded by it.
            tls: How to speak TLS; None: not.

        Raises:
            ConnectionFailedError: There is no connection, or no TLS.
        """
        try:
            stream = cls(socket.create_connection((host, port), timeout_s))
        except TimeoutError:
            raise ConnectionFailedError("connect-timed-out") from None
        except ConnectionRefusedError:
            raise ConnectionFailedError("connection-refused") from None
        except socket.gaierror:
            raise ConnectionFailedError("host-unknown") from None
        except OSError:
            raise ConnectionFailedError from None
        if tls is not None:
            stream._secure(tls, timeout_s)
        return stream

    def send(self, buffers: Sequence[bytes | memoryview], timeout_s: float) -> None:
        """Send all of the buffers, as few system calls as the kernel allows.

        Args:
            buffers: At most IOV_MAX (1024) of them.
            timeout_s: Seconds without progress, not for the whole.

        Raises:
            ConnectionLostError: The peer is gone.
            PeerTimeoutError: It took not one byte for that long.
        """
        self._set_timeout(timeout_s)
        try:
            sent = self._socket.sendmsg(buffers)
            first = 0
            while True:
                while first < len(buffers) and sent >= len(buffers[first]):
                    sent -= len(buffers[first])
                    first += 1
                if first == len(buffers):
                    return
                rest = [memoryview(buffers[first])[sent:], *buffers[first + 1 :]]
                buffers, first = rest, 0
                sent = self._socket.sendmsg(buffers)
        except TimeoutError:
            raise PeerTimeoutError from None
        except OSError as error:
            raise ConnectionLostError(self._word_for(error)) from None

    def receive(self, timeout_s: float) -> tuple[int, bytes]:
        """Wait for the next PDU.

        Args:
            timeout_s: Seconds for the whole PDU.

        Returns:
            Its type (PS3.8 Table 9-11 ff.) and the whole of it, header included.

        Raises:
            ConnectionLostError: The peer is gone.
            PeerTimeoutError: The PDU is not complete in time.
            ProtocolError: It is longer than anything we expect.
        """
        deadline = time.monotonic() + timeout_s
        if not self._received:  # mostly a PDU comes whole, in the time there is for it
            self._receive_some(timeout_s)
        self._fill(_HEADER.size, deadline)
        kind, length = _HEADER.unpack_from(self._received)
        if length > MAX_RECEIVED_PDU_BYTES:
            raise ProtocolError("pdu-too-long")
        end = _HEADER.size + length
        self._fill(end, deadline)
        pdu = bytes(self._received[:end])
        del self._received[:end]
        return kind, pdu

    def has_something(self) -> bool:
        """Whether `receive` would not have to wait: a PDU begins, or the connection ended."""
        if self._received:
            return True
        self._set_timeout(0.0)
        try:
            # Not peeked at: what OpenSSL holds cannot be. Nothing more comes after an end.
            self._received += self._socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def interrupt(self) -> None:
        """Make a wait in another thread end with `ConnectionLostError`."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # not connected any more: nothing waits

    def close(self) -> None:
        """Close the connection. May be called again."""
        self._socket.close()

    def _secure(self, settings: "ClientTls", timeout_s: float) -> None:
        """Do the handshake of TLS."""
        from dicomanon_node.network import tls  # noqa: PLC0415  (slow, rarely needed)

        deadline = time.monotonic() + timeout_s

        def wait(events: int) -> None:
            poller = select.poll()
            poller.register(self._socket, events)
            if not poller.poll(max(deadline - time.monotonic(), 0) * 1000):
                raise TimeoutError

        self._word_for = tls.failure
        try:
            self._socket.setblocking(False)
            self._socket = secured = tls.wrap(settings.context, self._socket, settings.server_name)
            self._timeout_s = 0.0
            tls.shake_hands(secured, wait)
        except TimeoutError:
            self.close()
            raise ConnectionFailedError("tls-timed-out") from None
        except (OSError, ValueError) as error:
            self.close()
            word = tls.failure(error) if isinstance(error, OSError) else ""
            raise ConnectionFailedError(word or "tls-failed") from None

    def _fill(self, count: int, deadline: float) -> None:
        """Receive until that many bytes are there."""
        while len(self._received) < count:
            self._receive_some(deadline - time.monotonic())

    def _receive_some(self, timeout_s: float) -> None:
        """Receive what there is, or wait for it."""
        if timeout_s <= 0:
            raise PeerTimeoutError
        try:
            # A peer with Nagle's algorithm on (DCMTK as shipped) holds back the rest of its
            # response until we acknowledge the beginning, which Linux delays by 40 ms unless
            # told not to. The kernel forgets it, so it is said before each receive.
            if _QUICKACK is not None:
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
            self._set_timeout(timeout_s)
            received = self._socket.recv(_RECEIVE_BYTES)
        except TimeoutError:
            raise PeerTimeoutError from None
        except OSError as error:
            raise ConnectionLostError(self._word_for(error)) from None
        if not received:
            raise ConnectionLostError
        self._received += received

    def _set_timeout(self, timeout_s: float) -> None:
        """Change the socket's time-out if it is another one: that is a system call."""
        if timeout_s != self._timeout_s:
            self._socket.settimeout(timeout_s)
            self._timeout_s = timeout_s


def _no_word(_: OSError) -> str:
    return ""
