"""Text in a data set's Specific Character Set (PS3.5 6.1, PS3.3 C.12.1.1.2).

Decoding never fails: what is no text in the declared set comes back as U+FFFD,
which matches nothing. Encoding is strict: what cannot be said is not said.
"""

import re
from functools import lru_cache

from pydicom.charset import CODES_TO_ENCODINGS, python_encoding

_ESCAPE = re.compile(rb"(\x1b[\x20-\x2f]+[\x30-\x7e])")
_DEFAULT = "iso8859"


@lru_cache(maxsize=256)
def encodings(character_set: bytes) -> tuple[str, ...]:
    """Python's names of the encodings in a Specific Character Set (0008,0005) value.

    Terms that are not the standard's are read as the default repertoire.
    """
    terms = [term.strip() for term in character_set.decode("ascii", "replace").split("\\")]
    return tuple(python_encoding.get(term.strip("\0"), _DEFAULT) for term in terms) or (_DEFAULT,)


def decode(value: bytes, character_set: bytes) -> str:
    """Decode a text value (PHI), code extensions included; escape sequences are consumed."""
    names = encodings(character_set)
    first = names[0]
    if b"\x1b" not in value:
        return value.decode(_codec(first), "replace")
    parts: list[str] = []
    encoding = first
    for piece in _ESCAPE.split(value):
        if piece.startswith(b"\x1b"):
            encoding = CODES_TO_ENCODINGS.get(piece, first)
            prefix = piece
            continue
        parts.append(_decode_piece(piece, encoding, prefix if encoding != first else b""))
    return "".join(parts)


def encode(text: str, character_set: bytes) -> bytes | None:
    """Encode a text in the set's first repertoire; None where it cannot be said in it."""
    try:
        return text.encode(_codec(encodings(character_set)[0]))
    except UnicodeEncodeError:
        return None


def _codec(encoding: str) -> str:
    # The multi-byte ISO 2022 repertoires start in ASCII; only escapes lead out of it.
    return _DEFAULT if encoding.startswith("iso2022") else encoding


def _decode_piece(piece: bytes, encoding: str, escape: bytes) -> str:
    # Python's ISO 2022 codecs want to see the escape sequence; the single-byte ones do not.
    # A delimiter ends the extension (PS3.5 6.1.2.5.3).
    head, *tail = re.split(rb"([\\\r\n\f\t^=])", piece, maxsplit=1)
    raw = escape + head if encoding.startswith("iso2022") else head
    text = raw.decode(encoding, "replace")
    return text + b"".join(tail).decode(_DEFAULT)
