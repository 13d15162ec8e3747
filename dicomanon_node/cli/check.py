"""`check`: is the configuration right, and what will it do. `schema`: for editors."""

import json
import sys
from pathlib import Path

import click

from dicomanon_node.cli.common import (
    EXIT_NOT_ALL,
    config_options,
    load_config,
    reports_config_errors,
)
from dicomanon_node.config.describe import describe
from dicomanon_node.config.schema import schemas
from dicomanon_node.config.secrets import read_key
from dicomanon_node.node import build
from dicomanon_node.node.notices import certificate_warnings, uncovered_names


@click.command()
@config_options
@reports_config_errors("The node could not start:")
def check(config_dir: Path, overrides: tuple[str, ...]) -> None:
    """Validate the configuration and explain it.

    Prints what will happen to objects, station by station and study by study. All
    mistakes are named at once, with file, place and what is allowed. Nothing is started,
    written or changed. The exit code is 2 if the node could not start.
    """
    config = load_config(config_dir, overrides)
    key_file = config.node.secrets.key_file
    if key_file.exists():
        read_key(key_file)
    # As `serve` would, also what only OpenSSL finds wrong with certificates.
    build.listener_settings(config)
    build.client_tls(config)
    for line in describe(config, uncovered_names, certificate_warnings(config)):
        click.echo(line)


@click.command()
@click.option(
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write one file for each schema into this directory instead of printing them.",
)
def schema(output: Path | None) -> None:
    """Print JSON Schemas of the configuration files.

    Editors use them to complete and to check node.toml, stations.json and studies.json.
    """
    found = schemas()
    if output is None:
        click.echo(json.dumps(found, indent=2))
        return
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, content in found.items():
            path = output / f"{name}.schema.json"
            path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
            click.echo(path)
    except OSError as error:
        click.secho(f"{output} cannot be written: {error.strerror}", fg="red", err=True)
        sys.exit(EXIT_NOT_ALL)
