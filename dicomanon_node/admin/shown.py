"""Values as people read them: sizes, durations, times, a line of the log, a chart."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

_KILO: Final = 1000
_TEN: Final = 10
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400

CHART_WIDTH: Final = 600
CHART_HEIGHT: Final = 96


def size(value: float | None) -> str:
    """Bytes, decimal units."""
    if value is None:
        return "unknown"
    amount, unit = float(value), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < _KILO:
            break
        amount, unit = amount / _KILO, larger
    return f"{amount:.{0 if unit == 'B' or amount >= _TEN else 1}f} {unit}"


def duration(value: float | None) -> str:
    """Seconds."""
    if value is None:
        return "none"
    seconds = int(value)
    if seconds < _MINUTE_S:
        return f"{seconds} s"
    if seconds < _HOUR_S:
        return f"{seconds // _MINUTE_S} min {seconds % _MINUTE_S} s"
    if seconds < _DAY_S:
        return f"{seconds // _HOUR_S} h {seconds % _HOUR_S // _MINUTE_S} min"
    return f"{seconds // _DAY_S} d {seconds % _DAY_S // _HOUR_S} h"


def count(value: float) -> str:
    """A number, thousands apart."""
    return f"{value:,}".replace(",", "\u202f")


def moment(value: str | None) -> str:
    """A time of the log, UTC, without its fraction."""
    if not value:
        return "never"
    return value[:19].replace("T", " ")


def rest(line: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The keys of a log line that have no column of their own."""
    own = {"timestamp", "level", "event"}
    return [
        (key, str(value).lower() if isinstance(value, bool) else str(value))
        for key, value in line.items()
        if key not in own
    ]


def chart(values: Sequence[int]) -> list[tuple[float, float, float, float]]:
    """Bars: x, y, width and height within `CHART_WIDTH` and `CHART_HEIGHT`."""
    most = max(values, default=0)
    if not most:
        return []
    step = CHART_WIDTH / len(values)
    bars = []
    for index, value in enumerate(values):
        height = CHART_HEIGHT * value / most
        if value:
            bars.append((index * step, CHART_HEIGHT - height, step * 0.8, height))
    return bars


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "size": size,
    "duration": duration,
    "count": count,
    "moment": moment,
    "rest": rest,
}
