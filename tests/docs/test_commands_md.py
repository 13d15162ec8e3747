"""docs/commands.md is of the commands that there are."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from pydicom import dcmread
from support_docs import ROOT, blocks, code, section, tables

from dicomanon_node.cli import main
from dicomanon_node.config.expectations import (
    ExpectationEntry,
    Expected,
    read_expectations,
)
from dicomanon_node.review.prospect import FIELDS

TEXT = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
OF_ALL = {"--config", "--set", "--help"}


def commands() -> dict[str, click.Command]:
    context = click.Context(main)
    found: dict[str, click.Command] = {}
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        found[name] = command
        if isinstance(command, click.Group):
            found |= {f"{name} {below}": each for below, each in command.commands.items()}
    return found


COMMANDS = commands()


def documented_options(name: str) -> dict[str, str]:
    found = [table for table in tables(section(TEXT, name)) if table[0][0].startswith("`--")]
    return {cells[0]: cells[1].replace("\\|", "|") for table in found for cells in table}


def test_every_command_has_its_section_and_no_other() -> None:
    headings = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
    assert headings == [*COMMANDS, "Tests of the rules"]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_section_begins_as_help_does_and_has_every_option(name: str) -> None:
    command = COMMANDS[name]
    assert command.help is not None
    assert section(TEXT, name).strip().startswith(command.help.strip().splitlines()[0])
    options = {
        ", ".join(f"`{option}`" for option in parameter.opts): " ".join(
            (parameter.help or "").split()
        )
        for parameter in command.params
        if isinstance(parameter, click.Option) and not set(parameter.opts) & OF_ALL
    }
    assert documented_options(name) == options


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does(name: str) -> None:
    for parameter in COMMANDS[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.opts


def test_the_form_of_try_is_documented() -> None:
    [rows] = [table for table in tables(section(TEXT, "try")) if table[0][0] == "`file`"]
    assert {code(row[0]): row[1] for row in rows} == dict(FIELDS)


def test_the_keys_and_words_of_tests_are_documented() -> None:
    keys, words = tables(section(TEXT, "Tests of the rules"))
    assert {code(row[0]) for row in keys} == set(ExpectationEntry.model_fields)
    assert [json.loads(code(row[0])) for row in words[:-2]] == list(Expected)


def test_the_test_that_is_shown_can_be_read(tmp_path: Path) -> None:
    [shown] = blocks(TEXT, "toml")
    (tmp_path / "shown.toml").write_text(shown, encoding="utf-8")
    first, second = read_expectations(tmp_path / "shown.toml")
    assert first.study == "CONNECTOME"
    assert (second.is_stored, second.reason) == (False, "burned-in")


def shown_lines() -> list[str]:
    lines = [line for block in blocks(TEXT, "sh") for line in block.splitlines()]
    return [line for line in lines if not line.startswith("journalctl")]


@pytest.mark.parametrize("line", shown_lines())
def test_a_command_that_is_shown_works(line: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "node.log").touch()
    program, *arguments = shlex.split(line)
    assert program == "dicomanon-node"
    done = subprocess.run(
        [sys.executable, "-m", "dicomanon_node", *arguments],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if not key.startswith("DICOMANON_")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_example_file_is_of_nobody() -> None:
    dataset = dcmread(ROOT / "config" / "tests" / "example.dcm")
    assert dataset.PatientName == "ANON^EXAMPLE"
    assert dataset.SOPInstanceUID.startswith("2.25.")
