"""Whoever was answered 0000H has a receipt, one, whichever process was killed when."""

import os
import random
import signal
import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest
from pydicom.uid import UID
from support_ledger import rows
from support_node import SMALL, Node, cli, is_alive, read, running_node, start, wait_until

from dicomanon_node.config.secrets import read_key
from dicomanon_node.deid.pseudonyms import Key
from dicomanon_node.ledger.origins import Origins
from dicomanon_node.network.part10 import DicomFile
from dicomanon_node.network.proposal import contexts_for
from dicomanon_node.network.requestor import Requestor


def toml(directory: Path) -> str:
    (directory / "share").mkdir(parents=True)
    return f'[[destinations]]\nname = "share"\nkind = "folder"\npath = "{directory / "share"}"\n'


def copies(directory: Path, count: int) -> dict[str, Path]:
    """Different instances of one series, by their original SOP Instance UID."""
    directory.mkdir()
    dataset = read(SMALL[0])
    made: dict[str, Path] = {}
    for number in range(count):
        uid = UID(f"2.25.7777{number:06}")
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
        dataset.InstanceNumber = number
        made[uid] = directory / f"{number}.dcm"
        dataset.save_as(made[uid])
    return made


def send_until_answered(node: Node, files: dict[str, Path], answered: list[str]) -> None:
    """Send each file once; note which of them were answered 0000H."""
    opened = [(uid, DicomFile.open(path)) for uid, path in files.items()]
    while opened:
        try:
            with Requestor(
                "127.0.0.1",
                node.port,
                calling_aet="TEST",
                called_aet="DICOMANON",
                contexts=contexts_for([opened[0][1]]),
            ) as requestor:
                while opened:
                    uid, file = opened.pop()
                    if requestor.store(file).status == 0:
                        answered.append(uid)
        except Exception:  # noqa: BLE001  (whatever a killed node does to a sender)
            if node.exit_code is not None:
                return


def receipts_of(node: Node, uids: list[str]) -> dict[str, int]:
    """How many receipts each original UID has."""
    origins = Origins(Key(read_key(node.directory / "var" / "secret.key")))
    counted = dict(
        rows(
            node.directory / "var" / "ledger.sqlite",
            "SELECT original_instance, count(*) FROM receipts GROUP BY 1",
        )
    )
    return {uid: counted.get(origins.hash(uid), 0) for uid in uids}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("role", ["receiver", "recorder", "courier"])
def test_a_process_killed_again_and_again_costs_no_receipt(tmp_path: Path, role: str) -> None:
    files = copies(tmp_path / "files", 300)
    chance, answered = random.Random(role), list[str]()  # noqa: S311  (when to kill)
    with running_node(tmp_path / "node", toml=toml(tmp_path)) as node:
        thread = threading.Thread(target=send_until_answered, args=(node, files, answered))
        thread.start()
        killed = 0
        while thread.is_alive():
            thread.join(chance.uniform(0.02, 0.3))
            for pid in node.children(role)[:1]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
        assert killed
        wait_until(lambda: node.children(role), 30)
    # A recorder that was being started when the node was stopped has left its work to the next.
    assert node.restarted().stop() == 0
    assert answered
    assert receipts_of(node, answered) == dict.fromkeys(answered, 1)
    assert not list((node.spool / "journal").iterdir())


@pytest.mark.timeout(240)
def test_a_node_killed_again_and_again_costs_no_receipt(tmp_path: Path) -> None:
    files = copies(tmp_path / "files", 500)
    chance, answered = random.Random(5), list[str]()  # noqa: S311  (when to kill)
    left = dict(files)
    node = start(tmp_path / "node", toml=toml(tmp_path))
    try:
        for _ in range(4):
            thread = threading.Thread(target=send_until_answered, args=(node, left, answered))
            thread.start()
            thread.join(chance.uniform(0.1, 0.8))
            node.process.kill()
            node.process.wait()
            thread.join()
            pids = node.started_pids()
            wait_until(lambda pids=pids: not any(map(is_alive, pids)))  # type: ignore[misc]
            left = {uid: path for uid, path in files.items() if uid not in set(answered)}
            node = node.restarted()
        assert node.stop() == 0
    finally:
        if node.exit_code is None:
            node.process.kill()
            node.process.wait()
    assert answered
    assert receipts_of(node, answered) == dict.fromkeys(answered, 1)
    assert not list((node.spool / "journal").iterdir())


def test_the_ledger_knows_what_was_delivered_and_nobody(tmp_path: Path) -> None:
    with running_node(tmp_path / "node", toml=toml(tmp_path)) as node:
        node.store(*SMALL)
        wait_until(lambda: len(node.events("delivery.sent")) == len(SMALL))
    with closing(sqlite3.connect(node.directory / "var" / "ledger.sqlite")) as ledger:
        counts = "SELECT sum(delivered_count), sum(failed_count) FROM deliveries"
        [ends] = ledger.execute(counts).fetchall()
    assert ends == (len(SMALL), 0)
    written = b"".join(
        path.read_bytes()
        for path in node.directory.glob("var/**/*")
        if path.is_file() and path.suffix != ".dcm"
    )
    for path in SMALL:
        dataset = read(path)
        for keyword in (
            "PatientID PatientName StudyInstanceUID SeriesInstanceUID SOPInstanceUID"
            " AccessionNumber"
        ).split():
            value = str(dataset.get(keyword, "")).encode()
            assert len(value) < 5 or value not in written, keyword


def test_journals_hold_nobody_while_they_wait(tmp_path: Path) -> None:
    settings = {"ledger.path": str(tmp_path / "in-the-way" / "ledger.sqlite")}
    (tmp_path / "in-the-way").write_text("x")
    with running_node(tmp_path / "node", settings=settings) as node:
        node.store(*SMALL)
        node.wait_for("ledger.behind")
        written = b"".join(path.read_bytes() for path in (node.spool / "journal").iterdir())
    assert written.count(b'["stored",') == len(SMALL)
    for path in SMALL:
        dataset = read(path)
        for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "SOPInstanceUID"):
            value = str(dataset.get(keyword, "")).encode()
            assert len(value) < 5 or value not in written, keyword


def test_receipts_are_shown_for_new_and_for_original_uids(tmp_path: Path) -> None:
    with running_node(tmp_path / "node", toml=toml(tmp_path)) as node:
        new = node.store(*SMALL)
        wait_until(lambda: len(node.events("delivery.sent")) == len(SMALL))
    path, uid = next(iter(new.items()))
    shown = cli("receipts", "show", uid, cwd=node.directory)
    assert shown.returncode == 0, shown.stderr
    assert uid in shown.stdout
    assert "delivered" in shown.stdout
    assert cli("receipts", "show", "2.25.1", cwd=node.directory).returncode == 1
    listed = cli("receipts", "list", "--json", cwd=node.directory).stdout.splitlines()
    assert len(listed) == len(SMALL)
    origins = Origins(Key(read_key(node.directory / "var" / "secret.key")))
    dataset = read(path)
    for keyword, column in (
        ("SOPInstanceUID", "original_instance"),
        ("SeriesInstanceUID", "original_series"),
        ("StudyInstanceUID", "original_study"),
    ):
        hashed = origins.hash(str(dataset[keyword].value))
        found = rows(
            node.directory / "var" / "ledger.sqlite",
            f"SELECT 1 FROM receipts WHERE {column} = '{hashed}' AND sop_instance_uid = '{uid}'",  # noqa: S608  (ours)
        )
        assert found == [(1,)], keyword
