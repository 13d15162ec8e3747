"""The power fails: what an ext4 file system holds on its device is all there is.

The spool lies on a file system in an image file. A copy of the image, taken while it is
mounted, is the disk as a power cut would leave it; it is mounted (ext4 replays its
journal) and looked into. Needs root and loop devices.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import support_spool as support
from support_spool import closes_spools  # noqa: F401  (a fixture)

Snapshot = Callable[[], dict[str, bytes]]


@contextmanager
def mounted(image: Path, directory: Path) -> Iterator[None]:
    # No commit of ext4's own accord while the image is copied.
    command = ["mount", "-o", "loop,commit=300", str(image), str(directory)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a file system is not permitted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)  # noqa: S607  (mount was found)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, Snapshot]]:
    """A mounted file system, and what would be left of the node on it after a power cut."""
    image, copy = tmp_path / "image", tmp_path / "copy"
    directory, after = tmp_path / "disk", tmp_path / "after"
    directory.mkdir()
    after.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)  # noqa: S607  (marked as needed)

    def snapshot() -> dict[str, bytes]:
        shutil.copyfile(image, copy)
        with mounted(copy, after):
            return support.visible(after)

    with mounted(image, directory):
        yield directory, snapshot
        support.close_spools()  # they hold directories of it open


@pytest.mark.tool("mkfs.ext4")
def test_an_answered_object_survives_a_power_cut(disk: tuple[Path, Snapshot]) -> None:
    directory, snapshot = disk
    spool = support.open_spool(directory)
    spool.prepare()
    support.commit(spool)
    assert snapshot() == dict.fromkeys(support.everywhere(), support.CONTENT)
    # One directory less to make, one name in use: the same promise.
    again = support.commit(spool, support.CONTENT[::-1])
    assert again.is_variant
    assert set(snapshot().values()) == {support.CONTENT, support.CONTENT[::-1]}
    assert len(snapshot()) == 6


@pytest.mark.tool("mkfs.ext4")
def test_an_object_the_disk_began_with_before_its_end_survives_whole(
    disk: tuple[Path, Snapshot],
) -> None:
    directory, snapshot = disk
    spool = support.open_spool(directory)
    spool.prepare()
    large = support.CONTENT * 36  # a step, and more after it
    assert len(large) > 8 << 20
    file = spool.open()
    for start in range(0, len(large), 1 << 17):
        file.write([large[start : start + (1 << 17)]])
    file.commit(outgoing_path=support.OUTGOING_PATH, queue_name="x", destinations=())
    assert snapshot() == {f"outgoing/{support.OUTGOING_PATH}": large}
    file.discard()


@pytest.mark.tool("mkfs.ext4")
def test_whenever_power_fails_no_name_stands_for_torn_data(disk: tuple[Path, Snapshot]) -> None:
    directory, snapshot = disk
    spool = support.open_spool(directory)
    spool.prepare()
    seen: list[int] = []

    def step(name: str, *_: object) -> None:
        # `around_calls` sees the calls of `snapshot` as well: these are no steps of a commit.
        if name in ("open", "flock") or is_busy:
            return
        is_busy.append(True)
        found = snapshot()
        is_busy.pop()
        seen.append(len(found))
        assert set(found.values()) <= {support.CONTENT}

    is_busy: list[bool] = []
    with support.around_calls(step):
        support.commit(spool)
    assert len(seen) > 20
    assert (seen[0], seen[-1]) == (0, 3)


@pytest.mark.tool("mkfs.ext4")
def test_the_power_cut_is_real(disk: tuple[Path, Snapshot]) -> None:
    """Without syncs the same commit is lost: the tests above would notice."""
    directory, snapshot = disk
    support.open_spool(directory).prepare()
    spool = support.open_spool(directory, sync=False)
    support.commit(spool)
    assert set(support.visible(directory)) == support.everywhere()
    assert snapshot() == {}
