"""What receivers have queued is delivered at once, not at the next look into the queue."""

import threading
from contextlib import closing
from pathlib import Path

import pytest
from support_delivery import Facts, SpoolFolders, wait_until

from dicomanon_node.config.model import FolderDestination
from dicomanon_node.delivery import lane
from dicomanon_node.delivery.courier import Courier
from dicomanon_node.delivery.doorbell import Doorbell
from dicomanon_node.delivery.queue import QueueDirectory
from dicomanon_node.node.delivering import RingingFacts, listen
from dicomanon_node.ops.studies import InstanceFact


class Told:
    """Where facts go."""

    def __init__(self) -> None:
        self.facts: list[InstanceFact] = []

    def send(self, fact: InstanceFact) -> None:
        self.facts.append(fact)


def fact(*, is_stored: bool) -> InstanceFact:
    return InstanceFact("study", "2.25.1", "2.25.2", "SENDER", 1000, is_stored)


def test_it_rings_for_what_was_stored_and_tells_every_fact() -> None:
    told = Told()
    with closing(Doorbell()) as bell:
        facts = RingingFacts(told, bell)
        facts.send(fact(is_stored=False))
        assert not bell.wait(0)
        facts.send(fact(is_stored=True))
        assert bell.wait(0)
    assert [fact.is_stored for fact in told.facts] == [False, True]


def test_a_ring_has_a_new_entry_delivered_long_before_the_next_poll(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "POLL_S", 3600.0)
    has_looked = threading.Event()
    look = QueueDirectory.waiting

    def noticed(queue: QueueDirectory, *args: object) -> object:
        found = look(queue, *args)  # type: ignore[arg-type]  # as it was called
        has_looked.set()
        return found

    monkeypatch.setattr(QueueDirectory, "waiting", noticed)
    folders = SpoolFolders(tmp_path).make()
    share = tmp_path / "share"
    share.mkdir()
    destination = FolderDestination.model_validate(
        {"name": "pacs", "kind": "folder", "path": str(share)}
    )
    courier = Courier([destination], tmp_path, Facts(), calling_aet="NODE")
    stop = threading.Event()
    with closing(Doorbell()) as bell:
        threads = [
            threading.Thread(target=courier.run, args=(stop,)),
            threading.Thread(target=listen, args=(bell, courier, stop)),
        ]
        for thread in threads:
            thread.start()
        try:
            assert has_looked.wait(10)
            folders.add("2.25.1")
            RingingFacts(Told(), bell).send(fact(is_stored=True))
            wait_until(lambda: not folders.names())
        finally:
            stop.set()
            for thread in threads:
                thread.join(10)
    assert [path.name for path in share.glob("*.dcm")] == ["2.25.1.dcm"]
