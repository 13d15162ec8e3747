"""`verify`: every sabotage of an output is found and named, and nothing else is."""

import csv
import io
import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from support_node import SMALL, cli, write_config

NAME, PATIENT_ID, ACCESSION = "Quillfeather^Ottoline", "MRN7741902", "ACC5550123"
ROOT = "1.2.826.0.1.3680043.10.543."
CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY = {
    "default": {
        "Profile": "basic",
        "Options": [
            "RetainLongitudinalModifiedDates",
            "RetainPatientCharacteristics",
            "CleanDescriptors",
        ],
        "AnonymizeTag": {
            "StudyDescription": {"action": "value", "value": "TRIAL"},
            "StationName": {"action": "hash"},
        },
    }
}


def code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def reference(number: int) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = CT
    item.ReferencedSOPInstanceUID = f"{ROOT}9.{number}"
    return item


def original(number: int) -> FileDataset:
    """An object of one patient that refers to the first two of its set."""
    ds = FileDataset("", {}, preamble=bytes(128), file_meta=FileMetaDataset())
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = UID(CT)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = UID(f"{ROOT}9.{number}")
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{ROOT}1", f"{ROOT}2"
    ds.FrameOfReferenceUID = f"{ROOT}3"
    ds.PatientName, ds.PatientID, ds.AccessionNumber = NAME, PATIENT_ID, ACCESSION
    ds.PatientBirthDate, ds.PatientWeight, ds.PatientAge = "19610312", "71.5", "045Y"
    ds.StudyDate, ds.SeriesDate, ds.AcquisitionDateTime = "20200229", "20200301", "20200229101112"
    ds.Modality, ds.Manufacturer, ds.BodyPartExamined = "CT", "MAKER", "HEAD"
    ds.SeriesDescription = "T1 Quillfeather axial plain"
    ds.InstitutionName, ds.StationName = "Saint Elsewhere", "ROOM7SCANNER"
    ds.ReferringPhysicianName = "Wintergreen^Basil"
    ds.ReferencedImageSequence = [reference(0), reference(1)]
    ds.ProcedureCodeSequence = [code("121071", "Finding"), code("121073", "Impression")]
    ds.SliceThickness, ds.Rows, ds.Columns = "2.5", 2, 2
    ds.BitsAllocated, ds.SamplesPerPixel, ds.PixelRepresentation = 8, 1, 0
    ds.PixelData = bytes((number % 256, 1, 2, 3))
    return ds


Sabotage = Callable[[FileDataset], None]


def put(**values: object) -> Sabotage:
    def sabotage(ds: FileDataset) -> None:
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    return sabotage


def take(keyword: str) -> Sabotage:
    return lambda ds: delattr(ds, keyword)


def add_private(ds: FileDataset) -> None:
    ds.private_block(0x0029, "ELSEWHERE", create=True).add_new(0x01, "LO", "harmless")


def drop_item(ds: FileDataset) -> None:
    del ds.ReferencedImageSequence[1]


def add_item(ds: FileDataset) -> None:
    ds.ReferencedImageSequence.append(ds.ReferencedImageSequence[0])


def swap_references(ds: FileDataset) -> None:
    first, second = ds.ReferencedImageSequence
    first.ReferencedSOPInstanceUID = second.ReferencedSOPInstanceUID


def change_in_item(ds: FileDataset) -> None:
    ds.ProcedureCodeSequence[1].CodeMeaning = "Other"


def add_in_item(ds: FileDataset) -> None:
    ds.ProcedureCodeSequence[0].MappingResource = "DCMR"


def hide_in_utf16(ds: FileDataset) -> None:
    ds.add_new(0xFFFCFFFC, "OB", "Quillfeather".encode("utf-16-le"))


def write_preamble(ds: FileDataset) -> None:
    ds.preamble = b"x" * 128


def write_meta(ds: FileDataset) -> None:
    ds.file_meta.SourceApplicationEntityTitle = "SCANNER"


def name_another_instance(ds: FileDataset) -> None:
    ds.file_meta.MediaStorageSOPInstanceUID = UID("2.25.1234567890")


