"""`try`: what would become of files if they were sent, without sending or writing them."""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click
from pydicom.uid import UID

from dicomanon_node.cli.common import (
    EXIT_INTERRUPTED,
    EXIT_NOT_ALL,
    UNUSABLE,
    config_options,
    counted,
    load_config,
    printable,
    reports_config_errors,
)
from dicomanon_node.cli.files import Found, UnusableError, walk
from dicomanon_node.cli.progress import Progress
from dicomanon_node.cli.target import AETitle
from dicomanon_node.cli.way import how_routed, node_key, way_of
from dicomanon_node.config import Config
from dicomanon_node.config.tags import keyword_of
from dicomanon_node.deid.dictionary import format_tag, is_private
from dicomanon_node.deid.pseudonyms import KEY_BYTES, Key
from dicomanon_node.node import process
from dicomanon_node.ops.silence import keep_quiet
from dicomanon_node.review import prospect as review
from dicomanon_node.review.explain import cure
from dicomanon_node.review.passage import Passage, Refusal, Way, taken
from dicomanon_node.review.prospect import Places, Prospect, prospect

_COLOURS: Final = {review.STORED: "green", review.REFUSED: "red", review.UNUSABLE: "red"}
_MOST_NAMED: Final = 5


@click.command("try")
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, exists=True),
)
@click.option("--study", metavar="NAME", help="Use this study's rules, whatever the object says.")
@click.option(
    "--called",
    type=AETitle(),
    metavar="AETITLE",
    help="Take files as sent to this AE title of ours.  [default: listener.ae_title]",
)
@click.option("--json", "is_json", is_flag=True, help="Print JSON: every file.")
@config_options
@reports_config_errors(UNUSABLE)
def try_(
    files: tuple[Path, ...],
    study: str | None,
    called: str | None,
    is_json: bool,
    config_dir: Path,
    overrides: tuple[str, ...],
) -> None:
    """Say what would become of files if they were sent.

    Shows the study and how it was found, whether the object would be stored or refused and
    what to do about that, its new name and where it would be forwarded. Nothing is sent or
    written. A folder gets a table. `dicomanon-node explain FILE` shows every element.

    The exit code is 0 if all DICOM files would be stored, 1 if one would be refused or
    cannot be used, or if there is none.
    """
    config = load_config(config_dir, overrides)
    process.forbid_core_dumps()
    keep_quiet()
    trial = _Trial(config, config_dir, study, called or "")
    try:
        with Progress("Trying", lambda: sum(1 for _ in walk(files))) as progress:
            for found in walk(files):
                trial.take(found)
                progress.step()
    except KeyboardInterrupt:
        click.echo("Interrupted", err=True)
        sys.exit(EXIT_INTERRUPTED)
    found_all = trial.found
    if is_json:
        click.echo(json.dumps(_form(config, found_all), indent=2))
    else:
        lines = trial.detail() if len(found_all) == 1 else _summary(config, found_all)
        for line in lines:
            click.echo(line.encode("utf-8", "backslashreplace").decode())
    outcomes = Counter(each.outcome for each in found_all)
    is_fine = outcomes[review.STORED] and not outcomes[review.REFUSED] + outcomes[review.UNUSABLE]
    sys.exit(0 if is_fine else EXIT_NOT_ALL)


class _Trial:
    """The files of one call, taken one after the other."""

    def __init__(self, config: Config, config_dir: Path, study: str | None, called: str) -> None:
        self.found: list[Prospect] = []
        self._config = config
        self._config_dir = config_dir
        self._study = study
        self._called = called
        storage = config.node.storage
        self._way = self._made_way()
        self._places = Places(storage.outgoing, self._way.settings.layout)
        self._last: Passage | None = None
        self._object = ""

    def _made_way(self) -> Way:
        if self._config.node.secrets.key_file.exists():
            key = node_key(self._config, "try")
        else:
            key = Key(os.urandom(KEY_BYTES))
            click.echo(
                "There is no key yet: new names and UIDs are shown as some key would make them.",
                err=True,
            )
        return way_of(self._config, key, self._study, self._called)

    def take(self, found: Found) -> None:
        """Take the next file."""
        try:
            file = found.open()
            passage = taken(file, self._way)
        except UnusableError as error:
            outcome = review.UNUSABLE if error.is_dicom else review.SKIPPED
            self.found.append(Prospect(found.path, outcome, str(error)))
            return
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
            self.found.append(Prospect(found.path, review.UNUSABLE, why))
            return
        rules = passage.route.plan.rules if passage.route else None
        destinations = self._way.settings.forwarded_to(rules) if rules else ()
        self.found.append(prospect(found.path, passage, self._places, destinations))
        self._last = passage
        self._object = f"{UID(file.sop_class_uid).name}, {UID(file.transfer_syntax_uid).name}"

    def detail(self) -> Iterator[str]:
        """All that is known of the only file."""
        [each] = self.found
        yield click.style(printable(str(each.file)), bold=True)
        if self._last is None:
            yield f"  {click.style(each.outcome, 'red')}: {each.why}"
            return
        yield f"  object      {self._object}"
        if each.study is not None:
            how = how_routed(self._config, self._config_dir, self._last, self._study, self._called)
            yield f"  study       {printable(each.study)}{', ' if how else ''}{how}"
        if each.refusal is not None:
            yield f"  outcome     {_refused(each.refusal)}"
            yield f"  cure        {cure(each.refusal)}"
            return
        yield f"  outcome     {click.style('would be stored', 'green', bold=True)} (0000H)"
        yield f"  file        {_short(each.path) if each.path else 'none: not written to outgoing'}"
        yield f"  forward     {', '.join(each.destinations) or 'to no destination'}"
        yield f"  patient     {printable(each.names.get('PatientID', ''))}"
        for word, keyword in (("study", "Study"), ("series", "Series"), ("object", "SOP")):
            yield f"  {word + ' UID':<12}{each.names.get(keyword + 'InstanceUID', '')}"
        yield ""
        yield "Nothing was sent or written. Every element: dicomanon-node explain FILE"


