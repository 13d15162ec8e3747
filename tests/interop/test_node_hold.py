"""A node with a hold: what it refuses is nowhere in clear, and comes out when rules change."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from support_node import (
    CORPUS,
    SMALL,
    Node,
    cli,
    environment,
    files_below,
    read,
    wait_until,
    write_config,
)
from support_objects import ct, halfway, write

from dicomanon_node.network.failures import NotSendableError
from dicomanon_node.network.part10 import DicomFile, Part10Error
from dicomanon_node.network.proposal import contexts_for
from dicomanon_node.network.requestor import Requestor

Start = Callable[..., Node]

NOBODY: Final = {"NO-SUCH-STATION": {"TagForStudy": "StudyDescription"}}
HOLD: Final = """
[routing]
on_missing = "{on_missing}"
[hold]
enabled = true
answer = "{answer}"
alarm_count = 3
[[destinations]]
name = "share"
kind = "folder"
path = "share"
"""
SHARED: Final = ("--set", "storage.low_water_bytes=0")


def toml(answer: str = "refuse", on_missing: str = "refuse") -> str:
    return HOLD.format(answer=answer, on_missing=on_missing)


def statuses(node: Node, paths: Sequence[Path]) -> list[int]:
    """What each file is answered."""
    files = [DicomFile.open(path) for path in paths]
    with Requestor(
        "127.0.0.1", node.port, calling_aet="TEST", called_aet=node.ready["ae_title"],
        contexts=contexts_for(files),
    ) as requestor:  # fmt: skip
        found = []
        for file in files:
            try:
                found.append(requestor.store(file).status)
            except NotSendableError:
                found.append(-1)
    return found


def hold(node: Node, *arguments: str) -> subprocess.CompletedProcess[str]:
    return cli("hold", *arguments, *SHARED, cwd=node.directory)


def listed(node: Node) -> list[dict[str, Any]]:
    done = hold(node, "list", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def allow_all(node: Node) -> None:
    """Today's rules: those as shipped."""
    write_config(node.directory, toml(on_missing="default"))


def identifiers(paths: Sequence[Path]) -> set[bytes]:
    """What of the files identifies, as it stands in them: names, numbers and UIDs."""
    found = set()
    for path in paths:
        dataset = read(path)
        for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "SeriesInstanceUID",
                        "SOPInstanceUID", "AccessionNumber"):  # fmt: skip
            value = str(dataset.get(keyword) or "").strip()
            if len(value) >= 6:
                found.add(value.encode("utf-8", "replace"))
    return found


def assert_nothing_in_clear(node: Node, values: set[bytes]) -> None:
    assert values
    for name, content in files_below(node.directory).items():
        searched = content + name.encode()
        assert not [value for value in values if value in searched], name


def corpus_files() -> list[Path]:
    """Some real files of different makers, as large as is quick."""
    found = []
    for path in sorted(CORPUS.rglob("*.dcm"))[::13]:
        if path.stat().st_size > 4_000_000:
            continue
        try:
            DicomFile.open(path)
        except Part10Error:
            continue
        found.append(path)
    return found[:8]


FILES: Final = [*SMALL, *corpus_files()]


def test_what_is_refused_is_held_in_no_clear_byte_and_released_as_if_it_came_now(
    start_node: Start,
) -> None:
    node = start_node(toml=toml(), stations=NOBODY)
    found = statuses(node, FILES)
    sent = [path for path, status in zip(FILES, found, strict=True) if status in (0x0110, 0xC000)]
    assert len(sent) >= len(SMALL)
    assert len(listed(node)) == len(sent)
    assert_nothing_in_clear(node, identifiers(sent))
    [alarm] = node.wait_for("hold.alarm")
    assert alarm["alarm_count"] == 3

    still = hold(node, "release", "--all")
    assert still.returncode == 1
    assert f"0 objects released, {len(sent)} still refused" in still.stdout
    assert {entry["verdict"] for entry in listed(node)} >= {"no-station"}

    allow_all(node)
    (node.directory / "share").mkdir(exist_ok=True)
    hold(node, "release", "--all")
    left = listed(node)
    released = node.wait_for("hold.released", len(sent) - len(left))
    assert len(released) == len(sent) - len(left) >= len(SMALL)
    assert {entry["verdict"] for entry in left}.isdisjoint({"no-station", "internal"})
    assert len(node.wait_for("instance.stored", len(released))) == len(released)
    if len(left) < 3:
        node.wait_for("hold.recovered")
    assert_nothing_in_clear(node, identifiers(sent))

    # The same received directly, by another node with the same key.
    (node.directory / "other" / "var").mkdir(parents=True)
    shutil.copy(node.directory / "var" / "secret.key", node.directory / "other" / "var")
    other = start_node("node/other", toml=toml(on_missing="default"))
    direct = other.store(*sent)
    assert len(direct) == len(released)
    assert node.outgoing_files() == other.outgoing_files()
    wait_until(lambda: not node.queued("share"))  # a running courier takes what is released
    assert list((node.directory / "share").glob("*.dcm"))


def test_an_accepted_object_is_held_when_all_processes_are_killed(start_node: Start) -> None:
    node = start_node(toml=toml("accept"), stations=NOBODY)
    assert statuses(node, SMALL) == [0] * len(SMALL)
    with halfway(node.port, "2.25.9191919191"):
        wait_until(lambda: list((node.spool / "hold" / "incoming").iterdir()))
        for pid in (node.process.pid, *node.children(), *node.children("keeper")):
            node.kill(pid) if pid != node.process.pid else node.process.kill()
        node.process.wait(30)
    assert_nothing_in_clear(node, identifiers(SMALL) | {b"2.25.9191919191"})
    assert len(listed(node)) == len(SMALL)
    allow_all(node)
    shutil.rmtree(node.spool / "queue" / "share")  # as of a new destination
    done = hold(node, "release", "--all")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(node.outgoing_files()) == len(SMALL)
    assert listed(node) == []


