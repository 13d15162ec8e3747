"""A server of another maker for the load generator, and small samples for it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydicom import dcmwrite
from pynetdicom import AE, evt
from pynetdicom.events import Event

from benchmarks.throughput import load, workers
from benchmarks.throughput.samples import Input

SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5")


@contextmanager
def stock_server(input_: Input, directory: Path, max_pdu: int = 16382) -> Iterator[int]:
    """pynetdicom as it comes, which writes what it gets; its port."""
    directory.mkdir()
    lock = threading.Lock()

    def store(event: Event) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        with lock:
            dcmwrite(directory / f"{dataset.SOPInstanceUID}.dcm", dataset, enforce_file_format=True)
        return 0x0000

    entity = AE("STOCK")
    entity.maximum_pdu_size = max_pdu
    for sample in input_.samples:
        entity.add_supported_context(sample.sop_class_uid, list(SYNTAXES))
    server: Any = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)]
    )
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def blast(
    input_: Input,
    port: int,
    scratch: Path,
    *,
    workers_count: int = 1,
    is_association_each: bool = False,
) -> list[dict[str, Any]]:
    """Let the load generator send; its results."""
    tasks = [
        load.Task(
            port=port,
            called="STOCK",
            samples=[asdict(sample) for sample in input_.samples],
            measure=7,
            worker=worker,
            count=3,
            warm_count=1,
            is_association_each=is_association_each,
            timeout_s=20,
        )
        for worker in range(workers_count)
    ]
    with workers.started(tasks, scratch) as go:
        return go(lambda: None)
