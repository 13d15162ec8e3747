"""Find DICOM files among what a user names."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

from dicomanon_node.deid.boundaries import HeaderScanner, Limits
from dicomanon_node.deid.convert import IMPLICIT_VR_LITTLE_ENDIAN
from dicomanon_node.deid.elements import Elements
from dicomanon_node.errors import Refused
from dicomanon_node.network.part10 import DicomFile, Part10Error

_SOP_CLASS_UID = 0x00080016
_SOP_INSTANCE_UID = 0x00080018
# The two are among the first elements.
_LOOKED_AT_BYTES = 4096


def walk(paths: Iterable[Path]) -> Iterator[Path]:
    """Every file named, and every file below each folder named, in a stable order."""
    for path in paths:
        if path.is_dir():
            yield from sorted(found for found in path.rglob("*") if found.is_file())
        else:
            yield path


def open_dicom(path: Path) -> tuple[DicomFile | None, str]:
    """The file, or None and a word that says why it is none that can be read."""
    try:
        file = DicomFile.open(path)
        return _as_the_data_set_says(file), ""
    except Part10Error as error:
        return None, error.code
    except OSError:
        return None, "unreadable"


def _as_the_data_set_says(file: DicomFile) -> DicomFile:
    # Files are met whose File Meta Information names another object than they hold. A
    # C-STORE names what is in the data set (PS3.4 B.2.3).
    implicit = file.transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN
    scanner = HeaderScanner(implicit=implicit, limits=Limits())
    with file.path.open("rb") as source:
        source.seek(file.dataset_offset)
        start = source.read(_LOOKED_AT_BYTES)
    try:
        scanner.feed(start)
    except Refused:
        return file  # the receiver will say what is wrong with it
    elements = Elements(scanner.buffer, scanner.rows, implicit=implicit)
    sop_class_uid = elements.ascii(_SOP_CLASS_UID) or file.sop_class_uid
    sop_instance_uid = elements.ascii(_SOP_INSTANCE_UID) or file.sop_instance_uid
    return dataclasses.replace(
        file, sop_class_uid=sop_class_uid, sop_instance_uid=sop_instance_uid
    )
