"""`check` in words: what a stranger has to know, and no secret."""

from pathlib import Path

from support_config import SEED002, configured

from dicomanon_node.config.describe import describe
from dicomanon_node.config.documents import read_json
from dicomanon_node.deid.rules import StudyRules

SALT = "a1b2c3d4e5f60718293a4b5c6d7e8f90"
NODE = """
[listener]
ae_title = "NODE1"
host = "::"
[[ae_titles]]
ae_title = "TRIAL"
study = "trial"
[[peers]]
name = "CT in room 1"
ae_title = "CT1"
address = "192.0.2.7"
[[destinations]]
name = "research"
kind = "dicom"
ae_title = "RESEARCH"
host = "pacs.example.org"
[[destinations]]
name = "share"
kind = "folder"
path = "/srv/share"
"""
STUDIES = {
    "default": {"Destinations": ["share"], "Outgoing": False},
    "trial": {
        "Profile": None,
        "RandomSeed": SALT,
        "RemovePrivateTags": True,
        "SavePrivateTags": ['(0019,"SIEMENS MR HEADER",0C)'],
        "BurnedIn": "pass",
        "AnonymizeTag": {
            "PatientID": {"action": "hash", "salt": SALT},
            "PatientName": {"action": "value", "value": "ANON^EXAMPLE"},
            "StudyDate": {"action": "offset", "delta": -864000},
        },
        "AnonymizeVR": {"LT": {"action": "delete"}},
    },
}


def nothing_uncovered(_: StudyRules) -> list[str]:
    return []


def text(directory: Path, uncovered: list[str] | None = None, **sources: object) -> str:
    config = configured(directory, **sources)  # type: ignore[arg-type]  # passed on as they come
    return "\n".join(describe(config, lambda _: uncovered or []))


def test_it_says_who_is_let_in_and_where_objects_go(tmp_path: Path) -> None:
    said = text(tmp_path, node=NODE, studies=STUDIES)
    assert "Listens as NODE1 on [::]:11112" in said
    assert 'TRIAL: everything is of study "trial"' in said
    assert "CT1 from 192.0.2.7/32 (CT in room 1)" in said
    assert "C-STORE to RESEARCH at pacs.example.org:104, calling as NODE1" in said
    assert "share: copies to /srv/share" in said
    assert f"Outgoing: {tmp_path}/var/outgoing/{{study}}/" in said
    assert "goes to: share" in said
    assert "goes to: outgoing, research, share" in said


def test_it_says_that_no_peers_are_all_senders(tmp_path: Path) -> None:
    assert "none listed = all senders accepted" in text(tmp_path)


def test_it_says_when_success_is_no_promise(tmp_path: Path) -> None:
    assert "NOT SYNCED" in text(tmp_path, node="[storage]\nsync = false\n")
    assert "NOT SYNCED" not in text(tmp_path)


def test_it_says_what_each_station_and_study_does(tmp_path: Path) -> None:
    said = text(tmp_path, node=NODE, studies=STUDIES)
    assert 'default: part 0 of StudyDescription (0008,1030), split at "^"' in said
    assert "EXAMPLE-MR1: ProtocolName (0018,1030)" in said
    assert "default (for all that have no other)" in said
    assert "floor: PS3.15 Basic Profile, no options" in said
    assert "hash, with a salt of its own (1): PatientID" in said
    assert 'set to "ANON^EXAMPLE" (1): PatientName' in said
    assert "offset by -10 (1): StudyDate" in said
    assert "delete (1): every LT" in said
    assert 'removed but (0019,"SIEMENS MR HEADER",0C)' in said
    assert "burned in annotation are passed AS THEY ARE" in said


def test_it_lists_what_no_rule_covers_where_there_is_no_profile(tmp_path: Path) -> None:
    uncovered = [f"Attribute{number}" for number in range(30)]
    said = text(tmp_path, uncovered, node=NODE, studies=STUDIES)
    assert said.count("NO PROFILE") == 1
    assert "30 attributes" in said
    assert all(attribute in said for attribute in uncovered)
    assert "trial.Profile: null" in said.partition("Warnings")[2]


def test_it_shows_no_salt(tmp_path: Path) -> None:
    assert SALT not in text(tmp_path, node=NODE, studies=STUDIES)


def test_it_says_what_is_refused_when_nothing_is_missing_by_default(tmp_path: Path) -> None:
    said = text(
        tmp_path,
        node='[routing]\non_missing = "refuse"',
        stations={"CT1": {"TagForStudy": "ProtocolName"}},
        studies={"trial": {}},
    )
    assert "any other station: REFUSED" in said
    assert "any other study: REFUSED" in said
    assert "no StationName, or no value that names the study: REFUSED" in said


def test_lines_are_short_and_printable(tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        stations=read_json(SEED002 / "stations.json"),
        studies=read_json(SEED002 / "studies.json"),
    )
    for line in describe(config, nothing_uncovered):
        assert line.isprintable()
        if not line.startswith(("Outgoing", "Spool", "Key", "  /")):
            assert len(line) <= 100
