"""Read the whole configuration: node.toml, stations.json, studies.json, environment, --set.

    file < environment DICOMANON_LISTENER__PORT < --set listener.port=11113

All problems of all sources are found before any is told. Nothing else in the package
reads settings. The key file is not opened here: see `secrets`.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from dicomanon_node.config.checks import node_faults, rule_name_faults, study_faults, uses_tls
from dicomanon_node.config.documents import read_json, read_toml
from dicomanon_node.config.model import DicomDestination, FolderDestination, NodeConfig
from dicomanon_node.config.problems import join
from dicomanon_node.config.rulefiles import RuleBook, compile_rules, missing_defaults
from dicomanon_node.config.section import Section
from dicomanon_node.config.settings import Settings
from dicomanon_node.config.shape import Location, faults
from dicomanon_node.deid.table import TABLE_EDITION
from dicomanon_node.errors import ConfigError, Problem

NODE_FILE = "node.toml"
STATIONS_FILE = "stations.json"
STUDIES_FILE = "studies.json"
SCHEMA_KEY = "$schema"
"""Where editors look for the JSON Schema of a JSON file."""


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that is configured. Immutable.

    Attributes:
        node: node.toml with environment and --set over it; paths are absolute and every
            DICOM destination has its calling AE title.
        rules: Stations and studies.
    """

    node: NodeConfig
    rules: RuleBook


def load(
    config_dir: Path,
    environ: Mapping[str, str],
    overrides: Sequence[str] = (),
    *,
    edition: str = TABLE_EDITION,
    instead: Mapping[str, str] | None = None,
) -> Config:
    """Read and check the configuration.

    Args:
        config_dir: Directory with the three files. Relative paths in them start from its
            parent.
        environ: The environment; variables that begin with DICOMANON_ are settings.
        overrides: `name.name=value` texts, the strongest source.
        edition: What else decides how objects come out, such as the table's edition; goes
            into the digest of the rules.
        instead: Texts to take in place of those of the files, by the file's name, so that
            they can be checked before they are written.

    Raises:
        ConfigError: With every problem that was found.
    """
    files = (str(config_dir / STATIONS_FILE), str(config_dir / STUDIES_FILE))
    problems: list[Problem] = []
    content, stations, studies = (
        _read(partial(reader, text=(instead or {}).get(name)), config_dir / name, problems)
        for reader, name in (
            (read_toml, NODE_FILE),
            (read_json, STATIONS_FILE),
            (read_json, STUDIES_FILE),
        )
    )

    for rule_file in (stations, studies):
        if rule_file is not None and isinstance(rule_file.get(SCHEMA_KEY), str):
            del rule_file[SCHEMA_KEY]  # for editors; says nothing

    settings = Settings(content or {}, str(config_dir / NODE_FILE))
    settings.apply_environment(environ)
    settings.apply_options(overrides)
    problems += settings.problems
    node = None
    if content is not None:
        node = _node(settings, _absolute(config_dir).parent, problems)

    book, found = compile_rules(stations or {}, studies or {}, files=files, edition=edition)
    problems += found
    if stations is not None and studies is not None:
        if settings.get("routing", "on_missing") != "refuse":
            problems += missing_defaults(stations, studies, files)
        if node is not None:
            problems += settings.located(rule_name_faults(node, stations, studies))
    if content is not None:
        problems += _located(files[1], _study_faults(settings, node, book))
    if node is None or problems:
        raise ConfigError(*problems)
    return Config(node, book)


def _read(
    reader: Callable[[Path], dict[str, object]], path: Path, problems: list[Problem]
) -> dict[str, object] | None:
    try:
        return reader(path)
    except ConfigError as error:
        problems += error.problems
        return None


