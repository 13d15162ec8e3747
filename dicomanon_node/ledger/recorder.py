"""The recorder: journals in, ledger out, some times a second, until there is nothing left.

It may be killed at any moment: where it was is in the ledger. While the ledger cannot be
written the journals grow, and nobody waits. It installs no signal handlers and reads no
configuration: `node` does.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from dicomanon_node.ledger.database import engine_of
from dicomanon_node.ledger.reading import Journals, Piece
from dicomanon_node.ledger.records import Record
from dicomanon_node.ledger.schema import SchemaError
from dicomanon_node.ledger.store import Ledger
from dicomanon_node.ops.events import TellEvent

POLL_S: Final = 0.5
"""How long a record may lie in a journal before it is looked for, seconds."""

BATCH: Final = 1000
"""Records from which on a transaction is worth it while more can be read."""

_FIRST_RETRY_S: Final = 0.5
_LAST_RETRY_S: Final = 30.0
_EXPIRE_S: Final = 3600.0
_DAY_US: Final = 86_400_000_000


class Recorder:
    """Reads the journals of a spool into a ledger. One at a time; `run` it once.

    Args:
        spool: The spool.
        path: The ledger's SQLite file.
        log: Told what goes wrong.
        retention_days: Days after which a receipt goes; 0 for never.
        tracks_studies: As of `store.Ledger`.
        is_audited: What is recorded goes to the audit as well.
        clock: Seconds that never go back.
        now_us: Time of day, microseconds.
    """

    def __init__(
        self,
        spool: Path,
        path: Path,
        log: TellEvent,
        *,
        retention_days: int = 0,
        tracks_studies: bool = False,
        is_audited: bool = False,
        clock: Callable[[], float] = time.monotonic,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._journals = Journals(spool)
        self._path = path
        self._log = log
        self._retention_us = retention_days * _DAY_US
        self._tracks_studies = tracks_studies
        self._is_audited = is_audited
        self._clock = clock
        self._now_us = now_us
        self._ledger: Ledger | None = None
        self._claim = -1
        self._positions: dict[str, int] = {}
        self._expire_at = float("-inf")
        self._behind_since: float | None = None
        self._retry_s = _FIRST_RETRY_S

    def run(self, stop: threading.Event) -> None:
        """Record until told to stop, then what is left; writers have ended by then."""
        while True:
            is_last = stop.is_set()
            try:
                self.turn(is_last=is_last)
            except (OSError, SQLAlchemyError, SchemaError) as error:
                self._fall_behind(error)
                if is_last:  # the journals are still there at the next start
                    return
                stop.wait(self._retry_s)
                self._retry_s = min(self._retry_s * 2, _LAST_RETRY_S)
            else:
                if is_last:
                    return
                stop.wait(POLL_S)

    def turn(self, *, is_last: bool = False) -> int:
        """Record what there is now.

        Args:
            is_last: Nothing more will be recorded.

        Returns:
            How many records.

        Raises:
            OSError: The journals cannot be read.
            SchemaError: The ledger is of a later version.
            SQLAlchemyError: The ledger does not work.
        """
        ledger = self._opened()
        count = self._take_in(ledger)
        ledger.gather(is_last=is_last)
        self._caught_up()
        if self._retention_us and self._clock() >= self._expire_at:
            self._expire(ledger)
        return count

    def close(self) -> None:
        """Give the ledger back."""
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None
        if self._claim >= 0:
            os.close(self._claim)
            self._claim = -1

    def _opened(self) -> Ledger:
        if self._claim < 0:
            self._claim = self._journals.claim()
        if self._ledger is None:
            ledger = Ledger(
                engine_of(self._path, is_writer=True),
                tracks_studies=self._tracks_studies,
                is_audited=self._is_audited,
            )
            positions = ledger.positions()
            self._journals.settle()  # journals that are gone stay gone
            gone = positions.keys() - set(self._journals.names())
            ledger.forget(sorted(gone))
            self._positions = {name: positions[name] for name in positions.keys() - gone}
            self._ledger = ledger
        return self._ledger

    def _take_in(self, ledger: Ledger) -> int:
        count = torn_count = 0
        over: list[str] = []
        batch: list[Record] = []
        read: dict[str, int] = {}
        for name in self._journals.names():
            for piece in self._pieces(name):
                batch += piece.records
                torn_count += piece.torn_count
                read[name] = piece.offset
                if len(batch) >= BATCH:
                    count += self._write(ledger, batch, read)
                if piece.is_over:
                    over.append(name)
        if read:
            count += self._write(ledger, batch, read)
        if torn_count:
            self._log.event("journal.torn", torn=torn_count)
        if over:
            self._journals.remove(over)
            ledger.forget(over)
            for name in over:
                self._positions.pop(name, None)
        return count

    def _pieces(self, name: str) -> Iterator[Piece]:
        """What is new in a journal, as it is now."""
        offset = self._positions.get(name, 0)
        while True:
            piece = self._journals.read(name, offset)
            if piece.is_over or piece.offset != offset:
                yield piece
            if piece.is_over or piece.offset == offset:
                return
            offset = piece.offset

    def _write(self, ledger: Ledger, batch: list[Record], read: dict[str, int]) -> int:
        count = len(batch)
        ledger.ingest(batch, read)
        self._positions |= read
        batch.clear()
        read.clear()
        return count

    def _expire(self, ledger: Ledger) -> None:
        self._expire_at = self._clock() + _EXPIRE_S
        before, count = self._now_us() - self._retention_us, 0
        while removed := ledger.expire(before):
            count += removed
        if count:
            self._log.event("ledger.expired", rows=count)

    def _fall_behind(self, error: Exception) -> None:
        self.close()
        if self._behind_since is None:
            self._behind_since = self._clock()
            # SQLAlchemy's text has the statement and its values: only its kind is told.
            self._log.event("ledger.behind", error=error, retry_s=self._retry_s)

    def _caught_up(self) -> None:
        self._retry_s = _FIRST_RETRY_S
        if self._behind_since is not None:
            seconds, self._behind_since = self._clock() - self._behind_since, None
            self._log.event("ledger.available", seconds=seconds)
