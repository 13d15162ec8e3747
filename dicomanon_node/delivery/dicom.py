"""Destination kind "dicom": C-STORE to a Storage SCP over one association, re-used.

Several C-STOREs may be on their way if the peer has granted an Asynchronous Operations
Window. Asking for one is what some peers break on, instead of leaving it out of their
answer: an association that is lost before its first C-STORE-RSP is the last to ask.

Instances go out in the transfer syntax they have. What a status means is said here
and nowhere else in this package.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from dicomanon_node.config.model import DicomDestination
from dicomanon_node.delivery.transport import Answer, LostError
from dicomanon_node.errors import DeferredError, RejectedError, Status
from dicomanon_node.network.failures import (
    AssociationError,
    AssociationRejectedError,
    ConnectionFailedError,
    NotSendableError,
    PeerTimeoutError,
)
from dicomanon_node.network.part10 import DicomFile
from dicomanon_node.network.proposal import MAX_CONTEXTS, Context, contexts_for
from dicomanon_node.network.requestor import Requestor

if TYPE_CHECKING:
    from dicomanon_node.network.tls import ClientTls

# PS3.4 Table B.2-1: families by their first digits
_WARNING: Final = 0xB000
_OUT_OF_RESOURCES: Final = 0xA700
_DATASET_MISMATCH: Final = 0xA900
_CANNOT_UNDERSTAND: Final = 0xC000
# PS3.7 C.5: failures of any DIMSE service
_FAMILIES: Final = {0x0100: "refused", 0x0200: "refused", _DATASET_MISMATCH: "dataset-mismatch"}
_REASONS: Final = {
    0x0110: "processing-failure",
    0x0111: "duplicate-instance",
    0x0117: "invalid-instance",
    0x0122: "sop-class-not-supported",
    0x0124: "not-authorised",
}

# Reasons for having no association that have nothing to do with what was proposed.
_TELL_NOTHING_OF_THE_WINDOW: Final = (
    ConnectionFailedError,
    AssociationRejectedError,
    PeerTimeoutError,
)


class DicomTransport:
    """One Storage SCP. Used by one thread, but for `interrupt`.

    Args:
        settings: Where it is.
        calling_aet: Our AE title towards it.
        tls: How to speak TLS to it; None: associations are plain.

    Raises:
        ValueError: Its settings ask for TLS, and `tls` is None.
    """

    def __init__(
        self, settings: DicomDestination, calling_aet: str, tls: "ClientTls | None" = None
    ) -> None:
        if settings.tls and tls is None:
            raise ValueError("a destination with TLS is never spoken to without")
        self._settings = settings
        self._tls = tls
        self._calling_aet = calling_aet
        self._window = settings.operations_window
        self._is_answered = False
        self._requestor: Requestor | None = None

    def another(self) -> "DicomTransport":
        """One more way to the same destination, that knows what this one has learnt."""
        transport = DicomTransport(self._settings, self._calling_aet, self._tls)
        transport._window = self._window
        return transport

    @property
    def window(self) -> int:
        """How many C-STOREs may be on their way: as granted, 1 unless the peer said more."""
        return self._requestor.window if self._requestor else 1

    def prepare(self, instances: Sequence[DicomFile]) -> None:
        """Associate with a context for each SOP class and transfer syntax, at most 128.

        The association there is stays if it still stands and has them all. Contexts it had
        are proposed again with the new ones, so that series that alternate share one.

        Raises:
            DeferredError: There is no association.
        """
        needed = contexts_for(instances)
        proposed: tuple[Context, ...] = ()
        if self._requestor is not None and self._requestor.is_usable():
            proposed = self._requestor.contexts
            if set(needed) <= set(proposed):
                return
        self.close()
        contexts = tuple(dict.fromkeys((*needed, *proposed)))[:MAX_CONTEXTS]
        self._requestor = Requestor(
            self._settings.host,
            self._settings.port,
            calling_aet=self._calling_aet,
            called_aet=self._settings.ae_title,
            contexts=contexts,
            connect_timeout_s=self._settings.connect_timeout_s,
            association_timeout_s=self._settings.acse_timeout_s,
            response_timeout_s=self._settings.response_timeout_s,
            max_pdu_bytes=self._settings.max_pdu_bytes,
            operations_window=self._window,
            tls=self._tls,
        )
        self._is_answered = False
        try:
            self._requestor.associate()
        except AssociationError as error:
            if not isinstance(error, _TELL_NOTHING_OF_THE_WINDOW):
                self._window = 1
            raise DeferredError(error.code) from None

    def send(self, instance: DicomFile) -> None:
        """Send the C-STORE-RQ and the data set.

        Raises:
            RejectedError: It cannot be sent: see `NotSendableError`.
            LostError: The association has ended.
            OSError: The file cannot be read.
        """
        if self._requestor is None:
            raise DeferredError("no-association")
        try:
            self._requestor.send(instance)
        except NotSendableError as error:
            raise RejectedError(error.code) from None
        except AssociationError as error:
            raise self._lost(error) from None

    def answer(self) -> Answer:
        """Wait for the next C-STORE-RSP; 0000H and warnings (Bxxx) mean that it is taken.

        Raises:
            LostError: The association ended before it.
        """
        if self._requestor is None:
            raise LostError("no-association")
        try:
            instance, response = self._requestor.receive()
        except AssociationError as error:
            raise self._lost(error) from None
        self._is_answered = True
        try:
            return Answer(instance, judge_status(response.status))
        except (DeferredError, RejectedError) as error:
            return Answer(instance, response.status, error)

    def close(self) -> None:
        """Release the association, if there is one."""
        if self._requestor is not None:
            self._requestor.release()
            self._requestor = None

    def interrupt(self) -> None:
        """Break the connection under a wait in another thread."""
        requestor = self._requestor
        if requestor is not None:
            requestor.interrupt()

    def _lost(self, error: AssociationError) -> LostError:
        if not self._is_answered:
            self._window = 1
        return LostError(error.code)


def judge_status(status: int) -> int:
    """What a C-STORE status means for the queue.

    Args:
        status: As the peer sent it.

    Returns:
        The status, if the peer has taken the instance: 0000H, Bxxx (PS3.4 B.2.3).

    Raises:
        DeferredError: A7xx: out of resources, may be sent again.
        RejectedError: Everything else would be the same again.
    """
    first_digit, first_two = status & 0xF000, status & 0xFF00
    if status == Status.SUCCESS or first_digit == _WARNING:
        return status
    if first_two == _OUT_OF_RESOURCES:
        raise DeferredError("out-of-resources", status)
    if first_digit == _CANNOT_UNDERSTAND:
        raise RejectedError("cannot-understand", status)
    family = _FAMILIES.get(first_two, "unexpected-status")
    raise RejectedError(_REASONS.get(status, family), status)
