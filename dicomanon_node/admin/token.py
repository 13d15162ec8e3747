"""The file with the token that lets people into the console.

Like the node's key it is made at random, read by the node's user alone, and never shown
in a message. Unlike it, it may be replaced at any time: remove it and start again.
"""

import os
import re
import secrets
import stat
from pathlib import Path
from typing import Final

from dicomanon_node.errors import ConfigError, Problem

_TOKEN_BYTES: Final = 32
_TOKEN: Final = re.compile(rb"([!-~]{20,200})\s*")
_MAX_FILE_BYTES: Final = 400


def read_or_make(path: Path) -> str:
    """Read the token, or make the file.

    Returns:
        The token (secret): 20 to 200 printable characters.

    Raises:
        ConfigError: It cannot be read or made, others can read it, or it is no token.
    """
    try:
        # Not blocking: a FIFO by mistake must not hang the start.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return _make(path)
    except OSError as error:
        raise _problem(path, f"the token cannot be read: {error.strerror}") from None
    try:
        mode = os.fstat(descriptor).st_mode
        content = os.read(descriptor, _MAX_FILE_BYTES) if stat.S_ISREG(mode) else b""
    except OSError as error:
        raise _problem(path, f"the token cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    if not stat.S_ISREG(mode):
        raise _problem(path, "the token must be a regular file")
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise _problem(
            path,
            f"the token is open to other users (mode {stat.S_IMODE(mode):04o}): chmod 600 it, or"
            " remove it and one is made at the next start",
        )
    found = _TOKEN.fullmatch(content)
    if found is None:
        raise _problem(
            path,
            "must hold 20 to 200 printable ASCII characters without spaces; remove the file and a"
            " token is made at the next start",
        )
    return found[1].decode("ascii")


def _make(path: Path) -> str:
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(token.encode("ascii") + b"\n")
    except OSError as error:
        raise _problem(path, f"the token cannot be made: {error.strerror}") from None
    return token


def _problem(path: Path, message: str) -> ConfigError:
    return ConfigError(Problem(str(path), "", message))
