"""What a kind of destination has to do. No behaviour.

A new kind (STOW-RS, an object store) is a class with these methods and a line in
`courier.transport_for`.
"""

from collections.abc import Sequence
from typing import Protocol

from dicomanon_node.errors import DeferredError
from dicomanon_node.network.part10 import DicomFile


class LostError(DeferredError):
    """The destination went away with this instance on its way. Either may be the cause."""


class Transport(Protocol):
    """The way to one destination. Used by one thread, but for `interrupt`."""

    def prepare(self, instances: Sequence[DicomFile]) -> None:
        """Get ready to deliver these: connect, or keep what is connected.

        Raises:
            DeferredError: The destination cannot be reached or does not let us in.
        """

    def deliver(self, instance: DicomFile) -> int | None:
        """Hand over one of the instances prepared for.

        Returns:
            Once the destination is responsible for the instance: its status word, if its
            kind has such.

        Raises:
            RejectedError: Permanent; the next instance may be delivered.
            LostError: See there. `prepare` has to be called before the next.
            DeferredError: Temporary, not this instance's fault. `prepare` likewise.
            OSError: The file cannot be read. `prepare` likewise.
        """

    def close(self) -> None:
        """End in an orderly way what is open. May be called again."""

    def interrupt(self) -> None:
        """From another thread: make what is under way fail soon."""
