"""An outgoing tree with its spool and its ledger, for retention."""

import time
from pathlib import Path, PurePosixPath
from typing import Any

from support_ledger import opened, stored

from dicomanon_node.completion.retention import Retention, Swept
from dicomanon_node.ledger.database import engine_of
from dicomanon_node.ledger.records import Record
from dicomanon_node.ledger.removals import Removals
from dicomanon_node.spool.spool import Spool

DIRECTORY = "ABCD/P/1.2"


class Site:
    """An outgoing tree, a spool and the ledger of both."""

    def __init__(self, root: Path) -> None:
        self.outgoing, self.spool_path = root / "outgoing", root / "spool"
        self.ledger_path = root / "ledger.sqlite"
        self.spool = Spool(
            self.spool_path, self.outgoing, ["pacs", "xnat"], low_water_bytes=0, sync=False
        )
        self.spool.prepare()
        self.ledger = opened(self.ledger_path)
        self.told: list[str] = []

    def put(
        self,
        number: int,
        *,
        destinations: tuple[str, ...] = (),
        directory: str = DIRECTORY,
        content: bytes = b"object",
        **changes: Any,  # noqa: ANN401  (of a receipt)
    ) -> Path:
        """Commit an object as a receiver does, and take its receipt in; its file."""
        record = stored(number, at=1, directory=directory, destinations=destinations, **changes)
        name = f"{record.sop_instance_uid}.dcm"
        self.commit(name, destinations, directory, content)
        self.take(record)
        return self.outgoing / directory / name

    def commit(
        self, name: str, destinations: tuple[str, ...], directory: str, content: bytes
    ) -> None:
        file = self.spool.open()
        file.write([content])
        file.commit(
            outgoing_path=PurePosixPath(directory, name),
            queue_name=name,
            destinations=destinations,
        )
        file.discard()

    def take(self, *records: Record) -> None:
        self.ledger.ingest(records, {})

    def sweep(self, before: int | None = None, *, is_dry: bool = False) -> Swept:
        retention = Retention(
            self.outgoing,
            self.spool_path,
            Removals(engine_of(self.ledger_path, is_writer=not is_dry)),
            lambda: 77,
            lambda path, _size: self.told.append(path),
        )
        return retention.sweep(far_future() if before is None else before, is_dry=is_dry)


def far_future() -> int:
    return time.time_ns() // 1000 + 10**12
