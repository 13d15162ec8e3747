"""Objects that are more than an image: what they say goes, what they refer to still resolves."""

from xml.etree import ElementTree as ET

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from support_deid import EXPLICIT, IMPLICIT, ROOT, SR, basic_dataset, deidentify, plan_of

from dicomanon_node.deid.rules import ActionKind, RuleAction

SYNTAXES = pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
BASIC_TEXT_SR = SR
KEY_OBJECT = "1.2.840.10008.5.1.4.1.1.88.59"
PRESENTATION_STATE = "1.2.840.10008.5.1.4.1.1.11.1"
MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def _content(value_type: str, *children: Dataset, **attributes: object) -> Dataset:
    item = Dataset()
    item.RelationshipType = "CONTAINS"
    item.ValueType = value_type
    item.ConceptNameCodeSequence = [_code("121071", "Finding")]
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    if children:
        item.ContentSequence = list(children)
    return item


def _reference(number: int) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = MR_IMAGE
    item.ReferencedSOPInstanceUID = f"{ROOT}{number}"
    return item


def _image(number: int) -> Dataset:
    return _content("IMAGE", ReferencedSOPSequence=[_reference(number)])


_SAYING: dict[str, dict[str, object]] = {
    "TEXT": {"TextValue": "Zqtext about somebody"},
    "PNAME": {"PersonName": "Zqname^X"},
    "DATE": {"Date": "19700203"},
    "DATETIME": {"DateTime": "19700203101112"},
    "UIDREF": {"UID": ROOT + "77"},
    "CODE": {"ConceptCodeSequence": [_code("1", "Zqcode")]},
    "NUM": {"MeasuredValueSequence": [_code("1", "Zqnumber")]},
    "SCOORD": {"GraphicData": [1.0, 2.0], "GraphicType": "POINT"},
}


def _report(*items: Dataset, **attributes: object) -> Dataset:
    return basic_dataset(
        SOPClassUID=BASIC_TEXT_SR,
        Modality="SR",
        ValueType="CONTAINER",
        ConceptNameCodeSequence=[_code("126000", "Imaging Report")],
        ContinuityOfContent="SEPARATE",
        CompletionFlag="COMPLETE",
        VerificationFlag="UNVERIFIED",
        ContentSequence=list(items),
        **attributes,
    )


def _types(items: Sequence) -> list[object]:
    return [
        (item.ValueType, _types(item.ContentSequence))
        if "ContentSequence" in item
        else item.ValueType
        for item in items
    ]


@SYNTAXES
@pytest.mark.parametrize("undefined", [False, True])
def test_a_report_keeps_its_tree_and_its_references_and_says_nothing(
    syntax: str, undefined: bool
) -> None:
    saying = [_content(kind, **attributes) for kind, attributes in _SAYING.items()]
    ds = _report(
        *saying,
        _image(13),
        _content("CONTAINER", *saying, _image(21), _content("CONTAINER", _image(22))),
        _content("TEXT", _image(23), TextValue="Zqinferred"),
    )
    ds["ContentSequence"].is_undefined_length = undefined
    for item in ds.ContentSequence:
        item.is_undefined_length_sequence_item = undefined
    output = deidentify(ds, plan_of(), syntax)
    new = output.dataset
    assert b"Zq" not in output.data
    assert b"19700203" not in output.data
    assert _types(new.ContentSequence) == [
        "IMAGE",
        ("CONTAINER", ["IMAGE", ("CONTAINER", ["IMAGE"])]),
    ]
    reference = new.ContentSequence[0].ReferencedSOPSequence[0]
    assert reference.ReferencedSOPInstanceUID == new.SOPInstanceUID
    assert reference.ReferencedSOPClassUID == MR_IMAGE
    assert new.ConceptNameCodeSequence[0].CodeMeaning == "Imaging Report"
    assert new.CompletionFlag == "COMPLETE"


@SYNTAXES
def test_a_report_of_words_only_keeps_a_content_item_without_them(syntax: str) -> None:
    output = deidentify(_report(_content("TEXT", TextValue="Zqtext")), plan_of(), syntax)
    (item,) = output.dataset.ContentSequence
    assert item.ValueType == "TEXT"
    assert item.TextValue == "-"
    assert item.ConceptNameCodeSequence[0].CodeValue == "121106"
    assert b"Zqtext" not in output.data


