"""Log lines read back: whatever carried them, out comes the event that was logged.

Takes JSON lines as they are written, as `journalctl -o cat` and `docker logs` pass them
on, behind a prefix (`docker compose logs`, `journalctl`), and inside the JSON of
`journalctl -o json` and of Docker's own files. What is no event stays a text: nothing is
raised, and nothing is judged anew.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_BEGINNING: Final = '{"timestamp":'
_ENVELOPES: Final = ("MESSAGE", "log")  # systemd.journal-fields(7); Docker's json-file driver
_HEAD: Final = ("timestamp", "level", "event")


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event, as a line told it.

    Attributes:
        line: The JSON text itself, without what was around it.
        moment: Seconds since the epoch.
        level: Its level.
        name: Its name.
        values: Its keys, but for these.
    """

    line: str
    moment: float
    level: str
    name: str
    values: Mapping[str, str | int | float | bool]


def read_line(line: str) -> LoggedEvent | None:
    """The event in a line; None if there is none."""
    start = line.find(_BEGINNING)
    event = _event(line[start:]) if start >= 0 else None
    if event is None and line.lstrip().startswith("{"):
        event = _unwrapped(line)
    return event


def _unwrapped(line: str) -> LoggedEvent | None:
    content = _object(line)
    for key in _ENVELOPES:
        text = content.get(key)
        if isinstance(text, str) and text.startswith(_BEGINNING):
            return _event(text)
    return None


def _event(text: str) -> LoggedEvent | None:
    text = text.strip()
    content = _object(text)
    timestamp, level, name = (content.get(key) for key in _HEAD)
    if not (isinstance(timestamp, str) and isinstance(level, str) and isinstance(name, str)):
        return None
    moment = _moment(timestamp)
    if moment is None:
        return None
    values = {
        key: value if isinstance(value, str | int | float) else json.dumps(value)
        for key, value in content.items()
        if key not in _HEAD
    }
    return LoggedEvent(text, moment, level, name, values)


def _object(text: str) -> dict[str, object]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _moment(timestamp: str) -> float | None:
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, ValueError):
        return None
