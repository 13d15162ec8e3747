"""`explain`: what it shows is what happens, and it shows no value unless asked."""

import hashlib
import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)
from support_deid import NAME, PATIENT_ID, basic_dataset
from support_node import SMALL, cli, files_below, invoke, write_config

from dicomanon_node.cli.files import Found
from dicomanon_node.config import load
from dicomanon_node.config.model import NodeConfig
from dicomanon_node.deid.pseudonyms import Key
from dicomanon_node.errors import Reason, Refused
from dicomanon_node.node import build
from dicomanon_node.review import explain
from dicomanon_node.review.cures import CURES
from dicomanon_node.review.passage import Passage, Refusal, Way, taken
from dicomanon_node.review.values import text_of

STUDIES = {
    "default": {"Profile": "basic"},
    "TRIAL": {
        "Profile": "basic",
        "Options": ["CleanDescriptors"],
        "RemovePrivateTags": False,
        "AnonymizeTag": {"AccessionNumber": {"action": "keep"}},
    },
}
KEY = hashlib.sha256(b"a key of the tests").digest()
EXPLICIT = "1.2.840.10008.1.2.1"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory with config/ and a key."""
    write_config(tmp_path, studies=STUDIES)
    (tmp_path / "var").mkdir()
    key = tmp_path / "var" / "secret.key"
    key.write_text(KEY.hex() + "\n", encoding="ascii")
    key.chmod(0o600)
    return tmp_path


def save(ds: Dataset, path: Path, syntax: str = EXPLICIT) -> Path:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    ds.save_as(
        path,
        enforce_file_format=True,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
    )
    return path


def identified(**attributes: object) -> Dataset:
    """An object whose every value that identifies is a word found nowhere else."""
    own: dict[str, object] = {
        "AccessionNumber": "ACC88412",
        "InstitutionName": "Thornbury Infirmary",
        "StudyDescription": "Thorax",
        "SeriesDescription": "Scout",
        "PatientBirthDate": "19410307",
    }
    ds: Dataset = basic_dataset(**own | attributes)
    block = ds.private_block(0x0009, "ZORBLAX CONSOLE 7", create=True)
    block.add_new(0x01, "LO", "Ottoline's workstation")
    known = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    known.add_new(0x0A, "US", 48)
    return ds


SECRETS = (
    "Quillfeather",
    "Ottoline",
    PATIENT_ID,
    "ACC88412",
    "Thornbury",
    "19410307",
    "Scout",
    "ZORBLAX",
)


def way_of(site: Path) -> Way:
    config = load(site / "config", {})
    plans = build.plans(config, Key(KEY))
    router = build.router(config, plans)
    return Way(router, build.receive_settings(config), config.node.listener.ae_title)


@pytest.fixture(autouse=True)
def _within_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    # What the command does to its process is not for ours.
    monkeypatch.setattr("dicomanon_node.cli.explain.keep_quiet", lambda: None)
    monkeypatch.setattr("dicomanon_node.cli.explain.process.forbid_core_dumps", lambda: None)


def run(site: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    done: subprocess.CompletedProcess[str] = invoke("explain", *arguments, cwd=site)
    return done


def as_json(site: Path, *arguments: str | Path) -> dict[str, Any]:
    done = run(site, *arguments, "--json")
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


def paths_of(ds: Dataset, prefix: str = "") -> Iterator[str]:
    """Every element of a data set that is no group length, as explain writes its path."""
    for element in ds:
        tag = element.tag
        name = f"({tag.group:04x},{tag.element:04x})"
        if tag.is_private and not tag.is_private_creator and element.private_creator:
            name = f'({tag.group:04x},"{element.private_creator}",{tag.element & 0xFF:02x})'
        yield prefix + name
        if element.VR == "SQ":
            for number, item in enumerate(element.value):
                yield from paths_of(item, f"{prefix}{name}[{number}].")


def test_without_being_asked_it_shows_no_value(site: Path) -> None:
    path = save(identified(), site / "in.dcm")
    for arguments in (["--all"], ["--json"], ["--study", "TRIAL", "--all"]):
        done = run(site, path, *arguments)
        assert done.returncode == 0
        assert [secret for secret in SECRETS if secret in done.stdout + done.stderr] == []


def test_a_private_creator_is_named_only_if_a_dictionary_knows_it(site: Path) -> None:
    path = save(identified(), site / "in.dcm")
    told = run(site, path, "--study", "TRIAL", "--all").stdout
    assert '(0019,"SIEMENS MR HEADER",0a)' in told
    assert '(0009,"?1",01)' in told
    shown = run(site, path, "--study", "TRIAL", "--all", "--show-values").stdout
    assert '(0009,"ZORBLAX CONSOLE 7",01)' in shown


def test_it_writes_nothing(site: Path) -> None:
    path = save(identified(), site / "in.dcm")
    before = files_below(site)
    assert run(site, path).returncode == 0
    assert files_below(site) == before


def said_of(element: DataElement) -> str:
    if element.VM > 1:
        return "\\".join(map(str, element.value))
    return str(element.value or "")


def test_values_are_those_that_deidentify_writes(site: Path) -> None:
    path = save(identified(), site / "in.dcm")
    said = as_json(site, path, "--show-values")
    assert cli("deidentify", path, "--output", "out", cwd=site).returncode == 0
    [output] = (site / "out").rglob("*.dcm")
    original, written = dcmread(path), dcmread(output)
    top = {entry["path"]: entry for entry in said["elements"] if "." not in entry["path"]}
    compared = 0
    for tag in {*original.keys(), *written.keys()}:
        entry = top[next(path for path in top if path == f"({tag.group:04x},{tag.element:04x})")]
        if tag in written and written[tag].VR != "SQ":
            assert entry["new"] == said_of(written[tag]), entry
            compared += 1
        if entry["outcome"] == "removed":
            assert tag not in written
        if tag in original and not tag.is_private:
            assert entry["original"] == said_of(original[tag])
    assert compared > 10


@pytest.mark.parametrize("path", SMALL, ids=lambda path: str(path.stem))
def test_every_element_of_a_real_file_is_spoken_of(site: Path, path: Path) -> None:
    passage = taken(Found(path).open(), way_of(site))
    assert passage.refusal is None
    entries = explain.entries(passage, shows_values=True)
    removed = tuple(
        f"{entry.path}["
        for entry in entries
        if entry.vr == "SQ" and entry.outcome != "items looked into"
    )
    spoken = Counter(entry.path for entry in entries)
    ds = dcmread(path)
    expected = [
        path
        for path in paths_of(ds)
        if not path.startswith(removed or "-")
        and not re.fullmatch(r"\((7fe0,0010|fffc,fffc)\)", path)
    ]
    creatorless = {re.sub(r'"[^"]*",', "", path) for path in spoken}
    missing = [
        path
        for path in expected
        if path not in spoken
        and re.sub(r'"[^"]*",(..)\)', r"\1)", path) not in creatorless
        and not _is_private_gone(path, spoken)
    ]
    assert missing == []
    assert sum(explain.counted(passage).values()) == len(entries)


def _is_private_gone(path: str, spoken: Counter[str]) -> bool:
    # Removed with its whole block, by number: (gggg,bbee) of the creator's block.
    found = re.search(r'\(([0-9a-f]{4}),"[^"]*",([0-9a-f]{2})\)', path)
    creator = re.search(r"\(([0-9a-f]{3}[13579bdf]),00[0-9a-f]{2}\)", path)
    if found is None:
        return creator is not None
    return any(re.search(rf"\({found[1]},[0-9a-f]{{2}}{found[2]}\)", seen) for seen in spoken)


def test_a_text_is_shown_in_its_character_set_and_escaped(site: Path) -> None:
    ds = identified(
        SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName="Yamada^Tarou=山田^太郎"
    )
    ds.PatientComments = "before\x1b[31mafter"
    told = run(site, save(ds, site / "in.dcm"), "--show-values").stdout
    assert "山田^太郎" in told
    assert "\x1b" not in told


def test_a_long_value_is_cut_in_the_table_and_whole_in_json(site: Path) -> None:
    path = save(identified(PatientComments="word " * 200), site / "in.dcm")
    lines = run(site, path, "--show-values").stdout.splitlines()
    [line] = [line for line in lines if "word word" in line]
    assert len(line) < 100
    [entry] = [
        e
        for e in as_json(site, path, "--show-values")["elements"]
        if e["keyword"] == "PatientComments"
    ]
    assert entry["original"] == ("word " * 200).rstrip()


@pytest.mark.parametrize(
    ("vr", "raw", "text"),
    [
        ("US", b"\x01\x00\x02\x01", "1\\258"),
        ("SS", b"\xff\xff", "-1"),
        ("FD", b"\x00\x00\x00\x00\x00\x00\xf8\x3f", "1.5"),
        ("AT", b"\x18\x00\x63\x10", "(0018,1063)"),
        ("US", b"\x01", None),
        ("OB", b"\x01\x02", None),
        ("UN", b"text", None),
        ("US", b"\x01\x00" * 300, None),
    ],
)
def test_numbers_are_shown_as_numbers_and_blobs_not_at_all(
    vr: str, raw: bytes, text: str | None
) -> None:
    assert text_of(raw, vr, b"") == text


def test_many_alike_are_one_line_unless_all_are_asked_for(site: Path) -> None:
    items = []
    for number in range(40):
        item = Dataset()
        item.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        item.ReferencedSOPInstanceUID = f"2.25.{number + 1}"
        items.append(item)
    path = save(identified(ReferencedImageSequence=Sequence(items)), site / "in.dcm")
    short = run(site, path).stdout
    assert "(0008,1140)[*].(0008,1155) x40" in short
    assert short.count("ReferencedSOPInstanceUID") == 1
    assert run(site, path, "--all").stdout.count("ReferencedSOPInstanceUID") == 40


def test_what_stays_is_counted_and_not_listed(site: Path) -> None:
    path = save(identified(), site / "in.dcm")
    told = run(site, path).stdout
    assert not re.search(r"\bModality\b", told)
    counts = as_json(site, path)["counts"]
    for outcome in ("kept", "removed", "emptied", "replaced", "added"):
        assert f"{counts[outcome]} {outcome}" in told
    assert re.search(r"Modality +kept", run(site, path, "--all").stdout)


def test_what_a_studys_own_rule_keeps_is_listed(site: Path) -> None:
    path = save(identified(), site / "in.dcm")
    told = run(site, path, "--study", "TRIAL").stdout
    assert re.search(r"AccessionNumber +kept +tag rule: keep", told)
    assert "TRIAL, as --study says" in told


def test_the_rule_that_routed_is_named(site: Path) -> None:
    told = run(site, save(identified(), site / "in.dcm")).stdout
    assert re.search(
        r"study +default, by StudyDescription \(0008,1030\), station rule default", told
    )
    other = identified(StationName="EXAMPLE-MR1", ProtocolName="TRIAL")
    told = run(site, save(other, site / "other.dcm")).stdout
    assert re.search(r"study +TRIAL, by ProtocolName \(0018,1030\), station rule EXAMPLE-MR1", told)


def test_a_refused_object_is_explained_with_reason_status_and_cure(site: Path) -> None:
    path = save(identified(BurnedInAnnotation="YES"), site / "in.dcm")
    done = run(site, path)
    assert done.returncode == 1
    assert "REFUSED: 0110H Burned in annotation is refused" in done.stdout
    assert "(0028,0301)" in done.stdout
    assert CURES[Reason.BURNED_IN] in done.stdout
    refused = as_json(site, path)["refused"]
    assert refused["reason"] == "burned-in"
    assert (refused["status"], refused["tag"]) == ("0110H", "(0028,0301)")


def truncated(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-3])
    return path


@pytest.mark.parametrize(
    "syntax",
    [EXPLICIT, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian],
)
def test_it_accepts_and_refuses_what_deidentify_does(site: Path, syntax: str) -> None:
    (site / "in").mkdir()
    save(identified(), site / "in" / "good.dcm", syntax)
    save(identified(SeriesDescription="PhoenixZIPReport"), site / "in" / "phoenix.dcm", syntax)
    save(identified(StudyInstanceUID=None), site / "in" / "no-study.dcm", syntax)
    save(identified(SOPClassUID="2.25.77"), site / "in" / "class.dcm", syntax)
    truncated(save(identified(), site / "in" / "short.dcm", syntax))
    done = cli("deidentify", "in", "--output", "out", cwd=site)
    refused = dict(re.findall(r"refused +in/(\S+): .*\((....)H\)", done.stderr))
    assert len(refused) == 4
    for path in sorted((site / "in").iterdir()):
        passage = taken(Found(path).open(), way_of(site))
        status = passage.refusal and f"{passage.refusal.status:04X}"
        assert status == refused.get(path.name), path.name


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nothing.dcm"], 2, "does not exist"),
        (["config"], 2, "is a directory"),
        (["config/node.toml"], 1, "not a DICOM file"),
        (["in.dcm", "--study", "TRAIL"], 2, 'did you mean "TRIAL"'),
        (["in.dcm", "--config", "elsewhere"], 2, "there is no such directory"),
    ],
)
def test_what_cannot_be_used_is_said_clearly(
    site: Path, arguments: list[str], code: int, said: str
) -> None:
    save(identified(), site / "in.dcm")
    done = run(site, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_key_it_makes_none(site: Path) -> None:
    path = save(identified(), site / "in.dcm")
    (site / "var" / "secret.key").unlink()
    done = cli("explain", path, cwd=site)
    assert done.returncode == 2
    assert "there is no key yet" in done.stderr
    assert not (site / "var" / "secret.key").exists()


def test_the_json_form_has_the_keys_that_are_documented(site: Path) -> None:
    path = save(identified(), site / "in.dcm")
    said = as_json(site, path, "--show-values")
    assert list(said) == list(explain.FIELDS)
    assert {tuple(entry) for entry in said["elements"]} == {tuple(explain.ELEMENT_FIELDS)}
    hidden = as_json(site, path)
    keys = {key for key in explain.ELEMENT_FIELDS if not key.startswith(("original", "new"))}
    assert {frozenset(entry) for entry in hidden["elements"]} == {frozenset(keys)}
    assert sum(said["counts"].values()) == len(said["elements"])


def test_every_reason_has_a_cure_whose_settings_exist() -> None:
    assert set(CURES) == set(Reason)
    for cure in CURES.values():
        for section, key in re.findall(r"\b(limits|routing|listener)\.([a-z_]+)", cure):
            assert key in type(getattr(NodeConfig(), section)).model_fields, cure


def test_a_fault_of_the_engine_is_a_refusal_without_its_text(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise ValueError(NAME)

    monkeypatch.setattr("dicomanon_node.dataset_stream.Deidentifier", fail)
    passage = taken(Found(save(identified(), site / "in.dcm")).open(), way_of(site))
    assert passage.refusal == Refusal.of(Refused(Reason.INTERNAL))
    assert explain.cure(passage.refusal) == CURES[Reason.INTERNAL]


def test_a_passage_that_was_refused_early_has_a_json_form() -> None:
    passage = Passage(refusal=Refusal.of(Refused(Reason.SOP_CLASS)))
    said = explain.as_json(
        passage,
        file="f",
        sop_class_uid="1.2",
        transfer_syntax_uid="1.3",
        digest="",
        shows_values=False,
    )
    assert (said["study"], said["elements"]) == (None, [])
    assert said["refused"]["status"] == "0122H"
