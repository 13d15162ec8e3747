"""A directory tree in which a directory is durable before anything is put in it.

`Tree.open` hands out a descriptor of one directory, making it and its parents
where they are missing. What this module does not do: put files anywhere.

Each caller gets a descriptor of its own rather than a shared one. Linux reports a
write-back error once to each open file description, so a descriptor shared by
threads could tell one of them of a failed fsync and let the other believe in
success; and an eviction could close what somebody still uses. Opening costs 4 us.

What is kept, in a bounded LRU, is the knowledge that a directory's own name is
durable: its inode number, and an open descriptor, for as long as that exists the
number cannot be given to another directory of the same path.
"""

import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from dicomanon_node.spool.medium import Medium

# A scanner fills one series at a time, so few directories are in use at once. Low,
# because pynetdicom's select() cannot use a socket numbered 1024 or above.
MAX_KNOWN_DIRECTORIES = 64

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Tree:
    """Directories below a root. Thread-safe; processes may share the root.

    Args:
        root: The root, absolute. It may be a symbolic link; nothing below it may.
        mode: Permission bits of directories made here, whatever the umask; a set-group-ID
            bit inherited from the parent stays.
        medium: What makes names durable.
        makes_missing: Whether missing directories are made, the root included (but not
            the root's parent: that is a lost mount, not a tidied tree). Otherwise they
            are FileNotFoundError.
    """

    def __init__(self, root: Path, *, mode: int, medium: Medium, makes_missing: bool) -> None:
        self._root = root
        self._root_path = str(root)
        self._mode = mode
        self._medium = medium
        self._makes_missing = makes_missing
        # path -> pinning descriptor, inode, device
        self._known: OrderedDict[str, tuple[int, int, int]] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, parts: Sequence[str]) -> int:
        """Open a directory whose own name is durable.

        Args:
            parts: Components below the root, safe; none means the root.

        Returns:
            A descriptor that belongs to the caller.

        Raises:
            OSError: It cannot be opened, made or made durable.
        """
        path = "/".join((self._root_path, *parts))
        try:
            directory = os.open(path, _DIRECTORY)
        except FileNotFoundError:
            if not self._makes_missing:
                raise
        else:
            if self._is_known(path, directory):
                return directory
            os.close(directory)
        return self._descend(parts)

    def close(self) -> None:
        """Forget which directories are durable; the tree may still be used."""
        with self._lock:
            while self._known:
                os.close(self._known.popitem()[1][0])

    def _descend(self, parts: Sequence[str]) -> int:
        """Go down from the root, making sure of each step before the next."""
        path = self._root_path
        directory = self._enter_root()
        for part in parts:
            parent, path = directory, f"{path}/{part}"
            try:
                directory = self._enter(parent, part, path)
            finally:
                os.close(parent)
        return directory

    def _enter_root(self) -> int:
        try:
            parent = os.open(self._root.parent, _DIRECTORY)
        except PermissionError:
            # Search but no read permission: not a place where a node makes directories,
            # so the root is the site's own and was there before.
            return os.open(self._root, _DIRECTORY)
        try:
            return self._enter(parent, self._root.name, self._root_path, follows_links=True)
        finally:
            os.close(parent)

    def _enter(self, parent: int, name: str, path: str, *, follows_links: bool = False) -> int:
        flags = _DIRECTORY if follows_links else _DIRECTORY | os.O_NOFOLLOW
        try:
            directory = os.open(name, flags, dir_fd=parent)
        except FileNotFoundError:
            if not self._makes_missing:
                raise
            directory = self._make(parent, name, flags)
        try:
            if not self._is_known(path, directory):
                # Also where it was there already: another process may have made it just
                # now and not have come to its own fsync, so its name is ours to secure.
                self._medium.sync_names((parent,))
                self._remember(path, directory)
        except BaseException:
            os.close(directory)
            raise
        return directory

    def _make(self, parent: int, name: str, flags: int) -> int:
        try:
            os.mkdir(name, self._mode, dir_fd=parent)
        except FileExistsError:  # another process or thread was quicker
            return os.open(name, flags, dir_fd=parent)
        directory = os.open(name, flags, dir_fd=parent)
        mode = stat.S_IMODE(os.fstat(directory).st_mode)
        if mode & 0o777 != self._mode:  # the umask took bits away
            os.fchmod(directory, mode & ~0o777 | self._mode)
        return directory

    def _is_known(self, path: str, directory: int) -> bool:
        """Whether this very directory was found durable before under this path."""
        with self._lock:
            known = self._known.get(path)
            if known is None:
                return False
            status = os.fstat(directory)
            if (status.st_ino, status.st_dev) == known[1:]:
                self._known.move_to_end(path)
                return True
            # Moved or removed, and another one took its place.
            del self._known[path]
            os.close(known[0])
            return False

    def _remember(self, path: str, directory: int) -> None:
        with self._lock:
            stale = self._known.pop(path, None)
            if stale is not None:
                os.close(stale[0])
            status = os.fstat(directory)
            self._known[path] = os.dup(directory), status.st_ino, status.st_dev
            if len(self._known) > MAX_KNOWN_DIRECTORIES:
                os.close(self._known.popitem(last=False)[1][0])
