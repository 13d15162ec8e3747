"""What the log has told, held in memory: bounded, newest first, lost at the end.

Pure: it is given decoded log lines and the time, and knows no clock, socket or file.
Not thread-safe. Every value was judged before it came; a page escapes it all the same.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, Final

from dicomanon_node.admin.rates import Durations, Rates

Line = Mapping[str, Any]

MAX_LINES: Final = 2000
MAX_STUDIES: Final = 1000
MAX_REFUSALS: Final = 500
MAX_ASSOCIATIONS: Final = 10_000
MAX_SERIES: Final = 2000  # of one study; beyond it the count stays
MAX_INSTANCES: Final = 100_000
"""So many instances are remembered for what becomes of them at destinations: some 15 MB."""

UNKNOWN_STUDY: Final = "-"
"""Stands for the study of what was refused before there was one."""

_NO_LOG: Final = frozenset({"association.opened", "association.ended"})
"""Not in the tail: the feed has them for the list of associations."""


@dataclass(slots=True)
class Study:
    """What has come of one study, by its new Study Instance UID."""

    study: str
    study_uid: str
    calling_aet: str
    rules: str
    first_time: str
    last_time: str
    by_default: bool = False
    instance_count: int = 0
    duplicate_count: int = 0
    bytes_count: int = 0
    queued_count: int = 0
    is_quiet: bool = False
    series: set[str] = field(default_factory=set)
    delivered: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Association:
    """An association that is open."""

    association: str
    calling_aet: str
    called_aet: str
    peer: str
    opened_time: str
    pid: int
    stored_count: int = 0
    refused_count: int = 0
    bytes_count: int = 0


@dataclass(slots=True)
class DestinationState:
    """How deliveries to one destination go."""

    is_down: bool = False
    since: str | None = None
    reason: str | None = None
    sent_count: int = 0
    sent_bytes: int = 0
    deferred_count: int = 0
    failed_count: int = 0
    last_sent_time: str | None = None
    last_ms: float | None = None


@dataclass(slots=True)
class _Instance:
    # Whose it is, and who has taken or refused it: a duplicate is delivered once more, and a
    # quick courier may be heard of before the receiver has told that there is something.

    study: tuple[str, str] | None = None
    delivered: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


class History:
    """Takes log lines; everything else is for looking.

    Args:
        destinations: The configured ones: they are known before anything comes.

    Attributes:
        version: Grows with every line: has anything changed?
        associations: The open ones, by identifier.
        studies: Studies, the one that was heard of last at the end.
        refusals: Refused instances, the newest last.
        destinations: By name.
        stored: Instances stored, by study and whether they are duplicates.
        refused: Instances refused, by study, reason and status.
        closed: Associations ended, by how.
        rejected: Associations rejected, by reason.
        levels: Lines, by level.
        counts: Lines, by event.
        bytes_count: Data sets stored, bytes.
        receivers: Process numbers of the receivers that run, as far as was told.
        deaths: Processes that died, by role.
        is_draining: The node was told to end.
        full_queues: Destinations whose queue takes no more.
        spool_full_at: When a receiver last said so, monotonic seconds; None once there is room.
        durations: How long instances stored took.
        last_stored_time: When the last one was stored, as the log has it.
        last_stored_s: The same, seconds since the epoch.
    """

    def __init__(self, destinations: tuple[str, ...] = ()) -> None:
        self.version = 0
        self.rates = Rates()
        self.associations: dict[str, Association] = {}
        self.studies: OrderedDict[tuple[str, str], Study] = OrderedDict()
        self.refusals: deque[Line] = deque(maxlen=MAX_REFUSALS)
        self.destinations = {name: DestinationState() for name in destinations}
        self.stored: Counter[tuple[str, bool]] = Counter()
        self.refused: Counter[tuple[str, str, str]] = Counter()
        self.closed: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        self.levels: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.bytes_count = 0
        self.receivers: set[int] = set()
        self.deaths: Counter[str] = Counter()
        self.is_draining = False
        self.full_queues: set[str] = set()
        self.spool_full_at: float | None = None
        self.durations = Durations()
        self.last_stored_time: str | None = None
        self.last_stored_s: float | None = None
        self._lines: deque[tuple[int, Line]] = deque(maxlen=MAX_LINES)
        # Which study an instance is of; the oldest is forgotten first.
        self._instances: OrderedDict[int, _Instance] = OrderedDict()
        self._take: Mapping[str, Callable[[Line, float], None]] = {
            "association.opened": self._opened,
            "association.closed": self._closed,
            "association.ended": self._gone,
            "association.rejected": self._rejected,
            "instance.stored": self._stored,
            "instance.refused": self._refused,
            "study.quiet": self._quiet,
            "delivery.sent": self._sent,
            "delivery.deferred": self._deferred,
            "delivery.failed": self._failed,
            "destination.down": self._down,
            "destination.up": self._up,
            "process.started": self._started,
            "process.exited": self._ended,
            "process.died": self._ended,
            "node.draining": self._draining,
            "queue.full": self._queue_full,
            "queue.available": self._queue_available,
            "spool.full": self._spool_full,
            "spool.available": self._spool_available,
        }

    def add(self, line: Line, now: float) -> None:
        """Take a line.

        Args:
            line: Decoded.
            now: Seconds, monotonic.
        """
        self.version += 1
        event = str(line["event"])
        if event not in _NO_LOG:
            self._lines.append((self.version, line))
            self.levels[str(line.get("level", ""))] += 1
            self.counts[event] += 1
        take = self._take.get(event)
        if take is not None:
            take(line, now)

    def lines(self, accept: Callable[[Line], bool], limit: int) -> list[tuple[int, Line]]:
        """The newest lines that are accepted, newest first."""
        return list(islice((each for each in reversed(self._lines) if accept(each[1])), limit))

    def newest_studies(self) -> Iterator[Study]:
        """Studies, the one that was heard of last first."""
        return reversed(self.studies.values())

    def _opened(self, line: Line, _now: float) -> None:
        if len(self.associations) < MAX_ASSOCIATIONS:
            name = _text(line, "association")
            self.associations[name] = Association(
                name,
                _text(line, "calling_aet"),
                _text(line, "called_aet"),
                _text(line, "peer"),
                _text(line, "timestamp"),
                _number(line, "pid"),
            )

    def _closed(self, line: Line, _now: float) -> None:
        self.closed[_text(line, "how")] += _number(line, "count") or 1
        self._gone(line, _now)

    def _gone(self, line: Line, _now: float) -> None:
        self.associations.pop(_text(line, "association"), None)

    def _rejected(self, line: Line, _now: float) -> None:
        self.rejected[_text(line, "reason")] += _number(line, "count") or 1

    def _stored(self, line: Line, now: float) -> None:
        name, size = _text(line, "study"), _number(line, "bytes")
        is_duplicate = line.get("duplicate") is True
        self.last_stored_time = _text(line, "timestamp")
        self.last_stored_s = _seconds(self.last_stored_time)
        self.stored[name, is_duplicate] += 1
        self.bytes_count += size
        self.durations.add(line.get("ms"))
        self.rates.stored(now, size)
        association = self.associations.get(_text(line, "association"))
        if association is not None:
            association.stored_count += 1
            association.bytes_count += size
        key = (name, _text(line, "study_uid"))
        study = self._study(key, line)
        study.is_quiet = False
        study.last_time = self.last_stored_time
        study.rules = _text(line, "rules")
        study.bytes_count += size
        if is_duplicate or line.get("variant") is True:  # of a UID that was here before
            study.duplicate_count += 1
            return
        study.instance_count += 1
        study.queued_count += _number(line, "destination_count")
        if len(study.series) < MAX_SERIES:
            study.series.add(_text(line, "series_uid"))
        if self.destinations:
            instance = self._instance(line)
            if instance.study is None:
                instance.study = key
                study.delivered.update(instance.delivered)
                study.failed.update(instance.failed)

    def _study(self, key: tuple[str, str], line: Line) -> Study:
        study = self.studies.get(key)
        if study is None:
            time = _text(line, "timestamp")
            sender, rules = _text(line, "calling_aet"), _text(line, "rules")
            study = Study(*key, sender, rules, time, time, line.get("by_default") is True)
            self.studies[key] = study
            if len(self.studies) > MAX_STUDIES:
                self.studies.popitem(last=False)
        else:
            self.studies.move_to_end(key)
        return study

    def _refused(self, line: Line, now: float) -> None:
        study = _text(line, "study") or UNKNOWN_STUDY
        self.refused[study, _text(line, "reason"), _text(line, "status")] += 1
        self.refusals.append(line)
        self.rates.refused(now)
        association = self.associations.get(_text(line, "association"))
        if association is not None:
            association.refused_count += 1

    def _quiet(self, line: Line, _now: float) -> None:
        study = self.studies.get((_text(line, "study"), _text(line, "study_uid")))
        if study is not None:
            study.is_quiet = True

    def _sent(self, line: Line, now: float) -> None:
        name = _text(line, "destination")
        state = self._destination(name)
        state.sent_count += 1
        state.sent_bytes += _number(line, "bytes")
        state.last_sent_time = _text(line, "timestamp")
        state.last_ms = line.get("ms")
        self.rates.delivered(now)
        instance = self._instance(line)
        if name not in instance.delivered:
            instance.delivered = (*instance.delivered, name)
            study = self._study_of(instance)
            if study is not None:
                study.delivered[name] += 1

    def _deferred(self, line: Line, _now: float) -> None:
        self._destination(_text(line, "destination")).deferred_count += 1

    def _failed(self, line: Line, _now: float) -> None:
        name = _text(line, "destination")
        self._destination(name).failed_count += 1
        instance = self._instance(line)
        if name not in instance.failed:
            instance.failed = (*instance.failed, name)
            study = self._study_of(instance)
            if study is not None:
                study.failed[name] += 1

    def _instance(self, line: Line) -> _Instance:
        number = hash(line.get("sop_instance_uid"))
        instance = self._instances.get(number)
        if instance is None:
            instance = self._instances[number] = _Instance()
            if len(self._instances) > MAX_INSTANCES:
                self._instances.popitem(last=False)
        return instance

    def _study_of(self, instance: _Instance) -> Study | None:
        return None if instance.study is None else self.studies.get(instance.study)

    def _down(self, line: Line, _now: float) -> None:
        state = self._destination(_text(line, "destination"))
        if not state.is_down:
            state.is_down, state.since = True, _text(line, "timestamp")
        state.reason = _text(line, "reason")

    def _up(self, line: Line, _now: float) -> None:
        state = self._destination(_text(line, "destination"))
        state.is_down, state.since, state.reason = False, _text(line, "timestamp"), None

    def _destination(self, name: str) -> DestinationState:
        # Names that are not configured come as one word, so there are not more of them.
        return self.destinations.setdefault(name, DestinationState())

    def _started(self, line: Line, _now: float) -> None:
        if line.get("role") == "receiver":
            self.receivers.add(_number(line, "pid"))

    def _ended(self, line: Line, _now: float) -> None:
        pid = _number(line, "pid")
        self.receivers.discard(pid)
        if line["event"] == "process.died":
            self.deaths[_text(line, "role")] += 1
        for name in [each.association for each in self.associations.values() if each.pid == pid]:
            del self.associations[name]

    def _draining(self, _line: Line, _now: float) -> None:
        self.is_draining = True

    def _queue_full(self, line: Line, _now: float) -> None:
        self.full_queues.add(_text(line, "destination"))

    def _queue_available(self, line: Line, _now: float) -> None:
        self.full_queues.discard(_text(line, "destination"))

    def _spool_full(self, _line: Line, now: float) -> None:
        self.spool_full_at = now

    def _spool_available(self, _line: Line, _now: float) -> None:
        self.spool_full_at = None


def _text(line: Line, key: str) -> str:
    value = line.get(key)
    return "" if value is None else str(value)


def _number(line: Line, key: str) -> int:
    value = line.get(key)
    return value if isinstance(value, int) else 0


def _seconds(time: str) -> float | None:
    try:
        return datetime.fromisoformat(time).timestamp()
    except ValueError:
        return None
