"""Associations that open together are shared among the receivers."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from support_network import SETTINGS, MemoryService, Recorder, wait_until

from dicomanon_node.network import association, listener
from dicomanon_node.network.listener import Listener, bind
from dicomanon_node.network.loads import Load, loads


@pytest.fixture(autouse=True)
def _short_close_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(association, "CLOSE_WAIT_S", 0.05)


def siblings(count: int) -> list[Listener]:
    return [Listener(SETTINGS, MemoryService(), Recorder(), load) for load in loads(count)]


@contextmanager
def serving(these: list[Listener], sock: socket.socket) -> Iterator[None]:
    threads = [threading.Thread(target=one.serve, args=(sock,)) for one in these]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for one in these:
            one.stop_accepting()
            one.abort_all()
        for thread in threads:
            thread.join(10)
        wait_until(lambda: not any(one.connection_count for one in these))


def test_connections_that_come_at_once_are_shared_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    # With patience enough, however slow the machine is just now.
    monkeypatch.setattr(listener, "PATIENCE_MS", 2_000)
    receivers = siblings(2)
    with bind("127.0.0.1", 0) as sock, serving(receivers, sock), ExitStack() as clients:
        for _ in range(8):
            clients.enter_context(socket.create_connection(sock.getsockname()))
        wait_until(lambda: sum(one.connection_count for one in receivers) == 8)
        assert [one.connection_count for one in receivers] == [4, 4]


def test_a_receiver_that_does_not_accept_holds_nobody_up() -> None:
    receivers = siblings(2)
    with bind("127.0.0.1", 0) as sock, serving(receivers[:1], sock), ExitStack() as clients:
        for _ in range(4):
            clients.enter_context(socket.create_connection(sock.getsockname()))
        wait_until(lambda: receivers[0].connection_count == 4)


def test_a_load_is_seen_by_other_processes() -> None:
    ours, theirs = loads(2)
    process_id = os.fork()
    if not process_id:
        theirs.show(3)
        os._exit(0)
    os.waitpid(process_id, 0)
    seen = [ours.is_above_others]
    ours.show(4)
    seen.append(ours.is_above_others)
    assert seen == [False, True]
    assert not theirs.is_above_others  # of what it showed itself: nothing here


def test_who_is_alone_is_above_nobody() -> None:
    load: Load = loads(1)[0]
    load.show(100)
    assert not load.is_above_others
