"""The crosswalk of a running node: what is kept, who is told, and what is said of it."""

import json
from pathlib import Path

import pytest
from pydicom.uid import UID
from support_ledger import reading, rows
from support_node import SMALL, Node, cli, read, running_node

from dicomanon_node.config.secrets import read_key
from dicomanon_node.ledger.crosswalk import CrosswalkKey

SETTINGS = {"ledger.crosswalk": "true"}
IDENTIFYING = (
    "PatientID PatientName PatientBirthDate StudyInstanceUID SeriesInstanceUID SOPInstanceUID"
    " AccessionNumber"
).split()


def ledger(node: Node) -> Path:
    return node.directory / "var" / "ledger.sqlite"


def series(directory: Path, count: int) -> list[Path]:
    """Many instances of one series, of a patient whom nobody else is."""
    directory.mkdir()
    dataset = read(SMALL[0])
    dataset.PatientID, dataset.PatientName = "MRN-ZX81-4711", "Zaphodson^Quentin"
    dataset.IssuerOfPatientID, dataset.PatientBirthDate = "Hospital Nowhere", "19610307"
    dataset.AccessionNumber = "ACC-QX-99817"
    made = []
    for number in range(count):
        uid = UID(f"2.25.88881{number:06}")
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
        dataset.InstanceNumber = number
        made.append(directory / f"{number}.dcm")
        dataset.save_as(made[-1])
    return made


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Node:
    """A node with a crosswalk that has received many, and has ended."""
    directory = tmp_path_factory.mktemp("crosswalk")
    with running_node(directory / "node", settings=SETTINGS) as node:
        node.store_all(*series(directory / "files", 60))
    with running_node(directory / "node", settings=SETTINGS, is_new=False) as node:
        node.store_all(*SMALL)
    return node


def ask(node: Node, *arguments: str) -> tuple[int, str, str]:
    done = cli(*arguments, cwd=node.directory)
    return done.returncode, done.stdout, done.stderr


def pseudonym(node: Node) -> str:
    [found] = rows(ledger(node), "SELECT DISTINCT patient FROM links ORDER BY id LIMIT 1")
    return str(found[0])


def test_a_study_has_one_entry_however_many_instances_and_receivers(stopped: Node) -> None:
    found = reading(ledger(stopped)).links(pseudonym(stopped))
    assert len(found) == 1


def test_who_it_is_is_told_and_the_audit_has_it(stopped: Node) -> None:
    before = reading(ledger(stopped)).notes(kinds=["reidentified"])
    name = pseudonym(stopped)
    code, out, err = ask(
        stopped, "reidentify", name, "--reason", "incidental finding, request 7", "--json"
    )
    assert code == 0, err
    told = json.loads(out)
    assert told["patient_id"] == "MRN-ZX81-4711"
    assert told["patient_name"] == "Zaphodson^Quentin"
    assert told["issuer"] == "Hospital Nowhere"
    assert told["birth_date"] == "19610307"
    assert told["accession_number"] == "ACC-QX-99817"
    assert told["study_uid"] == str(read(SMALL[0]).StudyInstanceUID)
    notes = reading(ledger(stopped)).notes(kinds=["reidentified"])
    assert len(notes) == len(before) + 1
    assert notes[-1].facts["subject"] == name
    assert notes[-1].facts["reason"] == "incidental finding, request 7"
    assert notes[-1].facts["entries"] == 1
    assert "user" in notes[-1].facts


def test_any_uid_of_the_study_does_as_well(stopped: Node) -> None:
    query = (
        "SELECT r.sop_instance_uid, r.series_uid, r.study_uid FROM receipts r JOIN links USING"
        " (study_uid) ORDER BY links.id LIMIT 1"
    )
    [uids] = rows(ledger(stopped), query)
    for uid in uids:
        code, out, _ = ask(stopped, "reidentify", uid, "--reason", "x")
        assert code == 0
        assert "Zaphodson^Quentin" in out


