"""One incoming file: written fragment by fragment, then committed or discarded.

`IncomingFile.commit` is where "success means durable" is kept: data before name
before answer, always. What this module does not do: open the file (`spool`), or
know what is in it.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import NamedTuple

from dicomanon_node.errors import Reason, Refused
from dicomanon_node.spool.directories import Tree
from dicomanon_node.spool.medium import Medium
from dicomanon_node.spool.placement import Placement, Written, place

OUTGOING_FILE_MODE = 0o640  # whatever the umask: the site's group reads, nobody else

_IOV_MAX = 1024  # buffers a writev takes (Linux UIO_MAXIOV)
_MAX_COMPONENT_BYTES = 255  # NAME_MAX

# How often a directory removed under our hands is made again before that is a fault.
_PLACE_ATTEMPTS = 5

# The disk begins with an object while the rest still comes, in steps of this size: that bounds
# what `commit` has to wait for, and what of a large object lies in memory. Each step costs the
# processor about 0.04 ms, which is too much for the single slices of a CT or MR.
_STEP_BYTES = 8 << 20

_READ_BYTES = 1 << 20

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

Buffers = Sequence[bytes | bytearray | memoryview]


@dataclass(frozen=True, slots=True)
class Committed:
    """What became of a committed object.

    Attributes:
        outgoing_path: Its path in the outgoing tree; None if it is not written there.
        size_bytes: Its size, File Meta Information included.
        is_duplicate: The same bytes were in the outgoing tree already (or, if it is not
            written there, in every queue).
        is_variant: A name asked for belonged to other bytes, so another one was taken.
    """

    outgoing_path: PurePosixPath | None
    size_bytes: int
    is_duplicate: bool
    is_variant: bool


class Target(NamedTuple):
    """A place for the object: a directory of a tree, and a name in it."""

    tree: Tree
    parts: tuple[str, ...]
    name: str


def refusal(error: OSError) -> Refused:
    """The temporary refusal for a fault of the file system: disk full or unavailable.

    Its cause tells errno only: the error's own text names files, and thereby values.
    """
    refused = Refused(Reason.DISK_FULL if error.errno in _FULL else Reason.SPOOL_UNAVAILABLE)
    refused.__cause__ = OSError(error.errno, os.strerror(error.errno or errno.EIO))
    return refused


class IncomingFile:
    """A file in incoming/. Not thread-safe; one instance owns it.

    It ends with `discard`, whatever happened before. After a `commit` that is the part nobody
    has to wait for.

    Args:
        file: Its descriptor, open for reading and writing; now owned here.
        path: Its path in incoming/.
        queues: The tree of queue directories.
        outgoing: The outgoing tree; None if there is none.
        destinations: Every configured destination.
        medium: What makes data and names durable.
    """

    def __init__(
        self,
        file: int,
        path: str,
        *,
        queues: Tree,
        outgoing: Tree | None,
        destinations: frozenset[str],
        medium: Medium,
    ) -> None:
        self._file = file
        self._path = path
        self._queues = queues
        self._outgoing = outgoing
        self._destinations = destinations
        self._medium = medium
        self._size_bytes = 0
        self._started_bytes = 0  # the disk was told to begin with
        self._is_committed = False
        self._is_read_again = bool(destinations)  # by the courier, soon
        self._failure: Refused | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes written so far."""
        return self._size_bytes

    def write(self, buffers: Buffers) -> None:
        """Append the buffers. Nothing is durable before `commit`.

        Args:
            buffers: De-identified bytes; used only during the call.

        Raises:
            Refused: DISK_FULL or SPOOL_UNAVAILABLE (temporary, A700H), and from then on
                by every call: the file is gone, so that its space is free at once.
                INTERNAL: it was committed; a fault of the caller.
        """
        self._refuse_end()
        try:
            for start in range(0, len(buffers), _IOV_MAX):
                self._write_all(buffers[start : start + _IOV_MAX])
            if self._size_bytes - self._started_bytes >= _STEP_BYTES:
                self._start_data()
        except OSError as error:
            self._failure = refusal(error)
            self.discard()
            raise self._failure from self._failure.__cause__

    def read_again(self, start: int, end: int) -> Iterator[bytes]:
        """Yield what was written, from one place to another, in pieces.

        Raises:
            OSError: It cannot be read, or is not there (any more).
        """
        while start < end:
            piece = os.pread(self._file, min(end - start, _READ_BYTES), start)
            if not piece:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            start += len(piece)
            yield piece

    def commit(
        self,
        *,
        outgoing_path: PurePosixPath | None,
        queue_name: str,
        destinations: Sequence[str],
    ) -> Committed:
        """Make the object durable in the outgoing tree and in every queue named.

        When this returns, power may fail, and nobody waits for this file any more; what is
        left is `discard`, to be called after the answer. When this raises, no name made here
        is left, and the file has ended.

        Args:
            outgoing_path: Path in the outgoing tree, safe (see `layout`); None writes none.
            queue_name: Name in each queue, safe.
            destinations: Configured destinations to be delivered to.

        Returns:
            Where it is. A duplicate is as durable as a first one.

        Raises:
            Refused: DISK_FULL or SPOOL_UNAVAILABLE (temporary, A700H). INTERNAL: it was
                committed before; a fault of the caller, and what was committed stays.
            ValueError: A name is not safe, a destination is not configured, or there is no
                place at all; a fault of the caller. Does not show the name.
        """
        try:
            targets = tuple(self._targets(outgoing_path, queue_name, destinations))
            self._refuse_end()
            self._is_read_again = bool(destinations)
            committed = self._commit(targets, outgoing_path)
        except OSError as error:
            self.discard()
            refused = refusal(error)
            raise refused from refused.__cause__
        except BaseException:
            self.discard()
            raise
        self._is_committed = True
        return committed

    def discard(self) -> None:
        """Close and remove the file; the names a commit gave it stay.

        Never raises, and may be called again.
        """
        if self._file < 0:
            return
        file, self._file = self._file, -1
        # A leftover is no promise to anybody, and the sweep at the next start removes it. It
        # needs no fsync for the same reason.
        with suppress(OSError):
            os.unlink(self._path)  # noqa: PTH108  (a Path for each object is not free)
        if self._is_committed and not self._is_read_again:
            self._medium.forget_data(file, self._size_bytes)
        with suppress(OSError):
            os.close(file)

    def _start_data(self) -> None:
        self._medium.start_data(self._file, self._started_bytes, self._size_bytes)
        if not self._is_read_again:
            # What was started a step ago; what the disk has not done yet stays until the next.
            self._medium.forget_data(self._file, self._started_bytes)
        self._started_bytes = self._size_bytes

    def _refuse_end(self) -> None:
        if self._failure is not None:
            raise self._failure from self._failure.__cause__
        if self._is_committed:
            raise Refused(Reason.INTERNAL)

    def _write_all(self, buffers: Buffers) -> None:
        expected = sum(map(len, buffers))
        written = os.writev(self._file, buffers)
        self._size_bytes += written
        if written == expected:
            return
        # Rare: a signal, a limit, a nearly full disk, or more than 2 GiB at once.
        for buffer in buffers:
            rest = memoryview(buffer).cast("B")
            skipped = min(written, len(rest))
            written -= skipped
            rest = rest[skipped:]
            while rest:
                count = os.write(self._file, rest)
                self._size_bytes += count
                rest = rest[count:]

    def _targets(
        self, outgoing_path: PurePosixPath | None, queue_name: str, destinations: Sequence[str]
    ) -> Iterator[Target]:
        """Every place for the object, in the one order all processes share (`placement`)."""
        if not destinations and outgoing_path is None:
            raise ValueError("no place to commit to")
        for destination in sorted(set(destinations)):
            if destination not in self._destinations:
                raise ValueError("destination is not configured")
            check_component(queue_name)
            yield Target(self._queues, (destination,), queue_name)
        if outgoing_path is not None:
            if self._outgoing is None:
                raise ValueError("there is no outgoing tree")
            if not outgoing_path.parts:
                raise ValueError("outgoing path is empty")
            *parents, name = outgoing_path.parts
            for part in parents:
                _check_directory(part)
            check_component(name)
            yield Target(self._outgoing, tuple(parents), name)

    def _commit(self, targets: Sequence[Target], outgoing_path: PurePosixPath | None) -> Committed:
        # The inode is one for all names; the queues are closed to others by their directories.
        if outgoing_path is not None:
            os.fchmod(self._file, OUTGOING_FILE_MODE)

        # 1. Data. No name outside incoming/ ever stands for bytes that are not durable. A
        #    failure is final: the kernel may have dropped the pages, a second call would lie.
        self._medium.sync_data(self._file)

        # 2. Names: a link into each queue, then into the outgoing tree. Their directories
        #    are durable before they are used.
        written = Written(self._file, self._path, self._size_bytes)
        written.lock()
        placed: list[tuple[int, Placement]] = []
        try:
            for target in targets:
                placed.append(self._place(written, target))  # noqa: PERF401  (undone)

            # 3. Names durable, all links first: one journal commit serves all of them.
            self._medium.sync_names([directory for directory, _ in placed])
        except BaseException:
            for directory, placement in reversed(placed):
                placement.undo(written, directory)
            raise
        finally:
            for directory, _ in placed:
                os.close(directory)

        # 4. The caller answers, and then removes the name in incoming/ (`discard`).
        placements = [placement for _, placement in placed]
        last = placements[-1]
        if outgoing_path is not None and last.is_variant:
            outgoing_path = outgoing_path.with_name(last.name)
        committed = Committed(
            outgoing_path=outgoing_path,
            size_bytes=self._size_bytes,
            is_duplicate=(
                last.is_duplicate
                if outgoing_path is not None
                else all(placement.is_duplicate for placement in placements)
            ),
            is_variant=any(placement.is_variant for placement in placements),
        )
        # Not with `discard`: a peer slow to take its answer must not hold up another's.
        written.unlock()  # nothing may be undone after this
        return committed

    def _place(self, written: Written, target: Target) -> tuple[int, Placement]:
        """Link the file into a directory, which may be removed while we look (`rm -r`).

        Returns:
            The directory's descriptor, now the caller's, and the name in it.
        """
        for attempt in range(1, _PLACE_ATTEMPTS + 1):
            directory = -1
            try:
                directory = target.tree.open(target.parts)
                return directory, place(written, directory, target.name, self._medium)
            except BaseException as error:
                if directory >= 0:
                    os.close(directory)
                if not isinstance(error, FileNotFoundError) or attempt == _PLACE_ATTEMPTS:
                    raise
        raise AssertionError  # pragma: no cover


def check_component(component: str) -> None:
    """Make sure that a name cannot lead anywhere else.

    Raises:
        ValueError: It could. Does not show the name, which may be PHI.
    """
    is_safe = (
        component.isprintable()  # no NUL, no line ends, no lone surrogates
        and "/" not in component
        and not component.startswith(".")
        and 0 < len(component.encode(errors="replace")) <= _MAX_COMPONENT_BYTES
    )
    if not is_safe:
        raise ValueError("unsafe file name")


# The objects of a series differ in the last component only.
_check_directory = lru_cache(maxsize=1024)(check_component)
