"""The fuzz campaign for as long as you like: `make fuzz ARGS="--minutes 30 --seed 7"`.

Mutates PDUs, data sets and configuration files (`support_fuzz`), from a seed. With `--coverage`
the lines that data sets and configurations run through are counted; it is ten times slower, and
says nothing of the node's other processes. The exit code is 1 if there was a fault.
"""

import argparse
import random
import sys
import tempfile
import warnings
from contextlib import ExitStack
from pathlib import Path

from support_fuzz import Configurations, Engine, Findings, Lines, Peers, campaign
from support_node import running_node


def main() -> int:
    """Run a campaign; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--coverage", action="store_true")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")  # pydicom's, about what we have done to its objects
    findings, lines = Findings(), Lines()
    directory = Path(tempfile.mkdtemp(prefix="fuzz-"))
    with ExitStack() as stack:
        engine = Engine(directory, random.Random(chosen.seed), findings)  # noqa: S311  (seeded on purpose)
        files = Configurations(directory, random.Random(chosen.seed), findings)  # noqa: S311  (as above)
        targets = [engine.case, files.case]
        if chosen.coverage:
            stack.enter_context(lines.watched())
        else:
            settings = {"listener.processes": "1", "listener.acse_timeout_s": "2"}
            node = stack.enter_context(running_node(directory / "node", settings=settings))
            peers = Peers(node, random.Random(chosen.seed), findings)  # noqa: S311  (as above)
            targets.append(peers.case)
        campaign(targets, seconds=chosen.minutes * 60)
        if not chosen.coverage:
            peers.end()
            sys.stdout.write(
                f"slowest answer to an honest sender: {peers.slowest_answer_s:.3f} s\n"
            )
    sys.stdout.write(f"seed {chosen.seed}: {findings}\n")
    if chosen.coverage:
        packages = ("deid", "dataset_stream.py", "routing.py", "config")
        sys.stdout.write(f"lines of functions run: {lines.report(packages)}\n")
    sys.stdout.writelines(f"  {fault}\n" for fault in findings.faults)
    sys.stdout.write(f"left in {directory}\n")
    return 1 if findings.faults else 0


if __name__ == "__main__":
    sys.exit(main())
