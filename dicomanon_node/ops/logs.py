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

import os
from collections.abc import Iterable, Sequence
from functools import partial
from typing import IO, Literal

import structlog
from structlog.typing import Processor

from dicomanon_node.ops import judges
from dicomanon_node.ops.allow_list import BOUND, NOTHING, AllowList
from dicomanon_node.ops.console import Console, width_of
from dicomanon_node.ops.declaring import Level
from dicomanon_node.ops.events import KEY_NAMES
from dicomanon_node.ops.tap import TakeLine, Tap, TappedEvents, TappedJsonLines
from dicomanon_node.ops.writer import LineWriter, Losses

Format = Literal["auto", "json", "console"]


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
        bound = {**self._context.get(BOUND, NOTHING), **keys}
        return Log(self._logger, self._processors, {BOUND: bound})


class _Following(Log):
    """The logger that `configure` changes. structlog's own looks it all up for each line."""

    def __init__(self) -> None:
        super().__init__(None, (), {})

    def follow(self, writer: LineWriter, processors: Sequence[Processor]) -> None:
        self._logger = writer
        self._processors = processors


_following = _Following()
_tap = Tap()


def configure(
    *,
    format: Format = "auto",  # noqa: A002  (the word of node.toml)
    level: str = "info",
    stream: IO[str] | None = None,
    strict: bool = False,
    colour: bool | None = None,
    studies: Iterable[str] = (),
    destinations: Iterable[str] = (),
    known_uids: Iterable[str] = (),
    rules: str = "",
) -> None:
    """Say where lines go and what they look like. May be called again, also after a fork.

    Args:
        format: "json", "console", or "auto": console on a terminal.
        level: Lowest level written: "debug", "info", "warning" or "error".
        stream: Where lines go; None writes nothing.
        strict: Whether undeclared events and keys raise; otherwise they are counted.
        colour: Whether the console has colours; None: on a terminal, unless NO_COLOR is set.
        studies: The configured studies; any other study is logged as "unlisted".
        destinations: The configured destinations, likewise.
        known_uids: SOP classes and transfer syntaxes accepted, besides those of PS3.6 A, likewise.
        rules: Digest of the rules in force, for every line of JSON.
    """
    judges.study_names.allow(studies)
    judges.destination_names.allow(destinations)
    judges.known_uids.allow(known_uids)
    is_terminal = stream is not None and stream.isatty()
    is_console = format == "console" or (format == "auto" and is_terminal)
    if colour is None:
        colour = is_terminal and not os.environ.get("NO_COLOR")  # https://no-color.org
    console = Console(
        has_colour=colour,
        width=partial(width_of, stream) if stream is not None and is_terminal else lambda: None,
    )
    writer = LineWriter(stream, Losses(is_strict=strict))
    threshold = Level[level.upper()]
    processors: list[Processor] = (
        [TappedEvents(_tap, rules), AllowList(threshold), console]
        if is_console
        else [TappedJsonLines(_tap, threshold, rules)]
    )
    _following.follow(writer, processors)
    structlog.configure(
        processors=processors,
        wrapper_class=Log,
        context_class=dict,
        logger_factory=lambda: writer,
        cache_logger_on_first_use=False,
    )


def feed_to(feed: TakeLine | None) -> None:
    """Give each line to a feed as well, in JSON and whatever its level.

    Lasts over later calls of `configure`, and holds for bound loggers too.

    Args:
        feed: Where to; None ends it.
    """
    _tap.feed = feed


def get() -> Log:
    """A logger that follows later calls of `configure`; one made by `bind` does not."""
    return _following


configure(strict=True)
