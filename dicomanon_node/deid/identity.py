"""Who an object is about: the identifiers it carries, to be searched for afterwards.

Collected from the original while it is rewritten: every person name, the patient's
and the order's numbers, institutions, addresses, serial numbers, the birth date and
the UIDs that were replaced. What a rule keeps on purpose is no longer an identifier.
What these become when they are searched for is in `needles`.
"""

from collections.abc import Iterable
from enum import Enum

from dicomanon_node.deid import needles
from dicomanon_node.deid.needles import Kind, Needles, Source
from dicomanon_node.deid.pseudonyms import is_standard_uid
from dicomanon_node.errors import Reason, Refused

# Elements, besides all of VR PN, whose values identify (numbers, places, devices).
_PATIENT_TAGS = frozenset(
    {
        0x00100020,  # Patient ID
        0x00101000,  # Other Patient IDs
    }
)
_NUMBER_TAGS = frozenset(
    {
        0x00080050,  # Accession Number
        0x00080094,  # Referring Physician's Telephone Numbers
        0x00101050,  # Insurance Plan Identification
        0x00101090,  # Medical Record Locator
        0x00102154,  # Patient's Telephone Numbers
        0x00120040,  # Clinical Trial Subject ID
        0x00120042,  # Clinical Trial Subject Reading ID
        0x00181000,  # Device Serial Number
        0x0018700A,  # Detector ID
        0x00200010,  # Study ID
        0x00380010,  # Admission ID
        0x00380060,  # Service Episode ID
        0x00400009,  # Scheduled Procedure Step ID
        0x00400253,  # Performed Procedure Step ID
        0x00401001,  # Requested Procedure ID
        0x00401104,  # Person's Telephone Numbers
        0x00402006,  # Placer Order Number / Procedure
        0x00402007,  # Filler Order Number / Procedure
        0x00402010,  # Order Callback Phone Number
        0x00402016,  # Placer Order Number / Imaging Service Request
        0x00402017,  # Filler Order Number / Imaging Service Request
    }
)
_PLACE_TAGS = frozenset(
    {
        0x00080080,  # Institution Name
        0x00080081,  # Institution Address
        0x00080092,  # Referring Physician's Address
        0x00081010,  # Station Name
        0x00081040,  # Institutional Department Name
        0x00101040,  # Patient's Address
        0x00321033,  # Requesting Service
        0x00380300,  # Current Patient Location
        0x00380400,  # Patient's Institution Residence
        0x00401102,  # Person's Address
    }
)
_BIRTH_DATE = 0x00100030

_KINDS = (
    {_BIRTH_DATE: Kind.DATE}
    | dict.fromkeys(_PATIENT_TAGS, Kind.PATIENT)
    | dict.fromkeys(_NUMBER_TAGS, Kind.NUMBER)
    | dict.fromkeys(_PLACE_TAGS, Kind.PLACE)
)
SOURCE_TAGS = frozenset(_KINDS)

_OWN = {0x00100010: Kind.OWN_NAME, 0x00100020: Kind.OWN_NUMBER}

# An object has some dozens. Thousands would make each search as slow as its sender likes.
_MAX_SOURCES = 1_000
# Characters to be searched, times what to search for: some seconds of work.
_MAX_WORK = 1 << 30
# Dots and digits beyond are no UID (PS3.5 9.1), only one with something appended.
_MAX_UID_BYTES = 128


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

    __slots__ = ("_constants", "_retained", "_sought", "_work", "uids")

    def __init__(self, constants: Iterable[Source] = ()) -> None:
        self._sought: set[Source] = set()
        self._retained: set[Source] = set()
        self._constants = frozenset(constants)
        self._work = 0
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
        sources = self._sought if role is Role.SOUGHT else self._retained
        sources.add((kind, raw, character_set))
        if len(sources) > _MAX_SOURCES:
            raise Refused(Reason.TOO_MANY_ELEMENTS, tag)

    def add_uid(self, original: bytes, new: bytes = b"") -> None:
        """Remember a UID that was replaced or removed."""
        original = original.strip(b"\0 ")
        if b"." in original and original != new and not is_standard_uid(original):
            self.uids.add(original)

    def needles(self) -> Needles:
        """What to search for."""
        return needles.compiled(frozenset(self._sought), frozenset(self._retained), self._constants)

    def spend(self, characters: int) -> None:
        """Account for a search through text.

        Raises:
            Refused: TOO_MANY_ELEMENTS if the object would take longer than any real one.
        """
        self._work += characters * self.needles().width
        if self._work > _MAX_WORK:
            raise Refused(Reason.TOO_MANY_ELEMENTS)

    def holds_uid(self, run: bytes) -> bool:
        """Whether digits and dots are one of the UIDs, or one with something appended."""
        if run in self.uids:
            return True
        dot = run.find(b".", needles.MIN_UID_PREFIX)
        while 0 < dot <= _MAX_UID_BYTES:
            if run[:dot] in self.uids:
                return True
            dot = run.find(b".", dot + 1)
        return False
