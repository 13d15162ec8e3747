"""Every metric, declared once: name, kind, meaning, labels, and where its value is from.

Values are read when they are asked for; nothing is counted twice. Labels are words of
the configuration, of the program and of DICOM: studies and destinations that are
configured, reasons, status words. Nothing a peer sends is a label. `docs/monitoring.md`
is made from these declarations (`reference`).
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

import dicomanon_node
from dicomanon_node.admin.picture import Picture
from dicomanon_node.admin.rates import Durations
from dicomanon_node.admin.shelves import Stock

PREFIX: Final = "dicomanon_"

MAX_SERIES: Final = 1000
"""Series of one metric, at most. There are as many as the configuration has names; a site with
more studies than that keeps a monitoring that works, and sees the first ones."""

Sample = tuple[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class Declared:
    """A metric.

    Attributes:
        name: With prefix, as it is exposed.
        kind: "counter", "gauge" or "histogram".
        meaning: One sentence.
        labels: Names of its labels.
        read: Its samples now; nothing for what is not known.
    """

    name: str
    kind: str
    meaning: str
    labels: tuple[str, ...]
    read: Callable[[Picture], Iterable[Sample]]


def _declare(
    name: str,
    kind: str,
    meaning: str,
    read: Callable[[Picture], Iterable[Sample]],
    *labels: str,
) -> Declared:
    return Declared(PREFIX + name, kind, meaning, labels, read)


def _one(read: Callable[[Picture], float | None]) -> Callable[[Picture], Iterable[Sample]]:
    def samples(picture: Picture) -> Iterator[Sample]:
        value = read(picture)
        if value is not None:
            yield (), value

    return samples


def _each(
    read: Callable[[Picture], Iterable[tuple[str, float | None]]],
) -> Callable[[Picture], Iterable[Sample]]:
    def samples(picture: Picture) -> Iterator[Sample]:
        for name, value in read(picture):
            if value is not None:
                yield (name,), value

    return samples


def _stock(picture: Picture) -> Stock:
    return picture.stock or Stock()


DECLARED: Final = (
    # The node.
    _declare(
        "info",
        "gauge",
        "Always 1; the labels say which version runs with which rules.",
        lambda p: [((dicomanon_node.__version__, p.config.rules.digest), 1.0)],
        "version",
        "rules",
    ),
    _declare(
        "ready",
        "gauge",
        "1 while the node takes objects, as /readyz says.",
        _one(lambda p: float(p.readiness().ready)),
    ),
    _declare(
        "not_ready",
        "gauge",
        "1 for each reason why the node takes no objects.",
        _each(lambda p: [(reason, 1.0) for reason in p.readiness().reasons]),
        "reason",
    ),
    _declare(
        "receivers",
        "gauge",
        "Receiver processes that run.",
        _one(lambda p: float(p.receiver_count())),
    ),
    _declare(
        "processes_died_total",
        "counter",
        "Processes of the node that ended unasked; each was replaced.",
        _each(lambda p: [(role, float(count)) for role, count in p.history.deaths.items()]),
        "role",
    ),
    _declare(
        "log_lines_total",
        "counter",
        "Log lines by level, whether or not the level is logged.",
        _each(lambda p: [(level, float(count)) for level, count in p.history.levels.items()]),
        "level",
    ),
    _declare(
        "internal_errors_total",
        "counter",
        "Faults of the program itself: internal.error in the log.",
        _one(lambda p: float(p.history.counts["internal.error"])),
    ),
    _declare(
        "feed_lost_total",
        "counter",
        "Log lines the console did not hear; what is counted here is too low by as many events.",
        _one(lambda p: float(p.lost_count)),
    ),
    # What comes.
    _declare(
        "associations_open",
        "gauge",
        "Associations that are open.",
        _one(lambda p: float(len(p.history.associations))),
    ),
    _declare(
        "associations_closed_total",
        "counter",
        "Associations that ended, by how: released, aborted, lost, timeout, ...",
        _each(lambda p: [(how, float(count)) for how, count in p.history.closed.items()]),
        "how",
    ),
    _declare(
        "associations_rejected_total",
        "counter",
        "Associations that were rejected.",
        _each(lambda p: [(why, float(count)) for why, count in p.history.rejected.items()]),
        "reason",
    ),
    _declare(
        "instances_stored_total",
        "counter",
        "Instances answered 0000H; duplicate is true for those that came once more.",
        lambda p: [
            ((study, str(is_duplicate).lower()), float(count))
            for (study, is_duplicate), count in p.history.stored.items()
        ],
        "study",
        "duplicate",
    ),
    _declare(
        "stored_bytes_total",
        "counter",
        "Data sets of the instances stored, bytes.",
        _one(lambda p: float(p.history.bytes_count)),
    ),
    _declare(
        "instances_refused_total",
        "counter",
        "Instances answered with a failure; study is - where none was found.",
        lambda p: [(labels, float(count)) for labels, count in p.history.refused.items()],
        "study",
        "reason",
        "status",
    ),
    _declare(
        "store_seconds",
        "histogram",
        "From the first fragment of an instance to its answer 0000H, seconds.",
        lambda _p: (),
    ),
    _declare(
        "last_stored_timestamp_seconds",
        "gauge",
        "When an instance was last stored, seconds since the epoch.",
        _one(lambda p: p.history.last_stored_s),
    ),
    # What goes.
    _declare(
        "destination_up",
        "gauge",
        "0 while a destination is down, else 1.",
        _each(
            lambda p: [
                (entry.name, 0.0 if p.history.destinations[entry.name].is_down else 1.0)
                for entry in p.config.node.destinations
            ]
        ),
        "destination",
    ),
    _declare(
        "deliveries_total",
        "counter",
        "Instances a destination has taken.",
        _each(lambda p: [(n, float(d.sent_count)) for n, d in p.history.destinations.items()]),
        "destination",
    ),
    _declare(
        "delivered_bytes_total",
        "counter",
        "Data sets a destination has taken, bytes.",
        _each(lambda p: [(n, float(d.sent_bytes)) for n, d in p.history.destinations.items()]),
        "destination",
    ),
    _declare(
        "deliveries_deferred_total",
        "counter",
        "Times a destination did not take an instance and is asked again.",
        _each(lambda p: [(n, float(d.deferred_count)) for n, d in p.history.destinations.items()]),
        "destination",
    ),
    _declare(
        "deliveries_failed_total",
        "counter",
        "Instances a destination refused for good.",
        _each(lambda p: [(n, float(d.failed_count)) for n, d in p.history.destinations.items()]),
        "destination",
    ),
    _declare(
        "queue_entries",
        "gauge",
        "Instances that wait for a destination.",
        _each(lambda p: [(s.destination, float(s.waiting_count)) for s in _stock(p).shelves]),
        "destination",
    ),
    _declare(
        "queue_oldest_seconds",
        "gauge",
        "How long the oldest of them has waited, seconds; 0 if none waits.",
        _each(lambda p: [(s.destination, s.oldest_s or 0.0) for s in _stock(p).shelves]),
        "destination",
    ),
    _declare(
        "failed_entries",
        "gauge",
        "Instances in failed/, which wait for somebody.",
        _each(lambda p: [(s.destination, float(s.failed_count)) for s in _stock(p).shelves]),
        "destination",
    ),
    _declare(
        "queue_unreadable",
        "gauge",
        "1 if a destination's directories in the spool cannot be read.",
        _each(
            lambda p: [
                (entry.name, float(entry.name in _stock(p).unreadable))
                for entry in p.config.node.destinations
            ]
        ),
        "destination",
    ),
    _declare(
        "held_entries",
        "gauge",
        "Refused objects in the hold, which wait for somebody.",
        _one(lambda p: float(_stock(p).held_count)),
    ),
    # The disk.
    _declare(
        "spool_free_bytes",
        "gauge",
        "Room on the spool's file system, bytes.",
        _one(lambda p: _stock(p).free_bytes),
    ),
    _declare(
        "spool_low_water_bytes",
        "gauge",
        "Room under which objects are refused with A700H, bytes.",
        _one(lambda p: float(p.config.node.storage.low_water_bytes)),
    ),
    _declare(
        "stock_age_seconds",
        "gauge",
        "How long ago the spool was looked at for these figures, seconds.",
        _one(lambda p: None if p.looked_at is None else time.monotonic() - p.looked_at),
    ),
)


class NodeCollector(Collector):
    """Gives prometheus-client what is declared, read at the moment it asks.

    Args:
        picture: What is known.
    """

    def __init__(self, picture: Picture) -> None:
        self._picture = picture

    def collect(self) -> Iterator[Metric]:
        """All metrics with their samples."""
        for declared in DECLARED:
            if declared.kind == "histogram":
                yield _histogram(declared, self._picture.history.durations)
                continue
            kind = CounterMetricFamily if declared.kind == "counter" else GaugeMetricFamily
            family = kind(declared.name, declared.meaning, labels=declared.labels)
            for labels, value in islice(declared.read(self._picture), MAX_SERIES):
                family.add_metric(labels, value)
            yield family


def _histogram(declared: Declared, durations: Durations) -> Metric:
    bounds = [f"{bound:g}" for bound in Durations.BOUNDS_S] + ["+Inf"]
    family = HistogramMetricFamily(declared.name, declared.meaning, labels=declared.labels)
    cumulated = [float(count) for count in accumulate(durations.counts)]
    family.add_metric((), list(zip(bounds, cumulated, strict=True)), durations.sum_s)
    return family
