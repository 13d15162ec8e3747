"""Accepting, sharing the socket, limits, draining and stopping."""

import contextlib
import gc
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support_network import (
    ABORT_TYPE,
    AC_TYPE,
    CT,
    RELEASE_RQ,
    RJ_TYPE,
    SETTINGS,
    MemoryService,
    RawRequestor,
    Recorder,
    StoredInstance,
    abort_rq,
    associate_rq,
    message,
    p_data,
    pdv,
    running_node,
    store_rq,
    wait_until,
)

from dicomanon_node.network import association, registry, workers
from dicomanon_node.network.association import AcceptorAssociation
from dicomanon_node.network.listener import Listener, bind, prepare_socket
from dicomanon_node.network.loads import loads
from dicomanon_node.network.service import AssociationFacts, Ending, StoreRequest
from dicomanon_node.network.workers import Workers


@pytest.fixture(autouse=True)
def _short_close_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(association, "CLOSE_WAIT_S", 0.05)


@contextlib.contextmanager
def serving(listener: Listener, sock: socket.socket) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=listener.serve, args=(sock,))
    thread.start()
    try:
        yield thread
    finally:
        listener.stop_accepting()
        listener.abort_all()
        thread.join(10)
        assert not thread.is_alive()
        wait_until(lambda: listener.connection_count == 0)


# Draining and stopping.


def test_draining_leaves_established_associations_at_work() -> None:
    with running_node() as node, RawRequestor(node.port) as peer:
        peer.associate()
        peer.send(p_data(pdv(1, 3, store_rq())) + p_data(pdv(1, 0, b"be")))
        node.listener.stop_accepting()
        assert not node.listener.wait_idle(0.05)
        peer.send(p_data(pdv(1, 2, b"gun")))
        assert peer.response().Status == 0x0000
        peer.send(message(store_rq(2), b"another"))
        assert peer.response().Status == 0x0000
        assert node.service.received == [b"begun", b"another"]
        peer.release()
        assert node.listener.wait_idle(10)
        assert node.observer.ending() is Ending.RELEASED


def test_draining_rejects_an_association_that_was_not_yet_asked_for() -> None:
    with running_node() as node, RawRequestor(node.port) as peer:
        wait_until(lambda: node.listener.connection_count == 1)
        node.listener.stop_accepting()
        peer.send(associate_rq())
        kind, body = peer.pdu()
        assert (kind, body[1:]) == (RJ_TYPE, b"\x02\x03\x01")
        assert [code for code, _ in node.observer.rejections] == ["draining"]
        assert node.listener.wait_idle(0)


def test_serve_returns_when_accepting_is_stopped() -> None:
    listener = Listener(SETTINGS, MemoryService(), Recorder())
    with bind("127.0.0.1", 0) as sock, serving(listener, sock) as thread:
        listener.stop_accepting()
        thread.join(10)
        assert not thread.is_alive()
        assert sock.fileno() >= 0  # stays the caller's


def test_stopping_before_serving_serves_nobody() -> None:
    listener = Listener(SETTINGS, MemoryService(), Recorder())
    listener.stop_accepting()
    with bind("127.0.0.1", 0) as sock:
        listener.serve(sock)


def test_aborting_all_aborts_associations_and_closes_connections() -> None:
    with running_node() as node, RawRequestor(node.port) as peer, RawRequestor(node.port) as idle:
        peer.associate()
        peer.send(p_data(pdv(1, 3, store_rq())) + p_data(pdv(1, 0, b"half")))
        wait_until(lambda: node.service.instances and node.service.instances[0].data)
        wait_until(lambda: node.listener.connection_count == 2)
        node.listener.abort_all()
        assert peer.pdu() == (ABORT_TYPE, b"\0\0\0\0")
        assert idle.pdu()[0] == ABORT_TYPE
        assert peer.is_closed()
        assert idle.is_closed()
        assert node.observer.ending() is Ending.STOPPED
        wait_until(lambda: node.observer.strangers)
        assert node.observer.strangers == [(Ending.STOPPED, "127.0.0.1")]
        assert [(i.finished, i.abandoned) for i in node.service.instances] == [(0, 1)]
        assert node.listener.wait_idle(0)