def test_a_container_that_only_spoke_is_still_a_container() -> None:
    ds = _report(_content("CONTAINER", _content("TEXT", TextValue="Zqtext")), _image(13))
    output = deidentify(ds)
    first, _ = output.dataset.ContentSequence
    assert _types(first.ContentSequence) == ["TEXT"]
    assert b"Zqtext" not in output.data


def test_a_name_in_a_report_is_looked_for_in_the_rest_of_it() -> None:
    ds = _report(_content("PNAME", PersonName="Marrowby^Tib"), _image(13))
    ds.ConceptNameCodeSequence = [_code("126000", "Report of Tib Marrowby")]
    output = deidentify(ds)
    assert output.dataset.ConceptNameCodeSequence[0].CodeMeaning == "Report of"


def test_who_verified_a_report_is_not_said() -> None:
    observer = Dataset()
    observer.VerifyingOrganization = "Zqplace"
    observer.VerificationDateTime = "19700203101112"
    observer.VerifyingObserverName = "Zqname^X"
    observer.VerifyingObserverIdentificationCodeSequence = [_code("1", "Zqname")]
    ds = _report(_image(13), VerifyingObserverSequence=[observer])
    output = deidentify(ds)
    item = output.dataset.VerifyingObserverSequence[0]
    assert b"Zq" not in output.data
    assert b"19700203" not in output.data
    for keyword in ("VerifyingOrganization", "VerificationDateTime", "VerifyingObserverName"):
        assert not item[keyword].is_empty
    assert list(item.VerifyingObserverIdentificationCodeSequence) == []


@SYNTAXES
def test_a_key_object_selection_still_selects(syntax: str) -> None:
    series = Dataset()
    series.SeriesInstanceUID = ROOT + "12"
    series.ReferencedSOPSequence = [_reference(21), _reference(22)]
    study = Dataset()
    study.StudyInstanceUID = ROOT + "11"
    study.ReferencedSeriesSequence = [series]
    ds = _report(
        _content("TEXT", TextValue="Zqtext"),
        _image(21),
        _image(22),
        CurrentRequestedProcedureEvidenceSequence=[study],
    )
    ds.SOPClassUID = KEY_OBJECT
    output = deidentify(ds, plan_of(), syntax)
    new = output.dataset
    evidence = new.CurrentRequestedProcedureEvidenceSequence[0]
    assert evidence.StudyInstanceUID == new.StudyInstanceUID
    assert evidence.ReferencedSeriesSequence[0].SeriesInstanceUID == new.SeriesInstanceUID
    evident = [
        item.ReferencedSOPInstanceUID
        for item in evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence
    ]
    selected = [
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in new.ContentSequence
    ]
    assert selected == evident
    assert b"Zqtext" not in output.data


@SYNTAXES
def test_a_presentation_state_keeps_its_images_and_loses_what_was_drawn(syntax: str) -> None:
    text = Dataset()
    text.UnformattedTextValue = "Zqtext"
    drawn = Dataset()
    drawn.GraphicData = [3.0, 4.0]
    annotation = Dataset()
    annotation.ReferencedImageSequence = [_reference(13)]
    annotation.GraphicLayer = "LAYER1"
    annotation.TextObjectSequence = [text]
    annotation.GraphicObjectSequence = [drawn]
    layer = Dataset()
    layer.GraphicLayer, layer.GraphicLayerOrder = "LAYER1", 1
    ds = basic_dataset(
        SOPClassUID=PRESENTATION_STATE,
        Modality="PR",
        GraphicAnnotationSequence=[annotation, annotation],
        GraphicLayerSequence=[layer],
        ContentLabel="STATE",
    )
    output = deidentify(ds, plan_of(), syntax)
    new = output.dataset
    assert b"Zqtext" not in output.data
    assert len(new.GraphicAnnotationSequence) == 2
    for item in new.GraphicAnnotationSequence:
        reference = item.ReferencedImageSequence[0]
        assert reference.ReferencedSOPInstanceUID == new.SOPInstanceUID
        assert item.GraphicLayer == "LAYER1"
        assert "TextObjectSequence" not in item
        assert item.GraphicObjectSequence[0].GraphicData == [1.0, 1.0]
    assert new.GraphicLayerSequence[0].GraphicLayer == "LAYER1"


