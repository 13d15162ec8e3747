"""What is held of a refused object: all of it, byte by byte, and nothing readable."""

import errno
import json
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from support_deid import (
    BIG_ENDIAN,
    CT,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    INSTANCE_UID,
    NAME,
    PATIENT_ID,
    basic_dataset,
    encode,
    plan_of,
)
from support_logs import Captured

from dicomanon_node.deid.boundaries import Limits
from dicomanon_node.deid.rules import StationRule
from dicomanon_node.errors import Reason, Status
from dicomanon_node.hold.area import Area, Bounds, HoldError, held_reasons
from dicomanon_node.hold.entry import Entry
from dicomanon_node.hold.label import Contents
from dicomanon_node.hold.notes import Notes
from dicomanon_node.hold.sealing import HoldKey, KeyRing, SealError
from dicomanon_node.holding import Hold
from dicomanon_node.network.service import AssociationFacts, Instance, Outcome, StoreRequest
from dicomanon_node.node.keeping import Keeper
from dicomanon_node.ops import logs
from dicomanon_node.ops.studies import InstanceFact
from dicomanon_node.receive import Receiver, ReceiveSettings
from dicomanon_node.routing import Router
from dicomanon_node.spool.layout import Layout
from dicomanon_node.spool.medium import Medium
from dicomanon_node.spool.spool import Spool

PIXELS = bytes(range(256)) * 64
KEY = HoldKey(bytes(range(50, 82)))
REASONS = held_reasons([reason.code for reason in Reason if not reason.is_temporary])
SETTINGS = ReceiveSettings(
    limits=Limits(),
    deflated_bytes=1 << 20,
    converted_bytes=1 << 20,
    destinations=("archive",),
    layout=Layout("{study}/{PatientID}/{SOPInstanceUID}.dcm"),
    rules_digest="0123456789ab",
)


class Facts:
    def send(self, fact: InstanceFact) -> None:
        pass


@dataclass
class Node:
    directory: Path
    receiver: Receiver
    area: Area
    log: Captured

    def begin(self, transfer_syntax_uid: str = EXPLICIT, uid: str = INSTANCE_UID) -> Instance:
        request = StoreRequest(1, CT, uid, 1, transfer_syntax_uid)
        return self.receiver.begin(request, AssociationFacts("a1", "SENDER", "NODE", "192.0.2.1"))

    def receive(self, data: bytes, syntax: str = EXPLICIT, step: int = 1 << 20) -> Outcome:
        instance = self.begin(syntax)
        for start in range(0, len(data), step):
            buffer = bytearray(data[start : start + step])
            half = len(buffer) // 2
            instance.write([memoryview(buffer)[:half], memoryview(buffer)[half:]])
            buffer[:] = b"\xaa" * len(buffer)
        outcome = instance.finish()
        instance.answered()
        return outcome

    def events(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.log.events if event["event"] == name]

    def held(self) -> list[tuple[Entry, Contents, bytes]]:
        found = []
        for entry in self.area.entries():
            with entry.locked() as held:
                contents, pieces = held.open()
                found.append((entry, contents, b"".join(pieces)))
        return found

    def files(self) -> list[Path]:
        return sorted(
            path for path in self.directory.rglob("*") if path.is_file() and path.name != "lock"
        )


Make = Callable[..., Node]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    log = Captured()
    logs.configure(format="json", stream=log, strict=True, studies=["study"])
    spools = []

    def made(
        bounds: Bounds = Bounds(),  # noqa: B008  (frozen)
        settings: ReceiveSettings = SETTINGS,
        *,
        accepts: bool = False,
        reasons: frozenset[Reason] = REASONS,
    ) -> Node:
        spool = Spool(tmp_path / "spool", tmp_path / "out", ("archive",), low_water_bytes=0,
                      sync=False)  # fmt: skip
        spool.prepare(lock_wait_s=0)
        spools.append(spool)
        area = Area(tmp_path / "spool" / "hold", KeyRing(KEY), bounds, sync=False)
        area.prepare()
        router = Router(
            {"default": StationRule("default", 0x00081030)}, {"study": plan_of()}, "study"
        )
        hold = Hold(area, reasons, accepts)
        receiver = Receiver(router, spool, settings, logs.get(), Facts(), hold=hold)
        return Node(tmp_path, receiver, area, log)

    yield made
    for spool in spools:
        spool.close()
    logs.configure(strict=True)


def image(**attributes: object) -> Dataset:
    dataset = basic_dataset(
        Rows=64, Columns=128, BitsAllocated=16, BitsStored=16, HighBit=15, SamplesPerPixel=1,
        PixelRepresentation=0, PhotometricInterpretation="MONOCHROME2", **attributes,
    )  # fmt: skip
    dataset.add_new(0x7FE00010, "OW", PIXELS)
    return dataset


