"""Who may associate: AE titles and addresses, checked before anything is accepted.

AE titles are identification, not authentication (PS3.15 B): a peer can call
itself what it likes, so a listed peer is usually given a network as well. This
module does not look at what a peer sends.
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
PROTOCOL_VERSION: Final = Rejection("protocol-version", 1, 2, 2)
APPLICATION_CONTEXT: Final = Rejection("application-context", 1, 1, 2)
CHECK_FAILED: Final = Rejection("peer-check-failed", 2, 1, 1)
DRAINING: Final = Rejection("draining", 2, 3, 1)
LOCAL_LIMIT: Final = Rejection("local-limit", 2, 3, 2)
PEER_LIMIT: Final = Rejection("peer-limit", 2, 3, 2)


@dataclass(frozen=True, slots=True)
class Peer:
    """One Application Entity that may associate.

    Attributes:
        ae_title: Its Calling AE title; None means any.
        networks: Where it may call from; none listed means anywhere.
    """

    ae_title: str | None
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def is_calling(self, ae_title: str, address: IPv4Address | IPv6Address) -> bool:
        """Whether a requestor is this peer."""
        if self.ae_title is not None and self.ae_title.strip() != ae_title:
            return False
        return not self.networks or any(address in network for network in self.networks)


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


def judge(
    requestor: Requestor, ae_titles: Sequence[str], peers: Sequence[Peer]
) -> Rejection | None:
    """Judge a requestor.

    An IPv4-mapped IPv6 address (RFC 4291 2.5.5.2), as a dual-stack socket reports it,
    counts as the IPv4 address it is.

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
    if any(peer.is_calling(requestor.calling_aet.strip(), address) for peer in peers):
        return None
    return CALLING_AE_TITLE


def judged_ae_title(text: str) -> str:
    """A peer's AE title in a form that is safe to log.

    At most 16 characters; everything but letters, digits, space, dot, hyphen and
    underscore is shown as a question mark, so it can neither forge a log line nor end a
    quoted string.
    """
    return _UNSAFE.sub("?", text.strip()[:_AE_TITLE_CHARS])