def test_active_count_counts_associations_not_connections() -> None:
    with running_node() as node, RawRequestor(node.port) as peer, RawRequestor(node.port):
        wait_until(lambda: node.listener.connection_count == 2)
        assert node.listener.active_count == 0
        peer.associate()
        assert node.listener.active_count == 1
        peer.release()
        wait_until(lambda: node.listener.active_count == 0)


def descriptor_count() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_connection_leaves_no_thread_and_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "IDLE_S", 0.05)
    with running_node() as node:
        threads = threading.active_count()
        with RawRequestor(node.port) as peer:
            peer.associate()
            peer.release()
        wait_until(lambda: node.listener.connection_count == 0)
        before = descriptor_count()
        wait_until(lambda: threading.active_count() <= threads)
        for _ in range(20):
            with RawRequestor(node.port) as peer:
                peer.associate()
        wait_until(lambda: node.listener.connection_count == 0)
        wait_until(lambda: threading.active_count() <= threads)
        assert descriptor_count() == before


# Limits.


def test_a_request_without_room_waits_for_an_association_that_ends_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "ROOM_WAIT_S", 10.0)
    with running_node(max_associations=1) as node:
        with RawRequestor(node.port) as first, RawRequestor(node.port) as second:
            first.associate()
            second.send(associate_rq())
            wait_until(lambda: node.listener.connection_count == 2)
            first.release()
            assert second.pdu()[0] == AC_TYPE
        wait_until(lambda: node.listener.connection_count == 0)
        assert node.observer.rejections == []


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"max_associations": 2, "max_associations_per_peer": 2}, "peer-limit"),
        ({"max_associations": 2, "max_associations_per_peer": 3}, "local-limit"),
        ({"max_associations": 4}, "peer-limit"),
    ],
)
def test_an_association_over_the_limit_is_rejected_for_the_time_being(
    limits: dict[str, int], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "ROOM_WAIT_S", 0.05)
    with (
        running_node(None, **limits) as node,
        RawRequestor(node.port) as first,
        RawRequestor(node.port) as second,
    ):
        first.associate()
        second.associate()
        with RawRequestor(node.port) as third:
            third.send(associate_rq())
            kind, body = third.pdu()
            assert (kind, body[1:]) == (RJ_TYPE, b"\x02\x03\x02")  # PS3.8 Table 9-21
            assert third.is_closed()
        assert [code for code, _ in node.observer.rejections] == [reason]
        first.send(message(store_rq(), b"x"))
        assert first.response().Status == 0x0000
        second.release()
        with RawRequestor(node.port) as fourth:
            fourth.associate()


def test_one_address_leaves_associations_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "ROOM_WAIT_S", 0.05)
    with running_node(max_associations=4) as node, contextlib.ExitStack() as stack:
        greedy = [stack.enter_context(RawRequestor(node.port)) for _ in range(8)]
        for peer in greedy:
            peer.send(associate_rq())
        answers = sorted(peer.pdu()[0] for peer in greedy)
        assert answers == [AC_TYPE] * 2 + [RJ_TYPE] * 6
        for address in ("127.0.0.2", "127.0.0.3"):
            stack.enter_context(RawRequestor(node.port, address)).associate()


def test_a_silent_association_makes_room_when_there_is_none() -> None:
    with (
        running_node(max_associations=1, acse_timeout_s=0.2) as node,
        RawRequestor(node.port) as silent,
    ):
        silent.associate()
        with RawRequestor(node.port) as newcomer:
            newcomer.associate()
            assert silent.pdu() == (ABORT_TYPE, b"\0\0\0\0")
            assert node.observer.ending() is Ending.YIELDED
            newcomer.send(message(store_rq(), b"x"))
            assert newcomer.response().Status == 0x0000


def test_an_association_that_is_served_does_not_make_room() -> None:
    release = threading.Event()

    class Slow(MemoryService):
        def begin(self, request: StoreRequest, association: AssociationFacts) -> StoredInstance:
            release.wait(10)
            return super().begin(request, association)

    with (
        running_node(Slow(), max_associations=1, acse_timeout_s=0.1) as node,
        RawRequestor(node.port) as busy,
        RawRequestor(node.port) as newcomer,
    ):
        busy.associate()
        busy.send(message(store_rq(), b"x"))
        newcomer.send(associate_rq())
        assert newcomer.pdu()[0] == RJ_TYPE
        release.set()
        assert busy.response().Status == 0x0000


