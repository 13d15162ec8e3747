"""The way of an instance, with a real spool, real rules and the log it leaves."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from support_deid import (
    BIG_ENDIAN,
    CT,
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
from dicomanon_node.deid.plan import Plan
from dicomanon_node.deid.rules import StationRule
from dicomanon_node.errors import Status
from dicomanon_node.network.service import AssociationFacts, Outcome, StoreRequest
from dicomanon_node.ops import logs
from dicomanon_node.ops.studies import InstanceFact
from dicomanon_node.receive import ReceivedInstance, Receiver, ReceiveSettings
from dicomanon_node.routing import Router
from dicomanon_node.spool.layout import Layout
from dicomanon_node.spool.spool import Spool

PIXELS = bytes(range(256)) * 64
SETTINGS = ReceiveSettings(
    limits=Limits(),
    deflated_bytes=1 << 20,
    converted_bytes=1 << 20,
    destinations=("archive", "research"),
    layout=Layout("{study}/{PatientID}/{SOPInstanceUID}.dcm"),
    rules_digest="0123456789ab",
)


@dataclass
class Facts:
    """What was told of instances."""

    told: list[InstanceFact] = field(default_factory=list)

    def send(self, fact: InstanceFact) -> None:
        self.told.append(fact)


@dataclass
class Node:
    """A receiver and all that it changes."""

    directory: Path
    receiver: Receiver
    facts: Facts
    log: Captured

    @property
    def incoming(self) -> list[Path]:
        return sorted((self.directory / "spool" / "incoming").iterdir())

    @property
    def stored(self) -> list[Path]:
        return sorted(path for path in (self.directory / "outgoing").rglob("*") if path.is_file())

    def queued(self, destination: str) -> list[Path]:
        return sorted((self.directory / "spool" / "queue" / destination).iterdir())

    def events(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.log.events if event["event"] == name]

    def begin(self, transfer_syntax_uid: str = EXPLICIT, **request: str) -> ReceivedInstance:
        begun = self.receiver.begin(
            StoreRequest(
                message_id=1,
                sop_class_uid=request.get("sop_class_uid", CT),
                sop_instance_uid=request.get("sop_instance_uid", INSTANCE_UID),
                presentation_context_id=1,
                transfer_syntax_uid=transfer_syntax_uid,
            ),
            AssociationFacts("a1", "SENDER", "NODE", "192.0.2.1"),
        )
        assert isinstance(begun, ReceivedInstance)
        return begun

    def receive(
        self, data: bytes, transfer_syntax_uid: str = EXPLICIT, *, step: int = 1 << 20
    ) -> Outcome:
        instance = self.begin(transfer_syntax_uid)
        for start in range(0, len(data), step):
            # What comes is a view into a buffer that is overwritten afterwards.
            buffer = bytearray(data[start : start + step])
            instance.write([memoryview(buffer)])
            buffer[:] = b"\xaa" * len(buffer)
        return finished(instance)


def finished(instance: ReceivedInstance) -> Outcome:
    outcome = instance.finish()
    instance.answered()
    return outcome


MakeNode = Callable[..., Node]


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[MakeNode]:
    log = Captured()
    logs.configure(format="json", stream=log, strict=True, studies=["study"])
    spools = []

    def make(
        plan: Plan | None = None,
        settings: ReceiveSettings = SETTINGS,
        low_water_bytes: int = 0,
    ) -> Node:
        spool = Spool(
            tmp_path / "spool",
            tmp_path / "outgoing",
            settings.destinations,
            low_water_bytes=low_water_bytes,
            sync=False,
        )
        spool.prepare(lock_wait_s=0)
        spools.append(spool)
        router = Router(
            {"default": StationRule("default", 0x00081030)}, {"study": plan or plan_of()}, "study"
        )
        facts = Facts()
        return Node(tmp_path, Receiver(router, spool, settings, logs.get(), facts), facts, log)

    yield make
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


def test_an_image_is_stored_and_queued_without_its_identity(make_node: MakeNode) -> None:
    node = make_node()
    assert node.receive(encode(image())) == Outcome(Status.SUCCESS)
    [path] = node.stored
    written = dcmread(path)
    assert written.PixelData == PIXELS
    assert written.PatientIdentityRemoved == "YES"
    data = path.read_bytes()
    for value in (*NAME.split("^"), PATIENT_ID, INSTANCE_UID):
        assert value.encode() not in data
    assert node.incoming == []
    for destination in SETTINGS.destinations:
        [entry] = node.queued(destination)
        assert entry.samefile(path)
        assert entry.name == f"{written.SOPInstanceUID}.dcm"


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, 1000, 16_000])
@pytest.mark.parametrize("transfer_syntax_uid", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
def test_fragments_may_be_split_anywhere(
    make_node: MakeNode, step: int, transfer_syntax_uid: str
) -> None:
    dataset = image()
    dataset.add_new(0xFFFCFFFC, "OB", bytes(20))  # Data Set Trailing Padding
    data = encode(dataset, transfer_syntax_uid)
    node = make_node()
    assert node.receive(data, transfer_syntax_uid).status == 0x0000
    assert node.receive(data, transfer_syntax_uid, step=step).status == 0x0000
    assert len(node.stored) == 1  # the very same bytes
    assert [fact.is_duplicate for fact in node.facts.told] == [False, True]


def test_nothing_is_on_disk_before_the_header_is_complete_and_no_identity_after(
    make_node: MakeNode,
) -> None:
    node = make_node()
    data = encode(image())
    pixels = data.index(PIXELS)
    instance = node.begin()
    for position in range(pixels - 12):
        instance.write([memoryview(data)[position : position + 1]])
        assert node.incoming == []
    instance.write([memoryview(data)[pixels - 12 : pixels + 1000]])
    [path] = node.incoming
    content = path.read_bytes()
    assert content.endswith(PIXELS[:1000])
    assert NAME.partition("^")[0].encode() not in content
    instance.abandon()
    assert node.incoming == []


REFUSALS = {
    "truncated-header": (encode(basic_dataset())[:-3], 0xC000, "truncated"),
    "truncated-pixels": (encode(image())[:-10], 0xC000, "truncated"),
    "no-study-uid": (encode(image(StudyInstanceUID=None)), 0xC000, "missing-uid"),
    "no-instance-uid": (encode(image(SOPInstanceUID=None)), 0xC000, "missing-uid"),
    "other-instance": (encode(image(SOPInstanceUID="2.25.99")), 0xA900, "uid-mismatch"),
    "burned-in": (encode(image(BurnedInAnnotation="YES")), 0x0110, "burned-in"),
    "phoenix": (encode(image(SeriesDescription="PhoenixZIPReport")), 0x0110, "phoenix-report"),
    "noise": (b"\xff" * 1000, 0xC000, None),
    "nothing": (b"", 0xC000, "missing-uid"),
}


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("step", [5, 1 << 20])
def test_what_cannot_be_taken_is_refused_and_leaves_nothing(
    make_node: MakeNode, name: str, step: int
) -> None:
    data, status, reason = REFUSALS[name]
    node = make_node()
    outcome = node.receive(data, step=step)
    assert outcome.status == status
    assert 0 < len(outcome.comment) <= 64  # LO
    assert node.incoming == node.stored == node.queued("archive") == []
    [event] = node.events("instance.refused")
    assert event["status"] == f"{status:04X}H"
    assert reason is None or event["reason"] == reason
    assert event["bytes"] == len(data)
    [fact] = node.facts.told
    assert not fact.is_stored


def limited(**limits: int) -> ReceiveSettings:
    return replace(SETTINGS, limits=replace(Limits(), **limits))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (limited(header_bytes=100), "header-too-large"),
        (limited(object_bytes=5000), "object-too-large"),
        (limited(elements=5), "too-many-elements"),
    ],
)
def test_what_is_over_a_limit_is_refused(
    make_node: MakeNode, settings: ReceiveSettings, reason: str
) -> None:
    node = make_node(settings=settings)
    assert node.receive(encode(image()), step=50).status == 0xC000
    assert node.events("instance.refused")[0]["reason"] == reason
    assert node.incoming == node.stored == []


def test_what_comes_after_a_refusal_is_ignored(make_node: MakeNode) -> None:
    node = make_node()
    instance = node.begin()
    instance.write([memoryview(b"\xff" * 100)])
    instance.write([memoryview(encode(image()))])
    assert finished(instance).status == 0xC000
    assert node.stored == []


def test_a_full_disk_is_refused_for_now(make_node: MakeNode) -> None:
    node = make_node(low_water_bytes=2**62)
    assert node.receive(encode(image())).status == 0xA700
    assert node.receive(encode(image())).status == 0xA700
    assert [event["reason"] for event in node.events("instance.refused")] == ["disk-full"] * 2
    assert len(node.events("spool.full")) == 1


def test_an_unexpected_exception_refuses_and_its_text_is_not_told(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = make_node()

    def fail(*_: object) -> None:
        raise KeyError(NAME)

    monkeypatch.setattr(node.receiver.router, "route", fail)
    outcome = node.receive(encode(image()))
    assert outcome.status == 0x0110
    [event] = node.events("internal.error")
    assert event["error"].startswith("KeyError")
    assert NAME.partition("^")[0] not in node.log.getvalue() + outcome.comment


def test_an_exception_while_it_is_written_leaves_nothing(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = make_node()
    data = encode(image())
    instance = node.begin()
    instance.write([memoryview(data)[:-100]])
    assert len(node.incoming) == 1

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("dicomanon_node.spool.incoming.IncomingFile.commit", fail)
    instance.write([memoryview(data)[-100:]])
    assert finished(instance).status == 0x0110
    assert node.incoming == node.stored == []


def test_an_abandoned_instance_leaves_nothing_but_its_line_in_the_log(make_node: MakeNode) -> None:
    node = make_node()
    data = encode(image())
    instance = node.begin()
    instance.write([memoryview(data)[:-100]])
    instance.abandon()
    assert node.incoming == node.stored == []
    [event] = node.events("instance.abandoned")
    assert (event["study"], event["bytes"]) == ("study", len(data) - 100)


@pytest.mark.parametrize(
    ("rules", "is_written", "expected"),
    [
        ({}, True, ("archive", "research")),
        ({"destinations": ("archive",)}, True, ("archive",)),
        ({"destinations": ()}, True, ()),
        ({"writes_outgoing": False}, False, ("archive", "research")),
    ],
)
@pytest.mark.parametrize("is_batch", [False, True])
def test_a_study_says_where_its_objects_go_and_a_batch_only_writes_them(
    make_node: MakeNode,
    rules: dict[str, Any],
    is_written: bool,
    expected: Sequence[str],
    is_batch: bool,
) -> None:
    node = make_node(plan_of(**rules), settings=replace(SETTINGS, is_batch=is_batch))
    assert node.receive(encode(image())).status == 0x0000
    assert bool(node.stored) == (is_written or is_batch)
    found = [name for name in SETTINGS.destinations if node.queued(name)]
    assert found == ([] if is_batch else list(expected))


def test_the_same_uid_with_other_content_is_a_variant_and_kept(make_node: MakeNode) -> None:
    node = make_node()
    assert node.receive(encode(image())).status == 0x0000
    assert node.receive(encode(image(KVP="120"))).status == 0x0000
    assert len(node.stored) == 2
    assert [event["variant"] for event in node.events("instance.stored")] == [False, True]


def test_an_object_without_pixels_is_complete_at_its_end(make_node: MakeNode) -> None:
    node = make_node()
    assert node.receive(encode(basic_dataset()), step=10).status == 0x0000
    assert len(node.stored) == 1


def test_the_log_line_tells_the_new_uids_and_the_size_that_came(make_node: MakeNode) -> None:
    node = make_node()
    data = encode(image())
    node.receive(data)
    written = dcmread(node.stored[0], stop_before_pixels=True)
    [event] = node.events("instance.stored")
    assert event["sop_instance_uid"] == written.SOPInstanceUID
    assert event["study_uid"] == written.StudyInstanceUID
    assert event["series_uid"] == written.SeriesInstanceUID
    assert event["bytes"] == len(data)
    assert event["sop_class"] == "CTImageStorage"
    [fact] = node.facts.told
    assert (fact.study_uid, fact.bytes_count) == (written.StudyInstanceUID, len(data))
