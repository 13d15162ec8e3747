"""Files instead of associations: `dicomanon-node deidentify` beside dicognito."""

import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from benchmarks.throughput import outputs, workers
from benchmarks.throughput.bench import Bench
from benchmarks.throughput.figures import Figure
from benchmarks.throughput.outputs import OutputError, Outputs
from benchmarks.throughput.samples import Input, instances
from benchmarks.throughput.servers import configure
from benchmarks.throughput.uids import Kind, uid

BATCH: Final = "batch"
NODE: Final = "deidentify"
DICOGNITO: Final = "dicognito"
WORK: Final = ", start-up taken off"

_TIMEOUT_S: Final = 600
_ROUNDS: Final = 3
# So many as there are in a study or two: a few hundred would measure how programs start.
_TIMES: Final = 5


def batch(bench: Bench, given: Sequence[Input], rounds: int) -> None:
    """De-identify the same files with both."""
    if find_spec(DICOGNITO) is None:
        bench.skip(DICOGNITO, "not installed (requirements/bench.in)")
    for one in given:
        source = bench.directory("batch-in")
        number = bench.number()
        count = one.count * _TIMES
        paths = instances(one.samples, source / "all", count, number)
        instances(one.samples, source / "one", 1, number)
        sent = {uid(Kind.INSTANCE, number, 0, index) for index in range(count)}
        for turn in range(min(rounds, _ROUNDS)):
            bench.attempt(NODE, partial(_measure, bench, one, source, sent, NODE))
            if turn == 0 and find_spec(DICOGNITO) is not None:
                bench.attempt(DICOGNITO, partial(_measure, bench, one, source, sent, DICOGNITO))
        outputs.empty([str(path) for path in paths])


def _measure(bench: Bench, given: Input, source: Path, sent: set[str], program: str) -> None:
    directory = bench.directory(f"batch-{program}")
    first = _run(bench, program, source / "one", directory / "one")
    whole = _run(bench, program, source / "all", directory / "all")
    made = Outputs(directory / "all", is_deidentified=True)
    new = made.paths()
    made.check(new, sent, given.samples)
    size = given.mean_bytes
    count = len(sent)
    bench.add(Figure(BATCH, given.name, 1, program, count, round(size * count), whole))
    if count > 1 and whole > first:
        rest = count - 1
        figure = Figure(
            BATCH, given.name, 1, program + WORK, rest, round(size * rest), whole - first
        )
        bench.add(figure)
    outputs.empty(new)


def _run(bench: Bench, program: str, source: Path, output: Path) -> float:
    output.mkdir(parents=True)
    if program == NODE:
        config = configure(bench.directory("batch-config"))
        command = [sys.executable, "-m", "dicomanon_node", "deidentify", str(source)]
        command += ["--output", str(output), "--config", str(config)]
    else:
        command = [sys.executable, "-m", "dicognito", str(source), "-o", str(output), "-q"]
    bench.settle()
    start = time.monotonic()
    done = subprocess.run(
        command,
        env=workers.environment(),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
        cwd=output.parent,
    )
    seconds = time.monotonic() - start
    if done.returncode:
        raise OutputError(f"ended with {done.returncode}: {done.stderr[-300:]}")
    return seconds
