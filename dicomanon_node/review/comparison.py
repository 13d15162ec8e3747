"""What differs between two objects, element by element, at every depth.

Knows neither rules nor key: what it finds is to be judged by others. Private elements
are the same by creator and low byte, whatever their block's number; items by their
place in the sequence; values by their bytes in little endian order, so that another
transfer syntax alone makes no difference but in File Meta Information.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from dicomanon_node.review.reading import Element, Instance, Item, Steps


class Change(StrEnum):
    """How an element of the one differs from that of the other."""

    SAME = "same"
    REMOVED = "removed"
    ADDED = "added"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Difference:
    """One element of either object.

    Attributes:
        path: Where it is; () is the preamble.
        change: How it differs.
        old: The element of the first object; None where it is absent.
        new: That of the second.
        old_character_set: Specific Character Set of the old value.
        new_character_set: That of the new one.
    """

    path: Steps
    change: Change
    old: Element | None
    new: Element | None
    old_character_set: bytes = b""
    new_character_set: bytes = b""


def compare(old: Instance, new: Instance) -> Iterator[Difference]:
    """All elements of both: preamble, File Meta Information, data set.

    Sequences come by their items' elements. One that is absent or empty on one side
    comes itself as well, and so does each item that only one side has.
    """
    preamble = Change.SAME if old.preamble == new.preamble else Change.CHANGED
    yield Difference(
        (),
        preamble,
        Element(0, "OB", "", old.preamble, len(old.preamble)),
        Element(0, "OB", "", new.preamble, len(new.preamble)),
    )
    yield from _items(old.meta, new.meta, ())
    yield from _items(old.dataset, new.dataset, ())


def _items(old: Item | None, new: Item | None, path: Steps) -> Iterator[Difference]:
    olds = old.elements if old is not None else {}
    news = new.elements if new is not None else {}
    for key in sorted(olds.keys() | news.keys()):
        yield from _elements(
            olds.get(key),
            news.get(key),
            path,
            old.character_set if old is not None else b"",
            new.character_set if new is not None else b"",
        )


def _elements(
    old: Element | None, new: Element | None, path: Steps, old_set: bytes, new_set: bytes
) -> Iterator[Difference]:
    some = old or new
    if some is None:
        return
    here = (*path, (some.tag, some.creator, None))
    change = _change(old, new)
    olds = old.items or () if old is not None else ()
    news = new.items or () if new is not None else ()
    if change is not Change.SAME or not (olds or news):
        yield Difference(here, change, old, new, old_set, new_set)
    for number in range(max(len(olds), len(news))):
        below = (*path, (some.tag, some.creator, number))
        yield from _items(
            olds[number] if number < len(olds) else None,
            news[number] if number < len(news) else None,
            below,
        )


def _change(old: Element | None, new: Element | None) -> Change:
    if old is None:
        return Change.ADDED
    if new is None:
        return Change.REMOVED
    if old.items is not None and new.items is not None:
        return Change.SAME if len(old.items) == len(new.items) else Change.CHANGED
    # In Implicit VR the VR is a guess from the dictionary.
    has_other_vr = old.has_vr and new.has_vr and old.vr != new.vr
    is_same = old.items is new.items and old.has_value_of(new) and not has_other_vr
    return Change.SAME if is_same else Change.CHANGED
