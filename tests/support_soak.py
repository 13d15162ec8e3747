"""The soak: a node at work for long, among everything that a hospital's day has in it.

New objects of a scanner, objects of several makers, the same ones again, senders that go away in
the middle of one, and a DICOM destination that is down now and then. What is asked
at the end is whether the node is as it was after its first minutes, and whether the counts at both
ends are equal.
"""

import os
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.uid import UID
from support_campaign import Site, dataset, instance_uid, leaks, wait_for_empty_queues
from support_delivery import free_port, storescp
from support_network import (
    CT,
    IMPLICIT,
    RawRequestor,
    associate_rq,
    encoded,
    message,
    store_rq,
)
from support_node import CORPUS, SMALL, Node

from dicomanon_node.network.failures import AssociationError, NotSendableError
from dicomanon_node.network.part10 import DicomFile, Part10Error
from dicomanon_node.network.proposal import contexts_for
from dicomanon_node.network.requestor import Requestor

QUEUES = ("share", "flapping")
_TOML = """
[[destinations]]
name = "share"
kind = "folder"
path = "share"
[[destinations]]
name = "flapping"
kind = "dicom"
ae_title = "FLAPPING"
host = "127.0.0.1"
port = {port}
associations = 1
connect_timeout_s = 2.0
response_timeout_s = 10.0
"""
# Uncompressed, deflated (which leaves the node inflated), JPEG Lossless, JPEG 2000, RLE.
_SYNTAXES = frozenset(
    f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".1.99", ".4.70", ".4.90", ".4.91", ".5")
)
_UP_S, _DOWN_S = (3.0, 8.0), (0.5, 2.5)

MEMORY_SHARE, MEMORY_BYTES = 0.10, 12 << 20
"""How much more than after the warm-up the node may hold: a part, and so many bytes.

The queues' lists in the courier and glibc's arenas move by some MiB; a leak of one header an
object would be twice as much in the shortest run.
"""


@dataclass(frozen=True)
class Sample:
    """What the tree of processes holds at a moment."""

    seconds: float
    pss_bytes: int
    descriptors: int
    threads: int


