"""What is to be told to the audit: filled with the ledger's own transactions, emptied by `audit`.

    records --take_in--> audit_transfers --gather--> audit_events --> sent, then removed
                         audit_waiting

Starts, alerts and the like are events as they come. Instances are counted: for each
association and study what came, for each destination and study what went, until the
association has ended or nothing more has come for a while. A delivery may be recorded before the
receipt that says whose study it is; it waits for that. This module sends nothing.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Engine, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from dicomanon_node.ledger.records import Delivery, Note, Record, Refusal, Stored
from dicomanon_node.ledger.schema import AUDIT_EVENTS, AUDIT_TRANSFERS, AUDIT_WAITING, RECEIPTS

_SECOND_US: Final = 1_000_000
IMPORT_QUIET_US: Final = 60 * _SECOND_US
"""After so long nothing more is expected of an association; it may be one that was killed."""

EXPORT_QUIET_US: Final = 10 * _SECOND_US
LONGEST_US: Final = 600 * _SECOND_US
"""What goes on for longer is told in parts."""

_RECEIPT_US: Final = 60 * _SECOND_US  # how long a delivery waits for its receipt
_CLOCK_US: Final = 60 * _SECOND_US  # what is later than now by that was before the clock was set
_AT_ONCE: Final = 500
_LOOKED_AT: Final = 5000

_IMPORTS: Final = ("import", "resend", "refusal")
_AS_THEY_COME: Final = frozenset(
    {"started", "stopped", "reloaded", "reidentified", "rekeyed", "hold-exported", "alert"}
)


class _Key(NamedTuple):
    kind: str
    party: str
    study_uid: str = ""
    patient: str = ""
    sop_class: str = ""


@dataclass(slots=True)
class _Sum:
    study: str
    calling_aet: str = ""
    peer: str = ""
    instances: int = 0
    at: int = 0


_Sums = dict[_Key, _Sum]


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Something to be told.

    Attributes:
        id: Its number; numbers grow.
        at: When it was, microseconds.
        kind: started, stopped, ... as of `records.Note`, or begin, import, resend, refusal,
            export, export-failed.
        facts: What is to be known of it.
    """

    id: int
    at: int
    kind: str
    facts: Mapping[str, Any]


def take_in(connection: Connection, records: Sequence[Record], now_us: int) -> None:
    """Take in what the ledger takes in, in its transaction and after it.

    Args:
        connection: In a transaction.
        records: What has happened.
        now_us: The time, microseconds.
    """
    sums: _Sums = {}
    for record in records:
        if isinstance(record, Stored):
            kind = "resend" if record.is_duplicate else "import"
            key = _Key(kind, record.association, record.study_uid, record.patient, record.sop_class)
            _add(sums, key, record.at, _Sum(record.study, record.calling_aet, record.peer))
        elif isinstance(record, Refusal):
            key = _Key("refusal", record.association)
            _add(sums, key, record.at, _Sum("", record.calling_aet))
    deliveries = [record for record in records if isinstance(record, Delivery)]
    waiting = [
        {
            "at": delivery.at,
            "sop_instance_uid": delivery.sop_instance_uid,
            "destination": delivery.destination,
            "is_delivered": delivery.is_delivered,
            "noted_at": now_us,
        }
        for delivery in _count_deliveries(connection, deliveries, sums)
    ]
    if waiting:
        connection.execute(AUDIT_WAITING.insert(), waiting)
    _begin(connection, sums)
    _write(connection, sums, now_us)
    notes = [record for record in records if isinstance(record, Note)]
    for note in notes:
        if note.kind in _AS_THEY_COME:
            _tell(connection, note.at, note.kind, note.facts)
    peers = {
        str(note.facts["association"]): str(note.facts.get("peer", ""))
        for note in notes
        if note.kind == "association-closed" and "association" in note.facts
    }
    _close(connection, peers)


