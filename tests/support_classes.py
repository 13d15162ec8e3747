"""Objects of every class that a study may hold, with an identity planted wherever they have room.

They are made as literals, encoded by pydicom, and small: what they hold is what makes
their class worth keeping. Nothing here looks into the core.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from support_deid import NAME, PATIENT_ID, ROOT

Literal = dict[str, Any]

# Planted words, by what they are; none of them is part of anything else here.
PATIENT = frozenset({b"quillfeather", b"ottoline", b"mrn7741902"})
PEOPLE = frozenset({b"marrowby", b"jubbpell"})
PLACES = frozenset({b"zobeide", b"wexcombe", b"5550182773"})
NUMBERS = frozenset({b"acz55521", b"zst90817"})
DEVICE = frozenset({b"snq88812", b"qxstation7"})
# All UIDs begin with it; all dates are in one month, further back than any shift's end.
UIDS = ROOT.encode()
MONTH = b"201903"

SAID = "kepi Quillfeather"  # "kepi" is a word of nobody's
DOCTOR, OPERATOR = "Marrowby^Tib", "Jubbpell^Oona"
PLACE = "Zobeide Clinic"
DAY, MOMENT = "20190317", "20190318112233.5"

CT = "1.2.840.10008.5.1.4.1.1.2"
PRIVATE_CLASS = "1.3.46.670589.11.0.0.12.1"


def dataset(literal: Literal) -> Dataset:
    """A data set of its keywords and values; a list of literals is a sequence."""
    ds = Dataset()
    for keyword, value in literal.items():
        is_sequence = isinstance(value, list) and (not value or isinstance(value[0], Mapping))
        setattr(ds, keyword, [dataset(item) for item in value] if is_sequence else value)
    return ds


def code(meaning: str, value: str = "K-1", scheme: str = "99KEPI") -> list[Literal]:
    """A code sequence."""
    return [{"CodeValue": value, "CodingSchemeDesignator": scheme, "CodeMeaning": meaning}]


def reference(number: int, sop_class_uid: str = CT) -> Literal:
    """A reference to the instance with this number."""
    return {
        "ReferencedSOPClassUID": sop_class_uid,
        "ReferencedSOPInstanceUID": f"{ROOT}13.{number}",
    }


def referenced_series(*numbers: int) -> list[Literal]:
    return [
        {
            "SeriesInstanceUID": f"{ROOT}12",
            "ReferencedInstanceSequence": [reference(number) for number in numbers],
        }
    ]


def person() -> Literal:
    return {
        "PersonIdentificationCodeSequence": code("Marrowby"),
        "PersonAddress": "14 Wexcombe Lane",
        "PersonTelephoneNumbers": "5550182773",
        "InstitutionName": PLACE,
    }


IMAGE: Literal = {
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "Rows": 2,
    "Columns": 2,
    "BitsAllocated": 8,
    "BitsStored": 8,
    "HighBit": 7,
    "PixelRepresentation": 0,
    "PixelData": b"\x01\x02\x03\x04",
}

_IDENTITY: Literal = {
    "SpecificCharacterSet": "ISO_IR 192",
    "InstanceCreationDate": DAY,
    "InstanceCreationTime": "112233",
    "InstanceCreatorUID": f"{ROOT}90",
    "StudyDate": "20190301",
    "SeriesDate": "20190302",
    "ContentDate": "20190303",
    "StudyTime": "112231",
    "ContentTime": "112234",
    "AccessionNumber": "ACZ55521",
    "Manufacturer": "ACME",
    "ManufacturerModelName": "Kepi 3",
    "SoftwareVersions": "7",
    "InstitutionName": PLACE,
    "InstitutionAddress": "14 Wexcombe Lane",
    "ReferringPhysicianName": DOCTOR,
    "ReferringPhysicianTelephoneNumbers": "5550182773",
    "ReferringPhysicianIdentificationSequence": [person()],
    "StationName": "QXSTATION7",
    "StudyDescription": SAID,
    "SeriesDescription": SAID,
    "NameOfPhysiciansReadingStudy": DOCTOR,
    "OperatorsName": OPERATOR,
    "ReferencedStudySequence": [reference(70, "1.2.840.10008.3.1.2.3.1")],
    "PatientName": NAME,
    "PatientID": PATIENT_ID,
    "PatientBirthDate": "20190304",
    "PatientSex": "O",
    "OtherPatientIDsSequence": [{"PatientID": PATIENT_ID, "TypeOfPatientID": "TEXT"}],
    "PatientAddress": "14 Wexcombe Lane",
    "PatientTelephoneNumbers": "5550182773",
    "PatientComments": SAID,
    "DeviceSerialNumber": "SNQ88812",
    "DateOfLastCalibration": DAY,
    "StudyID": "ZST90817",
    "SeriesNumber": 1,
    "InstanceNumber": 1,
    "RequestAttributesSequence": [
        {
            "RequestedProcedureID": "ZST90817",
            "ScheduledProcedureStepDescription": SAID,
            "ScheduledProcedureStepID": "ZST90817",
        }
    ],
    "RequestingPhysician": DOCTOR,
    "PerformedProcedureStepStartDate": DAY,
    "PerformedProcedureStepID": "ZST90817",
}


@dataclass(frozen=True)
class Kind:
    """A class of objects.

    Attributes:
        name: What it is.
        sop_class_uid: Its SOP class.
        modality: Its modality.
        own: What only this class has; PHI in it is planted.
        keeps: Attributes whose values stay, at every depth, under all options.
        keeps_clean: Attributes whose values stay where the "clean" options are on.
        lacks: Attributes of every other object that it does not have.
    """

    name: str
    sop_class_uid: str
    modality: str
    own: Literal
    keeps: frozenset[str]
    keeps_clean: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()

    def dataset(self) -> Dataset:
        """An object of the class, with all of the identity."""
        uids = {
            "SOPClassUID": self.sop_class_uid,
            "SOPInstanceUID": f"{ROOT}13.1",
            "StudyInstanceUID": f"{ROOT}11",
            "SeriesInstanceUID": f"{ROOT}12",
            "Modality": self.modality,
        }
        literal = {**_IDENTITY, **uids, **self.own}
        return dataset({key: literal[key] for key in literal if key not in self.lacks})


def values(ds: Dataset, keyword: str) -> list[object]:
    """The values of an attribute, in order, at every depth but inside of private sequences."""
    found: list[object] = []
    for element in ds:
        if element.tag.is_private:
            continue
        if element.VR == "SQ":
            for item in element.value:
                found += values(item, keyword)
        elif element.keyword == keyword:
            found.append(element.value)
    return found


def kind(
    name: str,
    sop_class_uid: str,
    modality: str,
    own: Literal,
    keeps: str,
    keeps_clean: str = "",
    lacks: str = "",
) -> Kind:
    """A class of objects; names of attributes are separated by blanks."""
    return Kind(
        name,
        sop_class_uid,
        modality,
        own,
        frozenset(keeps.split()),
        frozenset(keeps_clean.split()),
        frozenset(lacks.split()),
    )
