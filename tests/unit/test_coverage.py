"""`coverage`: each study against Table E.1-1, row by row."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support_deid import plan_of
from support_node import invoke, write_config
from support_table import DATA

from dicomanon_node.deid.rules import (
    ActionKind,
    Option,
    PrivateTag,
    RuleAction,
    StudyRules,
)
from dicomanon_node.review import coverage
from dicomanon_node.review.coverage import RowCoverage, State

ROWS = json.loads((DATA / "ps3.15-table-e1-1.json").read_text(encoding="utf-8"))["rows"]
BASIC = StudyRules("study")
KEEP, DELETE = RuleAction(ActionKind.KEEP), RuleAction(ActionKind.DELETE)
HASH, REGEN = RuleAction(ActionKind.HASH), RuleAction(ActionKind.REGEN)
ACCESSION_NUMBER, STUDY_DATE, PATIENT_SEX = 0x00080050, 0x00080020, 0x00100040
STUDY_UID, REQUEST_SEQUENCE, OVERLAY_IN_ANOTHER_GROUP = 0x0020000D, 0x00400275, 0x60023000


def row_of(rules: StudyRules, tag: str) -> RowCoverage:
    [row] = [row for row in coverage.of(rules).rows if row.tag.upper() == tag.upper()]
    return row


def overridden(tag: int, action: RuleAction, **others: Any) -> StudyRules:  # noqa: ANN401  (fields of StudyRules)
    return replace(BASIC, tags={tag: action}, **others)


def test_every_row_of_the_standards_table_is_there_once() -> None:
    rows = coverage.of(BASIC).rows
    assert sorted(row.name for row in rows) == sorted(row["name"] for row in ROWS)
    tags = {row.tag.upper() for row in rows if row.vr != "any"}
    assert tags == {row["tag"].upper() for row in ROWS if "odd" not in row["tag"]}


def test_the_codes_are_those_of_the_standards_table() -> None:
    codes = {row.name: row.code for row in coverage.of(BASIC).rows}
    assert codes == {row["name"]: row["basic_profile"] for row in ROWS}


def test_the_profile_covers_every_row() -> None:
    found = coverage.of(BASIC)
    assert found.counts == {
        "covered": len(ROWS), "by_option": 0, "overridden": 0, "weaker": 0, "uncovered": 0
    }  # fmt: skip
    assert found.is_whole


@pytest.mark.parametrize(
    "option",
    [
        ("RetainUIDs", "retain_uids"),
        ("RetainDeviceIdentity", "retain_device_identity"),
        ("CleanDescriptors", "clean_descriptors"),
    ],
)
def test_rows_of_an_option_are_said_to_be_covered_by_it(option: tuple[str, str]) -> None:
    name, column = option
    found = coverage.of(replace(BASIC, options=frozenset({Option(name)})))
    by_option = {row.name for row in found.rows if row.option is Option(name)}
    assert by_option == {row["name"] for row in ROWS if row["options"][column]}
    assert found.is_whole


@pytest.mark.parametrize(
    ("rules", "tag", "is_weaker"),
    [
        (overridden(ACCESSION_NUMBER, KEEP), "(0008,0050)", True),
        (overridden(ACCESSION_NUMBER, DELETE), "(0008,0050)", False),
        (overridden(ACCESSION_NUMBER, HASH), "(0008,0050)", False),
        (overridden(STUDY_UID, KEEP), "(0020,000D)", True),
        (overridden(STUDY_UID, REGEN), "(0020,000D)", False),
        (overridden(STUDY_DATE, REGEN), "(0008,0020)", True),
        (
            overridden(
                STUDY_DATE,
                REGEN,
                options=frozenset({Option.RETAIN_LONGITUDINAL_MODIFIED_DATES}),
            ),
            "(0008,0020)",
            False,
        ),
        (
            overridden(
                PATIENT_SEX, KEEP, options=frozenset({Option.RETAIN_PATIENT_CHARACTERISTICS})
            ),
            "(0010,0040)",
            False,
        ),
        (overridden(REQUEST_SEQUENCE, KEEP), "(0040,0275)", True),
        (overridden(OVERLAY_IN_ANOTHER_GROUP, KEEP), "(60xx,3000)", True),
        (replace(BASIC, vrs={"SH": KEEP}), "(0008,0050)", True),
        (replace(BASIC, vrs={"SH": DELETE}), "(0008,0050)", False),
        (replace(BASIC, vrs={"SH": KEEP}, tags={ACCESSION_NUMBER: DELETE}), "(0008,0050)", False),
    ],
)
def test_a_rule_is_weaker_where_more_of_the_original_stays(
    rules: StudyRules, tag: str, is_weaker: bool
) -> None:
    row = row_of(rules, tag)
    assert (row.state, row.is_weaker) == (State.OVERRIDDEN, is_weaker)
    assert coverage.of(rules).is_whole is not is_weaker or len(rules.vrs) > 0


def test_an_override_names_the_action() -> None:
    assert row_of(overridden(ACCESSION_NUMBER, KEEP), "(0008,0050)").action == "tag rule: keep"
    assert row_of(replace(BASIC, vrs={"SH": HASH}), "(0008,0050)").action == "VR rule: hash"


SOME = PrivateTag(0x0019, "SIEMENS MR HEADER", 0x0A)


@pytest.mark.parametrize(
    ("rules", "state", "is_weaker"),
    [
        (BASIC, State.COVERED, False),
        (replace(BASIC, removes_private=False), State.OVERRIDDEN, True),
        (replace(BASIC, saved_private=frozenset({SOME})), State.OVERRIDDEN, True),
        (replace(BASIC, private_tags={SOME: KEEP}), State.OVERRIDDEN, True),
        (replace(BASIC, private_tags={SOME: DELETE}), State.OVERRIDDEN, False),
        (replace(BASIC, tags={0x00191008: KEEP}), State.OVERRIDDEN, True),
        (replace(BASIC, profile=None), State.COVERED, False),
        (replace(BASIC, profile=None, removes_private=False), State.UNCOVERED, False),
    ],
)
def test_private_attributes_are_a_row_too(rules: StudyRules, state: State, is_weaker: bool) -> None:
    [row] = [row for row in coverage.of(rules).rows if row.name == "Private Attributes"]
    assert (row.state, row.is_weaker) == (state, is_weaker)


def test_without_a_profile_what_no_rule_names_is_uncovered() -> None:
    rules = replace(BASIC, profile=None, tags={ACCESSION_NUMBER: KEEP}, vrs={"PN": DELETE})
    found = coverage.of(rules)
    uncovered = {row.name for row in found.of_state(State.UNCOVERED)}
    expected = {row["name"] for row in ROWS if row["vr"] not in ("PN", "any")}
    assert uncovered == expected - {"Accession Number"}
    assert uncovered == {row.name for row in plan_of(**_fields(rules)).uncovered()}
    assert row_of(rules, "(0008,0050)").is_weaker


def _fields(rules: StudyRules) -> dict[str, Any]:
    return {"profile": None, "tags": rules.tags, "vrs": rules.vrs}


STUDIES = {
    "default": {"Profile": "basic"},
    "WEAK": {"Profile": "basic", "AnonymizeTag": {"AccessionNumber": {"action": "keep"}}},
    "OLD": {"Profile": None, "AnonymizeTag": {"PatientName": {"action": "hash"}}},
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    write_config(tmp_path, studies=STUDIES)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 0),
        (["--strict"], 1),
        (["default", "--strict"], 0),
        (["WEAK", "--strict"], 1),
        (["OLD", "--strict", "--json"], 1),
        (["WAEK"], 2),
    ],
)
def test_the_exit_code_says_whether_a_study_is_whole(
    site: Path, arguments: list[str], code: int
) -> None:
    assert invoke("coverage", *arguments, cwd=site).returncode == code


def test_an_unknown_study_is_told_with_the_nearest(site: Path) -> None:
    done = invoke("coverage", "WAEK", cwd=site)
    assert 'did you mean "WEAK"' in done.stderr
    assert done.stdout == ""


def test_what_is_weaker_is_told_unasked(site: Path) -> None:
    told = invoke("coverage", "WEAK", cwd=site).stdout
    assert "656 covered, 1 overridden, 0 uncovered" in told
    [line] = [line for line in told.splitlines() if "(0008,0050)" in line]
    assert "tag rule: keep" in line
    assert "WEAKER" in line


@pytest.mark.parametrize(
    ("wanted", "count"),
    [("all", 657), ("covered", 1), ("overridden", 1), ("weaker", 0), ("uncovered", 655)],
)
def test_rows_are_listed_on_demand(site: Path, wanted: str, count: int) -> None:
    told = invoke("coverage", "OLD", "--list", wanted, cwd=site).stdout
    assert sum(line.startswith("    (") for line in told.splitlines()) == count


def test_the_json_form_has_the_keys_that_are_documented(site: Path) -> None:
    said = json.loads(invoke("coverage", "--json", cwd=site).stdout)
    assert list(said) == list(coverage.FIELDS)
    assert [study["study"] for study in said["studies"]] == list(STUDIES)
    for study in said["studies"]:
        assert list(study) == list(coverage.STUDY_FIELDS)
        assert len(study["rows"]) == len(ROWS)
        assert {tuple(row) for row in study["rows"]} == {tuple(coverage.ROW_FIELDS)}
        counted = {
            state: study["counts"][state] for state in ("covered", "overridden", "uncovered")
        }
        assert sum(counted.values()) == len(ROWS)


def test_no_key_is_needed_and_none_is_made(site: Path) -> None:
    assert invoke("coverage", cwd=site).returncode == 0
    assert [path.name for path in site.iterdir()] == ["config"]
