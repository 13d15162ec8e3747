"""Plants where few look: preamble, File Meta Information, overlays, icons, signatures.

And documents inside objects: PDF, CDA, STL.
"""

from pydicom.dataelem import DataElement
from pydicom.dataset import FileMetaDataset

from benchmarks.deid.identity import Kind, Persona, Token
from benchmarks.deid.paths import label
from benchmarks.deid.phrases import Writer
from benchmarks.deid.spots import Plant, Spot

_PREAMBLE_BYTES = 128
_OVERLAY, _CURVE = 0x60020000, 0x50020000
_DOCUMENT, _MIME_TYPE = 0x00420011, 0x00420012
_SIDE = 16  # rows and columns of overlay and icon
_STL_HEADER_BYTES = 80


def _bytes(persona: Persona, size: int) -> bytes:
    text = f"{persona.folded(persona.family)}^{persona.mrn}".encode()
    return (text * (size // len(text) + 1))[:size]


def _tokens(persona: Persona) -> tuple[Token, ...]:
    family = persona.folded(persona.family)
    return (Token(family, Kind.NAME), Token(persona.mrn, Kind.RECORD))


def preamble(persona: Persona) -> bytes:
    """128 bytes with the name in them, as dual-format files may have."""
    return _bytes(persona, _PREAMBLE_BYTES)


def plant_meta(spot: Spot, meta: FileMetaDataset, persona: Persona) -> None:
    """Set what a receiver or an export writes into File Meta Information (PS3.10 7.1)."""
    place = Spot(meta, spot.ledger, "file meta")
    token = [Token(persona.ae_title, Kind.DEVICE)]
    for tag in (0x00020016, 0x00020017, 0x00020018):
        place.put(tag, "AE", persona.ae_title, token)
    place.put(0x00020100, "UI", "1.2.826.0.1.3680043.10.543.1")
    value = _bytes(persona, _PREAMBLE_BYTES)
    place.put(0x00020102, "OB", value, _tokens(persona))


def plant_overlay_and_curve(spot: Spot, persona: Persona, writer: Writer) -> None:
    """An overlay plane and a curve, described and labelled with the name."""
    overlay = spot.at("overlay")
    for number, vr, value in (
        (0x0010, "US", _SIDE),
        (0x0011, "US", _SIDE),
        (0x0040, "CS", "G"),
        (0x0050, "SS", [1, 1]),
        (0x0100, "US", 1),
        (0x0102, "US", 0),
    ):
        overlay.dataset[_OVERLAY | number] = DataElement(_OVERLAY | number, vr, value)
    overlay.put_phrase(_OVERLAY | 0x0022, "LO", writer.phrase(64))
    overlay.put_phrase(_OVERLAY | 0x1500, "LO", writer.phrase(64))
    overlay.put_phrase(_OVERLAY | 0x4000, "LT", writer.phrase(200))
    bits = _bytes(persona, _SIDE * _SIDE // 8)
    overlay.put(_OVERLAY | 0x3000, "OW", bits, _tokens(persona)[:1])
    curve = spot.at("curve")
    for number, vr, value in ((0x0005, "US", 2), (0x0010, "US", 4), (0x0103, "US", 0)):
        curve.dataset[_CURVE | number] = DataElement(_CURVE | number, vr, value)
    curve.put_phrase(_CURVE | 0x0022, "LO", writer.phrase(64))
    curve.put_phrase(_CURVE | 0x2500, "LO", writer.phrase(64))
    curve.put(_CURVE | 0x3000, "OW", _bytes(persona, 32), _tokens(persona)[:1])


def plant_icon(spot: Spot, persona: Persona) -> None:
    """A thumbnail whose pixels spell the name."""
    icon = spot.at("icon").item(0x00880200)
    dataset = icon.dataset
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = _SIDE
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    icon.put(0x7FE00010, "OB", _bytes(persona, _SIDE * _SIDE), _tokens(persona))


def plant_history(spot: Spot, persona: Persona) -> None:
    """Earlier values, digital signature and padding: identity kept beside the object."""
    name = [Token(persona.family, Kind.NAME)]
    original = spot.at("original attributes").item(0x04000561)
    original.put(0x04000562, "DT", f"{persona.studied:%Y%m%d}120000")
    original.put(0x04000564, "LO", persona.institution)
    original.put(0x04000565, "CS", "COERCE")
    modified = original.item(0x04000550)
    modified.put(0x00100010, "PN", f"{persona.family}^{persona.given}", name)
    modified.put(0x00100020, "LO", persona.mrn, [Token(persona.mrn, Kind.RECORD)])
    signature = spot.at("digital signature").item(0xFFFAFFFA)
    signature.put(0x04000105, "DT", f"{persona.studied:%Y%m%d}120000")
    signature.put(0x04000115, "OB", _bytes(persona, 64), _tokens(persona))
    padding = spot.at("trailing padding")
    padding.put(0xFFFCFFFC, "OB", _bytes(persona, 256), _tokens(persona))


def plant_document(spot: Spot, persona: Persona, writer: Writer, mime_type: str) -> None:
    """Replace an encapsulated document by one of the same kind with the name in it.

    Args:
        spot: The data set of an encapsulated document.
        persona: Whose identity (made up).
        writer: Writes its text.
        mime_type: What it is.
    """
    text = f"{persona.folded(persona.given)} {persona.folded(persona.family)}, {persona.mrn}"
    phrase = writer.words(3)
    make = {"application/pdf": _pdf, "text/XML": _cda, "model/stl": _stl}[mime_type]
    document = make(f"{text}: {' '.join(phrase)}")
    dataset = spot.dataset
    dataset[_MIME_TYPE] = DataElement(_MIME_TYPE, "LO", mime_type)
    value = document + b"\0" * (len(document) % 2)
    dataset[_DOCUMENT] = DataElement(_DOCUMENT, "OB", value)
    dataset.EncapsulatedDocumentLength = len(document)
    site = f"encapsulated {mime_type}"
    spot.ledger.add(Plant(label(_DOCUMENT), site, _tokens(persona)))
    spot.at(site).put_phrase(0x00420010, "ST", writer.phrase(64))


def _pdf(text: str) -> bytes:
    stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R>>",
        b"<</Length %d>>stream\n%b\nendstream" % (len(stream), stream),
        f"<</Author({text})/Title({text})>>".encode(),
    )
    body = b"".join(b"%d 0 obj%bendobj\n" % (n, o) for n, o in enumerate(objects, 1))
    return b"%PDF-1.4\n" + body + b"trailer<</Size 6/Root 1 0 R/Info 5 0 R>>\n%%EOF\n"


def _cda(text: str) -> bytes:
    return (
        '<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"><recordTarget>'
        f"<patientRole><patient><name>{text}</name></patient></patientRole></recordTarget>"
        "</ClinicalDocument>"
    ).encode()


def _stl(text: str) -> bytes:
    return text.encode()[:_STL_HEADER_BYTES].ljust(_STL_HEADER_BYTES) + bytes(4)
