"""Whose fault it is when associations break: an instance's, or the destination's.

A peer that aborts says nothing about why. What is known is on which instance the
association was lost, and what the peer has answered in between:

- An instance that was on its way is held back for a while of its own, so that the
  others go first.
- If the next others are lost as well and none is answered, it is the destination:
  nothing counts against any of them, and the destination's own back-off begins.
- An instance lost `POISON_LOSSES` times, while the destination has answered for others
  since it was first lost, is poison. It would break associations for ever.

An instance alone in the queue is never called poison: there is nothing to compare it
with and nobody it stands in the way of. Everything here is lost at a restart, which
costs some attempts and nothing else.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from dicomanon_node.delivery.backoff import Backoff

POISON_LOSSES: Final = 5
"""Associations an instance may break before it goes to failed/."""

MOST_SUSPECTS: Final = 2
"""Instances lost in a row before the destination is suspected instead of them."""


class Verdict(Enum):
    """What follows from a loss."""

    HOLD = auto()
    POISON = auto()
    DESTINATION = auto()


@dataclass(slots=True)
class _Record:
    backoff: Backoff
    losses: int = 0
    answers_before: int = 0  # when it was first lost


class Suspicion:
    """The instances of one destination that are held back. Not thread-safe.

    Args:
        rng: Source of the jitter.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._records: dict[str, _Record] = {}
        self._lost_in_a_row: set[str] = set()
        self._answers = 0

    @property
    def is_on_destination(self) -> bool:
        """Whether the destination is suspected: it answers for no instance any more."""
        return len(self._lost_in_a_row) > MOST_SUSPECTS

    def attempts(self, name: str) -> int:
        """Attempts to deliver this instance that ended without an answer for good."""
        record = self._records.get(name)
        return record.backoff.failures if record else 0

    def hold(self, name: str, now: float) -> float:
        """Hold an instance back; longer each time. Returns seconds."""
        return self._record(name).backoff.fail(now)

    def lost(self, name: str) -> Verdict:
        """The association was lost with this instance on its way."""
        record = self._record(name)
        if not record.losses:
            record.answers_before = self._answers
        record.losses += 1
        self._lost_in_a_row.add(name)
        if self.is_on_destination:
            for suspect in self._lost_in_a_row & self._records.keys():
                self._records[suspect].losses = 0
            return Verdict.DESTINATION
        if record.losses >= POISON_LOSSES and self._answers > record.answers_before:
            return Verdict.POISON
        return Verdict.HOLD

    def answered(self) -> None:
        """The destination has taken an instance, or refused one in proper form."""
        self._answers += 1
        self._lost_in_a_row.clear()

    def forget(self, name: str) -> None:
        """The instance is not in the queue any more."""
        self._records.pop(name, None)

    def forget_unless(self, is_queued: Callable[[str], bool]) -> None:
        """Forget instances that somebody else took out of the queue."""
        for name in [name for name in self._records if not is_queued(name)]:
            del self._records[name]

    def is_held(self, name: str) -> bool:
        """Whether this instance has been held back before."""
        return name in self._records

    def held(self, now: float) -> dict[str, float]:
        """Seconds still to wait, by name of the instances held back now."""
        remaining = {
            name: record.backoff.remaining_s(now) for name, record in self._records.items()
        }
        return {name: wait_s for name, wait_s in remaining.items() if wait_s > 0}

    def _record(self, name: str) -> _Record:
        if name not in self._records:
            self._records[name] = _Record(Backoff(self._rng))
        return self._records[name]
