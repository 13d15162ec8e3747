"""The file system fails at any point of a commit: refused, and nothing is left."""

import errno
import fcntl
import os
import resource
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import support_spool as support
from support_spool import closes_spools  # noqa: F401  (a fixture)

from dicomanon_node.errors import Reason, Refused

# A first commit with two queues into a tree of four new directories.
FAULTS = [
    ("fdatasync", 1),
    ("fchmod", 1),
    *[("fsync", number) for number in range(1, 9)],
    *[("link", number) for number in range(1, 4)],
    *[("mkdir", number) for number in range(1, 5)],
    *[("open", number) for number in range(2, 8)],
]


@pytest.mark.parametrize(("name", "number"), FAULTS)
def test_a_fault_in_any_call_refuses_and_leaves_nothing(
    tmp_path: Path, name: str, number: int
) -> None:
    spool = support.make_spool(tmp_path)
    with support.failing(name, number), pytest.raises(Refused) as refused:
        support.commit(spool)
    assert refused.value.reason is Reason.SPOOL_UNAVAILABLE
    assert support.visible(tmp_path) == {}
    assert list(spool.incoming.iterdir()) == []
    # The requestor sends again: as if nothing had been.
    committed = support.commit(spool)
    assert (committed.is_duplicate, committed.is_variant) == (False, False)
    assert support.visible(tmp_path) == dict.fromkeys(support.everywhere(), support.CONTENT)


@pytest.mark.parametrize("name", ["open", "writev", "fdatasync", "mkdir", "link", "fsync"])
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOSPC, Reason.DISK_FULL),
        (errno.EDQUOT, Reason.DISK_FULL),
        (errno.EROFS, Reason.SPOOL_UNAVAILABLE),
        (errno.EMFILE, Reason.SPOOL_UNAVAILABLE),
        (errno.EACCES, Reason.SPOOL_UNAVAILABLE),
    ],
)
def test_only_a_lack_of_space_is_called_a_full_disk(
    tmp_path: Path, name: str, code: int, reason: Reason
) -> None:
    spool = support.make_spool(tmp_path)
    with support.failing(name, 1, code), pytest.raises(Refused) as refused:
        support.commit(spool)
    assert refused.value.reason is reason
    assert refused.value.reason.is_temporary
    assert list(spool.incoming.iterdir()) == []


