"""Does any identifier of this very object survive in what is about to be written?

`survives` is a cheap detector over the rewritten header's bytes. Where it finds
something, the object is rewritten once more with a `Guard`, which looks at every
kept element by its VR: text is cleaned and its other words stay, anything else
goes. Only what may not go is refused.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dicomanon_node.deid import charset, dictionary, encoding
from dicomanon_node.deid.identity import Identity

if TYPE_CHECKING:
    from dicomanon_node.deid.rewrite import Rewriter

# VRs whose bytes are numbers: a name in them is chance.
_NUMBERS = frozenset(["AT", "FD", "FL", "OD", "OF", "OL", "OV", "SL", "SS", "SV", "UL", "US", "UV"])
_BINARY = frozenset(["OB", "OW", "UN"])
# In bytes that are no text, shorter identifiers appear by chance.
_MIN_IN_BINARY = 6
# Elements the data set cannot do without; they never hold an identifier that is not replaced.
_STRUCTURAL = frozenset({0x00080005, 0x00080016, 0x00080018, 0x0020000D, 0x0020000E})

# What identifies in free text whoever it is about (CleanDescriptors): dates, telephone
# numbers, electronic addresses, UIDs, persons by their title.
_GENERIC = re.compile(
    r"""
      (?<!\d)(?:19|20)\d\d[-./ ]?(?:0[1-9]|1[0-2])[-./ ]?(?:0[1-9]|[12]\d|3[01])(?!\d)
    | (?<!\d)(?:0?[1-9]|[12]\d|3[01])[-./](?:0?[1-9]|[12]\d|3[01])[-./](?:19|20)?\d\d(?!\d)
    | [\w.+-]+@[\w-]+(?:\.[\w-]+)+
    | (?<![\w.])\d+(?:\.\d+){4,}(?![\w.])
    | (?<![\w.])\+?\(?\d{2,4}\)?[ /-]\d{3,4}[ -]\d{3,5}(?![\w.])
    | (?i:\b(?:dr|prof|mr|mrs|ms|herr|frau|mme)\b\.?[ ^]+)[^\W\d_][^\s,;]*
    | (?<!\w)\d{7,}(?!\w)
    """,
    re.VERBOSE,
)
_SPACES = re.compile(r"[ \t]{2,}")


def survives(chunks: Sequence[bytes | memoryview], identity: Identity) -> bool:
    """Whether an identifier may be in the bytes: false alarms are possible, misses are not."""
    joined = b"".join(chunks)
    lowered = joined.lower()
    for token in identity.tokens:
        for spelled in _spellings(token):
            if spelled in lowered:
                return True
    if len(identity.common) > 1 and sum(word.encode() in lowered for word in identity.common) > 1:
        return True
    return any(uid in joined for uid in identity.uids)


def _spellings(token: str) -> Sequence[bytes]:
    if token.isascii():
        return (token.encode(), token.encode("utf-16-le"))
    found = [token.encode(), token.upper().encode(), token.encode("utf-16-le")]
    for codec in (
        "iso8859-1",
        "iso8859-2",
        "iso8859-5",
        "gb18030",
        "euc_jp",
        "euc_kr",
        "shift_jis",
    ):
        try:
            found += [token.encode(codec), token.upper().encode(codec), token.title().encode(codec)]
        except UnicodeEncodeError:
            continue
    return found


def cleaned(
    raw: bytes, vr: str, character_set: bytes, identity: Identity, *, generic: bool
) -> bytes:
    """A text value (PHI) without the object's identifiers; the other words stay.

    Args:
        raw: Encoded value.
        vr: One of the text VRs.
        character_set: Specific Character Set (0008,0005), encoded.
        identity: What to look for.
        generic: Also remove what identifies in any text, such as dates.

    Returns:
        The value unchanged if there was nothing to remove; a dummy or an empty value if
        nothing is left or the rest cannot be encoded.
    """
    text = charset.decode(raw, character_set)
    pattern = identity.cleaner()
    new = pattern.sub(" ", text) if pattern is not None else text
    for uid in identity.uids:
        new = new.replace(uid.decode("ascii", "replace"), " ")
    if generic:
        new = _GENERIC.sub(" ", new)
    if new == text:
        return raw
    if b"\x1b" in raw:
        return b""  # code extensions are not encoded again
    new = _SPACES.sub(" ", new).strip(" \0^,;-_")
    encoded = charset.encode(new, character_set if vr in dictionary.CHARSET_VRS else b"")
    return encoded if encoded is not None else b""


class Guard:
    """Looks at every kept element of an object in which something may have survived."""

    __slots__ = ("removed_count",)

    def __init__(self) -> None:
        self.removed_count = 0

    def kept(
        self,
        rewriter: "Rewriter",
        tag: int,
        vr: str,
        value: int,
        after: int,
        implicit: bool,
    ) -> bytes | None:
        """The element without the identifiers; None if there are none, b"" to remove it."""
        if vr in _NUMBERS or tag in _STRUCTURAL:
            return None
        raw = bytes(rewriter.buffer[value:after])
        if vr in dictionary.TEXT_VRS:
            if vr in ("IS", "DS", "DA", "TM", "DT"):
                return None
            new = cleaned(raw, vr, rewriter.character_set, rewriter.identity, generic=False)
            if new is raw:
                return None
            self.removed_count += 1
            # Half a code string or URL says something else than the whole.
            new = new if vr in dictionary.CHARSET_VRS else b""
            return encoding.element(tag, vr, new, implicit=implicit)
        if vr in _BINARY and self._is_in_binary(raw, rewriter.identity):
            self.removed_count += 1
            return b""
        return None

    @staticmethod
    def _is_in_binary(raw: bytes, identity: Identity) -> bool:
        lowered = raw.lower()
        return any(
            spelled in lowered
            for token in identity.tokens
            if len(token) >= _MIN_IN_BINARY
            for spelled in _spellings(token)
        ) or any(uid in raw for uid in identity.uids)
