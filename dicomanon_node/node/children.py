"""Child processes of the supervisor: forked, tied to its life, ended by a signal.

A child lives no longer than its supervisor: it holds the reading end of a pipe
that nobody writes to, and the pipe's end of file is the supervisor's death, however
it died. So a killed node leaves nobody behind who holds the port.

What a terminal or a service manager sends to the whole group means nothing to a
child, but for SIGTERM: asked to end once or many times, it ends what it is at. Only
`ABORT`, which the supervisor alone sends, cuts that short.
"""

import logging
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NoReturn, Protocol

from dicomanon_node.ops import logs

STOP: Final = signal.SIGTERM
"""End what is under way, begin nothing."""

ABORT: Final = signal.SIGUSR1
"""End now."""

RETIRE: Final = signal.SIGUSR2
"""Another one has taken over: begin nothing, and end when what is under way has ended."""

KILLED_S: Final = 2.0
"""How long one that was killed is waited for, seconds: a process that waits for a disk that does
not answer cannot even be killed."""

EXIT_INTERNAL: Final = 70  # EX_SOFTWARE
EXIT_ORPHANED: Final = 71

# A child that dies again and again is started again later and later.
_FIRST_RETRY_S, _LAST_RETRY_S = 0.25, 5.0
# It has settled when it lived that long.
_SETTLED_S = 30.0

# Handled anew in a child before any of them can reach it.
_SIGNALS = frozenset({STOP, ABORT, RETIRE, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD})

Ready = Callable[[], None]


class Closeable(Protocol):
    """Something of the supervisor's that a child closes in its own process."""

    def close(self) -> None:
        """Close it."""


