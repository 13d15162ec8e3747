"""The journal: where a process leaves its records; one write each, and no waiting.

    <spool>/journal/<pid>-<time>.jsonl     mode 0600, locked (flock) by the process that writes it

What was appended is the kernel's: it outlives the process, however that ends. It is not
forced to the disk here; the recorder does that within a second or so. A power cut may
cost the receipts of that time, never an object. Who reads a journal, and removes it, is
`reading`.
"""

import errno
import fcntl
import os
import threading
import time
from pathlib import Path
from typing import Final

DIRECTORY: Final = "journal"
SUFFIX: Final = ".jsonl"

ROTATE_BYTES: Final = 8 << 20
"""From this size on a new file is begun, so that what has been read can go."""

DIRECTORY_MODE: Final = 0o700
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class Journal:
    """The journal of this process. Thread-safe; opened with the first record, after a fork.

    Args:
        spool: The spool.
        rotate_bytes: From which size on a new file is begun.
    """

    def __init__(self, spool: Path, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        self._directory = spool / DIRECTORY
        self._rotate_bytes = rotate_bytes
        self._lock = threading.Lock()
        self._file = -1
        self._pid = 0
        self._size = 0
        self._is_torn = False

    def append(self, line: bytes) -> None:
        """Append a record; when this returns it is the kernel's.

        Args:
            line: `records.encode` of it: one line, its line break at the end.

        Raises:
            OSError: It was not written. What was left of it is skipped by the reader.
        """
        with self._lock:
            if self._pid != os.getpid() or self._size >= self._rotate_bytes:
                self._begin()
            if self._is_torn:
                line = b"\n" + line
            written = os.write(self._file, line)
            self._size += written
            self._is_torn = written != len(line)
            if self._is_torn:  # no more room: the next one begins on a line of its own
                raise OSError(errno.ENOSPC, "the record was cut short")

    def close(self) -> None:
        """This process writes no more."""
        with self._lock:
            if self._file >= 0 and self._pid == os.getpid():
                os.close(self._file)
            self._file, self._pid = -1, 0

    def _begin(self) -> None:
        file = self._new_file()
        if self._file >= 0:
            # After a fork it is the parent's as well: closing our copy leaves its lock.
            os.close(self._file)
        self._file, self._pid, self._size, self._is_torn = file, os.getpid(), 0, False

    def _new_file(self) -> int:
        self._directory.mkdir(DIRECTORY_MODE, exist_ok=True)
        while True:
            name = f"{os.getpid()}-{time.time_ns()}{SUFFIX}"
            # Not seen under its name before it is locked: an unlocked journal is a dead one's.
            hidden = self._directory / f".{name}"
            file = -1
            try:
                file = os.open(hidden, _FLAGS, 0o600)
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                hidden.rename(self._directory / name)
            except (FileExistsError, BlockingIOError, FileNotFoundError):
                # The reader took it for a leftover, or the clock stands still.
                if file >= 0:
                    os.close(file)
                if not self._directory.is_dir():
                    raise
                continue
            except OSError:
                if file >= 0:
                    os.close(file)
                raise
            return file
