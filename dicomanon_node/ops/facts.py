"""How receiver processes tell the supervisor what became of instances.

A pair of datagram sockets made before the fork, one datagram a fact. Sending never
waits: what does not fit is dropped and counted, and the count travels with the next
fact that does. Nothing depends on a fact for correctness.
"""

import json
import socket
import threading
from collections.abc import Iterator
from typing import Protocol

from dicomanon_node.ops.studies import InstanceFact

# Room for a few thousand facts while the supervisor is busy; the kernel may give less.
_BUFFER_BYTES = 4 * 1024 * 1024
_MAX_DATAGRAM_BYTES = 4096
# So that one call of `drain` ends even if facts come as fast as they are read.
_MAX_FACTS_A_DRAIN = 10_000
_MOST_REMEMBERED = 256  # series that come in turn
_encode = json.JSONEncoder(separators=(",", ":")).encode


class TellFact(Protocol):
    """Takes a fact about an instance; never blocks, never raises."""

    def send(self, fact: InstanceFact) -> None:
        """Tell the fact."""


class FactSender:
    """The sending side. Thread-safe; inherited by every receiver process.

    Args:
        sending: Our end of the pair.
    """

    def __init__(self, sending: socket.socket) -> None:
        self._sending = sending
        self._lock = threading.Lock()
        self._dropped_count = 0
        # What facts of one series have in common, encoded: there are hundreds of each.
        self._encoded: dict[tuple[str | None, ...], str] = {}

    def send(self, fact: InstanceFact) -> None:
        """Tell a fact, or drop it if the supervisor does not keep up. Never waits."""
        dropped_count = 0
        if self._dropped_count:
            with self._lock:
                dropped_count, self._dropped_count = self._dropped_count, 0
        counted = f"{fact.bytes_count:d},{fact.is_stored:d},{fact.is_duplicate:d},{dropped_count}"
        try:
            self._sending.send(f"[{self._encode_series(fact)},{counted}]".encode("ascii"))
        except OSError:  # no room (EAGAIN), too long, or the supervisor is gone
            with self._lock:
                self._dropped_count += dropped_count + 1

    def _encode_series(self, fact: InstanceFact) -> str:
        series = (fact.study, fact.study_uid, fact.series_uid, fact.calling_aet)
        encoded = self._encoded.get(series)
        if encoded is None:
            encoded = _encode(series)
            if len(self._encoded) >= _MOST_REMEMBERED:
                self._encoded.clear()
            self._encoded[series] = encoded
        return encoded


class FactChannel:
    """Both sides. Make it before the fork; the supervisor drains, receivers use `sender`.

    Attributes:
        sender: For the receiver processes.
        dropped_count: Facts known to be lost since the last `take_dropped`.
    """

    def __init__(self) -> None:
        self._receiving, sending = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._receiving.setblocking(False)
        sending.setblocking(False)
        sending.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        self._sending = sending
        self.sender = FactSender(sending)
        self.dropped_count = 0

    def fileno(self) -> int:
        """The receiving side's descriptor: readable when there are facts."""
        return self._receiving.fileno()

    def drain(self) -> Iterator[InstanceFact]:
        """The facts that have come, in order. Does not wait."""
        for _ in range(_MAX_FACTS_A_DRAIN):
            try:
                datagram = self._receiving.recv(_MAX_DATAGRAM_BYTES)
            except BlockingIOError:
                return
            fact = self._decode(datagram)
            if fact is not None:
                yield fact

    def take_dropped(self) -> int:
        """The count of facts lost since the last call, for `facts.dropped`."""
        count, self.dropped_count = self.dropped_count, 0
        return count

    def close(self) -> None:
        """Close both sides in this process."""
        self._receiving.close()
        self._sending.close()

    def _decode(self, datagram: bytes) -> InstanceFact | None:
        try:
            series, *counted, is_stored, is_duplicate, dropped_count = json.loads(datagram)
            fields = (*series, *counted, bool(is_stored), bool(is_duplicate))
            fact = InstanceFact(*fields)
        except (ValueError, TypeError):  # cut off: longer than a fact may be
            self.dropped_count += 1
            return None
        self.dropped_count += dropped_count
        return fact
