"""One destination, several associations: shared work, sent once, and nobody stops the others."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support_delivery import (
    ABORT,
    Facts,
    SpoolFolders,
    StockPeer,
    encoded_dataset,
    rng,
    wait_until,
)

from dicomanon_node.config.model import DicomDestination
from dicomanon_node.delivery import backoff, lane
from dicomanon_node.delivery.backlog import EXTRA_LEAST
from dicomanon_node.delivery.courier import Courier
from dicomanon_node.delivery.lane import EXTRA_FROM
from dicomanon_node.delivery.queue import QueueDirectory
from dicomanon_node.delivery.suspicion import POISON_LOSSES

COUNT = 320


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same steps in less time."""
    monkeypatch.setattr(backoff, "FIRST_S", 0.02)
    monkeypatch.setattr(backoff, "LIMIT_S", 0.2)
    monkeypatch.setattr(lane, "POLL_S", 0.02)
    monkeypatch.setattr(lane, "BUSY_S", 0.05)
    monkeypatch.setattr(lane, "EXTRA_PACE_S", 0.0)


@pytest.fixture
def folders(tmp_path: Path) -> SpoolFolders:
    return SpoolFolders(tmp_path).make()


@contextlib.contextmanager
def running(folders: SpoolFolders, port: int, associations: int = 4) -> Iterator[Facts]:
    destination = DicomDestination.model_validate(
        {
            "name": "pacs",
            "kind": "dicom",
            "ae_title": "STOCK",
            "host": "127.0.0.1",
            "port": port,
            "associations": associations,
        }
    )
    facts, stop = Facts(), threading.Event()
    runner = Courier([destination], folders.root, facts, calling_aet="NODE", rng=rng())
    thread = threading.Thread(target=runner.run, args=(stop,))
    thread.start()
    try:
        yield facts
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def add(folders: SpoolFolders, count: int = COUNT, *, first: int = 1) -> dict[str, bytes]:
    return {
        f"2.25.{index}": encoded_dataset(folders.add(f"2.25.{index}", pixel_bytes=2000))
        for index in range(first, first + count)
    }


def test_a_long_queue_is_shared_and_each_instance_is_sent_once(folders: SpoolFolders) -> None:
    expected = add(folders)
    with StockPeer().serving() as peer:
        with running(folders, peer.port) as facts:
            wait_until(lambda: not folders.names(), deadline_s=30)
            wait_until(lambda: peer.endings == ["released"] * 3)  # one is kept
        assert peer.associations == 4
        assert peer.received == expected
        assert len(peer.order) == len(expected)
        wait_until(lambda: peer.endings == ["released"] * 4)
    assert [event for event, _ in facts.told if event != "delivery.sent"] == []
    assert len(facts.of("delivery.sent")) == len(expected)
    assert min(told["waiting"] for _, told in facts.told) == 0


def test_a_short_queue_is_worth_one_association(folders: SpoolFolders) -> None:
    expected = add(folders, EXTRA_FROM)
    with StockPeer().serving() as peer:
        with running(folders, peer.port):
            wait_until(lambda: not folders.names())
        assert peer.received == expected
        assert peer.associations == 1


def test_a_destination_that_rejects_a_second_one_is_content_with_one(
    folders: SpoolFolders,
) -> None:
    expected = add(folders)
    with StockPeer().serving(configure=lambda ae: setattr(ae, "maximum_associations", 1)) as peer:
        with running(folders, peer.port) as facts:
            wait_until(lambda: not folders.names(), deadline_s=30)
        assert peer.received == expected
        assert len(peer.order) == len(expected)
    assert facts.of("destination.down") == facts.of("delivery.deferred") == []


def test_an_instance_that_hangs_holds_up_its_own_association_only(folders: SpoolFolders) -> None:
    may_go_on = threading.Event()

    def hang(uid: str) -> int:
        if uid == "2.25.100":
            assert may_go_on.wait(30)
        return 0

    expected = add(folders)
    with StockPeer(answer=hang).serving() as peer:
        with running(folders, peer.port):
            # If it is the first association that hangs, the others leave it a few.
            wait_until(lambda: len(folders.names()) <= EXTRA_LEAST, deadline_s=30)
            assert "2.25.100.dcm" in folders.names()
            may_go_on.set()
            wait_until(lambda: not folders.names())
        assert peer.received == expected
        assert len(peer.order) == len(expected)


def test_poison_breaks_some_associations_and_fails_alone(folders: SpoolFolders) -> None:
    expected = add(folders)
    poison = {"2.25.70", "2.25.71"}
    with StockPeer(answer=lambda uid: ABORT if uid in poison else 0).serving() as peer:
        with running(folders, peer.port):
            wait_until(lambda: not folders.names(), deadline_s=40)
        assert peer.received == {uid: expected[uid] for uid in expected.keys() - poison}
        assert {uid: peer.order.count(uid) for uid in poison} == dict.fromkeys(
            poison, POISON_LOSSES
        )
        assert len(peer.order) == len(expected) + len(poison) * (POISON_LOSSES - 1)
    failed = QueueDirectory(folders.root, "pacs").failed()
    assert {entry.path.stem: failure.reason for entry, failure in failed} == dict.fromkeys(
        poison, "breaks-association"
    )


def test_a_destination_that_breaks_all_of_them_for_a_while_fails_no_instance(
    folders: SpoolFolders,
) -> None:
    lock = threading.Lock()
    answers = iter([0] * 60 + [ABORT] * 30)

    def answer(_: str) -> int:
        with lock:
            return next(answers, 0)

    expected = add(folders)
    with StockPeer(answer=answer).serving() as peer:
        with running(folders, peer.port) as facts:
            wait_until(lambda: not folders.names(), deadline_s=30)
        assert peer.received == expected
        assert len(peer.order) == len(expected) + 30
    assert folders.failed_names() == []
    assert len(facts.of("delivery.deferred")) == 30
    assert facts.of("destination.down")
    assert len(facts.of("destination.up")) == 1


def test_what_comes_while_they_work_is_delivered_too(folders: SpoolFolders) -> None:
    expected = add(folders, 150)
    with StockPeer().serving() as peer:
        with running(folders, peer.port):
            for batch in range(1, 4):
                expected |= add(folders, 100, first=1000 * batch)
            wait_until(lambda: not folders.names(), deadline_s=30)
        assert peer.received == expected
        assert len(peer.order) == len(expected)


def test_the_end_waits_for_what_each_of_them_has_under_way(folders: SpoolFolders) -> None:
    expected = add(folders)
    with StockPeer().serving() as peer:
        with running(folders, peer.port):
            wait_until(lambda: peer.associations == 4)
        wait_until(lambda: peer.endings == ["released"] * 4)
        waiting = {name.removesuffix(".dcm") for name in folders.names()}
        assert waiting.isdisjoint(peer.received)
        assert waiting | set(peer.received) == set(expected)
        assert len(peer.order) == len(peer.received)
