"""Receiving: every server under the same load, at every input and number of associations.

Also the load generator's own ceiling, associations with one object each, and objects
as large as they come.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.throughput.bench import Bench, Drive
from benchmarks.throughput.inputs import MAIN
from benchmarks.throughput.peers import Ctp, Orthanc
from benchmarks.throughput.samples import Input
from benchmarks.throughput.servers import (
    Node,
    Null,
    Server,
    StoreScp,
    UnavailableError,
    sync_option,
)

RATES: Final = "rates"
CEILING: Final = "ceiling"
ASSOCIATIONS: Final = "associations"
MEMORY: Final = "memory"

STORESCP: Final = "storescp --fork"
IGNORE: Final = "storescp --fork --ignore"
NODE: Final = "node"
NO_SYNC: Final = "node, no sync"

_MEMORY_WATCH_S: Final = 0.02
MINOR_ROUNDS: Final = 2
"""Rounds at most of the inputs that no target is about."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for.

    Attributes:
        rounds: Of each measurement.
        associations: Numbers of them.
        peers: Which of the others are measured: storescp, orthanc, ctp.
        ctp: CTP's installation, if there is one.
        big_counts: How many of the multi-frame objects at once.
        association_count: Associations with one object each.
    """

    rounds: int
    associations: Sequence[int]
    peers: Sequence[str]
    ctp: Path | None
    big_counts: Sequence[int]
    association_count: int


def rates(bench: Bench, given: Sequence[Input], plan: Plan) -> None:
    """Objects a second until the last output file is there, arms in turn."""
    servers = _receivers(bench, plan)
    with bench.running(*servers) as ready:
        for server in ready:
            bench.warm_up(server, given[0], max(plan.associations))
        for turn in range(plan.rounds):
            for one in given:
                if turn < MINOR_ROUNDS or one.name in MAIN:
                    _round(bench, ready, one, plan, turn)


def _receivers(bench: Bench, plan: Plan) -> list[Server]:
    directory = bench.directory("rates")
    servers: list[Server] = [Node(directory / "node", NODE)]
    try:
        key = sync_option(bench.directory("sync"))
    except UnavailableError as error:
        bench.skip(NO_SYNC, error)
    else:
        servers.append(Node(directory / "node-no-sync", NO_SYNC, {key: False}))
    if "storescp" in plan.peers:
        servers.append(StoreScp(directory / "storescp", STORESCP))
    if "orthanc" in plan.peers:
        servers.append(Orthanc(directory / "orthanc"))
    if "ctp" in plan.peers and plan.ctp is not None:
        servers.append(Ctp(directory / "ctp", plan.ctp))
    elif "ctp" in plan.peers:
        bench.skip("CTP", "no path given (--ctp)")
    return servers


def _round(bench: Bench, servers: Sequence[Server], given: Input, plan: Plan, turn: int) -> None:
    for associations in plan.associations:
        how = Drive(RATES, associations, given.count)
        arms: list[Server | None] = [None, *servers]
        start = turn % len(arms)  # so that none always comes after the same one
        for arm in (*arms[start:], *arms[:start]):
            if arm is None:
                bench.disk(given, how)
            else:
                bench.drive(arm, given, how)


def ceiling(bench: Bench, given: Sequence[Input], plan: Plan) -> None:
    """What the load generator reaches against servers that keep nothing."""
    directory = bench.directory("ceiling")
    servers: list[Server] = [Null(directory / "null")]
    if "storescp" in plan.peers:
        servers.append(StoreScp(directory / "storescp", IGNORE, writes=False))
    with bench.running(*servers) as ready:
        for _ in range(min(plan.rounds, 3)):
            for one in given:
                for associations in plan.associations:
                    for server in ready:
                        bench.drive(server, one, Drive(CEILING, associations, 2 * one.count))


def associations(bench: Bench, given: Sequence[Input], plan: Plan) -> None:
    """Associations a second, with one small object each."""
    directory = bench.directory("associations")
    servers: list[Server] = [Node(directory / "node", NODE)]
    if "storescp" in plan.peers:
        servers.append(StoreScp(directory / "storescp", STORESCP))
    small = min(given, key=lambda one: one.mean_bytes)
    with bench.running(*servers) as ready:
        for _ in range(min(plan.rounds, 3)):
            for at_a_time in plan.associations:
                for server in ready:
                    how = Drive(
                        ASSOCIATIONS, at_a_time, plan.association_count, is_association_each=True
                    )
                    bench.drive(server, small, how)


def memory(bench: Bench, big: Input, plan: Plan) -> None:
    """Memory of the whole tree, and MB/s, with several multi-frame objects at once."""
    for count in plan.big_counts:
        for name in (NODE, STORESCP):
            if name == STORESCP and "storescp" not in plan.peers:
                continue
            # A new process each: what the last object left behind is not this one's.
            directory = bench.directory("memory")
            server = Node(directory, NODE) if name == NODE else StoreScp(directory, STORESCP)
            with bench.running(server) as ready:
                for one in ready:
                    how = Drive(MEMORY, count, count, warm=0, watch_s=_MEMORY_WATCH_S)
                    bench.drive(one, big, how)
