"""`reload`: the running node reads its configuration again."""

import sys
from pathlib import Path
from typing import Final

import click

from dicomanon_node.cli.common import (
    EXIT_NOT_ALL,
    EXIT_USAGE,
    config_options,
    load_config,
    printable,
    reports_config_errors,
)
from dicomanon_node.errors import Problem
from dicomanon_node.node.control import NoAnswerError, NotRunningError, ask

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
    try:
        answer = ask(spool, "reload", _TIMEOUT_S)
    except NotRunningError:
        _fail(f"No node runs on {spool}: start it with `dicomanon-node serve`.")
    except NoAnswerError as error:
        _fail(f"{error}; its log says more.".capitalize())
    except PermissionError:
        _fail(f"{spool} belongs to another user: run this as the node's user.")
    if answer.get("is_reloaded"):
        click.echo(f"Reloaded: rules {answer['rules']} are in force for new associations.")
        return
    click.secho(f"Nothing was changed: rules {answer['rules']} stay in force.", fg="red", err=True)
    for problem in answer.get("problems", ()):
        click.echo(f"  {printable(str(Problem(*problem)))}", err=True)
    sys.exit(EXIT_USAGE)


def _fail(message: str) -> None:
    click.secho(message, fg="red", err=True)
    sys.exit(EXIT_NOT_ALL)
