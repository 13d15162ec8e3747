"""Plants content items into structured reports, concept by concept of Table E.3.4-1.

They go before the items that are there: what a de-identifier may remove stands behind
what it has to keep, so that paths stay the same.
"""

from collections.abc import Callable, Iterator
from itertools import islice

from pydicom.dataset import Dataset

from benchmarks.deid import scenarios as s
from benchmarks.deid.identity import Kind, Persona, Token
from benchmarks.deid.phrases import Writer
from benchmarks.deid.spots import Plant, Spot
from benchmarks.deid.standard import Concept, Standard

_CONTENT_SEQUENCE = 0x0040A730
_REFERENCED_CONTENT_ITEM = 0x0040DB73
_ITEM_COUNT = 24
_MAX_CHARACTERS = 200

# Value types with a value that can be planted: (tag of the value, its VR), PS3.3 C.17.3.2.
_VALUES = {
    "TEXT": (0x0040A160, "UT"),
    "PNAME": (0x0040A123, "PN"),
    "DATE": (0x0040A121, "DA"),
    "TIME": (0x0040A122, "TM"),
    "DATETIME": (0x0040A120, "DT"),
    "UIDREF": (0x0040A124, "UI"),
}


def concepts(standard: Standard) -> list[Concept]:
    """The concepts that can be planted."""
    return [concept for concept in standard.concepts if concept.row.vr in _VALUES]


def can_plant(dataset: Dataset) -> bool:
    """Whether the object is a report whose items do not refer to each other by number."""
    if _CONTENT_SEQUENCE not in dataset:
        return False
    return not any(element.tag == _REFERENCED_CONTENT_ITEM for element in dataset.iterall())


def plant(
    spot: Spot,
    persona: Persona,
    writer: Writer,
    rotation: Iterator[Concept],
    new_uid: Callable[[], str],
) -> None:
    """Plant content items before those that are there.

    Args:
        spot: The data set.
        persona: Whose identity (made up).
        writer: Writes the texts.
        rotation: Concepts to use up.
        new_uid: Gives a UID that embeds serial number and date.
    """
    chosen = sorted(islice(rotation, _ITEM_COUNT), key=_may_stay, reverse=True)
    place = spot.at("content item")
    # The last one first: each goes before the others.
    items = [place.item(_CONTENT_SEQUENCE, is_first=True) for _ in chosen]
    for index, (concept, item) in enumerate(zip(chosen, reversed(items), strict=True)):
        prefix = item.prefix[: -len("[<0000>]")] + f"[<{index:04d}>]"
        at_index = Spot(item.dataset, item.ledger, item.site, prefix)
        _fill(at_index, concept, persona, writer, new_uid)


def _may_stay(concept: Concept) -> int:
    # With D the item stays, and its value is another.
    row = concept.row
    has_date, has_text = s.MODIFIED_DATES in row.options, s.CLEAN_DESCRIPTORS in row.options
    return 4 * has_text + 2 * has_date + (row.basic == "D")


def _fill(
    item: Spot,
    concept: Concept,
    persona: Persona,
    writer: Writer,
    new_uid: Callable[[], str],
) -> None:
    value_type = concept.row.vr
    tag, vr = _VALUES[value_type]
    dataset = item.dataset
    dataset.RelationshipType = "CONTAINS"
    dataset.ValueType = value_type
    name = Dataset()
    name.CodeValue, name.CodingSchemeDesignator = concept.value, concept.scheme
    name.CodeMeaning = concept.meaning[:64]
    dataset.ConceptNameCodeSequence = [name]
    removes: tuple[Token, ...] = ()
    retains: tuple[str, ...] = ()
    value: str
    if value_type == "TEXT":
        phrase = writer.phrase(_MAX_CHARACTERS)
        value, removes, retains = phrase.text, phrase.removes, phrase.retains
    elif value_type == "PNAME":
        family, given = persona.physicians[3]
        value = f"{family}^{given}"
        removes = (Token(family, Kind.NAME), Token(given, Kind.NAME))
    elif value_type == "UIDREF":
        value = new_uid()
    else:
        day, clock = f"{persona.studied:%Y%m%d}", "113512.5"
        value = {"DATE": day, "TIME": clock, "DATETIME": day + clock}[value_type]
    item.put(tag, vr, value)
    item.ledger.add(Plant(item.path(tag), item.site, removes, retains, concept.row))
