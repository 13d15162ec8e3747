"""Options and errors that all commands share."""

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from dicomanon_node.errors import ConfigError, Problem

if TYPE_CHECKING:
    from dicomanon_node.config import Config

_Command = Callable[..., Any]

EXIT_NOT_ALL: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it
UNUSABLE: Final = "The configuration cannot be used:"
_MAX_PROBLEMS_SHOWN: Final = 50


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


def load_config(config_dir: Path, overrides: tuple[str, ...]) -> "Config":
    """Load the configuration.

    Raises:
        ConfigError: It cannot be used.
    """
    if not config_dir.is_dir():
        why = (
            "there is no such directory. Go to where config/ is, or name the configuration's"
            " directory with --config DIR"
        )
        raise ConfigError(Problem(str(config_dir), "", why))
    # Brings in the tables of the standard, which what reads no configuration need not wait for.
    from dicomanon_node.config import load  # noqa: PLC0415  (slow)

    return load(config_dir, os.environ, overrides)


def has_colour() -> bool:
    """Whether standard output takes colours: a terminal, and NO_COLOR is not set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def printable(text: str) -> str:
    """A text of the outside world for a terminal: control characters escaped."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii")
        for c in text
    )


def counted(count: int, noun: str, plural: str = "") -> str:
    """A number and its noun, such as "1 object" or "2 objects".

    Args:
        count: The number.
        noun: For one.
        plural: For more; "" if an s does it.
    """
    return f"{count} {noun}" if count == 1 else f"{count} {plural or noun + 's'}"


def reports_config_errors(headline: str) -> Callable[[_Command], _Command]:
    """What is wrong with the configuration is told below a headline; exit code 2."""

    def decorate(command: _Command) -> _Command:
        @functools.wraps(command)
        def wrapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  (click's are untyped)
            try:
                return command(*args, **kwargs)
            except ConfigError as error:
                _tell_problems(error, headline)
                sys.exit(EXIT_USAGE)

        return wrapped

    return decorate


def reports_os_errors(headline: str, cure: str) -> Callable[[_Command], _Command]:
    """What the system refuses is told after a headline, and the cure below; exit code 1."""

    def decorate(command: _Command) -> _Command:
        @functools.wraps(command)
        def wrapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  (click's are untyped)
            try:
                return command(*args, **kwargs)
            except BrokenPipeError:  # whoever reads what we print has seen enough
                raise
            except OSError as error:
                click.secho(f"{headline} {error.strerror}", fg="red", err=True)
                click.echo(cure, err=True)
                sys.exit(EXIT_NOT_ALL)

        return wrapped

    return decorate


def _tell_problems(error: ConfigError, headline: str) -> None:
    click.secho(headline, fg="red", err=True)
    for problem in error.problems[:_MAX_PROBLEMS_SHOWN]:
        click.echo(f"  {printable(str(problem))}", err=True)
    hidden = len(error.problems) - _MAX_PROBLEMS_SHOWN
    if hidden > 0:
        click.echo(f"  ... and {hidden} more", err=True)
