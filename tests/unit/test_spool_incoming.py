import os
import random
import shutil
from pathlib import Path, PurePosixPath
from unittest import mock

import pytest
import support_spool as support
from support_spool import closes_spools  # noqa: F401  (a fixture)

from dicomanon_node.errors import Refused
from dicomanon_node.spool.medium import Medium


def written(tmp_path: Path, *calls: list[bytes | bytearray | memoryview]) -> bytes:
    spool = support.make_spool(tmp_path)
    file = spool.open()
    for buffers in calls:
        file.write(buffers)
    size_bytes = file.size_bytes
    committed = file.commit(outgoing_path=PurePosixPath("x.dcm"), queue_name="x", destinations=())
    file.discard()
    assert committed.size_bytes == size_bytes
    return (tmp_path / "outgoing" / "x.dcm").read_bytes()


def test_buffers_of_every_kind_are_appended_in_their_order(tmp_path: Path) -> None:
    words = memoryview(b"3344").cast("H")
    sliced = memoryview(b"__55__")[2:4]
    content = written(tmp_path, [b"11", bytearray(b"22")], [], [words, sliced], [b"", b"66"])
    assert content == b"112233445566"


def test_more_buffers_than_one_call_takes_are_all_written(tmp_path: Path) -> None:
    buffers: list[bytes | bytearray | memoryview] = [b"%06d" % number for number in range(5000)]
    assert len(buffers) > 4 * os.sysconf("SC_IOV_MAX")
    assert written(tmp_path, buffers) == b"".join(buffers)


def test_partial_writes_are_continued_where_they_stopped(tmp_path: Path) -> None:
    """A kernel may take fewer bytes than it is offered, in any call."""
    chance = random.Random(2)  # noqa: S311  (a reproducible choice, no secret)
    writev, write = os.writev, os.write

    def short_writev(file: int, buffers: list[bytes]) -> int:
        offered = b"".join(buffers)
        return writev(file, [offered[: chance.randint(0, len(offered))]])

    def short_write(file: int, buffer: memoryview) -> int:
        return write(file, buffer[: chance.randint(1, len(buffer))])

    calls: list[list[bytes | bytearray | memoryview]] = [
        [chance.randbytes(chance.randint(0, 300)) for _ in range(20)] for _ in range(20)
    ]
    with mock.patch.object(os, "writev", short_writev), mock.patch.object(os, "write", short_write):
        content = written(tmp_path, *calls)
    assert content == b"".join(bytes(buffer) for buffers in calls for buffer in buffers)


