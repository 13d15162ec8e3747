"""Child processes of the supervisor: forked, tied to its life, ended by a signal.

A child lives no longer than its supervisor: it holds the reading end of a pipe
that nobody writes to, and the pipe's end of file is the supervisor's death, however
it died. So a killed node leaves nobody behind who holds the port.
"""

import gc
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from dicomanon_node.ops import logs

# A child that dies again and again is started again later and later.
_FIRST_RETRY_S, _LAST_RETRY_S = 1.0, 30.0
# It has settled when it lived that long.
_SETTLED_S = 60.0

_EXIT_INTERNAL = 70  # EX_SOFTWARE
EXIT_ORPHANED = 71

Ready = Callable[[], None]


@dataclass(slots=True)
class Child:
    """One place for a process, and the process in it.

    Attributes:
        role: "receiver" or "courier".
        main: What the process does. It is given a function to call once it works.
        pid: Process number, 0 while there is none.
        started: When it was started, monotonic seconds.
        retry_s: How long to wait before the next start, seconds.
        restart_at: When to start it again, monotonic seconds; None if it runs.
        last_pid: Process number of the one that ended last.
        ready_fd: Reading end of the pipe in which the process says that it works, or -1.
    """

    role: str
    main: Callable[[Ready], None]
    pid: int = 0
    started: float = 0.0
    retry_s: float = _FIRST_RETRY_S
    restart_at: float | None = None
    last_pid: int = 0
    ready_fd: int = -1

    @property
    def is_running(self) -> bool:
        """Whether there is a process."""
        return self.pid != 0

    def start(self, lifeline: tuple[int, int]) -> None:
        """Fork the process. The caller has no threads.

        Args:
            lifeline: Reading and writing end of the pipe that tells of our death.
        """
        ready_read, ready_write = os.pipe()
        gc.collect()
        gc.freeze()  # what exists now is shared with the child, page by page, until touched
        pid = os.fork()
        if pid == 0:
            os.close(ready_read)
            os.close(lifeline[1])
            _run_child(self, lifeline[0], ready_write)
        os.close(ready_write)
        self.pid, self.started, self.restart_at, self.ready_fd = (
            pid,
            time.monotonic(),
            None,
            ready_read,
        )
        logs.get().event("process.started", role=self.role, pid=pid)

    def wait_ready(self) -> bool:
        """Wait until the process works; False if it ended instead."""
        try:
            return os.read(self.ready_fd, 1) == b"1"
        finally:
            os.close(self.ready_fd)
            self.ready_fd = -1

    def signal(self, number: int) -> None:
        """Send a signal, if there is a process."""
        if self.pid:
            os.kill(self.pid, number)

    def ended(self, exit_code: int, now: float, *, is_expected: bool) -> None:
        """The process has been waited for."""
        keys: dict[str, object] = {
            "role": self.role,
            "pid": self.pid,
            "exit_code": exit_code,
            "seconds": round(now - self.started, 3),
        }
        self.pid, self.last_pid = 0, self.pid
        if self.ready_fd >= 0:
            os.close(self.ready_fd)
            self.ready_fd = -1
        if is_expected:
            logs.get().event("process.exited", **keys)
            return
        if now - self.started > _SETTLED_S:
            self.retry_s = _FIRST_RETRY_S
        self.restart_at = now + self.retry_s
        logs.get().event("process.died", **keys, retry_s=self.retry_s)
        self.retry_s = min(self.retry_s * 2, _LAST_RETRY_S)


def _run_child(child: Child, lifeline: int, ready: int) -> NoReturn:
    code = _EXIT_INTERNAL
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        # Ctrl-C on a terminal goes to the whole group: the supervisor decides what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_watch_lifeline, args=(lifeline,), daemon=True).start()
        child.main(lambda: _tell(ready))
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else _EXIT_INTERNAL
    except BaseException as error:  # noqa: BLE001  (a forked child must not return into its parent)
        logs.get().event("internal.error", where=child.role, error=error)
    finally:
        # No interpreter shutdown: daemon threads may sit in the middle of an association.
        os._exit(code)


def _tell(ready: int) -> None:
    os.write(ready, b"1")
    os.close(ready)


def _watch_lifeline(lifeline: int) -> None:
    os.read(lifeline, 1)
    os._exit(EXIT_ORPHANED)
