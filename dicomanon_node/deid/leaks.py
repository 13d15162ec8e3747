"""Does any identifier of this very object survive in what is about to be written?

`survives` is a cheap detector over the rewritten header's bytes. Where it finds
something, the object is rewritten once more with a `Guard`, which looks at every
kept element by its VR: text is cleaned and its other words stay, anything else
goes. What may not go, and what `remains` even so, refuses the object.

What counts as an identifier, and when a word of the trade does, is said in `needles`
(the weighing rule, ADR 0013); texts are cleaned in `cleaning`.
"""

from collections.abc import Iterable

from dicomanon_node.deid import dictionary
from dicomanon_node.deid.cleaning import cleaned, is_hidden_in, spans_in
from dicomanon_node.deid.detector import (
    Detector,
    has_few_letters_beyond_ascii,
    without_escapes,
)
from dicomanon_node.deid.elements import leaves, top_level
from dicomanon_node.deid.generic import Generic, has_generic
from dicomanon_node.deid.guard import Guard, has_uid, is_figure, is_in_binary, is_uid, windows
from dicomanon_node.deid.identity import Identity

__all__ = ["Generic", "Guard", "cleaned", "has_generic", "remains", "survives", "suspects"]

# The first characters of a UID name its root, and few roots are in an object.
_ROOT_BYTES = 10
_MAX_ROOTS = 8
# In bytes that could not be read as elements a shorter word may be there by chance.
_MIN_IN_BYTES = 6
# VRs whose bytes beyond ASCII are no letters.
_NUMBERS = frozenset(["AT", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"])
# With more elements that hold identifiers, all are looked at.
_MAX_SUSPECTS = 64


def survives(output: bytes, identity: Identity) -> bool:
    """Whether an identifier may be in the bytes: false alarms are possible, misses are not."""
    detector = identity.needles().detector
    roots = {uid[:_ROOT_BYTES] for uid in identity.uids}
    for window in windows(output):
        if detector.may_be_in(window):
            return True
        # With its NULs, a UID does not grow together with the length field before it.
        flat = window.translate(None, b"\0")
        if (len(roots) > _MAX_ROOTS or any(root in flat for root in roots)) and any(
            has_uid(run, identity) for run in (window, flat)
        ):
            return True
    return False


def suspects(output: bytes, identity: Identity, *, implicit: bool) -> frozenset[int] | None:
    """In which top-level elements an identifier may be, found by halving.

    Args:
        output: An encoded data set in which one `survives`.
        identity: The identifiers.
        implicit: Its encoding.

    Returns:
        Their tags, and the groups of those that are private; None if they are too many to be
        told one by one, or if none was found: then all are to be looked at.
    """
    found: set[int] = set()
    plain: list[tuple[int, bytes]] = []
    for tag, vr, value, stop in top_level(output, implicit=implicit):
        raw = output[value:stop]
        if vr in _NUMBERS or raw.isascii():
            plain.append((tag, raw))
        elif not has_few_letters_beyond_ascii(raw) or survives(raw, identity):
            # What many such bytes mean is not sure where they stand alone.
            found.add(tag >> 16 if tag & 0x10000 else tag)
    halves = [(0, len(plain))]
    while halves and len(found) <= _MAX_SUSPECTS:
        first, last = halves.pop()
        part = plain[first:last]
        if not part or not survives(b"\n".join(raw for _, raw in part), identity):
            continue
        if len(part) == 1:
            tag = part[0][0]
            found.add(tag >> 16 if tag & 0x10000 else tag)
            continue
        middle = (first + last) // 2
        halves += [(first, middle), (middle, last)]
    return frozenset(found) if 0 < len(found) <= _MAX_SUSPECTS else None


def is_suspected(values: Iterable[tuple[str, bytes]], identity: Identity) -> bool:
    """Whether `suspects` would name one of these elements, if they stood in a data set.

    Args:
        values: VR and written value of each.
        identity: The identifiers.
    """
    plain = []
    for vr, raw in values:
        if vr == "UI" and is_uid(raw):
            continue  # the guard leaves it as it is, whatever is found in it
        if vr in _NUMBERS or raw.isascii():
            plain.append(raw)
        elif not has_few_letters_beyond_ascii(raw) or survives(raw, identity):
            return True
    return bool(plain) and survives(b"\n".join(plain), identity)


def remains(output: bytes, identity: Identity) -> bool:
    """Whether an identifier is in an encoded data set that a `Guard` has looked at.

    Every element is looked at once more, in the way the guard does; names, numbers and days
    that a pseudonym, a hash or a float may hold by chance are left out. There are no false
    alarms.
    """
    detector = identity.needles().detector
    if not _may_be_in(output, detector):
        return False
    implicit = output[4:6].decode("latin-1") not in dictionary.VRS
    plain: list[tuple[int, str, bytes]] = []
    seen = 0
    for tag, vr, value, end in leaves(output, 0, len(output), implicit=implicit):
        raw = output[value:end]
        if raw.isascii():
            plain.append((tag, vr, raw))
        elif _is_in_value(tag, vr, raw, identity):
            return True
        seen = end
    halves = [(0, len(plain))]
    while halves:
        first, last = halves.pop()
        part = plain[first:last]
        if not part or not _may_be_in(b"\n".join(raw for _, _, raw in part), detector):
            continue
        if len(part) == 1:
            if _is_in_value(*part[0], identity):
                return True
            continue
        middle = (first + last) // 2
        halves += [(first, middle), (middle, last)]
    return seen < len(output) and _is_in_bytes(output[seen:], identity)


def _may_be_in(output: bytes, detector: Detector) -> bool:
    return any(detector.may_be_in(window) for window in windows(output))


def _is_in_value(tag: int, vr: str, raw: bytes, identity: Identity) -> bool:
    if dictionary.names_a_maker(tag, raw):
        return False
    if not identity.needles().detector.may_be_in(raw) or is_figure(vr, raw) or vr == "UI":
        return False
    if vr in dictionary.TEXT_VRS:
        return is_hidden_in(raw, b"", identity, is_sure=True)
    return is_in_binary(raw, vr, identity)


def _is_in_bytes(data: bytes, identity: Identity) -> bool:
    for window in windows(data):
        for reading in {window, without_escapes(window)}:
            for start, stop in spans_in(reading.decode("latin-1"), identity, is_sure=True):
                text = reading[start:stop].strip()
                if len(text) >= _MIN_IN_BYTES and text[:1].isalpha():
                    return True
    return False
