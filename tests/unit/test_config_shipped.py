"""The shipped files, the documentation and the schemas say what the models say."""

import json
import re
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from support_config import ROOT, SEED002, SHIPPED

from dicomanon_node.config import NodeConfig, load
from dicomanon_node.config.options import CODES
from dicomanon_node.config.rulemodel import ActionEntry, StationEntry, StudyEntry
from dicomanon_node.config.schema import schemas
from dicomanon_node.config.values import LAYOUT_FIELDS
from dicomanon_node.deid.plan import AVAILABLE_OPTIONS
from dicomanon_node.deid.rules import ActionKind

NODE_TOML = (SHIPPED / "node.toml").read_text(encoding="utf-8")
DOCUMENTATION = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


def models(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in get_args(annotation) for found in models(argument)]


def keys() -> Iterator[tuple[str, str, FieldInfo]]:
    """Section, key and field of everything node.toml may say."""
    for section, info in NodeConfig.model_fields.items():
        for model in models(info.annotation):
            for key, field in model.model_fields.items():
                yield section, key, field


def uncommented() -> dict[str, Any]:
    """node.toml with its commented examples switched on ("#key", not "# prose")."""
    return tomllib.loads(re.sub(r"^#(?=[a-z\[])", "", NODE_TOML, flags=re.MULTILINE))


def tables(section: str) -> list[dict[str, Any]]:
    value = uncommented()[section]
    return value if isinstance(value, list) else [value]


def plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize(
    ("section", "key", "field"), list(keys()), ids=[f"{each[0]}.{each[1]}" for each in keys()]
)
def test_every_key_is_in_the_shipped_node_toml_with_its_default(
    section: str, key: str, field: FieldInfo
) -> None:
    shown = [table[key] for table in tables(section) if key in table]
    assert shown, f"{section}.{key} is not in config/node.toml"
    is_example = field.is_required() or field.default is None
    if not is_example:
        assert plain(field.default) in shown


def test_the_shipped_node_toml_has_no_key_that_the_model_has_not() -> None:
    known = {(section, key) for section, key, _ in keys()}
    for section in uncommented():
        for table in tables(section):
            for key in table:
                assert (section, key) in known


def test_the_shipped_node_toml_is_the_default_configuration() -> None:
    assert NodeConfig.model_validate(tomllib.loads(NODE_TOML)) == NodeConfig()


def test_the_commented_examples_are_valid_once_switched_on() -> None:
    node = NodeConfig.model_validate(uncommented())
    assert [entry.kind for entry in node.destinations] == ["dicom", "folder"]


def test_every_key_of_the_shipped_node_toml_is_explained_right_above() -> None:
    obvious = {"kind", "host", "port", "path"}
    lines = NODE_TOML.splitlines()
    for above, line in pairwise(lines):
        setting = re.match(r"#?([a-z_]+) = ", line)
        if setting and setting[1] not in obvious:
            assert above.startswith("# "), line


def test_the_shipped_files_load_and_warn_of_nothing() -> None:
    config = load(SHIPPED, {})
    assert config.rules.warnings == ()
    assert config.rules.default_study == "default"
    default = config.rules.studies["default"]
    assert not default.tags
    assert not default.vrs
    assert not default.options
    assert default.removes_private


def test_no_shipped_file_holds_a_secret() -> None:
    texts = (path for path in SHIPPED.rglob("*") if path.suffix in (".toml", ".json"))
    for file in texts:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"[0-9A-Fa-f]{32}", text)
        assert not re.search("RandomSeed|salt|seed|entropy", text)


@pytest.mark.parametrize(
    ("section", "key", "field"), list(keys()), ids=[f"{each[0]}.{each[1]}" for each in keys()]
)
def test_every_key_of_node_toml_is_documented_with_its_default(
    section: str, key: str, field: FieldInfo
) -> None:
    is_list = isinstance(NodeConfig.model_fields[section].default, tuple)
    path = f"{section}[].{key}" if is_list else f"{section}.{key}"
    row = re.search(rf"^\| `{re.escape(path)}` \| (.*?) \| (.+) \|$", DOCUMENTATION, re.MULTILINE)
    assert row, f"{path} is not in docs/configuration.md"
    if field.is_required():
        assert row[1] == "required"
    elif field.default is None:
        assert row[1] == "none"
    else:
        assert json.loads(row[1].strip("`")) == plain(field.default)


@pytest.mark.parametrize("model", [StationEntry, StudyEntry])
def test_every_key_of_the_rule_files_is_documented_with_its_default(model: type[BaseModel]) -> None:
    for key, field in model.model_fields.items():
        name = field.alias or key
        row = re.search(rf"^\| `{name}` \| (.*?) \| (.+) \|$", DOCUMENTATION, re.MULTILINE)
        assert row, f"{name} is not in docs/configuration.md"
        if field.is_required():
            assert row[1] == "required"
        else:
            assert json.loads(row[1].strip("`")) == plain(field.default)


def test_every_action_parameter_option_and_layout_field_is_documented() -> None:
    for word in (*ActionKind, *ActionEntry.model_fields):
        assert f"`{word}`" in DOCUMENTATION
    for field in LAYOUT_FIELDS:
        assert field in DOCUMENTATION
    for code, option in CODES.items():
        available = "yes" if option in AVAILABLE_OPTIONS else "no"
        assert f"| `{option}` | {code} | {available} |" in DOCUMENTATION


def test_the_json_examples_of_the_documentation_are_valid() -> None:
    examples = re.findall(r"```json\n(.*?)```", DOCUMENTATION, re.DOTALL)
    stations, studies = (json.loads(example) for example in examples)
    Draft202012Validator(schemas()["stations.json"]).validate(stations)
    Draft202012Validator(schemas()["studies.json"]).validate(studies)


@pytest.mark.parametrize("file", ["node.toml", "stations.json", "studies.json"])
def test_the_schemas_are_schemas_and_describe_every_key(file: str) -> None:
    schema = schemas()[file]
    Draft202012Validator.check_schema(schema)
    for definition in schema.get("$defs", {}).values():
        assert definition["additionalProperties"] is False
        for key, described in definition["properties"].items():
            assert described.get("description"), key


@pytest.mark.parametrize("directory", [SHIPPED, SEED002])
@pytest.mark.parametrize("file", ["stations.json", "studies.json"])
def test_shipped_and_seed_rule_files_fit_their_schemas(directory: Path, file: str) -> None:
    content = json.loads((directory / file).read_text(encoding="utf-8"))
    Draft202012Validator(schemas()[file]).validate(content)


def test_the_shipped_node_toml_fits_its_schema_with_and_without_examples() -> None:
    validator = Draft202012Validator(schemas()["node.toml"])
    validator.validate(tomllib.loads(NODE_TOML))
    validator.validate(uncommented())


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("node.toml", {"listener": {"prot": 1}}),
        ("node.toml", {"listener": {"port": 70000}}),
        ("node.toml", {"listener": {"ae_title": "SEVENTEEN_LETTERS"}}),
        ("node.toml", {"destinations": [{"name": "a", "kind": "dicom"}]}),
        ("node.toml", {"destinations": [{"name": "..", "kind": "folder", "path": "x"}]}),
        ("stations.json", {"CT1": {}}),
        ("studies.json", {"a": {"Profil": "basic"}}),
        ("studies.json", {"a": {"AnonymizeTag": {"PatientID": {"action": "scramble"}}}}),
    ],
)
def test_what_the_node_refuses_by_shape_the_schema_refuses(file: str, content: object) -> None:
    assert not Draft202012Validator(schemas()[file]).is_valid(content)
