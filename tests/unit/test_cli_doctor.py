"""`doctor`: finds what keeps a node from working, says the cure, changes nothing."""

import json
import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support_config import configured
from support_delivery import write_file
from support_network import running_node as running_scp
from support_node import files_below, invoke, running_node, write_config

from dicomanon_node.cli import examine_machine, examine_network, examine_rules
from dicomanon_node.cli.doctor import _CHECKS
from dicomanon_node.cli.findings import Finding, Weight, error, exit_code, fine, note, warning
from dicomanon_node.config import Config
from dicomanon_node.delivery.queue import Failure, QueueDirectory

LOOPBACK = '[listener]\nhost = "127.0.0.1"\n'


def worst(found: Iterator[Finding]) -> Finding:
    return max(found, key=lambda each: each.weight)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_the_exit_code_is_that_of_the_worst() -> None:
    assert exit_code([fine("a", "b"), note("a", "b")]) == 0
    assert exit_code([fine("a", "b"), warning("a", "b", "c")]) == 1
    assert exit_code([error("a", "b", "c"), warning("a", "b", "c")]) == 2


def test_what_is_warned_of_has_a_cure(tmp_path: Path) -> None:
    config = configured(tmp_path)
    for check in _CHECKS:
        for found in check(config):
            assert found.cure or found.weight < Weight.WARNING, found


def test_a_configuration_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    write_config(tmp_path, "[listener]\nprt = 1\n")
    done = invoke("doctor", cwd=tmp_path)
    assert done.returncode == 2
    assert 'did you mean "port"?' in done.stdout


def test_nothing_is_changed_and_json_has_it_all(tmp_path: Path, free_port: int) -> None:
    write_config(tmp_path, LOOPBACK + f"port = {free_port}\n[storage]\nlow_water_bytes = 0\n")
    before = files_below(tmp_path)
    done = invoke("doctor", "--json", cwd=tmp_path)
    assert done.returncode == 1  # every sender is accepted
    found = json.loads(done.stdout)["findings"]
    assert {"port", "AE title", "peers", "key", "spool", "disk", "clock", "limits", "rules"} <= {
        each["subject"] for each in found
    }
    assert files_below(tmp_path) == before


