"""The requestor against stock pynetdicom, and against peers that misbehave."""

import contextlib
import socket
import struct
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_AC, A_ASSOCIATE_RQ, A_RELEASE_RP, A_RELEASE_RQ
from pynetdicom.pdu_primitives import A_ABORT
from support_delivery import (
    ABORT,
    CT,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG_LOSSLESS,
    MR,
    VERIFICATION,
    StockPeer,
    encoded_dataset,
    free_port,
    wait_until,
    write_file,
)

from dicomanon_node.errors import Status
from dicomanon_node.network import command
from dicomanon_node.network.failures import (
    AssociationAbortedError,
    AssociationError,
    AssociationRejectedError,
    ConnectionFailedError,
    ConnectionLostError,
    ContextNotAcceptedError,
    NotSendableError,
    PeerTimeoutError,
    ProtocolError,
)
from dicomanon_node.network.part10 import DicomFile
from dicomanon_node.network.pdu_stream import MAX_RECEIVED_PDU_BYTES
from dicomanon_node.network.proposal import Context, contexts_for
from dicomanon_node.network.requestor import Requestor
from dicomanon_node.network.service import StoreRequest

BOTH = (Context(CT, (EXPLICIT,)), Context(VERIFICATION, (IMPLICIT,)))


def requestor(
    port: int,
    *contexts: Context,
    max_pdu_bytes: int = 128 * 1024,
    timeout_s: float = 10.0,
    called_aet: str = "STOCK",
) -> Requestor:
    return Requestor(
        "127.0.0.1",
        port,
        calling_aet="COURIER",
        called_aet=called_aet,
        contexts=contexts or BOTH,
        connect_timeout_s=5,
        association_timeout_s=timeout_s,
        response_timeout_s=timeout_s,
        max_pdu_bytes=max_pdu_bytes,
    )


@pytest.fixture
def ct(tmp_path: Path) -> DicomFile:
    return DicomFile.open(write_file(tmp_path / "ct.dcm", "2.25.100"))


