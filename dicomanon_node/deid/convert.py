"""Rare encodings become Explicit VR Little Endian before they are looked at.

Deflated data is inflated as it streams in, Big Endian data is swapped as a whole.
Both are bounded: 900 bytes can inflate to gigabytes.
"""

import zlib
from array import array
from collections.abc import Iterator
from struct import Struct
from struct import error as StructError  # noqa: N812  (a name that tells whose error it is)

from dicomanon_node.deid import encoding
from dicomanon_node.deid.dictionary import (
    ITEM,
    ITEM_DELIMITATION,
    LONG_VRS,
    SEQUENCE_DELIMITATION,
    SHORT_VRS,
    UNDEFINED_LENGTH,
)
from dicomanon_node.deid.elements import ITEM_HEADER_BYTES, SequenceEnd
from dicomanon_node.errors import Reason, Refused

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"

_STEP_BYTES = 256 << 10
_DELIMITERS_GROUP = 0xFFFE

_BIG_HEADER = Struct(">HH2sH").unpack_from
_BIG_ITEM = Struct(">HHI").unpack_from
_BIG_UINT32 = Struct(">I").unpack_from
_LITTLE_SHORT = Struct("<HH2sH").pack
_LITTLE_LONG = Struct("<HH2s2xI").pack
_LITTLE_ITEM = Struct("<HHI").pack

# Bytes of the units in a value; what is not listed is a string of bytes (PS3.5 7.3).
_UNIT_CODES = {
    "AT": "H", "FD": "d", "FL": "f", "OD": "d", "OF": "f", "OL": "I", "OV": "Q", "OW": "H",
    "SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q",
}  # fmt: skip


def output_transfer_syntax(transfer_syntax_uid: str) -> str:
    """The transfer syntax an object is written in: its own, or Explicit VR Little Endian."""
    if transfer_syntax_uid in (DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN):
        return EXPLICIT_VR_LITTLE_ENDIAN
    return transfer_syntax_uid


class Inflater:
    """Inflates a Deflated Explicit VR Little Endian data set (PS3.5 A.5) piece by piece.

    Args:
        limit_bytes: Inflated size at which the object is refused.
    """

    held_bytes = 0  # what it has inflated is passed on

    def __init__(self, limit_bytes: int) -> None:
        self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)
        self._left = limit_bytes

    def feed(self, fragment: memoryview) -> Iterator[bytes]:
        """Yield what the fragment inflates to, in pieces of at most 256 KiB.

        Raises:
            Refused: DEFLATE_LIMIT or UNPARSABLE.
        """
        yield from self._inflate(fragment)

    def finish(self) -> Iterator[bytes]:
        """Yield what is left, and check that the deflated stream has come to its end.

        Raises:
            Refused: TRUNCATED if it has not. DEFLATE_LIMIT or UNPARSABLE.
        """
        yield from self._inflate(b"")
        if not self._zlib.eof:
            raise Refused(Reason.TRUNCATED)

    def _inflate(self, pending: bytes | memoryview) -> Iterator[bytes]:
        # What follows the end of the stream is padding (PS3.5 A.5).
        while not self._zlib.eof:
            try:
                piece = self._zlib.decompress(pending, _STEP_BYTES)
            except zlib.error:
                raise Refused(Reason.UNPARSABLE) from None
            pending = self._zlib.unconsumed_tail
            self._left -= len(piece)
            if self._left < 0:
                raise Refused(Reason.DEFLATE_LIMIT)
            if piece:
                yield piece
            # A full piece may have left output behind although all input is consumed.
            if not pending and len(piece) < _STEP_BYTES:
                break


