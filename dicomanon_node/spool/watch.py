"""Tells when the spool stops taking instances and when it takes them again.

One line at each change, not one for each refused instance. Thread-safe; each receiver
process watches for itself.
"""

import threading
import time

from dicomanon_node.errors import Reason, Refused
from dicomanon_node.ops.events import TellEvent
from dicomanon_node.spool.spool import Spool

_REASONS = (Reason.DISK_FULL, Reason.SPOOL_UNAVAILABLE)


class SpoolWatch:
    """Notes what became of instances, as far as the spool is concerned.

    Args:
        spool: The spool.
        log: Where changes are told.
    """

    def __init__(self, spool: Spool, log: TellEvent) -> None:
        self._spool = spool
        self._log = log
        self._lock = threading.Lock()
        self._since: float | None = None
        self._refused_count = 0

    def refused(self, refusal: Refused) -> None:
        """An instance was refused, for whatever reason."""
        if refusal.reason not in _REASONS:
            return
        with self._lock:
            self._refused_count += 1
            if self._since is not None:
                return
            self._since = time.monotonic()
        self._log.event(
            "spool.full",
            reason=refusal.reason.code,
            free_bytes=self._free_bytes(),
            error=refusal.__cause__,
        )

    def stored(self) -> None:
        """An instance was stored."""
        if self._since is None:
            return
        with self._lock:
            since, self._since = self._since, None
            count, self._refused_count = self._refused_count, 0
        if since is not None:
            self._log.event(
                "spool.available",
                free_bytes=self._free_bytes(),
                refused=count,
                seconds=round(time.monotonic() - since, 3),
            )

    def _free_bytes(self) -> int | None:
        try:
            return self._spool.free_bytes
        except OSError:
            return None