class RawPeer:
    """An acceptor that does as each test says, byte by byte; PDUs are encoded by pynetdicom."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        connection.settimeout(10)

    def read_pdu(self) -> tuple[int, bytes]:
        """The next PDU; type 0 if the requestor has closed the connection."""
        header = self.read(6)
        if len(header) < 6:
            return 0, b""
        return header[0], header + self.read(struct.unpack(">L", header[2:])[0])

    def read(self, count: int) -> bytes:
        received = b""
        while len(received) < count:
            try:
                chunk = self.connection.recv(count - len(received))
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                break
            received += chunk
        return received

    def accept(self, *, max_pdu_bytes: int = 16384) -> None:
        """Accept every context with its first transfer syntax."""
        kind, pdu = self.read_pdu()
        assert kind == 1
        self.connection.sendall(accept_pdu(pdu, max_pdu_bytes=max_pdu_bytes))

    def read_message(self) -> tuple[int, bytes]:
        """The next message: context ID and command set; its data set is read over."""
        command_set, is_complete, expects_dataset, context_id = b"", False, False, 0
        while not is_complete or expects_dataset:
            kind, pdu = self.read_pdu()
            assert kind == 4
            _, context_id, control = struct.unpack_from(">LBB", pdu, 6)
            if control & 1:
                command_set += pdu[12:]
                is_complete = bool(control & 2)
                expects_dataset = is_complete and command.decode(command_set).has_dataset
            elif control & 2:
                expects_dataset = False
        return context_id, command_set

    def response(self, context_id: int, command_set: bytes, status: int = 0) -> bytes:
        """A P-DATA-TF with the C-STORE-RSP to that request."""
        request = command.decode(command_set)
        assert request.message_id is not None
        answered = StoreRequest(
            request.message_id,
            request.sop_class_uid,
            request.sop_instance_uid,
            context_id,
            EXPLICIT,
        )
        return p_data(context_id, 3, command.encode_store_response(answered, Status(status)))


def p_data(context_id: int, control: int, fragment: bytes) -> bytes:
    pdv = struct.pack(">LBB", len(fragment) + 2, context_id, control) + fragment
    return struct.pack(">BxL", 4, len(pdv)) + pdv


def accept_pdu(request_pdu: bytes, *, max_pdu_bytes: int = 16384) -> bytes:
    request = A_ASSOCIATE_RQ()
    request.decode(request_pdu)
    primitive = request.to_primitive()
    for context in primitive.presentation_context_definition_list:
        context.result = 0
        context.transfer_syntax = [*context.transfer_syntax[:1]]
        primitive.presentation_context_definition_results_list.append(context)
    primitive.maximum_length_received = max_pdu_bytes
    return A_ASSOCIATE_AC(primitive).encode()


@contextlib.contextmanager
def raw_peer(script: Callable[[RawPeer], object]) -> Iterator[int]:
    """Run a script for one connection; its assertions fail the test."""
    failures: list[BaseException] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve() -> None:
            try:
                connection, _ = server.accept()
                with connection:
                    script(RawPeer(connection))
            except BaseException as error:  # noqa: BLE001  raised again in the test's thread
                failures.append(error)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            thread.join(15)
            assert not thread.is_alive()
    for failure in failures:
        raise failure


class TestStore:
    @pytest.mark.parametrize("max_pdu_bytes", [0, 16, 4096, 16382, 131072])
    @pytest.mark.parametrize("pixel_bytes", [2, 3678, 3680, 40_000])
    def test_the_peer_receives_the_very_bytes_of_the_data_set(
        self, tmp_path: Path, max_pdu_bytes: int, pixel_bytes: int
    ) -> None:
        path = write_file(tmp_path / "a.dcm", "2.25.7", pixel_bytes=pixel_bytes)
        with StockPeer().serving(max_pdu_bytes=max_pdu_bytes) as peer:
            with requestor(peer.port) as scu:
                response = scu.store(DicomFile.open(path))
            assert (response.status, response.comment) == (0x0000, "")
            assert peer.received == {"2.25.7": encoded_dataset(path)}
            wait_until(lambda: peer.endings == ["released"])

    @pytest.mark.parametrize("max_pdu_bytes", [4096, 16383])
    def test_no_pdu_is_longer_than_the_peer_allows(
        self, tmp_path: Path, max_pdu_bytes: int
    ) -> None:
        path = write_file(tmp_path / "a.dcm", "2.25.7", pixel_bytes=100_000)
        with StockPeer().serving(max_pdu_bytes=max_pdu_bytes) as peer:
            with requestor(peer.port) as scu:
                scu.store(DicomFile.open(path))
            assert max(peer.pdu_lengths) in {max_pdu_bytes, max_pdu_bytes - 1}
            assert all(length % 2 == 0 for length in peer.pdu_lengths)

    def test_without_a_limit_of_the_peer_our_own_holds(self, tmp_path: Path) -> None:
        path = write_file(tmp_path / "a.dcm", "2.25.7", pixel_bytes=100_000)
        with StockPeer().serving(max_pdu_bytes=0) as peer:
            with requestor(peer.port, max_pdu_bytes=30_000) as scu:
                scu.store(DicomFile.open(path))
            assert max(peer.pdu_lengths) == 30_000

    def test_instances_of_several_kinds_share_an_association(self, tmp_path: Path) -> None:
        kinds = [(CT, EXPLICIT), (CT, IMPLICIT), (MR, IMPLICIT), (CT, JPEG_LOSSLESS)]
        paths = [
            write_file(tmp_path / str(index), f"2.25.{index}", sop_class=kind[0], syntax=kind[1])
            for index, kind in enumerate(kinds * 3)
        ]
        files = [DicomFile.open(path) for path in paths]
        contexts = contexts_for(files)
        assert len(contexts) == len(kinds)
        with StockPeer().serving() as peer:
            with requestor(peer.port, *contexts) as scu:
                assert {scu.store(file).status for file in files} == {0}
            assert peer.associations == 1
            for file, path in zip(files, paths, strict=True):
                assert peer.received[file.sop_instance_uid] == encoded_dataset(path)
                assert peer.syntaxes[file.sop_instance_uid] == file.transfer_syntax_uid

    @pytest.mark.parametrize("status", [0xA700, 0xA900, 0xB000, 0xC123, 0x0110])
    def test_the_peer_s_status_is_returned_as_it_is(self, ct: DicomFile, status: int) -> None:
        with StockPeer(answer=lambda _: status).serving() as peer, requestor(peer.port) as scu:
            assert scu.store(ct).status == status
            assert scu.is_established

    def test_an_error_comment_cannot_carry_control_characters(self, ct: DicomFile) -> None:
        peer = StockPeer(answer=lambda _: 0xC000, comment="no\x1b[2Jtext")
        with peer.serving(), requestor(peer.port) as scu:
            assert scu.store(ct).comment == "no?[2Jtext"

    def test_a_context_that_is_not_accepted_leaves_the_association_standing(
        self, tmp_path: Path, ct: DicomFile
    ) -> None:
        mr = DicomFile.open(write_file(tmp_path / "mr", "2.25.8", sop_class=MR))
        jpeg = DicomFile.open(write_file(tmp_path / "jpg", "2.25.9", syntax=JPEG_LOSSLESS))
        never = replace(ct, transfer_syntax_uid=IMPLICIT)
        with (
            StockPeer().serving(contexts={CT: [EXPLICIT]}) as peer,
            requestor(peer.port, *contexts_for([mr, jpeg, ct])) as scu,
        ):
            for file, code in (
                (mr, "sop-class-not-accepted"),
                (jpeg, "transfer-syntax-not-accepted"),
                (never, "context-not-accepted"),
            ):
                with pytest.raises(ContextNotAcceptedError, match=code):
                    scu.store(file)
            assert scu.store(ct).status == 0

    def test_a_deflated_data_set_of_odd_length_is_padded_with_nul(self, tmp_path: Path) -> None:
        path = write_file(tmp_path / "a.dcm", "2.25.7", syntax=DEFLATED, pixel_bytes=3000)
        if len(encoded_dataset(path)) % 2 == 0:
            path.write_bytes(path.read_bytes() + b"\0")
        sent = encoded_dataset(path)
        assert len(sent) % 2
        file = DicomFile.open(path)
        with StockPeer().serving(contexts={CT: [DEFLATED]}) as peer:
            with requestor(peer.port, *contexts_for([file])) as scu:
                assert scu.store(file).status == 0
            assert peer.received == {"2.25.7": sent + b"\0"}

    def test_another_data_set_of_odd_length_is_not_sent(self, tmp_path: Path) -> None:
        path = write_file(tmp_path / "a.dcm", "2.25.7")
        even = DicomFile.open(path)
        odd = replace(even, dataset_bytes=even.dataset_bytes - 1)
        with StockPeer().serving() as peer, requestor(peer.port) as scu:
            with pytest.raises(NotSendableError, match="odd-dataset"):
                scu.store(odd)
            assert scu.store(even).status == 0

    def test_a_file_that_is_gone_leaves_the_association_standing(
        self, tmp_path: Path, ct: DicomFile
    ) -> None:
        with StockPeer().serving() as peer, requestor(peer.port) as scu:
            with pytest.raises(FileNotFoundError):
                scu.store(replace(ct, path=tmp_path / "gone"))
            assert scu.store(ct).status == 0

    def test_a_file_that_ends_early_is_never_sent_as_a_whole_one(self, tmp_path: Path) -> None:
        path = write_file(tmp_path / "a.dcm", "2.25.7", pixel_bytes=3_000_000)
        file = DicomFile.open(path)
        with path.open("r+b") as shorter:
            shorter.truncate(2_500_000)
        with StockPeer().serving() as peer:
            scu = requestor(peer.port)
            scu.associate()
            with pytest.raises(OSError, match="file ends early"):
                scu.store(file)
            assert not scu.is_established
            wait_until(lambda: peer.endings == ["aborted"])
            assert peer.order == []

    def test_memory_does_not_grow_with_the_instance(self, tmp_path: Path) -> None:
        path = write_file(tmp_path / "a.dcm", "2.25.7")
        with path.open("r+b") as sparse:
            sparse.truncate(96 * 1024 * 1024)
        file = DicomFile.open(path)

        def script(peer: RawPeer) -> None:
            peer.accept(max_pdu_bytes=0)
            peer.connection.sendall(peer.response(*peer.read_message()))
            peer.read_pdu()

        tracemalloc.start()  # of both sides; the peer keeps one PDU
        try:
            with raw_peer(script) as port:
                scu = requestor(port)
                scu.associate()
                assert scu.store(file).status == 0
                scu.abort()
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak_bytes < 8 * 1024 * 1024


class TestEcho:
    def test_echo_is_answered(self) -> None:
        with StockPeer().serving() as peer, requestor(peer.port) as scu:
            assert [scu.echo(), scu.echo()] == [0, 0]

    def test_echo_needs_the_verification_sop_class(self) -> None:
        with (
            StockPeer().serving() as peer,
            requestor(peer.port, BOTH[0]) as scu,
            pytest.raises(ContextNotAcceptedError, match="sop-class-not-accepted"),
        ):
            scu.echo()


class TestNoAssociation:
    def test_nobody_listens(self) -> None:
        with pytest.raises(ConnectionFailedError, match="connection-refused"):
            requestor(free_port()).associate()

    def test_the_called_ae_title_is_not_recognised(self) -> None:
        def configure(ae: AE) -> None:
            ae.require_called_aet = True

        with StockPeer().serving(configure=configure) as peer:
            scu = requestor(peer.port, called_aet="OTHER")
            with pytest.raises(AssociationRejectedError) as raised:
                scu.associate()
        error = raised.value
        assert (error.result, error.source, error.diagnostic) == (1, 1, 7)
        assert str(error) == error.code == "called-aet-not-recognised"
        assert not scu.is_established

    def test_the_peer_s_limit_is_a_transient_rejection(self) -> None:
        def configure(ae: AE) -> None:
            ae.maximum_associations = 1

        with (
            StockPeer().serving(configure=configure) as peer,
            requestor(peer.port),
            pytest.raises(AssociationRejectedError) as raised,
        ):
            requestor(peer.port).associate()
        assert (raised.value.result, raised.value.code) == (2, "rejected-limit-exceeded")

    def test_a_peer_that_says_nothing_is_given_up_in_time(self) -> None:
        def script(peer: RawPeer) -> None:
            assert peer.read_pdu()[0] == 1
            assert peer.read_pdu()[0] == 0  # closed by us

        with raw_peer(script) as port:
            start = time.monotonic()
            with pytest.raises(PeerTimeoutError):
                requestor(port, timeout_s=0.2).associate()
            assert time.monotonic() - start < 5

    def test_a_peer_that_drips_bytes_is_given_up_in_time(self) -> None:
        def script(peer: RawPeer) -> None:
            answer = accept_pdu(peer.read_pdu()[1])
            with contextlib.suppress(OSError):  # until we are gone
                for byte in answer:
                    peer.connection.sendall(bytes([byte]))
                    time.sleep(0.05)

        with raw_peer(script) as port, pytest.raises(PeerTimeoutError):
            requestor(port, timeout_s=0.3).associate()

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (b"", ConnectionLostError),
            (b"\x02\0\0", ConnectionLostError),
            (struct.pack(">BxL", 2, 4) + bytes(4), ProtocolError),
            (struct.pack(">BxL", 2, 70) + b"\xff" * 70, ProtocolError),
            (struct.pack(">BxL", 3, 0), ProtocolError),
            (struct.pack(">BxL", 9, 0), ProtocolError),
            (struct.pack(">BxL", 2, MAX_RECEIVED_PDU_BYTES + 1), ProtocolError),
            (struct.pack(">BxL", 2, 2**32 - 1), ProtocolError),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", ProtocolError),
        ],
    )
    def test_an_answer_that_is_none_ends_in_an_error_of_ours(
        self, answer: bytes, error: type[AssociationError]
    ) -> None:
        def script(peer: RawPeer) -> None:
            peer.read_pdu()
            peer.connection.sendall(answer)

        with raw_peer(script) as port, pytest.raises(error) as raised:
            requestor(port).associate()
        assert raised.value.__cause__ is None
        assert raised.value.__suppress_context__ or raised.value.__context__ is None

    def test_contexts_that_the_peer_made_up_are_not_used(self, ct: DicomFile) -> None:
        def script(peer: RawPeer) -> None:
            request = A_ASSOCIATE_RQ()
            request.decode(peer.read_pdu()[1])
            primitive = request.to_primitive()
            [context] = primitive.presentation_context_definition_list
            context.result = 0
            context.transfer_syntax = [IMPLICIT]  # not what was proposed
            primitive.presentation_context_definition_results_list.append(context)
            peer.connection.sendall(A_ASSOCIATE_AC(primitive).encode())
            peer.read_pdu()

        with raw_peer(script) as port:
            scu = requestor(port, BOTH[0])
            scu.associate()
            with pytest.raises(ContextNotAcceptedError):
                scu.store(ct)
            scu.abort()

    @pytest.mark.parametrize("count", [0, 129])
    def test_an_association_has_1_to_128_contexts(self, count: int) -> None:
        contexts = [Context(f"1.2.{index}", (EXPLICIT,)) for index in range(count)]
        with pytest.raises(ValueError, match="128"):
            Requestor("127.0.0.1", 1, calling_aet="A", called_aet="B", contexts=contexts)

    def test_128_contexts_are_negotiated(self, ct: DicomFile) -> None:
        contexts = [Context(f"1.2.{index}", (EXPLICIT,)) for index in range(127)]
        with StockPeer().serving() as peer, requestor(peer.port, *contexts, BOTH[0]) as scu:
            assert scu.store(ct).status == 0


class TestLostOnTheWay:
    def test_the_peer_aborts(self, ct: DicomFile) -> None:
        with StockPeer(answer=lambda _: ABORT).serving() as peer:
            scu = requestor(peer.port)
            scu.associate()
            with pytest.raises(AssociationAbortedError) as raised:
                scu.store(ct)
            assert raised.value.source in {0, 2}
            assert not scu.is_established
            with pytest.raises(ConnectionLostError):
                scu.store(ct)

    def test_the_peer_closes_the_connection(self, ct: DicomFile) -> None:
        def script(peer: RawPeer) -> None:
            peer.accept()
            peer.read_message()

        with raw_peer(script) as port:
            scu = requestor(port)
            scu.associate()
            with pytest.raises(ConnectionLostError):
                scu.store(ct)

    def test_the_peer_resets_the_connection_in_the_middle_of_an_instance(
        self, tmp_path: Path
    ) -> None:
        file = DicomFile.open(write_file(tmp_path / "a", "2.25.1", pixel_bytes=20_000_000))

        def script(peer: RawPeer) -> None:
            peer.accept()
            peer.read_pdu()
            peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        with raw_peer(script) as port:
            scu = requestor(port)
            scu.associate()
            with pytest.raises(ConnectionLostError):
                scu.store(file)

    def test_the_peer_does_not_answer(self, ct: DicomFile) -> None:
        def script(peer: RawPeer) -> None:
            peer.accept()
            peer.read_message()
            assert peer.read_pdu()[0] == 0

        with raw_peer(script) as port:
            scu = requestor(port, timeout_s=0.3)
            scu.associate()
            with pytest.raises(PeerTimeoutError):
                scu.store(ct)

    def test_the_peer_stops_reading(self, tmp_path: Path) -> None:
        file = DicomFile.open(write_file(tmp_path / "a", "2.25.1", pixel_bytes=20_000_000))
        is_over = threading.Event()

        def script(peer: RawPeer) -> None:
            peer.accept()
            assert is_over.wait(10)

        with raw_peer(script) as port:
            scu = requestor(port, timeout_s=0.3)
            scu.associate()
            with pytest.raises(PeerTimeoutError):
                scu.store(file)
            is_over.set()

    @pytest.mark.parametrize(
        "answer",
        [
            p_data(1, 3, b""),
            p_data(1, 3, b"\xff" * 40),
            p_data(3, 3, b"\0" * 12),
            p_data(1, 1, b"\0" * 9000) + p_data(1, 1, b"\0" * 9000),
            struct.pack(">BxL", 4, 3) + bytes(3),
            struct.pack(">BxLLBB", 4, 6, 1, 1, 3),
            struct.pack(">BxLLBB", 4, 6, 100, 1, 3),
            p_data(1, 3, command.encode_echo_response(1)),
            struct.pack(">BxL", 4, MAX_RECEIVED_PDU_BYTES + 1),
            struct.pack(">BxL", 1, 4) + bytes(4),
        ],
    )
    def test_a_response_that_is_none_is_answered_with_an_abort(
        self, ct: DicomFile, answer: bytes
    ) -> None:
        def script(peer: RawPeer) -> None:
            peer.accept()
            peer.read_message()
            peer.connection.sendall(answer)
            assert peer.read_pdu()[0] == 7

        with raw_peer(script) as port:
            scu = requestor(port)
            scu.associate()
            with pytest.raises(ProtocolError):
                scu.store(ct)
            assert not scu.is_established

    def test_the_response_to_another_message_is_not_taken_for_ours(self, ct: DicomFile) -> None:
        def script(peer: RawPeer) -> None:
            peer.accept()
            first = peer.response(*peer.read_message())
            peer.connection.sendall(first)
            peer.read_message()
            peer.connection.sendall(first)
            assert peer.read_pdu()[0] == 7

        with raw_peer(script) as port:
            scu = requestor(port)
            scu.associate()
            assert scu.store(ct).status == 0
            with pytest.raises(ProtocolError, match="response-to-something-else"):
                scu.store(ct)

    def test_a_response_may_come_in_any_pieces(self, ct: DicomFile) -> None:
        def script(peer: RawPeer) -> None:
            peer.accept()
            context_id, command_set = peer.read_message()
            whole = peer.response(context_id, command_set)[12:]
            for start in range(0, len(whole), 7):
                is_last = start + 7 >= len(whole)
                for byte in p_data(context_id, 1 + 2 * is_last, whole[start : start + 7]):
                    peer.connection.sendall(bytes([byte]))
            assert peer.read_pdu()[0] == 5
            peer.connection.sendall(A_RELEASE_RP().encode())

        with raw_peer(script) as port, requestor(port) as scu:
            assert scu.store(ct).status == 0

    def test_fragments_without_end_are_no_progress(self, ct: DicomFile) -> None:
        def script(peer: RawPeer) -> None:
            peer.accept()
            context_id, _ = peer.read_message()
            peer.connection.settimeout(0.02)
            end = time.monotonic() + 5
            while time.monotonic() < end:
                try:
                    peer.connection.sendall(p_data(context_id, 0, b"data"))
                    if not peer.connection.recv(100):
                        return
                except TimeoutError:
                    continue
                except OSError:
                    return

        with raw_peer(script) as port:
            scu = requestor(port, timeout_s=0.5)
            scu.associate()
            started = time.monotonic()
            with pytest.raises(PeerTimeoutError):
                scu.store(ct)
            assert time.monotonic() - started < 3
            assert not scu.is_established

    def test_a_data_set_with_the_response_is_skipped_only_so_far(self, ct: DicomFile) -> None:
        def script(peer: RawPeer) -> None:
            peer.accept()
            context_id, _ = peer.read_message()
            with contextlib.suppress(OSError):
                for _ in range(2000):
                    peer.connection.sendall(p_data(context_id, 0, bytes(16_000)))

        with raw_peer(script) as port:
            scu = requestor(port)
            scu.associate()
            with pytest.raises(ProtocolError, match="response-too-long"):
                scu.store(ct)
            assert not scu.is_established

    def test_it_can_be_interrupted_from_another_thread(self, ct: DicomFile) -> None:
        has_come = threading.Event()

        def script(peer: RawPeer) -> None:
            peer.accept()
            peer.read_message()
            has_come.set()
            assert peer.read_pdu()[0] == 0

        with raw_peer(script) as port:
            scu = requestor(port, timeout_s=30)
            scu.associate()

            def interrupt() -> None:
                assert has_come.wait(10)
                scu.interrupt()

            thread = threading.Thread(target=interrupt)
            thread.start()
            with pytest.raises(ConnectionLostError):
                scu.store(ct)
            thread.join()


class TestEnd:
    def test_an_exception_inside_the_block_aborts(self) -> None:
        with StockPeer().serving() as peer:
            with pytest.raises(KeyError), requestor(peer.port):
                raise KeyError
            wait_until(lambda: peer.endings == ["aborted"])

    def test_a_pause_does_no_harm(self, ct: DicomFile) -> None:
        with StockPeer().serving() as peer, requestor(peer.port) as scu:
            scu.store(ct)
            assert scu.is_usable()
            assert scu.store(ct).status == 0

    @pytest.mark.parametrize("kind", ["abort", "close", "release", "garbage"])
    def test_after_a_pause_it_is_noticed_that_the_peer_has_ended_it(self, kind: str) -> None:
        abort = A_ABORT()
        abort.abort_source = 0

        def script(peer: RawPeer) -> None:
            peer.accept()
            if kind == "abort":
                peer.connection.sendall(A_ABORT_RQ(abort).encode())
            elif kind == "release":
                peer.connection.sendall(A_RELEASE_RQ().encode())
                assert peer.read_pdu()[0] == 6
            elif kind == "garbage":
                peer.connection.sendall(p_data(1, 3, b"????"))
                assert peer.read_pdu()[0] == 7

        with raw_peer(script) as port:
            scu = requestor(port)
            scu.associate()
            wait_until(lambda: not scu.is_usable())
            assert not scu.is_established

    def test_both_may_ask_for_the_release_at_once(self) -> None:
        def script(peer: RawPeer) -> None:
            peer.accept()
            assert peer.read_pdu()[0] == 5
            peer.connection.sendall(A_RELEASE_RQ().encode())
            assert peer.read_pdu()[0] == 6
            peer.connection.sendall(A_RELEASE_RP().encode())
            assert peer.read_pdu()[0] == 0

        with raw_peer(script) as port, requestor(port):
            pass

    @pytest.mark.parametrize("answer", [b"", b"\xff" * 10, struct.pack(">BxL", 6, 2**31)])
    def test_a_release_always_ends(self, answer: bytes) -> None:
        def script(peer: RawPeer) -> None:
            peer.accept()
            peer.read_pdu()
            peer.connection.sendall(answer)

        with raw_peer(script) as port:
            scu = requestor(port)
            scu.associate()
            scu.release()
            assert not scu.is_established
