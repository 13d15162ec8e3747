"""`explain`: what the rules do to one object, element by element."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import click
from pydicom.uid import UID

from dicomanon_node.cli.common import (
    EXIT_NOT_ALL,
    UNUSABLE,
    config_options,
    counted,
    load_config,
    printable,
    reports_config_errors,
)
from dicomanon_node.cli.files import Found, UnusableError
from dicomanon_node.cli.way import how_routed, node_key, way_of
from dicomanon_node.config import Config
from dicomanon_node.config.loading import STUDIES_FILE
from dicomanon_node.config.tags import keyword_of
from dicomanon_node.deid.dictionary import format_tag
from dicomanon_node.deid.trace import Outcome
from dicomanon_node.network.part10 import DicomFile
from dicomanon_node.node import process
from dicomanon_node.ops.silence import keep_quiet
from dicomanon_node.review import explain as review
from dicomanon_node.review.explain import Entry, Value
from dicomanon_node.review.passage import Passage, taken

_COLOURS: Final = {
    Outcome.REMOVED: "red",
    Outcome.EMPTIED: "red",
    Outcome.REPLACED: "yellow",
    Outcome.GUARDED: "magenta",
    Outcome.ADDED: "green",
}
_WIDEST_PATH: Final = 44
_VALUE_WIDTH: Final = 56
_ELLIPSIS: Final = "..."


@click.command()
@click.argument(
    "file", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@click.option("--study", metavar="NAME", help="Use this study's rules, whatever the object says.")
@click.option(
    "--show-values", is_flag=True, help="Show values, before and after. They identify the patient."
)
@click.option("--all", "shows_all", is_flag=True, help="A line for each element that stays, too.")
@click.option("--json", "is_json", is_flag=True, help="Print JSON: every element, values uncut.")
@config_options
@reports_config_errors(UNUSABLE)
def explain(
    file: Path,
    study: str | None,
    show_values: bool,
    shows_all: bool,
    is_json: bool,
    config_dir: Path,
    overrides: tuple[str, ...],
) -> None:
    """Say what happens to each element of a file, and which rule decided it.

    The file goes the way of a received object, through the same rules and with the node's
    key, and nothing is written. What it shows can be passed on unless --show-values is
    given. The forms are described in docs/deid.md.

    The exit code is 0 if the object would be accepted, 1 if it would be refused or is no
    DICOM file.
    """
    config = load_config(config_dir, overrides)
    process.forbid_core_dumps()
    keep_quiet()
    way = way_of(config, node_key(config, "explain"), study)
    try:
        found = Found(file).open()
        passage = taken(found, way)
    except UnusableError as error:
        _fail(file, str(error))
    except OSError as error:
        _fail(file, f"cannot be read: {error.strerror}")
    if is_json:
        made = review.as_json(
            passage,
            file=str(file),
            sop_class_uid=found.sop_class_uid,
            transfer_syntax_uid=found.transfer_syntax_uid,
            digest=config.rules.digest,
            shows_values=show_values,
        )
        click.echo(json.dumps(made, indent=2))
    else:
        if show_values:
            click.echo("What follows identifies the patient.", err=True)
        entries = review.entries(passage, shows_values=show_values)
        _tell(_head(config, config_dir, found, passage, study))
        _tell(_table(entries, shows_all=shows_all))
        _tell(_verdict(passage, entries, shows_all=shows_all))
    sys.exit(EXIT_NOT_ALL if passage.refusal else 0)


def _fail(file: Path, why: str) -> None:
    click.echo(f"{printable(str(file))}: {why}", err=True)
    sys.exit(EXIT_NOT_ALL)


def _head(
    config: Config, config_dir: Path, file: DicomFile, passage: Passage, study: str | None
) -> Iterator[str]:
    yield click.style(printable(str(file.path)), bold=True)
    syntax = UID(file.transfer_syntax_uid).name
    yield f"  object  {UID(file.sop_class_uid).name}, {syntax}"
    if passage.route is None:
        return
    rules = passage.route.plan.rules
    yield f"  study   {printable(rules.name)}, {how_routed(config, config_dir, passage, study)}"
    floor = "no profile: what is not listed is kept"
    if rules.profile is not None:
        floor = f"Basic Profile, {', '.join(sorted(rules.options)) or 'no options'}"
    yield f"  rules   {floor}; {config_dir / STUDIES_FILE} (rules {config.rules.digest})"


def _table(found: list[Entry], *, shows_all: bool) -> Iterator[str]:
    shown = found if shows_all else [entry for entry in found if entry.is_remarkable]
    if not shows_all:
        shown = review.collapsed(shown)
    if not shown:
        return
    yield ""
    rows = [(entry, _path(entry)) for entry in shown]
    width = min(max(len(path) for _, path in rows), _WIDEST_PATH)
    names = max(len(entry.keyword) for entry, _ in rows)
    for entry, path in rows:
        if len(path) > width:
            yield f"  {path}"
            path = ""  # noqa: PLW2901  (it has a line of its own)
        outcome = click.style(f"{_word(entry.outcome):<8}", fg=_COLOURS.get(entry.outcome))
        yield f"  {path:<{width}}  {entry.vr:<2}  {entry.keyword:<{names}}  {outcome}  {entry.rule}"
        if entry.original is not None and entry.new is not None:
            yield from _values(entry, entry.original, entry.new)


def _path(entry: Entry) -> str:
    path = printable(entry.path)
    return f"{path} x{entry.count}" if entry.count > 1 else path


def _word(outcome: Outcome) -> str:
    return outcome.name.lower()


def _values(entry: Entry, original: Value, new: Value) -> Iterator[str]:
    # Different elements on one line have no value to show.
    if not entry.vr or not (original.length or new.length):
        return
    more = f"  and {entry.count - 1} more" if entry.count > 1 else ""
    texts = f"{_shown(original)} -> {_shown(new)}"
    if entry.outcome is Outcome.KEPT:
        texts = _shown(original)
    elif entry.outcome is Outcome.REMOVED:
        texts = f"{_shown(original)} -> removed"
    elif entry.outcome is Outcome.ADDED:
        texts = f"-> {_shown(new)}"
    yield click.style(f"      {texts}{more}", dim=True)


def _shown(value: Value) -> str:
    if value.text is None:
        return f"<{counted(value.length, 'byte')}>"
    if not value.length:
        return "empty"
    text = printable(value.text)
    if len(text) > _VALUE_WIDTH:
        text = text[: _VALUE_WIDTH - len(_ELLIPSIS)] + _ELLIPSIS
    return f'"{text}"'


def _verdict(passage: Passage, entries: list[Entry], *, shows_all: bool) -> Iterator[str]:
    yield ""
    counts = review.counted(passage)
    if passage.trace.steps:
        words = [f"{count} {_word(outcome)}" for outcome, count in counts.items() if count]
        yield f"{counted(sum(counts.values()), 'element')}: {', '.join(words)}"
        if not shows_all and counts[Outcome.KEPT]:
            yield "Not listed: what stays because no rule speaks of it (--all lists it)"
        if any('"?' in entry.path for entry in entries):
            yield 'Names of unknown private creators are hidden as "?1" (--show-values shows them)'
    refusal = passage.refusal
    if refusal is None:
        pixels = ", pixel data passes unchanged" if passage.has_pixel_data else ""
        yield f"Preamble and File Meta Information are new{pixels}"
        yield click.style("Accepted", fg="green", bold=True)
        return
    where = f" at {format_tag(refusal.tag)}" if refusal.tag is not None else ""
    where += f" {keyword_of(refusal.tag)}" if refusal.tag and not refusal.tag & 0x10000 else ""
    status = f"{refusal.status:04X}H {refusal.comment}"
    yield click.style(f"REFUSED: {status} ({refusal.code}{where})", fg="red", bold=True)
    yield f"  {review.cure(refusal)}"
    if passage.trace.steps:
        yield "  What is listed above had been done when it was refused; nothing of it is kept."


def _tell(lines: Iterable[str]) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    for line in lines:
        click.echo(line.encode(encoding, "backslashreplace").decode(encoding))
