"""One configuration from file, environment and --set; every problem is told at once."""

import json
import shutil
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from support_config import SHIPPED, configured

from dicomanon_node.config import Config, NodeConfig, load
from dicomanon_node.config.documents import read_json, read_toml
from dicomanon_node.config.model import DicomDestination, FolderDestination
from dicomanon_node.config.studies import compile_studies
from dicomanon_node.errors import ConfigError, Problem

PACS = '[[destinations]]\nname = "pacs"\nkind = "dicom"\nae_title = "PACS"\nhost = "192.0.2.9"\n'
KEY = "8c1fa2c0ee0d4ff5a30c7b6f1c9c2f3dd27b0d7f5a1e4c3b9f6e8d7c6b5a4938"


def problems(directory: Path, **sources: object) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        configured(directory, **sources)  # type: ignore[arg-type]  # passed on as they come
    return list(caught.value.problems)


def paths(directory: Path, **sources: object) -> list[str]:
    return [problem.path for problem in problems(directory, **sources)]


def test_an_empty_node_toml_takes_every_default(tmp_path: Path) -> None:
    node = configured(tmp_path).node
    assert node.listener == NodeConfig().listener
    assert node.limits == NodeConfig().limits
    assert node.peers == ()


def test_a_section_that_was_added_a_second_time_is_told_with_what_to_do(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, node="[hold]\nenabled = false\n[hold]\nenabled = true\n")
    assert "at line 3" in told.message
    assert told.message.endswith("Put the keys into the one that is there")


def test_set_is_stronger_than_environment_and_that_than_the_file(tmp_path: Path) -> None:
    node = "[listener]\nport = 1\nprocesses = 1\nae_title = 'FILE'"
    environ = {"DICOMANON_LISTENER__PORT": "2", "DICOMANON_LISTENER__PROCESSES": "2"}
    listener = configured(
        tmp_path, node=node, environ=environ, overrides=["listener.port=3"]
    ).node.listener
    assert (listener.port, listener.processes, listener.ae_title) == (3, 2, "FILE")


def test_the_last_of_two_set_options_wins(tmp_path: Path) -> None:
    overrides = ["listener.port=3", "listener.port=4"]
    assert configured(tmp_path, overrides=overrides).node.listener.port == 4


@pytest.mark.parametrize(
    ("text", "value"), [("123", "123"), ("true", "true"), ('"QUOTED"', "QUOTED"), ("A B", "A B")]
)
def test_text_needs_no_quotes_even_where_it_looks_like_something_else(
    tmp_path: Path, text: str, value: str
) -> None:
    node = configured(tmp_path, environ={"DICOMANON_LISTENER__AE_TITLE": text}).node
    assert node.listener.ae_title == value


def test_an_empty_variable_is_an_empty_text(tmp_path: Path) -> None:
    node = configured(tmp_path, node=PACS, environ={"DICOMANON_STORAGE__OUTGOING": ""}).node
    assert node.storage.outgoing is None


def test_lists_are_set_whole_or_by_index(tmp_path: Path) -> None:
    environ = {
        "DICOMANON_PEERS": '[{ae_title = "CT1"}, {address = "192.0.2.0/24"}]',
        "DICOMANON_DESTINATIONS__0__PORT": "11113",
        "DICOMANON_LISTENER__EXTRA_SOP_CLASSES": '["1.3.46.670589.11.0.0.12.1"]',
    }
    overrides = ["destinations.1.name=share", "destinations.1.kind=folder",
                 "destinations.1.path=/srv/share"]  # fmt: skip
    node = configured(tmp_path, node=PACS, environ=environ, overrides=overrides).node
    assert [peer.ae_title for peer in node.peers] == ["CT1", ""]
    assert node.peers[1].address == ip_network("192.0.2.0/24")
    first, second = node.destinations
    assert isinstance(first, DicomDestination)
    assert first.port == 11113
    assert second == FolderDestination(name="share", kind="folder", path="/srv/share")  # type: ignore[arg-type]  # made a Path by the model
    assert node.listener.extra_sop_classes == ("1.3.46.670589.11.0.0.12.1",)


