"""What an object's identifiers look like wherever they turn up again.

A name is found in any order, glued or apart, with an initial, in any letter case; a
number without its separators; a date in the usual spellings. A name that is also a
word of the trade ("Head", "Test", "Siemens") identifies nobody on its own and would
ruin every descriptor: such words count only next to another part of the same name.

This module makes patterns; where they are searched is in `leaks`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from functools import cached_property, lru_cache
from itertools import permutations

from dicomanon_node.deid import charset
from dicomanon_node.deid.alternation import any_of
from dicomanon_node.deid.trade import trade_words
from dicomanon_node.errors import Reason, Refused


class Kind(Enum):
    """What sort of identifier a value is."""

    OWN_NAME = "the patient's name"
    OWN_NUMBER = "the patient's number"
    NAME = "another person's name, VR PN"
    PATIENT = "another number of the patient"
    NUMBER = "another number"
    PLACE = "an institution, a room or an address"
    DATE = "the birth date"


# What is kept on purpose excuses its words elsewhere, but never these.
_NEVER_EXCUSED = (Kind.OWN_NAME, Kind.OWN_NUMBER)

# (kind, encoded value, Specific Character Set)
Source = tuple[Kind, bytes, bytes]

# Shorter words are initials and titles; they count only next to another part.
_MIN_WORD, _MIN_PLACE_WORD = 3, 5
# Of a number that is made of digits only, shorter ones are found everywhere.
_MIN_DIGITS, _MIN_PATIENT_DIGITS, _MIN_NUMBER = 5, 4, 4
# A number of this many digits is no dose, matrix or echo time.
_MIN_SURE_DIGITS = 6
_MIN_SURE_LETTERS = 6
_MAX_PARTS = 6
_MAX_ALTERNATIVES = 4_000
# More names than this are searched for as if all were one.
_MAX_GROUPS = 16
_MAX_DATE_PATTERNS, _MAX_UNIONS = 200, 500
# What is detected of an identifier: beyond it nothing is found by chance.
_MAX_DETECTED = 12
_MIN_GLUED = 8
# A pattern of all literals pays where it is used for many objects of a series.
_USES_BEFORE_COMPILED = 8
MIN_UID_PREFIX = 12

_WORD = re.compile(r"[^\W\d_]+", re.UNICODE)
_NUMBER = re.compile(r"[\w./-]+", re.UNICODE)
_FIRST_WIDE = "\u2e80"  # CJK, Kana, Hangul: written without spaces between words
_MIN_WIDE_WORD = 2

# Letters around a word make it another word; digits and underscores do not.
_NO_LETTER_BEFORE, _NO_LETTER_AFTER = r"(?<![^\W\d_])", r"(?![^\W\d_])"
_NO_DIGIT_BEFORE, _NO_DIGIT_AFTER = r"(?<!\d)", r"(?!\d)"
_NO_FRACTION_BEFORE, _NO_FRACTION_AFTER = r"(?<![\d.])", r"(?!\d|\.\d)"

_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()

# Makers whose whole name an institution may have: conversion programs fill in their own.
_MAKERS = frozenset(["fo-dicom", "ge medical systems", "philips medical systems"])


class Needles:
    """What to search for (PHI). Patterns are made when they are first needed.

    Args:
        literals: What is searched for in bytes as it is.
        unions: Patterns that are worth a try where all of some literals are there.
        texts: Alternatives of `text`.
        wide: Identifiers beyond ASCII, in all encodings.
        sure: What is there by no chance, as one pattern.
        glued: Matches two parts of one name written in one, whatever is around them.
        figures: The patient's numbers and birth date as figures only, without leading zeros.
    """

    def __init__(
        self,
        literals: Sequence[bytes],
        unions: Sequence[tuple[tuple[bytes, ...], bytes]],
        texts: Sequence[str],
        wide: Sequence[bytes],
        sure: str,
        glued: str,
        figures: frozenset[bytes],
    ) -> None:
        detected = sorted({literal[:_MAX_DETECTED] for literal in (*literals, *wide)})
        self._literals = tuple(detected)
        self.figures = figures
        # How many alternatives there are: what a search costs for each character.
        self.width = len(literals) + len(wide) + len(unions) + len(texts)
        self._glued = glued
        self._unions = unions
        self._texts = texts
        self._wide = wide
        self._sure = sure
        self._uses = 0

    def may_be_in(self, flat: bytes) -> bool:
        """Whether one may be in bytes that were made lower case and lost their NULs.

        False alarms are possible, misses are not.
        """
        self._uses += 1
        if self._uses > _USES_BEFORE_COMPILED:
            found = self._any_literal is not None and self._any_literal.search(flat) is not None
        else:
            found = any(literal in flat for literal in self._literals)
        return found or any(
            all(literal in flat for literal in needed) and re.search(pattern, flat)
            for needed, pattern in self._unions
        )

    @cached_property
    def text(self) -> re.Pattern[str] | None:
        """Matches any identifier in decoded text; None if there are none."""
        return re.compile("|".join(self._texts), re.IGNORECASE) if self._texts else None

    @cached_property
    def wide(self) -> re.Pattern[bytes] | None:
        """Matches identifiers beyond ASCII in such bytes as `may_be_in` takes."""
        return _any_bytes(self._wide)

    @cached_property
    def sure(self) -> re.Pattern[bytes] | None:
        """Matches names in bytes that were made lower case, without false alarms."""
        return re.compile(self._sure.encode("latin-1")) if self._sure else None

    @cached_property
    def glued(self) -> re.Pattern[str] | None:
        """Matches two parts of one name written in one, whatever is around them."""
        return re.compile(self._glued, re.IGNORECASE) if self._glued else None

    @cached_property
    def _any_literal(self) -> re.Pattern[bytes] | None:
        # Nothing but literals: that is what makes the search fast.
        return _any_bytes(self._literals)


def _any_bytes(words: Sequence[bytes]) -> re.Pattern[bytes] | None:
    if not words:
        return None
    return re.compile(any_of(word.decode("latin-1") for word in words).encode("latin-1"))


# The objects of a series have the same identity; few series come in at a time.
@lru_cache(maxsize=64)
def compiled(
    sought: frozenset[Source], retained: frozenset[Source], constants: frozenset[Source]
) -> Needles:
    """The needles of an object's identifiers.

    Args:
        sought: What must not be found any more (PHI).
        retained: What is kept on purpose: its words may be found unless they are the
            patient's name or number.
        constants: What the rules set: it may be found, whosever it is.

    Raises:
        Refused: TOO_MANY_ELEMENTS if no real object has as many identifiers.
    """
    collected = _Collected(trade_words())
    others = [source for source in sought if source[0] not in _NEVER_EXCUSED]
    collected.add_all(others)
    collected.excuse(retained)
    collected.add_all(sought - frozenset(others))
    collected.excuse(constants)
    return collected.needles()


class _Collected:
    # The identifiers of an object by the way they are searched for, lower case.

    def __init__(self, trade: frozenset[str]) -> None:
        self.trade = trade
        self.words: set[str] = set()  # count on their own
        self.numbers: set[str] = set()
        self.groups: list[tuple[str, ...]] = []  # parts of one name
        self.dates: list[str] = []  # patterns already
        self.years: set[str] = set()
        self.figures: set[str] = set()

    def add_all(self, sources: Iterable[Source]) -> None:
        for source in sorted(sources, key=lambda source: (source[0].name, *source[1:])):
            self.add(*source)

    def excuse(self, sources: Iterable[Source]) -> None:
        excused = _Collected(frozenset())
        excused.add_all(sources)
        self.words -= excused.words
        self.numbers -= excused.numbers
        self.groups = [group for group in self.groups if group not in excused.groups]

    def add(self, kind: Kind, raw: bytes, character_set: bytes) -> None:
        text = charset.decode(raw, character_set, is_name=kind in (Kind.NAME, Kind.OWN_NAME))
        text = text.strip(" \0")
        if kind in (Kind.NAME, Kind.OWN_NAME):
            for group in re.split(r"[\\=]", text):
                self._add_name(group)
        elif kind is Kind.PLACE:
            self._add_place(text)
        elif kind is Kind.DATE:
            self._add_date(text)
        else:
            is_patients = kind in (Kind.PATIENT, Kind.OWN_NUMBER)
            shortest = _MIN_PATIENT_DIGITS if is_patients else _MIN_DIGITS
            for value in text.split("\\"):
                self._add_number(value.strip().lower(), shortest)
                figure = value.strip().lstrip("0")
                if is_patients and len(figure) >= _MIN_SURE_DIGITS and figure.isdigit():
                    self.figures.add(figure)

    def _add_name(self, group: str) -> None:
        words = list(dict.fromkeys(word.lower() for word in _WORD.findall(group)))
        for word in words:
            if len(word) >= (_MIN_WIDE_WORD if _is_wide(word) else _MIN_WORD):
                self._add_word(word)
        parts = tuple(word for word in words if len(word) > 1 or _is_wide(word))[:_MAX_PARTS]
        if len(parts) > 1:
            self.groups.append(parts)
        # Initials go before or after the surname.
        for first, second in permutations(words[:_MAX_PARTS], 2):
            if len(second) > _MIN_WORD and second in self.words and not _is_wide(second):
                self.words.update((first[0] + second, second + first[0]))
        # Test subjects are often named by a number.
        for number in _NUMBER.findall(group.replace("^", " ")):
            if any(character.isdigit() for character in number):
                self._add_number(number.lower(), _MIN_DIGITS)

    def _is_common(self, word: str) -> bool:
        return word in self.trade or bool(self.trade and word in _MAKERS)

    def _add_word(self, word: str) -> None:
        if not self._is_common(word):
            self.words.update((word, word.casefold()))

    def _add_place(self, text: str) -> None:
        whole = " ".join(text.lower().split())
        if len(whole) >= _MIN_NUMBER and not self._is_common(whole):
            self.numbers.add(whole)
        for word in _WORD.findall(text):
            if len(word) >= _MIN_PLACE_WORD:
                self._add_word(word.lower())

    def _add_number(self, value: str, shortest: int) -> None:
        if len(value) < _MIN_NUMBER or self._is_common(value) or not value.strip("0-. "):
            return
        bare = re.sub(r"[\W_]", "", value)
        # The digits are the number, whatever letters a site puts before them.
        for spelled in {value, bare, bare.lstrip("0"), *re.findall(r"\d+", value)}:
            is_short = len(spelled) < (shortest if spelled.isdigit() else _MIN_NUMBER)
            if not is_short and (spelled == value or len(spelled) >= _MIN_SURE_DIGITS):
                self.numbers.add(spelled)

    def _add_date(self, text: str) -> None:
        match = re.match(r"(\d{4})[-./]?(\d\d)[-./]?(\d\d)", text)
        if match is None or not 1 <= int(match[2]) <= len(_MONTHS):
            return
        year, month, day = match[1], int(match[2]), int(match[3])
        self.figures.add("".join(match.groups()))
        self.years.add(year)
        name, gap = _MONTHS[month - 1] + "[a-z]*", "[-./ ,]{1,2}"
        self.dates += [
            f"{year}[-./ ]?{month:02}[-./ ]?{day:02}",
            f"{day:02}[-./ ]?{month:02}[-./ ]?{year}",
            f"{month:02}[-./ ]?{day:02}[-./ ]?{year}",
            f"{name}{gap}0?{day}{gap}{year}",
        ]
        # Each begins with a letter or digit: that makes the search fast.
        for short in {f"{day}", f"{day:02}"}:
            self.dates.append(f"{short}[-./ ]0?{month}[-./ ]{year}")
            self.dates.append(f"{short}{gap}{name}{gap}{year}")
        for short in {f"{month}", f"{month:02}"}:
            self.dates.append(f"{short}[-./ ]0?{day}[-./ ]{year}")
        self.dates.sort()

    def needles(self) -> Needles:
        """All of it, ready to be searched for."""
        solo = list(self._solo())
        unions = list(self._pairs())
        if self.dates:
            dates = "|".join(self.dates).encode()
            unions += [((year.encode(),), dates) for year in sorted(self.years)]
        spelled = {token: set(charset.spellings(token)) for token in solo if not token.isascii()}
        wide = {run for runs in spelled.values() for run in runs}
        groups = sorted(set(self.groups))
        width = len(solo) + len(wide) + sum(map(len, groups))
        if (
            width > _MAX_ALTERNATIVES
            or len(unions) > _MAX_UNIONS
            or len(self.dates) > _MAX_DATE_PATTERNS
        ):
            raise Refused(Reason.TOO_MANY_ELEMENTS)
        return Needles(
            literals=[token.encode() for token in solo if token.isascii()],
            unions=unions,
            texts=self._texts(groups),
            wide=sorted(wide),
            sure=self._sure(spelled),
            glued=any_of(
                first + second
                for group in groups
                for first, second in permutations(group, 2)
                if min(len(first), len(second)) >= _MIN_WORD and len(first + second) >= _MIN_GLUED
            ),
            figures=frozenset(figure.encode() for figure in self.figures),
        )

    def _sure(self, spelled: dict[str, set[bytes]]) -> str:
        words = {word for word in self.words if len(word) >= _MIN_SURE_LETTERS}
        runs = {word for word in words if word.isascii()}
        for word in words - runs:
            if not _is_wide(word):
                runs |= {run.decode("latin-1") for run in spelled.get(word, ())}
        runs = {run for run in runs if len(run) >= _MIN_SURE_LETTERS}
        return rf"(?<![a-z\x80-\xff])(?:{any_of(runs)})(?![a-z\x80-\xff])" if runs else ""

    def _solo(self) -> Iterator[str]:
        yield from sorted(self.words | self.numbers)
        for group in self.groups:
            if any(_is_wide(part) for part in group):
                # Written in one: neither part may be long enough alone.
                yield from ("".join(pair) for pair in permutations(group, 2))

    def _pairs(self) -> Iterator[tuple[tuple[bytes, ...], bytes]]:
        for group in self.groups:
            if self.words.isdisjoint(group) and all(part.isascii() for part in group):
                for pair in permutations([part.encode() for part in group], 2):
                    yield pair, b"%s[^a-z0-9]{0,3}%s" % pair

    def _texts(self, groups: list[tuple[str, ...]]) -> list[str]:
        # Longest first: a whole name or address goes before its words.
        if len(groups) > _MAX_GROUPS:
            groups = [tuple({part for group in groups for part in group})]
        worded = [_joined(group) for group in groups]
        narrow = {word for word in self.words | self.numbers if not _is_wide(word)}
        numbers = {word for word in narrow if any(map(str.isdigit, word))}
        if narrow != numbers:
            worded.append(any_of(narrow - numbers))
        # At the same place the first one wins: a number goes before the word it begins with.
        texts = _bounded(numbers)
        if self.dates:
            texts.append(f"{_NO_DIGIT_BEFORE}(?:{'|'.join(self.dates)}){_NO_DIGIT_AFTER}")
        if worded:
            texts.append(f"{_NO_LETTER_BEFORE}(?:{'|'.join(worded)}){_NO_LETTER_AFTER}")
        wide = [word for word in self._solo() if _is_wide(word)]
        return [*texts, any_of(wide)] if wide else texts


def _is_wide(word: str) -> bool:
    return any(character >= _FIRST_WIDE for character in word)


def _joined(group: tuple[str, ...]) -> str:
    # Two or more parts of one name side by side are that name, whatever else they mean.
    # Nothing is tried twice and no run is long: what a sender repeats costs no more.
    part = f"(?>{any_of(group)})"
    is_short = min(map(len, group)) < _MIN_WORD
    return rf"{part}(?>[\W_]{{{int(is_short)},3}}+{part}){{1,{_MAX_PARTS}}}+"


def _bounded(numbers: Iterable[str]) -> list[str]:
    by_bounds: dict[tuple[str, str], list[str]] = {}
    for number in numbers:
        is_sure = not number.isdigit() or len(number) >= _MIN_SURE_DIGITS
        before = _NO_DIGIT_BEFORE if is_sure else _NO_FRACTION_BEFORE
        after = _NO_DIGIT_AFTER if is_sure else _NO_FRACTION_AFTER
        bounds = (before if number[0].isdigit() else "", after if number[-1].isdigit() else "")
        by_bounds.setdefault(bounds, []).append(number)
    return [
        f"{before}(?:{any_of(found)}){after}"
        for (before, after), found in sorted(by_bounds.items())
    ]