def test_silent_connections_keep_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "MAX_UNASSOCIATED", 4)
    with running_node(acse_timeout_s=60.0) as node, contextlib.ExitStack() as stack:
        silent = [stack.enter_context(RawRequestor(node.port)) for _ in range(8)]
        wait_until(lambda: len(node.observer.strangers) == 4)
        assert {how for how, _ in node.observer.strangers} == {Ending.LIMIT}
        assert silent[0].is_closed()
        with RawRequestor(node.port) as peer:
            peer.associate()


def test_room_is_made_by_the_address_that_has_most_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "MAX_UNASSOCIATED", 4)
    with running_node(acse_timeout_s=60.0) as node, contextlib.ExitStack() as stack:
        patient = stack.enter_context(RawRequestor(node.port, "127.0.0.2"))
        wait_until(lambda: node.listener.connection_count == 1)
        for _ in range(8):
            stack.enter_context(RawRequestor(node.port))
        wait_until(lambda: len(node.observer.strangers) == 5)
        assert {address for _, address in node.observer.strangers} == {"127.0.0.1"}
        patient.associate()


def test_a_full_process_leaves_connections_to_its_siblings() -> None:
    settings = replace(SETTINGS, max_associations=20, max_associations_per_peer=20)
    observer = Recorder()
    one, other = (Listener(settings, MemoryService(), observer, load) for load in loads(2))
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(bind("127.0.0.1", 0))
        for listener in (one, other):
            stack.enter_context(serving(listener, sock))
        for _ in range(40):
            stack.enter_context(RawRequestor(sock.getsockname()[1])).associate()
        assert (one.connection_count, other.connection_count) == (20, 20)
        assert observer.strangers == []


def test_a_full_listener_does_not_spin_and_can_be_stopped() -> None:
    with (
        running_node(max_associations=1) as node,
        RawRequestor(node.port) as first,
        RawRequestor(node.port) as second,
    ):
        first.associate()
        second.send(associate_rq())
        assert second.pdu()[0] == RJ_TYPE
        used_s = time.process_time()
        first.send(message(store_rq(), b"x"))
        assert first.response().Status == 0x0000
        time.sleep(0.3)  # what is measured is that nothing happens
        assert time.process_time() - used_s < 0.15
        node.listener.stop_accepting()
        first.release()


def test_a_connection_without_a_thread_to_serve_it_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with running_node() as node:
        with monkeypatch.context() as patch:
            patch.setattr(Workers, "start", refuse)
            with RawRequestor(node.port) as peer:
                assert peer.is_closed()
        wait_until(lambda: node.observer.strangers)
        assert node.observer.strangers == [(Ending.LIMIT, "127.0.0.1")]
        with RawRequestor(node.port) as peer:
            peer.associate()


