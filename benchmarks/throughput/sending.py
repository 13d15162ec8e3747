"""Senders as they are: DCMTK's dcmsend towards the node, and the node towards storescp.

DCMTK as it is shipped leaves Nagle's algorithm on, which costs two delayed
acknowledgements an object if the other side does nothing about it. "no Nagle" is with
TCP_NODELAY=1 in its environment.
"""

import subprocess
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.throughput import load, outputs, workers
from benchmarks.throughput.bench import Bench, Drive, await_files
from benchmarks.throughput.figures import Figure
from benchmarks.throughput.outputs import OutputError, Outputs
from benchmarks.throughput.samples import Input, instances
from benchmarks.throughput.servers import (
    FAST,
    NODELAY,
    Node,
    StoreScp,
    free_port,
    installed,
)
from benchmarks.throughput.uids import Kind, uid

DCMSEND: Final = "dcmsend"
FORWARD: Final = "forwarding"
BOTH: Final = "both ways"

TO_NODE: Final = "dcmsend -> node"
TO_STORESCP: Final = "dcmsend -> storescp"
FROM_NODE: Final = "node -> storescp"
FROM_DCMSEND: Final = "dcmsend -> storescp"
WHOLE: Final = ", whole program"
AS_SHIPPED: Final = "as shipped"
NO_NAGLE: Final = "no Nagle"
ALONE: Final = "node, nothing forwarded"
WHILE: Final = "node, forwarding"

_SLOW_COUNT: Final = 40  # 22 a second: enough to see it
_SEND_S: Final = 300
_TOML: Final = """
[[destinations]]
name = "sink"
kind = "dicom"
ae_title = "STORESCP"
host = "127.0.0.1"
port = {port}
"""


def dcmsend(bench: Bench, given: Input, rounds: int) -> None:
    """Unmodified dcmsend into the node, and into unmodified storescp."""
    directory = bench.directory("dcmsend")
    installed("dcmsend")
    servers: list[tuple[Node | StoreScp, str]] = [
        (Node(directory / "node"), TO_NODE),
        (StoreScp(directory / "storescp", TO_STORESCP, (), env={}), TO_STORESCP),
    ]
    with bench.running(*(server for server, _ in servers)) as ready:
        for turn in range(rounds):
            for server, arm in servers:
                if server not in ready or (turn and arm == TO_STORESCP):
                    continue
                count = min(given.count, _SLOW_COUNT) if arm == TO_STORESCP else given.count
                bench.attempt(arm, partial(_dcmsend, bench, given, server, arm, count))


def _dcmsend(bench: Bench, given: Input, server: Node | StoreScp, arm: str, count: int) -> None:
    number = bench.number()
    source = bench.directory("dcmsend-in")
    paths = instances(given.samples, source / "files", count, number)
    written = server.written
    before = written.paths()
    bench.settle()
    seconds = _send(server.port, server.called, source / "files", {})
    new = await_files(server, len(before) + count) - before
    sent = {uid(Kind.INSTANCE, number, 0, one) for one in range(count)}
    written.check(new, sent, given.samples)
    _add_transfer(bench, DCMSEND, AS_SHIPPED, arm, given, new)
    bench.add(Figure(DCMSEND, AS_SHIPPED, 1, arm + WHOLE, count, _size(given, count), seconds))
    outputs.empty({*new, *map(str, paths)})


def forwarding(bench: Bench, given: Input, rounds: int) -> None:
    """From a full queue into storescp, and what dcmsend makes of the same."""
    installed("dcmsend")
    installed("storescp")
    for _ in range(rounds):
        for case, options, env in (
            (NO_NAGLE, ("--fork", *FAST), NODELAY),
            (AS_SHIPPED, ("--fork",), {}),
        ):
            how = (bench, given, case, options, env)
            bench.attempt(FROM_NODE, partial(_node_forwards, *how))
            bench.attempt(FROM_DCMSEND, partial(_dcmsend_forwards, *how))


