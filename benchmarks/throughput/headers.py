"""Headers as scanners write them: the elements of the inputs, without their pixels."""

import struct
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

_STUDY: Final = "2.25.130000000000000000000000000000000001"
_FRAME_OF_REFERENCE: Final = "2.25.130000000000000000000000000000000002"
_CSA_BYTES: Final = 80_000


def patient(dataset: Dataset, name: str) -> None:
    """Patient, study, series, equipment and people.

    Args:
        dataset: Gets them.
        name: Patient's Name.
    """
    given = {
        "SpecificCharacterSet": "ISO_IR 100",
        "InstanceCreationDate": "20240305",
        "InstanceCreationTime": "101112",
        "StudyDate": "20240305",
        "SeriesDate": "20240305",
        "AcquisitionDate": "20240305",
        "ContentDate": "20240305",
        "StudyTime": "100000",
        "SeriesTime": "100500",
        "AcquisitionTime": "100612.25",
        "ContentTime": "100612.25",
        "AccessionNumber": "EX0012345",
        "InstitutionName": "Example Hospital",
        "InstitutionAddress": "1 Example Street",
        "InstitutionalDepartmentName": "Radiology",
        "ReferringPhysicianName": "EXAMPLE^REFERRER",
        "PerformingPhysicianName": "EXAMPLE^PERFORMER",
        "OperatorsName": "EXAMPLE^OPERATOR",
        "StationName": "EXAMPLE01",
        "StudyDescription": "CHEST^ROUTINE",
        "SeriesDescription": "AXIAL 1.25",
        "ProtocolName": "5.1 CHEST ROUTINE",
        "ManufacturerModelName": "EXAMPLE 64",
        "DeviceSerialNumber": "000000012345",
        "SoftwareVersions": "07MW18.4",
        "PatientName": name,
        "PatientID": "EX-000123",
        "PatientBirthDate": "19700101",
        "PatientSex": "O",
        "PatientAge": "054Y",
        "PatientSize": "1.75",
        "PatientWeight": "75",
        "AdditionalPatientHistory": "Cough for two weeks",
        "StudyInstanceUID": _STUDY,
        "StudyID": "4711",
        "SeriesNumber": "2",
        "AcquisitionNumber": "1",
        "InstanceNumber": "17",
        "PatientPosition": "HFS",
        "FrameOfReferenceUID": _FRAME_OF_REFERENCE,
        "PositionReferenceIndicator": "SN",
        "ImagePositionPatient": ["-180.0", "-180.0", "42.5"],
        "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
        "SliceLocation": "42.5",
        "ImageComments": "",
        "RequestingPhysician": "EXAMPLE^REQUESTER",
        "RequestedProcedureDescription": "CT chest",
        "PerformedProcedureStepStartDate": "20240305",
        "PerformedProcedureStepStartTime": "100000",
        "PerformedProcedureStepID": "PPS4711",
        "PerformedProcedureStepDescription": "CHEST ROUTINE",
    }
    for keyword, value in given.items():
        setattr(dataset, keyword, value)
    step = _item(
        ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.3",
        ReferencedSOPInstanceUID=f"{_STUDY}.1",
    )
    dataset.ReferencedPerformedProcedureStepSequence = Sequence([step])
    dataset.ReferencedStudySequence = Sequence([_reference(2)])
    dataset.ReferencedImageSequence = Sequence([_reference(number) for number in (3, 4, 5)])
    dataset.SourceImageSequence = Sequence([_reference(6)])
    dataset.ProcedureCodeSequence = Sequence([_code("24627-2", "LN", "CT chest")])
    request = _item(
        RequestedProcedureID="RP4711",
        ScheduledProcedureStepID="SPS4711",
        ScheduledProcedureStepDescription="CT chest without contrast",
    )
    protocol = _code("CTCHEST", "99EXAMPLE", "Chest routine")
    protocol.ProtocolContextSequence = Sequence([_item(ValueType="TEXT", TextValue="supine")])
    request.ScheduledProtocolCodeSequence = Sequence([protocol])
    dataset.RequestAttributesSequence = Sequence([request])
    region = _code("51185008", "SCT", "Chest")
    region.AnatomicRegionModifierSequence = Sequence([_code("51440002", "SCT", "Bilateral")])
    dataset.AnatomicRegionSequence = Sequence([region])


