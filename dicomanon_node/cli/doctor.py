"""`doctor`: is everything as a node needs it, and what to do where it is not."""

import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from dicomanon_node.cli import examine_audit, examine_machine, examine_network, examine_rules
from dicomanon_node.cli.common import config_options, load_config, printable
from dicomanon_node.cli.findings import Finding, Weight, error, exit_code
from dicomanon_node.config import Config
from dicomanon_node.errors import ConfigError
from dicomanon_node.ops.silence import keep_quiet

# In the order in which a person would look. What is looked at next is added here.
_CHECKS: Final[Sequence[Callable[[Config], Iterator[Finding]]]] = (
    examine_network.port,
    examine_network.title,
    examine_network.peers,
    examine_rules.key,
    examine_machine.directories,
    examine_machine.disk,
    examine_machine.clock,
    examine_machine.process_limits,
    examine_machine.surroundings,
    examine_rules.rules,
    examine_network.destinations,
    examine_audit.audit,
    examine_rules.queues,
)
_WORDS: Final = {
    Weight.OK: ("ok", "green"),
    Weight.NOTE: ("note", "cyan"),
    Weight.WARNING: ("warning", "yellow"),
    Weight.ERROR: ("ERROR", "red"),
}
_WORD_WIDTH: Final = 7
_NARROWEST: Final = 60


@click.command()
@click.option("--json", "is_json", is_flag=True, help="Print JSON: every finding.")
@config_options
def doctor(is_json: bool, config_dir: Path, overrides: tuple[str, ...]) -> None:
    """Look whether everything is as the node needs it.

    Port, AE title, peers, key, directories, disk, clock, limits, rules, destinations (by
    C-ECHO), audit and queues. Each finding comes with its cure. Nothing is changed; the node may
    run or not. Run it as the node's user, on its machine.

    The exit code is 0 if nothing need be done, 1 if something should be, 2 if the node
    cannot start or takes no objects.
    """
    keep_quiet()
    found: list[Finding] = []
    for finding in _examined(config_dir, overrides):
        found.append(finding)
        if not is_json:
            _tell(finding)
    if is_json:
        click.echo(json.dumps(_form(found), indent=2))
    else:
        click.echo(_summary(found))
    sys.exit(exit_code(found))


def _examined(config_dir: Path, overrides: tuple[str, ...]) -> Iterator[Finding]:
    try:
        config = load_config(config_dir, overrides)
    except ConfigError as fault:
        for problem in fault.problems:
            yield error("config", str(problem), "")
        return
    for check in _CHECKS:
        yield from check(config)


def _tell(finding: Finding) -> None:
    word, colour = _WORDS[finding.weight]
    head = f"{finding.subject}: {finding.text}"
    lines = _wrapped(printable(head))
    if finding.cure:
        lines += _wrapped(f"-> {printable(finding.cure)}")
    shown = click.style(f"{word:<{_WORD_WIDTH}}", fg=colour)
    click.echo(f"{shown} {lines[0]}")
    for line in lines[1:]:
        click.echo(" " * (_WORD_WIDTH + 3) + line)


def _wrapped(text: str) -> list[str]:
    if not sys.stdout.isatty():
        return [text]
    width = max(shutil.get_terminal_size().columns, _NARROWEST) - _WORD_WIDTH - 3
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def _summary(found: Sequence[Finding]) -> str:
    counts = {weight: sum(each.weight is weight for each in found) for weight in Weight}
    errors, warnings, notes = (
        counts[weight] for weight in (Weight.ERROR, Weight.WARNING, Weight.NOTE)
    )
    if errors:
        return f"\n{errors} to be done before the node can work, {warnings} that should be done"
    if warnings:
        return f"\nThe node can work; {warnings} to be done, {notes} to know"
    return f"\nNothing to be done, {notes} to know"


def _form(found: Sequence[Finding]) -> dict[str, object]:
    return {
        "version": 1,
        "findings": [
            {
                "weight": each.weight.name.lower(),
                "subject": each.subject,
                "text": each.text,
                "cure": each.cure or None,
            }
            for each in found
        ],
    }
