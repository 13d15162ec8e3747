"""The queue of one destination: directories, an entry is a file, its name is its ticket.

    queue/<destination>/<name>.dcm          waits; hard-linked there by the receivers
    failed/<destination>/<name>.dcm         refused for good, or suspected of breaking associations
    failed/<destination>/<name>.dcm.json    why: reason, status, attempts, time; no free text
    failed/<destination>/.lock              held by whoever moves or drops an entry
    queue/<destination>/.lane               held by the lane that delivers

Entries may appear at any time, and one that was delivered may appear again. This
module makes no decision: `lane` says what becomes of an entry, a person with
`dicomanon-node queue` what becomes of a failed one.
"""

import errno
import fcntl
import heapq
import json
import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from dicomanon_node.delivery.files import locked, place, sync_directory, write_durable
from dicomanon_node.network.part10 import DicomFile

SUFFIX: Final = ".dcm"
_REASON_SUFFIX: Final = ".json"
_LANE_NAME: Final = ".lane"
_CLAIM: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC

_Found = tuple[int, str, int, int]  # an `Entry` in the making; sorts by age, then by name


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that waits or has failed.

    Attributes:
        path: Where it lies.
        received_ns: When its last byte was written, nanoseconds since the epoch.
        inode: Its inode number: tells it from another file that took its name.
        size_bytes: The whole file.
    """

    path: Path
    received_ns: int
    inode: int
    size_bytes: int

    @property
    def name(self) -> str:
        """Its name in the queue."""
        return self.path.name


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an entry is in failed/.

    Attributes:
        reason: A fixed word.
        status: The destination's status word (PS3.7 C), if it gave one.
        attempts: Attempts since the courier was started.
        time: When it was given up, UTC.
    """

    reason: str
    status: int | None = None
    attempts: int = 0
    time: datetime | None = None

    def encode(self) -> bytes:
        """As the reason file has it."""
        document = {
            "reason": self.reason,
            "status": None if self.status is None else f"{self.status:04X}H",
            "attempts": self.attempts,
            "time": None
            if self.time is None
            else self.time.astimezone(UTC).isoformat("T", "seconds"),
        }
        return json.dumps(document, indent=2).encode() + b"\n"

    @classmethod
    def decode(cls, content: bytes) -> "Failure":
        """Read a reason file. One that cannot be read says `unknown`."""
        try:
            document = json.loads(content)
            status = document["status"]
            time = document["time"]
            return cls(
                reason=str(document["reason"]),
                status=None if status is None else int(status.removesuffix("H"), 16),
                attempts=int(document["attempts"]),
                time=None if time is None else datetime.fromisoformat(time),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls(reason="unknown")


class QueueDirectory:
    """The queue of one destination. Processes may share it; the spool made its directories.

    Args:
        spool: The spool.
        destination: Name of the destination, a safe file name.
    """

    def __init__(self, spool: Path, destination: str) -> None:
        if destination != Path(destination).name or destination in {"", ".", ".."}:
            raise ValueError("destination is not a safe file name")
        self.destination = destination
        self._waiting = spool / "queue" / destination
        self._failed = spool / "failed" / destination

    def waiting(self, limit: int, skipping: Collection[str] = ()) -> tuple[list[Entry], int]:
        """The oldest entries that wait, oldest first.

        Args:
            limit: How many at most.
            skipping: Names to leave out.

        Returns:
            The entries, and how many wait altogether, those left out included.

        Raises:
            OSError: The queue cannot be read.
        """
        total = 0

        def wanted() -> Iterator[_Found]:
            nonlocal total
            for found in _scan(self._waiting):
                total += 1
                if found[1] not in skipping:
                    yield found

        oldest = heapq.nsmallest(limit, wanted())
        return [_entry(self._waiting, found) for found in oldest], total

    def claim(self) -> int | None:
        """Be the one that delivers this queue: two would deliver each entry twice.

        Returns:
            A descriptor; the claim ends when it is closed, or its process ends. None:
            another one has it.

        Raises:
            OSError: The spool is not available.
        """
        descriptor = os.open(self._waiting / _LANE_NAME, _CLAIM, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def open(self, entry: Entry) -> DicomFile:
        """Look what an entry is, once nobody can take it back any more.

        A commit links the file here before it is complete, and may still fail: until then a
        receiver holds a lock on it (`spool.placement`). What is delivered by then would be
        delivered although its sender was told that it is not stored.

        Raises:
            BlockingIOError: Its commit is under way; it is to be looked at again.
            FileNotFoundError: It is not in the queue any more.
            OSError: It cannot be read.
            Part10Error: It is no DICOM file.
        """
        descriptor = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            _require(entry)
            return DicomFile.examine(entry.path, descriptor)[0]
        finally:
            os.close(descriptor)

    def is_waiting(self, name: str) -> bool:
        """Whether there is an entry of this name."""
        return os.path.lexists(self._waiting / name)

    def failed(self, limit: int | None = None) -> list[tuple[Entry, Failure]]:
        """The entries in failed/ and why, oldest first.

        Args:
            limit: How many at most; None: all.

        Raises:
            OSError: It cannot be read.
        """
        failed = []
        scanned = _scan(self._failed)
        for found in sorted(scanned) if limit is None else heapq.nsmallest(limit, scanned):
            entry = _entry(self._failed, found)
            try:
                failure = Failure.decode(_reason_path(entry.path).read_bytes())
            except FileNotFoundError:
                failure = Failure(reason="unknown")
            failed.append((entry, failure))
        return failed

    def waiting_count(self) -> int:
        """How many entries wait."""
        return _count(self._waiting)

    def failed_count(self) -> int:
        """How many entries are in failed/."""
        return _count(self._failed)

    def done(self, entry: Entry) -> None:
        """The destination has it: it leaves the queue.

        Without fsync: an entry that a power failure brings back is sent once more. An entry
        of the same name that is another file stays: it was not sent.
        """
        with suppress(FileNotFoundError):
            if entry.path.stat(follow_symlinks=False).st_ino == entry.inode:
                entry.path.unlink()

    def fail(self, entry: Entry, failure: Failure) -> Entry:
        """Move an entry to failed/ with its reason beside, durably.

        At no moment, whatever fails or ends, is it in neither place.

        Returns:
            The failed entry; under another name if other bytes had its name there.

        Raises:
            FileNotFoundError: The entry is not in the queue any more.
            OSError: It cannot be moved; it is still in the queue.
        """
        with locked(self._failed):
            _require(entry)
            path = _place_failed(entry.path, self._failed, failure.encode())
            _leave(entry.path)
        return Entry(path, entry.received_ns, entry.inode, entry.size_bytes)

    def retry(self, entry: Entry) -> Entry:
        """Move a failed entry back to the queue, durably.

        Returns:
            The entry that waits.

        Raises:
            FileNotFoundError: The entry is not in failed/ any more.
            OSError: It cannot be moved; it is still in failed/.
        """
        with locked(self._failed):
            _require(entry)
            path = place(
                entry.path,
                self._waiting / entry.name,
                lambda name: os.link(entry.path, name),
            )
            sync_directory(self._waiting)
            _leave(entry.path)
            with suppress(FileNotFoundError):
                _reason_path(entry.path).unlink()
        return Entry(path, entry.received_ns, entry.inode, entry.size_bytes)

    def drop(self, entry: Entry) -> None:
        """Delete an entry undelivered. Only because a person said so.

        Raises:
            FileNotFoundError: The entry is not there any more.
            OSError: It cannot be deleted.
        """
        with locked(self._failed):
            _require(entry)
            entry.path.unlink()
            with suppress(FileNotFoundError):
                _reason_path(entry.path).unlink()
            sync_directory(entry.path.parent)


def _require(entry: Entry) -> None:
    """The entry is still what it was. Only under the lock does that last.

    Two who move the same inode in opposite directions would each take the other's name for
    their own, and both unlink.
    """
    if entry.path.stat(follow_symlinks=False).st_ino != entry.inode:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def _place_failed(source: Path, directory: Path, reason: bytes) -> Path:
    """Link into failed/, the reason first, both durable; nothing is left if that fails."""
    made: list[Path] = []

    def take(name: Path) -> None:
        write_durable(_reason_path(name), reason)
        made.append(_reason_path(name))
        os.link(source, name)
        made.append(name)

    try:
        target = place(source, directory / source.name, take)
        if not made:
            write_durable(_reason_path(target), reason)
        sync_directory(directory)
    except OSError:
        for path in reversed(made):
            path.unlink(missing_ok=True)
        raise
    return target


def _leave(source: Path) -> None:
    """Unlink the old name, the new one being durable.

    rename(2) would leave both names where both are the same inode already, as after a
    kill between the two steps or a second commit of the same object.
    """
    source.unlink()
    sync_directory(source.parent)


def _scan(directory: Path) -> Iterator[_Found]:
    """What lies there. Plain tuples: a queue may have a million of them."""
    with os.scandir(directory) as found:
        for item in found:
            if _is_entry(item.name):
                try:
                    status = item.stat(follow_symlinks=False)
                except FileNotFoundError:  # delivered by now
                    continue
                yield status.st_mtime_ns, item.name, status.st_ino, status.st_size


def _entry(directory: Path, found: _Found) -> Entry:
    received_ns, name, inode, size_bytes = found
    return Entry(directory / name, received_ns, inode, size_bytes)


def _count(directory: Path) -> int:
    with os.scandir(directory) as found:
        return sum(1 for item in found if _is_entry(item.name))


def _is_entry(name: str) -> bool:
    return name.endswith(SUFFIX) and not name.startswith(".")


def _reason_path(path: Path) -> Path:
    return path.with_name(path.name + _REASON_SUFFIX)
