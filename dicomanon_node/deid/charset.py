"""Text in a data set's Specific Character Set (PS3.5 6.1, PS3.3 C.12.1.1.2).

Decoding never fails: what is no text in the declared set comes back as U+FFFD,
which matches nothing. Encoding is strict: what cannot be said is not said.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from dicomanon_node.deid import repertoires

# The default repertoire is ISO 646; objects that declare nothing often are Latin-1.
_DEFAULT = "iso8859"
_JIS_X_0201 = "shift_jis"
# A fragment: up to the first escape sequence, then one for each of them.
_FRAGMENT = re.compile(rb"\A[^\x1b]+|\x1b[^\x1b]*")
_ESCAPE = re.compile(rb"\x1b[\x20-\x2f]+[\x30-\x7e]")
# What leads back to the first repertoire (PS3.5 6.1.2.5.3).
_DELIMITER = re.compile(rb"[\\\r\n\f\t]")
_NAME_DELIMITER = re.compile(rb"[\\\r\n\f\t^=]")

# Whatever text may come in besides the standard's character sets.
_CODECS = tuple(
    sorted(
        set(repertoires.BY_TERM.values()) - {"UTF8"} | {"utf-8", "utf-16-le", "utf-16-be", "euc_jp"}
    )
)
# A shorter run of bytes is found by chance all the time.
_MIN_RUN_BYTES = 3

_BY_TERM = {re.sub("[-_ ]+", " ", term): codec for term, codec in repertoires.BY_TERM.items()}


@lru_cache(maxsize=256)
def encodings(character_set: bytes) -> tuple[str, ...]:
    """Python's names of the encodings in a Specific Character Set (0008,0005) value.

    Underscores, hyphens and letter case of the terms do not count, as they are often
    wrong. Terms that are not the standard's are read as the default repertoire.
    """
    terms = character_set.decode("ascii", "replace").upper().split("\\")
    return tuple(_BY_TERM.get(re.sub("[-_ ]+", " ", term.strip(" \0")), _DEFAULT) for term in terms)


def decode(value: bytes, character_set: bytes, *, is_name: bool = False) -> str:
    """Decode a text value (PHI), code extensions included; escape sequences are consumed.

    Args:
        value: Encoded value.
        character_set: Specific Character Set (0008,0005), encoded.
        is_name: The value is a PN, so that its delimiters count too.
    """
    first = _codec(encodings(character_set)[0])
    if b"\x1b" not in value:
        return value.decode(first, "replace")
    delimiter = _NAME_DELIMITER if is_name else _DELIMITER
    return "".join(
        _decode_fragment(fragment, first, delimiter) for fragment in _FRAGMENT.findall(value)
    )


def encode(text: str, character_set: bytes, *, is_ours: bool = True) -> bytes | None:
    """Encode a text; None where it cannot be said.

    In the set's first repertoire, or as the object did it, with code extensions.

    Args:
        text: What to say.
        character_set: Specific Character Set (0008,0005), encoded.
        is_ours: The text is new. What an object says beyond its own default repertoire
            is read as Latin-1 and may go back as it came.
    """
    first = _codec(encodings(character_set)[0])
    if first == _DEFAULT and is_ours:
        first = "ascii"
    try:
        encoded = text.encode(first)
    except UnicodeEncodeError:
        encoded = None
    # Python's codec for JIS X 0201 knows Kanji, which that repertoire has not.
    if encoded is None or (first == _JIS_X_0201 and len(encoded) != len(text)):
        return None if is_ours else _encode_extended(text, character_set)
    return encoded


def _encode_extended(text: str, character_set: bytes) -> bytes | None:
    # With code extensions, if reading it gives the same again (PS3.5 6.1.2.5).
    known = encodings(character_set)
    if len(known) == 1 or not all(_is_in_any(character, known) for character in set(text)):
        return None
    from pydicom.charset import encode_string  # noqa: PLC0415  (rare, and slow to import)

    encoded: bytes = encode_string(text, list(known))
    return encoded if decode(encoded, character_set) == text else None


def _is_in_any(character: str, known: tuple[str, ...]) -> bool:
    for codec in known:
        try:
            character.encode(codec)
        except UnicodeEncodeError:
            continue
        return True
    return False


def _codec(encoding: str) -> str:
    # The multi-byte ISO 2022 repertoires start in ASCII; only escapes lead out of it.
    return _DEFAULT if encoding.startswith("iso2022") else encoding


def _decode_fragment(fragment: bytes, first: str, delimiter: re.Pattern[bytes]) -> str:
    escape = _ESCAPE.match(fragment)
    if escape is None:
        return fragment.decode(first, "replace")
    encoding = repertoires.BY_ESCAPE.get(escape[0], first)
    if encoding.startswith("iso2022"):
        return fragment.decode(encoding, "replace")  # Python's codec wants the escape
    rest = fragment[escape.end() :]
    end = delimiter.search(rest)
    if end is None:
        return rest.decode(encoding, "replace")
    return rest[: end.start()].decode(encoding, "replace") + rest[end.start() :].decode(
        first, "replace"
    )


def spellings(word: str) -> Iterator[bytes]:
    """The bytes of a word (PHI) in every character set and letter case, some of them twice.

    They are made lower case as ASCII is, and have no NULs and no escape sequences.
    """
    for codec in _CODECS:
        for cased in (word, word.upper(), word.title()):
            try:
                encoded = cased.encode(codec)
            except UnicodeEncodeError:
                continue
            # Code extensions: only what stands between the escape sequences is sure.
            for run in _ESCAPE.split(encoded):
                if len(run) >= _MIN_RUN_BYTES:
                    yield run.lower().replace(b"\0", b"")
