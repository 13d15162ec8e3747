"""The courier with real sockets: stock pynetdicom Storage SCPs as destinations."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support_delivery import (
    ABORT,
    CT,
    EXPLICIT,
    IMPLICIT,
    JPEG_LOSSLESS,
    MR,
    Facts,
    SpoolFolders,
    StockPeer,
    encoded_dataset,
    free_port,
    rng,
    wait_until,
)

from dicomanon_node.config.model import Destination, DicomDestination, FolderDestination
from dicomanon_node.delivery import backoff, courier, lane
from dicomanon_node.delivery.courier import Courier
from dicomanon_node.delivery.queue import QueueDirectory
from dicomanon_node.delivery.suspicion import POISON_LOSSES


def dicom(port: int, name: str = "pacs", **settings: float) -> DicomDestination:
    return DicomDestination.model_validate(
        {
            "name": name,
            "kind": "dicom",
            "ae_title": "STOCK",
            "host": "127.0.0.1",
            "port": port,
            "associations": 1,
        }
        | settings
    )


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
def running(folders: SpoolFolders, *destinations: Destination) -> Iterator[Facts]:
    """A courier in a thread, until the block ends."""
    facts, stop = Facts(), threading.Event()
    runner = Courier(destinations, folders.root, facts, calling_aet="NODE", rng=rng())
    failures: list[BaseException] = []

    def run() -> None:
        try:
            runner.run(stop)
        except BaseException as error:  # noqa: BLE001  raised again in the test's thread
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield facts
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()
    for failure in failures:
        raise failure


def add_many(folders: SpoolFolders, count: int) -> dict[str, bytes]:
    """Queue instances of several kinds; returns their data sets by SOP Instance UID."""
    kinds = [(CT, EXPLICIT), (CT, IMPLICIT), (MR, EXPLICIT), (CT, JPEG_LOSSLESS)]
    expected = {}
    for index in range(count):
        uid = f"2.25.{index + 1}"
        sop_class, syntax = kinds[index % len(kinds)]
        path = folders.add(uid, sop_class=sop_class, syntax=syntax, pixel_bytes=index * 500 + 2)
        expected[uid] = encoded_dataset(path)
    return expected


def test_all_queued_instances_arrive_as_they_are_over_one_association(
    folders: SpoolFolders,
) -> None:
    expected = add_many(folders, 150)
    with StockPeer().serving() as peer:
        with running(folders, dicom(peer.port)) as facts:
            wait_until(lambda: not folders.names())
        assert peer.received == expected
        assert len(peer.order) == len(expected)
        assert peer.associations == 1
        wait_until(lambda: peer.endings == ["released"])
    assert {told["sop_instance_uid"] for told in facts.of("delivery.sent")} == set(expected)
    assert [event for event, _ in facts.told if event != "delivery.sent"] == []


def test_a_new_kind_of_instance_needs_another_association_and_then_no_more(
    folders: SpoolFolders,
) -> None:
    with StockPeer().serving() as peer, running(folders, dicom(peer.port)):
        for index, sop_class in enumerate([CT, MR, CT, MR, CT], 1):
            folders.add(f"2.25.{index}", sop_class=sop_class)
            wait_until(lambda: not folders.names())
        assert peer.associations == 2


@pytest.mark.parametrize("max_pdu_bytes", [0, 4096])
def test_the_peer_s_pdu_limit_is_kept(folders: SpoolFolders, max_pdu_bytes: int) -> None:
    expected = add_many(folders, 20)
    with StockPeer().serving(max_pdu_bytes=max_pdu_bytes) as peer:
        with running(folders, dicom(peer.port)):
            wait_until(lambda: not folders.names())
        assert peer.received == expected
        assert max(peer.pdu_lengths) <= (max_pdu_bytes or 128 * 1024)


def test_with_the_destination_down_for_a_while_exactly_all_arrive_later(
    folders: SpoolFolders,
) -> None:
    port = free_port()
    expected = add_many(folders, 20)
    with running(folders, dicom(port)) as facts:
        wait_until(lambda: len(facts.of("destination.down")) > 3)
        assert len(folders.names()) == 20
        with StockPeer().serving(port=port, ends_abruptly=True) as peer:
            start = time.monotonic()
            wait_until(lambda: not folders.names())
            assert time.monotonic() - start < 10
            assert peer.received == expected
            assert len(peer.order) == 20
    assert [event for event, _ in facts.told].count("destination.up") == 1
    assert facts.of("destination.down")[0]["reason"] == "connection-refused"


def test_a_destination_that_goes_down_in_between_gets_the_rest_later(
    folders: SpoolFolders,
) -> None:
    port = free_port()
    expected = add_many(folders, 200)
    first, second = StockPeer(), StockPeer()
    with running(folders, dicom(port)):
        with first.serving(port=port, ends_abruptly=True):
            wait_until(lambda: len(first.received) >= 20)
        assert folders.names()
        with second.serving(port=port, ends_abruptly=True):
            wait_until(lambda: not folders.names())
    assert first.received | second.received == expected
    assert folders.failed_names() == []


def test_statuses_decide_what_becomes_of_an_instance(folders: SpoolFolders) -> None:
    statuses = {"2.25.1": 0xB000, "2.25.2": 0xA900, "2.25.3": 0xC001, "2.25.4": 0x0110}
    for uid in (*statuses, "2.25.5"):
        folders.add(uid)
    with StockPeer(answer=lambda uid: statuses.get(uid, 0)).serving() as peer:
        with running(folders, dicom(peer.port)) as facts:
            wait_until(lambda: not folders.names())
        assert sorted(peer.received) == ["2.25.1", "2.25.5"]
        assert peer.associations == 1
    failed = QueueDirectory(folders.root, "pacs").failed()
    assert {entry.path.stem: failure.status for entry, failure in failed} == {
        uid: status for uid, status in statuses.items() if uid != "2.25.1"
    }
    assert {told["sop_instance_uid"]: told["status"] for told in facts.of("delivery.failed")} == {
        uid: status for uid, status in statuses.items() if uid != "2.25.1"
    }


def test_out_of_resources_is_tried_again_until_it_is_taken(folders: SpoolFolders) -> None:
    attempts: list[str] = []

    def full_at_first(uid: str) -> int:
        attempts.append(uid)
        return 0xA700 if len(attempts) < 5 else 0

    expected = add_many(folders, 3)
    with StockPeer(answer=full_at_first).serving() as peer:
        with running(folders, dicom(peer.port)) as facts:
            wait_until(lambda: not folders.names())
        assert peer.received == expected
    assert {told["status"] for told in facts.of("delivery.deferred")} == {0xA700}
    assert folders.failed_names() == []


def test_what_the_peer_does_not_take_fails_and_the_rest_arrives(folders: SpoolFolders) -> None:
    folders.add("2.25.1", sop_class=MR)
    folders.add("2.25.2", syntax=JPEG_LOSSLESS)
    folders.add("2.25.3")
    with StockPeer().serving(contexts={CT: [EXPLICIT]}) as peer:
        with running(folders, dicom(peer.port)):
            wait_until(lambda: not folders.names())
        assert list(peer.received) == ["2.25.3"]
    failed = QueueDirectory(folders.root, "pacs").failed()
    assert {entry.path.stem: failure.reason for entry, failure in failed} == {
        "2.25.1": "sop-class-not-accepted",
        "2.25.2": "transfer-syntax-not-accepted",
    }


def test_poison_goes_to_failed_and_everything_else_arrives(folders: SpoolFolders) -> None:
    expected = add_many(folders, 30)
    poison = {"2.25.1", "2.25.17"}
    with StockPeer(answer=lambda uid: ABORT if uid in poison else 0).serving() as peer:
        with running(folders, dicom(peer.port)) as facts:
            wait_until(lambda: not folders.names())
        assert set(peer.received) == set(expected) - poison
        assert {uid: peer.order.count(uid) for uid in poison} == dict.fromkeys(
            poison, POISON_LOSSES
        )
    failed = QueueDirectory(folders.root, "pacs").failed()
    assert {entry.path.stem: failure.reason for entry, failure in failed} == dict.fromkeys(
        poison, "breaks-association"
    )
    assert {told["reason"] for told in facts.of("delivery.deferred")} <= {
        "aborted",
        "connection-lost",
    }


def test_a_destination_that_rejects_everybody_loses_nothing(folders: SpoolFolders) -> None:
    expected = add_many(folders, 3)
    port = free_port()
    with running(folders, dicom(port)) as facts:
        with StockPeer().serving(
            port=port, configure=lambda ae: setattr(ae, "require_calling_aet", ["SOMEBODY"])
        ):
            wait_until(lambda: len(facts.of("destination.down")) > 5)
        with StockPeer().serving(port=port, ends_abruptly=True) as peer:
            wait_until(lambda: not folders.names())
            assert peer.received == expected
    assert "calling-aet-not-recognised" in {told["reason"] for told in facts.of("destination.down")}


def test_a_destination_that_hangs_delays_no_other(tmp_path: Path, folders: SpoolFolders) -> None:
    hangs, may_go_on = threading.Event(), threading.Event()

    def hang(_: str) -> int:
        hangs.set()
        assert may_go_on.wait(20)
        return 0

    other = SpoolFolders(tmp_path, "other").make()
    files = SpoolFolders(tmp_path, "files").make()
    share = tmp_path / "share"
    share.mkdir()
    expected = add_many(other, 30)
    add_many(files, 10)
    folders.add("2.25.1")
    folder = FolderDestination.model_validate(
        {"name": "files", "kind": "folder", "path": str(share)}
    )
    with (
        StockPeer(answer=hang).serving() as slow,
        StockPeer().serving() as quick_peer,
        running(folders, dicom(slow.port), dicom(quick_peer.port, "other"), folder),
    ):
        assert hangs.wait(10)
        wait_until(lambda: not other.names() and not files.names())
        assert quick_peer.received == expected
        assert len(list(share.glob("*.dcm"))) == 10
        assert folders.names() == ["2.25.1.dcm"]
        may_go_on.set()
        wait_until(lambda: not folders.names())


def test_a_peer_that_never_answers_cannot_hold_up_the_end(
    folders: SpoolFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "DRAIN_S", 0.2)
    hangs, may_go_on = threading.Event(), threading.Event()

    def hang(_: str) -> int:
        hangs.set()
        assert may_go_on.wait(20)
        return 0

    folders.add("2.25.1")
    with StockPeer(answer=hang).serving() as peer:
        with running(folders, dicom(peer.port)):
            assert hangs.wait(10)
            start = time.monotonic()
        assert time.monotonic() - start < 3
        may_go_on.set()
    assert folders.names() == ["2.25.1.dcm"]


def test_the_end_waits_for_the_instance_under_way_and_releases(folders: SpoolFolders) -> None:
    is_sending = threading.Event()

    def slow(_: str) -> int:
        is_sending.set()
        time.sleep(0.2)  # the peer's work, not a synchronisation
        return 0

    add_many(folders, 5)
    with StockPeer(answer=slow).serving() as peer:
        with running(folders, dicom(peer.port)):
            assert is_sending.wait(10)
        assert len(peer.received) == 1
        assert len(folders.names()) == 4
        wait_until(lambda: peer.endings == ["released"])


def test_a_lane_that_dies_is_not_kept_secret(
    folders: SpoolFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "WATCH_S", 0.02)
    monkeypatch.setattr(lane.Lane, "run", lambda _: None)
    runner = Courier([dicom(free_port())], folders.root, Facts(), calling_aet="NODE")
    with pytest.raises(courier.LaneDiedError):
        runner.run(threading.Event())


def test_our_ae_title_is_the_destination_s_own_or_the_node_s(folders: SpoolFolders) -> None:
    seen = []

    class Peer(StockPeer):
        def store(self, event: object) -> object:  # type: ignore[override]
            seen.append(event.assoc.requestor.ae_title)  # type: ignore[attr-defined]
            return 0

    second = SpoolFolders(folders.root, "second").make()
    with Peer().serving() as peer:
        own = dicom(peer.port, "second").model_copy(update={"calling_ae_title": "RESEARCH"})
        folders.add("2.25.1")
        with running(folders, dicom(peer.port)):
            wait_until(lambda: not folders.names())
        second.add("2.25.2")
        with running(folders, own):
            wait_until(lambda: not second.names())
    assert seen == ["NODE", "RESEARCH"]


def test_a_port_where_nobody_speaks_dicom_is_only_a_destination_that_is_down(
    folders: SpoolFolders,
) -> None:
    folders.add("2.25.1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        is_over = threading.Event()

        def serve() -> None:
            server.settimeout(0.05)
            while not is_over.is_set():
                with contextlib.suppress(TimeoutError):
                    connection, _ = server.accept()
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        with running(folders, dicom(server.getsockname()[1])) as facts:
            wait_until(lambda: len(facts.of("destination.down")) > 2)
        is_over.set()
        thread.join()
    assert folders.names() == ["2.25.1.dcm"]
