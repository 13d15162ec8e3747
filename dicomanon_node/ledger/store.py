"""The ledger, written: batches of records in, and what is too old out.

A batch and where it ends in its journals are one transaction, so that each record
counts once. Records of different journals come in no particular order (a delivery may be
read before the receipt of what was delivered), so nothing here depends on one. One
recorder writes at a time; a command that adds a note may come between two batches.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, Self

from sqlalchemy import Connection, Engine, Insert, Table, case, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from dicomanon_node.ledger import outbox, schema
from dicomanon_node.ledger.receipts import now
from dicomanon_node.ledger.records import Delivery, Link, Note, Record, Refusal, Stored
from dicomanon_node.ledger.schema import (
    COMPLETIONS,
    DELIVERIES,
    LINKS,
    NOTES,
    POSITIONS,
    RECEIPTS,
    REFUSALS,
    STUDIES,
    TELLINGS,
)

_EXPIRED_AT_ONCE: Final = 10_000
_RESEALED_AT_ONCE: Final = 500

Row = dict[str, Any]


class Ledger:
    """The ledger for whoever writes it. Not thread-safe.

    Args:
        engine: Its database, as a writer.
        tracks_studies: Whether it keeps which studies something has come of (`studies`).
        is_audited: What is taken in goes to the audit as well (`outbox`).

    Raises:
        SchemaError: It is of a later version than this program.
        SQLAlchemyError: The database does not work.
    """

    def __init__(
        self, engine: Engine, *, tracks_studies: bool = False, is_audited: bool = False
    ) -> None:
        self._engine = engine
        self._tracks_studies = tracks_studies
        self._is_audited = is_audited
        self._is_postgresql = engine.dialect.name == "postgresql"
        with engine.begin() as connection:
            schema.migrate(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the database back."""
        self._engine.dispose()

    def positions(self) -> dict[str, int]:
        """How far each journal has been read, by its name."""
        with self._engine.begin() as connection:
            rows = connection.execute(select(POSITIONS.c.journal, POSITIONS.c.position))
            return {row.journal: row.position for row in rows}

    def ingest(self, records: Iterable[Record], positions: Mapping[str, int]) -> None:
        """Take in records, and remember how far their journals have been read.

        Args:
            records: New ones.
            positions: Where they end, by journal.
        """
        taken = list(records)
        with self._engine.begin() as connection:
            self._take_in(connection, taken)
            if self._tracks_studies:
                self._reopen(connection, taken)
            if self._is_audited:
                outbox.take_in(connection, taken, now())
            if positions:
                made = self._insert(POSITIONS)
                connection.execute(
                    _on_conflict(
                        made, [POSITIONS.c.journal], {"position": _excluded(made).position}
                    ),
                    [{"journal": name, "position": end} for name, end in positions.items()],
                )

    def forget(self, journals: Sequence[str]) -> None:
        """These journals are gone for good: where they were read to is of no more use."""
        if journals:
            with self._engine.begin() as connection:
                connection.execute(delete(POSITIONS).where(POSITIONS.c.journal.in_(journals)))

    def add(self, note: Note) -> None:
        """Write a note, durably, at once; for a process that has no journal."""
        self.ingest([note], {})

    def gather(self, *, is_last: bool = False) -> int:
        """Make audit events of transfers that are over; how many.

        Args:
            is_last: Nothing more comes, so all are over.
        """
        if not self._is_audited:
            return 0
        with self._engine.begin() as connection:
            return outbox.gather(connection, now(), is_last=is_last)

    def expire(self, before: int) -> int:
        """Remove what has not changed since a time, some thousand rows at a time.

        Args:
            before: Microseconds.

        Returns:
            How many rows went; 0 when nothing is left to go.
        """
        with self._engine.begin() as connection:
            count = 0
            for table, column in (
                (RECEIPTS, RECEIPTS.c.last_at),
                (REFUSALS, REFUSALS.c.at),
                (NOTES, NOTES.c.at),
                (COMPLETIONS, COMPLETIONS.c.at),
            ):
                old = select(table.c.id).where(column < before).limit(_EXPIRED_AT_ONCE)
                count += connection.execute(delete(table).where(table.c.id.in_(old))).rowcount
            told = select(COMPLETIONS.c.id).where(COMPLETIONS.c.id == TELLINGS.c.completion)
            count += connection.execute(delete(TELLINGS).where(~told.exists())).rowcount
            old_studies = STUDIES.c.last_at < before, ~STUDIES.c.is_open
            count += connection.execute(delete(STUDIES).where(*old_studies)).rowcount
            last = func.coalesce(
                DELIVERIES.c.delivered_at, DELIVERIES.c.failed_at, DELIVERIES.c.queued_at
            )
            known = select(RECEIPTS.c.id).where(
                RECEIPTS.c.sop_instance_uid == DELIVERIES.c.sop_instance_uid
            )
            count += connection.execute(
                delete(DELIVERIES).where(last < before, ~known.exists())
            ).rowcount
            return count

    def reseal(self, key_id: str, again: Callable[[Link], Link]) -> int:
        """Encrypt some hundred entries of the crosswalk anew, in one transaction.

        Args:
            key_id: Of the key they are encrypted with.
            again: Makes the new entry, under another key.

        Returns:
            How many; 0 when none is left.
        """
        with self._engine.begin() as connection:
            query = select(LINKS).where(LINKS.c.key_id == key_id).limit(_RESEALED_AT_ONCE)
            rows = connection.execute(query).all()
            links = [
                Link(row.at, row.patient, row.study_uid, row.mark, row.key_id, row.sealed)
                for row in rows
            ]
            made = [asdict(again(link)) for link in links]
            if made:
                old = [row.id for row in rows]
                connection.execute(delete(LINKS).where(LINKS.c.id.in_(old)))
                connection.execute(self._linked(), made)
            return len(made)

    def _take_in(self, connection: Connection, records: list[Record]) -> None:
        stored = [record for record in records if isinstance(record, Stored)]
        if plain := [_receipt(record, 0) for record in stored if not record.is_variant]:
            connection.execute(self._received(), plain)
        for record in stored:
            if record.is_variant:
                self._take_in_variant(connection, record)
        queued = [
            {"sop_instance_uid": record.sop_instance_uid, "destination": name, "at": record.at}
            for record in stored
            for name in record.destinations
        ]
        if queued:
            connection.execute(self._queued(), [_queued_row(row) for row in queued])
        ended = [record for record in records if isinstance(record, Delivery)]
        if delivered := [_delivery(record) for record in ended if record.is_delivered]:
            connection.execute(self._ended("delivered"), delivered)
        if failed := [_delivery(record) for record in ended if not record.is_delivered]:
            connection.execute(self._ended("failed"), failed)
        if refused := [asdict(record) for record in records if isinstance(record, Refusal)]:
            connection.execute(REFUSALS.insert(), refused)
        if links := [asdict(record) for record in records if isinstance(record, Link)]:
            connection.execute(self._linked(), links)
        if notes := [_note(record) for record in records if isinstance(record, Note)]:
            connection.execute(NOTES.insert(), notes)

    def _reopen(self, connection: Connection, records: Iterable[Record]) -> None:
        """Something has come of these studies: they are not complete, or not any more."""
        came: dict[tuple[str, str], int] = {}
        for record in records:
            if isinstance(record, Stored):
                key = record.study, record.study_uid
                came[key] = max(came.get(key, 0), record.at)
        if not came:
            return
        made, c = self._insert(STUDIES), STUDIES.c
        connection.execute(
            _on_conflict(
                made,
                [c.study, c.study_uid],
                {"is_open": True, "last_at": _greatest(c.last_at, _excluded(made).last_at)},
            ),
            [
                {
                    "study": study,
                    "study_uid": uid,
                    "last_at": at,
                    "is_open": True,
                    "revision": 0,
                    "told_instances": 0,
                    "told_receipt": 0,
                }
                for (study, uid), at in came.items()
            ],
        )

    def _take_in_variant(self, connection: Connection, record: Stored) -> None:
        """Another object of the same UID: a receipt of its own, unless it came before."""
        latest = connection.scalar(
            select(func.max(RECEIPTS.c.variant)).where(
                RECEIPTS.c.sop_instance_uid == record.sop_instance_uid,
                RECEIPTS.c.study == record.study,
            )
        )
        number = latest or 0
        if record.file_name:
            known = connection.scalar(
                select(RECEIPTS.c.variant).where(
                    RECEIPTS.c.sop_instance_uid == record.sop_instance_uid,
                    RECEIPTS.c.study == record.study,
                    RECEIPTS.c.variant > 0,
                    RECEIPTS.c.directory == record.directory,
                    RECEIPTS.c.file_name == record.file_name,
                )
            )
            if known is not None:
                connection.execute(self._received(), [_receipt(record, known)])
                return
        if not (record.is_duplicate and number):
            number += 1
        connection.execute(self._received(), [_receipt(record, number)])

    def _insert(self, table: Table) -> Insert:
        return postgresql.insert(table) if self._is_postgresql else sqlite.insert(table)

    def _received(self) -> Insert:
        made, c = self._insert(RECEIPTS), RECEIPTS.c
        new = _excluded(made)
        return _on_conflict(
            made,
            [c.sop_instance_uid, c.study, c.variant],
            {
                "first_at": _least(c.first_at, new.first_at),
                "last_at": _greatest(c.last_at, new.last_at),
                "received_count": c.received_count + 1,
                "association": new.association,
                "calling_aet": new.calling_aet,
                "rules": new.rules,
                "key_id": new.key_id,
                "directory": new.directory,
                "file_name": new.file_name,
                "removed_at": None,
                "patient": new.patient,
            },
        )

    def _linked(self) -> Insert:
        made: Any = self._insert(LINKS)
        columns = [LINKS.c.patient, LINKS.c.study_uid, LINKS.c.mark]
        once: Insert = made.on_conflict_do_nothing(index_elements=columns)
        return once

    def _queued(self) -> Insert:
        made, c = self._insert(DELIVERIES), DELIVERIES.c
        new = _excluded(made)
        return _on_conflict(
            made,
            [c.sop_instance_uid, c.destination],
            {"queued_at": _greatest(func.coalesce(c.queued_at, new.queued_at), new.queued_at)},
        )

    def _ended(self, how: str) -> Insert:
        made, c = self._insert(DELIVERIES), DELIVERIES.c
        new = _excluded(made)
        at, count = f"{how}_at", f"{how}_count"
        return _on_conflict(
            made,
            [c.sop_instance_uid, c.destination],
            {
                at: _greatest(func.coalesce(c[at], new[at]), new[at]),
                count: c[count] + 1,
                "status": new.status,
                "reason": new.reason,
                "attempts": new.attempts,
            },
        )


