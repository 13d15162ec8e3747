"""`deidentify`, as it is called from a shell."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import UID
from support_node import (
    SMALL,
    Node,
    cli,
    environment,
    files_below,
    invoke,
    on_a_terminal,
    wait_until,
    write_config,
)

from dicomanon_node.node import process as process_module
from dicomanon_node.ops import logs


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory with config/ and a folder of files."""
    write_config(tmp_path)
    (tmp_path / "in").mkdir()
    for path in SMALL:
        shutil.copy(path, tmp_path / "in")
    return tmp_path


def hidden(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.name.startswith(".")]


def test_what_comes_out_is_byte_for_byte_what_the_node_writes(
    start_node: Callable[..., Node], tmp_path: Path
) -> None:
    node = start_node()
    node.store_all(*SMALL)
    config = node.directory / "config"
    done = cli("deidentify", *SMALL, "--output", tmp_path / "out", "--config", config)
    assert (done.returncode, done.stderr) == (0, "")
    assert files_below(tmp_path / "out") == node.outgoing_files()


def test_the_originals_stay_and_nothing_else_is_left(site: Path) -> None:
    before = files_below(site / "in")
    done = cli("deidentify", "in", "--output", "out", cwd=site)
    assert done.returncode == 0
    assert done.stdout == f"{len(SMALL)} de-identified, 0 refused, 0 failed, 0 skipped\n"
    assert "A secret key was made" in done.stderr
    assert files_below(site / "in") == before
    assert sorted(path.name for path in site.iterdir()) == ["config", "in", "out", "var"]
    assert [path.name for path in (site / "var").iterdir()] == ["secret.key"]
    assert hidden(site / "out") == []


def test_running_it_again_changes_nothing(site: Path) -> None:
    cli("deidentify", "in", "--output", "out", cwd=site)
    before = files_below(site / "out")
    done = cli("deidentify", "in", "--output", "out", cwd=site)
    assert done.returncode == 0
    assert f"({len(SMALL)} there already)" in done.stdout
    assert files_below(site / "out") == before


def test_an_output_inside_the_input_is_not_de_identified_again(site: Path) -> None:
    for _ in range(2):
        done = cli("deidentify", ".", "--output", "in/out", cwd=site)
        assert done.stdout.startswith(f"{len(SMALL)} de-identified")
        assert len(files_below(site / "in" / "out")) == len(SMALL)


@pytest.mark.parametrize("inputs", [["in"], ["in/../in"], ["in/sub"], [f"in/{SMALL[0].name}"]])
def test_an_input_inside_the_output_is_refused(site: Path, inputs: list[str]) -> None:
    (site / "in" / "sub").mkdir()
    before = files_below(site)
    done = cli("deidentify", *inputs, "--output", "in", cwd=site)
    assert done.returncode == 2
    assert "Choose another output folder" in done.stderr
    assert files_below(site) == before


def test_files_that_are_not_dicom_are_named_and_do_no_harm(site: Path) -> None:
    (site / "in" / "notes\x1b[2J.txt").write_text("hello", encoding="utf-8")
    done = cli("deidentify", "in", "--output", "out", cwd=site)
    assert done.returncode == 0
    assert done.stdout.endswith("0 failed, 1 skipped\n")
    assert "skipped  in/notes\\x1b[2J.txt: not a DICOM file\n" in done.stderr


def test_a_refused_object_is_named_with_its_reason(site: Path) -> None:
    path = site / "in" / SMALL[0].name
    dataset = dcmread(path)
    dataset.BurnedInAnnotation = "YES"
    dataset.save_as(path)
    done = cli("deidentify", "in", "--output", "out", cwd=site)
    assert done.returncode == 1
    assert done.stdout.startswith(f"{len(SMALL) - 1} de-identified, 1 refused")
    line = f"refused  in/{SMALL[0].name}: Burned in annotation is refused (0110H)\n"
    assert line in done.stderr


def test_what_the_node_would_not_negotiate_is_refused_here_too(site: Path) -> None:
    path = site / "in" / SMALL[0].name
    dataset = dcmread(path)
    for uid in ("1.2.840.10008.1.3.10", "2.25.77"):  # Media Storage Directory; a private class
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID(uid)
        dataset.save_as(path)
        done = cli("deidentify", path, "--output", "out", cwd=site)
        assert (done.returncode, "(0122H)" in done.stderr) == (1, True)
    extra = ("--set", 'listener.extra_sop_classes=["2.25.77"]')
    assert cli("deidentify", path, "--output", "out", *extra, cwd=site).returncode == 0


def test_damaged_files_fail_and_the_others_are_done(site: Path) -> None:
    (site / "in" / "cut.dcm").write_bytes(SMALL[0].read_bytes()[:200])
    (site / "in" / "gone.dcm").symlink_to(site / "nowhere")
    done = cli("deidentify", "in", "--output", "out", cwd=site)
    assert done.returncode == 1
    assert f"{len(SMALL)} de-identified, 0 refused, 2 failed" in done.stdout
    assert "failed   in/cut.dcm: " in done.stderr
    assert "failed   in/gone.dcm: " in done.stderr


