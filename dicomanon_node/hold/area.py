"""The hold's directories: an entry is durable before anybody is told that it is there.

`Area.begin` gives an `Inflow`, which seals one object into incoming/ and, at its
commit, names it in entries/. `Area.entries` lists what is held (`entry`). What this
module does not do: log, or know why.
"""

import errno
import fcntl
import itertools
import os
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from dicomanon_node.errors import NodeError, Reason
from dicomanon_node.hold.entry import SUFFIX, Entry
from dicomanon_node.hold.label import Contents, Label
from dicomanon_node.hold.sealing import (
    SALT_BYTES,
    Chunk,
    KeyRing,
    Sealer,
    SealError,
)
from dicomanon_node.spool import preparation
from dicomanon_node.spool.medium import Medium

_MODE: Final = 0o700
_NEW_FILE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_STEP_BYTES: Final = 1 << 20
_COUNT_AGAIN_S: Final = 1.0
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_ABANDONED_S: Final = 60.0
"""A file in incoming/ that nobody has locked is left to itself so long, seconds: it may be one
that is just being made."""


class HoldError(NodeError):
    """An object cannot be held. The text is one of a few fixed words.

    Attributes:
        code: `hold-full`, `disk-full`, `hold-unavailable` or `not-kept`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may lie in the hold.

    Attributes:
        max_bytes: Of all entries together; 0 knows no bound.
        low_water_bytes: Less than this free on the disk, and nothing more is held.
    """

    max_bytes: int = 0
    low_water_bytes: int = 0


class Area:
    """The hold of one spool. Thread-safe, and may be used by several processes.

    Args:
        root: `<spool>/hold`.
        keys: The hold's keys.
        bounds: How much may lie there.
        sync: False leaves durability to the kernel, as for the spool.
    """

    def __init__(
        self,
        root: Path,
        keys: KeyRing,
        bounds: Bounds = Bounds(),
        *,
        sync: bool = True,
    ) -> None:
        self.root = root.absolute()
        self.keys = keys
        self.medium = Medium(is_synced=sync)
        self._bounds = bounds
        self._numbers = itertools.count()
        self._counting = threading.Lock()
        self._used_bytes = 0
        self._count_again = 0.0

    @property
    def incoming(self) -> Path:
        """Where objects are sealed."""
        return self.root / "incoming"

    @property
    def held(self) -> Path:
        """Where they lie."""
        return self.root / "entries"

    @property
    def notes(self) -> Path:
        """What commands leave for the node's log; see `notes`."""
        return self.root / "notes"

    def prepare(self) -> None:
        """Make the directories.

        Raises:
            ConfigError: They cannot be made.
        """
        for directory in (self.root, self.incoming, self.held, self.notes):
            preparation.make(directory, _MODE, self.medium)
            preparation.close_to_others(directory)

    def sweep(self, now: float | None = None) -> int:
        """Remove what somebody began to seal and did not end, as after a kill.

        Args:
            now: Time of day, seconds; for tests.

        Returns:
            How many files were removed.

        Raises:
            OSError: incoming/ cannot be read or written.
        """
        removed = 0
        for path in list(self.incoming.iterdir()):
            with suppress(FileNotFoundError, BlockingIOError):
                file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    age = (time.time() if now is None else now) - os.fstat(file).st_mtime
                    if age > _ABANDONED_S:
                        path.unlink()
                        removed += 1
                finally:
                    os.close(file)
        return removed

    def begin(self, label: Label, contents: Contents) -> "Inflow":
        """Begin to hold an object; `entry`, `key_id` and `salt` of the label are made here.

        Raises:
            HoldError: There is no room, or no disk.
        """
        label = replace(
            label,
            entry=secrets.token_hex(8),
            key_id=self.keys.current.key_id,
            salt=secrets.token_bytes(SALT_BYTES),
        )
        try:
            self.check_room(0)
            path = self.incoming / f"{os.getpid()}-{next(self._numbers)}-{label.entry}"
            file = os.open(path, _NEW_FILE, preparation.SPOOL_FILE_MODE)
        except OSError as error:
            raise _fault(error) from None
        return Inflow(self, label, contents, path, file)

    def check_room(self, size: int) -> None:
        """Make sure that so many bytes more may lie here.

        What other processes hold in the same second is not known yet.

        Raises:
            HoldError: They may not.
            OSError: The disk cannot be asked.
        """
        status = os.statvfs(self.root)
        if status.f_bavail * status.f_frsize < self._bounds.low_water_bytes:
            raise HoldError("disk-full")
        if not self._bounds.max_bytes:
            return
        with self._counting:
            now = time.monotonic()
            if now >= self._count_again:
                self._used_bytes = self._counted_bytes()
                self._count_again = now + _COUNT_AGAIN_S
            if self._used_bytes + size > self._bounds.max_bytes:
                raise HoldError("hold-full")

    def added(self, size: int) -> None:
        """So many bytes lie here, more than were counted."""
        with self._counting:
            self._used_bytes += size

    def entries(self) -> list[Entry]:
        """What is held, oldest first. What is no hold file is left out; see `unreadable`.

        Raises:
            OSError: The directory cannot be read.
        """
        found = []
        for path in self._files():
            with suppress(SealError, FileNotFoundError):
                found.append(Entry.examine(self, path))
        return sorted(found, key=lambda entry: (entry.label.held, entry.label.entry))

    def count(self) -> int:
        """How many objects are held.

        Raises:
            OSError: The directory cannot be read.
        """
        return sum(1 for _ in self._files())

    def unreadable(self) -> list[str]:
        """Names of files in entries/ that are no hold files."""
        found = []
        for path in self._files():
            try:
                Entry.examine(self, path)
            except SealError:
                found.append(path.name)
            except FileNotFoundError:
                continue
        return sorted(found)

    def sync_names(self, directory: Path) -> None:
        """Make every entry of a directory durable.

        Raises:
            OSError: It cannot be done.
        """
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.medium.sync_names((handle,))
        finally:
            os.close(handle)

    def _counted_bytes(self) -> int:
        total = 0
        for path in itertools.chain(self._files(), self.incoming.iterdir()):
            with suppress(FileNotFoundError):  # ended just now
                total += path.stat().st_size
        return total

    def _files(self) -> Iterator[Path]:
        return (path for path in self.held.iterdir() if path.name.endswith(SUFFIX))