def test_descriptors_above_1023_hold_associations() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip(f"the hard limit of open files is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    opened: list[int] = []
    try:
        while not opened or opened[-1] < 1100:
            opened.append(os.open(os.devnull, os.O_RDONLY))
        with running_node() as node, RawRequestor(node.port) as peer:
            assert peer.socket.fileno() > 1023
            peer.associate()
            peer.send(message(store_rq(), b"x" * 100_000))
            assert peer.response().Status == 0x0000
            peer.release()
            assert node.observer.ending() is Ending.RELEASED
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("left", [0, 1])
def test_no_descriptor_left_is_waited_out(left: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened: list[int] = []
    with running_node() as node:
        RawRequestor(node.port).socket.close()
        wait_until(lambda: node.observer.strangers)  # it is serving
        hopeful = socket.socket()
        hopeful.settimeout(0.3)
        with hopeful:
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
            try:
                with contextlib.suppress(OSError):
                    while True:
                        opened.append(os.open(os.devnull, os.O_RDONLY))
                for _ in range(left):
                    os.close(opened.pop())
                hopeful.connect(("127.0.0.1", node.port))
                hopeful.sendall(associate_rq())
                # It waits in the backlog, or was closed: nothing in between.
                with contextlib.suppress(TimeoutError, ConnectionResetError):
                    assert hopeful.recv(1) == b""
            finally:
                for descriptor in opened:
                    os.close(descriptor)
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        with RawRequestor(node.port) as peer:
            peer.associate()


# The socket.


def test_two_listeners_share_one_socket() -> None:
    services = [MemoryService(), MemoryService()]
    listeners = [Listener(SETTINGS, service, Recorder()) for service in services]
    with (
        bind("127.0.0.1", 0) as sock,
        serving(listeners[0], sock),
        serving(listeners[1], sock) as second,
    ):
        port = sock.getsockname()[1]
        for number in range(20):
            with RawRequestor(port) as peer:
                peer.associate()
                peer.send(message(store_rq(1, CT, f"2.25.{number}"), b"x"))
                assert peer.response().Status == 0x0000
        assert sum(len(service.received) for service in services) == 20
        listeners[1].stop_accepting()
        second.join(10)
        before = len(services[0].received)
        with RawRequestor(port) as peer:
            peer.associate()
            peer.send(message(store_rq(), b"x"))
            assert peer.response().Status == 0x0000
        assert len(services[0].received) == before + 1


def test_a_bound_socket_listens_before_anybody_serves_it() -> None:
    with bind("127.0.0.1", 0) as sock, RawRequestor(sock.getsockname()[1]) as early:
        early.send(associate_rq())
        listener = Listener(SETTINGS, MemoryService(), Recorder())
        with serving(listener, sock):
            assert early.pdu()[0] == 0x02


def test_all_addresses_means_both_families() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("no dual-stack sockets here")
    observer = Recorder()
    listener = Listener(replace(SETTINGS, ae_titles=("NODE",)), MemoryService(), observer)
    with bind("::", 0) as sock, serving(listener, sock):
        with RawRequestor(sock.getsockname()[1]) as peer:
            peer.associate()
            peer.release()
        assert observer.ending() is Ending.RELEASED
        assert observer.endings[0][1].peer_address == "127.0.0.1"


def test_an_address_that_is_taken_is_an_error() -> None:
    with bind("127.0.0.1", 0) as sock, pytest.raises(OSError, match="in use"):
        bind("127.0.0.1", sock.getsockname()[1])


def test_a_connection_is_made_ready_for_small_answers_and_dead_peers() -> None:
    with bind("127.0.0.1", 0) as sock, RawRequestor(sock.getsockname()[1]):
        connection, _ = sock.accept()
        with connection:
            assert prepare_socket(connection) is connection
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_preparing_a_socket_may_take_its_time_without_holding_up_others() -> None:
    release = threading.Event()
    first = threading.Event()

    def slow(connection: socket.socket) -> socket.socket:
        if not first.is_set():
            first.set()
            release.wait(10)
        return connection

    listener = Listener(SETTINGS, MemoryService(), Recorder())
    listener._acceptor = replace(listener._acceptor, prepare_socket=slow)
    with bind("127.0.0.1", 0) as sock, serving(listener, sock):
        port = sock.getsockname()[1]
        with RawRequestor(port) as held, RawRequestor(port) as other:
            wait_until(first.is_set)
            other.associate()
            release.set()
            held.associate()


def test_a_socket_that_cannot_be_prepared_is_a_lost_connection() -> None:
    def failing(_: socket.socket) -> socket.socket:
        raise ConnectionResetError

    observer = Recorder()
    listener = Listener(SETTINGS, MemoryService(), observer)
    listener._acceptor = replace(listener._acceptor, prepare_socket=failing)
    with bind("127.0.0.1", 0) as sock, serving(listener, sock):
        with RawRequestor(sock.getsockname()[1]) as peer:
            assert peer.is_closed()
        wait_until(lambda: observer.strangers)
        assert observer.strangers == [(Ending.LOST, "127.0.0.1")]


def test_an_association_that_has_ended_is_freed_without_the_garbage_collector() -> None:
    def alive() -> int:
        return sum(isinstance(found, AcceptorAssociation) for found in gc.get_objects())

    gc.collect()
    before = alive()
    gc.disable()
    try:
        with running_node() as node:
            for ending in (RELEASE_RQ, abort_rq(), b""):
                with RawRequestor(node.port) as peer:
                    peer.associate()
                    peer.send(ending)
            with RawRequestor(node.port) as peer:
                peer.send(associate_rq(called="ANOTHER"))
                assert peer.pdu()[0] == RJ_TYPE
            wait_until(lambda: alive() == before)
    finally:
        gc.enable()
