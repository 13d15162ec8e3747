"""Options and errors that all commands share."""

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from dicomanon_node.config import Config, load
from dicomanon_node.errors import ConfigError

_Command = Callable[..., Any]

_EXIT_CONFIG = 2
_MAX_PROBLEMS_SHOWN = 50


def config_options(command: _Command) -> _Command:
    """Add --config and --set; the command gets `config_dir` and `overrides`."""
    command = click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Set a key of node.toml for this run, such as listener.port=11113. May be repeated.",
    )(command)
    return click.option(
        "--config",
        "config_dir",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("config"),
        show_default=True,
        help="Directory with node.toml, stations.json and studies.json.",
    )(command)


def load_config(config_dir: Path, overrides: tuple[str, ...]) -> Config:
    """Load the configuration, or say what is wrong with it and exit with 2."""
    try:
        return load(config_dir, os.environ, overrides)
    except ConfigError as error:
        fail_config(error)


def fail_config(error: ConfigError) -> NoReturn:
    """Say what is wrong with the configuration and exit with 2."""
    click.secho("The configuration cannot be used:", fg="red", err=True)
    for problem in error.problems[:_MAX_PROBLEMS_SHOWN]:
        click.echo(f"  {problem}", err=True)
    hidden = len(error.problems) - _MAX_PROBLEMS_SHOWN
    if hidden > 0:
        click.echo(f"  ... and {hidden} more", err=True)
    sys.exit(_EXIT_CONFIG)


def printable(text: str) -> str:
    """A text of the outside world for a terminal: control characters escaped."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def reports_config_errors(command: _Command) -> _Command:
    """A `ConfigError` that the command raises is told like one of `load_config`."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  (click's callbacks are untyped)
        try:
            return command(*args, **kwargs)
        except ConfigError as error:
            fail_config(error)

    return wrapped
