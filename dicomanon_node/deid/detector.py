"""Whether an identifier may be in bytes, whatever stands before, after or in between.

Every object passes here, so most of it are searches for literals in bytes that were
reduced to small letters and digits. What is so short, or so usual, that it is found by
chance is looked at once more where it stands. False alarms cost time; there are no misses
of what `terms` and `spelled_dates` find in one of the texts that the bytes may be, except
letters with marks in character sets other than Latin-1 and Unicode where the name has none.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache

from dicomanon_node.deid.alternation import any_of
from dicomanon_node.deid.spelled_dates import Day, month_names, spelled_days
from dicomanon_node.deid.spelling import FOLDED_LATIN_1, folded_letter
from dicomanon_node.deid.terms import Shape, Term

# What is detected of an identifier: beyond it nothing is found by chance.
_MAX_DETECTED = 12
# Shorter literals are found by chance: where they stand is looked at.
_MIN_LETTERS, _MIN_DIGITS = 6, 8
_STEM = 3
# Of a short word that may be written in two parts, what is looked for first.
_MIN_PROBE = 2
# Bytes looked at around a find; finds that are looked at one by one.
_AROUND_BYTES = 24
_MAX_FINDS = 48
# What may part the figures of a number.
_FIGURE_GAPS = b" ._/-"
# Places that are remembered (PHI), by what stands there.
_MAX_LOOKED_AT = 2_000
# More literals are searched for as one pattern.
_MAX_ONE_BY_ONE = 60

_NOT_ALNUM = bytes(
    code
    for code in range(256)
    if not (chr(FOLDED_LATIN_1[code]).isascii() and chr(FOLDED_LATIN_1[code]).isalnum())
)
_SQUEEZED = FOLDED_LATIN_1.lower()
# Those of PS3.3 C.12.1.1.2.
_ESCAPE = re.compile(rb"\x1b(?:\$[()]?+|[()\-.])[@-Z]")
_ASCII = bytes(range(0x80))
_NO_FIGURES = bytes(code for code in range(256) if chr(code) not in "0123456789-/._")
# Latin letters with marks in UTF-8, marks alone, wide Latin letters, signs.
_UTF_8 = re.compile(
    rb"(?:[\xc2-\xc5\xcc][\x80-\xbf]|\xcd[\x80-\xaf]|\xe1[\xb8-\xbb][\x80-\xbf]"
    rb"|\xe2\x80[\x80-\xbf]|\xef[\xbc\xbd][\x80-\xbf])++"
)
# Signs and letters of other scripts: no letter beside them belongs to the same word.
_OTHER_UTF_8 = re.compile(
    rb"(?:[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})++"
)
_CAPITAL = re.compile(
    "(?<=[a-z\xdf-\xff])(?=[A-Z\xc0-\xde])|(?<=[A-Z\xc0-\xde])(?=[A-Z\xc0-\xde][a-z\xdf-\xff])"
)
# The second bytes of those that Latin-1 has too.
_USUAL_UTF_8 = FOLDED_LATIN_1[:0x80] + FOLDED_LATIN_1[0xC0:] + FOLDED_LATIN_1[0xC0:]
_USUAL_IN_TEXT = re.compile(rb"\xc3[\x80-\xbf](?:[A-Za-z]{2}|(?<=[A-Za-z]{2}..))", re.DOTALL)
# Of bytes that are text, one in so many at most is beyond ASCII.
_FEW = 6
# What is shorter may be all names.
_SHORT = 256


def apart(text: str) -> str:
    """The text with a space wherever its capitals say that a word begins."""
    return _CAPITAL.sub(" ", text)


def without_escapes(data: bytes) -> bytes:
    """Bytes without NULs and escape sequences: UTF-16 looks like ASCII."""
    return _ESCAPE.sub(b"", data.translate(None, b"\0"))


class Detector:
    """Searches bytes for identifiers (PHI).

    Args:
        terms: What is made of words and numbers.
        signed: Words that count only beside some sign, such as a title.
        days: Days.
        wide: Words beyond ASCII in all encodings, without NULs and escape sequences.
    """

    __slots__ = (
        "_days",
        "_figures",
        "_literals",
        "_looked_at",
        "_months",
        "_pattern",
        "_probes",
        "_wide",
        "check",
    )

    def __init__(
        self,
        terms: Mapping[str, Term],
        signed: Iterable[str],
        days: frozenset[Day],
        wide: Iterable[bytes],
    ) -> None:
        self.check: Callable[[str], bool] = lambda _: True
        self._looked_at: dict[bytes, bool] = {}
        sure: set[bytes] = set()
        # What is looked for where a literal has been found: a number's pattern, if its figures
        # are there, or its own beginning.
        self._probes: dict[bytes, tuple[bytes, re.Pattern[bytes] | bytes]] = {}
        for spelling, term in terms.items():
            if spelling.isascii():
                literal = spelling.encode()
                if _is_sure(spelling, term):
                    sure.add(literal.lstrip(b"0")[:_MAX_DETECTED])
                elif term.shape is Shape.DIGITS:
                    self._probes[literal.lstrip(b"0")] = literal, _figures(literal)
                else:
                    is_pair = term.shape is Shape.PAIR
                    self._probes[literal] = b"", literal[:_MIN_PROBE] if is_pair else literal
        self._probes.update(
            (word.encode(), (b"", word.encode())) for word in signed if word.isascii()
        )
        self._literals = _shortest(sure)
        self._probes = {
            literal: probe
            for literal, probe in self._probes.items()
            if not any(found in literal for found in self._literals)
        }
        self._pattern = (
            re.compile(any_of(found.decode() for found in self._literals).encode())
            if len(self._literals) > _MAX_ONE_BY_ONE
            else None
        )
        self._wide = sorted(
            run for run in wide if not any(found in squeezed(run) for found in self._literals)
        )
        self._days = days
        self._figures = sorted({figure for day in days for figure in _figures_of(day)})
        # By the first letters of the month's name.
        self._months: dict[bytes, tuple[bytes, ...]] = {}
        for name in sorted({name for day in days for name in _months_of(day)}):
            self._months[name[:_STEM]] = (*self._months.get(name[:_STEM], ()), name)

    def may_be_in(self, data: bytes) -> bool:
        """Whether an identifier may be in bytes. False alarms are possible."""
        if self._is_in(data):
            return True
        if b"\x1b" not in data or _ESCAPE.search(data) is None:
            return False
        return self.has_wide(data) or self._is_in(_ESCAPE.sub(b"", data))

    def has_wide(self, data: bytes) -> bool:
        """Whether an identifier beyond ASCII is in bytes, in one of the encodings."""
        if not self._wide:
            return False
        # In UTF-16 and between escape sequences, characters beyond ASCII are written in its bytes.
        flat = without_escapes(data).lower()
        return any(run in flat for run in self._wide)

    def _is_in(self, data: bytes) -> bool:
        if self._is_in_reading(data):
            return True
        if self.has_wide(data):
            return True
        if data.isascii():
            return False
        high = data.translate(None, _ASCII)
        # What stands together among these alone need not do so in the data.
        if _OTHER_UTF_8.search(high) is None or _OTHER_UTF_8.search(data) is None:
            return False
        if len(data) <= _SHORT or len(high) * _FEW < len(data):
            # What is no letter in UTF-8 stays what it is in Latin-1.
            return self._is_in_reading(_OTHER_UTF_8.sub(b" ", _UTF_8.sub(_read, data)))
        # No text, but there may be some in it: the letters that are usual.
        if _USUAL_IN_TEXT.search(data) is None:
            return False
        return self._has_words(squeezed(data.translate(_USUAL_UTF_8, b"\xc3")), data)

    def _is_in_reading(self, data: bytes) -> bool:
        letters = squeezed(data)
        return self._has_words(letters, data) or (bool(self._days) and self._has_day(data, letters))

    def _has_words(self, letters: bytes, data: bytes) -> bool:
        if self._pattern is not None:
            if self._pattern.search(letters):
                return True
        elif any(literal in letters for literal in self._literals):
            return True
        suspected = [probe for literal, probe in self._probes.items() if literal in letters]
        if not suspected:
            return False
        # Two NULs end a text in UTF-16.
        parted = data.replace(b"\0\0", b"\n").translate(None, b"\0")
        readings = {data, data.translate(None, b"\0"), parted}
        return any(self._is_there(readings, number, probe) for number, probe in suspected)

    def _is_there(
        self, readings: Iterable[bytes], number: bytes, probe: re.Pattern[bytes] | bytes
    ) -> bool:
        for cased in readings:
            if isinstance(probe, re.Pattern):
                if number in cased.translate(None, _FIGURE_GAPS) and probe.search(cased):
                    return True
                continue
            reading = cased.translate(FOLDED_LATIN_1)
            for count, place in enumerate(_places(reading.lower(), probe)):
                if count > _MAX_FINDS:
                    return True
                around = reading[max(place - _AROUND_BYTES, 0) : place + 2 * _AROUND_BYTES]
                if self._is_found_in(around):
                    return True
        return False

    def _is_found_in(self, around: bytes) -> bool:
        # The objects of a series have the same words in the same places.
        found = self._looked_at.get(around)
        if found is None:
            text = around.decode("ascii", "replace")
            found = self.check(text) or self.check(apart(text))
            if len(self._looked_at) >= _MAX_LOOKED_AT:
                self._looked_at.clear()
            self._looked_at[around] = found
        return found

    def _has_day(self, data: bytes, letters: bytes) -> bool:
        figures = data.translate(None, _NO_FIGURES)
        years = [year for year in self._figures if year in figures]
        is_named = any(
            letters.startswith(names, place)
            for stem, names in self._months.items()
            for place in _places(letters, stem)
        )
        if not years and not is_named:
            return False
        flat = data.translate(_SQUEEZED, b"\0")
        if is_named:
            return self._is_day_in(flat)
        places = [place for year in years for place in _places(flat, year)]
        if len(places) > _MAX_FINDS:
            return self._is_day_in(flat)
        return any(
            self._is_day_in(flat[max(place - _AROUND_BYTES, 0) : place + _AROUND_BYTES])
            for place in places
        )

    def _is_day_in(self, flat: bytes) -> bool:
        text = flat.decode("ascii", "replace")
        return any(not self._days.isdisjoint(day.days) for day in spelled_days(text))


def has_few_letters_beyond_ascii(data: bytes) -> bool:
    """Whether bytes are text by how many of them are ASCII."""
    return len(data) <= _SHORT or len(data.translate(None, _ASCII)) * _FEW < len(data)


def squeezed(data: bytes) -> bytes:
    """The letters and digits of bytes, small and without marks, as Latin-1 reads them."""
    return data.translate(_SQUEEZED, _NOT_ALNUM)


def _is_sure(spelling: str, term: Term) -> bool:
    if term.shape is Shape.DIGITS:
        return len(spelling.lstrip("0")) >= _MIN_DIGITS
    if term.shape in (Shape.WORD, Shape.PAIR):
        return len(spelling) >= _MIN_LETTERS
    return True


@lru_cache(maxsize=1024)
def _figures(number: bytes) -> re.Pattern[bytes]:
    # What separates the figures of a long number does not count, nor do zeros before it.
    figures = number.lstrip(b"0")
    zeros = len(number) - len(figures)
    gap = b"[ ._/-]?+" if len(number) >= _MIN_LETTERS else b""
    return re.compile(
        b"(?<![1-9])0{%d}%s(?![0-9])"
        % (zeros, gap.join(figures[place : place + 1] for place in range(len(figures))))
    )


def _shortest(literals: set[bytes]) -> list[bytes]:
    # What contains another one need not be searched for.
    kept: list[bytes] = []
    for literal in sorted(literals, key=lambda found: (len(found), found)):
        if len(kept) > _MAX_ONE_BY_ONE or not any(found in literal for found in kept):
            kept.append(literal)
    return kept


def _places(data: bytes, literal: bytes) -> Iterator[int]:
    place = data.find(literal)
    while place >= 0:
        yield place
        place = data.find(literal, place + 1)


def _figures_of(day: Day) -> Iterator[bytes]:
    # The year, or its last figures with what parts them from the day or the month.
    year, month, number = day
    short = f"{year % 100:02}"
    yield str(year).encode()
    yield from (f"{sign}{short}".encode() for sign in "-/_")
    for written in {f"{month}", f"{month:02}", f"{number}", f"{number:02}"}:
        yield f".{written}.{short}".encode()
    yield from (f"{short}{sign}{month:02}{sign}".encode() for sign in "-/.")


def _months_of(day: Day) -> Iterator[bytes]:
    year, month, number = day
    for name in month_names(month):
        for figures in ("", f"{number}", f"{number:02}"):
            yield f"{name}{figures}{year % 100:02}".encode()


def _read(match: re.Match[bytes]) -> bytes:
    letters = (
        folded_letter(letter) if letter.isalnum() or unicodedata.combining(letter) else " "
        for letter in match[0].decode("utf-8", "ignore")
    )
    return "".join(letters).encode("ascii", "ignore")