def say_more(ds: FileDataset) -> None:
    ds.DeidentificationMethod = [*ds.DeidentificationMethod, "by hand"]


def add_code(ds: FileDataset) -> None:
    ds.DeidentificationMethodCodeSequence.append(code("999999", "Something"))


def shift_a_day(ds: FileDataset) -> None:
    ds.SeriesDate = f"{int(ds.SeriesDate) + 1}"


RAW = "identity of the original is left"
# By name: what is done to an output, and which elements must be named, and why.
SABOTAGES: dict[str, tuple[Sabotage, set[tuple[str, str]]]] = {
    "name put back": (
        put(PatientName=NAME),
        {("(0010,0010)", "is not the patient's pseudonym"), ("(0010,0010)", RAW)},
    ),
    "patient ID of another": (
        put(PatientID="BCDFGHJKLMNPQRST"),
        {("(0010,0020)", "is not the patient's pseudonym")},
    ),
    "accession number put back": (
        put(AccessionNumber=ACCESSION),
        {("(0008,0050)", "is to be empty and is not"), ("(0008,0050)", RAW)},
    ),
    "unrelated element changed": (
        put(Manufacturer="OTHER"),
        {("(0008,0070)", "has lost words that identify nobody")},
    ),
    "number changed": (put(SliceThickness="2.6"), {("(0018,0050)", "is to be kept and differs")}),
    "characteristic changed": (
        put(PatientWeight="99"),
        {("(0010,1030)", "is to be kept and differs")},
    ),
    "age changed": (put(PatientAge="046Y"), {("(0010,1010)", "is to be kept and differs")}),
    "kept element gone": (take("BodyPartExamined"), {("(0018,0015)", "is to stay and is gone")}),
    "removed element back": (
        put(InstitutionName="Saint Elsewhere"),
        {("(0008,0080)", "is to be removed and is there")},
    ),
    "date not shifted": (
        put(StudyDate="20200229"),
        {("(0008,0020)", "date is to be shifted and is not")},
    ),
    "date shifted by another day": (
        shift_a_day,
        {("(0008,0021)", "is not shifted by the patient's days")},
    ),
    "date and time not shifted": (
        put(AcquisitionDateTime="20200229101112"),
        {("(0008,002a)", "date is to be shifted and is not")},
    ),
    "date emptied": (put(StudyDate=""), {("(0008,0020)", "is not shifted by the patient's days")}),
    "UID put back": (
        put(FrameOfReferenceUID=f"{ROOT}3"),
        {
            ("(0020,0052)", "UID is to be replaced and is not"),
            ("(0020,0052)", "a UID of the original is left"),
        },
    ),
    "UID of another series": (
        put(SeriesInstanceUID="2.25.1234567890"),
        {("(0020,000e)", "UID is not the one that belongs to the original's")},
    ),
    "reference to another object": (
        swap_references,
        {
            (
                "(0008,1140)[0].(0008,1155)",
                "UID is not the one that belongs to the original's",
            )
        },
    ),
    "item dropped": (drop_item, {("(0008,1140)", "has another number of items")}),
    "item added": (add_item, {("(0008,1140)", "has another number of items")}),
    "changed in an item": (
        change_in_item,
        {("(0008,1032)[1].(0008,0104)", "has words that the original has not")},
    ),
    "added in an item": (
        add_in_item,
        {("(0008,1032)[0].(0008,0105)", "added by nobody's rule")},
    ),
    "name left in a text": (
        put(SeriesDescription="T1 Quillfeather axial plain"),
        {("(0008,103e)", RAW)},
    ),
    "word added to a text": (
        put(SeriesDescription="T1 axial plain extra"),
        {("(0008,103e)", "has words that the original has not")},
    ),
    "word lost from a text": (
        put(SeriesDescription="T1 axial"),
        {("(0008,103e)", "has lost words that identify nobody")},
    ),
    "value of a rule changed": (
        put(StudyDescription="OTHER"),
        {("(0008,1030)", "is not the value of the rule")},
    ),
    "hash undone": (
        put(StationName="ROOM7SCANNER"),
        {("(0008,1010)", "is to be hashed and is not")},
    ),
    "element added": (put(ImageComments="fine"), {("(0020,4000)", "added by nobody's rule")}),
    "private element added": (
        add_private,
        {
            ('(0029,"ELSEWHERE")', "added by nobody's rule"),
            ('(0029,"ELSEWHERE",01)', "added by nobody's rule"),
        },
    ),
    "name hidden in UTF-16": (
        hide_in_utf16,
        {("(fffc,fffc)", "added by nobody's rule"), ("(fffc,fffc)", RAW)},
    ),
    "pixel altered": (
        put(PixelData=bytes((9, 9, 9, 9))),
        {("(7fe0,0010)", "is to be kept and differs")},
    ),
    "pixel data cut": (put(PixelData=bytes(2)), {("(7fe0,0010)", "is to be kept and differs")}),
    "pixel data gone": (take("PixelData"), {("(7fe0,0010)", "is to stay and is gone")}),
    "preamble written": (write_preamble, {("", "is not zero")}),
    "file meta written": (write_meta, {("", "holds more than a new one does")}),
    "file meta of another": (name_another_instance, {("", "names another SOP Instance")}),
    "label says no": (put(PatientIdentityRemoved="NO"), {("", "is not YES")}),
    "label gone": (take("DeidentificationMethod"), {("", "is missing")}),
    "label says more": (say_more, {("", "says more than what was done")}),
    "label has another code": (add_code, {("", "has a code that is none of CID 7050")}),
    "label of dates wrong": (
        put(LongitudinalTemporalInformationModified="REMOVED"),
        {("", "is not what happened to the dates")},
    ),
}