def test_a_running_node_is_recognised_by_its_answer(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with running_node(tmp_path / "node") as node:
        config = configured(tmp_path / "other", node=LOOPBACK + f"port = {node.port}\n")
        found = worst(examine_network.port(config))
        assert (found.weight, found.subject) == (Weight.OK, "port")
        assert "answers C-ECHO (0000H)" in found.text


def test_a_port_that_somebody_else_has_is_an_error(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        other.setblocking(False)
        number = other.getsockname()[1]
        config = configured(tmp_path, node=LOOPBACK + f"port = {number}\n")
        # It listens and never answers: closing it soon is as good as an answer of another kind.
        found = _while_hanging_up(other, lambda: worst(examine_network.port(config)))
    assert found.weight is Weight.ERROR
    assert "taken by something" in found.text
    assert str(number) in found.cure


def _while_hanging_up(listening: socket.socket, act: Callable[[], Finding]) -> Finding:
    listening.setblocking(True)

    def hang_up() -> None:
        listening.accept()[0].close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    try:
        return act()
    finally:
        thread.join(30)


def test_an_address_of_another_machine_is_an_error(tmp_path: Path) -> None:
    config = configured(tmp_path, node='[listener]\nhost = "192.0.2.1"\n')
    assert "no address of this machine" in worst(examine_network.port(config)).text


def test_peers_without_an_address_are_noted(tmp_path: Path) -> None:
    config = configured(tmp_path, node='[[peers]]\nae_title = "CT1"\n')
    assert worst(examine_network.peers(config)).weight is Weight.NOTE
    config = configured(tmp_path, node='[[peers]]\naddress = "192.0.2.7"\n')
    assert worst(examine_network.peers(config)).weight is Weight.OK
    assert worst(examine_network.peers(configured(tmp_path))).weight is Weight.WARNING


def destinations(tmp_path: Path, port: int) -> Config:
    return configured(
        tmp_path,
        node=f"""
[[destinations]]
name = "pacs"
kind = "dicom"
ae_title = "NODE"
host = "127.0.0.1"
port = {port}
[[destinations]]
name = "share"
kind = "folder"
path = "share"
""",
    )


def test_destinations_that_answer_are_fine(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    with running_scp() as scp:
        found = list(examine_network.destinations(destinations(tmp_path, scp.port)))
    assert [each.weight for each in found] == [Weight.OK, Weight.OK], found


def test_destinations_that_do_not_are_told(tmp_path: Path, free_port: int) -> None:
    pacs, share = examine_network.destinations(destinations(tmp_path, free_port))
    assert (pacs.weight, share.weight) == (Weight.WARNING, Weight.WARNING)
    assert "nobody listens there" in pacs.text
    assert "dicomanon-node serve" not in pacs.text  # it is not this node that is missing
    assert "there is no folder" in share.text


def test_too_little_room_is_an_error(tmp_path: Path) -> None:
    config = configured(tmp_path, node=f"[storage]\nlow_water_bytes = {2**62}\n")
    assert "A700H" in worst(examine_machine.disk(config)).text


def test_a_directory_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("", encoding="ascii")
    found = worst(examine_machine.directories(configured(tmp_path)))
    assert (found.weight, found.subject) == (Weight.ERROR, "spool")


@pytest.mark.skipif(
    not Path("/dev/shm").is_dir()  # noqa: S108  (another file system is what is wanted)
    or os.stat("/dev/shm").st_dev == os.stat("/tmp").st_dev,  # noqa: PTH116, S108  (as above)
    reason="there is no second file system",
)
def test_two_file_systems_are_an_error(tmp_path: Path) -> None:
    config = configured(tmp_path, node='[storage]\noutgoing = "/dev/shm/dicomanon-none"\n')
    found = worst(examine_machine.directories(config))
    assert "not on one file system" in found.text


def test_too_few_descriptors_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    found = worst(examine_machine.process_limits(configured(tmp_path)))
    assert (found.weight, "LimitNOFILE" in found.cure) == (Weight.WARNING, True)


def test_a_clock_of_another_year_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomanon_node.cli.examine_machine.time.time", lambda: 0.0)
    texts = [found.text for found in examine_machine.clock(configured(tmp_path))]
    assert any("off this machine's clock" in text for text in texts)
    assert "it says 1970" in texts


def test_a_key_others_can_read_is_an_error(tmp_path: Path) -> None:
    config = configured(tmp_path)
    assert worst(examine_rules.key(config)).weight is Weight.NOTE
    key = config.node.secrets.key_file
    key.parent.mkdir()
    key.write_text(os.urandom(32).hex(), encoding="ascii")
    key.chmod(0o644)
    assert "chmod 600" in worst(examine_rules.key(config)).text
    key.chmod(0o600)
    key.parent.chmod(0o755)
    assert worst(examine_rules.key(config)).weight is Weight.OK
    key.parent.chmod(0o777)
    assert "others may replace it" in worst(examine_rules.key(config)).text
    secret = key.read_text(encoding="ascii")
    assert not any(secret in each.text + each.cure for each in examine_rules.key(config))


@pytest.mark.parametrize(
    ("study", "weight", "told"),
    [
        ({}, Weight.OK, "1 study"),
        ({"Profile": None}, Weight.WARNING, "attributes of Table E.1-1 are kept"),
        ({"AnonymizeTag": {"PatientName": {"action": "keep"}}}, Weight.NOTE, "keep more"),
        ({"BurnedIn": "pass"}, Weight.NOTE, "burned in"),
    ],
)
def test_rules_that_leave_much_are_told(
    tmp_path: Path, study: dict[str, Any], weight: Weight, told: str
) -> None:
    found = worst(examine_rules.rules(configured(tmp_path, studies={"default": study})))
    assert (found.weight, told in found.text) == (weight, True), found


def test_what_failed_is_told_with_the_command_for_it(tmp_path: Path) -> None:
    config = destinations(tmp_path, 104)
    assert not list(examine_rules.queues(config))
    spool = config.node.storage.spool
    for kind in ("queue", "failed"):
        (spool / kind / "pacs").mkdir(parents=True)
    write_file(spool / "queue" / "pacs" / "2.25.1.dcm", "2.25.1")
    queue = QueueDirectory(spool, "pacs")
    entries, _ = queue.waiting(10)
    queue.fail(entries[0], Failure("refused", 0xA900, 3, datetime(2026, 1, 2, tzinfo=UTC)))
    [found] = examine_rules.queues(config)
    assert "1 object it refused for good" in found.text
    assert "queue list --failed --destination pacs" in found.cure
