"""Find DICOM files among what a user names.

pydicom warns of values: whoever uses this has `library_logs` installed.
"""

import dataclasses
import os
import re
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from dicomanon_node.errors import NodeError
from dicomanon_node.network.part10 import DicomFile, Part10Error
from dicomanon_node.network.supported import IMPLICIT_VR_LITTLE_ENDIAN

_SOP_CLASS_UID: Final = 0x00080016
_SOP_INSTANCE_UID: Final = 0x00080018  # both among the first
_ELEMENT: Final = struct.Struct("<HH2sH")  # group, element, VR, length (PS3.5 Table 7.1-2)
_LONG: Final = struct.Struct("<L")
_SHORT_VRS: Final = frozenset((b"CS", b"DA", b"DT", b"LO", b"SH", b"TM", b"UI", b"UL", b"US"))
_NOT_LITTLE_ENDIAN: Final = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"})
_UID: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_MAX_UID_CHARACTERS: Final = 64  # PS3.5 9.1

_WORDS: Final = {
    "not-dicom": "not a DICOM file",
    "file-meta-truncated": "ends in its File Meta Information",
    "file-meta-invalid": "its File Meta Information lacks what it must have",
    "file-meta-too-large": "its File Meta Information is too large",
    "no-dataset": "has no data set",
}


class UnusableError(NodeError):
    """This is no file to work with. Its text says why.

    Attributes:
        is_dicom: Whether somebody may expect it to be worked with.
    """

    def __init__(self, why: str, *, is_dicom: bool) -> None:
        super().__init__(why)
        self.is_dicom = is_dicom


class Found(NamedTuple):
    """Something among what a user named. Small: it goes from process to process.

    Attributes:
        path: Where it is.
        fault: Why it was not looked into; empty for a file.
    """

    path: Path
    fault: str = ""

    def open(self) -> DicomFile:
        """Look what it is.

        Raises:
            UnusableError: No DICOM file, or none that can be used.
        """
        if self.fault:
            raise UnusableError(self.fault, is_dicom=True)
        try:
            return self._examine()
        except Part10Error as error:
            raise UnusableError(
                _WORDS.get(error.code, error.code), is_dicom=error.code != "not-dicom"
            ) from None
        except OSError as error:
            raise UnusableError(f"cannot be read: {error.strerror}", is_dicom=True) from None

    def _examine(self) -> DicomFile:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            file, head = DicomFile.examine(self.path, descriptor)
        finally:
            os.close(descriptor)
        return _as_the_data_set_says(file, head[file.dataset_offset :])


def walk(paths: Iterable[Path], excluding: Path | None = None) -> Iterator[Found]:
    """Every file named, and every file below each folder named, in a stable order.

    Links to folders are named and not followed, so that it comes to an end.

    Args:
        paths: Files and folders.
        excluding: A folder whose files are not looked at.
    """
    excluded = excluding.resolve() if excluding is not None else None
    for path in paths:
        if path.is_dir():
            yield from _below(path, excluded)
        elif path.is_file():
            yield Found(path)
        else:
            yield Found(path, "neither a file nor a folder")


def _below(folder: Path, excluded: Path | None) -> Iterator[Found]:
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        folders = []
        try:
            with os.scandir(current) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError as error:
            yield Found(current, f"cannot be opened: {error.strerror}")
            continue
        for entry in entries:
            path = Path(entry.path)
            if excluded is not None and _leads_into(entry, excluded):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(path)
            elif entry.is_file():
                yield Found(path)
            elif entry.is_symlink():
                yield Found(path, "a link to no file; links to folders are not followed")
            else:
                yield Found(path, "neither a file nor a folder")
        waiting += reversed(folders)


def _leads_into(entry: os.DirEntry[str], folder: Path) -> bool:
    # Only a folder can be it; only a link can come from outside of it.
    if not (entry.is_dir() or entry.is_symlink()):
        return False
    return Path(entry.path).resolve().is_relative_to(folder)


def _as_the_data_set_says(file: DicomFile, head: bytes) -> DicomFile:
    # Files are met whose File Meta Information names another object than they hold. A
    # C-STORE names what is in the data set (PS3.4 B.2.3).
    found = _uids(head, file.transfer_syntax_uid) or _uids_by_pydicom(file)
    sop_class_uid, sop_instance_uid = found
    if found == (file.sop_class_uid, file.sop_instance_uid):
        return file
    return dataclasses.replace(
        file,
        sop_class_uid=sop_class_uid if _is_uid(sop_class_uid) else file.sop_class_uid,
        sop_instance_uid=sop_instance_uid if _is_uid(sop_instance_uid) else file.sop_instance_uid,
    )


def _uids(head: bytes, transfer_syntax_uid: str) -> tuple[str, str] | None:
    """SOP Class and Instance UID from the first bytes of a data set; None: look closer.

    For what nearly every file looks like; a fifth of the work on an object otherwise.
    """
    if transfer_syntax_uid in _NOT_LITTLE_ENDIAN:
        return None
    is_implicit = transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN
    found = {_SOP_CLASS_UID: "", _SOP_INSTANCE_UID: ""}
    position = 0
    while position + _ELEMENT.size <= len(head):
        group, element, vr, length = _ELEMENT.unpack_from(head, position)
        tag = group << 16 | element
        if tag > _SOP_INSTANCE_UID:
            return found[_SOP_CLASS_UID], found[_SOP_INSTANCE_UID]
        if is_implicit:
            length = _LONG.unpack_from(head, position + 4)[0]
        elif vr not in _SHORT_VRS:
            return None
        position += _ELEMENT.size
        if tag in found:
            value = head[position : position + length].rstrip(b"\0 ")
            found[tag] = value.decode("ascii", "replace")
        position += length
    return None


def _uids_by_pydicom(file: DicomFile) -> tuple[str, str]:
    # A tenth of a second to import, for files that hardly anybody has.
    from pydicom.filereader import read_partial  # noqa: PLC0415  (slow, rarely needed)

    try:
        with file.path.open("rb") as source:
            dataset = read_partial(source, lambda tag, _vr, _length: tag > _SOP_INSTANCE_UID)
            return str(dataset.get("SOPClassUID") or ""), str(dataset.get("SOPInstanceUID") or "")
    except OSError:
        raise
    except Exception:  # noqa: BLE001  (pydicom raises anything; whoever takes the object judges it)
        return "", ""


def _is_uid(text: str) -> bool:
    return len(text) <= _MAX_UID_CHARACTERS and _UID.fullmatch(text) is not None
