"""`serve`: run the node in the foreground."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from dicomanon_node.cli.check import uncovered_names
from dicomanon_node.cli.common import (
    EXIT_NOT_ALL,
    config_options,
    load_config,
    reports_config_errors,
)
from dicomanon_node.cli.welcome import tell_started
from dicomanon_node.config import Config
from dicomanon_node.errors import ConfigError, Problem
from dicomanon_node.node import build
from dicomanon_node.node.supervisor import StartError, Supervisor
from dicomanon_node.ops import library_logs, logs, uncaught

# So many names fit into one line of the log.
_NAMES_A_LINE = 20


@click.command()
@config_options
@reports_config_errors("The node cannot start:")
def serve(config_dir: Path, overrides: tuple[str, ...]) -> None:
    """Run the node in the foreground.

    It accepts associations once it has logged node.ready. Log lines go to standard output:
    readable text on a terminal, JSON elsewhere.

    SIGTERM, Ctrl-C or a closed terminal ends it: no new associations, open ones may go on
    for 20 seconds. A second one ends it at once. What was answered 0000H is safe in any
    case.

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
    config = load_config(config_dir, overrides)
    _configure_logs(config)
    return Supervisor(config, lambda started: tell_started(config, config_dir, started)).run()


def _log_problems(error: ConfigError) -> None:
    for problem in error.problems:
        logs.get().event(
            "node.config_error", file=problem.file, path=problem.path, message=problem.message
        )


def _configure_logs(config: Config) -> None:
    log = config.node.log
    logs.configure(
        format=log.format,
        level=log.level,
        stream=sys.stdout,
        studies=config.rules.studies,
        destinations=build.destination_names(config),
    )
    library_logs.install()
    uncaught.install()
    for warning in (*config.rules.warnings, *_start_warnings(config)):
        logs.get().event(
            "node.config_warning", file=warning.file, path=warning.path, message=warning.message
        )


def _start_warnings(config: Config) -> Iterator[Problem]:
    # What is allowed, and must not go unsaid when the node starts.
    if not config.node.peers:
        yield Problem("node.toml", "peers", "none listed: every sender is accepted")
    if not config.node.storage.sync:
        yield Problem(
            "node.toml",
            "storage.sync",
            "false: what is answered 0000H may be lost when the machine stops",
        )
    for name, rules in config.rules.studies.items():
        if rules.profile is not None:
            continue
        names = uncovered_names(rules)
        yield Problem(
            "studies.json",
            name,
            f"Profile is null: {len(names)} attributes of Table E.1-1 are kept",
        )
        for some in _batches(names, _NAMES_A_LINE):
            yield Problem("studies.json", name, "kept: " + ", ".join(some))


def _batches(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), size):
        yield names[start : start + size]