class Inflow:
    """One object on its way into the hold. Not thread-safe. Raises `HoldError` only.

    Whatever is raised, the file is gone. It ends with `commit` or `discard`.
    """

    def __init__(self, area: Area, label: Label, contents: Contents, path: Path, file: int) -> None:
        self.label = label
        self._area = area
        self._path = path
        self._file = file
        self._size_bytes = 0
        self._checked_bytes = 0
        self._data_bytes = 0
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._sealer = Sealer(area.keys.current, label.salt, label.encode(), self._write)
            self._sealer.feed(contents.encode())
        except (OSError, ValueError) as error:
            self._abolish()
            raise _fault(error) from None

    @property
    def size_bytes(self) -> int:
        """Bytes of the data set so far."""
        return self._data_bytes

    def feed(self, data: Chunk) -> None:
        """Seal more of the original data set (PHI)."""
        try:
            self._sealer.feed(data)
            self._data_bytes += len(data)
            if self._size_bytes - self._checked_bytes >= _STEP_BYTES:
                self._area.check_room(self._size_bytes)
                self._checked_bytes = self._size_bytes
        except (OSError, HoldError) as error:
            self.discard()
            raise _fault(error) from None

    def commit(self) -> None:
        """Make it durable: data, then name. After this it is held, whatever happens."""
        if self._file < 0:
            raise HoldError("hold-unavailable")
        target = self._area.held / f"{self.label.entry}{SUFFIX}"
        try:
            self._sealer.finish()
            self._area.check_room(self._size_bytes)
            self._area.medium.sync_data(self._file)
            self._path.rename(target)
            self._area.sync_names(self._area.held)
        except (OSError, HoldError) as error:
            with suppress(OSError):
                target.unlink()
            self.discard()
            raise _fault(error) from None
        self._area.added(self._size_bytes)
        self._close()

    def discard(self) -> None:
        """Leave nothing. Never raises, and may be called again."""
        if self._file >= 0:
            self._abolish()

    def _abolish(self) -> None:
        with suppress(OSError):
            self._path.unlink()
        self._close()

    def _close(self) -> None:
        file, self._file = self._file, -1
        with suppress(OSError):
            os.close(file)
        if hasattr(self, "_sealer"):
            self._sealer.forget()

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            count = os.write(self._file, view)
            self._size_bytes += count
            view = view[count:]


def _fault(error: Exception) -> HoldError:
    if isinstance(error, HoldError):
        return error
    if isinstance(error, OSError) and error.errno in _FULL:
        return HoldError("disk-full")
    return HoldError("hold-unavailable")


def held_reasons(codes: Sequence[str]) -> frozenset[Reason]:
    """The reasons of these codes."""
    return frozenset(reason for reason in Reason if reason.code in codes)
