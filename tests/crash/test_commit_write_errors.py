"""The disk fails in the middle of an object and works again: the object is refused.

The spool lies on an ext4 file system whose image lies in a tmpfs. While that is full, new
blocks of the image cannot be written, and ext4 gets real errors of its device. Needs root
and loop devices.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import support_spool as support
from support_spool import closes_spools  # noqa: F401  (a fixture)

from dicomanon_node.errors import Reason, Refused
from dicomanon_node.spool import Spool

_FRAGMENT = os.urandom(1 << 20)


def mount(stack: ExitStack, options: list[str], directory: Path) -> None:
    directory.mkdir()
    command = ["mount", *options, str(directory)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a file system is not permitted here")
    stack.callback(
        subprocess.run,
        ["umount", "--lazy", str(directory)],
        check=True,
    )


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Spool, Path]]:
    """A spool on a disk, and the file that makes the disk fail while it is there."""
    with ExitStack() as stack:
        memory, directory = tmp_path / "memory", tmp_path / "disk"
        mount(stack, ["-t", "tmpfs", "-o", "size=40m", "tmpfs"], memory)
        image, ballast = memory / "image", memory / "ballast"
        with image.open("wb") as file:
            file.truncate(64 << 20)
        options = ["-E", "lazy_itable_init=1,nodiscard", "-J", "size=4"]
        subprocess.run(["mkfs.ext4", "-q", "-F", *options, str(image)], check=True)  # noqa: S607  (marked as needed)
        # No commit of ext4's own accord: its journal shall not meet the error.
        mount(stack, ["-o", "loop,commit=300", str(image)], directory)
        spool = support.make_spool(directory)
        support.commit(spool, b"makes the directories known", queue_name="other.dcm")
        stack.callback(support.close_spools)  # they hold directories of it open
        yield spool, ballast


def fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        room = shutil.disk_usage(ballast.parent).free
        file.write(bytes(room))
    assert shutil.disk_usage(ballast.parent).free == 0


@pytest.mark.tool("mkfs.ext4")
def test_an_error_the_disk_had_before_the_commit_is_not_forgotten(
    disk: tuple[Spool, Path], tmp_path: Path
) -> None:
    spool, ballast = disk
    second = support.OUTGOING_PATH.with_name("second.dcm")
    file = spool.open()
    fill(ballast)
    for _ in range(9):
        file.write([_FRAGMENT])
    [written] = spool.incoming.iterdir()
    other = os.open(written, os.O_RDWR)
    with pytest.raises(OSError, match="No space"):  # so the disk has failed by now
        os.fdatasync(other)
    os.close(other)
    ballast.unlink()
    for _ in range(9):  # now it works, and is told to begin again
        file.write([_FRAGMENT])
    with pytest.raises(Refused) as refused:
        file.commit(outgoing_path=second, queue_name="second.dcm", destinations=())
    assert refused.value.reason is Reason.DISK_FULL
    assert not (tmp_path / "disk" / "outgoing" / second).exists()
    assert list(spool.incoming.iterdir()) == []
    # The disk works again, and so does the spool.
    support.commit(spool, _FRAGMENT, outgoing_path=second, destinations=())
    assert (tmp_path / "disk" / "outgoing" / second).read_bytes() == _FRAGMENT