@dataclass
class Verified:
    """A set, sabotaged, and what `verify` said of it."""

    report: dict[str, Any]
    exit_code: int
    site: Path
    names: dict[str, str] = field(default_factory=dict)

    def faults(self, name: str) -> set[tuple[str, str]]:
        return {
            (row["tag"], row["reason"])
            for row in self.report["faults"]
            if row["original"].endswith(f"/{self.names[name]}")
        }

    def object(self, name: str) -> dict[str, Any]:
        rows: list[dict[str, Any]] = self.report["objects"]
        return next(row for row in rows if row["original"].endswith(f"/{self.names[name]}"))

    def whole(self) -> dict[str, str]:
        return {row["demand"]: row["result"] for row in self.report["set"]}


def outputs_of(site: Path) -> dict[int, Path]:
    """Outputs by the first byte of their pixels, which tells their originals' numbers."""
    return {dcmread(path).PixelData[0]: path for path in sorted((site / "out").rglob("*.dcm"))}


def verified(site: Path) -> tuple[dict[str, Any], int]:
    done = cli("verify", "in", "out", "--format", "json", cwd=site)
    assert done.stderr == ""
    return json.loads(done.stdout), done.returncode


UNTOUCHED = ("untouched", "untouched too")


@pytest.fixture(scope="module")
def sabotaged(tmp_path_factory: pytest.TempPathFactory) -> Verified:
    """One set in which each object but two had one sabotage."""
    site = tmp_path_factory.mktemp("site")
    write_config(site, studies=STUDY)
    (site / "in").mkdir()
    names = {}
    for number, name in enumerate((*UNTOUCHED, *SABOTAGES, "deleted", "renamed")):
        names[name] = f"{number:03}.dcm"
        original(number).save_as(site / "in" / names[name], enforce_file_format=True)
    assert cli("deidentify", "in", "--output", "out", cwd=site).returncode == 0
    outputs = outputs_of(site)
    for name, (sabotage, _) in SABOTAGES.items():
        path = outputs[int(names[name][:3])]
        ds = dcmread(path)
        sabotage(ds)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some sabotage leaves no valid file
            ds.save_as(path, enforce_file_format=False)
    outputs[int(names["deleted"][:3])].unlink()
    renamed = outputs[int(names["renamed"][:3])]
    renamed.rename(renamed.with_name("Quillfeather.dcm"))
    foreign = original(250)
    foreign.save_as(site / "out" / "foreign.dcm", enforce_file_format=True)
    report, exit_code = verified(site)
    return Verified(report, exit_code, site, names)


