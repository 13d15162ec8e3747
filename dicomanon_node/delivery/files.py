"""Names on a medium: durable, and never at the cost of another's file.

Naming of variants is that of `spool.placement`: `<stem>~<8 digits of the SHA-256>.dcm`.
"""

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_CHUNK_BYTES: Final = 1 << 20
_DIGEST_DIGITS: Final = (8, 64)
_HAS_NO_DIRECTORY_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP})
_LOCK_NAME: Final = ".lock"
_LOCK_WAIT_S: Final = 10.0
_LOCK_POLL_S: Final = 0.01


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable, where its file system knows how."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _HAS_NO_DIRECTORY_SYNC:  # CIFS has none
            raise
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make a file's content durable, whoever wrote it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durable(path: Path, content: bytes) -> None:
    """Write a small file whole or not at all; its name is durable once its directory is."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Be the only one, of all threads and processes, inside for this directory.

    Raises:
        OSError: The lock cannot be made, or somebody holds it for more than 10 s (ETIMEDOUT).
    """
    # For writing: NFS grants no exclusive lock otherwise.
    descriptor = os.open(directory / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.geteuid() == 0:  # must not lock out the node, which runs as the owner
            owner = directory.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    # Bounded: somebody may have stopped the process that holds it.
    deadline = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)) from None
            time.sleep(_LOCK_POLL_S)
        else:
            return


def has_same_bytes(one: Path, other: Path) -> bool:
    """Whether two files have the same content: the same inode, or byte by byte."""
    if one.samefile(other):
        return True
    with one.open("rb", buffering=0) as left, other.open("rb", buffering=0) as right:
        while True:
            chunk = left.read(_CHUNK_BYTES)
            if chunk != right.read(_CHUNK_BYTES):
                return False
            if not chunk:
                return True


def place(source: Path, target: Path, take: Callable[[Path], None]) -> Path:
    """Find the name for a file's bytes and take it.

    A name that stands for the same bytes is as good as taken; one that stands for others
    is left alone and the file goes beside it, under a name with its digest.

    Args:
        source: The file.
        target: The name wanted.
        take: Gives the file that name.

    Returns:
        The name that now stands for these bytes; not durable before its directory is.

    Raises:
        OSError: The file system refuses.
    """
    for candidate in _candidates(source, target):
        try:
            is_same = has_same_bytes(source, candidate)
        except FileNotFoundError:
            take(candidate)
            return candidate
        if is_same:
            return candidate
    # Only by somebody who put other bytes under a name that holds the whole SHA-256.
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def _candidates(source: Path, target: Path) -> Iterator[Path]:
    yield target
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    for digits in _DIGEST_DIGITS:
        yield target.with_name(f"{target.stem}~{digest[:digits]}{target.suffix}")