def test_a_line_break_in_a_variable_does_not_smuggle_other_settings_in(tmp_path: Path) -> None:
    smuggling = {"DICOMANON_LISTENER__PORT": "5\nother = 6"}
    assert paths(tmp_path, environ=smuggling) == ["DICOMANON_LISTENER__PORT"]


@pytest.mark.parametrize(
    "variable",
    ["DICOMANON_", "DICOMANON_LISTENER", "DICOMANON_LISTENER__", "DICOMANON_LISTENER__PORT__X",
     "DICOMANON_LISTENER_PORT", "DICOMANON_listener__port", "DICOMANON_PEERS__X__NAME",
     "DICOMANON_PEERS__0", "DICOMANON_PEERS__7__NAME", "DICOMANON_PORT"],
)  # fmt: skip
def test_a_variable_that_sets_nothing_is_refused(tmp_path: Path, variable: str) -> None:
    found = problems(tmp_path, environ={variable: KEY})
    assert [problem.file for problem in found] == ["environment"]
    assert KEY not in str(found)


def test_variables_of_others_are_left_alone(tmp_path: Path) -> None:
    configured(tmp_path, environ={"PATH": "/bin", "DICOMANON": "x", "dicomanon_x": "y"})


def test_a_wrong_value_is_told_at_its_source(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        node='[log]\nlevel = "warn"\n[admin]\nport = "x"\n' + PACS,
        environ={"DICOMANON_LISTENER__PORT": "x", "DICOMANON_DESTINATIONS__0__HOST": "a b"},
        overrides=["log.format=xml", 'peers=[{address = "nowhere at all"}]'],
    )
    node_file = str(tmp_path / "config" / "node.toml")
    assert {(problem.file, problem.path) for problem in found} == {
        (node_file, "log.level"),
        (node_file, "admin.port"),
        ("environment", "DICOMANON_LISTENER__PORT"),
        ("environment", "DICOMANON_DESTINATIONS__0__HOST"),
        ("--set", "log.format"),
        ("--set", "peers[0].address"),
    }


def test_problems_of_all_sources_are_found_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        node="[listener]\nport = 70000",
        stations={"default": {"TagForStudy": "NoSuchThing"}},
        studies={"default": {"Profile": 5}},
        environ={"DICOMANON_X": "1"},
        overrides=["y=1"],
    )
    assert [problem.path for problem in found] == [
        "DICOMANON_X",
        "y",
        "listener.port",
        "default.TagForStudy",
        "default.Profile",
    ]


def test_a_misspelled_destination_is_found_even_if_node_toml_has_other_problems(
    tmp_path: Path,
) -> None:
    studies = {"default": {"Destinations": ["pasc"]}}
    found = paths(tmp_path, node=PACS + "port = 0", studies=studies)
    assert found == ["destinations[0].port", "default.Destinations[0]"]


def test_relative_paths_start_from_the_parent_of_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = '[[destinations]]\nname = "share"\nkind = "folder"\npath = "share/../public"'
    config = configured(tmp_path, node=node)
    assert config.node.storage.spool == tmp_path / "var" / "spool"
    assert config.node.storage.outgoing == tmp_path / "var" / "outgoing"
    assert config.node.secrets.key_file == tmp_path / "var" / "secret.key"
    share = config.node.destinations[0]
    assert isinstance(share, FolderDestination)
    assert share.path == tmp_path / "public"
    monkeypatch.chdir(tmp_path / "config")
    assert load(Path(), {}).node == config.node


def test_a_linked_configuration_directory_counts_where_the_link_is(tmp_path: Path) -> None:
    real = tmp_path / "mounted" / "revision-7"
    shutil.copytree(SHIPPED, real)
    (tmp_path / "config").symlink_to(real)
    assert load(tmp_path / "config", {}).node.storage.spool == tmp_path / "var" / "spool"


def test_absolute_paths_stay(tmp_path: Path) -> None:
    node = configured(tmp_path, overrides=["storage.spool=/srv/spool"]).node
    assert node.storage.spool == Path("/srv/spool")


def test_destinations_are_called_by_the_listeners_title_unless_they_say_another(
    tmp_path: Path,
) -> None:
    node = '[listener]\nae_title = "NODE1"\n' + PACS
    both = node + PACS.replace('"pacs"', '"other"') + 'calling_ae_title = "GATE"\n'
    called = [
        entry.calling_ae_title
        for entry in configured(tmp_path, node=both).node.destinations
        if isinstance(entry, DicomDestination)
    ]
    assert called == ["NODE1", "GATE"]


