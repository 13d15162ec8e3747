"""`queue`: entries are files; none is ever in neither place, none is deleted undelivered."""

import fcntl
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pytest
from support_delivery import SpoolFolders

from dicomanon_node.delivery import files
from dicomanon_node.delivery.queue import Entry, Failure, QueueDirectory

WHEN = datetime(2026, 11, 20, 12, 0, 5, tzinfo=UTC)
FAILURE = Failure("cannot-understand", 0xC000, 3, WHEN)


@pytest.fixture
def folders(tmp_path: Path) -> SpoolFolders:
    return SpoolFolders(tmp_path).make()


@pytest.fixture
def queue(folders: SpoolFolders) -> QueueDirectory:
    return QueueDirectory(folders.root, folders.destination)


def put(folder: Path, name: str, content: bytes = b"content", age_s: int = 0) -> Path:
    path = folder / name
    path.write_bytes(content)
    os.utime(path, (1_000_000 - age_s, 1_000_000 - age_s))
    return path


def only(queue: QueueDirectory) -> Entry:
    [entry], _ = queue.waiting(10)
    return entry


class TestWaiting:
    def test_entries_come_oldest_first_and_by_name_within_a_moment(
        self, folders: SpoolFolders, queue: QueueDirectory
    ) -> None:
        for name, age_s in (("b.dcm", 5), ("a.dcm", 5), ("new.dcm", 0), ("old.dcm", 9)):
            put(folders.waiting, name, age_s=age_s)
        entries, total = queue.waiting(10)
        assert [entry.name for entry in entries] == ["old.dcm", "a.dcm", "b.dcm", "new.dcm"]
        assert total == queue.waiting_count() == 4

    def test_no_more_than_asked_for_and_none_to_be_skipped(
        self, folders: SpoolFolders, queue: QueueDirectory
    ) -> None:
        for index in range(9):
            put(folders.waiting, f"{index}.dcm", age_s=9 - index)
        entries, total = queue.waiting(3, {"0.dcm", "2.dcm"})
        assert [entry.name for entry in entries] == ["1.dcm", "3.dcm", "4.dcm"]
        assert total == 9

    def test_what_is_no_entry_is_left_alone(
        self, folders: SpoolFolders, queue: QueueDirectory
    ) -> None:
        for name in (".a.dcm", "a.dcm.part", "README", ".dcm"):
            put(folders.waiting, name)
        assert queue.waiting(10) == ([], 0)

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/"])
    def test_a_destination_s_name_cannot_leave_the_spool(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ValueError, match="safe"):
            QueueDirectory(tmp_path, name)


class TestDone:
    def test_a_delivered_entry_is_unlinked(
        self, folders: SpoolFolders, queue: QueueDirectory
    ) -> None:
        put(folders.waiting, "a.dcm")
        queue.done(only(queue))
        assert folders.names() == []

    def test_other_names_of_the_file_stay(
        self, folders: SpoolFolders, queue: QueueDirectory, tmp_path: Path
    ) -> None:
        (tmp_path / "outgoing.dcm").hardlink_to(put(folders.waiting, "a.dcm"))
        queue.done(only(queue))
        assert (tmp_path / "outgoing.dcm").read_bytes() == b"content"

    def test_another_file_that_took_the_name_was_not_delivered_and_stays(
        self, folders: SpoolFolders, queue: QueueDirectory
    ) -> None:
        path = put(folders.waiting, "a.dcm")
        entry = only(queue)
        put(folders.waiting, "other", b"other").replace(path)
        queue.done(entry)
        assert path.read_bytes() == b"other"

    def test_an_entry_that_is_gone_is_done(
        self, folders: SpoolFolders, queue: QueueDirectory
    ) -> None:
        put(folders.waiting, "a.dcm")
        entry = only(queue)
        entry.path.unlink()
        queue.done(entry)
        assert folders.names() == []


