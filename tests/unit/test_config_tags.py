"""Spellings of tags; pydicom's dictionary is the oracle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import dictionary_VM

from dicomanon_node.config import tags
from dicomanon_node.deid.rules import PrivateTag

STANDARD = {
    entry[4]: tag
    for tag, entry in DicomDictionary.items()
    if entry[4] and tag >> 16 not in (0, 0xFFFE)
}


def test_every_keyword_of_pydicom_names_its_tag() -> None:
    named = {keyword: tags.parse(keyword) for keyword, tag in STANDARD.items() if tag & 0xFFFF}
    assert named == {keyword: tag for keyword, tag in STANDARD.items() if tag & 0xFFFF}


@given(st.sampled_from(sorted(STANDARD.values())), st.booleans())
def test_a_number_may_be_written_in_all_ways(tag: int, upper: bool) -> None:
    group, element = f"{tag >> 16:04x}", f"{tag & 0xFFFF:04x}"
    if not tag & 0xFFFF:
        return
    if upper:
        group, element = group.upper(), element.upper()
    for text in (
        f"({group},{element})", f"{group}{element}", f"{group},{element}", f"0x{group}{element}",
        f"( {group} , {element} )",
    ):  # fmt: skip
        assert tags.parse(text) == tag


def test_elements_newer_than_pydicom_are_known() -> None:
    assert tags.parse("CurrentFrameFunctionalGroupsSequence") == 0x00060001
    assert tags.parse("(0006,0001)") == 0x00060001
    assert tags.keyword_of(0x00060001) == "CurrentFrameFunctionalGroupsSequence"
    assert tags.value_multiplicity(0x00060001) == "1"


def test_overlays_are_named_by_number() -> None:
    assert tags.parse("(6002,3000)") == 0x60023000
    with pytest.raises(tags.TagError, match="repeating group"):
        tags.parse("OverlayData")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('(0029,"SIEMENS CSA HEADER",10)', PrivateTag(0x0029, "SIEMENS CSA HEADER", 0x10)),
        ('( 0019 , "GEMS_ACQU_01" , e1 )', PrivateTag(0x0019, "GEMS_ACQU_01", 0xE1)),
        ('(0009,"A(B),C",00)', PrivateTag(0x0009, "A(B),C", 0)),
        ('(0009," PADDED ",ff)', PrivateTag(0x0009, "PADDED", 0xFF)),
    ],
)
def test_private_elements_are_named_by_creator(text: str, expected: object) -> None:
    assert tags.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "patientname", "Patient Name", "(0010,001)", "(0010,00100)", "0010001g",
        "(0010,0010", "(0000,0900)", "(0010,0000)", "(FFFE,E000)", "(0010,9999)", "(0011,0010)",
        "(0001,1010)", "(FFFF,1010)", '(0010,"ACME",10)', '(0007,"ACME",10)', '(0029,"",10)',
        '(0029,"A\\B",10)', '(0029,"A\nB",10)', '(0029,"ACME",1010)', "(0029,ACME,10)",
        '(0029,"' + "A" * 65 + '",10)', "PatientName\n", "(0010,0010)\n",
    ],
)  # fmt: skip
def test_what_names_no_element_is_refused(text: str) -> None:
    with pytest.raises(tags.TagError):
        tags.parse(text)


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("PatientsName", "PatientName"),
        ("patientname", "PatientName"),
        ("AccesionNumber", "AccessionNumber"),
        ("StudyInstanceUid", "StudyInstanceUID"),
    ],
)
def test_a_misspelled_keyword_is_told_the_nearest(text: str, nearest: str) -> None:
    with pytest.raises(tags.TagError, match=f'did you mean "{nearest}"'):
        tags.parse(text)


@given(st.text(max_size=60))
def test_any_text_is_a_tag_or_a_printable_error(text: str) -> None:
    message = ""
    try:
        tags.parse(text)
    except tags.TagError as error:
        message = str(error)
    assert message.isascii()
    assert message.isprintable()


@given(st.sampled_from(sorted(STANDARD.values())))
def test_keyword_and_multiplicity_are_those_of_the_dictionary(tag: int) -> None:
    assert STANDARD[tags.keyword_of(tag)] == tag
    assert tags.value_multiplicity(tag) == dictionary_VM(tag)
