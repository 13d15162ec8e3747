"""What is measured on images: segments, surfaces, maps, registrations, fiducials, tracks."""

from support_classes import IMAGE, SAID, Literal, code, kind, reference, referenced_series
from support_classes_images import (
    CREATED,
    FRAME_OF_REFERENCE,
    GEOMETRY,
    PIXELS,
    STORAGE,
    frames,
)
from support_deid import ROOT

_MATRIX = [1.0, 0.0, 0.0, 5.0, 0.0, 1.0, 0.0, 6.0, 0.0, 0.0, 1.0, 7.0, 0.0, 0.0, 0.0, 1.0]
_SEGMENT: Literal = {
    "SegmentNumber": 1,
    "SegmentLabel": "kepi",
    "SegmentDescription": SAID,
    "SegmentAlgorithmType": "MANUAL",
    "SegmentedPropertyCategoryCodeSequence": code("Tissue", "85756007", "SCT"),
    "SegmentedPropertyTypeCodeSequence": code("Liver", "10200004", "SCT"),
    "TrackingID": "kepi 1",
    "TrackingUID": f"{ROOT}55",
}
_SURFACE: Literal = {
    "SurfaceNumber": 1,
    "SurfacePointsSequence": [
        {"NumberOfSurfacePoints": 1, "PointCoordinatesData": b"\0\0\x80\x3f" * 3}
    ],
    "SurfaceMeshPrimitivesSequence": [{"LongTrianglePointIndexList": b"\x01\0\0\0" * 3}],
}
_MAPPING: Literal = {
    "RealWorldValueFirstValueMapped": 0,
    "RealWorldValueLastValueMapped": 255,
    "RealWorldValueIntercept": 0.5,
    "RealWorldValueSlope": 0.00123,
    "LUTExplanation": SAID,
    "LUTLabel": "SUVBW",
    "MeasurementUnitsCodeSequence": code("SUV", "{SUVbw}g/ml", "UCUM"),
}
_REGISTERED: Literal = {
    **CREATED,
    "FrameOfReferenceUID": f"{ROOT}14",
    "RegistrationSequence": [
        {
            "FrameOfReferenceUID": f"{ROOT}16",
            "ReferencedImageSequence": [reference(2)],
            "MatrixRegistrationSequence": [
                {
                    "MatrixSequence": [
                        {
                            "FrameOfReferenceTransformationMatrix": _MATRIX,
                            "FrameOfReferenceTransformationMatrixType": "RIGID",
                        }
                    ],
                    "FrameOfReferenceTransformationComment": SAID,
                }
            ],
        }
    ],
    "ReferencedSeriesSequence": referenced_series(2),
}
_DEFORMED: Literal = {
    **CREATED,
    "FrameOfReferenceUID": f"{ROOT}14",
    "DeformableRegistrationSequence": [
        {
            "SourceFrameOfReferenceUID": f"{ROOT}16",
            "ReferencedImageSequence": [reference(2)],
            "DeformableRegistrationGridSequence": [
                {
                    "GridDimensions": [1, 1, 1],
                    "GridResolution": [1.0, 1.0, 1.0],
                    "VectorGridData": b"\0\0\x80\x3f" * 3,
                }
            ],
        }
    ],
}
_FIDUCIALS: Literal = {
    **CREATED,
    "FiducialSetSequence": [
        {
            "FrameOfReferenceUID": f"{ROOT}14",
            "FiducialSequence": [
                {
                    "FiducialIdentifier": "F1",
                    "FiducialDescription": SAID,
                    "FiducialUID": f"{ROOT}58",
                    "ShapeType": "POINT",
                    "NumberOfContourPoints": 1,
                    "ContourData": ["1.5", "2", "3"],
                }
            ],
        }
    ],
}
_TRACKS: Literal = {
    **CREATED,
    "TrackSetSequence": [
        {
            "TrackSequence": [{"PointCoordinatesData": b"\0\0\x80\x3f" * 6}],
            "TrackSetNumber": 1,
            "TrackSetLabel": "kepi",
            "TrackSetDescription": SAID,
            "TrackingAlgorithmIdentificationSequence": [
                {"AlgorithmName": "kepi", "AlgorithmVersion": "1"}
            ],
        }
    ],
    "ReferencedInstanceSequence": [reference(2)],
    **FRAME_OF_REFERENCE,
}

