"""Made-up patients: long, rare names and numbers that occur nowhere by chance.

Seeded: the same seed gives the same persons. Nobody is meant: names are put together
from syllables, numbers from letters and digits, telephone numbers from 555-01xx.
"""

import random
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from benchmarks.deid import scenarios as s

_ONSETS = (
    "Quor Vex Thrim Zyl Brond Hask Krev Plim Grusk Dwyr Frosk Jorv Skell Wulp Yorb "
    "Blen Cruv Drax Fenk Glim Hruv Knax Lorv Morx Nyst Prusk Rhov Strux Trev Vlim"
).split()
_MIDDLES = (
    "van zan thor quil mond brax fyl drov gwen kast lurt pemb rond sulk "
    "bez cop dur fim gol huz jib kov lam nup"
).split()
_ENDS = (
    "ham wick sted low gard brook thwa zell quist nard polk vist "
    "bern cott dorf fax gust hult kell mire rup sorn torp wyn"
).split()
_LATIN_1 = str.maketrans("aoueAOUE", "äöüéÄÖÜÉ")

# Characters of JIS X 0208, GB 18030 and KS X 1001 that are rare in names and in technical text.
_KANJI = "蘆鷹榊巽鵜鴇鷺鱒鯖鰻葛蕗藺鼎"
_HANZI = "鄢蔺翦濮郗逄亓佴缑阚"
_HANGUL = "곽돈략묵빛숲윷잎쥔첩켤팥흙넋닭몫"
_KANA = "ぬふあうえおやゆよわほへたていすかんなにらせちとしはきくのりれけむつさひこみもねるめろ"

# Specific Character Set (0008,0005) values, in turn over the persons.
CHARACTER_SETS = (
    "", "ISO_IR 100", "ISO_IR 192", "\\ISO 2022 IR 87", "GB18030", "\\ISO 2022 IR 149",
)  # fmt: skip


class Kind(StrEnum):
    """What an identifier is; some kinds may stay under some options."""

    NAME = "name"
    PLACE = "place"
    DATE = "date"
    BIRTH = "birth date"
    PHONE = "phone"
    MAIL = "mail"
    RECORD = "medical record"
    NUMBER = "number"
    DEVICE = "device"
    INSTITUTION = "institution"
    UID = "uid"


# HIPAA Safe Harbor, 45 CFR 164.514(b)(2)(i): the letter of each kind.
CATEGORIES = {
    Kind.NAME: "HIPAA-A",
    Kind.PLACE: "HIPAA-B",
    Kind.INSTITUTION: "HIPAA-B",
    Kind.DATE: "HIPAA-C",
    Kind.BIRTH: "HIPAA-C",
    Kind.PHONE: "HIPAA-D",
    Kind.MAIL: "HIPAA-F",
    Kind.RECORD: "HIPAA-H",
    Kind.DEVICE: "HIPAA-M",
    Kind.NUMBER: "HIPAA-R",
    Kind.UID: "HIPAA-R",
}

_FREED_BY = {
    s.RETAIN_DEVICE: Kind.DEVICE,
    s.RETAIN_INSTITUTION: Kind.INSTITUTION,
    s.RETAIN_UIDS: Kind.UID,
    s.FULL_DATES: Kind.DATE,
}


def freed(options: Collection[str]) -> frozenset[Kind]:
    """The kinds of identifiers that may stay under these options."""
    return frozenset(kind for option, kind in _FREED_BY.items() if option in options)


