"""The way a file is taken by commands that only look: with which key, rules and AE title.

Also says, for a person, how an object came to its study. Makes no key and writes nothing.
"""

import sys
from pathlib import Path

import click

from dicomanon_node.cli.common import EXIT_USAGE, printable
from dicomanon_node.config import Config
from dicomanon_node.config.loading import STATIONS_FILE, STUDIES_FILE
from dicomanon_node.config.problems import alternatives
from dicomanon_node.config.secrets import read_key
from dicomanon_node.config.tags import keyword_of
from dicomanon_node.deid.dictionary import format_tag
from dicomanon_node.deid.pseudonyms import Key
from dicomanon_node.errors import ConfigError, Problem
from dicomanon_node.node import build
from dicomanon_node.review import explain as review
from dicomanon_node.review.passage import Passage, Way
from dicomanon_node.routing import FixedRoute, Router


def node_key(config: Config, command: str) -> Key:
    """The node's key.

    Args:
        config: The configuration.
        command: Who asks.

    Raises:
        ConfigError: There is none, or it cannot be used.
    """
    key_file = config.node.secrets.key_file
    if not key_file.exists():
        why = (
            f"there is no key yet, and {command} writes nothing: `dicomanon-node serve` or"
            " `dicomanon-node deidentify` makes one when it is first run"
        )
        raise ConfigError(Problem(str(key_file), "", why))
    return Key(read_key(key_file))


def way_of(config: Config, key: Key, study: str | None = None, called_aet: str = "") -> Way:
    """The way of an object.

    Args:
        config: The configuration.
        key: What pseudonyms hang on.
        study: Take this study's rules, whatever the object says.
        called_aet: The AE title it is sent to; the listener's own if empty.
    """
    if study is not None:
        require_study(config, study)
    plans = build.plans(config, key)
    title = called_aet or config.node.listener.ae_title
    router = build.router(config, plans)
    if study is not None:
        fixed = {title: FixedRoute(study=study)}
        router = Router(config.rules.stations, plans, config.rules.default_study, fixed=fixed)
    settings = build.receive_settings(config)
    return Way(router, settings, title, config.node.listener.extra_sop_classes)


def require_study(config: Config, study: str) -> None:
    """End the command if there is no such study."""
    studies = config.rules.studies
    if study not in studies:
        click.echo(
            f"There is no study of this name in {STUDIES_FILE}{alternatives(study, studies)}",
            err=True,
        )
        sys.exit(EXIT_USAGE)


def how_routed(
    config: Config, config_dir: Path, passage: Passage, study: str | None, called_aet: str = ""
) -> str:
    """How an object came to its study, in words.

    Args:
        config: The configuration.
        config_dir: Where it was read from.
        passage: What happened to the object.
        study: The study that was asked for, if one was.
        called_aet: The AE title it is taken to be sent to; the listener's own if empty.
    """
    if study is not None:
        return "as --study says"
    title = called_aet or config.node.listener.ae_title
    fixed = next((rule for rule in config.node.ae_titles if rule.ae_title == title), None)
    if fixed is not None and fixed.study:
        return f"as node.toml fixes it for AE title {title}"
    rule = review.station_of(passage, config.rules.stations)
    if fixed is not None and fixed.station:
        rule = config.rules.stations[fixed.station]
    if rule is None:
        return ""
    named = f"{keyword_of(rule.tag_for_study)} {format_tag(rule.tag_for_study)}"
    how = f"by {named}, station rule {printable(rule.name)} of {config_dir / STATIONS_FILE}"
    if passage.route is not None and passage.route.is_by_default:
        how += "; a value that routes is missing"
    return how
