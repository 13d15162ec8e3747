"""Which presentation contexts are accepted, decided per association.

Only what the requestor proposes is looked at, in the requestor's order of
transfer syntaxes (PS3.8 9.3.2.2): the sender knows which encoding it has, and an
acceptor that insists on its own order makes senders of compressed images abort.
This module knows nothing of rules: whether a SOP class may be stored in a study
is decided when an instance arrives.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pynetdicom.pdu_primitives import AsynchronousOperationsWindowNegotiation
from pynetdicom.presentation import PresentationContext

from dicomanon_node.network.supported import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    STORAGE_SOP_CLASSES,
    TRANSFER_SYNTAXES,
)

VERIFICATION_SOP_CLASS: Final = "1.2.840.10008.1.1"
COMMITMENT_SOP_CLASS: Final = "1.2.840.10008.1.20.1"

_COMMITMENT_SYNTAXES: Final = frozenset({IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN})

_ACCEPTANCE: Final = 0x00  # PS3.8 Table 9-18
_ABSTRACT_SYNTAX_NOT_SUPPORTED: Final = 0x03
_TRANSFER_SYNTAXES_NOT_SUPPORTED: Final = 0x04


@dataclass(frozen=True, slots=True)
class AcceptedContext:
    """One accepted presentation context: what its fragments are, how they are encoded."""

    context_id: int
    sop_class_uid: str
    transfer_syntax_uid: str
    is_storage: bool


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What is answered to the proposed presentation contexts.

    Attributes:
        accepted: The accepted ones by their ID.
        accepted_items: The same as they go into the A-ASSOCIATE-AC.
        rejected_items: The others, each with its reason.
        user_information: Extended negotiation items of the answer.
    """

    accepted: dict[int, AcceptedContext]
    accepted_items: dict[int, PresentationContext]
    rejected_items: list[PresentationContext]
    user_information: list[AsynchronousOperationsWindowNegotiation]


class ContextPolicy:
    """Decides on proposed presentation contexts. Immutable, shared by all associations.

    Args:
        extra_sop_classes: SOP class UIDs to store besides those of the standard, private
            ones included.
        takes_commitment: Whether Storage Commitment is accepted.
    """

    def __init__(
        self, extra_sop_classes: Iterable[str] = (), *, takes_commitment: bool = False
    ) -> None:
        self._storage = STORAGE_SOP_CLASSES | frozenset(extra_sop_classes)
        self._others = {VERIFICATION_SOP_CLASS: TRANSFER_SYNTAXES}
        if takes_commitment:
            self._others[COMMITMENT_SOP_CLASS] = _COMMITMENT_SYNTAXES

    def negotiate(
        self, proposed: Sequence[PresentationContext], user_information: Sequence[object] = ()
    ) -> Negotiated:
        """Answer an A-ASSOCIATE-RQ.

        A context ID that is proposed twice, which PS3.8 9.3.2.2 forbids, keeps its first
        meaning. A window of asynchronous operations is answered with one each way, because
        some senders take silence for consent (PS3.7 D.3.3.3). Role selection is never
        answered, so the acceptor is SCP (PS3.7 D.3.3.4).

        Args:
            proposed: Its Presentation Context Definition List.
            user_information: Its User Information items.
        """
        answer = Negotiated({}, {}, [], [])
        if any(
            isinstance(item, AsynchronousOperationsWindowNegotiation) for item in user_information
        ):
            window = AsynchronousOperationsWindowNegotiation()
            window.maximum_number_operations_invoked = 1
            window.maximum_number_operations_performed = 1
            answer.user_information.append(window)
        seen: set[int] = set()
        for context in proposed:
            context_id = context.context_id
            if context_id is None or context_id in seen:
                continue
            seen.add(context_id)
            sop_class_uid = str(context.abstract_syntax or "")
            is_storage = sop_class_uid in self._storage
            syntaxes = TRANSFER_SYNTAXES if is_storage else self._others.get(sop_class_uid)
            if syntaxes is None:
                item = _item(context, _ABSTRACT_SYNTAX_NOT_SUPPORTED)
                answer.rejected_items.append(item)
                continue
            transfer_syntax = next(
                (uid for uid in context.transfer_syntax if uid in syntaxes), None
            )
            if transfer_syntax is None:
                item = _item(context, _TRANSFER_SYNTAXES_NOT_SUPPORTED)
                answer.rejected_items.append(item)
                continue
            answer.accepted_items[context_id] = _item(context, _ACCEPTANCE, transfer_syntax)
            answer.accepted[context_id] = AcceptedContext(
                context_id, sop_class_uid, str(transfer_syntax), is_storage
            )
        return answer


def _item(
    proposed: PresentationContext, result: int, transfer_syntax: str | None = None
) -> PresentationContext:
    """The answer to one proposed context, as pynetdicom encodes it.

    A rejected context repeats a transfer syntax that is not significant (PS3.8 9.3.3.2).
    """
    if transfer_syntax is None:
        transfer_syntax = next(iter(proposed.transfer_syntax), IMPLICIT_VR_LITTLE_ENDIAN)
    item = PresentationContext()
    item.context_id = proposed.context_id
    item.abstract_syntax = proposed.abstract_syntax
    item.transfer_syntax = [transfer_syntax]
    item.result = result
    # What pynetdicom's service classes ask: we are SCP only.
    item._as_scu = False  # noqa: SLF001  (no public way; pinned minor version)
    item._as_scp = True  # noqa: SLF001  (the same)
    return item
