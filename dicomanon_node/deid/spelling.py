"""One spelling for the many that a word has: letters without their marks, kana of one kind.

A name is written with its umlauts, without, or transliterated ("Müller", "Muller",
"Mueller"), whichever the keyboard had. Texts are folded letter by letter, so that places
in the folded text are places in the text; words have forms, each folded alike.

This module knows letters, not names.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import product

# Letters that decompose into none of the basic ones, and their first letter.
_FIRST_WIDE = "\u2e80"  # CJK, Kana, Hangul
_NO_DECOMPOSITION = dict(zip("ßæœøđłŧħıðþŋ", "saoodlthidtn", strict=True))
_QUOTES = dict.fromkeys("\u2018\u2019\u02bc\u00b4\u0060", "'")
_DASHES = dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-")
_FOLDED_RANGES = ((0xC0, 0x250), (0x370, 0x530), (0x1E00, 0x2000), (0xFF01, 0xFF5F))

# German, Nordic and French transliterations: two letters for one.
_TWO_LETTERS = {
    "ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "å": "aa", "æ": "ae", "ø": "oe",
    "œ": "oe", "þ": "th",
}  # fmt: skip
_PAIRS = frozenset(["aa", "ae", "oe", "ss", "ue"])
# Shorter, what is left of a transliteration is another word.
_MIN_UNDONE = 4
_MAX_FORMS = 32

_COMBINING = re.compile("[\u0300-\u036f]")
_HIRAGANA, _KATAKANA = range(0x3041, 0x3097), range(0x30A1, 0x30F7)
_KANA_DISTANCE = 0x60


def _base(character: str) -> str:
    letters = [c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c)]
    return letters[0] if len(letters) == 1 else character


def _table() -> dict[int, str]:
    table = {code: _base(chr(code)) for first, end in _FOLDED_RANGES for code in range(first, end)}
    for letters in (_NO_DECOMPOSITION, _QUOTES, _DASHES):
        table.update((ord(letter), base) for letter, base in letters.items())
    for letter, base in _NO_DECOMPOSITION.items():
        if len(letter.upper()) == 1:
            table[ord(letter.upper())] = base.upper()
    table[0x1E9E] = "S"
    return table


_TABLE = _table()
# The same for bytes in Latin-1.
FOLDED_LATIN_1 = bytes(
    ord(_TABLE.get(code, "?")) if code in _TABLE and _TABLE[code].isascii() else code
    for code in range(256)
)


def folded_letter(letter: str) -> str:
    """The letter without its marks; nothing where it is a mark itself."""
    return "" if unicodedata.combining(letter) else _TABLE.get(ord(letter), letter)


def composed(text: str) -> str:
    """The text with letters and marks in one; the same object where it has no marks."""
    if text.isascii() or _COMBINING.search(text) is None:
        return text
    return unicodedata.normalize("NFC", text)


def folded(text: str) -> str:
    """The text in lower case without marks on its letters, as long as it was.

    Args:
        text: `composed` text (PHI).
    """
    if text.isascii():
        return text.lower()
    lowered = text.translate(_TABLE).lower()
    if len(lowered) == len(text):
        return lowered
    # The one letter whose lower case is two is not in the table: fold what can be.
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text.translate(_TABLE))


# The persons and places around an object are those around the next one.
@lru_cache(maxsize=4096)
def forms(word: str) -> frozenset[str]:
    """The folded spellings of a name's word (PHI).

    An umlaut is one letter or two; two letters that may be an umlaut are one or two.
    """
    word = composed(word).lower()
    ways: list[tuple[str, ...]] = []
    position = 0
    is_undone = False
    while position < len(word):
        letter, pair = word[position], word[position : position + 2]
        if letter in _TWO_LETTERS:
            ways.append((folded(letter), _TWO_LETTERS[letter]))
        elif pair in _PAIRS and len(word) > _MIN_UNDONE:
            ways.append((pair, pair[0]))
            is_undone = True
            position += 1
        else:
            ways.append((folded(letter),))
        position += 1
    count = 1
    for way in ways:
        count *= len(way)
    if count > _MAX_FORMS:
        return frozenset("".join(way[min(turn, len(way) - 1)] for way in ways) for turn in (0, 1))
    found = {"".join(letters) for letters in product(*ways)}
    plain = folded(word)
    return frozenset(
        form for form in found if form == plain or not is_undone or len(form) >= _MIN_UNDONE
    )


def kana(word: str) -> Iterator[str]:
    """The word in the other kinds of kana (PHI); nothing if it has none."""
    to_katakana = {code: code + _KANA_DISTANCE for code in _HIRAGANA}
    to_hiragana = {code: code - _KANA_DISTANCE for code in _KATAKANA}
    katakana = unicodedata.normalize("NFKC", word).translate(to_katakana)
    for other in (katakana, katakana.translate(to_hiragana), katakana.translate(_HALF_WIDTH)):
        if other != word:
            yield other


def _half_width() -> dict[int, str]:
    table = {}
    for code in range(0xFF66, 0xFF9E):
        for mark in ("", "\uff9e", "\uff9f"):
            whole = unicodedata.normalize("NFKC", chr(code) + mark)
            if len(whole) == 1:
                table[ord(whole)] = chr(code) + mark
    return table


_HALF_WIDTH = _half_width()


def is_wide(word: str) -> bool:
    """Whether there is a letter in it of a script that is written without spaces."""
    return any(character >= _FIRST_WIDE for character in word)
