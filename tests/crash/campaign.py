"""The crash campaign for longer than the gate has time: `make crash ARGS="--minutes 30 --seed 7"`.

Rounds of `support_crash`, each with a seed of its own, until the time is over. Prints a
line a round. What a round that went wrong has left stays where it is, and the exit code is 1.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from support_crash import run_round


def main() -> int:
    """Run rounds; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument("--objects", type=int, default=2000, help="in each round")
    parser.add_argument("--associations", type=int, default=16)
    parser.add_argument("--kills", type=int, default=20, help="in each round, at least")
    chosen = parser.parse_args()
    end = time.monotonic() + chosen.minutes * 60
    seed, exit_code = chosen.seed, 0
    while True:
        directory = Path(tempfile.mkdtemp(prefix="crash-"))
        report = run_round(
            directory / "round",
            seed,
            count=chosen.objects,
            associations=chosen.associations,
            kills=chosen.kills,
        )
        sys.stdout.write(f"seed {seed}: {report}\n")
        sys.stdout.writelines(f"  {fault}\n" for fault in report.wrong)
        sys.stdout.flush()
        if report.wrong:
            exit_code = 1
            sys.stdout.write(f"  left in {directory}\n")
        else:
            shutil.rmtree(directory)
        seed += 1
        if time.monotonic() >= end:
            return exit_code


if __name__ == "__main__":
    sys.exit(main())
