"""One measurement after the other: the disk, a server under load, a sending program."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.throughput import disk, load, outputs, processes, workers
from benchmarks.throughput.figures import Figure, percentile_ms
from benchmarks.throughput.outputs import OutputError
from benchmarks.throughput.samples import Input
from benchmarks.throughput.servers import Server, ServerError, UnavailableError
from benchmarks.throughput.uids import Kind, uid

DISK: Final = "disk alone"
_WARM: Final = 4  # objects on each association, before what is measured
_STALL_S: Final = 45  # without another file; longer than the node waits before it tries again
_POLL_S: Final = 0.02
_ERRORS: Final = (
    OutputError,
    ServerError,
    workers.WorkerError,
    OSError,
    subprocess.SubprocessError,
)
_WATCH_S: Final = 0.1  # between two looks at a server's memory


@dataclass(frozen=True, slots=True)
class Drive:
    """How a server is driven.

    Attributes:
        section: For the figures.
        associations: At a time, each by a process of its own.
        count: Objects altogether; a multiple of the associations is sent.
        warm: Objects on each association before.
        is_association_each: A new association for every object.
        watch_s: Seconds between two looks at the server's memory.
    """

    section: str
    associations: int
    count: int
    warm: int = _WARM
    is_association_each: bool = False
    watch_s: float = _WATCH_S


class Peak:
    """The most memory a tree had whenever it was looked at."""

    def __init__(self, pid: int, every_s: float = _WATCH_S) -> None:
        self._pid = pid
        self._every_s = every_s
        self._next = 0.0
        self.rss = 0.0
        self.pss = 0.0

    def look(self) -> None:
        """Look, if it is time to."""
        now = time.monotonic()
        if now < self._next:
            return
        seen = processes.memory(self._pid)
        self.rss = max(self.rss, seen.rss)
        self.pss = max(self.pss, seen.pss)
        # Looking has its cost: it may take a twentieth of the time, whatever the tree.
        self._next = now + max(self._every_s, 20 * (time.monotonic() - now))


@dataclass(slots=True)
class Bench:
    """A run: its directory, and what was measured so far.

    Attributes:
        work: Directory of the run; new.
        figures: What was measured.
        skipped: What was not, and why.
        failures: What went wrong.
    """

    work: Path
    figures: list[Figure] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _measure: int = 0

    def directory(self, name: str) -> Path:
        """A new directory in the work directory."""
        self._measure += 1
        path = self.work / f"{name.replace(' ', '-').replace(',', '')}-{self._measure}"
        path.mkdir()
        return path

    def number(self) -> int:
        """The number of a new measurement: makes its UIDs its own."""
        self._measure += 1
        return self._measure

    def tell(self, text: str) -> None:
        """Say on the terminal what is being done."""
        print(text, file=sys.stderr, flush=True)

    def skip(self, what: str, why: object) -> None:
        """Note what cannot be measured here."""
        self.skipped.append(f"{what}: {why}")
        self.tell(f"  left out: {what}: {why}")

    def fail(self, what: str, why: object) -> None:
        """Note what went wrong. The run goes on, and ends with a failure."""
        self.failures.append(f"{what}: {why}")
        self.tell(f"  FAILED: {what}: {why}")

    def add(self, figure: Figure) -> None:
        """Keep a figure."""
        self.figures.append(figure)
        self.tell(
            f"  {figure.section:<12} {figure.case:<8} {figure.associations:>2}"
            f"  {figure.arm:<28} {figure.rate:>8.0f}/s {figure.mb_s:>7.0f} MB/s"
        )

    @contextmanager
    def running(self, *servers: Server) -> Iterator[list[Server]]:
        """Those of the servers that can be started, while the context lasts."""
        try:
            yield [server for server in servers if self.attempt(server.name, server.start)]
        finally:
            for server in reversed(servers):
                server.stop()

    def settle(self) -> None:
        """Let the disk finish what the last measurement left to it."""
        os.sync()

    def attempt(self, what: str, measure: Callable[[], object]) -> bool:
        """Run a measurement; what goes wrong is noted, and the next one comes.

        Returns:
            Whether all went well.
        """
        try:
            measure()
        except UnavailableError as error:
            self.skip(what, error)
        except _ERRORS as error:
            self.fail(what, error)
        else:
            return True
        return False

    def drive(self, server: Server, given: Input, how: Drive) -> None:
        """Measure a server under load."""
        what = f"{how.section}, {given.name}, {how.associations} associations, {server.name}"
        self.attempt(what, lambda: self.add(self._drive(server, given, how)))

    def warm_up(self, server: Server, given: Input, associations: int) -> None:
        """Let a server that compiles itself while it runs do so, unmeasured."""
        if server.warm_up_count:
            how = Drive("warm-up", associations, server.warm_up_count)
            self.attempt(f"warm-up, {server.name}", lambda: self._drive(server, given, how))

    def _drive(self, server: Server, given: Input, how: Drive) -> Figure:
        self.settle()
        each = max(1, how.count // how.associations)
        total, warm = each * how.associations, how.warm * how.associations
        number = self.number()
        tasks = [
            load.Task(
                port=server.port,
                called=server.called,
                samples=workers.as_dicts(given.samples),
                measure=number,
                worker=worker,
                count=each,
                warm_count=how.warm,
                is_association_each=how.is_association_each,
            )
            for worker in range(how.associations)
        ]
        before = server.outputs.paths() if server.outputs else set()
        peak = Peak(server.pid, how.watch_s)
        with workers.started(tasks, self.work) as go:
            await_files(server, len(before) + warm)
            used = processes.cpu_s(server.pid)
            peak.look()
            results = go(peak.look)
        statuses = sum((Counter(result["statuses"]) for result in results), Counter[str]())
        if set(statuses) != {"0000"}:
            raise OutputError(f"answered with {dict(statuses)}")
        end = max(result["ended"] for result in results)
        new: set[str] = set()
        if server.outputs is not None:
            new = await_files(server, len(before) + warm + total, peak.look) - before
            end = max(end, outputs.last_change(new))
        peak.look()
        used = processes.cpu_s(server.pid) - used
        answers = [one for result in results for one in result["answer_ns"]]
        if server.outputs is not None:
            sent = {
                uid(Kind.INSTANCE, number, worker, one)
                for worker in range(how.associations)
                for one in range(each + how.warm)
            }
            server.outputs.check(new, sent, given.samples)
            outputs.empty(new)
        return Figure(
            how.section,
            given.name,
            how.associations,
            server.name,
            total,
            round(total * given.mean_bytes),
            end - min(result["started"] for result in results),
            cpu_ms=1000 * used / total,
            rss=peak.rss,
            pss=peak.pss,
            p50=percentile_ms(answers, 50),
            p99=percentile_ms(answers, 99),
        )

    def disk(self, given: Input, how: Drive) -> None:
        """Measure the disk alone, with as many processes as there are associations."""
        what = f"{how.section}, {given.name}, {how.associations} processes, {DISK}"
        self.attempt(what, lambda: self._disk(given, how))

    def _disk(self, given: Input, how: Drive) -> None:
        self.settle()
        directory = self.directory("disk")
        (directory / "incoming").mkdir()
        each = max(1, how.count // how.associations)
        tasks = []
        for worker in range(how.associations):
            final = directory / "outgoing" / str(worker)
            final.mkdir(parents=True)
            tasks.append(
                disk.Task(
                    sources=[sample.path for sample in given.samples],
                    incoming=str(directory / "incoming"),
                    final=str(final),
                    name=str(worker),
                    count=each,
                    warm_count=how.warm,
                )
            )
        with workers.started(tasks, self.work) as go:
            results: list[dict[str, Any]] = go(lambda: None)
        total = each * how.associations
        answers = [one for result in results for one in result["answer_ns"]]
        syncs = [one for result in results for one in result["sync_ns"]]
        self.add(
            Figure(
                how.section,
                given.name,
                how.associations,
                DISK,
                total,
                round(total * given.mean_bytes),
                max(one["ended"] for one in results) - min(one["started"] for one in results),
                p50=percentile_ms(answers, 50),
                p99=percentile_ms(answers, 99),
                sync_p99=percentile_ms(syncs, 99),
            )
        )
        outputs.empty(_files(directory))


def await_files(server: Server, count: int, look: Callable[[], object] = lambda: None) -> set[str]:
    """Wait until a server has written so many files; all that are there.

    Args:
        server: The server.
        count: What has to be there, older files included.
        look: Called all the while.

    Raises:
        OutputError: They did not come.
    """
    if server.outputs is None:
        return set()
    there, since = -1, time.monotonic()
    while len(found := server.outputs.paths()) < count:
        if len(found) > there:
            there, since = len(found), time.monotonic()
        if time.monotonic() - since > _STALL_S:
            raise OutputError(f"{count - len(found)} files did not come")
        look()
        time.sleep(_POLL_S)
    return found


def _files(directory: Path) -> set[str]:
    return {str(path) for path in directory.rglob("*") if path.is_file()}