def test_a_failed_fsync_is_never_asked_twice(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    with support.recorded() as calls, support.failing("fdatasync", 1), pytest.raises(Refused):
        support.commit(spool)
    assert [call for call in calls if call.kind in ("sync", "link")] == []


def test_the_cause_of_a_refusal_names_no_file(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    with support.failing("link", 3), pytest.raises(Refused) as refused:
        support.commit(spool)
    cause = refused.value.__cause__
    assert isinstance(cause, OSError)
    assert (cause.errno, cause.filename) == (errno.EIO, None)
    assert str(refused.value) == "spool-unavailable"


def test_undo_leaves_names_that_were_there_before(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    support.commit(spool, outgoing_path=None, destinations=("archive",))
    before = support.visible(tmp_path)
    assert len(before) == 1
    with support.failing("fsync", 1), pytest.raises(Refused):
        support.commit(spool)
    assert support.visible(tmp_path) == before


def test_a_duplicate_is_not_answered_while_the_first_may_still_be_undone(tmp_path: Path) -> None:
    """The first commit fails after the second has found its names: the second must not lose."""
    spool = support.make_spool(tmp_path)
    support.commit(spool, b"makes the directories known", queue_name="other.dcm")
    (tmp_path / "outgoing" / support.OUTGOING_PATH).unlink()
    first_is_linked, may_fail, second_waits = (threading.Event() for _ in range(3))
    first = threading.current_thread()
    fsync, flock = os.fsync, fcntl.flock

    def failing_fsync(descriptor: int) -> None:
        if threading.current_thread() is not first:
            fsync(descriptor)
            return
        first_is_linked.set()
        assert may_fail.wait(10)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def telling_flock(descriptor: int, operation: int) -> None:
        if operation == fcntl.LOCK_SH:
            second_waits.set()
        flock(descriptor, operation)

    outcome = []

    def second() -> None:
        assert first_is_linked.wait(10)
        outcome.append(support.commit(spool))

    def release() -> None:
        assert second_waits.wait(10)
        assert outcome == []
        may_fail.set()

    threads = [threading.Thread(target=second), threading.Thread(target=release)]
    for thread in threads:
        thread.start()
    with (
        mock.patch.object(os, "fsync", failing_fsync),
        mock.patch.object(fcntl, "flock", telling_flock),
        pytest.raises(Refused),
    ):
        support.commit(spool)
    for thread in threads:
        thread.join(10)
    assert [committed.is_duplicate for committed in outcome] == [False]
    found = support.visible(tmp_path)
    assert {path: found.get(path) for path in support.everywhere()} == dict.fromkeys(
        support.everywhere(), support.CONTENT
    )


def test_a_file_size_limit_refuses_in_the_middle_of_an_object(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(support.CONTENT) // 2, hard))
    try:
        with pytest.raises(Refused) as refused:
            support.commit(spool)
        file = spool.open()
        with pytest.raises(Refused):
            file.write([support.CONTENT, support.CONTENT])
        with pytest.raises(Refused):  # a caller that overlooks the refusal gets it again
            file.commit(outgoing_path=support.OUTGOING_PATH, queue_name="1.dcm", destinations=())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refused.value.reason is Reason.SPOOL_UNAVAILABLE
    assert support.visible(tmp_path) == {}
    assert list(spool.incoming.iterdir()) == []


def test_running_out_of_descriptors_refuses_and_recovers(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    taken: list[int] = []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        # From no descriptor to just enough: each commit fails elsewhere, or succeeds.
        while len(taken) < 256:
            try:
                taken.append(os.dup(0))
            except OSError:
                break
        outcomes: list[Reason | None] = []
        while taken and (not outcomes or outcomes[-1] is not None):
            try:
                support.commit(spool)
                outcomes.append(None)
            except Refused as refused:
                outcomes.append(refused.reason)
                assert not any((tmp_path / path).exists() for path in support.everywhere())
            os.close(taken.pop())
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert outcomes[-1] is None
    assert set(outcomes[:-1]) == {Reason.SPOOL_UNAVAILABLE}
    assert len(outcomes) > 3
    assert set(support.visible(tmp_path)) == support.everywhere()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB of its own."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(directory)]
    if not mount or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a file system is not permitted here")
    try:
        yield directory
    finally:
        support.close_spools()  # they hold directories of it open
        subprocess.run(["umount", "--lazy", str(directory)], check=True)  # noqa: S607  (mount was found)


def test_a_full_disk_refuses_and_takes_objects_again_when_there_is_room(small_disk: Path) -> None:
    spool = support.make_spool(small_disk)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(900 << 10))
    with pytest.raises(Refused) as refused:
        support.commit(spool)
    assert refused.value.reason is Reason.DISK_FULL
    assert support.visible(small_disk) == {}
    assert list(spool.incoming.iterdir()) == []
    ballast.unlink()
    support.commit(spool)
    assert set(support.visible(small_disk)) == support.everywhere()


def test_a_disk_that_turns_read_only_refuses(small_disk: Path) -> None:
    spool = support.make_spool(small_disk)
    file = spool.open()
    file.write([support.CONTENT])
    with support.failing("link", 1, errno.EROFS), pytest.raises(Refused) as refused:
        file.commit(outgoing_path=support.OUTGOING_PATH, queue_name="1.dcm", destinations=())
    assert refused.value.reason is Reason.SPOOL_UNAVAILABLE
    support.close_spools()  # the lock file is open for writing
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    subprocess.run(remount, check=True)
    with pytest.raises(Refused) as refused:
        spool.open()
    assert refused.value.reason is Reason.SPOOL_UNAVAILABLE
