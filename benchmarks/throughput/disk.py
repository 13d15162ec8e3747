"""What the disk can do at best: write, fdatasync, rename, fsync of the directory.

One process; as many run as there are associations. Each file takes the node's way
(incoming directory, then one a series), without a network, a header or a queue. No
receiver that answers only for what is durable, one file an object, can be faster than
the disk allows; a receiver that lets files share a sync can be faster than this.
"""

import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.throughput import protocol


@dataclass(frozen=True, slots=True)
class Task:
    """What one process is to write.

    Attributes:
        sources: Files whose content is written, in turn.
        incoming: Directory to write in; exists.
        final: Directory to rename to; exists.
        name: Starts the names of its files.
        count: Files that are measured.
        warm_count: Files written before.
    """

    sources: list[str]
    incoming: str
    final: str
    name: str
    count: int
    warm_count: int


@dataclass(slots=True)
class Written:
    """What came of it.

    Attributes:
        started: Before the first file, seconds since the epoch.
        ended: After the last.
        answer_ns: For each file, all that was done for it.
        sync_ns: Of that, what makes it durable: fdatasync, rename, fsync.
    """

    started: float = 0.0
    ended: float = 0.0
    answer_ns: list[int] = field(default_factory=list)
    sync_ns: list[int] = field(default_factory=list)


def run(task: Task) -> Written:
    """Write what the task says, once told to."""
    contents = [Path(source).read_bytes() for source in task.sources]
    written = Written()
    directory = os.open(task.final, os.O_RDONLY | os.O_DIRECTORY)
    for number in range(-task.warm_count, task.count):
        if number == 0:
            protocol.wait_for_start()
            written.started = time.time()
        before = time.perf_counter_ns()
        path = f"{task.incoming}/{task.name}-{number}"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        content = memoryview(contents[number % len(contents)])
        while content:
            content = content[os.write(file, content) :]
        between = time.perf_counter_ns()
        os.fdatasync(file)
        os.close(file)
        os.rename(path, f"{task.final}/{task.name}-{number}")  # noqa: PTH104  (no Path to make)
        os.fsync(directory)
        after = time.perf_counter_ns()
        if number >= 0:
            written.answer_ns.append(after - before)
            written.sync_ns.append(after - between)
    written.ended = time.time()
    os.close(directory)
    return written


if __name__ == "__main__":
    sys.exit(protocol.serve(Task, run))
