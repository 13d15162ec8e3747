"""Who an object is about: the identifiers it carries, to be searched for afterwards.

Collected from the original while it is rewritten: every person name, the patient's
and the order's numbers, institutions, addresses, serial numbers, the birth date and
the UIDs that were replaced. What a rule keeps on purpose is no longer an identifier.
What these become when they are searched for is in `needles`.
"""

from collections.abc import Iterable
from enum import Enum

from dicomanon_node.deid import needles
from dicomanon_node.deid.kinds import Kind, Source
from dicomanon_node.deid.needles import Needles
from dicomanon_node.deid.pseudonyms import is_standard_uid
from dicomanon_node.errors import Reason, Refused

# Elements, besides all of VR PN, whose values identify (numbers, places, devices).
_PATIENT_TAGS = frozenset(
    {
        0x00100020,  # Patient ID
        0x00101000,  # Other Patient IDs
        0x00120040,  # Clinical Trial Subject ID
        0x00120042,  # Clinical Trial Subject Reading ID
    }
)
_NUMBER_TAGS = frozenset(
    {
        0x00080050,  # Accession Number
        0x00080094,  # Referring Physician's Telephone Numbers
        0x00101050,  # Insurance Plan Identification
        0x00101090,  # Medical Record Locator
        0x00102154,  # Patient's Telephone Numbers
        0x00102155,  # Patient's Telecom Information
        0x00120082,  # Clinical Trial Protocol Ethics Committee Approval Number
        0x00160051,  # Lens Serial Number
        0x00181000,  # Device Serial Number
        0x00181003,  # Device ID
        0x00181004,  # Plate ID
        0x00181005,  # Generator ID
        0x00181007,  # Cassette ID
        0x00181008,  # Gantry ID
        0x00181009,  # Unique Device Identifier
        0x00181010,  # Secondary Capture Device ID
        0x00181011,  # Hardcopy Creation Device ID
        0x0018700A,  # Detector ID
        0x00189367,  # X-Ray Source ID
        0x00189371,  # X-Ray Detector ID
        0x00200010,  # Study ID
        0x00380010,  # Admission ID
        0x00380060,  # Service Episode ID
        0x00400009,  # Scheduled Procedure Step ID
        0x00400253,  # Performed Procedure Step ID
        0x00400512,  # Container Identifier
        0x0040050A,  # Specimen Accession Number
        0x00400551,  # Specimen Identifier
        0x004006FA,  # Slide Identifier
        0x00401001,  # Requested Procedure ID
        0x00401006,  # Placer Order Number / Procedure, retired
        0x00401007,  # Filler Order Number / Procedure, retired
        0x00401103,  # Person's Telephone Numbers
        0x00401104,  # Person's Telecom Information
        0x00402006,  # Placer Order Number / Imaging Service Request, retired
        0x00402007,  # Filler Order Number / Imaging Service Request, retired
        0x00402010,  # Order Callback Phone Number
        0x00402011,  # Order Callback Telecom Information
        0x00402016,  # Placer Order Number / Imaging Service Request
        0x00402017,  # Filler Order Number / Imaging Service Request
        0x0040A354,  # Telephone Number (Trial)
        0x0050001B,  # Container Component ID
        0x30080105,  # Source Serial Number
        0x3010001B,  # Device Alternate Identifier
        0x30100043,  # Manufacturer's Device Identifier
    }
)
# Names of devices and Application Entities: only the whole of it names one.
_STATION_TAGS = frozenset(
    {
        0x00080054,  # Retrieve AE Title
        0x00080055,  # Station AE Title
        0x00081000,  # Network ID
        0x00081010,  # Station Name
        0x00203401,  # Modifying Device ID
        0x00321021,  # Scheduled Study Location AE Title
        0x00400001,  # Scheduled Station AE Title
        0x00400010,  # Scheduled Station Name
        0x00400241,  # Performed Station AE Title
        0x00400242,  # Performed Station Name
        0x04000563,  # Modifying System
        0x300A00B2,  # Treatment Machine Name
    }
)
_PLACE_TAGS = frozenset(
    {
        0x00080080,  # Institution Name
        0x00080081,  # Institution Address
        0x00080092,  # Referring Physician's Address
        0x00081040,  # Institutional Department Name
        0x00100021,  # Issuer of Patient ID
        0x00101040,  # Patient's Address
        0x00102299,  # Responsible Organization
        0x00120010,  # Clinical Trial Sponsor Name
        0x00120021,  # Clinical Trial Protocol Name
        0x00120030,  # Clinical Trial Site ID
        0x00120031,  # Clinical Trial Site Name
        0x00120060,  # Clinical Trial Coordinating Center Name
        0x00120081,  # Clinical Trial Protocol Ethics Committee Name
        0x00321020,  # Scheduled Study Location
        0x00321033,  # Requesting Service
        0x00380011,  # Issuer of Admission ID
        0x0038001E,  # Scheduled Patient Institution Residence
        0x00380300,  # Current Patient Location
        0x00380400,  # Patient's Institution Residence
        0x00400011,  # Scheduled Procedure Step Location
        0x00400243,  # Performed Location
        0x00401005,  # Requested Procedure Location
        0x00401102,  # Person's Address
        0x00402009,  # Order Enterer's Location
        0x00404036,  # Human Performer's Organization
        0x0040A027,  # Verifying Organization
        0x0040A353,  # Address (Trial)
    }
)
_BIRTH_DATE = 0x00100030
# Days of the examination. Where they are removed or shifted, the true ones must not be found.
_EVENT_TAGS = frozenset(
    {
        0x00080012,  # Instance Creation Date
        0x00080020,  # Study Date
        0x00080021,  # Series Date
        0x00080022,  # Acquisition Date
        0x00080023,  # Content Date
        0x0008002A,  # Acquisition DateTime
        0x00400244,  # Performed Procedure Step Start Date
    }
)

