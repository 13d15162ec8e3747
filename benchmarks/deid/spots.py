"""A place in an object where something is planted, and the record of what was.

A `Spot` is a data set or an item, known by its path; a `Ledger` collects what was
planted into one object. Which texts are planted where is decided by the `plant_...`
modules.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pydicom.charset import convert_encodings
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from benchmarks.deid.identity import Token
from benchmarks.deid.paths import label, step
from benchmarks.deid.phrases import Phrase
from benchmarks.deid.standard import Row

_UNDEFINED = 0xFFFFFFFF
_ITEM = b"\xfe\xff\x00\xe0"


@dataclass(frozen=True, slots=True)
class Plant:
    """What was planted into one element.

    Attributes:
        path: The element's path.
        site: What kind of place it is, for the list of failures.
        removes: Identifiers in it.
        retains: Words that have to stay where the value is cleaned or kept.
        concept: What Table E.3.4-1 says of the content item it is the value of.
        is_structured: A vendor's blob with a known structure: what is not identity in it
            can stay. Other blobs with an identity in them may go as a whole.
        may_go: Nothing is asked of it but that no identifier survives.
    """

    path: str
    site: str
    removes: tuple[Token, ...] = ()
    retains: tuple[str, ...] = ()
    concept: Row | None = None
    is_structured: bool = False
    may_go: bool = False


@dataclass(slots=True)
class Ledger:
    """What was planted into one object, and which sequences are still to be made UN."""

    plants: dict[str, Plant] = field(default_factory=dict)
    seals: list[tuple[Dataset, int, bool]] = field(default_factory=list)

    def add(self, plant: Plant) -> None:
        """Note a plant; the last one into an element is what is in it."""
        self.plants[plant.path] = plant

    def seal(self, character_set: str) -> None:
        """Encode what was to be sealed; nothing may be planted or read afterwards.

        Args:
            character_set: Specific Character Set (0008,0005) of the object.
        """
        for dataset, tag, is_undefined in self.seals:
            items = dataset[tag].value
            content = b"".join(_encoded_item(item, character_set) for item in items)
            length = _UNDEFINED if is_undefined else len(content)
            # Raw, as pydicom would make a sequence of it again.
            element = RawDataElement(Tag(tag), "UN", length, content, 0, False, True)
            dataset[tag] = element


@dataclass(frozen=True, slots=True)
class Spot:
    """A data set or item to plant into.

    Attributes:
        dataset: The data set.
        ledger: Where plants are noted.
        site: What kind of place it is.
        prefix: Path of the item, "" for the data set itself.
    """

    dataset: Dataset
    ledger: Ledger
    site: str
    prefix: str = ""

    def at(self, site: str) -> "Spot":
        """The same place under another name."""
        return Spot(self.dataset, self.ledger, site, self.prefix)

    def path(self, tag: int, creator: str = "") -> str:
        """The path of one of its elements."""
        return self.prefix + label(tag, creator)

    def put(
        self,
        tag: int,
        vr: str,
        value: object,
        removes: Iterable[Token] = (),
        retains: Iterable[str] = (),
        *,
        creator: str = "",
    ) -> None:
        """Set an element and note what was planted.

        Args:
            tag: Tag number.
            vr: Value representation.
            value: As pydicom takes it.
            removes: The identifiers in it.
            retains: The words in it that have to stay.
            creator: Private creator, for the path.
        """
        self.dataset[tag] = DataElement(tag, vr, value)
        self.ledger.add(Plant(self.path(tag, creator), self.site, tuple(removes), tuple(retains)))

    def put_phrase(self, tag: int, vr: str, phrase: Phrase, *, creator: str = "") -> None:
        """Set a text element to a phrase."""
        self.put(tag, vr, phrase.text, phrase.removes, phrase.retains, creator=creator)

    def item(
        self, tag: int, *, creator: str = "", is_undefined: bool = False, is_first: bool = False
    ) -> "Spot":
        """A new item of a sequence, which is made if it is not there.

        Args:
            tag: The sequence's tag number.
            creator: Private creator, for the path.
            is_undefined: Whether sequence and item are encoded with undefined length.
            is_first: Before the items that are there instead of after them.
        """
        if tag not in self.dataset or not self.dataset[tag].value:
            self.dataset[tag] = DataElement(tag, "SQ", Sequence())
        element = self.dataset[tag]
        element.is_undefined_length = is_undefined
        item = Dataset()
        item.is_undefined_length_sequence_item = is_undefined
        index = 0 if is_first else len(element.value)
        element.value.insert(index, item)
        return Spot(item, self.ledger, self.site, step(self.path(tag, creator), index))

    def seal(self, tag: int, *, is_undefined: bool = False) -> None:
        """Have a sequence encoded as UN, as senders do that do not know its VR.

        Args:
            tag: The sequence's tag number.
            is_undefined: With undefined length, as CP-246 has it.

        Standard: PS3.5 6.2.2
        """
        self.ledger.seals.append((self.dataset, tag, is_undefined))


def _encoded_item(item: Dataset, character_set: str) -> bytes:
    # Implicit VR Little Endian, all lengths defined.
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = True
    buffer.is_little_endian = True
    _define_lengths(item)
    write_dataset(buffer, item, parent_encoding=convert_encodings(character_set.split("\\")))
    content = buffer.getvalue()
    return _ITEM + len(content).to_bytes(4, "little") + content


def _define_lengths(item: Dataset) -> None:
    for element in item:
        if element.VR == "SQ":
            element.is_undefined_length = False
            for inner in element.value:
                inner.is_undefined_length_sequence_item = False
                _define_lengths(inner)
