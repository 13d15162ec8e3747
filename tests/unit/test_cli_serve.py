"""`serve` as a person meets it: what it says when it starts, and when it cannot."""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support_node import SMALL, Node, cli, on_a_terminal, wait_until, write_config

Start = Callable[..., Node]
Breaking = Callable[[Path], list[str]]

LOOPBACK = ["--set", "listener.host=127.0.0.1", "--set", "listener.port=0"]


@contextmanager
def port_taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def no_config(site: Path) -> list[str]:
    (site / "config").rename(site / "elsewhere")
    return ["config: there is no such directory", "--config DIR"]


def empty_config(site: Path) -> list[str]:
    for path in (site / "config").iterdir():
        path.unlink()
    return ["config/node.toml: ", "config/stations.json: ", "config/studies.json: "]


def broken_toml(site: Path) -> list[str]:
    (site / "config" / "node.toml").write_text("[listener]\nport = \n", encoding="utf-8")
    return ["config/node.toml: ", "line 2"]


def unknown_key(site: Path) -> list[str]:
    (site / "config" / "node.toml").write_text("[listener]\nprot = 104\n", encoding="utf-8")
    return ["config/node.toml: listener.prot: ", "port"]


def open_key(site: Path) -> list[str]:
    key = site / "var" / "secret.key"
    key.parent.mkdir()
    key.write_text(os.urandom(32).hex(), encoding="ascii")
    key.chmod(0o644)
    return ["var/secret.key: ", "mode 0644", "chmod 600"]


def damaged_key(site: Path) -> list[str]:
    key = site / "var" / "secret.key"
    key.parent.mkdir()
    key.write_text("0badc0de", encoding="ascii")
    key.chmod(0o600)
    return ["var/secret.key: ", "64 hexadecimal digits"]


def spool_in_the_way(site: Path) -> list[str]:
    (site / "var").mkdir()
    (site / "var" / "spool").write_text("", encoding="ascii")
    return ["node.toml: storage: ", "var/spool cannot be made or opened"]


def outgoing_in_the_way(site: Path) -> list[str]:
    (site / "var").mkdir()
    (site / "var" / "outgoing").write_text("", encoding="ascii")
    return ["node.toml: storage: ", "var/outgoing cannot be made or opened"]


def address_of_nobody(site: Path) -> list[str]:
    (site / "config" / "node.toml").write_text('[listener]\nhost = "192.0.2.1"\n', encoding="utf-8")
    return ["node.toml: listener.host: ", "no address of this machine"]


def name_of_nobody(site: Path) -> list[str]:
    text = '[listener]\nhost = "nobody.invalid"\n'
    (site / "config" / "node.toml").write_text(text, encoding="utf-8")
    return ["node.toml: listener.host: ", "is not known"]


