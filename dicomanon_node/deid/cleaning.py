"""Texts without identifiers; their other words stay.

Which values are cleaned is not decided here.
"""

import re
from collections.abc import Iterable, Iterator

from dicomanon_node.deid import charset, dummies
from dicomanon_node.deid.detector import apart, without_escapes
from dicomanon_node.deid.generic import Generic, generic_spans
from dicomanon_node.deid.identity import Identity
from dicomanon_node.deid.spans import merged
from dicomanon_node.deid.spelling import composed, folded

# Each run of digits is read once: a sender decides how long they are.
_UID = re.compile(r"(?<![0-9])[0-9]++(?:\.[0-9]++)++", re.ASCII)
_SPACES = re.compile(r"[ \t]{2,}")
# What is taken out may bring together what was apart.
_MAX_TURNS = 3
# Cuts and closes are what may be left of an identifier.
_EDGES = " \0^,;-_/"


def cleaned(
    raw: bytes,
    vr: str,
    character_set: bytes,
    identity: Identity,
    *,
    generic: Generic | bool,
    keeps_dates: bool = False,
) -> bytes:
    """A text value (PHI) without the object's identifiers; the other words stay.

    Args:
        raw: Encoded value.
        vr: One of the VRs in the data set's character set.
        character_set: Specific Character Set (0008,0005), encoded.
        identity: What to look for.
        generic: What else to remove; True is `Generic.DESCRIPTOR`, False `Generic.NONE`.
        keeps_dates: Dates that are not the object's own identifiers stay.

    Returns:
        The value unchanged if there was nothing to remove; only its plain words where the
        rest cannot be encoded or is something in disguise; a dummy if nothing is left.

    Raises:
        Refused: TOO_MANY_ELEMENTS if the object has more text than any real one.
    """
    if isinstance(generic, bool):
        generic = Generic.DESCRIPTOR if generic else Generic.NONE
    if generic is Generic.NONE and is_plainly_clean(raw, identity):
        return raw
    text = composed(charset.decode(raw, character_set, is_name=vr == "PN"))
    new = text
    for _ in range(_MAX_TURNS):
        spans = [*spans_in(new, identity), *generic_spans(new, generic, keeps_dates=keeps_dates)]
        if not spans:
            break
        new = _without(new, spans)
    else:
        return dummies.dummy(vr)
    if new == text:
        if not is_hidden_in(raw, character_set, identity):
            return raw
        return _plain_words(new, identity) or dummies.dummy(vr)
    new = _SPACES.sub(" ", new).strip(_EDGES)
    encoded = charset.encode(new, character_set, is_ours=False)
    if not encoded or is_hidden_in(encoded, character_set, identity):
        return _plain_words(new, identity) or dummies.dummy(vr)
    return encoded


def _plain_words(text: str, identity: Identity) -> bytes:
    # What is left where something is disguised or cannot be encoded: words that are what
    # they are for every reader.
    words = [
        word
        for word in text.split(" ")
        if word.isascii() and word.isprintable() and not is_hidden_in(word.encode(), b"", identity)
    ]
    plain = " ".join(words).strip(_EDGES).encode()
    return b"" if is_hidden_in(plain, b"", identity) else plain


def is_plainly_clean(raw: bytes, identity: Identity) -> bool:
    """Whether a closer look at a value (PHI) is not needed; most values are ASCII."""
    if not raw.isascii() or b"\x1b" in raw or (identity.uids and b"." in raw):
        return False
    return not identity.needles().detector.may_be_in(raw)


def spans_in(text: str, identity: Identity, *, is_sure: bool = False) -> list[tuple[int, int]]:
    """Where the object's identifiers are in a text.

    Args:
        text: Composed text (PHI).
        identity: What to look for.
        is_sure: Leave out what chance or a pseudonym could have written.
    """
    if identity.is_nobodys:
        return []
    identity.spend(len(text))
    spans = identity.needles().spans(text, is_sure=is_sure, spend=identity.spend)
    if identity.uids:
        spans += [
            match.span() for match in _UID.finditer(text) if identity.holds_uid(match[0].encode())
        ]
    return spans


def is_hidden_in(
    raw: bytes, character_set: bytes, identity: Identity, *, is_sure: bool = False
) -> bool:
    """Whether some reader of a value (PHI) sees an identifier, if not one of this character set."""
    if identity.is_nobodys:
        return False
    needles = identity.needles()
    if not needles.detector.may_be_in(raw):
        return False
    for reading in _readings(raw, character_set):
        if needles.glued is not None and needles.glued.search(folded(reading)):
            return True
        split = apart(reading)
        for text in {reading, split}:
            if spans_in(text, identity, is_sure=is_sure):
                return True
    return False


def _readings(raw: bytes, character_set: bytes) -> Iterator[str]:
    flat = without_escapes(raw)
    texts = {
        charset.decode(data, declared)
        for data in (raw.replace(b"\0", b""), flat)
        for declared in (character_set, b"")
    }
    texts |= {
        flat.decode("latin-1"),
        flat.decode("utf-8", "ignore"),
    }
    if b"\0" in raw:
        texts |= {raw.decode("utf-16-le", "ignore"), raw.decode("utf-16-be", "ignore")}
    for text in sorted(texts):
        yield composed(text)


def _without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    parts, end = [], 0
    for start, stop in merged(span for span in spans if span[0] < span[1]):
        parts.append(text[end:start])
        end = stop
    return " ".join([*parts, text[end:]])
