"""Gives a feed every line that is made, in JSON, whatever the log looks like.

These are the ends of structlog's chain: they decide what `writer` gets. Without a feed
they cost nothing but a look.
"""

from collections.abc import MutableMapping
from typing import Any, Protocol

import structlog

from dicomanon_node.ops.allow_list import AllowList
from dicomanon_node.ops.declaring import Level
from dicomanon_node.ops.events import EVENTS
from dicomanon_node.ops.json_lines import JsonLines
from dicomanon_node.ops.writer import LineWriter, Losses


class TakeLine(Protocol):
    """Where lines also go; `feed.FeedSender`."""

    def send(self, line: str) -> None:
        """Take a line, line break included. Neither waits nor raises."""


class Tap:
    """Where the feed is, if there is one. Outlives calls of `logs.configure`.

    Attributes:
        feed: Where lines go; None is nowhere.
    """

    def __init__(self) -> None:
        self.feed: TakeLine | None = None


class TappedJsonLines:
    """structlog processor: an event in, its line out, and into the feed.

    Args:
        tap: Where the feed is.
        threshold: Lowest level that is written to the log; the feed gets all.
        rules: As `JsonLines` takes it.
    """

    def __init__(self, tap: Tap, threshold: Level, rules: str = "") -> None:
        self._tap = tap
        self._threshold = threshold
        self._lines = JsonLines(AllowList(threshold), rules)
        self._all_lines = JsonLines(AllowList(Level.DEBUG), rules)

    def __call__(
        self, writer: LineWriter, method: str, event_dict: MutableMapping[str, Any]
    ) -> str:
        """Render one line."""
        feed = self._tap.feed
        if feed is None:
            return self._lines(writer, method, event_dict)
        line = self._all_lines(writer, method, event_dict)
        feed.send(line)
        if EVENTS[event_dict["event"]].level < self._threshold:
            raise structlog.DropEvent
        return line


class TappedEvents:
    """structlog processor before those of the console: the feed gets JSON all the same.

    Args:
        tap: Where the feed is.
        rules: As `JsonLines` takes it.
    """

    def __init__(self, tap: Tap, rules: str = "") -> None:
        self._tap = tap
        self._all_lines = JsonLines(AllowList(Level.DEBUG), rules)
        # What is not declared is counted by the processors that come next.
        self._nobody = LineWriter(None, Losses(is_strict=False))

    def __call__(
        self, _writer: LineWriter, method: str, event_dict: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Hand the event on as it is."""
        feed = self._tap.feed
        if feed is not None and event_dict["event"] in EVENTS:
            feed.send(self._all_lines(self._nobody, method, event_dict))
        return event_dict
