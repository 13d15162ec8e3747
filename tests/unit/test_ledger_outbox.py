"""What goes to the audit is counted with the ledger's own transactions."""

from pathlib import Path
from typing import Any, cast

import pytest
from support_ledger import delivered, stored

from dicomanon_node.ledger import outbox, schema
from dicomanon_node.ledger.database import engine_of
from dicomanon_node.ledger.outbox import AuditEvent, Outbox
from dicomanon_node.ledger.records import Note, Record, Refusal
from dicomanon_node.ledger.store import Ledger

SECOND = 1_000_000
START = 1_700_000_000 * SECOND
MR = "1.2.840.10008.5.1.4.1.1.4"
CLOSED = Note(9, "association-closed", {"association": "1-1", "peer": "192.0.2.7"})


class Box:
    """A ledger that is audited, and its outbox."""

    def __init__(self, path: Path, *, is_audited: bool = True) -> None:
        self.writing = engine_of(path, is_writer=True)
        self.ledger = Ledger(self.writing, is_audited=is_audited)
        self.outbox = Outbox(engine_of(path, is_writer=False), self.writing)

    def ingest(self, *records: Record) -> None:
        self.ledger.ingest(records, {})

    def take_in(self, *records: Record, now: int = START) -> None:
        """As the ledger does, at a time of our own."""
        with self.writing.begin() as connection:
            outbox.take_in(connection, records, now)

    def gather(self, now: int, *, is_last: bool = False) -> int:
        with self.writing.begin() as connection:
            return outbox.gather(connection, now, is_last=is_last)

    @property
    def events(self) -> list[AuditEvent]:
        return self.outbox.next(1000)

    @property
    def told(self) -> list[tuple[str, Any]]:
        """Kinds, and counts by SOP class if there are any."""
        return [(event.kind, event.facts.get("classes")) for event in self.events]


@pytest.fixture(name="box")
def _box(tmp_path: Path) -> Box:
    return Box(tmp_path / "ledger.sqlite")


def test_a_ledger_that_is_not_audited_leaves_nothing(tmp_path: Path) -> None:
    box = Box(tmp_path / "ledger.sqlite", is_audited=False)
    box.ingest(stored(), delivered(), Note(1, "started", {}), CLOSED)
    assert box.ledger.gather(is_last=True) == 0
    assert box.events == []


def test_notes_of_the_audit_are_events_and_others_are_not(box: Box) -> None:
    box.ingest(Note(5, "started", {"version": "1"}), Note(6, "held", {}), Note(7, "stopped", {}))
    assert [(event.at, event.kind) for event in box.events] == [(5, "started"), (7, "stopped")]
    assert box.events[0].facts == {"version": "1"}


def test_an_association_is_told_once_for_each_study_when_it_ends(box: Box) -> None:
    ct = {"study_uid": "2.25.8", "patient": "P2", "sop_class": "1.2.3"}
    box.ingest(stored(1, patient="P1"), stored(2, patient="P1"), stored(3, **ct))
    box.ingest(stored(4, patient="P1", sop_class="1.2.3"))
    assert box.told == [("begin", None), ("begin", None)]
    box.ingest(CLOSED)
    [_, _, *imports] = box.events
    assert sorted(event.facts["classes"] for event in imports) == [
        [["1.2.3", 1]],
        [["1.2.3", 1], [MR, 2]],
    ]
    assert {event.facts["patient"] for event in imports} == {"P1", "P2"}
    assert {event.facts["calling_aet"] for event in imports} == {"SCANNER1"}
    assert {event.facts["peer"] for event in imports} == {"192.0.2.7"}
    assert box.gather(START * 2) == 0


def test_the_receipt_says_which_address_it_was(box: Box) -> None:
    box.ingest(stored(peer="192.0.2.8"), CLOSED)
    assert [event.facts["peer"] for event in box.events] == ["192.0.2.8", "192.0.2.8"]


def test_what_came_once_more_and_what_was_refused_is_told_apart(box: Box) -> None:
    refusal = Refusal(3, "no-study", 0x0110, "f" * 32, "1.2.3", "1-1", "SCANNER1")
    box.ingest(stored(1), stored(1, is_duplicate=True), refusal, refusal, CLOSED)
    assert box.told == [
        ("begin", None),
        ("import", [[MR, 1]]),
        ("refusal", [["", 2]]),
        ("resend", [[MR, 1]]),
    ]


def test_associations_do_not_end_each_other(box: Box) -> None:
    box.ingest(stored(1), stored(2, association="1-2"), CLOSED)
    assert [kind for kind, _ in box.told] == ["begin", "begin", "import"]


def test_an_association_of_which_nothing_more_comes_is_told_all_the_same(box: Box) -> None:
    box.take_in(stored(1))
    box.take_in(stored(2), now=START + 30 * SECOND)
    assert box.gather(START + 80 * SECOND) == 0
    assert box.gather(START + 90 * SECOND) == 1
    assert box.told == [("begin", None), ("import", [[MR, 2]])]


