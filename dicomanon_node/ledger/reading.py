"""Journals as the recorder reads them: whole lines only, and never removed while in use.

A journal whose lock (flock) can be taken belongs to a process that has ended, or has
begun another: nothing more comes, and once read to its end it is removed. A last line
without its line break was torn by that end, and a line that is no record was torn by a
full disk: both are counted and skipped.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicomanon_node.ledger.journal import DIRECTORY, DIRECTORY_MODE, SUFFIX
from dicomanon_node.ledger.records import LONGEST_BYTES, Record, RecordError, decode

CHUNK_BYTES: Final = 64 * LONGEST_BYTES
"""What is read of a journal at a time."""

_HIDDEN: Final = "."


@dataclass(frozen=True, slots=True)
class Piece:
    """What was read of a journal in one go.

    Attributes:
        records: In their order.
        offset: Where to go on, bytes from the beginning.
        torn_count: Lines that were no records.
        is_over: The writer is gone and all has been read.
    """

    records: list[Record]
    offset: int
    torn_count: int
    is_over: bool


class Journals:
    """The journals of all processes of a node. One reader at a time.

    Args:
        spool: The spool.
    """

    def __init__(self, spool: Path) -> None:
        self._directory = spool / DIRECTORY

    def claim(self) -> int:
        """Keep every other reader away, which would count what this one counts.

        Returns:
            The descriptor that holds the lock.

        Raises:
            OSError: There is another reader, or no spool.
        """
        self._directory.mkdir(DIRECTORY_MODE, exist_ok=True)
        file = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(file)
            raise
        return file

    def names(self) -> list[str]:
        """Those that are there, the oldest first.

        Raises:
            OSError: The directory cannot be read.
        """
        try:
            found = [entry.name for entry in os.scandir(self._directory)]
        except FileNotFoundError:  # nobody has written yet
            return []
        return sorted(
            (name for name in found if name.endswith(SUFFIX) and not name.startswith(_HIDDEN)),
            key=_age,
        )

    def read(self, name: str, offset: int) -> Piece:
        """Read on in a journal.

        Args:
            name: Which.
            offset: Where to begin.

        Raises:
            OSError: It cannot be read.
        """
        with _opened(self._directory / name) as file:
            # Asked first: what is written before the lock is free is read below.
            is_left = _is_left(file)
            content = os.pread(file, CHUNK_BYTES, offset)
        end = content.rfind(b"\n") + 1
        torn_count = 0
        if not end and (len(content) == CHUNK_BYTES or (is_left and content)):
            end, torn_count, lines = len(content), 1, []
        else:
            lines = content[:end].split(b"\n")
        is_over = is_left and len(content) < CHUNK_BYTES
        if is_over and end < len(content):
            end, torn_count = len(content), 1
        records = []
        for line in lines:
            if not line:
                continue
            try:
                records.append(decode(line))
            except RecordError:
                torn_count += 1
        return Piece(records, offset + end, torn_count, is_over)

    def remove(self, names: list[str]) -> None:
        """Remove journals that are over, durably.

        Raises:
            OSError: One of them cannot be removed.
        """
        for name in names:
            (self._directory / name).unlink(missing_ok=True)
        self.settle()

    def settle(self) -> None:
        """Remove what a killed process left before its first record; make removals durable.

        Raises:
            OSError: It cannot be done.
        """
        try:
            directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            for entry in os.listdir(directory):  # noqa: PTH208  (by descriptor)
                if entry.startswith(_HIDDEN) and entry.endswith(SUFFIX):
                    with suppress(FileNotFoundError), _opened(self._directory / entry) as file:
                        if _is_left(file):
                            os.unlink(entry, dir_fd=directory)
            os.fsync(directory)
        finally:
            os.close(directory)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        yield file
    finally:
        os.close(file)


def _is_left(file: int) -> bool:
    """Whether nobody writes any more. The lock is given back with the descriptor."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _age(name: str) -> tuple[int, str]:
    made = name.removesuffix(SUFFIX).rpartition("-")[2]
    return int(made) if made.isdecimal() else 0, name
