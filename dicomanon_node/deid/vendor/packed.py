"""Compressed text in makers' blobs: GE's protocol data block, and gzip streams anywhere.

GE's block is a 32-bit length, a gzip stream of `KEY "value"` lines or XML, and padding. The
header of the stream has a file name made of the examination's number and the time of the
acquisition: it is written anew, without them. Everything here is bounded: what is unpacked
is at most `MAX_UNPACKED_BYTES`, whatever the stream says.
"""

import re
import struct
import zlib

from dicomanon_node.deid.vendor import content, protocol
from dicomanon_node.deid.vendor.errors import UnreadableError
from dicomanon_node.deid.vendor.names import Attribute, attribute
from dicomanon_node.deid.vendor.values import Cleaner, is_number

MAX_UNPACKED_BYTES = 16 << 20
GZIP = b"\x1f\x8b\x08"
ZIP = b"PK\3\4"
_GZIP_WINDOW = 31
_MAX_STREAMS = 16
_MIN_STREAM_BYTES = 20
# RFC 1952: flags after the signature; the first three bits and the last two are not names.
_MAX_FLAGS = 0x1F
_COMMENT = 0x10
_LENGTH = struct.Struct("<I")
_LEVEL = 9
_RUN = re.compile(rb"[\x20-\x7e\x80-\xff]{4,}+|(?:[\x20-\x7e]\0){4,}+")
_LINE = re.compile(rb"([ \t]*+(?:set[ \t]++)?)([A-Za-z_]\w{0,100}+)([ \t]++)(.*)", re.DOTALL)
# Keys of GE's that are no names elsewhere. Values without quotation marks are GE's too.
_KEYS = {
    b"PATIENT": Attribute(0x00100010, "PN"),
    b"PATNAM": Attribute(0x00100010, "PN"),
    b"EXAM": Attribute(0x00200010, "SH"),
    b"SEDESC": Attribute(0x0008103E, "LO"),
    b"EXDESC": Attribute(0x00081030, "LO"),
    b"NOTES": Attribute(0x00204000, "LT"),
}


def is_protocol_block(raw: bytes) -> bool:
    """Whether it is a gzip stream's length and the stream: GE's protocol data block."""
    if raw[_LENGTH.size : _LENGTH.size + len(GZIP)] != GZIP:
        return False
    (length,) = _LENGTH.unpack_from(raw)
    return bool(_MIN_STREAM_BYTES <= length <= len(raw) - _LENGTH.size)


def protocol_block(raw: bytes, cleaner: Cleaner) -> bytes:
    """GE's protocol data block with its values changed, packed again.

    Raises:
        UnreadableError: It cannot be unpacked, or is no text, or is too large.
    """
    (length,) = _LENGTH.unpack_from(raw)
    unpacked = _unpacked(raw[_LENGTH.size : _LENGTH.size + length], MAX_UNPACKED_BYTES)
    if unpacked is None or not content.is_text(unpacked[0]):
        raise UnreadableError
    text = unpacked[0]
    is_markup = text.lstrip().startswith(b"<")
    new = content.cleaned(text, cleaner) if is_markup else _key_lines(text, cleaner)
    # Stored, not compressed: whoever searches the written bytes sees what is in them.
    packed = _packed(new, level=0)
    # dcm2niix needs the length exact: the stream's last eight bytes are at its end.
    return _LENGTH.pack(len(packed)) + packed


def _key_lines(text: bytes, cleaner: Cleaner) -> bytes:
    return b"\n".join(_key_line(line, cleaner) for line in protocol.quoted_lines(text))


def _key_line(line: bytes, cleaner: Cleaner) -> bytes:
    match = _LINE.fullmatch(line)
    if match is None:
        return cleaner.text(line)
    start, key, blank, value = match.groups()
    opening = closing = note = b""
    if value.startswith(b'"'):
        opening, value, closing, note = protocol.split_quoted(value)
    found = _KEYS.get(key.upper()) or attribute(key)
    if found is not None:
        new = cleaner.attribute(found, value)
    elif is_number(value):
        new = cleaner.unnamed("DS", value)
    else:
        new = cleaner.text(value)
    if new != value:
        new = new.replace(b'"', b"'").replace(b"\n", b" ")
    return b"".join((cleaner.text(start + key), blank, opening, new, closing, cleaner.text(note)))


def embedded(raw: bytes, cleaner: Cleaner) -> bytes | None:
    """A binary value with the gzip streams in it changed, their lengths kept.

    What surrounds a stream states its length in ways of its own: the new one is filled up
    to the old one's length with a comment (RFC 1952 2.3).

    Returns:
        The value, empty if a stream cannot be judged or not be made to fit; None if there
        is no stream in it.

    Raises:
        UnreadableError: There is more in it than can be looked into.
    """
    out: list[bytes] = []
    position, budget, start = 0, MAX_UNPACKED_BYTES, raw.find(GZIP)
    count = 0
    while start >= 0:
        count += 1
        if count > _MAX_STREAMS:
            raise UnreadableError
        unpacked = _unpacked(raw[start:], budget)
        end = start + len(GZIP)
        if unpacked is not None:
            text, length = unpacked
            budget -= len(text)
            new = _refilled(text, length, cleaner)
            if new is None:
                return b""
            end = start + length
            out += (raw[position:start], new)
            position = end
        start = raw.find(GZIP, end)
    return b"".join((*out, raw[position:])) if out else None


def _refilled(text: bytes, length: int, cleaner: Cleaner) -> bytes | None:
    encoding = content.wide_encoding(text)
    if content.is_text(text):
        new = content.cleaned(text, cleaner)
    elif encoding is not None:
        wide = content.cleaned_wide(text, encoding, cleaner)
        if wide is None:
            return None
        new = wide
    else:
        words = b"\n".join(run.replace(b"\0", b"") for run in _RUN.findall(text))
        if cleaner.text(words) != words:
            return None
        new = text
    packed = _packed(new)
    missing = length - len(packed)
    if missing < 0:
        return None
    return packed if not missing else _packed(new, b" " * (missing - 1))


def _unpacked(raw: bytes, limit: int) -> tuple[bytes, int] | None:
    """What is in the stream that `raw` begins with, and the stream's length.

    Returns:
        None if it is no gzip stream.

    Raises:
        UnreadableError: It is one, and ends early or unpacks to more than `limit` bytes.
    """
    if len(raw) < _MIN_STREAM_BYTES or raw[len(GZIP)] > _MAX_FLAGS:
        return None
    stream = zlib.decompressobj(_GZIP_WINDOW)
    try:
        text = stream.decompress(raw, limit + 1)
    except zlib.error:
        return None
    if len(text) > limit or (text and not stream.eof):
        raise UnreadableError
    return (text, len(raw) - len(stream.unused_data)) if stream.eof else None


def _packed(text: bytes, comment: bytes | None = None, level: int = _LEVEL) -> bytes:
    # RFC 1952 2.3: no time, no name, an unknown system: the same text is the same stream.
    flags = 0 if comment is None else _COMMENT
    head = GZIP + bytes((flags, 0, 0, 0, 0, 2, 255))
    if comment is not None:
        head += comment + b"\0"
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = packer.compress(text) + packer.flush()
    return head + body + struct.pack("<II", zlib.crc32(text), len(text))
