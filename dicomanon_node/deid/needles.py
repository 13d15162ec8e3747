"""What an object's identifiers look like wherever they turn up again.

A name is found in any order, glued or apart, with an initial, in any letter case; a
number without its separators; a date in the usual spellings. A name that is also a
word of the trade ("Head", "Test", "Siemens") identifies nobody on its own and would
ruin every descriptor: such words count only next to another part of the same name.

This module makes patterns; where they are searched is in `leaks`.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from itertools import permutations

from pydicom._dicom_dict import DicomDictionary
from pydicom.charset import python_encoding

from dicomanon_node.deid import charset
from dicomanon_node.errors import Reason, Refused


class Kind(Enum):
    """What sort of identifier a value is."""

    NAME = "a person's name, VR PN"
    PATIENT = "the patient's number"
    NUMBER = "another number"
    PLACE = "an institution, a room or an address"
    DATE = "the birth date"


# (kind, encoded value, Specific Character Set)
Source = tuple[Kind, bytes, bytes]

# Shorter words are initials and titles; they count only next to another part.
_MIN_WORD, _MIN_PLACE_WORD = 3, 5
# Of a number that is made of digits only, shorter ones are found everywhere.
_MIN_DIGITS, _MIN_PATIENT_DIGITS, _MIN_NUMBER = 5, 4, 4
# A number of this many digits is no dose, matrix or echo time.
_MIN_SURE_DIGITS = 6
_MAX_PARTS = 6
# A shorter run of bytes is found by chance all the time.
_MIN_ENCODED_BYTES = 3
_MAX_ALTERNATIVES = 4_000
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
_CODECS = tuple(sorted(set(python_encoding.values()) - {"UTF8"} | {"utf-8", "utf-16-le", "euc_jp"}))

# Words of the trade beyond the attribute names of PS3.6: body parts, protocols, makers,
# names of test objects.
_TRADE = """
abd abdo abdomen ankle ant anterior aorta arm art arterial axial ax base body bone brain
breast cardiac carotid cerebral cervical chest clinic colon contrast cor coronal cranial cta
dental diffusion dwi elbow epi fat femur finger flair fmri foot forearm gre hand head heart
hip hospital hosp img infant kidney knee lat left leg liver loc localizer lower lumbar lung
med medical mra mri neck neuro obl ortho patient pediatric pelvis perfusion pet phantom post
prostate pre protocol qa qc radiology recon res resting rib right routine sag sagittal scan
scout shoulder skull spine spect std study survey swi test testing tibia thorax thoracic tof
trauma upper unknown venous vessel view wrist xray anon anonymous anonymized name none
volunteer service quality control university department street road
research clinical imaging image diagnostic diagnostics health healthcare center centre
medicine nuclear national institute general memorial saint college school foundation science
south north east west avenue trial protocol intensive care outpatient inpatient emergency
agfa bruker canon carestream elekta esaote fuji fujifilm hitachi hologic kodak konica mindray
minolta philips picker samsung shimadzu siemens toshiba varian
primary secondary original derived mosaic dicom image neurology cardiology
headneck cspine tspine lspine sspine ctspine tlspine lsspine wholebody upperarm lowerleg upperleg
jaw clavicle coccyx sacrum scapula sternum zygoma iac orbit sella mandible maxilla
""".split()


@dataclass(frozen=True, slots=True)
class Needles:
    """What to search for (PHI).

    Attributes:
        text: Matches any identifier in decoded text; None if there are none.
        encoded: Matches what may be one in bytes that were made lower case and lost
            their NULs: false alarms are possible, misses are not.
        wide: As `encoded`, only identifiers beyond ASCII.
    """

    text: re.Pattern[str] | None
    encoded: re.Pattern[bytes] | None
    wide: re.Pattern[bytes] | None


@lru_cache(maxsize=1)
def trade_words() -> frozenset[str]:
    """Words that identify nobody on their own, lower case."""
    words = set(_TRADE)
    for entry in DicomDictionary.values():
        words.update(word.lower() for word in _WORD.findall(entry[2]))
    return frozenset(words)


# The objects of a series have the same identity; few series come in at a time.
@lru_cache(maxsize=64)
def compiled(
    sought: frozenset[Source], retained: frozenset[Source], makers: frozenset[bytes]
) -> Needles:
    """The needles of an object's identifiers.

    Args:
        sought: What must not be found any more (PHI).
        retained: What is kept on purpose, and so may be found.
        makers: Manufacturer and model of the device.
    """
    common = set(trade_words())
    for maker in makers:
        name = maker.decode("latin-1").strip(" \0").lower()
        common.update(_WORD.findall(name), (" ".join(name.split()),))
    collected = _Collected(frozenset(common))
    for source in sorted(sought, key=lambda source: (source[0].name, *source[1:])):
        collected.add(*source)
    excused = _Collected(frozenset())
    for source in retained:
        excused.add(*source)
    collected.words -= excused.words
    collected.numbers -= excused.numbers
    collected.groups = [group for group in collected.groups if group not in excused.groups]
    return collected.needles()


class _Collected:
    # The identifiers of an object by the way they are searched for, lower case.

    def __init__(self, common: frozenset[str]) -> None:
        self.common = common
        self.words: set[str] = set()  # count on their own
        self.numbers: set[str] = set()
        self.groups: list[tuple[str, ...]] = []  # parts of one name
        self.dates: list[str] = []  # patterns already

    def add(self, kind: Kind, raw: bytes, character_set: bytes) -> None:
        text = charset.decode(raw, character_set, is_name=kind is Kind.NAME).strip(" \0")
        if kind is Kind.NAME:
            for group in re.split(r"[\\=]", text):
                self._add_name(group)
        elif kind is Kind.PLACE:
            self._add_place(text)
        elif kind is Kind.DATE:
            self._add_date(text)
        else:
            shortest = _MIN_PATIENT_DIGITS if kind is Kind.PATIENT else _MIN_DIGITS
            for value in text.split("\\"):
                self._add_number(value.strip().lower(), shortest)

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

    def _add_word(self, word: str) -> None:
        if word not in self.common:
            self.words.update((word, word.casefold()))

    def _add_place(self, text: str) -> None:
        whole = " ".join(text.lower().split())
        if len(whole) >= _MIN_NUMBER and whole not in self.common:
            self.numbers.add(whole)
        for word in _WORD.findall(text):
            if len(word) >= _MIN_PLACE_WORD:
                self._add_word(word.lower())

    def _add_number(self, value: str, shortest: int) -> None:
        if len(value) < _MIN_NUMBER or value in self.common:
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
        """All of it as patterns."""
        ascii_bytes = [re.escape(token.encode()) for token in self._solo() if token.isascii()]
        ascii_bytes += [pattern.encode() for pattern in self.dates]
        ascii_bytes += self._pairs()
        wide = [
            re.escape(spelled)
            for token in self._solo()
            if not token.isascii()
            for spelled in sorted(set(_spellings(token)))
        ]
        texts = self._texts()
        if len(texts) + len(ascii_bytes) + len(wide) > _MAX_ALTERNATIVES:
            raise Refused(Reason.TOO_MANY_ELEMENTS)
        return Needles(
            text=re.compile("|".join(texts), re.IGNORECASE) if texts else None,
            encoded=re.compile(b"|".join(ascii_bytes + wide)) if ascii_bytes + wide else None,
            wide=re.compile(b"|".join(wide)) if wide else None,
        )

    def _solo(self) -> Iterator[str]:
        yield from sorted(self.words | self.numbers)
        for group in self.groups:
            if any(_is_wide(part) for part in group):
                # Written in one: neither part may be long enough alone.
                yield from ("".join(pair) for pair in permutations(group, 2))

    def _pairs(self) -> Iterator[bytes]:
        for group in self.groups:
            if self.words.isdisjoint(group) and all(part.isascii() for part in group):
                for first, second in permutations(group, 2):
                    yield b"%s[^a-z0-9]{0,3}%s" % (first.encode(), second.encode())

    def _texts(self) -> list[str]:
        # Longest first: a whole name or address goes before its words.
        worded = [_joined(group) for group in sorted(set(self.groups))]
        narrow = [word for word in self.words | self.numbers if not _is_wide(word)]
        numbers = [word for word in narrow if any(map(str.isdigit, word))]
        worded += _longest_first(set(narrow) - set(numbers))
        # At the same place the first one wins: a number goes before the word it begins with.
        texts = [_bounded(number) for number in sorted(numbers, key=lambda n: (-len(n), n))]
        if self.dates:
            texts.append(f"{_NO_DIGIT_BEFORE}(?:{'|'.join(self.dates)}){_NO_DIGIT_AFTER}")
        if worded:
            texts.append(f"{_NO_LETTER_BEFORE}(?:{'|'.join(worded)}){_NO_LETTER_AFTER}")
        return texts + _longest_first(word for word in self._solo() if _is_wide(word))


def _is_wide(word: str) -> bool:
    return any(character >= _FIRST_WIDE for character in word)


def _longest_first(words: Iterable[str]) -> list[str]:
    return [re.escape(word) for word in sorted(words, key=lambda word: (-len(word), word))]


def _joined(group: tuple[str, ...]) -> str:
    # Two or more parts of one name side by side are that name, whatever else they mean.
    parts = "|".join(_longest_first(group))
    is_short = min(map(len, group)) < _MIN_WORD
    return rf"(?:{parts})(?:[\W_]{{{int(is_short)},3}}(?:{parts}))+"


def _bounded(number: str) -> str:
    is_sure = not number.isdigit() or len(number) >= _MIN_SURE_DIGITS
    before = _NO_DIGIT_BEFORE if is_sure else _NO_FRACTION_BEFORE
    after = _NO_DIGIT_AFTER if is_sure else _NO_FRACTION_AFTER
    return (
        (before if number[0].isdigit() else "")
        + re.escape(number)
        + (after if number[-1].isdigit() else "")
    )


def _spellings(token: str) -> Iterator[bytes]:
    for codec in _CODECS:
        for cased in (token, token.upper(), token.title()):
            try:
                encoded = cased.encode(codec)
            except UnicodeEncodeError:
                continue
            # Code extensions: only what stands between the escape sequences is sure.
            for run in re.split(rb"\x1b[\x20-\x2f]+[\x30-\x7e]", encoded):
                if len(run) >= _MIN_ENCODED_BYTES:
                    yield run.lower().replace(b"\0", b"")
