"""What of an event may be logged: the declared keys of a declared event.

structlog's processors meet an event as the bag that `logs.Log` makes of it: its name,
the keys it was given, and the keys bound to the logger. This module writes nothing.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any, Final

import structlog

from dicomanon_node.ops.declaring import Event, Level
from dicomanon_node.ops.events import EVENTS
from dicomanon_node.ops.writer import LineWriter

# Names of the two bags of keys on their way through structlog's processors.
GIVEN: Final = "given"
BOUND: Final = "bound"

Keys = Mapping[str, object]

NOTHING: Final[Keys] = {}


class AllowList:
    """Admits events. Thread-safe.

    Args:
        threshold: Lowest level that is written.
    """

    def __init__(self, threshold: Level) -> None:
        self._threshold = threshold

    def admit(self, writer: LineWriter, event_dict: Mapping[str, Any]) -> tuple[Event, Keys, Keys]:
        """The event, if it is to be written; its keys as given, and those of its logger.

        What was given comes before what was bound.

        Raises:
            structlog.DropEvent: It is not declared, or its level is too low.
            UndeclaredError: In strict mode, if it or one of its keys is not declared.
        """
        name = event_dict["event"]
        event = EVENTS.get(name)
        if event is None:
            writer.losses.undeclared(f"event {name!r} is not declared")
            raise structlog.DropEvent
        given = event_dict[GIVEN]
        if not given.keys() <= event.key_names:
            extra = ", ".join(sorted(given.keys() - event.key_names))
            writer.losses.undeclared(f"{name} does not declare: {extra}")
        if event.level < self._threshold:
            raise structlog.DropEvent
        return event, given, event_dict.get(BOUND, NOTHING)

    def __call__(
        self, writer: LineWriter, _method: str, event_dict: MutableMapping[str, Any]
    ) -> dict[str, Any]:
        """As a structlog processor: the declared keys that have a value, judged, in order."""
        event, given, bound = self.admit(writer, event_dict)
        judged: dict[str, Any] = {"level": event.level.word, "event": event.name}
        for key, accept in event.judges:
            value = given.get(key)
            if value is None:
                value = bound.get(key)
            if value is not None:
                judged[key] = accept(value)
        return judged
