"""What one destination still has to get, and what is known about it. Thread-safe.

All associations of a destination take from one backlog, oldest first, each entry
once; they tell it what came of it. It scans the queue, opens entries a batch at a
time, unlinks what was taken, and keeps the two judgements: back-off belongs to the
destination, suspicion to the instance. It holds no connection and runs no loop.

What it knows besides the directories may be lost at any time.
"""

import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from dicomanon_node.delivery.backoff import Backoff
from dicomanon_node.delivery.observing import Ended, Observe, TellEnded, facts_of, tell_nobody
from dicomanon_node.delivery.queue import SUFFIX, Entry, Failure, QueueDirectory
from dicomanon_node.delivery.suspicion import Suspicion, Verdict
from dicomanon_node.errors import DeferredError, RejectedError
from dicomanon_node.network.part10 import DicomFile, Part10Error

BATCH: Final = 64
"""Entries an association is negotiated for; below 128, so they never need more contexts."""

SCAN_LIMIT: Final = 16_384
"""Entries kept in memory of a queue that may have millions."""

EXTRA_LEAST: Final = 16
"""Entries that an association besides the first leaves alone: the end of a queue is not worth
the wait for one more association to end."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The instances that are next, for an association to be negotiated.

    Attributes:
        number: Of this batch; the next one has another.
        instances: Those of it that nobody has taken yet, oldest first.
    """

    number: int
    instances: Sequence[DicomFile]


@dataclass(frozen=True, slots=True)
class Item:
    """An instance that somebody has taken to deliver it.

    Attributes:
        entry: Its entry.
        instance: Its file.
        is_suspect: It was held back before: nothing else shall be on its way with it.
        started: When it was taken, clock reading.
    """

    entry: Entry
    instance: DicomFile
    is_suspect: bool
    started: float


