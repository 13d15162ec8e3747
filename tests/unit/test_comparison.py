"""`comparison` and `reading`: what differs, at every depth, in every transfer syntax."""

import warnings
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)
from support_deid import basic_dataset, encode_as_un
from support_node import SMALL

from dicomanon_node.review.comparison import Change, compare
from dicomanon_node.review.reading import Instance, UnreadableError, read, text_of, where


def write(path: Path, ds: Dataset, syntax: UID = ExplicitVRLittleEndian) -> Path:
    """A file of a data set, as pydicom writes it."""
    file = FileDataset("", ds, preamble=bytes(128), file_meta=FileMetaDataset())
    file.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    file.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    file.file_meta.TransferSyntaxUID = syntax
    implicit, little = syntax.is_implicit_VR, syntax.is_little_endian
    file.set_original_encoding(implicit, little)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file.save_as(path, enforce_file_format=True)
    return path


def differences(old: Instance, new: Instance) -> dict[str, Change]:
    """What differs, but for File Meta Information."""
    return {
        where(found.path): found.change
        for found in compare(old, new)
        if found.change is not Change.SAME and (not found.path or found.path[0][0] >> 16 != 2)
    }


def dataset() -> Dataset:
    item, inner = Dataset(), Dataset()
    inner.CodeValue, inner.CodeMeaning = "121071", "Finding"
    item.ReferencedSOPInstanceUID = "1.2.3.4"
    item.PurposeOfReferenceCodeSequence = [inner]
    ds = basic_dataset(ReferencedImageSequence=[item], SliceThickness="2.5")
    block = ds.private_block(0x0029, "ELSEWHERE", create=True)
    block.add_new(0x01, "LO", "one")
    block.add_new(0x02, "US", 258)
    ds.Rows, ds.Columns, ds.BitsAllocated, ds.PixelRepresentation = 2, 2, 16, 0
    ds.SamplesPerPixel = 1
    ds.add_new(0x7FE00010, "OW", bytes(range(8)))
    return ds