def test_two_who_release_at_once_store_each_object_once(start_node: Start, tmp_path: Path) -> None:
    node = start_node(toml=toml(), stations=NOBODY)
    paths = [
        write(tmp_path / f"{number}.dcm", ct(f"2.25.77{number}", pixel_bytes=200_000))
        for number in range(12)
    ]
    assert statuses(node, paths) == [0x0110] * 12
    allow_all(node)
    command = [sys.executable, "-m", "dicomanon_node", "hold", "release", "--all", *SHARED]
    both = [
        subprocess.Popen(command, cwd=node.directory, env=environment(), text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]  # fmt: skip
    counts = [int(process.communicate(timeout=90)[0].split()[0]) for process in both]
    assert sum(counts) == 12
    assert len(node.outgoing_files()) == 12
    assert listed(node) == []
    assert len(node.wait_for("hold.released", 12)) == 12


def test_an_export_is_the_object_as_it_came_and_is_in_the_log(
    start_node: Start, tmp_path: Path
) -> None:
    node = start_node(toml=toml(), stations=NOBODY)
    path = write(tmp_path / "sent.dcm", ct("2.25.4141", pixel_bytes=200_000))
    assert statuses(node, [path]) == [0x0110]
    [entry] = listed(node)
    target = tmp_path / "for-the-physicist"
    target.mkdir()

    assert hold(node, "export", entry["entry"], "--to", str(target)).returncode == 2
    inside = hold(node, "export", entry["entry"], "--to", "var/outgoing", "--i-am-authorised")
    assert inside.returncode == 2
    assert not list(target.iterdir())

    done = hold(node, "export", entry["entry"], "--to", str(target), "--i-am-authorised")
    assert done.returncode == 0, done.stderr
    [exported] = target.iterdir()
    assert exported.stat().st_mode & 0o777 == 0o600
    original, again = DicomFile.open(path), DicomFile.open(exported)
    assert again.sop_instance_uid == original.sop_instance_uid
    assert (
        exported.read_bytes()[again.dataset_offset :]
        == (path.read_bytes()[original.dataset_offset :])
    )
    [event] = node.wait_for("hold.exported")
    assert event["entry"] == entry["entry"]
    assert len(listed(node)) == 1


def test_a_changed_entry_is_released_by_nobody(start_node: Start, tmp_path: Path) -> None:
    node = start_node(toml=toml(), stations=NOBODY)
    path = write(tmp_path / "sent.dcm", ct("2.25.5151", pixel_bytes=500_000))
    assert statuses(node, [path]) == [0x0110]
    [entry] = listed(node)
    [file] = (node.spool / "hold" / "entries").glob("*.hold")
    content = bytearray(file.read_bytes())
    content[-20] ^= 1  # in the last chunk: the rest goes the way of an instance before
    file.write_bytes(content)
    allow_all(node)
    done = hold(node, "release", entry["entry"])
    assert done.returncode == 1
    assert "the file was changed" in done.stderr
    assert node.outgoing_files() == {}
    assert node.incoming_files() == []
    assert len(listed(node)) == 1


def test_what_is_dropped_is_gone_and_in_the_log(start_node: Start) -> None:
    node = start_node(toml=toml(), stations=NOBODY)
    assert statuses(node, SMALL[:2]) == [0x0110] * 2
    first, _ = listed(node)
    shown = hold(node, "show", first["entry"])
    assert "no-station" in shown.stdout
    assert hold(node, "drop", first["entry"], "--yes").returncode == 0
    assert hold(node, "drop", first["entry"], "--yes").returncode == 1
    assert len(listed(node)) == 1
    node.wait_for("hold.dropped")


def test_a_node_without_a_hold_keeps_nothing(start_node: Start) -> None:
    node = start_node(toml='[routing]\non_missing = "refuse"\n', stations=NOBODY)
    assert set(statuses(node, SMALL)) == {0x0110}
    assert not (node.spool / "hold").exists()
    assert not (node.directory / "var" / "hold.key").exists()
    assert node.children("keeper") == []


@pytest.mark.parametrize("how", ["copied", "linked"])
def test_the_key_of_the_pseudonyms_is_not_taken(tmp_path: Path, how: str) -> None:
    write_config(tmp_path, toml())
    assert cli("hold", "list", cwd=tmp_path).returncode == 2  # makes no key
    key = tmp_path / "var" / "secret.key"
    key.parent.mkdir()
    key.touch(0o600)
    key.write_text(hashlib.sha256(b"some key").hexdigest())
    if how == "copied":
        shutil.copy(key, key.with_name("hold.key"))
    else:
        key.with_name("hold.key").hardlink_to(key)
    done = cli("serve", "--set", "listener.port=0", "--set", "admin.port=0", cwd=tmp_path)
    assert done.returncode == 2
    assert "the hold needs one of its own" in done.stdout + done.stderr


def test_the_hold_key_is_made_once_for_the_owner_alone(start_node: Start) -> None:
    node = start_node(toml=toml())
    key = node.directory / "var" / "hold.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(node.events("hold.key_created")) == 1
    assert key.read_text().strip() not in node.log.read_text()
    content = key.read_bytes()
    node.stop()
    assert key.read_bytes() == content
