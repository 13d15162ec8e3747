from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from dicomanon_node.ops.studies import InstanceFact, QuietStudy, StudyTracker

QUIET_S = 10.0


def _stored(
    study_uid: str = "2.25.1", series_uid: str = "2.25.11", *, is_duplicate: bool = False
) -> InstanceFact:
    return InstanceFact("ABCD", study_uid, series_uid, "CT1", 100, True, is_duplicate)


def _refused(study: str | None = None, aet: str = "CT1") -> InstanceFact:
    return InstanceFact(study, None, None, aet, 7, is_stored=False)


def test_a_study_is_told_once_when_nothing_has_come_for_the_time() -> None:
    tracker = StudyTracker(QUIET_S)
    tracker.add(_stored(series_uid="2.25.11"), 0.0)
    tracker.add(_stored(series_uid="2.25.12"), 8.0)
    tracker.add(_stored(series_uid="2.25.12", is_duplicate=True), 9.0)
    assert tracker.due(18.9) == []
    assert tracker.due(19.0) == [
        QuietStudy(
            study="ABCD",
            study_uid="2.25.1",
            calling_aet="CT1",
            series_count=2,
            instance_count=2,
            duplicate_count=1,
            refused_count=0,
            bytes_count=300,
            seconds=9.0,
        )
    ]
    assert tracker.due(1000.0) == []


def test_what_comes_later_is_counted_anew() -> None:
    tracker = StudyTracker(QUIET_S)
    tracker.add(_stored(), 0.0)
    assert len(tracker.due(10.0)) == 1
    tracker.add(_stored(), 11.0)
    [later] = tracker.due(21.0)
    assert (later.instance_count, later.seconds) == (1, 0.0)


def test_studies_are_told_apart_and_the_quietest_comes_first() -> None:
    tracker = StudyTracker(QUIET_S)
    tracker.add(_stored("2.25.1"), 0.0)
    tracker.add(_stored("2.25.2"), 1.0)
    tracker.add(_stored("2.25.1"), 2.0)
    assert [quiet.study_uid for quiet in tracker.due(11.0)] == ["2.25.2"]
    assert [quiet.study_uid for quiet in tracker.due(12.0)] == ["2.25.1"]


def test_refusals_without_a_study_uid_are_counted_by_study_and_sender() -> None:
    tracker = StudyTracker(QUIET_S)
    for _ in range(3):
        tracker.add(_refused(aet="CT1"), 0.0)
    tracker.add(_refused(aet="MR1"), 0.0)
    tracker.add(_refused("ABCD", "MR1"), 0.0)
    told = {(quiet.study, quiet.calling_aet): quiet for quiet in tracker.due(10.0)}
    assert {key: quiet.refused_count for key, quiet in told.items()} == {
        (None, "CT1"): 3,
        (None, "MR1"): 1,
        ("ABCD", "MR1"): 1,
    }
    assert told[None, "CT1"].bytes_count == 21
    assert all(quiet.study_uid is None and quiet.instance_count == 0 for quiet in told.values())


def test_a_refusal_that_knows_its_study_counts_with_it_but_makes_no_series() -> None:
    tracker = StudyTracker(QUIET_S)
    tracker.add(_stored(), 0.0)
    tracker.add(InstanceFact("ABCD", "2.25.1", "2.25.99", "CT1", 5, is_stored=False), 0.0)
    [quiet] = tracker.due(10.0)
    assert (quiet.instance_count, quiet.refused_count, quiet.series_count) == (1, 1, 1)


def test_above_the_bound_the_quietest_study_is_told_early() -> None:
    tracker = StudyTracker(QUIET_S, max_studies=2)
    for number in range(4):
        tracker.add(_stored(f"2.25.{number}"), float(number))
    assert [quiet.study_uid for quiet in tracker.due(4.0)] == ["2.25.0", "2.25.1"]


def test_a_study_of_endless_series_does_not_fill_the_memory() -> None:
    tracker = StudyTracker(QUIET_S, max_series=100)
    for number in range(1000):
        tracker.add(_stored(series_uid=f"2.25.{number}"), 0.0)
    told = tracker.due(10.0)
    assert sum(quiet.series_count for quiet in told) == 1000
    assert max(quiet.series_count for quiet in told) <= 101


def test_all_are_told_when_the_node_stops() -> None:
    tracker = StudyTracker(QUIET_S)
    tracker.add(_stored("2.25.1"), 0.0)
    tracker.add(_stored("2.25.2"), 1.0)
    assert [quiet.study_uid for quiet in tracker.close()] == ["2.25.1", "2.25.2"]
    assert tracker.close() == []


facts = st.builds(
    InstanceFact,
    study=st.sampled_from(["ABCD", "Other", None]),
    study_uid=st.sampled_from(["2.25.1", "2.25.2", "2.25.3", None]),
    series_uid=st.sampled_from(["2.25.11", "2.25.12", None]),
    calling_aet=st.sampled_from(["CT1", "MR1"]),
    bytes_count=st.integers(0, 100),
    is_stored=st.booleans(),
    is_duplicate=st.booleans(),
)


@given(st.lists(st.tuples(facts, st.floats(0, 30))), st.integers(1, 4), st.integers(1, 4))
def test_no_instance_is_counted_twice_or_forgotten(
    steps: list[tuple[InstanceFact, float]], max_studies: int, max_series: int
) -> None:
    tracker = StudyTracker(QUIET_S, max_studies, max_series)
    now, told = 0.0, []
    for fact, pause in steps:
        now += pause
        told += tracker.due(now)
        tracker.add(fact, now)
    told += tracker.close()
    by_study: Counter[str | None] = Counter()
    for quiet in told:
        by_study[quiet.study] += quiet.instance_count + quiet.duplicate_count + quiet.refused_count
    assert by_study == Counter(fact.study for fact, _ in steps)
    assert sum(quiet.bytes_count for quiet in told) == sum(fact.bytes_count for fact, _ in steps)
