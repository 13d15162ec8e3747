"""`hold`: what was refused and held, and what to do about it."""

import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
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
    reports_os_errors,
)
from dicomanon_node.cli.ledger import record_act, reports_ledger_errors
from dicomanon_node.config import Config
from dicomanon_node.hold.area import Area
from dicomanon_node.hold.entry import Entry
from dicomanon_node.node import process, releasing
from dicomanon_node.node.releasing import Releaser, Result
from dicomanon_node.ops import judges
from dicomanon_node.ops.silence import keep_quiet

_WHY: Final = {
    "gone": "is not there any more",
    "busy": "is in somebody else's hands just now",
    "unreadable": "cannot be opened",
    "kept": "still refused",
}
_HINTS: Final = {
    "unknown-key": "its key is none of hold.key_file and hold.old_key_files",
    "damaged": "the file was changed",
}


_reports_hold_errors = reports_os_errors(
    "This cannot be done:",
    "The hold belongs to the node: run this as the node's user, on its machine.",
)


@click.group()
def hold() -> None:
    """Look after refused objects that are held, encrypted.

    The node need not run; while it does, changes take effect at once. What is done here
    is in the node's log.
    """
    process.forbid_core_dumps()


@hold.command("list")
@click.option("--reason", metavar="CODE", help="Only what is refused for this.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@config_options
@reports_config_errors(UNUSABLE)
@_reports_hold_errors
def list_(reason: str | None, as_json: bool, config_dir: Path, overrides: tuple[str, ...]) -> None:
    """Name what is held, oldest first. Nothing is decrypted."""
    area = _area(load_config(config_dir, overrides))
    entries = [entry for entry in _entries(area) if reason in (None, entry.verdict)]
    for entry in entries:
        facts = _facts(entry)
        if as_json:
            click.echo(json.dumps(facts))
        else:
            click.echo(
                f"{facts['entry']}  {facts['held']}  {facts['verdict']:<18}"
                f"  {facts['bytes']:>12}  {facts['calling_aet']:<16}  {facts['study'] or '-'}"
            )
    if not as_json:
        click.echo(f"{counted(len(entries), 'object')} held")
    for name in area.unreadable() if area.held.is_dir() else ():
        click.echo(f"{printable(name)} is no hold file", err=True)


@hold.command()
@click.argument("entry_id", metavar="ID")
@config_options
@reports_config_errors(UNUSABLE)
@_reports_hold_errors
def show(entry_id: str, config_dir: Path, overrides: tuple[str, ...]) -> None:
    """Tell what may be known of a held object without decrypting it.

    ID is what `hold list` shows.
    """
    (entry,) = _named(_area(load_config(config_dir, overrides)), (entry_id,))
    for name, value in _facts(entry).items():
        click.echo(f"{name + ':':<13}{'-' if value is None else value}")


@hold.command()
@click.argument("entry_id", metavar="ID")
@click.option(
    "--to",
    "directory",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    required=True,
    help="Directory for the file.",
)
@click.option(
    "--i-am-authorised",
    "is_authorised",
    is_flag=True,
    help="Say so: the file identifies the patient, and the node's log will name you.",
)
@config_options
@reports_config_errors(UNUSABLE)
@reports_ledger_errors
@_reports_hold_errors
def export(
    entry_id: str,
    directory: Path,
    is_authorised: bool,
    config_dir: Path,
    overrides: tuple[str, ...],
) -> None:
    """Write a held object to a file as it came, IDENTIFIED.

    ID is what `hold list` shows. The file has mode 0600; the object stays in the hold.
    """
    if not is_authorised:
        raise click.UsageError(
            "The file will identify the patient. If you may see it, add --i-am-authorised."
        )
    config = load_config(config_dir, overrides)
    target = directory.resolve()
    if any(target.is_relative_to(public.resolve()) for public in _public(config)):
        raise click.UsageError(
            "--to lies in the spool or where objects are handed out: choose another directory."
        )
    area = _area(config)
    (entry,) = _named(area, (entry_id,))
    if config.node.audit.enabled:
        record_act(config, "hold-exported", {"entry": entry.label.entry})
    result = releasing.export(entry, target)
    if result.ending != "released":
        _tell(entry, result)
        sys.exit(EXIT_NOT_ALL)
    click.echo(f"{target / entry.label.entry}.dcm IDENTIFIES the patient. Delete it when done.")


@hold.command()
@click.argument("entry_ids", metavar="ID...", nargs=-1)
@click.option("--all", "takes_all", is_flag=True, help="All that are held.")
@click.option("--reason", metavar="CODE", help="With --all: only what is refused for this.")
@config_options
@reports_config_errors(UNUSABLE)
@_reports_hold_errors
def release(
    entry_ids: tuple[str, ...],
    takes_all: bool,
    reason: str | None,
    config_dir: Path,
    overrides: tuple[str, ...],
) -> None:
    """Take held objects through today's rules, as if they came just now.

    ID is what `hold list` shows. What passes is stored and queued and leaves the hold;
    what is still refused stays. The rules are those of the configuration directory, also if the
    node runs with older ones.
    """
    keep_quiet()
    config = load_config(config_dir, overrides)
    area = _area(config)
    entries = _chosen(area, entry_ids, takes_all=takes_all, reason=reason)
    counts: Counter[str] = Counter()
    with Releaser(config, area) as releaser:
        for entry in entries:
            result = releaser.release(entry)
            counts[result.ending] += 1
            if result.ending != "released":
                _tell(entry, result)
    click.echo(f"{counted(counts['released'], 'object')} released, {counts['kept']} still refused")
    if counts["released"] != len(entries):
        sys.exit(EXIT_NOT_ALL)


@hold.command()
@click.argument("entry_ids", metavar="ID...", nargs=-1)
@click.option("--all", "takes_all", is_flag=True, help="All that are held.")
@click.option("--reason", metavar="CODE", help="With --all: only what is refused for this.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_options
@reports_config_errors(UNUSABLE)
@_reports_hold_errors
def drop(
    entry_ids: tuple[str, ...],
    takes_all: bool,
    reason: str | None,
    yes: bool,
    config_dir: Path,
    overrides: tuple[str, ...],
) -> None:
    """Delete held objects.

    ID is what `hold list` shows. Where `hold.answer` was "accept", the sender may have
    deleted its own.
    """
    area = _area(load_config(config_dir, overrides))
    entries = _chosen(area, entry_ids, takes_all=takes_all, reason=reason)
    if entries and not yes:
        click.confirm(f"Delete {counted(len(entries), 'held object')} for good?", abort=True)
    dropped_count = 0
    for entry in entries:
        result = releasing.drop(entry)
        dropped_count += result.ending == "released"
        if result.ending != "released":
            _tell(entry, result)
    click.echo(f"{counted(dropped_count, 'object')} dropped")
    if dropped_count != len(entries):
        sys.exit(EXIT_NOT_ALL)


def _area(config: Config) -> Area:
    area = releasing.area_of(config)
    # What is made here must be the node's to read and to remove.
    if area.held.is_dir() and area.held.stat().st_uid != os.geteuid():
        click.secho("The hold belongs to another user: run this as the node's.", fg="red", err=True)
        sys.exit(EXIT_NOT_ALL)
    return area


def _entries(area: Area) -> list[Entry]:
    return area.entries() if area.held.is_dir() else []  # else the node never held anything


def _public(config: Config) -> list[Path]:
    return releasing.public_directories(config)


def _chosen(
    area: Area, entry_ids: tuple[str, ...], *, takes_all: bool, reason: str | None
) -> Sequence[Entry]:
    if bool(entry_ids) == takes_all or (reason is not None and not takes_all):
        raise click.UsageError(
            "Name objects as `dicomanon-node hold list` shows them, or give --all, perhaps with"
            " --reason."
        )
    if takes_all:
        return [entry for entry in _entries(area) if reason in (None, entry.verdict)]
    return _named(area, entry_ids)


def _named(area: Area, entry_ids: tuple[str, ...]) -> Sequence[Entry]:
    held = {entry.label.entry: entry for entry in _entries(area)}
    missing = [name for name in entry_ids if name not in held]
    if missing:
        click.echo(
            f"{counted(len(missing), 'object')} of {len(entry_ids)} not in the hold;"
            " nothing was done",
            err=True,
        )
        sys.exit(EXIT_NOT_ALL)
    return [held[name] for name in dict.fromkeys(entry_ids)]


def _facts(entry: Entry) -> dict[str, str | int | bool | None]:
    """What may be told of an entry; the label's words judged once more."""
    label = entry.label
    return {
        "entry": label.entry,
        "held": f"{label.held:%Y-%m-%d %H:%M:%S}Z",
        "verdict": entry.verdict,
        "reason": label.reason,
        "status": str(judges.STATUS.accept(label.status)),
        "tag": None if label.tag is None else str(judges.TAG.accept(label.tag)),
        "bytes": entry.size_bytes,
        "calling_aet": printable(label.calling_aet),
        "study": None if label.study is None else printable(label.study),
        "key_id": label.key_id,
        "has_key": label.key_id in entry.area.keys,
    }


def _tell(entry: Entry, result: Result) -> None:
    why = _HINTS.get(result.code, result.code)
    words = _WHY[result.ending] + (f": {why}" if why else "")
    click.echo(f"{entry.label.entry}  {words}", err=True)
