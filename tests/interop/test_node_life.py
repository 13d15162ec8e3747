"""How a node starts, ends, and gets over the death of its processes."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from support_delivery import free_port
from support_network import (
    ABORT_TYPE,
    CT,
    IMPLICIT,
    RawRequestor,
    associate_rq,
    encoded,
    message,
    store_rq,
)
from support_node import SMALL, STOP_S, Node, cli, environment, is_alive, start, wait_until
from support_objects import Halfway, ct, halfway

Start = Callable[..., Node]

ALL_PROCESSES = """
[hold]
enabled = true
[commitment]
enabled = true
[[destinations]]
name = "share"
kind = "folder"
path = "share"
"""


def is_refused(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def receivers_at_work(node: Node) -> set[int]:
    """Processes that receive just now: their number is in the names in incoming/."""
    return {int(path.name.partition("-")[0]) for path in node.incoming_files()}


def wait_for_new(node: Node, known: set[Path]) -> Path:
    wait_until(lambda: set(node.incoming_files()) - known)
    [new] = set(node.incoming_files()) - known
    return new


@pytest.fixture
def shared(node: Node) -> Iterator[dict[int, Halfway]]:
    """An association in the middle of an instance in each of the two receivers."""
    with ExitStack() as stack:
        found: dict[int, Halfway] = {}
        for number in range(40):
            known = set(node.incoming_files())
            association = stack.enter_context(halfway(node.port, f"2.25.{number + 1}"))
            new = wait_for_new(node, known)
            found.setdefault(int(new.name.partition("-")[0]), association)
            if len(found) == 2:
                break
        assert len(found) == 2, "one process got all associations"
        yield found


def test_ready_means_that_associations_are_accepted(start_node: Start) -> None:
    node = start_node()
    with RawRequestor(node.port) as requestor:
        requestor.associate(associate_rq(called="DICOMANON"))
        requestor.release()


def test_both_receivers_get_associations(shared: dict[int, Halfway], node: Node) -> None:
    assert set(shared) == set(node.children())


def test_an_open_association_may_end_before_the_node_does(node: Node) -> None:
    with halfway(node.port, "2.25.7") as association:
        wait_until(node.incoming_files)
        node.process.send_signal(signal.SIGTERM)
        node.wait_for("node.draining")
        wait_until(lambda: is_refused(node.port))
        assert association.finish() == 0x0000
        association.requestor.release()
    assert node.process.wait(STOP_S) == 0
    assert len(node.outgoing_files()) == 1
    wait_until(lambda: not node.incoming_files())
    [closed] = node.events("association.closed")
    assert (closed["how"], closed["stored"]) == ("released", 1)
    assert {event["exit_code"] for event in node.events("process.exited")} == {0}


def test_a_second_request_to_end_aborts_what_is_under_way(node: Node) -> None:
    with halfway(node.port, "2.25.7") as association:
        wait_until(node.incoming_files)
        node.process.send_signal(signal.SIGTERM)
        node.wait_for("node.draining")
        node.process.send_signal(signal.SIGTERM)
        assert association.requestor.pdu()[0] == ABORT_TYPE
    assert node.process.wait(10) == 0
    assert node.outgoing_files() == {}
    wait_until(lambda: not node.incoming_files())
    [closed] = node.events("association.closed")
    assert closed["how"] == "stopped"


def test_every_process_ends_because_it_was_asked_to(start_node: Start, tmp_path: Path) -> None:
    """Not because the supervisor is gone: what they are at, they end."""
    (tmp_path / "node" / "share").mkdir(parents=True)
    node = start_node(toml=ALL_PROCESSES)
    roles = {"receiver", "courier", "keeper", "committer", "recorder", "admin"}
    wait_until(lambda: {event["role"] for event in node.events("process.started")} == roles)
    node.wait_for("admin.ready")
    wait_until((node.directory / "var" / "ledger.sqlite").exists)
    assert node.stop() == 0
    assert {event["role"] for event in node.events("process.exited")} == roles
    assert {event["exit_code"] for event in node.events("process.exited")} == {0}
    assert node.events("process.exited")[-1]["role"] == "recorder"


def test_ctrl_c_ends_it_as_cleanly(node: Node) -> None:
    # A terminal sends them to the whole group: the receivers must not take them as theirs.
    with halfway(node.port, "2.25.7") as association:
        wait_until(node.incoming_files)
        for pid in (*node.children(), node.process.pid):
            os.kill(pid, signal.SIGINT)
        node.wait_for("node.draining")
        assert association.finish() == 0x0000
        association.requestor.release()
    assert node.process.wait(STOP_S) == 0


def test_a_service_manager_that_signals_every_process_cuts_nothing_short(node: Node) -> None:
    # systemd's KillMode=control-group; receivers then are asked twice.
    with halfway(node.port, "2.25.7") as association:
        wait_until(node.incoming_files)
        for pid in (*node.children(), node.process.pid):
            os.kill(pid, signal.SIGTERM)
        node.wait_for("node.draining")
        assert association.finish() == 0x0000
        association.requestor.release()
    assert node.process.wait(STOP_S) == 0
    assert node.events("process.died") == []


def test_a_killed_node_leaves_no_process_and_no_bound_port(node: Node) -> None:
    children = node.children()
    assert len(children) == 2
    with halfway(node.port, "2.25.7"):
        wait_until(node.incoming_files)
        node.process.kill()
        node.process.wait(STOP_S)
        wait_until(lambda: not any(is_alive(pid) for pid in children))
        wait_until(lambda: is_refused(node.port))


def test_what_a_killed_node_had_not_finished_is_gone_after_the_next_start(node: Node) -> None:
    with halfway(node.port, "2.25.7"):
        wait_until(node.incoming_files)
        node.process.kill()
        node.process.wait(STOP_S)
    again = node.restarted()
    try:
        assert again.incoming_files() == []
        assert again.outgoing_files() == {}
        [swept] = again.events("spool.swept")
        assert swept["removed"] == 1
    finally:
        assert again.stop() == 0


def test_a_killed_receiver_is_replaced_and_disturbs_nobody_else(
    shared: dict[int, Halfway], node: Node
) -> None:
    (victim, lost), (survivor, kept) = shared.items()
    node.kill(victim)
    [died] = node.wait_for("process.died")
    assert (died["pid"], died["exit_code"]) == (victim, -signal.SIGKILL)
    with pytest.raises((EOFError, ConnectionError)):
        lost.requestor.pdu()
    # The other one's instance is not half written, and goes on.
    wait_until(lambda: receivers_at_work(node) == {survivor})
    assert kept.finish() == 0x0000
    kept.requestor.release()
    wait_until(lambda: len(node.children()) == 2)
    assert len(node.outgoing_files()) == 1
    node.store_all(SMALL[0])
    node.process.send_signal(signal.SIGINT)
    assert node.process.wait(STOP_S) == 0


def test_the_same_key_gives_the_same_bytes_after_a_restart(start_node: Start) -> None:
    node = start_node()
    node.store_all(*SMALL)
    before = node.outgoing_files()
    key = node.directory / "var" / "secret.key"
    assert node.stop() == 0
    other = start_node("other", settings={"secrets.key_file": key, "listener.processes": 1})
    other.store_all(*SMALL)
    assert other.outgoing_files() == before
    assert other.events("node.key_created") == []


def test_another_key_gives_other_pseudonyms(start_node: Start) -> None:
    names: list[str] = []
    for name in ("one", "two"):
        node = start_node(name)
        node.store_all(SMALL[0])
        names += node.outgoing_files()
    assert len(set(names)) == 2


def test_what_is_sent_again_after_a_restart_is_known(node: Node) -> None:
    node.store_all(*SMALL)
    files = node.outgoing_files()
    assert node.stop() == 0
    again = node.restarted()
    try:
        again.store_all(*SMALL)
        assert again.outgoing_files() == files
        assert {event["duplicate"] for event in again.events("instance.stored")} == {True}
    finally:
        assert again.stop() == 0


def test_counts_by_study_are_complete_at_the_end(node: Node) -> None:
    node.store_all(*SMALL)
    assert node.stop() == 0
    quiet = node.events("study.quiet")
    assert sum(event["instances"] for event in quiet) == len(SMALL)
    assert sum(event["refused"] for event in quiet) == 0


def test_a_disk_that_is_too_full_refuses_for_now_and_says_so_once(start_node: Start) -> None:
    node = start_node(settings={"storage.low_water_bytes": 2**60})
    data = encoded(ct("2.25.1234567890", pixel_bytes=100))
    with RawRequestor(node.port) as requestor:
        requestor.associate(associate_rq(((1, CT, (IMPLICIT,)),), called="DICOMANON"))
        for _ in range(3):
            requestor.send(message(store_rq(), data))
            assert requestor.response().Status == 0xA700
        requestor.release()
    assert node.outgoing_files() == {}
    [full] = node.wait_for("spool.full")
    assert full["reason"] == "disk-full"


def test_status_of_a_node_that_takes_no_objects_is_a_failure_in_either_form(
    start_node: Start,
) -> None:
    node = start_node(settings={"storage.low_water_bytes": 2**60})
    node.wait_for("node.not_ready")
    for form in ((), ("--json",)):
        assert cli("status", *form, cwd=node.directory).returncode == 1


def test_a_spool_that_vanishes_is_survived(node: Node) -> None:
    moved = node.spool.with_name("moved")
    node.spool.rename(moved)
    try:
        assert node.store(SMALL[0]) == {}
        node.wait_for("spool.full")
        node.kill(node.children()[0])
        node.wait_for("process.died")
        wait_until(lambda: len(node.children()) == 2)
    finally:
        moved.rename(node.spool)
    node.store_all(*SMALL)


def test_nothing_is_left_open_in_development_mode(tmp_path: Path) -> None:
    # ResourceWarnings become library.message here; -X dev makes Python look for them.
    node = start(tmp_path, python=("-X", "dev"))
    try:
        node.store_all(*SMALL)
    finally:
        assert node.stop() == 0
    assert node.events("library.message") == []
    assert node.events("internal.error") == []
    assert "Exception" not in node.errors


def descriptors(pid: int) -> list[str]:
    """What a process has open."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed while we look
            found.append(str(entry.readlink()))
    return sorted(found)


