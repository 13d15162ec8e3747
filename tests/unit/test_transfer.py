"""The P-DATA fast path against stock pynetdicom, PDU boundary by PDU boundary.

`Fed` runs reception and transfer without a socket, so that every split of a byte
stream can be tried and is exactly the one meant. The oracle decodes the same
stream with pynetdicom's P-DATA-TF and DIMSE message classes.
"""

import socket
import struct
from collections.abc import Sequence
from io import BytesIO
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import P_DATA_TF
from support_network import (
    CT,
    EXPLICIT,
    IMPLICIT,
    INSTANCE,
    MR,
    RELEASE_RQ,
    VERIFICATION,
    MemoryService,
    StoredInstance,
    command_set,
    decoded,
    message,
    p_data,
    pdv,
    store_rq,
)

from dicomanon_node.errors import Reason, Status
from dicomanon_node.network.command import MAX_COMMAND_SET_BYTES, encode_store_response
from dicomanon_node.network.contexts import AcceptedContext
from dicomanon_node.network.reception import (
    MAX_REQUEST_BYTES,
    MAX_SHORT_PDU_BYTES,
    PDU_TOLERANCE_BYTES,
    RECEIVE_BUFFER_BYTES,
    Reception,
)
from dicomanon_node.network.service import AssociationFacts, Outcome, StoreRequest
from dicomanon_node.network.transfer import (
    MAX_OTHER_DATASET_BYTES,
    DataTransfer,
    ProtocolViolationError,
    command_pdus,
)

CONTEXTS = {
    1: AcceptedContext(1, CT, EXPLICIT, is_storage=True),
    3: AcceptedContext(3, MR, IMPLICIT, is_storage=True),
    5: AcceptedContext(5, VERIFICATION, IMPLICIT, is_storage=False),
}
MAX_PDU_BYTES = 131072
ECHO_RQ = command_set(
    AffectedSOPClassUID=VERIFICATION, CommandField=0x0030, MessageID=3, CommandDataSetType=0x0101
)


class Chunks:
    """A connection that delivers these bytes, a chunk for each read."""

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self.chunks = list(chunks)

    def setsockopt(self, *_: int) -> None:
        """Accept any option."""

    def recv_into(self, buffer: memoryview) -> int:
        chunk = self.chunks.pop(0)
        taken = min(len(chunk), len(buffer))
        buffer[:taken] = chunk[:taken]
        if taken < len(chunk):
            self.chunks.insert(0, chunk[taken:])
        return taken


class Fed:
    """Reception and transfer of an association, fed with bytes."""

    def __init__(
        self, service: MemoryService | None = None, peer_max_pdu_bytes: int | None = 0
    ) -> None:
        self.service = service or MemoryService()
        self.facts = AssociationFacts("id", "RAW", "NODE", "127.0.0.1")
        self.sent: list[bytes] = []
        self.relayed: list[tuple[int, bytes, bytes | None]] = []
        self.failures: list[Exception] = []
        self.pdus: list[bytes] = []
        self.unknown_count = 0
        self.reception = Reception(MAX_PDU_BYTES, self._take_pdu, self._take_unknown)
        self.transfer = self.reception.transfer = DataTransfer(
            CONTEXTS,
            self.service,
            self.facts,
            send=self.sent.append,
            relay=lambda *arguments: self.relayed.append(arguments),
            failed=self.failures.append,
            peer_max_pdu_bytes=peer_max_pdu_bytes,
        )

    def _take_pdu(self, pdu: bytearray) -> None:
        self.pdus.append(bytes(pdu))

    def _take_unknown(self) -> None:
        self.unknown_count += 1

    def feed(self, *chunks: bytes) -> "Fed":
        connection = Chunks([chunk for chunk in chunks if chunk])
        while connection.chunks:
            count = self.reception.read(connection)  # type: ignore[arg-type]
            assert count
            self.reception.consume(count)
        return self

    @property
    def statuses(self) -> list[int]:
        return [int(response.Status) for response in self.responses]

    @property
    def responses(self) -> list[Dataset]:
        return [decoded(pdu[12:]) for pdu in self.sent]

    @property
    def messages(self) -> list[tuple[int, str, bytes]]:
        """What was received, in the form of the oracle."""
        return [
            (i.request.presentation_context_id, i.request.sop_instance_uid, bytes(i.data))
            for i in self.service.instances
            if i.finished
        ]


