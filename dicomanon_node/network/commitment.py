"""Storage Commitment Push Model, the SCP's side of one association (PS3.4 J).

N-ACTION-RQ comes and goes to a `CommitmentService`; what it promises is reported on this
association with an N-EVENT-REPORT-RQ, while it lasts and if the service wants that. The
service is asked again and again whether there is something to report; nothing here waits
or blocks. What is kept over the end of the association, and who is told then, is the
service's: this module has no memory beyond the association and looks into no data set.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final, NamedTuple, Protocol

from dicomanon_node.network import command, normalized, p_data
from dicomanon_node.network.command import CommandError, CommandField
from dicomanon_node.network.contexts import COMMITMENT_SOP_CLASS, AcceptedContext
from dicomanon_node.network.normalized import ActionRequest
from dicomanon_node.network.service import AssociationFacts
from dicomanon_node.network.transfer import ProtocolViolationError

SOP_CLASS: Final = COMMITMENT_SOP_CLASS  # Storage Commitment Push Model (PS3.4 J.4)
SOP_INSTANCE: Final = "1.2.840.10008.1.20.1.1"  # its one well-known instance (PS3.4 J.4.1)
REQUEST_STORAGE_COMMITMENT: Final = 1  # Action Type ID (PS3.4 Table J.3-1)

POLL_S: Final = 0.1
"""How often the service is asked for a report that is due on an association, seconds."""

MAX_WAITING: Final = 8
"""Requests that may wait for their report on one association. Each holds a descriptor, of which
the other associations need some."""

RESPONSE_S: Final = 60.0
"""How long a peer may take for its N-EVENT-REPORT-RSP, seconds; then the service goes on alone."""

# PS3.7 Annex C
_PROCESSING_FAILURE: Final = 0x0110
_NO_SUCH_OBJECT_INSTANCE: Final = 0x0112
_INVALID_ARGUMENT_VALUE: Final = 0x0115
_NO_SUCH_SOP_CLASS: Final = 0x0118
_NO_SUCH_ACTION: Final = 0x0123
_RESOURCE_LIMITATION: Final = 0x0213

_DEFAULT_FRAGMENT_BYTES: Final = 128 * 1024
_MAX_MESSAGE_ID: Final = 0xFFFF


class Report(NamedTuple):
    """An N-EVENT-REPORT-RQ to send: its Event Type ID and its encoded data set (PHI)."""

    event_type: int
    dataset: bytes


class Ticket(Protocol):
    """A request that was taken, as long as its association is there to be told."""

    def report(self, transfer_syntax_uid: str) -> Report | None:
        """What to report, or None while there is nothing yet. Must not block."""

    def answered(self, status: int) -> None:
        """The peer has answered the report."""

    def release(self) -> None:
        """This association reports nothing any more, or has done so."""


class Verdict(NamedTuple):
    """What becomes of a request.

    Attributes:
        status: Of the N-ACTION-RSP.
        comment: Error Comment, one of our fixed ASCII texts.
        ticket: To report on this association; None if that is not to be.
    """

    status: int
    comment: str = ""
    ticket: Ticket | None = None


class CommitmentService(Protocol):
    """Where requests go. Used from many association threads at once."""

    @property
    def request_bytes(self) -> int:
        """The largest Action Information it takes, bytes."""

    def request(
        self, dataset: bytes, transfer_syntax_uid: str, association: AssociationFacts
    ) -> Verdict:
        """Take a request. 0000H only once it outlives the process and the machine.

        Args:
            dataset: Action Information (PS3.4 Table J.3-1), encoded (PHI).
            transfer_syntax_uid: How.
            association: Who asks.
        """


@dataclass(slots=True)
class _Waiting:
    """A ticket and the context its request came in."""

    ticket: Ticket
    context: AcceptedContext


class Conversation:
    """The commitment messages of one association. Not thread-safe: its thread owns it.

    Args:
        service: Where requests go.
        association: Who asks.
        send: Sends bytes to the peer, all of them; raises OSError when it cannot.
        failed: Told when the service raises.
        peer_max_pdu_bytes: The requestor's maximum length, 0 for unlimited.
    """

    def __init__(
        self,
        service: CommitmentService,
        association: AssociationFacts,
        *,
        send: Callable[[bytes], None],
        failed: Callable[[Exception], None],
        peer_max_pdu_bytes: int,
    ) -> None:
        self._service = service
        self._association = association
        self._send = send
        self._failed = failed
        limit = peer_max_pdu_bytes or _DEFAULT_FRAGMENT_BYTES
        self._fragment_bytes = max((limit - p_data.OVERHEAD_BYTES) & ~1, 2)
        self._waiting: list[_Waiting] = []
        self._message_ids = itertools.cycle(range(1, _MAX_MESSAGE_ID + 1))
        # The one report that is out: without negotiation there is one (PS3.7 D.3.3.3).
        self._sent: tuple[int, _Waiting] | None = None
        self._deadline = 0.0

    def take(self, context: AcceptedContext, command_set: bytes, dataset: bytes | None) -> None:
        """Take a message of a Storage Commitment context, and answer what asks for that.

        Raises:
            ProtocolViolationError: It does not belong there.
            OSError: The answer could not be sent.
        """
        try:
            received = command.decode(command_set)
            if received.command_field == CommandField.N_ACTION_RQ:
                request = normalized.decode_action_request(command_set)
                self._act(context, request, dataset)
                return
        except CommandError:
            raise ProtocolViolationError("command set cannot be understood") from None
        sent = self._sent
        if received.command_field != CommandField.N_EVENT_REPORT_RSP or received.status is None:
            raise ProtocolViolationError("message that Storage Commitment does not have")
        if sent is None:
            return  # late: the service has been told that nothing came
        if received.responded_to != sent[0]:
            raise ProtocolViolationError("response to something else")
        self._sent = None
        self._tell_answered(sent[1], received.status)

    def turn(self, *, is_between_messages: bool) -> float:
        """Report what is due.

        Args:
            is_between_messages: The peer is not in the middle of one. Else nothing is sent:
                that is allowed, and more than many peers can bear.

        Returns:
            Seconds until the next turn; infinite if nothing is to be reported.

        Raises:
            OSError: The report could not be sent.
        """
        if self._sent is not None:
            if monotonic() < self._deadline:
                return POLL_S
            waiting, self._sent = self._sent[1], None
            self._release(waiting)
        if not self._waiting:
            return float("inf")
        if is_between_messages:
            for waiting in tuple(self._waiting):
                if self._report(waiting):
                    break
        return POLL_S

    def end(self) -> None:
        """The association is over."""
        left, self._waiting = self._waiting, []
        if self._sent is not None:
            left.append(self._sent[1])
            self._sent = None
        for waiting in left:
            self._release(waiting)

    def _act(self, context: AcceptedContext, request: ActionRequest, dataset: bytes | None) -> None:
        verdict = self._judge(context, request, dataset)
        if verdict.ticket is not None:
            self._waiting.append(_Waiting(verdict.ticket, context))
        response = normalized.encode_action_response(request, verdict.status, verdict.comment)
        self._send(self._packed(response, context, p_data.COMMAND))

    def _judge(
        self, context: AcceptedContext, request: ActionRequest, dataset: bytes | None
    ) -> Verdict:
        if request.sop_class_uid != SOP_CLASS:
            return Verdict(_NO_SUCH_SOP_CLASS, "Not the Storage Commitment Push Model")
        if request.sop_instance_uid != SOP_INSTANCE:
            return Verdict(_NO_SUCH_OBJECT_INSTANCE, "Not the well-known SOP Instance")
        if request.action_type != REQUEST_STORAGE_COMMITMENT:
            return Verdict(_NO_SUCH_ACTION, "No such Action Type")
        if len(self._waiting) + (self._sent is not None) >= MAX_WAITING:
            return Verdict(_RESOURCE_LIMITATION, "Too many requests wait on this association")
        if dataset is None:
            return Verdict(_INVALID_ARGUMENT_VALUE, "N-ACTION-RQ without Action Information")
        try:
            return self._service.request(dataset, context.transfer_syntax_uid, self._association)
        except Exception as error:  # noqa: BLE001  (fails closed, whatever the service does)
            self._failed(error)
            return Verdict(_PROCESSING_FAILURE, "Internal error, request not taken")

    def _report(self, waiting: _Waiting) -> bool:
        """Send one report if it is due; whether it was."""
        try:
            report = waiting.ticket.report(waiting.context.transfer_syntax_uid)
        except Exception as error:  # noqa: BLE001  (the association is not to suffer)
            self._failed(error)
            self._waiting.remove(waiting)
            self._release(waiting)
            return False
        if report is None:
            return False
        message_id = next(self._message_ids)
        request = normalized.encode_event_report_request(
            message_id, SOP_CLASS, SOP_INSTANCE, report.event_type
        )
        self._waiting.remove(waiting)
        self._sent = message_id, waiting
        self._deadline = monotonic() + RESPONSE_S
        self._send(
            self._packed(request, waiting.context, p_data.COMMAND)
            + self._packed(report.dataset, waiting.context, 0)
        )
        return True

    def _packed(self, data: bytes, context: AcceptedContext, control: int) -> bytes:
        view = memoryview(data)
        return b"".join(p_data.pack(view, context.context_id, control, self._fragment_bytes))

    def _tell_answered(self, waiting: _Waiting, status: int) -> None:
        try:
            waiting.ticket.answered(status)
        except Exception as error:  # noqa: BLE001  (the peer has been told already)
            self._failed(error)
        self._release(waiting)

    def _release(self, waiting: _Waiting) -> None:
        try:
            waiting.ticket.release()
        except Exception as error:  # noqa: BLE001  (nobody is left to be told but the observer)
            self._failed(error)
