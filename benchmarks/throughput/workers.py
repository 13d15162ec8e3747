"""Starts measuring processes together, and watches a server while they work."""

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final

from benchmarks.throughput import disk, load
from benchmarks.throughput.protocol import READY
from benchmarks.throughput.samples import Sample

REPOSITORY: Final = Path(__file__).resolve().parents[2]
_PREPARE_S: Final = 120
_STOP_S: Final = 5
# Without bytecode, each start of a program would compile all of it.
_NOT_PASSED_ON: Final = frozenset({"TCP_NODELAY", "PYTHONDONTWRITEBYTECODE"})


class WorkerError(Exception):
    """A measuring process failed. Its text is the end of what it said."""


@dataclass(slots=True)
class _Worker:
    process: subprocess.Popen[str]
    stdin: IO[str]
    stdout: IO[str]
    errors: IO[str]

    def line(self) -> str:
        text = self.stdout.readline()
        if not text:
            self.process.wait(_STOP_S)
            self.errors.seek(0)
            lines = self.errors.read().strip().splitlines()
            raise WorkerError(lines[-1] if lines else "ended without a result")
        return text


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours, without what would configure a node, change DCMTK's defaults or slow Python down."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("DICOMANON_") and key not in _NOT_PASSED_ON
    }
    paths = [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, paths))} | dict(extra or {})


@contextmanager
def started(
    tasks: Sequence[load.Task | disk.Task], scratch: Path
) -> Iterator[Callable[[Callable[[], object]], list[dict[str, Any]]]]:
    """Start the processes and wait until all are ready, their warm-up behind them.

    Args:
        tasks: All of one kind.
        scratch: Where what they say is kept while they run.

    Yields:
        Lets them go and returns their results; calls what it is given all the while.
    """
    module = load if isinstance(tasks[0], load.Task) else disk
    workers: list[_Worker] = []
    try:
        for number, task in enumerate(tasks):
            errors = scratch / f"worker-{number}.err"
            workers.append(_start(module.__name__, json.dumps(asdict(task)), errors))
        _wait_ready(workers)
        yield lambda watch: _results(workers, watch)
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.wait(_STOP_S)
            for pipe in (worker.stdin, worker.stdout, worker.errors):
                pipe.close()


def _start(module: str, task: str, errors: Path) -> _Worker:
    said = errors.open("w+", encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", module, task],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=said,
        text=True,
        env=environment(),
    )
    if process.stdin is None or process.stdout is None:
        raise WorkerError("has no pipes")
    return _Worker(process, process.stdin, process.stdout, said)


def _wait_ready(workers: Sequence[_Worker]) -> None:
    deadline = time.monotonic() + _PREPARE_S
    for worker in workers:
        with selectors.DefaultSelector() as selector:
            selector.register(worker.stdout, selectors.EVENT_READ)
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise WorkerError("was not ready in time")
        if worker.line().strip() != READY:
            raise WorkerError("said something else than that it is ready")


def _results(workers: Sequence[_Worker], watch: Callable[[], object]) -> list[dict[str, Any]]:
    for worker in workers:
        worker.stdin.write("\n")
        worker.stdin.flush()
    results: dict[int, dict[str, Any]] = {}
    with selectors.DefaultSelector() as selector:
        for number, worker in enumerate(workers):
            selector.register(worker.stdout, selectors.EVENT_READ, number)
        while len(results) < len(workers):
            for key, _ in selector.select(0.1):
                results[key.data] = json.loads(workers[key.data].line())
                selector.unregister(key.fileobj)
            watch()
    return [results[number] for number in range(len(workers))]


def as_dicts(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Samples as a task takes them."""
    return [asdict(sample) for sample in samples]
