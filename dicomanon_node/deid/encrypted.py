"""The way back: what de-identification took, encrypted for one holder of a private key.

Makes the Encrypted Attributes Sequence (0400,0500): one item, in it the original
top-level elements that were removed or replaced. The node cannot open it. Which
elements those are, the engine knows; how they are encrypted, `envelope`.

Standard: PS3.15 E.1.1, PS3.3 C.12.1.1.4.1.
"""

from collections.abc import Iterable

from dicomanon_node.deid import encoding
from dicomanon_node.deid.convert import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from dicomanon_node.deid.elements import Element, Elements
from dicomanon_node.deid.envelope import Recipient, seal
from dicomanon_node.deid.pseudonyms import Pseudonyms

ENCRYPTED_ATTRIBUTES_SEQUENCE = 0x04000500
_ENCRYPTED_CONTENT_TRANSFER_SYNTAX_UID = 0x04000510
_ENCRYPTED_CONTENT = 0x04000520
_MODIFIED_ATTRIBUTES_SEQUENCE = 0x04000550

MAX_BINARY_BYTES = 1 << 16
"""Longer binary values are left out: documents, pixels and vendor blobs, which would
double the object and say of the patient nothing that the rest does not."""
MAX_TOTAL_BYTES = 1 << 24
"""What does not fit is left out, in the order of tags: the identity comes first."""

_BINARY_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
# These count or belong to what is no longer there, or have no place in a data set.
_FOREIGN_GROUPS = frozenset({0x0000, 0x0002, 0x0004})
_LENGTH_TO_END = 0x00080001
_DATA_SET_TRAILING_PADDING = 0xFFFCFFFC
# Collected also where they stay: the one is needed to read the others, the other makes
# the content of each object its own, so that no two ciphertexts are alike.
_SPECIFIC_CHARACTER_SET = 0x00080005
_SOP_INSTANCE_UID = 0x00080018
_COMPANIONS = frozenset({_SPECIFIC_CHARACTER_SET, _SOP_INSTANCE_UID})
_LAST_CREATOR = 0x00FF  # PS3.5 7.8.1: (gggg,0010-00FF) name the private blocks


def originals(elements: Elements, changes: Iterable[tuple[int, int]]) -> bytes:
    """Collect the elements that have been removed or replaced, as they came in.

    With them go what they need to be read, the Specific Character Set and the private
    creators of their groups, and the SOP Instance UID.

    Args:
        elements: The original's top-level elements (PHI).
        changes: Offsets in their buffer, start and end, of what was removed or replaced;
            ascending, none within another.

    Returns:
        An encoded run of elements (PHI); b"" where nothing was changed.
    """
    chosen: set[int] = set()
    private_groups: set[int] = set()
    room = MAX_TOTAL_BYTES
    for row in _rows_in(elements.rows, changes):
        tag, _, start, _, _, stop = row
        if not _is_restorable(row) or stop - start > room:
            continue
        room -= stop - start
        chosen.add(start)
        if tag & 0x10000:
            private_groups.add(tag >> 16)
    if not chosen:
        return b""
    buffer = elements.buffer
    return b"".join(
        [
            buffer[start:stop]
            for tag, _, start, _, _, stop in elements.rows
            if start in chosen
            or tag in _COMPANIONS
            or (tag >> 16 in private_groups and 0 < tag & 0xFFFF <= _LAST_CREATOR)
        ]
    )


def attributes_element(
    original_elements: bytes, *, recipient: Recipient, pseudonyms: Pseudonyms, implicit: bool
) -> bytes:
    """Make the element (0400,0500), the same for the same originals.

    The ciphertext is not text: it must not be searched for identifiers, in which chance
    would find one now and then.

    Args:
        original_elements: From `originals` (PHI).
        recipient: Who can open it.
        pseudonyms: The study's.
        implicit: Encoding of the originals and of the element.

    Returns:
        The encoded element; b"" where there is nothing to encrypt, because the sequence
        may not be empty.
    """
    if not original_elements:
        return b""
    # Undefined lengths: an original of odd length, which is seen, stays readable.
    dataset = (
        encoding.element(_MODIFIED_ATTRIBUTES_SEQUENCE, "SQ", b"", implicit=implicit)[:-4]
        + encoding.UNDEFINED
        + encoding.item(original_elements, is_delimited=True)
        + encoding.SEQUENCE_DELIMITATION_ITEM
    )
    syntax = IMPLICIT_VR_LITTLE_ENDIAN if implicit else EXPLICIT_VR_LITTLE_ENDIAN
    item = encoding.item(
        encoding.element(
            _ENCRYPTED_CONTENT_TRANSFER_SYNTAX_UID, "UI", syntax.encode(), implicit=implicit
        )
        + encoding.element(
            _ENCRYPTED_CONTENT, "OB", seal(dataset, recipient, pseudonyms), implicit=implicit
        )
    )
    return encoding.element(ENCRYPTED_ATTRIBUTES_SEQUENCE, "SQ", item, implicit=implicit)


def _rows_in(rows: list[Element], changes: Iterable[tuple[int, int]]) -> Iterable[Element]:
    spans = iter(changes)
    first, last = next(spans, (0, 0))
    for row in rows:
        start = row[2]
        while last and start >= last:
            first, last = next(spans, (0, 0))
        if first <= start < last:
            yield row


def _is_restorable(row: Element) -> bool:
    tag, vr, _, value, end, _ = row
    if tag >> 16 in _FOREIGN_GROUPS or not tag & 0xFFFF:
        return False
    if tag in (_LENGTH_TO_END, _DATA_SET_TRAILING_PADDING):
        return False
    return vr not in _BINARY_VRS or end - value <= MAX_BINARY_BYTES
