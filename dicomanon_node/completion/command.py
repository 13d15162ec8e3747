"""A command that is told of a study: a program and its arguments, never a shell.

The document is its standard input. What it writes goes nowhere: it cannot fill anything,
and no text of it is logged. When its time is over it is killed, with whatever it has started in its
process group. It gets a small environment: the node's own settings are not its business.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from dicomanon_node.completion.outcome import MissedError, UntoldError

_KEPT: Final = ("HOME", "LANG", "LC_ALL", "PATH", "TZ", "USER")
_LOOK_S: Final = 0.05


class Command:
    """Tells a command.

    Args:
        arguments: The program and its arguments.
        timeout_s: How long it may take, seconds.
    """

    def __init__(self, arguments: Sequence[str], timeout_s: float) -> None:
        self._arguments = list(arguments)
        self._timeout_s = timeout_s

    def tell(self, body: bytes, stop: threading.Event) -> None:
        """Run it and wait for its end.

        Args:
            body: The document.
            stop: Ends the wait, and the command.

        Raises:
            MissedError: It could not be run, took too long or ended with another code than 0.
            UntoldError: The node stops.
        """
        with os.fdopen(os.memfd_create("completion", os.MFD_CLOEXEC), "w+b") as document:
            document.write(body)
            document.seek(0)
            try:
                process = subprocess.Popen(
                    self._arguments,
                    stdin=document,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    env={name: os.environ[name] for name in _KEPT if name in os.environ},
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                number = error.errno if isinstance(error, OSError) else None
                raise MissedError("not-started", number=number) from None
        deadline = time.monotonic() + self._timeout_s
        while process.poll() is None:
            if stop.is_set() or time.monotonic() > deadline:
                _end(process)
                raise UntoldError if stop.is_set() else MissedError("timeout")
            stop.wait(_LOOK_S)
        if process.returncode:
            raise MissedError("exit-code", exit_code=process.returncode)


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
