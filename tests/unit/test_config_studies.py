"""Study settings of studies.json other than the actions: profile, options, destinations."""

import json
from pathlib import Path

import pytest

from dicomanon_node.config.options import CODES
from dicomanon_node.config.rulefiles import digest
from dicomanon_node.config.studies import compile_studies
from dicomanon_node.deid.plan import AVAILABLE_OPTIONS
from dicomanon_node.deid.rules import BurnedIn, Option, Profile, StudyRules
from dicomanon_node.errors import Problem

FILE = "studies.json"
NOTHING = StudyRules("could not be compiled")
CID_7050 = Path(__file__).parents[2] / "dicomanon_node/deid/data/cid-7050.json"


def compiled(**settings: object) -> tuple[StudyRules, list[Problem], list[Problem]]:
    studies, problems, warnings = compile_studies({"s": settings}, FILE)
    return studies.get("s", NOTHING), problems, warnings


def test_an_empty_study_has_the_safe_defaults() -> None:
    assert compiled() == (StudyRules("s"), [], [])


def test_every_setting_arrives() -> None:
    study, problems, _ = compiled(
        Profile=None,
        RemovePrivateTags=False,
        RandomSeed="0f1e2d3c4b5a",
        Destinations=["a", "b"],
        Outgoing=False,
        Compatibility="dcmanonymize",
        BurnedIn="pass",
        AcceptPhoenix=True,
    )
    assert not problems
    assert study == StudyRules(
        "s",
        profile=None,
        removes_private=False,
        random_seed="0f1e2d3c4b5a",
        destinations=("a", "b"),
        writes_outgoing=False,
        is_compatible=True,
        burned_in=BurnedIn.PASS,
        accepts_phoenix=True,
    )


def test_no_profile_and_kept_private_elements_are_warned_about() -> None:
    _, problems, warnings = compiled(Profile=None, RemovePrivateTags=False)
    assert not problems
    assert [warning.path for warning in warnings] == ["s.Profile", "s.RemovePrivateTags"]


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"Profile": "Basic"}, "s.Profile"),
        ({"Profile": False}, "s.Profile"),
        ({"Options": "CleanDescriptors"}, "s.Options"),
        ({"Options": [113105]}, "s.Options[0]"),
        ({"Destinations": "a"}, "s.Destinations"),
        ({"Outgoing": "yes"}, "s.Outgoing"),
        ({"RemovePrivateTags": 1}, "s.RemovePrivateTags"),
        ({"SavePrivateTags": {}}, "s.SavePrivateTags"),
        ({"Compatibility": "mercure"}, "s.Compatibility"),
        ({"BurnedIn": "hold"}, "s.BurnedIn"),
        ({"AcceptPhoenix": None}, "s.AcceptPhoenix"),
        ({"AnonymizeTag": []}, "s.AnonymizeTag"),
        ({"AnonymizeVR": None}, "s.AnonymizeVR"),
        ({"AnonymiseTag": {}}, "s.AnonymiseTag"),
    ],
)
def test_a_setting_of_the_wrong_kind_is_refused_at_its_path(
    settings: dict[str, object], path: str
) -> None:
    _, problems, _ = compiled(**settings)
    assert [problem.path for problem in problems] == [path]


def test_a_study_must_be_an_object() -> None:
    _, problems, _ = compile_studies({"a": [], "b": None, "c": {}}, FILE)
    assert [problem.path for problem in problems] == ["a", "b"]


def test_all_problems_of_all_studies_are_found_at_once() -> None:
    _, problems, _ = compile_studies(
        {
            "a": {"Profile": 1, "AnonymizeTag": {"PatientNam": {}, "PatientID": {"action": "x"}}},
            "b": {"AnonymizeVR": {"UI": {}}, "Options": ["x"]},
        },
        FILE,
    )
    assert {problem.path for problem in problems} == {
        "a.Profile",
        "a.AnonymizeTag.PatientNam",
        "a.AnonymizeTag.PatientID.action",
        "b.AnonymizeVR.UI",
        "b.Options[0]",
    }


def test_the_codes_are_those_of_cid_7050() -> None:
    meanings = {
        row["code_value"]: row["code_meaning"].removesuffix(" Option")
        for row in json.loads(CID_7050.read_text())["rows"]
    }
    del meanings["113100"]  # the profile itself
    assert set(CODES) == set(meanings)
    for code, option in CODES.items():
        words = meanings[code].replace("Temporal Information ", "").replace(" ", "")
        assert words == option


def test_options_are_taken_by_name_and_by_code() -> None:
    for code, option in CODES.items():
        if option in AVAILABLE_OPTIONS:
            assert compiled(Options=[option])[0].options == {option}
            assert compiled(Options=[code])[0].options == {option}


@pytest.mark.parametrize("option", sorted(set(Option) - AVAILABLE_OPTIONS))
def test_an_option_that_the_core_does_not_carry_out_is_refused(option: str) -> None:
    _, problems, _ = compiled(Options=[option])
    assert [problem.path for problem in problems] == ["s.Options[0]"]
    assert "not available in this release" in problems[0].message


@pytest.mark.parametrize(
    ("settings", "path", "words"),
    [
        ({"Options": ["CleanDescriptor"]}, "s.Options[0]", 'did you mean "CleanDescriptors"'),
        ({"Options": ["113100"]}, "s.Options[0]", '"Profile": "basic"'),
        ({"Options": ["CleanDescriptors"], "Profile": None}, "s.Options", "without a profile"),
        ({"Options": ["113106", "113107"]}, "s.Options", "contradict"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    settings: dict[str, object], path: str, words: str
) -> None:
    _, problems, _ = compiled(**settings)
    assert [problem.path for problem in problems] == [path]
    assert words in problems[0].message


def test_the_profile_is_basic_unless_it_is_null() -> None:
    assert compiled()[0].profile is Profile.BASIC
    assert compiled(Profile="basic")[0].profile is Profile.BASIC
    assert compiled(Profile=None)[0].profile is None


def test_the_digest_depends_on_what_is_said_not_on_how_it_is_written() -> None:
    one = json.loads('{"a": {"Outgoing": true, "Options": []}, "b": {}}')
    other = json.loads('{"b":{},"a":{"Options":[],"Outgoing":true}}')
    assert digest({}, one, "2026d") == digest({}, other, "2026d")
    assert len(digest({}, one, "2026d")) == 12
    different = [
        digest({}, one, "2026e"),
        digest({"default": {}}, one, "2026d"),
        digest({}, {"a": {"Outgoing": False, "Options": []}, "b": {}}, "2026d"),
    ]
    assert len({digest({}, one, "2026d"), *different}) == 4


def test_the_digest_says_nothing_about_salts_but_that_there_is_one() -> None:
    def study(seed: str | None, salt: str) -> dict[str, object]:
        return {"s": {"RandomSeed": seed, "AnonymizeTag": {"PatientID": {"salt": salt}}}}

    assert digest({}, study("a", "b"), "") == digest({}, study("c", "d"), "")
    assert digest({}, study("a", "b"), "") != digest({}, study(None, "b"), "")
