"""DCMTK as shipped, and our own SCU, send real files into a node."""

import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID
from support_identity import found_in, identifiers
from support_node import CORPUS, SMALL, Node, environment, read, run

from dicomanon_node.network.part10 import DicomFile, Part10Error

Send = Callable[[Node, Sequence[Path]], None]


# What makes storescu propose a file's own transfer syntax.
STORESCU_OPTIONS = {
    "1.2.840.10008.1.2": "-xi",
    "1.2.840.10008.1.2.1": "-xe",
    "1.2.840.10008.1.2.1.99": "-xd",
    "1.2.840.10008.1.2.4.90": "-xv",
}


def storescu(node: Node, paths: Sequence[Path]) -> None:
    for path in paths:
        option = STORESCU_OPTIONS[read(path).file_meta.TransferSyntaxUID]
        target = ("-aec", "DICOMANON", "127.0.0.1", str(node.port))
        assert run("storescu", "-R", option, *target, path).returncode == 0


def dcmsend(node: Node, paths: Sequence[Path]) -> None:
    run(
        "dcmsend", "-aec", "DICOMANON", "--decompress-never", "--no-halt",
        "127.0.0.1", str(node.port), *paths,
    )  # fmt: skip


def own(node: Node, paths: Sequence[Path]) -> None:
    node.send(*paths)


SENDERS = [
    pytest.param(dcmsend, marks=pytest.mark.tool("dcmsend"), id="dcmsend"),
    pytest.param(storescu, marks=pytest.mark.tool("storescu"), id="storescu"),
    pytest.param(own, id="send"),
]


def stored(node: Node) -> list[Dataset]:
    return [read(node.outgoing / path) for path in node.outgoing_files()]


def identity(path: Path) -> set[str]:
    """What must not come out; nothing where the file is too damaged for pydicom."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return identifiers(read(path))
        except (NotImplementedError, OSError, ValueError):
            return set()


@pytest.mark.tool("echoscu")
def test_echoscu_is_answered(node: Node) -> None:
    done = run("echoscu", "-v", "-aec", "DICOMANON", "127.0.0.1", str(node.port))
    assert done.returncode == 0, done.stderr
    assert "Status: 0x0000" in done.stdout + done.stderr or "Success" in done.stdout + done.stderr


@pytest.mark.parametrize("send", SENDERS)
def test_every_small_file_is_stored_without_identity(node: Node, send: Send) -> None:
    send(node, SMALL)
    files = node.outgoing_files()
    assert len(files) == len(SMALL)
    everything = b"\n".join(files.values())
    for path in SMALL:
        assert found_in(everything, identity(path)) == set(), path.name
    assert {dataset.PatientIdentityRemoved for dataset in stored(node)} == {"YES"}


@pytest.mark.tool("dcmsend")
def test_a_sender_with_nagle_s_algorithm_does_not_wait(node: Node, tmp_path: Path) -> None:
    # DCMTK as Debian ships it leaves Nagle's algorithm on: without care on our side each
    # object costs 40 ms and more.
    paths = []
    for number in range(100):
        dataset = read(SMALL[-1])
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(
            f"2.25.{number}"
        )
        paths.append(tmp_path / f"{number}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    started = time.monotonic()
    dcmsend(node, paths)
    elapsed_s = time.monotonic() - started
    assert len(node.outgoing_files()) == len(paths)
    assert elapsed_s < len(paths) * 0.040


def test_two_processes_share_concurrent_associations(node: Node) -> None:
    scp = ("dicomanon_node", "send", "--to", node.target)
    senders = [
        subprocess.Popen(
            [sys.executable, "-m", *scp, *map(str, SMALL)],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(4)
    ]
    assert [sender.wait(60) for sender in senders] == [0] * 4
    node.wait_for("association.closed", 4)
    closed = [event for event in node.events("association.closed") if event["stored"]]
    assert [event["stored"] for event in closed] == [len(SMALL)] * 4
    assert len(node.outgoing_files()) == len(SMALL)


@pytest.fixture(scope="module")
def corpus() -> list[Path]:
    if not CORPUS.is_dir():
        pytest.skip("../shared/corpus is not there")
    return sorted(
        path
        for path in CORPUS.rglob("*")
        if path.is_file() and "LICENCES" not in path.parts and path.suffix not in {".md", ".csv"}
    )


def is_file_of_dicom(path: Path) -> bool:
    try:
        DicomFile.open(path)
    except Part10Error:
        return False
    return True


@pytest.mark.tool("dcmdump")
def test_what_is_stored_of_the_corpus_can_be_read_and_identifies_nobody(
    node: Node, corpus: list[Path]
) -> None:
    accepted = node.store(*(path for path in corpus if is_file_of_dicom(path)))
    assert len(accepted) > 100
    files = node.outgoing_files()
    for path, uid in accepted.items():
        written = [content for name, content in files.items() if uid in name]
        assert written
        assert found_in(b"\n".join(written), identity(path)) == set(), path.name
    unreadable = [
        path
        for path in files
        if run("dcmdump", "-q", "+L", "-E", node.outgoing / path).returncode != 0
    ]
    assert unreadable == []
    for dataset in stored(node):
        assert dataset.PatientIdentityRemoved == "YES"
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID


@pytest.mark.tool("dcmsend")
def test_what_dcmsend_sends_of_the_corpus_comes_out_as_from_our_send(
    start_node: Callable[..., Node], corpus: list[Path]
) -> None:
    ours = start_node("ours")
    own(ours, corpus)
    key = ours.directory / "var" / "secret.key"
    theirs = start_node("theirs", settings={"secrets.key_file": key})
    dcmsend(theirs, corpus)
    # DCMTK encodes sequences and padding its own way, and each sender leaves out something;
    # but patient, study, series and instance, which make the path, are the same.
    both = theirs.outgoing_files().keys() & ours.outgoing_files().keys()
    assert len(both) > 100