@dataclass(slots=True)
class Child:
    """One place for a process, and the process in it.

    Attributes:
        role: "receiver", "courier", "finisher", "keeper", "committer", "recorder" or "admin".
        main: What the process does. It is given a function to call once it works; a receiver
            calls it again when it accepts no connection any more.
        pid: Process number, 0 while there is none.
        started: When it was started, monotonic seconds.
        retry_s: How long to wait before the next start, seconds.
        restart_at: When to start it again, monotonic seconds; None if it runs.
        last_pid: Process number of the one that ended last.
        exit_code: How that one ended; None if none has.
        ready_fd: Reading end of the pipe in which the process says so, or -1.
    """

    role: str
    main: Callable[[Ready], None]
    pid: int = 0
    started: float = 0.0
    retry_s: float = _FIRST_RETRY_S
    restart_at: float | None = None
    last_pid: int = 0
    exit_code: int | None = None
    ready_fd: int = -1

    @property
    def is_running(self) -> bool:
        """Whether there is a process."""
        return self.pid != 0

    def start(self, lifeline: tuple[int, int], private: Sequence[Closeable] = ()) -> None:
        """Fork the process. The caller has no threads.

        Args:
            lifeline: Reading and writing end of the pipe that tells of our death.
            private: What the process must not keep.

        Raises:
            OSError: There are not enough descriptors, processes or memory.
        """
        ready = os.pipe()
        # No signal may find the child with the supervisor's handlers.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            pid = os.fork()
            if pid == 0:
                _run_child(self, lifeline, ready, private, mask)
        except OSError:
            os.close(ready[0])
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(ready[1])
        self.pid, self.started, self.restart_at = pid, time.monotonic(), None
        self.ready_fd = ready[0]
        logs.get().event("process.started", role=self.role, pid=pid)

    def start_or_postpone(
        self, lifeline: tuple[int, int], private: Callable[[], Sequence[Closeable]]
    ) -> None:
        """Fork the process; if that fails, tell, and try again later.

        Args:
            lifeline: As of `start`.
            private: Gives what the process must not keep.
        """
        try:
            self.start(lifeline, private())
        except OSError as error:
            self.postpone(time.monotonic())
            logs.get().event("internal.error", where="supervisor", error=error)

    def look_after(
        self,
        now: float,
        lifeline: tuple[int, int],
        private: Callable[[], Sequence[Closeable]],
        *,
        is_expected: bool = False,
    ) -> bool:
        """Take note if the process has ended, and start it again when that is due.

        Args:
            now: Monotonic seconds.
            lifeline: As of `start`.
            private: Gives what the process must not keep.
            is_expected: We asked it to end.

        Returns:
            Whether it has ended.
        """
        has_ended = self.reap(now, is_expected=is_expected)
        if self.restart_at is not None and now >= self.restart_at:
            self.start_or_postpone(lifeline, private)
        return has_ended

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until the process says so (see `main`); False if it did not, or has ended."""
        poller = select.poll()
        poller.register(self.ready_fd, select.POLLIN)
        return bool(poller.poll(timeout_s * 1000)) and os.read(self.ready_fd, 1) == b"1"

    def forget(self) -> None:
        """What the process has said so far is known."""
        poller = select.poll()
        poller.register(self.ready_fd, select.POLLIN)
        if poller.poll(0):
            os.read(self.ready_fd, 16)

    def signal(self, number: int) -> None:
        """Send a signal, if there is a process."""
        if self.pid:
            os.kill(self.pid, number)

    def close(self) -> None:
        """Close the pipe in which the process says how it is."""
        if self.ready_fd >= 0:
            os.close(self.ready_fd)
            self.ready_fd = -1

    def reap(self, now: float, *, is_expected: bool) -> bool:
        """Take note if the process has ended.

        Args:
            now: Monotonic seconds.
            is_expected: We asked it to. Otherwise it is to be started again.

        Returns:
            Whether it has ended.
        """
        if not self.pid:
            return False
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return False
        self._ended(os.waitstatus_to_exitcode(status), now, is_expected=is_expected)
        return True

    def postpone(self, now: float) -> None:
        """It could not be started, or has died: try again, later each time."""
        if self.started and now - self.started > _SETTLED_S:
            self.retry_s = _FIRST_RETRY_S
        self.restart_at = now + self.retry_s
        self.retry_s = min(self.retry_s * 2, _LAST_RETRY_S)

    def _ended(self, exit_code: int, now: float, *, is_expected: bool) -> None:
        keys: dict[str, object] = {
            "role": self.role,
            "pid": self.pid,
            "exit_code": exit_code,
            "seconds": now - self.started,
        }
        self.pid, self.last_pid, self.exit_code = 0, self.pid, exit_code
        self.close()
        if not is_expected:
            self.postpone(now)
        if is_expected or not exit_code:  # it only ends so if somebody has asked it to
            logs.get().event("process.exited", **keys)
        else:
            logs.get().event("process.died", **keys, retry_s=(self.restart_at or now) - now)


def are_running(children: Sequence[Child]) -> bool:
    """Whether any of them, which were all asked to end, still has a process."""
    now = time.monotonic()
    for child in children:
        child.reap(now, is_expected=True)
    return any(child.is_running for child in children)


def _run_child(
    child: Child,
    lifeline: tuple[int, int],
    ready: tuple[int, int],
    private: Sequence[Closeable],
    mask: "set[int | signal.Signals]",
) -> NoReturn:
    code = EXIT_INTERNAL
    try:
        os.close(lifeline[1])
        os.close(ready[0])
        signal.set_wakeup_fd(-1)
        # Until its main handles them, being told to end ends it: it has begun nothing.
        for number in (STOP, ABORT, RETIRE, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        # A terminal sends these to the whole group: the supervisor decides what they mean.
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for own in private:
            own.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        threading.Thread(target=_watch_lifeline, args=(lifeline[0],), daemon=True).start()
        child.main(lambda: _tell(ready[1]))
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else EXIT_INTERNAL
    except BaseException as error:  # noqa: BLE001  (a forked child must not return into its parent)
        logs.get().event("internal.error", where=child.role, error=error)
    finally:
        logging.shutdown()  # what was counted of the libraries' messages
        # No interpreter shutdown: daemon threads may sit in the middle of an association.
        os._exit(code)


def _tell(ready: int) -> None:
    with suppress(OSError):  # the supervisor is gone: so are we, in a moment
        os.write(ready, b"1")


def _watch_lifeline(lifeline: int) -> None:
    os.read(lifeline, 1)
    os._exit(EXIT_ORPHANED)
