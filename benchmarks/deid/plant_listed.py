"""Plants into the attributes of Table E.1-1: what each of them holds in practice.

Telephone numbers go into telephone numbers, serial numbers into device attributes,
descriptions with a name in them into descriptors. All VRs of the table are covered.
"""

import random
from collections.abc import Callable
from datetime import timedelta

from benchmarks.deid import scenarios as s
from benchmarks.deid.identity import Kind, Persona, Token
from benchmarks.deid.phrases import Phrase, Writer
from benchmarks.deid.spots import Spot
from benchmarks.deid.standard import Row

# Characters of what is planted; less than ST, LT and UT hold.
MAX_CHARACTERS = {"SH": 16, "LO": 64, "ST": 200, "LT": 200, "UC": 200, "UT": 200}

_PATIENT_NAMES = {0x00101005: "maiden", 0x00101060: "mother"}
_REMARKS = frozenset({"LT", "ST", "UT"})
_PLACES = ("location", "residence", "region", "department", "requesting service")
_BIRTH_DATE = 0x00100030
_TIMEZONE = 0x00080201
_HUMAN_PERFORMER_NAME = 0x00404037
_CODE_VALUE, _CODE_SCHEME, _CODE_MEANING = 0x00080100, 0x00080102, 0x00080104
# Days: all dates of an object are from these before its study, and none is the study's
# own, which may not be found where a device's dates are kept.
_NOT_BEFORE_SCAN = 20


