"""What a kind of destination has to do. No behaviour.

A new kind (STOW-RS, an object store) is a class with these methods and a line in
`courier.transport_for`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dicomanon_node.errors import DeferredError, RejectedError
from dicomanon_node.network.part10 import DicomFile


class LostError(DeferredError):
    """The destination went away with instances on their way. Either may be the cause."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one instance that was sent.

    Attributes:
        instance: Which one: the very object that was sent.
        status: The destination's status word, if its kind has such.
        error: Why it was not taken; None if the destination is responsible for it now.
    """

    instance: DicomFile
    status: int | None = None
    error: DeferredError | RejectedError | None = None


class Transport(Protocol):
    """One way to a destination. Used by one thread, but for `interrupt`."""

    @property
    def window(self) -> int:
        """How many instances may be sent before an answer is waited for; holds after `prepare`."""

    def prepare(self, instances: Sequence[DicomFile]) -> None:
        """Get ready to send these: connect, or keep what is connected. None may be on its way.

        Raises:
            DeferredError: The destination cannot be reached or does not let us in.
        """

    def send(self, instance: DicomFile) -> None:
        """Send one of the instances prepared for; `answer` tells what became of it.

        Raises:
            RejectedError: Permanent, and not sent; others may follow.
            FileNotFoundError: The file is gone; not sent, others may follow.
            LostError: See there. `prepare` has to be called before the next.
            DeferredError: Temporary, not this instance's fault. `prepare` likewise.
            OSError: The file cannot be read. `prepare` likewise.
        """

    def answer(self) -> Answer:
        """Wait for the next answer to one of the instances on their way, in any order.

        Raises:
            LostError: See there. `prepare` has to be called before the next `send`.
        """

    def close(self) -> None:
        """End in an orderly way what is open. May be called again."""

    def interrupt(self) -> None:
        """From another thread: make what is under way fail soon."""
