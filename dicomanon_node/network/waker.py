"""Makes a thread that waits in poll(2) come back."""

import contextlib
import os
import sys
import threading
from typing import Final

_HAS_EVENTFD: Final = hasattr(os, "eventfd")  # Linux: one descriptor instead of two
_ONE: Final = (1).to_bytes(8, sys.byteorder)  # what an eventfd is written; a pipe takes anything
_SOME_BYTES: Final = 4096


class Waker:
    """Woken by one thread, or by a signal handler, for another.

    Args:
        takes_signals: Whether `signal.set_wakeup_fd` is to write to it, which it does byte by
            byte: an eventfd takes no single byte.
    """

    def __init__(self, *, takes_signals: bool = False) -> None:
        if _HAS_EVENTFD and not takes_signals:
            self._reading = self._writing = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        else:
            self._reading, self._writing = os.pipe()
            os.set_blocking(self._reading, False)
            os.set_blocking(self._writing, False)
        # A number that was closed may be another file's already. Re-entrant: for a signal
        # handler that comes while its own thread holds it.
        self._closing = threading.RLock()
        self._is_closed = False

    def fileno(self) -> int:
        """The descriptor to poll for POLLIN."""
        return self._reading

    @property
    def writing_fileno(self) -> int:
        """The descriptor that anything may be written to."""
        return self._writing

    def wake(self) -> None:
        """Wake the waiting thread, or let it not fall asleep. Without effect once closed."""
        with self._closing:
            if not self._is_closed:
                with contextlib.suppress(BlockingIOError):  # full: it is awake already
                    os.write(self._writing, _ONE)

    def clear(self) -> None:
        """Called by the woken thread."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._reading, _SOME_BYTES)

    def close(self) -> None:
        """Release the descriptors."""
        with self._closing:
            self._is_closed = True
            for descriptor in {self._reading, self._writing}:
                os.close(descriptor)
