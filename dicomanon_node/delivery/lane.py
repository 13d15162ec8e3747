"""The loop of one destination: scan, deliver, wait; more associations while it pays.

`Lane.turn` is one step, takes no longer than a batch and sleeps nowhere. Usually
there is one association. While the queue is long and the destination slow there may be
extra ones, a thread each, that take from the same backlog and end when it is short. A
destination that does not let them in is content with one; an extra one that breaks
stops no other.
"""

import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from dicomanon_node.delivery.backlog import Backlog
from dicomanon_node.delivery.backoff import Backoff
from dicomanon_node.delivery.carrier import Carrier
from dicomanon_node.delivery.observing import Observe, TellEnded, tell_nobody
from dicomanon_node.delivery.queue import QueueDirectory
from dicomanon_node.delivery.transport import Transport
from dicomanon_node.errors import DeferredError

POLL_S: Final = 0.25
"""How long an entry may lie in an idle queue unnoticed, if nobody calls `wake`."""

IDLE_S: Final = 5.0
"""How long an association is kept for the next entry. Peers give up idle ones after 30 s and
more, so it is always us who end it."""

EXTRA_FROM: Final = 64
"""Entries in the queue for each association there is before another one is opened: they take
longer than an association takes to be negotiated."""

SECOND_PACE_S: Final = 0.0005
"""Seconds an instance from which a second association is worth it: while one instance is taken,
the next is on its way. A destination that answers sooner keeps one thread busy."""

EXTRA_PACE_S: Final = 0.005
"""Seconds an instance from which more than that are worth it. Towards a destination that answers
sooner, two keep our threads busy; more of them would only share a core."""

_PACE_WEIGHT: Final = 0.1  # of the latest instance in the average

BUSY_S: Final = 1.0
"""How long until the first association is tried again while extra ones work: a destination that
serves one at a time makes the others wait."""


