"""`reidentify` and `rekey`: what the crosswalk is for, and a new key for it."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
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
from dicomanon_node.cli.ledger import record_act, reports_ledger_errors
from dicomanon_node.config import Config
from dicomanon_node.config.secrets import read_key
from dicomanon_node.ledger.crosswalk import CrosswalkKey, Person, UnreadableError
from dicomanon_node.ledger.database import engine_of
from dicomanon_node.ledger.queries import Receipts
from dicomanon_node.ledger.records import Fact, Link
from dicomanon_node.ledger.store import Ledger
from dicomanon_node.node import process
from dicomanon_node.ops import judges

_NAMES: Final = {
    "patient_id": "Patient ID",
    "patient_name": "Patient's Name",
    "issuer": "Issuer of Patient ID",
    "birth_date": "Patient's Birth Date",
    "study_uid": "Study Instance UID",
    "accession_number": "Accession Number",
    "days": "dates moved by, days",
}


@click.command()
@click.argument("name", metavar="PSEUDONYM|UID")
@click.option("--reason", required=True, metavar="TEXT", help="Why: it is kept for the audit.")
@click.option("--json", "as_json", is_flag=True, help="JSON, one study a line.")
@config_options
@reports_config_errors(UNUSABLE)
@reports_ledger_errors
def reidentify(
    name: str, reason: str, as_json: bool, config_dir: Path, overrides: tuple[str, ...]
) -> None:
    """Tell who a pseudonym is.

    For those who may know: it needs the key of the crosswalk, and who has asked, when, for
    whom and why is in the ledger before anything is shown. PSEUDONYM is a Patient ID of the
    de-identified objects; a Study, Series or SOP Instance UID of theirs does as well. Name
    nobody in the reason.

    The exit code is 1 if nothing is known, or no key opens it.
    """
    if not reason.strip():
        raise click.UsageError("Say why: --reason must not be empty.")
    process.forbid_core_dumps()
    config = load_config(config_dir, overrides)
    keys = _keys(config)
    found = Receipts(engine_of(config.node.ledger.path, is_writer=False)).links(name)
    facts: dict[str, Fact] = {
        # What the crosswalk does not know may be anything, also the patient's own number.
        "subject": str(judges.SHORT_TEXT.accept(name)) if found else judges.UNLISTED,
        "reason": str(judges.SHORT_TEXT.accept(reason.strip())),
        "entries": len(found),
        "keys": " ".join(sorted({link.key_id for link in found})),
    }
    record_act(config, "reidentified", facts)
    opened = [(link, person) for link in found if (person := _person(keys, link)) is not None]
    for link, person in opened:
        click.echo(json.dumps(_document(link, person)) if as_json else _text(link, person))
    closed_count = len(found) - len(opened)
    if closed_count:
        click.echo(f"{counted(closed_count, 'entry', 'entries')} that no key opens", err=True)
    elif not found:
        click.echo("The crosswalk has no entry for it.", err=True)
    if closed_count or not found:
        sys.exit(EXIT_NOT_ALL)


@click.command()
@config_options
@reports_config_errors(UNUSABLE)
@reports_ledger_errors
def rekey(config_dir: Path, overrides: tuple[str, ...]) -> None:
    """Encrypt the crosswalk anew, under today's key.

    Before: name the new key file in ledger.crosswalk_key_file and the old one in
    ledger.crosswalk_old_key_files, and start the node again. It may run meanwhile. If this
    is cut short, run it again. When it says that no entry needs an old key any more, take
    that out of the configuration, and destroy it.
    """
    process.forbid_core_dumps()
    config = load_config(config_dir, overrides)
    keys = _keys(config)
    today = next(iter(keys.values()))
    path = config.node.ledger.path
    done_count = 0
    with Ledger(engine_of(path, is_writer=True)) as ledger:
        for key in list(keys.values())[1:]:

            def again(link: Link, key: CrosswalkKey = key) -> Link:
                return today.seal(key.open(link), link.patient, link.study_uid, link.at)

            try:
                while count := ledger.reseal(key.key_id, again):
                    done_count += count
            except UnreadableError:
                click.echo(f"An entry of key {key.key_id} was changed; it stays.", err=True)
                sys.exit(EXIT_NOT_ALL)
    record_act(config, "rekeyed", {"entries": done_count, "keys": today.key_id})
    left = Receipts(engine_of(path, is_writer=False)).link_counts()
    click.echo(f"{counted(done_count, 'entry', 'entries')} encrypted anew under key {today.key_id}")
    others = {key_id: count for key_id, count in left.items() if key_id != today.key_id}
    for key_id, count in others.items():
        click.echo(
            f"{counted(count, 'entry', 'entries')} of key {key_id}, which is not configured",
            err=True,
        )
    if others:
        sys.exit(EXIT_NOT_ALL)
    click.echo("No entry needs an old key any more.")


def _keys(config: Config) -> dict[str, CrosswalkKey]:
    """By key id, today's first."""
    ledger = config.node.ledger
    files = (ledger.crosswalk_key_file, *ledger.crosswalk_old_key_files)
    keys = [CrosswalkKey(read_key(path)) for path in files]
    return {key.key_id: key for key in keys}


def _person(keys: Mapping[str, CrosswalkKey], link: Link) -> Person | None:
    try:
        return keys[link.key_id].open(link)
    except (KeyError, UnreadableError):
        return None


def _document(link: Link, person: Person) -> dict[str, object]:
    return {"patient": link.patient, "study": link.study_uid, **asdict(person)}


def _text(link: Link, person: Person) -> str:
    rows = [("pseudonym", link.patient), ("new Study Instance UID", link.study_uid)]
    rows += [(_NAMES[key], str(value)) for key, value in asdict(person).items()]
    width = max(len(name) for name, _ in rows)
    return "\n".join(printable(f"{name:<{width}}  {text}") for name, text in rows) + "\n"
