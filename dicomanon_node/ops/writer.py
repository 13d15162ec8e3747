"""Writing log lines: one line, one write, and never a reason to stop.

Knows nothing of events. A line that cannot be written is counted, so that the log
can say later that it is not complete.
"""

import os
import time
from collections.abc import Callable
from typing import IO

from dicomanon_node.ops.events import UndeclaredError

_REPORT_EVERY_S = 60.0


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

    Lines are shorter than PIPE_BUF, so a pipe takes them whole (POSIX write). Without a
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
        # A descriptor of our own: whoever closes the stream cannot make us write into
        # a file that got its number afterwards.
        self._descriptor = _duplicate(stream)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        # `os` itself may be gone when the interpreter ends.
        if self._descriptor is not None:
            close(self._descriptor)

    def write(self, line: str) -> bool:
        """Write one line, line break included.

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
        if self._is_torn:  # what an earlier failure left must not run into this line
            line = b"\n" + line
        rest = line[os.write(descriptor, line) :]
        self._is_torn = bool(rest)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        self._is_torn = False


def _duplicate(stream: IO[str] | None) -> int | None:
    """A second descriptor of the stream's file; None if it has none."""
    if stream is None:
        return None
    try:
        return os.dup(stream.fileno())
    except (OSError, ValueError):  # a StringIO, or closed already
        return None
