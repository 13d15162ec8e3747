"""How receiver processes tell the supervisor what became of instances.

A pair of datagram sockets made before the fork, one datagram a fact. Sending never
waits: what does not fit is dropped and counted, and the count travels with the next
fact that does. Nothing depends on a fact for correctness.
"""

import json
import socket
import threading
from collections.abc import Iterator

from dicomanon_node.ops.studies import InstanceFact

# Room for a few thousand facts while the supervisor is busy; the kernel may give less.
_BUFFER_BYTES = 4 * 1024 * 1024
_MAX_DATAGRAM_BYTES = 4096
# So that one call of `drain` ends even if facts come as fast as they are read.
_MAX_FACTS_A_DRAIN = 10_000
_encode = json.JSONEncoder(separators=(",", ":")).encode


class FactSender:
    """The sending side. Thread-safe; inherited by every receiver process.

    Args:
        sending: Our end of the pair.
    """

    def __init__(self, sending: socket.socket) -> None:
        self._sending = sending
        self._lock = threading.Lock()
        self._dropped_count = 0

    def send(self, fact: InstanceFact) -> None:
        """Tell a fact, or drop it if the supervisor does not keep up. Never waits."""
        with self._lock:
            dropped_count, self._dropped_count = self._dropped_count, 0
        line = _encode(
            [
                dropped_count,
                fact.study,
                fact.study_uid,
                fact.series_uid,
                fact.calling_aet,
                fact.bytes_count,
                fact.is_stored,
                fact.is_duplicate,
            ]
        )
        try:
            self._sending.send(line.encode("ascii"))
        except OSError:  # no room (EAGAIN), too long, or the supervisor is gone
            with self._lock:
                self._dropped_count += dropped_count + 1


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
            dropped_count, *fields = json.loads(datagram)
            fact = InstanceFact(*fields)
        except (ValueError, TypeError):  # cut off: longer than a fact may be
            self.dropped_count += 1
            return None
        self.dropped_count += dropped_count
        return fact
