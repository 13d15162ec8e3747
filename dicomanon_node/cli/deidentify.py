"""`deidentify`: files and folders through the same engine, without a network."""

import itertools
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final, NamedTuple

import click

from dicomanon_node.cli.common import (
    EXIT_INTERRUPTED,
    EXIT_NOT_ALL,
    config_options,
    counted,
    load_config,
    printable,
    reports_config_errors,
)
from dicomanon_node.cli.files import Found, UnusableError, walk
from dicomanon_node.cli.progress import Progress
from dicomanon_node.node import crew, process
from dicomanon_node.node.batch import Batch, Entries
from dicomanon_node.node.crew import Crew
from dicomanon_node.ops.silence import keep_quiet
from dicomanon_node.review.crosswalk import Crosswalk, UnwrittenError
from dicomanon_node.spool.incoming import Committed

_DONE: Final = "done"
_REFUSED: Final = "refused"
_FAILED: Final = "failed"
_SKIPPED: Final = "skipped"

_FEW: Final = 24
_FEW_BYTES: Final = 32 << 20
"""Of so few files, worker processes would take longer to start than they save."""


class _Result(NamedTuple):
    """What became of a file. Small: it goes from process to process.

    Attributes:
        verdict: One of the four words.
        why: If it was not de-identified.
        committed: Where it is, if it was.
    """

    verdict: str
    why: str = ""
    committed: Committed | None = None


@click.command()
@click.argument(
    "inputs",
    metavar="IN...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, exists=True),
)
@click.option(
    "--output",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the de-identified files go, laid out as node.toml says.",
)
@click.option(
    "--crosswalk",
    "crosswalk_dir",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also write which new UID and Patient ID stands for which old one, as CSV. This"
    " re-identifies: DIR must lie apart from the output.",
)
@click.option(
    "--jobs",
    metavar="N",
    type=click.IntRange(min=1),
    help="Processes to use.  [default: one for each core]",
)
@config_options
@reports_config_errors("Nothing was done:")
def deidentify(
    inputs: tuple[Path, ...],
    output: Path,
    crosswalk_dir: Path | None,
    jobs: int | None,
    config_dir: Path,
    overrides: tuple[str, ...],
) -> None:
    """De-identify files and folders.

    The rules are those of the configuration. The originals stay as they are. What comes
    out is what the node would write for the same object; nothing is forwarded. Files that
    are not DICOM are skipped and named, and so is what was refused. Running it again does
    no harm.

    The exit code is 0 if all DICOM files were de-identified, 1 if one was refused or could
    not be read, or if there was none.
    """
    config = load_config(config_dir, overrides)
    _refuse_own_output(inputs, output)
    if crosswalk_dir is not None:
        _refuse_given_away(crosswalk_dir, output)
    process.forbid_core_dumps()
    keep_quiet()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _frame: sys.exit(128 + got))
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        crosswalk = None
        if crosswalk_dir is not None:
            crosswalk = stack.enter_context(closing(Crosswalk(crosswalk_dir)))
        batch = Batch(config, output, crosswalk, crew.WINDOW)
        try:
            with batch:
                if batch.has_new_key:
                    _tell_key(config.node.secrets.key_file)
                run = _Run(batch, inputs, output, counts)
                run.go(jobs or len(os.sched_getaffinity(0)))
        except KeyboardInterrupt:
            click.echo(f"Interrupted: {_summary(counts, batch)} so far", err=True)
            sys.exit(EXIT_INTERRUPTED)
        except UnwrittenError as error:
            _tell_unfinished(error, counts, batch)
            sys.exit(EXIT_NOT_ALL)
    click.echo(_summary(counts, batch))
    if crosswalk is not None and crosswalk_dir is not None:
        _tell_crosswalk(crosswalk, crosswalk_dir)
    is_complete = counts[_DONE] and not counts[_REFUSED] and not counts[_FAILED]
    sys.exit(0 if is_complete else EXIT_NOT_ALL)


