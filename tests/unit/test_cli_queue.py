"""`queue`: what waits and what failed, looked at and changed from a shell."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from support_delivery import write_file
from support_node import invoke, write_config

from dicomanon_node.delivery.queue import Entry, Failure, QueueDirectory

TOML = """
[[destinations]]
name = "archive"
kind = "folder"
path = "archive"
[[destinations]]
name = "research-pacs"
kind = "dicom"
ae_title = "RESEARCH"
host = "127.0.0.1"
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Two objects wait for research-pacs, two have failed there."""
    write_config(tmp_path, TOML)
    for name in ("archive", "research-pacs"):
        for kind in ("queue", "failed"):
            (tmp_path / "var" / "spool" / kind / name).mkdir(parents=True)
    waiting = tmp_path / "var" / "spool" / "queue" / "research-pacs"
    for number in range(4):
        write_file(waiting / f"2.25.{number}.dcm", f"2.25.{number}")
    queue = QueueDirectory(tmp_path / "var" / "spool", "research-pacs")
    entries, _ = queue.waiting(10)
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    for entry in entries[:2]:
        queue.fail(entry, Failure("refused", 0xA900, 3, moment))
    return tmp_path


def failed(site: Path) -> list[str]:
    directory = site / "var" / "spool" / "failed" / "research-pacs"
    return sorted(path.name for path in directory.iterdir() if path.name != ".lock")


def waiting(site: Path) -> list[str]:
    directory = site / "var" / "spool" / "queue" / "research-pacs"
    return sorted(path.name for path in directory.iterdir() if path.name[0] != ".")


def test_each_destination_has_its_line(site: Path) -> None:
    done = invoke("queue", "list", cwd=site)
    assert (done.returncode, done.stderr) == (0, "")
    archive, research = done.stdout.splitlines()
    assert archive == "archive        0 waiting; 0 failed"
    assert research.startswith("research-pacs  2 waiting, the oldest for ")
    assert research.endswith(" s; 2 failed")


def test_failed_objects_are_named_with_their_reason(site: Path) -> None:
    done = invoke("queue", "list", "--failed", "--destination", "research-pacs", cwd=site)
    _, *lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [
        name for name in failed(site) if name.endswith(".dcm")
    ]
    assert all(
        line.endswith("  refused (A900H) at attempt 3, 2026-01-02 03:04:05Z") for line in lines
    )


def test_retry_puts_back_what_is_named(site: Path) -> None:
    name = failed(site)[0]
    done = invoke("queue", "retry", "--destination", "research-pacs", name, cwd=site)
    assert done.stdout == "1 object back in the queue of research-pacs\n"
    assert name in waiting(site)
    assert len(failed(site)) == 2  # the other one and its reason


def test_retry_all_puts_back_all(site: Path) -> None:
    done = invoke("queue", "retry", "--destination", "research-pacs", "--all", cwd=site)
    assert done.stdout == "2 objects back in the queue of research-pacs\n"
    assert (len(waiting(site)), failed(site)) == (4, [])


def test_drop_asks_first(site: Path) -> None:
    before = failed(site)
    done = invoke("queue", "drop", "--destination", "research-pacs", "--all", cwd=site)
    assert "Delete 2 objects that research-pacs never got? [y/N]" in done.stdout
    assert done.returncode == 1
    assert failed(site) == before


def test_drop_deletes_what_is_named_and_nothing_else(site: Path) -> None:
    name = failed(site)[0]
    done = invoke("queue", "drop", "--destination", "research-pacs", "--yes", name, cwd=site)
    assert (done.returncode, done.stdout) == (0, "1 object dropped\n")
    assert len(failed(site)) == 2
    assert len(waiting(site)) == 2


@pytest.mark.parametrize("command", ["retry", "drop"])
def test_a_name_that_has_not_failed_changes_nothing(site: Path, command: str) -> None:
    before = failed(site)
    names = [before[0], "2.25.99.dcm"]
    done = invoke("queue", command, "--destination", "research-pacs", *names, cwd=site)
    assert done.returncode == 1
    assert "1 object of 2 not among the failed ones" in done.stderr
    assert failed(site) == before


@pytest.mark.parametrize("command", ["retry", "drop"])
@pytest.mark.parametrize("which", [[], ["--all", "2.25.0.dcm"]])
def test_what_to_change_has_to_be_said(site: Path, command: str, which: list[str]) -> None:
    done = invoke("queue", command, "--destination", "research-pacs", *which, cwd=site)
    assert done.returncode == 2
    assert "or give --all" in done.stderr


def test_an_unknown_destination_is_told_the_known_ones(site: Path) -> None:
    done = invoke("queue", "list", "--destination", "nowhere", cwd=site)
    assert done.returncode == 2
    assert "allowed: archive, research-pacs" in done.stderr


def test_a_node_that_never_ran_has_nothing_waiting(tmp_path: Path) -> None:
    write_config(tmp_path, TOML)
    done = invoke("queue", "list", cwd=tmp_path)
    assert done.returncode == 0
    assert "research-pacs  0 waiting; 0 failed" in done.stdout


def test_without_destinations_it_says_so(tmp_path: Path) -> None:
    write_config(tmp_path)
    done = invoke("queue", "list", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (
        0,
        "No destination is configured: nothing is forwarded.\n",
    )


def test_a_spool_that_cannot_be_read_is_told_without_a_traceback(site: Path) -> None:
    queue = site / "var" / "spool" / "queue" / "archive"
    queue.rmdir()
    queue.write_text("", encoding="ascii")
    done = invoke("queue", "list", cwd=site)
    assert done.returncode == 1
    assert "The spool cannot be used: Not a directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_destination_that_is_not_there_is_told_with_the_nearest(site: Path) -> None:
    done = invoke("queue", "list", "--destination", "reserch-pacs", cwd=site)
    assert done.returncode == 2
    assert 'did you mean "research-pacs"? Allowed: archive, research-pacs' in done.stderr


@pytest.mark.parametrize("command", ["retry", "drop"])
def test_what_somebody_else_moved_meanwhile_is_counted_and_stops_nothing(
    site: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    looked_at = QueueDirectory.failed

    def looked_at_too_early(queue: QueueDirectory) -> list[tuple[Entry, Failure]]:
        found = looked_at(queue)
        if found:
            queue.retry(found[0][0])  # by another shell, after this one has listed them
        return found

    monkeypatch.setattr(QueueDirectory, "failed", looked_at_too_early)
    options = ["--yes"] if command == "drop" else []
    done = invoke("queue", command, "--all", "--destination", "research-pacs", *options, cwd=site)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1 object ")
    assert done.stdout.endswith("; 1 object not there any more\n")
    assert failed(site) == []
