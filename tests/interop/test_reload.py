"""A running node reads its configuration again: at an association boundary, or not at all."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support_node import (
    SMALL,
    Node,
    cli,
    environment,
    is_alive,
    read,
    running_node,
    wait_until,
    write_config,
)

from dicomanon_node.network.failures import AssociationError
from dicomanon_node.network.part10 import DicomFile
from dicomanon_node.network.proposal import contexts_for
from dicomanon_node.network.requestor import Requestor
from dicomanon_node.node.control import ask
from dicomanon_node.node.generation import MAX_RETIRING

FILE = SMALL[0]
PRLIMIT = shutil.which("prlimit") or "prlimit"
STATIONS = {"default": {"TagForStudy": "StudyDescription"}}


def studies(value: str) -> dict[str, object]:
    """Rules that write a value into each object."""
    tags = {"StudyDescription": {"action": "value", "value": value}}
    return {"default": {"Profile": "basic", "AnonymizeTag": tags}}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A node whose rules say BEFORE."""
    with running_node(tmp_path / "node", stations=STATIONS, studies=studies("BEFORE")) as running:
        yield running


def change(node: Node, name: str, content: object) -> None:
    """Write a file of its configuration anew."""
    text = content if isinstance(content, str) else json.dumps(content)
    (node.directory / "config" / name).write_text(text, encoding="utf-8")


def reload(node: Node) -> subprocess.CompletedProcess[str]:
    """As a person asks for it."""
    return cli("reload", "--config", node.directory / "config")


def requestor(node: Node) -> Requestor:
    """An association for `FILE`."""
    contexts = contexts_for([DicomFile.open(FILE)])
    return Requestor(
        "127.0.0.1", node.port, calling_aet="T", called_aet="DICOMANON", contexts=contexts
    )


def descriptions(node: Node) -> set[str]:
    """What the rules wrote into the objects in outgoing."""
    return {str(read(node.outgoing / name).StudyDescription) for name in node.outgoing_files()}


def test_new_associations_get_the_new_rules(node: Node) -> None:
    node.store_all(FILE)
    change(node, "studies.json", studies("AFTER"))
    assert reload(node).returncode == 0
    node.store_all(SMALL[1])
    assert descriptions(node) == {"BEFORE", "AFTER"}
    before, after = node.events("node.ready")[0]["rules"], node.events("node.reloaded")[0]["rules"]
    assert before != after
    assert [event["rules"] for event in node.events("instance.stored")] == [before, after]


def test_an_open_association_ends_under_the_rules_it_began_with(node: Node) -> None:
    with requestor(node) as old:
        wait_until(lambda: is_alive(node.children()[0]))
        change(node, "studies.json", studies("AFTER"))
        before = set(node.children())
        assert reload(node).returncode == 0
        assert old.store(DicomFile.open(FILE)).status == 0
        assert descriptions(node) == {"BEFORE"}
    wait_until(lambda: not any(is_alive(pid) for pid in before))
    assert {event["exit_code"] for event in node.events("process.exited")} == {0}
    assert node.events("process.died") == []


def test_sighup_reloads_too(node: Node) -> None:
    change(node, "studies.json", studies("AFTER"))
    node.process.send_signal(signal.SIGHUP)
    node.wait_for("node.reloaded")
    node.store_all(FILE)
    assert descriptions(node) == {"AFTER"}


def test_a_mistake_changes_nothing_and_is_named_with_its_place(node: Node) -> None:
    wrong = {"default": {"Profile": "basic", "AnonymizeTag": {"PatientNam": {"action": "keep"}}}}
    change(node, "studies.json", wrong)
    receivers = node.children()
    result = reload(node)
    assert result.returncode == 2
    assert "default.AnonymizeTag.PatientNam" in result.stderr
    node.process.send_signal(signal.SIGHUP)
    failed = node.wait_for("node.reload_failed")
    assert failed[0]["path"] == "default.AnonymizeTag.PatientNam"
    assert failed[0]["rules"] == node.ready["rules"]
    assert node.children() == receivers
    node.store_all(FILE)
    assert descriptions(node) == {"BEFORE"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("studies.json", '{"default": ' + '{"a": ' * 900 + "1" + "}" * 901),
        ("node.toml", ".".join(["a"] * 5000) + " = 1\n"),
        ("studies.json", json.dumps(studies("\ud800"))),
    ],
    ids=["nested-json", "nested-toml", "half-a-character"],
)
def test_whatever_a_file_holds_the_node_goes_on(node: Node, name: str, content: str) -> None:
    change(node, name, content)
    assert reload(node).returncode == 2
    node.process.send_signal(signal.SIGHUP)
    [failed, *_] = node.wait_for("node.reload_failed")
    assert failed["file"].endswith(name)
    node.store_all(FILE)
    assert descriptions(node) == {"BEFORE"}


