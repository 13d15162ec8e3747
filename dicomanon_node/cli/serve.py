"""`serve`: run the node in the foreground."""

import sys
from pathlib import Path

import click

from dicomanon_node.cli.common import (
    EXIT_NOT_ALL,
    config_options,
    load_config,
    reports_config_errors,
)
from dicomanon_node.cli.welcome import tell_started
from dicomanon_node.config import Config
from dicomanon_node.errors import ConfigError
from dicomanon_node.node.generation import StartError
from dicomanon_node.node.notices import configure_logs, tell_warnings
from dicomanon_node.node.supervisor import Supervisor
from dicomanon_node.ops import library_logs, logs, uncaught


@click.command()
@config_options
@reports_config_errors("The node cannot start:")
def serve(config_dir: Path, overrides: tuple[str, ...]) -> None:
    """Run the node in the foreground.

    It accepts associations once it has logged node.ready. Log lines go to standard output:
    readable text on a terminal, JSON elsewhere.

    SIGTERM, Ctrl-C or a closed terminal ends it: no new associations, open ones may go on
    for 20 seconds. A second one ends it at once. What was answered 0000H is safe in any
    case. SIGHUP, or the command reload, makes it read its configuration again.

    The exit code is 0 after an orderly end, 1 if something went wrong, 2 if the
    configuration cannot be used.
    """
    try:
        exit_code = _run(config_dir, overrides)
    except ConfigError as error:
        if not sys.stdout.isatty():  # there the text below says it
            _log_problems(error)
        raise
    except StartError as error:
        click.secho(f"The node cannot start: {error}. The log says more.", fg="red", err=True)
        exit_code = EXIT_NOT_ALL
    sys.exit(exit_code)


def _run(config_dir: Path, overrides: tuple[str, ...]) -> int:
    logs.configure(stream=sys.stdout)  # until the configuration says how

    def load() -> Config:
        return load_config(config_dir, overrides)

    config = load()
    configure_logs(config)
    library_logs.install()
    uncaught.install()
    tell_warnings(config)
    return Supervisor(config, load, lambda started: tell_started(config, config_dir, started)).run()


def _log_problems(error: ConfigError) -> None:
    for problem in error.problems:
        logs.get().event(
            "node.config_error", file=problem.file, path=problem.path, message=problem.message
        )
