"""Makers' own formats inside private elements: read, cleaned and written again.

    vendor.rewritten(private_tag, raw, fields) -> the new value

Each maker's format is a module of this package. What becomes of a field is not decided
here: a field that repeats a standard attribute gets what the study's plan does with that
attribute, through `Fields`. Facts about the formats: docs/adr/0014-vendor-blobs.md.
"""

from typing import Protocol

from dicomanon_node.deid.rules import PrivateTag
from dicomanon_node.deid.vendor import content, csa, disguised, packed
from dicomanon_node.deid.vendor.errors import UnreadableError
from dicomanon_node.deid.vendor.values import Cleaner

__all__ = ["Fields", "UnreadableError", "rewritten"]

# Where a CSA header is, and nothing else may be.
_CSA_CREATORS = frozenset({"SIEMENS CSA HEADER", "SIEMENS CSA NON-IMAGE"})
_CSA_ELEMENTS = frozenset({0x10, 0x20})
_GE_PROTOCOL = PrivateTag(0x0025, "GEMS_SERS_01", 0x1B)
# Few bytes behind a long text are none of its own; behind a short one it is numbers, perhaps.
_MAX_SLACK_BYTES, _MIN_BEFORE_SLACK = 4, 64
# An item's tag: the value is a sequence that nobody has looked into.
_ITEM = b"\xfe\xff\x00\xe0"


class Fields(Protocol):
    """What becomes of the fields of a blob; made by the rewriter for one object."""

    def changed(self, tag: int | None, vr: str, raw: bytes) -> bytes:
        """The value of a field as it may stay.

        What is hidden from a search through the written bytes, being compressed or
        escaped, is given here in plain: who searches those has to search what this
        returned as well.

        Args:
            tag: The standard attribute that the field repeats, such as 0x00100010 for a
                patient's name; None if it repeats none: its VR decides (UI is mapped,
                DA and DT are shifted or emptied, PN is emptied, text is cleaned of
                the object's identifiers, numbers stay).
            vr: Its VR. Numbers are given in characters (IS, DS).
            raw: The value in latin-1 or UTF-8, without padding; not empty (PHI). DA, DT,
                TM and AS are as PS3.5 wants them; UI is one UID; there are no several
                values.

        Returns:
            The new value; b"" if it is to be emptied or removed.
        """


def rewritten(private_tag: PrivateTag, raw: bytes, fields: Fields) -> bytes | None:
    """A maker's blob with its fields as they may stay, or None if it is no known format.

    Args:
        private_tag: The element, by its creator.
        raw: The value of an element of VR OB, UN or any text VR (PHI).
        fields: What becomes of the fields.

    Returns:
        The new value, of even length; `raw` itself if nothing changed. It is empty if the
        value is an archive, or something compressed that cannot be written again.

    Raises:
        UnreadableError: It should be one and cannot be read.
    """
    new = _rewritten(private_tag, raw, Cleaner(fields))
    if new is None or new == raw:
        return raw if new is not None else None
    return new + bytes(len(new) % 2)


def _rewritten(private_tag: PrivateTag, raw: bytes, cleaner: Cleaner) -> bytes | None:
    if not raw.strip(b"\0 ") or raw.startswith(_ITEM):
        return None
    if raw.startswith(csa.SIGNATURE) or csa.looks_like_csa1(raw):
        return csa.rewritten(raw, cleaner)
    if packed.is_protocol_block(raw):
        return packed.protocol_block(raw, cleaner)
    if raw.startswith(packed.ZIP):
        return b""
    if disguised.holds_identifiers(raw, cleaner):
        return b""
    text = _text_of(raw)
    if text is not None:
        new = content.cleaned(text, cleaner)
        return _filled(new, len(raw)) if new != text else text.ljust(len(raw), b"\0")
    encoding = content.wide_encoding(raw)
    if encoding is not None:
        wide = content.cleaned_wide(raw, encoding, cleaner)
        if wide is not None:
            return wide.ljust(len(raw), b"\0")
    if private_tag == _GE_PROTOCOL or (
        private_tag.creator.upper() in _CSA_CREATORS and private_tag.element in _CSA_ELEMENTS
    ):
        raise UnreadableError
    return packed.embedded(raw, cleaner)


def _text_of(raw: bytes) -> bytes | None:
    end = raw.find(b"\0")
    text = raw if end < 0 else raw[:end]
    # Behind the end of a text there may be some bytes of memory.
    is_slack = len(raw) - len(text) <= _MAX_SLACK_BYTES and len(text) >= _MIN_BEFORE_SLACK
    is_whole = is_slack or not raw[len(text) :].strip(b"\0 ")
    return text if is_whole and content.is_text(text) else None


def _filled(new: bytes, length: int) -> bytes:
    # Other elements may state the length of this one: what became shorter is filled up.
    new = new.ljust(length)
    return new + b" " * (len(new) % 2)
