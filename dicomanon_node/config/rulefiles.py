"""The rule book: stations.json and studies.json, checked, with the digest that names it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from dicomanon_node.config.stations import DEFAULT_STATION, compile_stations
from dicomanon_node.config.studies import compile_studies
from dicomanon_node.deid.rules import StationRule, StudyRules
from dicomanon_node.errors import Problem

FALLBACK_STUDIES = ("default", "Supplement142")
"""Study rules for objects that name no known study: the first of these that there is."""

_DIGEST_CHARACTERS = 12
_SALT_KEYS = frozenset({"RandomSeed", "salt", "seed", "entropy_src"})


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All stations and studies. Immutable.

    Attributes:
        stations: Rules by StationName as configured; "default" for all others.
        studies: Rules by study name as configured.
        default_study: The study for objects that name none; "" if there is no such study,
            which is only so with `on_missing = "refuse"`.
        warnings: What an operator should know, though it can be used.
        digest: 12 hexadecimal digits that name this content and the standard's edition.
    """

    stations: Mapping[str, StationRule]
    studies: Mapping[str, StudyRules]
    default_study: str
    warnings: tuple[Problem, ...]
    digest: str


def compile_rules(
    stations: Mapping[str, object],
    studies: Mapping[str, object],
    *,
    files: tuple[str, str],
    edition: str,
) -> tuple[RuleBook, list[Problem]]:
    """Make the rule book of two parsed files.

    Args:
        stations: stations.json.
        studies: studies.json.
        files: Their names, for the problems.
        edition: What else decides the outcome, such as the table's edition.

    Returns:
        The book with everything that could be compiled, and all problems.
    """
    station_rules, station_problems, station_warnings = compile_stations(stations, files[0])
    study_rules, study_problems, study_warnings = compile_studies(studies, files[1])
    fallback = next((study for study in FALLBACK_STUDIES if study in study_rules), "")
    book = RuleBook(
        stations=MappingProxyType(station_rules),
        studies=MappingProxyType(study_rules),
        default_study=fallback,
        warnings=(*station_warnings, *study_warnings),
        digest=digest(stations, studies, edition, _fingerprints(study_rules)),
    )
    return book, station_problems + study_problems


def missing_defaults(
    stations: Mapping[str, object], studies: Mapping[str, object], files: tuple[str, str]
) -> list[Problem]:
    """What `on_missing = "default"` needs and the files do not have."""
    problems = []
    cure = 'or set [routing] on_missing = "refuse" in node.toml'
    if DEFAULT_STATION not in stations:
        problems.append(
            Problem(files[0], DEFAULT_STATION, f"is missing, for unknown stations: add it, {cure}")
        )
    if not any(study in studies for study in FALLBACK_STUDIES):
        wanted = " or ".join(FALLBACK_STUDIES)
        problems.append(
            Problem(files[1], wanted, f"is missing, for unknown studies: add one, {cure}")
        )
    return problems


def digest(
    stations: Mapping[str, object],
    studies: Mapping[str, object],
    edition: str,
    recipients: Mapping[str, str] | None = None,
) -> str:
    """The digest of the rules, the same for every spelling of the same JSON.

    Salts are left out: the digest goes into logs and into every object, and whoever
    knows the rules could try out salts until it fits.
    """
    content = {"edition": edition, "stations": stations, "studies": _without_salts(studies)}
    if recipients:  # whoever holds another key gets other objects, also under the same file name
        content["recipients"] = recipients
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()[:_DIGEST_CHARACTERS]


def _fingerprints(studies: Mapping[str, StudyRules]) -> dict[str, str]:
    return {
        study: rules.encrypts_for.fingerprint
        for study, rules in studies.items()
        if rules.encrypts_for is not None
    }


def _without_salts(value: object) -> object:
    if isinstance(value, Mapping):
        return {
            key: isinstance(member, str) if key in _SALT_KEYS else _without_salts(member)
            for key, member in value.items()
        }
    if isinstance(value, list):
        return [_without_salts(member) for member in value]
    return value
