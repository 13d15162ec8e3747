"""Structured logs: one event, one line, one write; only what `events` declares.

    log = logs.get().bind(association=facts.association_id, calling_aet=facts.calling_aet)
    log.event("instance.refused", reason=refused.reason, tag=refused.tag, ms=elapsed_ms)

The level comes from the declaration. A key whose value is None is left out. Every
value passes its judge. Until `configure` is called nothing is written and undeclared
names raise. Loggers may be used from any thread, and from processes that share one
stream; a line is never torn by another.

There is no way to log free text or a traceback here. Messages of other libraries
and uncaught exceptions arrive through `library_logs` and `uncaught`.
"""

import json
import time
from collections.abc import Iterable, MutableMapping
from datetime import UTC, datetime
from typing import IO, Any, Literal, cast

import structlog

from dicomanon_node.ops import judges
from dicomanon_node.ops.console import Console
from dicomanon_node.ops.events import EVENTS, KEY_NAMES, Level
from dicomanon_node.ops.writer import LineWriter, Losses

Format = Literal["auto", "json", "console"]

# Names of the two bags of keys on their way through structlog's processors.
_GIVEN, _BOUND = "given", "bound"
_NOTHING: dict[str, object] = {}
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class _AllowList:
    """structlog processor: the declared keys of a declared event, judged, in order."""

    def __init__(self, threshold: Level) -> None:
        self._threshold = threshold

    def __call__(
        self, writer: LineWriter, _method: str, event_dict: MutableMapping[str, Any]
    ) -> dict[str, Any]:
        name = event_dict["event"]
        event = EVENTS.get(name)
        if event is None:
            writer.losses.undeclared(f"event {name!r} is not declared")
            raise structlog.DropEvent
        given = event_dict[_GIVEN]
        if not given.keys() <= event.key_names:
            extra = ", ".join(sorted(given.keys() - event.key_names))
            writer.losses.undeclared(f"{name} does not declare: {extra}")
        if event.level < self._threshold:
            raise structlog.DropEvent
        bound = event_dict.get(_BOUND, _NOTHING)
        judged: dict[str, Any] = {"level": event.level.word, "event": event.name}
        for key, accept in event.judges:
            value = given.get(key)
            if value is None:
                value = bound.get(key)
            if value is not None:
                judged[key] = accept(value)
        return judged


def _render_json(_logger: object, _method: str, event_dict: MutableMapping[str, Any]) -> str:
    """One line of JSON, ASCII only: nothing in it can end the line or steer a terminal."""
    now = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")
    return _encode({"timestamp": now.removesuffix("+00:00") + "Z", **event_dict}) + "\n"


class Log(structlog.BoundLoggerBase):
    """A logger. Immutable and thread-safe; `bind` returns another one."""

    def event(self, name: str, /, **keys: object) -> None:
        """Log an event.

        Args:
            name: A name declared in `events`.
            keys: Keys the event declares; None leaves a key out. They come before bound
                keys of the same name.

        Raises:
            UndeclaredError: In strict mode, if the event or a key is not declared.
        """
        self._proxy_to_logger("write", name, given=keys)
        losses: Losses = self._logger.losses
        if losses.are_due:
            counts = losses.take()
            if not self._proxy_to_logger("write", "log.dropped", given=counts):
                losses.restore(counts)

    def bind(self, **keys: object) -> "Log":
        """A logger that adds these keys to every event that declares them.

        Raises:
            UndeclaredError: In strict mode, if no event declares one of the keys.
        """
        extra = keys.keys() - KEY_NAMES
        if extra:
            self._logger.losses.undeclared(f"no event declares: {', '.join(sorted(extra))}")
        bound = {**self._context.get(_BOUND, _NOTHING), **keys}
        return Log(self._logger, self._processors, {_BOUND: bound})


def configure(
    *,
    format: Format = "auto",  # noqa: A002  (the word of node.toml)
    level: str = "info",
    stream: IO[str] | None = None,
    strict: bool = False,
    colour: bool | None = None,
    studies: Iterable[str] = (),
    destinations: Iterable[str] = (),
) -> None:
    """Say where lines go and what they look like. May be called again, also after a fork.

    Args:
        format: "json", "console", or "auto": console on a terminal.
        level: Lowest level written: "debug", "info", "warning" or "error".
        stream: Where lines go; None writes nothing.
        strict: Whether undeclared events and keys raise; otherwise they are counted.
        colour: Whether the console has colours; None: on a terminal.
        studies: The configured studies; any other study is logged as "unlisted".
        destinations: The configured destinations, likewise.
    """
    judges.study_names.allow(studies)
    judges.destination_names.allow(destinations)
    is_terminal = stream is not None and stream.isatty()
    is_console = format == "console" or (format == "auto" and is_terminal)
    console = Console(has_colour=is_terminal if colour is None else colour)
    writer = LineWriter(stream, Losses(is_strict=strict))
    structlog.configure(
        processors=[
            _AllowList(Level[level.upper()]),
            console if is_console else _render_json,
        ],
        wrapper_class=Log,
        context_class=dict,
        logger_factory=lambda: writer,
        cache_logger_on_first_use=False,
    )


def get() -> Log:
    """A logger that follows later calls of `configure`; one made by `bind` does not."""
    return cast("Log", structlog.get_logger())


configure(strict=True)
