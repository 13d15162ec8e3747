"""Made-up objects for a node, and a requestor that can stop in the middle of one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID
from support_network import (
    CT,
    IMPLICIT,
    RawRequestor,
    associate_rq,
    encoded,
    p_data,
    pdv,
    store_rq,
)

PIXEL_BYTES = 1_000_000
_FRAGMENT_BYTES = 65_536


def ct(uid: str, *, pixel_bytes: int = PIXEL_BYTES, **elements: object) -> Dataset:
    """A CT image.

    Args:
        uid: Its SOP Instance UID.
        pixel_bytes: How large its pixel data is.
        elements: By keyword; None leaves one out.
    """
    values: dict[str, object] = {
        "SOPClassUID": UID(CT),
        "SOPInstanceUID": UID(uid),
        "StudyDate": "20200101",
        "Modality": "CT",
        "StationName": "EXAMPLE-CT1",
        "PatientName": "ANON^EXAMPLE",
        "PatientID": "EXAMPLE1",
        "StudyInstanceUID": UID("2.25.1001"),
        "SeriesInstanceUID": UID("2.25.1002"),
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": 2,
        "Columns": max(1, pixel_bytes // 4) % 65536,
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
    } | elements
    dataset = Dataset()
    for keyword, value in values.items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.add_new(0x7FE00010, "OW", bytes(pixel_bytes))
    return dataset


def write(path: Path, dataset: Dataset) -> Path:
    """Write an object as a file of the DICOM File Format, Implicit VR Little Endian."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(IMPLICIT)
    dataset.save_as(path, enforce_file_format=True)
    return path


@dataclass
class Halfway:
    """An association in the middle of an instance."""

    requestor: RawRequestor
    rest: bytes

    def finish(self) -> int:
        """Send the rest; the status of the answer."""
        _send(self.requestor, self.rest, is_last=True)
        status: int = self.requestor.response().Status
        return status


@contextmanager
def halfway(
    port: int, uid: str, *, called: str = "DICOMANON", **elements: object
) -> Iterator[Halfway]:
    """Associate, and send the first half of an object: its header and some of its pixels."""
    data = encoded(ct(uid, **elements))  # type: ignore[arg-type]
    half = len(data) // 2 & ~1
    with RawRequestor(port) as requestor:
        requestor.associate(associate_rq(((1, CT, (IMPLICIT,)),), called=called, max_pdu_bytes=0))
        requestor.send(p_data(pdv(1, 3, store_rq(1, CT, uid))))
        _send(requestor, data[:half], is_last=False)
        yield Halfway(requestor, data[half:])


def _send(requestor: RawRequestor, data: bytes, *, is_last: bool) -> None:
    for start in range(0, len(data), _FRAGMENT_BYTES):
        end = start + _FRAGMENT_BYTES
        control = 2 if is_last and end >= len(data) else 0
        requestor.send(p_data(pdv(1, control, data[start:end])))
