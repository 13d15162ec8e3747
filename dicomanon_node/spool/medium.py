"""Where bytes and names are forced to the medium; the one seam for group commit.

Everything that waits for a disk passes here, so that several associations may
share one wait without a change anywhere else. An error is raised once and never
tried again: after a failed fsync the kernel may have dropped the dirty pages,
and a second call would succeed without them. Hints that spare waiting and memory
pass here, too.
"""

import ctypes
import os
from collections.abc import Iterable
from contextlib import suppress

_sync_file_range = getattr(ctypes.CDLL(None), "sync_file_range", None)  # Linux
if _sync_file_range is not None:
    _sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
_SYNC_FILE_RANGE_WRITE = 2  # linux/fs.h: begin, wait for nothing


class Medium:
    """Forces data and directory entries to stable storage. Thread-safe.

    Args:
        is_synced: False leaves everything to the kernel's own time. For tools that
            answer nobody, and for measuring what syncing costs.
        is_eager: Where it is not synced, the medium begins with a file's data all the same
            once they are complete, and nobody waits for it. For who syncs all at the end:
            there is hardly anything left to be done then.
    """

    def __init__(self, *, is_synced: bool = True, is_eager: bool = False) -> None:
        self._is_synced = is_synced
        self._is_eager = is_eager

    def sync_data(self, file: int) -> None:
        """Make a file's content and size durable. Mode and times may come later."""
        if self._is_synced:
            os.fdatasync(file)
        elif self._is_eager and _sync_file_range is not None:
            _sync_file_range(file, 0, 0, _SYNC_FILE_RANGE_WRITE)  # 0 bytes: to its end

    def start_data(self, file: int, start: int, end: int) -> None:
        """Let the medium begin with a part of a file. A hint: promises nothing, never raises.

        An error that comes of it is kept by the kernel for the next `sync_data`.
        """
        if self._is_synced and _sync_file_range is not None:
            _sync_file_range(file, start, end - start, _SYNC_FILE_RANGE_WRITE)

    def forget_data(self, file: int, end: int) -> None:
        """Give back the memory that caches a file's beginning. A hint: never raises.

        What the medium does not have yet stays. The next object then gets memory that was
        used just now; else the cache grows into memory nobody has touched, and in a virtual
        machine such a page costs more than all else that is done for it. It would also push
        out what others at the site read.
        """
        if self._is_synced and end > 0:
            with suppress(OSError):
                os.posix_fadvise(file, 0, end, os.POSIX_FADV_DONTNEED)

    def sync_names(self, directories: Iterable[int]) -> None:
        """Make every entry of the directories durable."""
        if self._is_synced:
            for directory in directories:
                os.fsync(directory)
