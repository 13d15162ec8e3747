"""A living node tells of complete studies, whoever is killed, hangs or is away."""

import hmac
import json
import os
import random
import secrets
import signal
import sqlite3
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import UID
from support_identity import found_in, identifiers
from support_ledger import rows
from support_node import SMALL, Node, cli, is_alive, read, running_node, start, wait_until
from support_web import serving

QUIET = "[completion]\nenabled = true\nquiet_s = 1.0\nhook_retry_s = 0.2\n"


def hook(tmp_path: Path, text: str) -> str:
    """The line that runs a program in Python."""
    program = tmp_path / "hook.py"
    program.write_text(text)
    return f"hook_command = {json.dumps([sys.executable, str(program)])}\n"


def saving(tmp_path: Path) -> str:
    """A hook that keeps each document in a file of its own."""
    told = tmp_path / "told"
    told.mkdir(exist_ok=True)
    return hook(
        tmp_path,
        "import os, sys, tempfile\n"
        f"fd, path = tempfile.mkstemp(dir={str(told)!r})\n"
        "os.write(fd, sys.stdin.buffer.read())\nos.close(fd)\n"
        "os.rename(path, path + '.json')\n",
    )


def documents(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in (tmp_path / "told").glob("*.json")]


def copies(directory: Path, study: int, count: int, first: int = 0) -> list[Path]:
    """Different instances of one study."""
    directory.mkdir(exist_ok=True)
    dataset = read(SMALL[0])
    made = []
    for number in range(first, first + count):
        uid = UID(f"2.25.88{study:03}{number:06}")
        dataset.StudyInstanceUID = f"2.25.99{study:05}"
        dataset.SeriesInstanceUID = f"2.25.98{study:05}"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
        made.append(directory / f"{study}-{number}.dcm")
        dataset.save_as(made[-1])
    return made


def test_studies_are_told_to_log_command_web_and_list_without_identity(tmp_path: Path) -> None:
    planted: set[str] = set()
    for path in SMALL:
        planted |= identifiers(read(path))
    listed = tmp_path / "node" / "var" / "studylist"
    with serving() as web:
        key = tmp_path / "webhook.key"
        key.write_text(secrets.token_hex(32))
        key.chmod(0o600)
        toml = QUIET + f'hook_url = "{web.url}"\nstudylist = "var/studylist"\n' + saving(tmp_path)
        toml += f'hook_key_file = "{key}"\n'
        with running_node(tmp_path / "node", toml=toml) as node:
            node.store_all(*SMALL)
            stored = node.events("instance.stored")
            expected = Counter(event["study_uid"] for event in stored)
            node.wait_for("study.completed", len(expected), 60)
            wait_until(lambda: len(documents(tmp_path)) >= len(expected), 60)
            wait_until(lambda: len(web.got) >= len(expected), 60)
            wait_until(lambda: len(listed.read_text().splitlines()) == len(expected), 60)
            uids = {event["study_uid"] for event in node.events("study.completed")}
            series = {event["study_uid"]: event["series_uid"] for event in stored}
    assert uids == expected.keys()
    told = documents(tmp_path)
    assert Counter({each["study_uid"]: each["instances"] for each in told}) == expected
    assert {each["study_uid"]: each for each in told} == {
        (each := json.loads(body))["study_uid"]: each for _, _, body in web.got
    }
    for _, headers, body in web.got:
        signed = headers["X-Dicomanon-Timestamp"].encode() + b"." + body
        digest = hmac.digest(bytes.fromhex(key.read_text()), signed, "sha256").hex()
        assert headers["X-Dicomanon-Signature"] == f"sha256={digest}"
    for each in told:
        assert series[each["study_uid"]] in [entry["series_uid"] for entry in each["series"]]
        directory = node.outgoing / each["directory"]
        assert len(list(directory.rglob("*.dcm"))) == each["instances"]
        new = read(next(directory.rglob("*.dcm")))
        line = (
            f"data for subject {new.PatientName or new.PatientID} with patient id {new.PatientID}"
            f" is in directory {directory}"
        )
        assert line in listed.read_text(encoding="utf-8").splitlines()
    everything = listed.read_bytes() + b"".join(
        [json.dumps(each).encode() for each in told]
        + [json.dumps(headers).encode() + body for _, headers, body in web.got]
    )
    assert found_in(everything, planted) == set()


def test_a_web_server_that_was_away_is_told_later_and_nobody_waits(tmp_path: Path) -> None:
    with serving() as web:
        web.status = 503
        toml = QUIET + f'hook_url = "{web.url}"\n' + hook(tmp_path, "import time; time.sleep(600)")
        with running_node(tmp_path / "node", toml=toml) as node:
            node.store_all(*copies(tmp_path / "files", 1, 3))
            failed = node.wait_for("hook.failed", 2, 60)
            assert {(event["hook"], event["http_status"]) for event in failed} == {("url", 503)}
            # The command hangs all the while; objects come and studies are completed.
            node.store_all(*copies(tmp_path / "files", 2, 3))
            node.wait_for("study.completed", 2, 60)
            web.status = 200
            told = node.wait_for("hook.told", 2, 60)
            assert {event["hook"] for event in told} == {"url"}
        assert node.exit_code == 0


