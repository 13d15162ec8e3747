"""Answers requests, and reports on associations of our own: the loop of one process.

Whatever is in the directory is answered as soon as it can be. What is answered and nobody
is at work on is reported to its requestor, if that takes associations; all that is due to
one requestor goes out on one, and one that is down is tried again after 1 s, 2 s, 4 s and
so on to five minutes, over restarts too, until it has taken the report or it is given up.
A report may arrive twice if the process is killed before it has noted the answer.
"""

import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dicomanon_node.commitment.answering import Holdings, UnavailableError, answer
from dicomanon_node.commitment.intake import is_taken, report_of, tell_reported
from dicomanon_node.commitment.settings import Channel, CommitmentSettings
from dicomanon_node.commitment.transactions import (
    Hold,
    Transaction,
    Transactions,
    UnreadableError,
)
from dicomanon_node.delivery.backoff import Backoff
from dicomanon_node.network.commitment import Report
from dicomanon_node.network.failures import AssociationError, NotSendableError
from dicomanon_node.network.reporter import Reporter
from dicomanon_node.ops.events import TellEvent

TURN_S: Final = 0.2
"""How often the directory is looked at, seconds."""

_LONGEST_LOOK_S: Final = 5.0
"""How often at least the ledger is asked again about an unanswered request, seconds."""

_MOST_AT_ONCE: Final = 50  # reports on one association
_MOST_PEERS: Final = 8  # associations at a time
_STOP_S: Final = 3.0


@dataclass(slots=True)
class _Unanswered:
    """A request that waits for its answer."""

    transaction: Transaction
    look_at: float = 0.0
    pause_s: float = TURN_S
    was_unavailable: bool = False


@dataclass(slots=True)
class _Peer:
    """A requestor, as it is reported to: calling AE title, called AE title, host, port."""

    address: tuple[str, str, str, int]
    backoff: Backoff = field(default_factory=lambda: Backoff(random.Random()))  # noqa: S311  (jitter)
    requestor: Reporter | None = None
    thread: threading.Thread | None = None

    @property
    def is_busy(self) -> bool:
        return self.thread is not None and self.thread.is_alive()

    def is_free(self, now: float) -> bool:
        return not self.is_busy and not self.backoff.remaining_s(now)


@dataclass(frozen=True, slots=True)
class _Job:
    """A report that is due."""

    transaction: Transaction
    failures: dict[int, int]
    hold: Hold

    def report(self, transfer_syntax_uid: str) -> Report:
        return report_of(self.transaction, self.failures, transfer_syntax_uid)