def stock_messages(stream: bytes) -> list[tuple[int, str, bytes]]:
    """The C-STOREs in a stream of P-DATA-TFs, as stock pynetdicom understands it."""
    found = []
    current = DIMSEMessage()
    while stream:
        end = 6 + struct.unpack(">L", stream[2:6])[0]
        pdu = P_DATA_TF()
        pdu.decode(stream[:end])
        stream = stream[end:]
        if current.decode_msg(pdu.to_primitive()):
            parameters = current.message_to_primitive()
            assert isinstance(parameters, C_STORE)
            assert isinstance(parameters.DataSet, BytesIO)
            assert current.context_id is not None
            found.append(
                (
                    current.context_id,
                    str(parameters.AffectedSOPInstanceUID),
                    parameters.DataSet.getvalue(),
                )
            )
            current = DIMSEMessage()
    return found


SMALL = message(store_rq(), b"0123456789abcdef")


@pytest.mark.parametrize("split", range(1, len(SMALL)))
def test_a_message_read_in_two_pieces_is_the_message(split: int) -> None:
    fed = Fed().feed(SMALL[:split], SMALL[split:])
    assert fed.messages == stock_messages(SMALL)
    assert fed.statuses == [0x0000]


def test_a_message_read_byte_by_byte_is_the_message() -> None:
    stream = SMALL + message(store_rq(2, MR, "2.25.7"), b"xyz", context_id=3)
    fed = Fed().feed(*(bytes([byte]) for byte in stream))
    assert fed.messages == stock_messages(stream)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 17, 64])
def test_fragments_of_any_size_make_the_message(size: int) -> None:
    stream = message(store_rq(), bytes(range(200)), fragment_bytes=size)
    fed = Fed().feed(stream)
    assert fed.messages == stock_messages(stream)


@pytest.mark.parametrize("split", range(len(store_rq()) + 1))
def test_a_command_set_fragmented_anywhere_is_the_command_set(split: int) -> None:
    command = store_rq()
    stream = p_data(
        pdv(1, 1, command[:split]), pdv(1, 3, command[split:]), pdv(1, 0, b"ab"), pdv(1, 2, b"cd")
    )
    assert Fed().feed(stream).messages == stock_messages(stream) == [(1, INSTANCE, b"abcd")]


def test_reserved_bits_of_the_control_header_are_not_checked() -> None:
    # PS3.8 E.2: "never checked by the receiver".
    stream = p_data(pdv(1, 0xFF, store_rq()), pdv(1, 0xFC, b"ab"), pdv(1, 0xFE, b"cd"))
    assert Fed().feed(stream).messages == stock_messages(stream) == [(1, INSTANCE, b"abcd")]


def test_empty_fragments_and_an_empty_pdu_mean_nothing() -> None:
    stream = p_data(pdv(1, 3, store_rq()), pdv(1, 0, b"")) + p_data() + p_data(pdv(1, 2, b""))
    fed = Fed().feed(stream)
    assert fed.messages == stock_messages(stream) == [(1, INSTANCE, b"")]


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[int]]:
    """C-STOREs in a row, fragmented and packed into PDUs at will, and where reads end."""
    stream = b""
    for message_id in range(draw(st.integers(1, 3))):
        context_id, sop_class = draw(st.sampled_from([(1, CT), (3, MR)]))
        command = store_rq(message_id, sop_class, f"2.25.{message_id}")
        dataset = draw(st.binary(max_size=80))
        packed = []
        for data, flag in ((command, 1), (dataset, 0)):
            cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=4)))
            edges = [0, *cuts, len(data)]
            pieces = [data[start:end] for start, end in pairwise(edges)]
            packed += [pdv(context_id, flag, piece) for piece in pieces[:-1]]
            packed.append(pdv(context_id, flag | 2, pieces[-1]))
        while packed:
            count = draw(st.integers(1, len(packed)))
            stream += p_data(*packed[:count])
            packed = packed[count:]
    reads = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    return stream, reads


@settings(max_examples=300, deadline=None)
@given(streams())
def test_however_it_is_cut_it_is_what_stock_pynetdicom_understands(
    stream_and_reads: tuple[bytes, list[int]],
) -> None:
    stream, reads = stream_and_reads
    edges = [0, *reads, len(stream)]
    fed = Fed().feed(*(stream[a:b] for a, b in pairwise(edges)))
    assert fed.messages == stock_messages(stream)
    assert fed.statuses == [0x0000] * len(fed.messages)


