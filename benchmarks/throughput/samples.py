"""A sample: a file of which any number of instances can be made by patching UIDs."""

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset, FileDataset
from pydicom.filewriter import dcmwrite

from benchmarks.throughput.uids import LENGTH, Kind, uid

_TAIL_BYTES: Final = 256


@dataclass(frozen=True, slots=True)
class Sample:
    """One file of an input.

    Attributes:
        path: The file (PS3.10), with place holders as UIDs.
        sop_class_uid: Its SOP class.
        transfer_syntax_uid: Its transfer syntax.
        start: Where its data set begins, after the File Meta Information.
        instance_offsets: Where its SOP Instance UID is, in the whole file.
        series_offsets: Where its Series Instance UID is.
        size_bytes: Of the file.
        ends_with_pixels: Whether Pixel Data is its last element.
    """

    path: str
    sop_class_uid: str
    transfer_syntax_uid: str
    start: int
    instance_offsets: list[int]
    series_offsets: list[int]
    size_bytes: int
    ends_with_pixels: bool = True

    def tail(self) -> bytes:
        """The last bytes of its pixel data."""
        with Path(self.path).open("rb") as file:
            file.seek(-_TAIL_BYTES, 2)
            return file.read()


@dataclass(frozen=True, slots=True)
class Input:
    """What is sent in one measurement, its samples in turn.

    Attributes:
        name: Short, for the command line.
        title: For people.
        samples: At least one.
        count: Objects in a measurement, without the warm-up.
    """

    name: str
    title: str
    samples: tuple[Sample, ...]
    count: int

    @property
    def mean_bytes(self) -> float:
        """Mean size of its files."""
        return sum(sample.size_bytes for sample in self.samples) / len(self.samples)


def place_holders(dataset: Dataset) -> None:
    """Give a data set the UIDs that are patched later."""
    dataset.SOPInstanceUID = uid(Kind.INSTANCE, 0, 0, 0)
    dataset.SeriesInstanceUID = uid(Kind.SERIES, 0, 0, 0)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID


def write(dataset: FileDataset, path: Path) -> Sample:
    """Write a data set that has its place holders.

    Args:
        dataset: With File Meta Information.
        path: Where to.
    """
    dcmwrite(path, dataset, enforce_file_format=True)
    return sample(path, ends_with_pixels=max(dataset.keys()) == 0x7FE00010)  # noqa: PLR2004  (Pixel Data)


def sample(path: Path, *, ends_with_pixels: bool = True) -> Sample:
    """Describe a file that was written.

    Args:
        path: The file.
        ends_with_pixels: Whether Pixel Data is its last element.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        group_length = int.from_bytes(content[140:144], "little")  # (0002,0000), PS3.10 7.1
        start = 144 + group_length
        meta = content[132:start]
        # The header of every sample ends before this.
        head = content[: 64 * 2**20]
    return Sample(
        str(path),
        _meta_text(meta, 0x02),
        _meta_text(meta, 0x10),
        start,
        list(_places(head, uid(Kind.INSTANCE, 0, 0, 0))),
        list(_places(head, uid(Kind.SERIES, 0, 0, 0))),
        path.stat().st_size,
        ends_with_pixels,
    )


def instances(samples: Sequence[Sample], directory: Path, count: int, measure: int) -> list[Path]:
    """Write instances as files, each with UIDs of its own.

    Args:
        samples: Taken in turn.
        directory: Made for them.
        count: How many.
        measure: Part of their UIDs.
    """
    directory.mkdir(parents=True)
    contents = [bytearray(Path(one.path).read_bytes()) for one in samples]
    paths = []
    for number in range(count):
        one, content = samples[number % len(samples)], contents[number % len(samples)]
        for kind, offsets in (
            (Kind.INSTANCE, one.instance_offsets),
            (Kind.SERIES, one.series_offsets),
        ):
            encoded = uid(kind, measure, 0, number if kind is Kind.INSTANCE else 0).encode()
            for offset in offsets:
                content[offset : offset + LENGTH] = encoded
        path = directory / f"{number:06d}.dcm"
        path.write_bytes(content)
        paths.append(path)
    return paths


def _places(content: bytes, text: str) -> Iterator[int]:
    place = content.find(text.encode())
    while place >= 0:
        yield place
        place = content.find(text.encode(), place + LENGTH)


def _meta_text(meta: bytes, element: int) -> str:
    # File Meta Information is Explicit VR Little Endian; UIDs have a short length field.
    place = meta.index(bytes((2, 0, element, 0)) + b"UI")
    size = int.from_bytes(meta[place + 6 : place + 8], "little")
    return meta[place + 8 : place + 8 + size].rstrip(b"\0").decode()
