"""Which standard attribute a field of a maker's blob repeats, by the field's name.

Makers write DICOM keywords, old and new ("PatientsName"), with their own prefixes of types
("tPatientName", "flUsedPatientWeight") and inside paths ("sPatient.tBirthDay"). Fields that
describe the acquisition have no attribute here: they stay as they are.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from dicomanon_node.deid.standard import DicomDictionary


class Attribute(NamedTuple):
    """A standard attribute: its tag number and VR."""

    tag: int
    vr: str


# VRs that may identify. What is counted, measured or coded is looked up only by `_OTHERS`.
_IDENTIFYING_VRS = frozenset("AE AS DA DT LO LT PN SH ST TM UC UI UR UT".split())

_NAME = Attribute(0x00100010, "PN")
_PATIENT_ID = Attribute(0x00100020, "LO")
_BIRTH_DATE = Attribute(0x00100030, "DA")
_SEX = Attribute(0x00100040, "CS")
_SIZE = Attribute(0x00101020, "DS")
_WEIGHT = Attribute(0x00101030, "DS")
_REFERRING_PHYSICIAN = Attribute(0x00080090, "PN")
_PERFORMING_PHYSICIAN = Attribute(0x00081050, "PN")
_OPERATOR = Attribute(0x00081070, "PN")
_INSTITUTION = Attribute(0x00080080, "LO")
_DEPARTMENT = Attribute(0x00081040, "LO")
_SERIAL_NUMBER = Attribute(0x00181000, "LO")
_SOFTWARE_VERSIONS = Attribute(0x00181020, "LO")
_STUDY_ID = Attribute(0x00200010, "SH")

# Names that are no DICOM keyword, in lower case.
_OTHERS = {
    "patname": _NAME,
    "patientfirstname": _NAME,
    "patientlastname": _NAME,
    "patientmiddlename": _NAME,
    "patid": _PATIENT_ID,
    "patientnumber": _PATIENT_ID,
    "mrn": _PATIENT_ID,
    "medicalrecordnumber": _PATIENT_ID,
    "birthday": _BIRTH_DATE,
    "birthdate": _BIRTH_DATE,
    "dateofbirth": _BIRTH_DATE,
    "dob": _BIRTH_DATE,
    "patientbirthday": _BIRTH_DATE,
    "patientdateofbirth": _BIRTH_DATE,
    "patientdob": _BIRTH_DATE,
    "sex": _SEX,
    "patientsex": _SEX,
    "patientssex": _SEX,
    "patientgender": _SEX,
    "patientheight": _SIZE,
    "patientsize": _SIZE,
    "patientssize": _SIZE,
    "usedpatientheight": _SIZE,
    "patientweight": _WEIGHT,
    "patientsweight": _WEIGHT,
    "usedpatientweight": _WEIGHT,
    "physician": _REFERRING_PHYSICIAN,
    "physicianname": _REFERRING_PHYSICIAN,
    "referringphysician": _REFERRING_PHYSICIAN,
    "refphysician": _REFERRING_PHYSICIAN,
    "performingphysician": _PERFORMING_PHYSICIAN,
    "radiologist": Attribute(0x00081060, "PN"),
    "operator": _OPERATOR,
    "operatorname": _OPERATOR,
    "technologist": _OPERATOR,
    "username": _OPERATOR,
    "hospital": _INSTITUTION,
    "hospitalname": _INSTITUTION,
    "institution": _INSTITUTION,
    "institute": _INSTITUTION,
    "institutename": _INSTITUTION,
    "department": _DEPARTMENT,
    "departmentname": _DEPARTMENT,
    "serialnumber": _SERIAL_NUMBER,
    "systemserialnumber": _SERIAL_NUMBER,
    "scannerserialnumber": _SERIAL_NUMBER,
    # The version of the sequences, such as "N4_VE11C_LATEST_20160120": no date of the patient's.
    "baselinestring": _SOFTWARE_VERSIONS,
    "measuredbaselinestring": _SOFTWARE_VERSIONS,
    "studynumber": _STUDY_ID,
    "examid": _STUDY_ID,
    "examnumber": _STUDY_ID,
    "accession": Attribute(0x00080050, "SH"),
    "accessionno": Attribute(0x00080050, "SH"),
    "frameofreference": Attribute(0x00200052, "UI"),
    "imagecomment": Attribute(0x00204000, "LT"),
    "patientcomment": Attribute(0x00104000, "LT"),
    "studycomment": Attribute(0x00324000, "LT"),
}


def _with_plurals(keyword: str) -> tuple[str, ...]:
    # PS3.6 said "Patient's Name", "Physician's Name" and "Operator's Name" until 2011.
    return tuple(
        {
            keyword,
            keyword.replace("patient", "patients", 1),
            keyword.replace("physician", "physicians", 1),
            keyword.replace("operators", "operator", 1),
        }
    )


_BY_NAME = {
    name: Attribute(tag, entry[0])
    for tag, entry in DicomDictionary.items()
    if entry[0] in _IDENTIFYING_VRS and entry[4]
    for name in _with_plurals(entry[4].lower())
} | _OTHERS

_MAX_NAME_BYTES = 256
_INDEX = re.compile(rb"\[[^\]]{0,32}\]|[_ ]")
# Hungarian notation, as Siemens writes it.
_TYPE = re.compile(r"\A(?:m|psz|sz|str|t|fl|l|ul|uc|us|d|s|b|n|i)(?=[A-Z])")


@lru_cache(maxsize=4096)
def attribute(name: bytes) -> Attribute | None:
    """The attribute that a field of this name repeats; None if it repeats none.

    Args:
        name: As in the blob; of a path such as `sPatient.tBirthDay`, the last part counts.
    """
    if len(name) > _MAX_NAME_BYTES:
        return None
    last = _INDEX.sub(b"", name).rpartition(b".")[2].rpartition(b":")[2].decode("latin-1")
    found = _BY_NAME.get(last.lower())
    return found or _BY_NAME.get(_TYPE.sub("", last, count=1).lower())
