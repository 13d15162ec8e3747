"""The ledger's studies: what has come of each, which are complete, and whom that was told.

    studies      (study rule, Study Instance UID): open while something comes of it
    completions  one for each revision of a study, with the facts as they were then
    tellings     a completion and a channel (log, command, url): ended, or to be tried again

The recorder opens a study in the transaction that takes in an instance of it (`store`).
Who completes it closes it, writes the completion and what is to be told of it in one
transaction: a kill finds all of that done or nothing. Decides nothing: who does is
`completion.watch`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, and_, case, func, select, update

from dicomanon_node.ledger import schema
from dicomanon_node.ledger.schema import (
    COMPLETIONS,
    DELIVERIES,
    NOTES,
    POSITIONS,
    RECEIPTS,
    STUDIES,
    TELLINGS,
)

_CLOSED_KIND: Final = "association-closed"
_FILES: Final = 10

_STUDY: Final = (
    STUDIES.c.id,
    STUDIES.c.study,
    STUDIES.c.study_uid,
    STUDIES.c.last_at,
    STUDIES.c.revision,
    STUDIES.c.told_receipt,
)


@dataclass(frozen=True, slots=True)
class OpenStudy:
    """A study of which something has come since it was complete last.

    Attributes:
        id: Its number in the ledger.
        study: Name of the study's rule.
        study_uid: New Study Instance UID.
        last_at: When the last of it was received, microseconds.
        revision: The last one that was complete; 0 for none.
        told_receipt: Number of the newest receipt that was part of it.
    """

    id: int
    study: str
    study_uid: str
    last_at: int
    revision: int
    told_receipt: int


@dataclass(frozen=True, slots=True)
class SeriesCount:
    """What there is of a series.

    Attributes:
        series_uid: New Series Instance UID.
        instances: How many.
        bytes_count: Data sets as received, bytes.
    """

    series_uid: str
    instances: int
    bytes_count: int


@dataclass(frozen=True, slots=True)
class DestinationCount:
    """How far a destination is with a study, in instances."""

    name: str
    queued: int
    delivered: int
    failed: int


@dataclass(frozen=True, slots=True)
class Completed:
    """A study as it is complete.

    Attributes:
        at: When that was found, microseconds.
        study: Name of the study's rule.
        study_uid: New Study Instance UID.
        revision: 1, and one more each time more has come.
        directory: Where an object of it is, relative to outgoing; None: not there.
        series: By UID.
        destinations: By name.
    """

    at: int
    study: str
    study_uid: str
    revision: int
    directory: str | None
    series: tuple[SeriesCount, ...]
    destinations: tuple[DestinationCount, ...]

    @property
    def instances(self) -> int:
        """How many there are of the study."""
        return sum(entry.instances for entry in self.series)

    @property
    def bytes_count(self) -> int:
        """Their data sets as received, bytes."""
        return sum(entry.bytes_count for entry in self.series)


@dataclass(frozen=True, slots=True)
class Telling:
    """A completion that a channel is to be told, once at least.

    Attributes:
        id: Its number.
        at: When the study was complete, microseconds.
        attempts: Those that failed.
        facts: The completion, as JSON.
    """

    id: int
    at: int
    attempts: int
    facts: str

    def document(self) -> dict[str, Any]:
        """The facts."""
        found: dict[str, Any] = json.loads(self.facts)
        return found


class Studies:
    """The studies of a ledger, for whoever completes them and tells. Thread-safe.

    Args:
        engine: Its database, as a writer.
        reader: The same as a reader, who waits for no writer; None: as a writer.

    Raises:
        SchemaError: It is of a later version than this program.
        SQLAlchemyError: The database does not work.
    """

    def __init__(self, engine: Engine, reader: Engine | None = None) -> None:
        self._engine = engine
        self._reader = reader or engine
        with engine.begin() as connection:
            schema.migrate(connection)

    def positions(self) -> dict[str, int]:
        """How far each journal has been read, by its name."""
        with self._reader.begin() as connection:
            rows = connection.execute(select(POSITIONS.c.journal, POSITIONS.c.position))
            return {row.journal: row.position for row in rows}

    def open(self) -> list[OpenStudy]:
        """Those that something has come of, whoever has waited longest first."""
        c = STUDIES.c
        query = select(*_STUDY).where(c.is_open).order_by(c.last_at)
        with self._reader.begin() as connection:
            return [OpenStudy(*row) for row in connection.execute(query)]

    def closings(self, since: int) -> set[str]:
        """Identifiers of the associations that ended since a time, microseconds."""
        query = select(NOTES.c.facts).where(NOTES.c.kind == _CLOSED_KIND, NOTES.c.at >= since)
        with self._reader.begin() as connection:
            return {
                str(json.loads(facts).get("association")) for facts in connection.scalars(query)
            }

    def associations(self, study: OpenStudy) -> set[str]:
        """The associations that brought what is new of a study."""
        query = (
            select(RECEIPTS.c.association)
            .distinct()
            .where(*_of(study), RECEIPTS.c.id > study.told_receipt)
        )
        with self._reader.begin() as connection:
            return set(connection.scalars(query))

    def is_delivered(self, study: OpenStudy) -> bool:
        """Whether each of its destinations has each of its instances."""
        c = DELIVERIES.c
        query = (
            select(c.destination)
            .join(RECEIPTS, RECEIPTS.c.sop_instance_uid == c.sop_instance_uid)
            .where(*_of(study), _UNDELIVERED)
            .limit(1)
        )
        with self._reader.begin() as connection:
            return connection.execute(query).first() is None

    def complete(
        self,
        study: OpenStudy,
        at: int,
        channels: Sequence[str],
        describe: Callable[[Completed], Mapping[str, object]],
    ) -> Completed | None:
        """Close a study and leave word of it, durably, if nothing came meanwhile.

        Args:
            study: As it was when that was decided.
            at: Now, microseconds.
            channels: Who is to be told.
            describe: Makes the facts that are told.

        Returns:
            The completion. None: something came meanwhile, or only what was told already.
        """
        with self._engine.begin() as connection:
            known = connection.execute(
                select(STUDIES).where(
                    STUDIES.c.id == study.id, STUDIES.c.is_open, STUDIES.c.last_at == study.last_at
                )
            ).first()
            if known is None:
                return None
            completed, newest = self._look(connection, study, at, known.revision + 1)
            changes: dict[str, Any] = {"is_open": False}
            is_new = newest > known.told_receipt or completed.instances > known.told_instances
            if is_new:
                changes |= {
                    "revision": completed.revision,
                    "told_instances": completed.instances,
                    "told_receipt": newest,
                }
                self._leave_word(connection, completed, channels, describe(completed))
            connection.execute(update(STUDIES).where(STUDIES.c.id == study.id).values(changes))
        return completed if is_new else None

    def due(self, channel: str, now: int) -> Telling | None:
        """What a channel is to be told next, the oldest first."""
        query = (
            select(TELLINGS.c.id, COMPLETIONS.c.at, TELLINGS.c.attempts, COMPLETIONS.c.facts)
            .join(COMPLETIONS, COMPLETIONS.c.id == TELLINGS.c.completion)
            .where(
                TELLINGS.c.channel == channel,
                TELLINGS.c.ended_at.is_(None),
                TELLINGS.c.next_at <= now,
            )
            .order_by(TELLINGS.c.id)
            .limit(1)
        )
        with self._reader.begin() as connection:
            row = connection.execute(query).first()
        return None if row is None else Telling(*row)

    def ended(self, telling: Telling, now: int, *, is_told: bool) -> None:
        """A channel was told, or is given up."""
        self._change(telling, ended_at=now, is_told=is_told, attempts=telling.attempts + 1)

    def again(self, telling: Telling, next_at: int) -> None:
        """A channel could not be told; it is tried again then."""
        self._change(telling, next_at=next_at, attempts=telling.attempts + 1)

    def complete_now(self) -> list[OpenStudy]:
        """Those that are complete as they are, the first completed first."""
        c = STUDIES.c
        query = select(*_STUDY).where(~c.is_open, c.revision > 0).order_by(c.id)
        with self._reader.begin() as connection:
            return [OpenStudy(*row) for row in connection.execute(query)]

    def mark(self) -> tuple[int, int]:
        """Something that is different once other studies, or other revisions, are complete."""
        c = STUDIES.c
        query = select(func.count(), func.coalesce(func.sum(c.revision), 0))
        with self._reader.begin() as connection:
            row = connection.execute(query.where(~c.is_open, c.revision > 0)).one()
        return row[0], row[1]

    def files_of(self, study: OpenStudy) -> list[tuple[str, str]]:
        """Directory and name of some objects of a study that were written to outgoing."""
        c = RECEIPTS.c
        query = (
            select(c.directory, c.file_name, c.sop_instance_uid)
            .where(*_of(study), c.is_written, c.directory.is_not(None), c.removed_at.is_(None))
            .order_by(c.id)
            .limit(_FILES)
        )
        with self._reader.begin() as connection:
            return [(row[0], row[1] or f"{row[2]}.dcm") for row in connection.execute(query)]

    def close(self) -> None:
        """Give the database back."""
        self._engine.dispose()
        self._reader.dispose()

    def _change(self, telling: Telling, **values: object) -> None:
        with self._engine.begin() as connection:
            connection.execute(update(TELLINGS).where(TELLINGS.c.id == telling.id).values(values))

    def _look(
        self, connection: Connection, study: OpenStudy, at: int, revision: int
    ) -> tuple[Completed, int]:
        c = RECEIPTS.c
        series = connection.execute(
            select(c.series_uid, func.count(), func.sum(c.bytes_count), func.max(c.id))
            .where(*_of(study))
            .group_by(c.series_uid)
            .order_by(c.series_uid)
        ).all()
        directory = connection.scalar(
            select(c.directory)
            .where(*_of(study), c.is_written, c.directory.is_not(None), c.removed_at.is_(None))
            .order_by(c.id)
            .limit(1)
        )
        uids = select(c.sop_instance_uid).where(*_of(study))
        d = DELIVERIES.c
        is_failed = and_(_UNDELIVERED, d.failed_at.is_not(None))
        is_queued = and_(_UNDELIVERED, d.failed_at.is_(None))
        destinations = connection.execute(
            select(d.destination, _count(is_queued), _count(~_UNDELIVERED), _count(is_failed))
            .where(d.sop_instance_uid.in_(uids))
            .group_by(d.destination)
            .order_by(d.destination)
        )
        completed = Completed(
            at=at,
            study=study.study,
            study_uid=study.study_uid,
            revision=revision,
            directory=directory,
            series=tuple(SeriesCount(row[0], row[1], row[2]) for row in series),
            destinations=tuple(DestinationCount(*row) for row in destinations),
        )
        return completed, max((row[3] for row in series), default=0)

    def _leave_word(
        self,
        connection: Connection,
        completed: Completed,
        channels: Sequence[str],
        facts: Mapping[str, object],
    ) -> None:
        made = connection.execute(
            COMPLETIONS.insert().values(
                at=completed.at,
                study=completed.study,
                study_uid=completed.study_uid,
                revision=completed.revision,
                facts=json.dumps(facts),
            )
        )
        [number] = made.inserted_primary_key or (0,)
        if channels:
            connection.execute(
                TELLINGS.insert(),
                [
                    {
                        "completion": number,
                        "channel": channel,
                        "attempts": 0,
                        "next_at": completed.at,
                        "is_told": False,
                    }
                    for channel in channels
                ],
            )


# The same as `queries.DeliveryState.state`: delivered, if that was not followed by a failure.
_UNDELIVERED: Final = func.coalesce(DELIVERIES.c.delivered_at, -1) < func.coalesce(
    DELIVERIES.c.failed_at, 0
)


def _count(condition: Any) -> Any:  # noqa: ANN401  (expressions)
    return func.sum(case((condition, 1), else_=0))


def _of(study: OpenStudy) -> tuple[Any, ...]:
    return RECEIPTS.c.study_uid == study.study_uid, RECEIPTS.c.study == study.study
