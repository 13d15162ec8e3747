"""`doorbell`: heard once however often it rings, across processes, and never waited for."""

import os
import threading
from collections.abc import Iterator

import pytest

from dicomanon_node.delivery import doorbell as module
from dicomanon_node.delivery.doorbell import Doorbell


@pytest.fixture
def bell() -> Iterator[Doorbell]:
    bell = Doorbell()
    yield bell
    bell.close()


def test_any_number_of_rings_before_somebody_looks_is_one(bell: Doorbell) -> None:
    assert not bell.wait(0)
    for _ in range(1000):
        bell.ring()
    assert bell.wait(0)
    assert not bell.wait(0)


def test_it_wakes_who_waits(bell: Doorbell) -> None:
    heard = threading.Event()

    def listen() -> None:
        if bell.wait(20):
            heard.set()

    thread = threading.Thread(target=listen)
    thread.start()
    bell.ring()
    assert heard.wait(10)
    thread.join()


def test_a_forked_process_rings_the_same_bell(bell: Doorbell) -> None:
    pid = os.fork()
    if not pid:
        bell.ring()
        os._exit(0)
    assert bell.wait(10)
    assert os.waitpid(pid, 0)[1] == 0


def test_ringing_a_closed_bell_does_nothing(bell: Doorbell) -> None:
    bell.close()
    bell.ring()
    assert not bell.wait(0)


def test_without_eventfd_nobody_is_woken_and_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HAS_EVENTFD", False)
    bell = Doorbell()
    bell.ring()
    assert not bell.wait(0)
    bell.close()
