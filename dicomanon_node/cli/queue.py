"""`queue`: what waits for each destination, what failed, and what to do about it."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from dicomanon_node.cli.common import config_options, load_config
from dicomanon_node.config import Config
from dicomanon_node.delivery.queue import Entry, Failure, QueueDirectory

_LISTED = 1_000_000


@click.group()
def queue() -> None:
    """List, retry and drop what waits for destinations."""


@queue.command("list")
@click.option("--destination", help="Only this one.")
@click.option("--failed", is_flag=True, help="Name each failed object and why.")
@config_options
def list_(
    destination: str | None, failed: bool, config_dir: Path, overrides: tuple[str, ...]
) -> None:
    """Count what waits and what failed, for each destination."""
    config = load_config(config_dir, overrides)
    queues = _queues(config, destination)
    if not queues:
        click.echo("No destination is configured: objects are written to the outgoing directory.")
        return
    width = max(len(found.destination) for found in queues)
    for found in queues:
        oldest, waiting_count = found.waiting(1)
        age = f", oldest {_age(oldest[0])}" if oldest else ""
        failures = found.failed()
        click.echo(
            f"{found.destination:<{width}}  {waiting_count} waiting{age}, {len(failures)} failed"
        )
        if failed:
            for entry, failure in failures:
                click.echo(f"  {entry.name}  {_why(failure)}")


@queue.command()
@click.argument("names", nargs=-1)
@click.option("--destination", required=True, help="Whose failed objects.")
@click.option("--all", "takes_all", is_flag=True, help="All that failed.")
@config_options
def retry(
    names: tuple[str, ...],
    destination: str,
    takes_all: bool,
    config_dir: Path,
    overrides: tuple[str, ...],
) -> None:
    """Put failed objects (by NAME as `queue list --failed` shows it) back into the queue."""
    config = load_config(config_dir, overrides)
    (found,) = _queues(config, destination)
    entries = _chosen(found, names, takes_all=takes_all)
    for entry in entries:
        found.retry(entry)
    click.echo(f"{len(entries)} back in the queue of {found.destination}")


@queue.command()
@click.argument("names", nargs=-1)
@click.option("--destination", required=True, help="Whose failed objects.")
@click.option("--all", "takes_all", is_flag=True, help="All that failed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_options
def drop(
    names: tuple[str, ...],
    destination: str,
    takes_all: bool,
    yes: bool,
    config_dir: Path,
    overrides: tuple[str, ...],
) -> None:
    """Delete failed objects undelivered. Their files in the outgoing directory stay."""
    config = load_config(config_dir, overrides)
    (found,) = _queues(config, destination)
    entries = _chosen(found, names, takes_all=takes_all)
    if not yes:
        click.confirm(
            f"Delete {len(entries)} objects that {found.destination} never got?", abort=True
        )
    for entry in entries:
        found.drop(entry)
    click.echo(f"{len(entries)} dropped")


def _queues(config: Config, destination: str | None) -> list[QueueDirectory]:
    names = [found.name for found in config.node.destinations]
    if destination is not None:
        if destination not in names:
            click.echo(f"No destination of this name. Configured: {', '.join(names)}", err=True)
            sys.exit(2)
        names = [destination]
    return [QueueDirectory(config.node.storage.spool, name) for name in names]


def _chosen(found: QueueDirectory, names: tuple[str, ...], *, takes_all: bool) -> list[Entry]:
    failed = {entry.name: entry for entry, _ in found.failed()}
    if takes_all:
        return list(failed.values())
    missing = [name for name in names if name not in failed]
    if missing or not names:
        click.echo(
            "Name failed objects as `dicomanon-node queue list --failed` shows them, or --all.",
            err=True,
        )
        sys.exit(2)
    return [failed[name] for name in names]


def _age(entry: Entry) -> str:
    seconds = int(datetime.now(UTC).timestamp() - entry.received_ns / 1e9)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{max(seconds, 0)} s"


def _why(failure: Failure) -> str:
    status = f" {failure.status:04X}H" if failure.status is not None else ""
    when = f" at {failure.time:%Y-%m-%d %H:%M:%SZ}" if failure.time else ""
    return f"{failure.reason}{status} after {failure.attempts} attempts{when}"
