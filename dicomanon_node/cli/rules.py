"""`rules`: what is done with the objects of a study, added from a shell."""

import difflib
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from dicomanon_node.cli.common import (
    EXIT_NOT_ALL,
    config_options,
    load_config,
    printable,
    reports_config_errors,
)
from dicomanon_node.config import Config, load
from dicomanon_node.config.addition import with_member
from dicomanon_node.config.describe import describe
from dicomanon_node.config.documents import read_json
from dicomanon_node.config.loading import STATIONS_FILE, STUDIES_FILE
from dicomanon_node.config.problems import escape
from dicomanon_node.config.replacing import replace_text
from dicomanon_node.errors import ConfigError, Problem
from dicomanon_node.node.notices import uncovered_names

_STUDY_LINES: Final = 4  # how far `describe` indents what it says of a study
_MOST_FOLLOWING: Final = 2
_PROFILES: Final = {"basic": "basic", "none": None}


@click.group()
def rules() -> None:
    """Write rules for studies."""


@rules.command()
@click.argument("study", metavar="STUDY")
@click.option(
    "--from",
    "profile",
    type=click.Choice(list(_PROFILES)),
    default="basic",
    show_default=True,
    help="The floor: the Basic Profile of PS3.15, or none: what no rule lists is KEPT.",
)
@click.option(
    "--options",
    metavar="NAME,...",
    default="",
    help="Options of PS3.15 Annex E, such as CleanDescriptors,RetainPatientCharacteristics.",
)
@click.option(
    "--destinations",
    metavar="NAME,...",
    help="Where its objects are forwarded to; '' is nowhere.  [default: all destinations]",
)
@click.option(
    "--station",
    metavar="NAME",
    help="Also add this StationName to stations.json. Needs --tag-for-study.",
)
@click.option(
    "--tag-for-study",
    metavar="KEYWORD",
    help="Which element of the station's objects names the study. Needs --station.",
)
@click.option("--dry-run", is_flag=True, help="Show the change and write nothing.")
@config_options
@reports_config_errors("Nothing was written:")
def new(
    study: str,
    profile: str,
    options: str,
    destinations: str | None,
    station: str | None,
    tag_for_study: str | None,
    dry_run: bool,
    config_dir: Path,
    overrides: tuple[str, ...],
) -> None:
    """Add a study to studies.json.

    STUDY is the value by which objects name it: see `dicomanon-node check` for the element
    of each station. The file's other lines stay as they are. The outcome is checked first:
    if the node could not start with it, nothing is written.
    """
    if (station is None) != (tag_for_study is None):
        raise click.UsageError("--station and --tag-for-study go together.")
    before = load_config(config_dir, overrides)
    changes = {STUDIES_FILE: (study, _entry(profile, options, destinations))}
    if station is not None:
        changes[STATIONS_FILE] = (station, {"TagForStudy": tag_for_study})
    texts = {
        name: _with(config_dir / name, member, entry) for name, (member, entry) in changes.items()
    }
    after = load(config_dir, os.environ, overrides, instead=texts)
    for line in _told(config_dir, texts, before, after, study):
        click.echo(line)
    if dry_run:
        click.echo("\nNothing was written (--dry-run).")
        return
    try:
        for name in sorted(texts):  # the station first: it names a study that then comes
            replace_text(config_dir / name, texts[name])
    except OSError as error:
        click.secho(f"{config_dir} cannot be written: {error.strerror}", fg="red", err=True)
        sys.exit(EXIT_NOT_ALL)
    click.echo(f"\nWritten. Look what it does: dicomanon-node try --study {_quoted(study)} FILE")
    click.echo("A running node takes it up with: dicomanon-node reload")


def _entry(profile: str, options: str, destinations: str | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"Profile": _PROFILES[profile], "Options": _words(options)}
    if destinations is not None:
        entry["Destinations"] = _words(destinations)
    return entry


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _with(path: Path, name: str, entry: dict[str, Any]) -> str:
    # `load_config` has read it: it is UTF-8, and one object.
    text = path.read_bytes().decode("utf-8")
    if name in read_json(path):
        what = "study" if path.name == STUDIES_FILE else "station"
        raise ConfigError(
            Problem(
                str(path),
                printable(name),
                f"is there already: edit that {what}, or choose another name",
            )
        )
    return with_member(text, name, entry)


def _told(
    config_dir: Path, texts: dict[str, str], before: Config, after: Config, study: str
) -> Iterator[str]:
    for name in sorted(texts):
        path = config_dir / name
        old = path.read_bytes().decode("utf-8").splitlines()
        diff = difflib.unified_diff(old, texts[name].splitlines(), str(path), str(path), "", "", 2)
        for line in list(diff):
            colour = {"+": "green", "-": "red"}.get(line[:1])
            yield click.style(printable(line.rstrip("\r\n")), fg=colour)
    yield ""
    yield from _described(after, study)
    for warning in after.rules.warnings:
        if warning not in before.rules.warnings:
            yield click.style(f"Warning: {printable(warning.path)}: {warning.message}", fg="yellow")


def _described(config: Config, study: str) -> Iterator[str]:
    # The study's own lines of what `check` prints, long ones cut.
    is_inside = False
    following = 0
    for line in describe(config, uncovered_names):
        depth = len(line) - len(line.lstrip())
        if depth < _STUDY_LINES:
            is_inside = line.strip() == escape(study)
        following = following + 1 if depth > _STUDY_LINES else 0
        if is_inside and following <= _MOST_FOLLOWING:
            yield line
        elif is_inside and following == _MOST_FOLLOWING + 1:
            yield "      ... (`dicomanon-node check` says all)"


def _quoted(study: str) -> str:
    return shlex.quote(study)
