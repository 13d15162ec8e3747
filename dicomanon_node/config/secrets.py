"""The node's key file: 64 hexadecimal digits that only the node's user can read.

Every pseudonym, UID and day shift hangs on this key: it is made once, kept, backed up
and never shown. No message of this module has anything of the file's content.
"""

import glob
import os
import re
import secrets as random
import stat
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from dicomanon_node.errors import ConfigError, Problem

KEY_BYTES = 32
_HEX_KEY = re.compile(rb"[0-9A-Fa-f]{64}(?:\r?\n)?")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
# 32 random bytes have fewer different values than this once in 10^15 times.
_MIN_DIFFERENT_BYTES = 16


def read_key(path: Path) -> bytes:
    """Read the key.

    Returns:
        32 bytes (secret).

    Raises:
        ConfigError: The file is missing, readable by others, no key, or a key that
            nobody made at random.
    """
    try:
        # Not blocking: a FIFO by mistake must not hang the start.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            content = file.read(4 * KEY_BYTES) if stat.S_ISREG(mode) else b""
    except OSError as error:
        raise _problem(path, f"the key cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        raise _problem(path, "the key must be a regular file")
    if mode & _OTHERS:
        raise _problem(
            path,
            f"the key is open to other users (mode {stat.S_IMODE(mode):04o}): chmod 600 it, and "
            "think about who may have read it",
        )
    if not _HEX_KEY.fullmatch(content):
        raise _problem(path, f"must hold exactly {2 * KEY_BYTES} hexadecimal digits, one line")
    key = bytes.fromhex(content.decode("ascii"))
    if _is_trivial(key):
        raise _problem(
            path, "the key is not random: remove the file and the node makes one at its next start"
        )
    return key


def make_key(path: Path) -> None:
    """Make a new key file, durable, of mode 0600; missing directories get mode 0700.

    Raises:
        ConfigError: The file exists already, or cannot be written.
    """
    try:
        _make_directories(path.parent)
    except OSError as error:
        raise _problem(path, f"its directory cannot be made: {error.strerror}") from None
    # Whole or not at all: a key file cut short by a kill would keep the node from starting.
    part = path.with_name(f".{path.name}.{random.token_hex(8)}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _problem(path, f"the key cannot be made: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(random.token_hex(KEY_BYTES).encode("ascii") + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)  # never overwrites
    except FileExistsError:
        raise _problem(path, "exists already: a key is never overwritten") from None
    except OSError as error:
        raise _problem(path, f"the key cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            part.unlink()
    try:
        _sync_directory(path.parent)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise _problem(path, f"the key cannot be written: {error.strerror}") from None


def sweep_parts(path: Path) -> None:
    """Remove what a kill in `make_key` left: keys that were never in use. Never raises.

    To be called while there is a key: whoever is making one at this moment comes too late
    anyway, and with or without its part file finds the name taken.
    """
    with suppress(OSError):
        for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
            with suppress(OSError):
                part.unlink()


def _is_trivial(key: bytes) -> bool:
    if len(set(key)) < _MIN_DIFFERENT_BYTES:
        return True
    if any(key == key[:period] * (KEY_BYTES // period) for period in (1, 2, 4, 8, 16)):
        return True
    steps = {(after - before) % 256 for before, after in pairwise(key)}
    return len(steps) == 1


def _make_directories(directory: Path) -> None:
    missing = []
    while not directory.exists():
        missing.append(directory)
        directory = directory.parent
    for made in reversed(missing):
        # Nobody else may replace the key; others may pass, to the outgoing tree beside it.
        made.mkdir(mode=0o755, exist_ok=True)
        _sync_directory(made.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _problem(path: Path, message: str) -> ConfigError:
    return ConfigError(Problem(str(path), "", message))
