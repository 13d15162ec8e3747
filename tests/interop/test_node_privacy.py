"""Planted identity is searched for in everything a node leaves behind: it is nowhere.

The canaries are in accepted, refused and abandoned objects, in command sets and in AE
titles; what is searched is standard output, standard error, and the name and content of
every file under the node's directory.
"""

import json
import os
import re
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from support_network import (
    ABORT_TYPE,
    CT,
    EXPLICIT,
    IMPLICIT,
    P_DATA_TYPE,
    RawRequestor,
    associate_rq,
    encoded,
    message,
    store_rq,
)
from support_node import Node, wait_until
from support_objects import ct, halfway

from dicomanon_node.ops.events import EVENTS

Start = Callable[..., Node]

CONSOLE_LINE = re.compile(r"\d\d:\d\d:\d\d [ !E=] [a-z]+\.[a-z_]+ ")
UID_ROOT = "1.2.826.0.1.3680043.9999"


class Canaries:
    """Values that are in no vocabulary, each used in one place."""

    def __init__(self) -> None:
        self.planted: list[str] = []

    def text(self, characters: int = 12) -> str:
        """A word of capital letters."""
        word = "".join(secrets.choice("BCDFGHJKLMNPQRSTVWXZ") for _ in range(characters))
        return self._plant(word)

    def number(self) -> str:
        """A number with no zero in it."""
        return self._plant("".join(secrets.choice("123456789") for _ in range(11)))

    def uid(self) -> str:
        """A UID."""
        return f"{UID_ROOT}.{self.number()}"

    def _plant(self, canary: str) -> str:
        self.planted.append(canary)
        return canary

    def found_in(self, data: bytes) -> list[str]:
        """Those that are in the data, in one of the encodings they might have taken."""
        lowered = data.lower()
        return [
            canary
            for canary in self.planted
            if canary.lower().encode("ascii") in lowered
            or canary.lower().encode("utf-16-le") in lowered
            or canary.encode("ascii").hex().encode("ascii") in lowered
        ]


@pytest.fixture
def node(start_node: Start) -> Node:
    return start_node(settings={"log.level": "debug"})


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


def person(canaries: Canaries) -> str:
    return "^".join(canaries.text() for _ in range(3)) + "=" + canaries.text()


def planted(canaries: Canaries, **elements: object) -> Dataset:
    """An object with a canary wherever somebody is named, at both depths."""
    dataset = ct(
        canaries.uid(),
        pixel_bytes=200_000,
        **{
            "StudyInstanceUID": canaries.uid(),
            "SeriesInstanceUID": canaries.uid(),
            "FrameOfReferenceUID": canaries.uid(),
            "PatientName": person(canaries),
            "PatientID": canaries.number(),
            "PatientBirthDate": "19610917",
            "OtherPatientIDs": [canaries.text(), canaries.number()],
            "PatientAddress": canaries.text(),
            "PatientComments": canaries.text(),
            "AccessionNumber": canaries.number(),
            "InstitutionName": canaries.text(),
            "InstitutionAddress": canaries.text(),
            "ReferringPhysicianName": person(canaries),
            "OperatorsName": person(canaries),
            "StationName": canaries.text(),
            "StudyDescription": f"{canaries.text()}^{canaries.text()}",
            "ProtocolName": canaries.text(),
            "SeriesDescription": canaries.text(),
            "StudyID": canaries.number(),
        }
        | elements,
    )
    item = Dataset()
    item.PatientName = person(canaries)
    item.PatientID = canaries.number()
    item.AccessionNumber = canaries.number()
    item.ReferencedSOPClassUID = CT
    item.ReferencedSOPInstanceUID = canaries.uid()
    dataset.RequestAttributesSequence = DicomSequence([item])
    block = dataset.private_block(0x0029, canaries.text(), create=True)
    block.add_new(0x01, "LO", canaries.text())
    block.add_new(0x02, "UN", canaries.text().encode("ascii"))
    return dataset


def store(port: int, dataset: Dataset, data: bytes | None = None, **titles: str) -> int:
    """Send an object as it is; the status of the answer."""
    uid = str(dataset.SOPInstanceUID)
    sop_class_uid = str(dataset.SOPClassUID)
    with RawRequestor(port) as requestor:
        requestor.associate(
            associate_rq(
                ((1, sop_class_uid, (IMPLICIT,)),),
                called="DICOMANON",
                **titles,  # type: ignore[arg-type]
            )
        )
        content = encoded(dataset) if data is None else data
        requestor.send(message(store_rq(1, sop_class_uid, uid), content, fragment_bytes=16_000))
        status: int = requestor.response().Status
        requestor.release()
        return status


def everything(directory: Path) -> bytes:
    """Names and contents of all that is there, the key aside."""
    parts = []
    for folder, folders, names in os.walk(directory):
        parts += [name.encode() for name in (*folders, *names)]
        for path in (Path(folder) / name for name in names if name != "secret.key"):
            with suppress(FileNotFoundError):  # a journal that has just been read to its end
                parts += [path.read_bytes()] if path.is_file() else []
    return b"\n".join(parts)


def assert_clean(node: Node, canaries: Canaries) -> None:
    assert node.stop() == 0
    data = everything(node.directory)
    assert len(canaries.planted) > 10
    assert canaries.found_in(data) == []
    assert b"19610917" not in data
    assert b"\x1b" not in node.log.read_bytes()


def assert_declared(events: Sequence[dict[str, object]]) -> None:
    for event in events:
        declared = EVENTS[str(event["event"])]
        assert event.keys() - {"timestamp", "level", "event", "rules"} <= declared.key_names


