"""`test-rules`: example files and what a site expects of its rules, for its own CI."""

import hashlib
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from dicomanon_node.cli.common import (
    EXIT_NOT_ALL,
    config_options,
    counted,
    load_config,
    printable,
    reports_config_errors,
)
from dicomanon_node.cli.files import Found, UnusableError
from dicomanon_node.cli.way import way_of
from dicomanon_node.config import Config
from dicomanon_node.config.expectations import SUFFIXES, Expectation, read_expectations
from dicomanon_node.config.problems import alternatives
from dicomanon_node.deid.pseudonyms import Key
from dicomanon_node.errors import ConfigError, Problem
from dicomanon_node.node import process
from dicomanon_node.ops.silence import keep_quiet
from dicomanon_node.review.expectations import differences

_TESTS: Final = "tests"
# Known to everybody, and nothing it makes is kept: results are the same on every machine, and
# a CI needs no secret.
_KEY: Final = hashlib.sha256(b"dicomanon-node test-rules").digest()


@dataclass(frozen=True, slots=True)
class _Result:
    """What came of one test: how it differs from what was expected."""

    expectation: Expectation
    differences: Sequence[str]


@click.command("test-rules")
@click.argument(
    "directory",
    metavar="[DIR]",
    required=False,
    type=click.Path(path_type=Path, file_okay=False),
)
@click.option(
    "--junit",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the results as JUnit XML.",
)
@click.option("--tap", is_flag=True, help="Print TAP version 14 instead of text.")
@config_options
@reports_config_errors("The tests cannot be run:")
def test_rules(
    directory: Path | None,
    junit: Path | None,
    tap: bool,
    config_dir: Path,
    overrides: tuple[str, ...],
) -> None:
    """Test the rules with example files and what is expected of them.

    Reads *.toml and *.json in DIR (default: the directory tests in that of --config); their
    form is in docs/commands.md. Each example file goes the way of a received object, with a
    key made for tests. Nothing is sent or written, and no value of a file is shown.

    The exit code is 0 if all tests passed, 1 if one failed, 2 if the configuration or a
    test cannot be used.
    """
    config = load_config(config_dir, overrides)
    expectations = _read(directory or config_dir / _TESTS, config)
    process.forbid_core_dumps()
    keep_quiet()
    results = [_tested(config, each) for each in expectations]
    for line in _as_tap(results) if tap else _as_text(results):
        click.echo(line)
    if junit is not None:
        try:
            junit.write_bytes(_as_junit(results))
        except OSError as error:
            click.secho(f"{junit} cannot be written: {error.strerror}", fg="red", err=True)
            sys.exit(EXIT_NOT_ALL)
    sys.exit(EXIT_NOT_ALL if any(each.differences for each in results) else 0)


def _read(directory: Path, config: Config) -> list[Expectation]:
    files = []
    if directory.is_dir():
        files = sorted(path for path in directory.iterdir() if path.suffix in SUFFIXES)
    if not files:
        why = "there are no tests here (*.toml or *.json): docs/commands.md says how to write one"
        raise ConfigError(Problem(str(directory), "", why))
    found: list[Expectation] = []
    problems: list[Problem] = []
    for path in files:
        try:
            read = read_expectations(path)
        except ConfigError as error:
            problems += error.problems
            continue
        found += read
        problems += _unknown_names(path, read, config)
    if problems:
        raise ConfigError(*problems)
    return found


def _unknown_names(path: Path, read: Sequence[Expectation], config: Config) -> Iterator[Problem]:
    known = [entry.name for entry in config.node.destinations]
    for each in read:
        studies = config.rules.studies
        if each.study is not None and each.study not in studies:
            text = f"there is no such study{alternatives(each.study, studies)}"
            yield Problem(str(path), f"study of {each.name}", text)
        for name in each.destinations or ():
            if name not in known:
                text = f"there is no such destination{alternatives(name, known)}"
                yield Problem(str(path), f"destinations of {each.name}", text)


def _tested(config: Config, expectation: Expectation) -> _Result:
    try:
        way = way_of(config, Key(_KEY), called_aet=expectation.called_aet)
        found = differences(expectation, Found(expectation.file).open(), way)
    except UnusableError as error:
        found = [f"file: {expectation.file} {error}"]
    except OSError as error:
        found = [f"file: {expectation.file} cannot be read: {error.strerror}"]
    return _Result(expectation, [printable(text) for text in found])


def _as_text(results: Sequence[_Result]) -> Iterator[str]:
    for result in results:
        word = click.style("ok    ", "green") if not result.differences else _failed()
        yield f"{word} {printable(result.expectation.name)}"
        for text in result.differences:
            yield f"         {text}"
    failed_count = sum(bool(result.differences) for result in results)
    yield f"{counted(len(results), 'test')}, {failed_count} failed"
    if failed_count:
        yield "What happens to each element: dicomanon-node explain FILE"


def _failed() -> str:
    return click.style("FAILED", "red", bold=True)


def _as_tap(results: Sequence[_Result]) -> Iterator[str]:
    yield "TAP version 14"
    yield f"1..{len(results)}"
    for number, result in enumerate(results, 1):
        name = printable(result.expectation.name).replace("#", r"\#")
        yield f"{'not ok' if result.differences else 'ok'} {number} - {name}"
        for text in result.differences:
            yield f"# {text}"


def _as_junit(results: Sequence[_Result]) -> bytes:
    failed = sum(bool(result.differences) for result in results)
    suite = ET.Element(
        "testsuite", name="dicomanon-node test-rules", tests=str(len(results)), failures=str(failed)
    )
    for result in results:
        name = printable(result.expectation.name)
        case = ET.SubElement(suite, "testcase", classname="rules", name=name)
        if result.differences:
            failure = ET.SubElement(case, "failure", message=result.differences[0])
            failure.text = "\n".join(result.differences)
    content: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return content
