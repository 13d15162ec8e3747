"""The inputs: a CT, two MR, an enhanced multi-frame, two compressed, and vendors' own.

Headers are made up after those of real scanners: as many elements, sequences in
sequences, private blocks. No person in them exists.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pydicom
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    MRImageStorage,
    RLELossless,
)

from benchmarks.deid.corpus import quiet
from benchmarks.throughput import headers
from benchmarks.throughput.samples import Input, Sample, place_holders, sample, write

_SEED: Final = 4
_PATIENT: Final = "ANON^EXAMPLE"
_MAKERS: Final = ("GE", "SIEMENS", "PHILIPS", "UIH", "TOSHIBA", "CANON")
_SYNTAXES: Final = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000,
    JPEG2000Lossless,
    RLELossless,
)
_MODALITIES: Final = ("CT", "MR")
_MAX_VENDOR_FILES: Final = 24
_VENDOR_BYTES: Final = range(20_000, 4_000_000)

NAMES: Final = ("a", "b35", "b", "j2k", "rle", "vendor")
MAIN: Final = ("a", "b")
"""Those that targets are about."""
BIG: Final = "c"


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is sent.

    Attributes:
        counts: Objects in a measurement, by input.
        frames: Of the multi-frame object.
    """

    counts: dict[str, int]
    frames: int


FULL: Final = Scale({"a": 400, "b35": 800, "b": 800, "j2k": 400, "rle": 400, "vendor": 240}, 600)
QUICK: Final = Scale({"a": 200, "b35": 400, "b": 400, "j2k": 200, "rle": 200, "vendor": 96}, 600)
SMALL: Final = Scale({"a": 12, "b35": 12, "b": 12, "j2k": 12, "rle": 12, "vendor": 12}, 6)


def make(names: Iterable[str], directory: Path, scale: Scale, corpus: Path | None) -> list[Input]:
    """Make the inputs asked for.

    Args:
        names: Some of `NAMES`, or `BIG`.
        directory: Where their files go; exists.
        scale: How much of each.
        corpus: Directory of vendors' files; without it there is no input of them.
    """
    makers: dict[str, tuple[str, Callable[[Path], FileDataset]]] = {
        "a": ("CT, 512x512, GE private block", _ct),
        "b35": ("MR, 128x128", lambda path: _mr(path, has_csa=False)),
        "b": ("MR, 128x128, CSA headers", lambda path: _mr(path, has_csa=True)),
        "j2k": ("CT, JPEG 2000", lambda path: _compressed(path, JPEG2000Lossless, 200_000)),
        "rle": ("CT, RLE", lambda path: _compressed(path, RLELossless, 300_000)),
    }
    made = []
    for name in names:
        path = directory / f"{name}.dcm"
        if name in makers:
            title, maker = makers[name]
            found = (write(maker(path), path),)
            made.append(Input(name, title, found, scale.counts[name]))
        elif name == BIG:
            made.append(_big(path, scale.frames))
        elif corpus is not None:
            vendors = tuple(_vendor(corpus, directory))
            if vendors:
                title = f"{len(vendors)} vendor files"
                made.append(Input(name, title, vendors, scale.counts[name]))
    return made


def _new(path: Path, sop_class: str, syntax: str) -> FileDataset:
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = UID(syntax)
    meta.MediaStorageSOPClassUID = UID(sop_class)
    dataset = FileDataset(path, {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID = sop_class
    headers.patient(dataset, _PATIENT)
    place_holders(dataset)
    return dataset


def _ct(path: Path) -> FileDataset:
    dataset = _new(path, CTImageStorage, ExplicitVRLittleEndian)
    headers.ct(dataset)
    headers.image(dataset, 512, 512)
    dataset.PixelData = _noise(512 * 512 * 2)
    return dataset


def _mr(path: Path, *, has_csa: bool) -> FileDataset:
    dataset = _new(path, MRImageStorage, ExplicitVRLittleEndian)
    headers.mr(dataset)
    if has_csa:
        headers.csa(dataset)
    headers.image(dataset, 128, 128)
    dataset.PixelData = _noise(128 * 128 * 2)
    return dataset


def _compressed(path: Path, syntax: str, size: int) -> FileDataset:
    dataset = _new(path, CTImageStorage, syntax)
    headers.ct(dataset)
    headers.image(dataset, 512, 512)
    # Nobody decodes it: it only has to look like a stream of its kind.
    if syntax == RLELossless:
        offsets = (2, 64, size // 2, *[0] * 13)
        start = b"".join(offset.to_bytes(4, "little") for offset in offsets)
    else:
        start = bytes.fromhex("ff4fff51002f0000")
    dataset.PixelData = encapsulate([start + _noise(size - len(start))])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return dataset


def _big(path: Path, frames: int) -> Input:
    dataset = _new(path, EnhancedCTImageStorage, ExplicitVRLittleEndian)
    headers.ct(dataset)
    headers.image(dataset, 512, 512)
    headers.frames(dataset, frames)
    dataset.PixelData = b""
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    frame = _noise(512 * 512 * 2)
    with path.open("r+b") as file:  # pydicom would hold it in memory, twice
        file.seek(-4, 2)
        file.write((frames * len(frame)).to_bytes(4, "little"))
        for _ in range(frames):
            file.write(frame)
    size = path.stat().st_size
    return Input(BIG, f"enhanced CT, {frames} frames, {size / 1e6:.0f} MB", (sample(path),), 1)


def _vendor(corpus: Path, directory: Path) -> Iterable[Sample]:
    found: dict[str, list[tuple[Path, FileDataset]]] = {}
    with quiet():
        for path in sorted(corpus.rglob("*")):
            if not path.is_file() or path.stat().st_size not in _VENDOR_BYTES:
                continue
            try:
                dataset = pydicom.dcmread(path)
            except Exception:  # noqa: BLE001, S112  (whatever a vendor's file is, it is not one for this)
                continue
            if _is_usable(dataset):
                found.setdefault(_maker(dataset), []).append((path, dataset))
        # In turn, so that no vendor crowds out the others.
        chosen = [
            files[turn]
            for turn in range(_MAX_VENDOR_FILES)
            for files in found.values()
            if turn < len(files)
        ][:_MAX_VENDOR_FILES]
        for number, (_, dataset) in enumerate(chosen):
            place_holders(dataset)
            made = write(dataset, directory / f"vendor-{number:02d}.dcm")
            yield replace(made, ends_with_pixels=False)  # re-encoding them is allowed


def _is_usable(dataset: Dataset) -> bool:
    return (
        dataset.file_meta.get("TransferSyntaxUID") in _SYNTAXES
        and dataset.get("Modality") in _MODALITIES
        and _maker(dataset) in _MAKERS
        and "SOPInstanceUID" in dataset
        and "PixelData" in dataset
        # Refusing these is right, and says nothing about speed.
        and dataset.get("BurnedInAnnotation") != "YES"
        and dataset.get("StudyInstanceUID", "") != ""
    )


def _maker(dataset: Dataset) -> str:
    words = str(dataset.get("Manufacturer", "")).upper().split()
    return words[0] if words else ""


def _noise(size: int) -> bytes:
    return random.Random(_SEED).randbytes(size)
