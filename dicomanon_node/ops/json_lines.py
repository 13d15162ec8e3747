"""Log lines in JSON: judged and written in one step, what repeats only once.

Of the keys of `instance.stored` most have the value that they had in the line before.
Judging and escaping them anew took longer than all else that is done for a line, so
what became of a text is remembered: by the text itself, so that nothing is written
that was not judged, for each key apart, and within bounds.
"""

import json
import time
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any, Final

from dicomanon_node.ops.allow_list import AllowList
from dicomanon_node.ops.declaring import Event
from dicomanon_node.ops.events import EVENTS
from dicomanon_node.ops.judges import HEX, ConfiguredNames, Value
from dicomanon_node.ops.writer import LineWriter

_MOST_REMEMBERED: Final = 256  # of one key: what some dozens of associations send in turn
_LONGEST_REMEMBERED: Final = 64  # characters: a UID; free text does not repeat

_REMEMBERED: Final = frozenset({str, bool})
"""Of exactly these types: 1, 1.0 and True are equal, a subclass may be equal to anything."""

_NUMBERS: Final = frozenset({int, float})  # JSON writes them as Python does; judges let no NaN pass

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class JsonLines:
    """structlog processor: an event in, its line out. ASCII only. Thread-safe.

    Nothing in a line can end it or steer a terminal.

    Args:
        allow_list: Says what is written.
        rules: Digest of the rules in force, for the lines whose event does not say it itself;
            "" if there are none yet.
    """

    def __init__(self, allow_list: AllowList, rules: str = "") -> None:
        self._allow_list = allow_list
        told = f',"rules":{_encode(HEX.accept(rules))}' if rules else ""
        self._tails = {
            name: "}\n" if "rules" in event.key_names else f"{told}}}\n"
            for name, event in EVENTS.items()
        }
        self._heads = {name: _head(event) for name, event in EVENTS.items()}
        self._fields = {
            name: [_Field(key, accept) for key, accept in event.judges]
            for name, event in EVENTS.items()
        }
        self._second = (0, "")  # the last one that was spelt out; replaced as a whole

    def __call__(
        self, writer: LineWriter, _method: str, event_dict: MutableMapping[str, Any]
    ) -> str:
        """Render one line."""
        event, given, bound = self._allow_list.admit(writer, event_dict)
        parts = [self._timestamp(), self._heads[event.name]]
        for field in self._fields[event.name]:
            value = given.get(field.key)
            if value is None:
                value = bound.get(field.key)
                if value is None:
                    continue
            text = field.remembered.get(value) if type(value) in _REMEMBERED else None
            parts.append(text or field.written(value))
        parts.append(self._tails[event.name])
        return "".join(parts)

    def _timestamp(self) -> str:
        second, millisecond = divmod(time.time_ns() // 1_000_000, 1000)
        spelt_second, text = self._second
        if second != spelt_second:
            text = datetime.fromtimestamp(second, UTC).strftime('{"timestamp":"%Y-%m-%dT%H:%M:%S.')
            self._second = (second, text)
        return f"{text}{millisecond:03d}"


class _Field:
    """One key of one event.

    Attributes:
        key: Its name.
        remembered: What is written for a text; filled by `written`.
    """

    __slots__ = ("_accept", "_is_lasting", "_name", "key", "remembered")

    def __init__(self, key: str, accept: Callable[[object], Value]) -> None:
        self.key = key
        self.remembered: dict[object, str] = {}
        self._name = f',"{key}":'
        self._accept = accept
        # What the configuration allows may change; all other verdicts are for ever.
        self._is_lasting = not isinstance(accept, ConfiguredNames)

    def written(self, value: object) -> str:
        """The key and its judged value, as they stand in the line."""
        judged = self._accept(value)
        if type(judged) in _NUMBERS:
            return f"{self._name}{judged}"
        text = self._name + _encode(judged)
        if self._is_lasting and (
            type(value) is bool or (type(value) is str and len(value) <= _LONGEST_REMEMBERED)
        ):
            if len(self.remembered) >= _MOST_REMEMBERED:
                self.remembered.clear()
            self.remembered[value] = text
        return text


def _head(event: Event) -> str:
    """What follows the time."""
    return f'Z","level":"{event.level.word}","event":"{event.name}"'
