"""A courier killed at any moment loses nothing; what it sent twice was the same."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support_delivery import SpoolFolders, StockPeer, encoded_dataset, wait_until
from support_window import WindowPeer

COURIER = """
import signal, sys, threading
from pathlib import Path
from dicomanon_node.config.model import DicomDestination
from dicomanon_node.delivery import lane
from dicomanon_node.delivery.courier import Courier
lane.EXTRA_PACE_S = 0.0
settings = {"name": "pacs", "kind": "dicom", "ae_title": "STOCK", "host": "127.0.0.1",
            "port": int(sys.argv[2]), "associations": int(sys.argv[3])}
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
Courier([DicomDestination.model_validate(settings)], Path(sys.argv[1]),
        lambda event, **facts: None, calling_aet="NODE").run(stop)
"""


def start(
    folders: SpoolFolders, peer: StockPeer | WindowPeer, associations: int = 1
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", COURIER, str(folders.root), str(peer.port), str(associations)]
    return subprocess.Popen(command)


def add(folders: SpoolFolders, count: int) -> dict[str, bytes]:
    return {
        uid: encoded_dataset(folders.add(uid, pixel_bytes=20_000))
        for uid in (f"2.25.{index}" for index in range(1, count + 1))
    }


@pytest.mark.parametrize(
    ("associations", "count", "instances_before"),
    [(1, 80, 1), (1, 80, 7), (1, 80, 40), (4, 320, 100), (4, 320, 180)],
)
def test_after_a_kill_the_next_courier_delivers_the_rest(
    tmp_path: Path, associations: int, count: int, instances_before: int
) -> None:
    folders = SpoolFolders(tmp_path).make()
    expected = add(folders, count)
    with StockPeer().serving() as peer:
        killed = start(folders, peer, associations)
        wait_until(lambda: len(peer.received) >= instances_before)
        killed.send_signal(signal.SIGKILL)
        assert killed.wait(10) == -signal.SIGKILL
        waiting = {name.removesuffix(".dcm") for name in folders.names()}
        assert waiting | set(peer.received) == set(expected)
        assert peer.associations == associations
        second = start(folders, peer, associations)
        try:
            wait_until(lambda: not folders.names(), deadline_s=30)
        finally:
            second.send_signal(signal.SIGTERM)
            assert second.wait(10) == 0
        assert peer.received == expected
        # At most those twice, on each association, whose name had not gone yet: the one under way
        # and the one answered before it, which is tidied up after while the next is sent.
        assert len(peer.order) <= len(expected) + 2 * associations
    assert folders.failed_names() == []


def test_after_a_kill_no_more_goes_out_twice_than_was_unanswered(tmp_path: Path) -> None:
    folders = SpoolFolders(tmp_path).make()
    expected = add(folders, 60)
    with WindowPeer().serving() as peer:
        killed = start(folders, peer)
        wait_until(lambda: len(peer.order) >= 20)
        killed.send_signal(signal.SIGKILL)
        assert killed.wait(10) == -signal.SIGKILL
        second = start(folders, peer)
        try:
            wait_until(lambda: not folders.names())
        finally:
            second.send_signal(signal.SIGTERM)
            assert second.wait(10) == 0
        assert peer.received == expected
        assert len(peer.order) <= len(expected) + 8
    assert folders.failed_names() == []


def test_sigterm_ends_it_in_order(tmp_path: Path) -> None:
    folders = SpoolFolders(tmp_path).make()
    folders.add("2.25.1")
    with StockPeer().serving() as peer:
        process = start(folders, peer)
        wait_until(lambda: not folders.names())
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(10) == 0
        wait_until(lambda: peer.endings == ["released"])
