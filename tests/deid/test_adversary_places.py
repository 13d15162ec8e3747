"""Identifiers where an adversary put them, and words that he wanted lost."""

import base64
import zlib

import pytest
from pydicom.dataset import Dataset
from support_deid import basic_dataset, deidentify, encode, plan_of

from dicomanon_node.deid.rules import Option

KEEPING_PRIVATE = plan_of(removes_private=False)
PHOSPHOR = 0x00181261  # free text that the table does not list


def _with_text(text: str, **attributes: object) -> Dataset:
    ds: Dataset = basic_dataset(SpecificCharacterSet="ISO_IR 192", **attributes)
    ds.add_new(PHOSPHOR, "LO", text)
    return ds


@pytest.mark.parametrize("text", ["Cruz’s knee", "Cruz–knee", "Cruz… knee", "knee 김Cruz"])  # noqa: RUF001
def test_a_short_name_beside_a_sign_beyond_ascii_goes(text: str) -> None:
    output = deidentify(_with_text(text, PatientName="Cruz^Ana"))
    assert b"Cruz" not in output.data
    assert "knee" in str(output.dataset[PHOSPHOR].value)


@pytest.mark.parametrize("text", ["QUILLFEATHERCT", "xquillfeatherx", "MRQUILLFEATHEROTTOLINE"])
def test_a_long_name_in_the_middle_of_a_word_goes(text: str) -> None:
    assert b"quillfeather" not in deidentify(_with_text(text)).data.lower()
    ds = basic_dataset()
    block = ds.private_block(0x0029, "ACME 1.0", create=True)
    block.add_new(0x01, "OB", b"\1\2" + text.encode() + b"\0" * (len(text) % 2))
    assert b"quillfeather" not in deidentify(ds, KEEPING_PRIVATE).data.lower()


@pytest.mark.parametrize("number", ["5553847719", "555 384 7719", "(555) 384-7719"])
def test_a_telephone_number_goes_as_it_is_dialled_at_home(number: str) -> None:
    output = deidentify(_with_text(number, PatientTelephoneNumbers="+1-555-384-7719"))
    assert number.encode() not in output.data


@pytest.mark.parametrize("value", ["7741902", "19580714", "20210417101112"])
def test_a_private_time_that_is_none_goes(value: str) -> None:
    ds = basic_dataset(PatientID="7741902", PatientBirthDate="19580714", StudyDate="20210417")
    block = ds.private_block(0x0029, "ACME 1.0", create=True)
    block.add_new(0x01, "LO", "stays")
    block.add_new(0x02, "LO", value)
    body = encode(ds).replace(b"\x29\0\x02\x10LO", b"\x29\0\x02\x10TM")
    output = deidentify(body, KEEPING_PRIVATE)
    assert value.encode() not in output.data
    assert b"stays" in output.data


@pytest.mark.parametrize("vr", ["IS", "DS"])
@pytest.mark.parametrize("value", ["7741902", "+7741902", "19580714", "20210417"])
def test_an_identifier_among_numbers_goes(vr: str, value: str) -> None:
    ds = basic_dataset(PatientID="7741902", PatientBirthDate="19580714", StudyDate="20210417")
    ds.add_new({"IS": 0x00181152, "DS": 0x00180060}[vr], vr, value)
    assert value.strip("+").encode() not in deidentify(ds).data


@pytest.mark.parametrize(
    "disguise", [base64.b64encode, zlib.compress, lambda raw: raw.hex().encode()]
)
def test_a_blob_that_is_a_name_in_disguise_goes(disguise: object) -> None:
    assert callable(disguise)
    blob = bytes(disguise(b"patient Quillfeather, Ottoline"))
    ds = basic_dataset()
    block = ds.private_block(0x0029, "ACME 1.0", create=True)
    block.add_new(0x01, "OB", blob + b"\0" * (len(blob) % 2))
    assert blob not in deidentify(ds, KEEPING_PRIVATE).data


@pytest.mark.parametrize(
    ("name", "word"),
    [("Rain^Bob", "brain"), ("Lane^Paul", "plane"), ("Pine^Sue", "spine"), ("Race^Tom", "trace")],
)
def test_an_initial_before_a_surname_makes_no_word_of_the_trade(name: str, word: str) -> None:
    plan = plan_of(options=frozenset({Option.CLEAN_DESCRIPTORS}))
    output = deidentify(basic_dataset(PatientName=name, SeriesDescription=f"ax {word} 3mm"), plan)
    assert output.dataset.SeriesDescription == f"ax {word} 3mm"


@pytest.mark.parametrize("word", ["Cancer", "Pulmonary", "Mammography", "Tomography", "Children"])
def test_an_institution_of_common_words_leaves_them_in_the_descriptors(word: str) -> None:
    plan = plan_of(options=frozenset({Option.CLEAN_DESCRIPTORS}))
    ds = basic_dataset(
        InstitutionName=f"{word} Center of Larkspur", SeriesDescription=f"{word} of Larkspur"
    )
    assert deidentify(ds, plan).dataset.SeriesDescription == f"{word} of"
