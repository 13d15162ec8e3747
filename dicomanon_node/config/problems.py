"""How a problem of the configuration is worded: what may be shown, what is nearest.

Values are shown only when short, escaped and not secret-looking, so that a key put into
the wrong place does not end in a log. This module finds no problems.
"""

import difflib
import re
from collections.abc import Iterable

_MAX_SHOWN_CHARACTERS = 40
# Hexadecimal keys, base64 tokens: long runs with a digit in them, unlike DICOM's keywords.
_SECRET_LOOKING = re.compile(r"[0-9A-Fa-f]{16}|(?=[A-Za-z+/=_-]*[0-9])[A-Za-z0-9+/=_-]{24}")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_MAX_LISTED = 40


def show(value: object) -> str:
    """A value as it may stand in a message: short, printable ASCII; else what it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, str):
        if len(value) > _MAX_SHOWN_CHARACTERS or _SECRET_LOOKING.search(value):
            return f"a text of {len(value)} characters"
        return f'"{escape(value)}"'
    if isinstance(value, int | float) and len(str(value)) <= _MAX_SHOWN_CHARACTERS:
        return str(value)
    return kind(value)


def kind(value: object) -> str:
    """What sort of value it is, in words that fit TOML and JSON."""
    for types, words in (
        (bool, "true or false"),
        (int, "a whole number"),
        (float, "a number with a fraction"),
        (str, "text"),
        (list, "a list"),
        (dict, "a table of keys"),
        (type(None), "null"),
    ):
        if isinstance(value, types):
            return words
    return "a date or time"


def escape(text: str) -> str:
    """Printable ASCII; control characters, quotes and all beyond ASCII as escapes."""
    return text.encode("unicode_escape").decode("ascii").replace('"', r"\"")


def name(text: str) -> str:
    """A key or name found in a file or the environment, cut and escaped."""
    if len(text) > _MAX_SHOWN_CHARACTERS:
        text = text[: _MAX_SHOWN_CHARACTERS - 3] + "..."
    return text if _PLAIN_NAME.fullmatch(text) else f'"{escape(text)}"'


def join(*parts: str | int) -> str:
    """A path into a file: `destinations[0].port`, `default.AnonymizeTag."(0010,0010)"`."""
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{name(part)}" if path else name(part)
    return path


def nearest(word: str, allowed: Iterable[str]) -> str | None:
    """The allowed word that `word` is most likely a misspelling of, ignoring case."""
    by_folded = {candidate.casefold(): candidate for candidate in allowed}
    found = difflib.get_close_matches(word.casefold()[:100], by_folded, n=1, cutoff=0.7)
    return by_folded[found[0]] if found else None


def suggest(word: str, allowed: Iterable[str]) -> str:
    """`; did you mean "x"?` or nothing."""
    found = nearest(word, allowed)
    return f'; did you mean "{escape(found)}"?' if found else ""


def alternatives(word: str, allowed: Iterable[str]) -> str:
    """The end of a message about an unknown word: the nearest one, then all allowed ones."""
    words = sorted(set(allowed))
    listed = ", ".join(name(candidate) for candidate in words[:_MAX_LISTED])
    if not words:
        listed = "none"
    elif len(words) > _MAX_LISTED:
        listed += ", ..."
    found = suggest(word, words)
    return f"{found} Allowed: {listed}" if found else f"; allowed: {listed}"