def ct(dataset: Dataset) -> None:
    """What a CT of General Electric adds."""
    given = {
        "Modality": "CT",
        "Manufacturer": "GE MEDICAL SYSTEMS",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "BodyPartExamined": "CHEST",
        "ScanOptions": "HELICAL MODE",
        "SliceThickness": "1.25",
        "KVP": "120",
        "DataCollectionDiameter": "500",
        "ReconstructionDiameter": "360",
        "DistanceSourceToDetector": "949.075",
        "DistanceSourceToPatient": "541",
        "GantryDetectorTilt": "0",
        "TableHeight": "150",
        "RotationDirection": "CW",
        "ExposureTime": "500",
        "XRayTubeCurrent": "300",
        "Exposure": "150",
        "FilterType": "BODY FILTER",
        "GeneratorPower": "36000",
        "FocalSpots": "1.2",
        "ConvolutionKernel": "STANDARD",
        "RevolutionTime": 0.5,
        "SingleCollimationWidth": 0.625,
        "TotalCollimationWidth": 40.0,
        "TableSpeed": 78.75,
        "TableFeedPerRotation": 39.375,
        "SpiralPitchFactor": 0.984,
        "RescaleIntercept": "-1024",
        "RescaleSlope": "1",
        "RescaleType": "HU",
        "WindowCenter": "40",
        "WindowWidth": "400",
        "CTDIvol": 7.25,
    }
    for keyword, value in given.items():
        setattr(dataset, keyword, value)
    for group, creator, elements in (
        (0x0009, "GEMS_IDEN_01", [(1, "LO", "CT_LIGHTSPEED"), (2, "SH", "EX01"), (4, "SH", "LS")]),
        (0x0019, "GEMS_ACQU_01", [(number, "DS", f"{number}.5") for number in range(2, 10)]),
        (0x0021, "GEMS_RELA_01", [(number, "SL", number) for number in range(3, 7)]),
        (0x0023, "GEMS_STDY_01", [(0x70, "FD", 1709633172.25)]),
        (0x0027, "GEMS_IMAG_01", [(number, "FL", 0.5) for number in range(0x40, 0x46)]),
        (0x0043, "GEMS_PARM_01", [(number, "IS", str(number)) for number in range(0x10, 0x18)]),
        (0x0045, "GEMS_HELIOS_01", [(number, "SS", number) for number in range(1, 5)]),
    ):
        block = dataset.private_block(group, creator, create=True)
        for element, vr, value in elements:
            block.add_new(element, vr, value)


def mr(dataset: Dataset) -> None:
    """What an MR adds."""
    given = {
        "Modality": "MR",
        "Manufacturer": "SIEMENS",
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "NORM"],
        "BodyPartExamined": "BRAIN",
        "ScanningSequence": "EP",
        "SequenceVariant": "SK",
        "ScanOptions": "FS",
        "MRAcquisitionType": "2D",
        "SequenceName": "*epfid2d1_64",
        "AngioFlag": "N",
        "SliceThickness": "3",
        "RepetitionTime": "2000",
        "EchoTime": "30",
        "NumberOfAverages": "1",
        "ImagingFrequency": "123.25",
        "ImagedNucleus": "1H",
        "EchoNumbers": "1",
        "MagneticFieldStrength": "3",
        "SpacingBetweenSlices": "3.3",
        "NumberOfPhaseEncodingSteps": "63",
        "EchoTrainLength": "1",
        "PercentSampling": "100",
        "PercentPhaseFieldOfView": "100",
        "PixelBandwidth": "2365",
        "TransmitCoilName": "Body",
        "AcquisitionMatrix": [64, 0, 0, 64],
        "InPlanePhaseEncodingDirection": "COL",
        "FlipAngle": "77",
        "VariableFlipAngleFlag": "N",
        "SAR": "0.02",
        "dBdt": "0",
        "WindowCenter": "500",
        "WindowWidth": "1000",
    }
    for keyword, value in given.items():
        setattr(dataset, keyword, value)


