"""Read a TOML or JSON file into plain values, or say in which line it is broken.

JSON is read more strictly than usual: a key that is there twice, NaN and Infinity are
errors. What the values mean is not known here.
"""

import json
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import NoReturn

from dicomanon_node.config.problems import escape, join
from dicomanon_node.errors import ConfigError, Problem

_DECLARED = "Cannot declare "
_TOML_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_BYTES = 64 * 1024 * 1024
_MAX_DEPTH = 50
"""What is in what, at most; rules need six. Deeper, whoever walks through it runs out of stack."""


class _Object(dict[str, object]):
    """A JSON object that remembers keys it was given twice."""

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        counts = Counter(key for key, _ in pairs)
        self.repeated = [key for key, count in counts.items() if count > 1]


def read_toml(path: Path, text: str | None = None) -> dict[str, object]:
    """Parse a TOML file.

    Args:
        path: The file.
        text: What it is to hold, if that is to be looked at before it is written.

    Raises:
        ConfigError: It cannot be read or is not TOML; with line and column.
    """
    if text is None:
        text = _read(path)
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        position = _TOML_POSITION.search(message)
        where = " at the end"
        if position is not None and position[1]:
            where = f" at line {position[1]}, column {position[2]}"
        # tomllib's texts name characters and keys, never values.
        reason = escape(_TOML_POSITION.sub("", message))[:100]
        # What comes of adding a section from a document to a file that has it.
        cure = ". Put the keys into the one that is there" if reason.startswith(_DECLARED) else ""
        raise _broken(path, f"not valid TOML{where}: {reason}{cure}") from None
    except (RecursionError, ValueError):
        raise _broken(path, "not valid TOML: nested too deep or a number too long") from None
    _check(content, path)
    return content


def read_json(path: Path, text: str | None = None) -> dict[str, object]:
    """Parse a JSON file that holds one object.

    Args:
        path: The file.
        text: What it is to hold, if that is to be looked at before it is written.

    Raises:
        ConfigError: It cannot be read, is not JSON, or an object has a key twice.
    """
    if text is None:
        text = _read(path)
    text = text.removeprefix("\ufeff")  # some editors begin a file with a byte order mark
    try:
        content = json.loads(text, object_pairs_hook=_Object, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _broken(path, f"not valid JSON at {where}: {error.msg}") from None
    except _ConstantError:
        raise _broken(path, "not valid JSON: NaN and Infinity are no JSON numbers") from None
    except (RecursionError, ValueError):
        raise _broken(path, "not valid JSON: nested too deep or a number too long") from None
    _check(content, path)
    repeated = _repeated(content, ())
    if not isinstance(content, dict):
        raise _broken(path, 'must be one object, written {"name": {...}, ...}')
    if repeated:
        raise ConfigError(
            *(Problem(str(path), where, "the key is there more than once") for where in repeated)
        )
    return content


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise _broken(path, f"cannot be read: {error.strerror}") from None
    if len(content) > _MAX_BYTES:
        raise _broken(path, f"larger than {_MAX_BYTES // 1024 // 1024} MiB") from None
    try:
        # Some editors begin a file with a byte order mark.
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _broken(path, f"not UTF-8 text at line {line}") from None


def _check(content: object, path: Path) -> None:
    """Refuse what others could not work with: too deep, or text that has no encoding."""
    values, depth = [content], 0
    while values:
        if depth > _MAX_DEPTH:
            raise _broken(path, f"nested deeper than {_MAX_DEPTH}")
        depth += 1
        inner: list[object] = []
        for value in values:
            if isinstance(value, dict):
                inner += (*value, *value.values())
            elif isinstance(value, list):
                inner += value
            elif isinstance(value, str) and _SURROGATE.search(value):
                raise _broken(path, "half a character: a \\uD800 to \\uDFFF that stands alone")
        values = inner


def _repeated(value: object, path: tuple[str | int, ...]) -> list[str]:
    found: list[str] = []
    if isinstance(value, _Object):
        found += [join(*path, key) for key in value.repeated]
        for key, member in value.items():
            found += _repeated(member, (*path, key))
    elif isinstance(value, list):
        for index, member in enumerate(value):
            found += _repeated(member, (*path, index))
    return found


class _ConstantError(Exception):
    pass


def _no_constant(_: str) -> NoReturn:
    raise _ConstantError


def _broken(path: Path, message: str) -> ConfigError:
    return ConfigError(Problem(str(path), "", message))
