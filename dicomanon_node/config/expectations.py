"""What a site expects of its rules: `config/tests/*.toml` and `*.json`, parsed and checked.

    [[test]]
    file = "example.dcm"
    study = "default"
    [test.elements]
    PatientName = "changed"
    PatientBirthDate = "emptied"
    StudyDescription = {is = "CONNECTOME"}

An expectation names no value of an original: what was kept or changed is found out by
comparing. Nothing is carried out here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from dicomanon_node.config import tags
from dicomanon_node.config.documents import read_json, read_toml
from dicomanon_node.config.problems import alternatives, join, kind, show
from dicomanon_node.config.rulemodel import Entry
from dicomanon_node.config.shape import check
from dicomanon_node.deid.rules import PrivateTag
from dicomanon_node.errors import ConfigError, Problem, Reason

SUFFIXES: Final = (".toml", ".json")

_TESTS: Final = "test"


class Expected(StrEnum):
    """What may be expected of an element, in one word."""

    KEPT = "kept"
    """There, with the original's value."""
    CHANGED = "changed"
    """There, with another value."""
    EMPTIED = "emptied"
    """There, without a value."""
    REMOVED = "removed"
    """In the original and not there."""
    ABSENT = "absent"
    """Not there, whatever the original has."""


@dataclass(frozen=True, slots=True)
class ElementExpectation:
    """What is expected of one element: a word, a value, or a pattern.

    Attributes:
        written: How the element is named.
        tag: Which it is.
        word: What became of it.
        value: The value it has, several with backslashes between.
        pattern: What its value matches as a whole.
    """

    written: str
    tag: int | PrivateTag
    word: Expected | None = None
    value: str | None = None
    pattern: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class Expectation:
    """One test.

    Attributes:
        name: What it is called.
        file: The example file.
        study: The study whose rules hold; None if that does not matter.
        is_stored: Whether the object is accepted.
        reason: The code of the refusal; None if that does not matter.
        destinations: Where it is forwarded to; None if that does not matter.
        called_aet: The AE title it is sent to; empty for the listener's.
        elements: What is expected of its elements.
    """

    name: str
    file: Path
    study: str | None
    is_stored: bool
    reason: str | None
    destinations: tuple[str, ...] | None
    called_aet: str
    elements: tuple[ElementExpectation, ...]


def _table(value: object) -> object:
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a table of elements, not {kind(value)}")  # noqa: TRY004  (pydantic turns only ValueError into an error of this field)
    return value


class ExpectationEntry(Entry):
    """One test as it is written."""

    file: str
    """The example file, relative to the file of the test."""
    name: str = ""
    """What the test is called."""
    study: str | None = None
    """The study whose rules hold."""
    outcome: Literal["stored", "refused"] = "stored"
    """Whether the object is accepted."""
    reason: str | None = None
    """The code of the refusal, as in docs/status.md."""
    destinations: Annotated[tuple[str, ...] | None, Field(strict=False)] = None
    """Names of the destinations it is forwarded to."""
    called: str = ""
    """The AE title of ours that it is sent to."""
    elements: Annotated[dict[str, Any], BeforeValidator(_table)] = {}  # noqa: RUF012  (a field of pydantic, which copies it)
    """What is expected of elements."""


class ElementEntry(Entry):
    """A value or a pattern that is expected."""

    is_: Annotated[str | None, Field(alias="is")] = None
    """The value; several with backslashes between."""
    matches: str | None = None
    """A regular expression for the whole value."""


def read_expectations(path: Path) -> list[Expectation]:
    """The tests of a file.

    Raises:
        ConfigError: With everything that is wrong with it.
    """
    content = read_toml(path) if path.suffix == ".toml" else read_json(path)
    problems = [
        Problem(str(path), join(key), f"unknown key{alternatives(key, [_TESTS])}")
        for key in content
        if key != _TESTS
    ]
    entries = content.get(_TESTS)
    if not isinstance(entries, list) or not entries:
        problems.append(Problem(str(path), _TESTS, "must be a list of tests: [[test]] in TOML"))
        entries = []
    found = []
    for index, raw in enumerate(entries):
        made, more = _expectation(path, index, raw)
        problems += more
        if made is not None:
            found.append(made)
    if problems:
        raise ConfigError(*problems)
    return found


def _expectation(path: Path, index: int, raw: object) -> tuple[Expectation | None, list[Problem]]:
    where = (_TESTS, index)
    entry, problems = check(ExpectationEntry, raw, str(path), where)
    if entry is None:
        return None, problems
    codes = [reason.code for reason in Reason]
    if entry.reason is not None and entry.reason not in codes:
        text = f"{show(entry.reason)} is no reason{alternatives(entry.reason, codes)}"
        problems.append(Problem(str(path), join(*where, "reason"), text))
    elif entry.reason is not None and entry.outcome == "stored":
        text = 'goes with outcome = "refused"'
        problems.append(Problem(str(path), join(*where, "reason"), text))
    elements = []
    for written, expected in entry.elements.items():
        place = (*where, "elements", written)
        try:
            elements.append(_element(written, expected, str(path), place))
        except ConfigError as error:
            problems += error.problems
        except ValueError as error:  # a TagError, or our own words
            problems.append(Problem(str(path), join(*place), str(error)))
    made = Expectation(
        name=entry.name or f"{path.stem}: {entry.file}",
        file=path.parent / entry.file,
        study=entry.study,
        is_stored=entry.outcome == "stored",
        reason=entry.reason,
        destinations=entry.destinations,
        called_aet=entry.called,
        elements=tuple(elements),
    )
    return made, problems


def _element(
    written: str, expected: object, file: str, place: tuple[str | int, ...]
) -> ElementExpectation:
    tag = tags.parse(written)
    if isinstance(expected, str):
        if expected not in set(Expected):
            known = alternatives(expected, list(Expected))
            raise ValueError(
                f'{show(expected)} is not known{known}; a value is written {{is = "..."}}'
            )
        return ElementExpectation(written, tag, word=Expected(expected))
    entry, problems = check(ElementEntry, expected, file, place)
    if entry is None:
        raise ConfigError(*problems)
    if (entry.is_ is None) == (entry.matches is None):
        raise ValueError("needs either is or matches")
    if entry.matches is None:
        return ElementExpectation(written, tag, value=entry.is_)
    try:
        return ElementExpectation(written, tag, pattern=re.compile(entry.matches))
    except re.error as error:
        raise ValueError(f"matches is no regular expression: {error.msg}") from None
