"""The files a server writes: counted, timed by the file system, and checked.

Every file is looked at (its size, its UID, the end of its pixels); of each
measurement some are read by pydicom and compared with what was sent.
"""

import hashlib
import os
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pydicom
from pydicom.dataset import FileDataset

from benchmarks.deid.corpus import quiet
from benchmarks.throughput.samples import Sample

_READ_BYTES: Final = 4_000_000  # about as much of a measurement is read by pydicom
_UNFINISHED: Final = (".tmp", ".part", ".partial")
_META_BYTES: Final = 2048
_SENDERS_NAMES: Final = ("ANON^EXAMPLE",)


class OutputError(Exception):
    """The outputs are not what they have to be. Its text says in which way."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where a server writes.

    Attributes:
        directory: Looked through with all below it.
        is_deidentified: Whether other UIDs have to come out than went in.
    """

    directory: Path
    is_deidentified: bool

    def paths(self) -> set[str]:
        """The files that are there and finished."""
        return set(_walk(str(self.directory)))

    def check(self, new: Collection[str], sent: Collection[str], samples: Sequence[Sample]) -> None:
        """Check the files of one measurement.

        Args:
            new: Those that came since it began.
            sent: The SOP Instance UIDs sent.
            samples: What they were made from.

        Raises:
            OutputError: A file is missing, too many, unreadable or not what was asked for.
        """
        if len(new) != len(sent):
            raise OutputError(f"{len(new)} files instead of {len(sent)}")
        tails = {sample.tail() for sample in samples if sample.ends_with_pixels}
        uids = {_look(path, tails) for path in new}
        if len(uids) != len(sent):
            raise OutputError(f"{len(uids)} different SOP Instance UIDs instead of {len(sent)}")
        if self.is_deidentified and not uids.isdisjoint(sent):
            raise OutputError("a SOP Instance UID came out as it went in")
        if not self.is_deidentified and uids != set(sent):
            raise OutputError("a SOP Instance UID was changed")
        count = min(len(new), 1 + _READ_BYTES // max(sample.size_bytes for sample in samples))
        some = random.Random(len(new)).sample(sorted(new), count)
        pixels = _pixels(samples) if len(samples) == 1 else None
        for path in some:
            self._read(path, pixels)

    def _read(self, path: str, pixels: str | None) -> None:
        with quiet():
            dataset = pydicom.dcmread(path)
            name = str(dataset.get("PatientName", ""))
            if dataset.SOPInstanceUID != dataset.file_meta.MediaStorageSOPInstanceUID:
                raise OutputError("a file has two SOP Instance UIDs")
            if self.is_deidentified and name in _SENDERS_NAMES:
                raise OutputError("a file has the patient's name")
            if pixels is not None and _digest(dataset) != pixels:
                raise OutputError("the pixels of a file are not those sent")


def last_change(paths: Collection[str]) -> float:
    """When the last of the files got its name, seconds since the epoch.

    The file system says so itself (ctime), so that looking costs the server nothing.
    """
    return max(os.stat(path).st_ctime for path in paths)  # noqa: PTH116  (thousands of them)


def first_to_last(paths: Collection[str]) -> float:
    """Seconds between the first of the files and the last."""
    changes = [os.stat(path).st_ctime for path in paths]  # noqa: PTH116  (thousands of them)
    return max(changes) - min(changes)


def empty(paths: Collection[str]) -> None:
    """Give their space and their pages back, and leave the files.

    A page cache that grows makes each measurement slower than the one before, and so does
    removing many files: new ones are then slower to create.
    """
    for path in paths:
        os.truncate(path, 0)


def _look(path: str, tails: Collection[bytes]) -> str:
    with open(path, "rb") as file:  # noqa: PTH123  (thousands of them)
        size = os.fstat(file.fileno()).st_size
        head = file.read(_META_BYTES)
        if head[128:132] != b"DICM" or size <= _META_BYTES:
            raise OutputError("a file is not DICOM, or cut short")
        if tails:
            file.seek(-len(next(iter(tails))), 2)
            if file.read() not in tails:
                raise OutputError("the pixels of a file do not end like those sent")
    place = head.index(b"\x02\x00\x03\x00UI")  # Media Storage SOP Instance UID
    length = int.from_bytes(head[place + 6 : place + 8], "little")
    return head[place + 8 : place + 8 + length].rstrip(b"\0").decode("ascii")


def _walk(directory: str) -> list[str]:
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                try:
                    found += _walk(entry.path)
                except FileNotFoundError:  # a server's own temporary directory
                    continue
            elif not entry.name.endswith(_UNFINISHED) and not entry.name.startswith("."):
                found.append(entry.path)
    return found


def _pixels(samples: Sequence[Sample]) -> str | None:
    (sample,) = samples
    if not sample.ends_with_pixels:
        return None
    return _digest(pydicom.dcmread(sample.path))


def _digest(dataset: FileDataset) -> str:
    return hashlib.sha256(dataset.PixelData).hexdigest()
