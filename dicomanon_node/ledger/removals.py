"""What retention may remove, as the ledger knows it, and what it has removed.

A file is named only if its age is over and every destination it was ever queued for has
it, since it was queued last. The ledger may be seconds behind: whoever removes looks at
queues and file as well (`completion.retention`).
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine, func, select, update

from dicomanon_node.ledger import schema
from dicomanon_node.ledger.schema import DELIVERIES, RECEIPTS

AT_ONCE: Final = 500

_SLACK_US: Final = 60_000_000
"""An instance may be delivered before its receipt says when it was queued."""


@dataclass(frozen=True, slots=True)
class Old:
    """A file in outgoing whose age is over.

    Attributes:
        id: Number of its receipt.
        last_at: When the instance was received last, microseconds.
        sop_instance_uid: New SOP Instance UID.
        directory: Relative to outgoing.
        file_name: The file's name.
    """

    id: int
    last_at: int
    sop_instance_uid: str
    directory: str
    file_name: str


class Removals:
    """The ledger for retention. Thread-safe.

    Args:
        engine: Its database; as a writer, if anything is to be noted as removed.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        with engine.begin() as connection:
            found = schema.version(connection)
        if found != len(schema.STEPS):
            raise schema.SchemaError(
                f"it is of version {found} and this program reads {len(schema.STEPS)};"
                " start the node to bring it up to date"
            )

    def over(self, before: int, after: int = 0) -> list[Old]:
        """Some hundred files that are older, in the order of their numbers.

        Args:
            before: Received last before this, microseconds.
            after: Number of the last one that is known.
        """
        c, d = RECEIPTS.c, DELIVERIES.c
        # What a destination has, and was to get once more, it does not have yet.
        awaited = func.coalesce(d.queued_at, 0) - _SLACK_US, func.coalesce(d.failed_at, 0)
        missing = [
            select(d.destination)
            .where(
                d.sop_instance_uid == c.sop_instance_uid, func.coalesce(d.delivered_at, -1) < moment
            )
            .exists()
            for moment in awaited
        ]
        query = (
            select(c.id, c.last_at, c.sop_instance_uid, c.directory, c.file_name)
            .where(
                c.id > after,
                c.last_at < before,
                c.is_written,
                c.directory.is_not(None),
                c.removed_at.is_(None),
                *(~one for one in missing),
            )
            .order_by(c.id)
            .limit(AT_ONCE)
        )
        with self._engine.begin() as connection:
            return [
                Old(row[0], row[1], row[2], row[3], row[4] or f"{row[2]}.dcm")
                for row in connection.execute(query)
            ]

    def removed(self, files: list[Old], at: int) -> None:
        """These are gone, durably; but for those that came again meanwhile."""
        c = RECEIPTS.c
        with self._engine.begin() as connection:
            for file in files:
                connection.execute(
                    update(RECEIPTS)
                    .where(c.id == file.id, c.last_at == file.last_at)
                    .values(removed_at=at)
                )

    def close(self) -> None:
        """Give the database back."""
        self._engine.dispose()
