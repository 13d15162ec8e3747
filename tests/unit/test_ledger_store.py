import itertools
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError
from support_ledger import delivered, opened, reading, rows, stored

from dicomanon_node.ledger import schema
from dicomanon_node.ledger.database import engine_of
from dicomanon_node.ledger.queries import State, Wanted
from dicomanon_node.ledger.records import Note, Record, Refusal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "ledger.sqlite"


def test_a_receipt_says_what_the_record_said(path: Path) -> None:
    with opened(path) as ledger:
        ledger.ingest([stored(7, destinations=("pacs", "share"))], {"1-1.jsonl": 10})
    [receipt] = reading(path).find(Wanted())
    assert receipt.sop_instance_uid == "2.25.300007"
    assert (receipt.study, receipt.calling_aet, receipt.bytes_count) == ("ABCD", "SCANNER1", 1000)
    assert (receipt.first_at, receipt.last_at, receipt.received_count) == (7_000_000, 7_000_000, 1)
    assert [(entry.destination, entry.state) for entry in receipt.deliveries] == [
        ("pacs", State.QUEUED),
        ("share", State.QUEUED),
    ]


def test_the_files_are_for_their_user_alone(path: Path) -> None:
    with opened(path) as ledger:
        ledger.ingest([stored()], {})
        found = {entry.name: entry.stat().st_mode for entry in path.parent.iterdir()}
    assert "ledger.sqlite" in found
    assert {stat.S_IMODE(mode) for mode in found.values()} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_an_instance_that_comes_again_keeps_one_receipt(path: Path) -> None:
    with opened(path) as ledger:
        ledger.ingest([stored(1), stored(2)], {})
        ledger.ingest([replace(stored(1), at=9, association="1-9", is_duplicate=True)], {})
    first, _ = reading(path).find(Wanted())
    assert (first.received_count, first.first_at, first.last_at) == (2, 9, 1_000_000)
    assert first.association == "1-9"


def test_another_object_of_the_same_uid_has_a_receipt_of_its_own(path: Path) -> None:
    variant = stored(1, is_variant=True, bytes_count=77)
    with opened(path) as ledger:
        ledger.ingest([stored(1), variant], {})
        ledger.ingest([variant, replace(variant, is_duplicate=True)], {})
    found = list(reading(path).find(Wanted(uid="2.25.300001")))
    assert [(receipt.variant, receipt.received_count) for receipt in found] == [
        (0, 1),
        (1, 1),
        (2, 2),
    ]


ORDERS = st.permutations(
    [
        stored(1, destinations=("pacs",)),
        stored(2, destinations=("pacs",)),
        delivered(1),
        delivered(2, is_delivered=False, reason="refused", status=0xA900),
        stored(3, destinations=("pacs",)),
    ]
)


@given(ORDERS, st.lists(st.integers(0, 5), max_size=3))
@settings(max_examples=25, deadline=None)
def test_the_order_of_records_and_batches_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record], cuts: list[int]
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "ledger.sqlite"
    edges = [0, *sorted(cuts), len(records)]
    with opened(path) as ledger:
        for start, end in itertools.pairwise(edges):
            ledger.ingest(records[start:end], {"1-1.jsonl": end})
    states = {
        receipt.sop_instance_uid: [(entry.state, entry.reason) for entry in receipt.deliveries]
        for receipt in reading(path).find(Wanted())
    }
    assert states == {
        "2.25.300001": [(State.DELIVERED, "")],
        "2.25.300002": [(State.FAILED, "refused")],
        "2.25.300003": [(State.QUEUED, None)],
    }


def test_what_failed_and_was_retried_is_delivered(path: Path) -> None:
    with opened(path) as ledger:
        ledger.ingest([stored(1, destinations=("pacs",))], {})
        ledger.ingest([delivered(1, is_delivered=False, reason="refused")], {})
        ledger.ingest([delivered(1, at=9_000_000, attempts=2)], {})
    [receipt] = reading(path).find(Wanted())
    [entry] = receipt.deliveries
    assert (entry.state, entry.failed_count, entry.delivered_count) == (State.DELIVERED, 1, 1)


