"""A living node whose system fails under it: refused for now, nothing lost, well again alone.

Each fault is real where the machine lets us make it (a small tmpfs, no inode left, limits of the
process, a clock that jumps), otherwise strace lets the calls fail. A read-only file system
is among the latter: the kernel does not remount one on which a file is open for writing, and the
spool's lock is. Mounting needs root, as in `test_commit_write_errors`: where it is not permitted
these tests are skipped, with CI=true too, since a container need not permit it.
"""

import os
import resource
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from support_campaign import (
    SHARE_AND_STOCK,
    Objects,
    Site,
    Strace,
    half_written,
    leaks,
    leaks_in,
    require_strace,
    send_one,
    wait_for_empty_queues,
)
from support_delivery import StockPeer
from support_node import wait_until

# Stock pynetdicom leaves the socket of an aborted association to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

_QUEUES = ("share", "stock")
_BUSY = 0xA700
_FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")


@dataclass
class Bench:
    """A node with two destinations, and objects to send."""

    site: Site
    peer: StockPeer
    objects: Objects
    sent: int = 0

    def send(self, count: int = 1) -> list[int | None]:
        """Send objects, each the first time."""
        statuses = []
        for _ in range(count):
            statuses.append(send_one(self.site.port, self.sent, self.objects.sent[self.sent]))
            self.sent += 1
        return statuses

    def send_until_taken(self, index: int) -> None:
        """As a modality does with what was refused for now."""
        wait_until(lambda: send_one(self.site.port, index, self.objects.sent[index]) == 0, 40)

    def assert_all_is_well(self) -> None:
        """Send again what was refused; then everything is where it belongs, once, and no more."""
        for index in range(self.sent):
            self.send_until_taken(index)
        wait_for_empty_queues(self.site, _QUEUES, 60)
        node = self.site.node
        assert node is not None
        assert node.events("delivery.failed") == []
        self.site.stop()
        self.site.keep_logs()
        done = range(self.sent)
        share = self.site.directory / "share"
        assert {path.name: path.read_bytes() for path in share.iterdir()} == {
            self.objects.names[index]: self.objects.files[index] for index in done
        }
        assert self.peer.received == {
            self.objects.uid(index): self.objects.body(index) for index in done
        }
        assert {
            str(path.relative_to(self.site.directory / "var" / "outgoing"))
            for path in (self.site.directory / "var" / "outgoing").rglob("*")
            if path.is_file()
        } == {self.objects.paths[index] for index in done}
        assert half_written(self.site, self.objects, _QUEUES) == []
        assert list((self.site.directory / "var" / "spool" / "incoming").iterdir()) == []
        assert leaks_in(self.site.directory, excluding=("config",)) == []
        assert [leaks(log) for log in self.site.logs if leaks(log)] == []


Make = Callable[..., Bench]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    with ExitStack() as stack:

        def make(mount: str = "", env: dict[str, str] | None = None) -> Bench:
            peer = stack.enter_context(StockPeer().serving())
            site = Site(
                tmp_path / "node",
                SHARE_AND_STOCK.format(port=peer.port),
                {"listener.processes": 1},
                env or {},
            )
            (site.directory / "share").mkdir(parents=True)
            if mount:
                var = site.directory / "var"
                var.mkdir()
                command = ["mount", "-t", "tmpfs", "-o", mount, "tmpfs", str(var)]
                if subprocess.run(command, check=False, capture_output=True).returncode:
                    pytest.skip("mounting a file system is not permitted here")
                stack.callback(subprocess.run, ["umount", "--lazy", str(var)], check=True)
            site.start()
            stack.callback(site.close)
            objects = Objects.make(12, tmp_path / "made", site.directory, studies=12)
            bench = Bench(site, peer, objects)
            assert bench.send(2) == [0, 0]
            wait_for_empty_queues(site, _QUEUES)
            return bench

        yield make


