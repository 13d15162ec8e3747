"""Records, journals and ledgers for tests, and what SQLite itself says of them."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from dicomanon_node.ledger.database import engine_of
from dicomanon_node.ledger.queries import Receipts
from dicomanon_node.ledger.records import Delivery, Stored
from dicomanon_node.ledger.store import Ledger


def stored(number: int = 1, **changes: object) -> Stored:
    """The receipt of an instance."""
    values: dict[str, Any] = {
        "at": 1_000_000 * number,
        "study": "ABCD",
        "study_uid": "2.25.1",
        "series_uid": "2.25.2",
        "sop_instance_uid": f"2.25.3{number:05}",
        "original_study": "a1" * 16,
        "original_series": "a2" * 16,
        "original_instance": f"{number:032x}",
        "sop_class": "1.2.840.10008.5.1.4.1.1.4",
        "transfer_syntax": "1.2.840.10008.1.2.1",
        "rules": "0123456789ab",
        "key_id": "0123abcd",
        "bytes_count": 1000,
        "association": "1-1",
        "calling_aet": "SCANNER1",
    }
    return Stored(**(values | changes))


def delivered(number: int = 1, **changes: object) -> Delivery:
    """That it arrived."""
    values: dict[str, Any] = {
        "at": 1_000_000 * number + 500_000,
        "destination": "pacs",
        "sop_instance_uid": f"2.25.3{number:05}",
        "is_delivered": True,
        "status": 0,
    }
    return Delivery(**(values | changes))


def opened(path: Path) -> Ledger:
    """A ledger to write."""
    return Ledger(engine_of(path, is_writer=True))


def reading(path: Path) -> Receipts:
    """A ledger to read."""
    return Receipts(engine_of(path, is_writer=False))


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """What SQLite itself says, without the program under test."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
        return connection.execute(query).fetchall()
