"""What comes from the peer: read from the socket and cut into PDUs, within bounds.

The body of a P-DATA-TF is never collected: it goes to `transfer` as it lies in the
buffer. Any other PDU is collected whole, after its announced length was found
acceptable, because that length is all an unknown peer needs to fill the memory of
stock pynetdicom. This module decodes no PDU and keeps no association state.
"""

import math
import socket
import struct
from collections.abc import Callable
from typing import Final

from dicomanon_node.network.pdus import P_DATA_TF, PduType
from dicomanon_node.network.transfer import DataTransfer, ProtocolViolationError

RECEIVE_BUFFER_BYTES: Final = 1024 * 1024
"""Read at once of an association."""

FIRST_BUFFER_BYTES: Final = 16 * 1024
"""Read at once before there is one: a connection costs little until its peer is known."""

MAX_REQUEST_BYTES: Final = 512 * 1024
"""The largest A-ASSOCIATE-RQ that is collected. The largest sensible one, with 128 contexts of 45
transfer syntaxes each and two user identity fields of 64 KiB, stays below 400 KiB."""

MAX_SHORT_PDU_BYTES: Final = 64
"""Of A-RELEASE-RQ and A-ABORT, which are 4 bytes long (PS3.8 9.3.6, 9.3.8)."""

PDU_TOLERANCE_BYTES: Final = 128
"""A P-DATA-TF may be longer than advertised by this: some senders count the maximum length
without the headers of PDU and PDVs."""

_HAS_QUICKACK: Final = hasattr(socket, "TCP_QUICKACK")  # Linux

_HEADER = struct.Struct(">BxL")  # type, length of what follows (PS3.8 9.3.1)
_KNOWN_TYPES: Final = frozenset(PduType)
_LENGTH_LIMITS: Final = {
    PduType.A_ASSOCIATE_RQ: MAX_REQUEST_BYTES,
    PduType.A_RELEASE_RQ: MAX_SHORT_PDU_BYTES,
    PduType.A_ABORT: MAX_SHORT_PDU_BYTES,
}
"""What is collected. Whatever else comes is out of place, however long it is."""


class Reception:
    """The bytes of one connection, in order. Not thread-safe.

    Args:
        max_pdu_bytes: The largest P-DATA-TF we advertised.
        take_pdu: Given each PDU that is not handed to `transfer`, header included; nothing but
            the header of one that no state of an acceptor expects.
        take_unknown: Called for a PDU of a type PS3.8 does not know.

    Attributes:
        transfer: Where the bodies of P-DATA-TFs go; None while they are not expected.
        is_drained: Whether the last read took all there was: to try again without waiting is
            a system call too many.
        pdu_count: PDUs begun.
        received_bytes: All that was read.
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
        self._view = memoryview(bytearray(FIRST_BUFFER_BYTES))
        self._filled = 0  # at the front: a header that was not complete, below 6 bytes
        self._pdu = bytearray()
        self._pdu_left = 0
        self._skip: float = 0  # bytes of a PDU nobody wants, once all is discarded
        self.is_drained = False
        self.pdu_count = 0
        self.received_bytes = 0

    @property
    def unfinished_pdu(self) -> int | None:
        """The number of the PDU whose rest is still to come; None between PDUs."""
        transfer = self.transfer
        if self._pdu_left or (transfer is not None and transfer.pdu_left):
            return self.pdu_count
        return self.pdu_count + 1 if self._filled else None

    def begin_transfer(self, transfer: DataTransfer) -> None:
        """From now on bodies of P-DATA-TFs go to `transfer`; also while `consume` goes on."""
        view = memoryview(bytearray(RECEIVE_BUFFER_BYTES))
        view[: len(self._view)] = self._view
        self._view = view
        self.transfer = transfer

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
        self.received_bytes += count
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
        """Forget what was read: nothing but an A-ABORT matters any more."""
        self._skip = self._pdu_left + (self.transfer.pdu_left if self.transfer is not None else 0)
        self._filled = 0
        self._pdu = bytearray()
        self._pdu_left = 0

    def pass_over(self, count: int) -> bool:
        """Throw away what `read` has read after `discard`.

        Returns:
            Whether there was an A-ABORT. Behind a violation it may go unnoticed.
        """
        end = self._filled + count
        position = 0
        while position < end:
            skipped = min(self._skip, end - position)
            position += int(skipped)
            self._skip -= skipped
            if end - position < _HEADER.size:
                break
            pdu_type, length = _HEADER.unpack_from(self._view, position)
            if pdu_type == PduType.A_ABORT and length <= MAX_SHORT_PDU_BYTES:
                return True
            position += _HEADER.size
            self._skip = length if pdu_type in _KNOWN_TYPES else math.inf
        self._filled = end - position
        self._view[: self._filled] = self._view[position:end]
        return False

    def close(self) -> None:
        """Give back the buffer, and forget who is told: that is a circle of references."""
        self._view.release()
        del self._take_pdu, self._take_unknown

    def _begin(self, header: memoryview) -> None:
        pdu_type, length = _HEADER.unpack(header)
        self.pdu_count += 1
        if pdu_type == P_DATA_TF and self.transfer is not None:
            if length > self._max_pdu_bytes + PDU_TOLERANCE_BYTES:
                raise ProtocolViolationError("P-DATA-TF over the advertised maximum")
            self.transfer.begin_pdu(length)
        elif pdu_type not in _KNOWN_TYPES:
            self._take_unknown()
        elif length > _LENGTH_LIMITS.get(pdu_type, length):
            raise ProtocolViolationError("PDU over its limit")
        else:
            self._pdu = bytearray(header)
            is_taken = pdu_type in _LENGTH_LIMITS and (
                self.transfer is None or pdu_type != PduType.A_ASSOCIATE_RQ
            )
            self._pdu_left = length if is_taken else 0
            if not self._pdu_left:
                self._take_collected()

    def _take_collected(self) -> None:
        pdu, self._pdu = self._pdu, bytearray()
        self._take_pdu(pdu)
