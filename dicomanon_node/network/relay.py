"""What is asked for on an association besides C-STORE: who answers which message.

C-ECHO is answered here, Storage Commitment by its `Conversation`, and what is left by
pynetdicom. Reads no socket and ends no association: it raises what ends one.
"""

from collections.abc import Callable
from typing import Final

from dicomanon_node.network import command, other_services
from dicomanon_node.network.acceptor import Acceptor
from dicomanon_node.network.command import CommandField
from dicomanon_node.network.commitment import Conversation
from dicomanon_node.network.contexts import COMMITMENT_SOP_CLASS
from dicomanon_node.network.negotiation import Agreement
from dicomanon_node.network.service import AssociationFacts
from dicomanon_node.network.transfer import (
    DEFAULT_PEER_PDU_BYTES,
    MAX_OTHER_DATASET_BYTES,
    DataTransfer,
    ProtocolViolationError,
    command_pdus,
)

MAX_OTHER_MESSAGES: Final = 100
"""Of an association, that are neither C-STORE-RQ nor C-ECHO-RQ. Each costs as much as several
instances, and nobody has a use for the answer."""


class Relay:
    """The messages of one association that are no C-STORE-RQ. Not thread-safe.

    Args:
        acceptor: Whose association it is.
        agreement: What was negotiated.
        association: Its facts.
        send: Sends bytes to the peer, all of them; raises OSError when it cannot.
        failed: Told of a fault of ours.

    Attributes:
        dataset_bytes: The largest data set of such a message.
    """

    def __init__(
        self,
        acceptor: Acceptor,
        agreement: Agreement,
        association: AssociationFacts,
        *,
        send: Callable[[bytes], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._entity = acceptor.entity
        self._agreement = agreement
        limit = agreement.peer_max_pdu_bytes
        self._limit = DEFAULT_PEER_PDU_BYTES if limit is None else limit
        self._send = send
        self._other_count = 0
        self._conversation: Conversation | None = None
        self.dataset_bytes = MAX_OTHER_DATASET_BYTES
        service = acceptor.commitment
        contexts = agreement.accepted.values()
        if service is not None and any(
            context.sop_class_uid == COMMITMENT_SOP_CLASS for context in contexts
        ):
            self.dataset_bytes = max(self.dataset_bytes, service.request_bytes)
            self._conversation = Conversation(
                service, association, send=send, failed=failed, peer_max_pdu_bytes=self._limit
            )

    def take(self, context_id: int, command_set: bytes, dataset: bytes | None) -> None:
        """Answer a message.

        Raises:
            ProtocolViolationError: It is none, or one too many.
            UnserviceableError: Nobody could answer it.
            OSError: The answer could not be sent.
        """
        received = command.decode(command_set)
        if (
            received.command_field == CommandField.C_ECHO_RQ
            and received.sop_class_uid == command.VERIFICATION_SOP_CLASS
            and received.message_id is not None
            and dataset is None
        ):
            response = command.encode_echo_response(received.message_id)
            self._send(command_pdus(context_id, response, self._limit))
            return
        context = self._agreement.accepted[context_id]
        if self._conversation is not None and context.sop_class_uid == COMMITMENT_SOP_CLASS:
            self._conversation.take(context, command_set, dataset)
            return
        self._other_count += 1
        if self._other_count > MAX_OTHER_MESSAGES:
            raise ProtocolViolationError("messages of other services without end")
        message = (context_id, command_set, dataset)
        self._send(
            other_services.answer(
                self._entity, self._agreement.accepted_items, self._limit, message
            )
        )

    def turn(self, transfer: DataTransfer | None) -> float:
        """Send what is due from our side; seconds until something may be again.

        Raises:
            OSError: It could not be sent.
        """
        if self._conversation is None:
            return float("inf")
        is_between = transfer is not None and transfer.is_between_messages
        return self._conversation.turn(is_between_messages=is_between)

    def end(self) -> None:
        """The association is over."""
        if self._conversation is not None:
            self._conversation.end()
