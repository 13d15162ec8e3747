"""Which instances of a request are committed: pure, but for the receipts it asks for.

An instance is committed when the ledger has its receipt, which is written once it is
durable and before its sender is told so; or, in mode "destination", when every destination
of its study has taken it. What is not known says no: its sender keeps the instance.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple, Protocol

from dicomanon_node.commitment.settings import CommitmentSettings, Mode
from dicomanon_node.commitment.transactions import Transaction
from dicomanon_node.errors import NodeError


class FailureReason(IntEnum):
    """Why an instance is not committed (PS3.3 C.14.1.1)."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119
    DUPLICATE_TRANSACTION_UID = 0x0131


class UnavailableError(NodeError):
    """Whether an instance is here cannot be told now. Temporary.

    Attributes:
        why: What went wrong: its text may hold values, so log its class alone.
    """

    def __init__(self, why: Exception) -> None:
        super().__init__("the ledger cannot be read")
        self.why = why


class Holding(NamedTuple):
    """A receipt of an instance.

    Attributes:
        sop_class_uid: Its SOP class.
        is_delivered: Every destination it was queued for has taken it since.
    """

    sop_class_uid: str
    is_delivered: bool


class Holdings(Protocol):
    """What the node has, or has had, durably."""

    def find(self, sop_instance_uids: Sequence[str]) -> Mapping[str, Sequence[Holding]]:
        """The receipts of each of these original SOP Instance UIDs (PHI) that has any.

        Raises:
            UnavailableError: That cannot be told now.
        """


def answer(
    transaction: Transaction, holdings: Holdings, settings: CommitmentSettings, now: float
) -> dict[int, int] | None:
    """Answer a request.

    Args:
        transaction: The request.
        holdings: What the node has.
        settings: What counts as committed, and how long is waited for it.
        now: Seconds since the epoch.

    Returns:
        Failure Reason by place in its references; empty if all are committed. None while
        something may still come.

    Raises:
        UnavailableError: That cannot be told now.
    """
    references = transaction.references
    if transaction.is_duplicate:
        return dict.fromkeys(range(len(references)), FailureReason.DUPLICATE_TRANSACTION_UID)
    age_s = now - transaction.requested_at
    found = holdings.find([reference.sop_instance_uid for reference in references])
    failures: dict[int, int] = {}
    for place, reference in enumerate(references):
        held = found.get(reference.sop_instance_uid, ())
        if not held:
            if age_s < settings.settle_s:
                return None  # the ledger is told of an instance a moment after its sender
            failures[place] = FailureReason.NO_SUCH_OBJECT_INSTANCE
        elif any(one.sop_class_uid != reference.sop_class_uid for one in held):
            failures[place] = FailureReason.CLASS_INSTANCE_CONFLICT
        elif settings.mode is Mode.DESTINATION and not all(one.is_delivered for one in held):
            if age_s < settings.wait_s:
                return None
            failures[place] = FailureReason.PROCESSING_FAILURE
    return failures
