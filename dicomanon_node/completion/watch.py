"""Which studies are complete: nothing more came for a while, or whoever sent has left.

    received   that is all
    delivered  and each destination has each instance

Judged on the ledger, as of the time up to which it knows everything (`freshness`). A
study of which more comes later is complete again later, as its next revision.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dicomanon_node.completion.freshness import Freshness
from dicomanon_node.ledger.studies import Completed, OpenStudy, Studies

SOONEST_LOOK_S: Final = 5.0
LATEST_LOOK_S: Final = 300.0
"""How often it is asked whether a study has arrived at its destinations, seconds: the longer it
has waited, the less often, since a destination that is down for days makes many wait."""

_LOOKS_PER_AGE: Final = 20


@dataclass(frozen=True, slots=True)
class WhenComplete:
    """What makes a study complete.

    Attributes:
        quiet_s: Nothing has come for so many seconds,
        on_association_close: or the associations that brought it have ended.
        is_after_delivery: And its destinations have it.
    """

    quiet_s: float
    on_association_close: bool = False
    is_after_delivery: bool = False


class Watch:
    """Finds complete studies and leaves word of them. Not thread-safe.

    Args:
        studies: The ledger's.
        freshness: How far the ledger may be believed.
        when: What makes a study complete.
        channels: Who is to be told.
        describe: Makes the facts that are told.
        now_us: Time of day, microseconds.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        studies: Studies,
        freshness: Freshness,
        when: WhenComplete,
        channels: Sequence[str],
        describe: Callable[[Completed], Mapping[str, object]],
        *,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._studies = studies
        self._freshness = freshness
        self._when = when
        self._channels = channels
        self._describe = describe
        self._now_us = now_us
        self._clock = clock
        self._look_again: dict[int, float] = {}

    def turn(self) -> list[Completed]:
        """Complete what is complete now.

        Raises:
            OSError: The journals cannot be read.
            SQLAlchemyError: The ledger does not work.
        """
        fresh_at = self._freshness.look(self._studies.positions)
        found = self._studies.open() if fresh_at else []
        known = {study.id for study in found}
        self._look_again = {id_: at for id_, at in self._look_again.items() if id_ in known}
        closings = (
            self._studies.closings(found[0].last_at)
            if found and self._when.on_association_close
            else set()
        )
        completed = []
        for study in found:
            if self._is_over(study, fresh_at, closings) and self._has_arrived(study, fresh_at):
                made = self._studies.complete(study, self._now_us(), self._channels, self._describe)
                if made is not None:
                    completed.append(made)
        return completed

    def _is_over(self, study: OpenStudy, fresh_at: int, closings: set[str]) -> bool:
        if fresh_at - study.last_at >= self._when.quiet_s * 1_000_000:
            return True
        return bool(closings) and self._studies.associations(study) <= closings

    def _has_arrived(self, study: OpenStudy, fresh_at: int) -> bool:
        if not self._when.is_after_delivery:
            return True
        now = self._clock()
        if now < self._look_again.get(study.id, 0.0):
            return False
        if self._studies.is_delivered(study):
            return True
        wait_s = (fresh_at - study.last_at) / 1_000_000 / _LOOKS_PER_AGE
        self._look_again[study.id] = now + min(max(wait_s, SOONEST_LOOK_S), LATEST_LOOK_S)
        return False
