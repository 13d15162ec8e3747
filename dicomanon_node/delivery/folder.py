"""Destination kind "folder": a copy of each instance in one directory.

The directory may be on another file system, such as a mounted share. It has to be
there: a share that is not mounted must not fill the disk below its mount point. A
file is `<SOP Instance UID>.dcm`; whoever reads the directory never sees half of one.
One node writes there; it neither reads nor deletes what others put beside.
"""

import errno
import os
import socket
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2s
from pathlib import Path
from typing import BinaryIO, Final

from dicomanon_node.config.model import FolderDestination
from dicomanon_node.delivery.files import place, sync_directory, sync_file
from dicomanon_node.delivery.transport import Answer
from dicomanon_node.errors import DeferredError
from dicomanon_node.network.part10 import DicomFile

FILE_MODE: Final = 0o640
"""As in the outgoing tree: the site's group reads, nobody else."""

_COPY_BYTES: Final = 1 << 20
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class FolderTransport:
    """One directory. Holds nothing open between instances.

    Args:
        settings: Where it is.
    """

    def __init__(self, settings: FolderDestination) -> None:
        self._directory = settings.path
        self._is_interrupted = False
        self._copied: deque[DicomFile] = deque()
        # The same at every attempt, so that the next one overwrites what a killed one left;
        # another for each machine, in case two of them share the directory.
        self._part = f".{blake2s(socket.gethostname().encode(), digest_size=4).hexdigest()}.part"

    @property
    def window(self) -> int:
        """One: what is copied is there."""
        return 1

    def prepare(self, instances: Sequence[DicomFile]) -> None:  # noqa: ARG002  (Transport)
        """See that the directory is there.

        Raises:
            DeferredError: It is not.
        """
        if not self._directory.is_dir():
            raise DeferredError("folder-missing")

    def send(self, instance: DicomFile) -> None:
        """Copy it, durably.

        Raises:
            DeferredError: The directory does not take it: full, gone, read-only.
            OSError: The file cannot be read.
        """
        with instance.path.open("rb", buffering=0) as source:
            # From here on it is the directory that fails.
            try:
                target = self._directory / f"{instance.sop_instance_uid}.dcm"
                sync_file(place(instance.path, target, lambda name: self._copy(source, name)))
                sync_directory(self._directory)
            except OSError as error:
                code = "folder-full" if error.errno in _FULL else "folder-unavailable"
                raise DeferredError(code) from None
        self._copied.append(instance)

    def answer(self) -> Answer:
        """It was taken when `send` returned."""
        return Answer(self._copied.popleft())

    def close(self) -> None:
        """Nothing is open; answers that nobody has taken are not for whoever sends next."""
        self._copied.clear()

    def interrupt(self) -> None:
        """Make a copy that is under way end before its next chunk."""
        self._is_interrupted = True

    def _copy(self, source: BinaryIO, target: Path) -> None:
        """Write under a name that nobody takes for an instance, then rename."""
        part = target.with_name(f".{target.name}{self._part}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with open(os.open(part, flags, FILE_MODE), "wb", buffering=0) as copy:  # noqa: PTH123  (a descriptor)
                source.seek(0)
                while chunk := source.read(_COPY_BYTES):
                    if self._is_interrupted:
                        raise InterruptedError
                    _write_all(copy, chunk)
                os.fsync(copy.fileno())
            part.replace(target)
        except OSError:
            with suppress(OSError):  # gone with the directory, perhaps
                part.unlink()
            raise


def _write_all(file: BinaryIO, chunk: bytes) -> None:
    """Write a chunk to an unbuffered file, which may take less at a time."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]
