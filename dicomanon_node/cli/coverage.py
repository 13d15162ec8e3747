"""`coverage`: each study against Table E.1-1 of PS3.15."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import click

from dicomanon_node.cli.common import (
    EXIT_NOT_ALL,
    UNUSABLE,
    config_options,
    load_config,
    printable,
    reports_config_errors,
)
from dicomanon_node.cli.way import require_study
from dicomanon_node.deid.table import TABLE_EDITION
from dicomanon_node.review import coverage as review
from dicomanon_node.review.coverage import RowCoverage, State, StudyCoverage

_LISTS: Final = ("all", "covered", "overridden", "weaker", "uncovered")
_MAX_UNASKED: Final = 10


@click.command()
@click.argument("study", metavar="[STUDY]", required=False)
@click.option(
    "--list",
    "wanted",
    type=click.Choice(_LISTS),
    help="Name every such row. Unasked, the first weaker ones are named.",
)
@click.option(
    "--strict", is_flag=True, help="Exit with 1 if a study leaves rows uncovered or weaker."
)
@click.option("--json", "is_json", is_flag=True, help="Print JSON, with every row.")
@config_options
@reports_config_errors(UNUSABLE)
def coverage(
    study: str | None,
    wanted: str | None,
    strict: bool,
    is_json: bool,
    config_dir: Path,
    overrides: tuple[str, ...],
) -> None:
    """Compare studies with PS3.15 Table E.1-1, attribute by attribute.

    A row is covered by the profile and the study's options, overridden by a rule of the
    study, or uncovered because the study has no profile. A rule is called weaker where
    more of the original stays than the profile would leave.
    """
    config = load_config(config_dir, overrides)
    rules = config.rules.studies
    if study is not None:
        require_study(config, study)
        rules = {study: rules[study]}
    found = [review.of(study_rules) for study_rules in rules.values()]
    if is_json:
        click.echo(json.dumps(review.as_json(found, config.rules.digest), indent=2))
    else:
        for each in found:
            for line in _told(each, wanted):
                click.echo(line)
    if strict and not all(each.is_whole for each in found):
        sys.exit(EXIT_NOT_ALL)


def _told(study: StudyCoverage, wanted: str | None) -> Iterator[str]:
    rules, counts = study.rules, study.counts
    floor = "NO PROFILE, what is not listed is kept"
    if rules.profile is not None:
        floor = f"Basic Profile, {', '.join(sorted(rules.options)) or 'no options'}"
    yield f"{click.style(printable(rules.name), bold=True)}: {floor}"
    by_option = f" ({counts['by_option']} by options)" if counts["by_option"] else ""
    yield (
        f"  {len(study.rows)} rows of Table E.1-1 ({TABLE_EDITION}): {counts['covered']}"
        f" covered{by_option}, {counts['overridden']} overridden, {counts['uncovered']} uncovered"
    )
    weaker = study.weaker
    if weaker:
        yield click.style(
            f"  {len(weaker)} of the overridden are WEAKER than the profile", "yellow"
        )
    if wanted is None:
        yield from _rows(weaker[:_MAX_UNASKED])
        if len(weaker) > _MAX_UNASKED:
            yield f"    ... and {len(weaker) - _MAX_UNASKED} more (--list weaker)"
    else:
        yield from _rows(_chosen(study, wanted))


def _chosen(study: StudyCoverage, wanted: str) -> Iterable[RowCoverage]:
    if wanted == "weaker":
        return study.weaker
    return study.rows if wanted == "all" else study.of_state(State(wanted))


def _rows(rows: Iterable[RowCoverage]) -> Iterator[str]:
    rows = sorted(rows, key=lambda row: row.tag)
    names = max((len(row.name) for row in rows), default=0)
    actions = max((len(row.action) for row in rows), default=0)
    for row in rows:
        by = f" by {row.option}" if row.option else ""
        state = "WEAKER" if row.is_weaker else row.state.value
        yield (
            f"    {row.tag}  {row.vr:<2}  {row.name:<{names}}  {row.action:<{actions}}"
            f"  {row.code}{by}, {state}"
        )