_KINDS = (
    {_BIRTH_DATE: Kind.DATE}
    | dict.fromkeys(_PATIENT_TAGS, Kind.PATIENT)
    | dict.fromkeys(_NUMBER_TAGS, Kind.NUMBER)
    | dict.fromkeys(_STATION_TAGS, Kind.STATION)
    | dict.fromkeys(_PLACE_TAGS, Kind.PLACE)
    | dict.fromkeys(_EVENT_TAGS, Kind.EVENT)
)
SOURCE_TAGS = frozenset(_KINDS)

_OWN = {0x00100010: Kind.OWN_NAME, 0x00100020: Kind.OWN_NUMBER}

# An object has some dozens. Thousands would make each search as slow as its sender likes.
_MAX_SOURCES = 1_000
_MAX_SOURCE_BYTES = 1 << 17
"""Of all of them together; a thousand names of 64 characters have half of it."""
# Characters that are looked at closely: some seconds of work. The text of a real object is
# looked at some times over; the largest reports have a few million characters.
_MAX_WORK = 1 << 25
# Dots and digits beyond are no UID (PS3.5 9.1), only one with something appended.
_MAX_UID_BYTES = 128
# So many digits of a day are the day; of a date and time the rest is another for each object.
_DAY_BYTES = 10
# UIDs made by this program are random figures.
_RANDOM_UID = b"2.25."
_MIN_FIGURE_INSIDE = 8


class Role(Enum):
    """What became of a value that identifies."""

    SOUGHT = "removed or replaced: it must not be found any more"
    RETAINED = "kept on purpose"


