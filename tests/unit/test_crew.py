"""Worker processes: every task is answered once, whoever dies."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dicomanon_node.node import crew
from dicomanon_node.node.crew import Crew, Note


def square(task: int, _note: Note) -> tuple[int, int]:
    return task * task, os.getpid()


def lost(task: int, exit_code: int) -> tuple[int, int]:
    return -task, exit_code


def ignored(_message: object) -> None:
    """No notes are expected."""


def test_answers_come_in_the_order_of_the_tasks_from_several_processes() -> None:
    with Crew(square, lost, ignored, 3) as workers:
        answered = list(workers.run(range(200)))
    assert [task for task, _ in answered] == list(range(200))
    assert [answer for _, (answer, _) in answered] == [task * task for task in range(200)]
    processes = {pid for _, (_, pid) in answered}
    assert len(processes) == 3
    assert os.getpid() not in processes


def test_no_process_is_left() -> None:
    with Crew(square, lost, ignored, 2) as workers:
        pids = {pid for _, (_, pid) in workers.run(range(20))}
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGUSR1])
def test_a_worker_that_is_killed_costs_the_task_it_was_at(how: signal.Signals) -> None:
    def work(task: int, _note: Note) -> tuple[int, int]:
        if task in (5, 6, 40):
            os.kill(os.getpid(), how)
        return task, 0

    with Crew(work, lost, ignored, 2) as workers:
        answered = dict(workers.run(range(60)))
    assert len(answered) == 60
    assert {task: answer for task, answer in answered.items() if answer != (task, 0)} == {
        task: (-task, -how) for task in (5, 6, 40)
    }


def test_work_that_raises_costs_its_task() -> None:
    def work(task: int, _note: Note) -> tuple[int, int]:
        return 1 // task, 0

    with Crew(work, lost, ignored, 2) as workers:
        answered = dict(workers.run([1, 0, 1]))
    assert answered[0] == (0, 70)


def test_notes_come_even_from_a_worker_that_dies_after_them() -> None:
    def work(task: int, note: Note) -> tuple[int, int]:
        note(f"about {task}")
        if task == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return task, 0

    notes: list[object] = []
    with Crew(work, lost, notes.append, 2) as workers:
        list(workers.run(range(6)))
    assert sorted(map(str, notes)) == [f"about {task}" for task in range(6)]


def test_only_a_window_of_tasks_is_begun_before_the_first_is_done(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(crew, "WINDOW", 16)
    gate = tmp_path / "gate"
    drawn: list[int] = []

    def tasks() -> Iterator[int]:
        for task in range(100):
            drawn.append(task)
            if len(drawn) == 16:
                gate.touch()
            yield task

    def work(task: int, _note: Note) -> tuple[int, int]:
        while task == 0 and not gate.exists():
            time.sleep(0.001)
        return task, 0

    with Crew(work, lost, ignored, 2) as workers, closing(workers.run(tasks())) as answers:
        next(answers)
        assert len(drawn) == 16
        assert len(list(answers)) == 99


def test_told_to_end_workers_complete_what_they_are_at(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    def work(task: int, _note: Note) -> tuple[int, int]:
        (tmp_path / f"{task}").touch()
        if task == 1:
            os.kill(os.getppid(), signal.SIGINT)
        while task in (1, 2) and not gate.exists():
            time.sleep(0.001)
        return task, 0

    done: list[tuple[int, tuple[int, int]]] = []
    with Crew(work, lost, ignored, 2) as workers:
        with pytest.raises(KeyboardInterrupt), closing(workers.run(range(100))) as answers:
            done.extend(answers)
        gate.touch()
        done += workers.end()
    begun = {int(path.name) for path in tmp_path.glob("[0-9]*")}
    assert {task for task, _ in done} == begun
    assert len(begun) < 100


def test_workers_end_when_their_parent_is_killed() -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reading)
        with Crew(square, lost, ignored, 3) as workers, closing(workers.run(range(30))) as answers:
            next(answers)
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(writing)
    os.waitpid(pid, 0)
    assert os.read(reading, 1) == b"", "each worker held the other end"
    os.close(reading)
