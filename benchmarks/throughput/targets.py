"""What the node is meant to reach, and whether it did in this run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.throughput import batch, sections, sending
from benchmarks.throughput.bench import DISK
from benchmarks.throughput.figures import Key, Row
from benchmarks.throughput.inputs import BIG

_PEERS: Final = {"a": {"Orthanc": 5.0, "CTP": 8.0}, "b": {"Orthanc": 6.0, "CTP": 10.0}}
_OF_DISK: Final = 0.8
_OF_STORESCP: Final = 0.9
_OF_STORESCP_NO_SYNC: Final = 0.8
_PSS_MIB: Final = {1: 150.0, 8: 400.0, 20: 800.0}
_OF_STORESCP_BIG: Final = 0.8


@dataclass(frozen=True, slots=True)
class Target:
    """One aim and what came of it.

    Attributes:
        text: What is compared with what.
        asked: The bound.
        reached: The figure.
        is_upper: Whether the figure has to be at most the bound.
        unit: Of both.
    """

    text: str
    asked: float
    reached: float
    is_upper: bool = False
    unit: str = "x"

    @property
    def is_met(self) -> bool:
        """Whether it was reached."""
        return self.reached <= self.asked if self.is_upper else self.reached >= self.asked


def targets(rows: Mapping[Key, Row]) -> list[Target]:
    """The aims that this run has figures for."""
    return [*_receiving(rows), *_other(rows)]


def _receiving(rows: Mapping[Key, Row]) -> Iterator[Target]:
    for case, peers in _PEERS.items():
        for count in (1, 4):
            where = f"{case}, {count} association{'s' if count > 1 else ''}: "
            node: Key = (sections.RATES, case, count, sections.NODE)
            bounds = peers | {DISK: _OF_DISK}
            if (case, count) == ("a", 4):
                bounds[sections.STORESCP] = _OF_STORESCP
            for other, bound in bounds.items():
                yield from _ratio(rows, f"{where}node / {other}", node, (*node[:3], other), bound)
            yield from _ratio(
                rows,
                f"{where}node without sync / {sections.STORESCP}",
                (*node[:3], sections.NO_SYNC),
                (*node[:3], sections.STORESCP),
                _OF_STORESCP_NO_SYNC,
            )
    node_row = rows.get((sections.RATES, "a", 1, sections.NODE))
    disk_row = rows.get((sections.RATES, "a", 1, DISK))
    if node_row and disk_row and node_row.p99 and disk_row.sync_p99:
        yield Target(
            "a, 1 association: answer time p99 / the disk's sync p99",
            3.0,
            node_row.p99 / disk_row.sync_p99,
            is_upper=True,
        )


def _other(rows: Mapping[Key, Row]) -> Iterator[Target]:
    to_node: Key = (sending.DCMSEND, sending.AS_SHIPPED, 1, sending.TO_NODE)
    if to_node in rows:
        yield Target("dcmsend as shipped -> node", 1000, rows[to_node].rate, unit="/s")
    yield from _ratio(
        rows,
        "dcmsend as shipped: -> node / -> storescp",
        to_node,
        (*to_node[:3], sending.TO_STORESCP),
        40,
    )
    for (section, _, count, arm), row in rows.items():
        if (section, count, arm) == (sections.ASSOCIATIONS, 1, sections.NODE):
            yield Target("associations with one object each", 300, row.rate, unit="/s")
    for count, bound in _PSS_MIB.items():
        key: Key = (sections.MEMORY, BIG, count, sections.NODE)
        if key in rows and rows[key].pss is not None:
            yield Target(
                f"{count} x multi-frame at once: peak memory of the tree (PSS)",
                bound,
                rows[key].pss or 0.0,
                is_upper=True,
                unit=" MiB",
            )
        yield from _ratio(
            rows,
            f"{count} x multi-frame at once: MB/s, node / {sections.STORESCP}",
            key,
            (*key[:3], sections.STORESCP),
            _OF_STORESCP_BIG,
        )
    for case, bound in ((sending.NO_NAGLE, 1.5), (sending.AS_SHIPPED, 10.0)):
        node: Key = (sending.FORWARD, case, 1, sending.FROM_NODE)
        other: Key = (*node[:3], sending.FROM_DCMSEND)
        yield from _ratio(rows, f"forwarding, {case}: node / dcmsend", node, other, bound)
    for count in (1, 4):
        forwards: Key = (sending.BOTH, "a", count, sending.WHILE)
        alone: Key = (*forwards[:3], sending.ALONE)
        text = (
            f"a, {count} association{'s' if count > 1 else ''}: receiving while forwarding / alone"
        )
        yield from _ratio(rows, text, forwards, alone, 0.6)
    for case in ("a", "b"):
        ours: Key = (batch.BATCH, case, 1, batch.NODE)
        yield from _ratio(
            rows, f"{case}: deidentify / dicognito", ours, (*ours[:3], batch.DICOGNITO), 20
        )


def _ratio(
    rows: Mapping[Key, Row], text: str, ours: Key, other: Key, bound: float
) -> Iterator[Target]:
    if ours in rows and other in rows:
        yield Target(text, bound, rows[ours].rate / rows[other].rate)
