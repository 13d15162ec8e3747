"""Many who connect to the console and say little take nobody's place."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from support_node import Node, wait_until

from dicomanon_node.node.console_protocol import MAX_CONNECTIONS

BEGINNINGS = {
    "nothing": b"",
    "half a header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX-",
    "half a body": b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\na",
    "an answer not taken": b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100,
    "a page that stays": b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@contextmanager
def connected(port: int, count: int, beginning: bytes) -> Iterator[list[socket.socket]]:
    """So many connections on which no more than this is said, and nothing read."""
    with ExitStack() as stack:
        held = []
        for _ in range(count):
            held.append(stack.enter_context(socket.create_connection(("127.0.0.1", port), 30)))
            held[-1].sendall(beginning)
        yield held


@pytest.mark.parametrize("beginning", BEGINNINGS.values(), ids=BEGINNINGS)
def test_who_asks_is_answered_though_many_say_little(node: Node, beginning: bytes) -> None:
    port = node.wait_for("admin.ready", 1, 30.0)[0]["port"]
    with connected(port, 3 * MAX_CONNECTIONS, beginning):
        for _ in range(3):
            assert httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=30.0).status_code == 200


def test_who_says_nothing_is_sent_away(node: Node) -> None:
    port = node.wait_for("admin.ready", 1, 30.0)[0]["port"]
    with connected(port, 1, b"GET / HT") as [silent]:
        silent.settimeout(60)
        assert silent.recv(1) == b""


def test_their_descriptors_are_given_back(node: Node) -> None:
    port = node.wait_for("admin.ready", 1, 30.0)[0]["port"]
    [pid] = node.children("admin")
    with connected(port, 6 * MAX_CONNECTIONS, b"GET"):
        wait_until(lambda: len(list(Path(f"/proc/{pid}/fd").iterdir())) < 2 * MAX_CONNECTIONS)
