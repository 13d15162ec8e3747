"""Reading back what was logged."""

import io
import json
from typing import Any

from dicomanon_node.ops.events import EVENTS


class Captured(io.StringIO):
    """A stream that remembers the lines written to it."""

    @property
    def lines(self) -> list[str]:
        return self.getvalue().splitlines()

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines, read by an independent JSON parser."""
        return [json.loads(line) for line in self.lines]


class Recorded:
    """A log that only remembers, and holds callers to what is declared."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def event(self, name: str, /, **keys: object) -> None:
        undeclared = set(keys) - EVENTS[name].key_names
        assert undeclared == set(), undeclared
        self.events.append((name, keys))
