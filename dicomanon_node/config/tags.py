"""Tags as they may be written: keyword, (gggg,eeee), ggggeeee, (gggg,"CREATOR",ee).

Knows which elements exist and how many values they have; not what is done with them.
"""

import json
import re
from functools import cache
from importlib import resources

from dicomanon_node.config.problems import show, suggest
from dicomanon_node.deid import dictionary
from dicomanon_node.deid.rules import PrivateTag
from dicomanon_node.deid.standard import DicomDictionary, RepeatersDictionary

_NUMBER = re.compile(r"(?:0[xX])?([0-9A-Fa-f]{4})\s*,?\s*([0-9A-Fa-f]{4})")
_BRACKETED = re.compile(r"\(\s*([^()]*?)\s*\)")
_PRIVATE = re.compile(r'\(\s*([0-9A-Fa-f]{4})\s*,\s*"([^"]*)"\s*,\s*([0-9A-Fa-f]{2})\s*\)')
_KEYWORD = re.compile(r"[A-Za-z][A-Za-z0-9]*")

# PS3.5 7.8: these odd groups are not for private elements.
_NO_PRIVATE_GROUPS = frozenset({0x0001, 0x0003, 0x0005, 0x0007, 0xFFFF})
_MAX_CREATOR_CHARACTERS = 64  # VR LO
_DELIMITERS_GROUP = 0xFFFE
_LAST_CREATOR = 0x00FF  # PS3.5 7.8.1: (gggg,0010-00FF) name the blocks


class TagError(ValueError):
    """A text names no element; says why and what to write, safe to show."""


def parse(text: str) -> int | PrivateTag:
    """The element that a text names.

    Returns:
        The tag number ((group << 16) | element), or a private element by its creator. A
        private element named by number comes back as a number.

    Raises:
        TagError: It names none.
    """
    if private := _PRIVATE.fullmatch(text):
        return _private(int(private[1], 16), private[2], int(private[3], 16))
    bracketed = _BRACKETED.fullmatch(text)
    if number := _NUMBER.fullmatch(bracketed[1] if bracketed else text):
        return _numbered(int(number[1], 16), int(number[2], 16))
    if not _KEYWORD.fullmatch(text):
        raise TagError(
            f"{show(text)} is no tag: write a keyword such as PatientName, (gggg,eeee), ggggeeee "
            'or (gggg,"PRIVATE CREATOR",ee)'
        )
    tag = _tags_by_keyword().get(text)
    if tag is None:
        if text in _repeating_keywords():
            raise TagError(
                f"{text} is in a repeating group: name one group by number, e.g. (6000,eeee)"
            )
        raise TagError(
            f"{show(text)} is no keyword of DICOM (PS3.6){suggest(text, _tags_by_keyword())}"
        )
    return tag


def value_multiplicity(tag: int) -> str | None:
    """The VM of a standard element as PS3.6 writes it ("1", "1-n"), or None if not known."""
    entry = DicomDictionary.get(tag)
    if entry is not None:
        return entry[1]
    # A repeating group, or none of the standard's: rare, and pydicom takes its time to import.
    from pydicom.datadict import dictionary_VM  # noqa: PLC0415  (slow, rarely needed)

    try:
        return dictionary_VM(tag)
    except KeyError:
        return _added_rows().get(dictionary.format_tag(tag), {}).get("vm")


def keyword_of(tag: int) -> str:
    """The keyword of a standard element, or its number where it has none."""
    entry = DicomDictionary.get(tag)
    if entry is not None and entry[4]:
        return entry[4]
    return _added_rows().get(dictionary.format_tag(tag), {}).get(
        "keyword"
    ) or dictionary.format_tag(tag)


def _private(group: int, creator: str, element: int) -> PrivateTag:
    if not group & 1 or group in _NO_PRIVATE_GROUPS:
        raise TagError(f"group {group:04X} has no private elements (PS3.5 7.8)")
    creator = creator.strip()
    is_text = creator.isprintable() and "\\" not in creator
    if not creator or len(creator) > _MAX_CREATOR_CHARACTERS or not is_text:
        raise TagError(
            f"a private creator has 1 to {_MAX_CREATOR_CHARACTERS} printable characters, "
            "no backslash"
        )
    return PrivateTag(group, creator, element)


def _numbered(group: int, element: int) -> int:
    tag = group << 16 | element
    written = dictionary.format_tag(tag)
    if group == _DELIMITERS_GROUP:
        raise TagError(f"{written} delimits items and is no element")
    if group == 0:
        raise TagError(f"{written} is of the command set, not of a data set")
    if element == 0:
        raise TagError(f"{written} is a group length: these are never written")
    if group & 1:
        if group in _NO_PRIVATE_GROUPS:
            raise TagError(f"group {group:04X} has no private elements (PS3.5 7.8)")
        if element <= _LAST_CREATOR:
            raise TagError(
                f"{written} is a private creator: it stays as long as an element of its block does"
            )
        return tag
    if dictionary.vr_of(tag) is None:
        raise TagError(f"{written} is no element of DICOM (PS3.6)")
    return tag


@cache
def _added_rows() -> dict[str, dict[str, str]]:
    text = resources.files("dicomanon_node.deid").joinpath(
        "data/ps3.6-2026c-not-in-pydicom-3.0.2.json"
    )
    rows: dict[str, dict[str, str]] = json.loads(text.read_text(encoding="utf-8"))["rows"]
    return rows


@cache
def _tags_by_keyword() -> dict[str, int]:
    known = {
        row["keyword"]: int(tag[1:5] + tag[6:10], 16)
        for tag, row in _added_rows().items()
        if row["keyword"] and "x" not in tag.lower()
    }
    known |= {entry[4]: tag for tag, entry in DicomDictionary.items() if entry[4]}
    return known


@cache
def _repeating_keywords() -> frozenset[str]:
    return frozenset(entry[4] for entry in RepeatersDictionary.values() if entry[4])
