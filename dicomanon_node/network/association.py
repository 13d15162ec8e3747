"""One association as its acceptor: one thread, driven by events.

Of the states of PS3.8 9.2 an acceptor that answers at once needs four. The thread
waits in poll(2) for the peer, for the time to run out or to be woken. What the peer
asks for is judged by `admission`; its instances go to `transfer`, and what is neither
C-STORE nor C-ECHO to pynetdicom. This module accepts no connection and decides neither
on peers nor on contexts.
"""

import contextlib
import select
import socket
from enum import Enum
from time import monotonic
from typing import Final, NoReturn

from dicomanon_node.network import pdus, peers
from dicomanon_node.network.acceptor import Acceptor
from dicomanon_node.network.entrance import Arrival, Entrance, NoEntryError
from dicomanon_node.network.negotiation import TooManyItemsError
from dicomanon_node.network.other_services import UnserviceableError
from dicomanon_node.network.pace import Pace
from dicomanon_node.network.pdus import SERVICE_PROVIDER, SERVICE_USER, PduType
from dicomanon_node.network.reception import Reception
from dicomanon_node.network.relay import Relay
from dicomanon_node.network.service import AssociationFacts, Ending
from dicomanon_node.network.transfer import DataTransfer, ProtocolViolationError
from dicomanon_node.network.waker import Waker

CLOSE_WAIT_S: Final = 3.0
"""Seconds the peer has to close the connection after the last PDU (ARTIM of PS3.8 9.1.5 in
Sta13). What it still sends is thrown away, so that it can read our A-ABORT or A-ASSOCIATE-RJ
instead of a connection reset."""


class _State(Enum):
    """PS3.8 Tables 9-1 to 9-5. What lies between these is done in one go."""

    AWAITING_REQUEST = "Sta2"
    DATA_TRANSFER = "Sta6"
    AWAITING_CLOSE = "Sta13"
    CLOSED = "Sta1"


class _AssociationOverError(Exception):
    """Leaves the reading of a buffer: the association ended in the middle of it."""


