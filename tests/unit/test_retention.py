"""What retention removes from outgoing, and all that it must not."""

import fcntl
import os
import threading
import time
from pathlib import Path

import pytest
from support_ledger import delivered, rows, stored
from support_retention import DIRECTORY, Site, far_future

from dicomanon_node.completion.retention import Retention, Swept
from dicomanon_node.ledger.database import engine_of
from dicomanon_node.ledger.removals import Removals


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_what_is_old_goes_with_the_directories_it_leaves_empty(site: Site) -> None:
    site.put(1)
    site.put(2)
    kept = site.put(3, directory="ABCD/Q/1.3")
    (kept.parent / "notes.txt").write_text("of the site")
    swept = site.sweep()
    assert (swept.removed, swept.bytes_count, swept.kept, swept.gone) == (3, 18, 0, 0)
    assert swept.directories == 2
    assert [str(path.relative_to(site.outgoing)) for path in site.outgoing.rglob("*")] == [
        "ABCD",
        "ABCD/Q",
        "ABCD/Q/1.3",
        "ABCD/Q/1.3/notes.txt",
    ]
    assert set(rows(site.ledger_path, "SELECT removed_at FROM receipts")) == {(77,)}
    assert site.sweep() == Swept()


def test_what_is_young_stays(site: Site) -> None:
    file = site.put(1)
    assert site.sweep(before=1) == Swept()  # by the ledger
    assert site.sweep(before=2).kept == 1  # by the file itself, which is of now
    assert file.exists()


def test_a_dry_run_names_what_would_go_and_changes_nothing(site: Site) -> None:
    file = site.put(1)
    before = file.stat()
    assert site.sweep(is_dry=True).removed == 1
    assert site.told == [f"{DIRECTORY}/{file.name}"]
    assert file.stat().st_ctime_ns == before.st_ctime_ns
    assert rows(site.ledger_path, "SELECT removed_at FROM receipts") == [(None,)]


def test_what_a_destination_has_not_taken_stays(site: Site) -> None:
    file = site.put(1, destinations=("pacs", "xnat"))
    assert site.sweep() == Swept()
    site.take(delivered(1))
    assert site.sweep() == Swept()
    # xnat's is still in its queue, whatever the ledger may say.
    site.take(delivered(1, destination="xnat"))
    (site.spool.queue("pacs") / file.name).unlink()
    assert site.sweep().kept == 1
    (site.spool.queue("xnat") / file.name).unlink()
    assert site.sweep().removed == 1


def test_what_a_destination_refused_stays(site: Site) -> None:
    file = site.put(1, destinations=("pacs",))
    (site.spool.queue("pacs") / file.name).unlink()
    site.take(delivered(1, at=5), delivered(1, at=6, is_delivered=False, reason="refused"))
    assert site.sweep() == Swept()
    assert file.exists()


def test_what_is_delivered_and_queued_again_stays(site: Site) -> None:
    site.put(1, destinations=("pacs",))
    site.take(delivered(1, at=5), stored(1, at=10**9, destinations=("pacs",), directory=DIRECTORY))
    assert site.sweep() == Swept()


@pytest.mark.parametrize("kind", ["queue", "failed"])
def test_an_entry_of_its_name_or_another_name_of_it_keeps_a_file(site: Site, kind: str) -> None:
    named, linked = site.put(1), site.put(2)
    # Of a destination that is not configured any more.
    directory = site.spool_path / kind / "former"
    directory.mkdir()
    (directory / named.name).write_bytes(b"object")
    os.link(linked, directory / "another.dcm")
    assert (site.sweep().kept, site.sweep().removed) == (2, 0)
    (directory / named.name).unlink()
    (directory / "another.dcm").unlink()
    assert site.sweep().removed == 2


def test_a_file_that_is_being_committed_or_read_by_the_courier_stays(site: Site) -> None:
    file = site.put(1)
    with file.open("rb") as opened_file:
        fcntl.flock(opened_file, fcntl.LOCK_SH)
        assert site.sweep().kept == 1
    assert site.sweep().removed == 1


