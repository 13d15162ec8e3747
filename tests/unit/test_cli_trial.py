"""`try`: what it says is what then happens, and nothing happens."""

import json
import shutil
from pathlib import Path

import pytest
from pydicom import dcmread
from support_node import SMALL, cli, files_below, write_config

FOLDER = '[[destinations]]\nname = "d"\nkind = "folder"\npath = "d"\n'
STUDIES = {
    "default": {"Destinations": []},
    "HEAD": {"Outgoing": False, "Destinations": ["d"]},
}
STATIONS = {"default": {"TagForStudy": "StudyDescription", "Split": "^", "SplitIndex": 0}}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    write_config(tmp_path, FOLDER, STATIONS, STUDIES)
    inside = tmp_path / "in"
    inside.mkdir()
    for number, (description, burned_in) in enumerate(
        [("HEAD^Brain", "NO"), ("OTHER", "NO"), ("HEAD", "YES")]
    ):
        dataset = dcmread(SMALL[0])
        dataset.StudyDescription = description
        dataset.StationName = "CT1"
        dataset.BurnedInAnnotation = burned_in
        dataset.PatientName = "SECRET^PATIENT"
        dataset.save_as(inside / f"{number}.dcm")
    (inside / "notes.txt").write_text("no DICOM", encoding="utf-8")
    return tmp_path


def test_what_is_promised_is_what_deidentify_writes(site: Path) -> None:
    deidentified = cli("deidentify", "in/1.dcm", "--output", "var/outgoing", cwd=site)
    assert deidentified.returncode == 0, deidentified.stderr
    done = cli("try", "in/1.dcm", "--json", cwd=site)
    assert (done.returncode, done.stderr) == (0, "")
    [found] = json.loads(done.stdout)["files"]
    [path] = (site / "var" / "outgoing").rglob("*.dcm")
    written = dcmread(path)
    assert found["path"] == str(path)
    assert found["patient_id"] == written.PatientID
    assert found["study_uid"] == written.StudyInstanceUID
    assert found["series_uid"] == written.SeriesInstanceUID
    assert found["sop_instance_uid"] == written.SOPInstanceUID
    assert (found["study"], found["status"], found["destinations"]) == ("default", "0000H", [])


def test_a_folder_gets_a_table_and_cures(site: Path) -> None:
    done = cli("try", "in", cwd=site)
    assert done.returncode == 1
    rows = [line.split() for line in done.stdout.splitlines()[1:4]]
    assert rows == [
        ["HEAD", "refused", "burned-in", "1"],
        ["HEAD", "stored", "1", "d"],
        ["default", "stored", "1", "outgoing"],
    ]
    assert '"BurnedIn": "pass"' in done.stdout
    assert "2 would be stored, 1 refused, 0 unusable, 1 skipped" in done.stdout
    assert "SECRET" not in done.stdout


def test_nothing_is_written(site: Path) -> None:
    before = files_below(site)
    assert cli("try", "in", cwd=site).returncode == 1
    assert files_below(site) == before


def test_without_a_key_it_says_that_names_are_examples(site: Path) -> None:
    done = cli("try", "in/0.dcm", cwd=site)
    assert done.returncode == 0
    assert "There is no key yet" in done.stderr
    assert "by StudyDescription (0008,1030), station rule default" in done.stdout
    assert "none: not written to outgoing" in done.stdout


def test_a_refusal_says_where_and_what_to_do(site: Path) -> None:
    done = cli("try", "in/2.dcm", cwd=site)
    assert done.returncode == 1
    assert "would be REFUSED (0110H)" in done.stdout
    assert "(burned-in at (0028,0301) BurnedInAnnotation)" in done.stdout


def test_the_title_it_is_sent_to_may_fix_the_study(site: Path) -> None:
    rule = '[[ae_titles]]\nae_title = "HEADS"\nstudy = "HEAD"\n'
    (site / "config" / "node.toml").write_text(rule + FOLDER, encoding="utf-8")
    done = cli("try", "in/1.dcm", "--called", "HEADS", cwd=site)
    assert "HEAD, as node.toml fixes it for AE title HEADS" in done.stdout


@pytest.mark.parametrize("name", ["notes.txt", "cut.dcm"])
def test_what_is_no_dicom_file_is_told(site: Path, name: str) -> None:
    (site / "in" / "cut.dcm").write_bytes((site / "in" / "0.dcm").read_bytes()[:200])
    done = cli("try", f"in/{name}", cwd=site)
    assert done.returncode == 1
    assert f"in/{name}" in done.stdout


def test_a_folder_without_files_is_no_success(site: Path) -> None:
    shutil.rmtree(site / "in")
    (site / "in").mkdir()
    done = cli("try", "in", cwd=site)
    assert (done.returncode, done.stdout) == (1, "Nothing found\n")


def test_a_study_that_is_not_there_is_told_with_the_nearest(site: Path) -> None:
    done = cli("try", "in/0.dcm", "--study", "HEAAD", cwd=site)
    assert done.returncode == 2
    assert 'did you mean "HEAD"?' in done.stderr
