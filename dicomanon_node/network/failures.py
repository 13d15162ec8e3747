"""What can go wrong between a requestor and its peer.

    NodeError
    ├── AssociationError             there is no association, or no longer
    │   ├── ConnectionFailedError    no TCP connection was made
    │   ├── AssociationRejectedError A-ASSOCIATE-RJ
    │   ├── AssociationAbortedError  A-ABORT
    │   ├── ConnectionLostError      the peer closed or released it under our feet
    │   ├── PeerTimeoutError         the peer did not go on in time
    │   └── ProtocolError            the peer sent what PS3.8 does not allow there
    └── NotSendableError             the association stands, this instance cannot be sent on it
        └── ContextNotAcceptedError

All of `AssociationError` is temporary by nature. Every text is one of our fixed
words; numbers of the peer are kept as attributes, its free text is not kept at all.
"""

from typing import Final

from dicomanon_node.errors import NodeError

# PS3.8 Table 9-21, by source and reason; those that tell somebody what to do.
_REJECTIONS: Final = {
    (1, 3): "calling-aet-not-recognised",
    (1, 7): "called-aet-not-recognised",
    (3, 1): "rejected-congested",
    (3, 2): "rejected-limit-exceeded",
}


class AssociationError(NodeError):
    """There is no association, or no longer. The requestor's connection is closed.

    Attributes:
        code: A fixed word for logs.
    """

    code = "association-failed"

    def __init__(self, code: str = "") -> None:
        self.code = code or self.code
        super().__init__(self.code)


class ConnectionFailedError(AssociationError):
    """No TCP connection: refused, unreachable, name unknown or no answer in time; or no TLS."""

    code = "connection-failed"


class AssociationRejectedError(AssociationError):
    """The peer rejected the association (PS3.8 9.3.4).

    Attributes:
        result: 1 permanent, 2 transient.
        source: 1 service user, 2 service provider (ACSE), 3 service provider (presentation).
        diagnostic: Reason, by source; of source 1: 3 calling AE title, 7 called AE title
            not recognised.
    """

    def __init__(self, result: int, source: int, diagnostic: int) -> None:
        super().__init__(_REJECTIONS.get((source, diagnostic), "rejected"))
        self.result = result
        self.source = source
        self.diagnostic = diagnostic


class AssociationAbortedError(AssociationError):
    """The peer aborted the association (PS3.8 9.3.8).

    Attributes:
        source: 0 service user, 2 service provider.
        reason: Meaningful for source 2.
    """

    code = "aborted"

    def __init__(self, source: int, reason: int) -> None:
        super().__init__()
        self.source = source
        self.reason = reason


class ConnectionLostError(AssociationError):
    """The connection ended without an A-ABORT, or the peer asked for its release."""

    code = "connection-lost"


class PeerTimeoutError(AssociationError):
    """The peer neither took nor sent a byte for too long, or did not answer in time."""

    code = "timed-out"


class ProtocolError(AssociationError):
    """The peer sent a PDU or message that is malformed, too long or out of place."""

    code = "protocol-error"


class NotSendableError(NodeError):
    """This instance cannot be sent; nothing of it was.

    Attributes:
        code: `odd-dataset` (fragments are of even length: PS3.8 Annex E.1), or as said in
            `ContextNotAcceptedError`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class ContextNotAcceptedError(NotSendableError):
    """The peer does not take this SOP class in this transfer syntax (PS3.8 9.3.3.2).

    Its code is `sop-class-not-accepted`, `transfer-syntax-not-accepted`, `role-not-accepted` or
    `context-not-accepted` (no reason given, or it was never proposed).
    """
