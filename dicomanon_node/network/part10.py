"""A DICOM file (PS3.10 7.1) as a requestor needs it: what it is, where its data set lies.

Reads the preamble and the File Meta Information and not one byte of the data set.
It does not tolerate what the standard forbids (no preamble, no file meta, file meta
in Implicit VR): such a file cannot be offered to a peer without being parsed, and
nothing that this node writes looks like that. A wrong (0002,0000) File Meta
Information Group Length is common in old archives and is not believed.
"""

import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicomanon_node.errors import NodeError

MAX_FILE_META_BYTES: Final = 1024 * 1024
"""Ours have about 300 bytes; (0002,0102) Private Information may hold anything."""

_PREAMBLE_BYTES: Final = 128
_MAGIC: Final = b"DICM"
_FIRST_READ_BYTES: Final = 4096
_FILE_META_GROUP: Final = 0x0002
_GROUP_LENGTH: Final = 0x0000
_MEDIA_STORAGE_SOP_CLASS_UID: Final = 0x0002
_MEDIA_STORAGE_SOP_INSTANCE_UID: Final = 0x0003
_TRANSFER_SYNTAX_UID: Final = 0x0010

_SHORT = struct.Struct("<HH2sH")  # group, element, VR, length (PS3.5 Table 7.1-2)
_LONG = struct.Struct("<HH2s2xL")  # the same with reserved bytes (PS3.5 Table 7.1-1)
_LONG_VRS: Final = frozenset((b"OB", b"OW", b"UN", b"UT", b"UC", b"UR", b"SQ"))
_UL: Final = struct.Struct("<L")

_UID: Final = re.compile(rb"[0-9]+(?:\.[0-9]+)*")
_UID_MAX_CHARS: Final = 64  # PS3.5 9.1


class Part10Error(NodeError):
    """This is no file we can send. The text is one of a few fixed words.

    Attributes:
        code: `not-dicom`, `file-meta-truncated`, `file-meta-invalid`, `file-meta-too-large`
            or `no-dataset`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class DicomFile:
    """A file's identity and the place of its encoded data set. Holds no open file.

    The UIDs are syntactically valid (digits and dots, at most 64 characters), so they
    may be part of a file name. They identify the instance: of a file that was not
    de-identified they are PHI.

    Attributes:
        path: The file.
        sop_class_uid: Media Storage SOP Class UID (0002,0002).
        sop_instance_uid: Media Storage SOP Instance UID (0002,0003).
        transfer_syntax_uid: Transfer Syntax UID (0002,0010).
        dataset_offset: Bytes before the data set.
        dataset_bytes: Bytes of the encoded data set, without File Meta Information.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    dataset_offset: int
    dataset_bytes: int

    @classmethod
    def open(cls, path: Path) -> "DicomFile":
        """Read what a C-STORE needs to know of a file, without its data set.

        Args:
            path: A file of the DICOM File Format.

        Raises:
            OSError: It cannot be read.
            Part10Error: It is not a DICOM file, or its file meta cannot be used.

        Standard: PS3.10 7.1.
        """
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return cls.examine(path, descriptor)[0]
        finally:
            os.close(descriptor)

    @classmethod
    def examine(cls, path: Path, descriptor: int) -> tuple["DicomFile", bytes]:
        """The same of a file that is open, and its first bytes for who wants to see more.

        Args:
            path: The file.
            descriptor: Open for reading.

        Returns:
            The file, and what was read of it: more than its File Meta Information if there
            is more, 4 KiB mostly.

        Raises:
            OSError: It cannot be read.
            Part10Error: It is not a DICOM file, or its file meta cannot be used.
        """
        size = os.fstat(descriptor).st_size
        head = os.pread(descriptor, _FIRST_READ_BYTES, 0)
        try:
            values, offset = _parse(head)
        except Part10Error as error:
            if error.code != "file-meta-truncated" or len(head) == size:
                raise
            head += os.pread(descriptor, MAX_FILE_META_BYTES - len(head), len(head))
            values, offset = _parse(head)
        if offset >= size:
            raise Part10Error("no-dataset")
        file = cls(
            path=path,
            sop_class_uid=_uid(values, _MEDIA_STORAGE_SOP_CLASS_UID),
            sop_instance_uid=_uid(values, _MEDIA_STORAGE_SOP_INSTANCE_UID),
            transfer_syntax_uid=_uid(values, _TRANSFER_SYNTAX_UID),
            dataset_offset=offset,
            dataset_bytes=size - offset,
        )
        return file, head


def _parse(head: bytes) -> tuple[dict[int, bytes], int]:
    """Walk the file meta; returns its values by element number and where it ends."""
    position = _PREAMBLE_BYTES + len(_MAGIC)
    if head[_PREAMBLE_BYTES:position] != _MAGIC:
        raise Part10Error("not-dicom")
    values: dict[int, bytes] = {}
    stated_end: int | None = None
    # A deflated data set may begin with any two bytes, so the stated end counts where the
    # walk meets it; elsewhere the first element of another group ends the file meta.
    while position != stated_end:
        element, value, end = _element(head, position)
        if element is None:
            break
        values[element] = head[value:end]
        position = end
        if element == _GROUP_LENGTH and end - value == _UL.size:
            stated_end = end + _UL.unpack_from(head, value)[0]
    return values, position


def _element(head: bytes, position: int) -> tuple[int | None, int, int]:
    """The element there: its number (None: of another group), begin and end of its value."""
    value = position + _SHORT.size
    if value <= len(head):
        group, element, vr, length = _SHORT.unpack_from(head, position)
        if group != _FILE_META_GROUP:
            return None, position, position
        if not (vr.isalpha() and vr.isupper()):
            raise Part10Error("file-meta-invalid")
        if vr in _LONG_VRS:
            value = position + _LONG.size
            if value <= len(head):
                length = _LONG.unpack_from(head, position)[3]
        if value + length <= len(head):
            return element, value, value + length
        value += length
    too_large = value > MAX_FILE_META_BYTES
    raise Part10Error("file-meta-too-large" if too_large else "file-meta-truncated")


def _uid(values: dict[int, bytes], element: int) -> str:
    uid = values.get(element, b"").rstrip(b"\0 ")
    if len(uid) > _UID_MAX_CHARS or not _UID.fullmatch(uid):
        raise Part10Error("file-meta-invalid")
    return uid.decode("ascii")
