"""A-ASSOCIATE from the requestor's side: what is proposed, what the acceptor made of it.

pynetdicom encodes and decodes the PDUs; whatever it raises about the peer's bytes
becomes a `ProtocolError` without its text. This module sends nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    AsynchronousOperationsWindowNegotiation,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import build_context

from dicomanon_node.deid.labels import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicomanon_node.network.contexts import VERIFICATION_SOP_CLASS
from dicomanon_node.network.failures import (
    AssociationRejectedError,
    ContextNotAcceptedError,
    ProtocolError,
)
from dicomanon_node.network.part10 import DicomFile

MAX_CONTEXTS: Final = 128
"""PS3.8 9.3.2.2: odd presentation context IDs from 1 to 255."""

ADVERTISED_PDU_BYTES: Final = 16 * 1024
"""What we ask the peer to keep to: it only sends command sets."""

ASSUMED_PDU_BYTES: Final = 16 * 1024
"""For a peer that leaves out its mandatory Maximum Length (PS3.8 D.1)."""

_APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"  # PS3.7 A.2.1

_ACCEPT_FIXED_BYTES: Final = 74  # PS3.8 Table 9-17, before the variable items

# PS3.8 Table 9-18, Result/Reason
_ACCEPTED: Final = 0
_REFUSALS: Final = {3: "sop-class-not-accepted", 4: "transfer-syntax-not-accepted"}


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context to propose: one SOP class, one or more transfer syntaxes.

    Attributes:
        sop_class_uid: The SOP class.
        transfer_syntax_uids: The transfer syntaxes, the first one preferred.
        is_scp: We are to be its SCP, not its SCU (PS3.7 D.3.3.4).
    """

    sop_class_uid: str
    transfer_syntax_uids: tuple[str, ...]
    is_scp: bool = False


def contexts_for(files: Iterable[DicomFile]) -> tuple[Context, ...]:
    """The contexts these files need, one for each SOP class and transfer syntax, in order.

    Each file's own transfer syntax is all that is proposed: nothing is re-encoded on the
    way, so another syntax would be of no use. May be more than `MAX_CONTEXTS`.
    """
    pairs = dict.fromkeys((file.sop_class_uid, file.transfer_syntax_uid) for file in files)
    return tuple(Context(sop_class, (syntax,)) for sop_class, syntax in pairs)


@dataclass(frozen=True, slots=True)
class Agreement:
    """What was negotiated.

    Attributes:
        max_pdu_bytes: The peer's Maximum Length Received; 0 is unlimited.
        operations_window: Operations that we may have outstanding; 1 unless the peer said more.
        accepted: Context IDs by SOP class and transfer syntax.
        refused: Why not, by SOP class and transfer syntax.
    """

    max_pdu_bytes: int
    accepted: dict[tuple[str, str], int] = field(default_factory=dict)
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    operations_window: int = 1

    def context_id(self, sop_class_uid: str, transfer_syntax_uid: str) -> int:
        """The context to send such an instance in.

        Raises:
            ContextNotAcceptedError: There is none.
        """
        pair = (sop_class_uid, transfer_syntax_uid)
        if pair not in self.accepted:
            raise ContextNotAcceptedError(self.refused.get(pair, "context-not-accepted"))
        return self.accepted[pair]

    def accepted_syntax(self, sop_class_uid: str) -> str:
        """The transfer syntax that was accepted for a SOP class.

        Raises:
            ContextNotAcceptedError: There is none.
        """
        for accepted, syntax in self.accepted:
            if accepted == sop_class_uid:
                return syntax
        reasons = [why for (refused, _), why in self.refused.items() if refused == sop_class_uid]
        raise ContextNotAcceptedError(reasons[0] if reasons else "context-not-accepted")

    def verification_context_id(self) -> int:
        """The context for C-ECHO.

        Raises:
            ContextNotAcceptedError: There is none.
        """
        for (sop_class_uid, _), context_id in self.accepted.items():
            if sop_class_uid == VERIFICATION_SOP_CLASS:
                return context_id
        raise ContextNotAcceptedError("sop-class-not-accepted")


