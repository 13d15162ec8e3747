"""Connections and associations of one process: how many, whose, until when.

What is not an association (yet, or any more) never keeps others out: when there is no
room for another, the oldest one of the peer address that has most of them goes.
Associations are bounded in all and for each peer address, so one address alone never has
them all. Counts are kept here and not asked of `threading`, which knows threads but not
whether an association is established. Thread-safe. Closes no socket itself.
"""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final, Protocol

from dicomanon_node.network import peers
from dicomanon_node.network.service import Ending

MAX_UNASSOCIATED: Final = 128
"""Connections of a process that are no association: before the request, and after the last PDU
until the peer closes. An honest one is that for milliseconds."""

MAX_LEAVING: Final = 64
"""Connections told to go whose threads have not got to it. Beyond, none is accepted."""

ROOM_WAIT_S: Final = 1.0
"""Seconds a request waits for room before it is rejected: short associations end sooner."""

MAX_WAITING: Final = 32
MAX_WAITING_PER_PEER: Final = 4
"""Requests that wait for room at a time; further ones are rejected at once."""

LOOK_S: Final = 0.1
"""Seconds after which who waits for room looks whether an association has been silent enough."""


class Connection(Protocol):
    """What is registered: can be told from any thread to come to its end."""

    @property
    def silent_s(self) -> float:
        """Seconds its association waits for the peer, which sends nothing; 0 if it does not."""

    @property
    def is_stop_wanted(self) -> bool:
        """Whether it was told to end."""

    def stop(self, how: Ending = Ending.STOPPED) -> None:
        """End what is under way; returns at once."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """How much there may be at a time.

    Attributes:
        associations: Associations in all.
        associations_per_peer: Of one peer address.
        yields_after_s: Seconds of silence after which an association makes room for another
            if there is none.
    """

    associations: int
    associations_per_peer: int
    yields_after_s: float


class Registry:
    """Everything alive in one listener.

    Args:
        capacity: How much there may be at a time.
        on_room: Called, from any thread, when there is room for a connection again.
        on_count: Told at each change how many connections are alive, and whether no further
            association can be.
    """

    def __init__(
        self,
        capacity: Capacity,
        on_room: Callable[[], object],
        on_count: Callable[[int, bool], object],
    ) -> None:
        self._capacity = capacity
        self._on_room = on_room
        self._on_count = on_count
        self._unassociated: dict[Connection, str] = {}  # with peer addresses, oldest first
        self._associated: dict[Connection, str] = {}
        self._leaving: set[Connection] = set()
        self._associations_of: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()  # requests for room, by peer address
        self._is_draining = False
        # Re-entrant: a signal handler may call in while this thread holds it.
        self._changed = threading.Condition(threading.RLock())

    @property
    def active_count(self) -> int:
        """Established associations."""
        return len(self._associated)

    @property
    def connection_count(self) -> int:
        """Connections, with or without an association."""
        return len(self._associated) + len(self._unassociated) + len(self._leaving)

    @property
    def is_draining(self) -> bool:
        """Whether new associations are to be rejected."""
        return self._is_draining

    @property
    def is_full(self) -> bool:
        """Whether no connection can be taken, even if another goes for it."""
        return len(self._leaving) >= MAX_LEAVING

    @property
    def has_all_associations(self) -> bool:
        """Whether as many associations are established as there may be."""
        return len(self._associated) >= self._capacity.associations

    def add(self, connection: Connection, peer: str) -> None:
        """Register a connection; another one may have to go for it."""
        with self._changed:
            if len(self._unassociated) >= MAX_UNASSOCIATED:
                self._dismiss_one()
            self._unassociated[connection] = peer
            self._tell()

    def remove(self, connection: Connection) -> None:
        """The connection is closed."""
        with self._changed:
            was_full = self.is_full
            self._leaving.discard(connection)
            self._unassociated.pop(connection, None)
            self._tell()
            self._changed.notify_all()
        if was_full:
            self._on_room()

    def establish(self, connection: Connection, peer: str) -> peers.Rejection | None:
        """Count an association in, as soon as there is room; may wait for `ROOM_WAIT_S`.

        One step under the lock, so that after `drain` no association can appear that
        `wait_idle` has not waited for.

        Args:
            connection: Its connection, registered.
            peer: Whose it is. The address by which it was registered may be a proxy's.

        Returns:
            Why it cannot be; None if it is established.
        """
        with self._changed:
            is_patient = (
                self._waiting.get(peer, 0) < MAX_WAITING_PER_PEER
                and self._waiting.total() < MAX_WAITING
            )
            self._waiting[peer] += 1
            try:
                return self._establish(connection, peer, ROOM_WAIT_S if is_patient else 0.0)
            finally:
                _count_out(self._waiting, peer)

    def end(self, connection: Connection) -> None:
        """Count an association out; its connection stays registered."""
        with self._changed:
            peer = self._associated.pop(connection)
            _count_out(self._associations_of, peer)
            self._unassociated[connection] = peer
            self._tell()
            self._changed.notify_all()

    def drain(self) -> None:
        """No new association from now on. May be called by a signal handler."""
        self._is_draining = True

    def wait_idle(self, deadline_s: float) -> bool:
        """Wait up to `deadline_s` seconds until no association is left."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._associated, deadline_s)

    def wait_empty(self, deadline_s: float) -> bool:
        """Wait up to `deadline_s` seconds until no connection is left."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.connection_count, deadline_s)

    def stop_all(self) -> None:
        """Tell every connection to come to its end."""
        with self._changed:
            for connection in (*self._associated, *self._unassociated, *self._leaving):
                connection.stop()
            self._changed.notify_all()

    def _establish(
        self, connection: Connection, peer: str, patience_s: float
    ) -> peers.Rejection | None:
        deadline = monotonic() + patience_s
        while not self._is_draining:
            is_enough = self._associations_of.get(peer, 0) >= self._capacity.associations_per_peer
            if not is_enough and not self.has_all_associations:
                self._unassociated.pop(connection, None)
                self._leaving.discard(connection)
                self._associated[connection] = peer
                self._associations_of[peer] += 1
                self._tell()
                return None
            self._ask_to_yield(peer if is_enough else None)
            left_s = deadline - monotonic()
            if left_s <= 0 or connection.is_stop_wanted:
                return peers.PEER_LIMIT if is_enough else peers.LOCAL_LIMIT
            self._changed.wait(min(left_s, LOOK_S))
        return peers.DRAINING

    def _dismiss_one(self) -> None:
        counts = Counter(self._unassociated.values())
        most = max(counts.values())
        oldest = next(one for one, peer in self._unassociated.items() if counts[peer] == most)
        del self._unassociated[oldest]
        self._leaving.add(oldest)
        oldest.stop(Ending.LIMIT)
        self._changed.notify_all()  # it may be waiting for room

    def _ask_to_yield(self, peer: str | None) -> None:
        """Have the association end that is silent longest, of whoever has most of them."""
        silent = [
            (self._associations_of[whose], one.silent_s, one)
            for one, whose in self._associated.items()
            if peer in (None, whose)
        ]
        silent = [found for found in silent if found[1] >= self._capacity.yields_after_s]
        if silent:
            *_, longest = max(silent, key=lambda found: found[:2])
            longest.stop(Ending.YIELDED)

    def _tell(self) -> None:
        self._on_count(self.connection_count, self.has_all_associations)


def _count_out(counts: Counter[str], peer: str) -> None:
    """One less; who has none is forgotten."""
    counts[peer] -= 1
    if not counts[peer]:
        del counts[peer]