def listening_socket(port: int) -> str:
    """The socket that listens on a port, as /proc/PID/fd names it."""
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and int(fields[1].partition(":")[2], 16) == port:
            return f"socket:[{fields[9]}]"
    raise AssertionError


def test_each_process_holds_what_it_needs_and_no_more(start_node: Start) -> None:
    node = start_node(toml='[[destinations]]\nname = "a"\nkind = "folder"\npath = "share"\n')
    listening = listening_socket(node.port)
    supervisor = descriptors(node.process.pid)
    assert listening in supervisor
    [courier] = node.children("courier")
    assert listening not in descriptors(courier)
    for receiver in node.children():
        held = descriptors(receiver)
        assert listening in held
        # The supervisor's life, what it tells the supervisor, what it tells the console, and what
        # wakes it: neither its siblings' pipes nor the supervisor's means to wait.
        assert len({name for name in held if name.startswith("pipe:")}) == 4
    core = Path(f"/proc/{courier}/limits").read_text(encoding="ascii")
    assert next(line for line in core.splitlines() if "core file" in line).split()[4] == "0"


def test_replacing_processes_leaks_no_descriptor(node: Node) -> None:
    before = len(descriptors(node.process.pid))
    started_count = len(node.events("process.started"))
    for count in (1, 2):
        node.kill(node.children()[-1])
        node.wait_for("process.died", count)
        node.wait_for("process.started", started_count + count)
    wait_until(lambda: len(descriptors(node.process.pid)) == before)
    node.store_all(*SMALL)


