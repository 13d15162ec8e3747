"""The node's control socket: one request, one answer, for nobody else."""

import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dicomanon_node.node.control import (
    Control,
    Document,
    NoAnswerError,
    NotRunningError,
    ask,
)


@contextmanager
def served(spool: Path, answer: Callable[[], Document]) -> Iterator[Control]:
    """A control that answers `status` in another thread."""
    control = Control(spool, {"status": answer})
    ending = threading.Event()

    def serve() -> None:
        while not ending.wait(0.005):
            control.serve()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield control
    finally:
        ending.set()
        thread.join()
        control.remove()


def test_what_is_asked_is_answered(tmp_path: Path) -> None:
    with served(tmp_path, lambda: {"is_ready": True}):
        assert ask(tmp_path, "status", 5) == {"is_ready": True}
        assert ask(tmp_path, "status", 5) == {"is_ready": True}


def test_a_long_answer_arrives_whole(tmp_path: Path) -> None:
    with served(tmp_path, lambda: {"long": "x" * 500_000}):
        assert len(ask(tmp_path, "status", 5)["long"]) == 500_000


def test_an_unknown_request_is_told(tmp_path: Path) -> None:
    with served(tmp_path, dict):
        assert ask(tmp_path, "explode", 5) == {"error": "unknown-request"}


def test_only_its_own_user_may_open_it(tmp_path: Path) -> None:
    with served(tmp_path, dict):
        assert stat.S_IMODE((tmp_path / "control").stat().st_mode) == 0o600


def test_a_spool_with_a_long_path_has_one_too(tmp_path: Path) -> None:
    spool = tmp_path / ("d" * 120) / ("e" * 120)
    spool.mkdir(parents=True)
    with served(spool, lambda: {"is_ready": True}):
        assert ask(spool, "status", 5) == {"is_ready": True}


def test_where_no_node_runs_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError):
        ask(tmp_path, "status", 5)
    with pytest.raises(NotRunningError):
        ask(tmp_path / "missing", "status", 5)


def test_what_a_killed_node_left_is_no_node_and_no_obstacle(tmp_path: Path) -> None:
    Control(tmp_path, {}).close()
    assert (tmp_path / "control").exists()
    with pytest.raises(NotRunningError):
        ask(tmp_path, "status", 5)
    with served(tmp_path, dict):
        assert ask(tmp_path, "status", 5) == {}


def test_a_node_that_does_not_answer_is_not_waited_for_longer_than_said(tmp_path: Path) -> None:
    control = Control(tmp_path, {})
    try:
        with pytest.raises(NoAnswerError):
            ask(tmp_path, "status", 0.1)
    finally:
        control.remove()
    assert not (tmp_path / "control").exists()
