"""The tables of the ledger, and how an older ledger becomes today's.

SQLAlchemy Core, and of SQL only what SQLite and PostgreSQL share. Times are microseconds
since the epoch, UTC. A ledger says which version it is; each step from one version to the
next is one function, run in one transaction with the new version number.
"""

from collections.abc import Callable
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    inspect,
    select,
    text,
    update,
)

from dicomanon_node.errors import NodeError

METADATA: Final = MetaData()

_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts only INTEGER by itself

META: Final = Table(
    "meta",
    METADATA,
    Column("name", String(40), primary_key=True),
    Column("value", Text, nullable=False),
)
POSITIONS: Final = Table(
    "positions",
    METADATA,
    Column("journal", String(80), primary_key=True),
    Column("position", BigInteger, nullable=False),
)
RECEIPTS: Final = Table(
    "receipts",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("study", String(200), nullable=False),
    Column("sop_instance_uid", String(64), nullable=False),
    Column("variant", Integer, nullable=False),
    Column("study_uid", String(64), nullable=False),
    Column("series_uid", String(64), nullable=False),
    Column("original_study", String(32), nullable=False),
    Column("original_series", String(32), nullable=False),
    Column("original_instance", String(32), nullable=False),
    Column("sop_class", String(64), nullable=False),
    Column("transfer_syntax", String(64), nullable=False),
    Column("rules", String(64), nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("bytes_count", BigInteger, nullable=False),
    Column("is_written", Boolean, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("received_count", Integer, nullable=False),
    Column("association", String(64), nullable=False),
    Column("calling_aet", String(200), nullable=False),
    Column("directory", Text),
    Column("file_name", String(255)),
    Column("removed_at", BigInteger),
    Column("patient", String(200), nullable=False, server_default=""),
    UniqueConstraint("sop_instance_uid", "study", "variant"),
    Index("receipts_study_uid", "study_uid"),
    Index("receipts_original_study", "original_study"),
    Index("receipts_original_series", "original_series"),
    Index("receipts_original_instance", "original_instance"),
    Index("receipts_last_at", "last_at"),
)
DELIVERIES: Final = Table(
    "deliveries",
    METADATA,
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("destination", String(200), primary_key=True),
    Column("queued_at", BigInteger),
    Column("delivered_at", BigInteger),
    Column("delivered_count", Integer, nullable=False),
    Column("failed_at", BigInteger),
    Column("failed_count", Integer, nullable=False),
    Column("status", Integer),
    Column("reason", String(40)),
    Column("attempts", Integer),
)
REFUSALS: Final = Table(
    "refusals",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("reason", String(40), nullable=False),
    Column("status", Integer, nullable=False),
    Column("original_instance", String(32), nullable=False),
    Column("sop_class", String(64), nullable=False),
    Column("association", String(64), nullable=False),
    Column("calling_aet", String(200), nullable=False),
    Column("study", String(200), nullable=False),
    Column("rules", String(64), nullable=False),
    Column("bytes_count", BigInteger, nullable=False),
    Index("refusals_at", "at"),
    Index("refusals_original_instance", "original_instance"),
)
NOTES: Final = Table(
    "notes",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("kind", String(40), nullable=False),
    Column("facts", Text, nullable=False),
    Index("notes_at", "at"),
)
LINKS: Final = Table(
    "links",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("patient", String(64), nullable=False),
    Column("study_uid", String(64), nullable=False),
    Column("mark", String(32), nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("sealed", Text, nullable=False),
    UniqueConstraint("patient", "study_uid", "mark"),
    Index("links_study_uid", "study_uid"),
    Index("links_key_id", "key_id"),
)
AUDIT_EVENTS: Final = Table(
    "audit_events",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("kind", String(40), nullable=False),
    Column("facts", Text, nullable=False),
)
AUDIT_TRANSFERS: Final = Table(
    "audit_transfers",
    METADATA,
    Column("kind", String(40), primary_key=True),
    Column("party", String(200), primary_key=True),
    Column("study_uid", String(64), primary_key=True),
    Column("patient", String(200), primary_key=True),
    Column("sop_class", String(64), primary_key=True),
    Column("study", String(200), nullable=False),
    Column("calling_aet", String(200), nullable=False),
    Column("peer", String(64), nullable=False),
    Column("instances", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("begun_at", BigInteger, nullable=False),
    Column("touched_at", BigInteger, nullable=False),
)
AUDIT_WAITING: Final = Table(
    "audit_waiting",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("sop_instance_uid", String(64), nullable=False),
    Column("destination", String(200), nullable=False),
    Column("is_delivered", Boolean, nullable=False),
    Column("noted_at", BigInteger, nullable=False),
)

STUDIES: Final = Table(
    "studies",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("study", String(200), nullable=False),
    Column("study_uid", String(64), nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("told_instances", Integer, nullable=False),
    Column("told_receipt", BigInteger, nullable=False),
    UniqueConstraint("study", "study_uid"),
    Index("studies_is_open", "is_open"),
)
COMPLETIONS: Final = Table(
    "completions",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("study", String(200), nullable=False),
    Column("study_uid", String(64), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("facts", Text, nullable=False),
    UniqueConstraint("study", "study_uid", "revision"),
    Index("completions_at", "at"),
)
TELLINGS: Final = Table(
    "tellings",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("completion", BigInteger, nullable=False),
    Column("channel", String(40), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("is_told", Boolean, nullable=False),
    UniqueConstraint("completion", "channel"),
    Index("tellings_due", "channel", "ended_at", "next_at"),
)

_FIRST = (META, POSITIONS, RECEIPTS, DELIVERIES, REFUSALS, NOTES)
_VERSION_NAME: Final = "schema_version"


class SchemaError(NodeError):
    """The ledger is of a version that this program does not know."""


def _make_first(connection: Connection) -> None:
    METADATA.create_all(connection, tables=_FIRST)


def _add_links(connection: Connection) -> None:
    METADATA.create_all(connection, tables=(LINKS,))


def _add_completion(connection: Connection) -> None:
    # The first step makes the table as it is today.
    known = {column["name"] for column in inspect(connection).get_columns(RECEIPTS.name)}
    for name, kind in (("directory", "TEXT"), ("file_name", "TEXT"), ("removed_at", "BIGINT")):
        if name not in known:
            connection.execute(text(f"ALTER TABLE {RECEIPTS.name} ADD COLUMN {name} {kind}"))
    METADATA.create_all(connection, tables=(STUDIES, COMPLETIONS, TELLINGS))


def _add_audit(connection: Connection) -> None:
    columns = {column["name"] for column in inspect(connection).get_columns(RECEIPTS.name)}
    if "patient" not in columns:  # a ledger that begins today has it from the first step
        connection.exec_driver_sql(
            "ALTER TABLE receipts ADD COLUMN patient VARCHAR(200) NOT NULL DEFAULT ''"
        )
    METADATA.create_all(connection, tables=(AUDIT_EVENTS, AUDIT_TRANSFERS, AUDIT_WAITING))


STEPS: Final[tuple[Callable[[Connection], None], ...]] = (
    _make_first,
    _add_links,
    _add_completion,
    _add_audit,
)
"""`STEPS[n]` makes version n + 1 of version n; version 0 is an empty database."""


def version(connection: Connection) -> int:
    """The version of a ledger; 0 if there is none yet."""
    if not inspect(connection).has_table(META.name):
        return 0
    found = connection.scalar(select(META.c.value).where(META.c.name == _VERSION_NAME))
    return int(found) if found is not None and found.isdigit() else 0


def migrate(
    connection: Connection, steps: tuple[Callable[[Connection], None], ...] = STEPS
) -> None:
    """Bring a ledger to today's version, in the caller's transaction.

    Raises:
        SchemaError: It is of a later version.
    """
    found = version(connection)
    if found > len(steps):
        raise SchemaError(f"it is of version {found}; this program knows {len(steps)}")
    for number, step in enumerate(steps[found:], start=found + 1):
        step(connection)
        changed = connection.execute(
            update(META).where(META.c.name == _VERSION_NAME).values(value=str(number))
        )
        if not changed.rowcount:
            connection.execute(META.insert().values(name=_VERSION_NAME, value=str(number)))
