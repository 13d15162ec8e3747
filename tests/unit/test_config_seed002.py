"""Files of DCMAnonymize move here unchanged (acceptance tests A2, A5, A13)."""

import json
import shutil
from collections import Counter
from pathlib import Path
from types import MappingProxyType

import pytest
from pydicom.tag import Tag
from support_config import SEED002, configured

from dicomanon_node.config import RuleBook, load
from dicomanon_node.config.stations import compile_stations
from dicomanon_node.deid.rules import ActionKind, Profile, StationRule
from dicomanon_node.errors import ConfigError

PROTOCOL_NAME, STUDY_DESCRIPTION = 0x00181030, 0x00081030


@pytest.fixture
def seed(tmp_path: Path) -> RuleBook:
    config = tmp_path / "config"
    shutil.copytree(SEED002, config)
    (config / "node.toml").write_text("")
    return load(config, {}, []).rules


def test_a2_the_files_load_with_242_rules_and_one_ignored_entry_each(seed: RuleBook) -> None:
    assert set(seed.studies) == {"Supplement142", "RESEARCH-LANDE"}
    assert {len(study.tags) for study in seed.studies.values()} == {242}
    assert [(warning.path, "ignored" in warning.message) for warning in seed.warnings] == [
        ('Supplement142.AnonymizeTag.""', True),
        ('RESEARCH-LANDE.AnonymizeTag.""', True),
    ]


def test_a2_every_rule_is_the_action_that_the_file_says(seed: RuleBook) -> None:
    written = json.loads((SEED002 / "studies.json").read_text())
    for name, study in written.items():
        for keyword, rule in study["AnonymizeTag"].items():
            if keyword:
                action = seed.studies[name].tags[Tag(keyword)]
                assert action.kind == rule["action"], keyword
                assert action.value == rule.get("value"), keyword
                assert action.salt is None
    counts = Counter(rule.kind for rule in seed.studies["Supplement142"].tags.values())
    # 193 in the file, one of them under the empty name.
    assert counts == {
        ActionKind.DELETE: 192,
        ActionKind.REGEN: 29,
        ActionKind.CLEAR: 16,
        ActionKind.HASH: 5,
    }


def test_a2_what_the_files_leave_out_gets_the_safe_defaults(seed: RuleBook) -> None:
    study = seed.studies["Supplement142"]
    assert study.profile is Profile.BASIC
    assert study.removes_private
    assert not study.accepts_phoenix
    assert not study.is_compatible
    assert study.random_seed is None
    assert study.destinations is None
    assert study.writes_outgoing


def test_a2_the_stations_are_those_of_the_file(seed: RuleBook) -> None:
    assert dict(seed.stations) == {
        "default": StationRule("default", PROTOCOL_NAME),
        "GEMS4567": StationRule("GEMS4567", PROTOCOL_NAME),
        "MRC35067": StationRule("MRC35067", STUDY_DESCRIPTION, "^", 0),
        "MRC25641": StationRule("MRC25641", STUDY_DESCRIPTION, "^", 0),
    }


def test_a5_supplement142_is_for_unknown_studies_unless_there_is_a_default(
    seed: RuleBook, tmp_path: Path
) -> None:
    assert seed.default_study == "Supplement142"
    both = configured(tmp_path, studies={"Supplement142": {}, "default": {}})
    assert both.rules.default_study == "default"


def test_a5_without_defaults_the_node_starts_only_if_it_may_refuse(tmp_path: Path) -> None:
    stations = {"CT1": {"TagForStudy": "ProtocolName"}}
    refusing = configured(
        tmp_path,
        node='[routing]\non_missing = "refuse"',
        stations=stations,
        studies={"TRIAL": {}},
    )
    assert refusing.rules.default_study == ""
    with pytest.raises(ConfigError, match="default"):
        configured(tmp_path, stations=stations, studies={"TRIAL": {}})


@pytest.mark.parametrize(
    "entry",
    [
        {"Split": "^", "SplitIndex": 1},
        {"StudySplit": "^", "StudySplitIndex": 1},
        {"Split": "^", "StudySplitIndex": 1},
        {"Split": "^", "StudySplit": "^", "SplitIndex": 1, "StudySplitIndex": 1},
    ],
)
def test_a13_both_spellings_of_split_mean_the_same(entry: dict[str, object]) -> None:
    station = {"CT1": {"TagForStudy": "StudyDescription", **entry}}
    rules, problems, warnings = compile_stations(station, "stations.json")
    assert rules == {"CT1": StationRule("CT1", STUDY_DESCRIPTION, "^", 1)}
    assert not problems + warnings


@pytest.mark.parametrize(
    "entry", [{}, {"Split": None}, {"StudySplit": None}, {"Split": None, "SplitIndex": 0}]
)
def test_a13_an_absent_split_is_null(entry: dict[str, object]) -> None:
    station = {"CT1": {"TagForStudy": "ProtocolName", **entry}}
    rules, problems, _ = compile_stations(station, "stations.json")
    assert rules == {"CT1": StationRule("CT1", PROTOCOL_NAME)}
    assert not problems


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        ({"Split": "^", "StudySplit": "_"}, "CT1.StudySplit"),
        ({"Split": "^", "SplitIndex": 0, "StudySplitIndex": 1}, "CT1.StudySplitIndex"),
        ({"Split": ""}, "CT1.Split"),
        ({"Split": "^", "SplitIndex": -1}, "CT1.SplitIndex"),
        ({"Split": "^", "SplitIndex": "0"}, "CT1.SplitIndex"),
    ],
)
def test_contradictory_or_impossible_splits_are_refused(
    entry: dict[str, object], path: str
) -> None:
    station = {"CT1": {"TagForStudy": "ProtocolName", **entry}}
    rules, problems, _ = compile_stations(station, "stations.json")
    assert [problem.path for problem in problems] == [path]
    assert not rules


@pytest.mark.parametrize(
    "tag", ["NoSuchKeyword", "PixelData", "Rows", '(0029,"SIEMENS CSA HEADER",10)', "00291010"]
)
def test_a_tag_that_cannot_name_a_study_is_refused(tag: str) -> None:
    _, problems, _ = compile_stations({"CT1": {"TagForStudy": tag}}, "stations.json")
    assert [problem.path for problem in problems] == ["CT1.TagForStudy"]


@pytest.mark.parametrize("tag", ["StudyDescription", "(0008,1030)", "00081030", "0008,1030"])
def test_the_tag_for_study_may_be_spelled_in_all_ways(tag: str) -> None:
    rules, _, _ = compile_stations({"CT1": {"TagForStudy": tag}}, "stations.json")
    assert rules["CT1"].tag_for_study == STUDY_DESCRIPTION


@pytest.mark.parametrize("name", ["", " CT1", "CT1 ", "CT\n1", "C" * 65])
def test_a_name_that_no_value_can_match_is_refused(name: str) -> None:
    _, problems, _ = compile_stations({name: {"TagForStudy": "ProtocolName"}}, "stations.json")
    assert len(problems) == 1


def test_names_that_differ_in_case_may_say_the_same() -> None:
    same = {"TagForStudy": "ProtocolName"}
    rules, problems, _ = compile_stations({"CT1": same, "ct1": same}, "stations.json")
    assert set(rules) == {"CT1", "ct1"}
    assert not problems


def test_the_rule_book_cannot_be_changed(seed: RuleBook) -> None:
    assert isinstance(seed.studies, MappingProxyType)
    assert isinstance(seed.stations, MappingProxyType)
