"""The load generator: one process, one association, C-STORE after C-STORE.

As lean as Python allows, so that it is not what is measured: the PDUs of each object
are laid out once over the mapped file, of which only the UIDs change from object to
object, and go out in one `sendmsg`. Run by `workers`; imports nothing that takes time.
"""

import mmap
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.throughput import dimse, protocol
from benchmarks.throughput.uids import LENGTH, Kind, uid

_MAX_PDU: Final = 131072
_MAX_BUFFERS: Final = 1000  # of one sendmsg; Linux takes UIO_MAXIOV, 1024
_PER_SERIES: Final = 150  # instances


@dataclass(frozen=True, slots=True)
class Task:
    """What one load process is to send.

    Attributes:
        port: Of the server, on the loopback interface.
        called: Called AE title.
        samples: `inputs.Sample`, as a dict each.
        measure: Number of the measurement, part of the UIDs.
        worker: Number of this process in it.
        count: Objects that are measured.
        warm_count: Objects sent before, unmeasured.
        is_association_each: A new association for every object.
        timeout_s: How long the server may be silent.
    """

    port: int
    called: str
    samples: list[dict[str, Any]]
    measure: int
    worker: int
    count: int
    warm_count: int
    is_association_each: bool = False
    timeout_s: int = 300


@dataclass(slots=True)
class Sent:
    """What came of it.

    Attributes:
        started: Before the first measured object, seconds since the epoch.
        ended: After the last answer.
        answer_ns: For each measured object, from its first byte sent to its answer; with
            an association each, from the connection to its release.
        statuses: How often each status was answered, by its hexadecimal digits.
        max_pdu: The largest PDU sent, bytes.
    """

    started: float = 0.0
    ended: float = 0.0
    answer_ns: list[int] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    max_pdu: int = 0


class Mapped:
    """One sample, mapped copy-on-write: its pages are shared but for those with UIDs."""

    def __init__(self, sample: dict[str, Any]) -> None:
        with open(sample["path"], "rb") as file:  # noqa: PTH123  (pathlib takes time to import)
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        self.context = (sample["sop_class_uid"], sample["transfer_syntax_uid"])
        self._instances: list[int] = sample["instance_offsets"]
        self._series: list[int] = sample["series_offsets"]
        self.data = memoryview(self._map)[sample["start"] :]

    def rename(self, instance: bytes, series: bytes) -> None:
        """Give it other UIDs."""
        for offset in self._instances:
            self._map[offset : offset + LENGTH] = instance
        for offset in self._series:
            self._map[offset : offset + LENGTH] = series


class Message:
    """The PDUs of a C-STORE-RQ for one sample on one association."""

    def __init__(self, mapped: Mapped, context_id: int, max_pdu: int) -> None:
        self.mapped = mapped
        command = bytearray(
            dimse.command(
                {
                    dimse.SOP_CLASS: mapped.context[0].encode(),
                    dimse.COMMAND_FIELD: dimse.STORE_RQ,
                    dimse.MESSAGE_ID: 0,
                    dimse.PRIORITY: 0,
                    dimse.DATA_SET_TYPE: 1,
                    dimse.SOP_INSTANCE: bytes(LENGTH),
                }
            )
        )
        self._command = command
        self._message_id_at = command.index(struct.pack("<HHL", 0, dimse.MESSAGE_ID, 2)) + 8
        header = dimse.data_header(context_id, dimse.COMMAND_LAST, len(command))
        buffers: list[bytes | bytearray | memoryview] = [header, command]
        size = max_pdu - dimse.PDV_HEADER_BYTES
        total = len(mapped.data)
        for start in range(0, total, size):
            piece = mapped.data[start : start + size]
            control = dimse.DATA_LAST if start + size >= total else dimse.DATA
            buffers += (dimse.data_header(context_id, control, len(piece)), piece)
        self._batches = [
            buffers[start : start + _MAX_BUFFERS] for start in range(0, len(buffers), _MAX_BUFFERS)
        ]
        self._sizes = [sum(map(len, batch)) for batch in self._batches]

    def send(self, connection: socket.socket, message_id: int, instance: bytes) -> None:
        """Send it under another UID; the sample has been renamed already."""
        struct.pack_into("<H", self._command, self._message_id_at, message_id)
        self._command[-LENGTH:] = instance  # Affected SOP Instance UID is the last element
        for batch, size in zip(self._batches, self._sizes, strict=True):
            sent = connection.sendmsg(batch)
            if sent != size:
                _send_rest(connection, batch, sent)


