"""Structured reports and key object selections: content items that say, measure and refer."""

from typing import Any

from support_classes import (
    CT,
    DAY,
    DOCTOR,
    MOMENT,
    OPERATOR,
    PLACE,
    SAID,
    Kind,
    Literal,
    code,
    kind,
    reference,
)
from support_deid import ROOT

_SR = "1.2.840.10008.5.1.4.1.1.88."


def content(value_type: str, meaning: str, **own: Any) -> Literal:  # noqa: ANN401  (any value)
    """A content item."""
    return {
        "RelationshipType": "CONTAINS",
        "ValueType": value_type,
        "ConceptNameCodeSequence": code(meaning),
        **own,
    }


def measured(meaning: str, value: str, *children: Literal) -> Literal:
    number = {"NumericValue": value, "MeasurementUnitsCodeSequence": code("mm", "mm", "UCUM")}
    own: Literal = {"MeasuredValueSequence": [number]}
    if children:
        own["ContentSequence"] = [dict(child) for child in children]
    return content("NUM", meaning, **own)


def container(meaning: str, *items: Literal) -> Literal:
    return content(
        "CONTAINER", meaning, ContinuityOfContent="SEPARATE", ContentSequence=list(items)
    )


def evidence(*numbers: int, sop_class_uid: str = CT) -> list[Literal]:
    series = {
        "SeriesInstanceUID": f"{ROOT}12",
        "ReferencedSOPSequence": [reference(number, sop_class_uid) for number in numbers],
    }
    return [{"StudyInstanceUID": f"{ROOT}11", "ReferencedSeriesSequence": [series]}]


def _report(title: str, *items: Literal) -> Literal:
    observer = {
        "VerifyingOrganization": PLACE,
        "VerificationDateTime": "20190318112233",
        "VerifyingObserverName": DOCTOR,
        "VerifyingObserverIdentificationCodeSequence": code("Marrowby"),
    }
    request = {
        "StudyInstanceUID": f"{ROOT}11",
        "ReferencedStudySequence": [],
        "AccessionNumber": "ACZ55521",
        "RequestedProcedureID": "ZST90817",
        "RequestedProcedureDescription": SAID,
        "RequestedProcedureCodeSequence": [],
        "PlacerOrderNumberImagingServiceRequest": "ZST90817",
        "FillerOrderNumberImagingServiceRequest": "ZST90817",
    }
    return {
        "CompletionFlag": "COMPLETE",
        "VerificationFlag": "VERIFIED",
        "VerifyingObserverSequence": [observer],
        "ReferencedRequestSequence": [request],
        "PerformedProcedureCodeSequence": [],
        "ReferencedPerformedProcedureStepSequence": [],
        "CurrentRequestedProcedureEvidenceSequence": evidence(1, 2),
        "ValueType": "CONTAINER",
        "ConceptNameCodeSequence": code(title, "126000", "DCM"),
        "ContinuityOfContent": "SEPARATE",
        "ContentSequence": list(items),
    }


SAYING = (
    content("TEXT", "Kepi Finding", TextValue=SAID),
    content("PNAME", "Kepi Reader", PersonName=DOCTOR),
    content("DATE", "Kepi Day", Date=DAY),
    content("DATETIME", "Kepi Moment", DateTime=MOMENT),
    content("UIDREF", "Study Instance UID", UID=f"{ROOT}11"),
    content("CODE", "Kepi Place", ConceptCodeSequence=code("Liver", "10200004", "SCT")),
)
IMAGE_ITEM = content("IMAGE", "Kepi Source", ReferencedSOPSequence=[reference(1)])
_POINT = content("SCOORD", "Kepi Line", GraphicType="POLYLINE", GraphicData=[1.0, 2.0, 3.0, 4.0])
_POINT_3D = content(
    "SCOORD3D",
    "Kepi Volume",
    GraphicType="POINT",
    GraphicData=[1.0, 2.0, 3.0],
    ReferencedFrameOfReferenceUID=f"{ROOT}14",
)
_GROUP = container(
    "Measurement Group",
    content("TEXT", "Tracking Identifier", TextValue="kepi 1"),
    content("UIDREF", "Tracking Unique Identifier", UID=f"{ROOT}55"),
    measured("Length", "12.5", {**_POINT, "ContentSequence": [IMAGE_ITEM]}),
    measured("Mean", "-3.25"),
)
_DOSE = container(
    "CT Acquisition",
    content("TEXT", "Acquisition Protocol", TextValue=SAID),
    content("UIDREF", "Irradiation Event UID", UID=f"{ROOT}56"),
    measured("Mean CTDIvol", "7.41"),
    measured("DLP", "312.6"),
    content("TEXT", "Device Serial Number", TextValue="SNQ88812"),
    content("PNAME", "Person Name", PersonName=OPERATOR),
    content("DATETIME", "DateTime Started", DateTime=MOMENT),
)
_ALWAYS = "CompletionFlag VerificationFlag"
_SAID = "NumericValue ConceptCodeSequence GraphicData GraphicType"


def _sr(name: str, number: int, *items: Literal) -> Kind:
    own = _report(name, *SAYING, IMAGE_ITEM, *items)
    return kind(name, f"{_SR}{number}", "SR", own, _ALWAYS, _SAID)


REPORTS = (
    _sr("basic text SR", 11),
    _sr("enhanced SR", 22, _GROUP),
    _sr("comprehensive SR", 33, _GROUP),
    _sr("comprehensive 3D SR", 34, _GROUP, _POINT_3D),
    _sr("extensible SR", 35, _GROUP, _POINT_3D),
    _sr("procedure log", 40),
    _sr("mammography CAD", 50, _GROUP),
    _sr("chest CAD", 65, _GROUP),
    _sr("colon CAD", 69, _GROUP),
    _sr("X-ray dose", 67, _DOSE),
    _sr("radiopharmaceutical dose", 68, _DOSE),
    _sr("patient dose", 73, _DOSE),
    _sr("implantation plan", 70),
    _sr("acquisition context SR", 71),
    _sr("simplified adult echo", 72, _GROUP),
    kind(
        "key object selection",
        _SR + "59",
        "KO",
        {
            **_report("Of Interest", SAYING[0], SAYING[1], IMAGE_ITEM),
            "ConceptNameCodeSequence": code("Of Interest", "113000", "DCM"),
        },
        "",
    ),
)
