"""What lies in the spool: queues, failed entries, room. Looks, and puts back what failed.

Blocking: a queue may have a million entries. `Shelves.look` is for a thread, and what it
returns is for everybody who asks until the next look.
"""

import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from dicomanon_node.deid.pseudonyms import KEY_BYTES
from dicomanon_node.delivery.queue import Entry, Failure, QueueDirectory
from dicomanon_node.hold import entry as hold
from dicomanon_node.hold.area import Area
from dicomanon_node.hold.sealing import HoldKey, KeyRing
from dicomanon_node.ops import judges

MAX_FAILED_SHOWN: Final = 200
"""Failed entries of a destination that are looked at one by one, the oldest."""

# What the spool calls entries: from new identifiers. Anything else was put there by hand.
_ENTRY_NAME: Final = re.compile(r"[A-Za-z0-9._~-]{1,255}")


@dataclass(frozen=True, slots=True)
class FailedEntry:
    """An entry in failed/.

    Attributes:
        name: Its name in the queue.
        reason: A fixed word.
        status: The destination's status word; None if it gave none.
        attempts: How often it was tried.
        time: When it was given up, UTC; None if that is not known.
        size_bytes: The whole file.
    """

    name: str
    reason: str
    status: str | None
    attempts: int
    time: str | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Shelf:
    """What waits for a destination, and what failed there.

    Attributes:
        destination: Its name.
        waiting_count: Entries that wait.
        oldest_s: How long the oldest of them has waited, seconds; None if none waits.
        failed_count: Entries in failed/.
        failed: The oldest of them.
    """

    destination: str
    waiting_count: int
    oldest_s: float | None
    failed_count: int
    failed: Sequence[FailedEntry]


@dataclass(frozen=True, slots=True)
class HeldEntry:
    """A refused object in the hold: what its label says without the key.

    Attributes:
        entry: Its random name.
        time: When it was held, UTC.
        reason: Why it stays.
        study: Study whose rules applied, if one was found.
        calling_aet: Who sent it.
        tag: Element at which it happened, if one is known.
        size_bytes: Its data set.
    """

    entry: str
    time: str
    reason: str
    study: str | None
    calling_aet: str
    tag: str | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Stock:
    """All that was seen at one moment.

    Attributes:
        shelves: By destination, as configured.
        unreadable: Destinations whose directories cannot be read.
        free_bytes: Room on the spool's file system; None if that cannot be found out.
        is_read_only: The file system takes no writes.
        held_count: Objects in the hold.
        held: The oldest of them.
    """

    shelves: Sequence[Shelf] = ()
    unreadable: Sequence[str] = ()
    free_bytes: int | None = None
    is_read_only: bool = False
    held_count: int = 0
    held: Sequence[HeldEntry] = ()


class Shelves:
    """The spool's directories.

    Args:
        spool: The spool.
        destinations: Names of the configured destinations.
    """

    def __init__(self, spool: Path, destinations: Sequence[str]) -> None:
        self._spool = spool
        # A label is read without a key, so none is given.
        self._hold = Area(spool / "hold", KeyRing(HoldKey(bytes(KEY_BYTES))))
        self.follow(destinations)

    def follow(self, destinations: Sequence[str]) -> None:
        """Other destinations are configured now."""
        self._queues = {name: QueueDirectory(self._spool, name) for name in destinations}

    def look(self) -> Stock:
        """Look at everything. Never raises for what the disk does."""
        shelves, unreadable = [], []
        for name, queue in self._queues.items():
            try:
                shelves.append(_shelf(name, queue))
            except OSError:
                unreadable.append(name)
        held = self._look_at_hold()
        shown = [_held(entry) for entry in held[:MAX_FAILED_SHOWN]]
        stock = Stock(shelves, unreadable, held_count=len(held), held=shown)
        try:
            found = os.statvfs(self._spool)
        except OSError:
            return stock
        is_read_only = bool(found.f_flag & os.ST_RDONLY)
        free_bytes = found.f_bavail * found.f_frsize
        return replace(stock, free_bytes=free_bytes, is_read_only=is_read_only)

    def _look_at_hold(self) -> list[hold.Entry]:
        try:
            return self._hold.entries()
        except OSError:  # there is none, or what is wrong with the spool is told of elsewhere
            return []

    def retry(self, destination: str, name: str | None = None) -> int:
        """Put failed entries back into the queue, durably.

        Args:
            destination: Its name.
            name: The entry's; None: all of them.

        Returns:
            How many; an entry that is not there any more is not counted.

        Raises:
            KeyError: No such destination.
            OSError: Not all of them can be moved; the others are where they were.
        """
        queue = self._queues[destination]
        count = 0
        for entry, _failure in queue.failed():
            if name is None or entry.name == name:
                with suppress(FileNotFoundError):  # somebody else was quicker
                    queue.retry(entry)
                    count += 1
        return count


def _shelf(name: str, queue: QueueDirectory) -> Shelf:
    oldest, waiting_count = queue.waiting(1)
    oldest_s = max(0.0, time.time() - oldest[0].received_ns / 1e9) if oldest else None
    failed = [_failed(entry, failure) for entry, failure in queue.failed(MAX_FAILED_SHOWN)]
    failed_count = len(failed) if len(failed) < MAX_FAILED_SHOWN else queue.failed_count()
    return Shelf(name, waiting_count, oldest_s, failed_count, failed)


def _held(entry: hold.Entry) -> HeldEntry:
    label = entry.label
    return HeldEntry(
        label.entry,
        _utc(label.held),
        str(judges.REASON.accept(entry.verdict)),
        label.study,
        label.calling_aet,
        None if label.tag is None else str(judges.TAG.accept(label.tag)),
        entry.size_bytes,
    )


def _failed(entry: Entry, failure: Failure) -> FailedEntry:
    moment = failure.time
    return FailedEntry(
        entry.name if _ENTRY_NAME.fullmatch(entry.name) else judges.INVALID,
        str(judges.REASON.accept(failure.reason)),
        None if failure.status is None else str(judges.STATUS.accept(failure.status)),
        failure.attempts,
        None if moment is None else _utc(moment),
        entry.size_bytes,
    )


def _utc(moment: datetime) -> str:
    try:
        return moment.astimezone(UTC).isoformat("T", "seconds").replace("+00:00", "Z")
    except (OverflowError, ValueError):  # of a year that no clock has
        return judges.INVALID
