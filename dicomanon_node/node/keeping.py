"""What the keeper process does: retention and alarm of the hold, notes of commands, leftovers.

It is a process of its own, so that a slow disk under the hold holds up nobody. Nothing
that is held depends on it: killed, it begins anew.
"""

import signal
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Final

from dicomanon_node.config import Config
from dicomanon_node.hold.area import Area
from dicomanon_node.hold.notes import Notes
from dicomanon_node.node.children import ABORT, RETIRE, STOP, Ready
from dicomanon_node.ops import logs
from dicomanon_node.ops.events import TellEvent

_TICK_S: Final = 1.0
_RETENTION_S: Final = 60.0


class Keeper:
    """Looks after the hold. Not thread-safe.

    Args:
        area: The hold.
        log: Where it tells.
        retention_days: Age at which an entry is deleted, days; 0: never.
        alarm_count: Entries from which on there is an alarm; 0: never.
    """

    def __init__(
        self, area: Area, log: TellEvent, *, retention_days: int, alarm_count: int
    ) -> None:
        self._area = area
        self._log = log
        self._notes = Notes(area)
        self._retention = timedelta(days=retention_days)
        self._alarm_count = alarm_count
        self._is_alarmed = False
        self._look_again = 0.0

    def tick(self, now: float) -> None:
        """Do what is due.

        Args:
            now: Monotonic seconds.

        Raises:
            OSError: The hold cannot be used.
        """
        self._notes.tell(self._log)
        if now >= self._look_again:
            self._look_again = now + _RETENTION_S
            self._area.sweep()
            self.expire(datetime.now(UTC))
        self.watch()

    def expire(self, now: datetime) -> None:
        """Delete what is too old, but for what somebody is at just now.

        Raises:
            OSError: The hold cannot be used.
        """
        if not self._retention:
            return
        for entry in self._area.entries():
            age = now - entry.label.held
            if age < self._retention:
                continue
            try:
                with entry.locked() as held:
                    held.remove()
            except (FileNotFoundError, BlockingIOError):
                continue
            self._log.event(
                "hold.expired",
                entry=entry.label.entry,
                reason=entry.verdict,
                study=entry.label.study,
                seconds=age.total_seconds(),
            )

    def watch(self) -> None:
        """Tell when there are too many entries, once, and when there are not any more.

        Raises:
            OSError: The hold cannot be used.
        """
        if not self._alarm_count:
            return
        count = self._area.count()
        is_alarmed = count >= self._alarm_count
        if is_alarmed != self._is_alarmed:
            self._is_alarmed = is_alarmed
            name = "hold.alarm" if is_alarmed else "hold.recovered"
            self._log.event(name, held=count, alarm_count=self._alarm_count)


def keep(config: Config, area: Area, ready: Ready) -> None:
    """Look after the hold until `STOP`, `RETIRE` or `ABORT`.

    Args:
        config: The configuration.
        area: The hold.
        ready: To be called when it has begun.
    """
    stop = threading.Event()
    for number in (STOP, RETIRE):
        signal.signal(number, lambda _number, _frame: stop.set())
    signal.signal(ABORT, lambda _number, _frame: sys.exit(0))
    log = logs.get()
    settings = config.node.hold
    keeper = Keeper(
        area, log, retention_days=settings.retention_days, alarm_count=settings.alarm_count
    )
    ready()
    is_broken = False
    while not stop.is_set():
        try:
            keeper.tick(time.monotonic())
            is_broken = False
        except OSError as error:
            if not is_broken:  # once, not each second
                log.event("internal.error", where="keeper", error=error)
            is_broken = True
        stop.wait(_TICK_S)
