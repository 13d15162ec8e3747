"""What the network asks of the rest of the node: the contract, no behaviour.

The protocol never imports its handlers. `association` is given a
`StorageService` and calls it for every C-STORE-RQ (PS3.7 9.1.1, PS3.4 B).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dicomanon_node.errors import Reason, Status


@dataclass(slots=True)
class AssociationFacts:
    """What is known of an association. AE titles are the peer's text: judge before logging.

    Attributes:
        association_id: Made by us, unique, safe to log.
        calling_aet: Calling AE title as received, stripped (PS3.8 9.3.2).
        called_aet: Called AE title as received, stripped.
        peer_address: The requestor's IP address.
        stored_count: Instances answered 0000H so far.
        refused_count: Instances answered with a failure so far.
        received_bytes: Data set bytes received so far.
    """

    association_id: str
    calling_aet: str
    called_aet: str
    peer_address: str
    stored_count: int = 0
    refused_count: int = 0
    received_bytes: int = field(default=0)


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """A C-STORE-RQ command set (PS3.7 9.3.1.1), as far as it matters here.

    The UIDs are the requestor's text (PHI: they identify the original instance).
    """

    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    presentation_context_id: int
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a C-STORE ends: the status word and, for failures, a fixed comment (LO, 64)."""

    status: Status
    comment: str = ""

    @classmethod
    def refused(cls, reason: Reason) -> "Outcome":
        """The outcome for a refusal reason."""
        return cls(reason.status, reason.comment)


class Instance(Protocol):
    """One SOP Instance while it is received. Not thread-safe; one association owns it."""

    def write(self, fragments: Sequence[memoryview]) -> None:
        """Take the next data set fragments.

        The views point into the socket buffer and are valid only during the call. Never
        raises for what is wrong with the object: that is remembered and told by `finish`.
        """

    def finish(self) -> Outcome:
        """The last fragment has come. Returns 0000H only if the instance is durable."""

    def abandon(self) -> None:
        """The association is lost before the last fragment. Leaves nothing behind."""


class StorageService(Protocol):
    """Where received instances go. Used from many association threads at once."""

    def begin(self, request: StoreRequest, association: AssociationFacts) -> Instance:
        """Start to take one instance. Never raises for what is wrong with the request."""
