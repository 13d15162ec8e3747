"""Walk an encoded data set (PS3.5 7) without decoding what is not needed.

An element is a plain tuple, because there are thousands of them in an object:

    (tag, vr, start, value, end, stop)

`tag` is (group << 16) | element, `vr` the two letters, `start` the offset of the
element's header in the buffer, `value` of its first value byte, `end` after its
last value byte, and `stop` where the next element starts: `end`, or 8 bytes
further where a delimitation item ends a value of undefined length.

Explicit and Implicit VR Little Endian. This module changes nothing and knows no
rules. What it cannot read raises `Refused`: nothing is skipped on a guess.
"""

from collections.abc import Callable, Iterator
from struct import Struct

from dicomanon_node.deid.dictionary import (
    ITEM,
    ITEM_DELIMITATION,
    LONG_VRS,
    SEQUENCE_DELIMITATION,
    SHORT_VRS,
    UNDEFINED_LENGTH,
    vr_of,
)
from dicomanon_node.errors import Reason, Refused

Buffer = bytes | bytearray | memoryview
Element = tuple[int, str, int, int, int, int]

_IMPLICIT_HEADER = Struct("<HHI").unpack_from
_EXPLICIT_HEADER = Struct("<HH2sH").unpack_from
_UINT32 = Struct("<I").unpack_from

_SHORT_BY_BYTES = {vr.encode(): vr for vr in SHORT_VRS}
_LONG_BY_BYTES = {vr.encode(): vr for vr in LONG_VRS}

# Item and delimitation headers are 8 bytes in every encoding (PS3.5 7.5).
ITEM_HEADER_BYTES = 8
_MAX_HEADER_BYTES = 12
_DELIMITERS = frozenset((ITEM, ITEM_DELIMITATION, SEQUENCE_DELIMITATION))
_DELIMITERS_GROUP = 0xFFFE
_DELIMITERS_GROUP_BYTES = b"\xfe\xff"

# Reads one element header: (tag, vr, offset of the value, length).
HeaderReader = Callable[[Buffer, int, int], tuple[int, str, int, int]]


def read_explicit_header(buffer: Buffer, pos: int, limit: int) -> tuple[int, str, int, int]:
    """Read an Explicit VR element header: (tag, vr, offset of the value, length).

    Items and delimiters come back with VR "". The length may be UNDEFINED_LENGTH; it
    is not checked against `limit`.

    Raises:
        Refused: TRUNCATED if the header does not fit before `limit`, UNPARSABLE if
            the VR is none of the standard's.

    Standard: PS3.5 7.1.2.
    """
    if pos + 8 > limit:
        raise Refused(Reason.TRUNCATED)
    group, element, code, length = _EXPLICIT_HEADER(buffer, pos)
    tag = group << 16 | element
    vr = _SHORT_BY_BYTES.get(code)
    if vr is not None and group != _DELIMITERS_GROUP:
        return tag, vr, pos + 8, length
    if tag in _DELIMITERS:
        return tag, "", pos + 8, _UINT32(buffer, pos + 4)[0]
    vr = _LONG_BY_BYTES.get(code)
    if vr is None:
        # Also an implicit header in an explicit data set: what follows would be a guess.
        raise Refused(Reason.UNPARSABLE, tag)
    if pos + _MAX_HEADER_BYTES > limit:
        raise Refused(Reason.TRUNCATED, tag)
    return tag, vr, pos + 12, _UINT32(buffer, pos + 8)[0]


def read_implicit_header(buffer: Buffer, pos: int, limit: int) -> tuple[int, str, int, int]:
    """Read an Implicit VR element header, or that of an item in any encoding.

    As `read_explicit_header`; the VR is the dictionary's, UN where it has none.

    Standard: PS3.5 7.1.3.
    """
    if pos + 8 > limit:
        raise Refused(Reason.TRUNCATED)
    group, element, length = _IMPLICIT_HEADER(buffer, pos)
    tag = group << 16 | element
    if tag in _DELIMITERS:
        return tag, "", pos + 8, length
    return tag, vr_of(tag) or "UN", pos + 8, length


def header_reader(*, implicit: bool) -> HeaderReader:
    """The function that reads the headers of a data set."""
    return read_implicit_header if implicit else read_explicit_header


def is_implicit_content(vr: str, *, implicit: bool) -> bool:
    """How the items of a sequence are encoded: those of UN are always Implicit VR.

    Standard: PS3.5 6.2.2, Note 2 and 4.
    """
    return implicit or vr == "UN"


# Nesting beyond which a look for identifiers ends; the object is refused long before.
_MAX_LOOKED_INTO = 64
# Of what has been walked already, by whatever limit.
_MAX_NESTING = 1_000


