"""A connection to the ledger's database: SQLite in a file, or what a URL names.

SQLite writes ahead (WAL), so that readers and the one writer do not wait for each
other, and each transaction is on the disk when it is over. The file is the node's alone
(0600). This module knows no tables.
"""

import os
import sqlite3
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.pool import NullPool

_BUSY_S: Final = 10.0
_DIRECTORY_MODE: Final = 0o700


def engine_of(path: Path, url: str = "", *, is_writer: bool) -> Engine:
    """An engine for the ledger.

    Args:
        path: The SQLite file.
        url: SQLAlchemy's URL of another database; "" is the file.
        is_writer: May write; makes the file if it is missing. SQLite holds a reader to it.

    Raises:
        OSError: The file cannot be made, or a reader finds none.
    """
    if url:
        return create_engine(url, poolclass=NullPool)
    if is_writer:
        _make(path)
    elif not path.is_file():
        raise FileNotFoundError(2, os.strerror(2))
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=NullPool,
        connect_args={"timeout": _BUSY_S},
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _record: Any) -> None:  # noqa: ANN401  (SQLAlchemy's)
        # Without this the driver commits before each change of a table (SQLAlchemy, "pysqlite").
        connection.isolation_level = None
        if is_writer:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
        else:
            connection.execute("PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:  # noqa: ANN401  (SQLAlchemy's)
        # A writer that begins as a reader may find at its first write that it is too late.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN")

    return engine


def _make(path: Path) -> None:
    if not path.parent.exists():
        path.parent.mkdir(_DIRECTORY_MODE, parents=True, exist_ok=True)
    # Its -wal and -shm get the same mode from SQLite.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
