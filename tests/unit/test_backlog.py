"""A backlog shared by several associations: each entry once, whatever they make of it."""

import os
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import pytest
from support_delivery import Facts, SpoolFolders, rng, wait_until

from dicomanon_node.delivery import backlog, backoff, lane
from dicomanon_node.delivery.lane import Lane
from dicomanon_node.delivery.queue import QueueDirectory
from dicomanon_node.delivery.transport import Answer, LostError
from dicomanon_node.errors import DeferredError, RejectedError
from dicomanon_node.network.part10 import DicomFile

COUNT = 250


class Destination:
    """One for all transports: remembers what it took, and what is on its way."""

    def __init__(self, seed: int) -> None:
        self.lock = threading.Lock()
        self.dice = rng(seed)
        self.is_well = False
        self.taken: list[str] = []
        self.under_way: set[str] = set()
        self.clashes: list[str] = []
        self.transports = 0

    def choose(self) -> Exception | int:
        if self.is_well:
            return 0
        choices: list[Exception | int] = [
            *[0] * 12,
            0xB000,
            LostError("aborted"),
            DeferredError("out-of-resources", 0xA700),
            RejectedError("refused", 0x0110),
            OSError(5, "input/output error"),
            ValueError(),
        ]
        return self.dice.choice(choices)


class Way:
    """A transport with a window of three."""

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self.window = 3
        self.sent: deque[tuple[DicomFile, Exception | int]] = deque()
        destination.transports += 1

    def prepare(self, instances: Sequence[DicomFile]) -> None:
        assert instances
        with self.destination.lock:
            if not self.destination.is_well and self.destination.dice.random() < 0.1:
                raise DeferredError("rejected")

    def send(self, instance: DicomFile) -> None:
        name = instance.path.name
        with self.destination.lock:
            choice = self.destination.choose()
            if isinstance(choice, OSError | ValueError):
                raise choice
            if name in self.destination.under_way:
                self.destination.clashes.append(name)
            self.destination.under_way.add(name)
            self.sent.append((instance, choice))

    def answer(self) -> Answer:
        with self.destination.lock:
            instance, choice = self.sent.popleft()
            self.destination.under_way.discard(instance.path.name)
            if isinstance(choice, LostError):
                self.forget()
                raise choice
            if isinstance(choice, RejectedError | DeferredError):
                return Answer(instance, error=choice)
            assert isinstance(choice, int)
            self.destination.taken.append(instance.path.name)
            return Answer(instance, choice)

    def close(self) -> None:
        with self.destination.lock:
            self.forget()

    def forget(self) -> None:
        self.destination.under_way.difference_update(
            instance.path.name for instance, _ in self.sent
        )
        self.sent.clear()

    def interrupt(self) -> None:
        raise AssertionError


@pytest.mark.parametrize("seed", range(6))
def test_several_associations_deliver_each_entry_once_or_fail_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(backoff, "FIRST_S", 0.002)
    monkeypatch.setattr(backoff, "LIMIT_S", 0.01)
    monkeypatch.setattr(lane, "POLL_S", 0.01)
    monkeypatch.setattr(lane, "BUSY_S", 0.005)
    monkeypatch.setattr(lane, "EXTRA_PACE_S", 0.0)
    monkeypatch.setattr(lane, "EXTRA_FROM", 4)
    monkeypatch.setattr(backlog, "EXTRA_LEAST", 2)
    monkeypatch.setattr(backlog, "BATCH", 8)
    folders = SpoolFolders(tmp_path).make()
    source = folders.add("2.25.1")
    names = {f"{index}.dcm" for index in range(COUNT)}
    for name in names:
        os.link(source, folders.waiting / name)
    source.unlink()
    facts, destination = Facts(), Destination(seed)
    runner = Lane(
        Way(destination),
        QueueDirectory(tmp_path, "pacs"),
        facts,
        another=lambda: Way(destination),
        associations=4,
        rng=rng(seed),
    )
    thread = threading.Thread(target=runner.run)
    thread.start()
    try:
        wait_until(lambda: len(folders.names()) < COUNT // 3, deadline_s=30)
        with destination.lock:
            destination.is_well = True
        wait_until(lambda: not folders.names(), deadline_s=30)
    finally:
        runner.stop()
        thread.join(20)
        assert not thread.is_alive()
    failed = {name for name in folders.failed_names() if name.endswith(".dcm")}
    assert set(destination.taken) | failed == names
    assert len(destination.taken) + len(failed) == len(names)
    assert destination.clashes == []
    assert destination.transports > 1
    assert len(facts.of("delivery.sent")) == len(destination.taken)
    assert min(told["waiting"] for _, told in facts.told) == 0


def test_a_whole_batch_of_files_that_are_none_does_not_make_the_others_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "BATCH", 4)
    folders = SpoolFolders(tmp_path).make()
    for index in range(10):
        (folders.waiting / f"{index}.dcm").write_bytes(b"junk")
        os.utime(folders.waiting / f"{index}.dcm", (index, index))
    folders.add("2.25.1")
    destination = Destination(0)
    destination.is_well = True
    runner = Lane(Way(destination), QueueDirectory(tmp_path, "pacs"), Facts(), rng=rng())
    assert runner.turn() == 0
    assert destination.taken == ["2.25.1.dcm"]
