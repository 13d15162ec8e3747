import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest
from support_ledger import delivered, reading, rows, stored
from support_node import wait_until

from dicomanon_node.ledger.journal import Journal
from dicomanon_node.ledger.queries import Wanted
from dicomanon_node.ledger.recorder import Recorder
from dicomanon_node.ledger.records import encode


class Told:
    """A log."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def event(self, name: str, /, **keys: object) -> None:
        self.events.append((name, keys))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]


def uids(path: Path) -> list[str]:
    return [receipt.sop_instance_uid for receipt in reading(path).find(Wanted())]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def test_what_was_read_to_its_end_goes_and_what_is_written_stays(
    tmp_path: Path, path: Path
) -> None:
    alive, dead = Journal(tmp_path), Journal(tmp_path)
    alive.append(encode(stored(1)))
    dead.append(encode(stored(2)))
    dead.close()
    recorder = Recorder(tmp_path, path, Told())
    assert recorder.turn() == 2
    assert len(list((tmp_path / "journal").iterdir())) == 1
    assert len(rows(path, "SELECT * FROM positions")) == 1
    alive.append(encode(stored(3)))
    assert recorder.turn() == 1
    assert recorder.turn() == 0
    assert sorted(uids(path)) == ["2.25.300001", "2.25.300002", "2.25.300003"]


def test_another_recorder_goes_on_where_the_last_one_was(tmp_path: Path, path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(encode(stored(1, destinations=("pacs",))))
    journal.append(encode(delivered(1)))
    first = Recorder(tmp_path, path, Told())
    first.turn()
    with pytest.raises(BlockingIOError):
        Recorder(tmp_path, path, Told()).turn()  # two would count twice
    first.close()
    journal.append(encode(stored(2)))
    assert Recorder(tmp_path, path, Told()).turn() == 1
    assert rows(path, "SELECT delivered_count FROM deliveries") == [(1,)]
    assert rows(path, "SELECT received_count FROM receipts") == [(1,), (1,)]


def test_a_torn_line_is_told(tmp_path: Path, path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(encode(stored(1)))
    journal.append(encode(stored(2))[:-30])
    journal.close()
    log = Told()
    assert Recorder(tmp_path, path, log).turn() == 1
    assert log.events == [("journal.torn", {"torn": 1})]
    assert not list((tmp_path / "journal").iterdir())


def test_nothing_is_lost_while_the_ledger_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "var" / "ledger.sqlite"
    path.parent.write_text("in the way")
    journal, log, stop = Journal(tmp_path), Told(), threading.Event()
    thread = threading.Thread(target=Recorder(tmp_path, path, log).run, args=(stop,))
    thread.start()
    try:
        journal.append(encode(stored(1)))
        wait_until(lambda: "ledger.behind" in log.names)
        path.parent.unlink()
        wait_until(lambda: "ledger.available" in log.names)
        assert uids(path) == ["2.25.300001"]
    finally:
        stop.set()
        thread.join(30)
    assert log.names == ["ledger.behind", "ledger.available"]


def test_told_to_stop_it_records_what_is_left(tmp_path: Path, path: Path) -> None:
    journal, stop = Journal(tmp_path), threading.Event()
    for number in range(5000):
        journal.append(encode(stored(number)))
    journal.close()
    stop.set()
    Recorder(tmp_path, path, Told()).run(stop)
    assert len(uids(path)) == 5000
    assert not list((tmp_path / "journal").iterdir())


def test_what_is_damaged_is_told_and_stays_in_the_journal(tmp_path: Path, path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)
    journal, log, stop = Journal(tmp_path), Told(), threading.Event()
    journal.append(encode(stored(1)))
    stop.set()
    Recorder(tmp_path, path, log).run(stop)
    assert log.names == ["ledger.behind"]
    assert len(list((tmp_path / "journal").iterdir())) == 1


def test_old_receipts_go_once_an_hour(tmp_path: Path, path: Path) -> None:
    day, clock = 86_400_000_000, [0.0]
    journal, log = Journal(tmp_path), Told()
    recorder = Recorder(
        tmp_path,
        path,
        log,
        retention_days=2,
        clock=lambda: clock[0],
        now_us=lambda: 10 * day,
    )
    journal.append(encode(stored(1, at=7 * day)))
    journal.append(encode(stored(2, at=9 * day)))
    recorder.turn()
    assert uids(path) == ["2.25.300002"]
    assert log.events == [("ledger.expired", {"rows": 1})]
    journal.append(encode(stored(3, at=7 * day)))
    recorder.turn()
    assert len(uids(path)) == 2
    clock[0] += 3600
    recorder.turn()
    assert uids(path) == ["2.25.300002"]


def test_each_record_counts_once_however_often_recorder_and_writers_are_killed(
    tmp_path: Path, path: Path
) -> None:
    chance = random.Random(20_261_120)  # noqa: S311  (when to kill)
    appended = tmp_path / "appended"

    def write(first: int) -> None:
        journal = Journal(tmp_path, rotate_bytes=20_000)
        with appended.open("ab", buffering=0) as done:
            for number in range(first, first + 100_000):
                # Both or neither are asked about: what was not noted may be there or not.
                journal.append(encode(stored(number, destinations=("pacs",))))
                journal.append(encode(delivered(number)))
                done.write(b"%d\n" % number)

    def record() -> None:
        Recorder(tmp_path, path, Told()).run(threading.Event())

    for turn in range(12):
        pids = []
        for main in (lambda turn=turn: write(turn * 100_000), record):
            pid = os.fork()
            if not pid:
                try:
                    main()
                finally:
                    os._exit(1)
            pids.append(pid)
        time.sleep(chance.uniform(0.05, 0.4))
        chance.shuffle(pids)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    Recorder(tmp_path, path, Told()).turn()
    noted = [int(line) for line in appended.read_bytes().split(b"\n")[:-1]]
    assert noted
    counted = {
        uid: (received, delivered_count)
        for uid, received, delivered_count in rows(
            path,
            "SELECT r.sop_instance_uid, received_count, delivered_count FROM receipts r"
            " JOIN deliveries USING (sop_instance_uid)",
        )
    }
    assert all(counted[f"2.25.3{number:05}"] == (1, 1) for number in noted)
    assert {received for received, _ in counted.values()} == {1}
    assert {count for _, count in counted.values()} <= {0, 1}
    assert not list((tmp_path / "journal").iterdir())