class ByteSwapper:
    """Collects an Explicit VR Big Endian data set (PS3.5 A.3, retired) and swaps it.

    Args:
        limit_bytes: Collected size at which the object is refused.
        max_depth: Depth of sequences at which it is refused.
    """

    def __init__(self, limit_bytes: int, max_depth: int) -> None:
        self._data = bytearray()
        self._limit = limit_bytes
        self._max_depth = max_depth

    @property
    def held_bytes(self) -> int:
        """Bytes collected."""
        return len(self._data)

    def feed(self, fragment: memoryview) -> Iterator[bytes]:
        """Collect; nothing can be yielded before the end.

        Raises:
            Refused: OBJECT_TOO_LARGE.
        """
        self._data += fragment
        if len(self._data) > self._limit:
            raise Refused(Reason.OBJECT_TOO_LARGE)
        yield from ()

    def finish(self) -> Iterator[bytes]:
        """Yield the whole data set in Explicit VR Little Endian.

        Raises:
            Refused: UNPARSABLE, TRUNCATED or NESTED_TOO_DEEP.
        """
        out: list[bytes] = []
        try:
            self._dataset(0, len(self._data), out, 0, is_delimited=False)
        except StructError:
            raise Refused(Reason.TRUNCATED) from None
        self._data = bytearray()  # not held twice
        yield b"".join(out)

    def _dataset(
        self, pos: int, end: int, out: list[bytes], depth: int, *, is_delimited: bool
    ) -> int:
        if depth > self._max_depth:
            raise Refused(Reason.NESTED_TOO_DEEP)
        data = self._data
        while is_delimited or pos < end:
            if pos + ITEM_HEADER_BYTES > end:
                raise Refused(Reason.TRUNCATED)
            group, element, code, length = _BIG_HEADER(data, pos)
            tag = group << 16 | element
            if is_delimited and tag == ITEM_DELIMITATION:
                return pos
            vr = code.decode("ascii", "replace")
            if vr in LONG_VRS:
                length = _BIG_UINT32(data, pos + 8)[0]
                pos += 12
            elif vr in SHORT_VRS and group != _DELIMITERS_GROUP:
                pos += 8
            else:
                raise Refused(Reason.UNPARSABLE, tag)
            if length != UNDEFINED_LENGTH and pos + length > end:
                raise Refused(Reason.TRUNCATED, tag)
            if vr == "SQ":
                pos = self._sequence(tag, pos, length, end, out, depth)
                continue
            pack = _LITTLE_LONG if vr in LONG_VRS else _LITTLE_SHORT
            out.append(pack(group, element, code, length))
            if length == UNDEFINED_LENGTH:
                pos = self._unknown(tag, vr, pos, end, out)
                continue
            out.append(_swapped(vr, bytes(data[pos : pos + length]), tag))
            pos += length
        return pos

    def _unknown(self, tag: int, vr: str, pos: int, end: int, out: list[bytes]) -> int:
        # PS3.5 6.2.2: whatever is around it, UN is a sequence in Implicit VR Little Endian.
        if vr != "UN":
            raise Refused(Reason.UNPARSABLE, tag)
        scan = SequenceEnd(pos, implicit=True, max_depth=self._max_depth)
        if not scan.advance(self._data, end):
            raise Refused(Reason.TRUNCATED, tag)
        out.append(bytes(self._data[pos : scan.pos]))
        return scan.pos

    def _sequence(
        self, tag: int, pos: int, length: int, end: int, out: list[bytes], depth: int
    ) -> int:
        # Lengths do not change by swapping: sequences and items keep theirs.
        out.append(_LITTLE_LONG(tag >> 16, tag & 0xFFFF, b"SQ", length))
        stop = end if length == UNDEFINED_LENGTH else pos + length
        while pos < stop:
            if pos + ITEM_HEADER_BYTES > stop:
                raise Refused(Reason.TRUNCATED, tag)
            group, element, size = _BIG_ITEM(self._data, pos)
            item_tag = group << 16 | element
            pos += ITEM_HEADER_BYTES
            if item_tag == SEQUENCE_DELIMITATION and length == UNDEFINED_LENGTH:
                out.append(encoding.SEQUENCE_DELIMITATION_ITEM)
                return pos
            if item_tag != ITEM:
                raise Refused(Reason.UNPARSABLE, tag)
            out.append(_LITTLE_ITEM(group, element, size))
            if size == UNDEFINED_LENGTH:
                pos = self._dataset(pos, stop, out, depth + 1, is_delimited=True)
                pos += ITEM_HEADER_BYTES
                out.append(encoding.ITEM_DELIMITATION_ITEM)
            elif pos + size > stop:
                raise Refused(Reason.TRUNCATED, tag)
            else:
                pos = self._dataset(pos, pos + size, out, depth + 1, is_delimited=False)
        if length == UNDEFINED_LENGTH:
            raise Refused(Reason.TRUNCATED, tag)
        return pos


def _swapped(vr: str, value: bytes, tag: int) -> bytes:
    code = _UNIT_CODES.get(vr)
    if code is None:
        return value
    units = array(code)
    if len(value) % units.itemsize:
        raise Refused(Reason.UNPARSABLE, tag)
    units.frombytes(value)
    units.byteswap()
    return units.tobytes()