class _Run:
    """The files of one call, in the order they are found."""

    def __init__(
        self, batch: Batch, inputs: tuple[Path, ...], output: Path, counts: Counter[str]
    ) -> None:
        self._batch = batch
        self._inputs = inputs
        self._output = output
        self._counts = counts
        self._progress = Progress("De-identifying", lambda: sum(1 for _ in self._walk()))

    def go(self, jobs: int) -> None:
        """Do them all.

        Args:
            jobs: In so many processes at most.
        """
        files = self._walk()
        first = list(itertools.islice(files, _FEW))
        with self._progress:
            if jobs == 1 or _are_few(first):
                for found in itertools.chain(first, files):
                    self._told(found, self._one(found, self._noted))
            else:
                with Crew(self._one, _lost, self._noted, jobs) as workers:
                    self._share(workers, itertools.chain(first, files))

    def _share(self, workers: Crew[Found, _Result], files: Iterator[Found]) -> None:
        try:
            with closing(workers.run(files)) as answers:
                for found, result in answers:
                    self._told(found, result)
        except BaseException:
            # What was under way is whole or not there at all; it is told before the end.
            for found, result in workers.end():
                self._told(found, result)
            raise

    def _walk(self) -> Iterator[Found]:
        return walk(self._inputs, excluding=self._output)

    def _one(self, found: Found, note: crew.Note) -> _Result:
        """De-identify a file; in a worker, if there are any."""
        try:
            taken = self._batch.take(found.open(), note)
        except UnusableError as error:
            return _Result(_FAILED if error.is_dicom else _SKIPPED, str(error))
        except OSError as error:
            return _Result(_FAILED, f"cannot be read: {error.strerror}")
        outcome = taken.outcome
        if outcome.status == 0:
            return _Result(_DONE, "", taken.committed)
        return _Result(_REFUSED, f"{outcome.comment} ({outcome.status:04X}H)")

    def _noted(self, entries: object) -> None:
        if isinstance(entries, Entries):
            self._batch.note(entries)

    def _told(self, found: Found, result: _Result) -> None:
        """Take note of what became of a file."""
        self._counts[result.verdict] += 1
        if result.committed is not None:
            self._batch.told(result.committed)
        if result.why:
            self._progress.tell(f"{result.verdict:<8} {printable(str(found.path))}: {result.why}")
        self._progress.step()


def _are_few(first: Sequence[Found]) -> bool:
    if len(first) == _FEW:
        return False
    size = sum(found.path.stat().st_size for found in first if found.path.is_file())
    return len(first) < 2 or size < _FEW_BYTES  # noqa: PLR2004  (one file is one process's)


def _lost(_found: Found, exit_code: int) -> _Result:
    how = f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
    hint = "; is there enough memory?" if exit_code == -signal.SIGKILL else ""
    return _Result(_FAILED, f"the process that worked on it has died ({how}){hint}")


def _refuse_own_output(inputs: tuple[Path, ...], output: Path) -> None:
    # What is de-identified once more gets other pseudonyms and belongs to nobody.
    target = output.resolve()
    for path in inputs:
        if path.resolve().is_relative_to(target):
            raise click.UsageError(
                f"{printable(str(path))} lies in --output: what was de-identified would be"
                " de-identified again. Choose another output folder."
            )


def _refuse_given_away(crosswalk: Path, output: Path) -> None:
    # Whoever gets the output must not get with it what leads back.
    here, there = crosswalk.resolve(), output.resolve()
    if here.is_relative_to(there) or there.is_relative_to(here):
        raise click.UsageError(
            "--crosswalk re-identifies what is in --output: neither may lie in the other."
            " Choose another folder."
        )


def _tell_unfinished(error: UnwrittenError, counts: Counter[str], batch: Batch) -> None:
    click.secho(f"The crosswalk cannot be written: {error}", fg="red", err=True)
    click.echo(
        f"{_summary(counts, batch)}. Make room and run it again: that completes the crosswalk.",
        err=True,
    )


def _tell_crosswalk(crosswalk: Crosswalk, directory: Path) -> None:
    uids, patients = crosswalk.counts
    click.secho(
        f"{directory} RE-IDENTIFIES what is in the output: it has {counted(uids, 'UID')} and"
        f" {counted(patients, 'Patient ID')}, old and new. Keep it apart, and only as long as it"
        " is needed.",
        fg="yellow",
        err=True,
    )
    if crosswalk.ambiguous_count:
        click.echo(
            f"{counted(crosswalk.ambiguous_count, 'old ID')} of it became several new ones: by"
            " another key, or in studies with a RandomSeed of their own.",
            err=True,
        )


def _tell_key(path: Path) -> None:
    click.echo(
        f"A secret key was made: {path}\nKeep a copy: pseudonyms and UIDs depend on it.", err=True
    )


def _summary(counts: Counter[str], batch: Batch) -> str:
    if not counts.total():
        return "Nothing found"
    words = [f"{counts[_DONE]} de-identified"]
    if batch.duplicate_count:
        words[0] += f" ({batch.duplicate_count} there already)"
    words += [f"{counts[verdict]} {verdict}" for verdict in (_REFUSED, _FAILED, _SKIPPED)]
    return ", ".join(words)
