"""Values that are something else in disguise: base64, hexadecimal figures, a zlib stream.

Nobody finds an identifier in them, so they are looked into; one that has to be changed
goes as a whole.
"""

import base64
import binascii
import re
import zlib
from collections.abc import Iterator

from dicomanon_node.deid.vendor.values import Cleaner

# Longer ones are pictures and tables.
_MAX_LOOKED_INTO, _MAX_UNPACKED_BYTES = 1 << 17, 1 << 20
_BASE64 = re.compile(rb"[A-Za-z0-9+/\r\n]{12,}+={0,2}[\r\n]*+")
_HEXADECIMAL = re.compile(rb"(?:[0-9A-Fa-f]{2}){6,}+")
_ZLIB_METHOD = 0x78
_ZLIB_CHECK = 31
_WORDS = re.compile(rb"[\x20-\x7e\x80-\xff]{4,}+|(?:[\x20-\x7e]\0){4,}+")


def holds_identifiers(raw: bytes, cleaner: Cleaner) -> bool:
    """Whether what a value stands for would have to be changed."""
    if len(raw) > _MAX_LOOKED_INTO:
        return False
    for content in _contents(raw.strip(b"\0 ")):
        words = b"\n".join(run.replace(b"\0", b"") for run in _WORDS.findall(content))
        if words and cleaner.text(words) != words:
            return True
    return False


def _contents(body: bytes) -> Iterator[bytes]:
    if _BASE64.fullmatch(body):
        try:
            plain = base64.b64decode(body)
        except binascii.Error:
            plain = b""
        yield plain
        yield _inflated(plain)
    if _HEXADECIMAL.fullmatch(body):
        yield bytes.fromhex(body.decode("ascii"))
    yield _inflated(body)


def _inflated(body: bytes) -> bytes:
    # RFC 1950 2.2: method and check bits make a header.
    is_stream = len(body) > 2 and body[0] == _ZLIB_METHOD  # noqa: PLR2004  (the header)
    if not is_stream or int.from_bytes(body[:2]) % _ZLIB_CHECK:
        return b""
    try:
        return zlib.decompressobj().decompress(body, _MAX_UNPACKED_BYTES)
    except zlib.error:
        return b""
