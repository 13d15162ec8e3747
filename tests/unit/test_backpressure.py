"""What makes the node take no more for a while: marks with a distance between them."""

import os
from pathlib import Path
from typing import Any

import pytest
import support_spool

from dicomanon_node.errors import Reason, Refused
from dicomanon_node.node.children import Child
from dicomanon_node.node.queue_watch import QueueWatch
from dicomanon_node.node.readiness import LOOK_S, Readiness
from dicomanon_node.spool.pressure import Pressure
from dicomanon_node.spool.spool import Spool


class Told:
    """Events as they were told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def event(self, name: str, /, **keys: object) -> None:
        """Keep one."""
        self.events.append((name, keys))

    @property
    def names(self) -> list[str]:
        """Their names."""
        return [name for name, _ in self.events]


def fill(spool: Path, destination: str, count: int) -> None:
    """Let so many objects wait, as the names in the directory say."""
    directory = spool / "queue" / destination
    directory.mkdir(parents=True, exist_ok=True)
    for path in directory.iterdir():
        path.unlink()
    for number in range(count):
        (directory / f"{number}.dcm").touch()


def test_a_queue_is_full_from_its_high_mark_until_under_its_low_mark(tmp_path: Path) -> None:
    told = Told()
    fill(tmp_path, "slow", 0)
    fill(tmp_path, "fast", 0)
    watch = QueueWatch(tmp_path, ("slow", "fast"), high=10, low=5, log=told)
    states = []
    for turn, count in enumerate((9, 10, 7, 5, 4, 9)):
        fill(tmp_path, "slow", count)
        watch.look(turn * 1e6)
        states.append(watch.pressure.full())
    assert states == [[], ["slow"], ["slow"], ["slow"], [], []]
    assert told.events == [
        ("queue.full", {"destination": "slow", "waiting": 10}),
        ("queue.available", {"destination": "slow", "waiting": 4}),
    ]


def test_without_a_high_mark_queues_are_not_even_counted(tmp_path: Path) -> None:
    watch = QueueWatch(tmp_path / "missing", ("one",), high=0, low=0, log=Told())
    watch.look(1e6)
    assert watch.pressure.full() == []


def test_pressure_is_seen_by_processes_forked_before() -> None:
    pressure = Pressure(("one", "two"))
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(reading, 1)
        os._exit(pressure.is_any_full(["two"]) and not pressure.is_any_full(["one"]))
    pressure.note("two", is_full=True)
    os.write(writing, b"1")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    os.close(reading)
    os.close(writing)


def test_a_disk_that_was_low_takes_more_only_above_its_high_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 0

    def attempt() -> Reason | None:
        try:
            spool.open().discard()
        except Refused as refused:
            return refused.reason
        return None

    monkeypatch.setattr(Spool, "free_bytes", property(lambda _spool: free))
    monkeypatch.setattr("dicomanon_node.spool.spool._LOOK_S", 0.0)
    spool = support_spool.make_spool(tmp_path, low_water_bytes=1000)
    answers = []
    for free in (2000, 1001, 999, 1050, 1100, 1001):  # noqa: B007  (what the disk is said to have)
        answers += [attempt()]
    full = Reason.DISK_FULL
    assert answers == [None, None, full, full, None, None]
    spool.close()


def test_readiness_is_told_once_at_each_change(tmp_path: Path) -> None:
    told = Told()
    spool = support_spool.make_spool(tmp_path)
    receiver = Child("receiver", lambda _ready: None, pid=1)
    readiness = Readiness(told)
    assert not readiness.is_ready
    full: list[str] = []
    turn = 0.0

    def look() -> tuple[str, ...]:
        nonlocal turn
        turn += 2 * LOOK_S
        readiness.look([receiver], spool, full, turn)
        return readiness.reasons

    assert look() == ()
    assert told.events == []
    receiver.pid = 0
    assert look() == look() == ("no-receiver",)
    full.append("slow")
    assert look() == ("no-receiver", "queue-full")
    receiver.pid = 1
    full.clear()
    assert look() == ()
    assert told.names == ["node.not_ready", "node.not_ready", "node.ready_again"]
    assert [keys.get("reason") for _, keys in told.events[:2]] == ["no-receiver", "queue-full"]
    spool.close()


def test_a_spool_that_is_gone_is_a_reason(tmp_path: Path) -> None:
    readiness = Readiness(Told())
    spool = Spool(tmp_path / "missing", None, ())
    readiness.look([Child("receiver", lambda _ready: None, pid=1)], spool, [], 2 * LOOK_S)
    assert readiness.reasons == ("spool-unavailable",)