def _document(mime_type: str, content: bytes) -> Dataset:
    return basic_dataset(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1",
        MIMETypeOfEncapsulatedDocument=mime_type,
        EncapsulatedDocument=content,
        EncapsulatedDocumentLength=len(content),
    )


@SYNTAXES
@pytest.mark.parametrize(
    "mime_type",
    ["application/pdf", "text/xml", "model/stl", "model/obj", "model/mtl", "x/unknown", ""],
)
def test_a_document_is_replaced_by_one_of_its_kind_and_its_length_is_right(
    syntax: str, mime_type: str
) -> None:
    ds = _document(mime_type, b"Zqdocument" * 100)
    output = deidentify(ds, plan_of(), syntax)
    new = output.dataset
    content = new.EncapsulatedDocument
    length = new.EncapsulatedDocumentLength
    assert b"Zqdocument" not in output.data
    assert 0 < length <= len(content) <= length + 1
    assert len(content) % 2 == 0
    if mime_type == "application/pdf":
        assert content.startswith(b"%PDF-1.")
        assert content[:length].rstrip().endswith(b"%%EOF")
        start = int(content[:length].split(b"startxref\n")[1].split(b"\n")[0])
        assert content[start : start + 4] == b"xref"
    elif mime_type == "text/xml":
        assert ET.fromstring(content[:length]).tag == "{urn:hl7-org:v3}ClinicalDocument"  # noqa: S314
    elif mime_type == "model/stl":
        assert int.from_bytes(content[80:84], "little") == 0  # no triangles
        assert length == 84


def test_a_kept_document_keeps_its_length() -> None:
    keep = RuleAction(ActionKind.KEEP)
    plan = plan_of(tags={0x00420011: keep, 0x00420015: keep})
    new = deidentify(_document("application/pdf", b"%PDF-1.4 ..."), plan).dataset
    assert new.EncapsulatedDocument == b"%PDF-1.4 ..."
    assert new.EncapsulatedDocumentLength == 12


@SYNTAXES
def test_a_structure_set_keeps_its_contours_and_the_frame_they_are_in(syntax: str) -> None:
    contour = Dataset()
    contour.ContourImageSequence = [_reference(21)]
    contour.ContourGeometricType = "POINT"
    contour.NumberOfContourPoints = "1"
    contour.ContourData = ["1.5", "2.5", "-3.5"]
    roi = Dataset()
    roi.ROINumber, roi.ReferencedFrameOfReferenceUID = "1", ROOT + "52"
    roi.ROIName, roi.ROIGenerationAlgorithm = "Zqname", "MANUAL"
    drawn = Dataset()
    drawn.ReferencedROINumber, drawn.ContourSequence = "1", [contour]
    frame = Dataset()
    frame.FrameOfReferenceUID = ROOT + "52"
    observed = Dataset()
    observed.ObservationNumber, observed.ReferencedROINumber = "1", "1"
    observed.RTROIInterpretedType, observed.ROIInterpreter = "ORGAN", "Zqwho^X"
    ds = basic_dataset(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.481.3",
        StructureSetLabel="Zqlabel",
        StructureSetDate="20200101",
        FrameOfReferenceUID=ROOT + "52",
        ReferencedFrameOfReferenceSequence=[frame],
        StructureSetROISequence=[roi],
        ROIContourSequence=[drawn],
        RTROIObservationsSequence=[observed],
    )
    output = deidentify(ds, plan_of(), syntax)
    new = output.dataset
    assert b"Zqlabel" not in output.data
    assert b"Zqwho" not in output.data
    frames = {
        new.FrameOfReferenceUID,
        new.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID,
        new.StructureSetROISequence[0].ReferencedFrameOfReferenceUID,
    }
    assert len(frames) == 1
    assert frames.pop().startswith("2.25.")
    found = new.ROIContourSequence[0].ContourSequence[0]
    assert list(found.ContourData) == [1.5, 2.5, -3.5]
    assert found.ContourImageSequence[0].ReferencedSOPInstanceUID.startswith("2.25.")
    assert not new["StructureSetLabel"].is_empty