def test_without_a_reason_or_a_key_nobody_is_told(stopped: Node, tmp_path: Path) -> None:
    name = pseudonym(stopped)
    assert ask(stopped, "reidentify", name)[0] == 2
    assert ask(stopped, "reidentify", name, "--reason", " ")[0] == 2
    other = tmp_path / "other.key"
    other.write_text("0123456789abcdef0f1e2d3c4b5a69788796a5b4c3d2e1f0fedcba9876543210\n")
    other.chmod(0o600)
    before = len(reading(ledger(stopped)).notes(kinds=["reidentified"]))
    code, out, err = ask(
        stopped,
        "reidentify",
        name,
        "--reason",
        "curious",
        "--set",
        f"ledger.crosswalk_key_file={other}",
    )
    assert code == 1
    assert "Zaphodson" not in out + err
    assert "no key opens" in err
    assert len(reading(ledger(stopped)).notes(kinds=["reidentified"])) == before + 1


def test_asking_for_nobody_is_noted_too(stopped: Node) -> None:
    before = len(reading(ledger(stopped)).notes(kinds=["reidentified"]))
    assert ask(stopped, "reidentify", "NOBODY", "--reason", "x")[0] == 1
    assert len(reading(ledger(stopped)).notes(kinds=["reidentified"])) == before + 1


def test_a_patients_own_number_typed_by_mistake_stays_nowhere(stopped: Node) -> None:
    assert ask(stopped, "reidentify", "MRN-ZX81-4711", "--reason", "x")[0] == 1
    assert reading(ledger(stopped)).notes(kinds=["reidentified"])[-1].facts["subject"] == "unlisted"
    for path in ledger(stopped).parent.glob("ledger.sqlite*"):
        assert b"MRN-ZX81-4711" not in path.read_bytes()


def test_nothing_that_the_node_wrote_names_anybody(stopped: Node) -> None:
    written = b"".join(path.read_bytes() for path in stopped.directory.rglob("*") if path.is_file())
    for keyword in IDENTIFYING:
        for path in [*SMALL, *sorted((stopped.directory.parent / "files").iterdir())[:3]]:
            value = str(read(path).get(keyword, "")).encode()
            # What is short or all digits is found by chance in pixels.
            if len(value) >= 9 and not value.isdigit():
                assert value not in written, keyword


def test_without_a_crosswalk_there_is_no_key_and_no_entry(tmp_path: Path) -> None:
    with running_node(tmp_path / "node") as node:
        node.store(*SMALL[:2])
    assert not (node.directory / "var" / "crosswalk.key").exists()
    assert rows(ledger(node), "SELECT count(*) FROM links") == [(0,)]


def test_a_new_key_takes_over(tmp_path: Path) -> None:
    with running_node(tmp_path / "node", settings=SETTINGS) as node:
        node.store(*SMALL)
    old = ("--set", "ledger.crosswalk_old_key_files=['var/crosswalk.key']")
    new = ("--set", "ledger.crosswalk_key_file=var/new.key")
    settings = {
        "ledger.crosswalk": "true",
        "ledger.crosswalk_key_file": "var/new.key",
        "ledger.crosswalk_old_key_files": '["var/crosswalk.key"]',
    }
    with running_node(tmp_path / "node", settings=settings, is_new=False) as node:
        node.store(*series(tmp_path / "files", 2))
        code, out, err = ask(node, "rekey", *old, *new)
        assert code == 0, err
        assert "No entry needs an old key any more." in out
    key = CrosswalkKey(read_key(node.directory / "var" / "new.key"))
    assert set(reading(ledger(node)).link_counts()) == {key.key_id}
    [note] = reading(ledger(node)).notes(kinds=["rekeyed"])
    assert note.facts["keys"] == key.key_id
    name = pseudonym(node)
    assert ask(node, "reidentify", name, "--reason", "x", *new)[0] == 0
