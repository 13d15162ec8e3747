"""JSON Schemas of the three files, for editors and for checks outside the node.

They say what a file may look like. What only the node knows, such as whether a tag
exists or an action fits its VR, `dicomanon-node check` says.
"""

from typing import Any

from pydantic import BaseModel

from dicomanon_node.config.model import NodeConfig
from dicomanon_node.config.rulemodel import StationsFile, StudiesFile

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MODELS: dict[str, type[BaseModel]] = {
    "node.toml": NodeConfig,
    "stations.json": StationsFile,
    "studies.json": StudiesFile,
}


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema of each file, by the file's name."""
    return {
        file: {"$schema": _DIALECT, **model.model_json_schema(), "title": file}
        for file, model in _MODELS.items()
    }
