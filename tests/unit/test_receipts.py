"""What the receive path writes of an instance, and what it does where it cannot."""

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support_deid import CT, EXPLICIT, PATIENT_ID, STUDY_UID, basic_dataset, encode, plan_of
from support_logs import Captured

from dicomanon_node.deid.boundaries import Limits
from dicomanon_node.deid.pseudonyms import Key
from dicomanon_node.deid.rules import StationRule
from dicomanon_node.errors import Status
from dicomanon_node.ledger.crosswalk import CrosswalkKey
from dicomanon_node.ledger.journal import Journal
from dicomanon_node.ledger.origins import Origins
from dicomanon_node.ledger.reading import Journals
from dicomanon_node.ledger.receipts import ReceiptWriter
from dicomanon_node.ledger.records import LONGEST_BYTES, Link, Record, Refusal, Stored
from dicomanon_node.ledger.telling import CrosswalkWriter
from dicomanon_node.network.service import AssociationFacts, Outcome, StoreRequest
from dicomanon_node.ops import logs
from dicomanon_node.ops.studies import InstanceFact
from dicomanon_node.receive import ReceivedInstance, Receiver, ReceiveSettings
from dicomanon_node.routing import Router
from dicomanon_node.spool.layout import Layout
from dicomanon_node.spool.spool import Spool

KEY, CROSSWALK = Key(bytes(range(32))), CrosswalkKey(bytes(range(1, 33)))
SETTINGS = ReceiveSettings(
    limits=Limits(),
    deflated_bytes=1 << 20,
    converted_bytes=1 << 20,
    destinations=("archive",),
    layout=Layout("{study}/{SOPInstanceUID}.dcm"),
    rules_digest="0123456789ab",
)


class NoFacts:
    """Nobody counts."""

    def send(self, fact: InstanceFact) -> None:
        """Forget it."""


@dataclass
class Node:
    """A receiver with its journal and its log."""

    directory: Path
    receiver: Receiver
    log: Captured

    @property
    def records(self) -> list[Record]:
        journals = Journals(self.directory / "spool")
        return [record for name in journals.names() for record in journals.read(name, 0).records]

    def of(self, kind: type[Record]) -> list[Record]:
        return [record for record in self.records if isinstance(record, kind)]

    @property
    def stored_count(self) -> int:
        return sum(1 for path in (self.directory / "outgoing").rglob("*") if path.is_file())

    def begin(self, data: bytes, uid: str) -> ReceivedInstance:
        begun = self.receiver.begin(
            StoreRequest(1, CT, uid, 1, EXPLICIT),
            AssociationFacts("a1", "SEN\x1bDER", "NODE", "192.0.2.1"),
        )
        assert isinstance(begun, ReceivedInstance)
        begun.write([memoryview(data)])
        return begun

    def receive(self, data: bytes, uid: str) -> Outcome:
        begun = self.begin(data, uid)
        outcome = begun.finish()
        begun.answered()
        return outcome

    def events(self, name: str) -> list[dict[str, object]]:
        return [event for event in self.log.events if event["event"] == name]


Make = Callable[..., Node]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    log = Captured()
    logs.configure(format="json", stream=log, strict=True, studies=["study"])
    spool = Spool(tmp_path / "spool", tmp_path / "outgoing", ("archive",), sync=False)
    spool.prepare(lock_wait_s=0)

    def made(*, is_required: bool = False, has_templates: bool = True) -> Node:
        rule = StationRule("default", 0x00081030)
        router = Router({"default": rule}, {"study": plan_of()}, "study")
        receipts = ReceiptWriter(
            Journal(tmp_path / "spool"), Origins(KEY), logs.get(), is_required=is_required
        )
        crosswalk = CrosswalkWriter(receipts, CROSSWALK)
        receiver = Receiver(
            router, spool, SETTINGS, logs.get(), NoFacts(), receipts=receipts, crosswalk=crosswalk
        )
        if not has_templates:
            receiver.templates.learn = lambda *_: None  # type: ignore[method-assign]
        return Node(tmp_path, receiver, log)

    yield made
    spool.close()
    logs.configure(strict=True)


def slices() -> Iterator[tuple[bytes, str]]:
    """Two series of one study, as a scanner sends them, one after the other."""
    for number in range(24):
        dataset = basic_dataset(
            SOPInstanceUID=f"2.25.900{number}",
            SeriesInstanceUID=f"2.25.800{number // 12}",
            InstanceNumber=number,
            Rows=64,
            Columns=64,
            BitsAllocated=8,
        )
        dataset.add_new(0x7FE00010, "OW", bytes(4096))
        yield encode(dataset), f"2.25.900{number}"


def plain(records: list[Record]) -> list[object]:
    """Receipts without their times."""
    return [
        (
            record.sop_instance_uid,
            record.series_uid,
            record.study_uid,
            record.original_instance,
            record.original_series,
            record.original_study,
        )
        for record in records
        if isinstance(record, Stored)
    ]


