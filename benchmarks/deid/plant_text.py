"""Plants into texts the table does not list, and into items at every depth.

Four chains of sequences, as the encodings differ: explicit and undefined lengths, and
UN with either, which is how sequences arrive from systems that do not know their VR.
"""

import random
from collections.abc import Callable, Iterable, Iterator

from pydicom._dicom_dict import DicomDictionary

from benchmarks.deid.identity import Kind, Persona, Token, date_spellings
from benchmarks.deid.phrases import Writer
from benchmarks.deid.plant_listed import MAX_CHARACTERS, ListedPlanter
from benchmarks.deid.spots import Spot
from benchmarks.deid.standard import Row, Standard

# Chains of sequences that Table E.1-1 does not list: items of them stay.
_CHAINS = (
    (0x00081115, 0x00081199, 0x0040A170, 0x00080121),
    (0x00081200, 0x00081115, 0x0008114A, 0x0040A170),
    (0x00540300, 0x00082218, 0x00082220, 0x0040A170),
    (0x00189346, 0x00082228, 0x00082230, 0x00080121),
)
_NAMES = ("nested", "nested undefined length", "nested UN", "nested UN undefined length")

# Text with a meaning of its own for readers: codes, labels of what was done to the object.
NOT_FREE = frozenset(
    {0x00080100, 0x00080102, 0x00080103, 0x0008010D, 0x00080119, 0x00080120, 0x00120063, 0x00420012}
)
# Attributes that identify by what they are: nothing but the identifier is in them, and
# nothing of them has to stay.
IDENTIFIERS: dict[int, Callable[[Persona], Token]] = {
    # Birth and death in another calendar.
    0x00100033: lambda p: Token(date_spellings(p.birth)[1], Kind.BIRTH),
    0x00100034: lambda p: Token(date_spellings(p.studied)[1], Kind.DATE),
    0x00102295: lambda p: Token(p.other_id, Kind.NUMBER),  # Breed Registration Number
    0x00181003: lambda p: Token(p.serial, Kind.DEVICE),  # Device ID
    0x00181803: lambda p: Token(p.station, Kind.DEVICE),  # NTP Source Address
    0x0040E001: lambda p: Token(p.placer, Kind.NUMBER),  # HL7 Instance Identifier
    0x0074100C: lambda p: Token(p.physicians[2][0], Kind.NAME),  # Contact Display Name
    0x21000160: lambda p: Token(p.station, Kind.DEVICE),  # Owner ID
    0x4010101A: lambda p: Token(p.admission, Kind.NUMBER),  # Boarding Pass ID
}
_NOT_FREE_GROUPS = frozenset({0x0000, 0x0002, 0x0004, 0x0072, 0x1000, 0x1010, 0x5000, 0x6000})


def unlisted_texts(standard: Standard) -> list[tuple[int, str]]:
    """Text attributes of PS3.6 that Table E.1-1 does not list: (tag number, VR)."""
    return [
        (tag, entry[0])
        for tag, entry in sorted(DicomDictionary.items())
        if entry[0] in MAX_CHARACTERS
        and not entry[3]  # retired
        and standard.row(tag) is None
        and tag not in NOT_FREE
        and tag >> 16 not in _NOT_FREE_GROUPS
    ]


def plant_unlisted(
    spot: Spot, persona: Persona, texts: Iterable[tuple[int, str]], writer: Writer
) -> None:
    """Set texts of which nobody expects that they name a patient."""
    for tag, vr in texts:
        if tag in IDENTIFIERS:
            token = IDENTIFIERS[tag](persona)
            spot.put(tag, vr, token.text, (token,))
        else:
            spot.put_phrase(tag, vr, writer.phrase(MAX_CHARACTERS[vr]))


def plant_common_words(spot: Spot, persona: Persona) -> None:
    """Set descriptors that hold one part of a name which is also a word of the trade.

    The words have to stay, the full name has to go.
    """
    if not persona.is_common:
        return
    family, given = persona.family, persona.given
    retained = (family, "T1", "SAG")
    spot.put(0x0008103E, "LO", f"T1 SAG {family} COIL", retains=retained)
    both = (Token(family, Kind.NAME), Token(given, Kind.NAME))
    spot.put(0x00181030, "LO", f"ep2d {given} {family} DWI", both, ("ep2d", "DWI"))
    spot.put(0x00204000, "LT", f"{family.upper()}, {given.upper()}: FLAIR B31F", both, ("B31F",))


class NestedPlanter:
    """Plants items into items of one object.

    Args:
        persona: Whose identity (made up).
        writer: Writes the texts.
        listed: Fills listed attributes.
        rng: Chooses.
    """

    def __init__(
        self, persona: Persona, writer: Writer, listed: ListedPlanter, rng: random.Random
    ) -> None:
        self._persona = persona
        self._writer = writer
        self._listed = listed
        self._rng = rng

    def plant(self, spot: Spot, rows: Iterator[Row], depth: int, *, seals: bool) -> None:
        """Plant every chain down to a depth.

        Args:
            spot: The data set.
            rows: Listed attributes to use up, a few for each item.
            depth: Items in items, 1 to 4.
            seals: Whether UN may be used (not in Big Endian).
        """
        for chain, name in zip(_CHAINS, _NAMES, strict=True):
            if "UN" in name and not seals:
                continue
            is_undefined = name == "nested undefined length"
            place = spot
            for level, tag in enumerate(chain[:depth], 1):
                site = f"{name} depth {level}"
                place = place.at(site).item(tag, is_undefined=is_undefined)
                self._fill(place, rows)
            if "UN" in name:
                spot.seal(chain[0], is_undefined="undefined" in name)

    def _fill(self, item: Spot, rows: Iterator[Row]) -> None:
        persona = self._persona
        for _ in range(3):
            self._listed.plant(item, next(rows))
        self._listed.code(item)
        name = [Token(persona.family, Kind.NAME), Token(persona.given, Kind.NAME)]
        item.put(0x00100010, "PN", persona.name, name)
        item.put(0x00100020, "LO", persona.mrn, [Token(persona.mrn, Kind.RECORD)])
        item.put(0x00080020, "DA", f"{persona.studied:%Y%m%d}")
        item.put(0x0040A13A, "DT", f"{persona.studied:%Y%m%d}113350.5")
        item.put_phrase(0x0008103E, "LO", self._writer.phrase(64))
        item.put_phrase(0x00181250, "SH", self._writer.phrase(16))
        item.put(0x00200012, "IS", str(self._rng.randrange(1000, 9999)))


def plant_foreign_charset(spot: Spot, persona: Persona) -> None:
    """An item with a character set of its own, in which the name is written."""
    item = spot.at("nested charset").item(0x00400340)  # Performed Series Sequence
    item.dataset.SpecificCharacterSet = "ISO_IR 144"
    item.put(0x00081050, "PN", f"Щукжин^{persona.given}", [Token("Щукжин", Kind.NAME)])
    tokens = [Token(persona.mrn, Kind.RECORD)]
    item.put(0x00180024, "SH", f"EPI {persona.mrn}", tokens, ("EPI",))
