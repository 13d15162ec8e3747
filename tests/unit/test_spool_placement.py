import fcntl
import hashlib
import os
from pathlib import Path, PurePosixPath
from unittest import mock

import pytest
import support_spool as support
from support_spool import closes_spools  # noqa: F401  (a fixture)

OTHER = support.CONTENT[::-1]
OUTGOING = f"outgoing/{support.OUTGOING_PATH}"


def variant_of(path: str, content: bytes = support.CONTENT, digits: int = 8) -> str:
    return path.replace(".dcm", f"~{hashlib.sha256(content).hexdigest()[:digits]}.dcm")


def test_the_same_bytes_again_are_a_duplicate_and_make_no_file(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    support.commit(spool)
    before = {path: (tmp_path / path).stat().st_ino for path in support.everywhere()}
    committed = support.commit(spool)
    assert (committed.is_duplicate, committed.is_variant) == (True, False)
    assert committed.outgoing_path == support.OUTGOING_PATH
    assert {path: (tmp_path / path).stat().st_ino for path in support.everywhere()} == before
    assert set(support.visible(tmp_path)) == support.everywhere()


@pytest.mark.timeout(20)
def test_a_duplicate_does_not_wait_until_the_first_one_is_discarded(tmp_path: Path) -> None:
    """A peer that is slow to take its answer holds up nobody else."""
    spool = support.make_spool(tmp_path)
    first = spool.open()
    first.write([support.CONTENT])
    first.commit(
        outgoing_path=support.OUTGOING_PATH,
        queue_name=support.QUEUE_NAME,
        destinations=support.DESTINATIONS,
    )
    assert support.commit(spool).is_duplicate
    first.discard()
    assert support.visible(tmp_path) == dict.fromkeys(support.everywhere(), support.CONTENT)


def test_a_duplicate_of_a_delivered_object_is_queued_again(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    support.commit(spool)
    (spool.queue("archive") / support.QUEUE_NAME).unlink()  # as the courier does
    assert support.commit(spool).is_duplicate
    assert set(support.visible(tmp_path)) == support.everywhere()


def test_without_outgoing_a_duplicate_is_one_in_every_queue(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    support.commit(spool, outgoing_path=None)
    assert support.commit(spool, outgoing_path=None).is_duplicate
    (spool.queue("research") / support.QUEUE_NAME).unlink()
    assert not support.commit(spool, outgoing_path=None).is_duplicate


def test_other_bytes_under_the_name_are_kept_and_the_newcomer_lies_beside(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    support.commit(spool, OTHER)
    committed = support.commit(spool)
    assert (committed.is_duplicate, committed.is_variant) == (False, True)
    assert f"outgoing/{committed.outgoing_path}" == variant_of(OUTGOING)
    whole = dict.fromkeys(support.everywhere(), OTHER)
    whole |= {variant_of(path): support.CONTENT for path in support.everywhere()}
    assert support.visible(tmp_path) == whole


def test_a_variant_sent_again_is_a_duplicate_of_the_variant(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    support.commit(spool, OTHER)
    first = support.commit(spool)
    second = support.commit(spool)
    assert second.outgoing_path == first.outgoing_path
    assert (second.is_duplicate, second.is_variant) == (True, True)
    assert len(support.visible(tmp_path)) == 6


def test_when_even_the_variant_is_taken_the_whole_digest_decides(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    support.commit(spool, OTHER)
    taken = tmp_path / variant_of(OUTGOING)
    taken.write_bytes(b"somebody else's")
    committed = support.commit(spool)
    assert f"outgoing/{committed.outgoing_path}" == variant_of(OUTGOING, digits=64)
    assert taken.read_bytes() == b"somebody else's"


def test_bytes_of_the_same_length_are_compared_to_the_last_one(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    long = support.CONTENT * 9  # more than one chunk of the comparison
    assert len(long) > 2 << 20
    support.commit(spool, long)
    assert support.commit(spool, long).is_duplicate
    assert support.commit(spool, long[:-1] + b"!").is_variant


def test_the_beginning_of_a_stored_object_is_not_a_duplicate_of_it(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    beginning = bytes(1 << 20)
    support.commit(spool, beginning + b"more")
    assert support.commit(spool, beginning).is_variant


@pytest.mark.parametrize(
    "kind", ["directory", "symbolic link", "dangling link", "fifo", "empty", "longer"]
)
def test_anything_that_is_not_these_bytes_is_left_alone(tmp_path: Path, kind: str) -> None:
    spool = support.make_spool(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(support.CONTENT)
    taken = tmp_path / OUTGOING
    taken.parent.mkdir(parents=True)
    if kind == "directory":
        taken.mkdir()
    elif kind == "fifo":
        os.mkfifo(taken)
    elif kind == "empty":
        taken.touch()
    elif kind == "longer":
        taken.write_bytes(support.CONTENT + b"more")
    else:
        taken.symlink_to(elsewhere if kind == "symbolic link" else tmp_path / "nowhere")
    before = taken.lstat()
    committed = support.commit(spool)
    assert f"outgoing/{committed.outgoing_path}" == variant_of(OUTGOING)
    assert committed.is_variant
    assert taken.lstat() == before
    assert elsewhere.read_bytes() == support.CONTENT


def test_names_are_taken_in_one_order_whatever_order_is_asked_for(tmp_path: Path) -> None:
    """Or two commits could wait for each other for ever."""
    spool = support.make_spool(tmp_path)
    for destinations in (support.DESTINATIONS, support.DESTINATIONS[::-1]):
        with support.recorded() as calls:
            support.commit(spool, os.urandom(100), destinations=destinations)
        links = [call.path for call in calls if call.kind == "link"]
        places = [Path(path).relative_to(tmp_path).parts[:3] for path in links]
        assert sorted(set(places), key=places.index) == [
            ("spool", "queue", "archive"),
            ("spool", "queue", "research"),
            ("outgoing", *support.OUTGOING_PATH.parts[:2]),
        ]


def test_a_link_that_was_made_but_reported_as_taken_is_ours(tmp_path: Path) -> None:
    """NFS: the first answer is lost, the repeated request finds the name."""
    spool = support.make_spool(tmp_path)
    link = os.link

    def link_twice(source: str, name: str, *, dst_dir_fd: int) -> None:
        link(source, name, dst_dir_fd=dst_dir_fd)
        link(source, name, dst_dir_fd=dst_dir_fd)

    with mock.patch.object(os, "link", link_twice):
        committed = support.commit(spool)
    assert (committed.is_duplicate, committed.is_variant) == (False, False)
    assert set(support.visible(tmp_path)) == support.everywhere()


@pytest.mark.parametrize("replacement", [None, OTHER])
def test_a_duplicate_that_goes_away_while_it_is_waited_for_is_no_duplicate(
    tmp_path: Path, replacement: bytes | None
) -> None:
    spool = support.make_spool(tmp_path)
    support.commit(spool, destinations=())
    taken = tmp_path / OUTGOING
    flock = fcntl.flock

    def flock_too_late(file: int, operation: int) -> None:
        flock(file, operation)
        if operation == fcntl.LOCK_SH:
            taken.unlink()
            if replacement is not None:
                taken.write_bytes(replacement)

    with mock.patch.object(fcntl, "flock", flock_too_late):
        committed = support.commit(spool, destinations=())
    assert not committed.is_duplicate
    assert committed.is_variant == (replacement is not None)
    assert (tmp_path / "outgoing" / str(committed.outgoing_path)).read_bytes() == support.CONTENT


@pytest.mark.parametrize(("suffix", "length"), [(".dcm", 255), ("", 255), (".dcm", 240)])
def test_a_variant_of_a_long_name_is_shortened_to_fit(
    tmp_path: Path, suffix: str, length: int
) -> None:
    spool = support.make_spool(tmp_path)
    path = PurePosixPath("x" * (length - len(suffix)) + suffix)
    support.commit(spool, OTHER, outgoing_path=path, destinations=())
    committed = support.commit(spool, outgoing_path=path, destinations=())
    assert committed.outgoing_path
    name = committed.outgoing_path.name
    assert len(name) <= 255
    digest = hashlib.sha256(support.CONTENT).hexdigest()[:8]
    assert name.endswith(f"x~{digest}{suffix}")


def test_a_name_without_the_dicom_suffix_is_not_cut_at_its_dots(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    support.commit(spool, OTHER, outgoing_path=PurePosixPath("2.25.1"))
    committed = support.commit(spool, outgoing_path=PurePosixPath("2.25.1"))
    digest = hashlib.sha256(support.CONTENT).hexdigest()[:8]
    assert committed.outgoing_path == PurePosixPath(f"2.25.1~{digest}")