@pytest.mark.parametrize(
    ("node", "path"),
    [
        ('[listener]\nae_title = ""', "listener.ae_title"),
        ('[listener]\nae_title = " PADDED"', "listener.ae_title"),
        ('[listener]\nae_title = "A\\\\B"', "listener.ae_title"),
        ('[listener]\nae_title = "A\\tB"', "listener.ae_title"),
        ('[listener]\nae_title = "SEVENTEEN_LETTERS"', "listener.ae_title"),
        ('[listener]\nae_title = "Ä"', "listener.ae_title"),
        ('[listener]\nhost = "no host"', "listener.host"),
        ('[listener]\nhost = "300.1.1.1"', "listener.host"),
        ("[listener]\nport = -1", "listener.port"),
        ("[listener]\nport = 65536", "listener.port"),
        ("[listener]\nport = true", "listener.port"),
        ("[listener]\nport = 11112.0", "listener.port"),
        ("[listener]\nmax_pdu_bytes = 0", "listener.max_pdu_bytes"),
        ("[listener]\nidle_timeout_s = nan", "listener.idle_timeout_s"),
        ("[listener]\nidle_timeout_s = inf", "listener.idle_timeout_s"),
        ("[listener]\nidle_timeout_s = 0", "listener.idle_timeout_s"),
        ("[listener]\nidle_timeout_s = 2026-01-01", "listener.idle_timeout_s"),
        ("[listener]\nmax_associations = 0", "listener.max_associations"),
        ('[listener]\nextra_sop_classes = "1.2.3"', "listener.extra_sop_classes"),
        ('[listener]\nextra_sop_classes = ["1.02"]', "listener.extra_sop_classes[0]"),
        ("listener = 5", "listener"),
        ("[storage]\nlow_water_bytes = -1", "storage.low_water_bytes"),
        ('[storage]\nspool = ""', "storage.spool"),
        ('[storage]\nspool = "a\\u0000b"', "storage.spool"),
        ("[secrets]\nkey_file = 5", "secrets.key_file"),
        ('[routing]\non_missing = "ignore"', "routing.on_missing"),
        ("[limits]\nnesting = 0", "limits.nesting"),
        ("[limits]\nheader_bytes = 1", "limits.header_bytes"),
        ("[admin]\nport = 11112", "admin.port"),
        ('[admin]\nhost = "0.0.0.0"', "admin.token_file"),
        ('[admin]\nhost = "192.0.2.1"', "admin.token_file"),
        ('[admin]\nhost = "node.example.org"', "admin.token_file"),
        ('[admin]\ntoken_file = "var/secret.key"', "admin.token_file"),
        ('[admin]\ntoken_file = "var/outgoing/token"', "admin.token_file"),
        ('[admin]\nhosts = ["a b"]', "admin.hosts[0]"),
        ('[secrets]\nkey_file = "var/outgoing/secret.key"', "secrets.key_file"),
        ('[[ae_titles]]\nae_title = "X"\nstudy = "nowhere"', "ae_titles[0].study"),
        ('[[ae_titles]]\nae_title = "X"\nstation = "nowhere"', "ae_titles[0].station"),
        ('[[ae_titles]]\nae_title = "X"\nstation = "default"\nstudy = "default"', "ae_titles[0]"),
        ('[[ae_titles]]\nstudy = "default"', "ae_titles[0].ae_title"),
        (2 * '[[ae_titles]]\nae_title = "X"\n', "ae_titles[1].ae_title"),
        ("[[peers]]", "peers[0]"),
        ('[[peers]]\naddress = "ct1.example.org"', "peers[0].address"),
        ('[[peers]]\naddress = "192.0.2.0/33"', "peers[0].address"),
        ("[[peers]]\naddress = 5", "peers[0].address"),
        (PACS + PACS, "destinations[1].name"),
        (PACS + PACS.replace('"pacs"', '"PACS"'), "destinations[1].name"),
        (PACS.replace('"pacs"', '".."'), "destinations[0].name"),
        (PACS.replace('"pacs"', '"a/b"'), "destinations[0].name"),
        (PACS.replace('"pacs"', '""'), "destinations[0].name"),
        (PACS.replace('kind = "dicom"\n', ""), "destinations[0].kind"),
        (PACS.replace('ae_title = "PACS"\n', ""), "destinations[0].ae_title"),
        (PACS + "path = 'x'", "destinations[0].path"),
        ("destinations = [5]", "destinations[0]"),
        ("destinations = 5", "destinations"),
        (
            '[[destinations]]\nname = "a"\nkind = "folder"\npath = "var/spool/x"',
            "destinations[0].path",
        ),
    ],
)
def test_a_wrong_setting_is_refused_at_its_path(tmp_path: Path, node: str, path: str) -> None:
    assert set(paths(tmp_path, node=node)) == {path}


