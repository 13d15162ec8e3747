"""How much came in each of the last seconds, and how long it took. Pure; given the time."""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WINDOW_S: Final = 300


@dataclass(slots=True)
class Second:
    """What came in one second."""

    stored_count: int = 0
    stored_bytes: int = 0
    refused_count: int = 0
    delivered_count: int = 0


class Rates:
    """Counts of the last `WINDOW_S` seconds. Not thread-safe."""

    def __init__(self) -> None:
        self._seconds = [Second() for _ in range(WINDOW_S)]
        self._now = 0

    def stored(self, now: float, size_bytes: int) -> None:
        """An instance was stored."""
        second = self._at(now)
        second.stored_count += 1
        second.stored_bytes += size_bytes

    def refused(self, now: float) -> None:
        """An instance was refused."""
        self._at(now).refused_count += 1

    def delivered(self, now: float) -> None:
        """A destination took an instance."""
        self._at(now).delivered_count += 1

    def last(self, now: float, seconds: int = WINDOW_S) -> Sequence[Second]:
        """The last seconds that are over, the oldest first; `seconds` is below `WINDOW_S`.

        The second that is not over is left out: it would always look like a decline.
        """
        self._at(now)
        first = self._now - seconds
        return [
            self._seconds[number % WINDOW_S]
            for number in range(max(first, self._now - WINDOW_S + 1), self._now)
        ]

    def _at(self, now: float) -> Second:
        second = int(now)
        # Also when nothing came for longer than the window.
        for number in range(max(self._now + 1, second - WINDOW_S + 1), second + 1):
            self._seconds[number % WINDOW_S] = Second()
        self._now = max(self._now, second)
        return self._seconds[self._now % WINDOW_S]


class Durations:
    """How long things took, in classes. Not thread-safe.

    Attributes:
        counts: How many took at most each of `BOUNDS_S`, and longer than the last; a class
            does not count those of the classes before it.
        sum_s: All together, seconds.
    """

    BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

    def __init__(self) -> None:
        self.counts = [0] * (len(self.BOUNDS_S) + 1)
        self.sum_s = 0.0

    def add(self, milliseconds: object) -> None:
        """Something took so long; what is no number is not counted."""
        if not isinstance(milliseconds, int | float):
            return
        seconds = milliseconds / 1000
        self.counts[bisect.bisect_left(self.BOUNDS_S, seconds)] += 1
        self.sum_s += seconds
