"""Plants into vendors' blobs: CSA headers, ASCII protocols, GE's protocol data block.

What makes them useful has to stay where a study keeps them: the names and values of
their fields are noted as words to retain.
"""

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from benchmarks.deid.identity import Kind, Persona, Token
from benchmarks.deid.paths import label, step
from benchmarks.deid.spots import Plant, Spot
from benchmarks.deid.vendor_blobs import (
    as_csa1,
    csa_values,
    is_csa2,
    with_packed_line,
    with_protocol_line,
)

_BLOB_VRS = frozenset({"OB", "UN", "OW", "UT", "LT"})
_MIN_BYTES = 64
# Fields of a CSA header that hold what identifies or a time; the others describe the scan.
_IDENTIFYING = ("UID", "Date", "Time", "Instance", "Serial", "Comment", "Pat", "Used")
_MAX_FIELDS = 40


def plant(spot: Spot, persona: Persona, *, is_old: bool) -> None:
    """Add a line with the patient to each protocol of the object, at any depth.

    Args:
        spot: The data set.
        persona: Whose identity (made up).
        is_old: CSA headers are written in the format that older scanners use.
    """
    _plant(spot, spot.dataset, "", persona, is_old=is_old)


def _plant(spot: Spot, dataset: Dataset, prefix: str, persona: Persona, *, is_old: bool) -> None:
    creators = {
        int(key): str(dataset[key].value).strip()
        for key in tuple(dataset.keys())
        if key.is_private_creator
    }
    for key in list(dataset.keys()):
        tag = int(key)
        if not key.is_private or key.is_private_creator:
            continue
        element = dataset[key]
        creator = creators.get(tag & 0xFFFF0000 | tag >> 8 & 0xFF, "")
        path = prefix + label(tag, creator)
        if isinstance(element.value, Sequence):
            for index, item in enumerate(element.value):
                _plant(spot, item, step(path, index), persona, is_old=is_old)
        elif element.VR in _BLOB_VRS and isinstance(element.value, bytes):
            _plant_blob(spot, dataset, element, path, persona, is_old=is_old)


def _plant_blob(
    spot: Spot,
    dataset: Dataset,
    element: DataElement,
    path: str,
    persona: Persona,
    *,
    is_old: bool,
) -> None:
    blob = element.value
    if len(blob) < _MIN_BYTES:
        return
    family = persona.folded(persona.family)
    given = persona.folded(persona.given)
    record = Token(persona.mrn, Kind.RECORD)
    tokens = (*persona.names(f"{family}^{given}"), record)
    line = f'tPatientName = ""{family}^{given}""\ntPatientID = ""{persona.mrn}""'.encode()
    new = with_protocol_line(blob, line)
    site = "ASCII protocol"
    retains: tuple[str, ...] = ("ASCCONV", "sSliceArray")
    if new is None:
        new = with_packed_line(blob, f"set PATIENT {given} {family} {persona.mrn}".encode())
        tokens = (*persona.names(f"{given} {family}"), record)
        site, retains = "GE protocol data block", ()
    if new is None:
        return
    if is_old and is_csa2(new):
        new, site = as_csa1(new), "ASCII protocol, CSA1"
    dataset[element.tag] = DataElement(element.tag, element.VR, new)
    fields = [
        text
        for name, text in csa_values(blob)
        if not any(word in name for word in _IDENTIFYING) and text.isascii()
    ]
    retains = tuple(word for word in retains if word.encode() in blob) + tuple(
        field for field in fields[:_MAX_FIELDS] if "\\" not in field
    )
    spot.ledger.add(Plant(path, site, tokens, retains, is_structured=True))
