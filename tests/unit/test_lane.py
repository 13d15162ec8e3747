"""The loop of one destination, step by step, with a transport that does as told."""

import os
import random
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pytest
from support_delivery import CT, EXPLICIT, Facts, FakeClock, SpoolFolders, rng, wait_until

from dicomanon_node.delivery import backlog, lane
from dicomanon_node.delivery.backlog import BATCH
from dicomanon_node.delivery.backoff import LIMIT_S
from dicomanon_node.delivery.lane import IDLE_S, POLL_S, Lane
from dicomanon_node.delivery.queue import Entry, QueueDirectory
from dicomanon_node.delivery.suspicion import POISON_LOSSES
from dicomanon_node.delivery.transport import Answer, LostError
from dicomanon_node.errors import DeferredError, RejectedError
from dicomanon_node.network.part10 import DicomFile
from dicomanon_node.ops.declared.delivery import DELIVERY
from dicomanon_node.ops.events import EVENTS

WHEN = datetime(2026, 11, 20, tzinfo=UTC)


class FakeTransport:
    """Takes everything, unless a test says otherwise."""

    def __init__(self) -> None:
        self.delivered: list[str] = []
        self.tried: list[str] = []
        self.prepared: list[list[str]] = []
        self.closed = 0
        self.unreachable: Exception | None = None
        self.decide: Callable[[str], Exception | int | None] = lambda _: 0
        self.window = 1
        self.forgets_when_closed = False
        self.under_way: deque[tuple[DicomFile, Exception | int | None]] = deque()

    def prepare(self, instances: Sequence[DicomFile]) -> None:
        self.prepared.append([instance.sop_instance_uid for instance in instances])
        if self.unreachable:
            raise self.unreachable

    def send(self, instance: DicomFile) -> None:
        assert len(self.under_way) < self.window
        self.tried.append(instance.sop_instance_uid)
        answer = self.decide(instance.sop_instance_uid)
        if isinstance(answer, Exception) and not isinstance(answer, RejectedError | DeferredError):
            raise answer
        self.under_way.append((instance, answer))

    def answer(self) -> Answer:
        instance, answer = self.under_way.popleft()
        if isinstance(answer, LostError):
            self.under_way.clear()
            raise answer
        if isinstance(answer, RejectedError | DeferredError):
            return Answer(instance, error=answer)
        assert not isinstance(answer, Exception)
        self.delivered.append(instance.sop_instance_uid)
        return Answer(instance, answer)

    def close(self) -> None:
        self.closed += 1
        if self.forgets_when_closed:
            self.under_way.clear()

    def interrupt(self) -> None:
        raise AssertionError


class Bench:
    """A lane with everything around it."""

    def __init__(self, root: Path) -> None:
        self.folders = SpoolFolders(root).make()
        self.queue = QueueDirectory(root, "pacs")
        self.transport = FakeTransport()
        self.facts = Facts()
        self.clock = FakeClock()
        self.lane = Lane(
            self.transport,
            self.queue,
            self.facts,
            clock=self.clock,
            now=lambda: WHEN,
            rng=rng(),
        )

    def add(self, *uids: str) -> None:
        for uid in uids:
            path = self.folders.add(uid)
            moment = 1_000_000 + len(list(self.folders.waiting.iterdir()))
            os.utime(path, (moment, moment))

    def settle(self, seconds: float = 0.0) -> None:
        """Take turns until that much time has passed and nothing is left to do now."""
        end = self.clock.seconds + seconds
        for _ in range(100_000):
            wait_s = self.lane.turn()
            if wait_s > 0:
                if self.clock.seconds + wait_s > end:
                    return
                self.clock.advance(wait_s)
        raise AssertionError("the lane never rests")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_everything_queued_is_delivered_oldest_first_and_leaves_the_queue(bench: Bench) -> None:
    uids = [f"2.25.{index}" for index in range(1, 20)]
    bench.add(*uids)
    bench.settle()
    assert bench.transport.delivered == uids
    assert bench.folders.names() == []
    assert len(bench.transport.prepared) == 1


