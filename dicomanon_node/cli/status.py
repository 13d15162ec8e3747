"""`status`: one look at the running node, or one look after the other."""

import json
import sys
import time
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dicomanon_node.cli.asking import ask_node
from dicomanon_node.cli.common import (
    EXIT_NOT_ALL,
    UNUSABLE,
    config_options,
    load_config,
    reports_config_errors,
)

_TIMEOUT_S: Final = 10.0
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400
_LONG_S: Final = 300
"""An instance that waits longer than this deserves a look."""

_MB: Final = 1_000_000


@click.command()
@config_options
@click.option("--json", "is_json", is_flag=True, help="Print it as JSON.")
@click.option("--watch", is_flag=True, help="Look again every second, until Ctrl-C.")
@reports_config_errors(UNUSABLE)
def status(config_dir: Path, overrides: tuple[str, ...], *, is_json: bool, watch: bool) -> None:
    """Show how the running node does: processes, queues, counts since its start.

    The exit code is 0 if it runs and takes objects, 1 if not.
    """
    spool = load_config(config_dir, overrides).node.storage.spool
    if is_json:
        answer = _ask(spool)
        click.echo(json.dumps(answer, indent=2))
        sys.exit(0 if answer["is_ready"] else EXIT_NOT_ALL)
    console = Console(highlight=False)
    answer = _ask(spool)
    if not watch:
        console.print(_render(answer, None))
        sys.exit(0 if answer["is_ready"] else EXIT_NOT_ALL)
    try:
        with Live(_render(answer, None), console=console, auto_refresh=False) as live:
            while True:
                time.sleep(1.0)
                before, answer = answer, _ask(spool)
                live.update(_render(answer, before), refresh=True)
    except KeyboardInterrupt:
        return


def _ask(spool: Path) -> dict[str, Any]:
    return ask_node(spool, "status", _TIMEOUT_S)


def _render(answer: dict[str, Any], before: dict[str, Any] | None) -> Group:
    """What a person looks at.

    Args:
        answer: What the node says.
        before: What it said a second ago, for rates.
    """
    lines = [_headline(answer), _counts(answer, before), _processes(answer)]
    if not answer["queues"]:
        return Group(*lines, Text("No destinations: objects stay in the outgoing directory."))
    return Group(*lines, _queues(answer))


def _headline(answer: dict[str, Any]) -> Text:
    text = Text()
    if answer["is_ready"]:
        text.append("ready", style="bold green")
    else:
        text.append(f"NOT READY: {', '.join(answer['not_ready'])}", style="bold red")
    text.append(
        f"  {answer['ae_title']} on {answer['host']}:{answer['port']},"
        f" up {_span(answer['seconds'])}\n"
        f"rules {answer['rules']}, {_studies(answer['studies'])}, version {answer['version']}"
    )
    return text


def _counts(answer: dict[str, Any], before: dict[str, Any] | None) -> Text:
    totals = answer["totals"]
    text = Text(f"since the start: {totals['stored']:,} stored, {totals['bytes'] / _MB:,.1f} MB; ")
    text.append(f"{totals['duplicates']:,} came again; ")
    text.append(f"{totals['refused']:,} refused", style="yellow" if totals["refused"] else "")
    if before is not None:
        seconds = max(answer["seconds"] - before["seconds"], 0.1)
        objects = (totals["stored"] - before["totals"]["stored"]) / seconds
        megabytes = (totals["bytes"] - before["totals"]["bytes"]) / seconds / _MB
        text.append(f"\nnow: {objects:,.0f} objects/s, {megabytes:,.1f} MB/s", style="bold")
    return text


def _processes(answer: dict[str, Any]) -> Text:
    counts: dict[str, int] = {}
    for process in answer["processes"]:
        counts[process["role"]] = counts.get(process["role"], 0) + 1
    told = ", ".join(f"{count} {role}" for role, count in counts.items())
    if answer["retiring"]:
        told += " (some end with their associations, under rules of before)"
    return Text(f"processes: {told}")


def _queues(answer: dict[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("destination")
    for title in ("waiting", "oldest", "failed"):
        table.add_column(title, justify="right")
    for queue in answer["queues"]:
        if queue["waiting"] is None:
            table.add_row(queue["destination"], Text("cannot be read", style="red"), "", "")
            continue
        oldest_s = queue["oldest_s"]
        table.add_row(
            queue["destination"],
            f"{queue['waiting']:,}",
            Text(
                "" if oldest_s is None else _span(oldest_s),
                style="yellow" if oldest_s is not None and oldest_s > _LONG_S else "",
            ),
            Text(f"{queue['failed']:,}", style="red" if queue["failed"] else ""),
        )
    return table


def _span(seconds: float) -> str:
    if seconds < _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    if seconds < _DAY_S:
        return f"{seconds / _HOUR_S:.1f} h"
    return f"{seconds / _DAY_S:.1f} d"


def _studies(count: int) -> str:
    return "1 study" if count == 1 else f"{count} studies"
