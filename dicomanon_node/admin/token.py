"""The file with the token that lets people into the console.

Like the node's key it is made at random, read by the node's user alone, and never shown
in a message. Unlike it, it may be replaced at any time: remove it and start again.
"""

import re
import secrets
from pathlib import Path
from typing import Final

from dicomanon_node.config.private_files import make_private, problem, read_private, sweep_parts
from dicomanon_node.errors import ConfigError

_NOUN: Final = "the token"
_TOKEN_BYTES: Final = 32
_TOKEN: Final = re.compile(rb"([!-~]{20,200})\s*")
_MAX_FILE_BYTES: Final = 400


def read_or_make(path: Path) -> str:
    """Read the token; where there is no file, make it first.

    Returns:
        The token (secret): 20 to 200 printable characters.

    Raises:
        ConfigError: It cannot be read or made, others can read it, or it is no token.
    """
    if _is_missing(path):
        try:
            make_private(path, _NOUN, secrets.token_urlsafe(_TOKEN_BYTES).encode("ascii") + b"\n")
        except ConfigError:
            if _is_missing(path):
                raise  # else somebody has made it just now
    sweep_parts(path)
    cure = "or remove it and one is made at the next start"
    found = _TOKEN.fullmatch(read_private(path, _NOUN, _MAX_FILE_BYTES, cure=cure))
    if found is None:
        raise problem(
            path,
            "must hold 20 to 200 printable ASCII characters without spaces; remove the file and a"
            " token is made at the next start",
        )
    return found[1].decode("ascii")


def _is_missing(path: Path) -> bool:
    try:
        return not path.exists()
    except OSError:  # what is wrong is told by who reads it
        return False
