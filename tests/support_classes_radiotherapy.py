"""Radiotherapy: structures, plans, doses, images and records of treatments."""

from support_classes import DAY, DOCTOR, IMAGE, OPERATOR, PLACE, SAID, Literal, kind, reference
from support_classes_images import FRAME_OF_REFERENCE, PIXELS, STORAGE
from support_deid import ROOT

_CONTOUR: Literal = {
    "ContourImageSequence": [reference(2)],
    "ContourGeometricType": "CLOSED_PLANAR",
    "NumberOfContourPoints": 3,
    "ContourNumber": 1,
    "ContourData": ["1.5", "2", "3", "4.25", "5", "6", "7", "8", "9"],
}
_STRUCTURES: Literal = {
    "StructureSetLabel": "Quillfeather",
    "StructureSetName": SAID,
    "StructureSetDescription": SAID,
    "StructureSetDate": DAY,
    "StructureSetTime": "112233",
    "ReferencedFrameOfReferenceSequence": [
        {
            "FrameOfReferenceUID": f"{ROOT}14",
            "RTReferencedStudySequence": [
                {
                    **reference(70, "1.2.840.10008.3.1.2.3.1"),
                    "RTReferencedSeriesSequence": [
                        {
                            "SeriesInstanceUID": f"{ROOT}12",
                            "ContourImageSequence": [reference(2)],
                        }
                    ],
                }
            ],
        }
    ],
    "StructureSetROISequence": [
        {
            "ROINumber": 7,
            "ReferencedFrameOfReferenceUID": f"{ROOT}14",
            "ROIName": "kepi",
            "ROIDescription": SAID,
            "ROIGenerationAlgorithm": "MANUAL",
        }
    ],
    "ROIContourSequence": [
        {"ROIDisplayColor": [255, 0, 1], "ContourSequence": [_CONTOUR], "ReferencedROINumber": 7}
    ],
    "RTROIObservationsSequence": [
        {
            "ObservationNumber": 1,
            "ReferencedROINumber": 7,
            "ROIObservationLabel": "Quillfeather",
            "RTROIInterpretedType": "PTV",
            "ROIInterpreter": DOCTOR,
        }
    ],
    "ApprovalStatus": "APPROVED",
    "ReviewDate": DAY,
    "ReviewTime": "112233",
    "ReviewerName": DOCTOR,
}
_BEAM: Literal = {
    "TreatmentMachineName": "QXSTATION7",
    "PrimaryDosimeterUnit": "MU",
    "SourceAxisDistance": "1000",
    "BeamNumber": 3,
    "BeamName": "kepi",
    "BeamDescription": SAID,
    "BeamType": "STATIC",
    "RadiationType": "PHOTON",
    "TreatmentDeliveryType": "TREATMENT",
    "FinalCumulativeMetersetWeight": "1",
    "NumberOfControlPoints": 2,
    "DeviceSerialNumber": "SNQ88812",
    "InstitutionName": PLACE,
}
_CONTROL: Literal = {
    "ControlPointIndex": 0,
    "NominalBeamEnergy": "6",
    "GantryAngle": "123.5",
    "CumulativeMetersetWeight": "0",
}
_PLAN: Literal = {
    "RTPlanLabel": "Quillfeather",
    "RTPlanName": SAID,
    "RTPlanDescription": SAID,
    "RTPlanDate": DAY,
    "RTPlanTime": "112233",
    "RTPlanGeometry": "PATIENT",
    "PrescriptionDescription": SAID,
    "FractionGroupSequence": [
        {
            "FractionGroupNumber": 1,
            "NumberOfFractionsPlanned": 25,
            "NumberOfBeams": 1,
            "NumberOfBrachyApplicationSetups": 0,
            "ReferencedBeamSequence": [
                {"BeamDose": "2.5", "BeamMeterset": "110.25", "ReferencedBeamNumber": 3}
            ],
        }
    ],
    "ReferencedStructureSetSequence": [reference(3, f"{STORAGE}481.3")],
    "ApprovalStatus": "UNAPPROVED",
    "ReviewerName": DOCTOR,
}
_PLANNED = "NumberOfFractionsPlanned BeamDose BeamMeterset BeamNumber GantryAngle NominalBeamEnergy"
_TREATED: Literal = {
    "TreatmentDate": DAY,
    "TreatmentTime": "112233",
    "TreatmentMachineSequence": [
        {
            "TreatmentMachineName": "QXSTATION7",
            "Manufacturer": "ACME",
            "InstitutionName": PLACE,
            "ManufacturerModelName": "Kepi 3",
            "DeviceSerialNumber": "SNQ88812",
        }
    ],
    "ReferencedRTPlanSequence": [reference(4, f"{STORAGE}481.5")],
}
_DELIVERED: Literal = {
    "ReferencedBeamNumber": 3,
    "BeamName": "kepi",
    "CurrentFractionNumber": 2,
    "TreatmentTerminationStatus": "NORMAL",
    "TreatmentVerificationStatus": "VERIFIED",
    "ControlPointDeliverySequence": [
        {
            "TreatmentControlPointDate": DAY,
            "TreatmentControlPointTime": "112233",
            "SpecifiedMeterset": "110",
            "DeliveredMeterset": "110.25",
            "OverrideSequence": [{"OperatorsName": OPERATOR, "OverrideReason": SAID}],
        }
    ],
}
_RECORDED = "CurrentFractionNumber DeliveredMeterset TreatmentTerminationStatus"
_DOSE: Literal = {
    "DoseUnits": "GY",
    "DoseType": "PHYSICAL",
    "DoseComment": SAID,
    "DoseSummationType": "PLAN",
    "GridFrameOffsetVector": ["0", "3"],
    "DoseGridScaling": "0.000123",
    "ReferencedRTPlanSequence": [reference(4, f"{STORAGE}481.5")],
    "DVHSequence": [
        {"DVHData": ["1", "2"], "DVHType": "CUMULATIVE", "DoseUnits": "GY", "DVHNumberOfBins": 1}
    ],
    **FRAME_OF_REFERENCE,
    **IMAGE,
}