def burned_in() -> Dataset:
    return image(BurnedInAnnotation="YES")


def as_sent(dataset: Dataset, syntax: str) -> bytes:
    if syntax != DEFLATED:
        return encode(dataset, syntax)
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(encode(dataset, EXPLICIT)) + deflater.flush()


def with_broken_trailer(data: bytes) -> bytes:
    # Data Set Trailing Padding that claims more than there is: found out after all pixels.
    return data + b"\xfc\xff\xfc\xffOB\0\0\x00\x10\0\0" + bytes(40)


@pytest.mark.parametrize("step", [7, 100, 1000, 5000, 1 << 20])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED])
def test_an_object_refused_at_its_header_is_held_as_it_came(
    make: Make, step: int, syntax: str
) -> None:
    node = make()
    data = as_sent(burned_in(), syntax)
    assert node.receive(data, syntax, step) == Outcome.refused(Reason.BURNED_IN)
    [(entry, contents, original)] = node.held()
    assert original == data
    assert contents == Contents(CT, INSTANCE_UID, syntax, "SENDER", "NODE")
    assert entry.label.reason == "burned-in"
    assert entry.size_bytes == len(data)
    [event] = node.events("hold.held")
    assert event["entry"] == entry.label.entry
    assert node.events("instance.refused")[0]["status"] == "0110H"


@pytest.mark.parametrize("step", [7, 100, 1000, 5000, 16_384, 1 << 20])
@pytest.mark.parametrize("syntax", [EXPLICIT, BIG_ENDIAN])
def test_an_object_refused_after_its_pixels_is_held_as_it_came(
    make: Make, step: int, syntax: str
) -> None:
    node = make()
    data = encode(image(), syntax)
    data = with_broken_trailer(data) if syntax == EXPLICIT else data[:-5]
    for _ in range(2):  # the second might take the short cut
        assert node.receive(data, syntax, step).status == 0xC000
    for _, _, original in node.held():
        assert original == data
    assert len(node.held()) == 2


@pytest.mark.parametrize("step", [100, 3000, 1 << 20])
def test_an_object_refused_late_is_held_whole_also_by_the_short_cut(make: Make, step: int) -> None:
    node = make()
    good = encode(image())
    for _ in range(3):
        assert node.receive(good, step=step).status == 0
    data = with_broken_trailer(good)
    assert node.receive(data, step=step).status == 0xC000
    [(_, _, original)] = node.held()
    assert original == data


@pytest.mark.parametrize("cut", range(1, 1600, 97))
def test_wherever_it_ends_it_is_held_whole(make: Make, cut: int) -> None:
    node = make()
    data = encode(image())[: -cut * 11]
    assert node.receive(data, step=500).status == 0xC000
    [(_, _, original)] = node.held()
    assert original == data


def test_what_follows_the_refusal_is_held_too(make: Make) -> None:
    node = make(settings=replace(SETTINGS, limits=Limits(object_bytes=9000)))
    data = encode(image())
    assert node.receive(data, step=1000) == Outcome.refused(Reason.OBJECT_TOO_LARGE)
    [(_, _, original)] = node.held()
    assert original == data


def test_no_file_has_anything_of_it_in_clear(make: Make) -> None:
    node = make()
    for data in (encode(burned_in()), with_broken_trailer(encode(image()))):
        node.receive(data, step=1000)
    assert len(node.held()) == 2
    for path in node.files():
        content = path.read_bytes() + str(path).encode()
        for value in (*NAME.split("^"), PATIENT_ID, INSTANCE_UID):
            assert value.encode() not in content, path
        assert PIXELS[:64] not in content
        assert path.stat().st_mode & 0o077 == 0


def test_while_it_comes_nothing_of_it_is_in_clear(make: Make) -> None:
    node = make()
    data = encode(burned_in())
    instance = node.begin()
    for start in range(0, len(data), 500):
        instance.write([memoryview(data)[start : start + 500]])
        for path in node.files():
            content = path.read_bytes()
            assert PATIENT_ID.encode() not in content
            assert INSTANCE_UID.encode() not in content
    instance.abandon()
    assert node.files() == []


def test_an_accepted_object_is_answered_success_only_once_it_is_held(make: Make) -> None:
    node = make(accepts=True)
    instance = node.begin()
    instance.write([memoryview(encode(burned_in()))])
    assert node.area.count() == 0
    assert instance.finish() == Outcome(Status.SUCCESS)
    assert node.area.count() == 1
    instance.answered()
    assert node.events("instance.refused")[0]["status"] == "0000H"


def test_a_good_object_is_not_held(make: Make) -> None:
    node = make(accepts=True)
    assert node.receive(encode(image())).status == 0
    assert node.area.count() == 0
    assert list(node.area.incoming.iterdir()) == []


