"""One association as its acceptor: one thread, driven by events.

pynetdicom's state machine, PDUs, ACSE and DIMSE do the work; what is replaced is
how they are run. Stock pynetdicom has two threads that poll every millisecond,
reads 4 KiB at a time and buffers a PDU of any announced length. Here the one
thread waits in poll(2) for the socket, for a timer or to be woken, and the bodies
of P-DATA-TFs go to `transfer`. This module accepts no connection and decides
neither on peers nor on contexts.
"""

import select
import socket
from time import monotonic
from typing import Final, NoReturn

from pynetdicom.association import Association
from pynetdicom.fsm import TRANSITION_TABLE
from pynetdicom.pdu_primitives import A_RELEASE, P_DATA
from pynetdicom.transport import AddressInformation

from dicomanon_node.network import peers
from dicomanon_node.network.acceptor import Acceptor
from dicomanon_node.network.admission import reject_pdu
from dicomanon_node.network.negotiation import TooManyItemsError
from dicomanon_node.network.provider import (
    A_ASSOCIATE_RQ,
    AcceptorSocket,
    EventDrivenDul,
    Waker,
    abort_pdu,
    forget_whole,
)
from dicomanon_node.network.reception import Reception
from dicomanon_node.network.service import (
    AssociationFacts,
    Ending,
)
from dicomanon_node.network.transfer import (
    DEFAULT_PEER_PDU_BYTES,
    INVALID_PDU_PARAMETER_VALUE,
    DataTransfer,
    ProtocolViolationError,
)

CLOSE_WAIT_S: Final = 3.0
"""Seconds the peer has to close the connection after the last PDU (ARTIM of PS3.8 9.1.5 in
Sta13). What it still sends is thrown away, so that it can read our A-ABORT or A-ASSOCIATE-RJ
instead of a connection reset."""

_SERVICE_USER: Final = 0x00  # abort sources (PS3.8 Table 9-26)
_SERVICE_PROVIDER: Final = 0x02

_IDLE: Final = "Sta1"
_AWAITING_REQUEST: Final = "Sta2"
_DATA_TRANSFER: Final = "Sta6"
_CLOSING: Final = "Sta13"
_OVER: Final = (_IDLE, _CLOSING)

_ENDING_EVENTS: Final = {
    "Evt12": Ending.RELEASED,
    "Evt16": Ending.ABORTED,
    "Evt17": Ending.LOST,
    "Evt18": Ending.TIMEOUT,
    "Evt19": Ending.PROTOCOL_ERROR,
}
_USER_EVENTS: Final = frozenset({"Evt7", "Evt8", "Evt9", "Evt11", "Evt14", "Evt15"})


class _AssociationOverError(Exception):
    """Leaves the reading of a buffer: the association ended in the middle of it."""