def test_a_file_is_the_same_as_itself() -> None:
    for path in SMALL:
        assert differences(read(path), read(path)) == {}


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.stem)
def test_every_element_that_pydicom_sees_is_seen(path: Path) -> None:
    found = {where(steps): leaf for steps, leaf, _ in read(path).dataset.leaves()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = dcmread(path)
        expected = sum(1 for element in ds.iterall() if element.VR != "SQ")
    assert len(found) == expected


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_a_transfer_syntax_makes_no_difference_to_values(tmp_path: Path, syntax: UID) -> None:
    ds = dataset()
    del ds[0x00291001], ds[0x00291002], ds[0x00290010]  # their VRs are lost in Implicit VR
    plain = write(tmp_path / "plain", ds)
    if not syntax.is_little_endian:
        ds.PixelData = bytes((1, 0, 3, 2, 5, 4, 7, 6))  # pydicom does not swap pixels
    assert differences(read(plain), read(write(tmp_path / "other", ds, syntax))) == {}


def test_changes_are_found_at_every_depth(tmp_path: Path) -> None:
    old = write(tmp_path / "old", dataset())
    ds = dataset()
    ds.ReferencedImageSequence[0].PurposeOfReferenceCodeSequence[0].CodeMeaning = "Other"
    del ds.SliceThickness
    ds.ImageComments = "new"
    ds.PixelData = bytes(8)
    ds[0x00291001].value = "two"
    assert differences(read(old), read(write(tmp_path / "new", ds))) == {
        "(0008,1140)[0].(0040,a170)[0].(0008,0104)": Change.CHANGED,
        "(0018,0050)": Change.REMOVED,
        "(0020,4000)": Change.ADDED,
        '(0029,"ELSEWHERE",01)': Change.CHANGED,
        "(7fe0,0010)": Change.CHANGED,
    }


def test_items_are_compared_by_their_place(tmp_path: Path) -> None:
    old = write(tmp_path / "old", dataset())
    ds = dataset()
    ds.ReferencedImageSequence.append(Dataset())
    ds.ReferencedImageSequence[1].ReferencedSOPInstanceUID = "1.2.3.5"
    assert differences(read(old), read(write(tmp_path / "new", ds))) == {
        "(0008,1140)": Change.CHANGED,
        "(0008,1140)[1].(0008,1155)": Change.ADDED,
    }


def test_a_private_block_may_have_another_number(tmp_path: Path) -> None:
    old = write(tmp_path / "old", dataset())
    ds = dataset()
    for tag in (0x00290010, 0x00291001, 0x00291002):
        element = ds[tag]
        del ds[tag]
        moved = tag + 1 if tag == 0x00290010 else tag + 0x100
        ds.add_new(moved, element.VR, element.value)
    assert differences(read(old), read(write(tmp_path / "new", ds))) == {}


def test_private_sequences_in_disguise_are_walked(tmp_path: Path) -> None:
    inner = Dataset()
    inner.PatientName = "Quillfeather"
    ds = basic_dataset()
    ds.private_block(0x0029, "ELSEWHERE", create=True).add_new(0x01, "SQ", [inner])
    plain = write(tmp_path / "plain", ds)
    header = plain.read_bytes()[: 144 + int.from_bytes(plain.read_bytes()[140:144], "little")]
    (tmp_path / "un").write_bytes(header + encode_as_un(ds, {0x00291001}))
    assert differences(read(plain), read(tmp_path / "un")) == {}


def test_a_preamble_is_compared(tmp_path: Path) -> None:
    old = write(tmp_path / "old", dataset())
    (tmp_path / "new").write_bytes(b"x" * 128 + old.read_bytes()[128:])
    assert differences(read(old), read(tmp_path / "new")) == {"": Change.CHANGED}


@pytest.mark.parametrize("is_encapsulated", [False, True])
def test_large_pixel_data_are_compared_without_being_held(
    tmp_path: Path, *, is_encapsulated: bool
) -> None:
    size = 5 << 20
    files = []
    for name, last in (("one", 1), ("same", 1), ("other", 2)):
        ds = dataset()
        frame = bytes(size - 2) + bytes((last, 0))
        ds.PixelData = encapsulate([frame]) if is_encapsulated else frame
        if is_encapsulated:
            ds["PixelData"].VR = "OB"
        syntax = JPEGBaseline8Bit if is_encapsulated else ExplicitVRLittleEndian
        files.append(read(write(tmp_path / name, ds, syntax)))
    pixels = files[0].dataset.get(0x7FE00010)
    assert pixels is not None
    assert pixels.value == b""
    assert pixels.length >= size
    assert differences(files[0], files[1]) == {}
    assert differences(files[0], files[2]) == {"(7fe0,0010)": Change.CHANGED}


@pytest.mark.parametrize("cut", [140, 300, -3])
def test_what_cannot_be_read_says_nothing_of_the_file(tmp_path: Path, cut: int) -> None:
    whole = write(tmp_path / "whole", basic_dataset(PatientName="Quillfeather")).read_bytes()
    (tmp_path / "cut").write_bytes(whole[:cut])
    with pytest.raises(UnreadableError) as caught:
        read(tmp_path / "cut")
    assert str(caught.value) in ("cannot be read as DICOM", "ends within an element")


def test_text_is_in_the_character_set_of_its_item(tmp_path: Path) -> None:
    item = Dataset()
    item.SpecificCharacterSet = "ISO_IR 192"
    item.CodeMeaning = "Größe"
    ds = basic_dataset(SpecificCharacterSet="ISO_IR 100", ConceptNameCodeSequence=[item])
    ds.InstitutionName = "Spital Zürich"
    path = write(tmp_path / "file", ds)
    found = {
        leaf.tag: text_of(leaf, holder.character_set).strip()
        for _, leaf, holder in read(path).dataset.leaves()
    }
    assert (found[0x00080104], found[0x00080080]) == ("Größe", "Spital Zürich")
