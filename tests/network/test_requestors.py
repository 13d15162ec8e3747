"""Requestors that hospitals have: pynetdicom's SCU and DCMTK's tools, unmodified."""

import subprocess
from pathlib import Path

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.association import Association
from support_network import CT, EXPLICIT, IMPLICIT, VERIFICATION, MemoryService, Node, running_node

from dicomanon_node.errors import Reason
from dicomanon_node.network import association
from dicomanon_node.network.service import Ending, Outcome
from dicomanon_node.network.supported import TRANSFER_SYNTAXES

PRIVATE = "1.3.12.2.1107.5.9.1"


@pytest.fixture(autouse=True)
def _short_close_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(association, "CLOSE_WAIT_S", 0.05)


def instance(syntax: str = EXPLICIT, number: int = 1, sop_class: str = CT) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = UID(sop_class)
    dataset.SOPInstanceUID = UID(f"2.25.{number}")
    dataset.StudyInstanceUID = UID("2.25.11")
    dataset.SeriesInstanceUID = UID("2.25.12")
    dataset.PatientID = "ANON"
    dataset.PatientName = "ANON^EXAMPLE"
    dataset.Modality = "CT"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def write_file(path: Path, dataset: Dataset) -> bytes:
    """Write a DICOM file; the bytes of its encoded data set."""
    dcmwrite(path, dataset, enforce_file_format=True)
    meta_bytes = 144 + dcmread(path).file_meta.FileMetaInformationGroupLength
    return path.read_bytes()[meta_bytes:]


def associated(node: Node, sop_class: str, syntaxes: list[str]) -> Association:
    entity = AE("SCU")
    entity.add_requested_context(sop_class, syntaxes)
    peer = entity.associate("127.0.0.1", node.port, ae_title="NODE")
    assert peer.is_established
    return peer


# pynetdicom.


@pytest.mark.parametrize("syntax", sorted(TRANSFER_SYNTAXES - {"1.2.840.10008.1.2.1.99"}))
def test_pynetdicom_stores_in_the_syntax_it_has(syntax: str) -> None:
    others = [uid for uid in (IMPLICIT, EXPLICIT) if uid != syntax]
    with running_node() as node:
        peer = associated(node, CT, [syntax, *others])
        assert peer.accepted_contexts[0].transfer_syntax == [syntax]
        assert peer.send_c_store(instance(syntax)).Status == 0x0000
        peer.release()
        [received] = node.service.instances
        assert received.request.transfer_syntax_uid == syntax
        assert node.observer.ending() is Ending.RELEASED


def test_pynetdicom_stores_a_private_class_that_is_configured() -> None:
    with running_node(extra_sop_classes=(PRIVATE,)) as node:
        peer = associated(node, PRIVATE, [EXPLICIT])
        assert peer.send_c_store(instance(sop_class=PRIVATE)).Status == 0x0000
        peer.release()
        assert node.service.instances[0].request.sop_class_uid == PRIVATE


def test_pynetdicom_sees_the_reason_of_a_refusal() -> None:
    outcome = Outcome.refused(Reason.NO_STATION)
    with running_node(MemoryService(outcome)) as node:
        peer = associated(node, CT, [EXPLICIT])
        response = peer.send_c_store(instance())
        peer.release()
    assert response.Status == outcome.status
    assert response.ErrorComment == outcome.comment


def test_pynetdicom_echoes_as_often_as_it_likes() -> None:
    with running_node() as node:
        peer = associated(node, VERIFICATION, [IMPLICIT])
        assert [peer.send_c_echo().Status for _ in range(5)] == [0x0000] * 5
        peer.release()
        assert node.observer.ending() is Ending.RELEASED


def test_pynetdicom_can_release_and_come_back() -> None:
    with running_node() as node:
        for _ in range(5):
            peer = associated(node, CT, [EXPLICIT])
            peer.release()
            assert peer.is_released


# DCMTK.


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.tool("echoscu")
def test_echoscu_succeeds() -> None:
    with running_node() as node:
        done = run("echoscu", "-aec", "NODE", "--repeat", "3", "127.0.0.1", str(node.port))
        assert done.returncode == 0, done.stderr
        assert node.observer.ending() is Ending.RELEASED


@pytest.mark.tool("echoscu")
def test_echoscu_with_another_called_title_is_told_why() -> None:
    with running_node() as node:
        done = run("echoscu", "-aec", "OTHER", "127.0.0.1", str(node.port))
        assert done.returncode != 0
        assert "Called AE Title Not Recognized" in done.stderr


@pytest.mark.tool("echoscu")
def test_echoscu_may_abort() -> None:
    with running_node() as node:
        done = run("echoscu", "-aec", "NODE", "--abort", "127.0.0.1", str(node.port))
        assert done.returncode == 0, done.stderr
        assert node.observer.ending() is Ending.ABORTED


@pytest.mark.tool("storescu")
@pytest.mark.parametrize("max_pdu_bytes", [4096, 16384, 131072])
def test_storescu_stores_with_any_pdu_size(tmp_path: Path, max_pdu_bytes: int) -> None:
    dataset = instance()
    dataset.ImageComments = "x" * 10_000
    encoded = write_file(tmp_path / "a.dcm", dataset)
    with running_node(max_pdu_bytes=max_pdu_bytes) as node:
        done = run(
            "storescu",
            "-v",
            "-aec",
            "NODE",
            "-pdu",
            "4096",
            "127.0.0.1",
            str(node.port),
            tmp_path / "a.dcm",
        )
        assert done.returncode == 0, done.stderr
        assert node.service.received == [encoded]


@pytest.mark.tool("dcmsend")
def test_dcmsend_stores_files_of_different_syntaxes_in_one_association(tmp_path: Path) -> None:
    syntaxes = [
        EXPLICIT,  # dcmsend itself makes this of the other uncompressed ones
        "1.2.840.10008.1.2.4.70",
        "1.2.840.10008.1.2.4.90",
        "1.2.840.10008.1.2.5",
    ]
    expected = {
        (f"2.25.{number}", syntax): write_file(tmp_path / f"{number}.dcm", instance(syntax, number))
        for number, syntax in enumerate(syntaxes)
    }
    with running_node() as node:
        done = run(
            "dcmsend",
            "-v",
            "-aec",
            "NODE",
            "--decompress-never",
            "127.0.0.1",
            str(node.port),
            "+sd",
            tmp_path,
        )
        assert done.returncode == 0, done.stderr
        assert {
            (i.request.sop_instance_uid, i.request.transfer_syntax_uid): bytes(i.data)
            for i in node.service.instances
        } == expected
        assert node.observer.ending() is Ending.RELEASED


@pytest.mark.tool("storescu")
def test_storescu_sees_a_refusal_as_a_failure(tmp_path: Path) -> None:
    write_file(tmp_path / "a.dcm", instance())
    with running_node(MemoryService(Outcome.refused(Reason.DISK_FULL))) as node:
        done = run(
            "storescu", "-v", "-aec", "NODE", "127.0.0.1", str(node.port), tmp_path / "a.dcm"
        )
    assert "OutOfResources" in done.stderr or "0xa700" in done.stderr
