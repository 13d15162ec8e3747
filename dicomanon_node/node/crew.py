"""Worker processes that share a list of tasks. Knows nothing of what the tasks are.

    with Crew(work, lost, jobs) as crew:
        for task, answer in crew.run(tasks):    # in the order of the tasks

Workers are forked, so they have all the parent has at no cost. A worker that is killed
costs the one task it was at; another takes its place. However many tasks there are,
only a window of them is held. Signals reach the parent only while it waits for
workers, so a message is never cut in half.
"""

import gc
import os
import select
import signal
import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import FrameType, TracebackType
from typing import Any, Final, Generic, NoReturn, Self, TypeAlias, TypeVar

WINDOW: Final = 1024
"""Tasks between the first that is not done and the last that is begun. One that takes as long as
a thousand others holds nobody up."""

_AHEAD: Final = 4
"""Tasks a worker has at a time. So it never waits for the next, and when tasks are long and run
out, few wait behind it while others have nothing to do."""

_END_S: Final = 30.0
"""Seconds a worker has to complete its task when all are told to end."""

_FAULT: Final = 70  # exit code: EX_SOFTWARE of sysexits.h
_ENDING: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})

Task = TypeVar("Task")
Answer = TypeVar("Answer")
Note = Callable[[object], None]
_Connection: TypeAlias = "Connection[Any, Any]"


@dataclass(slots=True, eq=False)
class _Worker(Generic[Task]):
    pid: int
    connection: _Connection
    assigned: deque[tuple[int, Task]] = field(default_factory=deque)