def test_what_goes_on_for_long_is_told_in_parts(box: Box) -> None:
    for seconds in range(0, 601, 50):
        box.take_in(stored(seconds), now=START + seconds * SECOND)
    assert box.gather(START + 600 * SECOND) == 1
    box.take_in(stored(700), now=START + 601 * SECOND)
    assert [kind for kind, _ in box.told] == ["begin", "import", "begin"]


def test_a_clock_that_was_set_back_holds_nothing_up(box: Box) -> None:
    box.take_in(stored(1))
    assert box.gather(START - 3600 * SECOND) == 1


def test_deliveries_are_told_for_each_destination_and_study(box: Box) -> None:
    box.ingest(stored(1, patient="P1"), stored(2, patient="P1"), stored(3, study_uid="2.25.8"))
    box.ingest(CLOSED)
    box.take_in(delivered(1), delivered(2), delivered(3), delivered(1, destination="share"))
    box.take_in(delivered(2, is_delivered=False, status=0xA700, reason="refused"))
    assert box.gather(START + 9 * SECOND) == 0
    assert box.gather(START + 10 * SECOND) == 4
    told = sorted(
        (event.kind, event.facts["party"], event.facts["study_uid"], event.facts["classes"])
        for event in box.events
        if event.kind.startswith("export")
    )
    assert told == [
        ("export", "pacs", "2.25.1", [[MR, 2]]),
        ("export", "pacs", "2.25.8", [[MR, 1]]),
        ("export", "share", "2.25.1", [[MR, 1]]),
        ("export-failed", "pacs", "2.25.1", [[MR, 1]]),
    ]


def test_a_delivery_recorded_before_its_receipt_waits_for_it(box: Box) -> None:
    box.take_in(delivered(1))
    assert box.gather(START + 1 * SECOND) == 0
    box.ingest(stored(1, patient="P1"))
    box.gather(START + 2 * SECOND)
    box.gather(START + 90 * SECOND)
    [exported] = [event for event in box.events if event.kind == "export"]
    assert exported.facts["patient"] == "P1"


def test_a_delivery_without_a_receipt_is_told_in_the_end(box: Box) -> None:
    box.take_in(delivered(1), delivered(2))
    assert box.gather(START + 59 * SECOND) == 0
    box.gather(START + 60 * SECOND)
    box.gather(START + 70 * SECOND)
    assert box.told == [("export", [["", 2]])]
    assert box.events[0].facts["study_uid"] == ""


def test_with_the_last_records_everything_is_told(box: Box) -> None:
    box.ingest(stored(1), delivered(1), delivered(7))
    assert box.ledger.gather(is_last=True) == 3
    assert sorted(kind for kind, _ in box.told) == ["begin", "export", "export", "import"]


def test_a_batch_that_fails_tells_the_audit_nothing(box: Box) -> None:
    wrong = Note(1, "held", {"x": cast("Any", object())})
    with pytest.raises(TypeError):
        box.ingest(stored(1), Note(1, "started", {}), wrong)
    assert box.events == []
    assert box.gather(START, is_last=True) == 0


def test_what_was_told_goes_and_what_is_too_old(box: Box) -> None:
    box.ingest(*(Note(number, "started", {}) for number in range(1, 6)))
    box.outbox.remove(box.events[:2])
    assert [event.at for event in box.events] == [3, 4, 5]
    assert box.outbox.drop(5) == 2
    assert box.outbox.drop(5) == 0
    assert [event.at for event in box.events] == [5]
    assert box.outbox.count() == 1


def test_more_that_wait_for_receipts_than_are_looked_at_together_are_told(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_LOOKED_AT", 10)
    box.take_in(*(delivered(number) for number in range(35)))
    box.gather(START, is_last=True)
    assert box.told == [("export", [["", 35]])]


def test_a_ledger_of_before_the_audit_becomes_one_with(tmp_path: Path) -> None:
    engine = engine_of(tmp_path / "ledger.sqlite", is_writer=True)
    with engine.begin() as connection:
        schema.migrate(connection, schema.STEPS[:3])
        connection.exec_driver_sql("ALTER TABLE receipts DROP COLUMN patient")
        connection.exec_driver_sql(
            "INSERT INTO receipts (id, study, sop_instance_uid, variant, study_uid, series_uid,"
            " original_study, original_series, original_instance, sop_class, transfer_syntax,"
            " rules, key_id, bytes_count, is_written, first_at, last_at, received_count,"
            " association, calling_aet)"
            " VALUES (1, 'ABCD', '2.25.300001', 0, '2.25.1', '2.25.2', '', '',"
            " '', '1.2.3', '1.2', '', '', 1, 1, 1, 1, 1, '1-1', 'CT1')"
        )
    box = Box(tmp_path / "ledger.sqlite")
    box.ingest(delivered(1), stored(2, patient="P2"))
    assert box.ledger.gather(is_last=True) == 2
    [old] = [event for event in box.events if event.kind == "export"]
    assert (old.facts["study_uid"], old.facts["patient"]) == ("2.25.1", "")


def test_many_at_once_are_told_completely(box: Box) -> None:
    box.ingest(*(stored(number) for number in range(1200)))
    box.ingest(*(delivered(number) for number in range(1200)))
    box.ledger.gather(is_last=True)
    assert sorted(box.told[1:]) == [("export", [[MR, 1200]]), ("import", [[MR, 1200]])]
