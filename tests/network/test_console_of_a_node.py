"""The console of a real node, over HTTP; what becomes of the node without it."""

import json
import os
import signal
import socket
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from support_network import RawRequestor, abort_rq, associate_rq
from support_node import ROOT, SMALL, Node, cli, run, wait_until, write_config

from dicomanon_node.network.part10 import DicomFile
from dicomanon_node.network.proposal import contexts_for
from dicomanon_node.network.requestor import Requestor

FOLDER = """
[[destinations]]
name = "share"
kind = "folder"
path = "share"
"""


def address_of(node: Node) -> str:
    wait_until(lambda: node.events("admin.ready"), 30.0)
    port = node.events("admin.ready")[0]["port"]
    return f"http://127.0.0.1:{port}"


def ask(node: Node, path: str) -> httpx.Response:
    return httpx.get(address_of(node) + path, timeout=30.0)


def stored(node: Node) -> int:
    return int(ask(node, "/api/v1/overview").json()["throughput"]["stored"])


def test_what_is_sent_is_seen(start_node: Callable[..., Node], tmp_path: Path) -> None:
    (tmp_path / "node" / "share").mkdir(parents=True)
    node = start_node(toml=FOLDER)
    assert ask(node, "/healthz").json() == {"alive": True}
    wait_until(lambda: ask(node, "/readyz").status_code == 200)
    node.store_all(*SMALL)
    wait_until(lambda: stored(node) == len(SMALL))
    studies = ask(node, "/api/v1/studies").json()
    logged = {event["study_uid"] for event in node.events("instance.stored")}
    assert {study["study_uid"] for study in studies} == logged
    wait_until(
        lambda: all(
            study["progress"]
            == [{"destination": "share", "delivered": study["instances"], "failed": 0}]
            for study in ask(node, "/api/v1/studies").json()
        )
    )
    assert f'study="default"}} {len(SMALL)}.0' in ask(node, "/metrics").text


def test_an_open_association_is_seen_though_it_is_not_logged(node: Node) -> None:
    with Requestor(
        "127.0.0.1",
        node.port,
        calling_aet="SCANNER1",
        called_aet="DICOMANON",
        contexts=contexts_for([DicomFile.open(SMALL[0])]),
    ):
        wait_until(lambda: ask(node, "/api/v1/associations").json())
        [association] = ask(node, "/api/v1/associations").json()
        assert (association["calling_aet"], association["peer"]) == ("SCANNER1", "127.0.0.1")
    wait_until(lambda: ask(node, "/api/v1/associations").json() == [])
    assert node.events("association.opened") == []


def test_a_storm_of_associations_leaves_none_behind(node: Node) -> None:
    for _ in range(60):
        with RawRequestor(node.port) as peer:
            peer.associate(associate_rq(called="DICOMANON"))
            peer.send(abort_rq())
    wait_until(lambda: 'how="aborted"} 60.0' in ask(node, "/metrics").text)
    wait_until(lambda: ask(node, "/api/v1/associations").json() == [])


def test_a_port_that_is_taken_does_not_keep_the_node_from_receiving(
    start_node: Callable[..., Node],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        node = start_node(settings={"admin.port": port})
        assert node.events("admin.unavailable")[0]["port"] == port
        node.store_all(*SMALL)
    # Given back, it is taken.
    assert address_of(node).endswith(f":{port}")
    assert stored(node) == len(SMALL)


def test_switched_off_nothing_listens(start_node: Callable[..., Node]) -> None:
    node = start_node(settings={"admin.enabled": "false"})
    node.store_all(SMALL[0])
    assert node.children("admin") == []
    assert node.stop() == 0
    assert node.events("admin.ready") == []


def test_killed_it_comes_back_and_nobody_who_sends_notices(node: Node) -> None:
    address = address_of(node)
    node.store_all(SMALL[0])
    [pid] = node.children("admin")
    node.kill(pid)
    node.store_all(SMALL[1])
    wait_until(lambda: len(node.events("admin.ready")) == 2, 30.0)
    # The same port; receivers that were there before are known.
    wait_until(lambda: httpx.get(f"{address}/readyz", timeout=30.0).status_code == 200)
    assert len(node.events("instance.refused")) == 0


def test_a_reload_shows_the_new_rules_and_forgets_nothing(node: Node) -> None:
    node.store_all(SMALL[0])
    wait_until(lambda: stored(node) == 1)
    [pid] = node.children("admin")
    path = node.directory / "config" / "studies.json"
    studies = json.loads(path.read_text())
    path.write_text(json.dumps(studies | {"ANOTHER": studies["default"]}))
    node.process.send_signal(signal.SIGHUP)
    rules = node.wait_for("node.reloaded", 1)[0]["rules"]
    wait_until(lambda: ask(node, "/api/v1/overview").json()["rules"] == rules)
    assert ask(node, "/api/v1/rules?study=ANOTHER").status_code == 200
    assert stored(node) == 1
    assert node.children("admin") == [pid]
    wait_until(lambda: ask(node, "/readyz").status_code == 200)


def test_stopped_it_holds_up_no_receiver(node: Node) -> None:
    address_of(node)
    [pid] = node.children("admin")
    os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(20):
            node.store_all(*SMALL)
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: stored(node) == 20 * len(SMALL), 30.0)


def test_bound_elsewhere_without_a_token_the_node_does_not_start(tmp_path: Path) -> None:
    write_config(tmp_path)
    told = cli("serve", "--set", "admin.host=0.0.0.0", "--set", "admin.port=0", cwd=tmp_path)
    assert told.returncode == 2
    assert "admin.token_file" in told.stderr
    assert "var/admin.token" in told.stderr


def test_the_token_is_made_at_the_first_start_and_never_logged(
    start_node: Callable[..., Node],
) -> None:
    node = start_node(
        settings={"admin.host": "0.0.0.0", "admin.token_file": "var/console/admin.token"}
    )
    path = node.directory / "var" / "console" / "admin.token"
    token = path.read_text().strip()
    address = address_of(node)
    assert path.stat().st_mode & 0o777 == 0o600
    assert httpx.get(f"{address}/metrics", timeout=30.0).status_code == 401
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{address}/metrics", headers=headers, timeout=30.0).status_code == 200
    assert node.stop() == 0
    assert token not in node.log.read_text() + node.errors


@pytest.mark.parametrize("page", ["/", "/login"])
def test_what_speaks_no_http_is_told_so_and_nothing_else(node: Node, page: str) -> None:
    host, port = address_of(node).removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30.0) as connection:
        connection.sendall(b"\x01\x00\x00\x00\x00\x44" + page.encode() + b"\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
    assert ask(node, "/healthz").status_code == 200


def test_an_end_does_not_wait_for_open_pages(node: Node) -> None:
    address = address_of(node)
    with httpx.stream("GET", f"{address}/events", timeout=30.0) as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 3000"
        assert node.stop() == 0


def test_templates_and_files_are_in_the_wheel(tmp_path: Path) -> None:
    done = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    [wheel] = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    admin = ROOT / "dicomanon_node" / "admin"
    for path in [*admin.glob("templates/*"), *admin.glob("static/*")]:
        assert str(path.relative_to(ROOT)) in names
