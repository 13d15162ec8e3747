"""Log lines for people who watch a terminal.

Events that come by the hundred share one grid (study, who, what, size, time); all
others are `key=value`. UIDs are shortened, and some keys are left to the JSON
format, which is the one to keep. On a narrow terminal the grid is narrower, and of what
follows the third column only that is shown for which there is room. Lines of
`key=value` are never cut: what they say is said nowhere else.
"""

import os
import string
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import IO, Any, Final

from dicomanon_node.ops.judges import Value, escape

_RESET = "\x1b[0m"
_DIM, _BOLD_GREEN, _YELLOW, _BOLD_RED = "\x1b[2m", "\x1b[1;32m", "\x1b[33m", "\x1b[1;31m"
_MARKS = {"debug": " ", "info": " ", "warning": "!", "error": "E"}
_COLOURS = {"debug": _DIM, "warning": _YELLOW, "error": _BOLD_RED}

_MAX_UID = 18
_UID_HEAD, _UID_TAIL = 9, 4
_KILO = 1000
_TEN = 10  # from here on no decimal


def _short_uid(value: Value) -> str:
    text = str(value)
    return text if len(text) <= _MAX_UID else f"{text[:_UID_HEAD]}..{text[-_UID_TAIL:]}"


def _short_class(value: Value) -> str:
    text = str(value).removesuffix("Storage").removesuffix("Image")
    return _short_uid(text) if text[:1].isdigit() else text


def _size(value: Value) -> str:
    if not isinstance(value, int):
        return str(value)
    if value < _KILO:
        return f"{value} B"
    amount, unit = value / _KILO, "kB"
    for larger in ("MB", "GB", "TB"):
        if amount < _KILO:
            break
        amount, unit = amount / _KILO, larger
    return f"{amount:.{0 if amount >= _TEN else 1}f} {unit}"


def _duration(value: Value) -> str:
    if not isinstance(value, float | int):
        return str(value)
    if value < _KILO:
        return f"{value:.1f} ms"
    return f"{value / _KILO:.1f} s"


_FORMS: Mapping[str, Callable[[Value], str]] = {
    "study_uid": _short_uid,
    "series_uid": _short_uid,
    "sop_instance_uid": _short_uid,
    "sop_class": _short_class,
    "bytes": _size,
    "free_bytes": _size,
    "ms": _duration,
    "seconds": lambda value: f"{value:.1f} s" if isinstance(value, float) else str(value),
}


@dataclass(frozen=True, slots=True)
class _Row:
    """How an event fills the grid.

    Attributes:
        who: Key of the second column.
        what: Template of the third column.
        study: What the first column shows without a study.
        duration: Key of the fifth column.
        rest: Keys after the grid; zero, false and absent ones are not shown.
    """

    who: str
    what: str
    study: str = "-"
    duration: str = "ms"
    rest: tuple[str, ...] = ()


_ROWS: Mapping[str, _Row] = {
    "instance.stored": _Row(
        "calling_aet",
        "{sop_class}",
        rest=("sop_instance_uid", "duplicate", "variant", "by_default"),
    ),
    "instance.refused": _Row("calling_aet", "{status} {reason}", rest=("tag", "error")),
    "instance.abandoned": _Row("calling_aet", "association lost"),
    "study.quiet": _Row(
        "calling_aet",
        "{instances} instances, {series} series",
        duration="seconds",
        rest=("study_uid", "refused", "duplicates"),
    ),
    "association.closed": _Row(
        "calling_aet", "{how}, {stored} stored", "", rest=("refused", "peer")
    ),
    "delivery.sent": _Row("destination", "{sop_class}", "", rest=("sop_instance_uid",)),
    "delivery.deferred": _Row(
        "destination", "{status} {reason}", "", rest=("sop_instance_uid", "attempt", "retry_s")
    ),
    "delivery.failed": _Row(
        "destination", "{status} {reason}", "", rest=("sop_instance_uid", "attempt")
    ),
}
# On terminals these stand alone: their value says what they are.
_WITHOUT_NAME = frozenset({"study_uid", "series_uid", "sop_instance_uid", "tag", "error"})