def test_a_full_disk_refuses_for_now_and_is_told_once(make: Make) -> None:
    bench = make("size=4m")
    node = bench.site.node
    assert node is not None
    ballast = bench.site.directory / "var" / "ballast"
    with ballast.open("wb", buffering=0) as file:
        while room := os.statvfs(ballast.parent).f_bavail:
            file.write(bytes(room * 4096))
    assert bench.send(3) == [_BUSY] * 3
    assert {event["reason"] for event in node.events("instance.refused")} == {"disk-full"}
    assert len(node.events("spool.full")) == 1
    ballast.unlink()
    assert bench.send() == [0]
    assert len(node.wait_for("spool.available")) == 1
    bench.assert_all_is_well()


def test_a_disk_that_fills_while_much_is_under_way_tears_nothing(make: Make) -> None:
    bench = make("size=4m")
    ballast = bench.site.directory / "var" / "ballast"
    # Room for an inode or for a page here and there, so that each step may be the one to fail.
    for pages in range(8):
        room = os.statvfs(ballast.parent).f_bavail
        with ballast.open("wb", buffering=0) as file:
            file.write(bytes(max(0, room - pages) * 4096))
        [status] = bench.send()
        assert status in (0, _BUSY)
        assert half_written(bench.site, bench.objects, _QUEUES) == []
        ballast.unlink()
    bench.assert_all_is_well()


def test_a_full_inode_table_refuses_for_now(make: Make) -> None:
    bench = make("size=40m,nr_inodes=300")
    node = bench.site.node
    assert node is not None
    many = bench.site.directory / "var" / "many"
    many.mkdir()
    count = 0
    while os.statvfs(many).f_ffree:
        (many / str(count)).touch()
        count += 1
    assert bench.send(2) == [_BUSY] * 2
    assert {event["reason"] for event in node.events("instance.refused")} == {"disk-full"}
    # Enough for the file, too few for its directories: what was made goes again.
    for left in range(1, 5):
        for number in range(count - left, count):
            (many / str(number)).unlink(missing_ok=True)
        [status] = bench.send()
        assert status in (0, _BUSY)
        assert half_written(bench.site, bench.objects, _QUEUES) == []
    for path in many.iterdir():
        path.unlink()
    bench.assert_all_is_well()


@pytest.mark.parametrize(
    ("calls", "error", "reason"),
    [
        ("fdatasync", "EIO", "spool-unavailable"),
        ("fsync", "EIO", "spool-unavailable"),
        ("writev", "EIO", "spool-unavailable"),
        ("linkat", "EIO", "spool-unavailable"),
        ("fdatasync", "EDQUOT", "disk-full"),
        ("openat,mkdirat,linkat,unlink,unlinkat", "EROFS", "spool-unavailable"),
    ],
)
def test_a_disk_that_fails_in_the_middle_refuses_for_now(
    make: Make, tmp_path: Path, calls: str, error: str, reason: str
) -> None:
    require_strace()
    bench = make()
    node = bench.site.node
    assert node is not None
    options = ["-e", f"trace={calls}", "-e", f"inject={calls}:error={error}"]
    with Strace(node.children(), options, tmp_path / "trace"):
        assert bench.send(3) == [_BUSY] * 3
        wait_until(lambda: len(node.events("instance.refused")) == 3)
    assert {event["reason"] for event in node.events("instance.refused")} == {reason}
    assert len(node.events("spool.full")) == 1
    assert half_written(bench.site, bench.objects, _QUEUES) == []
    assert len(node.outgoing_files()) == 2
    assert bench.send() == [0]
    if "unlink" in calls:  # what cannot be removed is swept at the next start
        bench.site.stop()
        bench.site.start()
    bench.assert_all_is_well()


@pytest.mark.parametrize("calls", ["fsync", "rename", "unlink", "openat"])
def test_a_courier_whose_disk_fails_delivers_once_it_works(
    make: Make, tmp_path: Path, calls: str
) -> None:
    require_strace()
    bench = make()
    node = bench.site.node
    assert node is not None
    options = ["-e", f"trace={calls}", "-e", f"inject={calls}:error=EIO"]
    with Strace(node.children("courier"), options, tmp_path / "trace"):
        assert bench.send(3) == [0] * 3
        wait_until(lambda: node.events("destination.down") or node.events("delivery.deferred"))
    bench.assert_all_is_well()


