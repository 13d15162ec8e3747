"""Counts what waits in each queue, and says when it is too much and when it is not any more.

A queue over its high mark takes nothing until it is under its low mark, so that a
destination that is down for days fills its queue and not the disk, and senders keep what
they have. Counting a long queue takes time, so it is done the less often the longer it takes.
"""

import time
from pathlib import Path
from typing import Final

from dicomanon_node.delivery.queue import QueueDirectory
from dicomanon_node.ops.events import TellEvent
from dicomanon_node.spool.pressure import Pressure

_EVERY_S: Final = 2.0
_SHARE: Final = 50
"""Counting takes at most this part of the time."""


class QueueWatch:
    """Watches the queues of one configuration.

    Args:
        spool: The spool.
        destinations: Names of the destinations.
        high: Instances from which a queue takes no more; 0: without a limit.
        low: Instances under which it takes more again.
        log: Where changes are told.

    Attributes:
        pressure: What receivers look at.
    """

    def __init__(
        self, spool: Path, destinations: tuple[str, ...], high: int, low: int, log: TellEvent
    ) -> None:
        self._queues = [QueueDirectory(spool, name) for name in destinations]
        self._high = high
        self._low = low
        self._log = log
        self._look_at = 0.0
        self.pressure = Pressure(destinations)

    def look(self, now: float) -> None:
        """Count, if it is time to.

        Args:
            now: Monotonic seconds.
        """
        if not self._high or now < self._look_at:
            return
        began = time.monotonic()
        for queue in self._queues:
            self._look_at_one(queue)
        self._look_at = now + max(_EVERY_S, _SHARE * (time.monotonic() - began))

    def _look_at_one(self, queue: QueueDirectory) -> None:
        name = queue.destination
        try:
            count = queue.waiting_count()
        except OSError:  # receivers refuse as long as the spool is gone
            return
        was_full = self.pressure.is_any_full([name])
        is_full = count >= (self._low if was_full else self._high)
        if is_full != was_full:
            self.pressure.note(name, is_full=is_full)
            event = "queue.full" if is_full else "queue.available"
            self._log.event(event, destination=name, waiting=count)
