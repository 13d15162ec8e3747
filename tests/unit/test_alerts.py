"""Alerts: few enough for a ledger, judged, and none counted away."""

from pathlib import Path
from typing import Any

import pytest

from dicomanon_node.ledger.journal import DIRECTORY
from dicomanon_node.ledger.records import decode
from dicomanon_node.node.alerts import MOST_ADDRESSES, AlertingLog, Alerts, keyless_notes


class Notes:
    def __init__(self) -> None:
        self.facts: list[dict[str, Any]] = []

    def __call__(self, kind: str, /, **facts: Any) -> None:  # noqa: ANN401  (any fact)
        assert kind == "alert"
        self.facts.append(facts)


@pytest.fixture(name="notes")
def _notes() -> Notes:
    return Notes()


def test_the_first_is_noted_at_once_and_the_others_are_counted(notes: Notes) -> None:
    alerts = Alerts(notes)
    for _ in range(1000):
        alerts.tell("association.rejected", "peer-not-allowed", "192.0.2.7", calling_aet="CT1")
    assert [facts["count"] for facts in notes.facts] == [1]
    alerts.flush()
    assert [facts["count"] for facts in notes.facts] == [1, 999]
    assert {facts["peer"] for facts in notes.facts} == {"192.0.2.7"}


def test_however_many_addresses_there_are_the_notes_are_bounded(notes: Notes) -> None:
    alerts = Alerts(notes)
    for number in range(5000):
        alerts.tell("connection.dropped", "tls-failed", f"10.0.{number // 250}.{number % 250}")
    alerts.flush()
    assert len(notes.facts) <= MOST_ADDRESSES + 2
    assert sum(facts["count"] for facts in notes.facts) == 5000


def test_what_a_peer_says_is_judged(notes: Notes) -> None:
    alerts = Alerts(notes)
    alerts.tell("association.rejected", "certificate", "DOE^JANE", calling_aet="A\n" + "B" * 40)
    [facts] = notes.facts
    assert facts["peer"] == "invalid"
    assert "\n" not in facts["calling_aet"]
    assert len(facts["calling_aet"]) < 20


def test_what_the_console_denies_is_logged_and_noted(notes: Notes) -> None:
    class Log:
        names: list[str] = []  # noqa: RUF012  (of one test)

        def event(self, name: str, /, **_: object) -> None:
            self.names.append(name)

    log = AlertingLog(Log(), Alerts(notes))
    log.event("admin.denied", peer="192.0.2.7", reason="token", count=1)
    log.event("admin.ready", host="127.0.0.1", port=1, with_token=True)
    assert Log.names == ["admin.denied", "admin.ready"]
    assert [(facts["event"], facts["reason"]) for facts in notes.facts] == [
        ("admin.denied", "token")
    ]


def test_a_process_without_a_key_can_note(tmp_path: Path) -> None:
    class Log:
        def event(self, name: str, /, **_: object) -> None:
            raise AssertionError(name)

    keyless_notes(tmp_path, Log())("alert", event="admin.denied", count=1)
    [journal] = (tmp_path / DIRECTORY).iterdir()
    [record] = map(decode, journal.read_bytes().splitlines())
    assert record.kind == "alert"  # type: ignore[union-attr]
