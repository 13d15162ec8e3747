"""Private blocks (PS3.5 7.8.1), by their creator, never by their number.

A block without a creator is nobody's and goes. The creators of what stays, stay;
those of emptied blocks go.
"""

from typing import TYPE_CHECKING

from dicomanon_node.deid import dictionary, encoding
from dicomanon_node.deid.dictionary import UNDEFINED_LENGTH
from dicomanon_node.deid.elements import read_header
from dicomanon_node.deid.plan import Verb
from dicomanon_node.deid.rules import PrivateTag
from dicomanon_node.errors import Reason, Refused

if TYPE_CHECKING:
    from dicomanon_node.deid.rewrite import Rewriter

_FIRST_BLOCK, _LAST_BLOCK = 0x10, 0xFF
_ITEM_TAG = encoding.ITEM_TAG


def rewrite_group(
    rewriter: "Rewriter", pos: int, end: int, *, implicit: bool, depth: int
) -> tuple[bytes | None, int]:
    """Rewrite all consecutive elements of the private group that starts at `pos`.

    Returns:
        What is left of the group, and the offset after it.
    """
    buffer = rewriter.buffer
    group = int.from_bytes(buffer[pos : pos + 2], "little")
    creators: dict[int, tuple[str, bytes]] = {}
    kept: list[tuple[int, bytes]] = []
    while pos < end and int.from_bytes(buffer[pos : pos + 2], "little") == group:
        tag, vr, value, length = read_header(buffer, pos, end, implicit=implicit)
        rewriter.element_count += 1
        stop = None if length == UNDEFINED_LENGTH else value + length
        if stop is not None and stop > end:
            raise Refused(Reason.TRUNCATED, tag)
        number = tag & 0xFFFF
        if _FIRST_BLOCK <= number <= _LAST_BLOCK and stop is not None:
            name = bytes(buffer[value:stop]).decode("ascii", "replace").strip(" \0")
            creators[number] = (name, bytes(buffer[pos:stop]))
            pos = stop
            continue
        creator = creators.get(number >> 8)
        new: bytes | None = b""
        after = -1
        if creator is not None:
            new, after = _element(
                rewriter, creator[0], tag, vr, pos, value, stop, end, implicit, depth
            )
            if new is None:
                new = bytes(buffer[pos:after])
        if after < 0:
            after = rewriter.after(value, vr, stop, end, implicit=implicit)
        if new:
            kept.append((number, new))
        pos = after
    used = {number >> 8 for number, _ in kept}
    parts = [encoded for block, (_, encoded) in sorted(creators.items()) if block in used]
    parts += [encoded for _, encoded in kept]
    return b"".join(parts), pos


def _element(
    rewriter: "Rewriter",
    creator: str,
    tag: int,
    vr: str,
    start: int,
    value: int,
    stop: int | None,
    end: int,
    implicit: bool,
    depth: int,
) -> tuple[bytes | None, int]:
    plan = rewriter.plan
    known = dictionary.private_vr_of(creator, tag) if vr == "UN" else vr
    decision = plan.decide_private(PrivateTag(tag >> 16, creator, tag & 0xFF), tag, known or "UN")
    if decision.verb is Verb.DROP:
        return b"", rewriter.after(value, vr, stop, end, implicit=implicit)
    handled = known or "UN"
    if stop is None or handled == "SQ" or _looks_like_items(rewriter, vr, value, stop):
        return _walked(rewriter, tag, vr, start, value, stop, end, implicit, depth)
    new = rewriter.decided(
        decision,
        tag,
        vr,
        handled,
        start,
        value,
        stop,
        False,
        implicit,
        depth,
    )
    return new, stop


def _looks_like_items(rewriter: "Rewriter", vr: str, value: int, stop: int) -> bool:
    # PS3.5 6.2.2 and CP-246: a private sequence arrives as UN when its VR was not known.
    return vr in ("UN", "OB") and bytes(rewriter.buffer[value : min(value + 4, stop)]) == _ITEM_TAG


def _walked(
    rewriter: "Rewriter",
    tag: int,
    vr: str,
    start: int,
    value: int,
    stop: int | None,
    end: int,
    implicit: bool,
    depth: int,
) -> tuple[bytes | None, int]:
    try:
        content_vr = "UN" if vr == "OB" else vr
        return rewriter.sequence(tag, content_vr, start, value, stop, end, implicit, depth)
    except Refused as refused:
        if refused.reason in (Reason.UNPARSABLE, Reason.TRUNCATED):
            # It is to be kept and cannot be looked into: nobody can say what is in it.
            raise Refused(Reason.PRIVATE_UNREADABLE, tag) from None
        raise