class AcceptorAssociation:
    """An association from its connection to its end. `run` it in a thread of its own.

    Args:
        acceptor: What it shares with its siblings.
        connection: The accepted connection; closed here.
        peer_address: The peer's IP address.
        entrance: What comes before the first PDU, TLS or a PROXY header; None: nothing.
    """

    def __init__(
        self,
        acceptor: Acceptor,
        connection: socket.socket,
        peer_address: str,
        entrance: Entrance | None = None,
    ) -> None:
        self._acceptor = acceptor
        self._settings = acceptor.settings
        self._connection = connection
        self._peer_address = peer_address
        self._entrance = entrance
        self._arrival: Arrival | None = None
        self._reception = Reception(
            self._settings.max_pdu_bytes, self._take_pdu, self._take_unknown
        )
        self._pace = Pace(self._settings)
        self._waker = Waker()
        self._state = _State.AWAITING_REQUEST
        self._deadline = 0.0  # of this state: ARTIM, or how long the peer may be silent

        self._facts: AssociationFacts | None = None
        self._is_counted = False
        self._is_reported = False
        self._ending: Ending | None = None
        self._wanted_end: Ending | None = None
        self._waiting_since: float | None = None  # for the peer of an association
        self._relay: Relay | None = None

    def dismiss(self, how: Ending) -> None:
        """Close the connection of an association that no thread can run."""
        self._note(how)
        self._close()

    @property
    def silent_s(self) -> float:
        """Seconds its association waits for the peer, which sends nothing; 0 if it does not."""
        since = self._waiting_since
        return 0.0 if since is None else monotonic() - since

    @property
    def is_stop_wanted(self) -> bool:
        """Whether it was told to end."""
        return self._wanted_end is not None

    def stop(self, how: Ending = Ending.STOPPED) -> None:
        """End it from another thread; returns at once.

        Args:
            how: `STOPPED` and `YIELDED` abort, the latter only if the peer is still silent.
                `LIMIT` closes what is no association.
        """
        if self._wanted_end is not Ending.STOPPED:
            self._wanted_end = how
        self._waker.wake()

    def run(self) -> None:
        """From the connection to its end. Never raises."""
        try:
            self._open()
            while self._state is not _State.CLOSED:
                self._step()
        except Exception as error:  # noqa: BLE001  (a thread has nobody to raise to)
            self._note(Ending.INTERNAL_ERROR)
            if self._state is _State.DATA_TRANSFER:
                self._send_once(pdus.abort(SERVICE_PROVIDER, pdus.NO_REASON))
            self._failed(error)
        finally:
            self._close()

    def _open(self) -> None:
        self._deadline = monotonic() + self._settings.acse_timeout_s
        try:
            self._connection = self._acceptor.prepare_socket(self._connection)
            self._connection.setblocking(False)
            if self._entrance is not None:
                self._arrival = self._entrance.admit(
                    self._connection, self._peer_address, self._deadline, self._waker
                )
                self._connection = self._arrival.connection
                self._peer_address = self._arrival.peer_address
        except OSError:
            self._note(Ending.LOST)
            self._state = _State.CLOSED
            return
        except NoEntryError as error:
            self._note(error.how)
            self._state = _State.CLOSED
            return
        self._poller = select.poll()
        self._poller.register(self._connection, select.POLLIN)
        self._poller.register(self._waker, select.POLLIN)

    @property
    def _is_over(self) -> bool:
        return self._state in (_State.AWAITING_CLOSE, _State.CLOSED)

    def _step(self) -> None:
        """Do what there is to do, or wait for it."""
        if self._wanted_end is not None:
            self._come_to_end()
            if self._state is _State.CLOSED:
                return
        if self._state is not _State.DATA_TRANSFER and monotonic() >= self._deadline:
            self._lose(Ending.TIMEOUT)
            return
        count = None if self._reception.is_drained else self._reception.read(self._connection)
        if count is None:
            self._wait()
        elif not count:
            self._lose(Ending.LOST)
        elif not self._is_over:
            self._consume(count)
        elif self._reception.pass_over(count):
            self._lose(Ending.ABORTED)  # AA-2 of Sta13

    def _come_to_end(self) -> None:
        """As another thread wants it."""
        how, self._wanted_end = self._wanted_end, None
        if how is Ending.LIMIT and self._state is not _State.DATA_TRANSFER:
            self._lose(how)
        elif how is Ending.STOPPED or (how is Ending.YIELDED and self._waiting_since is not None):
            self._abort(how, SERVICE_USER)

    def _consume(self, count: int) -> None:
        """Take so many bytes, and what follows from them."""
        try:
            self._reception.consume(count)
        except ProtocolViolationError:
            self._abort(Ending.PROTOCOL_ERROR, SERVICE_PROVIDER, pdus.INVALID_PARAMETER_VALUE)
        except UnserviceableError as error:
            self._abort(Ending.PROTOCOL_ERROR, error.source, error.reason)
        except TimeoutError:  # the peer takes no answer
            self._lose(Ending.SLOW)
        except OSError:  # an answer could not be sent
            self._lose(Ending.LOST)
        except _AssociationOverError:
            pass
        if self._state is _State.DATA_TRANSFER:
            self._deadline = monotonic() + self._settings.idle_timeout_s

    def _wait(self) -> None:
        """Wait for the peer, for being woken or for the time to run out."""
        self._reception.is_drained = False
        now = monotonic()
        remaining_s = self._deadline - now
        is_association = self._state is _State.DATA_TRANSFER
        pace_s = self._pace.left_s(self._reception) if is_association else None
        is_slow = pace_s is not None and pace_s < remaining_s
        if is_slow:
            remaining_s = pace_s or 0.0
        if remaining_s <= 0:
            if is_association:
                self._abort(Ending.SLOW if is_slow else Ending.TIMEOUT, SERVICE_USER)
            return
        if is_association and self._waiting_since is None:
            self._waiting_since = now
        if self._relay is not None:
            remaining_s = min(remaining_s, self._turn(self._relay))
        found = self._poller.poll(remaining_s * 1000)
        self._pace.waited(monotonic() - now)
        for descriptor, _ in found:
            if descriptor == self._waker.fileno():
                self._waker.clear()
            else:
                self._waiting_since = None

    def _turn(self, relay: Relay) -> float:
        """Send what is due from our side; seconds until something may be again."""
        try:
            return relay.turn(self._reception.transfer)
        except OSError as error:
            self._lose(Ending.SLOW if isinstance(error, TimeoutError) else Ending.LOST)
            return 0.0

    def _take_pdu(self, encoded: bytearray) -> None:
        """A PDU has come that is no P-DATA-TF, or one out of place (PS3.8 Table 9-10)."""
        pdu_type = encoded[0]
        if pdu_type == PduType.A_ABORT:
            self._lose(Ending.ABORTED)  # AA-2, AA-3
        elif self._state is _State.AWAITING_REQUEST and pdu_type == PduType.A_ASSOCIATE_RQ:
            self._take_request(bytes(encoded))
            return
        elif self._state is _State.DATA_TRANSFER and pdu_type == PduType.A_RELEASE_RQ:
            self._note(Ending.RELEASED)  # AR-2, AR-4
            self._await_close()
            self._send(pdus.RELEASE_RP)
            self._association_over()
        else:
            self._take_misplaced(pdus.UNEXPECTED_PDU)
        raise _AssociationOverError

    def _take_unknown(self) -> NoReturn:
        """A PDU of no type of PS3.8 has come."""
        self._take_misplaced(pdus.UNRECOGNIZED_PDU)

    def _take_misplaced(self, reason: int) -> NoReturn:
        """What should not come in this state, or never (AA-1, AA-8)."""
        if self._state is _State.AWAITING_REQUEST:  # AA-1: as service-user, which has no reason
            self._abort(Ending.PROTOCOL_ERROR, SERVICE_USER)
        else:
            self._abort(Ending.PROTOCOL_ERROR, SERVICE_PROVIDER, reason)
        raise _AssociationOverError

    def _take_request(self, encoded: bytes) -> None:
        """The A-ASSOCIATE-RQ has come: accept or reject it (PS3.8 7.1, AE-6 to AE-8)."""
        try:
            verdict = self._acceptor.admission.consider(
                encoded, self._peer_address, self._failed, self._arrival
            )
        except TooManyItemsError:
            raise ProtocolViolationError("more items than a request can have") from None
        except Exception:  # noqa: BLE001  (decoding what anybody can send raises anything)
            self._take_misplaced(pdus.NO_REASON)
        facts, agreement = verdict.facts, verdict.agreement
        self._facts = facts
        if facts is None or agreement is None:
            self._reject(verdict.rejection or peers.CHECK_FAILED)
        full = self._acceptor.registry.establish(self, self._peer_address)
        if full is not None:
            self._reject(full)
        self._is_counted = True
        self._relay = relay = Relay(
            self._acceptor, agreement, facts, send=self._send, failed=self._failed
        )
        transfer = DataTransfer(
            agreement.accepted,
            self._acceptor.service,
            facts,
            send=self._send,
            relay=relay.take,
            failed=self._failed,
            peer_max_pdu_bytes=agreement.peer_max_pdu_bytes,
            other_bytes=relay.dataset_bytes,
        )
        self._reception.begin_transfer(transfer)
        self._state = _State.DATA_TRANSFER
        self._acceptor.observer.opened(facts)
        self._send(agreement.encoded)

    def _reject(self, rejection: peers.Rejection) -> NoReturn:
        """Send A-ASSOCIATE-RJ, and wait for the peer to close."""
        self._await_close()
        if self._facts is not None:
            self._is_reported = True
            self._acceptor.observer.rejected(rejection.code, self._facts)
        self._note(Ending.PROTOCOL_ERROR)
        self._send(pdus.reject(rejection.result, rejection.source, rejection.diagnostic))
        raise _AssociationOverError

    def _send(self, data: bytes) -> None:
        """Send all of `data`.

        Raises:
            OSError: The connection is lost.
            TimeoutError: The peer does not take it in time, or there is no time left for it.
        """
        rest = memoryview(data)
        deadline = monotonic() + self._settings.pdu_timeout_s
        while rest:
            try:
                rest = rest[self._connection.send(rest) :]
            except BlockingIOError:
                poller = select.poll()
                poller.register(self._connection, select.POLLOUT)
                poller.register(self._waker, select.POLLIN)
                found = poller.poll(max(deadline - monotonic(), 0) * 1000)
                if self._wanted_end is Ending.STOPPED:
                    self._note(Ending.STOPPED)
                    raise TimeoutError from None
                self._waker.clear()
                if not found:
                    raise TimeoutError from None

    def _send_once(self, data: bytes) -> None:
        """Send a few bytes, unless the peer takes none: it is not waited for."""
        with contextlib.suppress(OSError):  # if it is lost, that is noticed when it is read from
            self._connection.send(data)

    def _failed(self, error: Exception) -> None:
        self._acceptor.observer.failed(self._facts, error)

    def _note(self, how: Ending) -> None:
        """The first reason for the end is the reason."""
        if self._ending is None:
            self._ending = how

    def _abort(self, how: Ending, source: int, reason: int = pdus.NO_REASON) -> None:
        """Send A-ABORT unless it is over, and wait for the peer to close."""
        if self._is_over:
            return
        self._note(how)
        self._await_close()
        self._send_once(pdus.abort(source, reason))  # first: a process may end with its last one
        self._association_over()

    def _await_close(self) -> None:
        self._state = _State.AWAITING_CLOSE
        self._deadline = monotonic() + CLOSE_WAIT_S
        self._reception.discard()

    def _lose(self, how: Ending) -> None:
        """There is nobody to tell, or nobody who waits for it."""
        self._note(how)
        self._state = _State.CLOSED
        self._association_over()

    def _association_over(self) -> None:
        """No further data: give up what is half received, tell the observer."""
        transfer, self._reception.transfer = self._reception.transfer, None
        if transfer is not None:
            transfer.abandon()
        relay, self._relay = self._relay, None
        if relay is not None:
            relay.end()
        if not self._is_counted:
            return
        self._is_counted = False
        try:
            if not self._is_reported and self._facts is not None:
                self._is_reported = True
                how = self._ending or Ending.PROTOCOL_ERROR
                self._acceptor.observer.closed(self._facts, how)
        finally:
            self._acceptor.registry.end(self)

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
            # It refers to us: so we are freed at once, with all that is held of the peer.
            self._reception.close()
            self._acceptor.registry.remove(self)
