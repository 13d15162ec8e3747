"""Which vendor files can carry a plant, and their UIDs replaced by ones that identify."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
from pydicom.charset import convert_encodings
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from benchmarks.deid.expectation import CLASS_UIDS, is_standard_uid
from benchmarks.deid.identity import Persona
from benchmarks.deid.paths import CHARSET_VRS, walk
from benchmarks.deid.standard import Standard

_DIRECTORY = "1.2.840.10008.1.3.10"
_NOT_FILES = frozenset({".csv", ".md", ".txt", ".json"})
_MAX_BYTES = 4_000_000


class NotPlantableError(Exception):
    """The file cannot carry a plant; the text says why, without values."""


@contextmanager
def quiet() -> Iterator[None]:
    """Without pydicom's remarks on what vendor files contain."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def files(directory: Path) -> list[Path]:
    """The files of a corpus, in a fixed order; licences and manifests left out."""
    return sorted(
        path
        for path in directory.rglob("*")
        if path.is_file()
        and path.suffix.lower() not in _NOT_FILES
        and "LICENCES" not in path.parts
        and path.stat().st_size <= _MAX_BYTES
    )


def load(path: Path, standard: Standard) -> Dataset:
    """Read a vendor file that an SCU could send.

    Raises:
        NotPlantableError: It is a directory, has no SOP class, or pydicom cannot read all of it.
    """
    try:
        dataset = pydicom.dcmread(path, force=True)
        count = sum(1 for _ in walk(dataset, standard))
        # On a copy: what was converted once is not written as the vendor encoded it.
        for _ in pydicom.dcmread(path, force=True).iterall():
            pass
        sop_class = str(dataset.get("SOPClassUID", ""))
    except Exception as error:  # noqa: BLE001  (a corpus holds whatever breaks parsers)
        raise NotPlantableError(f"cannot be read: {type(error).__name__}") from None
    if not count or not sop_class:
        raise NotPlantableError("has no SOP class")
    if sop_class == _DIRECTORY:
        raise NotPlantableError("is a media directory")
    meta = getattr(dataset, "file_meta", None) or pydicom.dataset.FileMetaDataset()
    if "TransferSyntaxUID" not in meta:
        meta.TransferSyntaxUID = _guessed_syntax(dataset)
    dataset.file_meta = meta
    return dataset


def _guessed_syntax(dataset: Dataset) -> str:
    is_implicit, is_little = dataset.original_encoding
    if is_implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if is_little else ExplicitVRBigEndian


def is_big_endian(dataset: Dataset) -> bool:
    """Whether the object is encoded in Big Endian."""
    return bool(dataset.file_meta.get("TransferSyntaxUID") == ExplicitVRBigEndian)


def is_deflated(dataset: Dataset) -> bool:
    """Whether the object is compressed as a whole."""
    return bool(dataset.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian)


def is_plain(dataset: Dataset, standard: Standard) -> bool:
    """Whether all texts are ASCII, so that any character set may be declared."""
    return all(node.text.isascii() for node in walk(dataset, standard) if node.vr in CHARSET_VRS)


def declare(dataset: Dataset, character_set: str) -> None:
    """Declare a character set for texts that are all ASCII.

    Args:
        dataset: The data set.
        character_set: Specific Character Set (0008,0005), "" for the default repertoire.
    """
    terms = character_set.split("\\")
    if character_set:
        dataset.SpecificCharacterSet = terms if len(terms) > 1 else terms[0]
    is_implicit, is_little = dataset.original_encoding
    if is_little is None:
        is_implicit, is_little = False, True
    # Otherwise pydicom would decode and encode again what is there, and undo what is UN.
    dataset.set_original_encoding(is_implicit, is_little, convert_encodings(terms))


class Uids:
    """Replaces UIDs by ones that embed serial number and date, the same everywhere."""

    def __init__(self) -> None:
        self._new: dict[str, str] = {}
        self._count = 0

    def fresh(self, persona: Persona) -> str:
        """A UID that was not used before."""
        self._count += 1
        return persona.uid(self._count)

    def replace(self, dataset: Dataset, persona: Persona) -> None:
        """Replace all UIDs of instances in an object, at every depth."""
        for key in list(dataset.keys()):
            if dataset.get_item(key).VR not in ("UI", "SQ", None):
                continue
            element = dataset[key]
            if isinstance(element.value, Sequence):
                for item in element.value:
                    self.replace(item, persona)
            elif element.VR == "UI" and element.value and int(key) not in CLASS_UIDS:
                values = element.value if element.VM > 1 else [element.value]
                news = [self._replaced(str(value), persona) for value in values]
                element.value = news if len(news) > 1 else news[0]

    def _replaced(self, value: str, persona: Persona) -> str:
        if not value or is_standard_uid(value):
            return value
        if value not in self._new:
            self._new[value] = self.fresh(persona)
        return self._new[value]
