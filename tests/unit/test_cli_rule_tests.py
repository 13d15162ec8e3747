"""`test-rules`: a site's expectations, held against what really happens."""

import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from support_config import SHIPPED
from support_node import cli, files_below, invoke, write_config

from dicomanon_node.config.expectations import read_expectations
from dicomanon_node.errors import ConfigError

EXAMPLE = SHIPPED / "tests" / "example.dcm"
STUDIES = {
    "default": {"SavePrivateTags": ['(0009,"PHANTOM 1.0",01)'], "BurnedIn": "refuse"},
}


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    # They change the process for good; the shipped example is tested with them.
    monkeypatch.setattr("dicomanon_node.cli.rule_tests.keep_quiet", lambda: None)
    monkeypatch.setattr("dicomanon_node.cli.rule_tests.process.forbid_core_dumps", lambda: None)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    write_config(tmp_path, studies=STUDIES)
    (tmp_path / "config" / "tests").mkdir()
    shutil.copy(EXAMPLE, tmp_path / "config" / "tests")
    return tmp_path


def outcome(site: Path, *arguments: str, **test: object) -> tuple[int, str]:
    content = {"test": [{"name": "one", "file": "example.dcm"} | test]}
    path = site / "config" / "tests" / "one.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    done = invoke("test-rules", *arguments, cwd=site)
    return done.returncode, done.stdout + done.stderr


def test_the_shipped_example_passes(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path / "config")
    before = files_below(tmp_path)
    done = cli("test-rules", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("1 test, 0 failed\n")
    assert files_below(tmp_path) == before


PRIVATE = '(0009,"PHANTOM 1.0",01)'
TRUE = {
    "PatientName": "changed",
    "PatientBirthDate": "emptied",
    "PatientAge": "removed",
    "OtherPatientIDs": "absent",
    "(0008,0060)": "kept",
    PRIVATE: "kept",
    "SeriesNumber": {"is": "1"},
    "00200010": {"matches": ".*"},
}


def test_what_is_so_passes(site: Path) -> None:
    assert outcome(site, elements=TRUE, study="default")[0] == 0


@pytest.mark.parametrize(
    ("element", "expected", "told"),
    [
        ("PatientName", "kept", "PatientName: expected kept, is changed"),
        ("PatientName", "removed", "PatientName: expected removed, is changed"),
        ("PatientBirthDate", "kept", "PatientBirthDate: expected kept, is emptied"),
        ("PatientAge", "kept", "PatientAge: expected kept, is removed"),
        ("PatientAge", {"is": "056Y"}, "PatientAge: expected a value, is removed"),
        ("OtherPatientIDs", "removed", "OtherPatientIDs: expected removed, is absent"),
        ("Modality", "absent", "Modality: expected absent, is kept"),
        ("Modality", {"is": "CT"}, 'Modality: expected "CT", has another value'),
        ("Modality", {"matches": "O"}, "Modality: expected a match of O, has another value"),
        ("PatientIdentityRemoved", "kept", "PatientIdentityRemoved: expected kept, is added"),
        (PRIVATE, "removed", "expected removed, is kept"),
    ],
)
def test_what_is_not_so_fails_and_shows_no_value(
    site: Path, element: str, expected: object, told: str
) -> None:
    exit_code, output = outcome(site, elements={element: expected})
    assert exit_code == 1
    assert told in output
    assert "ANON" not in output


@pytest.mark.parametrize(
    ("test", "told"),
    [
        ({"outcome": "refused"}, "outcome: expected refused, is stored"),
        ({"destinations": []}, ""),
        ({"file": "nobody.dcm"}, "cannot be read: No such file"),
        ({"file": "one.json"}, "not a DICOM file"),
    ],
)
def test_the_way_of_the_object_is_tested_too(
    site: Path, test: dict[str, object], told: str
) -> None:
    exit_code, output = outcome(site, **test)
    assert exit_code == bool(told)
    assert told in output


def test_a_refusal_may_be_what_is_expected(site: Path) -> None:
    studies = {"default": {"AnonymizeTag": {"PatientName": {"action": "keep"}}}, "other": {}}
    node = '[routing]\non_missing = "refuse"\n[[ae_titles]]\nae_title = "X"\nstudy = "other"\n'
    stations = {"default": {"TagForStudy": "AdmissionID"}}
    write_config(site, node, stations, studies)
    assert outcome(site, outcome="refused", reason="no-study")[0] == 0
    assert (
        "expected burned-in, is no-study" in outcome(site, outcome="refused", reason="burned-in")[1]
    )
    assert "expected stored, is refused (no-study" in outcome(site)[1]
    assert outcome(site, called="X", study="other")[0] == 0
    assert "study: expected default, is other" in outcome(site, called="X", study="default")[1]


def test_results_do_not_depend_on_the_nodes_key(site: Path) -> None:
    first = {"PatientID": {"matches": "[0-9A-Z]{16}"}}
    assert outcome(site, elements=first)[0] == 0
    (site / "var").mkdir()
    (site / "var" / "secret.key").write_text("broken", encoding="ascii")
    assert outcome(site, elements=first)[0] == 0


def test_junit_and_tap_say_the_same(site: Path) -> None:
    exit_code, output = outcome(
        site, "--tap", "--junit", "out.xml", name="a # b", elements={"PatientName": "kept"}
    )
    assert exit_code == 1
    assert output.splitlines() == [
        "TAP version 14",
        "1..1",
        r"not ok 1 - a \# b",
        "# PatientName: expected kept, is changed",
    ]
    [suite] = ET.parse(site / "out.xml").iter("testsuite")  # noqa: S314  (we wrote it)
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    [failure] = suite.iter("failure")
    assert failure.text == "PatientName: expected kept, is changed"


@pytest.mark.parametrize(
    ("test", "told"),
    [
        ("fil = 'x'", 'unknown key; did you mean "file"?'),
        ("file = 'x'\nelements = {PatientNam = 'kept'}", 'did you mean "PatientName"?'),
        ("file = 'x'\nelements = {PatientName = 'kep'}", 'did you mean "kept"?'),
        ("file = 'x'\nelements = {PatientName = {matches = '('}}", "no regular expression"),
        ("file = 'x'\nelements = {PatientName = {}}", "needs either is or matches"),
        ("file = 'x'\nelements = {PatientName = 1}", "elements.PatientName"),
        ("file = 'x'\noutcome = 'refusd'", 'did you mean "refused"?'),
        ("file = 'x'\noutcome = 'refused'\nreason = 'burnd-in'", 'did you mean "burned-in"?'),
        ("file = 'x'\nreason = 'burned-in'", 'goes with outcome = "refused"'),
    ],
)
def test_a_misspelt_test_is_told_with_the_nearest_spelling(
    tmp_path: Path, test: str, told: str
) -> None:
    path = tmp_path / "x.toml"
    path.write_text(f"[[test]]\n{test}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_expectations(path)
    assert told in str(caught.value)


def test_names_that_the_configuration_does_not_have_are_told(site: Path) -> None:
    assert "there is no such study" in outcome(site, study="defalt")[1]
    exit_code, output = outcome(site, destinations=["pacs"])
    assert (exit_code, "there is no such destination" in output) == (2, True)


def test_no_tests_are_no_success(site: Path) -> None:
    done = invoke("test-rules", cwd=site)
    assert done.returncode == 2
    assert "there are no tests here" in done.stderr
