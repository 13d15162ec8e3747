"""The JSON Schemas: every key is described; what editors write into a file is tolerated."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support_config import configured

from dicomanon_node.config.schema import schemas
from dicomanon_node.deid.plan import AVAILABLE_OPTIONS
from dicomanon_node.errors import ConfigError


def keys(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    definitions = schema.get("$defs", {})
    for table in (schema, *definitions.values()):
        for name, found in table.get("properties", {}).items():
            reference = found.get("$ref", "").rpartition("/")[2]
            yield name, found, definitions.get(reference, {})


@pytest.mark.parametrize("file", ["node.toml", "stations.json", "studies.json"])
def test_every_key_says_what_it_means(file: str) -> None:
    for name, found, referred in keys(schemas()[file]):
        assert found.get("description") or referred.get("description"), name


def test_editors_offer_the_options_that_there_are() -> None:
    entry = schemas()["studies.json"]["$defs"]["StudyEntry"]
    offered = entry["properties"]["Options"]["items"]["enum"]
    assert set(AVAILABLE_OPTIONS) < set(offered)
    assert "113105" in offered
    assert "CleanPixelData" not in offered


def test_a_schema_that_is_named_changes_nothing(tmp_path: Path) -> None:
    stations = {"default": {"TagForStudy": "StudyID"}}
    plain = configured(tmp_path, stations=stations, studies={"default": {}})
    named = configured(
        tmp_path,
        stations={"$schema": "./stations.json.schema.json", **stations},
        studies={"$schema": "./studies.json.schema.json", "default": {}},
    )
    assert named.rules == plain.rules


def test_a_study_may_not_hide_behind_that_name(tmp_path: Path) -> None:
    named = configured(tmp_path, studies={"$schema": {"Profile": "basic"}, "default": {}})
    assert "$schema" in named.rules.studies
    with pytest.raises(ConfigError):
        configured(tmp_path, studies={"$schema": 1, "default": {}})