def _form(config: Config, found: Sequence[Prospect]) -> dict[str, object]:
    return {
        "version": review.FORM_VERSION,
        "rules": config.rules.digest,
        "files": [review.as_json(each) for each in found],
    }


def _refused(refusal: Refusal) -> str:
    where = ""
    if refusal.tag is not None:
        keyword = "" if is_private(refusal.tag) else keyword_of(refusal.tag)
        named = "" if keyword.startswith("(") else f" {keyword}"
        where = f" at {format_tag(refusal.tag)}{named}"
    words = click.style("would be REFUSED", "red", bold=True)
    return f"{words} ({refusal.status:04X}H): {refusal.comment} ({refusal.code}{where})"


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _summary(config: Config, found: Sequence[Prospect]) -> Iterator[str]:
    if not found:
        yield "Nothing found"
        return
    yield from _table(config, found)
    for outcome in (review.REFUSED, review.UNUSABLE, review.SKIPPED):
        yield from _named([each for each in found if each.outcome == outcome])
    yield ""
    outcomes = Counter(each.outcome for each in found)
    words = [f"{outcomes[review.STORED]} would be stored, {outcomes[review.REFUSED]} refused"]
    words += [f"{outcomes[word]} {word}" for word in (review.UNUSABLE, review.SKIPPED)]
    yield f"{', '.join(words)}. Nothing was sent or written."


def _table(config: Config, found: Sequence[Prospect]) -> Iterator[str]:
    # One line for each study and what becomes of its objects.
    groups = Counter(
        (each.study or "-", each.outcome, each.refusal.code if each.refusal else "", _goes(each))
        for each in found
        if each.outcome in (review.STORED, review.REFUSED)
    )
    if not groups:
        return
    defaults = Counter(each.study for each in found if each.is_by_default)
    study_width = max(5, *(len(printable(study)) for study, *_ in groups))
    what_width = max(7, *(len(f"{outcome} {code}".strip()) for _, outcome, code, _ in groups))
    yield f"{'study':<{study_width}}  {'outcome':<{what_width}}  {'files':>7}  goes to"
    for (study, outcome, code, goes), count in sorted(groups.items()):
        what = f"{f'{outcome} {code}'.strip():<{what_width}}"
        styled = click.style(what, _COLOURS[outcome])
        yield f"{printable(study):<{study_width}}  {styled}  {count:>7}  {goes}".rstrip()
    missing = sum(defaults.values())
    if missing:
        yield ""
        yield (
            f"Of {counted(missing, 'file')} a value that routes is missing: the rules of"
            f" {printable(config.rules.default_study)} were taken (by_default in --json)."
        )


def _goes(each: Prospect) -> str:
    if each.outcome != review.STORED:
        return ""
    return ", ".join([*(["outgoing"] if each.path else []), *each.destinations])


def _named(found: Sequence[Prospect]) -> Iterator[str]:
    by_why: dict[str, list[Prospect]] = {}
    for each in found:
        by_why.setdefault(_refused(each.refusal) if each.refusal else each.why, []).append(each)
    for why, each_file in by_why.items():
        first = each_file[0]
        yield ""
        yield why if first.refusal else f"{first.outcome}: {why}"
        if first.refusal:
            yield f"  {cure(first.refusal)}"
        for each in each_file[:_MOST_NAMED]:
            yield f"  {printable(str(each.file))}"
        if len(each_file) > _MOST_NAMED:
            yield f"  ... and {len(each_file) - _MOST_NAMED} more (--json names all)"
