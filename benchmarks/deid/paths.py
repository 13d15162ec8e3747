"""Every element of a data set by its path, at any depth, whatever its encoding.

Paths are MIDI-B's: `<(0008,1140)>[<0000>]<(0008,1155)>`, private elements by creator:
`<(0019,"SIEMENS MR HEADER",0c)>`. Sequences that are encoded as UN are unfolded.
Values are read from their bytes where pydicom would refuse or interpret them.
"""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom import charset
from pydicom.datadict import dictionary_description
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.filereader import read_sequence
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from benchmarks.deid.standard import Standard

CHARSET_VRS = frozenset("LO LT PN SH ST UC UT".split())
ASCII_VRS = frozenset("AE AS CS DA DS DT IS TM UI UR".split())
BINARY_VRS = frozenset("OB OD OF OL OV OW UN".split())
NUMBER_VRS = frozenset("AT FD FL SL SS SV UL US UV".split())

_ITEM = b"\xfe\xff\x00\xe0"
_CHARACTER_SET = 0x00080005
_PIXEL_GROUP = 0x7FE0  # what begins with an item there are the fragments of a frame
_MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Node:
    """One element.

    Attributes:
        path: MIDI-B's `tag_ds`.
        tag: Tag number.
        creator: Private creator, "" for a standard element.
        vr: Value representation; what the dictionary says where the object says UN.
        text: The value: text, the numbers, `n items`, or bytes read as Latin-1.
        parents: Paths of the sequences it is in, outermost first.
        name: Attribute name, "" where unknown.
    """

    path: str
    tag: int
    creator: str
    vr: str
    text: str
    parents: tuple[str, ...]
    name: str

    @property
    def is_private(self) -> bool:
        """Whether the element is of an odd group."""
        return bool(self.tag & 0x10000)


def label(tag: int, creator: str = "") -> str:
    """One step of a path.

    Args:
        tag: Tag number.
        creator: Private creator of a private element in a block.
    """
    if creator:
        return f'<({tag >> 16:04x},"{creator.upper()}",{tag & 0xFF:02x})>'
    return f"<({tag >> 16:04x},{tag & 0xFFFF:04x})>"


def step(path: str, index: int) -> str:
    """The prefix of an item's elements."""
    return f"{path}[<{index:04d}>]"


def walk(dataset: Dataset, standard: Standard) -> Iterator[Node]:
    """All elements of a file: File Meta Information, data set, items."""
    meta = getattr(dataset, "file_meta", None)
    if meta is not None:
        yield from _walk(meta, standard, "", (), ["iso8859"])
    yield from _walk(dataset, standard, "", (), ["iso8859"])


def _walk(
    dataset: Dataset, standard: Standard, prefix: str, parents: tuple[str, ...], codecs: list[str]
) -> Iterator[Node]:
    creators: dict[int, str] = {}
    if _CHARACTER_SET in dataset:
        codecs = _codecs(dataset, codecs)
    for key in sorted(dataset.keys()):
        tag = int(key)
        element = dataset.get_item(key)
        group, number = tag >> 16, tag & 0xFFFF
        creator = ""
        if group & 1:
            if 0x10 <= number <= 0xFF:  # noqa: PLR2004  (PS3.5 7.8.1)
                creators[group << 8 | number] = _text(element, "LO", codecs).strip(" \0")
            else:
                creator = creators.get(group << 8 | number >> 8, "")
        vr = _vr(element, tag, standard)
        path = prefix + label(tag, creator)
        items = _items(dataset, element, vr)
        if items is None:
            text = _text(element, vr, codecs)
            yield Node(path, tag, creator, vr, text, parents, _name(tag))
            continue
        yield Node(path, tag, creator, "SQ", f"{len(items)} items", parents, _name(tag))
        if len(parents) < _MAX_DEPTH:
            for index, item in enumerate(items):
                yield from _walk(item, standard, step(path, index), (*parents, path), codecs)


def _codecs(dataset: Dataset, inherited: list[str]) -> list[str]:
    raw = dataset.get_item(_CHARACTER_SET).value
    if isinstance(raw, bytes):
        raw = raw.decode("ascii", "replace").strip(" \0").split("\\")
    try:
        return list(charset.convert_encodings(list(raw) if isinstance(raw, list) else raw))
    except (LookupError, TypeError, ValueError):
        return inherited


def _vr(element: DataElement | RawDataElement, tag: int, standard: Standard) -> str:
    vr = element.VR
    if (vr is None or vr == "UN") and not tag & 0x10000:
        return standard.vr(tag) or "UN"
    return str(vr or "UN")


def _items(dataset: Dataset, element: DataElement | RawDataElement, vr: str) -> Sequence | None:
    value = element.value
    if isinstance(value, Sequence):
        return value
    if vr == "SQ" and element.VR != "UN":
        value = dataset[element.tag].value
        if isinstance(value, Sequence):
            return value
    is_opaque = vr in ("SQ", "UN", "OB") and element.tag >> 16 != _PIXEL_GROUP
    if is_opaque and isinstance(value, bytes) and value[:4] == _ITEM:
        # PS3.5 6.2.2 and CP-246: what is inside UN is Implicit VR Little Endian.
        try:
            return read_sequence(io.BytesIO(value), True, True, len(value), "iso8859")
        except (OSError, ValueError, NotImplementedError, KeyError, AttributeError):
            return None
    return Sequence() if vr == "SQ" and not value else None


def _text(element: DataElement | RawDataElement, vr: str, codecs: list[str]) -> str:
    value = element.value
    if value is None:
        return ""
    if isinstance(element, RawDataElement) and vr in NUMBER_VRS:
        try:
            value = convert_raw_data_element(element._replace(VR=vr)).value
        except (BytesLengthException, ValueError, struct.error):
            value = element.value  # its length is no multiple of a number's
    if isinstance(value, bytes):
        if vr in CHARSET_VRS:
            return _decoded(value, codecs, is_name=vr == "PN").rstrip(" \0")
        text = value.decode("latin-1")
        return text.strip(" \0") if vr in ASCII_VRS else text
    if isinstance(value, list | MultiValue):
        return "\\".join(str(part) for part in value)
    return str(value)


def _decoded(value: bytes, codecs: list[str], *, is_name: bool) -> str:
    delimiters = {0x5C, 0x0D, 0x0A, 0x0C, 0x09} | ({0x5E, 0x3D} if is_name else set())
    try:
        return str(charset.decode_bytes(value, codecs, delimiters))
    except (LookupError, UnicodeDecodeError, ValueError):
        return value.decode("latin-1")


def _name(tag: int) -> str:
    try:
        return str(dictionary_description(tag))
    except KeyError:
        return ""