def test_an_instance_is_told_once_with_its_facts(bench: Bench) -> None:
    bench.add("2.25.7")
    dataset_bytes = DicomFile.open(bench.folders.waiting / "2.25.7.dcm").dataset_bytes
    bench.settle()
    [(event, facts)] = bench.facts.told
    assert event == "delivery.sent"
    assert facts.pop("ms") >= 0
    assert facts == {
        "destination": "pacs",
        "sop_instance_uid": "2.25.7",
        "sop_class": CT,
        "transfer_syntax": EXPLICIT,
        "bytes": dataset_bytes,
        "status": 0,
        "attempt": 1,
        "waiting": 0,
    }


def test_a_long_queue_is_delivered_in_batches(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "SCAN_LIMIT", BATCH + 5)
    uids = [f"2.25.{index}" for index in range(1, 2 * BATCH + 20)]
    bench.add(*uids)
    bench.settle()
    assert bench.transport.delivered == uids
    assert max(len(batch) for batch in bench.transport.prepared) == BATCH


def test_what_comes_meanwhile_is_found(bench: Bench) -> None:
    bench.settle()
    bench.add("2.25.1")
    bench.settle(POLL_S)
    assert bench.transport.delivered == ["2.25.1"]


def test_the_association_is_kept_for_a_while_and_then_ended(bench: Bench) -> None:
    bench.add("2.25.1")
    bench.settle(IDLE_S * 0.5)
    assert bench.transport.closed == 0
    bench.settle(IDLE_S)
    assert bench.transport.closed > 0


class TestDestinationDown:
    def test_nothing_is_lost_and_the_waits_grow_to_the_limit(self, bench: Bench) -> None:
        bench.transport.unreachable = DeferredError("connection-refused")
        bench.add("2.25.1", "2.25.2")
        bench.settle(3600)
        down = bench.facts.of("destination.down")
        waits = [facts["retry_s"] for facts in down]
        assert waits[0] <= 1
        assert LIMIT_S / 2 <= waits[-1] <= LIMIT_S
        assert [facts["attempt"] for facts in down] == list(range(1, len(down) + 1))
        assert {(facts["reason"], facts["waiting"]) for facts in down} == {
            ("connection-refused", 2)
        }
        assert len(bench.folders.names()) == 2
        assert bench.transport.tried == []

    def test_when_it_is_back_everything_arrives_within_the_longest_wait(self, bench: Bench) -> None:
        bench.transport.unreachable = DeferredError("connection-refused")
        bench.add("2.25.1", "2.25.2")
        bench.settle(3600)
        bench.transport.unreachable = None
        bench.settle(LIMIT_S)
        assert bench.transport.delivered == ["2.25.1", "2.25.2"]
        [up] = bench.facts.of("destination.up")
        assert 3600 - LIMIT_S <= up["seconds"] <= 3600 + LIMIT_S

    def test_new_entries_do_not_cut_the_wait_short(self, bench: Bench) -> None:
        bench.transport.unreachable = DeferredError("connection-refused")
        bench.add("2.25.1")
        bench.settle(100)
        attempts = len(bench.transport.prepared)
        bench.add("2.25.2")
        bench.lane.wake()
        bench.settle(0)
        assert len(bench.transport.prepared) == attempts

    def test_out_of_resources_backs_the_destination_off(self, bench: Bench) -> None:
        bench.transport.decide = lambda _: DeferredError("out-of-resources", 0xA700)
        bench.add("2.25.1", "2.25.2")
        bench.settle()
        assert bench.transport.tried == ["2.25.1"]
        [deferred] = bench.facts.of("delivery.deferred")
        assert (deferred["reason"], deferred["status"]) == ("out-of-resources", 0xA700)
        assert len(bench.facts.of("destination.down")) == 1
        bench.transport.decide = lambda _: 0
        bench.settle(LIMIT_S)
        assert sorted(bench.transport.delivered) == ["2.25.1", "2.25.2"]

    def test_an_instance_too_large_for_the_destination_does_not_stop_others(
        self, bench: Bench
    ) -> None:
        refused = DeferredError("out-of-resources", 0xA700)
        bench.transport.decide = lambda uid: refused if uid == "2.25.1" else 0
        bench.add("2.25.1", *(f"2.25.{index}" for index in range(2, 300)))
        bench.settle(60)
        assert len(bench.transport.delivered) == 298
        assert bench.folders.names() == ["2.25.1.dcm"]


