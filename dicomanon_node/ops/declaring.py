"""What a log event is, and how one is declared. Declares none itself."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from dicomanon_node.ops.judges import Value
from dicomanon_node.ops.keys import Key


class Level(IntEnum):
    """How much an event matters. The numbers are those of `logging`."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40

    @property
    def word(self) -> str:
        """As written in a log line."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Event:
    """A log event.

    Attributes:
        name: Stable name, `noun.participle`.
        level: Its level, always the same.
        meaning: One sentence.
        keys: What it may carry, in the order written. A key without a value is left out.
        key_names: Their names.
        judges: Name and judge of each key, in the order written.
    """

    name: str
    level: Level
    meaning: str
    keys: tuple[Key, ...]
    key_names: frozenset[str]
    judges: tuple[tuple[str, Callable[[object], Value]], ...]


def declare(name: str, level: Level, meaning: str, *keys: Key) -> Event:
    """Declare an event.

    Args:
        name: Its name.
        level: Its level.
        meaning: One sentence.
        keys: What it may carry, in the order written.
    """
    judges = tuple((key.name, key.judge.accept) for key in keys)
    return Event(name, level, meaning, keys, frozenset(key.name for key in keys), judges)
