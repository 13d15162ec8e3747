"""`python -m benchmarks.throughput`: measure, compare, report.

The exit code is 0 if everything that was measured went as it should, whatever the
figures; 1 if an output was missing or wrong, or a program failed.
"""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.throughput import batch, inputs, machine, report, sections, sending
from benchmarks.throughput.bench import Bench
from benchmarks.throughput.samples import Input
from benchmarks.throughput.sections import Plan

_REPOSITORY: Final = Path(__file__).resolve().parents[2]
_CORPUS: Final = _REPOSITORY.parent / "shared" / "corpus"
_PEERS: Final = ("storescp", "orthanc", "ctp")
_SENDING_ROUNDS: Final = 3
SECTIONS: Final = {
    "rates": sections.RATES,
    "ceiling": sections.CEILING,
    "associations": sections.ASSOCIATIONS,
    "memory": sections.MEMORY,
    "dcmsend": sending.DCMSEND,
    "forwarding": sending.FORWARD,
    "both-ways": sending.BOTH,
    "batch": batch.BATCH,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark.

    Returns:
        0, or 1 if something could not be measured as it should.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.work is not None:
        options.work.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with _work(options) as work:
        bench = Bench(work)
        if machine.is_memory(work):
            bench.skip("the disk", "the work directory is in memory; choose another with --work")
        about = machine.describe(work)
        given = _run(bench, options)
        seconds = time.monotonic() - begun
        text = report.markdown(bench, about, given, seconds)
        print(text)
        if options.output is not None:
            options.output.mkdir(parents=True, exist_ok=True)
            (options.output / "throughput.md").write_text(text, encoding="utf-8")
            content = report.as_json(bench, about, given, seconds)
            (options.output / "throughput.json").write_text(
                json.dumps(content, indent=1), encoding="utf-8"
            )
    return 1 if bench.failures else 0


@contextmanager
def _work(options: argparse.Namespace) -> Iterator[Path]:
    work = Path(tempfile.mkdtemp(prefix="bench-", dir=options.work))
    try:
        yield work
    finally:
        if options.keep:
            print(f"kept: {work}", file=sys.stderr)
        else:
            shutil.rmtree(work)


def _run(bench: Bench, options: argparse.Namespace) -> list[Input]:
    scale = inputs.SMALL if options.small else inputs.QUICK if options.quick else inputs.FULL
    directory = bench.directory("inputs")
    corpus = options.corpus if options.corpus.is_dir() else None
    names = options.inputs or (inputs.NAMES if scale is inputs.FULL else inputs.MAIN)
    given = inputs.make(names, directory, scale, corpus)
    if corpus is None and "vendor" in names:
        bench.skip("vendor files", f"no directory {options.corpus}; name one with --corpus")
    if not given:
        return given
    plan = _plan(options)
    wanted = options.only or list(SECTIONS)
    main_inputs = [one for one in given if one.name in inputs.MAIN] or given[:1]
    if "ceiling" in wanted:
        sections.ceiling(bench, main_inputs, plan)
    if "rates" in wanted:
        sections.rates(bench, given, plan)
    if "associations" in wanted:
        sections.associations(bench, given, plan)
    _run_sending(bench, main_inputs[0], plan, wanted)
    if "batch" in wanted:
        batch.batch(bench, main_inputs, plan.rounds)
    if "memory" in wanted:
        (big,) = inputs.make([inputs.BIG], directory, scale, None)
        sections.memory(bench, big, plan)
        given = [*given, big]
    return given


def _run_sending(bench: Bench, given: Input, plan: Plan, wanted: Sequence[str]) -> None:
    one = replace(given, count=2 * given.count)
    rounds = min(plan.rounds, _SENDING_ROUNDS)
    if "dcmsend" in wanted:
        bench.attempt("dcmsend", lambda: sending.dcmsend(bench, one, rounds))
    if "forwarding" in wanted:
        bench.attempt("forwarding", lambda: sending.forwarding(bench, one, rounds))
    if "both-ways" in wanted:
        sending.both_ways(bench, one, rounds, plan.associations)


def _plan(options: argparse.Namespace) -> Plan:
    return Plan(
        rounds=options.rounds or (1 if options.small else 2 if options.quick else 5),
        associations=options.assoc,
        peers=options.peers,
        ctp=options.ctp,
        big_counts=(1, 2) if options.small else (1, 8) if options.quick else (1, 8, 20),
        association_count=12 if options.small else 200,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.throughput",
        description="Measure the node beside its peers and the disk, on this machine.",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="fewer objects and rounds: 3 minutes")
    size.add_argument("--small", action="store_true", help="to see that it works; no figures")
    parser.add_argument("--rounds", type=int, help="of each measurement")
    parser.add_argument(
        "--inputs",
        type=_names(inputs.NAMES),
        metavar="a,b",
        help=f"some of {', '.join(inputs.NAMES)}; a and b for a quick run",
    )
    parser.add_argument(
        "--assoc",
        type=lambda text: [int(word) for word in text.split(",")],
        default=[1, 4],
        metavar="1,4",
        help="associations at a time",
    )
    parser.add_argument(
        "--only",
        type=_names(SECTIONS),
        metavar="rates,batch",
        help=f"some of {', '.join(SECTIONS)}",
    )
    parser.add_argument(
        "--peers",
        type=_names(_PEERS),
        default=list(_PEERS),
        metavar="storescp,orthanc",
        help=f"measure only these beside the node: {', '.join(_PEERS)}",
    )
    parser.add_argument("--ctp", type=Path, help="CTP's directory, with libraries/ and profiles/")
    parser.add_argument("--corpus", type=Path, default=_CORPUS, help="directory of vendors' files")
    parser.add_argument("--work", type=Path, metavar="DIR", help="directory on the disk to measure")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="write throughput.md and throughput.json here"
    )
    parser.add_argument("--keep", action="store_true", help="keep what was written")
    return parser


def _names(allowed: Sequence[str] | dict[str, str]) -> "_Names":
    return _Names(tuple(allowed))


class _Names:
    """Reads some of a set of names, comma separated."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = allowed

    def __call__(self, text: str) -> list[str]:
        words = text.split(",")
        for word in words:
            if word not in self._allowed:
                raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(self._allowed)}")
        return words


if __name__ == "__main__":
    # As Ctrl-C: what was started is stopped, and what was written removed.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    sys.exit(main())