def test_a_study_that_gets_more_is_told_again_and_a_stop_loses_nothing(tmp_path: Path) -> None:
    first, more = (copies(tmp_path / "files", 1, 3, start) for start in (0, 3))
    toml = QUIET + saving(tmp_path)
    with running_node(tmp_path / "node", toml=toml) as node:
        node.store_all(*first)
        node.wait_for("study.completed", 1, 60)
        node.store_all(*more)  # and stopped before it is quiet
    again = node.restarted()
    try:
        [event] = again.wait_for("study.completed", 1, 60)
        wait_until(lambda: len(documents(tmp_path)) == 2, 60)
    finally:
        assert again.stop() == 0
    assert (event["revision"], event["instances"]) == (2, 6)
    assert sorted((each["revision"], each["instances"]) for each in documents(tmp_path)) == [
        (1, 3),
        (2, 6),
    ]


def test_after_delivery_is_after_the_destination_has_come_back(tmp_path: Path) -> None:
    share = tmp_path / "share"
    destination = f'[[destinations]]\nname = "share"\nkind = "folder"\npath = "{share}"\n'
    toml = QUIET + 'after = "delivered"\n' + saving(tmp_path) + destination
    with running_node(tmp_path / "node", toml=toml) as node:
        node.store_all(*copies(tmp_path / "files", 1, 3))
        node.wait_for("study.quiet", 0)
        node.wait_for("destination.down", 1, 60)
        assert node.events("study.completed") == []
        share.mkdir()
        node.wait_for("study.completed", 1, 90)
        wait_until(lambda: documents(tmp_path), 60)
    [told] = documents(tmp_path)
    assert told["destinations"] == [{"name": "share", "queued": 0, "delivered": 3, "failed": 0}]


def test_a_reload_gives_hooks_other_settings(tmp_path: Path) -> None:
    with running_node(tmp_path / "node", toml=QUIET) as node:
        (node.directory / "config" / "node.toml").write_text(QUIET + saving(tmp_path))
        assert cli("reload", cwd=node.directory).returncode == 0
        node.store_all(*copies(tmp_path / "files", 1, 2))
        wait_until(lambda: documents(tmp_path), 60)


@pytest.mark.timeout(300)
def test_whoever_is_killed_each_study_is_told_at_least_once_and_with_all_it_has(
    tmp_path: Path,
) -> None:
    chance = random.Random(7)  # noqa: S311  (when to kill)
    toml = QUIET.replace("1.0", "0.3") + saving(tmp_path)
    node = start(tmp_path / "node", toml=toml)
    sent: Counter[str] = Counter()
    killed = 0
    try:
        for study in range(12):
            stored = node.store(*copies(tmp_path / "files", study, chance.randint(1, 4)))
            uids = set(stored.values())
            sent.update(
                event["study_uid"]
                for event in node.events("instance.stored")
                if event["sop_instance_uid"] in uids
            )
            role = ("finisher", "recorder", "node")[study % 3]
            wait_until(
                lambda study=study: (
                    len(documents(tmp_path)) >= study // 2  # type: ignore[misc]
                    or chance.random() < 0.02
                ),
                60,
            )
            if role == "node":
                node.process.kill()
                node.process.wait()
                pids = node.started_pids()
                wait_until(lambda pids=pids: not any(map(is_alive, pids)))  # type: ignore[misc]
                node = node.restarted()
                killed += 1
                continue
            for pid in node.children(role)[-1:]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
        wait_until(lambda: latest(documents(tmp_path)) == sent, 90)
    finally:
        node.stop()
    assert killed
    for each in documents(tmp_path):
        assert each["instances"] <= sent[each["study_uid"]]


def latest(told: list[dict[str, Any]]) -> Counter[str]:
    """Instances of each study, as its highest revision has it."""
    by_revision = sorted(told, key=lambda each: each["revision"])
    return Counter({each["study_uid"]: each["instances"] for each in by_revision})


def old_by(node: Node, days: int) -> None:
    """Make the ledger say that everything came some days ago."""
    path = node.directory / "var" / "ledger.sqlite"
    connection = sqlite3.connect(path, timeout=30)
    with connection:
        connection.execute("UPDATE receipts SET last_at = last_at - ?", (days * 86_400_000_000,))
    connection.close()


def receipt_count(path: Path) -> int:
    with suppress(sqlite3.OperationalError):  # the recorder has not come to it yet
        return int(rows(path, "SELECT count(*) FROM receipts")[0][0])
    return 0


def test_retention_asks_the_file_too_and_removes_nothing_that_is_of_today(tmp_path: Path) -> None:
    toml = "[retention]\noutgoing_days = 7\n"
    with running_node(tmp_path / "node", toml=toml) as node:
        node.store_all(*SMALL)
        path = node.directory / "var" / "ledger.sqlite"
        wait_until(lambda: receipt_count(path) == len(SMALL), 60)
        files = node.outgoing_files()
        for option in ("--dry-run", None):
            done = cli("retention", *([option] if option else []), cwd=node.directory)
            assert (done.returncode, done.stdout[:1]) in {(0, ""), (0, "0")}
        old_by(node, 30)
        done = cli("retention", cwd=node.directory)
        assert (
            done.stdout == f"0 files removed, 0 bytes; {len(SMALL)} files old enough and in use\n"
        )
        assert node.outgoing_files() == files
        directories = {str(Path(name).parent) for name in files}
        known = {row[0] for row in rows(path, "SELECT directory FROM receipts")}
        assert known == directories
