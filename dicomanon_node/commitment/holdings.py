"""What the ledger says the node has: its receipts, found by original SOP Instance UID.

The ledger has keyed hashes of original UIDs, so a UID is hashed as the receipt path does
and looked up. The ledger may not be there yet when a request is: then it cannot be told,
which is neither yes nor no.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from sqlalchemy import Engine, or_, select
from sqlalchemy.exc import SQLAlchemyError

from dicomanon_node.commitment.answering import Holding, UnavailableError
from dicomanon_node.ledger.origins import Origins
from dicomanon_node.ledger.schema import DELIVERIES, RECEIPTS

_AT_ONCE: Final = 500  # values in one statement; SQLite takes 32,766


class LedgerHoldings:
    """Asks the ledger. Not thread-safe.

    Args:
        connect: Makes an engine that reads the ledger; OSError if there is none yet.
        origins: Hashes original UIDs.
    """

    def __init__(self, connect: Callable[[], Engine], origins: Origins) -> None:
        self._connect = connect
        self._origins = origins
        self._engine: Engine | None = None

    def find(self, sop_instance_uids: Sequence[str]) -> Mapping[str, Sequence[Holding]]:
        """The receipts of each of these original SOP Instance UIDs (PHI) that has any.

        Raises:
            UnavailableError: The ledger cannot be read.
        """
        by_hash = {self._origins.hash(uid): uid for uid in sop_instance_uids}
        hashes = list(by_hash)
        found: dict[str, list[Holding]] = defaultdict(list)
        try:
            if self._engine is None:
                self._engine = self._connect()
            for start in range(0, len(hashes), _AT_ONCE):
                for hashed, held in self._ask(self._engine, hashes[start : start + _AT_ONCE]):
                    found[by_hash[hashed]].append(held)
        except (OSError, SQLAlchemyError) as error:
            self.close()
            raise UnavailableError(error) from None
        return found

    def close(self) -> None:
        """Give the database back; the next question opens it again."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    @staticmethod
    def _ask(engine: Engine, hashes: Sequence[str]) -> list[tuple[str, Holding]]:
        r, d = RECEIPTS.c, DELIVERIES.c
        query = (
            select(r.id, r.original_instance, r.sop_class, d.queued_at, d.delivered_at)
            .select_from(RECEIPTS.outerjoin(DELIVERIES, r.sop_instance_uid == d.sop_instance_uid))
            .where(r.original_instance.in_(hashes))
            # What retention has removed, and no destination ever got, is nowhere any more.
            .where(or_(r.removed_at.is_(None), d.destination.is_not(None)))
        )
        receipts: dict[int, tuple[str, Holding]] = {}
        with engine.connect() as connection:
            for row in connection.execute(query):
                _, before = receipts.get(row.id, ("", None))
                is_delivered = _is_delivered(row.queued_at, row.delivered_at) and (
                    before is None or before.is_delivered
                )
                receipts[row.id] = row.original_instance, Holding(row.sop_class, is_delivered)
        return list(receipts.values())


def _is_delivered(queued_at: int | None, delivered_at: int | None) -> bool:
    """Whether a destination has taken what was queued for it last.

    One row is one destination of a receipt; without one it has no destination, so there is
    nothing that could still fail.
    """
    if queued_at is None:
        return True
    return delivered_at is not None and delivered_at >= queued_at
