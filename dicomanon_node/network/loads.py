"""How many connections each receiver process has, seen by all of them.

Made before the fork. A receiver that has more than another leaves a new connection to
it for a moment, so that associations that open together do not end up in one process while
another has nothing to do. Only a hint: a count that a killed process left behind costs its
siblings that moment, until its successor overwrites it.
"""

import mmap
import struct
from typing import Final

_COUNT = struct.Struct("=I")

PATIENCE_MS: Final = 20
"""Milliseconds in which a process that has less to do takes a connection, if it is alive."""

FULL_PATIENCE_MS: Final = 100
"""The same, if this process could only reject the association that may be asked for."""

LOOK_MS: Final = 1
"""Milliseconds after which who waits looks whether there still is one that has less to do."""


FULL: Final = 0xFFFF_FFFF
"""Shown instead of a count by a process that can take no further association."""


class Load:
    """The load of one process beside that of its siblings.

    Args:
        board: Shared memory with a count for each process.
        number: Which one is ours.
    """

    def __init__(self, board: mmap.mmap, number: int) -> None:
        self._board = board
        self._offset = number * _COUNT.size
        self._count = 0

    def show(self, count: int, is_full: bool = False) -> None:
        """Tell the others how many connections there are here, or that there is no room."""
        self._count = FULL if is_full else count
        _COUNT.pack_into(self._board, self._offset, self._count)

    @property
    def is_above_others(self) -> bool:
        """Whether a sibling has fewer connections."""
        return any(count < self._count for (count,) in _COUNT.iter_unpack(self._board))


def loads(process_count: int) -> list[Load]:
    """The loads of so many processes, to be made before they are forked."""
    board = mmap.mmap(-1, process_count * _COUNT.size)
    return [Load(board, number) for number in range(process_count)]
