"""Where the header of an object ends and where its pixel data ends.

Both are found while fragments of any size arrive, so that pixel data is never
collected: `HeaderScanner` collects what must be looked at (bounded),
`PixelTail` counts off the pixel data that passes by. This module changes nothing.
"""

from dataclasses import dataclass
from struct import Struct

from dicomanon_node.deid.dictionary import (
    ITEM,
    PIXEL_DATA_TAGS,
    SEQUENCE_DELIMITATION,
    UNDEFINED_LENGTH,
)
from dicomanon_node.deid.elements import (
    ITEM_HEADER_BYTES,
    Element,
    SequenceEnd,
    header_reader,
    is_implicit_content,
)
from dicomanon_node.errors import Reason, Refused

_ITEM_HEADER = Struct("<HHI").unpack_from
_MAX_HEADER_BYTES = 12
MAX_TOP_LEVEL = 100_000
"""Elements outside of sequences. Memory is held for each; the standard knows some 5,000."""

_PIXEL_VRS = frozenset({"OB", "OW", "OF", "OD", "UN"})


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of one object is looked at before it is refused.

    Attributes:
        header_bytes: All elements before and after the pixel data, in bytes.
        object_bytes: The whole data set, in bytes.
        nesting: Depth of sequences.
        elements: Elements and items, at all depths.
    """

    header_bytes: int = 128 << 20
    object_bytes: int = 16 << 30
    nesting: int = 64
    elements: int = 2_000_000


class HeaderScanner:
    """Collects a data set up to the value of its pixel data element.

    Attributes:
        buffer: What has been collected; starts with the first element.
        rows: The top-level elements found so far (see `elements`).
        pixel_element: (tag, vr, start, value, length) of the pixel data element, once found.
    """

    __slots__ = (
        "_implicit",
        "_limits",
        "_nested",
        "_open",
        "_pos",
        "buffer",
        "pixel_element",
        "rows",
    )

    def __init__(self, *, implicit: bool, limits: Limits) -> None:
        self.buffer = bytearray()
        self.rows: list[Element] = []
        self.pixel_element: tuple[int, str, int, int, int] | None = None
        self._implicit = implicit
        self._limits = limits
        self._pos = 0
        self._nested: SequenceEnd | None = None
        self._open: tuple[int, str, int, int] | None = None

    def feed(self, fragment: memoryview | bytes) -> bool:
        """Take a fragment; True once the pixel data element's header has been found.

        The rest of the fragment, from the pixel value on, is then at the end of `buffer`.

        Raises:
            Refused: HEADER_TOO_LARGE, UNPARSABLE, NESTED_TOO_DEEP, TOO_MANY_ELEMENTS.
        """
        buffer = self.buffer
        buffer += fragment
        limit = len(buffer)
        if self._scan(limit):
            return True
        if limit > self._limits.header_bytes or self._pos > self._limits.header_bytes:
            raise Refused(Reason.HEADER_TOO_LARGE)
        return False

    def finish(self) -> None:
        """The data set has ended without pixel data: check that it ends with an element."""
        if self._nested is not None or self._pos != len(self.buffer):
            raise Refused(Reason.TRUNCATED, self.rows[-1][0] if self.rows else None)

    def _scan(self, limit: int) -> bool:  # noqa: C901  (one loop, kept flat for speed)
        buffer, rows, implicit = self.buffer, self.rows, self._implicit
        read = header_reader(implicit=implicit)
        need = ITEM_HEADER_BYTES if implicit else _MAX_HEADER_BYTES
        max_elements = self._limits.elements
        max_rows = min(max_elements, MAX_TOP_LEVEL)
        pos = self._pos
        while True:
            if len(rows) > max_rows:
                raise Refused(Reason.TOO_MANY_ELEMENTS)
            if self._nested is not None:
                if not self._nested.advance(buffer, limit):
                    if self._nested.count > max_elements:
                        raise Refused(Reason.TOO_MANY_ELEMENTS)
                    self._pos = pos
                    return False
                tag, vr, start, value = self._open or (0, "", 0, 0)
                pos = self._nested.pos
                rows.append((tag, vr, start, value, pos - 8, pos))
                self._nested = None
            if pos + need > limit and not self._is_short_header(pos, limit):
                break
            tag, vr, value, length = read(buffer, pos, limit)
            if not vr:
                raise Refused(Reason.UNPARSABLE, tag)
            if tag in PIXEL_DATA_TAGS:
                # What passes unseen has to be pixels: never a sequence, never text.
                if vr not in _PIXEL_VRS or (vr == "UN" and length == UNDEFINED_LENGTH):
                    raise Refused(Reason.UNPARSABLE, tag)
                self.pixel_element = (tag, vr, pos, value, length)
                self._pos = pos
                return True
            if length == UNDEFINED_LENGTH:
                self._open = (tag, vr, pos, value)
                self._nested = SequenceEnd(
                    value,
                    implicit=is_implicit_content(vr, implicit=implicit),
                    max_depth=self._limits.nesting,
                )
                continue
            stop = value + length
            if stop > limit:
                if stop > self._limits.header_bytes:
                    raise Refused(Reason.HEADER_TOO_LARGE, tag)
                break
            rows.append((tag, vr, pos, value, stop, stop))
            pos = stop
        self._pos = pos
        return False

    def _is_short_header(self, pos: int, limit: int) -> bool:
        # An explicit VR header is 8 bytes where the VR has a 16-bit length: the last
        # element of a data set may be shorter than the longest header.
        if self._implicit or pos + 8 > limit:
            return False
        try:
            header_reader(implicit=False)(self.buffer, pos, limit)
        except Refused as refused:
            if refused.reason is Reason.TRUNCATED:
                return False
            raise
        return True


class PixelTail:
    """Counts off a pixel data value as its fragments pass by.

    Native values end after their length; encapsulated ones (PS3.5 A.4) with the
    sequence delimitation item. The value's bytes are passed on untouched.
    """

    __slots__ = ("_carry", "_remaining", "is_complete", "is_encapsulated")

    def __init__(self, length: int) -> None:
        self.is_encapsulated = length == UNDEFINED_LENGTH
        self._remaining = 0 if self.is_encapsulated else length
        self._carry = b""
        self.is_complete = not self.is_encapsulated and length == 0

    def take(self, fragment: memoryview) -> int:
        """How many bytes of the fragment, from its start, belong to the pixel value.

        Raises:
            Refused: UNPARSABLE if what should be an item is not one.
        """
        if self.is_complete:
            return 0
        if not self.is_encapsulated:
            taken = min(self._remaining, len(fragment))
            self._remaining -= taken
            self.is_complete = not self._remaining
            return taken
        return self._take_items(fragment)

    def _take_items(self, fragment: memoryview) -> int:
        pos, size = 0, len(fragment)
        while pos < size:
            if self._remaining:
                step = min(self._remaining, size - pos)
                self._remaining -= step
                pos += step
                continue
            step = min(ITEM_HEADER_BYTES - len(self._carry), size - pos)
            self._carry += fragment[pos : pos + step]
            pos += step
            if len(self._carry) < ITEM_HEADER_BYTES:
                break
            group, element, length = _ITEM_HEADER(self._carry)
            self._carry = b""
            tag = group << 16 | element
            if tag == SEQUENCE_DELIMITATION and length == 0:
                self.is_complete = True
                break
            if tag != ITEM or length == UNDEFINED_LENGTH:
                raise Refused(Reason.UNPARSABLE, tag)
            self._remaining = length
        return pos
