import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from support_logs import Captured

from dicomanon_node.ops import logs
from dicomanon_node.ops.events import UndeclaredError

STUDY_UID = "2.25.136498326688907047595659928587492241909"


@pytest.fixture(autouse=True)
def _unconfigured_afterwards() -> Iterator[None]:
    yield
    logs.configure(strict=True)


@pytest.fixture
def captured() -> Captured:
    stream = Captured()
    logs.configure(format="json", stream=stream, strict=True, studies=["ABCD"])
    return stream


def test_a_line_has_time_level_and_event_first_then_the_keys_as_declared(
    captured: Captured,
) -> None:
    logs.get().event("instance.refused", tag=0x0008103E, status=0x0110, calling_aet="CT1")
    [line] = captured.lines
    assert list(json.loads(line)) == [
        "timestamp",
        "level",
        "event",
        "calling_aet",
        "status",
        "tag",
    ]
    assert '"level":"warning","event":"instance.refused"' in line


def test_the_timestamp_is_utc_with_milliseconds(captured: Captured) -> None:
    logs.get().event("node.starting")
    stamp = captured.events[0]["timestamp"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", stamp)
    assert abs(datetime.fromisoformat(stamp) - datetime.now(UTC)) < timedelta(minutes=1)


def test_bound_keys_come_with_every_event_that_declares_them(captured: Captured) -> None:
    log = logs.get().bind(association="1-7").bind(calling_aet="CT1", peer="10.0.0.1")
    log.event("instance.abandoned", bytes=5)
    log.event("association.closed", calling_aet="CT2")
    stored, closed = captured.events
    assert (stored["association"], stored["calling_aet"]) == ("1-7", "CT1")
    assert "peer" not in stored
    assert (closed["peer"], closed["calling_aet"]) == ("10.0.0.1", "CT2")


def test_binding_leaves_the_logger_it_came_from_alone(captured: Captured) -> None:
    log = logs.get()
    log.bind(calling_aet="CT1")
    log.event("instance.abandoned")
    assert "calling_aet" not in captured.events[0]


def test_a_key_without_a_value_is_left_out(captured: Captured) -> None:
    logs.get().event("instance.refused", study=None, tag=None, bytes=0)
    assert captured.events[0].keys() == {"timestamp", "level", "event", "bytes"}


def test_a_study_that_is_not_configured_is_not_named(captured: Captured) -> None:
    log = logs.get()
    log.event("study.quiet", study="ABCD")
    log.event("study.quiet", study="DOE^JANE")
    assert [event["study"] for event in captured.events] == ["ABCD", "unlisted"]


@pytest.mark.parametrize(
    "hostile", ['"}\n{"event":"node.ready"', "\x1b[2J\x07", "\u2028", "\r", "\x00", "\ud800"]
)
def test_no_value_breaks_the_line_or_steers_a_terminal(captured: Captured, hostile: str) -> None:
    log = logs.get()
    log.event("association.rejected", calling_aet=hostile, called_aet=hostile, peer=hostile)
    log.event("node.config_warning", file=hostile, path=hostile, message=hostile)
    raw = captured.getvalue()
    assert raw.count("\n") == 2
    assert all(0x20 <= ord(character) < 0x7F for character in raw.replace("\n", ""))
    assert len(captured.events) == 2


def test_undeclared_events_and_keys_raise_in_strict_mode(captured: Captured) -> None:
    log = logs.get()
    with pytest.raises(UndeclaredError):
        log.event("instance.guessed")
    with pytest.raises(UndeclaredError) as error:
        log.event("instance.stored", patient="DOE^JANE")
    assert "DOE" not in str(error.value)
    with pytest.raises(UndeclaredError):
        log.bind(patient="DOE^JANE")
    assert captured.lines == []


def test_undeclared_events_and_keys_are_dropped_and_told_in_production() -> None:
    stream = Captured()
    logs.configure(format="json", stream=stream)
    log = logs.get().bind(patient_name="DOE^JANE")
    log.event("instance.stored", bytes=1, patient="DOE^JANE")
    log.event("patient.DOE", bytes=1)
    assert "DOE" not in stream.getvalue()
    stored, dropped = stream.events
    assert (stored["event"], stored["bytes"]) == ("instance.stored", 1)
    assert (dropped["event"], dropped["undeclared"]) == ("log.dropped", 2)


def test_a_key_declared_for_another_event_is_not_written() -> None:
    stream = Captured()
    logs.configure(format="json", stream=stream)
    logs.get().event("node.starting", study_uid=STUDY_UID)
    assert "study_uid" not in stream.events[0]


@pytest.mark.parametrize(
    ("level", "written"),
    [("debug", 3), ("info", 3), ("warning", 2), ("error", 1)],
)
def test_events_below_the_level_are_not_written(level: str, written: int) -> None:
    stream = Captured()
    logs.configure(format="json", level=level, stream=stream)
    log = logs.get()
    for name in ("node.ready", "instance.refused", "spool.full"):
        log.event(name)
    assert len(stream.lines) == written


def test_a_logger_made_before_configuration_follows_it() -> None:
    log = logs.get()
    log.event("node.starting")
    stream = Captured()
    logs.configure(format="json", stream=stream)
    log.event("node.starting")
    assert len(stream.lines) == 1


def test_other_users_of_structlog_have_no_way_around_the_declarations(captured: Captured) -> None:
    with pytest.raises(AttributeError):
        structlog.get_logger().info("DOE^JANE")
    assert captured.lines == []


def test_an_error_is_logged_without_its_text(captured: Captured) -> None:
    error = ValueError("Invalid value for VR DA: '12/03/1961 DOE'")
    logs.get().event("internal.error", where="main", error=error)
    assert captured.events[0]["error"] == "ValueError"
    assert "1961" not in captured.getvalue()


class _Terminal(Captured):
    def isatty(self) -> bool:
        return True


def test_auto_is_json_but_on_a_terminal() -> None:
    for stream, is_json in ((Captured(), True), (_Terminal(), False)):
        logs.configure(format="auto", stream=stream)
        logs.get().event("node.starting", pid=1)
        assert stream.getvalue().startswith("{") is is_json


def test_lines_of_processes_that_share_a_pipe_are_never_mixed() -> None:
    program = (
        "import sys; from dicomanon_node.ops import logs\n"
        "logs.configure(format='json', stream=sys.stdout)\n"
        "log = logs.get().bind(association=sys.argv[1])\n"
        "sys.stdin.read()\n"
        "uid = '2.25.' + '1' * 59\n"
        "for n in range(2000): log.event('instance.stored', bytes=n, sop_instance_uid=uid)\n"
    )
    reading, writing = os.pipe()
    children = [
        subprocess.Popen(
            [sys.executable, "-c", program, name], stdin=subprocess.PIPE, stdout=writing
        )
        for name in "ab"
    ]
    os.close(writing)
    for child in children:  # both start writing when their input ends
        assert child.stdin is not None
        child.stdin.close()
    with os.fdopen(reading, encoding="ascii") as lines:
        events = [json.loads(line) for line in lines]
    assert [child.wait(30) for child in children] == [0, 0]
    for name in "ab":
        numbers = [event["bytes"] for event in events if event["association"] == name]
        assert numbers == list(range(2000))


def test_a_full_disk_stops_no_event_and_is_told_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "node.log"
    write = os.write
    calls = iter(["half", "full", "full"])

    def failing(descriptor: int, data: bytes) -> int:
        match next(calls, "room"):
            case "half":
                return write(descriptor, data[: len(data) // 2])
            case "full":
                raise OSError(28, "No space left on device")
        return write(descriptor, data)

    with path.open("w", encoding="ascii") as stream:
        logs.configure(format="json", stream=stream, strict=True)
        monkeypatch.setattr(os, "write", failing)
        log = logs.get()
        log.event("node.starting", pid=1)  # half of it, then no room; the report has none either
        log.event("node.starting", pid=2)
    torn, *whole = path.read_text(encoding="ascii").splitlines()
    assert torn.startswith('{"timestamp"')
    assert not torn.endswith("}")
    assert [json.loads(line)["event"] for line in whole] == ["node.starting"]


def test_a_log_that_lost_lines_says_how_many(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    path = tmp_path / "node.log"
    write = os.write
    with path.open("w", encoding="ascii") as stream:
        logs.configure(format="json", stream=stream, strict=True)
        log = logs.get()

        def full(_descriptor: int, _data: bytes) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        for _ in range(3):
            log.event("node.starting")
        monkeypatch.setattr(os, "write", write)
        now[0] += 61
        log.event("node.starting")
    events = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
    assert [event["event"] for event in events] == ["node.starting", "log.dropped"]
    assert events[1]["unwritten"] == 4  # the three, and the first try to tell of them


def test_closing_the_stream_does_not_turn_lines_into_another_file(tmp_path: Path) -> None:
    log_path, other_path = tmp_path / "node.log", tmp_path / "object.dcm"
    with log_path.open("w", encoding="ascii") as stream:
        logs.configure(format="json", stream=stream)
        number = stream.fileno()
    with other_path.open("w", encoding="ascii") as other:
        assert other.fileno() == number
        logs.get().event("node.starting")
    assert other_path.read_text(encoding="ascii") == ""
    assert "node.starting" in log_path.read_text(encoding="ascii")


def test_every_line_of_json_names_the_rules_in_force() -> None:
    stream = Captured()
    logs.configure(format="json", stream=stream, rules="0123abcd")
    log = logs.get()
    log.event("connection.dropped", peer="192.0.2.1", how="lost")
    log.event("spool.swept", removed=1)
    log.event("instance.stored", study="default", rules="feed0001")
    assert [event["rules"] for event in stream.events] == ["0123abcd", "0123abcd", "feed0001"]
