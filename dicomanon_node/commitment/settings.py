"""What Storage Commitment is told: values only."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address, ip_address

from dicomanon_node.network.peers import Peer

_BYTES_AN_INSTANCE = 256
"""Of Action Information: an item with two UIDs of 64 characters, and room for more elements."""

_BYTES_BESIDE = 4096


class Mode(StrEnum):
    """When an instance counts as committed."""

    NODE = "node"
    DESTINATION = "destination"


class Channel(StrEnum):
    """On which association is reported."""

    AUTO = "auto"
    SAME = "same"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Listening:
    """A peer that takes reports on an association of ours.

    Attributes:
        peer: Who it is.
        host: Where it listens; "" is the address it called from.
        port: On which TCP port.
    """

    peer: Peer
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class CommitmentSettings:
    """What Storage Commitment is told.

    Attributes:
        mode: When an instance counts as committed.
        channel: Where is reported.
        listening: Peers that take reports on an association of ours.
        settle_s: How long an instance may be unknown to the ledger before it counts as
            not here, seconds.
        wait_s: How long deliveries are waited for, seconds.
        give_up_s: After which time a report that nobody takes is given up, seconds.
        max_instances: Of one request.
        max_open: Transactions open at a time.
    """

    mode: Mode = Mode.NODE
    channel: Channel = Channel.AUTO
    listening: Sequence[Listening] = ()
    settle_s: float = 10.0
    wait_s: float = 3600.0
    give_up_s: float = 86_400.0
    max_instances: int = 10_000
    max_open: int = 1000

    @property
    def request_bytes(self) -> int:
        """The largest Action Information that is taken."""
        return self.max_instances * _BYTES_AN_INSTANCE + _BYTES_BESIDE

    def address_of(self, calling_aet: str, peer_address: str) -> tuple[str, int] | None:
        """Where a requestor takes reports; None if that is not known.

        Args:
            calling_aet: Its AE title, as received.
            peer_address: Where it called from.
        """
        if not re.fullmatch(r"[0-9a-fA-F.:]+", peer_address):
            return None
        address = ip_address(peer_address)
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        for entry in self.listening:
            if entry.peer.is_calling(calling_aet.strip(), address):
                return entry.host or str(address), entry.port
        return None
