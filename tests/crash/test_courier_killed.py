"""A courier killed at any moment loses nothing; what it sent twice was the same."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support_delivery import SpoolFolders, StockPeer, encoded_dataset, wait_until

COURIER = """
import signal, sys, threading
from pathlib import Path
from dicomanon_node.config.model import DicomDestination
from dicomanon_node.delivery.courier import Courier
settings = {"name": "pacs", "kind": "dicom", "ae_title": "STOCK", "host": "127.0.0.1",
            "port": int(sys.argv[2])}
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
Courier([DicomDestination.model_validate(settings)], Path(sys.argv[1]),
        lambda event, **facts: None, calling_aet="NODE").run(stop)
"""


def start(folders: SpoolFolders, peer: StockPeer) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", COURIER, str(folders.root), str(peer.port)]
    return subprocess.Popen(command)


@pytest.mark.parametrize("instances_before", [1, 7, 40])
def test_after_a_kill_the_next_courier_delivers_the_rest(
    tmp_path: Path, instances_before: int
) -> None:
    folders = SpoolFolders(tmp_path).make()
    expected = {
        uid: encoded_dataset(folders.add(uid, pixel_bytes=20_000))
        for uid in (f"2.25.{index}" for index in range(1, 81))
    }
    with StockPeer().serving() as peer:
        killed = start(folders, peer)
        wait_until(lambda: len(peer.received) >= instances_before)
        killed.send_signal(signal.SIGKILL)
        assert killed.wait(10) == -signal.SIGKILL
        waiting = {name.removesuffix(".dcm") for name in folders.names()}
        assert waiting | set(peer.received) == set(expected)
        second = start(folders, peer)
        try:
            wait_until(lambda: not folders.names())
        finally:
            second.send_signal(signal.SIGTERM)
            assert second.wait(10) == 0
        assert peer.received == expected
        assert len(peer.order) <= len(expected) + 1  # at most the one under way twice
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
