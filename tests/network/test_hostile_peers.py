"""A node that is running, while peers that mean harm are at it.

The peers are those of `support_hostile`; they come from an address of their own. What is
claimed of the node is what can be seen from outside.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support_hostile import (
    ATTACKS,
    attack,
    harmful_objects,
    honest_store,
    store_harmful,
    tree_pss_bytes,
)
from support_node import Node, running_node, wait_until

PATIENCE_S = 30.0
"""For one object of an honest sender during an attack, on a machine that has other things to do.
Beside a node left alone it takes some milliseconds, and under attack less than a second."""

OBJECTS = 5
WHILE_S = 1.0
"""How long an attack goes on at least: it takes a moment until it is in full swing."""

MIB = 1 << 20

BOUND_BYTES = (2 * (30 + 134 + 300) + 2 * 40) * MIB
"""docs/configuration.md, "Senders that hold up", for two receivers and without `held_bytes`."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with running_node(tmp_path_factory.mktemp("hostile") / "node") as running:
        honest_store(running.port, 0)
        yield running
        assert running.events("process.died") == []
        assert running.events("internal.error") == []


def serve_during(node: Node) -> None:
    """An honest sender, for a while."""
    end = time.monotonic() + WHILE_S
    sent = 0
    while sent < OBJECTS or time.monotonic() < end:
        honest_store(node.port, sent, patience_s=PATIENCE_S)
        sent += 1


def descriptor_counts(node: Node) -> list[int]:
    """Sockets, and what wakes threads; a spool keeps some of its directories open."""
    return [
        sum(name.startswith(("socket:", "anon_inode:")) for name in open_names(pid))
        for pid in node.children()
    ]


def open_names(pid: int) -> Iterator[str]:
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            yield str(path.readlink())


def thread_counts(node: Node) -> list[int]:
    return [len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in node.children()]


def test_nothing_of_an_attack_stays(node: Node) -> None:
    descriptors = descriptor_counts(node)
    for name in ATTACKS:
        with attack(name, node.port):
            honest_store(node.port, 0, patience_s=PATIENCE_S)
    wait_until(
        lambda: all(
            now <= before for now, before in zip(descriptor_counts(node), descriptors, strict=True)
        ),
        PATIENCE_S,
    )
    # The first thread and the log's, and none that serves a peer or waits for one.
    wait_until(lambda: max(thread_counts(node)) <= 2, PATIENCE_S)
    wait_until(lambda: node.incoming_files() == [], PATIENCE_S)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_honest_sender_is_served_during_an_attack(node: Node, name: str) -> None:
    with attack(name, node.port):
        serve_during(node)
        assert tree_pss_bytes(node.process.pid) < BOUND_BYTES


@pytest.mark.parametrize("name", ["silent", "half request", "slowloris"])
def test_connections_of_its_own_address_do_not_keep_a_sender_waiting(node: Node, name: str) -> None:
    with attack(name, node.port, address="127.0.0.1"):
        serve_during(node)


def test_a_flood_of_connections_is_no_flood_of_lines(node: Node) -> None:
    before = len(node.events("connection.dropped"))
    start = time.monotonic()
    with attack("connections", node.port):
        wait_until(
            lambda: any("count" in event for event in node.events("connection.dropped")[before:]),
            PATIENCE_S,
        )
    honest_store(node.port, 0, patience_s=PATIENCE_S)
    dropped = node.events("connection.dropped")[before:]
    kinds = len({(event["peer"], event["how"]) for event in dropped})
    seconds = time.monotonic() - start + 2
    assert len(dropped) <= len(node.children()) * kinds * 6 * seconds
    assert sum(event.get("count", 1) for event in dropped) > len(dropped)


OBJECTS_MADE_TO_HARM = harmful_objects()


@pytest.mark.parametrize("name", OBJECTS_MADE_TO_HARM)
def test_an_object_made_to_harm_is_answered_rightly_in_little_memory(node: Node, name: str) -> None:
    context_id, data, statuses = OBJECTS_MADE_TO_HARM[name]
    stored = Counter(node.outgoing_files())
    status = store_harmful(node.port, context_id, data)
    assert status in statuses
    assert tree_pss_bytes(node.process.pid) < BOUND_BYTES
    if status:
        assert Counter(node.outgoing_files()) == stored
    honest_store(node.port, 1, patience_s=PATIENCE_S)
