"""Objects as pydicom reads them, for those who check the engine.

The engine has its own reader; what is checked with that would share its mistakes.
Values stay encoded and come back in little endian byte order, so that the same value
is the same bytes in every transfer syntax. Large values are read for their digest
only. Nothing is judged here.
"""

import hashlib
import re
import warnings
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_description
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_partial
from pydicom.values import convert_SQ

from dicomanon_node.deid import dictionary
from dicomanon_node.deid.table import TABLE
from dicomanon_node.errors import NodeError

SPECIFIC_CHARACTER_SET: Final = 0x00080005
_SOP_INSTANCE_UID: Final = 0x00080018
_DEFLATED: Final = "1.2.840.10008.1.2.1.99"
_DEFER_BYTES: Final = 4 << 20
_STEP_BYTES: Final = 1 << 20
_FILE_META_GROUP: Final = 0x0002
_HEADER_BYTES: Final = 8
_UNDEFINED: Final = 0xFFFFFFFF
_ITEM_BYTES: Final = b"\xfe\xff\x00\xe0"
_SEQUENCE_END: Final = b"\xfe\xff\xdd\xe0"
_FIRST_BLOCK, _LAST_BLOCK = 0x10, 0xFF
# Bytes of the units that change places in Big Endian (PS3.5 7.3).
_UNITS: Final = {
    "AT": 2, "OW": 2, "SS": 2, "US": 2, "FL": 4, "OF": 4, "OL": 4, "SL": 4, "UL": 4,
    "FD": 8, "OD": 8, "OV": 8, "SV": 8, "UV": 8,
}  # fmt: skip
_ARRAY_CODES: Final = {2: "H", 4: "I", 8: "Q"}
_TEXT_DELIMITERS: Final = {0x5C, 0x0A, 0x0C, 0x0D, 0x09, 0x5E, 0x3D}
_GROUP_LENGTHS: Final = 0xFFFF

# One step of a path: tag, private creator ("" for standard elements), item (None: the element).
Step = tuple[int, str, int | None]
Steps = tuple[Step, ...]


class UnreadableError(NodeError):
    """pydicom cannot read the file. Its text says so and nothing of the file."""


@dataclass(slots=True)
class Element:
    """One element.

    Attributes:
        tag: Tag number.
        vr: As encoded; where that is nothing or UN, as the dictionaries know it.
        creator: The private creator's name; "" for standard elements and where none is.
        value: Encoded value (PHI), little endian; b"" of sequences and of large values.
        length: Bytes of the value; of a sequence the number of its items.
        digest: SHA-256 of a large value; b"" of others.
        items: The items of a sequence; None of anything else.
        is_creator: It names a private block.
        offset: Of the value in its file; means nothing within sequences and deflated files.
        has_vr: Its VR is encoded, and not only known.
    """

    tag: int
    vr: str
    creator: str
    value: bytes
    length: int
    digest: bytes = b""
    items: "tuple[Item, ...] | None" = None
    is_creator: bool = False
    offset: int = 0
    has_vr: bool = False

    @property
    def is_private(self) -> bool:
        """Whether its group number is odd."""
        return bool(self.tag & 0x10000)

    @property
    def key(self) -> tuple[int, str]:
        """What makes it the same element elsewhere: private ones by creator and low byte."""
        if self.is_creator or (self.creator and self.is_private):
            return self.tag & (0xFFFF0000 if self.is_creator else 0xFFFF00FF), self.creator
        return self.tag, ""

    def has_value_of(self, other: "Element") -> bool:
        """Whether both hold the same bytes; a byte of padding is none (PS3.5 6.2)."""
        if self.digest or other.digest:
            return (self.length, self.digest) == (other.length, other.digest)
        return self.value == other.value

    def sha256(self) -> str:
        """The value's digest in hexadecimal. Of what may be guessed it says all."""
        return (self.digest or hashlib.sha256(self.value).digest()).hex()


@dataclass(slots=True)
class Item:
    """A data set: the object's own, or an item of a sequence.

    Attributes:
        elements: By `Element.key`, in their order.
        character_set: Specific Character Set that holds in it.
    """

    elements: dict[tuple[int, str], Element] = field(default_factory=dict)
    character_set: bytes = b""

    def get(self, tag: int) -> Element | None:
        """A standard element."""
        return self.elements.get((tag, ""))

    def ascii(self, tag: int) -> str:
        """A value of the default repertoire without padding (PHI); "" where absent."""
        found = self.get(tag)
        return found.value.decode("latin-1").strip(" \0") if found is not None else ""

    def leaves(self, path: Steps = ()) -> Iterator[tuple[Steps, Element, "Item"]]:
        """Every element that is no sequence, at every depth, with its data set."""
        for element in self.elements.values():
            if element.items is None:
                yield (*path, (element.tag, element.creator, None)), element, self
                continue
            for number, item in enumerate(element.items):
                yield from item.leaves((*path, (element.tag, element.creator, number)))


