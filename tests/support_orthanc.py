"""An Orthanc of a test's own: another maker's PACS to forward to and to ask."""

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support_delivery import free_port, is_listening, wait_until


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc.

    Attributes:
        dicom_port: Where it takes associations, as `ORTHANC`.
        http_port: Where it answers questions.
    """

    dicom_port: int
    http_port: int

    def ask(self, path: str) -> bytes:
        """The answer of its REST interface."""
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.http_port}{path}", timeout=10
        ) as answer:
            content: bytes = answer.read()
            return content

    def post(self, path: str, content: bytes | str) -> None:
        """Ask it to do something; it answers when that is done."""
        data = content.encode("utf-8") if isinstance(content, str) else content
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http_port}{path}", data=data, method="POST"
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  (http)
            answer.read()

    def instances(self) -> list[str]:
        """Its own identifiers of all instances it has."""
        found: list[str] = json.loads(self.ask("/instances"))
        return found

    def sop_instance_uids(self) -> list[str]:
        """The SOP Instance UIDs of all instances it has."""
        return sorted(
            json.loads(self.ask(f"/instances/{instance}/simplified-tags"))["SOPInstanceUID"]
            for instance in self.instances()
        )


@contextmanager
def orthanc(
    directory: Path, dicom_port: int = 0, more: Mapping[str, object] | None = None
) -> Iterator[Orthanc]:
    """An Orthanc while the context lasts; what is in the directory is its store.

    Args:
        directory: Made for it.
        dicom_port: Where it listens; 0: a free one.
        more: Other settings.
    """
    running = Orthanc(dicom_port or free_port(), free_port())
    configuration = {
        "StorageDirectory": str(directory / "store"),
        "IndexDirectory": str(directory / "store"),
        "DicomAet": "ORTHANC",
        "DicomPort": running.dicom_port,
        "HttpPort": running.http_port,
        "RemoteAccessAllowed": False,
        "UnknownSopClassAccepted": True,
        "Plugins": [],
    } | dict(more or {})
    directory.mkdir(exist_ok=True)
    path = directory / "orthanc.json"
    path.write_text(json.dumps(configuration), encoding="utf-8")
    process = subprocess.Popen(
        [shutil.which("Orthanc") or "Orthanc", str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(
            lambda: is_listening(running.dicom_port) and is_listening(running.http_port),
            deadline_s=30,
        )
        yield running
    finally:
        process.terminate()
        process.wait(20)