def test_a_batch_that_fails_leaves_nothing_not_even_its_position(path: Path) -> None:
    broken = stored(2, destinations=("pacs", None))
    with opened(path) as ledger:
        ledger.ingest([stored(1)], {"1-1.jsonl": 10})
        with pytest.raises(Exception, match="NOT NULL"):
            ledger.ingest([broken], {"1-1.jsonl": 20})
        assert ledger.positions() == {"1-1.jsonl": 10}
    assert rows(path, "SELECT count(*) FROM receipts") == [(1,)]


def test_readers_do_not_wait_for_the_writer_nor_it_for_them(path: Path) -> None:
    with opened(path) as ledger:
        ledger.ingest([stored(number) for number in range(1000)], {})
        found = reading(path).find(Wanted())
        assert next(found).sop_instance_uid == "2.25.300000"
        ledger.ingest([stored(number) for number in range(1000, 1500)], {})
        assert len(list(found)) == 999  # as of the moment they were asked for
    assert sum(1 for _ in reading(path).find(Wanted())) == 1500


def test_a_reader_cannot_write(path: Path) -> None:
    opened(path).close()
    engine = engine_of(path, is_writer=False)
    with engine.connect() as connection, pytest.raises(OperationalError, match="readonly"):
        connection.execute(text("DELETE FROM receipts"))
    engine.dispose()