@dataclass(slots=True)
class Instance:
    """A whole file.

    Attributes:
        preamble: Its 128 bytes; b"" where it has none.
        meta: File Meta Information.
        dataset: The data set.
        transfer_syntax_uid: As its File Meta Information says.
    """

    preamble: bytes
    meta: Item
    dataset: Item
    transfer_syntax_uid: str


def read(path: Path) -> Instance:
    """Read a file.

    Raises:
        UnreadableError: pydicom cannot, or it ends within an element.
        OSError: It cannot be opened.
    """
    with path.open("rb") as file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom's warnings show values
                return _read(file)
        except UnreadableError:
            raise
        except Exception:  # noqa: BLE001  (pydicom raises anything, with values in its text)
            raise UnreadableError("cannot be read as DICOM") from None


def _read(file: BinaryIO) -> Instance:
    preamble = file.read(128)
    if file.read(4) != b"DICM":
        raise UnreadableError("not a DICOM file")
    # pydicom would decode some of it, and take an Implicit VR one.
    meta = _item(
        read_dataset(
            file,
            is_implicit_VR=False,
            is_little_endian=True,
            stop_when=lambda tag, _vr, _length: tag >> 16 != _FILE_META_GROUP,
        ),
        b"",
        file,
    )
    transfer_syntax_uid = meta.ascii(0x00020010)
    file.seek(0)
    # What is inflated lies in memory anyway, and not at its offsets in the file.
    is_deflated = transfer_syntax_uid == _DEFLATED
    found = read_partial(file, defer_size=None if is_deflated else _DEFER_BYTES)
    if not found or (not is_deflated and 0 < _left_over(file, found) < _HEADER_BYTES):
        raise UnreadableError("ends within an element")
    return Instance(preamble, meta, _item(found, b"", file), transfer_syntax_uid)


def _left_over(file: BinaryIO, found: Dataset) -> int:
    # pydicom says nothing of a file that ends in the header of an element.
    last = max(found.values(), key=lambda each: int(each.tag), default=None)
    if not isinstance(last, RawDataElement) or last.length == _UNDEFINED:
        return 0
    return file.seek(0, 2) - last.value_tell - last.length


def sop_instance_uid(path: Path) -> str:
    """The SOP Instance UID of a file's data set; "" where it has none.

    Raises:
        UnreadableError: It is no DICOM file.
        OSError: It cannot be opened.
    """
    with path.open("rb") as file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = read_partial(file, lambda tag, _vr, _length: tag > _SOP_INSTANCE_UID)
                return str(found.get("SOPInstanceUID") or "")
        except Exception:  # noqa: BLE001  (pydicom raises anything, with values in its text)
            raise UnreadableError("cannot be read as DICOM") from None


def _item(dataset: Dataset, character_set: bytes, file: BinaryIO) -> Item:
    item = Item(character_set=character_set)
    creators: dict[int, str] = {}
    for found in sorted(dataset.values(), key=lambda each: int(each.tag)):
        tag = int(found.tag)
        block = tag >> 16 << 8 | tag >> 8 & 0xFF
        creator = creators.get(block, "") if tag & 0x10000 else ""
        element = _element(found, tag, creator, item.character_set, file)
        if tag == SPECIFIC_CHARACTER_SET:
            item.character_set = element.value
        if tag & 0x10000 and _FIRST_BLOCK <= tag & 0xFFFF <= _LAST_BLOCK:
            element.creator = element.value.decode("ascii", "replace").strip(" \0")
            element.is_creator = True
            creators[tag >> 16 << 8 | tag & 0xFF] = element.creator
        # The same creator may claim two blocks; then they are told apart by number.
        key = element.key if element.key not in item.elements else (tag, element.creator)
        item.elements[key] = element
    return item


def _element(
    found: DataElement | RawDataElement,
    tag: int,
    creator: str,
    character_set: bytes,
    file: BinaryIO,
) -> Element:
    if isinstance(found, DataElement):
        if found.VR != "SQ":
            # Specific Character Set is decoded by pydicom as it reads.
            terms = [found.value] if isinstance(found.value, str) else found.value or []
            value = "\\".join(terms).encode("latin-1")
            value += b" " * (len(value) % 2)
            return Element(tag, "CS", creator, value, len(value))
        return _sequence(tag, creator, found.value, character_set, file)
    vr = _vr(found, tag, creator)
    has_vr = found.VR is not None
    if found.value is None and found.length:
        if vr != "SQ":
            length, digest = _large(file, found)
            return Element(
                tag, vr, creator, b"", length, digest, offset=found.value_tell, has_vr=has_vr
            )
        file.seek(found.value_tell)
        value = file.read(found.length)
    else:
        value = found.value or b""
    if found.length not in (_UNDEFINED, len(value)):
        raise UnreadableError("ends within an element")
    if vr == "SQ" or (tag & 0x10000 and vr in ("UN", "OB") and value.startswith(_ITEM_BYTES)):
        # What came as UN, or as OB from those who did not know better, is Implicit VR inside.
        implicit = found.is_implicit_VR or found.VR in ("UN", "OB")
        try:
            items = convert_SQ(value, implicit, found.is_little_endian or implicit)
            return _sequence(tag, creator, items, character_set, file)
        except Exception:  # pydicom raises anything
            if vr == "SQ" and found.VR != "UN":
                raise
            vr = "UN" if vr == "SQ" else vr
    if not found.is_little_endian:
        # UN is little endian in every transfer syntax (PS3.5 6.2.2).
        value = _swapped(value, str(found.VR))
    return Element(tag, vr, creator, value, len(value), offset=found.value_tell, has_vr=has_vr)


