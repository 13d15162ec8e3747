"""`queue`: what waits for each destination, what failed, and what to do about it."""

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import click

from dicomanon_node.cli.common import (
    EXIT_NOT_ALL,
    EXIT_USAGE,
    UNUSABLE,
    config_options,
    counted,
    load_config,
    reports_config_errors,
    reports_os_errors,
)
from dicomanon_node.config import Config
from dicomanon_node.config.problems import alternatives
from dicomanon_node.delivery.queue import Entry, Failure, QueueDirectory

_reports_spool_errors = reports_os_errors(
    "The spool cannot be used:",
    "It belongs to the node: run this as the node's user, on its machine.",
)


@click.group()
def queue() -> None:
    """Look after what waits for destinations.

    The node need not run; while it does, changes take effect at once.
    """


@queue.command("list")
@click.option("--destination", metavar="NAME", help="Only this one.")
@click.option("--failed", is_flag=True, help="Name each failed object and why it failed.")
@config_options
@reports_config_errors(UNUSABLE)
@_reports_spool_errors
def list_(
    destination: str | None, failed: bool, config_dir: Path, overrides: tuple[str, ...]
) -> None:
    """Count what waits and what failed, for each destination."""
    queues = _queues(load_config(config_dir, overrides), destination)
    if not queues:
        click.echo("No destination is configured: nothing is forwarded.")
    width = max((len(found.destination) for found in queues), default=0)
    for found in queues:
        oldest, waiting_count, failures = _looked_at(found)
        age = f", the oldest for {_age(oldest[0])}" if oldest else ""
        click.echo(
            f"{found.destination:<{width}}  {waiting_count} waiting{age}; {len(failures)} failed"
        )
        for entry, failure in failures if failed else ():
            click.echo(f"  {entry.name}  {_why(failure)}")


@queue.command()
@click.argument("names", metavar="NAME...", nargs=-1)
@click.option("--destination", metavar="NAME", required=True, help="Whose failed objects.")
@click.option("--all", "takes_all", is_flag=True, help="All that failed.")
@config_options
@reports_config_errors(UNUSABLE)
@_reports_spool_errors
def retry(
    names: tuple[str, ...],
    destination: str,
    takes_all: bool,
    config_dir: Path,
    overrides: tuple[str, ...],
) -> None:
    """Send failed objects again.

    NAME is what `queue list --failed` shows.
    """
    (found,) = _queues(load_config(config_dir, overrides), destination)
    done, gone = _each(_chosen(found, names, takes_all=takes_all), found.retry)
    click.echo(f"{counted(done, 'object')} back in the queue of {found.destination}{gone}")


@queue.command()
@click.argument("names", metavar="NAME...", nargs=-1)
@click.option("--destination", metavar="NAME", required=True, help="Whose failed objects.")
@click.option("--all", "takes_all", is_flag=True, help="All that failed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_options
@reports_config_errors(UNUSABLE)
@_reports_spool_errors
def drop(
    names: tuple[str, ...],
    destination: str,
    takes_all: bool,
    yes: bool,
    config_dir: Path,
    overrides: tuple[str, ...],
) -> None:
    """Delete failed objects.

    NAME is what `queue list --failed` shows. The destination never gets them. Their files
    in the outgoing directory stay.
    """
    (found,) = _queues(load_config(config_dir, overrides), destination)
    entries = _chosen(found, names, takes_all=takes_all)
    if entries and not yes:
        click.confirm(
            f"Delete {counted(len(entries), 'object')} that {found.destination} never got?",
            abort=True,
        )
    done, gone = _each(entries, found.drop)
    click.echo(f"{counted(done, 'object')} dropped{gone}")


def _queues(config: Config, destination: str | None) -> list[QueueDirectory]:
    names = [found.name for found in config.node.destinations]
    if destination is not None:
        if destination not in names:
            known = alternatives(destination, names)
            click.echo(f"There is no destination of this name{known}", err=True)
            sys.exit(EXIT_USAGE)
        names = [destination]
    return [QueueDirectory(config.node.storage.spool, name) for name in names]


def _looked_at(
    found: QueueDirectory,
) -> tuple[list[Entry], int, Sequence[tuple[Entry, Failure]]]:
    try:
        return *found.waiting(1), found.failed()
    except FileNotFoundError:  # the node has not been started with this destination yet
        return [], 0, ()


def _chosen(found: QueueDirectory, names: tuple[str, ...], *, takes_all: bool) -> list[Entry]:
    if bool(names) == takes_all:
        raise click.UsageError(
            "Name objects as `dicomanon-node queue list --failed` shows them, or give --all."
        )
    failed = {entry.name: entry for entry, _ in _looked_at(found)[2]}
    if takes_all:
        return list(failed.values())
    missing = [name for name in names if name not in failed]
    if missing:
        click.echo(
            f"{counted(len(missing), 'object')} of {len(names)} not among the failed ones of"
            f" {found.destination}; nothing was done",
            err=True,
        )
        sys.exit(EXIT_NOT_ALL)
    return [failed[name] for name in names]


def _each(entries: Sequence[Entry], change: Callable[[Entry], object]) -> tuple[int, str]:
    """Change each entry that is still there: somebody else may do the same just now.

    Returns:
        How many were changed, and what to say of the others.
    """
    done = 0
    for entry in entries:
        with suppress(FileNotFoundError):
            change(entry)
            done += 1
    gone = len(entries) - done
    return done, f"; {counted(gone, 'object')} not there any more" if gone else ""


def _age(entry: Entry) -> str:
    seconds = int(datetime.now(UTC).timestamp() - entry.received_ns / 1e9)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{max(seconds, 0)} s"


def _why(failure: Failure) -> str:
    status = f" ({failure.status:04X}H)" if failure.status is not None else ""
    when = f", {failure.time:%Y-%m-%d %H:%M:%S}Z" if failure.time else ""
    return f"{failure.reason}{status} at attempt {failure.attempts}{when}"
