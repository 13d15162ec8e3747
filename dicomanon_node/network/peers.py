"""Who may associate: AE titles, addresses and certificates, checked before anything is accepted.

AE titles are identification, not authentication (PS3.15 B): a peer can call
itself what it likes, so a listed peer is usually given a network as well, or is bound
to a certificate. This module does not look at what a peer sends.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, Protocol

APPLICATION_CONTEXT_NAME: Final = "1.2.840.10008.3.1.1.1"  # the only one (PS3.7 A.2.1)

_UNSAFE = re.compile(r"[^A-Za-z0-9 ._-]")
_AE_TITLE_CHARS: Final = 16  # VR AE (PS3.5 6.2)


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why an association is rejected, and the three words of the A-ASSOCIATE-RJ.

    Attributes:
        code: A fixed word for logs.
        result: 1 permanent, 2 transient.
        source: 1 service-user, 2 service-provider (ACSE), 3 service-provider (presentation).
        diagnostic: Depends on the source (PS3.8 Table 9-21).
    """

    code: str
    result: int
    source: int
    diagnostic: int


CALLED_AE_TITLE: Final = Rejection("called-ae-title", 1, 1, 7)
CALLING_AE_TITLE: Final = Rejection("peer-not-allowed", 1, 1, 3)
CERTIFICATE: Final = Rejection("certificate", 1, 1, 3)
PROTOCOL_VERSION: Final = Rejection("protocol-version", 1, 2, 2)
APPLICATION_CONTEXT: Final = Rejection("application-context", 1, 1, 2)
CHECK_FAILED: Final = Rejection("peer-check-failed", 2, 1, 1)
DRAINING: Final = Rejection("draining", 2, 3, 1)
LOCAL_LIMIT: Final = Rejection("local-limit", 2, 3, 2)
PEER_LIMIT: Final = Rejection("peer-limit", 2, 3, 2)


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """The certificate a peer has proved to hold, after it was verified.

    Attributes:
        fingerprint: SHA-256 of the certificate, 64 lower case hexadecimal digits.
        names: Its names in lower case: those of Subject Alternative Name (RFC 5280 4.2.1.6),
            or without any the Common Name. The peer's text.
    """

    fingerprint: str
    names: frozenset[str] = frozenset()

    def is_called(self, expected: str) -> bool:
        """Whether it is the one meant by `sha256:...`, or by a name."""
        if expected.startswith("sha256:"):
            return expected == f"sha256:{self.fingerprint}"
        return folded(expected) in self.names


@dataclass(frozen=True, slots=True)
class Peer:
    """One Application Entity that may associate.

    Attributes:
        ae_title: Its Calling AE title; None means any.
        networks: Where it may call from; none listed means anywhere.
        certificate: What its certificate must be, `sha256:` and a fingerprint or a name;
            None: none is asked for.
    """

    ae_title: str | None
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    certificate: str | None = None

    def is_calling(self, ae_title: str, address: IPv4Address | IPv6Address) -> bool:
        """Whether a requestor is this peer."""
        if self.ae_title is not None and self.ae_title.strip() != ae_title:
            return False
        return not self.networks or any(address in network for network in self.networks)

    def is_shown_by(self, certificate: PeerCertificate | None) -> bool:
        """Whether a requestor with this certificate, or none, has proved to be this peer."""
        if self.certificate is None:
            return True
        return certificate is not None and certificate.is_called(self.certificate)


class Requestor(Protocol):
    """What is known of a requestor; an `AssociationFacts` is one."""

    @property
    def calling_aet(self) -> str:
        """Calling AE title as received."""

    @property
    def called_aet(self) -> str:
        """Called AE title as received."""

    @property
    def peer_address(self) -> str:
        """Its IP address."""

    @property
    def certificate(self) -> PeerCertificate | None:
        """The certificate it has proved to hold, if there is TLS and it has shown one."""


def judge(
    requestor: Requestor, ae_titles: Sequence[str], peers: Sequence[Peer]
) -> Rejection | None:
    """Judge a requestor.

    An IPv4-mapped IPv6 address (RFC 4291 2.5.5.2), as a dual-stack socket reports it,
    counts as the IPv4 address it is. An AE title that some peer binds to a certificate is
    believed with that certificate only, whatever other peers would let in.

    Args:
        requestor: Who asks.
        ae_titles: The titles we answer to.
        peers: Who may associate; none listed means everybody.

    Returns:
        The rejection, or None when the requestor may associate.

    Raises:
        ValueError: Its address is not an IP address. The caller rejects on any exception.
    """
    if requestor.called_aet.strip() not in {title.strip() for title in ae_titles}:
        return CALLED_AE_TITLE
    if not peers:
        return None
    address = ip_address(requestor.peer_address)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    calling_aet = requestor.calling_aet.strip()
    callers = [peer for peer in peers if peer.is_calling(calling_aet, address)]
    if _is_bound(calling_aet, peers):
        callers = [peer for peer in callers if peer.ae_title and peer.certificate]
    if any(peer.is_shown_by(requestor.certificate) for peer in callers):
        return None
    return CERTIFICATE if callers else CALLING_AE_TITLE


def _is_bound(ae_title: str, peers: Sequence[Peer]) -> bool:
    return any(
        peer.certificate and peer.ae_title and peer.ae_title.strip() == ae_title for peer in peers
    )


def folded(name: str) -> str:
    """A certificate's name without letter case, of which only ASCII has any here (RFC 4343).

    `str.lower` alone would make a "k" of U+212A, which is another name.
    """
    return name.lower() if name.isascii() else name


def judged_ae_title(text: str) -> str:
    """A peer's AE title in a form that is safe to log.

    At most 16 characters; everything but letters, digits, space, dot, hyphen and
    underscore is shown as a question mark, so it can neither forge a log line nor end a
    quoted string.
    """
    return _UNSAFE.sub("?", text.strip()[:_AE_TITLE_CHARS])
