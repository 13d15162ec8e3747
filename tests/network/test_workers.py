"""`workers`: a thread is used again, waits for a while and leaves nothing behind."""

import gc
import threading
import weakref

import pytest
from support_network import wait_until

from dicomanon_node.network import workers
from dicomanon_node.network.workers import Workers


class Task:
    """Work that says in which thread it is done, and goes on until it is told."""

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None
        self.may_end = threading.Event()
        self.has_ended = threading.Event()

    def __call__(self) -> None:
        self.thread = threading.current_thread()
        self.may_end.wait(10)
        self.has_ended.set()


def finish(task: Task) -> None:
    task.may_end.set()
    assert task.has_ended.wait(10)


def test_what_comes_later_is_done_by_a_thread_that_is_free() -> None:
    pool = Workers()
    threads = set()
    for _ in range(5):
        task = Task()
        pool.start(task)
        finish(task)
        threads.add(task.thread)
        wait_until(lambda: pool._free_count == 1)
    assert len(threads) == 1


def test_work_under_way_holds_up_no_other() -> None:
    pool = Workers()
    tasks = [Task() for _ in range(4)]
    for task in tasks:
        pool.start(task)
    wait_until(lambda: all(task.thread for task in tasks))
    assert len({task.thread for task in tasks}) == 4
    for task in tasks:
        finish(task)


def test_a_thread_without_work_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "IDLE_S", 0.02)
    pool = Workers()
    for _ in range(2):  # also after one has ended
        task = Task()
        pool.start(task)
        finish(task)
        assert task.thread is not None
        task.thread.join(10)
        assert not task.thread.is_alive()
    assert pool._free_count == 0


def test_all_work_is_done_even_when_threads_end_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "IDLE_S", 0.0)
    pool = Workers()
    done = threading.Semaphore(0)
    for _ in range(2000):
        pool.start(done.release)
    for _ in range(2000):
        assert done.acquire(timeout=10)
    wait_until(lambda: pool._free_count == 0)  # nobody waits for work that another has taken


def test_a_free_thread_keeps_nothing_of_what_it_did() -> None:
    pool = Workers()
    task = Task()
    ended = task.has_ended
    gc.disable()
    try:
        alive = weakref.ref(task)
        pool.start(task)
        task.may_end.set()
        del task
        assert ended.wait(10)
        wait_until(lambda: alive() is None)
    finally:
        gc.enable()


def test_no_thread_left_is_an_error_and_the_next_time_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool = Workers()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            pool.start(Task())
    task = Task()
    pool.start(task)
    finish(task)
