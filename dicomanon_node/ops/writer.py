"""Writing log lines: one line, one write, and never a reason to stop.

Knows nothing of events. A line that cannot be written is counted, so that the log
can say later that it is not complete.
"""

import errno
import os
import select
import socket
import stat
import time
from collections.abc import Callable
from typing import IO, Final

from dicomanon_node.ops.events import UndeclaredError

_REPORT_EVERY_S = 60.0

PATIENCE_S: Final = 0.1
"""How long one line may wait for a reader that is behind; the next ones do not wait at all."""


class Losses:
    """What did not reach the log.

    Counts are exact for one thread; two threads that lose something at the very same
    moment may count it once.

    Args:
        is_strict: Whether what is not declared raises as well.
    """

    def __init__(self, *, is_strict: bool) -> None:
        self._is_strict = is_strict
        self._undeclared_count = 0
        self._unwritten_count = 0
        self._next_report = 0.0

    def undeclared(self, what: str) -> None:
        """Something was not declared.

        Raises:
            UndeclaredError: In strict mode.
        """
        self._undeclared_count += 1
        if self._is_strict:
            raise UndeclaredError(what)

    def unwritten(self) -> None:
        """A line could not be written."""
        self._unwritten_count += 1

    @property
    def are_due(self) -> bool:
        """Whether there is something to report, and the last report is a while ago."""
        return bool(self._undeclared_count or self._unwritten_count) and (
            time.monotonic() >= self._next_report
        )

    def take(self) -> dict[str, int]:
        """The counts as keys of `log.dropped`; they start again from zero."""
        self._next_report = time.monotonic() + _REPORT_EVERY_S
        counts = {"undeclared": self._undeclared_count, "unwritten": self._unwritten_count}
        self._undeclared_count = self._unwritten_count = 0
        return counts

    def restore(self, counts: dict[str, int]) -> None:
        """Take back what `take` gave: it could not be reported."""
        self._undeclared_count += counts["undeclared"]
        self._unwritten_count += counts["unwritten"]


class LineWriter:
    """Writes a line with a single write: processes sharing a stream do not interleave.

    Lines are shorter than PIPE_BUF, so a pipe takes them whole (POSIX write). A reader that
    stopped reading costs `PATIENCE_S` once, and then lines until it reads again. Without a
    file descriptor (a StringIO) the stream's own write is called once a line.

    Args:
        stream: Where lines go; None writes nothing.
        losses: Where lost lines are counted.
    """

    def __init__(self, stream: IO[str] | None, losses: Losses) -> None:
        self.losses = losses
        self._stream = stream
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._is_torn = False
        self._is_patient = True
        # A descriptor of our own: whoever closes the stream cannot make us write into
        # a file that got its number afterwards.
        self._descriptor, self._can_block = _own_descriptor(stream)
        self._socket = _as_socket(self._descriptor)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        # `os` itself may be gone when the interpreter ends.
        if self._socket is not None:
            self._socket.detach()
        if self._descriptor is not None:
            close(self._descriptor)

    def write(self, line: str) -> bool:
        """Write one line, line break included. Takes no longer than `PATIENCE_S` for a reader.

        Returns:
            Whether it is written. If it is not, it is counted.
        """
        try:
            if self._descriptor is not None:
                self._write_bytes(line.encode(self._encoding, "backslashreplace"))
            elif self._stream is not None:
                self._stream.write(line)
                self._stream.flush()
        except (OSError, ValueError):  # no space, no reader, closed: there is nobody to tell
            self.losses.unwritten()
            return False
        return True

    def _write_bytes(self, line: bytes) -> None:
        descriptor = self._descriptor
        if descriptor is None:
            return
        deadline = time.monotonic() + PATIENCE_S if self._is_patient else 0.0
        if self._is_torn:  # what an earlier failure left must not run into this line
            line = b"\n" + line
        rest = line[self._write_some(descriptor, line, deadline) :]
        self._is_torn = bool(rest)
        while rest:
            rest = rest[self._write_some(descriptor, rest, deadline) :]
        self._is_torn = False
        self._is_patient = True

    def _write_some(self, descriptor: int, data: bytes, deadline: float) -> int:
        if self._can_block:
            return self._write_in_time(descriptor, data, deadline)
        try:  # mostly there is room: to ask for it first is a system call too many
            return self._write_once(descriptor, data)
        except BlockingIOError:
            return self._write_in_time(descriptor, data, deadline)

    def _write_once(self, descriptor: int, data: bytes) -> int:
        if self._socket is not None:
            return self._socket.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        return os.write(descriptor, data)

    def _write_in_time(self, descriptor: int, data: bytes, deadline: float) -> int:
        # One of its own for each call: threads may not share one.
        poller = select.poll()
        poller.register(descriptor, select.POLLOUT)
        is_last = False
        while not is_last:
            remaining_s = deadline - time.monotonic()
            is_last = remaining_s <= 0
            if poller.poll(max(0.0, remaining_s * 1000)):
                try:
                    return self._write_once(descriptor, data)
                except BlockingIOError:  # another process was quicker
                    continue
        self._is_patient = False
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def _own_descriptor(stream: IO[str] | None) -> tuple[int | None, bool]:
    """A second descriptor of the stream's file, and whether a write to it can block.

    O_NONBLOCK belongs to the open file, which other processes share: a pipe or a terminal
    is opened anew. Where that is not allowed, polling has to do; then a write can block
    after all, if another process takes the last room in a pipe in between.
    """
    if stream is None:
        return None, False
    try:
        number = stream.fileno()
        mode = os.fstat(number).st_mode
        if stat.S_ISFIFO(mode) or os.isatty(number):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            try:
                return os.open(f"/proc/self/fd/{number}", flags), False
            except OSError:
                return os.dup(number), True
        return os.dup(number), False
    except (OSError, ValueError):  # a StringIO, or closed already
        return None, False


def _as_socket(descriptor: int | None) -> socket.socket | None:
    """Sockets can be written to without waiting, whatever their flags."""
    if descriptor is None or not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return None
    return socket.socket(fileno=descriptor)