@contextmanager
def lowered(pids: Sequence[int], which: int, limit: Callable[[int], int]) -> Iterator[None]:
    """A limit of living processes, and back."""
    before = [(pid, resource.prlimit(pid, which)) for pid in pids]
    for pid, (_, hard) in before:
        resource.prlimit(pid, which, (limit(pid), hard))
    yield
    for pid, limits in before:
        try:
            resource.prlimit(pid, which, limits)
        except ProcessLookupError:
            continue  # it died of it, and another one has the limits of its parent


def open_descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@pytest.mark.parametrize("spare", [0, 1, 3, 6])
def test_a_receiver_without_descriptors_refuses_and_recovers(make: Make, spare: int) -> None:
    bench = make()
    node = bench.site.node
    assert node is not None
    wait_until(lambda: len(node.events("association.closed")) == 2)
    fault: AbstractContextManager[None] = lowered(
        node.children(), resource.RLIMIT_NOFILE, lambda pid: open_descriptors(pid) + spare
    )
    with fault:
        statuses = bench.send(2)
        # Either it is not even connected, or it is told to come again.
        assert set(statuses) <= {None, _BUSY} or spare > 3
        assert half_written(bench.site, bench.objects, _QUEUES) == []
    assert node.events("process.died") == []
    assert bench.send() == [0]
    bench.assert_all_is_well()


def virtual_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[0]) * 4096


@pytest.mark.parametrize("spare_bytes", [0, 2_000_000])
def test_a_receiver_without_memory_promises_nothing_and_recovers(
    make: Make, spare_bytes: int
) -> None:
    bench = make()
    node = bench.site.node
    assert node is not None
    with lowered(node.children(), resource.RLIMIT_AS, lambda pid: virtual_bytes(pid) + spare_bytes):
        statuses = bench.send(3)
        assert set(statuses) <= {None, 0, _BUSY, 0x0110}
        assert half_written(bench.site, bench.objects, _QUEUES) == []
    bench.assert_all_is_well()


def test_a_spool_that_is_gone_for_a_while_keeps_what_it_has(make: Make) -> None:
    bench = make()
    node = bench.site.node
    assert node is not None
    bench.peer.answer = lambda _: _BUSY  # so that something waits
    assert bench.send(2) == [0, 0]
    spool, moved = node.spool, node.spool.with_name("moved")
    spool.rename(moved)
    assert bench.send(2) == [_BUSY] * 2
    node.wait_for("spool.full")
    assert not spool.exists()  # a lost mount is not replaced by an empty directory
    moved.rename(spool)
    bench.peer.answer = lambda _: 0
    assert bench.send() == [0]
    bench.assert_all_is_well()


@pytest.mark.parametrize("jump", ["-1d", "+10y", "-10y"])
def test_a_clock_that_jumps_delays_and_loses_nothing(make: Make, tmp_path: Path, jump: str) -> None:
    if not _FAKETIME.exists():
        pytest.skip("libfaketime is not installed here")
    clock = tmp_path / "clock"
    clock.write_text("+0", encoding="ascii")
    bench = make(
        env={
            "LD_PRELOAD": str(_FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }
    )
    node = bench.site.node
    assert node is not None
    before = node.events("instance.stored")[-1]["timestamp"]
    bench.peer.answer = lambda _: _BUSY
    assert bench.send(2) == [0, 0]
    node.wait_for("destination.down")  # it backs off
    clock.write_text(jump, encoding="ascii")
    assert bench.send(2) == [0, 0]
    wait_until(lambda: len(node.events("instance.stored")) == 6)
    after = node.events("instance.stored")[-1]["timestamp"]
    assert (after > before) == jump.startswith("+")  # the node has seen it
    assert after[:10] != before[:10]
    bench.peer.answer = lambda _: 0
    bench.assert_all_is_well()