def _sequence(
    tag: int, creator: str, items: object, character_set: bytes, file: BinaryIO
) -> Element:
    read_items = tuple(_item(each, character_set, file) for each in items)  # type: ignore[attr-defined]  # pydicom types a value loosely
    return Element(tag, "SQ", creator, b"", len(read_items), items=read_items)


def _vr(found: RawDataElement, tag: int, creator: str) -> str:
    vr = str(found.VR or "UN")
    if vr != "UN":
        return vr
    if found.length == _UNDEFINED and not found.is_implicit_VR:
        return "SQ"
    if tag & 0x10000:
        if _FIRST_BLOCK <= tag & 0xFFFF <= _LAST_BLOCK:
            return "LO"
        return dictionary.private_vr_of(creator, tag) or "UN"
    return dictionary.vr_of(tag) or "UN"


def _swapped(value: bytes, vr: str) -> bytes:
    unit = _UNITS.get(vr)
    if unit is None or len(value) % unit:
        return value
    numbers = array(_ARRAY_CODES[unit], value)
    numbers.byteswap()
    return numbers.tobytes()


def _large(file: BinaryIO, found: RawDataElement) -> tuple[int, bytes]:
    # A value that is not held in memory: its length and digest, piece by piece.
    end = found.value_tell + found.length
    if found.length == _UNDEFINED:
        end = _end_of_fragments(file, found.value_tell)
    sha256 = hashlib.sha256()
    file.seek(found.value_tell)
    left = end - found.value_tell
    while left:
        piece = file.read(min(_STEP_BYTES, left))
        if not piece:
            raise UnreadableError("ends within an element")
        sha256.update(piece if found.is_little_endian else _swapped(piece, str(found.VR)))
        left -= len(piece)
    return end - found.value_tell, sha256.digest()


def _end_of_fragments(file: BinaryIO, start: int) -> int:
    # PS3.5 A.4: items of defined length, up to a sequence delimitation item.
    position = start
    while True:
        file.seek(position)
        header = file.read(8)
        if header[:4] == _SEQUENCE_END:
            return position
        if header[:4] != _ITEM_BYTES:
            raise UnreadableError("pixel data are no fragments")
        position += 8 + int.from_bytes(header[4:], "little")


def text_of(element: Element, character_set: bytes) -> str:
    """The value as text (PHI), as pydicom decodes it; what cannot be decoded is U+FFFD."""
    if element.vr not in dictionary.CHARSET_VRS:
        return element.value.decode("latin-1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return decode_bytes(element.value, _encodings(character_set), _TEXT_DELIMITERS)


@lru_cache(maxsize=64)
def _encodings(character_set: bytes) -> list[str]:
    terms = [term.strip() for term in character_set.decode("latin-1").strip(" \0").split("\\")]
    try:
        return list(convert_encodings(terms))
    except (LookupError, ValueError):
        return ["iso8859"]


def name_of(step: Step) -> str:
    """The attribute's name of PS3.6; "" where it is not known."""
    tag, creator, _ = step
    if creator or tag & 0x10000:
        return "Private Creator" if _FIRST_BLOCK <= tag & 0xFFFF <= _LAST_BLOCK else ""
    if not tag & _GROUP_LENGTHS:
        return "Group Length"
    try:
        return dictionary_description(tag)
    except KeyError:
        row = TABLE.get(tag)
        return row.name if row is not None else ""


def where(path: Steps) -> str:
    """A path as text: `(0008,1140)[0].(0008,1155)`; private elements by creator."""
    return ".".join(_step(*step) for step in path)


def field_of(path: Steps) -> str:
    """A path without item numbers: the same for the same field of all objects."""
    return ".".join(_step(tag, creator, None) for tag, creator, _ in path)


def _step(tag: int, creator: str, item: int | None) -> str:
    group, number = tag >> 16, tag & 0xFFFF
    name = f"({group:04x},{number:04x})"
    if creator:
        creator = re.sub(r"[^\x20-\x7e]|[\"\\]", "?", creator)
        is_block = _FIRST_BLOCK <= number <= _LAST_BLOCK
        name = f'({group:04x},"{creator}"' + (")" if is_block else f",{number & 0xFF:02x})")
    return name if item is None else f"{name}[{item}]"
