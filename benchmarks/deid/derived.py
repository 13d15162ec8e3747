"""Objects made from planted vendor objects, of classes the corpus has none of.

Documents (CDA, STL) from a PDF; key object selections and presentation states from
images, which they refer to, so that references across objects are checked too.
"""

from collections.abc import Callable

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from benchmarks.deid.burned_in import SECONDARY_CAPTURE
from benchmarks.deid.identity import Kind, Persona, Token
from benchmarks.deid.phrases import Writer
from benchmarks.deid.spots import Spot

PDF = "1.2.840.10008.5.1.4.1.1.104.1"
CDA = "1.2.840.10008.5.1.4.1.1.104.2"
STL = "1.2.840.10008.5.1.4.1.1.104.3"
KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"
PRESENTATION_STATE = "1.2.840.10008.5.1.4.1.1.11.1"

MIME_TYPES = {PDF: "application/pdf", CDA: "text/XML", STL: "model/stl"}


def key_objects(source: Dataset, new_uid: Callable[[], str]) -> Dataset:
    """A Key Object Selection of one image (PS3.3 A.35.4).

    Args:
        source: The planted image.
        new_uid: Gives a UID that embeds serial number and date.
    """
    dataset = _start(source, KEY_OBJECTS, "KO", new_uid)
    reference = _reference(source)
    series = Dataset()
    series.SeriesInstanceUID = source.SeriesInstanceUID
    series.ReferencedSOPSequence = [reference]
    study = Dataset()
    study.StudyInstanceUID = source.StudyInstanceUID
    study.ReferencedSeriesSequence = [series]
    dataset.CurrentRequestedProcedureEvidenceSequence = [study]
    dataset.ValueType = "CONTAINER"
    dataset.ContinuityOfContent = "SEPARATE"
    dataset.ConceptNameCodeSequence = [_code("113000", "Of Interest")]
    image = Dataset()
    image.RelationshipType, image.ValueType = "CONTAINS", "IMAGE"
    image.ReferencedSOPSequence = [_reference(source)]
    dataset.ContentSequence = [image]
    return dataset


def presentation_state(source: Dataset, new_uid: Callable[[], str]) -> Dataset:
    """A Grayscale Softcopy Presentation State of one image (PS3.3 A.33.1)."""
    dataset = _start(source, PRESENTATION_STATE, "PR", new_uid)
    series = Dataset()
    series.SeriesInstanceUID = source.SeriesInstanceUID
    series.ReferencedImageSequence = [_reference(source)]
    dataset.ReferencedSeriesSequence = [series]
    dataset.ContentLabel = "ARROWS"
    layer = Dataset()
    layer.GraphicLayer, layer.GraphicLayerOrder = "LAYER1", 1
    dataset.GraphicLayerSequence = [layer]
    return dataset


def secondary_capture(source: Dataset, new_uid: Callable[[], str]) -> Dataset:
    """A Secondary Capture Image, still without pixels (PS3.3 A.8)."""
    return _start(source, SECONDARY_CAPTURE, "OT", new_uid)


def document(source: Dataset, sop_class: str, new_uid: Callable[[], str]) -> Dataset:
    """An encapsulated document, still empty (PS3.3 A.45, A.85)."""
    dataset = _start(source, sop_class, "DOC" if sop_class == CDA else "M3D", new_uid)
    dataset.BurnedInAnnotation = "NO"
    dataset.DocumentTitle = ""
    dataset.ConceptNameCodeSequence = []
    return dataset


def file_meta() -> FileMetaDataset:
    """Of an object that no vendor encoded."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return meta


def annotate(spot: Spot, persona: Persona, writer: Writer) -> None:
    """Write the name across the image of a presentation state."""
    image = spot.dataset.ReferencedSeriesSequence[0].ReferencedImageSequence[0]
    annotation = spot.at("graphic annotation").item(0x00700001)
    annotation.dataset.ReferencedImageSequence = [_reference_to(image)]
    annotation.dataset.GraphicLayer = "LAYER1"
    text = annotation.item(0x00700008)
    text.put_phrase(0x00700006, "ST", writer.phrase(200))
    text.dataset.AnchorPointAnnotationUnits = "PIXEL"
    text.dataset.AnchorPoint = [1.0, 1.0]
    text.dataset.AnchorPointVisibility = "N"
    family, given = persona.physicians[0]
    creator = [Token(family, Kind.NAME), Token(given, Kind.NAME)]
    spot.at("presentation state").put(0x00700084, "PN", f"{family}^{given}", creator)
    spot.at("presentation state").put_phrase(0x00700081, "LO", writer.phrase(64))


def _start(source: Dataset, sop_class: str, modality: str, new_uid: Callable[[], str]) -> Dataset:
    dataset = Dataset()
    dataset.StudyInstanceUID = source.StudyInstanceUID
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = new_uid()
    dataset.SeriesInstanceUID = new_uid()
    dataset.Modality = modality
    dataset.InstanceNumber = "1"
    return dataset


def _reference(source: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = source.SOPClassUID
    reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
    return reference


def _reference_to(image: Dataset) -> Dataset:
    reference = Dataset()
    reference.update(image)
    return reference


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code