MEASURES = (
    kind(
        "parametric map",
        STORAGE + "30",
        "OT",
        {key: value for key, value in IMAGE.items() if key != "PixelData"}
        | CREATED
        | frames(RealWorldValueMappingSequence=[_MAPPING])
        | {"BitsAllocated": 32, "FloatPixelData": b"\0\0\x80\x3f" * 4},
        f"FloatPixelData RealWorldValueSlope {GEOMETRY}",
    ),
    kind(
        "segmentation",
        STORAGE + "66.4",
        "SEG",
        IMAGE
        | CREATED
        | frames(SegmentIdentificationSequence=[{"ReferencedSegmentNumber": 1}])
        | {
            "SegmentSequence": [_SEGMENT],
            "SegmentationType": "BINARY",
            "ReferencedSeriesSequence": referenced_series(2),
        },
        f"{PIXELS} {GEOMETRY} SegmentNumber SegmentLabel ReferencedSegmentNumber TrackingID",
    ),
    kind(
        "label map",
        STORAGE + "66.7",
        "SEG",
        IMAGE
        | CREATED
        | frames()
        | {"SegmentSequence": [_SEGMENT], "SegmentationType": "LABELMAP"},
        f"{PIXELS} {GEOMETRY} SegmentNumber SegmentLabel",
    ),
    kind(
        "surface segmentation",
        STORAGE + "66.5",
        "SEG",
        CREATED
        | {
            "SegmentSequence": [_SEGMENT],
            "SurfaceSequence": [_SURFACE],
            "NumberOfSurfaces": 1,
            **FRAME_OF_REFERENCE,
        },
        "SegmentNumber PointCoordinatesData LongTrianglePointIndexList NumberOfSurfaces",
    ),
    kind(
        "tractography",
        STORAGE + "66.6",
        "MR",
        _TRACKS,
        "PointCoordinatesData TrackSetNumber TrackSetLabel",
    ),
    kind(
        "spatial registration",
        STORAGE + "66.1",
        "REG",
        _REGISTERED,
        "FrameOfReferenceTransformationMatrix FrameOfReferenceTransformationMatrixType",
    ),
    kind(
        "deformable registration",
        STORAGE + "66.3",
        "REG",
        _DEFORMED,
        "VectorGridData GridResolution",
    ),
    kind(
        "spatial fiducials",
        STORAGE + "66.2",
        "FID",
        _FIDUCIALS,
        "ContourData FiducialIdentifier ShapeType",
    ),
    kind(
        "real world value mapping",
        STORAGE + "67",
        "RWV",
        CREATED
        | {
            "ReferencedImageRealWorldValueMappingSequence": [
                {
                    "ReferencedImageSequence": [reference(2)],
                    "RealWorldValueMappingSequence": [_MAPPING],
                }
            ]
        },
        "RealWorldValueSlope RealWorldValueIntercept LUTLabel",
    ),
    kind(
        "simple annotations",
        STORAGE + "91.1",
        "ANN",
        {
            "AnnotationGroupSequence": [
                {
                    "AnnotationGroupNumber": 1,
                    "AnnotationGroupUID": f"{ROOT}60",
                    "AnnotationGroupLabel": "kepi",
                    "AnnotationGroupDescription": SAID,
                    "PointCoordinatesData": b"\0\0\x80\x3f" * 6,
                }
            ],
            "ReferencedSeriesSequence": referenced_series(2),
            **CREATED,
        },
        "PointCoordinatesData AnnotationGroupNumber",
    ),
)
