"""Changes to whole sequences: what D, Z or a rule means for items.

An SR document reduced to its references is still a document whose references
resolve; a presentation state keeps its images and loses what was drawn.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from dicomanon_node.deid import encoding
from dicomanon_node.deid.decisions import Change, Decision
from dicomanon_node.deid.dictionary import (
    ITEM,
    SEQUENCE_DELIMITATION,
    UNDEFINED_LENGTH,
)
from dicomanon_node.deid.elements import (
    SequenceEnd,
    header_reader,
    is_implicit_content,
    read_implicit_header,
)
from dicomanon_node.errors import Reason, Refused

if TYPE_CHECKING:
    from dicomanon_node.deid.rewrite import Rewriter


class Span(NamedTuple):
    """A sequence in the buffer; `after` is behind its delimiter, if it has one."""

    tag: int
    encoded_vr: str
    start: int
    value: int
    after: int
    is_undefined: bool
    implicit: bool
    depth: int


class Item(NamedTuple):
    """An item's content in the buffer: from `start` to `end`; a delimiter may follow."""

    start: int
    end: int
    is_delimited: bool


SequenceChange = Callable[["Rewriter", Span, Decision], bytes]

_VALUE_TYPE = 0x0040A040
_GRAPHIC_LAYER = 0x00700002
_REFERENCED_STUDY_SEQUENCE = 0x00081110
_REFERENCED_IMAGE_SEQUENCE = 0x00081140

# Value types of content items that refer to objects or hold the tree together, and say
# nothing themselves (PS3.3 C.17.3.2.1).
_REFERRING = frozenset({b"CONTAINER", b"IMAGE", b"COMPOSITE", b"WAVEFORM"})


def _empty(rewriter: "Rewriter", span: Span, _decision: Decision) -> bytes:
    rewriter.forget_items(span)
    if span.tag == _REFERENCED_STUDY_SEQUENCE and not span.depth:
        return b""  # Type 3 in General Study, where it may not be empty; Type 2 in requests
    return rewriter.with_content(span.start, span.value, b"", is_undefined=False)


def _hash_items(rewriter: "Rewriter", span: Span, decision: Decision) -> bytes:
    outer = rewriter.item_hash
    rewriter.item_hash = decision.rule
    try:
        return _walked(rewriter, span)
    finally:
        rewriter.item_hash = outer


def _dummy_code(rewriter: "Rewriter", span: Span, _decision: Decision) -> bytes:
    rewriter.forget_items(span)
    implicit = is_implicit_content(span.encoded_vr, implicit=span.implicit)
    item = encoding.code_item("0", "99DEID", "-", implicit=implicit)
    return rewriter.with_content(span.start, span.value, item, is_undefined=False)


def _reduce_content(rewriter: "Rewriter", span: Span, _decision: Decision) -> bytes:
    implicit = is_implicit_content(span.encoded_vr, implicit=span.implicit)
    kept = []
    for number, item in enumerate(items(rewriter, span, implicit=implicit)):
        found = find(rewriter, item, _VALUE_TYPE, implicit=implicit)
        if found is not None and found.strip(b" \0") in _REFERRING:
            rewriter.enter(span.tag, number)
            kept.append(rewritten_item(rewriter, item, span, implicit=implicit))
            rewriter.leave()
        else:
            rewriter.forget_items(span._replace(value=item.start, after=item.end))
    if not kept:
        kept.append(encoding.item(dummy_content_item(implicit=implicit)))
    return rewriter.with_content(span.start, span.value, b"".join(kept), is_undefined=False)


def dummy_content_item(*, implicit: bool) -> bytes:
    """(121106, DCM, "Comment") with a dummy text: valid where a TEXT item is."""
    concept = encoding.code_item("121106", "DCM", "Comment", implicit=implicit)
    return (
        encoding.element(0x0040A010, "CS", b"CONTAINS", implicit=implicit)
        + encoding.element(_VALUE_TYPE, "CS", b"TEXT", implicit=implicit)
        + encoding.element(0x0040A043, "SQ", concept, implicit=implicit)
        + encoding.element(0x0040A160, "UT", b"-", implicit=implicit)
    )


def _reduce_graphics(rewriter: "Rewriter", span: Span, _decision: Decision) -> bytes:
    rewriter.forget_items(span)
    implicit = is_implicit_content(span.encoded_vr, implicit=span.implicit)
    point = encoding.item(
        encoding.element(0x00700005, "CS", b"PIXEL", implicit=implicit)  # Graphic Annotation Units
        + encoding.element(0x00700020, "US", b"\x02\0", implicit=implicit)  # Graphic Dimensions
        + encoding.element(0x00700021, "US", b"\x01\0", implicit=implicit)  # Number of Points
        + encoding.element(0x00700022, "FL", b"\0\0\x80\x3f" * 2, implicit=implicit)  # 1.0\1.0
        + encoding.element(0x00700023, "CS", b"POINT", implicit=implicit)  # Graphic Type
        + encoding.element(0x00700024, "CS", b"N", implicit=implicit)  # Graphic Filled
    )
    graphics = encoding.element(0x00700009, "SQ", point, implicit=implicit)
    kept = []
    for number, item in enumerate(items(rewriter, span, implicit=implicit)):
        rewriter.enter(span.tag, number)
        parts = [
            _rewritten(rewriter, item, tag, span, implicit=implicit)
            for tag in (_REFERENCED_IMAGE_SEQUENCE, _GRAPHIC_LAYER)
        ]
        rewriter.leave()
        kept.append(encoding.item(b"".join(parts) + graphics))
    return rewriter.with_content(span.start, span.value, b"".join(kept), is_undefined=False)


