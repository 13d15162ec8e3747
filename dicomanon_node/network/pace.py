"""How long a peer may take for what it has begun to send.

A PDU is to be complete within a time, and so is a message; both times become longer with
each byte that comes, so that a slow line is no offence and a byte now and then is one.
Only time in which we wait for the peer is counted. Reads no clock and no socket.
"""

from dicomanon_node.network.reception import Reception
from dicomanon_node.network.service import ListenerSettings


class _Allowance:
    """Of one PDU or message after the other: seconds, and more for what has come."""

    __slots__ = ("_bytes_per_s", "_number", "_start_bytes", "_time_s", "_waited_s")

    def __init__(self, time_s: float, bytes_per_s: int) -> None:
        self._time_s = time_s
        self._bytes_per_s = bytes_per_s
        self._number = -1
        self._start_bytes = 0
        self._waited_s = 0.0

    def left_s(self, number: int, received_bytes: int) -> float:
        """Seconds left for the one with this number."""
        if number != self._number:
            self._number = number
            self._start_bytes = received_bytes
            self._waited_s = 0.0
        earned_s = (received_bytes - self._start_bytes) / self._bytes_per_s
        return self._time_s + earned_s - self._waited_s

    def spend(self, waited_s: float) -> None:
        """So many seconds were waited for it."""
        self._waited_s += waited_s


class Pace:
    """The pace of one peer. Not thread-safe.

    Args:
        settings: What a peer may take.
    """

    def __init__(self, settings: ListenerSettings) -> None:
        self._pdu = _Allowance(settings.pdu_timeout_s, settings.min_bytes_per_s)
        self._message = _Allowance(settings.idle_timeout_s, settings.min_bytes_per_s)

    def left_s(self, reception: Reception) -> float | None:
        """Seconds the peer may let us wait now; None while it has begun nothing."""
        transfer = reception.transfer
        left_s = None
        if transfer is not None and transfer.is_within_message:
            left_s = self._message.left_s(transfer.message_count, reception.received_bytes)
        number = reception.unfinished_pdu
        if number is not None:
            pdu_left_s = self._pdu.left_s(number, reception.received_bytes)
            left_s = pdu_left_s if left_s is None else min(left_s, pdu_left_s)
        return left_s

    def waited(self, waited_s: float) -> None:
        """So many seconds were waited for the peer since `left_s`."""
        self._pdu.spend(waited_s)
        self._message.spend(waited_s)