class Identity:
    """The identifiers of one object (PHI). Lives as long as the object is rewritten.

    Attributes:
        uids: Original UIDs that were replaced or removed, encoded.

    Args:
        constants: What the rules set, which is no identifier whatever the object says.
    """

    __slots__ = ("_constants", "_needles", "_retained", "_size", "_sought", "_work", "uids")

    def __init__(self, constants: Iterable[Source] = ()) -> None:
        self._sought: set[Source] = set()
        self._retained: set[Source] = set()
        self._constants = frozenset(constants)
        self._needles: Needles | None = None
        self._work = 0
        self._size = 0
        self.uids: set[bytes] = set()

    def add(
        self, tag: int, vr: str, raw: bytes, character_set: bytes, role: Role = Role.SOUGHT
    ) -> None:
        """Remember a value of VR PN or one of `SOURCE_TAGS`.

        Raises:
            Refused: TOO_MANY_ELEMENTS if no real object has as many.
        """
        raw = raw.strip(b" \0")
        if not raw:
            return
        kind = _OWN.get(tag) or (Kind.NAME if vr == "PN" else _KINDS[tag])
        if kind in (Kind.DATE, Kind.EVENT):
            raw, character_set = raw[:_DAY_BYTES], b""
        elif raw.isascii() and b"\x1b" not in raw:
            # The same name in another character set is no other name.
            character_set = b""
        sources = self._sought if role is Role.SOUGHT else self._retained
        source = (kind, raw, character_set)
        if source in sources:
            return
        sources.add(source)
        self._needles = None
        self._size += len(raw)
        if len(sources) > _MAX_SOURCES or self._size > _MAX_SOURCE_BYTES:
            raise Refused(Reason.TOO_MANY_ELEMENTS, tag)

    def add_uid(self, original: bytes, new: bytes = b"") -> None:
        """Remember a UID that was replaced or removed."""
        original = original.strip(b"\0 ")
        if b"." in original and original != new and not is_standard_uid(original):
            self.uids.add(original)

    def again(self) -> "Identity":
        """The same identifiers for another object, without the UIDs."""
        other = Identity(self._constants)
        other._sought, other._retained = self._sought, self._retained
        other._needles = self.needles()
        return other

    def is_like(self, other: "Identity") -> bool:
        """Whether these are the same identifiers, UIDs aside; then they are searched for as one."""
        if not self.has_sources_of(other):
            return False
        self._needles = other.needles()
        return True

    @property
    def source_count(self) -> int:
        """How many identifiers there are, UIDs aside."""
        return len(self._sought) + len(self._retained)

    def has_sources_of(self, other: "Identity") -> bool:
        """Whether these are the same identifiers, UIDs aside."""
        return self._sought == other._sought and self._retained == other._retained  # noqa: SLF001  (its own class)

    def needles(self) -> Needles:
        """What to search for."""
        if self._needles is None:
            self._needles = needles.compiled(
                frozenset(self._sought), frozenset(self._retained), self._constants
            )
        return self._needles

    @property
    def is_nobodys(self) -> bool:
        """Whether there is nothing to be found."""
        return not self._sought and not self.uids

    def spend(self, characters: int) -> None:
        """Account for a search through text.

        Raises:
            Refused: TOO_MANY_ELEMENTS if the object would take longer than any real one.
        """
        if not self._sought:
            return
        self._work += characters * self.needles().width
        if self._work > _MAX_WORK:
            raise Refused(Reason.TOO_MANY_ELEMENTS)

    def holds_uid(self, run: bytes) -> bool:
        """Whether digits and dots identify.

        They do if they are one of the UIDs, one with something appended, or if a component
        is the patient's number or birth date.
        """
        if run in self.uids:
            return True
        dot = run.find(b".", needles.MIN_UID_PREFIX)
        while 0 < dot <= _MAX_UID_BYTES:
            if run[:dot] in self.uids:
                return True
            dot = run.find(b".", dot + 1)
        return run.lstrip(b"0") in self.needles().numbers or self._holds_figure(run)

    def _holds_figure(self, run: bytes) -> bool:
        figures = self.needles().figures
        if not figures or run.startswith(_RANDOM_UID):
            return False
        run = run[:_MAX_UID_BYTES]
        return not figures.isdisjoint(run.split(b".")) or any(
            len(figure) >= _MIN_FIGURE_INSIDE and figure in run for figure in figures
        )
