import re
from collections.abc import Iterator

import pytest
from support_logs import Captured

from dicomanon_node.ops import console, logs
from dicomanon_node.ops.console import Console
from dicomanon_node.ops.events import EVENTS

NEW_UID = "2.25.136498326688907047595659928587492241909"
ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(autouse=True)
def _unconfigured_afterwards() -> Iterator[None]:
    yield
    logs.configure(strict=True)


def _logged(colour: bool = False) -> Captured:
    stream = Captured()
    logs.configure(
        format="console",
        stream=stream,
        strict=True,
        colour=colour,
        studies=["ABCD", "Supplement142"],
        destinations=["research-pacs"],
    )
    return stream


def _log_one_of_each_by_the_hundred() -> None:
    log = logs.get().bind(calling_aet="MRC25641")
    stored = {
        "sop_instance_uid": NEW_UID,
        "sop_class": "1.2.840.10008.5.1.4.1.1.4",
        "ms": 2.5,
        "duplicate": False,
    }
    log.event("instance.stored", study="ABCD", bytes=441_622, **stored)
    log.event("instance.stored", study="Supplement142", bytes=31_200_000, **stored)
    log.event("instance.refused", status=0x0110, reason="no-study", bytes=4_021, ms=0.84)
    log.event("association.closed", how="released", stored=2, refused=1, bytes=9, ms=2411.0)
    log.event("delivery.sent", destination="research-pacs", bytes=441_622, **_without_flag(stored))
    log.event("study.quiet", study="ABCD", series=4, instances=200, bytes=105_200_000, seconds=12.3)


def _without_flag(stored: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in stored.items() if key != "duplicate"}


def test_events_that_come_by_the_hundred_share_their_columns() -> None:
    stream = _logged()
    _log_one_of_each_by_the_hundred()
    sizes = [re.search(r"\d (?:B|kB|MB) ", line) for line in stream.lines]
    durations = [re.search(r"\d (?:ms|s)\b", line) for line in stream.lines]
    assert len({match and match.end() for match in sizes}) == 1
    assert len({match and match.end() for match in durations}) == 1


def test_lines_of_an_ordinary_run_fit_a_terminal_of_120_columns() -> None:
    stream = _logged()
    _log_one_of_each_by_the_hundred()
    assert max(map(len, stream.lines)) <= 120


def test_values_are_shown_as_people_say_them() -> None:
    stream = _logged()
    _log_one_of_each_by_the_hundred()
    stored, large, refused, closed, sent, quiet = stream.lines
    assert " ABCD " in stored
    assert " MR " in stored
    assert " 442 kB " in stored
    assert " 2.5 ms " in stored
    assert stored.endswith(" 2.25.1364..1909")
    assert " 31 MB " in large
    assert " 0110H no-study " in refused
    assert " 4.0 kB " in refused
    assert " released, 2 stored " in closed
    assert " 2.4 s " in closed
    assert " research-pacs " in sent
    assert " 200 instances, 4 series " in quiet


def test_study_lines_warnings_and_errors_are_marked_without_colours_too() -> None:
    stream = _logged()
    log = logs.get()
    for name in ("instance.stored", "study.quiet", "instance.refused", "delivery.failed"):
        log.event(name)
    assert [line[9] for line in stream.lines] == [" ", "=", "!", "E"]


def test_colours_change_nothing_but_the_colour() -> None:
    plain = _logged()
    _log_one_of_each_by_the_hundred()
    coloured = _logged(colour=True)
    _log_one_of_each_by_the_hundred()
    assert "\x1b[" in coloured.getvalue()
    assert "\x1b" not in plain.getvalue()
    without = [ESCAPE_SEQUENCE.sub("", line)[9:] for line in coloured.lines]
    assert without == [line[9:] for line in plain.lines]


@pytest.mark.parametrize("hostile", ["\x1b[2J", "a\nb", "\x9b31m", "\u202eTC", "\ud800"])
def test_a_peer_cannot_steer_the_terminal(hostile: str) -> None:
    stream = _logged()
    logs.get().event("association.rejected", calling_aet=hostile, called_aet=hostile)
    assert len(stream.lines) == 1
    assert stream.lines[0].isprintable()


def test_what_a_judge_let_through_is_still_escaped() -> None:
    line = Console(has_colour=False, clock=lambda: 0.0)(
        None, "write", {"level": "info", "event": "node.ready", "host": "\x1b[2J\n"}
    )
    assert line.endswith("host=\\x1b[2J\\n\n")


def test_every_key_a_row_shows_is_declared_for_its_event() -> None:
    for name, row in console._ROWS.items():
        shown = {row.who, row.duration, *row.rest, *re.findall(r"{(\w+)}", row.what)}
        assert shown - {"ms"} <= EVENTS[name].key_names


def test_an_event_without_keys_makes_a_line() -> None:
    stream = _logged()
    for name in EVENTS:
        logs.get().event(name)
    written = [line.split()[-1] for line in stream.lines]
    assert len(written) == sum(event.level.word != "debug" for event in EVENTS.values())


def _rendered(width: int | None) -> list[str]:
    console = Console(has_colour=False, clock=lambda: 0.0, width=lambda: width)
    events: list[dict[str, object]] = [
        {
            "event": "instance.stored",
            "study": "Supplement142",
            "calling_aet": "A" * 16,
            "sop_class": "MultiFrameTrueColorSecondaryCaptureImageStorage",
            "bytes": 31_200_000,
            "ms": 2.5,
            "sop_instance_uid": NEW_UID,
            "duplicate": True,
        },
        {
            "event": "instance.refused",
            "calling_aet": "MRC25641",
            "status": "0110H",
            "reason": "private-unreadable",
            "tag": "(0008,103E)",
            "bytes": 4021,
            "ms": 0.84,
        },
        {
            "event": "delivery.sent",
            "destination": "research-pacs",
            "sop_class": "MRImageStorage",
            "bytes": 1,
        },
        {"event": "study.quiet", "study": "ABCD", "instances": 200, "series": 4, "seconds": 3.0},
    ]
    return [console(None, "write", {"level": "info"} | event).rstrip("\n") for event in events]


@pytest.mark.parametrize("width", [80, 100, 119])
def test_lines_by_the_hundred_fit_a_narrower_terminal(width: int) -> None:
    _, *lines = _rendered(width)  # the longest SOP class of all takes what it takes
    assert max(map(len, lines)) <= width


def test_the_essential_is_there_at_80_columns() -> None:
    stored, refused, sent, quiet = _rendered(80)
    assert " Suppleme.. AAAAAAAAAA.. MultiFrame" in stored
    assert " MRC25641     0110H private-unreadable" in refused
    assert " research-p.. MR " in sent
    assert " ABCD " in quiet
    assert " 200 instances, 4 series" in quiet


def test_nothing_is_left_out_where_there_is_room_or_no_terminal() -> None:
    assert _rendered(None) == _rendered(400)
    assert "2.25.1364..1909 duplicate" in _rendered(None)[0]


def test_what_is_said_nowhere_else_is_not_cut() -> None:
    values = {"file": "node.toml", "path": "peers", "message": "m" * 200}
    console = Console(has_colour=False, clock=lambda: 0.0, width=lambda: 80)
    event = {"level": "warning", "event": "node.config_warning"} | values
    assert "m" * 200 in console(None, "write", event)
