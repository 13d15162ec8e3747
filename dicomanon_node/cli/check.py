"""`check`: is the configuration right, and what will it do. `schema`: for editors."""

import json
from pathlib import Path

import click

from dicomanon_node.cli.common import config_options, load_config, reports_config_errors
from dicomanon_node.config.describe import describe
from dicomanon_node.config.schema import schemas
from dicomanon_node.deid.plan import Plan
from dicomanon_node.deid.pseudonyms import KEY_BYTES, Key
from dicomanon_node.deid.rules import StudyRules


@click.command()
@config_options
@reports_config_errors
def check(config_dir: Path, overrides: tuple[str, ...]) -> None:
    """Validate the configuration and print what each station and study will do."""
    config = load_config(config_dir, overrides)
    for line in describe(config, uncovered_names):
        click.echo(line)


def uncovered_names(rules: StudyRules) -> list[str]:
    """Names of the attributes of Table E.1-1 that a study's rules do not cover."""
    # Coverage does not depend on the key.
    plan = Plan(rules, Key(bytes(KEY_BYTES)))
    return [row.name for row in plan.uncovered()]


@click.command()
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write one file for each schema into this directory instead of printing them.",
)
def schema(output: Path | None) -> None:
    """Print JSON Schemas of the configuration files, for editors that complete and check."""
    found = schemas()
    if output is None:
        click.echo(json.dumps(found, indent=2))
        return
    output.mkdir(parents=True, exist_ok=True)
    for name, content in found.items():
        path = output / f"{name}.schema.json"
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        click.echo(path)
