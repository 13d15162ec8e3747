"""What the network asks of the rest of the node: the contract, no behaviour.

The protocol never imports its handlers. `association` is given a
`StorageService` and calls it for every C-STORE-RQ (PS3.7 9.1.1, PS3.4 B); what
became of an association is told to an `AssociationObserver`.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, NamedTuple, Protocol

from dicomanon_node.errors import Reason, Status
from dicomanon_node.network.peers import Peer, PeerCertificate

if TYPE_CHECKING:  # slow to import, rarely needed
    import ssl


@dataclass(slots=True)
class AssociationFacts:
    """What is known of an association. AE titles are the peer's text: judge before logging.

    Attributes:
        association_id: Made by us, unique, safe to log.
        calling_aet: Calling AE title as received, stripped (PS3.8 9.3.2).
        called_aet: Called AE title as received, stripped.
        peer_address: The requestor's IP address; behind a balancer what that says.
        tls_version: Of TLS, such as `TLSv1.3`; empty without.
        certificate: What the requestor has proved to hold; None without TLS or if not asked.
        stored_count: Instances answered 0000H so far.
        refused_count: Instances answered with a failure so far.
        received_bytes: Data set bytes received so far.
        opened: When it was opened, monotonic seconds.
    """

    association_id: str
    calling_aet: str
    called_aet: str
    peer_address: str
    tls_version: str = ""
    certificate: PeerCertificate | None = None
    stored_count: int = 0
    refused_count: int = 0
    received_bytes: int = 0
    opened: float = field(default_factory=time.monotonic)


class StoreRequest(NamedTuple):
    """A C-STORE-RQ command set (PS3.7 9.3.1.1), as far as it matters here.

    The UIDs are the requestor's text (PHI: they identify the original instance).
    """

    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    presentation_context_id: int
    transfer_syntax_uid: str


class Outcome(NamedTuple):
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

    def answered(self) -> None:
        """The outcome has been sent, or could not be.

        The time for what the peer need not wait for. Called once after `finish`, unless that
        raised.
        """

    def abandon(self) -> None:
        """The association is lost before the last fragment. Leaves nothing behind."""


class StorageService(Protocol):
    """Where received instances go. Used from many association threads at once."""

    def begin(self, request: StoreRequest, association: AssociationFacts) -> Instance:
        """Start to take one instance. Never raises for what is wrong with the request."""


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """What the listener is told; checked where the configuration is loaded.

    Attributes:
        ae_titles: The AE titles we answer to; at least one.
        implementation_class_uid: Ours (PS3.7 D.3.3.2).
        implementation_version_name: Ours, 1 to 16 characters.
        peers: Who may associate; none listed means everybody.
        extra_sop_classes: SOP class UIDs to store besides those of the standard.
        max_pdu_bytes: The largest P-DATA-TF we take, advertised and enforced; not 0.
        acse_timeout_s: Seconds a connection has to bring its A-ASSOCIATE-RQ (ARTIM).
        idle_timeout_s: Seconds of silence after which an association is aborted, also in
            the middle of an instance. Time the storage service takes does not count.
        pdu_timeout_s: Seconds the peer has for the rest of a PDU it has begun, and to take
            one of ours, beside what `min_bytes_per_s` allows.
        min_bytes_per_s: What the peer has to send of a PDU in addition to `pdu_timeout_s`,
            and of a message in addition to `idle_timeout_s`, counted while we wait for it.
        max_associations: Associations at a time.
        max_associations_per_peer: Of them, from one address; 0 is half of them, rounded up.
        tls: What the TLS port needs; None: there is no such port.
        proxies: Networks whose connections begin with a PROXY header.
    """

    ae_titles: tuple[str, ...]
    implementation_class_uid: str
    implementation_version_name: str
    peers: tuple[Peer, ...] = ()
    extra_sop_classes: tuple[str, ...] = ()
    max_pdu_bytes: int = 131072
    acse_timeout_s: float = 30.0
    idle_timeout_s: float = 60.0
    pdu_timeout_s: float = 60.0
    min_bytes_per_s: int = 1024
    max_associations: int = 100
    max_associations_per_peer: int = 0
    tls: "ssl.SSLContext | None" = None
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()


class Ending(StrEnum):
    """How an association or a connection came to its end."""

    RELEASED = "released"  # A-RELEASE, the only regular one
    ABORTED = "aborted"  # A-ABORT from the peer
    LOST = "lost"  # the transport connection closed
    TIMEOUT = "timeout"  # the peer was silent for too long; we aborted or, early on, closed
    SLOW = "slow"  # the peer sent, or took, too little in its time; we aborted
    YIELDED = "yielded"  # there was no room for another, and the peer was silent; we aborted
    PROTOCOL_ERROR = "protocol-error"  # the peer violated PS3.7 or PS3.8; we aborted or rejected
    STOPPED = "stopped"  # the node ends; we aborted
    LIMIT = "limit"  # no descriptor, thread or place left for it; closed
    INTERNAL_ERROR = "internal-error"  # a fault of ours; we aborted
    PROXY_HEADER = "proxy-header"  # a balancer's connection did not begin with what it must
    # No association, because there was no TLS:
    TLS_NOT_SPOKEN = "tls-not-spoken"  # what came is something else, such as plain DICOM
    TLS_VERSION = "tls-version"  # no version or cipher suite in common
    TLS_CERTIFICATE = "tls-certificate"  # the peer's cannot be verified
    TLS_CERTIFICATE_MISSING = "tls-certificate-missing"  # it has shown none
    TLS_CERTIFICATE_EXPIRED = "tls-certificate-expired"
    TLS_CERTIFICATE_NOT_YET = "tls-certificate-not-yet"  # valid in the future: clocks?
    TLS_CERTIFICATE_UNKNOWN = "tls-certificate-unknown"  # from none of our CAs
    TLS_REFUSED = "tls-refused"  # the peer does not like ours, or what we offer
    TLS_FAILED = "tls-failed"  # anything else in the handshake


class AssociationObserver(Protocol):
    """Is told what became of each connection. Used from many threads; must not block.

    Exactly one of `rejected`, `closed` and `unassociated` is called for a connection, once;
    `opened` comes before `closed`.
    """

    def opened(self, association: AssociationFacts) -> None:
        """An association is about to be accepted."""

    def rejected(self, reason: str, association: AssociationFacts) -> None:
        """An association was rejected. `reason` is the code of a `peers.Rejection`."""

    def closed(self, association: AssociationFacts, how: Ending) -> None:
        """An established association has ended."""

    def unassociated(self, peer_address: str, how: Ending) -> None:
        """A connection ended without an association: a health check, a port scan."""

    def failed(self, association: AssociationFacts | None, error: Exception) -> None:
        """Something raised that must not: a fault of ours, never the peer's.

        When it was the storage service, the instance was answered 0110H and the association
        goes on. The exception's text may hold a value of an object: log its class and where
        it was raised, not its text. May be called any number of times.
        """
