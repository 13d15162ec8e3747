"""Private blocks (PS3.5 7.8.1), by their creator, never by their number.

A block without a creator is nobody's and goes. The creators of what stays, stay;
those of emptied blocks go.
"""

from typing import TYPE_CHECKING, NamedTuple

from dicomanon_node.deid import dictionary, encoding, vendor
from dicomanon_node.deid.decisions import Change, Decision, Verb
from dicomanon_node.deid.dictionary import UNDEFINED_LENGTH
from dicomanon_node.deid.elements import header_reader
from dicomanon_node.deid.fields import BlobFields
from dicomanon_node.deid.rules import PrivateTag
from dicomanon_node.deid.table import SAFE_PRIVATE
from dicomanon_node.errors import Reason, Refused

if TYPE_CHECKING:
    from dicomanon_node.deid.rewrite import Rewriter

_MAX_CREATOR_BYTES = 64
# Where a maker's own format may be.
_BLOB_VRS = frozenset({"LT", "OB", "OW", "ST", "UN", "UT"})
_ITEM_TAG = encoding.ITEM_TAG


def rewrite_group(
    rewriter: "Rewriter", pos: int, end: int, *, implicit: bool, depth: int
) -> tuple[bytes | None, int]:
    """Rewrite all consecutive elements of the private group that starts at `pos`.

    Returns:
        What is left of the group, and the offset after it.
    """
    buffer, read = rewriter.buffer, header_reader(implicit=implicit)
    group = buffer[pos : pos + 2]
    creators: dict[int, tuple[str, bytes]] = {}
    kept: list[tuple[int, bytes]] = []
    while pos < end and buffer[pos : pos + 2] == group:
        tag, vr, value, length = read(buffer, pos, end)
        rewriter.count(1)
        stop = None if length == UNDEFINED_LENGTH else value + length
        if stop is not None and stop > end:
            raise Refused(Reason.TRUNCATED, tag)
        number = tag & 0xFFFF
        if dictionary.is_creator(tag) and stop is not None:
            raw = buffer[value:stop]
            # PS3.5 7.8.1: a creator is one LO value; a block claimed by anything else is nobody's.
            is_creator = vr in ("LO", "UN") and length <= _MAX_CREATOR_BYTES and b"\\" not in raw
            if not is_creator:
                rewriter.note_removed(tag, vr, "nobody's private block")
                pos = stop
                continue
            is_clean = rewriter.guard is None or dictionary.names_a_maker(tag, raw)
            if is_clean or (rewriter.guard is not None and rewriter.guard.is_clean_name(raw)):
                name = raw.decode("ascii", "replace").strip(" \0")
                creators[number] = (name, buffer[pos:stop])
            pos = stop
            continue
        creator = creators.get(number >> 8)
        if creator is None:
            rewriter.note_removed(tag, vr, "private element without a creator")
            pos = rewriter.after(value, vr, stop, end, implicit=implicit)
            continue
        element = Span(tag, vr, pos, value, stop, end, implicit, depth)
        new, after = _element(rewriter, creator[0], element)
        if new is None:
            new = buffer[pos:after]
        if new:
            kept.append((number, new))
        pos = after
    used = {number >> 8 for number, _ in kept}
    parts = [encoded for block, (_, encoded) in sorted(creators.items()) if block in used]
    parts += [encoded for _, encoded in kept]
    return b"".join(parts), pos


class Span(NamedTuple):
    """A private element in the buffer; `stop` is None where its length is undefined."""

    tag: int
    vr: str
    start: int
    value: int
    stop: int | None
    end: int
    implicit: bool
    depth: int


def _element(rewriter: "Rewriter", creator: str, element: Span) -> tuple[bytes | None, int]:
    handled = element.vr
    if handled == "UN":
        private_tag = PrivateTag(element.tag >> 16, creator, element.tag & 0xFF)
        known = SAFE_PRIVATE.get(private_tag) or dictionary.private_vr_of(creator, element.tag)
        handled = known or ("SQ" if element.stop is None else "UN")
    if element.stop is None or _looks_like_items(rewriter, element):
        handled = "SQ"
    character_set, overrides = rewriter.character_set, rewriter.overrides
    try:
        return _acted_upon(rewriter, creator, element, handled)
    except Refused as refused:
        if refused.reason not in (Reason.UNPARSABLE, Reason.TRUNCATED):
            raise
    if element.vr == "OB":
        # Items that are no data sets, such as fragments: judged like any other blob.
        rewriter.character_set, rewriter.overrides = character_set, overrides
        return _acted_upon(rewriter, creator, element, "OB")
    # It is to be kept and cannot be looked into: nobody can say what is in it.
    raise Refused(Reason.PRIVATE_UNREADABLE, element.tag)


def _acted_upon(
    rewriter: "Rewriter", creator: str, element: Span, handled: str
) -> tuple[bytes | None, int]:
    tag, vr, start, value, stop, end, implicit, depth = element
    if handled == "SQ" and vr == "OB":
        vr = "UN"  # whose items are Implicit VR
    private_tag = PrivateTag(tag >> 16, creator, tag & 0xFF)
    decision = rewriter.plan.decide_private(private_tag, tag, handled)
    if decision.verb is Verb.WALK:
        return rewriter.walked(decision, tag, vr, start, value, stop, end, implicit, depth, creator)
    after = rewriter.after(value, vr, stop, end, implicit=implicit)
    if decision.verb is Verb.DROP:
        rewriter.note_removed(tag, handled, decision.source, creator)
        if not implicit:
            rewriter.forget_private(tag, handled, value, after)
        return b"", after
    is_kept = decision.verb is Verb.KEEP or decision.change is Change.CLEAN_UNLISTED
    if is_kept and handled in _BLOB_VRS and rewriter.plan.is_guarded and stop is not None:
        try:
            blob = vendor.rewritten(private_tag, rewriter.buffer[value:after], BlobFields(rewriter))
        except vendor.UnreadableError:
            # It says it is a format that holds identities, and nobody can say which.
            rewriter.note_removed(tag, handled, "a maker's format that cannot be read", creator)
            return b"", after
        if blob is not None:
            return _written_again(rewriter, creator, element, handled, decision, blob), after
    new = rewriter.decided(
        decision, tag, vr, handled, start, value, after, stop is None, implicit, depth, creator
    )
    return new, after


def _written_again(
    rewriter: "Rewriter",
    creator: str,
    element: Span,
    handled: str,
    decision: Decision,
    blob: bytes,
) -> bytes | None:
    raw = rewriter.buffer[element.value : element.stop]
    if rewriter.guard is not None:
        blob = rewriter.guard.kept(element.tag, handled, blob, rewriter.character_set) or b""
    rewriter.note_blob(decision, element.tag, handled, raw, blob, creator)
    if blob == raw:
        return None
    if not blob:
        return b""
    return encoding.element(element.tag, handled, blob, implicit=element.implicit)


def _looks_like_items(rewriter: "Rewriter", element: Span) -> bool:
    # PS3.5 6.2.2 and CP-246: a private sequence arrives as UN when its VR was not known.
    return element.vr in ("UN", "OB") and rewriter.buffer.startswith(_ITEM_TAG, element.value)