def csa(dataset: Dataset) -> None:
    """80 KB of private headers as Siemens writes them (SV10)."""
    block = dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    protocol = b"### ASCCONV BEGIN ###\n" + b"".join(
        b"sSliceArray.asSlice[%d].dThickness = %d.5\n" % (number, number)
        for number in range(_CSA_BYTES // 45)
    )
    image = _csa_header([(b"EchoLinePosition", b"IS", b"32"), (b"MosaicRefAcqTimes", b"FD", b"")])
    series = _csa_header([(b"MrPhoenixProtocol", b"UN", protocol + b"### ASCCONV END ###\n")])
    block.add_new(0x08, "CS", "IMAGE NUM 4")
    block.add_new(0x09, "LO", "20240305")
    block.add_new(0x10, "OB", image)
    block.add_new(0x18, "CS", "MR")
    block.add_new(0x19, "LO", "20240305")
    block.add_new(0x20, "OB", series)


def image(dataset: Dataset, rows: int, columns: int) -> None:
    """The image pixel module.

    Args:
        dataset: Gets it.
        rows: Of the image.
        columns: Of the image.
    """
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows = rows
    dataset.Columns = columns
    dataset.PixelSpacing = ["0.703125", "0.703125"]
    dataset.BitsAllocated = 16
    dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 1
    dataset.SmallestImagePixelValue = 0
    dataset.LargestImagePixelValue = 4095


def frames(dataset: Dataset, count: int) -> None:
    """The functional groups of a multi-frame object.

    Args:
        dataset: Gets them.
        count: Of frames.
    """
    dataset.NumberOfFrames = str(count)
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence(
        [_item(PixelSpacing=["0.7", "0.7"], SliceThickness="1.25")]
    )
    shared.PlaneOrientationSequence = Sequence(
        [_item(ImageOrientationPatient=["1", "0", "0", "0", "1", "0"])]
    )
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    dataset.PerFrameFunctionalGroupsSequence = Sequence([_frame(n) for n in range(count)])
    dimension = _item(
        DimensionIndexPointer=0x00209056,
        FunctionalGroupPointer=0x00209111,
        DimensionDescriptionLabel="Stack ID",
    )
    dataset.DimensionIndexSequence = Sequence([dimension])


def _frame(number: int) -> Dataset:
    frame = Dataset()
    frame.FrameContentSequence = Sequence(
        [
            _item(
                FrameAcquisitionNumber=number + 1,
                FrameReferenceDateTime="20240305100612.250000",
                FrameAcquisitionDateTime="20240305100612.250000",
                FrameAcquisitionDuration=500.0,
                DimensionIndexValues=[1, number + 1],
                StackID="1",
                InStackPositionNumber=number + 1,
            )
        ]
    )
    frame.PlanePositionSequence = Sequence(
        [_item(ImagePositionPatient=["-180", "-180", f"{number * 1.25:.2f}"])]
    )
    frame.CTExposureSequence = Sequence(
        [_item(ExposureTimeInms=500.0, XRayTubeCurrentInmA=300.0, ExposureInmAs=150.0)]
    )
    frame.PixelValueTransformationSequence = Sequence(
        [_item(RescaleIntercept="-1024", RescaleSlope="1", RescaleType="HU")]
    )
    frame.ReferencedImageSequence = Sequence([_reference(10 + number)])
    return frame


def _reference(number: int) -> Dataset:
    return _item(
        ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2",
        ReferencedSOPInstanceUID=f"{_STUDY}.{number}",
    )


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _item(**attributes: object) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


def _csa_header(tags: list[tuple[bytes, bytes, bytes]]) -> bytes:
    parts = [b"SV10\x04\x03\x02\x01", struct.pack("<LL", len(tags), 77)]
    for name, vr, value in tags:
        parts.append(struct.pack("<64sl4slll", name, 1, vr, 22, 1, 77))
        parts.append(struct.pack("<llll", len(value), len(value), 77, len(value)))
        parts.append(value + bytes(-len(value) % 4))
    return b"".join(parts)