@dataclass
class Report:
    """What a soak did, and what it found wrong."""

    answered: int = 0
    unique: int = 0
    refused: int = 0
    aborted: int = 0
    flaps: int = 0
    samples: list[Sample] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        first, last = self.samples[len(self.samples) // 3], self.samples[-1]
        return (
            f"{self.answered} answered 0000H, {self.unique} of them different, {self.refused}"
            f" refused, {self.aborted} left in the middle; the destination was down {self.flaps}"
            f" times; memory {first.pss_bytes >> 20} MiB after the warm-up, {last.pss_bytes >> 20}"
            f" MiB at the end; descriptors {first.descriptors}, {last.descriptors}; threads"
            f" {first.threads}, {last.threads}; wrong: {len(self.wrong)}"
        )


def sample(pids: Sequence[int], started: float) -> Sample:
    """Look at the processes."""
    pss = descriptors = threads = 0
    for pid in pids:
        with suppress(OSError):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
            pss += next(
                int(line.split()[1]) * 1024 for line in rollup.splitlines() if line[:4] == "Pss:"
            )
            descriptors += len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208  (no Path for each)
            threads += len(os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208  (as above)
    return Sample(time.monotonic() - started, pss, descriptors, threads)


class Soak:
    """One node, senders, a destination that flaps; see `run`.

    Args:
        directory: For everything.
        seed: Decides what is sent and when the destination is down.
        stack: Ends what is started.
        senders: Associations at a time.
    """

    def __init__(self, directory: Path, seed: int, stack: ExitStack, *, senders: int = 5) -> None:
        self._rng = random.Random(seed)  # noqa: S311  (a campaign that can be repeated)
        self._directory = directory
        self._port = free_port()
        self._stop = threading.Event()
        self._settle = threading.Event()
        self._lock = threading.Lock()
        self._next = 0
        self._uids: set[str] = set()
        self._senders = senders
        self._errors: list[BaseException] = []
        self.report = Report()
        self.site = Site(directory / "node", _TOML.format(port=self._port))
        (self.site.directory / "share").mkdir(parents=True)
        self.site.start()
        stack.callback(self.site.close)
        self._makers = _makers()

    def run(self, seconds: float) -> Report:
        """Work for so long, then let everything arrive and count."""
        threads = [
            threading.Thread(target=self._guarded, args=(work, random.Random(self._rng.random())))  # noqa: S311  (seeded)
            for work in (self._flap, *[self._send] * self._senders)
        ]
        started = time.monotonic()
        node = self.site.node
        assert node is not None
        for thread in threads:
            thread.start()
        try:
            while time.monotonic() - started < seconds and not self._errors:
                self.report.samples.append(sample(self.site.processes(), started))
                time.sleep(min(2.0, seconds / 40))
        finally:
            self._settle.set()
            for thread in threads[1:]:
                thread.join(60)
            try:
                if not self._errors:
                    wait_for_empty_queues(self.site, QUEUES, 180)
            finally:
                self._stop.set()
                threads[0].join(60)
        for error in self._errors:
            raise error
        self._judge(node)
        return self.report

    def _guarded(self, work: Callable[[random.Random], None], rng: random.Random) -> None:
        try:
            work(rng)
        except BaseException as error:  # noqa: BLE001  (raised by `run`)
            self._errors.append(error)

    def _flap(self, rng: random.Random) -> None:
        while not self._stop.is_set():
            with storescp(
                self._directory / "dcmtk", "--bit-preserving", "--accept-all", port=self._port
            ):
                self._stop.wait(rng.uniform(*_UP_S))
                while self._settle.is_set() and not self._stop.wait(0.2):
                    pass  # up until all has arrived
            if not self._stop.is_set():
                self.report.flaps += 1
                self._stop.wait(rng.uniform(*_DOWN_S))

    def _send(self, rng: random.Random) -> None:
        while not self._settle.is_set():
            if rng.random() < 0.15:
                self._send_makers(rng)
            else:
                with suppress(EOFError, OSError):
                    self._send_series(rng)

    def _send_series(self, rng: random.Random) -> None:
        assert self.site.node is not None
        with RawRequestor(self.site.port) as requestor:
            requestor.associate(associate_rq(((1, CT, (IMPLICIT,)),), called="DICOMANON"))
            for _ in range(rng.randrange(3, 40)):
                if self._settle.is_set():
                    break
                with self._lock:
                    index = self._next
                    self._next += 1
                if index > 10 and rng.random() < 0.1:
                    index = rng.randrange(index)  # once more
                data = encoded(dataset(index, pixel_bytes=2_000))
                whole = message(store_rq(1, CT, instance_uid(index)), data)
                if rng.random() < 0.02:
                    requestor.send(whole[: rng.randrange(1, len(whole) - 1)])
                    with self._lock:
                        self.report.aborted += 1
                    return
                requestor.send(whole)
                self._note(int(requestor.response().Status), instance_uid(index))
            requestor.release()

    def _send_makers(self, rng: random.Random) -> None:
        files = rng.sample(self._makers, min(5, len(self._makers)))
        with (
            suppress(AssociationError),
            Requestor(
                "127.0.0.1", self.site.port, calling_aet="MAKERS", called_aet="DICOMANON",
                contexts=contexts_for(files),
            ) as requestor,
        ):  # fmt: skip
            for file in files:
                with suppress(NotSendableError):
                    self._note(requestor.store(file).status, file.sop_instance_uid)

    def _note(self, status: int, uid: str) -> None:
        with self._lock:
            if status == 0:
                self.report.answered += 1
                self._uids.add(uid)
            else:
                self.report.refused += 1

    def _judge(self, node: Node) -> None:
        self.report.unique = len(self._uids)
        wrong = self.report.wrong
        self._judge_resources()
        self.site.stop()
        events = node.events("instance.stored")
        counts = {
            "stored, by the log": len(events),
            "different, by the log": len({event["sop_instance_uid"] for event in events}),
            "in outgoing": len(node.outgoing_files()),
            "in the share": len(list((self.site.directory / "share").iterdir())),
            "at the DICOM destination": len(list((self._directory / "dcmtk").iterdir())),
        }
        for name, count in counts.items():
            expected = self.report.answered if name.startswith("stored") else self.report.unique
            if count != expected:
                wrong.append(f"{name}: {count}, not {expected}")
        for name in ("internal.error", "process.died", "delivery.failed", "log.lost"):
            wrong += [f"{name}: {event}" for event in node.events(name)[:3]]
        left = [path.name for path in (node.spool / "incoming").iterdir()]
        wrong += [f"left in incoming: {name}" for name in left]
        wrong += [f"in the output: {value}" for value in leaks(node.log.read_bytes())]

    def _judge_resources(self) -> None:
        third = len(self.report.samples) // 3
        early, late = self.report.samples[third : 2 * third], self.report.samples[2 * third :]
        memory = [statistics.median(found.pss_bytes for found in part) for part in (early, late)]
        if memory[1] > memory[0] * (1 + MEMORY_SHARE) + MEMORY_BYTES:
            self.report.wrong.append(f"memory grew from {memory[0]} to {memory[1]} bytes")
        for name in ("descriptors", "threads"):
            most = [max(getattr(found, name) for found in part) for part in (early, late)]
            # Each sender, and each association to a destination, is one more or less.
            if most[1] > most[0] + 2 * self._senders:
                self.report.wrong.append(f"{name} grew from {most[0]} to {most[1]}")


def _makers() -> list[DicomFile]:
    """Objects of several makers that DCMTK takes; not too large, each UID once."""
    found: dict[str, DicomFile] = {}
    for path in [*SMALL, *sorted(CORPUS.rglob("*.dcm"))[:60]]:
        with suppress(Part10Error, OSError):
            file = DicomFile.open(path)
            if (
                file.dataset_bytes < 2_000_000
                and file.transfer_syntax_uid in _SYNTAXES
                and UID(file.sop_class_uid).keyword  # DCMTK knows no newer ones
            ):
                found.setdefault(file.sop_instance_uid, file)
    return list(found.values())


@contextmanager
def soak(directory: Path, seed: int) -> Iterator[Soak]:
    """A soak in a directory of its own; leaves no process behind."""
    with ExitStack() as stack:
        yield Soak(directory, seed, stack)