class TestFail:
    def test_the_entry_lies_in_failed_with_its_reason_beside(
        self, folders: SpoolFolders, queue: QueueDirectory
    ) -> None:
        put(folders.waiting, "a.dcm")
        queue.fail(only(queue), FAILURE)
        assert folders.names() == []
        assert (folders.failed / "a.dcm").read_bytes() == b"content"
        assert json.loads((folders.failed / "a.dcm.json").read_text()) == {
            "reason": "cannot-understand",
            "status": "C000H",
            "attempts": 3,
            "time": "2026-11-20T12:00:05+00:00",
        }
        assert folders.failed_names() == ["a.dcm", "a.dcm.json"]
        [(entry, failure)] = queue.failed()
        assert (entry.name, failure, queue.failed_count()) == ("a.dcm", FAILURE, 1)

    def test_a_file_that_failed_before_and_was_queued_again_leaves_the_queue(
        self, folders: SpoolFolders, queue: QueueDirectory
    ) -> None:
        # The same inode under both names: rename(2) would succeed and do nothing.
        (folders.failed / "a.dcm").hardlink_to(put(folders.waiting, "a.dcm"))
        queue.fail(only(queue), FAILURE)
        assert folders.names() == []
        assert queue.failed_count() == 1

    def test_the_same_bytes_once_more_are_one_failed_entry(
        self, folders: SpoolFolders, queue: QueueDirectory
    ) -> None:
        put(folders.failed, "a.dcm")
        put(folders.waiting, "a.dcm")
        queue.fail(only(queue), FAILURE)
        assert (folders.names(), queue.failed_count()) == ([], 1)

    def test_other_bytes_of_the_same_name_are_kept_beside(
        self, folders: SpoolFolders, queue: QueueDirectory
    ) -> None:
        put(folders.failed, "a.dcm", b"earlier")
        put(folders.waiting, "a.dcm", b"later")
        queue.fail(only(queue), FAILURE)
        contents = {path.read_bytes() for path in folders.failed.glob("*.dcm")}
        assert contents == {b"earlier", b"later"}
        assert {failure.reason for _, failure in queue.failed()} == {"unknown", FAILURE.reason}

    @pytest.mark.parametrize("fails", ["write_durable", "sync_directory"])
    def test_when_it_cannot_be_made_durable_the_entry_stays_in_the_queue(
        self,
        folders: SpoolFolders,
        queue: QueueDirectory,
        monkeypatch: pytest.MonkeyPatch,
        fails: str,
    ) -> None:
        def full(*_: object) -> NoReturn:
            raise OSError(28, "full")

        put(folders.waiting, "a.dcm")
        with monkeypatch.context() as patch:
            patch.setattr(f"dicomanon_node.delivery.queue.{fails}", full)
            with pytest.raises(OSError, match="full"):
                queue.fail(only(queue), FAILURE)
        assert (folders.names(), folders.failed_names()) == (["a.dcm"], [])
        queue.fail(only(queue), FAILURE)
        assert (folders.names(), queue.failed()[0][1]) == ([], FAILURE)

    @pytest.mark.parametrize("call", ["fsync", "replace", "link"])
    def test_a_full_disk_leaves_nothing_in_failed(
        self,
        folders: SpoolFolders,
        queue: QueueDirectory,
        monkeypatch: pytest.MonkeyPatch,
        call: str,
    ) -> None:
        def full(*_: object, **__: object) -> NoReturn:
            raise OSError(28, "full")

        put(folders.waiting, "a.dcm")
        monkeypatch.setattr(os, call, full)
        with pytest.raises(OSError, match="full"):
            queue.fail(only(queue), FAILURE)
        assert (folders.names(), folders.failed_names()) == (["a.dcm"], [])

    @pytest.mark.parametrize(
        "content", [b"", b"{", b"[]", b"null", b'{"reason": 1}', b"\xff", b'{"reason":"x"}']
    )
    def test_a_reason_file_that_cannot_be_read_says_unknown(
        self, folders: SpoolFolders, queue: QueueDirectory, content: bytes
    ) -> None:
        put(folders.failed, "a.dcm")
        put(folders.failed, "a.dcm.json", content)
        assert queue.failed()[0][1] == Failure("unknown")


class TestRetryAndDrop:
    def test_a_failed_entry_can_wait_again_at_its_old_place(
        self, folders: SpoolFolders, queue: QueueDirectory
    ) -> None:
        put(folders.waiting, "old.dcm", age_s=100)
        queue.fail(only(queue), FAILURE)
        put(folders.waiting, "new.dcm")
        [(entry, _)] = queue.failed()
        queue.retry(entry)
        assert folders.failed_names() == []
        assert [entry.name for entry in queue.waiting(10)[0]] == ["old.dcm", "new.dcm"]

    def test_only_what_a_person_drops_is_deleted(
        self, folders: SpoolFolders, queue: QueueDirectory
    ) -> None:
        for name in ("a.dcm", "b.dcm"):
            put(folders.waiting, name)
            queue.fail(only(queue), FAILURE)
        queue.drop(queue.failed()[0][0])
        assert folders.failed_names() == ["b.dcm", "b.dcm.json"]
        put(folders.waiting, "c.dcm")
        queue.drop(only(queue))
        assert folders.names() == []


