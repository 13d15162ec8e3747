"""`deidentify`, as it is called from a shell."""

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
    on_a_terminal,
    wait_until,
    write_config,
)


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


def test_the_progress_bar_is_on_terminals_only(site: Path) -> None:
    plain = cli("deidentify", "in", "--output", "out", cwd=site)
    assert "De-identifying" not in plain.stdout + plain.stderr
    shown = on_a_terminal("deidentify", "in", "--output", "out", cwd=site)
    assert "De-identifying" in shown
    assert f"{len(SMALL)}/{len(SMALL)}" in shown
