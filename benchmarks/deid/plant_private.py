"""Plants into private elements: a block of our own, and the vendor's.

Ours holds every way in which a name is found in private data. In the vendor's, texts
that are there are overwritten, so that their elements, creators and encodings are real.
"""

import random
from collections.abc import Callable

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from benchmarks.deid.identity import Kind, Persona, Token
from benchmarks.deid.paths import CHARSET_VRS
from benchmarks.deid.phrases import Phrase, Writer
from benchmarks.deid.spots import Spot
from benchmarks.deid.standard import Standard

CREATOR = "PLANTED PRIVATE 1.0"
_GROUP = 0x0791
_TRAILING_GROUP = 0x7FE3  # sorts behind the pixel data
_BLOCK = 0x10
_MAX_OVERWRITTEN = 4
_TEXT_VRS = {"LO": 64, "SH": 16, "ST": 200, "LT": 200, "UT": 200, "UC": 200}
_SAFE_TEXT_VRS = frozenset({"LO", "SH", "ST", "LT", "UT"})


def plant_block(
    spot: Spot, persona: Persona, writer: Writer, new_uid: Callable[[], str], *, seals: bool
) -> None:
    """A private block with identities in every kind of element.

    Args:
        spot: The data set.
        persona: Whose identity (made up).
        writer: Writes the texts.
        new_uid: Gives a UID that embeds serial number and date.
        seals: Whether UN may be used for a sequence (not in Big Endian).
    """
    block = _Block(spot.at("private"), _GROUP)
    name = (Token(persona.family, Kind.NAME), Token(persona.given, Kind.NAME))
    record = (Token(persona.mrn, Kind.RECORD),)
    block.phrase(0x01, "LO", writer.phrase(64))
    block.phrase(0x02, "LT", writer.phrase(200))
    block.phrase(0x03, "SH", writer.phrase(16))
    block.put(0x04, "PN", f"{persona.family}^{persona.given}", name)
    # Where the VR is not said (Implicit VR), these are bytes that hold an identifier.
    day = f"{persona.studied:%Y%m%d}"
    block.put(0x05, "DA", day, (Token(day, Kind.DATE),))
    block.put(0x06, "DT", f"{day}113351.25", (Token(day, Kind.DATE),))
    uids = [new_uid(), new_uid()]
    block.put(0x07, "UI", uids, tuple(Token(uid, Kind.UID) for uid in uids))
    study = str(spot.dataset.StudyInstanceUID)
    block.put(0x0A, "LO", f"SERIES OF {study}"[:64], (Token(study, Kind.UID),))
    block.put(0x08, "DS", "0.73125")
    block.put(0x09, "US", 51966)
    family, given = persona.family, persona.given
    blobs = (
        f"{family}^{given}".encode("utf-16-le"),
        f"{family}^{given}".encode("utf-16-be"),
        f"\1\2{family} {given}\0{persona.mrn}\0".encode(),
        f'{{"patient": "{given} {family}", "mrn": "{persona.mrn}"}}'.encode(),
        b"\0\1\2\3" * 64 + f"{persona.name}".encode() + bytes(range(64)),
    )
    for index, blob in enumerate(blobs):
        value = blob + b"\0" * (len(blob) % 2)
        block.put(0x10 + index, "OB", value, name)
        block.put(0x20 + index, "UN", value, name)
    block.put(0x30, "OW", _spread(persona.mrn), record)
    for number, is_sealed in ((0x40, False), (0x41, True)):
        if is_sealed and not seals:
            continue
        item = block.item(number)
        inner = _Block(item, _GROUP)
        inner.phrase(0x01, "LO", writer.phrase(64))
        inner.put(0x04, "PN", f"{family}^{given}", name)
        item.put(0x00100020, "LO", persona.mrn, record)
        item.put_phrase(0x00081030, "LO", writer.phrase(64))
        item.put(0x00080018, "UI", new_uid())
        if is_sealed:
            spot.seal(_GROUP << 16 | _BLOCK << 8 | number)
    _Block(spot.at("private after pixel data"), _TRAILING_GROUP).phrase(
        0x01, "LO", writer.phrase(64)
    )


def plant_vendor(spot: Spot, standard: Standard, writer: Writer, rng: random.Random) -> None:
    """Overwrite texts of the vendor's private elements, safe ones first.

    Args:
        spot: The data set; only its top level is looked at.
        standard: The tables: what is safe by Table E.3.10-1.
        writer: Writes the texts.
        rng: Chooses.
    """
    found = _texts(spot.dataset, standard)
    rng.shuffle(found)
    found.sort(key=lambda entry: not entry[3])
    for tag, creator, vr, is_safe in found[:_MAX_OVERWRITTEN]:
        site = "vendor private text" + (", safe" if is_safe else "")
        phrase = writer.phrase(_TEXT_VRS[vr])
        spot.at(site).put_phrase(tag, vr, phrase, creator=creator)


class _Block:
    """A private block of our own in a data set or item."""

    def __init__(self, spot: Spot, group: int) -> None:
        self._spot = spot
        self._group = group
        creator = group << 16 | _BLOCK
        spot.dataset[creator] = DataElement(creator, "LO", CREATOR)

    def _tag(self, number: int) -> int:
        return self._group << 16 | _BLOCK << 8 | number

    def put(
        self,
        number: int,
        vr: str,
        value: object,
        removes: tuple[Token, ...] = (),
    ) -> None:
        """Set an element of the block."""
        self._spot.put(self._tag(number), vr, value, removes, creator=CREATOR)

    def phrase(self, number: int, vr: str, phrase: Phrase) -> None:
        """Set a text of the block."""
        self._spot.put_phrase(self._tag(number), vr, phrase, creator=CREATOR)

    def item(self, number: int) -> Spot:
        """An item of a sequence of the block."""
        return self._spot.item(self._tag(number), creator=CREATOR)


def _spread(text: str) -> bytes:
    # Text as 16-bit numbers between others, as some vendors keep their strings.
    return b"\x11\x22" * 8 + text.encode("utf-16-le") + b"\x33\x44" * 8


def _texts(dataset: Dataset, standard: Standard) -> list[tuple[int, str, str, bool]]:
    # (tag number, creator, VR, is safe) of the private texts that are there.
    found = []
    for key in tuple(dataset.keys()):
        tag = int(key)
        if not key.is_private or tag & 0xFFFF <= 0xFF:  # noqa: PLR2004  (creators, PS3.5 7.8.1)
            continue
        creator_tag = tag & 0xFFFF0000 | tag >> 8 & 0xFF
        if creator_tag not in dataset:
            continue
        creator = str(dataset[creator_tag].value).strip()
        vr = dataset[key].VR
        safe_vr = standard.safe_private.get((tag >> 16, creator, tag & 0xFF))
        if vr in CHARSET_VRS and vr in _TEXT_VRS:
            found.append((tag, creator, vr, safe_vr in _SAFE_TEXT_VRS))
    return found
