"""Plants the patient, the order and the place into the top level of an object.

Every object gets these, so that the node knows from its own header what to look for.
"""

from datetime import timedelta

from benchmarks.deid.identity import Kind, Persona, Token
from benchmarks.deid.spots import Spot

_OLD_AGE_DAYS = 365.25


def plant(spot: Spot, persona: Persona, sop_instance_number: int) -> None:
    """Set the identity.

    Args:
        spot: The data set.
        persona: Who it is (made up).
        sop_instance_number: Instance Number; unique in a run, by which outputs are found
            again whatever they are called.
    """
    name = [Token(persona.family, Kind.NAME), Token(persona.given, Kind.NAME)]
    name += [Token(part, Kind.NAME) for part in (*persona.ideographic, *persona.phonetic) if part]
    spot.put(0x00100010, "PN", persona.name, name)
    spot.put(0x00100020, "LO", persona.mrn, [Token(persona.mrn, Kind.RECORD)])
    spot.put(0x00200013, "IS", str(sop_instance_number))
    birth = f"{persona.birth:%Y%m%d}"
    spot.put(0x00100030, "DA", birth, [Token(birth, Kind.BIRTH)])
    spot.put(0x00100040, "CS", "O")
    age = int((persona.studied - persona.birth).days / _OLD_AGE_DAYS)
    spot.put(0x00101010, "AS", f"{age:03d}Y")
    spot.put(0x00101020, "DS", "1.8375")
    spot.put(0x00101030, "DS", "81.625")
    _names(spot, persona)
    _numbers(spot, persona)
    _contacts(spot, persona)
    _place(spot, persona)
    _times(spot, persona)


def _names(spot: Spot, persona: Persona) -> None:
    spot.put(
        0x00101001,  # Other Patient Names
        "PN",
        [f"{persona.maiden}^{persona.given}", f"{persona.family}^{persona.middle}"],
        [Token(persona.maiden, Kind.NAME), Token(persona.family, Kind.NAME)],
    )
    spot.put(0x00101005, "PN", persona.maiden, [Token(persona.maiden, Kind.NAME)])
    spot.put(0x00101060, "PN", persona.mother, [Token(persona.mother, Kind.NAME)])
    people = (0x00080090, 0x00081048, 0x00081050, 0x00081060, 0x00321032, 0x00081070)
    for index, tag in enumerate(people):
        family, given = persona.physicians[index]
        tokens = [Token(family, Kind.NAME), Token(given, Kind.NAME)]
        spot.put(tag, "PN", persona.physician(index), tokens)


def _numbers(spot: Spot, persona: Persona) -> None:
    numbers = (
        (0x00080050, "SH", persona.accession),
        (0x00101000, "LO", persona.other_id),
        (0x00401001, "SH", persona.placer),  # Requested Procedure ID
        (0x00402016, "LO", persona.placer),
        (0x00402017, "LO", persona.filler),
        (0x00380010, "LO", persona.admission),
        (0x00101050, "LO", persona.insurance),
    )
    for tag, vr, number in numbers:
        spot.put(tag, vr, number, [Token(number, Kind.NUMBER)])


def _contacts(spot: Spot, persona: Persona) -> None:
    street, city = Token(persona.street, Kind.PLACE), Token(persona.city, Kind.PLACE)
    spot.put(0x00101040, "LO", f"{persona.street}, {persona.city}", [street, city])
    spot.put(0x00102154, "SH", persona.phone, [Token(persona.phone, Kind.PHONE)])
    spot.put(0x00102155, "LT", persona.mail, [Token(persona.mail, Kind.MAIL)])


def _place(spot: Spot, persona: Persona) -> None:
    institution = Token(persona.institution.split()[0], Kind.INSTITUTION)
    department = Token(persona.department.split()[0], Kind.INSTITUTION)
    spot.put(0x00080080, "LO", persona.institution, [institution])
    campus = [Token(persona.campus.split(" ", 1)[1], Kind.INSTITUTION)]
    spot.put(0x00080081, "ST", f"{persona.campus}\r\nW3 {institution.text}", campus)
    spot.put(0x00081040, "LO", persona.department, [department])
    spot.put(0x00081010, "SH", persona.station, [Token(persona.station, Kind.DEVICE)])
    spot.put(0x00181000, "LO", persona.serial, [Token(persona.serial, Kind.DEVICE)])
    spot.put(0x00080055, "AE", persona.ae_title, [Token(persona.ae_title, Kind.DEVICE)])


def _times(spot: Spot, persona: Persona) -> None:
    day = persona.studied
    for tag in (0x00080020, 0x00080021, 0x00080022, 0x00080023):
        spot.put(tag, "DA", f"{day:%Y%m%d}")
    clocks = ("113106.125", "113211.500", "113348.250", "113350.750")
    for tag, clock in zip((0x00080030, 0x00080031, 0x00080032, 0x00080033), clocks, strict=True):
        spot.put(tag, "TM", clock)
    spot.put(0x0008002A, "DT", f"{day:%Y%m%d}113348.250000+0100")
    injected = day - timedelta(days=1)
    # An injection before midnight and a scan after it: both move by the same days.
    radiopharmaceutical = spot.item(0x00540016)
    radiopharmaceutical.put(0x00181078, "DT", f"{injected:%Y%m%d}235910.00")
    radiopharmaceutical.put(0x00181072, "TM", "235910.00")
    radiopharmaceutical.put(0x00181074, "DS", "370512345")
