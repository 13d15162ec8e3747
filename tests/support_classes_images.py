"""Images of all kinds, single and enhanced, and what is kept like them."""

from typing import Any

from support_classes import (
    DAY,
    DOCTOR,
    IMAGE,
    MOMENT,
    OPERATOR,
    PLACE,
    PRIVATE_CLASS,
    SAID,
    Kind,
    Literal,
    code,
    kind,
    reference,
)
from support_deid import ROOT

STORAGE = "1.2.840.10008.5.1.4.1.1."
PIXELS = "PixelData Rows Columns BitsStored PhotometricInterpretation"
FRAME_OF_REFERENCE: Literal = {"FrameOfReferenceUID": f"{ROOT}14", "PositionReferenceIndicator": ""}
CREATED: Literal = {
    "ContentLabel": "KEPI",
    "ContentDescription": SAID,
    "ContentCreatorName": DOCTOR,
    "ContentCreatorIdentificationCodeSequence": [
        {"PersonIdentificationCodeSequence": code("Marrowby"), "InstitutionName": PLACE}
    ],
}
_DIMENSIONS: Literal = {
    "DimensionOrganizationSequence": [{"DimensionOrganizationUID": f"{ROOT}15"}],
    "DimensionIndexSequence": [
        {
            "DimensionOrganizationUID": f"{ROOT}15",
            "DimensionIndexPointer": 0x00200032,
            "FunctionalGroupPointer": 0x00209113,
            "DimensionDescriptionLabel": "Position",
        }
    ],
}
_PLANE: Literal = {
    "PixelMeasuresSequence": [{"SliceThickness": "3", "PixelSpacing": ["0.5", "0.5"]}],
    "PlaneOrientationSequence": [{"ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"]}],
}


def frames(**groups: Any) -> Literal:  # noqa: ANN401  (any value)
    frame = {
        "FrameContentSequence": [
            {
                "FrameAcquisitionDateTime": MOMENT,
                "FrameReferenceDateTime": MOMENT,
                "FrameAcquisitionDuration": 12.5,
                "DimensionIndexValues": [1],
                "FrameComments": SAID,
                "FrameLabel": SAID,
            }
        ],
        "PlanePositionSequence": [{"ImagePositionPatient": ["1", "2", "3"]}],
        "DerivationImageSequence": [
            {
                "DerivationDescription": SAID,
                "SourceImageSequence": [
                    {
                        **reference(2),
                        "PurposeOfReferenceCodeSequence": code("Source", "121322", "DCM"),
                    }
                ],
                "DerivationCodeSequence": code("Segmentation", "113076", "DCM"),
            }
        ],
    }
    return {
        "NumberOfFrames": 1,
        "SharedFunctionalGroupsSequence": [_PLANE],
        "PerFrameFunctionalGroupsSequence": [frame | groups],
        "AcquisitionDateTime": MOMENT,
        **FRAME_OF_REFERENCE,
        **_DIMENSIONS,
    }


GEOMETRY = (
    "ImagePositionPatient ImageOrientationPatient PixelSpacing SliceThickness DimensionIndexValues"
)


def _image(name: str, number: str, modality: str, keeps: str = "", **own: Any) -> Kind:  # noqa: ANN401  (any value)
    shared = {
        "AcquisitionDate": DAY,
        "AcquisitionTime": "112233",
        "AcquisitionDateTime": MOMENT,
        "ImageComments": SAID,
        "ProtocolName": SAID,
        "PerformingPhysicianName": DOCTOR,
        "SourceImageSequence": [reference(2)],
    }
    return kind(name, STORAGE + number, modality, shared | IMAGE | own, f"{PIXELS} {keeps}")


def _enhanced(name: str, number: str, modality: str, keeps: str = "", **groups: Any) -> Kind:  # noqa: ANN401  (any value)
    own = frames(**groups) | {"ImageComments": SAID, "ContentQualification": "RESEARCH"}
    keeps = f"{PIXELS} {GEOMETRY} FrameAcquisitionDuration NumberOfFrames {keeps}"
    return kind(name, STORAGE + number, modality, IMAGE | own, keeps)


