"""What is made and tried out at start, before an object may come.

Directories with their modes, the lock that keeps a second node away, and a trial of
what a commit will need. Every fault is a `ConfigError` that names the directory and
the cure. What this module does not do: anything while the node runs.
"""

import errno
import fcntl
import itertools
import os
import stat
import time
from pathlib import Path

from dicomanon_node.errors import ConfigError, Problem
from dicomanon_node.spool.medium import Medium

SPOOL_FILE_MODE = 0o600

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_LOCK_POLL_S = 0.05
_PROBE = ".dicomanon-probe"


def refuse_nesting(root: Path, outgoing: Path) -> None:
    """Make sure that neither is inside the other: one is closed to others and swept."""
    real_root, real_outgoing = root.resolve(), outgoing.resolve()
    if real_root.is_relative_to(real_outgoing) or real_outgoing.is_relative_to(real_root):
        raise problem(
            f"{root} and {outgoing} are one inside the other; put the spool beside outgoing"
        )


def make(directory: Path, mode: int, medium: Medium) -> None:
    """Make a directory and what is missing above it, durably; the umask changes nothing."""
    try:
        missing = itertools.takewhile(
            lambda path: not path.exists(), (directory, *directory.parents)
        )
        for path in reversed(list(missing)):
            path.mkdir(mode)
            # mkdir has inherited a set-group-ID bit, if there is one: that stays.
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o777 | mode)
            parent = os.open(path.parent, _DIRECTORY)
            try:
                medium.sync_names((parent,))
            finally:
                os.close(parent)
        os.close(os.open(directory, _DIRECTORY))
    except OSError as error:
        raise problem(f"{directory} cannot be made or opened: {error.strerror}") from None


def close_to_others(directory: Path) -> None:
    """Take away what group and others may do in a directory of the spool."""
    try:
        mode = stat.S_IMODE(directory.stat().st_mode)
        if mode & 0o077:
            directory.chmod(mode & ~0o077)
    except OSError as error:
        raise problem(f"{directory} cannot be made private: {error.strerror}") from None


def lock(root: Path, wait_s: float) -> int:
    """Keep a second node off this spool: it would sweep our files and deliver twice.

    Args:
        root: The spool.
        wait_s: How long processes of an earlier run may take to end, seconds.

    Returns:
        The descriptor that holds the lock; processes forked later hold it too.
    """
    deadline = time.monotonic() + wait_s
    try:
        file = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, SPOOL_FILE_MODE)
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(file)
                    raise problem(
                        f"{root} is in use by another node; stop it, or give this one a spool "
                        "of its own"
                    ) from None
                time.sleep(_LOCK_POLL_S)
            else:
                return file
    except OSError as error:
        raise problem(f"{root}/lock cannot be locked: {error.strerror}") from None


def try_out(root: Path, incoming: Path, directory: Path, medium: Medium) -> None:
    """Link a file from incoming/ into the directory and make the name durable.

    Device numbers alone do not tell: two bind mounts or container volumes of one file
    system share theirs and refuse the link, and some file systems know no links.
    """
    source, probe = incoming / f"{_PROBE}-source", directory / _PROBE
    try:
        for leftover in (source, probe):  # of a start that was killed right here
            leftover.unlink(missing_ok=True)
        source.touch(SPOOL_FILE_MODE)
        handle = os.open(directory, _DIRECTORY)
        try:
            probe.hardlink_to(source)
            medium.sync_names((handle,))
        finally:
            for leftover in (source, probe):
                leftover.unlink(missing_ok=True)
            medium.sync_names((handle,))  # so that no power cut brings it back
            os.close(handle)
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise problem(
                f"{root} and {directory} are not on one file system (one mount); put the spool "
                'beside outgoing, or set outgoing = "" and use a destination of kind "folder"'
            ) from None
        raise problem(f"{directory} cannot be written: {error.strerror}") from None


def problem(message: str) -> ConfigError:
    """A fault of the directories that `[storage]` names."""
    return ConfigError(Problem("node.toml", "storage", message))
