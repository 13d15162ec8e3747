"""`diff`: what differs between an original and what came out of it."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

import click

from dicomanon_node.cli.common import EXIT_USAGE, printable
from dicomanon_node.deid.dictionary import CHARSET_VRS, PIXEL_DATA_TAGS, TEXT_VRS
from dicomanon_node.node import process
from dicomanon_node.ops.silence import keep_quiet
from dicomanon_node.review.comparison import Change, Difference, compare
from dicomanon_node.review.reading import (
    Element,
    Instance,
    UnreadableError,
    name_of,
    read,
    text_of,
    where,
)

_SIGNS: Final = {Change.REMOVED: "-", Change.ADDED: "+", Change.CHANGED: "~"}
_EXIT_DIFFERENT: Final = 1
_MAX_SHOWN: Final = 200
_MAX_BINARY_SHOWN: Final = 32
_DIGITS_SHOWN: Final = 16


@click.command()
@click.argument("original", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--show-values", is_flag=True, help="Show values. Those of an original identify.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def diff(original: Path, output: Path, *, show_values: bool, as_json: bool) -> None:
    """Show what differs between two DICOM files.

    Element by element, at every depth, private elements by creator: - removed, + added,
    ~ changed. Values are hidden; pixel data are shown by length and digest. Both files
    are read by pydicom, not by the node's own engine, and no rule is looked at.

    The exit code is 0 if nothing differs, 1 if something does, 2 if a file cannot be read.
    """
    process.forbid_core_dumps()
    keep_quiet()
    old, new = _read(original), _read(output)
    counts: Counter[Change] = Counter()
    found: list[Difference] = []
    for difference in compare(old, new):
        counts[difference.change] += 1
        if difference.change is not Change.SAME:
            found.append(difference)
    if as_json:
        click.echo(json.dumps(_document(found, counts, show_values=show_values), indent=2))
    else:
        for difference in found:
            click.echo(_line(difference, show_values=show_values))
        click.echo(", ".join(f"{counts[change]} {change}" for change in Change))
    sys.exit(_EXIT_DIFFERENT if found else 0)


def _read(path: Path) -> Instance:
    try:
        return read(path)
    except UnreadableError as error:
        why = str(error)
    except OSError as error:
        why = f"cannot be read: {error.strerror}"
    click.secho(f"{printable(str(path))}: {why}", fg="red", err=True)
    sys.exit(EXIT_USAGE)


def _line(difference: Difference, *, show_values: bool) -> str:
    old, new = difference.old, difference.new
    vrs = dict.fromkeys(element.vr for element in (old, new) if element is not None)
    shown = [
        _shown(element, character_set, show_values=show_values)
        for element, character_set in _sides(difference)
    ]
    name = name_of(difference.path[-1]) if difference.path else "Preamble"
    place = where(difference.path) or "preamble"
    return f"{_SIGNS[difference.change]} {place} {'/'.join(vrs)} {name}: {' -> '.join(shown)}"


def _sides(difference: Difference) -> list[tuple[Element, bytes]]:
    sides = (
        (difference.old, difference.old_character_set),
        (difference.new, difference.new_character_set),
    )
    return [(element, character_set) for element, character_set in sides if element is not None]


def _shown(element: Element, character_set: bytes, *, show_values: bool) -> str:
    if element.items is not None:
        return f"{element.length} item{'' if element.length == 1 else 's'}"
    size = f"{element.length} byte{'' if element.length == 1 else 's'}"
    if element.tag in PIXEL_DATA_TAGS:
        return f"{size}, SHA-256 {element.sha256()[:_DIGITS_SHOWN]}"
    if not show_values or element.digest:
        return size
    return f'"{_value(element, character_set)}"'


def _value(element: Element, character_set: bytes) -> str:
    if element.vr in TEXT_VRS | CHARSET_VRS or element.is_creator:
        text = printable(text_of(element, character_set).rstrip(" \0"))
        return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
    cut = element.value[:_MAX_BINARY_SHOWN].hex(" ")
    return cut if element.length <= _MAX_BINARY_SHOWN else f"{cut} ..."


def _document(
    found: list[Difference], counts: Counter[Change], *, show_values: bool
) -> dict[str, Any]:
    return {
        "counts": {str(change): counts[change] for change in Change},
        "differences": [
            {
                "path": where(difference.path) or "preamble",
                "name": name_of(difference.path[-1]) if difference.path else "Preamble",
                "change": str(difference.change),
                "original": _side(
                    difference.old, difference.old_character_set, show_values=show_values
                ),
                "output": _side(
                    difference.new, difference.new_character_set, show_values=show_values
                ),
            }
            for difference in found
        ],
    }


def _side(
    element: Element | None, character_set: bytes, *, show_values: bool
) -> dict[str, Any] | None:
    if element is None:
        return None
    side: dict[str, Any] = {"vr": element.vr}
    if element.items is not None:
        return side | {"items": element.length}
    side["length"] = element.length
    if element.tag in PIXEL_DATA_TAGS:
        # The digest of anything shorter could be found by trying.
        side["sha256"] = element.sha256()
    elif show_values and not element.digest:
        side["value"] = _value(element, character_set)
    return side
