"""The audit is told everything, at least once, and nobody waits for it."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from support_audit import SOURCE, parsed
from support_node import wait_until

from dicomanon_node.audit.telling import AT_ONCE, Telling
from dicomanon_node.audit.transports import FileTransport
from dicomanon_node.ledger.database import engine_of
from dicomanon_node.ledger.outbox import Outbox
from dicomanon_node.ledger.receipts import now
from dicomanon_node.ledger.records import Note
from dicomanon_node.ledger.store import Ledger
from dicomanon_node.ops.events import EVENTS

DAY_US = 86_400_000_000


class Log:
    """Keeps events, which must be declared."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def event(self, name: str, /, **keys: object) -> None:
        assert keys.keys() <= EVENTS[name].key_names
        self.events.append((name, keys))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]


class Flaky:
    """A transport that works when it is told to."""

    def __init__(self) -> None:
        self.works = True
        self.taken: list[bytes] = []
        self.is_open = True

    def send(self, messages: Sequence[bytes]) -> None:
        if not self.works:
            raise ConnectionRefusedError(111, "no")
        self.taken += messages

    def close(self) -> None:
        self.is_open = False


class Audited:
    """A ledger, and a teller of its outbox."""

    def __init__(self, path: Path, *, give_up_days: int = 0) -> None:
        self.path = path
        self.transport = Flaky()
        self.log = Log()
        self.give_up_days = give_up_days
        self.telling = self.another()

    def another(self) -> Telling:
        """As after a restart."""
        return Telling(
            self.open_outbox,
            self.transport,
            SOURCE,
            42,
            self.log,
            give_up_days=self.give_up_days,
        )

    def open_outbox(self) -> Outbox:
        return Outbox(engine_of(self.path, is_writer=False), engine_of(self.path, is_writer=True))

    def note(self, *ats: int, kind: str = "started") -> None:
        with Ledger(engine_of(self.path, is_writer=True), is_audited=True) as ledger:
            ledger.ingest([Note(at, kind, {}) for at in ats], {})


@pytest.fixture(name="audited")
def _audited(tmp_path: Path) -> Audited:
    return Audited(tmp_path / "ledger.sqlite")


def test_a_ledger_that_is_not_there_yet_is_waited_for(audited: Audited) -> None:
    assert audited.telling.turn() == 0
    assert not audited.path.exists()
    audited.note(1)
    assert audited.telling.turn() == 1
    assert audited.log.events == []


def test_what_is_told_is_told_once_and_in_order(audited: Audited) -> None:
    audited.note(*range(1, 2 * AT_ONCE + 10))
    assert audited.telling.turn() == 2 * AT_ONCE + 9
    assert audited.telling.turn() == 0
    times = [
        parsed(message).values("EventIdentification", "EventDateTime")[0]
        for message in audited.transport.taken
    ]
    assert times == sorted(times)
    assert len(set(times)) == 2 * AT_ONCE + 9


def test_a_repository_that_is_away_is_told_later_and_the_log_says_so_once(
    audited: Audited,
) -> None:
    audited.note(1, 2)
    audited.transport.works = False
    assert audited.telling.turn() == audited.telling.turn() == 0
    audited.transport.works = True
    assert audited.telling.turn() == 2
    assert audited.log.names == ["audit.behind", "audit.available"]
    assert audited.log.events[0][1]["untold"] == 2
    assert len(audited.transport.taken) == 2


def test_what_was_not_told_is_told_by_the_next_process(audited: Audited) -> None:
    audited.note(1)
    audited.transport.works = False
    audited.telling.turn()
    audited.transport.works = True
    assert audited.another().turn() == 1


def test_what_may_not_have_arrived_is_told_again(
    audited: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if killed between sending and removing."""
    audited.note(1)

    def killed(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(Outbox, "remove", killed)
        with pytest.raises(SystemExit):
            audited.telling.turn()
    assert audited.another().turn() == 1
    first, second = audited.transport.taken
    assert first == second


def test_what_nobody_takes_for_too_long_is_dropped_and_that_is_told(tmp_path: Path) -> None:
    audited = Audited(tmp_path / "ledger.sqlite", give_up_days=3)
    audited.transport.works = False
    audited.note(now() - 4 * DAY_US, now() - 5 * DAY_US, now() - 2 * DAY_US)
    audited.telling.turn()
    assert audited.log.events[0] == ("audit.dropped", {"untold": 2})
    audited.transport.works = True
    assert audited.telling.turn() == 1


def test_what_this_version_does_not_know_stands_in_nobodys_way(
    audited: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "dicomanon_node.ledger.outbox._AS_THEY_COME", frozenset({"started", "later"})
    )
    audited.note(1, kind="later")
    audited.note(2)
    assert audited.telling.turn() == 2
    assert len(audited.transport.taken) == 1


def test_the_loop_tells_what_comes_and_at_the_end_what_is_left(audited: Audited) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=audited.telling.run, args=(stop,))
    thread.start()
    try:
        audited.note(1)
        wait_until(lambda: audited.transport.taken)
        audited.note(2)
    finally:
        stop.set()
        thread.join()
    assert len(audited.transport.taken) == 2
    assert not audited.transport.is_open


def test_who_is_away_holds_up_no_end(audited: Audited) -> None:
    audited.note(1)
    audited.transport.works = False
    audited.telling.turn()
    stop = threading.Event()
    stop.set()
    begun = time.monotonic()
    audited.telling.run(stop)
    assert time.monotonic() - begun < 5
    audited.transport.works = True
    assert audited.another().turn() == 1


def test_a_full_or_missing_directory_is_told_without_its_name(tmp_path: Path) -> None:
    audited = Audited(tmp_path / "ledger.sqlite")
    audited.note(1)
    telling = Telling(
        audited.open_outbox, FileTransport(tmp_path / "gone" / "x"), SOURCE, 42, audited.log
    )
    assert telling.turn() == 0
    assert audited.log.names == ["audit.behind"]
    (tmp_path / "gone").mkdir()
    assert telling.turn() == 1
