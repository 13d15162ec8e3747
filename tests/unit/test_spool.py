import os
import shutil
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import support_spool as support
from support_spool import closes_spools  # noqa: F401  (a fixture)

from dicomanon_node.errors import ConfigError, Reason, Refused
from dicomanon_node.spool import IncomingFile, Spool


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o077], ids="umask {:03o}".format)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_modes_are_the_same_under_every_umask(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    file = spool.open()
    (leftover,) = spool.incoming.iterdir()
    assert mode_of(leftover) == 0o600
    file.discard()
    support.commit(spool)

    for path in [tmp_path / "spool", *(tmp_path / "spool").rglob("*/")]:
        assert mode_of(path) == 0o700
    for path in [tmp_path / "outgoing", *(tmp_path / "outgoing").rglob("*/")]:
        assert mode_of(path) == 0o750
    assert mode_of(tmp_path / "outgoing" / support.OUTGOING_PATH) == 0o640


def test_an_object_that_is_only_queued_stays_closed_to_the_group(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    support.commit(spool, outgoing_path=None)
    assert mode_of(spool.queue("archive") / support.QUEUE_NAME) == 0o600


def test_the_group_of_a_shared_outgoing_tree_is_inherited(tmp_path: Path) -> None:
    (tmp_path / "outgoing").mkdir()
    (tmp_path / "outgoing").chmod(0o2770)
    support.commit(support.make_spool(tmp_path))
    assert mode_of(tmp_path / "outgoing") == 0o2770  # the site's own
    assert mode_of(tmp_path / "outgoing" / "study") == 0o2750


def test_directories_left_open_to_others_are_closed(tmp_path: Path) -> None:
    (tmp_path / "spool" / "queue").mkdir(parents=True)
    (tmp_path / "spool" / "queue").chmod(0o777)
    support.make_spool(tmp_path)
    assert mode_of(tmp_path / "spool" / "queue") == 0o700


def test_prepare_makes_a_queue_and_a_failed_directory_for_each_destination(
    tmp_path: Path,
) -> None:
    spool = support.make_spool(tmp_path)
    for destination in support.DESTINATIONS:
        assert spool.queue(destination) == tmp_path / "spool" / "queue" / destination
        assert spool.failed(destination) == tmp_path / "spool" / "failed" / destination
        assert spool.queue(destination).is_dir()
        assert spool.failed(destination).is_dir()
    files = [path for path in tmp_path.rglob("*") if not path.is_dir()]
    assert files == [tmp_path / "spool" / "lock"]  # no trace of what was tried out


def test_prepare_takes_what_is_there(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    support.commit(spool)
    before = support.visible(tmp_path)
    support.close_spools()
    # and what a start that was killed may have left behind
    for name in ("spool/incoming/.dicomanon-probe-source", "outgoing/.dicomanon-probe"):
        (tmp_path / name).touch()
    support.make_spool(tmp_path)
    assert support.visible(tmp_path) == before


def test_a_second_node_on_the_same_spool_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    first = support.open_spool(tmp_path)
    first.prepare()
    first.prepare()  # its own lock is no hindrance
    second = support.open_spool(tmp_path)
    with pytest.raises(ConfigError, match="in use by another node"):
        second.prepare(lock_wait_s=0)
    threading.Timer(0.1, first.close).start()
    second.prepare(lock_wait_s=10)


@pytest.mark.parametrize(
    ("spool", "outgoing"), [("var", "var/outgoing"), ("var/spool", "var"), ("var", "var")]
)
def test_spool_and_outgoing_inside_each_other_are_refused(
    tmp_path: Path, spool: str, outgoing: str
) -> None:
    nested = Spool(tmp_path / spool, tmp_path / outgoing, ())
    with pytest.raises(ConfigError, match="put the spool beside outgoing") as refused:
        nested.prepare()
    assert str(tmp_path / spool) in str(refused.value)
    assert str(tmp_path / outgoing) in str(refused.value)


@pytest.fixture(params=["another file system", "a bind mount of the same file system"])
def mount(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    directory, source = tmp_path / "mounted", tmp_path / "source"
    directory.mkdir()
    source.mkdir()
    how = ["-t", "tmpfs", "tmpfs"] if "another" in request.param else ["--bind", str(source)]
    program = shutil.which("mount")
    command = [str(program), *how, str(directory)]
    if not program or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a file system is not permitted here")
    yield directory
    subprocess.run(["umount", "--lazy", str(directory)], check=True)  # noqa: S607  (mount was found)


def test_an_outgoing_tree_that_cannot_be_linked_to_is_refused_at_start(
    mount: Path, tmp_path: Path
) -> None:
    spool = Spool(tmp_path / "spool", mount, ())
    with pytest.raises(ConfigError, match="not on one file system") as refused:
        spool.prepare()
    spool.close()
    message = str(refused.value)
    assert str(tmp_path / "spool") in message
    assert str(mount) in message
    assert 'outgoing = ""' in message
    assert 'kind "folder"' in message


@pytest.mark.parametrize("place", ["spool", "outgoing", "spool/queue/archive"])
def test_a_file_in_the_place_of_a_directory_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).touch()
    with pytest.raises(ConfigError) as refused:
        support.make_spool(tmp_path)
    assert str(tmp_path / place) in str(refused.value)


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a\0b"])
def test_a_destination_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="unsafe file name"):
        Spool(tmp_path / "spool", None, (name,))


def test_below_the_low_water_mark_no_object_is_begun(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path, low_water_bytes=1 << 60)
    assert spool.is_low
    with pytest.raises(Refused) as refused:
        spool.open()
    assert refused.value.reason is Reason.DISK_FULL
    assert list(spool.incoming.iterdir()) == []


def test_free_bytes_are_what_the_file_system_grants(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    free = shutil.disk_usage(tmp_path).free
    assert abs(spool.free_bytes - free) < 1 << 30  # others write, too
    assert not spool.is_low


def test_a_spool_that_is_gone_refuses_and_is_not_made_anew(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    support.commit(spool)
    shutil.rmtree(spool.queue("archive"))
    with pytest.raises(Refused) as refused:
        support.commit(spool, support.CONTENT[:9])
    assert refused.value.reason is Reason.SPOOL_UNAVAILABLE
    shutil.rmtree(tmp_path / "spool")
    with pytest.raises(Refused) as refused:
        spool.open()
    assert refused.value.reason is Reason.SPOOL_UNAVAILABLE
    assert not (tmp_path / "spool").exists()


def test_many_threads_get_files_of_their_own(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    files: list[IncomingFile] = []

    def open_some() -> None:
        files.extend(spool.open() for _ in range(25))

    threads = [threading.Thread(target=open_some) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(spool.incoming.iterdir())) == 100
    for file in files:
        file.discard()
    assert list(spool.incoming.iterdir()) == []


def test_a_leftover_never_becomes_part_of_a_new_object(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    for number in range(3):
        (spool.incoming / f"{os.getpid()}-{number}").write_bytes(b"left over")
    support.commit(spool)
    assert (tmp_path / "outgoing" / support.OUTGOING_PATH).read_bytes() == support.CONTENT
    assert len(list(spool.incoming.iterdir())) == 3


def test_sweep_removes_what_was_never_committed_and_nothing_else(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    support.commit(spool)
    (spool.failed("archive") / "x.dcm").touch()
    before = support.visible(tmp_path)
    files = [spool.open() for _ in range(3)]
    files[0].write([b"half"])
    assert spool.sweep() == 3
    assert list(spool.incoming.iterdir()) == []
    assert support.visible(tmp_path) == before
    assert (spool.failed("archive") / "x.dcm").exists()
    for file in files:
        file.discard()


def test_sweep_of_one_process_spares_the_others(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    for name in ("12-0", "12-1", "123-0", "1-12"):
        (spool.incoming / name).touch()
    assert spool.sweep(12) == 2
    assert {path.name for path in spool.incoming.iterdir()} == {"123-0", "1-12"}


def test_without_an_outgoing_tree_only_queues_are_written(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", None, ("archive",), low_water_bytes=0)
    spool.prepare()
    committed = support.commit(spool, outgoing_path=None, destinations=("archive",))
    assert committed.outgoing_path is None
    assert (spool.queue("archive") / support.QUEUE_NAME).read_bytes() == support.CONTENT
    with pytest.raises(ValueError, match="no outgoing tree"):
        support.commit(spool, destinations=())
    assert list(spool.incoming.iterdir()) == []
    spool.close()
