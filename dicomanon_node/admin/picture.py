"""All that is known about the node, as the documents of the API. Reads memory only.

The stock of the spool is replaced as a whole by whoever looks; everything else belongs
to one event loop.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import dicomanon_node
from dicomanon_node.admin import documents as doc
from dicomanon_node.admin import words
from dicomanon_node.admin.history import DestinationState, History, Line, Study
from dicomanon_node.admin.shelves import Shelf, Stock
from dicomanon_node.config import Config
from dicomanon_node.config.describe import describe
from dicomanon_node.deid.rules import StudyRules
from dicomanon_node.review import coverage

_MINUTE: Final = 60
_FULL_S: Final = 30.0
"""A receiver that found no room tells it once: after that long the file system is believed."""


class Picture:
    """What there is to be seen.

    Args:
        config: The configuration in force.
        history: What the log told.
        uncovered: Attributes of Table E.1-1 that a study's rules do not cover.

    Attributes:
        stock: What lies in the spool; replaced by whoever looks. None before the first look.
        looked_at: When that was, monotonic seconds.
        lost_count: Log lines the console did not hear.
    """

    def __init__(
        self,
        config: Config,
        history: History,
        uncovered: Callable[[StudyRules], list[str]],
    ) -> None:
        self.config = config
        self.history = history
        self.stock: Stock | None = None
        self.looked_at: float | None = None
        self.lost_count = 0
        self._uncovered = uncovered
        self._rules: dict[str, doc.Rules] = {}
        self._configuration: doc.Configuration | None = None

    def follow(self, config: Config) -> None:
        """Another configuration is in force; what came under the one before stays."""
        self.config = config
        self._rules.clear()
        self._configuration = None
        for entry in config.node.destinations:
            self.history.destinations.setdefault(entry.name, DestinationState())

    def readiness(self) -> doc.Readiness:
        """Whether the node takes objects, and why not."""
        reasons = list(self._not_ready())
        return doc.Readiness(ready=not reasons, reasons=reasons)

    def _not_ready(self) -> Iterator[str]:
        if self.stock is None:
            yield "starting"
            return
        if self.history.is_draining:
            yield "draining"
        if not self.receiver_count():
            yield "no-receiver"
        free = self.stock.free_bytes
        full_at = self.history.spool_full_at
        if free is None or self.stock.is_read_only:
            yield "spool-unavailable"
        elif free < self.config.node.storage.low_water_bytes:
            yield "disk-full"
        elif full_at is not None and time.monotonic() - full_at < _FULL_S:
            yield "spool-unavailable"
        if self._full_queues():
            yield "queue-full"

    def _full_queues(self) -> set[str]:
        # Told by the node when it begins; seen in the queue if the console came later.
        high = self.config.node.storage.queue_high_water
        shelves = self.stock.shelves if self.stock else ()
        return self.history.full_queues | {
            shelf.destination for shelf in shelves if 0 < high <= shelf.waiting_count
        }

    def receiver_count(self) -> int:
        """Receiver processes that run."""
        return sum(_lives(pid) for pid in self.history.receivers)

    def overview(self) -> doc.Overview:
        """The node at a glance."""
        return doc.Overview(
            version=dicomanon_node.__version__,
            rules=self.config.rules.digest,
            ae_title=self.config.node.listener.ae_title,
            readiness=self.readiness(),
            throughput=self.throughput(),
            associations=len(self.history.associations),
            studies=len(self.history.studies),
            free_bytes=None if self.stock is None else self.stock.free_bytes,
            last_stored=self.history.last_stored_time,
            lines_lost=self.lost_count,
            destinations=self.destinations(),
        )

    def throughput(self) -> doc.Throughput:
        """What comes."""
        history = self.history
        seconds = history.rates.last(time.monotonic(), _MINUTE)
        return doc.Throughput(
            stored_per_s=_rate(sum(each.stored_count for each in seconds)),
            stored_bytes_per_s=_rate(sum(each.stored_bytes for each in seconds)),
            refused_per_s=_rate(sum(each.refused_count for each in seconds)),
            delivered_per_s=_rate(sum(each.delivered_count for each in seconds)),
            stored=history.stored.total(),
            stored_bytes=history.bytes_count,
            refused=history.refused.total(),
        )

    def associations(self) -> list[doc.Association]:
        """The open ones, the newest first."""
        return [
            doc.Association(
                association=each.association,
                calling_aet=each.calling_aet,
                called_aet=each.called_aet,
                peer=each.peer,
                opened=each.opened_time,
                stored=each.stored_count,
                refused=each.refused_count,
                bytes=each.bytes_count,
            )
            for each in reversed(self.history.associations.values())
        ]

    def destinations(self) -> list[doc.Destination]:
        """All configured destinations."""
        stock = self.stock or Stock()
        shelves = {shelf.destination: shelf for shelf in stock.shelves}
        return [
            _destination(
                entry.name,
                entry.kind,
                self.history.destinations.get(entry.name, DestinationState()),
                shelves.get(entry.name),
                is_readable=entry.name not in stock.unreadable,
            )
            for entry in self.config.node.destinations
        ]

    def studies(self) -> list[doc.Study]:
        """Studies, the one that was heard of last first."""
        return [self._study(study) for study in self.history.newest_studies()]

    def study(self, study: str, study_uid: str) -> doc.Study | None:
        """One of them."""
        found = self.history.studies.get((study, study_uid))
        return None if found is None else self._study(found)

    def _study(self, study: Study) -> doc.Study:
        names = dict.fromkeys([*study.delivered, *study.failed])
        rules = self.config.rules.studies.get(study.study)
        if rules is not None:
            wanted = rules.destinations
            if wanted is None:
                wanted = tuple(entry.name for entry in self.config.node.destinations)
            names = dict.fromkeys([*wanted, *names])
        return doc.Study(
            study=study.study,
            study_uid=study.study_uid,
            calling_aet=study.calling_aet,
            rules=study.rules,
            by_default=study.by_default,
            first=study.first_time,
            last=study.last_time,
            quiet=study.is_quiet,
            series=len(study.series),
            instances=study.instance_count,
            duplicates=study.duplicate_count,
            bytes=study.bytes_count,
            queued=study.queued_count,
            progress=[
                doc.Progress(
                    destination=name, delivered=study.delivered[name], failed=study.failed[name]
                )
                for name in names
            ],
        )

    def refusals(self, limit: int = 100) -> doc.Refusals:
        """Refused instances."""
        last = list(self.history.refusals)[-limit:]
        counts = []
        for (study, reason, status), count in self.history.refused.most_common():
            said = words.of_refusal(reason)
            counts.append(
                doc.RefusalCount(
                    study=study,
                    reason=reason,
                    status=status,
                    count=count,
                    meaning=said.meaning,
                    cure=said.cure,
                )
            )
        return doc.Refusals(counts=counts, last=[_refusal(line) for line in reversed(last)])

    def failures(self) -> doc.Failures:
        """Deliveries that failed for good."""
        stock = self.stock or Stock()
        entries = []
        for shelf in stock.shelves:
            for entry in shelf.failed:
                said = words.of_failure(entry.reason)
                entries.append(
                    doc.Failure(
                        destination=shelf.destination,
                        entry=entry.name,
                        reason=entry.reason,
                        status=entry.status,
                        attempts=entry.attempts,
                        time=entry.time,
                        bytes=entry.size_bytes,
                        meaning=said.meaning,
                        cure=said.cure,
                    )
                )
        total = sum(shelf.failed_count for shelf in stock.shelves)
        return doc.Failures(total=total, entries=entries)

    def holds(self) -> doc.Holds:
        """Refused objects in the hold."""
        stock = self.stock or Stock()
        entries = []
        for held in stock.held:
            said = words.of_refusal(held.reason)
            entries.append(
                doc.Held(
                    entry=held.entry,
                    time=held.time,
                    reason=held.reason,
                    study=held.study,
                    calling_aet=held.calling_aet,
                    tag=held.tag,
                    bytes=held.size_bytes,
                    meaning=said.meaning,
                    cure=said.cure,
                )
            )
        enabled = self.config.node.hold.enabled
        return doc.Holds(enabled=enabled, total=stock.held_count, entries=entries)

    def rules(self, study: str) -> doc.Rules | None:
        """The rules of a study against Table E.1-1; None if it is not configured."""
        found = self._rules.get(study)
        if found is None and study in self.config.rules.studies:
            book = self.config.rules
            form = coverage.as_json([coverage.of(book.studies[study])], book.digest)
            [as_study] = form["studies"]
            found = self._rules[study] = doc.Rules.model_validate(as_study)
        return found

    def configuration(self) -> doc.Configuration:
        """The configuration in force, without its secrets."""
        if self._configuration is None:
            self._configuration = doc.Configuration(
                digest=self.config.rules.digest,
                # node.toml never holds a secret, only the names of the files that do.
                node=self.config.node.model_dump(mode="json"),
                description=describe(self.config, self._uncovered),
            )
        return self._configuration

    def log(self, wanted: Mapping[str, str], limit: int = 200) -> list[doc.LogLine]:
        """The newest lines, newest first.

        Args:
            wanted: Keys and the value each must have; `level` is the lowest.
            limit: How many at most.
        """
        levels = ("debug", "info", "warning", "error")
        lowest = wanted.get("level", "debug")
        accepted = levels[levels.index(lowest) :] if lowest in levels else levels
        others = {key: value for key, value in wanted.items() if key != "level"}

        def accept(line: Line) -> bool:
            return line.get("level") in accepted and all(
                _matches(line, key, value) for key, value in others.items()
            )

        found = self.history.lines(accept, limit)
        return [doc.LogLine(number=number, line=dict(line)) for number, line in found]


def _matches(line: Line, key: str, value: str) -> bool:
    text = str(line.get(key, ""))
    # A family of events: `delivery` is all of `delivery.sent`, `delivery.failed` ...
    return text == value or (key == "event" and text.startswith(value + "."))


def _destination(
    name: str, kind: str, state: DestinationState, shelf: Shelf | None, *, is_readable: bool
) -> doc.Destination:
    word = "idle"
    if state.is_down:
        word = "down"
    elif state.sent_count or state.since:
        word = "up"
    return doc.Destination(
        destination=name,
        kind=kind,
        state=word,
        since=state.since,
        reason=state.reason,
        waiting=shelf.waiting_count if shelf else 0,
        oldest_s=shelf.oldest_s if shelf else None,
        failed=shelf.failed_count if shelf else 0,
        sent=state.sent_count,
        sent_bytes=state.sent_bytes,
        deferred=state.deferred_count,
        last_sent=state.last_sent_time,
        readable=is_readable,
    )


def _refusal(line: Line) -> doc.Refusal:
    said = words.of_refusal(str(line.get("reason")))
    kept: dict[str, Any] = {
        key: line.get(key) for key in ("study", "calling_aet", "status", "tag", "sop_class")
    }
    return doc.Refusal(
        time=str(line.get("timestamp")),
        reason=str(line.get("reason")),
        meaning=said.meaning,
        cure=said.cure,
        **kept,
    )


def _rate(count: int) -> float:
    return round(count / _MINUTE, 2)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
