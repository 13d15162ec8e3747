"""Classes that say or refer: presentation states, documents, waveforms, requests."""

from typing import Any

from support_classes import (
    DAY,
    DOCTOR,
    IMAGE,
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
from support_classes_reports import IMAGE_ITEM, SAYING
from support_deid import ROOT

_PR = "1.2.840.10008.5.1.4.1.1.11."
_DOC = "1.2.840.10008.5.1.4.1.1.104."
_WAVE = "1.2.840.10008.5.1.4.1.1.9."


def _state(name: str, number: int, keeps: str, **own: Any) -> Kind:  # noqa: ANN401  (any value)
    text = {
        "BoundingBoxAnnotationUnits": "PIXEL",
        "UnformattedTextValue": SAID,
        "BoundingBoxTopLeftHandCorner": [1.0, 1.0],
        "BoundingBoxBottomRightHandCorner": [2.0, 2.0],
        "BoundingBoxTextHorizontalJustification": "LEFT",
    }
    drawn = {
        "GraphicAnnotationUnits": "PIXEL",
        "GraphicDimensions": 2,
        "NumberOfGraphicPoints": 2,
        "GraphicData": [1.0, 1.0, 2.0, 2.0],
        "GraphicType": "POLYLINE",
        "GraphicFilled": "N",
    }
    annotation = {
        "GraphicLayer": "LAYER1",
        "TextObjectSequence": [text],
        "GraphicObjectSequence": [drawn],
    }
    shared = {
        "ReferencedSeriesSequence": [
            {"SeriesInstanceUID": f"{ROOT}12", "ReferencedImageSequence": [reference(1)]}
        ],
        "GraphicAnnotationSequence": [annotation],
        "GraphicLayerSequence": [
            {
                "GraphicLayer": "LAYER1",
                "GraphicLayerOrder": 1,
                "GraphicLayerDescription": SAID,
            }
        ],
        "ContentLabel": "KEPI",
        "ContentDescription": SAID,
        "ContentCreatorName": DOCTOR,
        "PresentationCreationDate": DAY,
        "PresentationCreationTime": "112233",
    }
    # The profile leaves a dummy of what was drawn.
    return kind(name, f"{_PR}{number}", "PR", shared | own, keeps, "GraphicType GraphicData")


_WINDOW: Literal = {"WindowCenter": "40", "WindowWidth": "400"}
_AREA: Literal = {
    "ReferencedImageSequence": [reference(1)],
    "DisplayedAreaTopLeftHandCorner": [1, 1],
    "DisplayedAreaBottomRightHandCorner": [2, 2],
    "PresentationSizeMode": "SCALE TO FIT",
    "PresentationPixelAspectRatio": [1, 1],
}
_DISPLAYED: Literal = {"DisplayedAreaSelectionSequence": [_AREA]}
_ICON = [dict(IMAGE)]


def _document(name: str, number: int, modality: str, mime: str, said: bytes, **own: Any) -> Kind:  # noqa: ANN401  (any value)
    shared = {
        "BurnedInAnnotation": "NO",
        "DocumentTitle": SAID,
        "ConceptNameCodeSequence": code("Report"),
        "MIMETypeOfEncapsulatedDocument": mime,
        "EncapsulatedDocument": said + b" " * (len(said) % 2),
        "EncapsulatedDocumentLength": len(said),
        "IconImageSequence": _ICON,
        "SourceInstanceSequence": [reference(2)],
        "AcquisitionDateTime": MOMENT,
        "VerificationFlag": "UNVERIFIED",
    }
    keeps = "MIMETypeOfEncapsulatedDocument VerificationFlag"
    return kind(name, f"{_DOC}{number}", modality, shared | own, keeps)


_MODEL: Literal = {
    "FrameOfReferenceUID": f"{ROOT}14",
    "PositionReferenceIndicator": "",
    "MeasurementUnitsCodeSequence": code("mm", "mm", "UCUM"),
    "ModelModification": "NO",
    "ModelMirroring": "NO",
    "ModelUsageCodeSequence": code("Planning"),
}


def _waveform(name: str, number: str, modality: str, bits: int, samples: bytes) -> Kind:
    channel = {
        "ChannelLabel": "Lead I",
        "ChannelSourceSequence": code("Lead I", "2:1", "MDC"),
        "ChannelSensitivity": "2.5",
        "ChannelBaseline": "0",
        "ChannelTimeSkew": "0",
        "WaveformBitsStored": bits,
    }
    group = {
        "WaveformOriginality": "ORIGINAL",
        "NumberOfWaveformChannels": 1,
        "NumberOfWaveformSamples": len(samples) * 8 // bits,
        "SamplingFrequency": "500",
        "ChannelDefinitionSequence": [channel],
        "WaveformBitsAllocated": bits,
        "WaveformSampleInterpretation": "SS" if bits == 16 else "UB",
        "WaveformData": samples,
    }
    note = {"UnformattedTextValue": SAID, "AnnotationGroupNumber": 1}
    own = {
        "AcquisitionDateTime": MOMENT,
        "AcquisitionContextSequence": [],
        "WaveformSequence": [group],
        "WaveformAnnotationSequence": [
            note,
            {
                "ConceptNameCodeSequence": code("Rate"),
                "NumericValue": "60",
                "AnnotationGroupNumber": 1,
            },
        ],
    }
    keeps = (
        "WaveformData NumberOfWaveformChannels NumberOfWaveformSamples SamplingFrequency"
        " ChannelSensitivity ChannelBaseline WaveformBitsAllocated"
    )
    return kind(name, _WAVE + number, modality, own, keeps, "ChannelLabel")


_STEP: Literal = {
    "ScheduledStationAETitle": "QXSTATION7",
    "ScheduledStationName": "QXSTATION7",
    "ScheduledProcedureStepStartDate": DAY,
    "ScheduledProcedureStepStartTime": "112233",
    "Modality": "CT",
    "ScheduledPerformingPhysicianName": DOCTOR,
    "ScheduledProcedureStepDescription": SAID,
    "ScheduledProcedureStepID": "ZST90817",
    "ScheduledProcedureStepLocation": "QXSTATION7",
    "CommentsOnTheScheduledProcedureStep": SAID,
    "ScheduledProtocolCodeSequence": code("Head", "69536005", "SCT"),
}
_WORKLIST: Literal = {
    "ScheduledProcedureStepSequence": [_STEP],
    "RequestedProcedureID": "ZST90817",
    "RequestedProcedureDescription": SAID,
    "RequestedProcedureComments": SAID,
    "NamesOfIntendedRecipientsOfResults": DOCTOR,
    "PatientTransportArrangements": SAID,
    "AdmissionID": "ZST90817",
    "CurrentPatientLocation": PLACE,
    "PlacerOrderNumberImagingServiceRequest": "ZST90817",
    "OrderEnteredBy": OPERATOR,
    "OrderCallbackPhoneNumber": "5550182773",
    "IssueDateOfImagingServiceRequest": DAY,
    "ReasonForTheRequestedProcedure": SAID,
}
_PERFORMED: Literal = {
    "ScheduledStepAttributesSequence": [
        {
            "StudyInstanceUID": f"{ROOT}11",
            "ReferencedStudySequence": [reference(70, "1.2.840.10008.3.1.2.3.1")],
            "AccessionNumber": "ACZ55521",
            "RequestedProcedureDescription": SAID,
            "ScheduledProcedureStepDescription": SAID,
        }
    ],
    "PerformedStationAETitle": "QXSTATION7",
    "PerformedStationName": "QXSTATION7",
    "PerformedLocation": PLACE,
    "PerformedProcedureStepStatus": "COMPLETED",
    "PerformedProcedureStepDescription": SAID,
    "PerformedProcedureStepEndDate": DAY,
    "PerformedSeriesSequence": [
        {
            "PerformingPhysicianName": DOCTOR,
            "OperatorsName": OPERATOR,
            "ProtocolName": SAID,
            "SeriesInstanceUID": f"{ROOT}12",
            "SeriesDescription": SAID,
            "RetrieveAETitle": "QXSTATION7",
            "ReferencedImageSequence": [reference(1)],
        }
    ],
    "TotalNumberOfExposures": 3,
}
_UNIFIED: Literal = {
    "ProcedureStepState": "COMPLETED",
    "ProcedureStepLabel": SAID,
    "WorklistLabel": SAID,
    "ScheduledProcedureStepPriority": "HIGH",
    "ScheduledProcedureStepStartDateTime": MOMENT,
    "ScheduledHumanPerformersSequence": [
        {
            "HumanPerformerCodeSequence": code("Marrowby"),
            "HumanPerformerName": DOCTOR,
            "HumanPerformerOrganization": PLACE,
        }
    ],
    "ProcedureStepProgressInformationSequence": [
        {
            "ProcedureStepProgress": "50",
            "ProcedureStepProgressDescription": SAID,
            "ProcedureStepCommunicationsURISequence": [
                {"ContactURI": "http://zobeide.example/", "ContactDisplayName": DOCTOR}
            ],
        }
    ],
    "UnifiedProcedureStepPerformedProcedureSequence": [
        {
            "ActualHumanPerformersSequence": [{"HumanPerformerName": OPERATOR}],
            "PerformedProcedureStepStartDateTime": MOMENT,
            "PerformedProcedureStepEndDateTime": MOMENT,
            "OutputInformationSequence": [
                {"StudyInstanceUID": f"{ROOT}11", "ReferencedSOPSequence": [reference(1)]}
            ],
        }
    ],
    "TransactionUID": f"{ROOT}57",
}


DOCUMENTS = (
    _state(
        "grayscale presentation",
        1,
        "WindowCenter PresentationLUTShape PresentationSizeMode",
        SoftcopyVOILUTSequence=[_WINDOW],
        PresentationLUTShape="IDENTITY",
        **_DISPLAYED,
    ),
    _state(
        "color presentation",
        2,
        "ICCProfile PresentationSizeMode",
        ICCProfile=b"\0\x01" * 8,
        **_DISPLAYED,
    ),
    _state(
        "pseudo-color presentation",
        3,
        "ICCProfile RedPaletteColorLookupTableData",
        ICCProfile=b"\0\x01" * 8,
        RedPaletteColorLookupTableDescriptor=[2, 0, 16],
        RedPaletteColorLookupTableData=b"\0\x01\0\x02",
        **_DISPLAYED,
    ),
    _state(
        "blending presentation",
        4,
        "RelativeOpacity BlendingPosition WindowCenter",
        BlendingSequence=[
            {
                "BlendingPosition": "UNDERLYING",
                "StudyInstanceUID": f"{ROOT}11",
                "ReferencedSeriesSequence": [
                    {"SeriesInstanceUID": f"{ROOT}12", "ReferencedImageSequence": [reference(1)]}
                ],
                "SoftcopyVOILUTSequence": [_WINDOW],
            }
        ],
        RelativeOpacity=0.5,
        **_DISPLAYED,
    ),
    _state(
        "XA/XRF presentation",
        5,
        "WindowCenter PresentationLUTShape",
        SoftcopyVOILUTSequence=[_WINDOW],
        PresentationLUTShape="IDENTITY",
        **_DISPLAYED,
    ),
    _state(
        "advanced blending",
        8,
        "BlendingInputNumber BlendingMode",
        AdvancedBlendingSequence=[
            {
                "BlendingInputNumber": 1,
                "StudyInstanceUID": f"{ROOT}11",
                "SeriesInstanceUID": f"{ROOT}12",
            }
        ],
        BlendingDisplaySequence=[{"BlendingMode": "EQUAL"}],
        **_DISPLAYED,
    ),
    _document("encapsulated PDF", 1, "DOC", "application/pdf", b"%PDF-1.4 Quillfeather %%EOF"),
    _document(
        "encapsulated CDA",
        2,
        "DOC",
        "text/xml",
        b"<ClinicalDocument>Quillfeather</x>",
        HL7InstanceIdentifier="1.2.3^MRN7741902",
    ),
    _document("encapsulated STL", 3, "M3D", "model/stl", b"solid Quillfeather", **_MODEL),
    _document("encapsulated OBJ", 4, "M3D", "model/obj", b"# Quillfeather", **_MODEL),
    _document("encapsulated MTL", 5, "M3D", "model/mtl", b"newmtl Quillfeather", **_MODEL),
    _document(
        "encapsulated PDF with content",
        1,
        "DOC",
        "application/pdf",
        b"%PDF Quillfeather",
        ContentSequence=[*SAYING, IMAGE_ITEM],
    ),
    _waveform("12-lead ECG", "1.1", "ECG", 16, bytes(range(16))),
    _waveform("general ECG", "1.2", "ECG", 16, bytes(range(32))),
    _waveform("ambulatory ECG", "1.3", "ECG", 16, bytes(range(64))),
    _waveform("hemodynamic", "2.1", "HD", 16, bytes(range(16))),
    _waveform("cardiac electrophysiology", "3.1", "EPS", 16, bytes(range(16))),
    _waveform("basic voice audio", "4.1", "AU", 8, b"\x80\x81\x82\x83"),
    _waveform("general audio", "4.2", "AU", 16, bytes(range(16))),
    _waveform("arterial pulse", "5.1", "HD", 8, bytes(range(16))),
    _waveform("respiratory", "6.1", "RESP", 16, bytes(range(16))),
    kind(
        "modality worklist",
        "1.2.840.10008.5.1.4.31",
        "CT",
        _WORKLIST,
        "ScheduledProtocolCodeSequence",
    ),
    kind(
        "performed procedure step",
        "1.2.840.10008.3.1.2.3.3",
        "CT",
        _PERFORMED,
        "PerformedProcedureStepStatus TotalNumberOfExposures",
    ),
    kind(
        "unified procedure step",
        "1.2.840.10008.5.1.4.34.6.1",
        "CT",
        _UNIFIED,
        "ProcedureStepState ScheduledProcedureStepPriority ProcedureStepProgress",
    ),
)