SEQUENCE_CHANGES: Mapping[Change | None, SequenceChange] = MappingProxyType(
    {
        Change.EMPTY: _empty,
        Change.HASH_ITEMS: _hash_items,
        Change.DUMMY_CODE: _dummy_code,
        Change.REDUCE_CONTENT: _reduce_content,
        Change.REDUCE_GRAPHICS: _reduce_graphics,
    }
)


def _walked(rewriter: "Rewriter", span: Span) -> bytes:
    stop = None if span.is_undefined else span.after
    new, after = rewriter.sequence(
        span.tag,
        span.encoded_vr,
        span.start,
        span.value,
        stop,
        span.after,
        span.implicit,
        span.depth,
    )
    return rewriter.buffer[span.start : after] if new is None else new


def items(rewriter: "Rewriter", span: Span, *, implicit: bool) -> list[Item]:
    """The items of a sequence, each one's end looked up.

    Raises:
        Refused: UNPARSABLE or TRUNCATED.
    """
    buffer, pos = rewriter.buffer, span.value
    found = []
    while pos < span.after:
        tag, _, content, length = read_implicit_header(buffer, pos, span.after)
        if tag == SEQUENCE_DELIMITATION:
            break
        if tag != ITEM:
            raise Refused(Reason.UNPARSABLE, span.tag)
        if length == UNDEFINED_LENGTH:
            # One item and its delimiter look like a sequence without its own.
            scan = SequenceEnd(pos, implicit=implicit, max_depth=rewriter.limits.nesting)
            pos = scan.item(buffer, span.after)
            found.append(Item(content, pos - 8, is_delimited=True))
        else:
            pos = content + length
            if pos > span.after:
                raise Refused(Reason.TRUNCATED, span.tag)
            found.append(Item(content, pos, is_delimited=False))
    return found


def _spans(
    rewriter: "Rewriter", pos: int, end: int, *, implicit: bool
) -> Iterator[tuple[int, str, int, int, int | None, int]]:
    # The elements of an item: (tag, vr, start, value, stop or None, after).
    buffer, read = rewriter.buffer, header_reader(implicit=implicit)
    while pos < end:
        tag, vr, value, length = read(buffer, pos, end)
        stop = None if length == UNDEFINED_LENGTH else value + length
        after = rewriter.after(value, vr, stop, end, implicit=implicit)
        if not vr or after > end:
            raise Refused(Reason.UNPARSABLE, tag)
        yield tag, vr, pos, value, stop, after
        pos = after


def find(rewriter: "Rewriter", item: Item, wanted: int, *, implicit: bool) -> bytes | None:
    """The value of an element of an item; None where it has none."""
    for tag, _, _, value, _, after in _spans(rewriter, item.start, item.end, implicit=implicit):
        if tag >= wanted:
            return rewriter.buffer[value:after] if tag == wanted else None
    return None


def first_item(
    rewriter: "Rewriter", item: Item, wanted: int, *, implicit: bool
) -> tuple[Item, bool] | None:
    """The first item of a sequence in an item, and whether it is Implicit VR."""
    for tag, vr, start, value, stop, after in _spans(
        rewriter, item.start, item.end, implicit=implicit
    ):
        if tag == wanted:
            span = Span(tag, vr, start, value, after, stop is None, implicit, 0)
            inner_implicit = is_implicit_content(vr, implicit=implicit)
            found = items(rewriter, span, implicit=inner_implicit)
            return (found[0], inner_implicit) if found else None
    return None


def _rewritten(
    rewriter: "Rewriter", item: Item, wanted: int, outer: Span, *, implicit: bool
) -> bytes:
    # One element of an item, rewritten by its own rules; b"" where the item has none.
    for tag, vr, start, value, stop, after in _spans(
        rewriter, item.start, item.end, implicit=implicit
    ):
        if tag == wanted:
            new, _ = rewriter.element(
                tag, vr, start, value, stop, item.end, implicit, outer.depth + 1
            )
            return rewriter.buffer[start:after] if new is None else new
    return b""


def rewritten_item(rewriter: "Rewriter", item: Item, outer: Span, *, implicit: bool) -> bytes:
    """An item of a sequence, rewritten by the rules of its elements, with a length."""
    end = item.end + 8 if item.is_delimited else item.end
    new, _ = rewriter.dataset(item.start, end, implicit, outer.depth + 1, item.is_delimited)
    return encoding.item(rewriter.buffer[item.start : item.end] if new is None else new)
