"""Files that only the node's user can read: its keys, and the console's token.

Made whole or not at all, durable, and never over another one; read strictly. What is in
them stands in no message. Names of what they hold come from the caller.
"""

import glob
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from dicomanon_node.config.replacing import sync_directory
from dicomanon_node.errors import ConfigError, Problem

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def read_private(path: Path, noun: str, max_bytes: int, *, cure: str) -> bytes:
    """Read such a file.

    Args:
        path: The file.
        noun: What it holds, for messages: "the key".
        max_bytes: No more is read.
        cure: What to do besides `chmod 600` if others can read it.

    Returns:
        Its content (secret).

    Raises:
        ConfigError: It is missing, no regular file, or open to others.
    """
    try:
        # Not blocking: a FIFO by mistake must not hang the start.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            content = file.read(max_bytes) if stat.S_ISREG(mode) else b""
    except OSError as error:
        raise problem(path, f"{noun} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        raise problem(path, f"{noun} must be a regular file")
    if mode & _OTHERS:
        open_to = f"{noun} is open to other users (mode {stat.S_IMODE(mode):04o})"
        raise problem(path, f"{open_to}: chmod 600 it, {cure}")
    return content


def make_private(path: Path, noun: str, content: bytes) -> None:
    """Make such a file, durable, of mode 0600; missing directories get mode 0755.

    Args:
        path: The file.
        noun: What it holds, for messages: "the key".
        content: What is to be in it (secret).

    Raises:
        ConfigError: It exists already, or cannot be written.
    """
    try:
        _make_directories(path.parent)
    except OSError as error:
        raise problem(path, f"its directory cannot be made: {error.strerror}") from None
    # Whole or not at all: a file cut short by a kill would keep the node from starting.
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise problem(path, f"{noun} cannot be made: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)  # never overwrites
    except FileExistsError:
        raise problem(path, f"exists already: {noun} is never overwritten") from None
    except OSError as error:
        raise problem(path, f"{noun} cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            part.unlink()
    try:
        sync_directory(path.parent)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise problem(path, f"{noun} cannot be written: {error.strerror}") from None


def sweep_parts(path: Path) -> None:
    """Remove what a kill in `make_private` left: what was never in use. Never raises.

    To be called while there is such a file: whoever is making one at this moment comes too
    late anyway, and with or without its part file finds the name taken.
    """
    with suppress(OSError):
        for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
            with suppress(OSError):
                part.unlink()


def problem(path: Path, message: str) -> ConfigError:
    """What is wrong with such a file."""
    return ConfigError(Problem(str(path), "", message))


def _make_directories(directory: Path) -> None:
    missing = []
    while not directory.exists():
        missing.append(directory)
        directory = directory.parent
    for made in reversed(missing):
        # Nobody else may replace the file; others may pass, to the outgoing tree beside it.
        made.mkdir(mode=0o755, exist_ok=True)
        sync_directory(made.parent)