def gather(connection: Connection, now_us: int, *, is_last: bool = False) -> int:
    """Make events of transfers that seem to be over.

    Args:
        connection: In a transaction.
        now_us: The time, microseconds.
        is_last: Nothing more comes.

    Returns:
        How many events.
    """
    while _look_for_receipts(connection, now_us, is_last=is_last) and is_last:
        pass
    groups = _groups(connection.execute(select(AUDIT_TRANSFERS)))
    over = []
    for (kind, *_), rows in groups.items():
        quiet_us = IMPORT_QUIET_US if kind in _IMPORTS else EXPORT_QUIET_US
        touched_at = max(row.touched_at for row in rows)
        begun_at = min(row.begun_at for row in rows)
        is_over = now_us - touched_at >= quiet_us or now_us - begun_at >= LONGEST_US
        if is_last or is_over or touched_at > now_us + _CLOCK_US:
            over.append(rows)
    _finish(connection, over, {})
    return len(over)


class Outbox:
    """What waits to be told, for whoever tells it. Not thread-safe.

    Args:
        reading: The ledger's database, as a reader.
        writing: The same, as a writer; used only when something was told.
    """

    def __init__(self, reading: Engine, writing: Engine) -> None:
        self._reading = reading
        self._writing = writing

    def next(self, limit: int) -> list[AuditEvent]:
        """The oldest ones.

        Raises:
            SQLAlchemyError: The ledger does not work, or the recorder has not made it yet.
        """
        query = select(AUDIT_EVENTS).order_by(AUDIT_EVENTS.c.id).limit(limit)
        with self._reading.connect() as connection:
            return [
                AuditEvent(row.id, row.at, row.kind, json.loads(row.facts))
                for row in connection.execute(query)
            ]

    def count(self) -> int:
        """How many there are.

        Raises:
            SQLAlchemyError: The ledger does not work.
        """
        with self._reading.connect() as connection:
            return connection.scalar(select(func.count()).select_from(AUDIT_EVENTS)) or 0

    def remove(self, told: Iterable[AuditEvent]) -> None:
        """These have been told.

        Raises:
            SQLAlchemyError: The ledger does not work: they will be told once more.
        """
        with self._writing.begin() as connection:
            numbers = [event.id for event in told]
            connection.execute(delete(AUDIT_EVENTS).where(AUDIT_EVENTS.c.id.in_(numbers)))

    def drop(self, before: int) -> int:
        """Remove what is older, told or not; how many there were.

        Args:
            before: Microseconds.

        Raises:
            SQLAlchemyError: The ledger does not work.
        """
        old = AUDIT_EVENTS.c.at < before
        with self._reading.connect() as connection:
            if not connection.scalar(select(func.count()).select_from(AUDIT_EVENTS).where(old)):
                return 0
        with self._writing.begin() as connection:
            return connection.execute(delete(AUDIT_EVENTS).where(old)).rowcount

    def close(self) -> None:
        """Give the database back."""
        self._reading.dispose()
        self._writing.dispose()


def _add(sums: _Sums, key: _Key, at: int, new: _Sum) -> None:
    found = sums.setdefault(key, new)
    found.instances += 1
    found.at = max(found.at, at)


def _count_deliveries(connection: Connection, deliveries: Sequence[Any], sums: _Sums) -> list[Any]:
    """Count those whose receipt is there; the others."""
    left = []
    for start in range(0, len(deliveries), _AT_ONCE):
        part = deliveries[start : start + _AT_ONCE]
        c = RECEIPTS.c
        query = select(c.sop_instance_uid, c.study_uid, c.patient, c.sop_class, c.study).where(
            c.sop_instance_uid.in_([delivery.sop_instance_uid for delivery in part])
        )
        known = {row.sop_instance_uid: row for row in connection.execute(query)}
        for delivery in part:
            row = known.get(delivery.sop_instance_uid)
            if row is None:
                left.append(delivery)
                continue
            kind = "export" if delivery.is_delivered else "export-failed"
            key = _Key(kind, delivery.destination, row.study_uid, row.patient, row.sop_class)
            _add(sums, key, delivery.at, _Sum(row.study))
    return left


def _look_for_receipts(connection: Connection, now_us: int, *, is_last: bool) -> int:
    """Count deliveries that waited for their receipt, or waited long enough; how many."""
    query = select(AUDIT_WAITING).order_by(AUDIT_WAITING.c.id).limit(_LOOKED_AT)
    waiting = connection.execute(query).all()
    if not waiting:
        return 0
    sums: _Sums = {}
    left = {row.id: row for row in _count_deliveries(connection, waiting, sums)}
    for number, row in list(left.items()):
        if is_last or not 0 <= now_us - row.noted_at < _RECEIPT_US:  # there is none
            kind = "export" if row.is_delivered else "export-failed"
            _add(sums, _Key(kind, row.destination), row.at, _Sum(""))
            del left[number]
    done = [row.id for row in waiting if row.id not in left]
    for start in range(0, len(done), _AT_ONCE):
        part = done[start : start + _AT_ONCE]
        connection.execute(delete(AUDIT_WAITING).where(AUDIT_WAITING.c.id.in_(part)))
    _write(connection, sums, now_us)
    return len(done)


