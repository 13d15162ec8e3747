"""The requestor: C-STORE and C-ECHO as SCU over one blocking connection.

One association, one thread, no polling. The stored file's data set goes out as it
lies in the file: it is not parsed, not re-encoded, and never held in memory beyond
one buffer. A peer that grants an Asynchronous Operations Window may be sent several
instances before it answers: `send` and `receive`. Negotiation is pynetdicom's
(`proposal`), the four DIMSE messages are packed by hand (`command`).

It does not retry, does not decide what a status means, and does not send an
instance in another transfer syntax than its own.
"""

import contextlib
import errno
import itertools
import os
import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from pydicom.uid import DeflatedExplicitVRLittleEndian
from pynetdicom.pdu import A_ABORT_RQ, A_RELEASE_RP, A_RELEASE_RQ
from pynetdicom.pdu_primitives import A_ABORT

from dicomanon_node.network import command, p_data, pdus, proposal
from dicomanon_node.network.command import CommandField
from dicomanon_node.network.failures import (
    AssociationAbortedError,
    AssociationError,
    ConnectionLostError,
    NotSendableError,
    ProtocolError,
)
from dicomanon_node.network.outstanding import Outstanding, Request
from dicomanon_node.network.part10 import DicomFile
from dicomanon_node.network.pdu_stream import PduStream
from dicomanon_node.network.proposal import Agreement, Context

if TYPE_CHECKING:
    from dicomanon_node.network.tls import ClientTls

DEFAULT_MAX_PDU_BYTES: Final = 128 * 1024
"""The largest P-DATA-TF we send, also to a peer that sets no limit."""

_ASSOCIATE_AC: Final = 0x02  # PS3.8 9.3.1: PDU types
_ASSOCIATE_RJ: Final = 0x03
_RELEASE_RQ: Final = 0x05
_ABORT: Final = 0x07

_BUFFER_BYTES: Final = 1024 * 1024
_MAX_FRAGMENTS: Final = 256  # two buffers each, below IOV_MAX (1024)
_MAX_MESSAGE_ID: Final = 0xFFFF
_PADDED: Final = frozenset({str(DeflatedExplicitVRLittleEndian)})  # PS3.5 A.5
_UNPRINTABLE: Final = re.compile(r"[^ -~]")


@dataclass(frozen=True, slots=True)
class StoreResponse:
    """What the peer answered to a C-STORE-RQ (PS3.7 9.3.1.2).

    Attributes:
        status: The status word.
        comment: Error Comment, the peer's words: printable ASCII, at most 64 characters.
            For a person at a terminal, not for logs.
    """

    status: int
    comment: str = ""


