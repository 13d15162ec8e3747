"""Tells the courier that something was queued, so that it need not be found by polling.

Made before the fork and shared by all processes: receivers ring, the courier waits.
Ringing is one system call that never waits; any number of rings before the courier
looks are one. Nothing depends on it for correctness: a ring that is lost, or a system
without eventfd, costs one polling interval.
"""

import contextlib
import os
import select
from typing import Final

_HAS_EVENTFD: Final = hasattr(os, "eventfd")  # Linux


class Doorbell:
    """An event counter of the kernel. Thread-safe, and safe to use in several processes."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) if _HAS_EVENTFD else -1

    def ring(self) -> None:
        """Something was queued. Never waits and never fails."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):  # as many rings unheard as the counter holds
                os.eventfd_write(self._descriptor, 1)

    def wait(self, timeout_s: float) -> bool:
        """Wait until it rings, or was rung since the last call.

        Args:
            timeout_s: Seconds to wait at most.

        Returns:
            Whether it has.
        """
        poller = select.poll()
        if self._descriptor >= 0:
            poller.register(self._descriptor, select.POLLIN)
        if not poller.poll(timeout_s * 1000):
            return False
        try:
            os.eventfd_read(self._descriptor)
        except BlockingIOError:  # somebody else has heard it
            return False
        return True

    def close(self) -> None:
        """Close it in this process."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
