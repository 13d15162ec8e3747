"""What a receiver writes of associations: lines that nobody can have as many of as they like."""

from collections.abc import Iterator

import pytest
from support_logs import Captured

from dicomanon_node.network.service import AssociationFacts, Ending
from dicomanon_node.node.receiving import LoggingObserver
from dicomanon_node.node.tally import LINES
from dicomanon_node.ops import logs


@pytest.fixture
def log() -> Iterator[Captured]:
    captured = Captured()
    logs.configure(format="json", level="debug", stream=captured, strict=True)
    yield captured
    logs.configure(strict=True)


def facts(number: int) -> AssociationFacts:
    return AssociationFacts(f"{number:016x}", "SENDER", "NODE", "192.0.2.1")


@pytest.mark.parametrize("how", [Ending.RELEASED, Ending.ABORTED])
def test_associations_that_bring_nothing_are_counted_and_each_is_known_to_be_over(
    log: Captured, how: Ending
) -> None:
    observer = LoggingObserver()
    for number in range(50):
        observer.closed(facts(number), how)
    observer.flush()
    closed = [event for event in log.events if event["event"] == "association.closed"]
    assert len(closed) < 50 // 2
    assert sum(event.get("count", 1) for event in closed) == 50
    ended = [event for event in log.events if event["event"] == "association.ended"]
    assert len({event["association"] for event in ended}) == 50


def test_an_association_that_brought_something_is_always_told(log: Captured) -> None:
    observer = LoggingObserver()
    for number in range(LINES * 3):
        association = facts(number)
        association.stored_count = 1
        observer.closed(association, Ending.RELEASED)
    observer.flush()
    closed = [event for event in log.events if event["event"] == "association.closed"]
    assert len(closed) == LINES * 3
