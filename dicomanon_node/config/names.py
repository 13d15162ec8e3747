"""Names that stations.json and studies.json give: matched with values of objects.

An exact match comes first, then one that ignores case; names that would then be
ambiguous and say different things are refused.
"""

from collections.abc import Mapping

from dicomanon_node.config.problems import join, show
from dicomanon_node.errors import Problem

_MAX_CHARACTERS = 64  # LO, the longest value that can name a study


def name_fault(name: str) -> str | None:
    """Why a name can never be matched with a value, or None."""
    if not name:
        return "a name is missing"
    if name != name.strip():
        return "has spaces at its ends: values are compared without them"
    if not name.isprintable():
        return "has a control character"
    if len(name) > _MAX_CHARACTERS:
        return f"is longer than {_MAX_CHARACTERS} characters"
    return None


def contradictions(rules: Mapping[str, object], file: str) -> list[Problem]:
    """Names that differ in case only, but not in case only in what they say."""
    first_by_folded: dict[str, str] = {}
    problems = []
    for name, rule in rules.items():
        first = first_by_folded.setdefault(name.casefold(), name)
        if rule != rules[first]:
            problems.append(
                Problem(
                    file,
                    join(name),
                    f"differs from {show(first)} in case, and says something else: names are "
                    "looked up without regard to case where none matches exactly",
                )
            )
    return problems
