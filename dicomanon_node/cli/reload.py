"""`reload`: the running node reads its configuration again."""

import sys
from pathlib import Path
from typing import Final

import click

from dicomanon_node.cli.asking import ask_node
from dicomanon_node.cli.common import (
    EXIT_USAGE,
    config_options,
    load_config,
    printable,
    reports_config_errors,
)
from dicomanon_node.errors import Problem

_TIMEOUT_S: Final = 90.0
"""Seconds to wait: new processes may take half a minute until they work."""


@click.command()
@config_options
@reports_config_errors("Nothing was changed: the configuration cannot be used:")
def reload(config_dir: Path, overrides: tuple[str, ...]) -> None:
    """Let the running node read its configuration again.

    Rules, peers, destinations, limits and certificates are swapped at an association
    boundary: associations that are open end under the rules they began with, new ones get
    the new rules. If something in the configuration is wrong, nothing changes, and every
    mistake is named with its file and place. SIGHUP does the same, and the log tells.

    The directory says which node: the one that runs on the spool named there. It reads the
    files with the options and the environment it was started with.

    The exit code is 0 if the new configuration is in force, 1 if the node does not run, 2 if
    the configuration cannot be used.
    """
    spool = load_config(config_dir, overrides).node.storage.spool
    answer = ask_node(spool, "reload", _TIMEOUT_S)
    if answer.get("is_reloaded"):
        click.echo(f"Reloaded: rules {answer['rules']} are in force for new associations.")
        return
    click.secho(f"Nothing was changed: rules {answer['rules']} stay in force.", fg="red", err=True)
    for problem in answer.get("problems", ()):
        click.echo(f"  {printable(str(Problem(*problem)))}", err=True)
    sys.exit(EXIT_USAGE)