@pytest.mark.parametrize(
    "template",
    [
        "{SOPInstanceUID}",
        "{SOPInstanceUID}.dcm",
        "{study}/{Modality}_{SeriesNumber}/{InstanceNumber}-{SOPInstanceUID}.dcm",
        "{SOPInstanceUID}/image.dcm",
        "a..b/{SOPInstanceUID}",
    ],
)
def test_layouts_that_stay_inside_are_taken(tmp_path: Path, template: str) -> None:
    overrides = [f"storage.layout={template}"]
    assert configured(tmp_path, overrides=overrides).node.storage.layout == template


@pytest.mark.parametrize(
    "template",
    ["", "/{SOPInstanceUID}", "../{SOPInstanceUID}", "a/../{SOPInstanceUID}", "a//{SOPInstanceUID}",
     "{SOPInstanceUID}/", "./{SOPInstanceUID}", ".hid/{SOPInstanceUID}", "{StudyInstanceUID}.dcm",
     "{PatientName}/{SOPInstanceUID}", "{SOPInstanceUID!r}", "{SOPInstanceUID:>9}",
     "{SOPInstanceUID.real}", "{}{SOPInstanceUID}", "{{SOPInstanceUID}}", "{SOPInstanceUID",
     "SOPInstanceUID}", "a b/{SOPInstanceUID}", "a\\b/{SOPInstanceUID}", "~/{SOPInstanceUID}",
     "{study\n}/{SOPInstanceUID}"],
)  # fmt: skip
def test_layouts_that_could_leave_or_collide_are_refused(tmp_path: Path, template: str) -> None:
    assert paths(tmp_path, overrides=[f"storage.layout='''{template}'''"]) == ["storage.layout"]


def test_a_study_must_go_somewhere(tmp_path: Path) -> None:
    assert paths(tmp_path, studies={"default": {"Outgoing": False}}) == ["default"]
    assert paths(tmp_path, node=PACS, studies={"default": {"Outgoing": False, "Destinations": []}})
    kept = configured(tmp_path, node=PACS, studies={"default": {"Outgoing": False}})
    assert not kept.rules.studies["default"].writes_outgoing
    outgoing_only = configured(tmp_path, node=PACS, studies={"default": {"Destinations": []}})
    assert outgoing_only.rules.studies["default"].destinations == ()