def test_several_messages_in_one_pdu_are_all_received() -> None:
    # Stock pynetdicom loses what follows the first one.
    first = [pdv(1, 3, store_rq(1)), pdv(1, 2, b"one")]
    second = [pdv(3, 3, store_rq(2, MR, "2.25.2")), pdv(3, 2, b"two")]
    fed = Fed().feed(p_data(*first, *second))
    assert fed.messages == [(1, INSTANCE, b"one"), (3, "2.25.2", b"two")]
    assert [r.MessageIDBeingRespondedTo for r in fed.responses] == [1, 2]


def test_an_object_larger_than_the_buffer_is_received_whole() -> None:
    data = bytes(i * 7 % 251 for i in range(3 * RECEIVE_BUFFER_BYTES))
    fed = Fed().feed(message(store_rq(), data, fragment_bytes=MAX_PDU_BYTES - 6))
    assert fed.messages == [(1, INSTANCE, data)]
    assert fed.facts.received_bytes == len(data)
    assert (fed.facts.stored_count, fed.facts.refused_count) == (1, 0)


def test_the_fragments_of_one_read_come_in_one_write() -> None:
    pieces = [pdv(1, 0, b"ab")] * 10
    fed = Fed().feed(p_data(pdv(1, 3, store_rq()), *pieces), p_data(*pieces, pdv(1, 2, b"cd")))
    [instance] = fed.service.instances
    assert instance.writes == 2
    assert bytes(instance.data) == b"ab" * 20 + b"cd"


def test_the_request_tells_what_it_is_about() -> None:
    fed = Fed().feed(message(store_rq(77, MR, "2.25.5"), b"", context_id=3))
    [instance] = fed.service.instances
    assert instance.request == StoreRequest(77, MR, "2.25.5", 3, IMPLICIT)
    assert instance.association is fed.facts


# What is refused, and what ends the association.


@pytest.mark.parametrize(
    ("command", "context_id", "status"),
    [
        (store_rq(1, MR), 1, 0x0122),
        (store_rq(1, CT), 3, 0x0122),
        (store_rq(1, VERIFICATION), 5, 0x0122),
        (store_rq(1, CT), 5, 0x0122),
        (store_rq(1, "1.2.3"), 1, 0x0122),
        (store_rq(1, CT, ""), 1, 0xC000),
    ],
)
def test_a_request_that_does_not_fit_is_refused_after_its_data_set(
    command: bytes, context_id: int, status: int
) -> None:
    fed = Fed().feed(message(command, b"x" * 50, context_id, fragment_bytes=200)[:-1])
    assert not fed.sent
    fed.feed(b"x")
    assert fed.statuses == [status]
    assert not fed.service.instances
    assert fed.facts.refused_count == 1
    fed.feed(SMALL)
    assert fed.statuses == [status, 0x0000]


def test_a_request_without_data_set_is_refused() -> None:
    fed = Fed().feed(message(store_rq(dataset_type=0x0101), None), SMALL)
    assert fed.statuses == [0xC000, 0x0000]
    assert len(fed.service.instances) == 1


COMMAND = pdv(1, 3, store_rq())

