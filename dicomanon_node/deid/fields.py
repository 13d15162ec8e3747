"""What becomes of the fields inside a maker's blob: what becomes of the same attribute.

`vendor` knows where the fields are; the study's plan decides about them, as it does
about the standard attributes that they repeat.
"""

from typing import TYPE_CHECKING

from dicomanon_node.deid import actions, dictionary
from dicomanon_node.deid.decisions import Change, Verb
from dicomanon_node.deid.identity import Role

if TYPE_CHECKING:
    from dicomanon_node.deid.rewrite import Rewriter

# Where what a field repeats is not known: an attribute of no meaning.
_NO_TAG = 0
_GUARDED_VRS = dictionary.CHARSET_VRS | {"DS", "IS"}


class BlobFields:
    """The fields of the blobs in one object. Not thread-safe."""

    __slots__ = ("_rewriter",)

    def __init__(self, rewriter: "Rewriter") -> None:
        self._rewriter = rewriter

    def changed(self, tag: int | None, vr: str, raw: bytes) -> bytes:
        """The value of a field as it may stay: see `vendor.Fields`."""
        new = self._changed(tag, vr, raw)
        # A blob may be compressed, and nobody finds an identifier in that.
        self._rewriter.blob_texts.append(new)
        return new

    def _changed(self, tag: int | None, vr: str, raw: bytes) -> bytes:
        rewriter = self._rewriter
        if tag is None:
            decision = rewriter.plan.decide_unlisted(vr)
        else:
            known = dictionary.vr_of(tag)
            # A blob says text of what is a number or a date in the standard; never the reverse.
            vr = known if known is not None and known != "SQ" else vr
            decision = rewriter.plan.decide(tag, vr, nested=True)
        if decision.verb is Verb.DROP:
            rewriter.forget(tag or _NO_TAG, vr, raw)
            return b""
        if decision.verb is not Verb.CHANGE:
            rewriter.learn(tag or _NO_TAG, vr, raw, Role.RETAINED)
            if vr in _GUARDED_VRS and rewriter.guard is not None:
                return rewriter.guard.kept(tag or _NO_TAG, vr, raw, rewriter.character_set) or b""
            return raw
        if decision.change is not Change.CLEAN_TEXT:
            rewriter.learn(tag or _NO_TAG, vr, raw, Role.SOUGHT)
        new = actions.VALUE_CHANGES[decision.change](rewriter, decision, tag or _NO_TAG, vr, raw)
        return (new or b"").rstrip(b"\0")