def _node(settings: Settings, root: Path, problems: list[Problem]) -> NodeConfig | None:
    try:
        node = NodeConfig.model_validate(settings.content)
    except ValidationError as error:
        problems += settings.located(faults(NodeConfig, settings.content, error))
        return None
    node = _resolved(node, root)
    problems += settings.located(node_faults(node))
    if uses_tls(node):
        from dicomanon_node.config.certificates import tls_faults  # noqa: PLC0415  (slow)

        problems += settings.located(tls_faults(node))
    return node


def _resolved(node: NodeConfig, root: Path) -> NodeConfig:
    """Make paths absolute and fill in calling AE titles."""
    destinations: list[DicomDestination | FolderDestination] = []
    for entry in node.destinations:
        if isinstance(entry, FolderDestination):
            update: dict[str, object] = {"path": _absolute(root / entry.path)}
        else:
            update = {"calling_ae_title": entry.calling_ae_title or node.listener.ae_title}
            update |= _resolved_files(root, entry, ("tls_ca_file", "tls_cert_file", "tls_key_file"))
        destinations.append(entry.model_copy(update=update))
    outgoing = node.storage.outgoing
    storage = {
        "spool": _absolute(root / node.storage.spool),
        "outgoing": None if outgoing is None else _absolute(root / outgoing),
    }
    old_keys = tuple(_absolute(root / path) for path in node.ledger.crosswalk_old_key_files)
    ledger = {
        "path": _absolute(root / node.ledger.path),
        "crosswalk_key_file": _absolute(root / node.ledger.crosswalk_key_file),
        "crosswalk_old_key_files": old_keys,
    }
    key_file = _absolute(root / node.secrets.key_file)
    hold = {
        "key_file": _absolute(root / node.hold.key_file),
        "old_key_files": tuple(_absolute(root / path) for path in node.hold.old_key_files),
    }
    token_file = node.admin.token_file
    admin = {"token_file": None if token_file is None else _absolute(root / token_file)}
    tls = _resolved_files(root, node.tls, ("cert_file", "key_file", "ca_file"))
    completion = _resolved_files(
        root, node.completion, ("hook_ca_file", "hook_key_file", "studylist")
    )
    audit = _resolved_files(root, node.audit, ("path", "cert_file", "key_file", "ca_file"))
    return node.model_copy(
        update={
            "completion": node.completion.model_copy(update=completion),
            "hold": node.hold.model_copy(update=hold),
            "tls": node.tls.model_copy(update=tls),
            "storage": node.storage.model_copy(update=storage),
            "secrets": node.secrets.model_copy(update={"key_file": key_file}),
            "destinations": tuple(destinations),
            "admin": node.admin.model_copy(update=admin),
            "ledger": node.ledger.model_copy(update=ledger),
            "audit": node.audit.model_copy(update=audit),
        }
    )


def _resolved_files(root: Path, section: Section, keys: Sequence[str]) -> dict[str, object]:
    written = {key: getattr(section, key) for key in keys}
    return {key: path and _absolute(root / path) for key, path in written.items()}


def _study_faults(
    settings: Settings, node: NodeConfig | None, book: RuleBook
) -> Iterable[tuple[Location, str]]:
    if node is not None:
        names = [entry.name for entry in node.destinations]
        has_outgoing = node.storage.outgoing is not None
        if not names and not has_outgoing:
            return ()  # told once, for node.toml
        return study_faults(names, book.studies, has_outgoing=has_outgoing)
    # node.toml has other problems: what it says of names still tells a misspelling.
    written = settings.get("destinations")
    entries = written if isinstance(written, list) else []
    named = [entry["name"] for entry in entries if isinstance(entry, dict) and "name" in entry]
    return study_faults(named, book.studies, has_outgoing=True)


def _located(file: str, found: Iterable[tuple[Location, str]]) -> list[Problem]:
    return [Problem(file, join(*path), message) for path, message in found]


def _absolute(path: Path) -> Path:
    # Not `resolve`: a configuration directory is often a mounted link, and its parent is
    # meant as it is written.
    return Path(os.path.abspath(path))  # noqa: PTH100  (no link is followed)
