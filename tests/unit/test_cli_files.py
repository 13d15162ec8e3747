"""Which files a user means, and what they hold."""

import os
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import UID
from support_delivery import write_file

from dicomanon_node.cli.files import Found, UnusableError, walk


def names(root: Path, excluding: Path | None = None) -> list[str]:
    return [str(found.path.relative_to(root)) for found in walk([root], excluding)]


def make(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")


def test_folders_are_walked_to_the_bottom_in_one_order(tmp_path: Path) -> None:
    make(tmp_path, "b", "a", "d/x", "c/2", "c/1", "c/e/deep")
    assert names(tmp_path) == ["a", "b", "c/1", "c/2", "c/e/deep", "d/x"]


def test_the_excluded_folder_is_left_out_also_through_links(tmp_path: Path) -> None:
    make(tmp_path, "in", "out/1", "out/sub/2", "other/3")
    (tmp_path / "link").symlink_to(tmp_path / "out" / "1")
    (tmp_path / "other" / "folder").symlink_to(tmp_path / "out")
    assert names(tmp_path, excluding=tmp_path / "out") == ["in", "other/3"]


def test_a_folder_that_links_to_its_parent_does_not_make_it_endless(tmp_path: Path) -> None:
    make(tmp_path, "folder/1")
    (tmp_path / "folder" / "up").symlink_to(tmp_path)
    found = {entry.path.name: entry.fault for entry in walk([tmp_path])}
    assert found == {
        "1": "",
        "up": "a link to no file; links to folders are not followed",
    }


def test_a_link_to_a_file_is_a_file(tmp_path: Path) -> None:
    make(tmp_path, "real")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "real")
    assert [found.fault for found in walk([folder])] == [""]


def test_what_is_no_file_is_named_and_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")  # opening it would wait for ever
    [found] = walk([tmp_path])
    assert found.fault == "neither a file nor a folder"
    with pytest.raises(UnusableError, match="neither a file nor a folder"):
        found.open()


def test_a_folder_that_cannot_be_opened_is_named_and_the_others_are_walked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a/1", "b/2", "c/3")
    scandir = os.scandir

    def guarded(path: Path) -> object:
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    found = [(entry.path.name, entry.fault) for entry in walk([tmp_path])]
    assert found == [("1", ""), ("b", "cannot be opened: Permission denied"), ("3", "")]


def test_an_empty_folder_has_nothing(tmp_path: Path) -> None:
    assert names(tmp_path) == []


def test_what_is_no_dicom_file_may_be_skipped(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not at all", encoding="utf-8")
    with pytest.raises(UnusableError, match="not a DICOM file") as caught:
        Found(path).open()
    assert not caught.value.is_dicom


def test_a_damaged_dicom_file_may_not_be_skipped(tmp_path: Path) -> None:
    path = write_file(tmp_path / "1.dcm", "2.25.1")
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(UnusableError) as caught:
        Found(path).open()
    assert caught.value.is_dicom


def test_what_cannot_be_read_may_not_be_skipped(tmp_path: Path) -> None:
    with pytest.raises(UnusableError, match="cannot be read") as caught:
        Found(tmp_path).open()
    assert caught.value.is_dicom


@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"]
)
def test_a_file_is_what_its_data_set_says(tmp_path: Path, syntax: str) -> None:
    path = write_file(tmp_path / "1.dcm", "2.25.1", syntax="1.2.840.10008.1.2.1")
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset["PixelData"].VR = "OW"
    dataset.file_meta.MediaStorageSOPInstanceUID = UID("2.25.2")
    dataset.save_as(path, implicit_vr=syntax == "1.2.840.10008.1.2", little_endian=True)
    assert Found(path).open().sop_instance_uid == "2.25.1"