class Reporting:
    """Answers and reports. `run` it once.

    Args:
        settings: What counts as committed, whom to report to, when to give up.
        transactions: The requests.
        holdings: What the node has.
        log: Where it is told.
    """

    def __init__(
        self,
        settings: CommitmentSettings,
        transactions: Transactions,
        holdings: Holdings,
        log: TellEvent,
    ) -> None:
        self._settings = settings
        self._transactions = transactions
        self._holdings = holdings
        self._log = log
        self._unanswered: dict[str, _Unanswered] = {}
        self._peers: dict[tuple[str, str, str, int], _Peer] = {}
        # Of all requests what has to be known at each turn: the rest stays sealed.
        self._due: dict[str, tuple[_Peer | None, float]] = {}

    def run(self, stop: threading.Event) -> None:
        """Answer and report until told to stop; what is under way may take a moment more."""
        while not stop.is_set():
            try:
                self.turn()
            except OSError as error:  # the spool is not there: requests are refused meanwhile
                self._log.event("internal.error", where="commitment", error=error)
                stop.wait(_LONGEST_LOOK_S)
            stop.wait(TURN_S)
        deadline = time.monotonic() + _STOP_S
        for peer in self._peers.values():
            if peer.thread is not None:
                peer.thread.join(max(deadline - time.monotonic(), 0))
        for peer in self._peers.values():
            if peer.requestor is not None:
                peer.requestor.interrupt()

    def turn(self) -> None:
        """Answer what can be answered, report what is due.

        Raises:
            OSError: The directory cannot be read or written.
        """
        is_answered = self._transactions.open()
        for gone in self._unanswered.keys() - is_answered.keys():
            del self._unanswered[gone]
        for gone in self._due.keys() - is_answered.keys():
            del self._due[gone]
        for name, answered in is_answered.items():
            self._look_at_peer(name)
            is_answered[name] = answered or self._answer(name)
        self._report(is_answered)

    def _answer(self, name: str) -> bool:
        """Answer a request if that can be done now; whether it is."""
        waiting = self._unanswered.get(name)
        if waiting is None:
            transaction = self._read(name)
            if transaction is None:
                return False
            waiting = self._unanswered[name] = _Unanswered(transaction)
        now = time.monotonic()
        if now < waiting.look_at:
            return False
        transaction = waiting.transaction
        failures = None
        try:
            failures = answer(transaction, self._holdings, self._settings, time.time())
        except UnavailableError as error:
            if not waiting.was_unavailable:
                waiting.was_unavailable = True
                self._tell_deferred(transaction, "ledger-unavailable", error=error.why)
        if failures is None:
            waiting.look_at = now + waiting.pause_s
            waiting.pause_s = min(waiting.pause_s * 1.5, _LONGEST_LOOK_S)
            return False
        self._transactions.answer(transaction, failures)
        del self._unanswered[name]
        self._log.event(
            "commitment.answered",
            transaction=transaction.number,
            calling_aet=transaction.calling_aet,
            instances=len(transaction.references),
            uncommitted=len(failures),
            seconds=time.time() - transaction.requested_at,
        )
        return True

    def _look_at_peer(self, name: str) -> None:
        """Know to whom a request is to be reported."""
        if name in self._due:
            return
        transaction = self._read(name)
        if transaction is None:
            return
        peer = None
        found = self._settings.address_of(transaction.calling_aet, transaction.peer_address)
        if found is not None and self._settings.channel is not Channel.SAME:
            # As it called us, and as it calls itself.
            address = (transaction.called_aet.strip(), transaction.calling_aet.strip(), *found)
            peer = self._peers.setdefault(address, _Peer(address))
        self._due[name] = peer, transaction.requested_at

    def _report(self, is_answered: Mapping[str, bool]) -> None:
        due: dict[tuple[str, str, str, int], list[_Job]] = {}
        free_count = _MOST_PEERS - sum(peer.is_busy for peer in self._peers.values())
        for name, (peer, requested_at) in list(self._due.items()):
            if peer is None or self._is_too_old(requested_at):
                # Nobody waits for an answer that cannot be told.
                self._give_up(name, "no-address" if peer is None else "given-up")
                continue
            jobs = due.get(peer.address, [])
            has_room = len(jobs) < _MOST_AT_ONCE if jobs else len(due) < free_count
            is_due = has_room and is_answered.get(name) and peer.is_free(time.monotonic())
            job = self._job(name) if is_due else None
            if job is not None:
                due.setdefault(peer.address, []).append(job)
        for address, jobs in due.items():
            self._begin_to_report(self._peers[address], jobs)
        self._forget_peers()

    def _forget_peers(self) -> None:
        """A requestor may call us by any name: those nothing is due to are not kept for ever."""
        wanted = {peer.address for peer, _ in self._due.values() if peer is not None}
        for address in self._peers.keys() - wanted:
            if self._peers[address].is_free(time.monotonic()):
                del self._peers[address]

    def _job(self, name: str) -> _Job | None:
        """Take a report on; None if its association is still there, or it is closed."""
        hold = self._transactions.hold(name)
        if hold is None:
            return None
        transaction = self._read(name)
        failures = None if transaction is None else self._transactions.answer_to(transaction)
        if transaction is None or failures is None:
            hold.release()
            return None
        return _Job(transaction, failures, hold)

    def _begin_to_report(self, peer: _Peer, jobs: Sequence[_Job]) -> None:
        peer.thread = threading.Thread(
            target=self._report_to, args=(peer, jobs), daemon=True, name="report"
        )
        try:
            peer.thread.start()
        except RuntimeError as error:  # no thread left for it
            peer.thread = None
            self._failed(peer, [job.transaction for job in jobs], "internal", error)
            for job in jobs:
                job.hold.release()

    def _report_to(self, peer: _Peer, jobs: Sequence[_Job]) -> None:
        """Report to one requestor, in a thread of its own. Never raises."""
        calling_aet, called_aet, host, port = peer.address
        left = list(jobs)
        try:
            peer.requestor = Reporter(host, port, calling_aet=calling_aet, called_aet=called_aet)
            with peer.requestor as requestor:
                while left:
                    status = requestor.report(left[0].report)
                    self._ended(peer, left.pop(0), status)
        except (AssociationError, NotSendableError) as error:
            self._failed(peer, [job.transaction for job in left], error.code, error)
        except Exception as error:  # noqa: BLE001  (a thread has nobody to raise to)
            self._failed(peer, [], "internal", error)
            self._log.event("internal.error", where="commitment", error=error)
        finally:
            peer.requestor = None
            for job in left:
                job.hold.release()

    def _ended(self, peer: _Peer, job: _Job, status: int) -> None:
        transaction = job.transaction
        try:
            if is_taken(status):
                self._transactions.close(transaction.name)
                peer.backoff.succeed()
                tell_reported(self._log, transaction, "new-association", status)
            else:
                self._failed(peer, [transaction], "refused", status=status)
        finally:
            job.hold.release()

    def _failed(
        self,
        peer: _Peer,
        transactions: Sequence[Transaction],
        reason: str,
        error: Exception | None = None,
        status: int | None = None,
    ) -> None:
        retry_s = peer.backoff.fail(time.monotonic())
        for transaction in transactions:
            self._tell_deferred(transaction, reason, error=error, status=status, retry_s=retry_s)

    def _is_too_old(self, requested_at: float) -> bool:
        return time.time() - requested_at > self._settings.give_up_s

    def _read(self, name: str) -> Transaction | None:
        try:
            return self._transactions.read(name)
        except UnreadableError:
            number = name.partition("-")[0]
            self._transactions.close(name)
            self._log.event("commitment.given_up", transaction=number, reason="unreadable")
            return None

    def _give_up(self, name: str, reason: str) -> None:
        hold = self._transactions.hold(name)
        if hold is None:  # its association is still there, or it is closed
            return
        try:
            transaction = self._read(name)
            if transaction is None:
                return
            self._transactions.close(name)
        finally:
            hold.release()
        self._log.event(
            "commitment.given_up",
            transaction=transaction.number,
            calling_aet=transaction.calling_aet,
            reason=reason,
            seconds=time.time() - transaction.requested_at,
        )

    def _tell_deferred(self, transaction: Transaction, reason: str, **keys: object) -> None:
        self._log.event(
            "commitment.deferred",
            transaction=transaction.number,
            calling_aet=transaction.calling_aet,
            reason=reason,
            **{key: value for key, value in keys.items() if value is not None},
        )
