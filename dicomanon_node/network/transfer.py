"""The data transfer of an established association: P-DATA, straight off the buffer.

Fragments are understood where the socket wrote them. The data set of a C-STORE
goes to the storage service as views into the receive buffer, without a copy;
messages of other services are handed on whole. This module does
not read the socket, frames no PDU and knows no association state: `association`
tells it where the body of a P-DATA-TF lies.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Final

from dicomanon_node.errors import NodeError, Reason, Status
from dicomanon_node.network import command
from dicomanon_node.network.command import Command, CommandField
from dicomanon_node.network.contexts import AcceptedContext
from dicomanon_node.network.pdus import P_DATA_TF
from dicomanon_node.network.service import (
    AssociationFacts,
    Instance,
    Outcome,
    StorageService,
    StoreRequest,
)

MAX_OTHER_DATASET_BYTES: Final = 1024 * 1024
"""Of a message that is not a C-STORE-RQ, unless Storage Commitment is to take more. Without a
bound a peer could make us collect it in memory for ever."""

TINY_FRAGMENT_BYTES: Final = 64
MAX_TINY_FRAGMENTS: Final = 4096
"""Fragments of a message that may be tinier than that, or empty. An honest message has one, its
last; each costs as much time as one of 100 KiB, so a stream of them is an attack."""

MAX_HELD_FRAGMENTS: Final = 1024
"""Fragments that wait for the service at a time: each view takes 200 bytes."""

DEFAULT_PEER_PDU_BYTES: Final = 16 * 1024
"""For a requestor that does not say how much it can receive: what everybody can."""

NO_DATASET: Final = Outcome(Status.CANNOT_UNDERSTAND, "C-STORE-RQ without data set")

_N_EVENT_REPORT_RQ: Final = 0x0100

_PDV_HEADER = struct.Struct(">LBB")  # length, context ID, message control header
_PDV_HEADER_BYTES: Final = _PDV_HEADER.size
_PDV_LENGTH_OVERHEAD: Final = 2  # the length counts context ID and control header
_PDU_AND_PDV_HEADER = struct.Struct(">BBLLBB")
_COMMAND: Final = 0x01  # message control header (PS3.8 E.2); the other six bits are not checked
_LAST: Final = 0x02


class ProtocolViolationError(NodeError):
    """The peer violated PS3.7 or PS3.8; ends in an A-ABORT. The text is fixed."""


class DataTransfer:
    """The fragments of one association, in order. Not thread-safe.

    Args:
        contexts: The accepted presentation contexts by their ID.
        service: Where instances go.
        association: The facts of this association; its counters are kept here.
        send: Sends bytes to the peer, all of them; raises OSError when it cannot.
        relay: Takes a whole message that is not a C-STORE-RQ: context ID, encoded command
            set, encoded data set or None.
        failed: Told when the service raises.
        peer_max_pdu_bytes: The requestor's maximum length, 0 for unlimited, None when it did
            not say, which PS3.8 D.1 demands.
        other_bytes: Of the data set of a message to relay at most, bytes.

    Attributes:
        pdu_left: Bytes of the current P-DATA-TF's body that are still to come.
        message_count: Messages that have come as a whole.
    """

    def __init__(
        self,
        contexts: Mapping[int, AcceptedContext],
        service: StorageService,
        association: AssociationFacts,
        *,
        send: Callable[[bytes], None],
        relay: Callable[[int, bytes, bytes | None], None],
        failed: Callable[[Exception], None],
        peer_max_pdu_bytes: int | None,
        other_bytes: int = MAX_OTHER_DATASET_BYTES,
    ) -> None:
        self.pdu_left = 0
        self.message_count = 0
        self._contexts = contexts
        self._service = service
        self._association = association
        self._send = send
        self._relay = relay
        self._failed = failed
        self._peer_max_pdu_bytes = (
            DEFAULT_PEER_PDU_BYTES if peer_max_pdu_bytes is None else peer_max_pdu_bytes
        )

        self._other_bytes = other_bytes

        self._fragment_left = 0
        self._fragment_control = 0
        self._context_id = 0  # of the message being received; 0 between messages
        self._tiny_left = MAX_TINY_FRAGMENTS

        self._command = bytearray()
        self._expects_dataset = False
        self._fragments: list[memoryview] = []  # of the data set, not yet given to the service
        self._request: StoreRequest | None = None
        self._instance: Instance | None = None
        self._verdict: Outcome | None = None  # known before the data set has come
        self._other: bytearray | None = None  # data set of a message to relay

    @property
    def is_between_messages(self) -> bool:
        """Whether the peer is not in the middle of a message, or of a PDU."""
        return not self._context_id and not self.pdu_left

    @property
    def is_within_message(self) -> bool:
        """Whether the rest of a message is still to come."""
        return bool(self._context_id)

    def begin_pdu(self, length: int) -> None:
        """A P-DATA-TF with a body of `length` bytes starts.

        Raises:
            ProtocolViolationError: There were too many without any PDV.
        """
        self.pdu_left = length
        if not length:
            self._spend_tiny()

    def feed(self, chunk: memoryview) -> int:
        """Take bytes that follow in the body of the current P-DATA-TF.

        Returns:
            How many were taken: all up to the end of the PDU, less a PDV header that is not
            complete yet (at most 5 bytes), which is to be fed again with what follows.

        Raises:
            ProtocolViolationError: The PDU, a fragment or a command set is not what it must be.
            OSError: An answer could not be sent.
        """
        available = min(len(chunk), self.pdu_left)
        position = 0
        while position < available:
            if not self._fragment_left:
                if available - position < _PDV_HEADER_BYTES:
                    if self.pdu_left - position < _PDV_HEADER_BYTES:
                        raise ProtocolViolationError("P-DATA-TF ends in a PDV header")
                    break
                length, context_id, control = _PDV_HEADER.unpack_from(chunk, position)
                position += _PDV_HEADER_BYTES
                length -= _PDV_LENGTH_OVERHEAD
                if not 0 <= length <= self.pdu_left - position:
                    raise ProtocolViolationError("length of a PDV does not fit its PDU")
                self._begin_fragment(context_id, control, length)
            taken = min(self._fragment_left, available - position)
            if taken:
                fragment = chunk[position : position + taken]
                position += taken
                self._fragment_left -= taken
                if self._fragment_control & _COMMAND:
                    self._take_command(fragment)
                else:
                    self._take_dataset(fragment)
            if not self._fragment_left and self._fragment_control & _LAST:
                if self._fragment_control & _COMMAND:
                    self._command_complete()
                else:
                    self._dataset_complete()
        self.pdu_left -= position
        return position

    def flush(self) -> None:
        """Give the service what has come; the receive buffer is about to be overwritten."""
        fragments = self._fragments
        if not fragments:
            return
        self._fragments = []
        self._association.received_bytes += sum(map(len, fragments))
        if self._instance is not None:
            try:
                self._instance.write(fragments)
            except Exception as error:  # noqa: BLE001  (fails closed, whatever the service does)
                self._refuse_instance(error)

    def abandon(self) -> None:
        """The association is over. Leaves no instance behind."""
        self._fragments = []
        instance, self._instance = self._instance, None
        if instance is not None:
            try:
                instance.abandon()
            except Exception as error:  # noqa: BLE001  (nobody is left to be told but the observer)
                self._failed(error)

    def _begin_fragment(self, context_id: int, control: int, length: int) -> None:
        is_command = bool(control & _COMMAND)
        if is_command == self._expects_dataset:
            raise ProtocolViolationError("fragment out of turn")
        if context_id not in self._contexts:
            raise ProtocolViolationError("fragment of a presentation context that is not accepted")
        if self._context_id not in (0, context_id):
            raise ProtocolViolationError("fragment of another presentation context in a message")
        if length < TINY_FRAGMENT_BYTES:
            self._spend_tiny()
        self._context_id = context_id
        self._fragment_control = control
        self._fragment_left = length

    def _take_command(self, fragment: memoryview) -> None:
        if len(self._command) + len(fragment) > command.MAX_COMMAND_SET_BYTES:
            raise ProtocolViolationError("command set over its limit")
        self._command += fragment

    def _take_dataset(self, fragment: memoryview) -> None:
        if self._other is None:
            self._fragments.append(fragment)
            if len(self._fragments) >= MAX_HELD_FRAGMENTS:
                self.flush()
            return
        if len(self._other) + len(fragment) > self._other_bytes:
            raise ProtocolViolationError("data set of another service over its limit")
        self._other += fragment

    def _command_complete(self) -> None:
        try:
            received = command.decode(self._command)
        except command.CommandError:
            raise ProtocolViolationError("command set cannot be understood") from None
        if received.command_field == CommandField.C_STORE_RQ:
            self._begin_instance(received)
        elif received.command_field == _N_EVENT_REPORT_RQ:
            # pynetdicom would serve it in a thread of its own, one for each that comes.
            raise ProtocolViolationError(
                "N-EVENT-REPORT-RQ on a presentation context of another service"
            )
        elif received.has_dataset:
            self._other = bytearray()
            self._expects_dataset = True
        else:
            self._relay_message(None)

    def _begin_instance(self, received: Command) -> None:
        context = self._contexts[self._context_id]
        if received.message_id is None:
            raise ProtocolViolationError("C-STORE-RQ without Message ID")
        request = StoreRequest(
            received.message_id,
            received.sop_class_uid,
            received.sop_instance_uid,
            context.context_id,
            context.transfer_syntax_uid,
        )
        self._command.clear()
        if not received.has_dataset:
            self._answer(request, NO_DATASET)
            return
        self._request = request
        self._expects_dataset = True
        if not context.is_storage or received.sop_class_uid != context.sop_class_uid:
            self._verdict = Outcome.refused(Reason.SOP_CLASS)
        elif not received.sop_instance_uid:
            self._verdict = Outcome.refused(Reason.MISSING_UID)
        else:
            try:
                self._instance = self._service.begin(request, self._association)
            except Exception as error:  # noqa: BLE001  (fails closed, whatever the service does)
                self._refuse_instance(error)

    def _dataset_complete(self) -> None:
        self._expects_dataset = False
        if self._request is None:
            self._relay_message(bytes(self._other or b""))
            return
        self.flush()
        request, self._request = self._request, None
        outcome = self._verdict
        instance = self._instance
        if instance is not None:
            try:
                outcome = instance.finish()
            except Exception as error:  # noqa: BLE001  (fails closed, whatever the service does)
                outcome = self._refuse_instance(error)
                instance = None
            self._instance = None
        self._verdict = None
        try:
            self._answer(request, outcome or Outcome.refused(Reason.INTERNAL))
        finally:
            if instance is not None:
                self._tell_answered(instance)

    def _tell_answered(self, instance: Instance) -> None:
        try:
            instance.answered()
        except Exception as error:  # noqa: BLE001  (the answer stands)
            self._failed(error)

    def _refuse_instance(self, error: Exception) -> Outcome:
        """The service raised: give the instance up, remember what the peer is to be told."""
        self._failed(error)
        self.abandon()
        self._verdict = Outcome.refused(Reason.INTERNAL)
        return self._verdict

    def _answer(self, request: StoreRequest, outcome: Outcome) -> None:
        self._message_complete()
        if outcome.status == Status.SUCCESS:
            self._association.stored_count += 1
        else:
            self._association.refused_count += 1
        response = command.encode_store_response(request, outcome.status, outcome.comment)
        self._send(
            command_pdus(request.presentation_context_id, response, self._peer_max_pdu_bytes)
        )

    def _spend_tiny(self) -> None:
        self._tiny_left -= 1
        if self._tiny_left < 0:
            raise ProtocolViolationError("tiny fragments without end")

    def _message_complete(self) -> None:
        self._context_id = 0
        self._tiny_left = MAX_TINY_FRAGMENTS
        self.message_count += 1

    def _relay_message(self, dataset: bytes | None) -> None:
        context_id = self._context_id
        self._message_complete()
        command_set = bytes(self._command)
        self._command.clear()
        self._other = None
        self._relay(context_id, command_set, dataset)


def command_pdus(context_id: int, command_set: bytes, max_pdu_bytes: int) -> bytes:
    """Pack a command set into P-DATA-TF PDUs, one unless the peer receives only small ones.

    Args:
        context_id: The presentation context.
        command_set: The encoded command set.
        max_pdu_bytes: The receiver's maximum length, 0 for unlimited. It counts the PDU
            without its own header of 6 bytes (PS3.8 D.1).
    """
    size = len(command_set)
    room = max(max_pdu_bytes - _PDV_HEADER_BYTES, 1) if max_pdu_bytes else size
    pdus = []
    for start in range(0, size, room):
        fragment = command_set[start : start + room]
        control = _COMMAND | (_LAST if start + room >= size else 0)
        length = len(fragment) + _PDV_LENGTH_OVERHEAD
        pdus.append(_PDU_AND_PDV_HEADER.pack(P_DATA_TF, 0, length + 4, length, context_id, control))
        pdus.append(fragment)
    return b"".join(pdus)
