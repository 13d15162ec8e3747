"""Where bytes and names are forced to the medium; the one seam for group commit.

Everything that waits for a disk passes here, so that several associations may
share one wait without a change anywhere else. An error is raised once and never
tried again: after a failed fsync the kernel may have dropped the dirty pages,
and a second call would succeed without them.
"""

import os
from collections.abc import Iterable


class Medium:
    """Forces data and directory entries to stable storage. Thread-safe.

    Args:
        is_synced: False leaves everything to the kernel's own time. For tools that
            answer nobody, and for measuring what syncing costs.
    """

    def __init__(self, *, is_synced: bool = True) -> None:
        self._is_synced = is_synced

    def sync_data(self, file: int) -> None:
        """Make a file's content and size durable. Mode and times may come later."""
        if self._is_synced:
            os.fdatasync(file)

    def sync_names(self, directories: Iterable[int]) -> None:
        """Make every entry of the directories durable."""
        if self._is_synced:
            for directory in directories:
                os.fsync(directory)
