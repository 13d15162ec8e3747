import errno
import fcntl
import os
import stat
import threading
from pathlib import Path

import pytest
from support_ledger import stored

from dicomanon_node.ledger.journal import Journal
from dicomanon_node.ledger.reading import CHUNK_BYTES, Journals
from dicomanon_node.ledger.records import LONGEST_BYTES, encode


def files(spool: Path) -> list[Path]:
    return sorted((spool / "journal").iterdir())


def read_all(spool: Path) -> list[str]:
    """UIDs in all journals, in order."""
    journals = Journals(spool)
    found = []
    for name in journals.names():
        offset = 0
        while True:
            piece = journals.read(name, offset)
            found += [record.sop_instance_uid for record in piece.records]  # type: ignore[union-attr]
            if piece.offset == offset or piece.is_over:
                break
            offset = piece.offset
    return found


def test_what_was_appended_is_read_while_it_is_being_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(encode(stored(1)))
    [name] = Journals(tmp_path).names()
    piece = Journals(tmp_path).read(name, 0)
    assert piece.records == [stored(1)]
    assert not piece.is_over
    journal.append(encode(stored(2)))
    assert Journals(tmp_path).read(name, piece.offset).records == [stored(2)]


def test_a_journal_is_over_when_its_writer_closes_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(encode(stored()))
    [name] = Journals(tmp_path).names()
    assert not Journals(tmp_path).read(name, 0).is_over
    journal.close()
    assert Journals(tmp_path).read(name, 0).is_over


def test_a_journal_is_over_when_its_writer_is_killed(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        Journal(tmp_path).append(encode(stored()))
        os.write(writing, b"1")
        signal_never_comes = threading.Event()
        signal_never_comes.wait()
    assert os.read(reading, 1) == b"1"
    [name] = Journals(tmp_path).names()
    assert not Journals(tmp_path).read(name, 0).is_over
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    piece = Journals(tmp_path).read(name, 0)
    assert piece.is_over
    assert piece.records == [stored()]


def test_a_child_writes_a_journal_of_its_own(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(encode(stored(1)))
    pid = os.fork()
    if not pid:
        journal.append(encode(stored(2)))
        os._exit(0)
    os.waitpid(pid, 0)
    journal.append(encode(stored(3)))
    assert len(files(tmp_path)) == 2
    assert sorted(read_all(tmp_path)) == ["2.25.300001", "2.25.300002", "2.25.300003"]


def test_a_new_file_is_begun_when_one_is_large(tmp_path: Path) -> None:
    journal = Journal(tmp_path, rotate_bytes=1000)
    for number in range(20):
        journal.append(encode(stored(number)))
    assert len(files(tmp_path)) > 5
    assert read_all(tmp_path) == [f"2.25.3{number:05}" for number in range(20)]
    names = Journals(tmp_path).names()
    over = [Journals(tmp_path).read(name, 0).is_over for name in names]
    assert over == [True] * (len(names) - 1) + [False]


def test_a_journal_is_for_its_user_alone(tmp_path: Path) -> None:
    Journal(tmp_path).append(encode(stored()))
    [path] = files(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_threads_do_not_cut_into_each_others_records(tmp_path: Path) -> None:
    journal = Journal(tmp_path, rotate_bytes=20_000)

    def write(first: int) -> None:
        for number in range(first, first + 200):
            journal.append(encode(stored(number)))

    threads = [threading.Thread(target=write, args=(1000 * n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = [f"2.25.3{1000 * n + i:05}" for n in range(8) for i in range(200)]
    assert sorted(read_all(tmp_path)) == sorted(expected)


def test_a_torn_last_line_is_counted_and_skipped(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(encode(stored(1)))
    journal.close()
    [path] = files(tmp_path)
    with path.open("ab") as file:
        file.write(encode(stored(2))[:-20])
    piece = Journals(tmp_path).read(path.name, 0)
    assert piece.records == [stored(1)]
    assert piece.torn_count == 1
    assert piece.is_over
    assert piece.offset == path.stat().st_size


def test_a_line_that_is_still_being_written_is_left_for_later(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(encode(stored(1)))
    [path] = files(tmp_path)
    with path.open("ab") as file:
        file.write(encode(stored(2))[:50])
    piece = Journals(tmp_path).read(path.name, 0)
    assert piece.records == [stored(1)]
    assert piece.torn_count == 0
    with path.open("ab") as file:
        file.write(encode(stored(2))[50:])
    assert Journals(tmp_path).read(path.name, piece.offset).records == [stored(2)]


def test_after_a_record_cut_short_by_a_full_disk_the_next_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path)
    journal.append(encode(stored(1)))
    write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda file, line: write(file, line[:30]))
        with pytest.raises(OSError, match="cut short") as caught:
            journal.append(encode(stored(2)))
    assert caught.value.errno == errno.ENOSPC
    journal.append(encode(stored(3)))
    journal.append(encode(stored(4)))
    [name] = Journals(tmp_path).names()
    piece = Journals(tmp_path).read(name, 0)
    assert piece.records == [stored(1), stored(3), stored(4)]
    assert piece.torn_count == 1


def test_a_journal_of_rubbish_without_line_breaks_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "1-1.jsonl").write_bytes(b"\0" * (CHUNK_BYTES + 5))
    journals = Journals(tmp_path)
    first = journals.read("1-1.jsonl", 0)
    assert (first.offset, first.torn_count, first.is_over) == (CHUNK_BYTES, 1, False)
    last = journals.read("1-1.jsonl", first.offset)
    assert (last.offset, last.torn_count, last.is_over) == (CHUNK_BYTES + 5, 1, True)


def test_a_record_fits_many_times_into_what_is_read_at_a_time() -> None:
    assert len(encode(stored(destinations=("d" * 64,) * 16))) < LONGEST_BYTES < CHUNK_BYTES


def test_what_a_killed_writer_left_before_its_first_record_goes(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / ".7-7.jsonl").touch()
    Journal(tmp_path).append(encode(stored()))
    journals = Journals(tmp_path)
    assert len(journals.names()) == 1
    journals.settle()
    assert [path.name for path in files(tmp_path)] == journals.names()


def test_a_writer_whose_new_file_is_swept_makes_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock
    swept: list[int] = []

    def sweep_first(file: int, operation: int) -> None:
        if not swept:
            swept.append(file)
            Journals(tmp_path).settle()
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", sweep_first)
    journal = Journal(tmp_path)
    journal.append(encode(stored()))
    assert swept
    assert read_all(tmp_path) == ["2.25.300001"]


def test_without_a_spool_an_append_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Journal(tmp_path / "gone").append(encode(stored()))


def test_journals_are_read_oldest_first(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    for name in ("9-100.jsonl", "10-99.jsonl", "notes.txt", ".8-1.jsonl"):
        (tmp_path / "journal" / name).touch()
    assert Journals(tmp_path).names() == ["10-99.jsonl", "9-100.jsonl"]