@dataclass(frozen=True, slots=True)
class Token:
    """One identifier as it may stand in a text."""

    text: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Persona:
    """One patient with everybody and everything around them.

    Attributes:
        character_set: Specific Character Set (0008,0005) of the patient's objects.
        family: Family name; `given`, `middle`, `maiden`, `mother` alike.
        ideographic: Family and given name of the ideographic group, "" for none.
        phonetic: The same of the phonetic group.
        physicians: Family and given names of six physicians and technicians.
        is_common: The patient's names are words of the trade ("Field^Hand"): they
            identify only together, and descriptors with one of them must survive.
    """

    character_set: str
    family: str
    given: str
    middle: str
    maiden: str
    mother: str
    ideographic: tuple[str, str]
    phonetic: tuple[str, str]
    mrn: str
    other_id: str
    accession: str
    placer: str
    filler: str
    admission: str
    insurance: str
    birth: date
    studied: date
    phone: str
    mail: str
    street: str
    city: str
    institution: str
    campus: str
    department: str
    station: str
    serial: str
    ae_title: str
    physicians: tuple[tuple[str, str], ...]
    is_common: bool

    @property
    def name(self) -> str:
        """The name as in a PN element, with all component groups."""
        groups = [f"{self.family}^{self.given}^{self.middle}".rstrip("^")]
        groups += ["^".join(self.ideographic), "^".join(self.phonetic)]
        return "=".join(groups).rstrip("^=")

    def spellings(self) -> tuple[str, ...]:
        """The name as people and machines write it in a text."""
        family, given = self.family, self.given
        return (
            f"{family}^{given}",
            f"{given} {family}",
            f"{family.upper()}, {given.upper()}",
            f"{family.lower()} {given.lower()}",
            f"{family},{given}",
            f"{given}_{family}".lower(),
        )

    def physician(self, index: int) -> str:
        """One of the other persons, as in a PN element."""
        family, given = self.physicians[index % len(self.physicians)]
        return f"{family}^{given}^^Dr"

    def folded(self, text: str) -> str:
        """The text without accents, as systems without the character write it."""
        return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()

    def names(self, text: str) -> tuple[Token, ...]:
        """What of the name must go from a text that other words of the trade are in.

        Args:
            text: The name as it is spelled there.
        """
        if self.is_common:
            return (Token(text, Kind.NAME),)
        parts = (self.folded(self.family), self.folded(self.given))
        return tuple(Token(part, Kind.NAME) for part in parts if part in text)

    def tokens(self) -> Iterator[Token]:
        """Every identifier that may not be found in an output, as it may be spelled."""
        if not self.is_common:
            for name in (self.family, self.given, self.middle):
                yield Token(name, Kind.NAME)
        names = [self.maiden, self.mother, *self.ideographic, *self.phonetic]
        names += [family for family, _ in self.physicians]
        for name in filter(None, names):
            yield Token(name, Kind.NAME)
        yield Token(self.mrn, Kind.RECORD)
        for number in (self.other_id, self.accession, self.placer, self.filler):
            yield Token(number, Kind.NUMBER)
        for number in (self.admission, self.insurance):
            yield Token(number, Kind.NUMBER)
        for text in date_spellings(self.birth):
            yield Token(text, Kind.BIRTH)
        for text in date_spellings(self.studied):
            yield Token(text, Kind.DATE)
        yield Token(self.phone, Kind.PHONE)
        yield Token(self.mail, Kind.MAIL)
        yield Token(self.street.split(" ", 1)[1], Kind.PLACE)
        yield Token(self.city, Kind.PLACE)
        for text in (self.institution, self.department):
            yield Token(text.split()[0], Kind.INSTITUTION)
        yield Token(self.campus.split(" ", 1)[1], Kind.INSTITUTION)
        for text in (self.station, self.serial, self.ae_title):
            yield Token(text, Kind.DEVICE)

    def uid(self, number: int) -> str:
        """A UID as scanners make them: serial number and date inside."""
        root = f"1.3.12.2.1107.5.2.43.{self.serial}"
        return f"{root}.{self.studied:%Y%m%d}1131{number:012d}"


def date_spellings(day: date) -> tuple[str, ...]:
    """A date as in DA, and as people write it."""
    return (
        f"{day:%Y%m%d}",
        f"{day:%Y-%m-%d}",
        f"{day:%d.%m.%Y}",
        f"{day:%m/%d/%Y}",
        f"{day.day} {_MONTHS[day.month - 1][:3]} {day.year}",
        f"{_MONTHS[day.month - 1]} {day.day}, {day.year}",
    )


