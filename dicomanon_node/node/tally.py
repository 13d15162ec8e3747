"""Log lines about connections, so that whoever opens ten thousand does not write as many.

The first few lines a second about one address are written as they come; further ones of
the same kind are counted, and the count is written after a second. What concerns an
instance is never counted away. Thread-safe.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Final

from dicomanon_node.ops.events import TellEvent

LINES: Final = 5
"""Lines of a kind about an address that are written as they come, in each interval."""

INTERVAL_S: Final = 1.0

MOST_ADDRESSES: Final = 1000
"""Kinds and addresses kept apart in an interval; whatever more there are is told as one."""

Kind = tuple[str, str, str]
"""Name of the event, how it ended or why it was rejected, address."""


@dataclass(slots=True)
class _Count:
    told: int = 0
    withheld: int = 0


class Tally:
    """Tells events about addresses, or counts them.

    Args:
        log: Where they are told.
        lines: Of a kind about an address, written as they come in each interval.
        interval_s: How long an interval is, seconds.
        most_addresses: Kinds and addresses kept apart in an interval.
    """

    def __init__(
        self,
        log: TellEvent,
        *,
        lines: int = LINES,
        interval_s: float = INTERVAL_S,
        most_addresses: int = MOST_ADDRESSES,
    ) -> None:
        self._log = log
        self._lines = lines
        self._interval_s = interval_s
        self._most_addresses = most_addresses
        self._counts: dict[Kind, _Count] = {}
        self._since = 0.0
        self._timer: threading.Timer | None = None
        self._changing = threading.Lock()

    def event(
        self, name: str, word: str, value: str, peer: str, keys: Mapping[str, object]
    ) -> None:
        """Tell an event, or count it.

        Args:
            name: The event.
            word: The key that says how or why.
            value: Its value.
            peer: The address.
            keys: What else is told if it is not counted.
        """
        with self._changing:
            now = monotonic()
            uncounted = {}
            if now - self._since >= self._interval_s and self._timer is None:
                uncounted, self._counts = self._counts, {}
                self._since = now
            kind = (name, f"{word}={value}", peer)
            if kind not in self._counts and len(self._counts) >= self._most_addresses:
                kind = (name, f"{word}={value}", "")
            count = self._counts.setdefault(kind, _Count())
            is_told = count.told < self._lines
            if is_told:
                count.told += 1
            else:
                count.withheld += 1
                if self._timer is None:
                    self._timer = self._started_timer()
        self._tell(uncounted)
        if is_told:
            self._log.event(name, **{word: value, "peer": peer, **keys})

    def flush(self) -> None:
        """Tell what was counted so far."""
        with self._changing:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            counts, self._counts = self._counts, {}
            self._since = monotonic()
        self._tell(counts)

    def _started_timer(self) -> threading.Timer | None:
        timer = threading.Timer(self._interval_s, self.flush)
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:  # no thread left for it: the next event tells what was counted
            return None
        return timer

    def _tell(self, counts: Mapping[Kind, _Count]) -> None:
        for (name, how, peer), count in counts.items():
            if count.withheld:
                word, _, value = how.partition("=")
                self._log.event(name, **{word: value, "peer": peer or None}, count=count.withheld)