class ListedPlanter:
    """Fills attributes of Table E.1-1 for one object.

    Args:
        persona: Whose identity (made up).
        writer: Writes the descriptions.
        rng: Chooses.
        new_uid: Gives a UID that embeds serial number and date.
    """

    def __init__(
        self, persona: Persona, writer: Writer, rng: random.Random, new_uid: Callable[[], str]
    ) -> None:
        self._persona = persona
        self._writer = writer
        self._rng = rng
        self._new_uid = new_uid
        self._count = 0

    def plant(self, spot: Spot, row: Row) -> None:
        """Plant into the row's attribute."""
        self._count += 1
        tag, vr = row.tag, row.vr
        if tag == _TIMEZONE:
            spot.put(tag, vr, "+0530", retains=("0530",))
        elif vr == "SQ":
            self._sequence(spot, row)
        elif vr == "PN":
            self._name(spot, tag)
        elif vr == "UI":
            # A device's own UID names no study.
            is_device = row.options.get(s.RETAIN_DEVICE) == "K"
            own = f"1.3.12.2.1107.5.2.43.{self._persona.serial}.{self._rng.randrange(1000, 9999)}"
            spot.put(tag, vr, own if is_device else self._new_uid())
        elif vr in ("DA", "DT", "TM"):
            self._time(spot, tag, vr)
        elif vr in MAX_CHARACTERS:
            spot.put_phrase(tag, vr, self.text(row, MAX_CHARACTERS[vr]))
        else:
            self._other(spot, row)

    def text(self, row: Row, max_characters: int) -> Phrase:
        """What a text attribute holds."""
        persona = self._persona
        name = row.name.lower()
        (word,) = self._writer.words(1)
        if row.options.get(s.RETAIN_DEVICE) == "K":
            token = Token(persona.serial, Kind.DEVICE)
            if s.CLEAN_DESCRIPTORS in row.options:
                return self._beside(word, token, max_characters)
            return Phrase(f"SN{token.text}"[:max_characters], (token,), ())
        if row.options.get(s.RETAIN_INSTITUTION) == "K" or "institution" in name:
            token = Token(persona.institution.split()[0], Kind.INSTITUTION)
            return Phrase(token.text[:max_characters], (token,), ())
        if row.options.get(s.RETAIN_CHARACTERISTICS) == "K":
            return Phrase(word, (), (word,))
        is_place = any(place in name for place in _PLACES) or "address" in name
        is_contact = is_place or "telephone" in name or "telecom" in name
        if s.CLEAN_DESCRIPTORS in row.options and not is_contact:
            return self._writer.phrase(max_characters)
        text, tokens = self._identifiers(row)
        return Phrase(text[:max_characters], tokens, ())

    def _identifiers(self, row: Row) -> tuple[str, tuple[Token, ...]]:
        # Who and where, not what: no technical word is in such attributes.
        persona = self._persona
        name = row.name.lower()
        city = Token(persona.city, Kind.PLACE)
        if any(word in name for word in _PLACES):
            # Wards and rooms are named after people.
            return f"{persona.city} W3", (city,)
        if "telephone" in name or "telecom" in name:
            return persona.phone, (Token(persona.phone, Kind.PHONE),)
        if "address" in name:
            return f"{persona.street}, {persona.city}", (Token(persona.street, Kind.PLACE), city)
        if " id" in name or "number" in name:
            numbers = (persona.accession, persona.placer, persona.filler, persona.admission)
            number = numbers[self._count % len(numbers)]
            return number, (Token(number, Kind.NUMBER),)
        if row.vr in _REMARKS:
            names = (Token(persona.family, Kind.NAME), Token(persona.given, Kind.NAME))
            return f"{persona.given} {persona.family}", names
        return f"{persona.city} Trust", (city,)

    def code(self, spot: Spot) -> None:
        """A coded entry whose meaning somebody typed."""
        spot.put(_CODE_VALUE, "SH", f"Q{self._rng.randrange(1000, 9999)}")
        spot.put(_CODE_SCHEME, "SH", "99PLANTED")
        spot.put_phrase(_CODE_MEANING, "LO", self._writer.phrase(MAX_CHARACTERS["LO"]))

    @staticmethod
    def _beside(word: str, token: Token, max_characters: int) -> Phrase:
        text = f"{word} {token.text}"
        if len(text) > max_characters:
            return Phrase(token.text[:max_characters], (token,), ())
        return Phrase(text, (token,), (word,))

    def _name(self, spot: Spot, tag: int) -> None:
        persona = self._persona
        attribute = _PATIENT_NAMES.get(tag)
        if attribute is not None:
            family = getattr(persona, attribute)
            spot.put(tag, "PN", f"{family}^{persona.given}", [Token(family, Kind.NAME)])
            return
        index = self._count
        tokens = [Token(part, Kind.NAME) for part in persona.physicians[index % 6]]
        spot.put(tag, "PN", persona.physician(index), tokens)

    def _time(self, spot: Spot, tag: int, vr: str) -> None:
        persona, rng = self._persona, self._rng
        if tag == _BIRTH_DATE:
            text = f"{persona.birth:%Y%m%d}"
            spot.put(tag, vr, text, [Token(text, Kind.BIRTH)])
            return
        day = persona.studied - timedelta(days=rng.randrange(1, _NOT_BEFORE_SCAN))
        clock = f"11{rng.randrange(10, 59)}{rng.randrange(10, 59)}.{rng.randrange(100, 999)}"
        value = {"DA": f"{day:%Y%m%d}", "TM": clock, "DT": f"{day:%Y%m%d}{clock}"}[vr]
        spot.put(tag, vr, value)

    def _sequence(self, spot: Spot, row: Row) -> None:
        item = spot.item(row.tag, is_undefined=bool(self._count % 2))
        persona = self._persona
        if "Code Sequence" in row.name:
            self.code(item)
        elif "Image Sequence" in row.name or "Study Sequence" in row.name:
            item.put(0x00081150, "UI", "1.2.840.10008.5.1.4.1.1.4")
            item.put(0x00081155, "UI", self._new_uid())
        else:
            # People and orders: a code, a name, a number, a place.
            self.code(item)
            self._name(item, _HUMAN_PERFORMER_NAME)
            item.put(0x00100020, "LO", persona.mrn, [Token(persona.mrn, Kind.RECORD)])
            place = Token(persona.institution.split()[0], Kind.INSTITUTION)
            item.put(0x00080080, "LO", persona.institution, [place])

    def _other(self, spot: Spot, row: Row) -> None:
        persona, tag, vr = self._persona, row.tag, row.vr
        if vr == "AE":
            spot.put(tag, vr, persona.ae_title, [Token(persona.ae_title, Kind.DEVICE)])
        elif vr == "CS":
            is_device = row.options.get(s.RETAIN_DEVICE) == "K"
            is_own = row.options.get(s.RETAIN_CHARACTERISTICS) != "K"
            token = (
                Token(persona.serial, Kind.DEVICE) if is_device else Token(persona.mrn, Kind.RECORD)
            )
            spot.put(tag, vr, token.text if is_own else "OTHER", [token] if is_own else [])
        elif vr == "AS":
            age = (persona.studied - persona.birth).days // 365
            spot.put(tag, vr, f"{age:03d}Y")
        elif vr in ("DS", "IS"):
            spot.put(tag, vr, str(self._rng.randrange(10_000, 99_999)))
        elif vr == "US":
            spot.put(tag, vr, self._rng.randrange(10_000, 60_000))
        elif vr == "UR":
            url = f"https://pacs.example/{persona.mrn}"
            spot.put(tag, vr, url, [Token(persona.mrn, Kind.RECORD)])
        else:
            text = f"{persona.folded(persona.family)} {persona.mrn}"
            spot.put(
                tag,
                "OB" if vr != "UN" else vr,
                text.encode() + b"\0" * (len(text) % 2),
                [Token(persona.mrn, Kind.RECORD)],
            )
