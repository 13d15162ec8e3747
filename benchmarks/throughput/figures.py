"""What was measured, as values, and what several rounds of it come to."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

_MS: Final = 1e6  # nanoseconds


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement. Times of answers are milliseconds, memory is MiB.

    Attributes:
        section: Which part of the benchmark.
        case: What was done: an input, a way of sending.
        associations: At a time.
        arm: Who did it.
        objects: How many.
        size_bytes: Of all of them.
        seconds: Until the last output file was there.
        cpu_ms: Processor time of the server's tree for one object.
        rss: Peak of the tree, shared pages counted in each process.
        pss: Peak of the tree, shared pages counted once.
        p50: Answer time.
        p99: Answer time.
        sync_p99: The disk's own: what makes one file durable.
    """

    section: str
    case: str
    associations: int
    arm: str
    objects: int
    size_bytes: int
    seconds: float
    cpu_ms: float | None = None
    rss: float | None = None
    pss: float | None = None
    p50: float | None = None
    p99: float | None = None
    sync_p99: float | None = None

    @property
    def rate(self) -> float:
        """Objects a second."""
        return self.objects / self.seconds

    @property
    def mb_s(self) -> float:
        """Megabytes (10^6) a second."""
        return self.size_bytes / self.seconds / 1e6


@dataclass(frozen=True, slots=True)
class Row:
    """Several rounds of one measurement: medians, the rate with its spread, peaks."""

    section: str
    case: str
    associations: int
    arm: str
    rounds: int
    objects: int
    rate: float
    rate_min: float
    rate_max: float
    mb_s: float
    cpu_ms: float | None
    rss: float | None
    pss: float | None
    p50: float | None
    p99: float | None
    sync_p99: float | None


Key = tuple[str, str, int, str]


def rows(figures: Iterable[Figure]) -> dict[Key, Row]:
    """The rounds put together, in the order in which they were first measured."""
    groups: dict[Key, list[Figure]] = {}
    for one in figures:
        groups.setdefault((one.section, one.case, one.associations, one.arm), []).append(one)
    return {key: _row(key, group) for key, group in groups.items()}


def percentile_ms(times_ns: Sequence[int], percent: float) -> float:
    """A percentile by nearest rank, in milliseconds."""
    ordered = sorted(times_ns)
    rank = max(0, -int(-len(ordered) * percent // 100) - 1)
    return ordered[rank] / _MS


def _row(key: Key, group: Sequence[Figure]) -> Row:
    rates = [one.rate for one in group]
    return Row(
        *key,
        rounds=len(group),
        objects=group[0].objects,
        rate=statistics.median(rates),
        rate_min=min(rates),
        rate_max=max(rates),
        mb_s=statistics.median(one.mb_s for one in group),
        cpu_ms=_median(one.cpu_ms for one in group),
        rss=_max(one.rss for one in group),
        pss=_max(one.pss for one in group),
        p50=_median(one.p50 for one in group),
        p99=_median(one.p99 for one in group),
        sync_p99=_median(one.sync_p99 for one in group),
    )


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _max(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
