"""What a receiver does with a request: judge it, make it durable, report where it may.

The answer is not made here: `answering` writes it beside the request, and a ticket looks
for it. So the receive path opens no database and waits for none.
"""

import errno
from typing import Final

from dicomanon_node.commitment.information import (
    ActionFaultError,
    read_action,
    write_event,
)
from dicomanon_node.commitment.settings import Channel, CommitmentSettings
from dicomanon_node.commitment.transactions import (
    Hold,
    TooManyError,
    Transaction,
    Transactions,
)
from dicomanon_node.network.commitment import Report, Verdict
from dicomanon_node.network.service import AssociationFacts
from dicomanon_node.ops.events import TellEvent

# PS3.7 Annex C
_SUCCESS: Final = 0x0000
_PROCESSING_FAILURE: Final = 0x0110
_RESOURCE_LIMITATION: Final = 0x0213
_TAKEN: Final = frozenset({0x0000, 0x0001, 0x0107, 0x0116})  # success and warnings

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Intake:
    """Takes requests from associations. Thread-safe; a `network.commitment.CommitmentService`.

    Args:
        settings: What is taken, and where is reported.
        transactions: Where requests are kept.
        log: Where each is told.
    """

    def __init__(
        self, settings: CommitmentSettings, transactions: Transactions, log: TellEvent
    ) -> None:
        self._settings = settings
        self._transactions = transactions
        self._log = log

    @property
    def request_bytes(self) -> int:
        """The largest Action Information that is taken, bytes."""
        return self._settings.request_bytes

    def request(
        self, dataset: bytes, transfer_syntax_uid: str, association: AssociationFacts
    ) -> Verdict:
        """Take a request; 0000H only if it is durable."""
        settings = self._settings
        try:
            action = read_action(dataset, transfer_syntax_uid, settings.max_instances)
        except ActionFaultError as error:
            fault = error.fault
            return self._refuse(association, fault.code, fault.status, fault.comment)
        if settings.channel is Channel.NEW and not settings.address_of(
            association.calling_aet, association.peer_address
        ):
            comment = "No address is known to report to"
            return self._refuse(association, "no-address", _PROCESSING_FAILURE, comment)
        transaction = self._transactions.make(
            action, association.calling_aet, association.called_aet, association.peer_address
        )
        try:
            hold = self._transactions.add(transaction)
        except TooManyError:
            comment = "Too many requests are open"
            return self._refuse(association, "too-many-open", _RESOURCE_LIMITATION, comment)
        except OSError as error:
            status = _RESOURCE_LIMITATION if error.errno in _NO_ROOM else _PROCESSING_FAILURE
            return self._refuse(
                association, "spool-unavailable", status, "Request not stored", error
            )
        self._log.event(
            "commitment.requested",
            association=association.association_id,
            calling_aet=association.calling_aet,
            transaction=transaction.number,
            instances=len(action.references),
        )
        if hold is not None and settings.channel is Channel.NEW:
            hold.release()
            hold = None
        if hold is None:
            return Verdict(_SUCCESS)
        # It may have been open already, from another association.
        try:
            kept = self._transactions.read(transaction.name) or transaction
        except BaseException:
            hold.release()
            raise
        return Verdict(_SUCCESS, ticket=SameAssociation(kept, hold, self._transactions, self._log))

    def _refuse(
        self,
        association: AssociationFacts,
        reason: str,
        status: int,
        comment: str,
        error: OSError | None = None,
    ) -> Verdict:
        keys: dict[str, object] = {} if error is None else {"error": error}
        self._log.event(
            "commitment.refused",
            association=association.association_id,
            calling_aet=association.calling_aet,
            reason=reason,
            status=status,
            **keys,
        )
        return Verdict(status, comment)


class SameAssociation:
    """A request whose association is still there. Its thread owns it.

    Args:
        transaction: The request.
        hold: The lock on it.
        transactions: Where it and its answer are.
        log: Where it is told that the report has arrived.
    """

    def __init__(
        self, transaction: Transaction, hold: Hold, transactions: Transactions, log: TellEvent
    ) -> None:
        self._transaction = transaction
        self._hold = hold
        self._transactions = transactions
        self._log = log

    def report(self, transfer_syntax_uid: str) -> Report | None:
        """The report, once there is an answer."""
        transaction = self._transaction
        failures = self._transactions.answer_to(transaction)
        if failures is None:
            return None
        return report_of(transaction, failures, transfer_syntax_uid)

    def answered(self, status: int) -> None:
        """The requestor has answered: if it has taken the report, that is the end of it."""
        if is_taken(status):
            self._transactions.close(self._transaction.name)
        tell_reported(self._log, self._transaction, "same-association", status)

    def release(self) -> None:
        """Let the process that reports have it, unless it is closed."""
        self._hold.release()


def is_taken(status: int) -> bool:
    """Whether a status of an N-EVENT-REPORT-RSP says that the report has arrived."""
    return status in _TAKEN


def report_of(
    transaction: Transaction, failures: dict[int, int], transfer_syntax_uid: str
) -> Report:
    """The N-EVENT-REPORT-RQ of an answer."""
    return Report(
        *write_event(
            transaction.transaction_uid, transaction.references, failures, transfer_syntax_uid
        )
    )


def tell_reported(log: TellEvent, transaction: Transaction, how: str, status: int) -> None:
    """Tell that a requestor has answered a report.

    Args:
        log: Where.
        transaction: Which.
        how: same-association or new-association.
        status: Of its N-EVENT-REPORT-RSP.
    """
    log.event(
        "commitment.reported",
        transaction=transaction.number,
        calling_aet=transaction.calling_aet,
        how=how,
        status=status,
    )