def test_the_receipt_is_written_before_the_answer(make: Make) -> None:
    node = make()
    data, uid = next(slices())
    begun = node.begin(data, uid)
    assert node.records == []
    assert begun.finish().status is Status.SUCCESS
    [record] = node.of(Stored)
    assert isinstance(record, Stored)
    assert record.original_instance == Origins(KEY).hash(uid)
    assert record.original_study == Origins(KEY).hash(STUDY_UID)
    assert record.destinations == ("archive",)
    assert record.calling_aet == "SEN\\x1bDER"
    assert record.bytes_count == len(data)
    begun.answered()
    assert len(node.of(Stored)) == 1


def test_short_cuts_give_the_same_receipts_and_the_same_crosswalk(make: Make) -> None:
    node = make()
    taken = 0
    for data, uid in slices():
        begun = node.begin(data, uid)
        assert begun.finish().status is Status.SUCCESS
        taken += begun._stream.elements is None
        begun.answered()
    assert taken > 10
    short = plain(node.of(Stored))
    for number, row in enumerate(short):
        assert isinstance(row, tuple)
        assert row[3:] == (
            Origins(KEY).hash(f"2.25.900{number}"),
            Origins(KEY).hash(f"2.25.800{number // 12}"),
            Origins(KEY).hash(STUDY_UID),
        )
    [link] = node.of(Link)
    assert isinstance(link, Link)
    assert CROSSWALK.open(link).patient_id == PATIENT_ID
    assert CROSSWALK.open(link).study_uid == STUDY_UID


def test_what_another_object_says_of_the_patient_is_kept_too(make: Make) -> None:
    node = make()
    for number, accession in enumerate(("ACC-1", "ACC-2", "ACC-1")):
        dataset = basic_dataset(SOPInstanceUID=f"2.25.70{number}", AccessionNumber=accession)
        assert node.receive(encode(dataset), f"2.25.70{number}").status is Status.SUCCESS
    opened = [CROSSWALK.open(link) for link in node.of(Link) if isinstance(link, Link)]
    assert [person.accession_number for person in opened] == ["ACC-1", "ACC-2"]


def test_a_refusal_is_written_after_the_answer(make: Make) -> None:
    node = make()
    data, uid = next(slices())
    begun = node.begin(data[:-5], uid)
    assert begun.finish().status is Status.CANNOT_UNDERSTAND
    assert node.records == []
    begun.answered()
    [record] = node.records
    assert isinstance(record, Refusal)
    assert (record.reason, record.status) == ("truncated", 0xC000)
    assert record.original_instance == Origins(KEY).hash(uid)


def break_journal(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def fail(_self: Journal, _line: bytes) -> None:
        raise OSError(code, "on purpose")

    monkeypatch.setattr(Journal, "append", fail)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_an_instance_is_taken_though_the_journal_fails_and_that_is_told_once(
    make: Make, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    node = make()
    objects = list(slices())[:4]
    with monkeypatch.context() as patched:
        break_journal(patched, code)
        for data, uid in objects[:3]:
            assert node.receive(data, uid).status is Status.SUCCESS
    assert node.stored_count == 3
    assert len(node.events("journal.failed")) == 1
    assert node.receive(*objects[3]).status is Status.SUCCESS
    [event] = node.events("journal.available")
    lost = event["lost"]
    assert isinstance(lost, int)
    assert lost >= 3
    assert len(node.of(Stored)) == 1
    assert len(node.of(Link)) == 1  # what could not be written was tried again


def test_where_receipts_are_required_it_is_refused_and_kept(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = make(is_required=True)
    data, uid = next(slices())
    with monkeypatch.context() as patched:
        break_journal(patched, errno.ENOSPC)
        assert node.receive(data, uid).status is Status.OUT_OF_RESOURCES
    assert node.stored_count == 1
    assert node.receive(data, uid).status is Status.SUCCESS
    assert node.stored_count == 1
    [record] = node.of(Stored)
    assert isinstance(record, Stored)
    assert record.is_duplicate


def test_what_the_crosswalk_remembers_of_one_study_is_bounded(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomanon_node.ledger.telling._MOST_REMEMBERED", 5)
    node = make()
    for number in range(23):  # of one study and patient, each with a number of its own
        dataset = basic_dataset(SOPInstanceUID=f"2.25.77{number}", AccessionNumber=f"A{number}")
        assert node.receive(encode(dataset), f"2.25.77{number}").status == 0
    assert len(node.of(Link)) == 23
    writer = node.receiver.books.crosswalk
    assert writer is not None
    assert sum(map(len, writer._told.values())) <= 5


def test_however_long_a_name_is_its_entry_fits_into_a_record(make: Make) -> None:
    node = make()
    data = encode(basic_dataset(SOPInstanceUID="2.25.771", PatientName="SOMEBODY^ELSE1"))
    short, long = b"SOMEBODY^ELSE1", b"\xc4" * 2_000
    head = b"\x10\x00\x10\x00PN"
    before, after = (head + len(text).to_bytes(2, "little") + text for text in (short, long))
    assert data.count(before) == 1
    assert node.receive(data.replace(before, after), "2.25.771").status == 0
    [link] = node.of(Link)
    assert isinstance(link, Link)
    assert CROSSWALK.open(link).patient_name == "\u00c4" * 256
    for path in (node.directory / "spool" / "journal").iterdir():
        assert max(map(len, path.read_bytes().splitlines())) < LONGEST_BYTES
