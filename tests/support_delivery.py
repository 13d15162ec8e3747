"""Files, peers and clocks for the tests of the requestor and of delivery.

Files are written by pydicom and received by stock pynetdicom or DCMTK, so that what
is compared never comes from the code under test.
"""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.transport import ThreadedAssociationServer

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"


def wait_until(condition: Callable[[], object], deadline_s: float = 15.0) -> None:
    """Poll until the condition holds; fail at the deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.005)


def write_file(
    path: Path,
    uid: str,
    *,
    sop_class: str = CT,
    syntax: str = EXPLICIT,
    pixel_bytes: int = 1000,
    seed: int = 0,
) -> Path:
    """A DICOM file made by pydicom; the same arguments give the same bytes."""
    dataset = Dataset()
    dataset.SOPClassUID = UID(sop_class)
    dataset.SOPInstanceUID = UID(uid)
    dataset.PatientName = "ANON^EXAMPLE"
    dataset.PatientID = "A1"
    dataset.StudyInstanceUID = UID("2.25.1")
    dataset.SeriesInstanceUID = UID("2.25.2")
    dataset.Modality = "CT"
    dataset.Rows, dataset.Columns = min(pixel_bytes // 2, 65535), 2
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    pattern = bytes((index * 7 + seed) % 251 for index in range(min(pixel_bytes, 4096)))
    pixels = (pattern * (pixel_bytes // 4096 + 1))[: pixel_bytes & ~1]
    if UID(syntax).is_compressed:
        dataset.PixelData = encapsulate([pixels])
        dataset["PixelData"].VR = "OB"
    else:
        dataset.add_new(0x7FE00010, "OW" if syntax == IMPLICIT else "OB", pixels)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.save_as(path, enforce_file_format=True)
    return path


def encoded_dataset(path: Path) -> bytes:
    """The data set's bytes: what follows the file meta whose length pydicom has written."""
    group_length = read_file_meta_info(path).FileMetaInformationGroupLength
    return path.read_bytes()[128 + 4 + 12 + group_length :]


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def no_answer(_uid: str) -> int:
    """Every instance is taken."""
    return 0x0000


ABORT = -1
"""An answer of `StockPeer`: abort the association instead."""


@dataclass
class StockPeer:
    """A stock pynetdicom Storage SCP.

    Attributes:
        answer: The status for a SOP Instance UID, or `ABORT`.
        received: Data set bytes by SOP Instance UID, of those answered 0000H or Bxxx.
        order: SOP Instance UIDs of every C-STORE-RQ, as they came.
        associations: How many were established.
        pdu_lengths: PDU Length of every P-DATA-TF received.
    """

    answer: Callable[[str], int] = no_answer
    received: dict[str, bytes] = field(default_factory=dict)
    syntaxes: dict[str, str] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    pdu_lengths: list[int] = field(default_factory=list)
    associations: int = 0
    endings: list[str] = field(default_factory=list)
    port: int = 0
    comment: str = ""

    def store(self, event: evt.Event) -> Dataset:
        request: Any = event.request
        uid = str(request.AffectedSOPInstanceUID)
        self.order.append(uid)
        status = self.answer(uid)
        if status == ABORT:
            event.assoc.abort()
            status = 0x0110
        elif status == 0 or status >> 12 == 0xB:
            self.received[uid] = request.DataSet.getvalue()
            self.syntaxes[uid] = str(event.context.transfer_syntax)
        response = Dataset()
        response.Status = status
        if self.comment:
            response.ErrorComment = self.comment
        return response

    @contextlib.contextmanager
    def serving(
        self,
        *,
        port: int = 0,
        max_pdu_bytes: int = 16382,
        contexts: Mapping[str, list[str]] | None = None,
        configure: Callable[[AE], object] = lambda _: None,
        ends_abruptly: bool = False,
    ) -> Iterator["StockPeer"]:
        """Listen on a loopback port until the block ends.

        Unless it is to end abruptly, associations get a moment to end by themselves: stock
        pynetdicom cannot abort one that it has just rejected or released.
        """
        ae = AE("STOCK")
        ae.maximum_pdu_size = max_pdu_bytes
        ae.maximum_associations = 20
        ae.network_timeout = 30
        supported = contexts or {CT: [EXPLICIT, IMPLICIT, JPEG_LOSSLESS], MR: [EXPLICIT, IMPLICIT]}
        for sop_class, syntaxes in supported.items():
            ae.add_supported_context(sop_class, syntaxes)
        if contexts is None:
            ae.add_supported_context(VERIFICATION)
        configure(ae)

        def pdu_received(event: evt.Event) -> None:
            if isinstance(event.pdu, P_DATA_TF):
                self.pdu_lengths.append(event.pdu.pdu_length)

        def established(_event: evt.Event) -> None:
            self.associations += 1

        handlers: list[Any] = [
            (evt.EVT_C_STORE, self.store),
            (evt.EVT_PDU_RECV, pdu_received),
            (evt.EVT_ESTABLISHED, established),
            (evt.EVT_RELEASED, lambda _: self.endings.append("released")),
            (evt.EVT_ABORTED, lambda _: self.endings.append("aborted")),
        ]
        server: Any = ae.make_server(
            ("127.0.0.1", port), evt_handlers=handlers, server_class=ThreadedAssociationServer
        )
        # As `start_server` does, which looks only twice a second whether it is to end.
        ae._servers.append(server)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        self.port = server.socket.getsockname()[1]
        try:
            yield self
        finally:
            end = time.monotonic() + (0 if ends_abruptly else 5)
            while ae.active_associations and time.monotonic() < end:
                time.sleep(0.005)
            ae.shutdown()
            thread.join(10)


