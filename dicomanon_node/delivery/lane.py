"""The loop of one destination: scan, deliver, unlink; back off when it does not go.

`Lane.turn` is one step, takes no longer than a batch and sleeps nowhere. An entry
is unlinked after the destination's answer and at no other moment. What the lane
knows besides the directories (attempts, back-off) may be lost at any time.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Protocol

from dicomanon_node.delivery.backoff import Backoff
from dicomanon_node.delivery.queue import Entry, Failure, QueueDirectory
from dicomanon_node.delivery.suspicion import Suspicion, Verdict
from dicomanon_node.delivery.transport import LostError, Transport
from dicomanon_node.errors import DeferredError, RejectedError
from dicomanon_node.network.part10 import DicomFile, Part10Error

POLL_S: Final = 0.25
"""How long an entry may lie in an idle queue unnoticed."""

IDLE_S: Final = 5.0
"""How long an association is kept for the next entry. Peers give up idle ones after 30 s and
more, so it is always us who end it."""

BATCH: Final = 64
"""Entries an association is negotiated for; below 128, so they never need more contexts."""

SCAN_LIMIT: Final = 16_384
"""Entries kept in memory of a queue that may have millions."""


class Observe(Protocol):
    """Told what happens. Called from the lanes' threads; must not raise.

    Events and facts are those declared as `delivery.*` and `destination.*` in `ops.events`.
    """

    def __call__(self, event: str, **facts: object) -> None:
        """Take note of an event."""


class Lane:
    """Delivers the queue of one destination. One thread runs it.

    Args:
        transport: The way to the destination.
        queue: Its queue.
        observe: Told what happens.
        clock: Seconds that never go back.
        now: Time of day, for reason files.
        rng: Source of jitter; seeded in tests.
    """

    def __init__(
        self,
        transport: Transport,
        queue: QueueDirectory,
        observe: Observe,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        rng: random.Random | None = None,
    ) -> None:
        self._transport = transport
        self._queue = queue
        self._observe = observe
        self._clock = clock
        self._now = now
        self._rng = rng or random.Random()  # noqa: S311  (jitter, not a secret)
        self._backoff = Backoff(self._rng)
        self._suspicion = Suspicion(self._rng)
        self._pending: deque[Entry] = deque()
        self._waiting = 0
        self._down_since: float | None = None
        self._last_use = 0.0
        self._wakeup = threading.Event()
        self._is_stopping = False

    def run(self) -> None:
        """Deliver until `stop`; then release what is open."""
        while not self._is_stopping:
            wait_s = self.turn()
            if wait_s > 0:
                self._wakeup.wait(wait_s)
                self._wakeup.clear()
        self._transport.close()

    def wake(self) -> None:
        """There may be a new entry. From any thread."""
        self._wakeup.set()

    def stop(self) -> None:
        """End after the instance that is under way. From any thread."""
        self._is_stopping = True
        self._wakeup.set()

    def interrupt(self) -> None:
        """End now: what is under way fails and stays in the queue. From any thread."""
        self._transport.interrupt()

    def turn(self) -> float:
        """Do what can be done now, at most a batch.

        Returns:
            Seconds until there may be something to do again.
        """
        try:
            return self._turn()
        except OSError as error:
            self._destination_failed("spool-unavailable", error)
        except Exception as error:  # noqa: BLE001  a lane that dies is a destination forgotten
            self._destination_failed("internal", error)
        return 0.0

    def _turn(self) -> float:
        now = self._clock()
        wait_s = self._backoff.remaining_s(now)
        if wait_s > 0:
            return wait_s
        if not self._pending:
            self._scan(now)
        batch = self._next_batch()
        if not batch:
            return self._idle(now)
        try:
            self._transport.prepare([instance for _, instance in batch])
            while batch and not self._is_stopping:
                if not self._attempt(*batch.popleft()):
                    break
        except DeferredError as error:
            self._destination_failed(error.code)
        finally:
            self._pending.extendleft(entry for entry, _ in reversed(batch))
        return 0.0

    def _scan(self, now: float) -> None:
        """Look what there is: first what was never held back, oldest first."""
        self._suspicion.forget_unless(self._queue.is_waiting)
        entries, self._waiting = self._queue.waiting(SCAN_LIMIT, self._suspicion.held(now))
        entries.sort(key=lambda entry: self._suspicion.is_held(entry.name))
        self._pending.extend(entries)

    def _next_batch(self) -> deque[tuple[Entry, DicomFile]]:
        if self._suspicion.is_on_destination and self._pending:
            # Perhaps it is not: the oldest may all be of a kind that it cannot take.
            self._pending.rotate(-self._rng.randrange(len(self._pending)))
        batch: deque[tuple[Entry, DicomFile]] = deque()
        while self._pending and len(batch) < BATCH:
            entry = self._pending.popleft()
            instance = self._open(entry)
            if instance is not None:
                batch.append((entry, instance))
        return batch

    def _open(self, entry: Entry) -> DicomFile | None:
        try:
            return DicomFile.open(entry.path)
        except FileNotFoundError:
            self._gone(entry)
        except Part10Error as error:
            self._fail(entry, None, error.code)
        except OSError:
            self._defer(entry, None, "unreadable")
        return None

    def _attempt(self, entry: Entry, instance: DicomFile) -> bool:
        """Try to deliver one entry. Returns whether the next may follow at once."""
        started = self._clock()
        try:
            status = self._transport.deliver(instance)
        except RejectedError as error:
            self._fail(entry, instance, error.code, error.status)
            if error.status is not None:  # else it was not even sent
                self._answered()
            return True
        except LostError as error:
            self._lost(entry, instance, error.code)
        except DeferredError as error:
            self._defer(entry, instance, error.code, error.status)
            self._destination_failed(error.code)
        except FileNotFoundError:
            self._gone(entry)
        except OSError:
            self._defer(entry, instance, "unreadable")
        except Exception as error:  # noqa: BLE001  one instance must not stop the others
            self._lost(entry, instance, "internal", error)
        else:
            attempt = self._suspicion.attempts(entry.name) + 1
            self._queue.done(entry)
            self._gone(entry)
            self._tell(
                "delivery.sent",
                **_facts_of(instance),
                bytes=instance.dataset_bytes,
                ms=(self._clock() - started) * 1000,
                status=status,
                attempt=attempt,
            )
            self._answered()
            return True
        return False

    def _answered(self) -> None:
        """The destination does its work."""
        self._suspicion.answered()
        self._last_use = self._clock()
        self._backoff.succeed()
        if self._down_since is not None:
            seconds = self._last_use - self._down_since
            self._down_since = None
            self._tell("destination.up", seconds=seconds)

    def _lost(
        self, entry: Entry, instance: DicomFile, reason: str, error: Exception | None = None
    ) -> None:
        verdict = self._suspicion.lost(entry.name)
        if verdict is Verdict.POISON:
            self._fail(entry, instance, "breaks-association")
            return
        self._defer(entry, instance, reason, error=error)
        if verdict is Verdict.DESTINATION:
            self._destination_failed(reason)

    def _defer(
        self,
        entry: Entry,
        instance: DicomFile | None,
        reason: str,
        status: int | None = None,
        error: Exception | None = None,
    ) -> None:
        """The entry stays; others go first until its time has come."""
        retry_s = self._suspicion.hold(entry.name, self._clock())
        self._tell(
            "delivery.deferred",
            sop_instance_uid=instance.sop_instance_uid if instance else None,
            reason=reason,
            status=status,
            attempt=self._suspicion.attempts(entry.name),
            retry_s=retry_s,
            error=error,
        )

    def _fail(
        self,
        entry: Entry,
        instance: DicomFile | None,
        reason: str,
        status: int | None = None,
    ) -> None:
        attempt = self._suspicion.attempts(entry.name) + 1
        try:
            self._queue.fail(entry, Failure(reason, status, attempt, self._now()))
        except FileNotFoundError:
            self._gone(entry)
            return
        except OSError:  # no room for the reason, say; deliveries make room
            self._defer(entry, instance, "spool-unavailable", status)
            return
        self._gone(entry)
        self._tell(
            "delivery.failed",
            **(_facts_of(instance) if instance else {}),
            reason=reason,
            status=status,
            attempt=attempt,
        )

    def _gone(self, entry: Entry) -> None:
        """It is not in the queue any more, whoever took it out."""
        self._waiting -= 1
        self._suspicion.forget(entry.name)

    def _destination_failed(self, reason: str, error: Exception | None = None) -> None:
        now = self._clock()
        retry_s = self._backoff.fail(now)
        if self._down_since is None:
            self._down_since = now
        self._transport.close()
        self._tell(
            "destination.down",
            reason=reason,
            error=error,
            retry_s=retry_s,
            attempt=self._backoff.failures,
        )

    def _idle(self, now: float) -> float:
        if now - self._last_use >= IDLE_S:
            self._transport.close()
        return min([POLL_S, *self._suspicion.held(now).values()])

    def _tell(self, event: str, **facts: object) -> None:
        known = {name: value for name, value in facts.items() if value is not None}
        self._observe(
            event, destination=self._queue.destination, waiting=max(0, self._waiting), **known
        )


def _facts_of(instance: DicomFile) -> dict[str, object]:
    """What may be told of an instance: its UIDs are those of the de-identified object."""
    return {
        "sop_instance_uid": instance.sop_instance_uid,
        "sop_class": instance.sop_class_uid,
        "transfer_syntax": instance.transfer_syntax_uid,
    }