def test_what_the_node_has_no_receipt_of_stays(site: Site) -> None:
    site.put(1)
    other = site.outgoing / DIRECTORY / "2.25.77.dcm"
    other.write_bytes(b"somebody's")
    assert site.sweep().removed == 1
    assert other.exists()


def test_a_link_is_not_followed_neither_file_nor_directory(site: Site, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    first, second = site.put(1), site.put(2, directory="LINKED/P")
    target = elsewhere / first.name
    first.rename(target)
    first.symlink_to(target)
    second.parent.rename(elsewhere / "P")
    second.parent.symlink_to(elsewhere / "P")
    swept = site.sweep()
    assert (swept.removed, swept.kept) == (0, 2)
    assert target.exists()
    assert (elsewhere / "P" / second.name).exists()


@pytest.mark.parametrize("directory", ["../elsewhere", "a/../../elsewhere", ".hidden", "/etc"])
def test_a_ledger_that_says_nonsense_leads_nowhere(site: Site, directory: str) -> None:
    elsewhere = site.outgoing.parent / "elsewhere"
    elsewhere.mkdir()
    record = stored(1, at=1, directory=directory)
    (elsewhere / f"{record.sop_instance_uid}.dcm").write_bytes(b"x")
    site.take(record)
    assert site.sweep().removed == 0
    assert len(list(elsewhere.iterdir())) == 1


def test_what_the_site_took_itself_is_not_looked_for_again(site: Site) -> None:
    file = site.put(1)
    file.unlink()
    assert site.sweep() == Swept(gone=1, directories=3)  # as after a kill between two steps
    assert site.sweep() == Swept()


def test_what_comes_again_after_its_removal_gets_its_time_anew(site: Site) -> None:
    site.put(1)
    site.sweep()
    file = site.put(1)
    assert rows(site.ledger_path, "SELECT removed_at FROM receipts") == [(None,)]
    assert file.exists()
    assert site.sweep().removed == 1


def test_each_variant_of_an_instance_goes_by_its_own_name(site: Site) -> None:
    first = site.put(1)
    record = stored(1, at=1, directory=DIRECTORY)
    site.commit(first.name, (), DIRECTORY, b"another")
    [variant] = set(first.parent.iterdir()) - {first}
    for _ in range(2):  # the second time a duplicate
        site.take(stored(1, at=1, directory=DIRECTORY, file_name=variant.name, is_variant=True))
    assert rows(site.ledger_path, "SELECT variant, file_name FROM receipts ORDER BY variant") == [
        (0, ""),
        (1, variant.name),
    ]
    assert record.sop_instance_uid in variant.name
    assert site.sweep().removed == 2


def test_a_sweep_that_is_told_to_stop_leaves_the_rest(site: Site) -> None:
    file = site.put(1)
    stop = threading.Event()
    stop.set()
    removals = Removals(engine_of(site.ledger_path, is_writer=True))
    Retention(site.outgoing, site.spool_path, removals, lambda: 1).sweep(far_future(), stop)
    assert file.exists()


@pytest.mark.parametrize("destinations", [(), ("pacs",)])
def test_an_object_that_comes_again_while_it_is_removed_is_there_afterwards(
    site: Site, destinations: tuple[str, ...]
) -> None:
    """Whoever wins: what is answered after the time in question is kept."""
    name = f"{stored(1).sop_instance_uid}.dcm"
    outcomes = set()
    for _ in range(30):
        site.put(1)
        # The file system's clock is the kernel's coarse one, some milliseconds late.
        time.sleep(0.02)
        before = time.time_ns() // 1000
        time.sleep(0.02)
        begin = threading.Barrier(2)

        def come(begin: threading.Barrier = begin) -> None:
            begin.wait()
            site.commit(name, destinations, DIRECTORY, b"object")

        thread = threading.Thread(target=come)
        thread.start()
        begin.wait()
        outcomes.add(site.sweep(before).removed)
        thread.join()
        assert (site.outgoing / DIRECTORY / name).read_bytes() == b"object"
        for destination in destinations:
            entry = site.spool.queue(destination) / name
            assert entry.read_bytes() == b"object"
            entry.unlink()
        site.sweep()
    assert outcomes <= {0, 1}