@pytest.mark.parametrize("missing", ["node.toml", "stations.json", "studies.json"])
def test_a_missing_file_is_a_mistake_and_not_an_empty_one(tmp_path: Path, missing: str) -> None:
    config = tmp_path / "config"
    shutil.copytree(SHIPPED, config)
    (config / missing).unlink()
    with pytest.raises(ConfigError, match="No such file") as caught:
        load(config, {})
    assert [problem.file for problem in caught.value.problems] == [str(config / missing)]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("node.toml", b"[listener]\nport = 1\nport = 2\n", "line 3"),
        ("node.toml", b"[listener\n", "line 1"),
        ("node.toml", b"x = '\xff'", "not UTF-8 text at line 1"),
        ("node.toml", b"a = " + b"[" * 100_000, "nested too deep"),
        ("studies.json", b'{"a": 1,}', "line 1, column"),
        ("studies.json", b'{\n"a": NaN}', "NaN"),
        ("studies.json", b'{"a": -Infinity}', "Infinity"),
        ("studies.json", b"[]", "one object"),
        ("studies.json", b'"text"', "one object"),
        ("studies.json", b"", "line 1, column 1"),
        ("studies.json", b'{"a":\n"\xe9"}', "not UTF-8 text at line 2"),
        ("studies.json", b'{"a": ' + b"[" * 100_000, "nested too deep"),
        ("studies.json", b'{"a": ' + b"9" * 5000 + b"}", "number too long"),
        ("studies.json", b'{"a": {"b": [{"c": 1, "c": 2}]}}', "a.b[0].c: the key is there more"),
    ],
)
def test_a_broken_file_is_told_with_its_place(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    reader = read_toml if name.endswith(".toml") else read_json
    with pytest.raises(ConfigError) as caught:
        reader(file)
    assert words in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbf[listener]\n")
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": {}}')
    assert read_toml(tmp_path / "a.toml") == {"listener": {}}
    assert read_json(tmp_path / "a.json") == {"a": {}}


def test_the_key_in_a_wrong_place_is_not_shown(tmp_path: Path) -> None:
    wrong = {
        "node": f'[secrets]\nkey_file = "{KEY}"\n[listener]\nae_title = "{KEY}"\nhost = "{KEY} "\n'
        f'[routing]\non_missing = "{KEY}"\n[storage]\nlayout = "{KEY}{{{KEY}}}"\n'
        f'[[peers]]\naddress = "{KEY}"\n',
        "stations": {"default": {"TagForStudy": KEY}},
        "studies": {
            "default": {
                "Profile": KEY,
                "RandomSeed": [KEY],
                "AnonymizeTag": {"PatientID": {"action": KEY, "value": KEY}},
            }
        },
        "overrides": [f"log.level={KEY}", f"routing.on_missing={KEY}"],
        "environ": {"DICOMANON_SECRETS__KEY": KEY},
    }
    found = problems(tmp_path, **wrong)
    assert len(found) >= 11
    assert KEY[:8] not in str(found)


def test_nothing_unprintable_is_echoed(tmp_path: Path) -> None:
    nasty = "\x1b[2Jé\u202e\n"
    found = problems(
        tmp_path,
        stations={"default": {"TagForStudy": nasty}, nasty: {nasty: 1}},
        studies={"default": {"AnonymizeTag": {nasty: {"action": nasty}}}},
        overrides=[f"log.level={nasty}x", f"{nasty}={nasty}"],
        environ={f"DICOMANON_{nasty}": nasty},
    )
    assert len(found) >= 6
    for problem in found:
        assert str(problem).isascii()
        assert str(problem).isprintable()


def test_the_configuration_cannot_be_changed(tmp_path: Path) -> None:
    config = configured(tmp_path)
    assert isinstance(config, Config)
    with pytest.raises(AttributeError):
        config.node = NodeConfig()  # type: ignore[misc]  # that it cannot be is the claim
    with pytest.raises(ValidationError):
        config.node.listener.port = 5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["action", "value", "delta", "seed", "salt", "PatientID", "StudyDate", "UI", "PN"]
            )
            | st.text(max_size=10),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
STUDY_KEYS = ["Profile", "Options", "AnonymizeTag", "AnonymizeVR", "SavePrivateTags", "RandomSeed"]


@settings(deadline=None)  # looking for the nearest of 5,000 keywords takes its time
@given(st.dictionaries(st.text(max_size=9), st.dictionaries(st.sampled_from(STUDY_KEYS), JSON)))
def test_whatever_studies_json_holds_it_is_compiled_or_refused_in_printable_words(
    content: dict[str, object],
) -> None:
    _, found, warnings = compile_studies(content, "studies.json")
    for problem in found + warnings:
        assert str(problem).isascii()
        assert str(problem).isprintable()


@given(
    st.dictionaries(st.sampled_from(sorted(NodeConfig.model_fields)) | st.text(max_size=5), JSON)
)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None
)
def test_whatever_node_toml_is_set_to_it_is_loaded_or_refused_in_printable_words(
    tmp_path: Path, content: dict[str, object]
) -> None:
    text = ""
    try:
        configured(
            tmp_path, overrides=[f"{key}={json.dumps(value)}" for key, value in content.items()]
        )
    except ConfigError as error:
        text = str(error)
    assert text.replace("\n", "").isprintable()
    assert text.isascii()
