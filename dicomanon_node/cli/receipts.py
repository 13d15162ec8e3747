"""`receipts`: which instances were answered 0000H, and what became of them."""

import csv
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any, Final

import click

from dicomanon_node.cli.common import (
    EXIT_NOT_ALL,
    EXIT_USAGE,
    UNUSABLE,
    config_options,
    counted,
    load_config,
    printable,
    reports_config_errors,
)
from dicomanon_node.cli.ledger import reports_ledger_errors
from dicomanon_node.config import Config
from dicomanon_node.config.secrets import read_key
from dicomanon_node.deid.pseudonyms import Key
from dicomanon_node.ledger.database import engine_of
from dicomanon_node.ledger.origins import Origins
from dicomanon_node.ledger.queries import Receipt, Receipts, State, Wanted
from dicomanon_node.ops import judges

_LISTED: Final = 100
_SPAN: Final = re.compile(r"([1-9][0-9]{0,5})(s|min|h|d)")
_UNITS: Final = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days"}
_COLUMNS: Final = (
    "first_received",
    "last_received",
    "received_count",
    "study",
    "study_uid",
    "series_uid",
    "sop_instance_uid",
    "variant",
    "sop_class",
    "bytes",
    "calling_aet",
    "association",
    "rules",
    "key_id",
    "deliveries",
)

Command = Callable[..., Any]


def _selecting(command: Command) -> Command:
    for option in (
        click.option("--until", metavar="TIME", help="Received before; as --since."),
        click.option(
            "--since",
            metavar="TIME",
            help="Received since: 2026-11-20, 2026-11-20T14:00 (UTC), or 30min, 12h, 7d ago.",
        ),
        click.option("--study", metavar="NAME", help="Only of this study in studies.json."),
    ):
        command = option(command)
    return command


@click.group()
def receipts() -> None:
    """Look up which instances were received, and what became of them.

    UIDs are those of the de-identified objects. What was received in the last second may
    not be there yet.
    """


@receipts.command("list")
@_selecting
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=_LISTED,
    show_default=True,
    help="How many at most.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON, one receipt a line.")
@config_options
@reports_config_errors(UNUSABLE)
@reports_ledger_errors
def list_(
    study: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    as_json: bool,
    config_dir: Path,
    overrides: tuple[str, ...],
) -> None:
    """List receipts, the oldest first."""
    config = load_config(config_dir, overrides)
    wanted = _wanted(study, since, until)
    found = list(_opened(config).find(wanted, limit + 1))
    for receipt in found[:limit]:
        click.echo(json.dumps(_document(receipt)) if as_json else _line(receipt))
    if len(found) > limit:
        click.echo("... and more: --limit, --since and --study say which.", err=True)


@receipts.command()
@click.argument("uids", metavar="UID...", nargs=-1)
@click.option(
    "--original",
    is_flag=True,
    help="The UIDs are original ones, read from standard input, one a line.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON, one receipt a line.")
@config_options
@reports_config_errors(UNUSABLE)
@reports_ledger_errors
def show(
    uids: tuple[str, ...],
    original: bool,
    as_json: bool,
    config_dir: Path,
    overrides: tuple[str, ...],
) -> None:
    """Show all that is known of instances.

    UID is a Study, Series or SOP Instance UID. Original UIDs come from standard input, so
    that they are seen in no list of processes and no history; they are hashed under the
    node's key, and looked up by that. The exit code is 1 if one is not known.
    """
    if bool(uids) == original:
        raise click.UsageError(
            "Give new UIDs, or --original and the original ones on standard input."
        )
    config = load_config(config_dir, overrides)
    ledger = _opened(config)
    missing_count = 0
    for wanted, refused in _asked(config, ledger, uids, original=original):
        found = list(ledger.find(wanted))
        missing_count += not found
        for receipt in found:
            click.echo(json.dumps(_document(receipt)) if as_json else _text(receipt))
        for at, reason, status in refused:
            click.echo(f"{_time(at)}  refused: {reason} ({status:04X}H)", err=as_json)
    if missing_count:
        click.echo(f"{counted(missing_count, 'UID')} without a receipt", err=True)
        sys.exit(EXIT_NOT_ALL)


@receipts.command()
@_selecting
@click.option("--json", "as_json", is_flag=True, help="JSON.")
@config_options
@reports_config_errors(UNUSABLE)
@reports_ledger_errors
def count(
    study: str | None,
    since: str | None,
    until: str | None,
    as_json: bool,
    config_dir: Path,
    overrides: tuple[str, ...],
) -> None:
    """Count instances by study."""
    config = load_config(config_dir, overrides)
    counts = _opened(config).count(_wanted(study, since, until))
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in counts]))
        return
    width = max((len(entry.study) for entry in counts), default=0)
    for entry in counts:
        click.echo(
            f"{printable(entry.study):<{width}}  {counted(entry.instances, 'instance')} of"
            f" {counted(entry.studies, 'study', 'studies')},"
            f" {entry.bytes_count} bytes"
        )


