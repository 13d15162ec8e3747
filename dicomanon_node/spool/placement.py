"""One name for a written file in one directory, never at the cost of another's file.

A name that is taken by the same bytes is as good as ours (a duplicate); one that is
taken by others is left alone and the newcomer goes beside it, under
`<stem>~<first 8 hexadecimal digits of its SHA-256>.dcm` (a variant). The name
alone decides nothing: what a name stands for is compared byte by byte.
What this module does not do: make directories, or decide which names.

Two processes may come to the same name at once. `link` lets one of them win, and
nothing here ever renames over a name. The loser must not take a duplicate for durable while
the winner may still fail and take its name back, so whoever links holds an exclusive `flock`
on its own file until its names are durable, and whoever finds a duplicate waits for that lock.
Names are taken in one order by all (queues by destination, outgoing last) and none waits
for a name that comes before one it holds: no deadlock.
"""

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property

from dicomanon_node.spool.medium import Medium

_CHUNK_BYTES = 1 << 20
_SUFFIX = ".dcm"
_MAX_NAME_BYTES = 255  # NAME_MAX of Linux file systems

# What stands under the name cannot be looked at; so it cannot be called the same.
_UNREADABLE = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO, errno.EISDIR})


@dataclass
class Written:
    """A file whose data is durable and which waits for its names.

    Attributes:
        file: Its descriptor, readable.
        path: Its only name so far, in incoming/.
        size_bytes: Its size.
    """

    file: int
    path: str
    size_bytes: int

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content, hexadecimal. Read only when names conflict."""
        digest = hashlib.sha256()
        for offset in range(0, self.size_bytes, _CHUNK_BYTES):
            digest.update(os.pread(self.file, _CHUNK_BYTES, offset))
        return digest.hexdigest()

    def lock(self) -> None:
        """Make whoever finds these bytes under a name wait, until `unlock` or close."""
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def unlock(self) -> None:
        """Let those go on who wait: the names stay."""
        with suppress(OSError):  # then they wait for the close
            fcntl.flock(self.file, fcntl.LOCK_UN)

    def is_same_inode(self, other: os.stat_result) -> bool:
        """Whether a directory entry is this very file."""
        return os.path.samestat(os.fstat(self.file), other)


@dataclass(frozen=True, slots=True)
class Placement:
    """A name that stands for the file's bytes; durable once its directory is synced.

    Attributes:
        name: The name in its directory.
        is_duplicate: The same bytes were there already.
        is_variant: Other bytes had the name asked for.
    """

    name: str
    is_duplicate: bool
    is_variant: bool

    def undo(self, written: Written, directory: int) -> None:
        """Take the name back, unless it stands for another file (a duplicate's)."""
        # The medium is failing already and the object will be refused: a name that cannot be
        # removed stands for a complete de-identified object, which the sender sends again.
        with suppress(OSError):
            if written.is_same_inode(os.stat(self.name, dir_fd=directory, follow_symlinks=False)):
                os.unlink(self.name, dir_fd=directory)


class _Taken(Enum):
    """What a name that was taken stands for."""

    BY_US = auto()
    BY_SAME_BYTES = auto()
    BY_OTHER_BYTES = auto()
    NO_MORE = auto()


def place(written: Written, directory: int, name: str, medium: Medium) -> Placement:
    """Give the file a name in a directory.

    Args:
        written: The file; locked.
        directory: Descriptor of a directory on the same file system.
        name: The name asked for; safe.
        medium: What makes a duplicate's data durable.

    Raises:
        FileNotFoundError: The directory is no more (or incoming/ is not).
        OSError: The file system refuses.
    """
    for candidate in _candidates(name, written):
        taken = _Taken.NO_MORE
        while taken is _Taken.NO_MORE:  # again, if a name goes away while it is looked at
            try:
                os.link(written.path, candidate, dst_dir_fd=directory)
                taken = _Taken.BY_US
            except FileExistsError:
                taken = _look(written, directory, candidate, medium)
        if taken is not _Taken.BY_OTHER_BYTES:
            return Placement(
                candidate,
                is_duplicate=taken is _Taken.BY_SAME_BYTES,
                is_variant=candidate != name,
            )
    # Only by somebody who put other bytes under a name that holds our whole SHA-256.
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def _candidates(name: str, written: Written) -> Iterator[str]:
    yield name
    stem = name.removesuffix(_SUFFIX)
    suffix = name[len(stem) :]
    for digits in (8, 64):
        ending = f"~{written.digest[:digits]}{suffix}"
        room = _MAX_NAME_BYTES - len(ending)
        yield stem.encode()[:room].decode(errors="ignore") + ending


def _look(written: Written, directory: int, name: str, medium: Medium) -> _Taken:
    """Find out what a taken name stands for; if for the same bytes, make these durable."""
    try:
        # O_NONBLOCK: a FIFO under the name must not make us wait for its writer.
        other = os.open(
            name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory
        )
    except FileNotFoundError:
        return _Taken.NO_MORE
    except OSError as error:
        if error.errno in _UNREADABLE:
            return _Taken.BY_OTHER_BYTES
        raise
    try:
        status = os.fstat(other)
        if written.is_same_inode(status):
            return _Taken.BY_US  # NFS: a link whose first answer was lost
        if not _has_same_bytes(written, other, status):
            return _Taken.BY_OTHER_BYTES
        fcntl.flock(other, fcntl.LOCK_SH)  # waits for a commit that may still be undone
        try:
            entry = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return _Taken.NO_MORE
        if not os.path.samestat(entry, status):
            return _Taken.NO_MORE
        with suppress(PermissionError):  # another user's file, which the node never removes
            # Nothing changes but the inode's ctime. Retention, which takes the lock exclusively,
            # reads there that the file has come again, before any ledger can say so.
            os.fchmod(other, stat.S_IMODE(status.st_mode))
        # Nobody knows who wrote it: data before name before answer, always.
        medium.sync_data(other)
        return _Taken.BY_SAME_BYTES
    finally:
        os.close(other)


def _has_same_bytes(written: Written, other: int, status: os.stat_result) -> bool:
    if not stat.S_ISREG(status.st_mode) or status.st_size != written.size_bytes:
        return False
    return all(
        os.pread(written.file, _CHUNK_BYTES, offset) == os.pread(other, _CHUNK_BYTES, offset)
        for offset in range(0, written.size_bytes, _CHUNK_BYTES)
    )