def test_the_search_finds_what_is_there(tmp_path: Path, canaries: Canaries) -> None:
    canary = canaries.text()
    (tmp_path / "file").write_text(f"x{canary.lower()}y", encoding="utf-8")
    assert canaries.found_in(everything(tmp_path)) == [canary]


def test_accepted_objects_leave_no_identity(node: Node, canaries: Canaries) -> None:
    for _ in range(3):
        assert store(node.port, planted(canaries)) == 0x0000
    assert len(node.outgoing_files()) == 3
    assert_clean(node, canaries)
    assert_declared(node.events())


def test_refused_objects_leave_no_identity(node: Node, canaries: Canaries) -> None:
    burned_in = planted(canaries, BurnedInAnnotation="YES")
    phoenix = planted(canaries, SeriesDescription="PhoenixZIPReport")
    nameless = planted(canaries, StudyInstanceUID=None)
    cut = planted(canaries)
    garbled = planted(canaries)
    data = encoded(garbled)
    hostile = planted(canaries, PatientID=canaries.text() + "\x1b[2J\n" + canaries.text())
    mismatch = planted(canaries)
    mismatched_data = encoded(planted(canaries))
    assert store(node.port, burned_in) == 0x0110
    assert store(node.port, phoenix) == 0x0110
    assert store(node.port, nameless) == 0xC000
    assert store(node.port, cut, encoded(cut)[:-100_000]) == 0xC000
    # A length that runs over everything, in the middle of the names.
    position = data.index(b"\x10\x00\x10\x00")
    assert store(
        node.port, garbled, data[: position + 4] + b"\xf0\xff\xff\xff" + data[position + 8 :]
    )
    assert store(node.port, hostile) in {0x0000, 0xC000}
    assert store(node.port, mismatch, mismatched_data) == 0xA900
    node.wait_for("instance.refused", 6)
    assert_clean(node, canaries)
    assert_declared(node.events())


def test_an_abandoned_object_leaves_no_identity(node: Node, canaries: Canaries) -> None:
    uid = canaries.uid()
    with halfway(
        node.port, uid, PatientName=person(canaries), PatientID=canaries.number(),
        AccessionNumber=canaries.number(), InstitutionName=canaries.text(),
        StudyInstanceUID=canaries.uid(), PatientBirthDate="19610917",
        OtherPatientNames=person(canaries),
    ):  # fmt: skip
        wait_until(node.incoming_files)
        # Also while it lies in the spool.
        assert canaries.found_in(everything(node.directory)) == []
    node.wait_for("instance.abandoned")
    wait_until(lambda: not node.incoming_files())
    assert_clean(node, canaries)


def test_an_object_in_the_memory_of_a_killed_receiver_leaves_no_identity(
    node: Node, canaries: Canaries
) -> None:
    with halfway(node.port, canaries.uid(), PatientName=person(canaries),
                 OtherPatientNames=[person(canaries), person(canaries)]):  # fmt: skip
        wait_until(node.incoming_files)
        for pid in node.children():
            node.kill(pid)
        node.wait_for("process.died", 2)
    wait_until(lambda: not node.incoming_files())
    assert_clean(node, canaries)


def test_a_forwarded_object_leaves_no_identity(start_node: Start, canaries: Canaries) -> None:
    # The destination does not exist: the object stays in the queue, to be looked at.
    node = start_node(
        toml='[[destinations]]\nname = "pacs"\nkind = "dicom"\nae_title = "X"\n'
        'host = "127.0.0.1"\nport = 1\n'
    )
    assert store(node.port, planted(canaries)) == 0x0000
    node.wait_for("destination.down")
    assert len(node.queued("pacs")) == 1
    assert_clean(node, canaries)


HOSTILE_TITLES = (
    b"\x1b[31mEVIL\x1b[0m",
    b"A\r\nB",
    b'X","a":"',
    b"\x07\x08\x00\x7f",
    "\u202eABC".encode(),
    b"\xff\xfe\x80",
    b"%s%n{0}{event}",
)


def associate_as(title: bytes, node: Node) -> None:
    """Ask for an association with such a calling AE title; wait for its line in the log."""
    lines = node.log.read_bytes().count(b"\n")
    request = bytearray(associate_rq(called="DICOMANON"))
    request[26:42] = title.ljust(16)  # PS3.8 Table 9-11
    with RawRequestor(node.port) as requestor:
        requestor.send(bytes(request))
        requestor.pdu()
    wait_until(lambda: node.log.read_bytes().count(b"\n") == lines + 1)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_hostile_ae_title_cannot_steer_the_log(start_node: Start, log_format: str) -> None:
    node = start_node(settings={"log.format": log_format})
    for title in HOSTILE_TITLES:
        associate_as(title, node)
    assert node.stop() == 0
    written = node.log.read_bytes()
    assert all(byte == ord("\n") or ord(" ") <= byte <= ord("~") for byte in written)
    for line in written.decode("ascii").splitlines():
        if log_format == "json":
            assert json.loads(line)["event"] in EVENTS
        else:
            assert CONSOLE_LINE.match(line)


def test_identity_in_a_command_set_is_not_logged(node: Node, canaries: Canaries) -> None:
    dataset = ct("2.25.5", pixel_bytes=100)
    with RawRequestor(node.port) as requestor:
        requestor.associate(associate_rq(((1, CT, (IMPLICIT, EXPLICIT)),), called="DICOMANON"))
        for number in range(11):
            # Of the length of a UID, which it is or is not.
            uid = canaries.uid() if number < 10 else canaries.text(30)
            command = store_rq(1, CT, "9" * len(uid)).replace(b"9" * len(uid), uid.encode())
            requestor.send(message(command, encoded(dataset)))
            kind, _ = requestor.pdu()
            assert kind in {P_DATA_TYPE, ABORT_TYPE}
    assert_clean(node, canaries)