class TestTogether:
    """A person at the terminal and the courier move the same entry at the same time."""

    def meanwhile(
        self, monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]
    ) -> threading.Thread:
        """Do something in another thread while the first fsync of a directory is under way."""
        sync = files.sync_directory
        other = threading.Thread(target=action)

        def slow(directory: Path) -> None:
            if other.ident is None:
                other.start()
                other.join(0.3)  # it either comes to its end or waits for us
            sync(directory)

        monkeypatch.setattr("dicomanon_node.delivery.queue.sync_directory", slow)
        return other

    def test_an_entry_refused_again_while_it_is_queued_again_is_not_lost(
        self, folders: SpoolFolders, queue: QueueDirectory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(folders.waiting, "a.dcm")
        failed = queue.fail(only(queue), FAILURE)
        courier = self.meanwhile(monkeypatch, lambda: queue.fail(only(queue), FAILURE))
        queue.retry(failed)
        courier.join(10)
        assert (folders.names(), folders.failed_names()) == ([], ["a.dcm", "a.dcm.json"])

    def test_an_entry_that_two_people_retry_waits_once(
        self, folders: SpoolFolders, queue: QueueDirectory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(folders.waiting, "a.dcm")
        failed = queue.fail(only(queue), FAILURE)
        refused: list[bool] = []

        def retry() -> None:
            with pytest.raises(FileNotFoundError):
                queue.retry(failed)
            refused.append(True)

        second = self.meanwhile(monkeypatch, retry)
        queue.retry(failed)
        second.join(10)
        assert (folders.names(), folders.failed_names(), refused) == (["a.dcm"], [], [True])

    @pytest.mark.parametrize("action", ["retry", "drop"])
    def test_another_file_that_took_a_failed_entry_s_name_keeps_it_and_its_reason(
        self, folders: SpoolFolders, queue: QueueDirectory, action: str
    ) -> None:
        put(folders.waiting, "a.dcm")
        failed = queue.fail(only(queue), FAILURE)
        put(folders.failed, "other", b"other").replace(failed.path)
        with pytest.raises(FileNotFoundError):
            getattr(queue, action)(failed)
        assert (folders.names(), failed.path.read_bytes()) == ([], b"other")
        assert queue.failed()[0][1] == FAILURE

    def test_an_entry_is_not_moved_while_somebody_who_holds_the_lock_is_stopped(
        self, folders: SpoolFolders, queue: QueueDirectory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(files, "_LOCK_WAIT_S", 0.05)
        put(folders.waiting, "a.dcm")
        with files.locked(folders.failed), pytest.raises(TimeoutError):
            queue.fail(only(queue), FAILURE)
        assert (folders.names(), folders.failed_names()) == (["a.dcm"], [])


KILLED = """
import os, sys
from pathlib import Path
from dicomanon_node.delivery import queue as module
from dicomanon_node.delivery.queue import Failure, QueueDirectory
step, calls = int(sys.argv[2]), 0
def counted(function):
    def call(*arguments, **options):
        global calls
        if calls == step:
            os._exit(9)
        calls += 1
        return function(*arguments, **options)
    return call
for name in ("link", "fsync", "unlink", "open", "replace"):
    setattr(os, name, counted(getattr(os, name)))
queue = QueueDirectory(Path(sys.argv[1]), "pacs")
[entry], _ = queue.waiting(1)
queue.fail(entry, Failure("refused"))
os._exit(0)
"""


def test_an_entry_is_in_one_place_or_the_other_wherever_it_is_killed(
    folders: SpoolFolders, queue: QueueDirectory
) -> None:
    code, step = 9, 0
    while code == 9:
        for path in (*folders.waiting.iterdir(), *folders.failed.iterdir()):
            path.unlink()
        put(folders.waiting, "a.dcm")
        command = [sys.executable, "-c", KILLED, str(folders.root), str(step)]
        code = subprocess.run(command, check=False).returncode
        places = [folder / "a.dcm" for folder in (folders.waiting, folders.failed)]
        assert any(path.exists() and path.read_bytes() == b"content" for path in places)
        if (folders.failed / "a.dcm").exists() and not (folders.waiting / "a.dcm").exists():
            assert queue.failed()[0][1].reason == "refused"
        step += 1
    assert (code, step > 5) == (0, True)
    assert folders.failed_names() == ["a.dcm", "a.dcm.json"]


class TestFiles:
    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            (b"", b"", True),
            (b"a", b"", False),
            (b"x" * 2_500_000, b"x" * 2_500_000, True),
            (b"x" * 2_500_000, b"x" * 2_499_999 + b"y", False),
            (b"x" * 2_500_000, b"x" * 2_500_001, False),
        ],
    )
    def test_files_are_the_same_if_every_byte_is(
        self, tmp_path: Path, one: bytes, other: bytes, same: bool
    ) -> None:
        left, right = put(tmp_path, "left", one), put(tmp_path, "right", other)
        assert files.has_same_bytes(left, right) is same

    def test_a_reason_is_never_half_written(self, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        files.write_durable(path, b"old")
        files.write_durable(path, b"new")
        assert [(item.name, item.read_bytes()) for item in tmp_path.iterdir()] == [
            ("a.json", b"new")
        ]
        assert stat.S_ISREG(path.stat().st_mode)


def test_an_entry_whose_commit_may_still_be_undone_is_not_opened(
    folders: SpoolFolders, queue: QueueDirectory
) -> None:
    path = folders.add("2.25.1")
    [entry], _ = queue.waiting(1)
    with path.open("rb") as committing:
        fcntl.flock(committing, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError):
            queue.open(entry)
    assert queue.open(entry).sop_instance_uid == "2.25.1"


def test_an_entry_whose_commit_was_undone_meanwhile_is_gone(
    folders: SpoolFolders, queue: QueueDirectory, tmp_path: Path
) -> None:
    path = folders.add("2.25.1")
    [entry], _ = queue.waiting(1)
    path.rename(tmp_path / "kept")  # so that its inode is not used again
    folders.add("2.25.1")
    with pytest.raises(FileNotFoundError):
        queue.open(entry)
