"""The group of commands: each waits for no more than it needs itself."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from dicomanon_node.cli import main

_NAMES = main.list_commands(click.Context(main))


@pytest.mark.parametrize("name", _NAMES)
def test_a_command_that_is_listed_can_be_asked_for(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name


def test_a_command_that_is_not_listed_is_not_there() -> None:
    assert main.get_command(click.Context(main), "main") is None
    done = CliRunner().invoke(main, ["deidentfy"])
    assert done.exit_code == 2
    assert "No such command" in done.output


def test_help_lists_every_command_in_the_order_people_need_them() -> None:
    done = CliRunner().invoke(main, ["--help"])
    commands = done.output.partition("Run the node:")[2].splitlines()
    assert [line.split()[0] for line in commands if line.startswith("  ")] == _NAMES
    assert _NAMES[:2] == ["serve", "send"]


def test_help_says_what_commands_are_for() -> None:
    done = CliRunner().invoke(main, ["--help"])
    headings = [line for line in done.output.splitlines() if line.endswith(":")]
    assert headings[0] == "Options:"
    assert len(headings) > 3
    assert "Commands:" not in headings


@pytest.mark.parametrize(
    "library", ["pynetdicom", "cryptography.x509", "dicomanon_node.review.verification"]
)
def test_deidentify_does_not_wait_for_what_it_does_not_need(library: str) -> None:
    program = f"import sys, dicomanon_node.cli.deidentify; sys.exit({library!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == 0
