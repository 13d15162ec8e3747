"""Where a node takes its settings from, and whom it lets in."""

import json
from collections.abc import Callable

import pytest
from support_delivery import free_port
from support_network import RJ_TYPE, RawRequestor, associate_rq
from support_node import SMALL, Node, cli

Start = Callable[..., Node]


def rejection(port: int, **titles: str) -> tuple[int, int, int] | None:
    """Result, source and diagnostic of an A-ASSOCIATE-RJ; None where it was accepted."""
    with RawRequestor(port) as requestor:
        requestor.send(associate_rq(**titles))  # type: ignore[arg-type]
        kind, body = requestor.pdu()
        return (body[1], body[2], body[3]) if kind == RJ_TYPE else None


def test_port_0_takes_a_free_one_and_names_it(node: Node) -> None:
    assert node.port > 1023
    assert cli("echo", "--to", node.target).returncode == 0


def test_the_command_line_is_stronger_than_the_environment_and_that_than_the_file(
    start_node: Start,
) -> None:
    node = start_node(
        toml='[listener]\nae_title = "FROM_FILE"\n[log]\nlevel = "error"\nstudy_quiet_s = 7.0\n',
        env={"DICOMANON_LISTENER__AE_TITLE": "FROM_ENV", "DICOMANON_LOG__LEVEL": "info"},
        settings={"listener.ae_title": "FROM_SET"},
    )
    assert node.ready["ae_title"] == "FROM_SET"
    assert node.events("node.starting"), "the level of the file was taken"


def test_the_number_of_processes_can_be_set(start_node: Start) -> None:
    node = start_node(settings={"listener.processes": 3})
    assert len(node.children()) == node.ready["processes"] == 3


def test_a_called_ae_title_that_is_not_ours_is_rejected(node: Node) -> None:
    assert rejection(node.port, called="SOMEBODY_ELSE") == (1, 1, 7)
    [event] = node.wait_for("association.rejected")
    assert event["reason"] == "called-ae-title"
    assert event["called_aet"] == "SOMEBODY_ELSE"


def test_every_configured_ae_title_is_answered(start_node: Start) -> None:
    node = start_node(toml='[[ae_titles]]\nae_title = "SECOND"\nstudy = "EXAMPLE-STUDY"\n')
    assert rejection(node.port, called="DICOMANON") is None
    assert rejection(node.port, called="SECOND") is None
    done = cli("send", "--to", f"SECOND@127.0.0.1:{node.port}", SMALL[0])
    assert done.returncode == 0
    assert [path.partition("/")[0] for path in node.outgoing_files()] == ["EXAMPLE-STUDY"]


@pytest.mark.parametrize(
    ("peer", "calling", "is_let_in"),
    [
        ('ae_title = "SCANNER"', "SCANNER", True),
        ('ae_title = "SCANNER"', "STRANGER", False),
        ('address = "127.0.0.0/8"', "ANYBODY", True),
        ('address = "192.0.2.0/24"', "ANYBODY", False),
        ('ae_title = "SCANNER"\naddress = "192.0.2.7"', "SCANNER", False),
    ],
)
def test_only_listed_peers_are_let_in(
    start_node: Start, peer: str, calling: str, is_let_in: bool
) -> None:
    node = start_node(toml=f"[[peers]]\n{peer}\n")
    expected = None if is_let_in else (1, 1, 3)
    assert rejection(node.port, called="DICOMANON", calling=calling) == expected
    if not is_let_in:
        [event] = node.wait_for("association.rejected")
        assert event["reason"] == "peer-not-allowed"


def test_the_connection_test_of_a_stranger_is_explained(start_node: Start) -> None:
    node = start_node(toml='[[peers]]\nae_title = "SCANNER"\n')
    done = cli("echo", "--to", node.target)
    assert done.returncode == 1
    assert "does not take associations from us" in done.stderr
    assert cli("echo", "--to", node.target, "--from", "SCANNER").returncode == 0


def test_send_without_a_target_finds_the_node_of_its_configuration(start_node: Start) -> None:
    node = start_node(settings={"listener.port": free_port()})
    config = node.directory / "config"
    done = cli("send", "--config", config, "--set", f"listener.port={node.port}", SMALL[0])
    assert done.returncode == 0, done.stderr


def test_every_line_of_standard_output_is_json_and_has_its_time_level_and_event(
    node: Node,
) -> None:
    node.store_all(*SMALL)
    assert node.stop() == 0
    for line in node.log.read_text(encoding="ascii").splitlines():
        event = json.loads(line)
        assert list(event)[:3] == ["timestamp", "level", "event"]


def test_ipv6_is_served_as_well_as_ipv4_where_asked_to(start_node: Start) -> None:
    node = start_node(settings={"listener.host": "::"})
    assert cli("echo", "--to", f"DICOMANON@127.0.0.1:{node.port}").returncode == 0
    assert cli("echo", "--to", f"DICOMANON@[::1]:{node.port}").returncode == 0