@pytest.mark.parametrize(
    ("toml", "path"),
    [
        ('[storage]\nspool = "var/elsewhere"', "storage.spool"),
        ('[storage]\noutgoing = "var/other"', "storage.outgoing"),
        ("[storage]\nsync = false", "storage.sync"),
    ],
)
def test_what_takes_a_restart_is_said(node: Node, toml: str, path: str) -> None:
    spool = node.spool
    change(node, "node.toml", toml)
    answer = ask(spool, "reload", 30)
    assert answer["is_reloaded"] is False
    assert [problem[1] for problem in answer["problems"]] == [path]
    assert "restart" in answer["problems"][0][2]


def test_another_key_takes_a_restart(node: Node) -> None:
    (node.directory / "var" / "secret.key").write_text(os.urandom(32).hex() + "\n")
    answer = ask(node.spool, "reload", 30)
    assert answer["is_reloaded"] is False
    assert "another key" in answer["problems"][0][2]


def test_peers_and_destinations_are_swapped(node: Node, tmp_path: Path) -> None:
    node.store_all(FILE)
    (tmp_path / "archive").mkdir()
    folder = f'[[destinations]]\nname = "archive"\nkind = "folder"\npath = "{tmp_path}/archive"\n'
    change(node, "node.toml", folder)
    assert reload(node).returncode == 0
    node.store_all(SMALL[1])
    wait_until(lambda: len(list((tmp_path / "archive").glob("*.dcm"))) == 1)
    change(node, "node.toml", folder + '[[peers]]\nae_title = "SOMEBODY"\n')
    assert reload(node).returncode == 0
    assert node.send(SMALL[2]).returncode != 0
    assert node.events("association.rejected")[-1]["reason"] == "peer-not-allowed"


def test_each_instance_is_delivered_once_over_many_reloads(node: Node, tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    folder = f'[[destinations]]\nname = "archive"\nkind = "folder"\npath = "{tmp_path}/archive"\n'
    change(node, "node.toml", folder)
    for path in SMALL:
        assert ask(node.spool, "reload", 30)["is_reloaded"] is True
        node.store_all(path)
    assert ask(node.spool, "reload", 30)["is_reloaded"] is True
    wait_until(lambda: len(list((tmp_path / "archive").glob("*.dcm"))) == len(SMALL))
    wait_until(lambda: not node.queued("archive"))
    wait_until(lambda: len(node.children()) == 2)
    wait_until(lambda: len(node.children("courier")) == 1)
    node.stop()
    assert len(node.events("delivery.sent")) == len(SMALL)


def test_a_queue_that_nobody_empties_any_more_is_told_of(node: Node) -> None:
    nowhere = '[[destinations]]\nname = "gone"\nkind = "folder"\npath = "var/no-such-folder"\n'
    change(node, "node.toml", nowhere)
    assert reload(node).returncode == 0
    node.store_all(FILE)
    change(node, "node.toml", "")
    assert reload(node).returncode == 0
    told = [event["message"] for event in node.events("node.config_warning")]
    assert any("1 objects wait for" in message for message in told)
    assert len(node.queued("gone")) == 1


def test_a_new_generation_that_does_not_work_leaves_the_old_one_serving(tmp_path: Path) -> None:
    # So few descriptors that one process can be started and no second one.
    with running_node(tmp_path / "node", stations=STATIONS, studies=studies("BEFORE")) as node:
        wait_until(lambda: "is ready" in node.errors)  # it has closed what a start needs
        descriptors = Path(f"/proc/{node.process.pid}/fd")
        count = max(int(path.name) for path in descriptors.iterdir()) + 1
        limit = f"--nofile={count + 3}:"
        subprocess.run([PRLIMIT, f"--pid={node.process.pid}", limit], check=True)
        change(node, "studies.json", studies("AFTER"))
        answer = ask(node.spool, "reload", 60)
        assert answer["is_reloaded"] is False
        node.store_all(FILE)
        assert descriptions(node) == {"BEFORE"}
        subprocess.run([PRLIMIT, f"--pid={node.process.pid}", "--nofile=4096:"], check=True)
        assert ask(node.spool, "reload", 60)["is_reloaded"] is True


def test_a_request_to_end_ends_both_generations(node: Node) -> None:
    with requestor(node) as old:
        assert ask(node.spool, "reload", 30)["is_reloaded"] is True
        node.process.send_signal(signal.SIGTERM)
        node.wait_for("node.draining")
        assert old.store(DicomFile.open(FILE)).status == 0
    assert node.process.wait(30) == 0
    assert not any(is_alive(pid) for pid in node.started_pids())
    assert not (node.spool / "control").exists()


@pytest.mark.timeout(180)
def test_associations_that_never_end_do_not_heap_up_processes(node: Node) -> None:
    first = set(node.children())
    with ExitStack() as stack:
        held = [stack.enter_context(requestor(node))]
        for _ in range(MAX_RETIRING):
            assert ask(node.spool, "reload", 60)["is_reloaded"] is True
            held.append(stack.enter_context(requestor(node)))
        assert ask(node.spool, "status", 60)["retiring"] == MAX_RETIRING
        assert node.events("generation.hurried") == []
        assert ask(node.spool, "reload", 60)["is_reloaded"] is True
        assert len(node.events("generation.hurried")) == 1
        wait_until(lambda: not any(is_alive(pid) for pid in first), 60)
        wait_until(lambda: ask(node.spool, "status", 60)["retiring"] == MAX_RETIRING, 60)
        for younger in held[1:]:
            assert younger.store(DicomFile.open(FILE)).status == 0
        with pytest.raises(AssociationError):
            held[0].store(DicomFile.open(FILE))


def test_signals_meant_for_its_processes_do_not_end_the_supervisor(node: Node) -> None:
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        node.process.send_signal(number)
    assert ask(node.spool, "reload", 30)["is_reloaded"] is True
    node.store_all(FILE)
    assert node.exit_code is None


def test_reloading_leaks_no_descriptor(node: Node) -> None:
    def count() -> int:
        wait_until(lambda: len(node.children()) == 2)
        return len(list(Path(f"/proc/{node.process.pid}/fd").iterdir()))

    assert ask(node.spool, "reload", 30)["is_reloaded"] is True
    before = count()
    for _ in range(5):
        assert ask(node.spool, "reload", 30)["is_reloaded"] is True
    wait_until(lambda: count() <= before)
    first, second = (len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in node.children())
    assert abs(first - second) <= 2


def test_a_closed_terminal_still_ends_the_node(tmp_path: Path) -> None:
    write_config(tmp_path, "[listener]\nport = 0\nhost = '127.0.0.1'\n[admin]\nport = 0\n")
    ours, theirs = pty.openpty()
    with (tmp_path / "stdout").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", _ON_TERMINAL, os.ttyname(theirs)],
            cwd=tmp_path,
            env=environment(),
            stdin=theirs,
            stdout=out,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    os.close(theirs)
    try:
        wait_until(lambda: b"node.ready" in (tmp_path / "stdout").read_bytes(), 30)
        os.close(ours)  # the kernel sends SIGHUP
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    assert b'"signal":"SIGHUP"' in (tmp_path / "stdout").read_bytes()


# Makes the terminal that of its session, as a login does, and becomes the node. Whoever runs the
# tests may have been told to ignore SIGHUP (nohup), and that is inherited.
_ON_TERMINAL = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGHUP, signal.SIG_DFL)
terminal = os.open(sys.argv[1], os.O_RDWR)
fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
os.close(terminal)
os.execv(sys.executable, [sys.executable, "-m", "dicomanon_node", "serve"])
"""


def test_a_full_queue_refuses_for_now_what_would_go_there_and_nothing_else(tmp_path: Path) -> None:
    toml = """