def test_a_commit_puts_one_inode_under_every_name(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    committed = support.commit(spool)
    assert committed.outgoing_path == support.OUTGOING_PATH
    assert committed.size_bytes == len(support.CONTENT)
    assert not committed.is_duplicate
    assert not committed.is_variant
    assert support.visible(tmp_path) == dict.fromkeys(support.everywhere(), support.CONTENT)
    inodes = {(tmp_path / path).stat().st_ino for path in support.everywhere()}
    assert len(inodes) == 1
    assert list(spool.incoming.iterdir()) == []


def test_a_destination_named_twice_is_one_destination(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    support.commit(spool, outgoing_path=None, destinations=("archive", "archive"))
    assert list(support.visible(tmp_path)) == [f"spool/queue/archive/{support.QUEUE_NAME}"]


def test_discard_leaves_nothing_and_may_be_repeated(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    file = spool.open()
    file.write([support.CONTENT])
    for _ in range(3):
        file.discard()
    assert list(spool.incoming.iterdir()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


@pytest.mark.parametrize("is_discarded", [False, True])
def test_after_a_commit_the_file_can_do_no_more(tmp_path: Path, is_discarded: bool) -> None:
    spool = support.make_spool(tmp_path)
    file = spool.open()
    file.write([support.CONTENT])
    file.commit(outgoing_path=support.OUTGOING_PATH, queue_name="x", destinations=())
    if is_discarded:
        file.discard()
    with pytest.raises(Refused, match="internal"):
        file.write([b"more"])
    with pytest.raises(Refused, match="internal"):
        file.commit(outgoing_path=PurePosixPath("other.dcm"), queue_name="x", destinations=())
    file.discard()
    assert support.visible(tmp_path) == {f"outgoing/{support.OUTGOING_PATH}": support.CONTENT}
    assert list(spool.incoming.iterdir()) == []


def test_what_nobody_waits_for_is_left_to_discard(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    support.commit(spool, b"makes the directories known", queue_name="other.dcm")
    file = spool.open()
    file.write([support.CONTENT])
    second = support.OUTGOING_PATH.with_name("second.dcm")
    with support.recorded() as calls:
        file.commit(outgoing_path=second, queue_name="second.dcm", destinations=("archive",))
    assert [call.kind for call in calls] == ["sync", "link", "link", "sync", "sync"]
    assert len(list(spool.incoming.iterdir())) == 1
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        file.discard()
    assert list(spool.incoming.iterdir()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors - 1
    assert support.visible(tmp_path)[f"outgoing/{second}"] == support.CONTENT


def test_discard_raises_nothing_whatever_became_of_the_spool(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    files = [spool.open() for _ in range(2)]
    files[0].write([support.CONTENT])
    files[0].commit(outgoing_path=support.OUTGOING_PATH, queue_name="x", destinations=())
    shutil.rmtree(tmp_path / "spool")
    with support.failing("posix_fadvise", 1):
        for file in files:
            file.discard()


def is_cached(path: Path) -> bool:
    """Whether the first byte of a file is in memory."""
    file = os.open(path, os.O_RDONLY)
    try:
        return os.preadv(file, [bytearray(1)], 0, os.RWF_NOWAIT) == 1
    except BlockingIOError:
        return False
    finally:
        os.close(file)


def test_only_what_the_courier_will_read_stays_in_memory(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    probe = tmp_path / "probe"
    probe.write_bytes(support.CONTENT)
    with probe.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if is_cached(probe):
        pytest.skip("this file system has no cache to give back")
    support.commit(spool, destinations=())
    assert not is_cached(tmp_path / "outgoing" / support.OUTGOING_PATH)
    support.commit(spool, support.CONTENT[::-1], outgoing_path=None, destinations=("archive",))
    assert is_cached(spool.queue("archive") / support.QUEUE_NAME)


def test_the_disk_begins_with_a_large_object_before_its_end_and_misses_nothing(
    tmp_path: Path,
) -> None:
    spool = support.make_spool(tmp_path)
    fragment = os.urandom(1 << 17)
    begun: list[tuple[int, int]] = []
    when: list[int] = []
    file = spool.open()

    def start_data(_: Medium, __: int, start: int, end: int) -> None:
        begun.append((start, end))
        when.append(file.size_bytes)

    with mock.patch.object(Medium, "start_data", start_data):
        for _ in range(200):
            file.write([fragment])
    assert [start for start, _ in begun] == [0, *(end for _, end in begun[:-1])]
    assert when == [end for _, end in begun]
    assert begun[0][1] > 512 * 512 * 2  # an ordinary slice has no need of it
    assert file.size_bytes - begun[-1][1] < 8 << 20
    file.commit(outgoing_path=support.OUTGOING_PATH, queue_name="x", destinations=())
    file.discard()
    assert (tmp_path / "outgoing" / support.OUTGOING_PATH).read_bytes() == 200 * fragment


def test_a_refused_write_frees_its_space_at_once_and_stays_refused(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    file = spool.open()
    file.write([b"first"])
    with support.failing("writev", 1), pytest.raises(Refused):
        file.write([b"second"])
    assert list(spool.incoming.iterdir()) == []
    with pytest.raises(Refused):
        file.write([b"third"])
    with pytest.raises(Refused):
        file.commit(outgoing_path=support.OUTGOING_PATH, queue_name="x", destinations=())
    assert support.visible(tmp_path) == {}


UNSAFE = ["..", ".", ".hidden", "a/b", "/", "a\0b", "a\nb", "x" * 256, "ü" * 128, "\ud800"]


@pytest.mark.parametrize("name", [*UNSAFE, ""])
def test_an_unsafe_queue_name_is_an_error_of_the_caller(tmp_path: Path, name: str) -> None:
    spool = support.make_spool(tmp_path)
    with pytest.raises(ValueError, match=r"^unsafe file name$"):
        support.commit(spool, queue_name=name)
    assert support.visible(tmp_path) == {}
    assert list(spool.incoming.iterdir()) == []


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../x.dcm",
        "a/../../x.dcm",
        "a/.hidden/x.dcm",
        "a/b\0/x.dcm",
        f"{'x' * 256}/x.dcm",
        "a/\ud800.dcm",
    ],
)
def test_an_unsafe_outgoing_path_is_an_error_of_the_caller(tmp_path: Path, path: str) -> None:
    spool = support.make_spool(tmp_path)
    with pytest.raises(ValueError, match=r"^(unsafe file name|outgoing path is empty)$"):
        support.commit(spool, outgoing_path=PurePosixPath(path))
    assert support.visible(tmp_path) == {}
    assert list(spool.incoming.iterdir()) == []


def test_an_unknown_destination_is_an_error_of_the_caller(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    with pytest.raises(ValueError, match="not configured"):
        support.commit(spool, destinations=("archive", "elsewhere"))
    assert support.visible(tmp_path) == {}


def test_an_object_with_no_place_to_go_is_not_called_durable(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    with pytest.raises(ValueError, match="no place"):
        support.commit(spool, outgoing_path=None, destinations=())
    assert list(spool.incoming.iterdir()) == []
