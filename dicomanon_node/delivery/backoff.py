"""How long to wait until the next attempt. Holds no clock: the caller says what time it is."""

import random
from typing import Final

FIRST_S: Final = 1.0
LIMIT_S: Final = 300.0
"""A destination that comes back is noticed within five minutes, however long it was away."""

LEAST_SHARE: Final = 0.5
"""The wait is between this share of its step and the whole of it, so that nodes that lost
the same destination do not come back in the same second."""


class Backoff:
    """Waits that double from `FIRST_S` to `LIMIT_S`, with jitter.

    Args:
        rng: Source of the jitter.

    Attributes:
        failures: Failures in a row.
        until: Clock reading before which there is no next attempt.
    """

    def __init__(self, rng: random.Random) -> None:
        self.failures = 0
        self.until = float("-inf")
        self._rng = rng

    def fail(self, now: float) -> float:
        """An attempt failed.

        Args:
            now: Clock reading, seconds.

        Returns:
            Seconds until the next attempt.
        """
        step_s: float = min(FIRST_S * 2.0 ** min(self.failures, 32), LIMIT_S)
        wait_s = step_s * self._rng.uniform(LEAST_SHARE, 1.0)
        self.failures += 1
        self.until = now + wait_s
        return wait_s

    def succeed(self) -> None:
        """An attempt succeeded: the next one need not wait."""
        self.failures = 0
        self.until = float("-inf")

    def remaining_s(self, now: float) -> float:
        """Seconds until the next attempt; 0 if it may be made now."""
        return max(0.0, self.until - now)
