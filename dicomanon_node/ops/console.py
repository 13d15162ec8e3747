"""Log lines for people who watch a terminal.

Events that come by the hundred share one grid (study, who, what, size, time); all
others are `key=value`. UIDs are shortened, and some keys are left to the JSON
format, which is the one to keep.
"""

import string
import time
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

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


class Console:
    """structlog processor: judged event in, readable line out.

    Args:
        has_colour: Whether to use ANSI colours.
        clock: Seconds since the epoch.
    """

    def __init__(self, *, has_colour: bool, clock: Callable[[], float] = time.time) -> None:
        self._has_colour = has_colour
        self._clock = clock

    def __call__(self, _logger: object, _method: str, event_dict: MutableMapping[str, Any]) -> str:
        """Render one line, local time."""
        level = event_dict.pop("level")
        name = event_dict.pop("event")
        row = _ROWS.get(name)
        is_study = name.startswith("study.")
        body = _grid(row, event_dict) if row else _pairs(event_dict)
        moment = time.strftime("%H:%M:%S", time.localtime(self._clock()))
        mark = "=" if is_study else _MARKS[level]
        line = f"{mark} {name:<19} {body}"
        if not line.isprintable():  # judges see to it; a terminal is worth a second look
            line = escape(line)
        line = line.rstrip()
        if not self._has_colour:
            return f"{moment} {line}\n"
        colour = _BOLD_GREEN if is_study else _COLOURS.get(level, "")
        return f"{_DIM}{moment}{_RESET} {colour}{line}{_RESET if colour else ''}\n"


def _grid(row: _Row, values: Mapping[str, Value]) -> str:
    shown = _Blanks((key, _shown(key, value)) for key, value in values.items())
    what = " ".join(string.Formatter().vformat(row.what, (), shown).split())
    line = (
        f"{shown['study'] or row.study:<13} {shown[row.who]:<16} {what:<24} "
        f"{shown['bytes']:>7} {shown[row.duration]:>8}"
    )
    return f"{line}  {_pairs({key: values[key] for key in row.rest if values.get(key)})}"


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
