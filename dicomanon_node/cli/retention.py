"""`retention`: what of outgoing is old enough to go, and let it go now."""

import sys
import time
from pathlib import Path
from typing import Final

import click

from dicomanon_node.cli.common import (
    EXIT_NOT_ALL,
    UNUSABLE,
    config_options,
    counted,
    load_config,
    printable,
    reports_config_errors,
)
from dicomanon_node.cli.ledger import reports_ledger_errors
from dicomanon_node.completion.retention import Retention
from dicomanon_node.ledger.database import engine_of
from dicomanon_node.ledger.removals import Removals

_DAY_US: Final = 86_400_000_000


@click.command()
@click.option("--dry-run", is_flag=True, help="Name what would go, and remove nothing.")
@config_options
@reports_config_errors(UNUSABLE)
@reports_ledger_errors
def retention(dry_run: bool, config_dir: Path, overrides: tuple[str, ...]) -> None:
    """Remove from outgoing what is older than `retention.outgoing_days`.

    The node does so by itself, each hour. Nothing that waits for a destination, or that one
    has refused, is ever removed.
    """
    node = load_config(config_dir, overrides).node
    days, outgoing = node.retention.outgoing_days, node.storage.outgoing
    if not days or outgoing is None:
        click.echo("Nothing: retention.outgoing_days is 0, so outgoing keeps everything.")
        return
    if not node.ledger.path.is_file():
        raise FileNotFoundError
    removals = Removals(engine_of(node.ledger.path, is_writer=not dry_run))

    def tell(path: str, _size_bytes: int) -> None:
        if dry_run:
            click.echo(printable(path))

    sweeper = Retention(outgoing, node.storage.spool, removals, _now_us, tell)
    try:
        swept = sweeper.sweep(_now_us() - days * _DAY_US, is_dry=dry_run)
    except OSError as error:
        click.secho(f"Outgoing or the spool cannot be used: {error.strerror}", fg="red", err=True)
        click.echo(
            "They belong to the node: run this as the node's user, on its machine.", err=True
        )
        sys.exit(EXIT_NOT_ALL)
    done = "would go" if dry_run else "removed"
    kept = f"; {counted(swept.kept, 'file')} old enough and in use" if swept.kept else ""
    click.echo(
        f"{counted(swept.removed, 'file')} {done}, {swept.bytes_count} bytes{kept}", err=dry_run
    )


def _now_us() -> int:
    return time.time_ns() // 1000
