"""What is told of deliveries: as events for the log, and how each instance leaves its queue.

Says nothing itself; whoever runs the courier is told.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from dicomanon_node.network.part10 import DicomFile


class Observe(Protocol):
    """Told what happens. Called from several threads; must not raise.

    Events and facts are those declared as `delivery.*` and `destination.*` in `ops.events`.
    """

    def __call__(self, event: str, **facts: object) -> None:
        """Take note of an event."""


class Ended(NamedTuple):
    """How an instance left the queue.

    Attributes:
        destination: Its name.
        sop_instance_uid: Of the de-identified object.
        is_delivered: Else it has failed for good.
        status: The destination's status word, if it gave one.
        reason: Why it failed, a fixed word.
        attempts: This one included.
    """

    destination: str
    sop_instance_uid: str
    is_delivered: bool
    status: int | None
    reason: str
    attempts: int


TellEnded = Callable[[Ended], None]
"""Told how each instance leaves the queue; from several threads, must not raise."""


def tell_nobody(_ended: Ended) -> None:
    """For whoever keeps no record."""


def facts_of(instance: DicomFile) -> dict[str, object]:
    """What may be told of an instance: its UIDs are those of the de-identified object."""
    return {
        "sop_instance_uid": instance.sop_instance_uid,
        "sop_class": instance.sop_class_uid,
        "transfer_syntax": instance.transfer_syntax_uid,
    }
