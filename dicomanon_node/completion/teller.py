"""Tells one channel of completions: in their order, and again until it is told.

A thread for each channel, so that a command that hangs holds up no webhook. After a
failure that completion waits, longer each time, and others go on; after `give_up_s` it is
given up, which is an error for somebody to look at. Told twice is possible, by a kill
between the telling and its note; the document's id says so to whoever is told.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy.exc import SQLAlchemyError

from dicomanon_node.completion.outcome import MissedError, UntoldError
from dicomanon_node.ledger.studies import Studies, Telling
from dicomanon_node.ops.events import TellEvent

LONGEST_RETRY_S: Final = 3600.0
_REST_S: Final = 0.5
_AFTER_FAULT_S: Final = 5.0
_MOST_DOUBLINGS: Final = 20


class Tells(Protocol):
    """How a channel is told."""

    def tell(self, body: bytes, stop: threading.Event) -> None:
        """Tell; raises `MissedError` or `UntoldError`."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a channel is tried.

    Attributes:
        retry_s: Until the second attempt, seconds; doubled each time.
        give_up_s: From the completion on, seconds.
    """

    retry_s: float
    give_up_s: float

    def wait_s(self, failures: int) -> float:
        """How long to wait after so many failures, seconds."""
        doubled = self.retry_s * 2.0 ** min(failures - 1, _MOST_DOUBLINGS)
        return min(doubled, max(LONGEST_RETRY_S, self.retry_s))


class Teller:
    """Tells one channel. `run` it in a thread of its own.

    Args:
        channel: "command" or "url".
        studies: What is to be told.
        tells: How.
        patience: How long.
        log: Told how it went.
        now_us: Time of day, microseconds.
    """

    def __init__(
        self,
        channel: str,
        studies: Studies,
        tells: Tells,
        patience: Patience,
        log: TellEvent,
        *,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._channel = channel
        self._studies = studies
        self._tells = tells
        self._patience = patience
        self._log = log
        self._now_us = now_us
        self._is_broken = False

    def run(self, stop: threading.Event) -> None:
        """Tell until the node stops."""
        while not stop.is_set():
            try:
                has_more = self.turn(stop)
                self._is_broken = False
            except UntoldError:
                return
            except Exception as error:  # noqa: BLE001  (told, and tried again: a thread must not end)
                if not self._is_broken:
                    where = "ledger" if isinstance(error, SQLAlchemyError) else "hook"
                    self._log.event("internal.error", where=where, error=error)
                self._is_broken = True
                stop.wait(_AFTER_FAULT_S)
                continue
            if not has_more:
                stop.wait(_REST_S)

    def turn(self, stop: threading.Event) -> bool:
        """Tell what is due next; whether there was something.

        Raises:
            SQLAlchemyError: The ledger does not work.
            UntoldError: The node stops.
        """
        telling = self._studies.due(self._channel, self._now_us())
        if telling is None:
            return False
        started = time.monotonic()
        try:
            self._tells.tell(telling.facts.encode("ascii"), stop)
        except MissedError as missed:
            self._missed(telling, missed)
        else:
            self._studies.ended(telling, self._now_us(), is_told=True)
            self._log.event(
                "hook.told",
                **self._keys(telling),
                attempt=telling.attempts + 1,
                ms=(time.monotonic() - started) * 1000,
            )
        return True

    def _missed(self, telling: Telling, missed: MissedError) -> None:
        now, failures = self._now_us(), telling.attempts + 1
        keys = self._keys(telling) | {
            "reason": missed.reason,
            "exit_code": missed.exit_code,
            "http_status": missed.http_status,
            "error": OSError(missed.number, "") if missed.number is not None else None,
            "attempt": failures,
        }
        keys = {name: value for name, value in keys.items() if value is not None}
        if now - telling.at >= self._patience.give_up_s * 1_000_000:
            self._studies.ended(telling, now, is_told=False)
            self._log.event("hook.given_up", **keys)
            return
        wait_s = self._patience.wait_s(failures)
        self._studies.again(telling, now + int(wait_s * 1_000_000))
        self._log.event("hook.failed", **keys, retry_s=wait_s)

    def _keys(self, telling: Telling) -> dict[str, object]:
        document = telling.document()
        return {
            "hook": self._channel,
            "study": document["study"],
            "study_uid": document["study_uid"],
            "revision": document["revision"],
        }