@SYNTAXES
def test_a_segmentation_keeps_its_segments_and_the_images_they_are_of(syntax: str) -> None:
    segment = Dataset()
    segment.SegmentNumber, segment.SegmentLabel = 1, "Liver"
    segment.SegmentedPropertyCategoryCodeSequence = [_code("123037004", "Anatomical Structure")]
    source = Dataset()
    source.SourceImageSequence = [_reference(13)]
    frame = Dataset()
    frame.DerivationImageSequence = [source]
    series = Dataset()
    series.SeriesInstanceUID = ROOT + "12"
    series.ReferencedInstanceSequence = [_reference(13)]
    ds = basic_dataset(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4",
        Modality="SEG",
        SegmentSequence=[segment],
        ReferencedSeriesSequence=[series],
        PerFrameFunctionalGroupsSequence=[frame],
    )
    ds.add_new(0x7FE00010, "OB", b"\1\2\3\4")
    new = deidentify(ds, plan_of(), syntax).dataset
    assert new.SegmentSequence[0].SegmentLabel == "Liver"
    assert new.ReferencedSeriesSequence[0].SeriesInstanceUID == new.SeriesInstanceUID
    derivation = new.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0]
    found = derivation.SourceImageSequence[0].ReferencedSOPInstanceUID
    assert found == new.SOPInstanceUID
    assert new.PixelData == b"\1\2\3\4"


@SYNTAXES
def test_a_waveform_keeps_its_samples_and_loses_its_annotations(syntax: str) -> None:
    channel = Dataset()
    channel.ChannelSourceSequence = [_code("2:1", "Lead I")]
    waveform = Dataset()
    waveform.WaveformOriginality = "ORIGINAL"
    waveform.ChannelDefinitionSequence = [channel]
    waveform.WaveformBitsAllocated = 16
    waveform.WaveformSampleInterpretation = "SS"
    waveform.add_new(0x54001010, "OW", bytes(range(200)))
    note = Dataset()
    note.UnformattedTextValue = "Zqtext"
    ds = basic_dataset(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.9.1.1",
        WaveformSequence=[waveform],
        WaveformAnnotationSequence=[note],
    )
    output = deidentify(ds, plan_of(), syntax)
    new = output.dataset
    assert new.WaveformSequence[0].WaveformData == bytes(range(200))
    channel = new.WaveformSequence[0].ChannelDefinitionSequence[0]
    assert channel.ChannelSourceSequence[0].CodeMeaning == "Lead I"
    assert "WaveformAnnotationSequence" not in new
    assert b"Zqtext" not in output.data


def test_a_person_or_an_institution_that_has_a_code_gets_a_dummy_one() -> None:
    person = Dataset()
    person.PersonIdentificationCodeSequence = [_code("1234", "Zqname")]
    person.InstitutionCodeSequence = [_code("99", "Zqplace")]
    ds = basic_dataset(ReferencedInstanceSequence=[person])
    output = deidentify(ds)
    item = output.dataset.ReferencedInstanceSequence[0]
    for keyword in ("PersonIdentificationCodeSequence", "InstitutionCodeSequence"):
        (code,) = item[keyword].value
        assert code.CodeValue
        assert code.CodingSchemeDesignator == "99DEID"
    assert b"Zq" not in output.data


def test_originals_that_were_modified_before_are_not_handed_on() -> None:
    original = Dataset()
    original.PatientName = "Marrowby^Tib"
    modified = Dataset()
    modified.ModifiedAttributesSequence = [original]
    modified.SourceOfPreviousValues = "Zqplace"
    ds = basic_dataset(OriginalAttributesSequence=[modified])
    output = deidentify(ds)
    assert "OriginalAttributesSequence" not in output.dataset
    assert b"Marrowby" not in output.data
