"""Many words as one regular expression, that searches for many as fast as for few."""

import re
from collections.abc import Iterable
from os.path import commonprefix

# Branches within branches; regular expressions are compiled recursively.
_MAX_BRANCHING = 16


def any_of(words: Iterable[str], branching: int = 0) -> str:
    """A pattern that matches the longest of the words that stands at a place.

    Args:
        words: What to match, character by character.
        branching: How deep inside of other branches the pattern will stand.
    """
    tails: dict[str, list[str]] = {}
    found = set(words)
    if branching == _MAX_BRANCHING:
        return "|".join(re.escape(word) for word in sorted(found, key=lambda w: (-len(w), w)))
    for word in found - {""}:
        tails.setdefault(word[0], []).append(word)
    branches = []
    for _, begun in sorted(tails.items()):
        stem = commonprefix(begun)  # noqa: RUF071  (of words, not of paths)
        rest = [word[len(stem) :] for word in begun]
        branches.append(
            re.escape(stem) + (f"(?:{any_of(rest, branching + 1)})" if len(begun) > 1 else "")
        )
    return "|".join(branches + [""] * ("" in found))
