"""Dummy values: the D of PS3.15 Table E.1-1a, for every VR.

They carry no letters where the VR allows it: a dummy such as "ANONYMOUS" contains
short names ("Ann") and looks like a leak to whoever searches for them.
"""

_TEXT = b"-"

_DUMMIES = {
    "AE": _TEXT,
    "AS": b"000Y",
    "AT": b"\0\0\0\0",
    "CS": b"_",
    "DA": b"18500101",
    "DS": b"0",
    "DT": b"18500101000000",
    "FD": bytes(8),
    "FL": bytes(4),
    "IS": b"0",
    "LO": _TEXT,
    "LT": _TEXT,
    "OB": bytes(2),
    "OD": bytes(8),
    "OF": bytes(4),
    "OL": bytes(4),
    "OV": bytes(8),
    "OW": bytes(2),
    "PN": _TEXT,
    "SH": _TEXT,
    "SL": bytes(4),
    "SS": bytes(2),
    "ST": _TEXT,
    "SV": bytes(8),
    "TM": b"000000",
    "UC": _TEXT,
    "UL": bytes(4),
    "UN": bytes(2),
    "UR": b"urn:x",
    "US": bytes(2),
    "UT": _TEXT,
    "UV": bytes(8),
}


def dummy(vr: str) -> bytes:
    """The dummy value of a VR. SQ and UI have none: sequences are walked, UIDs mapped."""
    return _DUMMIES[vr]


def _pdf() -> bytes:
    # The smallest document that readers open: one empty page, with its cross references.
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>",
    )
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj%sendobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


# By MIME Type of Encapsulated Document (0042,0012), PS3.3 C.24.2.
_DOCUMENTS = {
    "application/pdf": _pdf(),
    "text/xml": b'<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"/>',
    "model/stl": bytes(84),  # binary STL: an 80 byte header and the count of 0 triangles
    "model/obj": b"#\n",
    "model/mtl": b"#\n",
}


def document(mime_type: str) -> bytes:
    """A document without content of the same kind; empty lines for a kind not known."""
    return _DOCUMENTS.get(mime_type, b"\n\n")
