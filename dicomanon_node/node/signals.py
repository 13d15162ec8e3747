"""Signals as the supervisor takes them: noted when they come, acted on when it is ready.

Knows no process and decides nothing.
"""

import contextlib
import os
import signal
import socket
from types import TracebackType
from typing import Final, Self

_ENDING: Final = (signal.SIGTERM, signal.SIGINT)
_TERMINAL: Final = "/dev/tty"


class Signals:
    """While entered, signals are noted, and each of them makes `fileno` readable.

    For the main thread. Leaving restores what was there before.

    Attributes:
        asked: The requests to end that have come, in order.
        is_reload_asked: Whether SIGHUP has asked for another look at the configuration;
            set back by who takes it.
    """

    def __init__(self) -> None:
        self.asked: list[signal.Signals] = []
        self.is_reload_asked = False
        self._ends_with_terminal = (
            _has_terminal() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN  # nohup
        )
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self._restore = contextlib.ExitStack()

    def __enter__(self) -> Self:
        before = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        self._restore.callback(signal.set_wakeup_fd, before)
        for number in _ENDING:
            self._handle(number, lambda got, _frame: self.asked.append(signal.Signals(got)))
        self._handle(signal.SIGHUP, self._hung_up)
        # Those by which children are told what to do (`children`) mean nothing to the supervisor.
        # Sent here, by a script that has log rotation in mind, they would end the node at once.
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            self._handle(number, signal.SIG_IGN)
        # A handler, though it does nothing: an ignored signal does not wake.
        self._handle(signal.SIGCHLD, lambda _number, _frame: None)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._restore.close()
        self.close()

    def fileno(self) -> int:
        """Readable when a signal has come since `clear`."""
        return self._receiver.fileno()

    def clear(self) -> None:
        """The signals that have come are being looked at."""
        with contextlib.suppress(BlockingIOError):
            self._receiver.recv(4096)

    def close(self) -> None:
        """Close the descriptors; a child does that in its own process."""
        self._receiver.close()
        self._sender.close()

    def _hung_up(self, number: int, _frame: object) -> None:
        # A service manager or a person means: reload. A terminal that was closed sends the same,
        # and is then gone.
        if self._ends_with_terminal and not _has_terminal():
            self.asked.append(signal.Signals(number))
        else:
            self.is_reload_asked = True

    def _handle(self, number: signal.Signals, handler: "signal._HANDLER") -> None:
        self._restore.callback(signal.signal, number, signal.signal(number, handler))


def _has_terminal() -> bool:
    try:
        os.close(os.open(_TERMINAL, os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