def test_a_reader_makes_no_ledger(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        reading(path)
    assert not path.parent.exists()


def test_receipts_are_found_by_each_uid_and_each_hash(path: Path) -> None:
    with opened(path) as ledger:
        ledger.ingest([stored(1), stored(2, study="EFGH", study_uid="2.25.9")], {})
    found = reading(path)

    def uids(**wanted: object) -> list[str]:
        return [receipt.sop_instance_uid[-1] for receipt in found.find(Wanted(**wanted))]  # type: ignore[arg-type]

    assert uids(uid="2.25.300002") == ["2"]
    assert uids(uid="2.25.9") == ["2"]
    assert uids(uid="2.25.2") == ["1", "2"]
    assert uids(original=f"{1:032x}") == ["1"]
    assert uids(original="a1" * 16) == ["1", "2"]
    assert uids(study="EFGH") == ["2"]
    assert uids(since=2_000_000) == ["2"]
    assert uids(until=2_000_000) == ["1"]
    assert uids(uid="2.25.9", study="ABCD") == []


def test_receipts_of_many_instances_are_asked_for_at_once(path: Path) -> None:
    with opened(path) as ledger:
        ledger.ingest([stored(n, destinations=("pacs",)) for n in range(1200)], {})
    asked = [f"2.25.3{number:05}" for number in range(0, 1300, 2)]
    found = reading(path).of_instances(asked)
    assert list(found) == asked
    assert [len(found[uid]) for uid in asked] == [1] * 600 + [0] * 50


def test_counts_are_by_study(path: Path) -> None:
    with opened(path) as ledger:
        ledger.ingest([stored(1), stored(2), stored(3, study="EFGH", study_uid="2.25.9")], {})
    counts = reading(path).count(Wanted())
    assert [(entry.study, entry.studies, entry.instances) for entry in counts] == [
        ("ABCD", 1, 2),
        ("EFGH", 1, 1),
    ]


def test_refusals_and_notes_are_kept(path: Path) -> None:
    refusal = Refusal(1, "no-study", 0x0110, "f" * 32, "1.2.3", "1-1", "CT1")
    with opened(path) as ledger:
        ledger.ingest([refusal, Note(2, "started", {"version": "1", "clean": True})], {})
        ledger.add(Note(3, "stopped", {}))
    found = reading(path)
    [refused] = found.refused("f" * 32)
    assert (refused["reason"], refused["status"]) == ("no-study", 0x0110)
    first, second = found.notes()
    assert (first.kind, first.facts) == ("started", {"version": "1", "clean": True})
    assert found.notes(after=first.id) == [second]
    assert found.notes(kinds=["stopped"]) == [second]


def test_what_is_old_goes_and_what_came_again_stays(path: Path) -> None:
    old = Refusal(1, "no-study", 0x0110, "f" * 32, "1.2.3", "1-1", "CT1")
    with opened(path) as ledger:
        ledger.ingest([stored(n, destinations=("pacs",)) for n in range(1, 6)], {})
        ledger.ingest([stored(1, at=9_000_000), delivered(2), old, Note(1, "started", {})], {})
        assert ledger.expire(4_000_000) == 2 + 2 + 1 + 1
        assert ledger.expire(4_000_000) == 0
    kept = [receipt.sop_instance_uid[-1] for receipt in reading(path).find(Wanted())]
    assert kept == ["1", "4", "5"]
    assert len(rows(path, "SELECT * FROM deliveries")) == 3


def test_an_empty_ledger_becomes_todays_step_by_step(path: Path) -> None:
    engine = engine_of(path, is_writer=True)
    with engine.begin() as connection:
        schema.migrate(connection, schema.STEPS[:1])
    assert rows(path, "SELECT value FROM meta") == [("1",)]
    with opened(path) as ledger:
        ledger.ingest([stored()], {})
    assert rows(path, "SELECT value FROM meta") == [(str(len(schema.STEPS)),)]


def test_a_step_keeps_what_was_there_and_is_taken_once(path: Path) -> None:
    with opened(path) as ledger:
        ledger.ingest([stored()], {})
    taken = []

    def add_column(connection: Connection) -> None:
        taken.append(1)
        connection.execute(text("ALTER TABLE receipts ADD COLUMN later TEXT DEFAULT 'x'"))

    engine = engine_of(path, is_writer=True)
    for _ in range(2):
        with engine.begin() as connection:
            schema.migrate(connection, (*schema.STEPS, add_column))
    assert taken == [1]
    assert rows(path, "SELECT sop_instance_uid, later FROM receipts") == [("2.25.300001", "x")]


def test_a_ledger_from_before_completion_gets_its_columns(path: Path) -> None:
    engine = engine_of(path, is_writer=True)
    with engine.begin() as connection:
        schema.migrate(connection, schema.STEPS[:2])
        for name in ("directory", "file_name", "removed_at"):  # as the first step made it then
            connection.execute(text(f"ALTER TABLE receipts DROP COLUMN {name}"))
    before = stored(1, directory="A/B")
    with opened(path) as ledger:
        ledger.ingest([before], {})
    assert [receipt.directory for receipt in reading(path).find(Wanted())] == ["A/B"]
    assert rows(path, "SELECT * FROM studies UNION SELECT 1,1,1,1,1,1,1,1 FROM tellings") == []


def test_a_step_that_fails_changes_nothing(path: Path) -> None:
    opened(path).close()

    def fail(connection: Connection) -> None:
        connection.execute(text("DROP TABLE notes"))
        raise RuntimeError("on purpose")

    engine = engine_of(path, is_writer=True)
    with pytest.raises(RuntimeError, match="on purpose"), engine.begin() as connection:
        schema.migrate(connection, (*schema.STEPS, fail))
    assert rows(path, "SELECT value FROM meta") == [(str(len(schema.STEPS)),)]
    assert rows(path, "SELECT count(*) FROM notes") == [(0,)]


def test_a_ledger_of_a_later_version_is_not_touched(path: Path) -> None:
    with opened(path) as ledger:
        ledger.ingest([stored()], {})
    engine = engine_of(path, is_writer=True)
    with engine.begin() as connection:
        connection.execute(text("UPDATE meta SET value = '99'"))
    with pytest.raises(schema.SchemaError, match="version 99"):
        opened(path)
    with pytest.raises(schema.SchemaError, match="version 99"):
        reading(path)
    assert rows(path, "SELECT count(*) FROM receipts") == [(1,)]
