"""The node's key file: 64 hexadecimal digits that only the node's user can read.

Every pseudonym, UID and day shift hangs on this key: it is made once, kept, backed up
and never shown. Other keys have files like it. No message of this module has anything of
the file's content.
"""

import re
import secrets as random
from itertools import pairwise
from pathlib import Path
from typing import Final

from dicomanon_node.config.private_files import make_private, problem, read_private

KEY_BYTES = 32
_NOUN: Final = "the key"
_HEX_KEY = re.compile(rb"[0-9A-Fa-f]{64}(?:\r?\n)?")
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
    cure = "and think about who may have read it"
    content = read_private(path, _NOUN, 4 * KEY_BYTES, cure=cure)
    if not _HEX_KEY.fullmatch(content):
        raise problem(path, f"must hold exactly {2 * KEY_BYTES} hexadecimal digits, one line")
    key = bytes.fromhex(content.decode("ascii"))
    if _is_trivial(key):
        raise problem(
            path, "the key is not random: remove the file and the node makes one at its next start"
        )
    return key


def make_key(path: Path) -> None:
    """Make a new key file, durable, of mode 0600; missing directories get mode 0755.

    Raises:
        ConfigError: The file exists already, or cannot be written.
    """
    make_private(path, _NOUN, random.token_hex(KEY_BYTES).encode("ascii") + b"\n")


def _is_trivial(key: bytes) -> bool:
    if len(set(key)) < _MIN_DIFFERENT_BYTES:
        return True
    if any(key == key[:period] * (KEY_BYTES // period) for period in (1, 2, 4, 8, 16)):
        return True
    steps = {(after - before) % 256 for before, after in pairwise(key)}
    return len(steps) == 1
