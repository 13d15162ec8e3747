"""JSON Schemas of the three files, for editors and for checks outside the node.

They say what a file may look like. What only the node knows, such as whether a tag
exists or an action fits its VR, `dicomanon-node check` says.

What describes a key is the docstring below it in its model. pydantic can take it along
itself, but then it reads the source of all models whenever the program starts.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

from dicomanon_node.config.loading import SCHEMA_KEY
from dicomanon_node.config.model import NodeConfig
from dicomanon_node.config.options import CODES
from dicomanon_node.config.rulemodel import Entry, StationsFile, StudiesFile
from dicomanon_node.config.section import Section
from dicomanon_node.deid.plan import AVAILABLE_OPTIONS

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SCHEMA_PROPERTY = {"type": "string", "description": "This schema, for editors; says nothing."}
_OPTIONS = [
    *sorted(AVAILABLE_OPTIONS),
    *(code for code, option in CODES.items() if option in AVAILABLE_OPTIONS),
]
_MODELS: dict[str, type[BaseModel]] = {
    "node.toml": NodeConfig,
    "stations.json": StationsFile,
    "studies.json": StudiesFile,
}


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema of each file, by the file's name."""
    made = {}
    for file, model in _MODELS.items():
        schema = {"$schema": _DIALECT, **model.model_json_schema(), "title": file}
        definitions = schema.get("$defs", {}) | {model.__name__: schema}
        for described in (*Section.__subclasses__(), *Entry.__subclasses__()):
            if described.__name__ in definitions:
                _describe(described, definitions[described.__name__]["properties"])
        if file == "studies.json":
            options = definitions["StudyEntry"]["properties"]["Options"]
            options["items"] = {"type": "string", "enum": _OPTIONS}
        if file.endswith(".json"):
            schema["properties"] = {SCHEMA_KEY: _SCHEMA_PROPERTY}
        made[file] = schema
    return made


def _describe(model: type[BaseModel], properties: dict[str, dict[str, Any]]) -> None:
    for name, text in _docstrings(model):
        properties[model.model_fields[name].alias or name]["description"] = text


def _docstrings(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Each attribute of a model and the text below it."""
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    if not isinstance(definition, ast.ClassDef):  # what getsource gives for a class
        return
    for attribute, below in pairwise(definition.body):
        if isinstance(attribute, ast.AnnAssign) and isinstance(attribute.target, ast.Name):
            match below:
                case ast.Expr(ast.Constant(str(text))):
                    yield attribute.target.id, inspect.cleandoc(text)
