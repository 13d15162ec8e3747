"""What comes from the peer: read from the socket and cut into PDUs, within bounds.

The body of a P-DATA-TF is never collected: it goes to `transfer` as it lies in the
buffer. Any other PDU is collected whole, after its announced length was found
acceptable, because that length is all an unknown peer needs to fill the memory of
stock pynetdicom. This module decodes no PDU and keeps no association state.
"""

import socket
import struct
from collections.abc import Callable
from typing import Final

from dicomanon_node.network.transfer import DataTransfer, ProtocolViolationError

RECEIVE_BUFFER_BYTES: Final = 1024 * 1024
"""Read at once. Its memory is touched only as far as something is received: what a peer sends in
one go, up to the size of the socket's own buffer."""

MAX_CONTROL_PDU_BYTES: Final = 1024 * 1024
"""The largest PDU that is collected, i.e. any but P-DATA-TF. The largest sensible one, an
A-ASSOCIATE-RQ with 128 contexts of 45 transfer syntaxes each and two user identity fields of
64 KiB, stays below 400 KiB."""

PDU_TOLERANCE_BYTES: Final = 128
"""A P-DATA-TF may be longer than advertised by this: some senders count the maximum length
without the headers of PDU and PDVs."""

_HAS_QUICKACK: Final = hasattr(socket, "TCP_QUICKACK")  # Linux

_HEADER = struct.Struct(">BxL")  # type, length of what follows (PS3.8 9.3.1)
_P_DATA_TF: Final = 0x04
_KNOWN_TYPES: Final = range(0x01, 0x08)


class Reception:
    """The bytes of one connection, in order. Not thread-safe.

    Args:
        max_pdu_bytes: The largest P-DATA-TF we advertised.
        take_pdu: Given each PDU that is not handed to `transfer`, header included.
        take_unknown: Called for a PDU of a type PS3.8 does not know.

    Attributes:
        transfer: Where the bodies of P-DATA-TFs go; None while they are not expected, when
            they are collected and taken like any other PDU.
        is_drained: Whether the last read took all there was: to try again without waiting is
            a system call too many.
    """

    def __init__(
        self,
        max_pdu_bytes: int,
        take_pdu: Callable[[bytearray], None],
        take_unknown: Callable[[], object],
    ) -> None:
        self.transfer: DataTransfer | None = None
        self._max_pdu_bytes = max_pdu_bytes
        self._take_pdu = take_pdu
        self._take_unknown = take_unknown
        self._view = memoryview(bytearray(RECEIVE_BUFFER_BYTES))
        self._filled = 0  # at the front: a header that was not complete, below 6 bytes
        self._pdu = bytearray()
        self._pdu_left = 0
        self.is_drained = False

    def read(self, connection: socket.socket) -> int | None:
        """Read what there is, from a non-blocking socket.

        Returns:
            The number of bytes; None when there is nothing yet, 0 when the peer has closed
            or the connection is lost.
        """
        room = self._view[self._filled :]
        try:
            count = connection.recv_into(room)
            if _HAS_QUICKACK:
                # A peer with Nagle's algorithm on (DCMTK as shipped) waits for our ACK before
                # it sends the rest, and Linux delays it by 40 ms. The kernel forgets the
                # option, so it is set for each receive: 22 objects a second without it.
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        except BlockingIOError:
            return None
        except OSError:
            return 0
        self.is_drained = count < len(room)
        return count

    def consume(self, count: int) -> None:
        """Cut what `read` has read into PDUs.

        Raises:
            ProtocolViolationError: A PDU is longer than it may be, or what `transfer` raises.
            Exception: What `take_pdu`, `take_unknown` and `transfer` raise.
        """
        end = self._filled + count
        position = 0
        while position < end:
            if self.transfer is not None and self.transfer.pdu_left:
                position += self.transfer.feed(self._view[position:end])
                if self.transfer.pdu_left:
                    break
            elif self._pdu_left:
                taken = min(self._pdu_left, end - position)
                self._pdu += self._view[position : position + taken]
                position += taken
                self._pdu_left -= taken
                if not self._pdu_left:
                    self._take_collected()
            elif end - position < _HEADER.size:
                break
            else:
                self._begin(self._view[position : position + _HEADER.size])
                position += _HEADER.size
        if self.transfer is not None:
            self.transfer.flush()
        self._filled = end - position
        self._view[: self._filled] = self._view[position:end]

    def discard(self) -> None:
        """Forget what was read: nothing the peer sends matters any more."""
        self._filled = 0
        self._pdu = bytearray()
        self._pdu_left = 0

    def close(self) -> None:
        """Give back the buffer, and forget who is told: that is a circle of references."""
        self._view.release()
        del self._take_pdu, self._take_unknown

    def _begin(self, header: memoryview) -> None:
        pdu_type, length = _HEADER.unpack(header)
        if pdu_type == _P_DATA_TF and self.transfer is not None:
            if length > self._max_pdu_bytes + PDU_TOLERANCE_BYTES:
                raise ProtocolViolationError("P-DATA-TF over the advertised maximum")
            self.transfer.begin_pdu(length)
        elif pdu_type not in _KNOWN_TYPES:
            self._take_unknown()
        elif length > MAX_CONTROL_PDU_BYTES:
            raise ProtocolViolationError("PDU over its limit")
        else:
            self._pdu = bytearray(header)
            self._pdu_left = length
            if not length:
                self._take_collected()

    def _take_collected(self) -> None:
        pdu, self._pdu = self._pdu, bytearray()
        self._take_pdu(pdu)
