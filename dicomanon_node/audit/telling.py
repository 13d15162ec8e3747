"""Tells the audit what the outbox holds: the loop of one process.

What was sent is removed after it was sent, so that whatever ends in between, it is sent
once more rather than not at all. A receiver that is away is tried again after 1 s, 2 s, 4 s
and so on to five minutes. What nobody has taken for too long is dropped, and that is told.
"""

import random
import threading
import time
from collections.abc import Callable
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from dicomanon_node.audit import syslog
from dicomanon_node.audit.messages import KINDS, Source, message
from dicomanon_node.audit.transports import Transport
from dicomanon_node.delivery.backoff import Backoff
from dicomanon_node.ledger.outbox import AuditEvent, Outbox
from dicomanon_node.ledger.schema import SchemaError
from dicomanon_node.ops.events import TellEvent

TURN_S: Final = 0.5
AT_ONCE: Final = 100
"""Messages that are sent, and removed, together."""

_DAY_US: Final = 86_400_000_000


class Telling:
    """Tells the audit. `run` it once.

    Args:
        open_outbox: Opens the outbox; OSError while the recorder has not made it.
        transport: Takes messages away.
        source: Who tells.
        process_id: Of this process.
        log: Told what goes wrong.
        give_up_days: Days after which what nobody has taken is dropped; 0 for never.
    """

    def __init__(
        self,
        open_outbox: Callable[[], Outbox],
        transport: Transport,
        source: Source,
        process_id: int,
        log: TellEvent,
        *,
        give_up_days: int = 0,
    ) -> None:
        self._open_outbox = open_outbox
        self._outbox: Outbox | None = None
        self._transport = transport
        self._source = source
        self._process_id = process_id
        self._log = log
        self._give_up_us = give_up_days * _DAY_US
        self._backoff = Backoff(random.Random())  # noqa: S311  (jitter)
        self._behind_since: float | None = None

    def run(self, stop: threading.Event) -> None:
        """Tell until told to stop, then what is left, if the receiver takes it."""
        while not stop.is_set():
            self.turn()
            stop.wait(max(TURN_S, self._backoff.remaining_s(time.monotonic())))
        if self._behind_since is None:
            self.turn()
        self._transport.close()
        self._close()

    def turn(self) -> int:
        """Tell what there is; how many events were told."""
        told_count = 0
        try:
            if self._outbox is None:
                self._outbox = self._open_outbox()
            self._drop(self._outbox)
            while events := self._outbox.next(AT_ONCE):
                if not self._send(self._outbox, events):
                    break
                self._outbox.remove(events)
                told_count += len(events)
        except (SQLAlchemyError, SchemaError, FileNotFoundError):
            # The recorder says what is wrong with the ledger, or has not made it yet.
            self._close()
        return told_count

    def _send(self, outbox: Outbox, events: list[AuditEvent]) -> bool:
        """Send events; whether they count as sent."""
        # A ledger that a later version has written to may hold what this one does not know.
        messages = [
            syslog.encode(
                message(event, self._source), event.at, self._source.host_name, self._process_id
            )
            for event in events
            if event.kind in KINDS
        ]
        try:
            self._transport.send(messages)
        except OSError as error:
            retry_s = self._backoff.fail(time.monotonic())
            if self._behind_since is None:
                self._behind_since = time.monotonic()
                self._log.event("audit.behind", error=error, untold=outbox.count(), retry_s=retry_s)
            return False
        self._backoff.succeed()
        if self._behind_since is not None:
            seconds, self._behind_since = time.monotonic() - self._behind_since, None
            self._log.event("audit.available", seconds=seconds)
        return True

    def _drop(self, outbox: Outbox) -> None:
        if self._give_up_us:
            dropped_count = outbox.drop(time.time_ns() // 1000 - self._give_up_us)
            if dropped_count:
                self._log.event("audit.dropped", untold=dropped_count)

    def _close(self) -> None:
        if self._outbox is not None:
            self._outbox.close()
            self._outbox = None
