"""A file of the configuration replaced as a whole, or not at all.

Readers see the old content or the new one, also after a power cut. The file keeps its
mode; a link stays a link, and what it leads to is replaced.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

_NEW_MODE: Final = 0o644


def replace_text(path: Path, text: str) -> None:
    """Write a file's new content durably.

    Raises:
        OSError: It cannot be written; the old content is still there.
    """
    real = path.resolve()
    mode = real.stat().st_mode & 0o7777 if real.exists() else _NEW_MODE
    part = real.with_name(f".{real.name}.{secrets.token_hex(8)}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        part.replace(real)
        sync_directory(real.parent)
    finally:
        with suppress(OSError):
            part.unlink()


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable.

    Raises:
        OSError: It cannot be done.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