def _node_forwards(
    bench: Bench, given: Input, case: str, options: Sequence[str], env: Mapping[str, str]
) -> None:
    directory = bench.directory("forward-node")
    sink = StoreScp(directory / "sink", "sink", options, env=env)
    sink.port = free_port()
    node = Node(directory / "node", toml=_TOML.format(port=sink.port))
    with bench.running(node) as nodes:
        if not nodes:
            return
        sent = _fill(bench, node, given)
        with bench.running(sink) as sinks:  # only now, so that the queue is full
            if not sinks:
                return
            bench.settle()
            new = await_files(sink, given.count)
    received = Outputs(directory / "sink" / "received", is_deidentified=True)
    received.check(new, sent, given.samples)
    _add_transfer(bench, FORWARD, case, FROM_NODE, given, new)
    outputs.empty(
        new | Outputs(directory / "node" / "var" / "outgoing", is_deidentified=True).paths()
    )


def _fill(bench: Bench, node: Node, given: Input) -> set[str]:
    number = bench.number()
    task = load.Task(
        port=node.port,
        called=node.called,
        samples=workers.as_dicts(given.samples),
        measure=number,
        worker=0,
        count=given.count,
        warm_count=0,
    )
    with workers.started([task], bench.work) as go:
        go(lambda: None)
    await_files(node, given.count)
    return {uid(Kind.INSTANCE, number, 0, one) for one in range(given.count)}


def _dcmsend_forwards(
    bench: Bench, given: Input, case: str, options: Sequence[str], env: Mapping[str, str]
) -> None:
    directory = bench.directory("forward-dcmsend")
    count = given.count if case == NO_NAGLE else min(given.count, _SLOW_COUNT)
    number = bench.number()
    paths = instances(given.samples, directory / "files", count, number)
    sink = StoreScp(directory / "sink", "sink", options, env=env)
    with bench.running(sink) as sinks:
        if not sinks:
            return
        bench.settle()
        _send(sink.port, sink.called, directory / "files", env)
        new = await_files(sink, count)
    sent = {uid(Kind.INSTANCE, number, 0, one) for one in range(count)}
    sink.written.check(new, sent, given.samples)
    _add_transfer(bench, FORWARD, case, FROM_DCMSEND, given, new)
    outputs.empty({*new, *map(str, paths)})


def both_ways(bench: Bench, given: Input, rounds: int, associations: Sequence[int]) -> None:
    """Receiving while everything is forwarded, beside receiving alone."""
    directory = bench.directory("both-ways")
    sink = StoreScp(directory / "sink", "sink", writes=False)
    sink.port = free_port()
    alone = Node(directory / "alone", ALONE)
    forwarding_node = Node(directory / "forwarding", WHILE, toml=_TOML.format(port=sink.port))
    with bench.running(sink, alone, forwarding_node) as ready:
        if sink not in ready:
            return
        for _ in range(rounds):
            for count in associations:
                for node in (alone, forwarding_node):
                    if node in ready:
                        bench.drive(node, given, Drive(BOTH, count, given.count))
                if forwarding_node in ready:
                    bench.attempt(WHILE, lambda: _await_delivered(forwarding_node))


def _await_delivered(node: Node) -> None:
    end = time.monotonic() + _SEND_S
    while any(node.queue.rglob("*.dcm")):
        if time.monotonic() > end:
            raise OutputError("not everything was forwarded")
        time.sleep(0.05)


def _send(port: int, called: str, files: Path, env: Mapping[str, str]) -> float:
    command = [installed("dcmsend"), "-q", "-aec", called, "127.0.0.1", str(port)]
    start = time.monotonic()
    subprocess.run(
        [*command, "--scan-directories", str(files)],
        env=workers.environment(env),
        check=True,
        capture_output=True,
        timeout=_SEND_S,
    )
    return time.monotonic() - start


def _add_transfer(
    bench: Bench, section: str, case: str, arm: str, given: Input, new: set[str]
) -> None:
    # From the first file to the last: neither program's start, nor its search for files.
    count = len(new) - 1
    seconds = outputs.first_to_last(new)
    bench.add(Figure(section, case, 1, arm, count, _size(given, count), seconds))


def _size(given: Input, count: int) -> int:
    return round(count * given.mean_bytes)
