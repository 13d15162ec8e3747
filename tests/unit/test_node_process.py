"""Limits and signals of the node's own processes."""

import os
import resource
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support_node import environment, invoke

from dicomanon_node.node.signals import Signals


def limits_after(call: str, *, soft: int, hard: int, which: int) -> tuple[int, int]:
    """The limits of a process that began with some and made a call."""
    program = (
        "import resource\n"
        "from dicomanon_node.node import process\n"
        f"resource.setrlimit({which}, ({soft}, {hard}))\n"
        f"process.{call}\n"
        f"print(*resource.getrlimit({which}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    found_soft, found_hard = map(int, done.stdout.split())
    return found_soft, found_hard


def test_no_core_is_dumped() -> None:
    which = int(resource.RLIMIT_CORE)
    found = limits_after("forbid_core_dumps()", soft=0, hard=4096, which=which)
    assert found == (0, 4096)


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [(1024, 4096, 1712), (1024, 1500, 1500), (2048, 4096, 2048)],
)
def test_descriptors_are_raised_to_what_associations_need_and_no_further(
    soft: int, hard: int, expected: int
) -> None:
    which = int(resource.RLIMIT_NOFILE)
    found = limits_after("allow_descriptors(100)", soft=soft, hard=hard, which=which)
    assert found == (expected, hard)


def test_signals_are_noted_in_their_order_and_wake_who_waits() -> None:
    with Signals() as signals:
        assert signals.asked == []
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
        assert signals.asked == [signal.SIGTERM, signal.SIGINT]
        assert select.select([signals], [], [], 5)[0]
        signals.clear()
        assert not select.select([signals], [], [], 0)[0]
        os.kill(os.getpid(), signal.SIGCHLD)
        assert select.select([signals], [], [], 5)[0]
        assert len(signals.asked) == 2


def test_handlers_are_as_before_afterwards() -> None:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
    before = [signal.getsignal(number) for number in numbers]
    with Signals():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert [signal.getsignal(number) for number in numbers] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_under_nohup_a_closed_terminal_is_no_request_to_end() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            assert signals.asked == []
            assert signals.is_reload_asked
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    "arguments", [("hold", "release", "--all"), ("reidentify", "X", "--reason", "x"), ("rekey",)]
)
def test_no_command_that_decrypts_dumps_a_core(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    called: list[str] = []
    monkeypatch.setattr(
        "dicomanon_node.node.process.forbid_core_dumps", lambda: called.append("forbidden")
    )
    invoke(*arguments, "--config", tmp_path)  # there is nothing to decrypt
    assert called == ["forbidden"]
