"""`logs`: JSON lines from wherever they come, for people; nothing in them steers a terminal."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from support_node import environment, invoke, on_a_terminal, wait_until

from dicomanon_node.cli import main
from dicomanon_node.ops.line_reader import read_line


def line(event: str, level: str = "info", second: int = 0, **keys: object) -> str:
    head = {"timestamp": f"2026-03-31T13:50:{second:02d}.123Z", "level": level, "event": event}
    return json.dumps(head | keys, separators=(",", ":"))


STORED = line(
    "instance.stored",
    association="a1",
    calling_aet="PRISMA1",
    study="CONNECTOME",
    sop_class="MRImageStorage",
    sop_instance_uid="2.25.26681234567890123456789015916",
    bytes=215_000,
    ms=2.8,
)
REFUSED = line(
    "instance.refused",
    "warning",
    2,
    association="a2",
    calling_aet="PRISMA1",
    status="0110H",
    reason="phoenix-report",
    tag="(0008,103E)",
)
NODE_WARNING = line("node.config_warning", "warning", 3, path="peers", message="none listed")
CLOSED = line("association.closed", second=4, association="a2", how="released", refused=1)
FAILED = line("delivery.failed", "error", 5, destination="research-pacs", reason="refused")
ALL = [STORED, REFUSED, NODE_WARNING, CLOSED, FAILED]


def shown(*arguments: str, lines: list[str] | None = None) -> Result:
    text = "\n".join(ALL if lines is None else lines) + "\n"
    return CliRunner(env=environment()).invoke(main, ["logs", *arguments], input=text)


def events(*arguments: str) -> list[str]:
    done = shown("--json", *arguments)
    assert done.exit_code == 0, done.output
    return [json.loads(each)["event"] for each in done.output.splitlines()]


def test_json_is_passed_on_as_it_was() -> None:
    assert shown("--json").output.splitlines() == ALL


def test_a_line_has_what_a_person_looks_for() -> None:
    words = shown().output.splitlines()[0].split()
    assert words[1:] == [
        *("instance.stored", "CONNECTOME", "PRISMA1", "MR", "215", "kB", "2.8", "ms"),
        "2.25.2668..5916",
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--study", "CONNECTOME"], ["instance.stored"]),
        (["--association", "a2"], ["instance.refused", "association.closed"]),
        (["--failed"], ["instance.refused", "association.closed", "delivery.failed"]),
        (["--level", "error"], ["delivery.failed"]),
        (["--event", "instance.*"], ["instance.stored", "instance.refused"]),
        (
            ["--event", "instance.stored", "--event", "delivery.failed"],
            ["instance.stored", "delivery.failed"],
        ),
        (["--since", "2026-03-31T13:50:04Z"], ["association.closed", "delivery.failed"]),
        (["--since", "1h"], []),
        (["--failed", "--association", "a2", "--level", "warning"], ["instance.refused"]),
    ],
)
def test_filters_narrow_together(arguments: list[str], expected: list[str]) -> None:
    assert events(*arguments) == expected


@pytest.mark.parametrize(
    "carried",
    [
        STORED,
        f"node-1  | {STORED}",
        f"Mar 31 13:50:59 host dicomanon-node[1]: {STORED}",
        json.dumps({"log": STORED + "\n", "stream": "stdout", "time": "2026-03-31T13:50:59Z"}),
        json.dumps({"MESSAGE": STORED, "_PID": "1"}),
        STORED + "\r",
    ],
)
def test_whatever_carried_a_line_it_is_the_same_event(carried: str) -> None:
    assert read_line(carried) == read_line(STORED)


@pytest.mark.parametrize(
    "foreign",
    [
        "Killed",
        "{",
        '{"timestamp":',
        '{"timestamp":1,"level":"info","event":"x"}',
        '{"timestamp":"yesterday","level":"info","event":"x"}',
        "[" * 100_000,
        '{"timestamp":' + "[" * 100_000,
        '{"log":{"timestamp":1}}',
    ],
)
def test_what_is_no_event_is_a_text(foreign: str) -> None:
    assert read_line(foreign) is None


@given(st.text())
def test_no_line_at_all_makes_it_fail(text: str) -> None:
    assert read_line(text) is None
    assert read_line('{"timestamp":' + text) is None


def test_foreign_lines_are_shown_and_steer_nothing() -> None:
    done = shown(lines=["plain", "\x1b[2J\x9b31m\x07", STORED])
    plain, hostile, stored = done.output.splitlines()
    assert plain == "plain"
    assert hostile == "\\x1b[2J\\x9b31m\\x07"
    assert "instance.stored" in stored


def test_hostile_values_of_an_event_steer_nothing() -> None:
    hostile = line("instance.stored", study="\x1b[2J", calling_aet="a\nb", bytes="x", ms=[1])
    done = shown(lines=[hostile])
    assert len(done.output.splitlines()) == 1
    assert done.output.rstrip("\n").isprintable()


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_time_at_the_end_of_times_is_a_line_like_others(moment: str) -> None:
    done = shown(lines=[json.dumps({"timestamp": moment, "level": "odd", "event": "x.y"})])
    assert done.exit_code == 0
    assert len(done.output.splitlines()) == 1


def test_foreign_lines_are_left_out_where_something_is_looked_for() -> None:
    assert shown("--failed", lines=["plain"]).output == ""
    assert shown("--json", lines=["plain"]).output == ""


def test_bytes_that_are_no_text_are_shown_escaped() -> None:
    done = CliRunner().invoke(main, ["logs"], input=b"\xff\xfe\n")
    assert done.output == "\\xff\\xfe\n"


def test_a_misspelt_event_is_told_with_the_nearest() -> None:
    done = shown("--event", "instance.sored")
    assert done.exit_code == 2
    assert 'did you mean "instance.stored"?' in done.output


@pytest.mark.parametrize("time_text", ["yesterday", "10 parsecs", "9" * 30])
def test_a_time_that_is_none_is_refused(time_text: str) -> None:
    assert shown("--since", time_text).exit_code == 2


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = invoke("logs", "node.log", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        "node.log cannot be read: No such file or directory\n",
    )


def test_following_goes_on_when_the_file_is_rotated(tmp_path: Path) -> None:
    log, out = tmp_path / "node.log", tmp_path / "out"
    log.write_text(STORED + "\n", encoding="ascii")
    with (
        out.open("wb") as stdout,
        subprocess.Popen(
            [sys.executable, "-m", "dicomanon_node", "logs", str(log), "--follow", "--json"],
            stdout=stdout,
            env=environment(),
        ) as process,
    ):

        def has(count: int) -> Callable[[], bool]:
            return lambda: len(out.read_text(encoding="ascii").splitlines()) == count

        try:
            wait_until(has(1), 30)
            with log.open("a", encoding="ascii") as file:
                file.write(REFUSED[:20])
                file.flush()
                file.write(REFUSED[20:] + "\n")
            wait_until(has(2), 30)
            log.rename(tmp_path / "node.log.1")
            log.write_text(CLOSED + "\n", encoding="ascii")
            wait_until(has(3), 30)
        finally:
            process.kill()
    assert out.read_text(encoding="ascii").splitlines() == [STORED, REFUSED, CLOSED]


def test_colours_are_for_terminals_that_want_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "node.log").write_text(FAILED + "\n", encoding="ascii")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in on_a_terminal("logs", "node.log", cwd=tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in on_a_terminal("logs", "node.log", cwd=tmp_path)
    assert "\x1b[" not in shown().output


def test_times_are_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "TZ", "UTC-2")
    time.tzset()
    try:
        done = CliRunner().invoke(main, ["logs"], input=STORED)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert done.output.startswith("15:50:00 ")
