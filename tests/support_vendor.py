"""Shared by the tests of makers' blobs: builds them, reads them, stands in for a study.

The reader of CSA headers follows the description at
https://nipy.org/nibabel/dicom/siemens_csa.html, which is SPM's; nothing here uses the
code under test.
"""

import hashlib
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from dicomanon_node.deid.rules import PrivateTag

CORPUS = Path(__file__).parents[1].parent / "shared" / "corpus"

CSA_IMAGE = PrivateTag(0x0029, "SIEMENS CSA HEADER", 0x10)
CSA_SERIES = PrivateTag(0x0029, "SIEMENS CSA HEADER", 0x20)
GE_PROTOCOL = PrivateTag(0x0025, "GEMS_SERS_01", 0x1B)
UNKNOWN = PrivateTag(0x0099, "ACME 1.0", 0x01)

# Found nowhere else in what the tests build.
FAMILY, GIVEN, MRN = b"Quillfeather", b"Ottoline", b"MRN7741902"
NAME = FAMILY + b"^" + GIVEN
SITE, SERIAL = b"Saint Elsewhere", b"SN-904417"
TOKENS = (FAMILY, GIVEN, MRN, SITE, SERIAL)
UID = b"1.3.12.2.1107.5.2.43.904417.2017092015035096079043485"

_REMOVED = frozenset({0x00101010, 0x00101020, 0x00101030, 0x00100040, 0x00181000, 0x00080080})
_WORDS = re.compile(b"|".join(map(re.escape, TOKENS)), re.IGNORECASE)


@dataclass
class Study:
    """What a study's plan would do, in a few lines; notes what it was asked."""

    asked: list[tuple[int | None, str, bytes]] = field(default_factory=list)

    def changed(self, tag: int | None, vr: str, raw: bytes) -> bytes:
        assert raw, "nothing is asked about nothing"
        assert raw == raw.strip(b"\0 ")
        self.asked.append((tag, vr, raw))
        if vr == "UI":
            return mapped_uid(raw)
        if tag == 0x00100010:
            return b"ANON^EXAMPLE"
        if tag == 0x00100020:
            return b"SUBJECT-1"
        if vr in ("PN", "DA", "DT", "TM") or tag in _REMOVED:
            return b""
        return _WORDS.sub(b"", raw)


class Keeps:
    """A study that changes nothing."""

    def changed(self, tag: int | None, vr: str, raw: bytes) -> bytes:
        del tag, vr
        return raw


def mapped_uid(raw: bytes) -> bytes:
    """A replacement of a UID, the standard's own excepted."""
    if raw.startswith(b"1.2.840.10008."):
        return raw
    return b"2.25.%d" % int.from_bytes(hashlib.sha256(raw).digest()[:15], "big")


@dataclass(frozen=True)
class Tag:
    """A tag of a CSA header to be built; `slack` is put behind its name's NUL."""

    name: bytes
    vr: bytes
    values: Sequence[bytes] = ()
    slack: bytes = b""


def csa_header(tags: Iterable[Tag], *, is_csa1: bool = False, tail: bytes = bytes(4)) -> bytes:
    """A CSA header as scanners write it: values end in NUL, six items or more in a tag."""
    tags = list(tags)
    out = [] if is_csa1 else [b"SV10\4\3\2\1"]
    out.append(struct.pack("<II", len(tags), 77))
    first_count = max(6, len(tags[0].values))
    for tag in tags:
        items = [value + b"\0" for value in tag.values]
        items += [b""] * (6 - len(items))
        name = (tag.name + b"\0" + tag.slack).ljust(64, b"\0")
        vr = tag.vr.ljust(4, b"\0")
        out.append(struct.pack("<64si4siii", name, len(tag.values), vr, 0, len(items), 77))
        for item in items:
            if is_csa1:
                words = (len(item) + first_count, 0, 77, 0)
            else:
                words = (len(item), len(item), 77, len(item))
            out += (struct.pack("<4i", *words), item, bytes(-len(item) % 4))
    return b"".join((*out, tail))


def read_csa(raw: bytes) -> dict[str, list[bytes]]:
    """The values of each tag up to their first NUL, as the published description says."""
    is_csa2 = raw[:4] == b"SV10"
    position = 8 if is_csa2 else 0
    count, check = struct.unpack_from("<II", raw, position)
    assert 1 <= count <= 128
    assert check == 77
    position += 8
    tags: dict[str, list[bytes]] = {}
    first_count = None
    for _ in range(count):
        name, _vm, vr, _, items, xx = struct.unpack_from("<64si4siii", raw, position)
        assert xx in (77, 205)
        assert vr[:2].isalpha()
        position += 84
        first_count = items if first_count is None else first_count
        values = []
        for _ in range(items):
            words = struct.unpack_from("<4i", raw, position)
            position += 16
            length = words[1] if is_csa2 else words[0] - first_count
            assert 0 <= length <= len(raw) - position
            values.append(raw[position : position + length].split(b"\0", 1)[0])
            position += (length + 3) // 4 * 4
        tags[name.split(b"\0", 1)[0].decode("ascii")] = values
    assert not raw[position:].strip(b"\0")
    return tags