def test_a_reason_that_is_not_named_is_not_held(make: Make) -> None:
    node = make(accepts=True, reasons=held_reasons(["no-study"]))
    assert node.receive(encode(burned_in())).status == 0x0110
    assert node.area.count() == 0


def test_an_abandoned_object_is_not_held(make: Make) -> None:
    node = make()
    instance = node.begin()
    instance.write([memoryview(encode(burned_in()))[:-100]])
    assert len(list(node.area.incoming.iterdir())) == 1
    instance.abandon()
    assert list(node.area.incoming.iterdir()) == []
    assert node.area.count() == 0


def test_a_temporary_refusal_is_never_held(make: Make) -> None:
    reasons = frozenset(Reason)
    node = make(settings=replace(SETTINGS, held_bytes=0), reasons=reasons, accepts=True)
    dataset = image()
    dataset.add_new(0x00420011, "OB", bytes(2 << 20))
    assert node.receive(encode(dataset)) == Outcome.refused(Reason.MEMORY_BUDGET)
    assert node.area.count() == 0


def test_what_there_is_no_memory_for_is_refused_as_without_a_hold(make: Make) -> None:
    # Converted, so all of it would be kept; as it is inflated piece by piece, it passes.
    dataset = image()
    dataset.PixelData = os.urandom(3 << 20)  # deflating does not make it small
    data = as_sent(dataset, DEFLATED)
    settings = replace(SETTINGS, deflated_bytes=8 << 20, held_bytes=0)
    node = make(settings=settings, accepts=True)
    assert node.receive(data, DEFLATED, step=100_000).status == 0
    assert node.receive(data[: len(data) // 2], DEFLATED, step=100_000).status == 0xC000
    assert node.area.count() == 0
    assert [event["fault"] for event in node.events("hold.failed")] == ["not-kept"]


@pytest.mark.parametrize("reasons", [frozenset(), REASONS], ids=["not-held", "hold-full"])
def test_what_follows_a_refusal_that_is_not_held_takes_nobodys_memory(
    make: Make, reasons: frozenset[Reason]
) -> None:
    node = make(Bounds(max_bytes=1), replace(SETTINGS, held_bytes=6 << 20), reasons=reasons)
    refused = burned_in()
    refused.PixelData = bytes(6 << 20)  # of 1 MiB free and 6 MiB shared
    data = encode(refused)
    instance = node.begin()
    for start in range(0, len(data) - 1000, 100_000):
        instance.write([memoryview(data[start : start + 100_000])])
    other = image()
    other.add_new(0x00420011, "OB", bytes(2 << 20))
    assert node.receive(encode(other)).status == 0
    assert instance.finish() == Outcome.refused(Reason.BURNED_IN)
    instance.answered()


def test_what_grows_beyond_an_objects_size_once_refused_is_not_held(make: Make) -> None:
    node = make(settings=replace(SETTINGS, limits=Limits(object_bytes=9000)), accepts=True)
    assert node.receive(encode(burned_in()), step=1000) == Outcome.refused(Reason.BURNED_IN)
    assert node.area.count() == 0
    assert list(node.area.incoming.iterdir()) == []
    assert [event["fault"] for event in node.events("hold.failed")] == ["not-kept"]


@pytest.mark.parametrize(
    ("bounds", "fault"),
    [(Bounds(max_bytes=8000), "hold-full"), (Bounds(low_water_bytes=1 << 62), "disk-full")],
)
def test_a_full_hold_answers_the_refusal(make: Make, bounds: Bounds, fault: str) -> None:
    node = make(bounds, accepts=True)
    assert node.receive(encode(burned_in())) == Outcome.refused(Reason.BURNED_IN)
    assert node.area.count() == 0
    assert list(node.area.incoming.iterdir()) == []
    assert [event["fault"] for event in node.events("hold.failed")] == [fault]


@pytest.mark.parametrize("call", ["write", "fdatasync", "fsync", "rename"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_fault_of_the_disk_is_never_answered_success(
    make: Make, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    node = make(accepts=True)
    node.area.medium = type(node.area.medium)(is_synced=True)

    def fail(*_args: object, **_keys: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        if call == "rename":
            patched.setattr(Path, "rename", fail)
        else:
            patched.setattr(os, call, fail)
        assert node.receive(encode(burned_in())) == Outcome.refused(Reason.BURNED_IN)
    assert node.area.count() == 0
    assert list(node.area.incoming.iterdir()) == []
    expected = "disk-full" if number == errno.ENOSPC else "hold-unavailable"
    assert [event["fault"] for event in node.events("hold.failed")] == [expected]


def test_an_entry_is_nobody_elses_while_it_is_locked(make: Make) -> None:
    node = make()
    node.receive(encode(burned_in()))
    [entry] = node.area.entries()
    with entry.locked() as held:
        with pytest.raises(BlockingIOError), entry.locked():
            pass
        held.remove()
    with pytest.raises(FileNotFoundError), entry.locked():
        pass


def test_an_earlier_key_still_opens_what_it_sealed(make: Make) -> None:
    node = make()
    data = encode(burned_in())
    node.receive(data)
    new = HoldKey(bytes(range(32)))
    rotated = Area(node.area.root, KeyRing(new, [KEY]))
    with rotated.entries()[0].locked() as held:
        assert b"".join(held.open()[1]) == data
    without = Area(node.area.root, KeyRing(new))
    with without.entries()[0].locked() as held, pytest.raises(SealError, match="unknown-key"):
        held.open()


def test_a_file_under_another_entrys_name_is_no_entry(make: Make) -> None:
    node = make()
    node.receive(encode(burned_in()))
    [entry] = node.area.entries()
    entry.path.rename(node.area.held / "0123456789abcdef.hold")
    assert node.area.entries() == []
    assert node.area.unreadable() == ["0123456789abcdef.hold"]


def test_leftovers_are_swept_once_nobody_writes_them(make: Make) -> None:
    node = make()
    instance = node.begin()
    data = encode(burned_in())
    instance.write([memoryview(data)])
    (node.area.incoming / "1-2-dead").write_bytes(b"sealed by a process that was killed")
    later = datetime.now(UTC).timestamp() + 3600
    assert node.area.sweep() == 0  # may be just begun
    assert node.area.sweep(later) == 1
    assert instance.finish().status == 0x0110
    assert node.area.count() == 1


def test_the_keeper_deletes_what_is_too_old_and_nothing_else(make: Make) -> None:
    node = make()
    node.receive(encode(burned_in()))
    keeper = Keeper(node.area, logs.get(), retention_days=3, alarm_count=0)
    now = datetime.now(UTC)
    keeper.expire(now + timedelta(days=2))
    assert node.area.count() == 1
    with node.area.entries()[0].locked():
        keeper.expire(now + timedelta(days=4))
        assert node.area.count() == 1
    keeper.expire(now + timedelta(days=4))
    assert node.area.count() == 0
    [event] = node.events("hold.expired")
    assert event["reason"] == "burned-in"


def test_the_keeper_keeps_for_ever_if_told_so(make: Make) -> None:
    node = make()
    node.receive(encode(burned_in()))
    keeper = Keeper(node.area, logs.get(), retention_days=0, alarm_count=0)
    keeper.expire(datetime.now(UTC) + timedelta(days=20_000))
    assert node.area.count() == 1


def test_the_alarm_is_told_once_and_so_is_its_end(make: Make) -> None:
    node = make()
    keeper = Keeper(node.area, logs.get(), retention_days=0, alarm_count=2)
    for _ in range(3):
        node.receive(encode(burned_in()))
        keeper.watch()
    assert [event["held"] for event in node.events("hold.alarm")] == [2]
    for entry in node.area.entries():
        with entry.locked() as held:
            held.remove()
        keeper.watch()
    assert [event["held"] for event in node.events("hold.recovered")] == [1]


def test_notes_are_told_in_order_once_and_only_declared_ones(make: Make) -> None:
    node = make()
    notes = Notes(node.area)
    notes.event("hold.dropped", entry="aa", reason="burned-in", user_id=7, tag=1)
    notes.event("hold.exported", entry="bb", reason="no-study", user_id=0)
    (node.area.notes / "0-forged.json").write_text(json.dumps({"event": "x", "keys": {}}))
    (node.area.notes / "1-torn.json").write_text('{"event": "hold.dr')
    for _ in range(2):
        notes.tell(logs.get())
    assert [event["event"] for event in node.log.events] == ["hold.dropped", "hold.exported"]
    assert node.events("hold.dropped")[0]["entry"] == "aa"
    assert list(node.area.notes.iterdir()) == []


def test_the_hold_counts_what_is_in_it(make: Make) -> None:
    node = make()
    for _ in range(2):
        node.receive(encode(burned_in()))
    size = sum(entry.path.stat().st_size for entry in node.area.entries())
    Area(node.area.root, KeyRing(KEY), Bounds(max_bytes=size)).check_room(0)
    with pytest.raises(HoldError, match="hold-full"):
        Area(node.area.root, KeyRing(KEY), Bounds(max_bytes=size)).check_room(1)


def test_a_note_that_is_not_durable_is_not_there(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: Medium, _file: int) -> None:
        raise OSError(errno.EIO, "planted")

    area = make().area
    monkeypatch.setattr(Medium, "sync_data", fail)
    with pytest.raises(OSError, match="planted"):
        Notes(area).event("hold.dropped", entry="0123456789abcdef", reason="internal", user_id=1)
    assert list(area.notes.iterdir()) == []
