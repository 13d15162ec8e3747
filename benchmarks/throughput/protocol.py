"""How a measuring process and the benchmark talk: a task, "ready", "go", a result.

The worker's end. Imports little: workers start often.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

READY: Final = "ready"


def wait_for_start() -> None:
    """Say that everything is prepared, and wait until all others are, too."""
    print(READY, flush=True)
    if not sys.stdin.readline():
        sys.exit(1)  # the benchmark is gone


def serve(task: Callable[..., Any], run: Callable[[Any], Any]) -> int:
    """Run the task given on the command line and print its result.

    Args:
        task: Makes the task from its fields.
        run: Does it; calls `wait_for_start` once; returns a dataclass.
    """
    result = run(task(**json.loads(sys.argv[1])))
    print(json.dumps(asdict(result)), flush=True)
    return 0