def test_an_empty_folder_is_told(site: Path) -> None:
    (site / "empty").mkdir()
    done = cli("deidentify", "empty", "--output", "out", cwd=site)
    assert (done.returncode, done.stdout) == (1, "Nothing found\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing", "--output", "out"], "does not exist"),
        (["in"], "Missing option '--output'"),
        (["in", "--output", "config/node.toml"], "is a file"),
        (["in", "--output", "config/node.toml/out"], "Not a directory"),
        (["in", "--output", "out", "--config", "nowhere"], "no such directory"),
    ],
)
def test_wrong_usage_is_explained(site: Path, arguments: list[str], words: str) -> None:
    done = cli("deidentify", *arguments, cwd=site)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_leaves_whole_objects_and_nothing_else(
    site: Path, number: signal.Signals, code: int
) -> None:
    for copy in range(150):
        dataset = dcmread(SMALL[-2])
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.{copy}")
        dataset.save_as(site / "in" / f"{copy}.dcm")
    process = subprocess.Popen(
        [sys.executable, "-m", "dicomanon_node", "deidentify", "in", "--output", "out"],
        cwd=site,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    out = site / "out"
    wait_until(lambda: out.exists() and any(out.rglob("*.dcm")))
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode in {code, 0}, "0: it was quicker"
    assert "Traceback" not in errors
    assert hidden(out) == []
    interrupted = files_below(out)
    assert cli("deidentify", "in", "--output", "out", cwd=site).returncode == 0
    assert interrupted.items() <= files_below(out).items()


def many(site: Path, count: int, payload: int = 0) -> None:
    """Add files to the input, more than one process gets."""
    for copy in range(count):
        dataset = dcmread(SMALL[-2])
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.{copy}")
        if payload:
            dataset.add_new(0x00290010, "LO", "NOBODY")
            dataset.add_new(0x00291001, "OB", bytes(payload))
        dataset.save_as(site / "in" / f"{copy:03}.dcm")


def test_so_many_processes_so_the_same_files_and_words(site: Path) -> None:
    many(site, 40)
    for copy in range(6):  # one name, several contents: the first of the input has it
        dataset = dcmread(SMALL[-2])
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID("2.25.7")
        dataset.Rows = copy + 2
        dataset.save_as(site / "in" / f"v{copy}.dcm")
    (site / "in" / "cut.dcm").write_bytes(SMALL[0].read_bytes()[:1000])
    (site / "in" / "notes.txt").write_text("no DICOM", encoding="utf-8")
    cli("deidentify", SMALL[0], "--output", "first", cwd=site)  # makes the key
    said = {}
    for jobs in ("1", "2", "5"):
        done = cli("deidentify", "in", "--output", f"out{jobs}", "--jobs", jobs, cwd=site)
        said[jobs] = (done.returncode, done.stdout, done.stderr, files_below(site / f"out{jobs}"))
        assert hidden(site / f"out{jobs}") == []
    assert said["1"] == said["2"] == said["5"]
    assert said["1"][1].endswith("1 refused, 0 failed, 1 skipped\n")


def test_a_crosswalk_of_several_processes_is_that_of_one(site: Path) -> None:
    many(site, 40)
    cli("deidentify", SMALL[0], "--output", "first", cwd=site)
    for jobs in ("1", "3"):
        arguments = ("--output", f"out{jobs}", "--crosswalk", f"cw{jobs}", "--jobs", jobs)
        assert cli("deidentify", "in", *arguments, cwd=site).returncode == 0
    assert files_below(site / "cw1") == files_below(site / "cw3")


def children(process: "subprocess.Popen[str]") -> list[int]:
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in path.read_text().split()]


def begun(site: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "dicomanon_node", "deidentify", "in"),
            *("--output", "out", "--jobs", "2"),
        ],
        cwd=site,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    out = site / "out"
    wait_until(lambda: out.exists() and any(out.rglob("*.dcm")))
    return process


def test_a_worker_that_is_killed_is_told_by_its_file_and_the_rest_goes_on(site: Path) -> None:
    many(site, 200, payload=100_000)
    process = begun(site)
    os.kill(children(process)[0], signal.SIGKILL)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    [line] = errors.splitlines()[2:]
    assert line.startswith("failed   in/")
    assert line.endswith("has died (signal 9); is there enough memory?")
    total = len(list((site / "in").iterdir()))
    assert output == f"{total - 1} de-identified, 0 refused, 1 failed, 0 skipped\n"
    assert hidden(site / "out") == []


def test_what_a_killed_run_left_is_removed_by_the_next(site: Path) -> None:
    many(site, 200, payload=100_000)
    process = begun(site)
    workers = children(process)
    process.kill()
    process.communicate(timeout=30)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    assert len(list((site / "out").glob(".dicomanon-*"))) == 1
    assert cli("deidentify", "in", "--output", "out", cwd=site).returncode == 0
    assert hidden(site / "out") == []


def test_ctrl_c_on_a_terminal_ends_all_processes_and_tells_what_was_done(site: Path) -> None:
    many(site, 300, payload=100_000)
    arguments = ("deidentify", "in", "--output", "out", "--jobs", "2")
    shown = on_a_terminal(*arguments, cwd=site, until="De-identifying")
    assert "Interrupted: " in shown
    assert "Traceback" not in shown
    assert hidden(site / "out") == []
    told = re.search(r"Interrupted: (\d+) de-identified|Interrupted: (Nothing) found", shown)
    assert told is not None
    assert int(told[1] or 0) == len(files_below(site / "out"))


def test_few_files_start_no_process(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise AssertionError

    monkeypatch.setattr(os, "fork", fork)
    monkeypatch.setattr(os, "sync", lambda: None)
    monkeypatch.setattr(process_module, "forbid_core_dumps", lambda: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    done = invoke("deidentify", "in", "--output", "out", "--jobs", "8", cwd=site)
    logs.configure(strict=True)
    assert done.returncode == 0


def test_the_progress_bar_is_on_terminals_only(site: Path) -> None:
    plain = cli("deidentify", "in", "--output", "out", cwd=site)
    assert "De-identifying" not in plain.stdout + plain.stderr
    shown = on_a_terminal("deidentify", "in", "--output", "out", cwd=site)
    assert "De-identifying" in shown
    assert f"{len(SMALL)}/{len(SMALL)}" in shown
