"""`deidentify --crosswalk`: every identifier that was replaced, once, for its owner alone."""

import csv
import errno
import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian
from support_deid import ROOT, basic_dataset
from support_node import SMALL, cli, files_below, write_config

from dicomanon_node.cli.files import Found
from dicomanon_node.config import load
from dicomanon_node.deid.trace import Outcome, Trace
from dicomanon_node.errors import ConfigError
from dicomanon_node.node.batch import Batch
from dicomanon_node.ops import logs
from dicomanon_node.review.crosswalk import Crosswalk, UnwrittenError

FILES = ("patid_mapping.csv", "uid_mapping.csv")
STUDIES = {
    "default": {"Profile": "basic", "RemovePrivateTags": False},
    "HASHED": {
        "Profile": "basic",
        "RandomSeed": "another scope",
        "AnonymizeTag": {"PatientID": {"action": "hash"}},
    },
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    write_config(tmp_path, studies=STUDIES)
    (tmp_path / "in").mkdir()
    return tmp_path


def identified(number: int = 1, **attributes: object) -> Dataset:
    """An object with UIDs in items, in private elements and in lists."""
    own: dict[str, object] = {"SOPInstanceUID": f"{ROOT}13.{number}"}
    ds: Dataset = basic_dataset(**own | attributes)
    item = Dataset()
    item.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    item.ReferencedSOPInstanceUID = f"{ROOT}20.{number}"
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = f"{ROOT}21.{number}"
    item.PurposeOfReferenceCodeSequence = Sequence([inner])
    ds.ReferencedImageSequence = Sequence([item])
    ds.IrradiationEventUID = [f"{ROOT}30.{number}", f"{ROOT}31.{number}"]
    block = ds.private_block(0x0009, "ZORBLAX CONSOLE 7", create=True)
    block.add_new(0x01, "UI", f"{ROOT}40.{number}")
    return ds


def save(ds: Dataset, path: Path) -> Path:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.save_as(path, enforce_file_format=True)
    return path


def run(site: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    done: subprocess.CompletedProcess[str] = cli(
        "deidentify", *arguments, "--output", "out", "--crosswalk", "cw", cwd=site
    )
    return done


@pytest.fixture(autouse=True)
def _quick_and_quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(os, "sync", lambda: None)
    logs.configure(stream=None)
    yield
    logs.configure(strict=True)


def deidentify(site: Path, *paths: Path) -> list[int]:
    """What `run` does, within this process; the status of each file."""
    config = load(site / "config", {})
    with (
        closing(Crosswalk(site / "cw")) as crosswalk,
        Batch(config, site / "out", crosswalk) as batch,
    ):
        return [int(batch.deidentify(Found(path).open()).status) for path in paths]


def rows(site: Path, name: str) -> list[list[str]]:
    with (site / "cw" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def pairs(site: Path, name: str) -> dict[str, str]:
    header, *found = rows(site, name)
    assert header == ["id_old", "id_new"]
    assert found == sorted(found)
    assert len({old for old, _ in found}) == len(found)
    return dict(found)


def uids_of(ds: Dataset, path: tuple[object, ...] = ()) -> Iterator[tuple[tuple[object, ...], str]]:
    """Every UID of a data set by where it is, private ones by number."""
    for element in ds:
        place = (*path, int(element.tag))
        if element.VR == "SQ":
            for number, item in enumerate(element.value):
                yield from uids_of(item, (*place, number))
        elif element.VR == "UI":
            values = element.value if element.VM > 1 else [element.value]
            for number, value in enumerate(values):
                yield (*place, number), str(value or "")


def changed(before: Path, after: Path) -> dict[str, str]:
    """Old and new of every UID at the same place in an original and its output."""
    old, new = dcmread(before), dcmread(after)
    news = dict(uids_of(new))
    found = {
        uid: news[place] for place, uid in uids_of(old) if news.get(place) not in (None, "", uid)
    }
    found[str(old.file_meta.MediaStorageSOPInstanceUID)] = str(
        new.file_meta.MediaStorageSOPInstanceUID
    )
    return found


def test_every_changed_uid_of_the_output_is_in_it_once(site: Path) -> None:
    source = save(identified(), site / "in" / "a.dcm")
    assert deidentify(site, source) == [0]
    [output] = (site / "out").rglob("*.dcm")
    expected = changed(source, output)
    assert {f"{ROOT}{number}.1" for number in (13, 20, 21, 30, 31, 40)} <= expected.keys()
    written = pairs(site, "uid_mapping.csv")
    assert expected.items() <= written.items()
    assert "1.2.840.10008.5.1.4.1.1.2" not in written
    assert all(UID(new).is_valid for new in written.values())


def test_it_holds_for_real_files(site: Path) -> None:
    assert set(deidentify(site, *SMALL)) == {0}
    uids, patients = pairs(site, "uid_mapping.csv"), pairs(site, "patid_mapping.csv")
    outputs = {path.stem: path for path in (site / "out").rglob("*.dcm")}
    assert len(outputs) == len(SMALL)
    for path in SMALL:
        ds = dcmread(path)
        output = outputs[uids[str(ds.SOPInstanceUID)]]
        assert changed(path, output).items() <= uids.items()
        new = str(dcmread(output).PatientID)
        assert patients.get(str(ds.PatientID), new) == new
    assert patients.keys() == {str(dcmread(path).PatientID) for path in SMALL} - {""}


def test_ids_are_exact_whatever_they_begin_with(site: Path) -> None:
    ids = ['=cmd|" /C calc"!A0', "+49", "-1", "@SUM(A1)", "a,b", "Müller"]
    for number, patient_id in enumerate(ids):
        ds = identified(number, SpecificCharacterSet="ISO_IR 192", PatientID=patient_id)
        assert deidentify(site, save(ds, site / "in" / f"{number}.dcm")) == [0]
    assert pairs(site, "patid_mapping.csv").keys() == set(ids)


def test_an_id_that_a_rule_of_the_study_replaced_is_in_it(site: Path) -> None:
    source = save(identified(StudyDescription="HASHED"), site / "in" / "a.dcm")
    assert deidentify(site, source) == [0]
    [output] = (site / "out").rglob("*.dcm")
    assert pairs(site, "patid_mapping.csv") == {"MRN7741902": str(dcmread(output).PatientID)}


def test_it_is_the_users_alone_and_says_so(site: Path) -> None:
    save(identified(), site / "in" / "a.dcm")
    done = run(site, "in")
    assert "RE-IDENTIFIES" in done.stderr
    assert stat.S_IMODE((site / "cw").stat().st_mode) == 0o700
    assert sorted(path.name for path in (site / "cw").iterdir()) == list(FILES)
    for name in FILES:
        assert stat.S_IMODE((site / "cw" / name).stat().st_mode) == 0o600


def test_the_output_is_the_same_with_and_without(site: Path) -> None:
    save(identified(), site / "in" / "a.dcm")
    assert run(site, "in").returncode == 0
    assert cli("deidentify", "in", "--output", "other", cwd=site).returncode == 0
    assert files_below(site / "out") == files_below(site / "other")


def test_a_second_run_adds_to_the_first_and_the_same_run_changes_nothing(site: Path) -> None:
    first = save(identified(1), site / "in" / "a.dcm")
    second = save(identified(2, PatientID="OTHER"), site / "in" / "b.dcm")
    deidentify(site, first)
    before = pairs(site, "uid_mapping.csv")
    deidentify(site, second)
    after = files_below(site / "cw")
    assert before.items() < pairs(site, "uid_mapping.csv").items()
    assert pairs(site, "patid_mapping.csv").keys() == {"MRN7741902", "OTHER"}
    deidentify(site, first, second)
    assert files_below(site / "cw") == after


def test_an_id_that_became_several_is_told(site: Path) -> None:
    save(identified(1), site / "in" / "a.dcm")
    save(identified(2, StudyDescription="HASHED"), site / "in" / "b.dcm")
    done = run(site, "in")
    assert "became several new ones" in done.stderr
    olds = [old for old, _ in rows(site, "patid_mapping.csv")]
    assert olds == ["id_old", "MRN7741902", "MRN7741902"]


def test_a_refused_object_is_not_in_it(site: Path) -> None:
    save(identified(1), site / "in" / "a.dcm")
    save(identified(2, PatientID="REFUSED", BurnedInAnnotation="YES"), site / "in" / "b.dcm")
    done = run(site, "in")
    assert done.returncode == 1
    assert "Burned in annotation is refused (0110H)" in done.stderr
    assert "REFUSED" not in pairs(site, "patid_mapping.csv")
    assert f"{ROOT}13.2" not in pairs(site, "uid_mapping.csv")


@pytest.mark.parametrize(
    ("directory", "said"),
    [("out/cw", "neither may lie in the other"), (".", "neither may lie in the other")],
)
def test_it_may_not_be_given_away_with_the_output(site: Path, directory: str, said: str) -> None:
    save(identified(), site / "in" / "a.dcm")
    done = cli("deidentify", "in", "--output", "out", "--crosswalk", directory, cwd=site)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (site / "out").exists()


def test_a_directory_that_others_can_read_is_refused(site: Path) -> None:
    save(identified(), site / "in" / "a.dcm")
    (site / "cw").mkdir()
    (site / "cw").chmod(0o750)
    done = run(site, "in")
    assert done.returncode == 2
    assert "mode 0750" in done.stderr
    assert not (site / "out").exists()
    assert list((site / "cw").iterdir()) == []


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cw"


def trace_of(old: bytes, new: bytes) -> Trace:
    trace = Trace()
    trace.uids[old] = new
    return trace


@pytest.mark.parametrize(
    "content", ["", "id_old\n", "a,b\n1,2\n", "id_old,id_new\n1,2,3\n", "id_old,id_new\n1,2\n1,2\n"]
)
def test_a_file_that_is_something_else_is_not_overwritten(directory: Path, content: str) -> None:
    directory.mkdir(mode=0o700)
    (directory / "uid_mapping.csv").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match="not a crosswalk"):
        Crosswalk(directory)
    assert (directory / "uid_mapping.csv").read_text(encoding="utf-8") == content


def test_one_run_at_a_time_has_it(directory: Path) -> None:
    first = Crosswalk(directory)
    with pytest.raises(ConfigError, match="in use by another run"):
        Crosswalk(directory)
    first.close()
    Crosswalk(directory).close()


def test_where_it_cannot_be_written_the_old_files_stay_whole(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crosswalk = Crosswalk(directory)
    crosswalk.add(trace_of(b"1.2.3", b"2.25.1"), b"")
    crosswalk.write()
    before = files_below(directory)
    crosswalk.add(trace_of(b"1.2.4", b"2.25.2"), b"")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UnwrittenError, match="No space left"):
        crosswalk.write()
    assert files_below(directory) == before
    monkeypatch.undo()
    crosswalk.write()
    assert files_below(directory) != before
    crosswalk.close()


def test_what_was_emptied_or_removed_has_no_entry(directory: Path) -> None:
    trace = Trace()
    trace.note(0x0020000D, "UI", "rule", Outcome.EMPTIED, b"1.2.3", b"")
    trace.note(0x0020000E, "UI", "rule", Outcome.REMOVED, b"1.2.4", b"")
    trace.note(0x00100020, "LO", "rule", Outcome.REPLACED, b"", b"NEW")
    trace.note(0x00200052, "UI", "rule", Outcome.REPLACED, b"1.2.5\0", b"2.25.5\0")
    crosswalk = Crosswalk(directory)
    crosswalk.add(trace, b"")
    assert crosswalk.counts == (1, 0)
    crosswalk.close()


def test_a_run_that_was_interrupted_leaves_what_it_did(site: Path) -> None:
    source = save(identified(), site / "in" / "a.dcm")
    config = load(site / "config", {})
    with closing(Crosswalk(site / "cw")) as crosswalk:
        with suppress(KeyboardInterrupt), Batch(config, site / "out", crosswalk) as batch:
            batch.deidentify(Found(source).open())
            raise KeyboardInterrupt
        assert f"{ROOT}13.1" in pairs(site, "uid_mapping.csv")
