"""Destination kind "folder": copies that are whole, durable and never overwritten."""

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest
from support_delivery import write_file

from dicomanon_node.config.model import FolderDestination
from dicomanon_node.delivery.folder import FolderTransport
from dicomanon_node.errors import DeferredError
from dicomanon_node.network.part10 import DicomFile


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "share"
    path.mkdir()
    return path


@pytest.fixture
def instance(tmp_path: Path) -> DicomFile:
    return DicomFile.open(write_file(tmp_path / "queued.dcm", "2.25.7", pixel_bytes=3_000_000))


def transport(folder: Path) -> FolderTransport:
    settings = {"name": "share", "kind": "folder", "path": str(folder)}
    return FolderTransport(FolderDestination.model_validate(settings))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_copy_is_the_whole_file_named_by_its_instance(
    folder: Path, instance: DicomFile
) -> None:
    transport(folder).send(instance)
    assert names(folder) == ["2.25.7.dcm"]
    assert (folder / "2.25.7.dcm").read_bytes() == instance.path.read_bytes()
    assert (folder / "2.25.7.dcm").stat().st_mode & 0o137 == 0


def test_delivering_again_changes_nothing(folder: Path, instance: DicomFile) -> None:
    way = transport(folder)
    way.send(instance)
    before = (folder / "2.25.7.dcm").stat()
    way.send(instance)
    assert names(folder) == ["2.25.7.dcm"]
    assert (folder / "2.25.7.dcm").stat().st_mtime_ns == before.st_mtime_ns


def test_another_file_of_that_name_is_kept_and_ours_lies_beside(
    folder: Path, instance: DicomFile
) -> None:
    (folder / "2.25.7.dcm").write_bytes(b"theirs")
    for _ in range(2):
        transport(folder).send(instance)
    [beside] = [path for path in folder.iterdir() if path.name != "2.25.7.dcm"]
    assert (folder / "2.25.7.dcm").read_bytes() == b"theirs"
    assert beside.read_bytes() == instance.path.read_bytes()
    assert beside.name.startswith("2.25.7~")
    assert beside.suffix == ".dcm"


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path, instance: DicomFile) -> None:
    way = transport(tmp_path / "not-mounted")
    with pytest.raises(DeferredError, match="folder-missing"):
        way.prepare([instance])
    with pytest.raises(DeferredError, match="folder-unavailable"):
        way.send(instance)
    assert not (tmp_path / "not-mounted").exists()


def test_what_a_killed_copy_left_is_overwritten_by_the_next(
    folder: Path, instance: DicomFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: int) -> NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            transport(folder).send(instance)
    assert len(names(folder)) == 1
    assert not (folder / "2.25.7.dcm").exists()
    transport(folder).send(instance)
    assert names(folder) == ["2.25.7.dcm"]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "folder-full"),
        (errno.EDQUOT, "folder-full"),
        (errno.EIO, "folder-unavailable"),
    ],
)
def test_a_folder_that_takes_nothing_defers_and_keeps_no_part(
    folder: Path, instance: DicomFile, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    def fail(_: int) -> NoReturn:
        raise OSError(number, "text with a path")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DeferredError) as raised:
        transport(folder).send(instance)
    assert str(raised.value) == code
    assert names(folder) == []


def test_a_queued_file_that_is_gone_is_not_the_folder_s_fault(
    folder: Path, instance: DicomFile
) -> None:
    instance.path.unlink()
    with pytest.raises(FileNotFoundError):
        transport(folder).send(instance)


def test_an_interrupted_copy_is_no_copy(folder: Path, instance: DicomFile) -> None:
    way = transport(folder)
    way.interrupt()
    with pytest.raises(DeferredError):
        way.send(instance)
    assert names(folder) == []


def test_a_folder_on_another_file_system_is_served(tmp_path: Path, instance: DicomFile) -> None:
    shared_memory = Path("/dev/shm")  # noqa: S108  (another file system, where there is one)
    if not shared_memory.is_dir() or shared_memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system here")
    folder = shared_memory / f"dicomanon-{os.getpid()}"
    folder.mkdir()
    try:
        transport(folder).send(instance)
        assert (folder / "2.25.7.dcm").read_bytes() == instance.path.read_bytes()
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def test_an_answer_that_nobody_took_is_not_given_to_the_next(
    folder: Path, instance: DicomFile, tmp_path: Path
) -> None:
    # The spool failed between the copy and its answer: the carrier closes, and begins anew.
    way = transport(folder)
    second = DicomFile.open(write_file(tmp_path / "second.dcm", "2.25.8"))
    way.send(instance)
    way.close()
    way.send(second)
    assert way.answer().instance is second