# Not strftime's: that one speaks the language of the machine.
_MONTHS = (
    "January February March April May June July August September October November December"
).split()


class Population:
    """Makes persons, one after the other; no two of them share an identifier."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._used: set[str] = set()
        self._count = 0

    def next(self, character_set: str | None = None) -> Persona:
        """The next person.

        Args:
            character_set: What their names must be written in; None takes one in turn.
        """
        rng = self._rng
        number = self._count
        self._count += 1
        if character_set is None:
            character_set = CHARACTER_SETS[number % len(CHARACTER_SETS)]
        common = _COMMON_NAMES.get(number)
        family, given, middle = common or (self._name(), self._name(), self._name())
        if character_set == "ISO_IR 100" and common is None:
            family, given = family.translate(_LATIN_1), given.translate(_LATIN_1)
        ideographic, phonetic = self._groups(character_set)
        letters = self._name()
        return Persona(
            character_set=character_set,
            family=family,
            given=given,
            middle=middle,
            maiden=self._name(),
            mother=self._name(),
            ideographic=ideographic,
            phonetic=phonetic,
            mrn=self._number("MQ", 8),
            other_id=self._number("OX", 8),
            accession=self._number("AZ", 9),
            placer=self._number("PV", 8),
            filler=self._number("FW", 8),
            admission=self._number("VJ", 8),
            insurance=self._number("KX", 8),
            # One in five is over 89, an age that identifies.
            birth=date(1926 if number % 5 == 0 else 1957, 1, 1)
            + timedelta(days=rng.randrange(700)),
            studied=date(2019, 1, 1) + timedelta(days=rng.randrange(900)),
            phone=f"+1-{rng.randrange(200, 999)}-555-01{rng.randrange(10, 99)}",
            mail=f"{letters.lower()}@{self._name().lower()}.example",
            street=f"{rng.randrange(1000, 9999)} {self._name()} Lane",
            city=self._name(),
            institution=f"{self._name()} Memorial Hospital",
            campus=f"{rng.randrange(1000, 9999)} {self._name()} Parkway",
            department=f"{self._name()} Department",
            station=f"{self._name()[:8].upper()}{rng.randrange(10, 99)}",
            serial=str(rng.randrange(3_000_000, 9_999_999)),
            ae_title=f"{self._name()[:8].upper()}AE{rng.randrange(10, 99)}",
            physicians=tuple((self._name(), self._name()) for _ in range(6)),
            is_common=common is not None,
        )

    def _name(self) -> str:
        while True:
            name = "".join(self._rng.choice(part) for part in (_ONSETS, _MIDDLES, _ENDS))
            if name not in self._used:
                self._used.add(name)
                return name

    def _number(self, prefix: str, digits: int) -> str:
        return prefix + "".join(self._rng.choices("123456789", k=digits))

    def _groups(self, character_set: str) -> tuple[tuple[str, str], tuple[str, str]]:
        def pick(characters: str, count: int) -> list[str]:
            return self._rng.sample(characters, count)

        if "IR 87" in character_set or "192" in character_set:
            characters, sounds = pick(_KANJI, 4), pick(_KANA, 8)
            return (
                ("".join(characters[:2]), "".join(characters[2:])),
                ("".join(sounds[:4]), "".join(sounds[4:])),
            )
        if "IR 149" in character_set:
            characters = pick(_HANGUL, 8)
            return (
                ("".join(characters[:2]), "".join(characters[2:4])),
                ("".join(characters[4:6]), "".join(characters[6:])),
            )
        if character_set == "GB18030":
            characters = pick(_HANZI, 4)
            return ("".join(characters[:2]), "".join(characters[2:])), ("", "")
        return ("", ""), ("", "")


# Persons whose names are words of the trade, or short: found everywhere, identifying only
# together. By the order in which the persons are made.
_COMMON_NAMES = {3: ("Field", "Hand", ""), 12: ("Wu", "Li", ""), 18: ("Head", "Young", "")}
