"""Private elements in a maker's own format: is this one, and may it be gone?

What changed within such a format is not judged: nobody but the engine reads it. That no
identity is left in its bytes is.
"""

from dicomanon_node.deid import vendor
from dicomanon_node.deid.rules import PrivateTag
from dicomanon_node.review.reading import Element

# Where a maker's own format may be.
_BLOB_VRS = frozenset(("LT", "OB", "OW", "ST", "UN", "UT"))


def is_changed_within(old: Element, new: Element) -> bool:
    """Whether the old value is in a maker's format and the new one differs from it."""
    if not _may_be_one(old) or old.has_value_of(new):
        return False
    try:
        return vendor.rewritten(_private(old), old.value, _AsItIs()) is not None
    except vendor.UnreadableError:
        return False


def is_hopeless(old: Element) -> bool:
    """Whether a value cannot be read, or not be written without what is to go."""
    if not _may_be_one(old):
        return False
    try:
        return vendor.rewritten(_private(old), old.value, _AsItIs()) == b""
    except vendor.UnreadableError:
        return True


def _may_be_one(old: Element) -> bool:
    return old.is_private and old.vr in _BLOB_VRS


def _private(old: Element) -> PrivateTag:
    return PrivateTag(old.tag >> 16, old.creator, old.tag & 0xFF)


class _AsItIs:
    # Leaves a maker's fields alone: only asked whether there are any.

    def changed(self, tag: int | None, vr: str, raw: bytes) -> bytes:  # noqa: ARG002  (the protocol's)
        """The field as it is."""
        return raw