class Lane:
    """Delivers the queue of one destination. One thread runs it.

    Args:
        transport: The way to the destination.
        queue: Its queue.
        observe: Told what happens.
        another: Makes one more way to the same destination.
        associations: How many there may be at a time.
        clock: Seconds that never go back.
        now: Time of day, for reason files.
        rng: Source of jitter; seeded in tests.
        tell_ended: Told how each instance leaves the queue.
    """

    def __init__(
        self,
        transport: Transport,
        queue: QueueDirectory,
        observe: Observe,
        *,
        another: Callable[[], Transport] | None = None,
        associations: int = 1,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        rng: random.Random | None = None,
        tell_ended: TellEnded = tell_nobody,
    ) -> None:
        rng = rng or random.Random()  # noqa: S311  (jitter, not a secret)
        self._clock = clock
        self._queue = queue
        self._backlog = Backlog(
            queue, observe, clock=clock, now=now, rng=rng, tell_ended=tell_ended
        )
        self._is_stopping = False
        self._first = Carrier(transport, self._backlog, self._stops, tell_progress=self._progressed)
        self._another = another
        self._extra_limit = associations - 1 if another else 0
        self._extra_backoff = Backoff(rng)
        self._extras: dict[threading.Thread, Carrier] = {}
        self._extras_lock = threading.Lock()
        self._last_use = 0.0
        self._pace_s = 0.0
        self._last_answer = 0.0
        self._wakeup = threading.Event()

    def run(self) -> None:
        """Deliver until `stop`; then release what is open.

        As long as another process delivers this queue, one that ends in its own time after
        a reload, it waits.
        """
        claim = self._claim()
        if claim is None:
            return
        try:
            self._deliver()
        finally:
            os.close(claim)

    def _claim(self) -> int | None:
        while not self._is_stopping:
            with suppress(OSError):  # no spool, nothing to deliver
                claim = self._queue.claim()
                if claim is not None:
                    return claim
            self._wakeup.wait(POLL_S)
            self._wakeup.clear()
        return None

    def _deliver(self) -> None:
        while not self._is_stopping:
            wait_s = self.turn()
            if wait_s > 0:
                self._wakeup.wait(wait_s)
                self._wakeup.clear()
        # First: a destination that serves one at a time lets the others in, and out, only then.
        self._first.close()
        for thread in self._extra_threads():
            thread.join()

    def wake(self) -> None:
        """There may be a new entry. From any thread."""
        self._wakeup.set()

    def stop(self) -> None:
        """End after the instances that are under way. From any thread."""
        self._is_stopping = True
        self._wakeup.set()

    def interrupt(self) -> None:
        """End now: what is under way fails and stays in the queue. From any thread."""
        self._first.interrupt()
        with self._extras_lock:
            carriers = list(self._extras.values())
        for carrier in carriers:
            carrier.interrupt()

    def turn(self) -> float:
        """Do what can be done now, at most a batch.

        Returns:
            Seconds until there may be something to do again.
        """
        try:
            return self._turn()
        except OSError as error:
            self._fault("spool-unavailable", error)
        except Exception as error:  # noqa: BLE001  a lane that dies is a destination forgotten
            self._fault("internal", error)
        return 0.0

    def _turn(self) -> float:
        wait_s = self._backlog.backoff_s()
        if wait_s > 0:
            self._first.close()
            return wait_s
        batch = self._backlog.batch()
        if not batch.instances:
            return self._idle()
        self._last_answer = self._clock()
        try:
            self._first.carry(batch)
        except DeferredError as error:
            if self._extra_threads():
                return BUSY_S
            self._backlog.destination_failed(error.code)
        self._last_use = self._clock()
        return 0.0

    def _idle(self) -> float:
        if self._clock() - self._last_use >= IDLE_S:
            self._first.close()
        return self._backlog.shortest_hold_s(POLL_S)

    def _fault(self, reason: str, error: Exception) -> None:
        self._first.close()
        self._backlog.destination_failed(reason, error)

    def _stops(self) -> bool:
        return self._is_stopping

    def _progressed(self) -> None:
        """The first association has got an answer: perhaps another one would help."""
        now = self._clock()
        self._pace_s += (now - self._last_answer - self._pace_s) * _PACE_WEIGHT
        self._last_answer = now
        limit = self._extra_limit
        if self._pace_s < EXTRA_PACE_S:
            limit = min(limit, 1 if self._pace_s >= SECOND_PACE_S else 0)
        if limit and len(self._backlog) >= EXTRA_FROM and self._another is not None:
            self._call(self._another, limit)

    def _call(self, another: Callable[[], Transport], limit: int) -> None:
        """Open one more association, `limit` at most, if the queue is long enough for it."""
        with self._extras_lock:
            count = len(self._extras)
            if (
                count >= limit
                or len(self._backlog) < EXTRA_FROM * (count + 1)
                or self._extra_backoff.remaining_s(self._clock()) > 0
            ):
                return
            carrier = Carrier(another(), self._backlog, self._stops, is_extra=True)
            thread = threading.Thread(target=self._run_extra, args=(carrier,), daemon=True)
            try:
                thread.start()
            except RuntimeError:  # as many threads as the system allows: one does the work
                self._extra_backoff.fail(self._clock())
            else:
                self._extras[thread] = carrier

    def _run_extra(self, carrier: Carrier) -> None:
        """Carry until the queue is short, or until the association breaks."""
        is_fine = False
        try:
            is_fine = self._carry_extra(carrier)
            carrier.close()
        except DeferredError:
            is_fine = False  # the destination does not want another one: try much later
        except Exception as error:  # noqa: BLE001  the destination must not be forgotten
            self._backlog.destination_failed("internal", error)
        finally:
            with self._extras_lock:
                del self._extras[threading.current_thread()]
                if is_fine:
                    self._extra_backoff.succeed()
                else:
                    self._extra_backoff.fail(self._clock())
            self._wakeup.set()

    def _carry_extra(self, carrier: Carrier) -> bool:
        while not self._is_stopping:
            batch = self._backlog.batch(is_extra=True)
            if not batch.instances:
                return True
            if not carrier.carry(batch):
                return False
        return True

    def _extra_threads(self) -> list[threading.Thread]:
        with self._extras_lock:
            return list(self._extras)
