"""The spool's directories: made and checked at start, then the way in for objects.

    spool = Spool(root, outgoing, destinations)
    spool.prepare(); spool.sweep()     # the supervisor, before it forks
    file = spool.open()                # a receiver, for each instance
    file.write(...); file.commit(...)  # see `incoming`; now the answer may be given
    file.discard()                     # whatever happened

What this module does not do: name or commit anything (`incoming`), list or
deliver the queues (`delivery`).
"""

import itertools
import os
import time
from collections.abc import Sequence
from pathlib import Path

from dicomanon_node.errors import Reason, Refused
from dicomanon_node.spool import preparation
from dicomanon_node.spool.directories import Tree
from dicomanon_node.spool.incoming import IncomingFile, check_component, refusal
from dicomanon_node.spool.medium import Medium

# Enough for the reason files of failed/, the logs and the objects being received.
DEFAULT_LOW_WATER_BYTES = 512 << 20

# How often free space is looked at while objects come in.
_LOOK_S = 0.05

_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SPOOL_MODE = 0o700
_OUTGOING_MODE = 0o750


class Spool:
    """The directories of the node. Thread-safe, and may be used across `fork`.

    Args:
        root: The spool.
        outgoing: The outgoing tree; None if there is none.
        destinations: Names of all configured destinations.
        low_water_bytes: Less free space than this, in bytes, and nothing more is accepted,
        high_water_bytes: until there is this much again; 0: a tenth more than that.
        sync: False leaves durability to the kernel's own time: 0000H is then no promise.
        is_eager: Where `sync` is False: see `Medium`.
    """

    def __init__(
        self,
        root: Path,
        outgoing: Path | None,
        destinations: Sequence[str],
        *,
        low_water_bytes: int = DEFAULT_LOW_WATER_BYTES,
        high_water_bytes: int = 0,
        sync: bool = True,
        is_eager: bool = False,
    ) -> None:
        for destination in destinations:
            check_component(destination)
        self._root = root.absolute()
        self._outgoing = outgoing.absolute() if outgoing is not None else None
        self._destinations = frozenset(destinations)
        self._low_water_bytes = low_water_bytes
        self._high_water_bytes = high_water_bytes or low_water_bytes + low_water_bytes // 10
        self._medium = Medium(is_synced=sync, is_eager=is_eager)
        self._incoming_path = str(self.incoming)
        self._numbers = itertools.count()
        self._look_again = 0.0
        self._is_low_now = False
        self._lock_file = -1
        # The spool is never made anew while the node runs: if it is gone, so is what was in
        # it, or its mount, and then the answer is A700H until somebody has looked.
        self._queues = Tree(
            self._root / "queue", mode=_SPOOL_MODE, medium=self._medium, makes_missing=False
        )
        self._outgoing_tree = (
            Tree(self._outgoing, mode=_OUTGOING_MODE, medium=self._medium, makes_missing=True)
            if self._outgoing is not None
            else None
        )

    @property
    def incoming(self) -> Path:
        """Where files are written."""
        return self._root / "incoming"

    def queue(self, destination: str) -> Path:
        """Where objects wait for a destination."""
        return self._root / "queue" / destination

    def failed(self, destination: str) -> Path:
        """Where objects lie that a destination refused."""
        return self._root / "failed" / destination

    @property
    def free_bytes(self) -> int:
        """Bytes the node may still write.

        Raises:
            OSError: The spool is not available.
        """
        status = os.statvfs(self._root)
        return status.f_bavail * status.f_frsize

    @property
    def is_low(self) -> bool:
        """Whether less than the low water mark is free, so that `open` refuses.

        Raises:
            OSError: The spool is not available.
        """
        return self.free_bytes < self._low_water_bytes

    def prepare(self, *, lock_wait_s: float = 10.0, is_locked: bool = False) -> None:
        """Make the directories and try out what a commit will need.

        For the supervisor, once, before it forks. The spool is then locked for this node,
        until the last of its processes ends. Directories in the spool are closed to group
        and others; the modes of the spool itself and of outgoing, if they exist, are the
        site's own.

        Args:
            lock_wait_s: How long processes of an earlier run may take to end, seconds.
            is_locked: This node has the lock already, by another object.

        Raises:
            ConfigError: It cannot work; names the directories and the cure.
        """
        if self._outgoing is not None:
            preparation.refuse_nesting(self._root, self._outgoing)
        used = [self.incoming, self._root / "queue", self._root / "failed"]
        for destination in sorted(self._destinations):
            used += [self.queue(destination), self.failed(destination)]
        preparation.make(self._root, _SPOOL_MODE, self._medium)
        for directory in used:
            preparation.make(directory, _SPOOL_MODE, self._medium)
            preparation.close_to_others(directory)
        if self._outgoing is not None:
            preparation.make(self._outgoing, _OUTGOING_MODE, self._medium)
            used.append(self._outgoing)
        if self._lock_file < 0 and not is_locked:
            self._lock_file = preparation.lock(self._root, lock_wait_s)
        for directory in used:
            preparation.try_out(self._root, self.incoming, directory, self._medium)

    def take_lock(self, other: "Spool") -> None:
        """Hold the lock from now on that another object of this process has held."""
        self._lock_file, other._lock_file = other._lock_file, -1  # noqa: SLF001  (same class)

    def sweep(self, process_id: int | None = None) -> int:
        """Remove what was never committed.

        Args:
            process_id: Only the files of this process, which has ended and was waited
                for. None: all files; only at start, when no receiver runs.

        Returns:
            How many files were removed.

        Raises:
            OSError: incoming/ cannot be read or written.
        """
        prefix = "" if process_id is None else f"{process_id}-"
        leftovers = [path for path in self.incoming.iterdir() if path.name.startswith(prefix)]
        for path in leftovers:
            path.unlink(missing_ok=True)
        return len(leftovers)

    def open(self) -> IncomingFile:
        """Open a new file in incoming/.

        Its name says nothing about the object: process and number. Its mode is 0600.

        Raises:
            Refused: DISK_FULL (also below the low water mark) or SPOOL_UNAVAILABLE; both
                temporary, A700H.
        """
        try:
            if self._was_low():
                raise Refused(Reason.DISK_FULL)
            file, path = self._create()
        except OSError as error:
            refused = refusal(error)
            raise refused from refused.__cause__
        return IncomingFile(
            file,
            path,
            queues=self._queues,
            outgoing=self._outgoing_tree,
            destinations=self._destinations,
            medium=self._medium,
        )

    def close(self) -> None:
        """Give up the lock and cached descriptors of this process."""
        self._queues.close()
        if self._outgoing_tree is not None:
            self._outgoing_tree.close()
        if self._lock_file >= 0:
            os.close(self._lock_file)
            self._lock_file = -1

    def _was_low(self) -> bool:
        # Looked at so often that little can be written in between, and not for each object.
        now = time.monotonic()
        if now >= self._look_again:
            mark = self._high_water_bytes if self._is_low_now else self._low_water_bytes
            self._is_low_now = self.free_bytes < mark
            self._look_again = now + _LOOK_S
        return self._is_low_now

    def _create(self) -> tuple[int, str]:
        while True:
            path = f"{self._incoming_path}/{os.getpid()}-{next(self._numbers)}"
            try:
                return os.open(path, _NEW_FILE, preparation.SPOOL_FILE_MODE), path
            except FileExistsError:
                continue  # a leftover of an earlier process with this number keeps its name
