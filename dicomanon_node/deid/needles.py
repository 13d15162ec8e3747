"""What an object's identifiers look like wherever they turn up again.

The weighing rule (ADR 0013). A name's word of three letters or more counts wherever it
stands as a word: in any letter case, order and transliteration, in the plural, with an
initial, hyphenated, glued to another part of the name. A word of the trade ("Head",
"Siemens", "White") identifies nobody on its own and would ruin every descriptor: it
counts only next to another part of the same name, behind a title ("Mr Head"), or beside
an initial with its stop ("T. Head"). Words of one or two letters count next to another
part only. A surname that is also a term stays where it is that term: "Smith" goes, the
"Smith fracture" stays. Numbers count without their separators and leading zeros, from 4
digits (the patient's) or 5 (others') on; with other separators than their own from 6 on.

This module makes spellings; how they are found in text is in `terms`, in bytes in
`detector`.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, lru_cache
from itertools import permutations

from dicomanon_node.deid import charset
from dicomanon_node.deid.alternation import any_of
from dicomanon_node.deid.detector import Detector
from dicomanon_node.deid.kinds import Kind, Source
from dicomanon_node.deid.spans import merged
from dicomanon_node.deid.spelled_dates import Day, day_of, spelled_days
from dicomanon_node.deid.spelling import composed, folded, forms, is_wide, kana
from dicomanon_node.deid.terms import Names, Shape, Term, Terms
from dicomanon_node.deid.trade import EPONYMS, trade_words
from dicomanon_node.errors import Reason, Refused

# What is kept on purpose excuses its words elsewhere, but never these.
_NEVER_EXCUSED = (Kind.OWN_NAME, Kind.OWN_NUMBER, Kind.DATE)

# Shorter words are initials and titles; they count only next to another part.
_MIN_WORD, _MIN_PLACE_WORD = 3, 5
# Of a number that is made of digits only, shorter ones are found everywhere.
_MIN_DIGITS, _MIN_PATIENT_DIGITS, _MIN_NUMBER, _MIN_STATION = 5, 4, 4, 5
# A number of this many digits is no dose, matrix or echo time.
_MIN_SURE_DIGITS = 6
# A word of this many letters is that word also where something stands between them.
_MIN_SPACED = 6
_MIN_GLUED = 8
_MAX_PARTS = 6
_MAX_TERMS = 4_000
# More names than this are searched for as if all were one.
_MAX_GROUPS = 64
_MAX_DAYS = 100
# Tokens that a long identifier may be written in.
_ANY_TOKENS = 64
# A telephone number without the code of its country.
_MAX_COUNTRY_CODE, _MIN_LOCAL_DIGITS = 3, 8
MIN_UID_PREFIX = 12

_WORD = re.compile(r"[^\W\d_]+", re.UNICODE)
_NUMBER = re.compile(r"[\w./-]+", re.UNICODE)
_SEPARATORS = re.compile(r"[\W_]+", re.UNICODE)
_TOKENS = re.compile(r"\d+|[^\W\d_]+", re.UNICODE)
_MIN_WIDE_WORD = 2

# Makers whose whole name an institution may have: conversion programs fill in their own.
_MAKERS = frozenset(["fo-dicom", "ge medical systems", "philips medical systems"])


class Needles:
    """What to search for (PHI).

    Attributes:
        terms: What is made of words and numbers.
        days: Days that are removed or shifted.
        detector: Finds out whether anything may be in bytes.
        figures: The patient's numbers and birth date as figures only, without leading zeros.
        numbers: These, and all other long numbers and days, which no number may be.
        width: How many things are searched for one by one: what a search costs for each
            character.
    """

    __slots__ = (
        "__dict__",
        "_glued",
        "_wide",
        "days",
        "detector",
        "figures",
        "numbers",
        "terms",
        "width",
    )

    def __init__(
        self,
        terms: Terms,
        days: frozenset[Day],
        detector: Detector,
        wide: frozenset[str],
        glued: frozenset[str],
        figures: frozenset[bytes],
        numbers: frozenset[bytes],
    ) -> None:
        self.terms = terms
        self.days = days
        self.detector = detector
        self.figures = figures
        self.numbers = numbers
        self._wide = wide
        self._glued = glued
        detector.check = self._is_in
        self.width = 1 + len(wide)

    def spans(
        self, text: str, *, is_sure: bool = False, spend: Callable[[int], None] | None = None
    ) -> list[tuple[int, int]]:
        """Where identifiers are in a text, in order and without overlaps.

        Args:
            text: Composed text (PHI).
            is_sure: Leave out what chance or a pseudonym could have written.
            spend: Is told what it costs, besides the length of the text.
        """
        found = list(self.terms.spans(text, is_sure=is_sure, spend=spend))
        if self.days:
            found += [
                (spelled.start, spelled.end)
                for spelled in spelled_days(folded(text))
                if not self.days.isdisjoint(spelled.days)
            ]
        if self.wide is not None and not text.isascii():
            found += [match.span() for match in self.wide.finditer(text)]
        return merged(found)

    def _is_in(self, text: str) -> bool:
        return next(self.terms.spans(text), None) is not None or (
            self.glued is not None and self.glued.search(folded(text)) is not None
        )

    @cached_property
    def wide(self) -> re.Pattern[str] | None:
        """Matches names that are written without spaces; None if there are none."""
        if not self._wide:
            return None
        return re.compile("|".join(sorted(self._wide, key=lambda word: (-len(word), word))))

    @cached_property
    def glued(self) -> re.Pattern[str] | None:
        """Matches two parts of one name written in one, whatever is around them, folded."""
        return re.compile(any_of(self._glued)) if self._glued else None


# The objects of a series have the same identity; few series come in at a time.
@lru_cache(maxsize=64)
def compiled(
    sought: frozenset[Source], retained: frozenset[Source], constants: frozenset[Source]
) -> Needles:
    """The needles of an object's identifiers.

    Args:
        sought: What must not be found any more (PHI).
        retained: What is kept on purpose: its words may be found unless they are the
            patient's name, number or birth date.
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
    # The identifiers of an object by the way they are searched for, folded.

    def __init__(self, trade: frozenset[str]) -> None:
        self.trade = trade
        self.terms: dict[str, Term] = {}
        self.groups: list[tuple[str, ...]] = []  # parts of one name
        self.initials: list[frozenset[str]] = []
        self.days: set[Day] = set()
        self.wide: set[str] = set()
        self.figures: set[str] = set()
        self.numbers: set[str] = set()
        # Words as they were, to be looked for in character sets beyond Latin-1.
        self.words: set[str] = set()

    def add_all(self, sources: Iterable[Source]) -> None:
        for source in sorted(sources, key=lambda source: (source[0].name, *source[1:])):
            self.add(*source)

    def excuse(self, sources: Iterable[Source]) -> None:
        excused = _Collected(frozenset())
        excused.add_all(sources)
        for spelling in excused.terms:
            self.terms.pop(spelling, None)
        self.days -= excused.days
        self.wide -= excused.wide
        self.words -= excused.words
        kept = [n for n, group in enumerate(self.groups) if group not in excused.groups]
        self.groups = [self.groups[n] for n in kept]
        self.initials = [self.initials[n] for n in kept]

    def add(self, kind: Kind, raw: bytes, character_set: bytes) -> None:
        is_name = kind in (Kind.NAME, Kind.OWN_NAME)
        text = composed(charset.decode(raw, character_set, is_name=is_name)).strip(" \0")
        if is_name:
            for group in re.split(r"[\\=]", text):
                self._add_name(group)
        elif kind is Kind.PLACE:
            self._add_place(text)
        elif kind in (Kind.DATE, Kind.EVENT):
            self._add_day(text, is_own=kind is Kind.DATE)
        else:
            self._add_numbers(text, kind)

    def _add_numbers(self, text: str, kind: Kind) -> None:
        is_patients = kind in (Kind.PATIENT, Kind.OWN_NUMBER)
        shortest = _MIN_PATIENT_DIGITS if is_patients else _MIN_DIGITS
        for value in text.split("\\"):
            number = value.strip()
            if kind is Kind.STATION and not self._is_station(number):
                continue
            self._add_number(number, shortest)
            runs = [run.lstrip("0") for run in re.findall(r"\d+", number)]
            self.numbers.update(run for run in runs if len(run) > _MIN_SURE_DIGITS)
            if is_patients:
                self.figures.update(run for run in runs if len(run) >= _MIN_SURE_DIGITS)
            if number.startswith(("+", "00")):
                # A telephone number, also where it is dialled from its own country.
                digits = re.sub(r"\D", "", number).lstrip("0")
                for code in range(1, _MAX_COUNTRY_CODE + 1):
                    if len(digits) - code >= _MIN_LOCAL_DIGITS:
                        self._add_number(digits[code:], shortest)

    def _is_station(self, name: str) -> bool:
        # "MR1" and "Prisma" are no more than what the device is.
        words = [folded(word) for word in _WORD.findall(name)]
        is_trade = all(word in self.trade for word in words)
        return len(name) >= _MIN_STATION and not (is_trade and len(words) > 0)

    def _add_name(self, group: str) -> None:
        words = list(dict.fromkeys(_WORD.findall(group.lower())))
        for word in words:
            self._add_word(word)
        parts = tuple(word for word in words if len(word) > 1 or is_wide(word))[:_MAX_PARTS]
        self._add_together(parts)
        self.groups.append(parts)
        self.initials.append(frozenset(folded(word[0]) for word in words if not is_wide(word)))
        # A given name of two, written in one.
        for component in group.split("^"):
            self._add_word("".join(_WORD.findall(component.lower())))
        # Initials are glued to the surname.
        for first, second in permutations(words[:_MAX_PARTS], 2):
            for form in forms(second):
                if len(form) > _MIN_WORD and form in self.terms and not is_wide(second):
                    for glued in (folded(first[0]) + form, form + folded(first[0])):
                        # Bob Rain is no brain.
                        if not self._is_common(glued):
                            self._put(glued, Term(Shape.WORD))
        # Test subjects are often named by a number.
        for number in _NUMBER.findall(group.replace("^", " ")):
            if any(character.isdigit() for character in number):
                self._add_number(number, _MIN_DIGITS)

    def _add_together(self, parts: tuple[str, ...]) -> None:
        # Two parts of one name side by side are that name, whatever else they mean.
        for first, second in permutations(parts, 2):
            if is_wide(first) or is_wide(second):
                self.wide.add(re.escape(first) + r"[\W_]{0,3}" + re.escape(second))
                self.words |= {first + gap + second for gap in ("", " ", "^", "\u3000")}
                continue
            is_short = min(len(first), len(second)) < _MIN_WORD
            for one in forms(first):
                for other in forms(second):
                    pair = Term(Shape.PAIR, fewest=2 if is_short else 1, most=_ANY_TOKENS)
                    self._put(one + other, pair)

    def _put(self, spelling: str, term: Term) -> None:
        self.terms.setdefault(spelling, term)
        if len(self.terms) > _MAX_TERMS:
            raise Refused(Reason.TOO_MANY_ELEMENTS)

    def _is_common(self, word: str) -> bool:
        return word in self.trade or bool(self.trade and word in _MAKERS)

    def _add_word(self, word: str) -> None:
        if is_wide(word):
            if len(word) >= _MIN_WIDE_WORD:
                spelled = {word, unicodedata.normalize("NFKC", word), *kana(word)}
                self.words |= spelled
                self.wide |= {re.escape(spelling) for spelling in spelled}
            return
        if len(word) < _MIN_WORD:
            return
        plain = folded(word)
        if self._is_common(word) or self._is_common(plain):
            return
        self.words |= {word, plain}
        for form in forms(word):
            if form == plain or not self._is_common(form):
                most = _ANY_TOKENS if len(form) >= _MIN_SPACED else 1
                self._put(form, Term(Shape.WORD, most=most))

    def _add_place(self, text: str) -> None:
        if not self._is_common(" ".join(text.lower().split())):
            self._add_number(text, _MIN_DIGITS, Shape.PLACE)
        for word in _WORD.findall(text.lower()):
            if len(word) >= _MIN_PLACE_WORD:
                self._add_word(word)

    def _add_number(self, value: str, shortest: int, shape: Shape = Shape.CODE) -> None:
        value = folded(value)
        if len(value) < _MIN_NUMBER or self._is_common(value) or not value.strip("0-. "):
            return
        bare = _SEPARATORS.sub("", value)
        tokens = len(_TOKENS.findall(value))
        self._add_spelling(bare, tokens, shortest, shape)
        # The digits are the number, whatever letters a site puts before them.
        runs = {bare, *re.findall(r"\d+", value), re.sub(r"\D", "", value)}
        for spelled in runs | {run.lstrip("0") for run in runs}:
            if spelled != bare and len(spelled) >= _MIN_SURE_DIGITS:
                self._add_spelling(spelled, 1, shortest, shape)

    def _add_spelling(self, bare: str, tokens: int, shortest: int, shape: Shape) -> None:
        is_digits = bare.isdigit()
        if len(bare) < (shortest if is_digits else _MIN_NUMBER) or bare in self.trade:
            return
        is_short = is_digits and len(bare) < _MIN_SURE_DIGITS
        is_spaced = len(bare) >= _MIN_SPACED
        term = Term(
            Shape.DIGITS if is_digits else shape,
            fewest=1 if is_spaced else tokens,
            most=_ANY_TOKENS if is_spaced else tokens,
            is_short=is_short,
        )
        self._put(bare, term)
        if not bare.isascii():
            self.words.add(bare)

    def _add_day(self, text: str, *, is_own: bool) -> None:
        day = day_of(text)
        if day is None:
            return
        self.days.add(day)
        if len(self.days) > _MAX_DAYS:
            raise Refused(Reason.TOO_MANY_ELEMENTS)
        self.numbers.add("{:04}{:02}{:02}".format(*day))
        if is_own:
            self.figures.add("{:04}{:02}{:02}".format(*day))

    def needles(self) -> Needles:
        """All of it, ready to be searched for."""
        groups, initials = self.groups, self.initials
        if len(groups) > _MAX_GROUPS:
            groups = [tuple({part for group in groups for part in group})]
            initials = [frozenset().union(*initials)]
        parts: dict[str, frozenset[int]] = {}
        for number, group in enumerate(groups):
            for form in (form for part in group for form in forms(part)):
                parts[form] = parts.get(form, frozenset()) | {number}
        # A short part of a name is no term, but is found beside the rest of it.
        glued = frozenset(self._glued())
        wide = {run for word in self.words if not word.isascii() for run in charset.spellings(word)}
        if len(wide) > _MAX_TERMS:
            raise Refused(Reason.TOO_MANY_ELEMENTS)
        return Needles(
            terms=Terms(self.terms, Names(parts, initials)),
            days=frozenset(self.days),
            detector=Detector(self.terms, self._signed(parts), frozenset(self.days), wide),
            wide=frozenset(self.wide),
            glued=glued,
            figures=frozenset(figure.encode() for figure in self.figures),
            numbers=frozenset(number.encode() for number in self.figures | self.numbers),
        )

    def _glued(self) -> Iterator[str]:
        for spelling, term in self.terms.items():
            is_pair = term.shape is Shape.PAIR and term.fewest == 1
            is_glued = is_pair or self._is_found_inside(spelling, term)
            if is_glued and len(spelling) >= _MIN_GLUED and not self._is_common(spelling):
                yield spelling

    def _is_found_inside(self, spelling: str, term: Term) -> bool:
        # A long name is that name also in the middle of a word, unless words of the trade are.
        return (
            term.shape is Shape.WORD
            and spelling not in EPONYMS
            and not any(spelling in word for word in self.trade)
        )

    def _signed(self, parts: dict[str, frozenset[int]]) -> frozenset[str]:
        # Words of the trade that count behind a title or beside an initial.
        return frozenset(
            part for part in parts if part not in self.terms and len(part) >= _MIN_WORD
        )
