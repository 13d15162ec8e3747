"""`python -m benchmarks.deid`: plant, de-identify, score, print.

The exit code is 1 if ours is below 100.00 % in any scenario.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pydicom

from benchmarks.deid import answer_key, crosswalk, report, runners, scoring, standard
from benchmarks.deid.checks import KeyMaker
from benchmarks.deid.corpus import files, quiet
from benchmarks.deid.planting import Planter
from benchmarks.deid.scenarios import SCENARIOS, Scenario
from dicomanon_node.deid import plan

_REPOSITORY = Path(__file__).resolve().parents[2]
_CORPUS = _REPOSITORY.parent / "shared" / "corpus"
_TABLES = (
    _REPOSITORY.parent / "shared" / "standard",
    _REPOSITORY / "dicomanon_node" / "deid" / "data",
)
_SEED = 20261


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark.

    Returns:
        0 if ours passed every check, 1 if not, 2 if there was nothing to plant.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.corpus.is_dir():
        parser.error(f"no corpus at {options.corpus}; name one with --corpus")
    with tempfile.TemporaryDirectory(prefix="bench-deid-") as scratch:
        work = options.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        return _run(options, work)


def _run(options: argparse.Namespace, work: Path) -> int:
    tables = standard.read(options.standard)
    tree = work / "planted"
    tree.mkdir()
    planter = Planter(tables, options.seed, tree)
    sources = files(options.corpus)
    planter.plant(options.corpus, sources[: options.limit])
    print(f"{len(planter.planted)} objects planted, {len(planter.skipped)} files not plantable")
    if options.verbose:
        for name, reason in planter.skipped.items():
            print(f"    {name}: {reason}")
    if not planter.planted:
        return 2
    names = [name for name in runners.available() if name in (options.only or [name])]
    failed = 0
    for scenario in SCENARIOS:
        if options.scenario and scenario.name not in options.scenario:
            continue
        limited = scenario.limited_to([option.value for option in plan.AVAILABLE_OPTIONS])
        scored = _scenario(options, work, planter, tables, limited, names)
        failed += report.failed_count(scored.get(runners.OURS, []))
    return 1 if failed else 0


def _scenario(
    options: argparse.Namespace,
    work: Path,
    planter: Planter,
    tables: standard.Standard,
    scenario: Scenario,
    names: Sequence[str],
) -> dict[str, list[scoring.Result]]:
    directory = work / scenario.name
    directory.mkdir()
    tree = work / "planted"
    key = directory / "answer_key.db"
    maker = KeyMaker(tables, scenario, options.seed)
    with quiet():
        answers = [
            maker.answers(planted, pydicom.dcmread(tree / planted.name))
            for planted in planter.planted
        ]
    answer_key.write(key, answers)
    print(f"\n== {scenario.name}: {scenario.meaning}")
    print(f"   options: {', '.join(sorted(scenario.options)) or 'none'}")
    if scenario.unavailable:
        print(f"   not available yet, not asked: {', '.join(sorted(scenario.unavailable))}")
    sop_classes = frozenset(planted.sop_class_uid for planted in planter.planted)
    task = runners.Task(tree, sop_classes, scenario, options.seed, options.standard)
    scored = {}
    for name in names:
        finished = runners.run(name, task, directory / name)
        scored[name] = _score(finished, planter, tables, tree, key, verbose=options.verbose)
    print()
    print(report.summary(scored))
    if options.verbose:
        for name, results in scored.items():
            if name == runners.OURS or options.verbose > 1:
                print(f"\nfailures of {name}\n{report.failures(results)}")
    return scored


def _score(
    finished: runners.Finished,
    planter: Planter,
    tables: standard.Standard,
    tree: Path,
    key: Path,
    *,
    verbose: int,
) -> list[scoring.Result]:
    found = crosswalk.outputs(finished.output)
    if finished.crosswalk is not None:
        maps = crosswalk.read(finished.crosswalk)
    else:
        pairs = [
            (tree / planted.name, found[planted.number])
            for planted in planter.planted
            if planted.number in found
        ]
        maps = crosswalk.derive(pairs, tables)
        crosswalk.write(finished.output.parent, maps)
    origin = "exported" if maps.is_exported else "derived from the outputs"
    print(
        f"   {finished.name}: {len(found)} of {len(planter.planted)} objects in "
        f"{finished.seconds:.1f} s; maps {origin}"
    )
    if not found or (verbose and len(found) < len(planter.planted)):
        print(finished.said)
    run = scoring.Run(finished.output, found, maps)
    return scoring.score(key, run, tables)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.deid",
        description="Plant identities in vendor files, de-identify them, score what comes out.",
    )
    tables = next((path for path in _TABLES if path.is_dir()), _TABLES[-1])
    parser.add_argument("--corpus", type=Path, default=_CORPUS, help="vendor files to plant in")
    parser.add_argument("--standard", type=Path, default=tables, help="tables of PS3.15 as JSON")
    parser.add_argument("--seed", type=int, default=_SEED, help="of identities and places")
    parser.add_argument("--limit", type=int, help="plant only the first files")
    parser.add_argument(
        "--scenario",
        action="append",
        choices=[scenario.name for scenario in SCENARIOS],
        help="run only this one (may be repeated)",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=[runners.OURS, *runners.OTHERS],
        help="run only this de-identifier (may be repeated)",
    )
    parser.add_argument("--work", type=Path, help="keep planted files, keys and outputs here")
    parser.add_argument(
        "--verbose",
        "-v",
        action="count",
        default=0,
        help="list what ours failed; twice: what the others failed, too",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
