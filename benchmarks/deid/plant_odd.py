"""Plants in encodings that are wrong or rare, and common all the same.

A VR that the dictionary does not have for the tag, UN for a known tag, UTF-8 where
Latin-1 was declared, names spread over values and lines, an ID with other separators.
"""

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import Tag

from benchmarks.deid.identity import Kind, Persona, Token
from benchmarks.deid.phrases import Writer
from benchmarks.deid.spots import Plant, Spot

_CREATOR, _IN_BLOCK = 0x07930010, 0x07931001


def plant(spot: Spot, persona: Persona, writer: Writer, *, is_little_endian: bool) -> None:
    """Plant all of it.

    Args:
        spot: The data set.
        persona: Whose identity (made up).
        writer: Chooses technical words.
        is_little_endian: Of the object's encoding.
    """
    _spread(spot, persona, writer)
    _spelled(spot, persona, writer)
    _other_vrs(spot, persona)
    _creator(spot, persona)
    if is_little_endian:
        _unknown(spot, persona)
        _wrong_character_set(spot, persona, writer)


def _name(persona: Persona) -> tuple[Token, ...]:
    return (Token(persona.family, Kind.NAME), Token(persona.given, Kind.NAME))


def _spread(spot: Spot, persona: Persona, writer: Writer) -> None:
    # Software Versions, which is not listed, and a descriptor of many lines.
    odd = spot.at("name over values and lines")
    (word,) = writer.words(1)
    values = [word, persona.given, persona.family]
    odd.put(0x00181020, "LO", values, _name(persona), (word,))
    lines = f"{word}\r\n\t{persona.family.upper()}\r\n\t{persona.given.upper()}\r\n"
    odd.put(0x00189424, "LT", lines, _name(persona), (word,))


def _spelled(spot: Spot, persona: Persona, writer: Writer) -> None:
    odd = spot.at("other spelling")
    word, other = writer.words(2)
    initial = f"{word} {persona.given[0]}. {persona.family} {other}"
    record = f"{word} pat {persona.mrn[:2]} {persona.mrn[2:6]}-{persona.mrn[6:]} {other}"
    number = persona.mrn.lower()
    if not persona.is_common:
        odd.put(0x00180031, "LO", initial, _name(persona)[:1], (word, other))
    odd.put(0x00400280, "ST", record, (Token(persona.mrn[2:6] + "-", Kind.RECORD),), (word, other))
    token = (Token(number, Kind.RECORD),)
    odd.put(0x00181160, "SH", f"{word[:4]} {number}"[:16], token)


def _other_vrs(spot: Spot, persona: Persona) -> None:
    odd = spot.at("another VR than the dictionary's")
    family, given = persona.physicians[4]
    tokens = (Token(family, Kind.NAME), Token(given, Kind.NAME))
    odd.put(0x00400006, "LO", f"{family} {given}", tokens)
    day = f"{persona.studied:%Y%m%d}"
    odd.put(0x00400002, "LO", day, (Token(day, Kind.DATE),))
    odd.put(0x00104000, "UT", f"{persona.given} {persona.family}", _name(persona))


def _creator(spot: Spot, persona: Persona) -> None:
    # The name of the block itself identifies; what is in it does not.
    name = f"{persona.folded(persona.family)} {persona.folded(persona.given)}"
    text = f"EXPORT {name}"
    spot.dataset[_CREATOR] = DataElement(_CREATOR, "LO", text)
    spot.dataset[_IN_BLOCK] = DataElement(_IN_BLOCK, "DS", "1.25")
    # Without its creator an element is nobody's: the whole block may go.
    ledger, site = spot.ledger, "private creator"
    ledger.add(Plant(spot.path(_CREATOR), site, persona.names(name)))
    ledger.add(Plant(spot.path(_IN_BLOCK, text), site, may_go=True))


def _unknown(spot: Spot, persona: Persona) -> None:
    value = f"{persona.folded(persona.given)} {persona.folded(persona.family)}".encode()
    value += b" " * (len(value) % 2)
    tokens = tuple(Token(persona.folded(token.text), Kind.NAME) for token in _name(persona))
    for tag in (0x00101090, 0x00321070):  # Medical Record Locator, Requested Contrast Agent
        _put_raw(spot.at("UN for a known tag"), tag, "UN", value, tokens)


def _wrong_character_set(spot: Spot, persona: Persona, writer: Writer) -> None:
    if persona.character_set != "ISO_IR 100":
        return
    (word,) = writer.words(1)
    value = f"{word} {persona.family}".encode()
    value += b" " * (len(value) % 2)
    seen = Token(persona.family.encode().decode("latin-1"), Kind.NAME)
    site = spot.at("UTF-8 where Latin-1 is declared")
    _put_raw(site, 0x00181261, "LO", value, (seen,), (word,))


def _put_raw(
    spot: Spot,
    tag: int,
    vr: str,
    value: bytes,
    removes: tuple[Token, ...],
    retains: tuple[str, ...] = (),
) -> None:
    # Raw: pydicom would encode it as it should be.
    spot.dataset[tag] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)
    spot.ledger.add(Plant(spot.path(tag), spot.site, removes, retains))