class _Blanks(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class _Columns:
    """Widths of the grid, in characters."""

    name: int
    study: int
    who: int
    what: int


_WIDE: Final = _Columns(name=19, study=13, who=16, what=24)
_MEDIUM: Final = _Columns(name=18, study=13, who=12, what=20)
_NARROW: Final = _Columns(name=18, study=10, who=12, what=16)
_WIDE_FROM: Final = 120
_MEDIUM_FROM: Final = 96
_TIME: Final = 8  # HH:MM:SS


def width_of(stream: IO[str]) -> int | None:
    """Columns of the terminal a stream leads to; None if it leads to none, or to no end."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


class Console:
    """structlog processor: judged event in, readable line out.

    Args:
        has_colour: Whether to use ANSI colours.
        clock: Seconds since the epoch.
        width: Columns of the terminal at this moment; None is no bound.
    """

    def __init__(
        self,
        *,
        has_colour: bool,
        clock: Callable[[], float] = time.time,
        width: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._has_colour = has_colour
        self._clock = clock
        self._width = width

    def __call__(self, _logger: object, _method: str, event_dict: MutableMapping[str, Any]) -> str:
        """Render one line, local time."""
        level = event_dict.pop("level")
        name = event_dict.pop("event")
        return self.render(self._clock(), level, name, event_dict)

    def render(self, moment: float, level: str, name: str, values: Mapping[str, Value]) -> str:
        """One line, with its end.

        Args:
            moment: When it happened, seconds since the epoch; shown as local time.
            level: Its level.
            name: Its event.
            values: Its keys.
        """
        width = self._width()
        columns = _columns(width)
        row = _ROWS.get(name)
        is_study = name.startswith("study.")
        mark = "=" if is_study else _MARKS.get(level, " ")
        head = f"{mark} {name:<{columns.name}} "
        room = None if width is None else width - _TIME - 1 - len(head)
        line = head + (_grid(row, values, columns, room) if row else _pairs(values))
        if not line.isprintable():  # judges see to it; a terminal is worth a second look
            line = escape(line)
        line = line.rstrip()
        shown = time.strftime("%H:%M:%S", time.localtime(moment))
        if not self._has_colour:
            return f"{shown} {line}\n"
        colour = _BOLD_GREEN if is_study else _COLOURS.get(level, "")
        return f"{_DIM}{shown}{_RESET} {colour}{line}{_RESET if colour else ''}\n"


def _columns(width: int | None) -> _Columns:
    if width is None or width >= _WIDE_FROM:
        return _WIDE
    return _MEDIUM if width >= _MEDIUM_FROM else _NARROW


def _grid(row: _Row, values: Mapping[str, Value], columns: _Columns, room: int | None) -> str:
    shown = _Blanks((key, _shown(key, value)) for key, value in values.items())
    what = " ".join(string.Formatter().vformat(row.what, (), shown).split())
    study, who = shown["study"] or row.study, shown[row.who]
    if room is not None:
        study, who = _cut(study, columns.study), _cut(who, columns.who)
    line = f"{study:<{columns.study}} {who:<{columns.who}} {what:<{columns.what}}"
    for more in _after(row, values, shown):
        # What does not fit is left out, so that each event has one line of the terminal.
        if room is None or len(line) + len(more.rstrip()) <= room:
            line += more
    return line


def _after(row: _Row, values: Mapping[str, Value], shown: Mapping[str, str]) -> Iterator[str]:
    # Size and time keep their columns where they are blank.
    yield f" {shown['bytes']:>7}"
    yield f" {shown[row.duration]:>8} "
    for key in row.rest:
        if values.get(key):
            yield f" {_pairs({key: values[key]})}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 2]}.."


def _pairs(values: Mapping[str, Value]) -> str:
    return " ".join(
        key
        if value is True
        else _shown(key, value)
        if key in _WITHOUT_NAME
        else f"{key}={_shown(key, value)}"
        for key, value in values.items()
    )


def _shown(key: str, value: Value) -> str:
    form = _FORMS.get(key)
    return form(value) if form else str(value)
