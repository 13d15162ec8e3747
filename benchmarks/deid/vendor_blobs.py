"""Reads and rewrites vendors' blobs as far as planting and checking them needs.

Siemens CSA headers (format SV10), the ASCII protocol in them and elsewhere, and GE's
protocol data block, which is compressed. Not a library for these formats.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

PROTOCOL_END = b"### ASCCONV END ###"
_CSA2 = b"SV10\4\3\2\1"
_GZIP = b"\x1f\x8b\x08"
_TAG = struct.Struct("<64si4siii")
_ITEM = struct.Struct("<iiii")
_GE_LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True)
class CsaTag:
    """One tag of a CSA header.

    Attributes:
        name: Its name.
        head: Its fixed part, as encoded.
        items: Its values with their four control words.
    """

    name: str
    head: bytes
    items: tuple[tuple[bytes, bytes], ...]


def csa_tags(blob: bytes) -> list[CsaTag]:
    """The tags of a CSA2 header; none if it is not one."""
    if not blob.startswith(_CSA2):
        return []
    count, _ = struct.unpack_from("<II", blob, len(_CSA2))
    position = len(_CSA2) + 8
    tags = []
    for _ in range(count):
        head = blob[position : position + _TAG.size]
        name, _, _, _, item_count, _ = _TAG.unpack(head)
        position += _TAG.size
        items = []
        for _ in range(item_count):
            control = blob[position : position + _ITEM.size]
            length = _ITEM.unpack(control)[1]
            position += _ITEM.size
            items.append((control, blob[position : position + length]))
            position += length + -length % 4
        tags.append(CsaTag(name.split(b"\0", 1)[0].decode("latin-1"), head, tuple(items)))
    return tags


def csa_values(blob: bytes) -> Iterator[tuple[str, str]]:
    """Name and value of each tag that has short values: what readers need."""
    for tag in csa_tags(blob):
        values = [value.split(b"\0", 1)[0].decode("latin-1").strip() for _, value in tag.items]
        text = "\\".join(value for value in values if value)
        if text and PROTOCOL_END.decode() not in text:
            yield tag.name, text


def with_protocol_line(blob: bytes, line: bytes) -> bytes | None:
    """The blob with a line more in its ASCII protocol; None if there is no protocol.

    Args:
        blob: A CSA2 header, or a protocol as text.
        line: What to add, without line end.
    """
    if PROTOCOL_END not in blob:
        return None

    def add(value: bytes) -> bytes:
        return value.replace(PROTOCOL_END, line + b"\n" + PROTOCOL_END)

    if not blob.startswith(_CSA2):
        new = add(blob)
        return new + b"\0" * (len(new) % 2)
    return _rewritten(blob, add)


def _rewritten(blob: bytes, change: Callable[[bytes], bytes]) -> bytes:
    out = bytearray(blob[: len(_CSA2) + 8])
    for tag in csa_tags(blob):
        out += tag.head
        for control, value in tag.items:
            new = change(value) if PROTOCOL_END in value else value
            words = [
                len(new) if word == len(value) and word else word for word in _ITEM.unpack(control)
            ]
            out += _ITEM.pack(*words) + new + b"\0" * (-len(new) % 4)
    out += blob[_end(blob) :]
    return bytes(out) + b"\0" * (len(out) % 2)


def _end(blob: bytes) -> int:
    # Behind the last item; a few bytes may follow.
    tags = csa_tags(blob)
    sizes = (_ITEM.size + len(value) + -len(value) % 4 for tag in tags for _, value in tag.items)
    return len(_CSA2) + 8 + len(tags) * _TAG.size + sum(sizes)


def as_csa1(blob: bytes) -> bytes:
    """A CSA2 header in the older format: without magic, item lengths counted otherwise.

    Of the control words of an item, the first is its length plus the number of items of
    the header's first tag.
    """
    tags = csa_tags(blob)
    extra = len(tags[0].items) if tags else 0
    out = bytearray(struct.pack("<II", len(tags), 77))
    for tag in tags:
        out += tag.head
        for _, value in tag.items:
            words = (len(value) + extra, len(value), 77 if value else 205, len(value))
            out += _ITEM.pack(*words) + value + b"\0" * (-len(value) % 4)
    return bytes(out) + b"\0" * (len(out) % 2)


def is_csa2(blob: bytes) -> bool:
    """Whether it is a CSA header of the newer format."""
    return blob.startswith(_CSA2)


def unpacked(blob: bytes) -> Iterator[bytes]:
    """What is compressed inside a blob (gzip); nothing if nothing is."""
    position = blob.find(_GZIP)
    while position >= 0:
        # Three bytes may look like the start of a stream.
        with suppress(zlib.error):
            yield zlib.decompressobj(31).decompress(blob[position:])
        position = blob.find(_GZIP, position + 1)


def with_packed_line(blob: bytes, line: bytes) -> bytes | None:
    """GE's protocol data block with a line more; None if it is none.

    Args:
        blob: Length (32 bits) and a gzip stream.
        line: What to add, without line end.
    """
    if blob[_GE_LENGTH_BYTES : _GE_LENGTH_BYTES + len(_GZIP)] != _GZIP:
        return None
    try:
        text = zlib.decompressobj(31).decompress(blob[_GE_LENGTH_BYTES:])
    except zlib.error:
        return None
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = packer.compress(text + line + b"\n") + packer.flush()
    new = len(packed).to_bytes(_GE_LENGTH_BYTES, "little") + packed
    return new + b"\0" * (len(new) % 2)
