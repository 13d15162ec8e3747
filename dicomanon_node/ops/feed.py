r"""The feed: each line of the log once more, for the process that shows the node to people.

A pipe made before the fork. All processes write into it, one line a write; a line is
shorter than PIPE_BUF, so it goes in whole or not at all (POSIX write). Writing never
waits: what finds no room is dropped and counted, and the count is written with the next
line that fits. Nothing depends on the feed but what is shown.

What is in it has passed the judges of the log, and is nothing else: `json_lines` has
made it. It also has lines below the level that is logged.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from typing import Any, Final

LOST: Final = "lost"
"""Key of the line that says how many lines were dropped before it."""

_CAPACITY_BYTES: Final = 1 << 20  # some two thousand lines; what Linux gives without privileges
_READ_BYTES: Final = 1 << 16
_LONGEST_LINE_BYTES: Final = 4096  # a line of the log is not longer
_MAX_READS_A_DRAIN: Final = 32  # so that a drain ends though lines come as fast as they are read


class FeedSender:
    """The sending side. Never waits, never fails; inherited by every process.

    The count of what was lost is exact for one thread; two threads that lose something at
    the very same moment may count it once.

    Args:
        descriptor: The writing end, not blocking.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lost_count = 0

    def send(self, line: str) -> None:
        """Send a line, line break included, or drop it."""
        try:
            if self._lost_count:
                os.write(self._descriptor, b'{"%s":%d}\n' % (LOST.encode(), self._lost_count))
                self._lost_count = 0
            os.write(self._descriptor, line.encode("ascii", "replace"))
        except OSError:  # no room, or nobody reads any more
            self._lost_count += 1


class Feed:
    """Both sides. Make it before the fork; one process drains, all others use `sender`.

    Attributes:
        sender: For every process.
        lost_count: Lines that are known to be lost.
    """

    def __init__(self) -> None:
        self._receiving, self._sending = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # a site may allow less; then fewer lines fit
            fcntl.fcntl(self._sending, fcntl.F_SETPIPE_SZ, _CAPACITY_BYTES)
        self.sender = FeedSender(self._sending)
        self.lost_count = 0
        self._rest = b""

    def fileno(self) -> int:
        """The receiving side's descriptor: readable when there are lines."""
        return self._receiving

    def drain(self) -> Iterator[dict[str, Any]]:
        """The lines that have come, in order, decoded. Does not wait."""
        for _ in range(_MAX_READS_A_DRAIN):
            try:
                data = os.read(self._receiving, _READ_BYTES)
            except BlockingIOError:
                return
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                event = self._decode(line)
                if event is not None:
                    yield event
            if len(self._rest) > _LONGEST_LINE_BYTES:
                self._rest = b""
                self.lost_count += 1
            if not data:
                return

    def close(self) -> None:
        """Close both sides in this process."""
        for descriptor in (self._receiving, self._sending):
            os.close(descriptor)

    def _decode(self, line: bytes) -> dict[str, Any] | None:
        try:
            document = json.loads(line)
            if LOST in document:
                self.lost_count += int(document[LOST])
                return None
        except (ValueError, TypeError):  # the reader before us died in the middle of a line
            self.lost_count += 1
            return None
        if not isinstance(document, dict) or "event" not in document:
            self.lost_count += 1
            return None
        return document
