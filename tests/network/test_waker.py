"""`waker`: wakes once for many calls, and touches no descriptor that is not its own."""

import os
import select

import pytest

from dicomanon_node.network import waker as module
from dicomanon_node.network.waker import Waker


@pytest.fixture(params=[True, False], ids=["eventfd", "pipe"], autouse=True)
def _kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param and not hasattr(os, "eventfd"):
        pytest.skip("no eventfd here")
    monkeypatch.setattr(module, "_HAS_EVENTFD", request.param)


def is_awake(waker: Waker) -> bool:
    poller = select.poll()
    poller.register(waker, select.POLLIN)
    return bool(poller.poll(0))


def test_it_wakes_until_it_is_cleared() -> None:
    waker = Waker()
    assert not is_awake(waker)
    for _ in range(3):
        waker.wake()
    assert is_awake(waker)
    waker.clear()
    assert not is_awake(waker)
    waker.clear()
    waker.close()


def test_waking_never_waits() -> None:
    waker = Waker()
    for _ in range(100_000):  # more than a pipe holds
        waker.wake()
    assert is_awake(waker)
    waker.close()


def test_closed_it_writes_into_nobody_elses_file() -> None:
    waker = Waker()
    number = waker.fileno()
    waker.close()
    reading, writing = os.pipe()
    try:
        assert number in (reading, writing)
        os.set_blocking(reading, False)
        waker.wake()
        with pytest.raises(BlockingIOError):
            os.read(reading, 1)
    finally:
        os.close(reading)
        os.close(writing)
