"""Whether an association is granted: its A-ASSOCIATE-RQ, judged in the cheapest order.

The fixed fields are all that the judgement of a peer needs, so the rest is decoded only
for a peer that may associate. This module sends nothing and counts no association.
"""

import functools
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pynetdicom.pdu import A_ASSOCIATE_RQ

from dicomanon_node.network import peers
from dicomanon_node.network.entrance import Arrival
from dicomanon_node.network.negotiation import FIXED_BYTES, REMEMBERED, Agreement, Negotiator
from dicomanon_node.network.service import AssociationFacts, ListenerSettings

_PROTOCOL_VERSION: Final = 0x0001
"""PS3.8 Table 9-11. pynetdicom compares the whole field, and so do we."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a request.

    Attributes:
        facts: Of its association; None when it does not come to that, because the requestor
            speaks another version of the protocol.
        agreement: What to answer; None to reject.
        rejection: Why; None to accept.
    """

    facts: AssociationFacts | None
    agreement: Agreement | None = None
    rejection: peers.Rejection | None = None


class Admission:
    """Judges requests under the settings of one listener. Thread-safe.

    Args:
        settings: Who may associate.
        negotiator: Makes the answer to those who may.
    """

    def __init__(self, settings: ListenerSettings, negotiator: Negotiator) -> None:
        self._settings = settings
        self._negotiator = negotiator

    def consider(
        self,
        encoded: bytes,
        peer_address: str,
        failed: Callable[[Exception], None],
        arrival: Arrival | None = None,
    ) -> Verdict:
        """Judge an A-ASSOCIATE-RQ.

        Args:
            encoded: The whole PDU.
            peer_address: The requestor's IP address.
            failed: Told when the check of the peer raises, which rejects.
            arrival: How its connection came in, if there was anything to it.

        Raises:
            TooManyItemsError: It is not decoded.
            Exception: It cannot be decoded; pynetdicom's, and its text may quote the peer.
        """
        protocol_version, calling_aet, called_aet = _fixed_fields(encoded[:FIXED_BYTES])
        if protocol_version != _PROTOCOL_VERSION:
            return Verdict(None, rejection=peers.PROTOCOL_VERSION)
        facts = AssociationFacts(secrets.token_hex(8), calling_aet, called_aet, peer_address)
        if arrival is not None:
            facts.tls_version = arrival.tls_version
            facts.certificate = arrival.certificate
        try:
            rejection = peers.judge(facts, self._settings.ae_titles, self._settings.peers)
        except Exception as error:  # noqa: BLE001  (fails closed)
            failed(error)
            rejection = peers.CHECK_FAILED
        if rejection is not None:
            return Verdict(facts, rejection=rejection)
        agreement = self._negotiator.agree(encoded)
        if agreement is None:
            return Verdict(facts, rejection=peers.APPLICATION_CONTEXT)
        return Verdict(facts, agreement)


@functools.lru_cache(maxsize=REMEMBERED)  # a console sends the same each time
def _fixed_fields(encoded: bytes) -> tuple[int, str, str]:
    """Protocol version, calling and called AE title, as pynetdicom understands them."""
    fixed = A_ASSOCIATE_RQ()
    fixed.decode(encoded)
    return fixed.protocol_version, fixed.calling_ae_title.strip(), fixed.called_ae_title.strip()