@pytest.mark.parametrize("name", SABOTAGES)
def test_a_sabotage_is_named_and_nothing_else_is(sabotaged: Verified, name: str) -> None:
    assert sabotaged.faults(name) == SABOTAGES[name][1]
    assert sabotaged.object(name)["result"] == "FAIL"


@pytest.mark.parametrize("name", UNTOUCHED)
def test_what_was_not_touched_passes(sabotaged: Verified, name: str) -> None:
    assert sabotaged.faults(name) == set()
    assert sabotaged.object(name)["result"] == "PASS"


def test_an_original_without_output_is_named(sabotaged: Verified) -> None:
    assert sabotaged.object("deleted")["reason"] == "has no output, though the node accepts it"


def test_an_output_without_original_is_named(sabotaged: Verified) -> None:
    rows = [row for row in sabotaged.report["objects"] if not row["original"]]
    assert [(row["output"], row["reason"]) for row in rows] == [
        ("out/foreign.dcm", "came of none of the originals")
    ]


def test_a_name_in_a_file_name_is_found(sabotaged: Verified) -> None:
    assert sabotaged.faults("renamed") == {("", RAW)}


def test_what_is_torn_over_the_set_is_told(sabotaged: Verified) -> None:
    assert sabotaged.whole() == {
        "the same UID becomes the same UID": "FAIL",
        "different UIDs become different UIDs": "FAIL",
        "references lead to objects of the set": "PASS",
        "all dates of a patient move by the same days": "FAIL",
    }
    assert sabotaged.exit_code == 1