def _on_conflict(made: Insert, columns: Sequence[Any], values: Mapping[str, Any]) -> Insert:
    upserting: Any = made  # both dialects have the method, their common base has not
    changed: Insert = upserting.on_conflict_do_update(index_elements=columns, set_=values)
    return changed


def _excluded(made: Insert) -> Any:  # noqa: ANN401  (as above)
    both: Any = made
    return both.excluded


def _greatest(one: Any, other: Any) -> Any:  # noqa: ANN401  (expressions)
    return case((one > other, one), else_=other)


def _least(one: Any, other: Any) -> Any:  # noqa: ANN401  (expressions)
    return case((one < other, one), else_=other)


def _receipt(record: Stored, variant: int) -> Row:
    return {
        "study": record.study,
        "sop_instance_uid": record.sop_instance_uid,
        "variant": variant,
        "study_uid": record.study_uid,
        "series_uid": record.series_uid,
        "original_study": record.original_study,
        "original_series": record.original_series,
        "original_instance": record.original_instance,
        "sop_class": record.sop_class,
        "transfer_syntax": record.transfer_syntax,
        "rules": record.rules,
        "key_id": record.key_id,
        "bytes_count": record.bytes_count,
        "is_written": record.is_written,
        "first_at": record.at,
        "last_at": record.at,
        "received_count": 1,
        "association": record.association,
        "calling_aet": record.calling_aet,
        "directory": record.directory,
        "file_name": record.file_name,
        "patient": record.patient,
    }


def _queued_row(row: Row) -> Row:
    return {
        "sop_instance_uid": row["sop_instance_uid"],
        "destination": row["destination"],
        "queued_at": row["at"],
        "delivered_count": 0,
        "failed_count": 0,
    }


def _delivery(record: Delivery) -> Row:
    at, other = ("delivered", "failed") if record.is_delivered else ("failed", "delivered")
    return {
        "sop_instance_uid": record.sop_instance_uid,
        "destination": record.destination,
        f"{at}_at": record.at,
        f"{at}_count": 1,
        f"{other}_count": 0,
        "status": record.status,
        "reason": record.reason,
        "attempts": record.attempts,
    }


def _note(record: Note) -> Row:
    return {"at": record.at, "kind": record.kind, "facts": json.dumps(dict(record.facts))}