class Backlog:
    """The work of one destination.

    Args:
        queue: Its queue.
        observe: Told what happens.
        clock: Seconds that never go back.
        now: Time of day, for reason files.
        rng: Source of jitter.
        tell_ended: Told how each instance leaves the queue.
    """

    def __init__(
        self,
        queue: QueueDirectory,
        observe: Observe,
        *,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        rng: random.Random,
        tell_ended: TellEnded = tell_nobody,
    ) -> None:
        self._queue = queue
        self._observe = observe
        self._clock = clock
        self._now = now
        self._rng = rng
        self._tell_ended = tell_ended
        self._filling = threading.Lock()  # one scans and opens; comes before the other lock
        self._lock = threading.Lock()  # of all below; held for moments, no file is read under it
        self._backoff = Backoff(rng)
        self._suspicion = Suspicion(rng)
        self._pending: deque[Entry] = deque()
        self._ready: deque[tuple[Entry, DicomFile]] = deque()
        self._batch_number = 0
        self._under_way: set[str] = set()
        self._waiting = 0
        self._down_since: float | None = None
        self._failed_at = float("-inf")

    def __len__(self) -> int:
        """Entries known to wait for somebody to take them; more may lie in the directory."""
        return len(self._pending) + len(self._ready)

    def backoff_s(self) -> float:
        """Seconds until the destination may be tried again; 0 if now."""
        with self._lock:
            return self._backoff.remaining_s(self._clock())

    def shortest_hold_s(self, limit_s: float) -> float:
        """Seconds until an instance that is held back may go, at most `limit_s`."""
        with self._lock:
            return min([limit_s, *self._suspicion.held(self._clock()).values()])

    def batch(self, *, is_extra: bool = False) -> Batch:
        """What is next; the queue is looked at if nothing is known to wait.

        Args:
            is_extra: For an association besides the first; see `take`.

        Raises:
            OSError: The queue cannot be read.
        """
        with self._filling:
            if not self._ready:
                if not self._pending:
                    self._scan()
                while self._pending and not self._ready:
                    self._open_next()
            with self._lock:
                if is_extra and not self._is_for_extra():
                    return Batch(self._batch_number, ())
                return Batch(self._batch_number, [instance for _, instance in self._ready])

    def take(self, batch: Batch, *, is_alone: bool, is_extra: bool = False) -> Item | None:
        """Take the oldest instance of a batch: nobody else gets it until it is reported.

        An instance that was held back before may be what breaks associations. So that it is
        known which one did, it only goes out over the first association, and alone.

        Args:
            batch: What the association is prepared for.
            is_alone: Nothing else is on its way over this association.
            is_extra: It is not the first association.

        Returns:
            The instance, or None if there is none of this batch for this association now.
        """
        with self._lock:
            now = self._clock()
            if (
                batch.number != self._batch_number
                or not self._ready
                or self._backoff.remaining_s(now) > 0
                or (is_extra and not self._is_for_extra())
            ):
                return None
            is_suspect = self._suspicion.is_held(self._ready[0][0].name)
            if is_suspect and not is_alone:
                return None
            entry, instance = self._ready.popleft()
            self._under_way.add(entry.name)
            return Item(entry, instance, is_suspect, now)

    def delivered(self, item: Item, status: int | None) -> None:
        """The destination has taken it: it leaves the queue.

        Raises:
            OSError: It cannot be unlinked, so it will be sent again.
        """
        with self._lock:
            attempt = self._suspicion.attempts(item.entry.name) + 1
        # Before the name goes: killed in between, it is sent and told once more, and not never.
        self._tell_ended(
            Ended(
                self._queue.destination, item.instance.sop_instance_uid, True, status, "", attempt
            )
        )
        try:
            self._queue.done(item.entry)
        except OSError:
            self.put_back([item])
            raise
        with self._lock:
            self._gone(item.entry)
        self._tell(
            "delivery.sent",
            **facts_of(item.instance),
            bytes=item.instance.dataset_bytes,
            ms=(self._clock() - item.started) * 1000,
            status=status,
            attempt=attempt,
        )
        self._answered(item)

    def refused(self, item: Item, error: RejectedError) -> None:
        """It is not taken, and would not be another time."""
        self._fail(item.entry, item.instance, error.code, error.status)
        if error.status is not None:  # else it was not even sent
            self._answered(item)

    def deferred(self, item: Item, error: DeferredError) -> None:
        """The destination does not take it now, for reasons of its own."""
        self._defer(item.entry, item.instance, error.code, error.status)
        self.destination_failed(error.code, since=item.started)

    def unreadable(self, item: Item) -> None:
        """Its file cannot be read."""
        self._defer(item.entry, item.instance, "unreadable")

    def vanished(self, item: Item) -> None:
        """Its file is gone: somebody dropped it."""
        with self._lock:
            self._gone(item.entry)

    def lost(self, items: Sequence[Item], reason: str, error: Exception | None = None) -> None:
        """An association was lost with these on their way, in the order they were sent.

        The first is what the destination was at, so the loss is its own; the others are held
        back as well, and will go out one at a time.
        """
        first, *others = items
        with self._lock:
            verdict = self._suspicion.lost(first.entry.name)
        if verdict is Verdict.POISON:
            self._fail(first.entry, first.instance, "breaks-association")
        else:
            self._defer(first.entry, first.instance, reason, error=error)
        for item in others:
            self._defer(item.entry, item.instance, reason, error=error)
        if verdict is Verdict.DESTINATION:
            self.destination_failed(reason, since=first.started)

    def put_back(self, items: Sequence[Item]) -> None:
        """These were not delivered, through no fault of theirs or the destination's."""
        with self._lock:
            self._close_batch()
            self._pending.extendleft(item.entry for item in reversed(items))
            self._under_way.difference_update(item.entry.name for item in items)

    def destination_failed(
        self, reason: str, error: Exception | None = None, *, since: float | None = None
    ) -> None:
        """The destination does not work: nothing is handed out until its time has come.

        Args:
            reason: A fixed word.
            error: What was raised, if it is a fault of ours.
            since: When the attempt was begun. One begun before the last failure says nothing new:
                associations break together.
        """
        with self._lock:
            now = self._clock()
            if since is not None and since < self._failed_at:
                return
            retry_s = self._backoff.fail(now)
            attempt = self._backoff.failures
            self._failed_at = now
            if self._down_since is None:
                self._down_since = now
            self._close_batch()
        self._tell("destination.down", reason=reason, error=error, retry_s=retry_s, attempt=attempt)

    def _answered(self, item: Item) -> None:
        """The destination does its work, or did when this was sent."""
        seconds = None
        with self._lock:
            self._suspicion.answered()
            if item.started >= self._failed_at:
                self._backoff.succeed()
                if self._down_since is not None:
                    seconds = self._clock() - self._down_since
                    self._down_since = None
        if seconds is not None:
            self._tell("destination.up", seconds=seconds)

    def _close_batch(self) -> None:
        """What is open is opened anew when its time has come, which may be hours from now."""
        self._pending.extendleft(entry for entry, _ in reversed(self._ready))
        self._ready.clear()

    def _is_for_extra(self) -> bool:
        return len(self) >= EXTRA_LEAST and not (
            self._ready and self._suspicion.is_held(self._ready[0][0].name)
        )

    def _scan(self) -> None:
        """Look what there is: first what was never held back, oldest first."""
        with self._lock:
            self._suspicion.forget_unless(self._queue.is_waiting)
            skipping = self._under_way | self._suspicion.held(self._clock()).keys()
        # Whoever is under way may be unlinked meanwhile, nobody can be taken meanwhile.
        entries, waiting = self._queue.waiting(SCAN_LIMIT, skipping)
        with self._lock:
            self._waiting = waiting
            entries.sort(key=lambda entry: self._suspicion.is_held(entry.name))
            self._pending.extend(entries)

    def _open_next(self) -> None:
        """Open the next entries, so that an association can be negotiated for them."""
        with self._lock:
            if self._suspicion.is_on_destination and self._pending:
                # Perhaps it is not: the oldest may all be of a kind that it cannot take.
                self._pending.rotate(-self._rng.randrange(len(self._pending)))
            entries = [self._pending.popleft() for _ in range(min(BATCH, len(self._pending)))]
        opened = [(entry, instance) for entry in entries if (instance := self._open(entry))]
        with self._lock:
            self._ready.extend(opened)
            self._batch_number += 1

    def _open(self, entry: Entry) -> DicomFile | None:
        try:
            return self._queue.open(entry)
        except BlockingIOError:  # its commit is not over: the next scan finds it again
            return None
        except FileNotFoundError:
            with self._lock:
                self._gone(entry)
        except Part10Error as error:
            self._fail(entry, None, error.code)
        except OSError:
            self._defer(entry, None, "unreadable")
        return None

    def _defer(
        self,
        entry: Entry,
        instance: DicomFile | None,
        reason: str,
        status: int | None = None,
        error: Exception | None = None,
    ) -> None:
        """The entry stays; others go first until its time has come."""
        with self._lock:
            retry_s = self._suspicion.hold(entry.name, self._clock())
            attempt = self._suspicion.attempts(entry.name)
            self._under_way.discard(entry.name)
        self._tell(
            "delivery.deferred",
            sop_instance_uid=instance.sop_instance_uid if instance else None,
            reason=reason,
            status=status,
            attempt=attempt,
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
        with self._lock:
            attempt = self._suspicion.attempts(entry.name) + 1
        try:
            self._queue.fail(entry, Failure(reason, status, attempt, self._now()))
        except FileNotFoundError:
            with self._lock:
                self._gone(entry)
            return
        except OSError:  # no room for the reason, say; deliveries make room
            self._defer(entry, instance, "spool-unavailable", status)
            return
        with self._lock:
            self._gone(entry)
        # The name of an entry that cannot be read is the UID it was queued by.
        uid = instance.sop_instance_uid if instance else entry.name.partition("~")[0]
        self._tell_ended(
            Ended(self._queue.destination, uid.removesuffix(SUFFIX), False, status, reason, attempt)
        )
        self._tell(
            "delivery.failed",
            **(facts_of(instance) if instance else {}),
            reason=reason,
            status=status,
            attempt=attempt,
        )

    def _gone(self, entry: Entry) -> None:
        """It is not in the queue any more, whoever took it out. Under the lock."""
        self._waiting -= 1
        self._under_way.discard(entry.name)
        self._suspicion.forget(entry.name)

    def _tell(self, event: str, **facts: object) -> None:
        known = {name: value for name, value in facts.items() if value is not None}
        self._observe(
            event, destination=self._queue.destination, waiting=max(0, self._waiting), **known
        )