_SLIDE: Literal = {
    **frames(),
    "ImagedVolumeWidth": 15.0,
    "TotalPixelMatrixColumns": 2,
    "ContainerIdentifier": "ZST90817",
    "BarcodeValue": "ACZ55521",
    "LabelText": SAID,
    "SpecimenLabelInImage": "NO",
    "SpecimenDescriptionSequence": [
        {
            "SpecimenIdentifier": "ZST90817",
            "SpecimenUID": f"{ROOT}59",
            "SpecimenShortDescription": SAID,
            "SpecimenDetailedDescription": SAID,
            "SpecimenPreparationSequence": [
                {
                    "SpecimenPreparationStepContentItemSequence": [
                        {
                            "ValueType": "TEXT",
                            "ConceptNameCodeSequence": code("Specimen Identifier"),
                            "TextValue": "ZST90817 Quillfeather",
                        }
                    ]
                }
            ],
        }
    ],
    "OpticalPathSequence": [{"OpticalPathIdentifier": "1", "ICCProfile": b"\0\x01" * 8}],
}
_PET: Literal = {
    "RadiopharmaceuticalInformationSequence": [
        {
            "RadiopharmaceuticalStartDateTime": MOMENT,
            "RadionuclideTotalDose": "370000000",
            "RadionuclideHalfLife": "6586.2",
        }
    ]
}
_EYE: Literal = {"ImageLaterality": "R", "PupilDilated": "NO", "OperatorsName": OPERATOR}


IMAGES = (
    _image("computed radiography", "1", "CR"),
    _image("digital X-ray", "1.1", "DX"),
    _image("mammography", "1.2", "MG"),
    _image("CT image", "2", "CT", "KVP", KVP="120"),
    _image("MR image", "4", "MR", "EchoTime", EchoTime="30"),
    _image("ultrasound", "6.1", "US"),
    _image("ultrasound multi-frame", "3.1", "US", "FrameTime", NumberOfFrames=1, FrameTime="33"),
    _image(
        "secondary capture", "7", "OT", ConversionType="WSD", SecondaryCaptureDeviceID="SNQ88812"
    ),
    _image("angiography", "12.1", "XA", "PositionerPrimaryAngle", PositionerPrimaryAngle="12"),
    _image("nuclear medicine", "20", "NM", "RadionuclideHalfLife", **_PET),
    _image(
        "PET image", "128", "PT", "RadionuclideHalfLife DecayFactor", DecayFactor="1.01", **_PET
    ),
    _enhanced("enhanced CT", "2.1", "CT"),
    _enhanced(
        "enhanced MR",
        "4.1",
        "MR",
        "EffectiveEchoTime",
        MREchoSequence=[{"EffectiveEchoTime": 30.5}],
    ),
    _enhanced("enhanced MR color", "4.3", "MR"),
    _enhanced("enhanced PET", "130", "PT"),
    _enhanced("enhanced US volume", "6.2", "US"),
    _enhanced("enhanced XA", "12.1.1", "XA"),
    _enhanced("breast tomosynthesis", "13.1.3", "MG"),
    _enhanced("legacy converted CT", "2.2", "CT"),
    _enhanced("legacy converted MR", "4.4", "MR"),
    _enhanced("legacy converted PET", "128.1", "PT"),
    kind(
        "MR spectroscopy",
        STORAGE + "4.2",
        "MR",
        frames()
        | {
            "Rows": 1,
            "Columns": 1,
            "DataPointRows": 1,
            "DataPointColumns": 2,
            "SpectroscopyData": b"\0\0\x80\x3f" * 4,
        },
        "SpectroscopyData DataPointColumns",
    ),
    kind(
        "raw data",
        STORAGE + "66",
        "MR",
        {
            "AcquisitionDateTime": MOMENT,
            "ReferencedInstanceSequence": [reference(2)],
            "ImageComments": SAID,
            **FRAME_OF_REFERENCE,
        },
        "SoftwareVersions",
    ),
    kind(
        "whole slide",
        STORAGE + "77.1.6",
        "SM",
        IMAGE | _SLIDE,
        f"{PIXELS} ICCProfile ImagedVolumeWidth",
    ),
    _image("ophthalmic photography", "77.1.5.1", "OP", "ImageLaterality PupilDilated", **_EYE),
    _enhanced("ophthalmic tomography", "77.1.5.4", "OPT"),
    kind(
        "keratometry",
        STORAGE + "78.3",
        "KER",
        {
            "KeratometryRightEyeSequence": [
                {
                    "SteepKeratometricAxisSequence": [
                        {"RadiusOfCurvature": 7.5, "KeratometricPower": 45.0}
                    ]
                }
            ],
            "OperatorsName": OPERATOR,
        },
        "RadiusOfCurvature KeratometricPower",
    ),
    _image("video endoscopy", "77.1.1.1", "ES", "CineRate", NumberOfFrames=1, CineRate=25),
    kind("private class", PRIVATE_CLASS, "MR", IMAGE | {"ImageComments": SAID}, PIXELS),
    kind(
        "CT performed protocol",
        STORAGE + "200.2",
        "CT",
        CREATED
        | {
            "ProtocolName": SAID,
            "PotentialScheduledProtocolCodeSequence": code("Head"),
            "AcquisitionProtocolElementSpecificationSequence": [
                {"ProtocolElementNumber": 1, "ProtocolElementName": SAID}
            ],
        },
        "ProtocolElementNumber",
    ),
)