RADIOTHERAPY = (
    kind(
        "RT structure set",
        STORAGE + "481.3",
        "RTSTRUCT",
        _STRUCTURES,
        "ContourData ContourGeometricType ROINumber ReferencedROINumber ROIDisplayColor"
        " RTROIInterpretedType",
        "ROIName",
    ),
    kind(
        "RT plan",
        STORAGE + "481.5",
        "RTPLAN",
        _PLAN | {"BeamSequence": [_BEAM | {"ControlPointSequence": [_CONTROL]}]},
        _PLANNED,
    ),
    kind(
        "RT ion plan",
        STORAGE + "481.8",
        "RTPLAN",
        _PLAN | {"IonBeamSequence": [_BEAM | {"IonControlPointSequence": [_CONTROL]}]},
        _PLANNED,
    ),
    kind(
        "RT dose",
        STORAGE + "481.2",
        "RTDOSE",
        _DOSE,
        f"{PIXELS} DoseGridScaling GridFrameOffsetVector DVHData DoseUnits",
    ),
    kind(
        "RT image",
        STORAGE + "481.1",
        "RTIMAGE",
        IMAGE
        | {
            "RTImageLabel": "Quillfeather",
            "RTImageDescription": SAID,
            "RTImageName": SAID,
            "RadiationMachineName": "QXSTATION7",
            "GantryAngle": "12.5",
            "ReferencedRTPlanSequence": [reference(4, f"{STORAGE}481.5")],
        },
        f"{PIXELS} GantryAngle",
    ),
    kind(
        "RT beams record",
        STORAGE + "481.4",
        "RTRECORD",
        _TREATED | {"TreatmentSessionBeamSequence": [_DELIVERED]},
        _RECORDED,
    ),
    kind(
        "RT ion beams record",
        STORAGE + "481.9",
        "RTRECORD",
        _TREATED
        | {
            "TreatmentSessionIonBeamSequence": [
                {
                    key: value
                    for key, value in _DELIVERED.items()
                    if key != "ControlPointDeliverySequence"
                }
            ]
        },
        "CurrentFractionNumber TreatmentTerminationStatus",
    ),
    kind(
        "RT brachy record",
        STORAGE + "481.6",
        "RTRECORD",
        _TREATED | {"BrachyTreatmentType": "HDR", "CurrentFractionNumber": 2},
        "BrachyTreatmentType CurrentFractionNumber",
    ),
    kind(
        "RT treatment summary",
        STORAGE + "481.7",
        "RTRECORD",
        _TREATED | {"CurrentTreatmentStatus": "COMPLETED", "TreatmentStatusComment": SAID},
        "CurrentTreatmentStatus",
    ),
)
