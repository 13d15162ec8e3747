from typing import Any

import pytest
from support_console import STORED

from dicomanon_node.admin import history as module
from dicomanon_node.admin.history import History
from dicomanon_node.admin.rates import WINDOW_S, Durations, Rates

KEY = ("default", STORED["study_uid"])


@pytest.fixture
def history() -> History:
    return History(("pacs",))


def tell(history: History, now: float = 0.0, **line: Any) -> None:  # noqa: ANN401  (values of a line)
    history.add(STORED | line, now)


def test_a_study_is_counted_as_it_arrives(history: History) -> None:
    tell(history)
    tell(history, sop_instance_uid="2.25.2", series_uid="2.25.9")
    tell(history, duplicate=True)
    tell(history, variant=True)
    study = history.studies[KEY]
    assert (study.instance_count, study.duplicate_count, len(study.series)) == (2, 2, 2)
    assert study.bytes_count == 4000


def test_a_study_is_quiet_until_more_of_it_comes(history: History) -> None:
    told = []
    for event in ("instance.stored", "study.quiet", "instance.stored"):
        tell(history, event=event)
        told.append(history.studies[KEY].is_quiet)
    assert told == [False, True, False]


def test_what_a_destination_takes_is_counted_for_its_study_once(history: History) -> None:
    tell(history)
    for _ in range(2):
        tell(history, event="delivery.sent", destination="pacs")
    tell(history, event="delivery.sent", destination="pacs", sop_instance_uid="2.25.77")
    assert history.studies[KEY].delivered["pacs"] == 1
    assert history.destinations["pacs"].sent_count == 3


def test_a_delivery_that_is_told_before_the_instance_counts(history: History) -> None:
    tell(history, event="delivery.sent", destination="pacs")
    tell(history)
    assert history.studies[KEY].delivered["pacs"] == 1


def test_a_destination_is_down_since_the_first_time_until_it_is_up(history: History) -> None:
    tell(history, event="destination.down", destination="pacs", timestamp="1", reason="a")
    tell(history, event="destination.down", destination="pacs", timestamp="2", reason="b")
    state = history.destinations["pacs"]
    assert (state.is_down, state.since, state.reason) == (True, "1", "b")
    tell(history, event="destination.up", destination="pacs", timestamp="3")
    assert (state.is_down, state.since, state.reason) == (False, "3", None)


def test_an_association_is_there_while_it_is_open(history: History) -> None:
    tell(history, event="association.opened", pid=7)
    tell(history)
    [association] = history.associations.values()
    assert (association.stored_count, association.bytes_count) == (1, 1000)
    tell(history, event="association.closed", how="released")
    assert history.associations == {}
    assert history.closed["released"] == 1


def test_an_association_that_was_only_counted_is_not_there_any_more(history: History) -> None:
    tell(history, event="association.opened")
    tell(history, event="association.ended")
    assert history.associations == {}
    assert history.closed == {}
    history.add({"event": "association.closed", "how": "released", "count": 41}, 0.0)
    history.add({"event": "association.rejected", "reason": "peer-limit", "count": 7}, 0.0)
    assert (history.closed["released"], history.rejected["peer-limit"]) == (41, 7)


@pytest.mark.parametrize("event", ["process.died", "process.exited"])
def test_associations_end_with_their_process(history: History, event: str) -> None:
    tell(history, event="association.opened", association="a", pid=7)
    tell(history, event="association.opened", association="b", pid=8)
    tell(history, event="process.started", role="receiver", pid=7)
    tell(history, event=event, role="receiver", pid=7)
    assert list(history.associations) == ["b"]
    assert history.receivers == set()


def test_associations_below_the_log_level_are_not_in_the_tail(history: History) -> None:
    tell(history, event="association.opened")
    assert history.lines(lambda _line: True, 10) == []


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_STUDIES", "MAX_SERIES", "MAX_ASSOCIATIONS", "MAX_INSTANCES"):
        monkeypatch.setattr(module, name, 5)
    history = History(("pacs",))
    for number in range(50):
        tell(history, study_uid=f"2.25.{number}", sop_instance_uid=f"2.25.{number}")
        tell(history, study_uid="2.25.1", series_uid=f"2.25.{number}")
        tell(history, event="association.opened", association=str(number))
        tell(history, event="instance.refused", reason="no-study", status="0110H")
    assert len(history.studies) == len(history.associations) == 5
    assert max(len(study.series) for study in history.studies.values()) == 5
    assert len(history._instances) == 5
    assert len(history.refusals) == 50
    assert next(history.newest_studies()).study_uid == "2.25.1"


def test_a_line_of_an_unknown_form_is_taken(history: History) -> None:
    for event in ("instance.stored", "instance.refused", "delivery.sent", "process.died", "new.x"):
        history.add({"event": event}, 0.0)
        history.add({"event": event, "bytes": "invalid", "timestamp": "invalid", "ms": "x"}, 0.0)
    assert history.version == 10


def test_the_rate_is_that_of_seconds_that_are_over() -> None:
    rates = Rates()
    for now in (100.2, 100.9, 101.5, 102.1):
        rates.stored(now, 10)
    assert [each.stored_count for each in rates.last(102.3, 3)] == [0, 2, 1]


def test_a_long_pause_leaves_nothing_of_what_was_before() -> None:
    rates = Rates()
    for now in range(WINDOW_S * 2):
        rates.stored(now, 1)
    assert sum(each.stored_count for each in rates.last(WINDOW_S * 10, WINDOW_S - 1)) == 0
    rates.refused(WINDOW_S * 10)
    assert [each.refused_count for each in rates.last(WINDOW_S * 10 + 1, 1)] == [1]


def test_durations_fall_into_the_class_they_do_not_exceed() -> None:
    durations = Durations()
    for milliseconds in (1, 1.1, 20_000, "invalid", None):
        durations.add(milliseconds)
    assert durations.counts[0] == 1
    assert durations.counts[1] == 1
    assert durations.counts[-1] == 1
    assert sum(durations.counts) == 3
