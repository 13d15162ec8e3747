"""The hidden directory of a batch: nobody else's is touched, nothing dead stays."""

import os
import signal
from pathlib import Path

import pytest

from dicomanon_node.node.scratch import Scratch


def test_it_is_gone_afterwards_with_all_that_is_in_it(tmp_path: Path) -> None:
    with Scratch(tmp_path) as scratch:
        (scratch.path / "incoming").mkdir()
        (scratch.path / "incoming" / "1").touch()
        assert scratch.path.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def killed_run(output: Path) -> Path:
    """Leave behind what a killed run leaves."""
    pid = os.fork()
    if not pid:
        with Scratch(output) as scratch:
            (scratch.path / "incoming").mkdir()
            (scratch.path / "incoming" / "1").touch()
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    [left] = output.glob(".dicomanon-*")
    return left


def test_what_a_killed_run_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    left = killed_run(tmp_path)
    with Scratch(tmp_path) as scratch:
        assert list(tmp_path.iterdir()) == [scratch.path]
        assert scratch.path != left


def test_that_of_a_run_that_lives_stays(tmp_path: Path) -> None:
    with Scratch(tmp_path) as first, Scratch(tmp_path) as second:
        assert sorted(tmp_path.iterdir()) == sorted([first.path, second.path])


def test_it_stays_while_a_process_of_the_run_lives(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    told, tell = os.pipe()
    parent = os.fork()
    if not parent:
        with Scratch(tmp_path):
            if not os.fork():
                os.close(writing)
                os.write(tell, b"1")
                os.read(reading, 1)
                os._exit(0)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(parent, 0)
    os.read(told, 1)
    with Scratch(tmp_path):
        assert len(list(tmp_path.iterdir())) == 2
    os.close(writing)
    for descriptor in (reading, told, tell):
        os.close(descriptor)


@pytest.mark.parametrize("name", [".dicomanon-", ".dicomanon-mine", ".dicomanon-abcdefgh.txt"])
def test_what_is_named_otherwise_stays(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with Scratch(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_link_with_such_a_name_is_not_followed(tmp_path: Path) -> None:
    elsewhere, output = tmp_path / "elsewhere", tmp_path / "out"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    output.mkdir()
    (output / ".dicomanon-abcdefgh").symlink_to(elsewhere)
    with Scratch(output):
        pass
    assert (elsewhere / "kept").exists()
