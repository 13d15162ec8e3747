"""Who an object is about: the identifiers it carries, to be searched for afterwards.

Collected from the original while it is rewritten: every person name, the patient's
and the order's numbers, institutions, addresses, serial numbers, the birth date and
the UIDs that were replaced. What a rule keeps on purpose is no longer an identifier.

A name that is also a word of the trade ("Head", "Test") identifies nobody on its
own and would ruin every descriptor: such words count only next to another part of
the same name.
"""

import re
from functools import lru_cache

from pydicom._dicom_dict import DicomDictionary

from dicomanon_node.deid import charset

# Elements, besides all of VR PN, whose values identify (numbers, places, devices).
NUMBER_TAGS = frozenset(
    {
        0x00080050,  # Accession Number
        0x00100020,  # Patient ID
        0x00101000,  # Other Patient IDs
        0x00101050,  # Insurance Plan Identification
        0x00101090,  # Medical Record Locator
        0x00102154,  # Patient's Telephone Numbers
        0x00181000,  # Device Serial Number
        0x0018700A,  # Detector ID
        0x00200010,  # Study ID
        0x00321033,  # Requesting Service
        0x00380010,  # Admission ID
        0x00380060,  # Service Episode ID
        0x00400009,  # Scheduled Procedure Step ID
        0x00400253,  # Performed Procedure Step ID
        0x00401001,  # Requested Procedure ID
        0x00402006,  # Placer Order Number / Procedure
        0x00402007,  # Filler Order Number / Procedure
        0x00402010,  # Order Callback Phone Number
        0x00402016,  # Placer Order Number / Imaging Service Request
        0x00402017,  # Filler Order Number / Imaging Service Request
        0x00401104,  # Person's Telephone Numbers
        0x00080094,  # Referring Physician's Telephone Numbers
        0x00120040,  # Clinical Trial Subject ID
        0x00120042,  # Clinical Trial Subject Reading ID
    }
)
PLACE_TAGS = frozenset(
    {
        0x00080080,  # Institution Name
        0x00080081,  # Institution Address
        0x00080092,  # Referring Physician's Address
        0x00081010,  # Station Name
        0x00081040,  # Institutional Department Name
        0x00101040,  # Patient's Address
        0x00380300,  # Current Patient Location
        0x00380400,  # Patient's Institution Residence
        0x00401102,  # Person's Address
    }
)
_BIRTH_DATE = 0x00100030
SOURCE_TAGS = NUMBER_TAGS | PLACE_TAGS | {_BIRTH_DATE}

# Shorter parts are initials and titles; they match everything.
_MIN_WORD, _MIN_NUMBER = 3, 4
_MIN_WIDE_WORD = 2  # ideographic and phonetic names are shorter

_WORD = re.compile(r"[^\W\d_]+", re.UNICODE)
_NUMBER = re.compile(r"[\w./-]+", re.UNICODE)

# Words of the trade beyond the attribute names of PS3.6: body parts, protocols, test names.
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
""".split()


@lru_cache(maxsize=1)
def trade_words() -> frozenset[str]:
    """Words that identify nobody on their own, lower case."""
    words = set(_TRADE)
    for entry in DicomDictionary.values():
        words.update(word.lower() for word in _WORD.findall(entry[2]))
    return frozenset(words)


class Identity:
    """The identifiers of one object (PHI). Lives as long as the object is rewritten.

    Attributes:
        words: Name parts that count on their own, lower case.
        common: Name parts that count only next to another part, lower case.
        numbers: Identifiers compared as a whole, lower case.
        uids: Original UIDs that were replaced, encoded.
    """

    __slots__ = ("_cleaner", "common", "numbers", "uids", "words")

    def __init__(self) -> None:
        self.words: set[str] = set()
        self.common: set[str] = set()
        self.numbers: set[str] = set()
        self.uids: set[bytes] = set()
        self._cleaner: re.Pattern[str] | None = None

    def add(self, tag: int, vr: str, raw: bytes, character_set: bytes) -> None:
        """Remember the identifiers of a value that is removed or replaced."""
        text = charset.decode(raw, character_set).strip(" \0")
        if not text:
            return
        self._cleaner = None
        if vr == "PN":
            self._add_words(text)
        elif tag in PLACE_TAGS:
            self._add_place(text)
        elif tag == _BIRTH_DATE:
            self._add_date(text)
        else:
            for value in text.split("\\"):
                self._add_number(value.strip())

    def add_uid(self, original: bytes, new: bytes) -> None:
        """Remember a UID that was replaced."""
        original = original.rstrip(b"\0 ")
        if original and original != new:
            self.uids.add(original)

    def _add_words(self, text: str) -> None:
        for word in _WORD.findall(text):
            folded = word.casefold()
            if len(folded) < (_MIN_WORD if folded.isascii() else _MIN_WIDE_WORD):
                continue
            (self.common if folded in trade_words() else self.words).add(folded)
        # Test subjects are often named by a number.
        for number in _NUMBER.findall(text.replace("^", " ").replace("=", " ")):
            if any(c.isdigit() for c in number):
                self._add_number(number)

    def _add_place(self, text: str) -> None:
        whole = " ".join(text.casefold().split())
        if len(whole) >= _MIN_NUMBER and whole not in trade_words():
            self.numbers.add(whole)
        for word in _WORD.findall(text):
            folded = word.casefold()
            if len(folded) > _MIN_NUMBER and folded not in trade_words():
                self.words.add(folded)

    def _add_number(self, value: str) -> None:
        folded = value.casefold()
        if len(folded) >= _MIN_NUMBER and folded not in trade_words():
            self.numbers.add(folded)

    def _add_date(self, text: str) -> None:
        if len(text) == 8 and text.isdigit():  # noqa: PLR2004  (YYYYMMDD)
            y, m, d = text[:4], text[4:6], text[6:]
            self.numbers.add(text)
            for a, b, c in ((y, m, d), (d, m, y), (m, d, y)):
                self.numbers.update(f"{a}{sep}{b}{sep}{c}" for sep in "-./ ")

    @property
    def tokens(self) -> frozenset[str]:
        """All that is searched for on its own."""
        return frozenset(self.words | self.numbers)

    def cleaner(self) -> re.Pattern[str] | None:
        """Matches any identifier as a whole word; None if there are none."""
        if self._cleaner is None:
            self._cleaner = _compiled(self.tokens, frozenset(self.common))
        return self._cleaner


@lru_cache(maxsize=512)
def _compiled(tokens: frozenset[str], common: frozenset[str]) -> re.Pattern[str] | None:
    # Longest first, so that a whole address goes before its words.
    alternatives = [re.escape(token) for token in sorted(tokens, key=lambda t: (-len(t), t))]
    if len(common) > 1:
        # Two parts of a name side by side are that name, whatever else they mean.
        joined = "|".join(re.escape(word) for word in sorted(common))
        alternatives.append(rf"(?:{joined})(?:[\W_]+(?:{joined}))+")
    if not alternatives:
        return None
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(alternatives)})(?![^\W_])", re.IGNORECASE)
