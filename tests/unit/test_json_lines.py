"""`json_lines`: the line is that of the standard library's encoder, remembered or not."""

import json
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support_logs import Captured

from dicomanon_node.errors import Reason
from dicomanon_node.ops import json_lines, judges, logs
from dicomanon_node.ops.allow_list import AllowList
from dicomanon_node.ops.declaring import Level
from dicomanon_node.ops.events import EVENTS
from dicomanon_node.ops.json_lines import JsonLines
from dicomanon_node.ops.writer import LineWriter, Losses

WRITER = LineWriter(None, Losses(is_strict=True))
ALLOW_LIST = AllowList(Level.DEBUG)
UID = "2.25.136498326688907047595659928587492241909"


class Word(StrEnum):
    RELEASED = "released"


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=80),
    st.from_regex(r"[0-9]{1,9}(\.[0-9]{1,9}){0,8}", fullmatch=True),
    st.sampled_from(
        [0, 1, 1.0, -0.0, "1", "", "ABCD", UID, "1.2.840.10008.1.2.1", "CT1 ", "released"]
    ),
    st.sampled_from([Word.RELEASED, Reason.INTERNAL, ValueError("DOE^JANE"), b"DOE", ["DOE"]]),
)


@pytest.fixture(autouse=True)
def _configured() -> Iterator[None]:
    logs.configure(strict=True, studies=["ABCD", "Ü\\"], destinations=["pacs"])
    yield
    logs.configure(strict=True)


@st.composite
def events(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    event = EVENTS[draw(st.sampled_from(sorted(EVENTS)))]
    return event.name, {key.name: draw(VALUES) for key in event.keys}


def without_time(line: str) -> str:
    start, end = '{"timestamp":"', '","level":'
    assert line.startswith(start)
    assert line.index(end) == len(start) + len("2026-11-20T12:00:00.000Z")
    return line[line.index(end) + 2 :]


@given(st.lists(events(), min_size=1, max_size=4))
def test_a_line_is_the_judged_keys_in_json_the_first_time_and_any_other(
    told: list[tuple[str, dict[str, Any]]],
) -> None:
    lines = JsonLines(ALLOW_LIST)
    for _ in range(2):
        for name, keys in told:
            bag = {"event": name, "given": keys}
            judged = ALLOW_LIST(WRITER, "write", dict(bag))
            expected = json.dumps(judged, separators=(",", ":"), allow_nan=False)[1:] + "\n"
            assert without_time(lines(WRITER, "write", dict(bag))) == expected


def test_values_that_are_equal_and_not_the_same_are_judged_apart() -> None:
    class Disguised(str):
        __slots__ = ()

        def __eq__(self, _: object) -> bool:
            return True

        def __hash__(self) -> int:
            return hash("CT1")

    stream = Captured()
    logs.configure(format="json", stream=stream, strict=True)
    log = logs.get()
    for value in (True, 1, 1.0, True):
        log.event("instance.stored", duplicate=value, bytes=value)
    for title in ("CT1", Disguised("CT2"), "CT1"):
        log.event("instance.abandoned", calling_aet=title)
    written = [(event["duplicate"], event["bytes"]) for event in stream.events[:4]]
    assert written == [
        (True, "invalid"),
        ("invalid", 1),
        ("invalid", "invalid"),
        (True, "invalid"),
    ]
    assert [event["calling_aet"] for event in stream.events[4:]] == ["CT1", "CT2", "CT1"]


def test_a_text_is_judged_for_each_key_apart() -> None:
    stream = Captured()
    logs.configure(format="json", stream=stream, strict=True)
    for _ in range(2):
        logs.get().event("instance.stored", calling_aet="DOE JANE", study_uid="DOE JANE")
    for event in stream.events:
        assert (event["calling_aet"], event["study_uid"]) == ("DOE JANE", "invalid")


def test_what_the_configuration_allows_is_asked_anew() -> None:
    lines = JsonLines(ALLOW_LIST)
    bag = {"event": "study.quiet", "given": {"study": "EFGH"}}
    assert '"study":"unlisted"' in lines(WRITER, "write", dict(bag))
    judges.study_names.allow(["EFGH"])
    assert '"study":"EFGH"' in lines(WRITER, "write", dict(bag))


def test_what_is_remembered_is_bounded() -> None:
    lines = JsonLines(ALLOW_LIST)
    for number in range(2000):
        for name in (f"{number}", f"{number}" + "9" * 100):
            bag = {"event": "association.closed", "given": {"calling_aet": name, "peer": name}}
            lines(WRITER, "write", bag)
    for field in lines._fields["association.closed"]:
        assert len(field.remembered) <= json_lines._MOST_REMEMBERED
        assert all(len(str(value)) <= 64 for value in field.remembered)