class AcceptorAssociation(Association):
    """An association from its connection to its end, in its own thread.

    Args:
        acceptor: What it shares with its siblings.
        connection: The accepted connection; closed here.
        address: The peer's address as the socket reported it.
    """

    dul: EventDrivenDul

    def __init__(
        self, acceptor: Acceptor, connection: socket.socket, address: tuple[str, int]
    ) -> None:
        super().__init__(acceptor.entity, "acceptor")
        self._acceptor = acceptor
        self._settings = acceptor.settings
        self._connection = connection
        self._peer_address = address[0]
        self.requestor.address_info = AddressInformation.from_tuple(address)
        self._waker = Waker()
        forget_whole(self.dul.state_machine)  # of the one that is not used
        forget_whole(self.dul)
        self.dul = EventDrivenDul(self, self._waker)
        self.dul.artim_timer.timeout = self._settings.acse_timeout_s
        self._machine = self.dul.state_machine

        self._reception = Reception(
            self._settings.max_pdu_bytes,
            self._take_pdu,
            lambda: self._act_on_received("Evt19"),
        )
        self._idle_deadline = 0.0

        self._facts: AssociationFacts | None = None
        self._is_counted = False
        self._is_reported = False
        self._ending: Ending | None = None
        self._stop_wanted: Ending | None = None

    def dismiss(self, how: Ending) -> None:
        """Close the connection of an association whose thread cannot be started."""
        self._note(how)
        self._close()

    def stop(self) -> None:
        """Abort from another thread; returns at once."""
        self._stop_wanted = Ending.STOPPED
        self._waker.wake()

    def _abort_blocking(self, block: bool = True) -> None:  # noqa: ARG002  (pynetdicom's)
        """What pynetdicom's services call to abort: their message cannot be served."""
        self._stop_wanted = Ending.PROTOCOL_ERROR

    def run_reactor(self) -> None:
        """The thread: from the connection to its end."""
        try:
            self._open()
            while self._machine.current_state != _IDLE:
                self._step()
        except Exception as error:  # noqa: BLE001  (a thread has nobody to raise to)
            self._note(Ending.INTERNAL_ERROR)
            self._acceptor.observer.failed(self._facts, error)
        finally:
            self._close()

    def _open(self) -> None:
        try:
            self._connection = self._acceptor.prepare_socket(self._connection)
            self._connection.setblocking(False)
        except OSError:
            self._note(Ending.LOST)
            return
        self._socket = AcceptorSocket(self, self._connection, self._settings.idle_timeout_s)
        self.set_socket(self._socket)
        self._poller = select.poll()
        self._poller.register(self._connection, select.POLLIN)
        self._poller.register(self._waker, select.POLLIN)
        self._machine.do_action(self.dul.event_queue.get_nowait())  # Evt5, put by the socket

    def _step(self) -> None:
        """Do what there is to do, or wait for it."""
        if self._stop_wanted is not None:
            self._abort(self._stop_wanted, _SERVICE_USER, 0x00)
        if self._machine.current_state != _DATA_TRANSFER and self.dul.artim_timer.expired:
            self._act("Evt18")
            return
        count = self._reception.read(self._connection)
        if count is None:
            self._wait()
            return
        try:
            if not count:
                self._act("Evt17")
            elif self._machine.current_state not in _OVER:
                self._reception.consume(count)
        except ProtocolViolationError:
            self._abort(Ending.PROTOCOL_ERROR, _SERVICE_PROVIDER, INVALID_PDU_PARAMETER_VALUE)
        except OSError:  # an answer could not be sent
            self._act("Evt17")
        except _AssociationOverError:
            pass
        if self._machine.current_state in _OVER:
            self._reception.discard()
        self._idle_deadline = monotonic() + self._settings.idle_timeout_s

    def _wait(self) -> None:
        """Wait for the peer, for being woken or for the timer that runs in this state."""
        if self._machine.current_state != _DATA_TRANSFER:
            remaining_s = self.dul.artim_timer.remaining
        else:
            remaining_s = self._idle_deadline - monotonic()
            if remaining_s <= 0:
                self._abort(Ending.TIMEOUT, _SERVICE_USER, 0x00)
                return
        for descriptor, _ in self._poller.poll(max(remaining_s, 0) * 1000):
            if descriptor == self._waker.fileno():
                self._waker.clear()
                self._advance()

    def _take_pdu(self, encoded: bytearray) -> None:
        """A PDU other than P-DATA-TF has come: pynetdicom decodes it and acts on it."""
        if encoded[0] == A_ASSOCIATE_RQ and self._machine.current_state == _AWAITING_REQUEST:
            self._take_request(bytes(encoded))
        else:
            self._act_on_received(self.dul.take(encoded))

    def _act_on_received(self, event: str) -> None:
        self._act(event)
        if self._machine.current_state in _OVER:
            raise _AssociationOverError

    def _act(self, event: str) -> None:
        """Let the state machine act on an event and on all that follows from it."""
        self.dul.event_queue.put(event)
        self._advance()

    def _advance(self) -> None:
        """Work off events, primitives to send, indications and DIMSE messages."""
        dul = self.dul
        while self._machine.current_state != _IDLE:
            # Makes an event of a primitive that waits to be sent.
            if not dul.event_queue.empty() or dul._process_recv_primitive():  # noqa: SLF001  (pinned)
                self._do_action(dul.event_queue.get_nowait())
            elif not dul.to_user_queue.empty():
                self._indicate(dul.receive_pdu())
            elif not self.dimse.msg_queue.empty():
                context_id, message = self.dimse.get_msg()
                if message is not None and context_id is not None:
                    self._serve_request(message, context_id)
            else:
                break
        if self._stop_wanted is Ending.PROTOCOL_ERROR:
            self._abort(Ending.PROTOCOL_ERROR, _SERVICE_USER, 0x00)

    def _do_action(self, event: str) -> None:
        state = self._machine.current_state
        if (event, state) not in TRANSITION_TABLE:
            # Too late to be sent: the association ended while it was queued.
            if event in _USER_EVENTS:
                self.dul.to_provider_queue.get_nowait()
            return
        if event in _ENDING_EVENTS and (event != "Evt12" or state == _DATA_TRANSFER):
            self._note(_ENDING_EVENTS[event])
        try:
            self._machine.do_action(event)
        except Exception:  # noqa: BLE001  (a PDU that decodes may still hold what makes it raise)
            self._abort(Ending.PROTOCOL_ERROR, _SERVICE_PROVIDER, INVALID_PDU_PARAMETER_VALUE)
        if self._machine.current_state in _OVER:
            self._note(Ending.PROTOCOL_ERROR)  # unless it is known to be something else
            self.dul.artim_timer.timeout = CLOSE_WAIT_S
            self._association_over()

    def _indicate(self, primitive: object) -> None:
        """What the peer asks of the service user, i.e. of us (PS3.8 7)."""
        if isinstance(primitive, A_RELEASE):
            self.is_released = True
            self.is_established = False
            self.acse.send_release(is_response=True)
        else:
            self.is_aborted = True
            self.is_established = False

    def _take_request(self, encoded: bytes) -> None:
        """The A-ASSOCIATE-RQ has come: accept or reject it (PS3.8 7.1, AE-6 to AE-8).

        Not by way of the state machine: pynetdicom decodes all of a request before it is
        known whether its peer may associate, and each time anew.
        """
        try:
            verdict = self._acceptor.admission.consider(encoded, self._peer_address, self._failed)
        except TooManyItemsError:
            raise ProtocolViolationError("more items than a request can have") from None
        except Exception:  # noqa: BLE001  (decoding what anybody can send raises anything)
            self._act_on_received("Evt19")
            return
        facts, agreement = verdict.facts, verdict.agreement
        self._facts = facts
        if facts is None or agreement is None:
            self._reject(verdict.rejection or peers.CHECK_FAILED)
        if not self._acceptor.registry.establish():
            self._reject(peers.DRAINING)
        self._is_counted = True
        # What pynetdicom's services ask for: the contexts, and how long a PDU may be.
        self._accepted_cx = agreement.accepted_items
        limit = agreement.peer_max_pdu_bytes
        self.requestor.maximum_length = DEFAULT_PEER_PDU_BYTES if limit is None else limit
        self._reception.transfer = DataTransfer(
            agreement.accepted,
            self._acceptor.service,
            facts,
            send=self._socket.transmit,
            relay=self._relay,
            failed=self._failed,
            peer_max_pdu_bytes=limit,
        )
        self.dul.artim_timer.stop()
        self._machine.transition(_DATA_TRANSFER)
        self.is_established = True
        self._socket.transmit(agreement.encoded)

    def _reject(self, rejection: peers.Rejection) -> NoReturn:
        """Send A-ASSOCIATE-RJ, and wait for the peer to close."""
        self._await_close()
        if self._facts is not None:
            self._is_reported = True
            self._acceptor.observer.rejected(rejection.code, self._facts)
        self._note(Ending.PROTOCOL_ERROR)
        self._socket.transmit(reject_pdu(rejection))
        raise _AssociationOverError

    def _await_close(self) -> None:
        self._machine.transition(_CLOSING)
        self.dul.artim_timer.timeout = CLOSE_WAIT_S
        self.dul.artim_timer.start()

    def _relay(self, context_id: int, command_set: bytes, dataset: bytes | None) -> None:
        """Give pynetdicom a message that is not a C-STORE-RQ, and let it be served."""
        primitive = P_DATA()
        fragments = primitive.presentation_data_value_list
        fragments.append((context_id, b"\x03" + command_set))
        if dataset is not None:
            fragments.append((context_id, b"\x02" + dataset))
        try:
            self.dimse.receive_primitive(primitive)
        except Exception:  # noqa: BLE001  (decoding what a peer sends raises anything)
            raise ProtocolViolationError("message cannot be understood") from None
        self._advance()
        if self._machine.current_state in _OVER:
            raise _AssociationOverError

    def _failed(self, error: Exception) -> None:
        self._acceptor.observer.failed(self._facts, error)

    def _note(self, how: Ending) -> None:
        """The first reason for the end is the reason."""
        if self._ending is None:
            self._ending = how

    def _abort(self, how: Ending, source: int, reason: int) -> None:
        """Send A-ABORT whatever the state, and wait for the peer to close.

        Not by way of the state machine, which knows no abort by the acceptor before the
        A-ASSOCIATE-RQ and gives no reason of its own.
        """
        self._stop_wanted = None
        if self._machine.current_state in _OVER:
            return
        self._note(how)
        self._await_close()
        self.is_aborted = True
        self.is_established = False
        self._socket.send(abort_pdu(source, reason))
        self._association_over()
        self._advance()

    def _association_over(self) -> None:
        """No further data: give up what is half received, tell the observer."""
        transfer, self._reception.transfer = self._reception.transfer, None
        if transfer is not None:
            transfer.abandon()
        if not self._is_counted:
            return
        self._is_counted = False
        try:
            if not self._is_reported and self._facts is not None:
                self._is_reported = True
                how = self._ending or Ending.PROTOCOL_ERROR
                self._acceptor.observer.closed(self._facts, how)
        finally:
            self._acceptor.registry.end()

    def _close(self) -> None:
        """Release everything."""
        try:
            self._association_over()
            if not self._is_reported:
                self._is_reported = True
                how = self._ending or Ending.PROTOCOL_ERROR
                self._acceptor.observer.unassociated(self._peer_address, how)
        finally:
            self._connection.close()
            self._waker.close()
            self._acceptor.registry.remove(self)
            self._reception.close()
            self._take_apart()

    def _take_apart(self) -> None:
        """Cut the references that go in a circle.

        So an association is freed at once, with all it holds of its peer, and the garbage
        collector need not run every third association.
        """
        dul = self.dul
        for part in (dul.socket, dul, self._machine, self.acse, self.dimse, self._reception):
            forget_whole(part)
        forget_whole(self.requestor)
        forget_whole(self.acceptor)
