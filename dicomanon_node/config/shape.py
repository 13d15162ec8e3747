"""Hold parsed files against the pydantic models and word what does not fit.

pydantic finds the faults; its own texts and inputs are not used, because they may
carry values. Also answers which keys a model has at a path, for the environment and
for nearest spellings.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from dicomanon_node.config.problems import alternatives, join, kind, show
from dicomanon_node.errors import Problem

Location = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)

_EXPECTED_TYPES = {
    "bool_type": "true or false",
    "dict_type": "a table of keys",
    "float_type": "a number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_attributes_type": "a table of keys",
    "model_type": "a table of keys",
    "none_required": "null",
    "string_type": "text",
    "tuple_type": "a list",
}
_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def check(
    model: type[Model], content: object, file: str, prefix: Location = ()
) -> tuple[Model | None, list[Problem]]:
    """Make the model of some parsed content, or tell everything that does not fit.

    Args:
        model: What the content should be.
        content: Plain values as TOML and JSON readers return them.
        file: The file's name, for the problems.
        prefix: Where in the file the content is, for the problems.
    """
    try:
        return model.model_validate(content), []
    except ValidationError as error:
        return None, [
            Problem(file, join(*prefix, *path), message)
            for path, message in faults(model, content, error)
        ]


def faults(
    model: type[BaseModel], content: object, error: ValidationError
) -> Iterator[tuple[Location, str]]:
    """Every fault of a validation: its path in the content, and our words for it."""
    for detail in error.errors(include_url=False, include_input=False):
        path = _path_in(content, detail["loc"])
        if detail["type"].startswith("union_tag"):
            path += ("kind",)
        yield path, _message(model, content, path, detail)


def fields(
    model: type[BaseModel], path: Sequence[str | int], content: object
) -> dict[str, FieldInfo]:
    """The keys allowed inside the table at `path`, by their names in the file.

    The content decides between the kinds of a destination; where it does not say, the
    keys of all kinds are returned.
    """
    found: dict[str, FieldInfo] = {}
    for candidate in _models_at(model, path, content):
        found |= _fields_of(candidate)
    return found


def leaf_types(annotation: object) -> set[object]:
    """The plain types an annotation is made of, with Annotated and unions taken apart."""
    if get_origin(annotation) is Literal:
        return {str}
    arguments = get_args(annotation)
    if not arguments:
        return {annotation}
    origin = get_origin(annotation)
    if origin in (tuple, dict, list):
        return {origin}
    found: set[object] = set()
    for argument in arguments:
        if isinstance(argument, type) or get_args(argument):
            found |= leaf_types(argument)
    return found


def _fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {info.alias or name: info for name, info in model.model_fields.items()}


def _models_at(
    model: type[BaseModel], path: Sequence[str | int], content: object
) -> list[type[BaseModel]]:
    models = [model]
    for step in path:
        content = _member(content, step)
        if isinstance(step, str):
            infos = [_fields_of(candidate).get(step) for candidate in models]
            models = [found for info in infos if info for found in _models_in(info.annotation)]
        models = _of_kind(models, content)
    return models


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in get_args(annotation) for found in _models_in(argument)]


def _of_kind(models: list[type[BaseModel]], content: object) -> list[type[BaseModel]]:
    chosen = _member(content, "kind")
    matching = [
        model
        for model in models
        if "kind" in model.model_fields
        and chosen in get_args(model.model_fields["kind"].annotation)
    ]
    return matching or models


def _member(content: object, step: str | int) -> object:
    if isinstance(content, Mapping) and isinstance(step, str):
        return content.get(step)
    if isinstance(content, list) and isinstance(step, int) and step < len(content):
        return content[step]
    return None


def _path_in(content: object, location: tuple[str | int, ...]) -> Location:
    """The location in the file: pydantic adds the chosen kind after a list index."""
    path: list[str | int] = []
    for index, step in enumerate(location):
        is_kind = (
            isinstance(step, str)
            and index > 0
            and isinstance(location[index - 1], int)
            and index + 1 < len(location)
            and _member(content, "kind") == step
        )
        if not is_kind:
            path.append(step)
            content = _member(content, step)
    return tuple(path)


def _message(model: type[BaseModel], content: object, path: Location, detail: ErrorDetails) -> str:
    value = content
    for step in path:
        value = _member(value, step)
    last = str(path[-1]) if path else ""
    context = detail.get("ctx", {})
    match detail["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "unknown key" + alternatives(last, fields(model, path[:-1], content))
        case "value_error":
            return str(context["error"])  # our own words: see `values` and `model`
        case "literal_error":
            return _wrong_word(value, _literals(fields(model, path[:-1], content)[last]))
        case "union_tag_invalid" | "union_tag_not_found":
            models = _models_at(model, path[:-1], None)
            allowed = [word for found in models for word in _literals(_fields_of(found)["kind"])]
            return _wrong_word(value, allowed) if value else f"is missing: {_one_of(allowed)}"
        case "finite_number":
            return "must be a finite number"
        case other:
            return _wrong_type_or_bound(other, value, context)


def _wrong_word(value: object, allowed: Sequence[str]) -> str:
    if not isinstance(value, str):
        return f"must be {_one_of(allowed)}, not {kind(value)}"
    return f"{show(value)} is not known{alternatives(value, allowed)}"


def _wrong_type_or_bound(error: str, value: object, context: Mapping[str, object]) -> str:
    if error in _EXPECTED_TYPES:
        return f"must be {_EXPECTED_TYPES[error]}, not {kind(value)}"
    if error in _BOUNDS:
        words, limit = _BOUNDS[error]
        return f"must be {words} {context[limit]}, not {show(value)}"
    return "is not valid"


def _literals(info: FieldInfo) -> list[str]:
    found = []
    for annotation in (info.annotation, *get_args(info.annotation)):
        if get_origin(annotation) is Literal:
            found += [str(value) for value in get_args(annotation)]
    return found


def _one_of(words: Sequence[str]) -> str:
    return "one of " + ", ".join(f'"{word}"' for word in words)