def encode_request(
    calling_aet: str,
    called_aet: str,
    contexts: Sequence[Context],
    *,
    operations_window: int = 1,
) -> bytes:
    """The A-ASSOCIATE-RQ (PS3.8 9.3.2).

    Args:
        calling_aet: Our AE title.
        called_aet: The peer's AE title.
        contexts: 1 to `MAX_CONTEXTS`; the first gets ID 1, the next 3, and so on.
        operations_window: Operations that we would have outstanding. 1 is what holds without
            negotiation (PS3.7 D.3.3.3), so nothing is said then.

    Raises:
        ValueError: An AE title is not one, or there are too few or too many contexts.
    """
    if not 1 <= len(contexts) <= MAX_CONTEXTS:
        raise ValueError(f"an association has 1 to {MAX_CONTEXTS} presentation contexts")
    request = A_ASSOCIATE()
    request.application_context_name = _APPLICATION_CONTEXT
    request.calling_ae_title = calling_aet
    request.called_ae_title = called_aet
    maximum_length = MaximumLengthNotification()
    maximum_length.maximum_length_received = ADVERTISED_PDU_BYTES
    class_uid = ImplementationClassUIDNotification()
    class_uid.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version_name = ImplementationVersionNameNotification()
    version_name.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    request.user_information = [maximum_length, class_uid, version_name]
    if operations_window > 1:
        asynchronous = AsynchronousOperationsWindowNegotiation()
        asynchronous.maximum_number_operations_invoked = operations_window
        asynchronous.maximum_number_operations_performed = 1
        request.user_information.append(asynchronous)
    for sop_class_uid in dict.fromkeys(
        context.sop_class_uid for context in contexts if context.is_scp
    ):
        role = SCP_SCU_RoleSelectionNegotiation()
        role.sop_class_uid = sop_class_uid
        role.scu_role = False
        role.scp_role = True
        request.user_information.append(role)
    for index, context in enumerate(contexts):
        proposed = build_context(context.sop_class_uid, list(context.transfer_syntax_uids))
        proposed.context_id = _context_id(index)
        request.presentation_context_definition_list.append(proposed)
    return A_ASSOCIATE_RQ(request).encode()


def decode_accept(
    pdu: bytes, contexts: Sequence[Context], *, operations_window: int = 1
) -> Agreement:
    """Read the A-ASSOCIATE-AC that answers these contexts (PS3.8 9.3.3).

    A context accepted with a transfer syntax that was not proposed for it counts as not
    accepted, one that was never proposed is ignored. Of outstanding operations there are never
    more than we proposed; 0 from the peer says that it sets no limit (PS3.7 Table D.3-8).

    Raises:
        ProtocolError: It cannot be decoded.
    """
    if len(pdu) < _ACCEPT_FIXED_BYTES:
        raise ProtocolError("accept-malformed")
    accept = A_ASSOCIATE_AC()
    try:
        accept.decode(pdu)
        answers = {
            item.presentation_context_id: (item.result, str(item.transfer_syntax or ""))
            for item in accept.presentation_context
        }
        user_information = accept.user_information
        stated = user_information.maximum_length if user_information else None
        granted = user_information.async_ops_window if user_information else None
        roles = user_information.role_selection if user_information else {}
        scp_of = {str(uid) for uid, role in roles.items() if role.scp_role}
        invoked = granted.max_operations_invoked if granted else 1
    except Exception:  # noqa: BLE001  pynetdicom's decoders raise AssertionError, KeyError, ...
        raise ProtocolError("accept-malformed") from None
    agreement = Agreement(
        max_pdu_bytes=ASSUMED_PDU_BYTES if stated is None else stated,
        operations_window=min(invoked or operations_window, operations_window),
    )
    for index, context in enumerate(contexts):
        result, syntax = answers.get(_context_id(index), (None, ""))
        for proposed in context.transfer_syntax_uids:
            pair = (context.sop_class_uid, proposed)
            if context.is_scp and result == _ACCEPTED and context.sop_class_uid not in scp_of:
                # Silence means the default, by which the requestor is SCU.
                agreement.refused[pair] = "role-not-accepted"
            elif result == _ACCEPTED and proposed == syntax:
                agreement.accepted[pair] = _context_id(index)
            elif result == _ACCEPTED:
                agreement.refused[pair] = "transfer-syntax-not-accepted"
            elif result is not None:
                agreement.refused[pair] = _REFUSALS.get(result, "context-not-accepted")
    return agreement


def decode_reject(pdu: bytes) -> AssociationRejectedError:
    """Read an A-ASSOCIATE-RJ (PS3.8 9.3.4).

    Returns:
        The error to raise.

    Raises:
        ProtocolError: It cannot be decoded.
    """
    reject = A_ASSOCIATE_RJ()
    try:
        reject.decode(pdu)
    except Exception:  # noqa: BLE001  struct.error and whatever else the decoder raises
        raise ProtocolError("reject-malformed") from None
    return AssociationRejectedError(
        reject.result or 0, reject.source or 0, reject.reason_diagnostic or 0
    )


def _context_id(index: int) -> int:
    return 2 * index + 1
