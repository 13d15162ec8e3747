"""What the ledger is asked: receipts by keyed hash of the original UID."""

import sqlite3
from pathlib import Path

import pytest

from dicomanon_node.commitment.answering import Holding, UnavailableError
from dicomanon_node.commitment.holdings import LedgerHoldings
from dicomanon_node.deid.pseudonyms import Key
from dicomanon_node.ledger.database import engine_of
from dicomanon_node.ledger.origins import Origins
from dicomanon_node.ledger.records import Delivery, Stored
from dicomanon_node.ledger.store import Ledger

CT = "1.2.840.10008.5.1.4.1.1.2"
ORIGINS = Origins(Key(b"k" * 32))


def stored(original: str, new: str, at: int = 1, destinations: tuple[str, ...] = ()) -> Stored:
    return Stored(
        at=at,
        study="default",
        study_uid="2.25.1",
        series_uid="2.25.2",
        sop_instance_uid=new,
        original_study="",
        original_series="",
        original_instance=ORIGINS.hash(original),
        sop_class=CT,
        transfer_syntax="1.2.840.10008.1.2",
        rules="0",
        key_id="0",
        bytes_count=1,
        association="a",
        calling_aet="SCU",
        destinations=destinations,
    )


def holdings(path: Path) -> LedgerHoldings:
    return LedgerHoldings(lambda: engine_of(path, is_writer=False), ORIGINS)


def test_what_was_received_is_found_by_its_original_uid(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(engine_of(path, is_writer=True)) as ledger:
        ledger.ingest([stored(f"1.2.{n}", f"2.25.{n}") for n in range(1200)], {})
        found = holdings(path).find([f"1.2.{n}" for n in range(1300)])
    assert len(found) == 1200
    assert found["1.2.7"] == [Holding(CT, is_delivered=True)]
    assert "1.2.1250" not in found


def test_delivered_is_what_every_destination_took_after_it_was_queued(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(engine_of(path, is_writer=True)) as ledger:
        asks = holdings(path)

        def is_delivered() -> bool:
            [held] = asks.find(["1.2.3"])["1.2.3"]
            return held.is_delivered

        ledger.ingest([stored("1.2.3", "2.25.3", 1, ("one", "two"))], {})
        assert not is_delivered()
        ledger.ingest([Delivery(2, "one", "2.25.3", is_delivered=True)], {})
        assert not is_delivered()
        ledger.ingest([Delivery(3, "two", "2.25.3", is_delivered=False, reason="x")], {})
        assert not is_delivered()
        ledger.ingest([Delivery(4, "two", "2.25.3", is_delivered=True)], {})
        assert is_delivered()
        ledger.ingest([stored("1.2.3", "2.25.3", 5, ("one", "two"))], {})
        assert not is_delivered()


def test_without_a_ledger_it_cannot_be_told_and_later_it_can(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    asks = holdings(path)
    with pytest.raises(UnavailableError):
        asks.find(["1.2.3"])
    path.write_bytes(b"not a database, and longer than the header of one" * 10)
    with pytest.raises(UnavailableError) as raised:
        asks.find(["1.2.3"])
    assert "1.2.3" not in str(raised.value)
    path.unlink()
    with Ledger(engine_of(path, is_writer=True)) as ledger:
        ledger.ingest([stored("1.2.3", "2.25.3")], {})
        assert "1.2.3" in asks.find(["1.2.3"])


def test_what_retention_removed_and_nobody_got_is_not_held_any_more(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(engine_of(path, is_writer=True)) as ledger:
        ledger.ingest([stored("1.2.3", "2.25.1"), stored("1.2.4", "2.25.2", 1, ("pacs",))], {})
    assert set(holdings(path).find(["1.2.3", "1.2.4"])) == {"1.2.3", "1.2.4"}
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE receipts SET removed_at = 7")
    connection.close()
    assert set(holdings(path).find(["1.2.3", "1.2.4"])) == {"1.2.4"}
