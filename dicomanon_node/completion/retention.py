"""Retention of outgoing: what is old enough goes, and never what is not delivered.

A file goes only if the ledger says that the node wrote it, that it was received last
before the time in question, and that each destination it was ever queued for has it since. And
then only if the file itself agrees, which is looked at while nobody can change it: the name is
an ordinary file of the node's user, with no other name (a queue's or failed/'s entry is another
name of it), unchanged for as long, and in no queue and no failed/ by name.

A receiver that finds the same bytes under the name waits for our lock, and then either
finds the name gone and links its own, or has renewed the file's ctime before, which we see
(`spool.placement`). Links are never followed. Directories that are left empty go as well,
if they are the node user's; the outgoing tree itself stays.
"""

import fcntl
import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import groupby
from pathlib import Path
from typing import Final

from dicomanon_node.ledger.removals import Old, Removals
from dicomanon_node.spool.incoming import check_component

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WAITING: Final = ("queue", "failed")


@dataclass(slots=True)
class Swept:
    """What a sweep has done, or would have.

    Attributes:
        removed: Files.
        bytes_count: Their sizes.
        directories: That were left empty.
        kept: Files whose age is over and that the ledger would let go, but they are in use.
        gone: Files that somebody else has removed.
    """

    removed: int = 0
    bytes_count: int = 0
    directories: int = 0
    kept: int = 0
    gone: int = 0


class _Fate(Enum):
    GOES = auto()
    GONE = auto()
    STAYS = auto()


class Retention:
    """Removes what is old from outgoing. One sweep at a time.

    Args:
        outgoing: The outgoing tree.
        spool: The spool, where queues and failed/ are.
        removals: The ledger.
        now_us: Time of day, microseconds.
        tell: Called with each file that goes, relative to outgoing.
    """

    def __init__(
        self,
        outgoing: Path,
        spool: Path,
        removals: Removals,
        now_us: Callable[[], int],
        tell: Callable[[str, int], None] = lambda _path, _size: None,
    ) -> None:
        self._outgoing = outgoing
        self._spool = spool
        self._removals = removals
        self._now_us = now_us
        self._tell = tell

    def sweep(
        self, before: int, stop: threading.Event | None = None, *, is_dry: bool = False
    ) -> Swept:
        """Remove what has not been received, and not been changed, since a time.

        Args:
            before: Microseconds.
            stop: Ends the sweep early.
            is_dry: Only look what would go.

        Raises:
            OSError: Outgoing or the spool is not available.
            SQLAlchemyError: The ledger does not work.
        """
        swept = Swept()
        after = 0
        while not (stop is not None and stop.is_set()):
            files = self._removals.over(before, after)
            if not files:
                break
            after = files[-1].id
            over: list[Old] = []
            by_directory = sorted(files, key=lambda file: file.directory)
            for directory, group in groupby(by_directory, key=lambda file: file.directory):
                over += self._sweep_directory(directory, list(group), before, swept, is_dry=is_dry)
            if over and not is_dry:
                self._removals.removed(over, self._now_us())
        return swept

    def _sweep_directory(
        self, directory: str, files: Sequence[Old], before: int, swept: Swept, *, is_dry: bool
    ) -> list[Old]:
        """Remove files of one directory; those that are gone now, durably."""
        parts = [part for part in directory.split("/") if part]
        try:
            for part in (*parts, *(file.file_name for file in files)):
                check_component(part)
            opened = self._open(parts)
        except ValueError:  # not a name this program writes
            swept.kept += len(files)
            return []
        except FileNotFoundError:
            swept.gone += len(files)
            return list(files)
        except NotADirectoryError:  # a link, or something else that the node did not make
            swept.kept += len(files)
            return []
        over = []
        try:
            for file in files:
                fate, size = self._remove(opened, file, before, is_dry=is_dry)
                if fate is _Fate.STAYS:
                    swept.kept += 1
                    continue
                over.append(file)
                if fate is _Fate.GONE:
                    swept.gone += 1
                    continue
                swept.removed += 1
                swept.bytes_count += size
                self._tell("/".join((*parts, file.file_name)), size)
            if over and not is_dry:
                os.fsync(opened)
        finally:
            os.close(opened)
        if over and not is_dry:
            swept.directories += self._remove_empty(parts)
        return over

    def _open(self, parts: Sequence[str]) -> int:
        # The outgoing tree may be a link of the site's; nothing below it may.
        opened = os.open(self._outgoing, _DIRECTORY)
        for part in parts:
            try:
                inner = os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=opened)
            finally:
                os.close(opened)
            opened = inner
        return opened

    def _remove(self, directory: int, old: Old, before: int, *, is_dry: bool) -> tuple[_Fate, int]:
        try:
            file = os.open(old.file_name, _FILE, dir_fd=directory)
        except FileNotFoundError:
            return _Fate.GONE, 0
        except OSError:  # a link, a device, not readable: not as the node wrote it
            return _Fate.STAYS, 0
        try:
            # Before looking: whoever commits or finds this file from now on waits.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = os.fstat(file)
            if not _is_as_written(status, before) or self._is_waiting(old):
                return _Fate.STAYS, 0
            named = os.stat(old.file_name, dir_fd=directory, follow_symlinks=False)
            if not os.path.samestat(named, status):
                return _Fate.STAYS, 0
            if not is_dry:
                os.unlink(old.file_name, dir_fd=directory)
        except BlockingIOError:
            return _Fate.STAYS, 0
        except FileNotFoundError:
            return _Fate.GONE, 0
        finally:
            os.close(file)
        return _Fate.GOES, status.st_size

    def _is_waiting(self, old: Old) -> bool:
        """Whether it is in a queue or in failed/, of whichever destination there ever was."""
        names = {old.file_name, f"{old.sop_instance_uid}.dcm"}
        return any(
            os.path.lexists(os.path.join(directory, name))  # noqa: PTH118  (for each file)
            for directory in self._waiting_directories()
            for name in names
        )

    def _waiting_directories(self) -> Iterator[str]:
        for kind in _WAITING:
            with os.scandir(self._spool / kind) as found:
                yield from [entry.path for entry in found if entry.is_dir(follow_symlinks=False)]

    def _remove_empty(self, parts: Sequence[str]) -> int:
        """Remove a directory, and those above it, as far as they are empty and ours."""
        count = 0
        for depth in range(len(parts), 0, -1):
            try:
                parent = self._open(parts[: depth - 1])
            except (FileNotFoundError, NotADirectoryError):
                return count
            try:
                status = os.stat(parts[depth - 1], dir_fd=parent, follow_symlinks=False)
                if status.st_uid != os.geteuid():
                    return count
                os.rmdir(parts[depth - 1], dir_fd=parent)
                os.fsync(parent)
            except OSError:  # not empty: the usual case; or gone, or not to be removed by us
                return count
            finally:
                os.close(parent)
            count += 1
        return count


def _is_as_written(status: os.stat_result, before: int) -> bool:
    return (
        stat.S_ISREG(status.st_mode)
        and status.st_uid == os.geteuid()
        and status.st_nlink == 1
        and status.st_ctime_ns < before * 1000
    )
