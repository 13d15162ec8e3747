"""Settings from the environment and from --set, laid over what node.toml says.

    DICOMANON_LISTENER__PORT=11113          --set listener.port=11113
    DICOMANON_DESTINATIONS__0__HOST=pacs    --set destinations.0.host=pacs
    DICOMANON_PEERS='[{ae_title = "CT1"}]'  --set 'peers=[{ae_title = "CT1"}]'

Values are in TOML's syntax; where text is expected the quotes may be left out. This
module checks names and syntax, not whether a value is allowed.
"""

import copy
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from pydantic.fields import FieldInfo

from dicomanon_node.config.model import NodeConfig
from dicomanon_node.config.problems import alternatives, join, name
from dicomanon_node.config.shape import Location, fields, leaf_types
from dicomanon_node.errors import Problem

PREFIX = "DICOMANON_"
ENVIRONMENT = "environment"
OPTION = "--set"

_NUMERAL = re.compile(r"[0-9]{1,4}")


class Settings:
    """The content of node.toml with environment and --set over it.

    Args:
        content: What the file says; not altered.
        file: Its name, for `origin`.
    """

    def __init__(self, content: Mapping[str, object], file: str) -> None:
        self.content: dict[str, object] = copy.deepcopy(dict(content))
        self.problems: list[Problem] = []
        self._file = file
        self._origins: dict[Location, tuple[str, str]] = {}

    def apply_environment(self, environ: Mapping[str, str]) -> None:
        """Set what the variables that begin with DICOMANON_ say."""
        for variable in sorted(environ):
            if variable.startswith(PREFIX):
                origin = (ENVIRONMENT, variable)
                names = variable.removeprefix(PREFIX).split("__")
                if variable != variable.upper():
                    self._problem(origin, "names of settings are upper case")
                    continue
                self._set([part.lower() for part in names], environ[variable], origin)

    def apply_options(self, options: Sequence[str]) -> None:
        """Set what `name.name=value` options say."""
        for option in options:
            path, separator, text = option.partition("=")
            origin = (OPTION, path.strip())
            if not separator:
                self._problem(origin, "must be written name.name=value")
                continue
            self._set(path.strip().split("."), text.strip(), origin)

    def get(self, *path: str) -> object:
        """The value at a path as it stands, unchecked; None if there is none."""
        value: object = self.content
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        return value

    def located(self, found: Iterable[tuple[Location, str]]) -> list[Problem]:
        """Problems for faults of the content, each at the source of the faulty value."""
        return [Problem(*self.origin(path), message) for path, message in found]

    def origin(self, path: Location) -> tuple[str, str]:
        """Which file, variable or option the value at a path came from, and its name there."""
        for length in range(len(path), 0, -1):
            found = self._origins.get(path[:length])
            if found is not None:
                source, written = found
                return source, written + join("", *path[length:]).removeprefix('""')
        return self._file, join(*path)

    def _set(self, names: Sequence[str], text: str, origin: tuple[str, str]) -> None:
        try:
            path, info = self._resolve(names)
            self._place(path, _parse(text, info))
        except _NoSuchSettingError as error:
            self._problem(origin, str(error))
            return
        overwritten = [known for known in self._origins if known[: len(path)] == path]
        for known in overwritten:
            del self._origins[known]
        self._origins[path] = origin

    def _resolve(self, names: Sequence[str]) -> tuple[Location, FieldInfo]:
        """Find a setting by its names; those after a list are indices."""
        path: Location = ()
        info: FieldInfo | None = None
        for step in names:
            if info is not None and _is_list(info) and isinstance(path[-1], str):
                if not _NUMERAL.fullmatch(step):
                    raise _NoSuchSettingError(f"{name(step)} is no index: lists count from 0")
                path += (int(step),)
                continue
            known = fields(NodeConfig, path, self.content)
            if not known:
                raise _NoSuchSettingError(f"a value has no keys, so {name(step)} cannot be one")
            if step not in known:
                raise _NoSuchSettingError(
                    f"unknown setting {name(step)}{alternatives(step, known)}"
                )
            info = known[step]
            path += (step,)
        inner = fields(NodeConfig, path, self.content)
        if info is None or (inner and not (_is_list(info) and isinstance(path[-1], str))):
            keys = ", ".join(sorted(inner))
            raise _NoSuchSettingError(f"is a table: set one of its keys ({keys})")
        return path, info

    def _place(self, path: Location, value: object) -> None:
        """Put a value in, making the tables and list entries on the way that are not there."""
        table: object = self.content
        for step, following in pairwise(path):
            fresh: list[object] | dict[str, object] = [] if isinstance(following, int) else {}
            if isinstance(table, dict):
                table = table.setdefault(step, fresh)
            elif isinstance(table, list) and isinstance(step, int) and step <= len(table):
                if step == len(table):
                    table.append(fresh)
                table = table[step]
            else:
                break
        else:
            if isinstance(table, dict):
                table[path[-1]] = value
                return
        count = len(table) if isinstance(table, list) else 0
        raise _NoSuchSettingError(f"the list has {count} entries so far, counted from 0")

    def _problem(self, origin: tuple[str, str], message: str) -> None:
        source, written = origin
        # The name is the operator's text, and a value may have been mistaken for it.
        self.problems.append(Problem(source, ".".join(map(name, written.split("."))), message))


class _NoSuchSettingError(Exception):
    """The name of a setting leads nowhere; its text is the message."""


def _is_list(info: FieldInfo) -> bool:
    return tuple in leaf_types(info.annotation)


def _parse(text: str, info: FieldInfo) -> object:
    """The value in TOML's syntax; for keys that take text, the text itself."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        return text
    if set(parsed) != {"value"}:  # a line break smuggled in more keys
        return text
    value = parsed["value"]
    takes_text = not leaf_types(info.annotation) & {int, float, bool, tuple}
    return text if takes_text and not isinstance(value, str) else value
