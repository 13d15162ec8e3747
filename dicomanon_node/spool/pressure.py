"""Which queues hold as much as they may, seen by all processes.

The supervisor counts and notes, receivers look before they begin to write an object:
one read of shared memory. Made before the fork. What this module does not do: count,
or decide what is too much.
"""

import mmap
from collections.abc import Collection, Sequence


class Pressure:
    """A flag for each destination.

    Args:
        destinations: Names of all configured destinations.
    """

    def __init__(self, destinations: Sequence[str]) -> None:
        self._places = {name: place for place, name in enumerate(destinations)}
        self._board = mmap.mmap(-1, max(1, len(destinations)))

    def note(self, destination: str, *, is_full: bool) -> None:
        """Tell all processes of a queue."""
        self._board[self._places[destination]] = is_full

    def is_any_full(self, destinations: Collection[str]) -> bool:
        """Whether one of these queues may take no more."""
        return any(self._board[self._places[name]] for name in destinations)

    def full(self) -> list[str]:
        """Names of the destinations whose queue may take no more."""
        return [name for name, place in self._places.items() if self._board[place]]
