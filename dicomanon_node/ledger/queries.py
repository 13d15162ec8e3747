"""The ledger, read: receipts with their deliveries, refusals and notes.

For commands and for processes that come after storing (commitment, audit, completion of
studies). Reads only, as of one moment; what was recorded in the last second may be missing.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Engine, Row, func, or_, select

from dicomanon_node.ledger import schema
from dicomanon_node.ledger.records import Fact, Link
from dicomanon_node.ledger.schema import DELIVERIES, LINKS, NOTES, RECEIPTS, REFUSALS

_AT_ONCE: Final = 500
"""Receipts whose deliveries are asked for together; SQLite takes 999 values and more."""


class State(StrEnum):
    """Where an instance is on its way to a destination."""

    QUEUED = "queued"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """An instance and one destination. Times are microseconds, UTC.

    Attributes:
        destination: Its name.
        queued_at: When it was queued last; None if only its end is known.
        delivered_at: When the destination took it last.
        delivered_count: How often it did.
        failed_at: When it went to failed/ last.
        failed_count: How often it did.
        status: Last status word of the destination.
        reason: Why it failed, if that was last; a fixed word.
        attempts: Attempts of the last time.
    """

    destination: str
    queued_at: int | None
    delivered_at: int | None
    delivered_count: int
    failed_at: int | None
    failed_count: int
    status: int | None
    reason: str | None
    attempts: int | None

    @property
    def state(self) -> State:
        """Where it is: delivered is delivered, also when it is sent once more."""
        if self.delivered_at is not None and self.delivered_at >= (self.failed_at or 0):
            return State.DELIVERED
        return State.QUEUED if self.failed_at is None else State.FAILED


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is known of one instance that was answered 0000H; fields as of `records.Stored`.

    Attributes:
        variant: 0; 1 and on for other objects of the same UID.
        first_at: When it was received first, microseconds.
        last_at: When it was received last.
        received_count: How often it was received.
        association: The last one that brought it.
        directory: Where its file is, relative to outgoing; None is not known.
        file_name: The file's name; "" is `<SOP Instance UID>.dcm`.
        removed_at: When retention removed the file; None if it has not.
        deliveries: One for each destination it was queued for.
    """

    study: str
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    variant: int
    original_study: str
    original_series: str
    original_instance: str
    sop_class: str
    transfer_syntax: str
    rules: str
    key_id: str
    bytes_count: int
    is_written: bool
    first_at: int
    last_at: int
    received_count: int
    association: str
    calling_aet: str
    directory: str | None
    file_name: str | None
    removed_at: int | None
    patient: str
    deliveries: tuple[DeliveryState, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which receipts; what is None does not matter.

    Attributes:
        uid: New Study, Series or SOP Instance UID.
        original: Keyed hash of an original one.
        study: Name of a study's rule.
        since: Received then or later, microseconds.
        until: Received before, microseconds.
    """

    uid: str | None = None
    original: str | None = None
    study: str | None = None
    since: int | None = None
    until: int | None = None

    def clauses(self) -> list[ColumnElement[bool]]:
        """As SQL."""
        c = RECEIPTS.c
        found: list[ColumnElement[bool]] = []
        if self.uid is not None:
            found.append(
                or_(
                    c.sop_instance_uid == self.uid,
                    c.study_uid == self.uid,
                    c.series_uid == self.uid,
                )
            )
        if self.original is not None:
            found.append(
                or_(
                    c.original_instance == self.original,
                    c.original_study == self.original,
                    c.original_series == self.original,
                )
            )
        if self.study is not None:
            found.append(c.study == self.study)
        if self.since is not None:
            found.append(c.last_at >= self.since)
        if self.until is not None:
            found.append(c.last_at < self.until)
        return found


@dataclass(frozen=True, slots=True)
class Counts:
    """What there is of a study's rule.

    Attributes:
        study: Its name.
        studies: Different Study Instance UIDs.
        instances: Receipts.
        bytes_count: Their data sets as received, bytes.
    """

    study: str
    studies: int
    instances: int
    bytes_count: int


@dataclass(frozen=True, slots=True)
class NoteRow:
    """A note and its number; numbers grow."""

    id: int
    at: int
    kind: str
    facts: Mapping[str, Fact]


class Receipts:
    """Reads a ledger. Thread-safe.

    Args:
        engine: Its database, as a reader.

    Raises:
        SchemaError: It is of another version than this program's.
        SQLAlchemyError: The database does not work.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        with engine.connect() as connection:
            found = schema.version(connection)
        if found != len(schema.STEPS):
            raise schema.SchemaError(
                f"it is of version {found} and this program reads {len(schema.STEPS)};"
                " start the node to bring it up to date"
            )

    def find(self, wanted: Wanted, limit: int | None = None) -> Iterator[Receipt]:
        """Receipts, the oldest first.

        Args:
            wanted: Which.
            limit: How many at most.
        """
        query = select(RECEIPTS).where(*wanted.clauses()).order_by(RECEIPTS.c.id).limit(limit)
        with self._engine.connect() as connection:
            rows = connection.execution_options(yield_per=_AT_ONCE).execute(query)
            for part in rows.partitions(_AT_ONCE):
                yield from self._with_deliveries(connection, part)

    def of_instances(self, uids: Iterable[str]) -> dict[str, list[Receipt]]:
        """The receipts of new SOP Instance UIDs, by UID; none is an empty list."""
        asked = list(dict.fromkeys(uids))
        found: dict[str, list[Receipt]] = {uid: [] for uid in asked}
        with self._engine.connect() as connection:
            for start in range(0, len(asked), _AT_ONCE):
                part = asked[start : start + _AT_ONCE]
                query = select(RECEIPTS).where(RECEIPTS.c.sop_instance_uid.in_(part))
                rows = connection.execute(query.order_by(RECEIPTS.c.id)).all()
                for receipt in self._with_deliveries(connection, rows):
                    found[receipt.sop_instance_uid].append(receipt)
        return found

    def count(self, wanted: Wanted) -> list[Counts]:
        """Counts by study rule, by name."""
        c = RECEIPTS.c
        query = (
            select(
                c.study,
                func.count(c.study_uid.distinct()),
                func.count(),
                func.sum(c.bytes_count),
            )
            .where(*wanted.clauses())
            .group_by(c.study)
            .order_by(c.study)
        )
        with self._engine.connect() as connection:
            return [Counts(*row) for row in connection.execute(query)]

    def refused(self, original: str) -> list[Mapping[str, Any]]:
        """Refusals of an original SOP Instance UID's hash, the oldest first."""
        query = select(REFUSALS).where(REFUSALS.c.original_instance == original)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(REFUSALS.c.id))
            return [dict(row._mapping) for row in rows]  # noqa: SLF001  (public, despite its name)

    def notes(self, after: int = 0, kinds: Sequence[str] = ()) -> list[NoteRow]:
        """Notes in the order they were recorded.

        Args:
            after: Number of the last one that is known already.
            kinds: Only these; none is all.
        """
        query = select(NOTES).where(NOTES.c.id > after).order_by(NOTES.c.id)
        if kinds:
            query = query.where(NOTES.c.kind.in_(kinds))
        with self._engine.connect() as connection:
            return [
                NoteRow(row.id, row.at, row.kind, json.loads(row.facts))
                for row in connection.execute(query)
            ]

    def links(self, name: str) -> list[Link]:
        """Entries of the crosswalk for a new Patient ID, or a new UID of any level."""
        studies = select(RECEIPTS.c.study_uid).where(
            or_(RECEIPTS.c.sop_instance_uid == name, RECEIPTS.c.series_uid == name)
        )
        c = LINKS.c
        query = select(LINKS).where(
            or_(c.patient == name, c.study_uid == name, c.study_uid.in_(studies))
        )
        with self._engine.connect() as connection:
            return [
                Link(row.at, row.patient, row.study_uid, row.mark, row.key_id, row.sealed)
                for row in connection.execute(query.order_by(c.id))
            ]

    def link_counts(self) -> dict[str, int]:
        """How many entries of the crosswalk each key opens, by key id."""
        query = select(LINKS.c.key_id, func.count()).group_by(LINKS.c.key_id)
        with self._engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def close(self) -> None:
        """Give the database back."""
        self._engine.dispose()

    def _with_deliveries(
        self, connection: Connection, rows: Sequence[Row[Any]]
    ) -> Iterator[Receipt]:
        known: dict[str, list[DeliveryState]] = defaultdict(list)
        uids = {row.sop_instance_uid for row in rows}
        query = select(DELIVERIES).where(DELIVERIES.c.sop_instance_uid.in_(uids))
        for row in connection.execute(query.order_by(DELIVERIES.c.destination)):
            values = dict(row._mapping)  # noqa: SLF001  (public, despite its name)
            known[values.pop("sop_instance_uid")].append(DeliveryState(**values))
        for row in rows:
            values = dict(row._mapping)  # noqa: SLF001  (public, despite its name)
            del values["id"]
            yield Receipt(**values, deliveries=tuple(known[row.sop_instance_uid]))
