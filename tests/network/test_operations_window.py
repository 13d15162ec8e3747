"""The Asynchronous Operations Window: asked for, kept to, and given up where it does harm."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support_delivery import (
    ABORT,
    CT,
    EXPLICIT,
    MR,
    Facts,
    SpoolFolders,
    StockPeer,
    encoded_dataset,
    rng,
    wait_until,
)
from support_window import WindowPeer

from dicomanon_node.config.model import DicomDestination
from dicomanon_node.delivery import backoff, lane
from dicomanon_node.delivery.courier import Courier
from dicomanon_node.delivery.queue import QueueDirectory
from dicomanon_node.delivery.suspicion import POISON_LOSSES


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same steps in less time."""
    monkeypatch.setattr(backoff, "FIRST_S", 0.02)
    monkeypatch.setattr(backoff, "LIMIT_S", 0.2)
    monkeypatch.setattr(lane, "POLL_S", 0.02)


@pytest.fixture
def folders(tmp_path: Path) -> SpoolFolders:
    return SpoolFolders(tmp_path).make()


@contextlib.contextmanager
def running(folders: SpoolFolders, port: int, **settings: int) -> Iterator[Facts]:
    known = {"name": "pacs", "kind": "dicom", "ae_title": "P", "host": "127.0.0.1", "port": port}
    destination = DicomDestination.model_validate(known | {"associations": 1} | settings)
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


def add(folders: SpoolFolders, count: int) -> dict[str, bytes]:
    return {
        f"2.25.{index}": encoded_dataset(
            folders.add(f"2.25.{index}", sop_class=(CT, MR)[index % 2], pixel_bytes=index * 900 + 2)
        )
        for index in range(1, count + 1)
    }


@pytest.mark.parametrize(("grants", "most"), [(8, 8), (3, 3), (0, 8), (50, 8), (1, 1), (None, 1)])
def test_never_more_is_outstanding_than_was_granted_and_asked_for(
    folders: SpoolFolders, grants: int | None, most: int
) -> None:
    expected = add(folders, 40)
    with WindowPeer(grants).serving() as peer:
        with running(folders, peer.port) as facts:
            wait_until(lambda: not folders.names())
        assert peer.proposed == [(8, 1)]
        assert peer.most_outstanding == most
        assert peer.received == expected
        assert len(peer.order) == len(expected)
    assert {told["sop_instance_uid"] for told in facts.of("delivery.sent")} == set(expected)


def test_it_is_not_asked_for_where_it_is_configured_away(folders: SpoolFolders) -> None:
    expected = add(folders, 5)
    with WindowPeer().serving() as peer:
        with running(folders, peer.port, operations_window=1):
            wait_until(lambda: not folders.names())
        assert peer.proposed == [None]
        assert peer.most_outstanding == 1
        assert peer.received == expected


def test_a_stock_peer_that_does_not_know_it_gets_one_at_a_time(folders: SpoolFolders) -> None:
    expected = add(folders, 20)
    with StockPeer().serving(contexts={CT: [EXPLICIT], MR: [EXPLICIT]}) as peer:
        with running(folders, peer.port):
            wait_until(lambda: not folders.names())
        assert peer.received == expected
        assert peer.associations == 1


def test_a_peer_that_breaks_when_asked_is_asked_once(folders: SpoolFolders) -> None:
    expected = add(folders, 20)
    with WindowPeer(drops_those_that_ask=True).serving() as peer:
        with running(folders, peer.port) as facts:
            wait_until(lambda: not folders.names())
        assert peer.proposed == [(8, 1), None]
        assert peer.received == expected
    assert facts.of("destination.down") == []
    assert folders.failed_names() == []


def test_each_answer_is_for_the_instance_it_names(folders: SpoolFolders) -> None:
    statuses = {"2.25.3": 0xC001, "2.25.5": 0xA900, "2.25.6": 0xB000, "2.25.11": 0x0110}
    expected = add(folders, 12)
    with WindowPeer(answer=lambda uid: statuses.get(uid, 0)).serving() as peer:
        with running(folders, peer.port) as facts:
            wait_until(lambda: not folders.names())
        taken = set(expected) - {"2.25.3", "2.25.5", "2.25.11"}
        assert set(peer.received) == taken
    assert {told["sop_instance_uid"] for told in facts.of("delivery.sent")} == taken
    failed = QueueDirectory(folders.root, "pacs").failed()
    assert {entry.path.stem: failure.status for entry, failure in failed} == {
        uid: statuses[uid] for uid in ("2.25.3", "2.25.5", "2.25.11")
    }


def test_only_the_instance_that_breaks_associations_fails_not_its_company(
    folders: SpoolFolders,
) -> None:
    expected = add(folders, 60)
    poison = {"2.25.4", "2.25.40"}
    with WindowPeer(answer=lambda uid: ABORT if uid in poison else 0).serving() as peer:
        with running(folders, peer.port):
            wait_until(lambda: not folders.names(), deadline_s=30)
        assert peer.received == {uid: expected[uid] for uid in expected.keys() - poison}
    failed = QueueDirectory(folders.root, "pacs").failed()
    assert {entry.path.stem: failure.reason for entry, failure in failed} == dict.fromkeys(
        poison, "breaks-association"
    )
    for uid in poison:
        assert POISON_LOSSES <= peer.order.count(uid) <= POISON_LOSSES + 1


def test_out_of_resources_stops_what_follows_not_what_is_on_its_way(
    folders: SpoolFolders,
) -> None:
    told: list[str] = []

    def full_at_first(uid: str) -> int:
        told.append(uid)
        return 0xA700 if len(told) == 1 else 0

    expected = add(folders, 30)
    with WindowPeer(answer=full_at_first).serving() as peer:
        with running(folders, peer.port) as facts:
            wait_until(lambda: not folders.names())
        assert peer.received == expected
        assert len(peer.order) == len(expected) + 1
    assert len(facts.of("destination.down")) == len(facts.of("destination.up")) == 1


def test_the_end_waits_for_all_that_is_on_its_way(folders: SpoolFolders) -> None:
    is_sending = threading.Event()

    def noticed(_: str) -> int:
        is_sending.set()
        return 0

    expected = add(folders, 30)
    with WindowPeer(answer=noticed).serving() as peer:
        with running(folders, peer.port):
            assert is_sending.wait(10)
        waiting = {name.removesuffix(".dcm") for name in folders.names()}
        assert waiting.isdisjoint(peer.received)
        assert waiting | set(peer.received) == set(expected)
