"""Lines about connections: told while they are few, counted when they are many."""

import threading

import pytest

from dicomanon_node.node.tally import INTERVAL_S, LINES, MOST_ADDRESSES, Tally


class Log:
    def __init__(self) -> None:
        self.lines: list[dict[str, object]] = []

    def event(self, name: str, /, **keys: object) -> None:
        self.lines.append({"event": name, **keys})


def dropped(tally: Tally, peer: str = "192.0.2.1", how: str = "timeout") -> None:
    tally.event("connection.dropped", "how", how, peer, {})


def test_a_few_lines_are_told_as_they_come() -> None:
    log = Log()
    dropped(Tally(log))
    assert log.lines == [{"event": "connection.dropped", "how": "timeout", "peer": "192.0.2.1"}]


def test_ten_thousand_lines_are_a_few_and_a_count_and_none_is_lost() -> None:
    log = Log()
    tally = Tally(log)
    for _ in range(10_000):
        dropped(tally)
    tally.flush()
    assert len(log.lines) < 100
    assert sum(int(str(line.get("count", 1))) for line in log.lines) == 10_000


def test_addresses_and_kinds_are_counted_apart() -> None:
    log = Log()
    tally = Tally(log)
    for _ in range(LINES + 1):
        dropped(tally, "192.0.2.1")
        dropped(tally, "192.0.2.2", "limit")
    tally.flush()
    counted = [(line["peer"], line["how"]) for line in log.lines if "count" in line]
    assert sorted(map(str, counted)) == [
        "('192.0.2.1', 'timeout')",
        "('192.0.2.2', 'limit')",
    ]


def test_a_flood_from_everywhere_is_counted_as_one() -> None:
    log = Log()
    tally = Tally(log)
    for number in range(MOST_ADDRESSES * 2):
        dropped(tally, f"2001:db8::{number:x}")
    tally.flush()
    assert len(log.lines) <= MOST_ADDRESSES + LINES + 1
    assert sum(int(str(line.get("count", 1))) for line in log.lines) == MOST_ADDRESSES * 2


def test_what_was_counted_is_told_without_another_event() -> None:
    log = Log()
    tally = Tally(log)
    for _ in range(LINES + 3):
        dropped(tally)
    assert tally._timer is not None
    tally._timer.join(10)
    assert [line.get("count") for line in log.lines if "count" in line] == [3]


def test_without_a_thread_to_spare_nothing_is_raised_and_none_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_timer: threading.Timer) -> None:
        raise RuntimeError("can't start new thread")

    now = [1000.0]
    monkeypatch.setattr(threading.Timer, "start", fail)
    monkeypatch.setattr("dicomanon_node.node.tally.monotonic", lambda: now[0])
    log = Log()
    tally = Tally(log)
    for _ in range(LINES + 3):
        dropped(tally)
    now[0] += INTERVAL_S
    dropped(tally)
    assert [line.get("count") for line in log.lines] == [None] * LINES + [3, None]