def test_a_log_that_nobody_reads_any_more_stops_nothing(start_node: Start) -> None:
    node = start_node()
    config = node.directory / "config"
    assert node.stop() == 0
    ours, theirs = os.pipe()
    port = free_port()
    options = [f"--set=listener.port={port}", "--set=storage.low_water_bytes=0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "dicomanon_node", "serve", "--config", str(config), *options],
        env=environment(),
        stdout=theirs,
        stderr=theirs,
        stdin=subprocess.DEVNULL,
    )
    os.close(theirs)
    try:
        wait_until(lambda: not is_refused(port))
        os.close(ours)
        assert cli("send", "--to", f"DICOMANON@127.0.0.1:{port}", *SMALL).returncode == 0
        assert len(node.outgoing_files()) == len(SMALL)
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_S) == 0
    finally:
        process.kill()
        process.wait(STOP_S)


def test_a_node_that_cannot_start_its_receivers_says_so_and_ends(tmp_path: Path) -> None:
    # A sitecustomize breaks what every receiver begins with.
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import dicomanon_node.node.receiving as receiving\n"
        "def fail(*_):\n    raise RuntimeError('planted')\n"
        "receiving.Listener = fail\n",
        encoding="utf-8",
    )
    paths = os.pathsep.join([str(broken), *filter(None, [os.environ.get("PYTHONPATH")])])
    node = start(tmp_path / "node", env={"PYTHONPATH": paths}, waits=False)
    try:
        assert node.process.wait(STOP_S) == 1
    finally:
        node.process.kill()
    assert "cannot start" in node.errors
    assert "Traceback" not in node.errors
    assert node.events("node.ready") == []
    assert node.events("process.died")[0]["role"] == "receiver"
    assert node.events("internal.error")[0]["error"].startswith("RuntimeError at ")
    assert node.events("node.stopped")[0]["exit_code"] == 1


def test_a_request_to_end_while_it_starts_is_not_lost(tmp_path: Path) -> None:
    node = start(tmp_path, waits=False)
    wait_until(lambda: node.log.stat().st_size)
    wait_until(lambda: node.events("process.started"))
    node.process.send_signal(signal.SIGTERM)
    assert node.process.wait(STOP_S) == 0
    assert node.events("node.stopped")[0]["exit_code"] == 0


def test_a_second_node_on_the_same_port_or_spool_does_not_start(node: Node, tmp_path: Path) -> None:
    options = ["--set", f"listener.port={node.port}", "--set", "listener.host=127.0.0.1"]
    taken = cli(
        "serve", "--config", node.directory / "config", *options,
        "--set", f"storage.spool={tmp_path / 'other-spool'}",
        "--set", f"storage.outgoing={tmp_path / 'other-outgoing'}",
    )  # fmt: skip
    assert taken.returncode == 2
    assert "port is taken" in taken.stderr
    assert "--set listener.port" in taken.stderr
    in_use = cli("serve", "--config", node.directory / "config", "--set", "listener.port=0")
    assert in_use.returncode == 2
    assert "in use by another node" in in_use.stderr
    node.store_all(SMALL[0])