class Crew(Generic[Task, Answer]):
    """Does tasks in several processes, while entered.

    Args:
        work: Does a task, in a worker. May `note` what the parent is to know even if the
            worker does not come to the end of the task.
        lost: The answer for a task whose worker has ended, and by which signal or exit code.
        noted: Given each note, in the parent.
        jobs: How many processes.

    Raises:
        OSError: By entering or by `run`: no process could be started.
    """

    def __init__(
        self,
        work: Callable[[Task, Note], Answer],
        lost: Callable[[Task, int], Answer],
        noted: Note,
        jobs: int,
    ) -> None:
        self._work = work
        self._lost = lost
        self._noted = noted
        self._jobs = jobs
        self._by_descriptor: dict[int, _Worker[Task]] = {}
        self._poller = select.poll()
        self._returned: deque[tuple[int, Task]] = deque()  # by workers that died
        self._answers: dict[int, tuple[Task, Answer]] = {}
        self._turn = 0  # the task whose answer is the next to be given

    def __enter__(self) -> Self:
        # What is there is not walked through in each worker, so its pages stay shared.
        gc.freeze()
        try:
            for _ in range(self._jobs):
                self._hire()
        except BaseException:
            self._dismiss()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._dismiss()

    def run(self, tasks: Iterable[Task]) -> Generator[tuple[Task, Answer], None, None]:
        """Do the tasks; each with its answer, in their order.

        Signals that end a process are held while this is suspended: close it.
        """
        source = enumerate(tasks)
        with _signals_held():
            while True:
                self._distribute(source)
                while self._turn in self._answers:
                    answered = self._answers.pop(self._turn)
                    self._turn += 1
                    yield answered
                if not self._held_count:
                    return
                self._hear(None)

    def end(self) -> Iterator[tuple[Task, Answer]]:
        """Tell all workers to complete what they are at; what was done since `run`."""
        with _signals_held():
            for worker in self._workers:
                os.kill(worker.pid, signal.SIGTERM)
            deadline = time.monotonic() + _END_S
            self._jobs = 0  # nobody is replaced
            while self._workers and time.monotonic() < deadline:
                self._hear(deadline - time.monotonic())
        for index in sorted(self._answers):
            yield self._answers.pop(index)

    @property
    def _workers(self) -> Collection[_Worker[Task]]:
        return self._by_descriptor.values()

    @property
    def _held_count(self) -> int:
        assigned = sum(len(worker.assigned) for worker in self._workers)
        return assigned + len(self._returned) + len(self._answers)

    def _distribute(self, source: Iterator[tuple[int, Task]]) -> None:
        for count in range(1, _AHEAD + 1):  # one for each, before anybody gets a second
            for worker in self._workers:
                if len(worker.assigned) < count and self._held_count < WINDOW:
                    task = self._returned.popleft() if self._returned else next(source, None)
                    if task is None:
                        return
                    worker.assigned.append(task)
                    # If it has died, its connection says so when it is heard.
                    with suppress(BrokenPipeError, ConnectionResetError):
                        worker.connection.send(task)

    def _hear(self, timeout_s: float | None) -> None:
        with _signals_let_through():
            ready = self._poller.poll(None if timeout_s is None else timeout_s * 1000)
        for descriptor, _ in ready:
            worker = self._by_descriptor[descriptor]
            try:
                index, message = worker.connection.recv()
            except (EOFError, OSError):  # also in the middle of a message
                self._bury(worker)
                continue
            if index is None:
                self._noted(message)
            else:
                _, task = worker.assigned.popleft()
                self._answers[index] = (task, message)

    def _bury(self, worker: _Worker[Task]) -> None:
        self._poller.unregister(worker.connection)
        del self._by_descriptor[worker.connection.fileno()]
        worker.connection.close()
        _, status = os.waitpid(worker.pid, 0)
        if not self._jobs:
            return
        if worker.assigned:
            index, task = worker.assigned.popleft()
            exit_code = os.waitstatus_to_exitcode(status)
            self._answers[index] = (task, self._lost(task, exit_code))
            self._returned.extend(worker.assigned)
        try:
            self._hire()
        except OSError:
            if not self._workers:
                raise

    def _hire(self) -> None:
        ours, theirs = Pipe()
        with _signals_held():
            pid = os.fork()
            if not pid:
                others = [ours, *(worker.connection for worker in self._workers)]
                _Service(theirs, self._work).run(others)
        theirs.close()
        self._by_descriptor[ours.fileno()] = _Worker(pid, ours)
        self._poller.register(ours, select.POLLIN)

    def _dismiss(self) -> None:
        # At the end they have nothing to do; after a fault what they are at is given up.
        for worker in self._workers:
            worker.connection.close()
            os.kill(worker.pid, signal.SIGKILL)
            os.waitpid(worker.pid, 0)
        self._by_descriptor.clear()


class _Service(Generic[Task, Answer]):
    """What a worker does, until there is nothing more or it is told to end."""

    def __init__(self, connection: _Connection, work: Callable[[Task, Note], Answer]) -> None:
        self._connection = connection
        self._work = work
        self._is_idle = False
        self._is_ending = False

    def run(self, others: Iterable[_Connection]) -> NoReturn:
        """Serve, and end the process.

        Args:
            others: The parent's, to be closed: each would hide its end from a worker.
        """
        code = _FAULT
        try:
            signal.signal(signal.SIGTERM, self._end)
            # A terminal sends these to the whole group: the parent decides what they mean.
            for number in (signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            for other in others:
                other.close()
            while not self._is_ending:
                index, task = self._next()
                self._connection.send((index, self._work(task, self._note)))
            code = 0
        except (EOFError, BrokenPipeError, ConnectionResetError):  # the parent is no more
            code = 0
        finally:
            # Not by way of the interpreter's end: what is open here is the parent's to close.
            os._exit(code)

    def _next(self) -> tuple[int, Task]:
        self._is_idle = True
        if self._is_ending:
            os._exit(0)
        task: tuple[int, Task] = self._connection.recv()
        self._is_idle = False
        return task

    def _note(self, message: object) -> None:
        self._connection.send((None, message))

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._is_ending = True
        if self._is_idle:
            os._exit(0)


@contextmanager
def _signals_held() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _signals_let_through() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
