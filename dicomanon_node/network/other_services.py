"""Messages that are neither a C-STORE-RQ nor a C-ECHO-RQ: pynetdicom has the answer.

Nobody has asked for another service than Storage and Verification, so this is for
peers that are confused, and takes its time: the association that pynetdicom's services
want around them is built for each message and sends nothing itself.
"""

from collections.abc import Mapping
from typing import Final

from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.presentation import PresentationContext

from dicomanon_node.errors import NodeError
from dicomanon_node.network.pdus import (
    INVALID_PARAMETER_VALUE,
    NO_REASON,
    SERVICE_PROVIDER,
    SERVICE_USER,
)
from dicomanon_node.network.transfer import ProtocolViolationError


class UnserviceableError(NodeError):
    """The message ends the association. The text is fixed.

    Attributes:
        source: Of the A-ABORT.
        reason: Of the A-ABORT.
    """

    def __init__(self, source: int, reason: int = NO_REASON) -> None:
        super().__init__("message that no service takes")
        self.source = source
        self.reason = reason


_SMALLEST_PDU_BYTES: Final = 7
"""A PDV header and one byte. pynetdicom cuts fragments of what a peer says less the header, be it
nothing or less than that."""


def answer(
    entity: ApplicationEntity,
    contexts: Mapping[int, PresentationContext],
    peer_max_pdu_bytes: int,
    message: tuple[int, bytes, bytes | None],
) -> bytes:
    """Let pynetdicom serve a message.

    Args:
        entity: Whom it reaches.
        contexts: The accepted presentation contexts by their ID.
        peer_max_pdu_bytes: What the requestor receives at most, 0 for unlimited.
        message: Context ID, encoded command set, encoded data set or None.

    Returns:
        The P-DATA-TFs to send; none for what needs no answer.

    Raises:
        ProtocolViolationError: It is not a message.
        UnserviceableError: It is none that anybody could answer.
    """
    context_id, command_set, dataset = message
    association = _Bystander(entity, contexts, peer_max_pdu_bytes)
    primitive = P_DATA()
    fragments = primitive.presentation_data_value_list
    fragments.append((context_id, b"\x03" + command_set))
    if dataset is not None:
        fragments.append((context_id, b"\x02" + dataset))
    try:
        association.dimse.receive_primitive(primitive)
    except Exception:  # noqa: BLE001  (decoding what a peer sends raises anything)
        raise ProtocolViolationError("message cannot be understood") from None
    if not association.dul.event_queue.empty():  # Evt19: it decodes, and is no message
        raise UnserviceableError(SERVICE_PROVIDER, INVALID_PARAMETER_VALUE)
    return association.serve()


class _Bystander(Association):
    """An association without thread, socket or state, in data transfer for ever."""

    def __init__(
        self,
        entity: ApplicationEntity,
        contexts: Mapping[int, PresentationContext],
        peer_max_pdu_bytes: int,
    ) -> None:
        super().__init__(entity, "acceptor")
        self._accepted_cx = dict(contexts)
        self.requestor.maximum_length = (
            max(peer_max_pdu_bytes, _SMALLEST_PDU_BYTES) if peer_max_pdu_bytes else 0
        )
        self.is_established = True

    def _abort_blocking(self, block: bool = True) -> None:  # noqa: ARG002  (pynetdicom's)
        """What its services call when a message cannot be served."""
        self.is_aborted = True

    def serve(self) -> bytes:
        """Serve the messages received; what to send."""
        while not self.dimse.msg_queue.empty():
            context_id, message = self.dimse.get_msg()
            if message is not None and context_id is not None:
                self._serve_request(message, context_id)
        if self.is_aborted:
            raise UnserviceableError(SERVICE_USER)
        pdus = []
        while not self.dul.to_provider_queue.empty():
            primitive = self.dul.to_provider_queue.get_nowait()
            if isinstance(primitive, P_DATA):
                pdus.append(P_DATA_TF(primitive).encode())
        return b"".join(pdus)