class SequenceEnd:
    """Finds, in a growing buffer, where a value of undefined length ends.

    Keeps its place between calls, so that a header that comes in many fragments is
    scanned once. Values of defined length are jumped over, not looked into.
    """

    __slots__ = ("_max_depth", "_stack", "count", "pos")

    def __init__(self, pos: int, *, implicit: bool, max_depth: int) -> None:
        # The stack holds, for each open undefined length, what ends it and the encoding.
        self._stack = [(SEQUENCE_DELIMITATION, implicit)]
        self._max_depth = max_depth
        self.pos = pos
        self.count = 0

    def advance(  # noqa: C901  (one loop, kept flat for speed)
        self, buffer: Buffer, limit: int
    ) -> bool:
        """Scan on, up to `limit`; True when the end has been found (`pos` is after it)."""
        stack = self._stack
        pos = self.pos
        count = 0
        while stack:
            ends, implicit = stack[-1]
            read = read_implicit_header if implicit else read_explicit_header
            # Up to the next change of the stack.
            while True:
                if pos + _MAX_HEADER_BYTES > limit and not self._is_delimiter(buffer, pos, limit):
                    self.pos = pos
                    self.count += count
                    return False
                tag, vr, value, length = read(buffer, pos, limit)
                pos = value
                if not vr:
                    if tag == ends:
                        stack.pop()
                        break
                    if tag != ITEM or ends != SEQUENCE_DELIMITATION:
                        raise Refused(Reason.UNPARSABLE, tag)
                elif ends != ITEM_DELIMITATION:
                    raise Refused(Reason.UNPARSABLE, tag)
                count += 1
                if length == UNDEFINED_LENGTH:
                    if vr:
                        stack.append((SEQUENCE_DELIMITATION, implicit or vr == "UN"))
                    else:
                        stack.append((ITEM_DELIMITATION, implicit))
                    if len(stack) > 2 * self._max_depth:
                        raise Refused(Reason.NESTED_TOO_DEEP)
                    break
                pos += length
        self.pos = pos
        self.count += count
        return True

    @staticmethod
    def _is_delimiter(buffer: Buffer, pos: int, limit: int) -> bool:
        # The one header that is shorter than the longest and may be the last.
        is_whole = pos + ITEM_HEADER_BYTES <= limit
        return is_whole and buffer[pos : pos + 2] == _DELIMITERS_GROUP_BYTES

    def item(self, buffer: Buffer, limit: int) -> int:
        """The offset after the one item of undefined length that starts at `pos`.

        Raises:
            Refused: TRUNCATED if it does not end before `limit`.
        """
        self._stack = [(ITEM_DELIMITATION, self._stack[0][1])]
        self.pos += ITEM_HEADER_BYTES
        if not self.advance(buffer, limit):
            raise Refused(Reason.TRUNCATED)
        return self.pos


def leaves(
    buffer: Buffer, pos: int, end: int, *, implicit: bool
) -> Iterator[tuple[int, str, int, int]]:
    """Yield (tag, vr, offset of the value, offset after it) of all that is not a sequence.

    For a look only: what cannot be read ends the walk without an error, because what
    is looked into here is removed anyway.
    """
    outer: list[tuple[int, bool]] = []
    while True:
        if pos + ITEM_HEADER_BYTES > end:
            if not outer:
                return
            pos = end
            end, implicit = outer.pop()
            continue
        try:
            tag, vr, value, length = header_reader(implicit=implicit)(buffer, pos, end)
            known = vr if vr != "UN" else vr_of(tag) or "UN"
            is_undefined = length == UNDEFINED_LENGTH
            if vr == "UN" and not implicit and (known == "SQ" or is_undefined):
                # Its content is Implicit VR (PS3.5 6.2.2).
                outer.append((end, implicit))
                end = _end_of(buffer, value, end) if is_undefined else min(value + length, end)
                implicit, pos = True, value
                continue
        except Refused:
            return
        if not vr or known == "SQ" or is_undefined:
            pos = value  # items, delimiters and sequences: step inside
            continue
        pos = value + length
        if pos > end:
            return
        yield tag, known, value, pos


def top_level(buffer: Buffer, *, implicit: bool) -> Iterator[tuple[int, str, int, int]]:
    """Yield (tag, vr, offset of the value, offset after it) of top-level elements.

    Raises:
        Refused: The bytes are no data set.
    """
    read = header_reader(implicit=implicit)
    pos, end = 0, len(buffer)
    while pos < end:
        tag, vr, value, length = read(buffer, pos, end)
        if not vr:
            raise Refused(Reason.UNPARSABLE, tag)
        stop = value + length
        if length == UNDEFINED_LENGTH:
            inner_implicit = is_implicit_content(vr, implicit=implicit)
            scan = SequenceEnd(value, implicit=inner_implicit, max_depth=_MAX_NESTING)
            if not scan.advance(buffer, end):
                raise Refused(Reason.TRUNCATED, tag)
            stop = scan.pos
        yield tag, vr, value, stop
        pos = stop


def _end_of(buffer: Buffer, value: int, end: int) -> int:
    scan = SequenceEnd(value, implicit=True, max_depth=_MAX_LOOKED_INTO)
    if not scan.advance(buffer, end):
        raise Refused(Reason.TRUNCATED)
    return scan.pos


class Elements:
    """The top-level elements of a header, in the order they came in.

    Attributes:
        buffer: The encoded header.
        implicit: Whether it is Implicit VR Little Endian.
        rows: The elements.
        asked: Tags of the elements that somebody has looked at by their tag.
    """

    __slots__ = ("_by_tag", "asked", "buffer", "implicit", "rows")

    def __init__(self, buffer: Buffer, rows: list[Element], *, implicit: bool) -> None:
        self.buffer = bytes(buffer)  # no copy where it is bytes already
        self.implicit = implicit
        self.rows = rows
        self.asked: set[int] = set()
        self._by_tag = {row[0]: row for row in rows}

    def __contains__(self, tag: int) -> bool:
        return tag in self._by_tag

    def row(self, tag: int) -> Element | None:
        """The element, or None where it is absent."""
        self.asked.add(tag)
        return self._by_tag.get(tag)

    def value(self, tag: int) -> bytes | None:
        """The encoded value (PHI), or None where the element is absent."""
        self.asked.add(tag)
        row = self._by_tag.get(tag)
        return None if row is None else self.buffer[row[3] : row[4]]

    def ascii(self, tag: int) -> str:
        """A value of the default repertoire without its padding (PHI); "" where absent.

        Bytes outside of ASCII come back as U+FFFD: such a value matches nothing.
        """
        value = self.value(tag)
        return "" if value is None else value.decode("ascii", "replace").strip(" \0")