def test_no_report_shows_a_value(sabotaged: Verified) -> None:
    table = cli("verify", "in", "out", cwd=sabotaged.site).stdout
    shown = json.dumps(sabotaged.report) + table
    shown = shown.replace("Quillfeather.dcm", "")  # the name of a file
    for value in ("Quillfeather", PATIENT_ID, ACCESSION, "19610312", "20200229", ROOT, "OTHER"):
        assert value not in shown


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set as it came out, with real files of several makers among it."""
    site = tmp_path_factory.mktemp("whole")
    write_config(site, studies=STUDY)
    (site / "in").mkdir()
    for path in SMALL:
        shutil.copy(path, site / "in")
    for number in range(3):
        original(number).save_as(site / "in" / f"{number}.dcm", enforce_file_format=True)
    assert cli("deidentify", "in", "--output", "out", cwd=site).returncode == 0
    return site


def test_what_the_engine_made_passes(whole: Path) -> None:
    report, exit_code = verified(whole)
    assert report["faults"] == []
    assert {row["result"] for row in (*report["objects"], *report["fields"], *report["set"])} == {
        "PASS"
    }
    assert (report["result"], exit_code) == ("PASS", 0)
    assert report["counts"] == {"passed": len(SMALL) + 3}


@pytest.mark.parametrize(
    "study",
    [
        {"Profile": "basic"},
        {"Profile": "basic", "RemovePrivateTags": False},
        {"Profile": "basic", "Options": ["RetainUIDs", "RetainLongitudinalFullDates"]},
        {
            "Profile": "basic",
            "Options": ["CleanStructuredContent", "CleanGraphics", "RetainSafePrivate"],
        },
    ],
    ids=["basic", "private", "retaining", "cleaning"],
)
def test_it_follows_the_rules(tmp_path: Path, study: dict[str, object]) -> None:
    write_config(tmp_path, studies={"default": study})
    cli("deidentify", *SMALL, "--output", "out", cwd=tmp_path)
    done = cli("verify", SMALL[0].parent, "out", "--format", "json", cwd=tmp_path)
    report = json.loads(done.stdout)
    assert report["faults"] == []
    assert report["counts"]["passed"] == len(SMALL)


def test_without_a_profile_identity_that_the_rules_leave_is_told(tmp_path: Path) -> None:
    study = {"Profile": None, "AnonymizeTag": {"PatientName": {"action": "hash"}}}
    write_config(tmp_path, studies={"default": study})
    path = tmp_path / "in.dcm"
    original(0).save_as(path, enforce_file_format=True)
    cli("deidentify", path, "--output", "out", cwd=tmp_path)
    report = json.loads(cli("verify", path, "out", "--format", "json", cwd=tmp_path).stdout)
    assert {(row["tag"], row["reason"]) for row in report["faults"]} == {("(0008,103e)", RAW)}


def test_other_rules_than_those_that_made_the_outputs_do_not_pass(whole: Path) -> None:
    write_config(whole / "other", studies={"default": {"Profile": "basic"}})
    done = cli(
        "verify", "in", "out", "--config", "other/config",
        "--set", f"secrets.key_file={whole}/var/secret.key", cwd=whole,
    )  # fmt: skip
    assert done.returncode == 1


def test_a_refused_object_comes_with_its_reason(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "site")
    refused = original(7)
    refused.BurnedInAnnotation = "YES"
    refused.save_as(tmp_path / "site" / "in" / "burned.dcm", enforce_file_format=True)
    report, exit_code = verified(tmp_path / "site")
    row = next(row for row in report["objects"] if row["original"] == "in/burned.dcm")
    assert row["reason"] == "has no output: Burned in annotation is refused (0110H)"
    assert exit_code == 1


def test_a_reference_to_what_has_no_output_is_told(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "site")
    outputs = sorted((tmp_path / "site" / "out").rglob("*.dcm"))
    referenced = {
        str(item.ReferencedSOPInstanceUID)
        for path in outputs
        for item in dcmread(path).get("ReferencedImageSequence", ())
    }
    next(path for path in outputs if dcmread(path).SOPInstanceUID in referenced).unlink()
    report, _ = verified(tmp_path / "site")
    row = next(row for row in report["set"] if row["demand"].startswith("references"))
    assert (row["result"], row["failed"]) == ("FAIL", 1)


def test_the_same_object_twice_is_no_fault(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "site")
    shutil.copy(tmp_path / "site" / "in" / "1.dcm", tmp_path / "site" / "in" / "again.dcm")
    report, exit_code = verified(tmp_path / "site")
    assert report["counts"]["the same object again"] == 1
    assert exit_code == 0


def test_the_csv_can_be_signed_and_holds_no_formula(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "site")
    evil = tmp_path / "site" / "=HYPERLINK(1)"
    (tmp_path / "site" / "in").rename(evil)
    done = cli(
        "verify", evil.name, "out", "--format", "csv", "--report", "report.csv",
        cwd=tmp_path / "site",
    )  # fmt: skip
    assert done.returncode == 0
    text = (tmp_path / "site" / "report.csv").read_bytes().decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) > len(SMALL)
    for row in rows:
        assert [row[column] for column in ("checked_by", "checked_on", "verdict", "remarks")] == [
            ""
        ] * 4
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row.values())
    header = {row["name"]: row["reason"] for row in rows if row["level"] == "report"}
    assert header.keys() >= {"program", "rules", "key", "date", "passed"}


def test_the_table_ends_in_lines_to_sign(whole: Path) -> None:
    done = cli("verify", "in", "out", cwd=whole)
    assert done.returncode == 0
    assert [line.split(":")[0] for line in done.stdout.splitlines()[-4:]] == [
        "checked_by", "checked_on", "verdict", "remarks",
    ]  # fmt: skip


def test_without_a_key_nothing_is_verified(tmp_path: Path) -> None:
    write_config(tmp_path)
    done = cli("verify", SMALL[0].parent, SMALL[0].parent, cwd=tmp_path)
    assert done.returncode == 2
    assert "there is no key that outputs were made with" in done.stderr
    assert not (tmp_path / "var").exists()


def test_an_empty_set_is_trouble(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    done = cli("verify", tmp_path / "nothing", tmp_path / "nothing", cwd=whole)
    assert done.returncode == 2