def ge_block(text: bytes, name: bytes = b"Ex27018Ser5") -> bytes:
    """GE's protocol data block, with a file name and a time as scanners write them."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    stream = b"\x1f\x8b\x08\x08\x38\x1f\xa1\x5b\0\3" + name + b"\0"
    stream += packer.compress(text) + packer.flush()
    stream += struct.pack("<II", zlib.crc32(text), len(text))
    block = struct.pack("<I", len(stream)) + stream
    return block + bytes(len(block) % 2)


def ge_text(block: bytes) -> bytes:
    """What is in GE's protocol data block, read as dcm2niix reads it: the length is exact."""
    (length,) = struct.unpack_from("<I", block)
    stream = block[4 : 4 + length]
    assert stream[:3] == b"\x1f\x8b\x08"
    assert not stream[3] & 0x18, "neither a file name nor a comment"
    text = zlib.decompress(stream[10:-8], -15)
    crc, size = struct.unpack("<II", stream[-8:])
    assert crc == zlib.crc32(text)
    assert size == len(text)
    return text


def phoenix(params: bytes = b"", ascii_lines: bytes = b"") -> bytes:
    """A small protocol in a protocol, as MrPhoenixProtocol has it; arguments are undoubled."""
    inner = (
        b'<XProtocol> \n{\n  <Name> "MultiStep Controller" \n  <ParamMap.""> \n  {\n'
        + params
        + b"\n  }\n}\n### ASCCONV BEGIN object=MrProtDataImpl@MrProtocolData version=51130001"
        b" converter=%MEASCONST%/ConverterList/Prot_Converter.txt ###\n"
        b'ulVersion\t = \t51130001\ntProtocolName\t = \t"ep2d bold"\n'
        b"sSliceArray.lSize\t = \t60\nalTR[0]\t = \t2000000\nucMode\t = \t0x4\n"
        + ascii_lines
        + b"sSliceAcceleration.lMultiBandFactor\t = \t1\n### ASCCONV END ###"
    )
    return (
        b'<XProtocol> \n{\n  <Name> "PhoenixMetaProtocol" \n  <ID> 1000002 \n'
        b'  <ParamMap.""> \n  {\n    <ParamString."Protocol0"> \n    {\n      "'
        + inner.replace(b'"', b'""')
        + b'" \n    }\n  }\n}\n'
    )


def holds_token(raw: bytes) -> bool:
    """Whether a planted identifier is in the bytes, in 8 or in 16 bits, or compressed."""
    flat = raw.replace(b"\0", b"").lower()
    if any(token.lower() in flat for token in TOKENS):
        return True
    start = raw.find(b"\x1f\x8b\x08")
    while start >= 0:
        try:
            if holds_token(zlib.decompressobj(31).decompress(raw[start:])):
                return True
        except zlib.error:
            pass  # three bytes that look like the beginning of a stream
        start = raw.find(b"\x1f\x8b\x08", start + 1)
    return False


BlobChange = Callable[[PrivateTag, bytes], bytes | None]
_BLOB_VRS = ("OB", "UN", "OW", "UT", "LT", "ST")


def blobs(dataset: Dataset) -> Iterator[tuple[pydicom.DataElement, PrivateTag]]:
    """The private elements at any depth that may be makers' blobs."""
    for tag in list(dataset.keys()):
        element = dataset[tag]
        if element.VR == "SQ":
            for item in element.value:
                yield from blobs(item)
        elif tag.is_private_creator:
            continue
        elif tag.is_private and element.VR in _BLOB_VRS:
            creator = (tag.group, tag.element >> 8)
            if creator in dataset and bytes_of(element):
                name = str(dataset[creator].value).strip()
                yield element, PrivateTag(tag.group, name, tag.element & 0xFF)


def bytes_of(element: pydicom.DataElement) -> bytes:
    """The value of a blob, also of a text VR."""
    value = element.value
    return value.encode("latin-1", "replace") if isinstance(value, str) else bytes(value)


def change_blobs(dataset: Dataset, change: BlobChange) -> int:
    """Change the blobs of a data set in place; how many were changed."""
    count = 0
    for element, private_tag in blobs(dataset):
        raw = bytes_of(element)
        new = change(private_tag, raw)
        if new is not None and new != raw:
            element.value = new.decode("latin-1") if isinstance(element.value, str) else new
            count += 1
    return count
