"""The soak for as long as you like: `make soak ARGS="--minutes 240 --seed 7"`.

Prints a line at the end; the exit code is 1 if anything was wrong.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from support_soak import soak


def main() -> int:
    """Run a soak; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    with soak(directory, chosen.seed) as running:
        report = running.run(chosen.minutes * 60)
    sys.stdout.write(f"seed {chosen.seed}: {report}\n")
    sys.stdout.writelines(f"  {fault}\n" for fault in report.wrong)
    sys.stdout.write(f"left in {directory}\n")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
