"""Memory for what has to be held of objects under way, shared by all associations.

Pixel data passes by; headers are collected, and Big Endian data sets are collected whole.
One peer's may be as large as its limit, and many peers together may not take more
than there is: whoever comes too late is told to come again later (A700H).
"""

import threading
from typing import Final

from dicomanon_node.errors import Reason, Refused

FREE_BYTES: Final = 1 << 20
"""What each object may hold without asking: more than the header of nearly all."""

_STEP_BYTES: Final = 1 << 20


class Budget:
    """Bytes that objects under way may hold together. Thread-safe.

    Args:
        limit_bytes: Beyond `FREE_BYTES` of each.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._left = limit_bytes
        self._changing = threading.Lock()

    def take(self, count: int) -> None:
        """Take so many bytes.

        Raises:
            Refused: MEMORY_BUDGET (temporary, A700H): there are not so many left.
        """
        with self._changing:
            if count > self._left:
                raise Refused(Reason.MEMORY_BUDGET)
            self._left -= count

    def give(self, count: int) -> None:
        """Give them back."""
        with self._changing:
            self._left += count


class Share:
    """What one object holds of a budget. Not thread-safe; its association owns it."""

    __slots__ = ("_budget", "_taken")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._taken = 0

    def cover(self, size: int) -> None:
        """Hold so many bytes, from now on.

        Raises:
            Refused: MEMORY_BUDGET; what was covered before still is.
        """
        lacking = size - FREE_BYTES - self._taken
        if lacking > 0:
            step = -(-lacking // _STEP_BYTES) * _STEP_BYTES
            self._budget.take(step)
            self._taken += step

    def release(self) -> None:
        """Hold nothing any more."""
        if self._taken:
            self._budget.give(self._taken)
            self._taken = 0