VIOLATIONS = {
    "context that was not proposed": p_data(pdv(7, 3, store_rq())),
    "context 0": p_data(pdv(0, 3, store_rq())),
    "data set without command": p_data(pdv(1, 2, b"abc")),
    "command in a data set": p_data(COMMAND, pdv(1, 0, b"ab"), COMMAND),
    "data set in a command": p_data(pdv(1, 1, store_rq()[:20]), pdv(1, 0, b"ab")),
    "data set on another context": p_data(COMMAND, pdv(3, 2, b"ab")),
    "command on two contexts": p_data(pdv(1, 1, store_rq()[:20]), pdv(3, 3, store_rq()[20:])),
    "data set after a request without one": message(store_rq(dataset_type=0x0101), b"ab"),
    "PDV length 0": struct.pack(">BxLLBB", 4, 6, 0, 1, 3),
    "PDV length 1": struct.pack(">BxLLBB", 4, 6, 1, 1, 3),
    "PDV longer than its PDU": struct.pack(">BxLLBB", 4, 10, 7, 1, 3) + bytes(4),
    "PDV of 4 GiB": struct.pack(">BxLLBB", 4, 10, 0xFFFFFFFF, 1, 3) + bytes(4),
    "PDU ends in a PDV header": struct.pack(">BxLLB", 4, 5, 3, 1),
    "bytes after the last PDV": struct.pack(">BxLLBB", 4, 7, 2, 1, 1) + b"\0",
    "PDU over the maximum": struct.pack(">BxL", 4, MAX_PDU_BYTES + PDU_TOLERANCE_BYTES + 1),
    "command set over its limit": p_data(pdv(1, 1, bytes(MAX_COMMAND_SET_BYTES + 1))),
    "command set that is none": p_data(pdv(1, 3, b"\x01\x02\x03")),
    "request without Message ID": message(
        command_set(AffectedSOPClassUID=CT, CommandField=1, CommandDataSetType=1), None
    ),
    "N-EVENT-REPORT-RQ": message(
        command_set(CommandField=0x0100, MessageID=1, CommandDataSetType=0x0101), None
    ),
    "other service with an endless data set": message(
        command_set(CommandField=0x0020, MessageID=1, CommandDataSetType=1),
        bytes(MAX_OTHER_DATASET_BYTES + 1),
        fragment_bytes=MAX_PDU_BYTES - 6,
    ),
    "request over its limit": struct.pack(">BxL", 1, MAX_REQUEST_BYTES + 1),
    "release over its limit": struct.pack(">BxL", 5, MAX_SHORT_PDU_BYTES + 1),
    "PDUs of nothing without end": p_data() * 5000,
    "fragments of nothing without end": p_data(pdv(1, 3, store_rq()))
    + p_data(*[pdv(1, 0, b"")] * 2000) * 3,
    "object in tiny fragments": p_data(pdv(1, 3, store_rq())) + p_data(pdv(1, 0, b"x")) * 5000,
    "control PDU of 4 GiB": struct.pack(">BxL", 5, 0xFFFFFFFF),
}


@pytest.mark.parametrize("stream", VIOLATIONS.values(), ids=VIOLATIONS.keys())
def test_a_violation_ends_the_association_and_answers_nothing_with_success(stream: bytes) -> None:
    fed = Fed()
    with pytest.raises(ProtocolViolationError):
        fed.feed(stream)
    fed.transfer.abandon()
    assert 0x0000 not in fed.statuses
    assert all((i.finished, i.abandoned) == (0, 1) for i in fed.service.instances)


def test_a_pdu_is_judged_by_its_header_alone() -> None:
    fed = Fed()
    with pytest.raises(ProtocolViolationError):
        fed.feed(struct.pack(">BxL", 4, MAX_PDU_BYTES + PDU_TOLERANCE_BYTES + 1))


def test_a_pdu_within_the_tolerance_is_taken() -> None:
    data = bytes(MAX_PDU_BYTES + PDU_TOLERANCE_BYTES - 6)
    fed = Fed().feed(p_data(COMMAND), p_data(pdv(1, 2, data)))
    assert fed.messages == [(1, INSTANCE, data)]


def test_other_messages_are_relayed_whole_and_in_order() -> None:
    find = command_set(CommandField=0x0020, MessageID=4, CommandDataSetType=1)
    stream = (
        message(ECHO_RQ, None, 5, fragment_bytes=30)
        + SMALL
        + message(find, b"identifier", 1, fragment_bytes=3)
        + message(ECHO_RQ, None, 5)
    )
    fed = Fed().feed(stream)
    assert fed.relayed == [(5, ECHO_RQ, None), (1, find, b"identifier"), (5, ECHO_RQ, None)]
    assert fed.statuses == [0x0000]


def test_pdus_that_are_not_p_data_are_collected_whole() -> None:
    unknown = struct.pack(">BxL", 0x2A, 0)
    fed = Fed().feed(*(bytes([b]) for b in SMALL + RELEASE_RQ + unknown))
    assert fed.pdus == [RELEASE_RQ]
    assert fed.unknown_count == 1


# What the service does wrong.


