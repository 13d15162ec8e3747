"""The live connections and associations of one process: how many, which, until when.

Counts are kept here and not asked of `threading`, which knows threads but not
whether an association is established. Thread-safe. Closes no socket itself.
"""

import threading
from collections.abc import Callable
from typing import Protocol


class Stoppable(Protocol):
    """What is registered: can be told from any thread to come to its end."""

    def stop(self) -> None:
        """Abort what is under way; returns at once."""


class Registry:
    """Everything alive in one listener.

    Args:
        limit: How many connections may be alive at a time.
        on_room: Called, from any thread, when there is room for a connection again.
        on_count: Told how many connections are alive, at each change.
    """

    def __init__(
        self, limit: int, on_room: Callable[[], object], on_count: Callable[[int], object]
    ) -> None:
        self._limit = limit
        self._on_room = on_room
        self._on_count = on_count
        self._connections: set[Stoppable] = set()
        self._active_count = 0
        self._is_draining = False
        # Re-entrant: a signal handler may call in while this thread holds it.
        self._changed = threading.Condition(threading.RLock())

    @property
    def active_count(self) -> int:
        """Established associations."""
        return self._active_count

    @property
    def connection_count(self) -> int:
        """Connections, with or without an association."""
        return len(self._connections)

    @property
    def is_draining(self) -> bool:
        """Whether new associations are to be rejected."""
        return self._is_draining

    @property
    def is_full(self) -> bool:
        """Whether as many connections are alive as there may be."""
        return len(self._connections) >= self._limit

    def add(self, connection: Stoppable) -> None:
        """Register a connection."""
        with self._changed:
            self._connections.add(connection)
            self._on_count(len(self._connections))

    def remove(self, connection: Stoppable) -> None:
        """The connection is closed."""
        with self._changed:
            was_full = self.is_full
            self._connections.discard(connection)
            self._on_count(len(self._connections))
            self._changed.notify_all()
        if was_full:
            self._on_room()

    def establish(self) -> bool:
        """Count an association in; False while draining.

        One step under the lock, so that after `drain` no association can appear that
        `wait_idle` has not waited for.
        """
        with self._changed:
            if self._is_draining:
                return False
            self._active_count += 1
            return True

    def end(self) -> None:
        """Count an association out."""
        with self._changed:
            self._active_count -= 1
            self._changed.notify_all()

    def drain(self) -> None:
        """No new association from now on. May be called by a signal handler."""
        self._is_draining = True

    def wait_idle(self, deadline_s: float) -> bool:
        """Wait up to `deadline_s` seconds until no association is left."""
        with self._changed:
            return self._changed.wait_for(lambda: self._active_count == 0, deadline_s)

    def wait_empty(self, deadline_s: float) -> bool:
        """Wait up to `deadline_s` seconds until no connection is left."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._connections, deadline_s)

    def stop_all(self) -> None:
        """Tell every connection to come to its end."""
        with self._changed:
            connections = list(self._connections)
        for connection in connections:
            connection.stop()