def _begin(connection: Connection, sums: _Sums) -> None:
    """Tell of each study that an association has begun to bring."""
    new: dict[tuple[str, str], tuple[_Key, _Sum]] = {}
    for key, total in sums.items():
        if key.kind in ("import", "resend"):
            new.setdefault((key.party, key.study_uid), (key, total))
    parties = sorted({party for party, _ in new})
    c = AUDIT_TRANSFERS.c
    for start in range(0, len(parties), _AT_ONCE):
        known = select(c.party, c.study_uid).where(
            c.party.in_(parties[start : start + _AT_ONCE]), c.kind.in_(("import", "resend"))
        )
        for row in connection.execute(known):
            new.pop((row.party, row.study_uid), None)
    for key, total in new.values():
        facts = _facts(key, total.study, total.calling_aet, total.peer)
        _tell(connection, total.at, "begin", facts)


def _write(connection: Connection, sums: _Sums, now_us: int) -> None:
    if not sums:
        return
    is_postgresql = connection.dialect.name == "postgresql"
    made: Any = (postgresql if is_postgresql else sqlite).insert(AUDIT_TRANSFERS)
    c = AUDIT_TRANSFERS.c
    connection.execute(
        made.on_conflict_do_update(
            index_elements=[c.kind, c.party, c.study_uid, c.patient, c.sop_class],
            set_={
                "instances": c.instances + made.excluded.instances,
                "at": made.excluded.at,
                "touched_at": made.excluded.touched_at,
            },
        ),
        [
            {
                **key._asdict(),
                "study": total.study,
                "calling_aet": total.calling_aet,
                "peer": total.peer,
                "instances": total.instances,
                "at": total.at,
                "begun_at": now_us,
                "touched_at": now_us,
            }
            for key, total in sums.items()
        ],
    )


def _close(connection: Connection, peers: Mapping[str, str]) -> None:
    """These associations have ended."""
    names = sorted(peers)
    c = AUDIT_TRANSFERS.c
    for start in range(0, len(names), _AT_ONCE):
        ended = select(AUDIT_TRANSFERS).where(
            c.party.in_(names[start : start + _AT_ONCE]), c.kind.in_(_IMPORTS)
        )
        _finish(connection, _groups(connection.execute(ended)).values(), peers)


def _groups(rows: Iterable[Any]) -> dict[tuple[str, str, str, str], list[Any]]:
    found: dict[tuple[str, str, str, str], list[Any]] = defaultdict(list)
    for row in rows:
        found[row.kind, row.party, row.study_uid, row.patient].append(row)
    return found


def _finish(
    connection: Connection, groups: Iterable[Sequence[Any]], peers: Mapping[str, str]
) -> None:
    c = AUDIT_TRANSFERS.c
    for rows in groups:
        first = rows[0]
        key = _Key(first.kind, first.party, first.study_uid, first.patient)
        peer = first.peer or peers.get(first.party, "")
        facts = _facts(key, first.study, first.calling_aet, peer)
        facts["classes"] = sorted([row.sop_class, row.instances] for row in rows)
        _tell(connection, max(row.at for row in rows), first.kind, facts)
        connection.execute(
            delete(AUDIT_TRANSFERS).where(
                c.kind == key.kind,
                c.party == key.party,
                c.study_uid == key.study_uid,
                c.patient == key.patient,
            )
        )


def _facts(key: _Key, study: str, calling_aet: str, peer: str) -> dict[str, Any]:
    return {
        "party": key.party,
        "study_uid": key.study_uid,
        "patient": key.patient,
        "study": study,
        "calling_aet": calling_aet,
        "peer": peer,
    }


def _tell(connection: Connection, at: int, kind: str, facts: Mapping[str, Any]) -> None:
    text = json.dumps(dict(facts), separators=(",", ":"))
    connection.execute(AUDIT_EVENTS.insert().values(at=at, kind=kind, facts=text))