class Requestor:
    """An association that we ask for. Not thread-safe, but for `interrupt`.

    As a context manager it associates on entry and releases on exit, or aborts if an
    exception passes.

    Args:
        host: The peer's name or address.
        port: The peer's port.
        calling_aet: Our AE title.
        called_aet: The peer's AE title.
        contexts: What to propose, at most 128.
        connect_timeout_s: Seconds to a TCP connection, and to the end of its TLS handshake.
        association_timeout_s: Seconds to the answer to A-ASSOCIATE-RQ and A-RELEASE-RQ.
        response_timeout_s: Seconds to the end of a response once all is sent, and the longest
            time without progress while sending.
        max_pdu_bytes: The largest P-DATA-TF to send; the peer's limit holds as well.
        operations_window: C-STOREs to have outstanding, if granted; 1 does not ask for it.
        tls: How to speak TLS to the peer; None: the association is plain.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        calling_aet: str,
        called_aet: str,
        contexts: Sequence[Context],
        connect_timeout_s: float = 10.0,
        association_timeout_s: float = 30.0,
        response_timeout_s: float = 120.0,
        max_pdu_bytes: int = DEFAULT_MAX_PDU_BYTES,
        operations_window: int = 1,
        tls: "ClientTls | None" = None,
    ) -> None:
        self._peer = (host, port, connect_timeout_s, tls)
        self._request = proposal.encode_request(
            calling_aet, called_aet, contexts, operations_window=operations_window
        )
        self._proposed_window = operations_window
        self.contexts = tuple(contexts)
        self._connect_timeout_s = connect_timeout_s
        self._association_timeout_s = association_timeout_s
        self._response_timeout_s = response_timeout_s
        self._max_pdu_bytes = max_pdu_bytes
        self._stream: PduStream | None = None
        self._agreement = Agreement(max_pdu_bytes=0)
        self._fragment_bytes = 0
        self._buffer = memoryview(b"")
        self._message_ids = itertools.cycle(range(1, _MAX_MESSAGE_ID + 1))
        self._outstanding = Outstanding(self._next_data)

    def __enter__(self) -> Self:
        self.associate()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is None:
            self.release()
        else:
            self.abort()

    @property
    def is_established(self) -> bool:
        """Whether there is an association, as far as we have heard."""
        return self._stream is not None

    def associate(self) -> None:
        """Connect and negotiate.

        Raises:
            AssociationError: Temporary. There is no association, for whichever reason.

        Standard: PS3.8 7.1.
        """
        self._stream = stream = PduStream.connect(*self._peer)
        with self._ending_on_failure():
            stream.send([self._request], self._association_timeout_s)
            kind, pdu = stream.receive(self._association_timeout_s)
            if kind == _ASSOCIATE_RJ:
                raise proposal.decode_reject(pdu)
            if kind != _ASSOCIATE_AC:
                raise self._unexpected(kind, pdu)
            self._agreement = proposal.decode_accept(
                pdu, self.contexts, operations_window=self._proposed_window
            )
            self._fragment_bytes = self._negotiated_fragment_bytes()
        fragments = max(1, min(_BUFFER_BYTES // self._fragment_bytes, _MAX_FRAGMENTS))
        self._buffer = memoryview(bytearray(fragments * self._fragment_bytes))

    def echo(self) -> int:
        """C-ECHO (PS3.7 9.1.5). `contexts` must have the Verification SOP class.

        Returns:
            The status word.

        Raises:
            AssociationError: Temporary. The association is lost.
            ContextNotAcceptedError: The peer does not take Verification.
        """
        stream = self._established()
        context_id = self._agreement.verification_context_id()
        message_id = next(self._message_ids)
        request = memoryview(command.encode_echo_request(message_id))
        with self._ending_on_failure():
            self._outstanding.add(message_id, Request(CommandField.C_ECHO_RSP, context_id))
            stream.send(
                [*p_data.pack(request, context_id, p_data.COMMAND, self._fragment_bytes)],
                self._response_timeout_s,
            )
            _, response = self._outstanding.response(self._response_timeout_s)
        return response.status or 0

    def store(self, file: DicomFile) -> StoreResponse:
        """C-STORE (PS3.7 9.1.1): send a file's data set and wait for the response.

        Nothing else may be outstanding. Raises what `send` raises.

        Returns:
            The peer's response. Only a status of 0000H or Bxxx says that it has taken the
            instance.
        """
        self.send(file)
        return self.receive()[1]

    @property
    def window(self) -> int:
        """C-STOREs that may be outstanding on this association: at least 1."""
        return self._agreement.operations_window

    def send(self, file: DicomFile) -> None:
        """Send a C-STORE-RQ and a file's data set; `receive` gets the response.

        Args:
            file: To send; it must not change. With it at most `window` may be outstanding.

        Raises:
            AssociationError: Temporary. The association is lost; whether the peer has
                taken what is outstanding is not known.
            NotSendableError: Not sent, the association stands: no context was accepted, or
                the data set is of odd length, which DCMTK aborts on and Orthanc hangs on.
            OSError: The file cannot be read to its end; aborted if the instance was partly sent.

        Standard: PS3.7 9.1.1, D.3.3.3.
        """
        stream = self._established()
        context_id = self._agreement.context_id(file.sop_class_uid, file.transfer_syntax_uid)
        if file.dataset_bytes % 2 and file.transfer_syntax_uid not in _PADDED:
            raise NotSendableError("odd-dataset")
        message_id = next(self._message_ids)
        waits = Request(CommandField.C_STORE_RSP, context_id, file)
        request = memoryview(
            command.encode_store_request(message_id, file.sop_class_uid, file.sop_instance_uid)
        )
        with contextlib.closing(self._message(request, file, context_id)) as portions:
            portion = next(portions)  # a file that cannot be opened does the association no harm
            with self._ending_on_failure():
                self._outstanding.add(message_id, waits)
                stream.send(portion, self._response_timeout_s)
                for portion in portions:
                    stream.send(portion, self._response_timeout_s)

    def receive(self) -> tuple[DicomFile, StoreResponse]:
        """Wait for the response to one of the C-STOREs outstanding.

        Returns:
            Which file it is about, and the response; see `store`.

        Raises:
            AssociationError: Temporary. The association is lost; whether the peer has
                taken what is outstanding is not known.
        """
        with self._ending_on_failure():
            request, response = self._outstanding.response(self._response_timeout_s)
            if request.file is None:
                raise ProtocolError("response-to-something-else")
        comment = response.error_comment
        return request.file, StoreResponse(
            status=response.status or 0,
            comment=_UNPRINTABLE.sub("?", comment) if comment else "",
        )

    def is_usable(self) -> bool:
        """Whether the association still stands after a pause. Ends it if the peer has.

        One on which something is outstanding is aborted: nobody waits for it any more.
        """
        if self._stream is None:
            return False
        if self._outstanding:
            self.abort()
            return False
        if not self._stream.has_something():
            return True
        # Nothing is due to us: whatever the peer has to say ends the association.
        try:
            with self._ending_on_failure():
                raise self._unexpected(*self._stream.receive(self._association_timeout_s))
        except AssociationError:
            return False

    def release(self) -> None:
        """Release the association and close. Every response is in, so nothing can fail.

        With a response outstanding it is aborted instead. A peer that does not answer the
        release in proper form has answered all that was sent: the connection is closed either way.

        Standard: PS3.8 7.2.
        """
        if self._outstanding:
            self.abort()
        stream = self._stream
        if stream is None:
            return
        try:
            stream.send([A_RELEASE_RQ().encode()], self._association_timeout_s)
            kind = stream.receive(self._association_timeout_s)[0]
            if kind == _RELEASE_RQ:  # both asked at once (PS3.8 7.2.2.7)
                stream.send([A_RELEASE_RP().encode()], self._association_timeout_s)
                stream.receive(self._association_timeout_s)
        except AssociationError:
            return
        finally:
            self._close()

    def abort(self) -> None:
        """Abort the association if there is one, and close (PS3.8 7.3)."""
        stream = self._stream
        if stream is None:
            return
        abort = A_ABORT()
        abort.abort_source = 0  # service user
        try:
            stream.send([A_ABORT_RQ(abort).encode()], self._connect_timeout_s)
        except AssociationError:
            return
        finally:
            self._close()

    def interrupt(self) -> None:
        """From another thread: make what is under way fail with `ConnectionLostError`."""
        stream = self._stream
        if stream is not None:
            stream.interrupt()

    @contextlib.contextmanager
    def _ending_on_failure(self) -> Iterator[None]:
        """No association survives a failure inside."""
        try:
            yield
        except (ProtocolError, OSError):  # the peer's fault, our file's: the peer is told
            self.abort()
            raise
        except BaseException:
            self._close()
            raise

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream = None
        self._outstanding.clear()

    def _established(self) -> PduStream:
        if self._stream is None:
            raise ConnectionLostError("no-association")
        return self._stream

    def _negotiated_fragment_bytes(self) -> int:
        """The longest fragment in one PDU: even, as no peer has to take odd ones."""
        limit = min(self._agreement.max_pdu_bytes or self._max_pdu_bytes, self._max_pdu_bytes)
        fragment_bytes = (limit - p_data.OVERHEAD_BYTES) & ~1
        if fragment_bytes <= 0:
            raise ProtocolError("peer-maximum-too-small")
        return fragment_bytes

    def _message(
        self, request: memoryview, file: DicomFile, context_id: int
    ) -> Generator[list[bytes | memoryview], None, None]:
        """The C-STORE-RQ and its data set, in portions to send one after the other.

        A portion is valid until the next one is asked for: they share one buffer.
        """
        portion = [*p_data.pack(request, context_id, p_data.COMMAND, self._fragment_bytes)]
        source = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            end = file.dataset_offset + file.dataset_bytes
            remaining = file.dataset_bytes
            while remaining:
                wanted = self._buffer[: min(remaining, len(self._buffer))]
                count = os.preadv(source, [wanted], end - remaining)
                # Full fragments only, but for the last: the buffer is a multiple of them.
                if count != len(wanted):
                    raise OSError(errno.EIO, "file ends early")
                remaining -= count
                if count % 2:  # a deflated data set's end, padded with NUL (PS3.5 A.5)
                    wanted = self._buffer[: count + 1]
                    wanted[count] = 0
                portion += p_data.pack(
                    wanted, context_id, 0, self._fragment_bytes, is_last=not remaining
                )
                yield portion
                portion = []
        finally:
            os.close(source)

    def _next_data(self, timeout_s: float) -> bytes:
        """Wait for a P-DATA-TF: whatever else comes ends the association."""
        kind, pdu = self._established().receive(timeout_s)
        if kind != pdus.P_DATA_TF:
            raise self._unexpected(kind, pdu)
        return pdu

    def _unexpected(self, kind: int, pdu: bytes) -> AssociationError:
        """The error for a PDU that ends the association."""
        if kind == _ABORT:
            source, reason = pdu[8:10] if len(pdu) >= 10 else (0, 0)  # noqa: PLR2004  (PS3.8 Table 9-26)
            return AssociationAbortedError(source, reason)
        if kind == _RELEASE_RQ:
            self._established().send([A_RELEASE_RP().encode()], self._association_timeout_s)
            return ConnectionLostError("released-by-peer")
        return ProtocolError("unexpected-pdu")
