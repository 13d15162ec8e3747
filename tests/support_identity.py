"""What identifies in an original, and whether it is found in bytes: the tests' own idea of it.

Values that are short, or words of the trade, are found everywhere by chance and are left
out; the list of what identifies is that of the standard's attributes, not the core's.
"""

import re
from collections.abc import Iterator
from functools import cache

from pydicom._dicom_dict import DicomDictionary
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID

_MIN_LETTERS, _MIN_DIGITS, _MIN_UID = 4, 6, 8

# UI that name a class, a vocabulary or an encoding.
_NAMES_NO_INSTANCE = re.compile("Class|TransferSyntax|CodingScheme|ContextUID|MappingResource")

_IDENTIFYING = frozenset(
    {
        "AccessionNumber",
        "InstitutionAddress",
        "InstitutionName",
        "OtherPatientIDs",
        "PatientAddress",
        "PatientBirthDate",
        "PatientID",
        "PatientTelephoneNumbers",
    }
)
# Words in names of test subjects and institutions that are also words of the trade.
_PLAIN_WORDS = frozenset(
    "head neck brain knee phantom test anonymous anonymized anon image hospital medical center "
    "university research mri none unknown headneck clinic clinical imaging institute perfusion "
    "siemens philips toshiba".split()
)


@cache
def _trade_words() -> frozenset[str]:
    names = " ".join(entry[2] for entry in DicomDictionary.values())
    return _PLAIN_WORDS | frozenset(re.findall("[a-z]+", names.lower()))


def identifiers(ds: Dataset) -> set[str]:
    """Names, numbers, places and UIDs in standard attributes, at every depth."""
    makers: set[str] = set()
    numbers: set[str] = set()
    found: set[str] = set()
    for element in ds.iterall():
        if element.tag.is_private or element.is_empty:
            continue
        if element.keyword in ("Manufacturer", "ManufacturerModelName"):
            makers.add(str(element.value).lower())
        elif element.VR in ("IS", "DS"):
            numbers.add(str(element.value))
        else:
            found.update(_values(element))
    plain = _trade_words() | {word for maker in makers for word in re.findall("[a-z]+", maker)}
    # An identifier that is also the number of a series or a dose cannot be told from it.
    plain |= makers | numbers
    return {value for value in found if value.lower() not in plain}


def _values(element: DataElement) -> Iterator[str]:
    if element.VR not in ("PN", "UI") and element.keyword not in _IDENTIFYING:
        return
    values = [
        str(value).strip() for value in (element.value if element.VM > 1 else [element.value])
    ]
    if element.VR == "PN":
        words = re.findall(r"[^\W\d_]+", " ".join(values))
        yield from (word for word in words if len(word) >= _MIN_LETTERS)
    elif element.VR == "UI":
        if not _NAMES_NO_INSTANCE.search(element.keyword):
            yield from (uid for uid in values if len(uid) >= _MIN_UID and not UID(uid).type)
    else:
        for value in values:
            if len(value) >= (_MIN_DIGITS if value.isdigit() else _MIN_LETTERS):
                yield value


def found_in(data: bytes, values: set[str]) -> set[str]:
    """Which of the values are in the bytes, as words, in any usual encoding and letter case."""
    lowered = data.lower()
    return {value for value in values if any(_is_in(lowered, form) for form in _forms(value))}


def _forms(value: str) -> set[bytes]:
    forms = set()
    for codec in ("utf-8", "latin-1", "utf-16-le"):
        try:
            forms.add(value.lower().encode(codec))
        except UnicodeEncodeError:
            continue
    return forms


def _is_in(lowered: bytes, form: bytes) -> bool:
    if form not in lowered:
        return False
    return re.search(rb"(?<![a-z0-9.])" + re.escape(form) + rb"(?![a-z0-9])", lowered) is not None