class Failing(MemoryService):
    """Raises at one of its methods, with a value in the text."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def begin(self, request: StoreRequest, association: AssociationFacts) -> StoredInstance:
        if self.where == "begin":
            raise ValueError("DOE^JANE")
        instance = super().begin(request, association)
        if self.where in ("write", "finish", "abandon"):
            original = getattr(instance, self.where)

            def failing(*arguments: object) -> None:
                original(*arguments)
                raise ValueError("DOE^JANE")

            setattr(instance, self.where, failing)
        return instance


@pytest.mark.parametrize("where", ["begin", "write", "finish"])
def test_an_exception_of_the_service_is_a_refusal_and_nothing_more(where: str) -> None:
    service = Failing(where)
    stream = message(store_rq(), bytes(100), fragment_bytes=7)
    fed = Fed(service).feed(stream[:-3])
    assert not fed.sent
    fed.feed(stream[-3:])
    [response] = fed.responses
    assert response.Status == 0x0110
    assert response.ErrorComment == Reason.INTERNAL.comment
    assert all(instance.abandoned == 1 for instance in service.instances)
    assert [type(error) for error in fed.failures] == [ValueError]
    service.where = ""
    fed.feed(SMALL)
    assert fed.statuses == [0x0110, 0x0000]
    fed.transfer.abandon()
    assert [i.abandoned for i in service.instances if i.finished == 1][-1] == 0


def test_an_exception_while_abandoning_is_told_and_kept() -> None:
    fed = Fed(Failing("abandon")).feed(p_data(COMMAND, pdv(1, 0, b"ab")))
    fed.transfer.abandon()
    fed.transfer.abandon()
    assert [i.abandoned for i in fed.service.instances] == [1]
    assert len(fed.failures) == 1


@pytest.mark.parametrize("outcome", [None, 0])
def test_an_outcome_that_is_none_is_never_success(outcome: object) -> None:
    fed = Fed(MemoryService(outcome)).feed(SMALL)  # type: ignore[arg-type]
    assert fed.statuses == [0x0110]


@pytest.mark.parametrize("reason", [Reason.DISK_FULL, Reason.UNPARSABLE])
def test_a_refusal_goes_to_the_peer_with_its_comment(reason: Reason) -> None:
    fed = Fed(MemoryService(Outcome.refused(reason))).feed(SMALL)
    [response] = fed.responses
    assert (response.Status, response.ErrorComment) == (reason.status, reason.comment)
    assert (fed.facts.stored_count, fed.facts.refused_count) == (0, 1)


def test_an_unfinished_instance_is_abandoned_once() -> None:
    fed = Fed().feed(p_data(COMMAND, pdv(1, 0, b"ab")))
    fed.transfer.abandon()
    fed.transfer.abandon()
    [instance] = fed.service.instances
    assert (instance.finished, instance.abandoned) == (0, 1)


def test_a_send_that_fails_is_the_callers_business() -> None:
    fed = Fed()

    def lost(_: bytes) -> None:
        raise ConnectionResetError

    fed.transfer._send = lost
    with pytest.raises(ConnectionResetError):
        fed.feed(SMALL)
    [instance] = fed.service.instances
    assert (instance.finished, instance.abandoned) == (1, 0)


# Responses.


@pytest.mark.parametrize("max_pdu_bytes", [0, 6, 7, 20, 100, 16384])
def test_a_response_fits_what_the_peer_receives(max_pdu_bytes: int) -> None:
    response = encode_store_response(
        StoreRequest(1, CT, INSTANCE, 1, EXPLICIT), Status.OUT_OF_RESOURCES, "Storage is full"
    )
    stream = command_pdus(1, response, max_pdu_bytes)
    received = DIMSEMessage()
    is_complete = False
    while stream:
        assert not is_complete
        end = 6 + struct.unpack(">L", stream[2:6])[0]
        assert end - 6 <= max(max_pdu_bytes, 7) or not max_pdu_bytes
        pdu = P_DATA_TF()
        pdu.decode(stream[:end])
        is_complete = received.decode_msg(pdu.to_primitive())
        stream = stream[end:]
    assert is_complete
    assert received.command_set.Status == 0xA700


def test_quickack_is_set_before_each_read_where_there_is_one() -> None:
    options: list[tuple[int, ...]] = []
    connection = Chunks([b"\x05"])
    connection.setsockopt = lambda *arguments: options.append(arguments)  # type: ignore[method-assign]
    Fed().reception.read(connection)  # type: ignore[arg-type]
    if hasattr(socket, "TCP_QUICKACK"):
        assert options == [(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)]
