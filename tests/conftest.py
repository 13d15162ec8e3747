"""What every test may ask for: programs of other makers, a running node."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support_node import Node, running_node


def pytest_configure() -> None:
    """Ctrl-C is tested, also where a shell's background job has it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`tool(name)`: skipped where the program is missing, failed where CI=true."""
    for marker in item.iter_markers("tool"):
        missing = [name for name in marker.args if shutil.which(name) is None]
        if not missing:
            continue
        reason = f"not installed: {', '.join(missing)}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """Starts real nodes, each in a directory of its own, and ends them after the test.

    Takes what `support_node.running_node` takes.
    """
    with ExitStack() as nodes:

        def start(name: str = "node", **options: Any) -> Node:  # noqa: ANN401  (those of running_node)
            return nodes.enter_context(running_node(tmp_path / name, **options))

        yield start


@pytest.fixture
def node(start_node: Callable[..., Node]) -> Node:
    """A node with the rules as shipped, on a free port of the loopback interface."""
    return start_node()