class TestRefused:
    def test_a_refused_instance_fails_with_its_reason_and_the_others_go_on(
        self, bench: Bench
    ) -> None:
        refused = RejectedError("cannot-understand", 0xC000)
        bench.transport.decide = lambda uid: refused if uid == "2.25.2" else 0
        bench.add("2.25.1", "2.25.2", "2.25.3")
        bench.settle()
        assert bench.transport.delivered == ["2.25.1", "2.25.3"]
        [(entry, failure)] = bench.queue.failed()
        assert (entry.name, failure.reason, failure.status) == (
            "2.25.2.dcm",
            "cannot-understand",
            0xC000,
        )
        assert (failure.attempts, failure.time) == (1, WHEN)
        [facts] = bench.facts.of("delivery.failed")
        assert (facts["reason"], facts["status"]) == ("cannot-understand", 0xC000)
        assert len(bench.transport.prepared) == 1
        assert bench.facts.of("destination.down") == []

    def test_a_retried_entry_is_tried_again(self, bench: Bench) -> None:
        bench.transport.decide = lambda _: RejectedError("refused", 0x0110)
        bench.add("2.25.1")
        bench.settle()
        bench.transport.decide = lambda _: 0
        bench.queue.retry(bench.queue.failed()[0][0])
        bench.settle(POLL_S)
        assert bench.transport.delivered == ["2.25.1"]

    def test_a_file_that_is_no_dicom_file_fails(self, bench: Bench) -> None:
        (bench.folders.waiting / "junk.dcm").write_bytes(b"junk")
        bench.add("2.25.1")
        bench.settle()
        assert bench.transport.delivered == ["2.25.1"]
        assert [failure.reason for _, failure in bench.queue.failed()] == ["not-dicom"]

    def test_without_room_for_the_reason_the_entry_waits_and_others_go_on(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> NoReturn:
            raise OSError(28, "full")

        refused = RejectedError("cannot-understand", 0xC000)
        bench.transport.decide = lambda uid: refused if uid == "2.25.1" else 0
        bench.add("2.25.1", "2.25.2")
        with monkeypatch.context() as patch:
            patch.setattr("dicomanon_node.delivery.queue.write_durable", full)
            bench.settle()
        assert bench.transport.delivered == ["2.25.2"]
        assert bench.folders.names() == ["2.25.1.dcm"]
        bench.settle(5)
        assert [failure.status for _, failure in bench.queue.failed()] == [0xC000]


class TestLost:
    def test_poison_fails_and_everything_else_arrives(self, bench: Bench) -> None:
        bench.transport.decide = lambda uid: LostError("aborted") if uid == "2.25.1" else 0
        bench.add("2.25.1", "2.25.2", "2.25.3")
        bench.settle(120)
        assert bench.transport.delivered == ["2.25.2", "2.25.3"]
        assert bench.transport.tried.count("2.25.1") == POISON_LOSSES
        [(entry, failure)] = bench.queue.failed()
        assert (entry.name, failure.reason) == ("2.25.1.dcm", "breaks-association")
        assert failure.attempts == POISON_LOSSES
        assert bench.facts.of("destination.down") == []

    def test_the_others_need_not_wait_for_it(self, bench: Bench) -> None:
        bench.transport.decide = lambda uid: LostError("aborted") if uid == "2.25.1" else 0
        bench.add("2.25.1", "2.25.2", "2.25.3")
        bench.settle(0)
        assert bench.transport.delivered == ["2.25.2", "2.25.3"]

    def test_poison_alone_in_the_queue_stays_and_does_not_delay_what_comes(
        self, bench: Bench
    ) -> None:
        bench.transport.decide = lambda uid: LostError("aborted") if uid == "2.25.1" else 0
        bench.add("2.25.1")
        bench.settle(7200)
        assert bench.queue.failed() == []
        bench.add("2.25.2")
        bench.settle(POLL_S)
        assert bench.transport.delivered == ["2.25.2"]
        bench.settle(LIMIT_S)
        assert bench.queue.failed_count() == 1

    def test_a_whole_series_of_poison_in_front_does_not_block_the_queue(self, bench: Bench) -> None:
        poison = {f"2.25.1{index:02}" for index in range(40)}
        bench.transport.decide = lambda uid: LostError("aborted") if uid in poison else 0
        bench.add(*sorted(poison), *(f"2.25.2{index:02}" for index in range(40)))
        bench.settle(1800)
        assert len(bench.transport.delivered) == 40
        assert bench.folders.names() == sorted(
            f"{uid}.dcm" for uid in poison - {entry.path.stem for entry, _ in bench.queue.failed()}
        )

    def test_a_destination_that_aborts_everything_fails_no_instance(self, bench: Bench) -> None:
        bench.transport.decide = lambda _: LostError("aborted")
        uids = [f"2.25.{index}" for index in range(1, 30)]
        bench.add(*uids)
        bench.settle(6 * 3600)
        assert bench.queue.failed() == []
        assert len(bench.facts.of("destination.down")) > 3
        bench.transport.decide = lambda _: 0
        bench.settle(2 * LIMIT_S)
        assert sorted(bench.transport.delivered) == sorted(uids)

    def test_a_fault_of_ours_with_one_instance_does_not_stop_the_others(self, bench: Bench) -> None:
        fault = ValueError("text that may hold a value")
        bench.transport.decide = lambda uid: fault if uid == "2.25.1" else 0
        bench.add("2.25.1", "2.25.2")
        bench.settle()
        assert bench.transport.delivered == ["2.25.2"]
        [deferred] = bench.facts.of("delivery.deferred")
        assert (deferred["reason"], deferred["error"]) == ("internal", fault)


class TestWindow:
    def test_as_many_are_on_their_way_as_the_transport_allows(self, bench: Bench) -> None:
        most = 0

        def noticed(_: str) -> int:
            nonlocal most
            most = max(most, len(bench.transport.under_way) + 1)
            return 0

        bench.transport.window = 4
        bench.transport.decide = noticed
        uids = [f"2.25.{index}" for index in range(1, 11)]
        bench.add(*uids)
        bench.settle()
        assert bench.transport.delivered == uids
        assert most == 4

    def test_a_loss_counts_against_the_first_and_all_go_out_alone_afterwards(
        self, bench: Bench
    ) -> None:
        alone: dict[str, bool] = {}

        def note(uid: str) -> int:
            alone[uid] = not bench.transport.under_way
            return 0

        def lose_once(uid: str) -> LostError | int:
            if not alone and uid == "2.25.1":
                return LostError("aborted")
            return note(uid)

        bench.transport.window = 4
        bench.transport.decide = lose_once
        bench.add(*(f"2.25.{index}" for index in range(1, 5)))
        bench.settle()
        assert alone == {"2.25.2": False, "2.25.3": False, "2.25.4": False}
        alone.clear()
        bench.transport.decide = note
        bench.settle(2)
        assert alone == dict.fromkeys(("2.25.1", "2.25.2", "2.25.3", "2.25.4"), True)
        assert bench.facts.of("destination.down") == []
        assert bench.folders.names() == []

    def test_a_file_that_cannot_be_read_costs_its_company_nothing_but_a_resend(
        self, bench: Bench
    ) -> None:
        broken = OSError(5, "input/output error")
        bench.transport.window = 4
        bench.transport.decide = lambda uid: broken if uid == "2.25.3" else 0
        bench.transport.forgets_when_closed = True
        bench.add("2.25.1", "2.25.2", "2.25.3", "2.25.4")
        bench.settle()
        assert bench.transport.delivered == ["2.25.1", "2.25.2", "2.25.4"]
        assert {facts["sop_instance_uid"] for facts in bench.facts.of("delivery.deferred")} == {
            "2.25.3"
        }


class TestPace:
    def busy(self, bench: Bench, seconds: float, *, holds: bool = False) -> int:
        """How many more transports a destination gets that takes so long for each instance.

        They are refused; or, if it `holds` them, not answered until all is delivered.
        """
        asked: list[FakeTransport] = []
        is_over = threading.Event()

        class Extra(FakeTransport):
            def prepare(self, instances: Sequence[DicomFile]) -> None:
                if holds:
                    assert is_over.wait(30)
                super().prepare(instances)

        def another() -> FakeTransport:
            asked.append(Extra())
            asked[-1].unreachable = DeferredError("rejected-limit-exceeded")
            return asked[-1]

        def take(_: str) -> int:
            bench.clock.advance(seconds)
            return 0

        bench.transport.decide = take
        bench.lane = Lane(
            bench.transport,
            bench.queue,
            bench.facts,
            another=another,
            associations=4,
            clock=bench.clock,
            rng=rng(),
        )
        bench.add(*(f"2.25.{index}" for index in range(1, 300)))
        bench.settle()
        is_over.set()
        wait_until(lambda: not bench.lane._extra_threads())
        assert len(bench.transport.delivered) == 299
        assert bench.facts.of("destination.down") == []
        return len(asked)

    def test_a_quick_destination_gets_one_association(self, bench: Bench) -> None:
        assert self.busy(bench, lane.SECOND_PACE_S / 2) == 0

    def test_one_that_keeps_us_waiting_gets_a_second(self, bench: Bench) -> None:
        assert self.busy(bench, lane.EXTRA_PACE_S / 2, holds=True) == 1

    def test_a_slow_one_gets_as_many_as_are_configured(self, bench: Bench) -> None:
        assert self.busy(bench, lane.EXTRA_PACE_S * 2, holds=True) == 3

    def test_a_slow_one_is_asked_for_more_and_not_again_soon_if_it_does_not_want_to(
        self, bench: Bench
    ) -> None:
        assert 1 <= self.busy(bench, lane.EXTRA_PACE_S * 2) <= 3


class TestHousekeeping:
    def test_the_next_instance_is_sent_before_what_was_delivered_is_unlinked(
        self, bench: Bench
    ) -> None:
        waiting: dict[str, list[str]] = {}

        def look(uid: str) -> int:
            waiting[uid] = bench.folders.names()
            return 0

        bench.transport.decide = look
        bench.add("2.25.1", "2.25.2", "2.25.3")
        bench.settle()
        assert len(waiting["2.25.2"]) == 3
        assert len(waiting["2.25.3"]) == 2
        assert bench.folders.names() == []

    def test_what_was_delivered_is_told_though_the_next_one_breaks_the_association(
        self, bench: Bench
    ) -> None:
        answers: dict[str, Exception | int] = {"2.25.2": LostError("connection-lost")}
        bench.transport.decide = lambda uid: answers.pop(uid, 0)
        bench.add("2.25.1", "2.25.2")
        bench.settle(5)
        names = [event for event, _ in bench.facts.told]
        assert names.index("delivery.sent") < names.index("delivery.deferred")
        assert bench.transport.delivered == ["2.25.1", "2.25.2"]


class TestSpool:
    def test_an_entry_that_cannot_be_unlinked_is_sent_again(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def read_only(_: Entry) -> NoReturn:
            raise OSError(30, "read-only file system")

        bench.add("2.25.1", "2.25.2")
        bench.transport.forgets_when_closed = True  # the second is on its way by then
        with monkeypatch.context() as patch:
            patch.setattr(bench.queue, "done", read_only)
            bench.settle()
        assert [facts["reason"] for facts in bench.facts.of("destination.down")] == [
            "spool-unavailable"
        ]
        bench.settle(5)
        assert sorted(bench.transport.delivered) == ["2.25.1", "2.25.1", "2.25.2"]
        assert bench.folders.names() == []

    def test_an_entry_that_a_person_dropped_is_passed_over(self, bench: Bench) -> None:
        def drop(uid: str) -> Exception:
            (bench.folders.waiting / f"{uid}.dcm").unlink()
            return FileNotFoundError()

        bench.transport.decide = lambda uid: drop(uid) if uid == "2.25.1" else 0
        bench.add("2.25.1", "2.25.2")
        bench.settle()
        assert bench.transport.delivered == ["2.25.2"]
        assert bench.folders.names() == []
        assert [event for event, _ in bench.facts.told] == ["delivery.sent"]

    def test_a_queue_that_cannot_be_read_is_tried_again(self, bench: Bench) -> None:
        bench.add("2.25.1")
        away = bench.folders.root / "away"
        bench.folders.waiting.rename(away)
        bench.settle()
        [down] = bench.facts.of("destination.down")
        assert down["reason"] == "spool-unavailable"
        away.rename(bench.folders.waiting)
        bench.settle(5)
        assert bench.transport.delivered == ["2.25.1"]

    def test_an_entry_that_cannot_be_read_is_held_and_others_go_on(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(path: Path, descriptor: int) -> tuple[DicomFile, bytes]:
            if path.name == "2.25.1.dcm":
                raise OSError(5, "input/output error")
            return real_examine(path, descriptor)

        real_examine = DicomFile.examine
        monkeypatch.setattr(DicomFile, "examine", broken)
        bench.add("2.25.1", "2.25.2")
        bench.settle(10)
        assert bench.transport.delivered == ["2.25.2"]
        assert bench.folders.names() == ["2.25.1.dcm"]
        assert {facts["reason"] for facts in bench.facts.of("delivery.deferred")} == {"unreadable"}

    def test_an_entry_linked_again_while_it_is_sent_is_not_lost(self, bench: Bench) -> None:
        def replaced(uid: str) -> int:
            path = bench.folders.waiting / f"{uid}.dcm"
            copy = bench.folders.root / "copy"
            copy.write_bytes(path.read_bytes())
            copy.replace(path)
            bench.transport.decide = lambda _: 0
            return 0

        bench.transport.decide = replaced
        bench.add("2.25.1")
        bench.settle(1)
        assert bench.transport.delivered == ["2.25.1", "2.25.1"]
        assert bench.folders.names() == []


class TestThread:
    def test_stop_ends_after_the_instance_under_way(self, bench: Bench) -> None:
        is_sending, may_go_on = threading.Event(), threading.Event()

        def slow(_: str) -> int:
            is_sending.set()
            assert may_go_on.wait(10)
            return 0

        bench.transport.decide = slow
        bench.add("2.25.1", "2.25.2")
        thread = threading.Thread(target=bench.lane.run)
        thread.start()
        assert is_sending.wait(10)
        bench.lane.stop()
        may_go_on.set()
        thread.join(10)
        assert bench.transport.delivered == ["2.25.1"]
        assert bench.folders.names() == ["2.25.2.dcm"]
        assert bench.transport.closed == 1

    def test_wake_finds_a_new_entry_before_the_next_poll(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lane, "POLL_S", 3600.0)
        bench = Bench(tmp_path)
        has_scanned = threading.Event()
        scan = bench.queue.waiting

        def noticed(limit: int, skipping: Collection[str]) -> tuple[list[Entry], int]:
            has_scanned.set()
            return scan(limit, skipping)

        monkeypatch.setattr(bench.queue, "waiting", noticed)
        thread = threading.Thread(target=bench.lane.run)
        thread.start()
        assert has_scanned.wait(10)
        bench.add("2.25.1")
        bench.lane.wake()
        wait_until(lambda: bench.transport.delivered == ["2.25.1"])
        bench.lane.stop()
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize("seed", range(5))
def test_whatever_the_destination_does_every_instance_is_delivered_waits_or_failed(
    tmp_path: Path, seed: int
) -> None:
    bench = Bench(tmp_path)
    dice: random.Random = rng(seed)
    uids = {f"2.25.{index}" for index in range(1, 80)}
    bench.add(*sorted(uids))

    answers: list[Exception | int] = [
        0,
        0xB000,
        LostError("aborted"),
        DeferredError("out-of-resources", 0xA700),
        RejectedError("refused", 0x0110),
        OSError(5, "input/output error"),
        ValueError(),
    ]
    bench.transport.decide = lambda _: dice.choice(answers)
    for _ in range(20):
        bench.transport.unreachable = DeferredError("down") if dice.random() < 0.3 else None
        bench.settle(dice.random() * 20)
    waiting = {name.removesuffix(".dcm") for name in bench.folders.names()}
    failed = {entry.path.stem for entry, _ in bench.queue.failed()}
    assert waiting | failed | set(bench.transport.delivered) == uids
    assert len(waiting) + len(failed) + len(bench.transport.delivered) == len(uids)


def test_only_declared_events_and_keys_are_told(bench: Bench) -> None:
    bench.transport.decide = lambda uid: {
        "2.25.1": LostError("aborted"),
        "2.25.2": RejectedError("refused", 0x0110),
        "2.25.3": DeferredError("out-of-resources", 0xA700),
    }.get(uid, 0)
    bench.add(*(f"2.25.{index}" for index in range(1, 9)))
    bench.settle(60)
    names = {event for event, _ in bench.facts.told}
    declared = {event.name for event in DELIVERY}
    assert names == {name for name in declared if name.startswith(("delivery.", "destination."))}
    for event, facts in bench.facts.told:
        assert facts.keys() <= EVENTS[event].key_names