@receipts.command()
@_selecting
@click.option("--json", "as_json", is_flag=True, help="JSON lines in place of CSV.")
@config_options
@reports_config_errors(UNUSABLE)
@reports_ledger_errors
def export(
    study: str | None,
    since: str | None,
    until: str | None,
    as_json: bool,
    config_dir: Path,
    overrides: tuple[str, ...],
) -> None:
    """Write all receipts to standard output, as CSV or JSON lines."""
    config = load_config(config_dir, overrides)
    found = _opened(config).find(_wanted(study, since, until))
    if as_json:
        for receipt in found:
            click.echo(json.dumps(_document(receipt)))
        return
    writer = csv.DictWriter(sys.stdout, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for receipt in found:
        row = _document(receipt)
        ends = [f"{entry['destination']}={entry['state']}" for entry in row["deliveries"]]
        writer.writerow({name: row[name] for name in _COLUMNS} | {"deliveries": " ".join(ends)})


def _opened(config: Config) -> Receipts:
    if not config.node.ledger.enabled:
        click.echo("There is no ledger: ledger.enabled is false.", err=True)
        sys.exit(EXIT_NOT_ALL)
    return Receipts(engine_of(config.node.ledger.path, is_writer=False))


def _asked(
    config: Config, ledger: Receipts, uids: tuple[str, ...], *, original: bool
) -> Iterator[tuple[Wanted, list[tuple[int, str, int]]]]:
    if not original:
        for uid in uids:
            yield Wanted(uid=uid), []
        return
    origins = Origins(Key(read_key(config.node.secrets.key_file)))
    for line in sys.stdin:
        if uid := line.strip(" \0\r\n"):
            hashed = origins.hash(uid)
            refused = [(row["at"], row["reason"], row["status"]) for row in ledger.refused(hashed)]
            yield Wanted(original=hashed), refused


def _wanted(study: str | None, since: str | None, until: str | None) -> Wanted:
    return Wanted(study=study, since=_moment(since), until=_moment(until))


def _moment(text: str | None) -> int | None:
    if text is None:
        return None
    span = _SPAN.fullmatch(text)
    try:
        if span:
            moment = datetime.now(UTC) - timedelta(**{_UNITS[span[2]]: int(span[1])})
        else:
            moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        click.echo(
            "A time is written 2026-11-20 or 2026-11-20T14:00, in UTC, or 30min, 12h or 7d ago.",
            err=True,
        )
        sys.exit(EXIT_USAGE)


def _time(at: int | None) -> str:
    if at is None:
        return "-"
    return f"{datetime.fromtimestamp(at / 1_000_000, UTC):%Y-%m-%d %H:%M:%S}Z"


def _line(receipt: Receipt) -> str:
    ends = " ".join(f"{entry.destination}={entry.state}" for entry in receipt.deliveries)
    return printable(
        f"{_time(receipt.last_at)}  {receipt.sop_instance_uid}  {receipt.study}  {ends}".rstrip()
    )


def _text(receipt: Receipt) -> str:
    known = [
        ("SOP Instance UID", receipt.sop_instance_uid),
        ("Series Instance UID", receipt.series_uid),
        ("Study Instance UID", receipt.study_uid),
        ("study", receipt.study),
        ("SOP class", str(judges.KNOWN_UID.accept(receipt.sop_class))),
        ("received", _time(receipt.first_at)),
        ("bytes", str(receipt.bytes_count)),
        ("from", f"{receipt.calling_aet}, association {receipt.association}"),
        ("rules", f"{receipt.rules}, key {receipt.key_id}"),
    ]
    if receipt.received_count > 1:
        times = f"{receipt.received_count} times, last {_time(receipt.last_at)}"
        known.insert(6, ("received again", times))
    if receipt.variant:
        known.insert(1, ("variant", f"{receipt.variant}: another object of this UID"))
    if name := _file_name(receipt):
        removed = f", removed {_time(receipt.removed_at)}" if receipt.removed_at else ""
        known.append(("file", f"{PurePosixPath(receipt.directory or '', name)}{removed}"))
    for entry in receipt.deliveries:
        text = str(entry.state)
        if entry.state is State.DELIVERED:
            text += f" {_time(entry.delivered_at)}"
        elif entry.state is State.FAILED:
            text += f" {_time(entry.failed_at)}: {entry.reason}"
            text += f" ({entry.status:04X}H)" if entry.status is not None else ""
        known.append((f"to {entry.destination}", text))
    width = max(len(name) for name, _ in known)
    return "\n".join(printable(f"{name:<{width}}  {text}") for name, text in known) + "\n"


def _file_name(receipt: Receipt) -> str | None:
    if receipt.directory is None:
        return None
    return receipt.file_name or f"{receipt.sop_instance_uid}.dcm"


def _document(receipt: Receipt) -> dict[str, Any]:
    def iso(at: int | None) -> str | None:
        return None if at is None else datetime.fromtimestamp(at / 1_000_000, UTC).isoformat()

    return {
        "first_received": iso(receipt.first_at),
        "last_received": iso(receipt.last_at),
        "received_count": receipt.received_count,
        "study": receipt.study,
        "study_uid": receipt.study_uid,
        "series_uid": receipt.series_uid,
        "sop_instance_uid": receipt.sop_instance_uid,
        "variant": receipt.variant,
        "sop_class": receipt.sop_class,
        "transfer_syntax": receipt.transfer_syntax,
        "bytes": receipt.bytes_count,
        "calling_aet": receipt.calling_aet,
        "association": receipt.association,
        "directory": receipt.directory,
        "file_name": _file_name(receipt),
        "removed": iso(receipt.removed_at),
        "rules": receipt.rules,
        "key_id": receipt.key_id,
        "original_study": receipt.original_study,
        "original_series": receipt.original_series,
        "original_instance": receipt.original_instance,
        "deliveries": [
            {
                "destination": entry.destination,
                "state": str(entry.state),
                "queued": iso(entry.queued_at),
                "delivered": iso(entry.delivered_at),
                "delivered_count": entry.delivered_count,
                "failed": iso(entry.failed_at),
                "status": None if entry.status is None else f"{entry.status:04X}H",
                "reason": entry.reason or None,
                "attempts": entry.attempts,
            }
            for entry in receipt.deliveries
        ],
    }