@contextlib.contextmanager
def storescp(
    directory: Path, *options: str, port: int = 0, environ: Mapping[str, str] | None = None
) -> Iterator[int]:
    """DCMTK's storescp, as shipped (Nagle's algorithm on), writing into a directory."""
    directory.mkdir(exist_ok=True)
    port = port or free_port()
    environment = {key: value for key, value in os.environ.items() if key != "TCP_NODELAY"}
    command = [shutil.which("storescp") or "storescp", *options]
    process = subprocess.Popen(
        [*command, "--output-directory", str(directory), str(port)],
        env=environment | dict(environ or {}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: is_listening(port))
        yield port
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)


def is_listening(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def rng(seed: int = 1) -> random.Random:
    """Jitter that is the same in each run."""
    return random.Random(seed)  # noqa: S311  (jitter, not a secret)


@dataclass
class FakeClock:
    """Seconds that pass when told to."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass
class Facts:
    """An observer that remembers. Thread-safe."""

    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    lock: Any = field(default_factory=threading.Lock)

    def __call__(self, event: str, **facts: object) -> None:
        with self.lock:
            self.told.append((event, dict(facts)))

    def of(self, event: str) -> list[dict[str, Any]]:
        with self.lock:
            return [facts for name, facts in self.told if name == event]


@dataclass(frozen=True)
class SpoolFolders:
    """The directories of a spool, as the spool makes them."""

    root: Path
    destination: str = "pacs"

    @property
    def waiting(self) -> Path:
        return self.root / "queue" / self.destination

    @property
    def failed(self) -> Path:
        return self.root / "failed" / self.destination

    def make(self) -> "SpoolFolders":
        self.waiting.mkdir(parents=True)
        self.failed.mkdir(parents=True)
        return self

    def add(
        self, uid: str, *, sop_class: str = CT, syntax: str = EXPLICIT, pixel_bytes: int = 1000
    ) -> Path:
        """Queue an instance the way a receiver does: written elsewhere, then linked."""
        incoming = self.root / "incoming"
        incoming.mkdir(exist_ok=True)
        part = write_file(
            incoming / uid, uid, sop_class=sop_class, syntax=syntax, pixel_bytes=pixel_bytes
        )
        path = self.waiting / f"{uid}.dcm"
        path.hardlink_to(part)
        part.unlink()
        return path

    def names(self) -> list[str]:
        return sorted(path.name for path in self.waiting.iterdir() if path.name != ".lane")

    def failed_names(self) -> list[str]:
        """What lies in failed/, but for the lock."""
        return sorted(path.name for path in self.failed.iterdir() if path.name != ".lock")
