"""Since when the ledger knows everything: what was journalled by then has been read.

A recorder that is behind makes every study look quiet. So the ends of the journals are
noted with the time, and once the ledger has read to all of them it is as fresh as that.
This module writes nothing.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from dicomanon_node.ledger.journal import DIRECTORY, SUFFIX
from dicomanon_node.ledger.records import LONGEST_BYTES


class Freshness:
    """How fresh a ledger is. Not thread-safe.

    Args:
        spool: The spool.
        now_us: Time of day, microseconds, as the journals have it.
    """

    def __init__(self, spool: Path, now_us: Callable[[], int]) -> None:
        self._directory = spool / DIRECTORY
        self._now_us = now_us
        self._noted_at = 0
        self._ends: dict[str, int] | None = None
        self._fresh_at = 0

    def look(self, positions: Callable[[], Mapping[str, int]]) -> int:
        """The time up to which the ledger knows everything, microseconds; 0: not known yet.

        Args:
            positions: Asks the ledger how far it has read each journal.

        Raises:
            OSError: The journals cannot be read.
        """
        if self._ends is not None:
            # Which journals are there is asked before: one that is gone has been read to its end.
            there = set(_names(self._directory))
            read = positions()
            if all(
                name not in there or read.get(name, 0) >= end for name, end in self._ends.items()
            ):
                self._fresh_at, self._ends = self._noted_at, None
        if self._ends is None:
            self._noted_at = self._now_us()
            self._ends = {name: _end(self._directory / name) for name in _names(self._directory)}
        return self._fresh_at


def _names(directory: Path) -> list[str]:
    try:
        return [
            entry.name
            for entry in os.scandir(directory)
            if entry.name.endswith(SUFFIX) and not entry.name.startswith(".")
        ]
    except FileNotFoundError:  # nobody has written yet
        return []


def _end(journal: Path) -> int:
    """Where its last whole line ends, bytes; a torn one is not read before the next."""
    with suppress(FileNotFoundError):
        file = os.open(journal, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            size = os.fstat(file).st_size
            start = max(size - LONGEST_BYTES, 0)
            tail = os.pread(file, size - start, start)
        finally:
            os.close(file)
        found = tail.rfind(b"\n")
        return start + found + 1 if found >= 0 else 0
    return 0
