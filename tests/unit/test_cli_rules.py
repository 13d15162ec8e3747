"""`rules new`: one more study; every other byte stays, or nothing happens at all."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support_config import SHIPPED
from support_node import files_below, invoke, write_config

from dicomanon_node.config import load
from dicomanon_node.config.addition import with_member

OLD = (
    '{\n\t"default": { "Profile" : "basic" },\r\n'
    '\n\t"X":   {"AnonymizeTag": {}, "Options":[ ]}\n\n}\n\n'
)
MEMBERS = st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.booleans()))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    write_config(tmp_path, '[[destinations]]\nname = "d"\nkind = "folder"\npath = "d"\n')
    (tmp_path / "config" / "studies.json").write_bytes(OLD.encode())
    (tmp_path / "config" / "stations.json").write_bytes((SHIPPED / "stations.json").read_bytes())
    return tmp_path


def studies(site: Path) -> str:
    return (site / "config" / "studies.json").read_bytes().decode()


def test_what_was_there_stays_byte_for_byte(site: Path) -> None:
    done = invoke("rules", "new", "NEW", "--options", "CleanDescriptors,113108", cwd=site)
    assert (done.returncode, done.stderr) == (0, "")
    assert studies(site).startswith(OLD.rstrip().removesuffix("}").rstrip() + ",")
    assert studies(site).endswith("}\n\n")
    found = load(site / "config", {}).rules.studies
    assert list(found) == ["default", "X", "NEW"]
    assert found["NEW"].options == {"CleanDescriptors", "RetainPatientCharacteristics"}
    assert found["NEW"].destinations is None


def test_destinations_and_station_are_written_too(site: Path) -> None:
    arguments = ("--destinations", "d", "--station", "MR7", "--tag-for-study", "ProtocolName")
    done = invoke("rules", "new", "NEW", *arguments, cwd=site)
    assert done.returncode == 0, done.stderr
    rules = load(site / "config", {}).rules
    assert rules.studies["NEW"].destinations == ("d",)
    assert rules.stations["MR7"].tag_for_study == 0x00181030


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("X",), "is there already"),
        (("NEW", "--options", "CleanDescriptor"), 'did you mean "CleanDescriptors"?'),
        (("NEW", "--destinations", "e"), "is no destination of node.toml"),
        (("x",), "in case, and says something else"),
        (("NEW", "--station", "MR7", "--tag-for-study", "ProtocolNme"), 'mean "ProtocolName"?'),
        (("NEW", "--station", "MR7"), "go together"),
        (("NEW ",), "spaces at its ends"),
        (("NEW", "--from", "none", "--options", "113108"), "no meaning without a profile"),
    ],
)
def test_what_could_not_be_used_is_not_written(
    site: Path, arguments: tuple[str, ...], told: str
) -> None:
    if arguments == ("x",):
        arguments = ("x", "--options", "CleanDescriptors")
    before = files_below(site)
    done = invoke("rules", "new", *arguments, cwd=site)
    assert done.returncode == 2
    assert told in done.stderr
    assert files_below(site) == before


def test_a_dry_run_shows_the_change_and_writes_nothing(site: Path) -> None:
    before = files_below(site)
    done = invoke("rules", "new", "NEW", "--dry-run", cwd=site)
    assert done.returncode == 0
    assert '+\t"NEW": {' in done.stdout.replace("\\t", "\t")
    assert files_below(site) == before


def test_a_study_without_a_profile_is_warned_of(site: Path) -> None:
    done = invoke("rules", "new", "NEW", "--from", "none", cwd=site)
    assert "NO PROFILE" in done.stdout
    assert "identifying ones too" in done.stdout
    assert len(done.stdout.splitlines()) < 30


def test_mode_and_links_stay(site: Path) -> None:
    path = site / "config" / "studies.json"
    real = path.rename(site / "elsewhere.json")
    path.symlink_to(real)
    real.chmod(0o640)
    assert invoke("rules", "new", "NEW", cwd=site).returncode == 0
    assert path.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert "NEW" in json.loads(real.read_text(encoding="utf-8"))


@given(content=MEMBERS, name=st.text(), value=MEMBERS, indent=st.sampled_from([None, 1, 4, "\t"]))
def test_adding_a_member_adds_it_and_changes_nothing_else(
    content: dict[str, object], name: str, value: dict[str, object], indent: int | str | None
) -> None:
    content.pop(name, None)
    text = json.dumps(content, indent=indent)
    made = with_member(text, name, value)
    assert list(json.loads(made).items()) == [*content.items(), (name, value)]
    assert made.startswith(text[:-1].rstrip())


def test_line_ends_and_byte_order_mark_stay() -> None:
    made = with_member('\ufeff{\r\n    "a": 1\r\n}', "b", {"c": 2})
    assert made == '\ufeff{\r\n    "a": 1,\r\n    "b": {\r\n        "c": 2\r\n    }\r\n}\r\n'
