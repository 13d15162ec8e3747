"""`serve`: run the node in the foreground."""

import sys
from pathlib import Path

import click

from dicomanon_node.cli.common import config_options, load_config, reports_config_errors
from dicomanon_node.config import Config
from dicomanon_node.node import build
from dicomanon_node.node.supervisor import Started, Supervisor
from dicomanon_node.ops import library_logs, logs, uncaught

_LOOPBACK = "127.0.0.1"
_ANY = ("0.0.0.0", "::")  # noqa: S104  (compared, not bound)


@click.command()
@config_options
@reports_config_errors
def serve(config_dir: Path, overrides: tuple[str, ...]) -> None:
    """Run the node in the foreground; SIGTERM or Ctrl-C ends it cleanly.

    Log lines go to standard output: JSON, or readable text on a terminal.
    """
    config = load_config(config_dir, overrides)
    node = config.node
    logs.configure(
        format=node.log.format,
        level=node.log.level,
        stream=sys.stdout,
        studies=config.rules.studies,
        destinations=build.destination_names(config),
    )
    library_logs.install()
    uncaught.install()
    log = logs.get()
    for warning in config.rules.warnings:
        log.event(
            "node.config_warning", file=warning.file, path=warning.path, message=warning.message
        )
    supervisor = Supervisor(config, lambda started: _tell(config, config_dir, started))
    sys.exit(supervisor.run())


def _tell(config: Config, config_dir: Path, started: Started) -> None:
    # For a person: at the first start, and whenever a terminal shows standard error.
    if not (started.has_new_key or sys.stderr.isatty()):
        return
    node = config.node
    host = _LOOPBACK if started.host in _ANY else started.host
    where = "every address of this machine" if started.host in _ANY else started.host
    title = node.listener.ae_title
    lines = [
        "",
        f"dicomanon_node is ready: AE title {title}, port {started.port}, {where}.",
        "",
        "What happens to an object:",
        "  routed by its StationName to a study (stations.json, studies.json),",
        "  de-identified while it is received,",
    ]
    if node.storage.outgoing is not None:
        lines.append(f"  written to {_relative(node.storage.outgoing)}/{node.storage.layout}")
    lines += [f"  forwarded to {found.name}," for found in node.destinations]
    lines += [
        "  and only then answered 0000H. The original is never written anywhere.",
        "",
    ]
    if not node.peers:
        lines.append("Every sender is accepted: list [[peers]] in node.toml to narrow that.")
    if started.has_new_key:
        lines.append(
            f"A secret key was made: {_relative(node.secrets.key_file)} (mode 0600)."
            " Keep a copy: pseudonyms and UIDs depend on it."
        )
    option = "" if config_dir == Path("config") else f" --config {config_dir}"
    target = f"{node.listener.ae_title}@{host}:{started.port}"
    lines += [
        "",
        "Try it from another terminal:",
        f"  {_program()} send{option} --to {target} FILE...",
        "",
    ]
    click.echo("\n".join(lines), err=True)


def _program() -> str:
    # As the user can type it: the script beside the interpreter, unless it is on PATH.
    script = Path(sys.argv[0])
    if script.name == "__main__.py":
        return "dicomanon-node"
    return _relative(script)


def _relative(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