@pytest.mark.parametrize(
    "breaking",
    [
        no_config, empty_config, broken_toml, unknown_key, open_key, damaged_key,
        spool_in_the_way, outgoing_in_the_way, address_of_nobody, name_of_nobody,
    ],
)  # fmt: skip
def test_what_cannot_start_says_where_and_why_and_ends_with_2(
    tmp_path: Path, breaking: Breaking
) -> None:
    write_config(tmp_path)
    words = breaking(tmp_path)
    host = [] if breaking in {address_of_nobody, name_of_nobody} else LOOPBACK
    done = cli("serve", *host, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "The node cannot start:" in done.stderr
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    events = [json.loads(line) for line in done.stdout.splitlines()]
    told = [event for event in events if event["event"] == "node.config_error"]
    assert len(told) == done.stderr.count("\n") - 1
    assert events[-1] in told


def test_a_port_that_is_taken_is_named_with_the_cure(tmp_path: Path) -> None:
    write_config(tmp_path)
    with port_taken() as port:
        options = ["--set", "listener.host=127.0.0.1", "--set", f"listener.port={port}"]
        done = cli("serve", *options, cwd=tmp_path)
    assert done.returncode == 2
    assert f"node.toml: listener.port: cannot listen on 127.0.0.1 port {port}" in done.stderr
    assert "Is another node running?" in done.stderr
    assert done.stderr.count("\n") == 2


def greeting(node: Node) -> str:
    wait_until(lambda: "Ctrl-C ends the node." in node.errors)
    return node.errors


def test_the_first_start_says_where_it_listens_what_it_does_and_how_to_try_it(node: Node) -> None:
    text = greeting(node)
    assert f"AE title DICOMANON, port {node.port}, 127.0.0.1." in text
    assert "written to var/outgoing/{study}/" in text
    assert "only then answered 0000H" in text
    assert "A secret key was made: var/secret.key (mode 0600)." in text
    assert "Every sender is accepted" in text
    [line] = [line.strip() for line in text.splitlines() if " send --to " in line]
    # The line it proposes works as it is.
    program, *arguments = line.split()
    assert program == "dicomanon-node"
    arguments[arguments.index("FILE...")] = str(SMALL[0])
    assert cli(*arguments).returncode == 0


def test_later_starts_are_silent_unless_somebody_looks(start_node: Start) -> None:
    node = start_node()
    assert node.stop() == 0
    again = node.restarted()
    assert again.stop() == 0
    assert again.errors == ""
    shown = on_a_terminal(
        "serve", *LOOPBACK, "--set", "storage.low_water_bytes=0",
        cwd=node.directory, until="Ctrl-C ends the node.",
    )  # fmt: skip
    assert "dicomanon_node is ready" in shown
    assert "A secret key was made" not in shown


def test_destinations_and_peers_are_in_what_it_says(start_node: Start) -> None:
    node = start_node(
        toml='[[destinations]]\nname = "pacs"\nkind = "folder"\npath = "share"\n'
        '[[peers]]\nname = "CT"\naddress = "127.0.0.1"\n'
    )
    text = greeting(node)
    assert "queued for pacs as its study says" in text
    assert "Every sender is accepted" not in text


def test_on_a_terminal_the_log_is_readable_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    write_config(tmp_path)
    shown = on_a_terminal("serve", *LOOPBACK, cwd=tmp_path, until="Ctrl-C ends the node.")
    assert "node.ready" in shown
    assert '{"timestamp"' not in shown
    assert "signal=SIGINT" in shown
    assert "node.stopped        exit_code=0" in shown


def test_on_a_terminal_an_error_is_told_once(tmp_path: Path) -> None:
    write_config(tmp_path)
    open_key(tmp_path)
    shown = on_a_terminal("serve", *LOOPBACK, cwd=tmp_path)
    assert shown.count("chmod 600") == 1


def test_the_key_is_for_its_owner_only_and_never_shown(node: Node) -> None:
    key = node.directory / "var" / "secret.key"
    assert key.stat().st_mode & 0o777 == 0o600
    digits = key.read_text(encoding="ascii").strip()
    assert len(bytes.fromhex(digits)) == 32
    assert digits not in node.errors + node.log.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["check", "deidentify"])
def test_other_commands_mind_the_key_too(tmp_path: Path, command: str) -> None:
    write_config(tmp_path)
    words = open_key(tmp_path)
    arguments = [] if command == "check" else [str(SMALL[0]), "--output", "out"]
    done = cli(command, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert all(word in done.stderr for word in words)


def test_what_is_allowed_is_said_when_the_node_starts(start_node: Callable[..., Node]) -> None:
    node = start_node(studies={"default": {"Profile": None, "RemovePrivateTags": True}})
    told = " ".join(event["message"] for event in node.events("node.config_warning"))
    assert "every sender is accepted" in told
    assert "attributes of Table E.1-1 are kept" in told
    assert "Patient's Name" in told
    assert "storage" not in told


def test_an_unsynced_node_says_that_success_is_no_promise(start_node: Callable[..., Node]) -> None:
    node = start_node(settings={"storage.sync": "false"})
    warned = [event["path"] for event in node.events("node.config_warning")]
    assert "storage.sync" in warned