[storage]
queue_high_water = 3
queue_low_water = 2
[[destinations]]
name = "archive"
kind = "folder"
path = "var/archive"
"""
    rules = {"default": {"Profile": "basic"}, "LOCAL": {"Profile": "basic", "Destinations": []}}
    node_directory = tmp_path / "node"
    with running_node(node_directory, toml=toml, stations=STATIONS, studies=rules) as node:
        node.store_all(*SMALL[:3])
        node.wait_for("queue.full")
        assert node.store(SMALL[3]) == {}
        assert node.events("instance.refused")[-1]["reason"] == "queue-full"
        assert node.events("instance.refused")[-1]["status"] == "A700H"
        status = ask(node.spool, "status", 10)
        wait_until(lambda: ask(node.spool, "status", 10)["not_ready"] == ["queue-full"])
        assert status["queues"][0]["waiting"] == 3
        (node_directory / "var" / "archive").mkdir()
        node.wait_for("queue.available", deadline_s=30)
        node.store_all(SMALL[3])
        wait_until(lambda: ask(node.spool, "status", 10)["is_ready"])


def test_status_tells_what_was_stored_and_which_processes_there_are(node: Node) -> None:
    node.store_all(*SMALL)
    wait_until(lambda: ask(node.spool, "status", 10)["totals"]["stored"] == len(SMALL))
    told = cli("status", "--config", node.directory / "config", "--json")
    assert told.returncode == 0
    document = json.loads(told.stdout)
    assert {process["pid"] for process in document["processes"]} == {
        *node.children(),
        *node.children("recorder"),
        *node.children("admin"),
    }
    assert document["rules"] == node.ready["rules"]
    people = cli("status", "--config", node.directory / "config")
    assert people.returncode == 0
    assert "ready" in people.stdout


def test_status_of_a_node_that_does_not_run_says_so(tmp_path: Path) -> None:
    config = write_config(tmp_path, "")
    for command in ("status", "reload"):
        result = cli(command, "--config", config)
        assert result.returncode == 1
        assert "No node runs" in result.stderr