def _send_rest(
    connection: socket.socket, buffers: Sequence[bytes | bytearray | memoryview], sent: int
) -> None:
    for buffer in buffers:
        if sent < len(buffer):
            connection.sendall(memoryview(buffer)[sent:])
        sent = max(0, sent - len(buffer))


class Requestor:
    """One association and the messages that can be sent on it."""

    def __init__(self, task: Task, samples: Sequence[Mapped]) -> None:
        self._socket = socket.create_connection(("127.0.0.1", task.port), task.timeout_s)
        self._socket.settimeout(None)
        # In the kernel: Python's own time-out costs a poll before each call.
        limit = struct.pack("ll", task.timeout_s, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        contexts = list(dict.fromkeys(sample.context for sample in samples))
        self._socket.sendall(dimse.associate_rq(task.called, "BLAST", contexts, _MAX_PDU))
        kind, content = dimse.receive_pdu(self._socket)
        if kind != dimse.ASSOCIATE_AC:
            raise dimse.ProtocolError("the association was rejected")
        results, peers_max = dimse.accepted(content)
        if any(results.values()):
            raise dimse.ProtocolError("a presentation context was rejected")
        self.max_pdu = min(peers_max or _MAX_PDU, _MAX_PDU)
        self._messages = [
            Message(sample, 2 * contexts.index(sample.context) + 1, self.max_pdu)
            for sample in samples
        ]

    def store(self, task: Task, number: int) -> int:
        """Send the object of this number; the status it was answered."""
        message = self._messages[number % len(self._messages)]
        instance = uid(Kind.INSTANCE, task.measure, task.worker, number).encode()
        series = uid(Kind.SERIES, task.measure, task.worker, number // _PER_SERIES).encode()
        message.mapped.rename(instance, series)
        message.send(self._socket, number % 0xFFFF, instance)
        kind, content = dimse.receive_pdu(self._socket)
        if kind != dimse.P_DATA:
            raise dimse.ProtocolError("the association was aborted")
        answer = dimse.command_elements(b"".join(value for _, _, value in dimse.values(content)))
        status: int = struct.unpack("<H", answer[dimse.STATUS])[0]
        return status

    def release(self) -> None:
        """End the association and the connection."""
        self._socket.sendall(dimse.pdu(dimse.RELEASE_RQ))
        if dimse.receive_pdu(self._socket)[0] != dimse.RELEASE_RP:
            raise dimse.ProtocolError("the release was not answered")
        self._socket.close()


def run(task: Task) -> Sent:
    """Send what the task says, once told to."""
    samples = [Mapped(sample) for sample in task.samples]
    if task.is_association_each:
        return _run_associations(task, samples)
    statuses: Counter[int] = Counter()
    requestor = Requestor(task, samples)
    for number in range(task.warm_count):
        statuses[requestor.store(task, number)] += 1
    protocol.wait_for_start()
    sent = Sent(started=time.time(), max_pdu=requestor.max_pdu)
    for number in range(task.warm_count, task.warm_count + task.count):
        before = time.perf_counter_ns()
        status = requestor.store(task, number)
        sent.answer_ns.append(time.perf_counter_ns() - before)
        statuses[status] += 1
    sent.ended = time.time()
    requestor.release()
    sent.statuses = {f"{status:04X}": count for status, count in statuses.items()}
    return sent


def _run_associations(task: Task, samples: Sequence[Mapped]) -> Sent:
    sent = Sent()
    statuses: Counter[int] = Counter()
    for number in range(task.warm_count + task.count):
        if number == task.warm_count:
            protocol.wait_for_start()
            sent.started = time.time()
        before = time.perf_counter_ns()
        requestor = Requestor(task, samples)
        status = requestor.store(task, number)
        requestor.release()
        if number >= task.warm_count:
            sent.answer_ns.append(time.perf_counter_ns() - before)
        statuses[status] += 1
        sent.max_pdu = requestor.max_pdu
    sent.ended = time.time()
    sent.statuses = {f"{status:04X}": count for status, count in statuses.items()}
    return sent


if __name__ == "__main__":
    sys.exit(protocol.serve(Task, run))
