import json
import os
from collections.abc import Iterator

import pytest
from support_logs import Captured

from dicomanon_node.ops import logs
from dicomanon_node.ops.feed import Feed


@pytest.fixture
def feed() -> Iterator[Feed]:
    made = Feed()
    yield made
    logs.feed_to(None)
    logs.configure(strict=True)
    made.close()


def test_a_line_comes_out_as_it_went_in(feed: Feed) -> None:
    feed.sender.send('{"event":"node.ready","port":104}\n')
    assert list(feed.drain()) == [{"event": "node.ready", "port": 104}]
    assert list(feed.drain()) == []


def test_what_finds_no_room_is_dropped_counted_and_told_with_the_next_that_fits(feed: Feed) -> None:
    line = json.dumps({"event": "x", "filler": "y" * 900}) + "\n"
    sent = 3000  # more than a pipe of 1 MiB holds
    for _ in range(sent):
        feed.sender.send(line)
    received = len(list(feed.drain()))
    while more := len(list(feed.drain())):
        received += more
    assert 0 < received < sent
    feed.sender.send(line)
    assert len(list(feed.drain())) == 1
    assert received + feed.lost_count == sent


def test_a_line_that_was_begun_by_a_reader_that_died_is_counted_and_the_next_is_read(
    feed: Feed,
) -> None:
    feed.sender.send('half of a line"}\n')
    feed.sender.send('{"event":"node.ready"}\n')
    assert list(feed.drain()) == [{"event": "node.ready"}]
    assert feed.lost_count == 1


def test_lines_of_processes_do_not_interleave(feed: Feed) -> None:
    children = []
    for number in range(3):
        pid = os.fork()
        if pid == 0:
            for _ in range(200):
                feed.sender.send(json.dumps({"event": "x", "text": str(number) * 300}) + "\n")
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    lines = [line for _ in range(20) for line in feed.drain()]
    assert len(lines) == 600
    assert all(len(set(line["text"])) == 1 for line in lines)


@pytest.mark.parametrize("form", ["json", "console"])
def test_the_feed_has_lines_below_the_level_that_is_logged(feed: Feed, form: str) -> None:
    stream = Captured()
    logs.configure(format=form, level="warning", stream=stream)  # type: ignore[arg-type]  # parametrised
    logs.feed_to(feed.sender)
    logs.get().event("association.opened", association="1-7", calling_aet="A")
    logs.get().event("instance.refused", reason="no-study")
    assert [line["event"] for line in feed.drain()] == ["association.opened", "instance.refused"]
    assert stream.getvalue().count("\n") == 1
    assert "association.opened" not in stream.getvalue()


def test_what_the_log_would_not_show_is_not_in_the_feed(feed: Feed) -> None:
    logs.configure(format="json", stream=Captured(), studies=["ABCD"])
    logs.feed_to(feed.sender)
    logs.get().event(
        "instance.stored", study="Doe^John", calling_aet="a\nb", study_uid="no uid", ms=float("nan")
    )
    logs.get().event("instance.stored", study="ABCD", patient="Doe^John")
    first, second, dropped = feed.drain()
    assert (first["study"], first["study_uid"], first["ms"]) == ("unlisted", "invalid", "invalid")
    assert first["calling_aet"] == "a\\nb"
    assert "patient" not in second
    assert (dropped["event"], dropped["undeclared"]) == ("log.dropped", 1)


def test_a_bound_logger_feeds_too_and_the_feed_outlives_a_new_configuration(feed: Feed) -> None:
    logs.configure(format="json", stream=Captured())
    bound = logs.get().bind(association="1-7")
    logs.feed_to(feed.sender)
    bound.event("association.closed", how="released")
    logs.configure(format="json", stream=Captured())
    logs.get().event("node.ready")
    assert [line["event"] for line in feed.drain()] == ["association.closed", "node.ready"]


def test_without_a_reader_the_log_goes_on() -> None:
    feed = Feed()
    stream = Captured()
    logs.configure(format="json", stream=stream)
    logs.feed_to(feed.sender)
    feed.close()
    try:
        logs.get().event("node.ready")
    finally:
        logs.feed_to(None)
        logs.configure(strict=True)
    assert "node.ready" in stream.getvalue()
