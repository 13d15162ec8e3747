"""`EncryptOriginals` on whole objects: what is copied back makes the original again.

Standard: PS3.15 E.1.2: the re-identifier copies the attributes of Modified Attributes
Sequence into the top level, in place of what stands there.
"""

import zlib
from copy import deepcopy
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from support_deid import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    NAME,
    PATIENT_ID,
    Output,
    basic_dataset,
    decode,
    deidentify,
    encode,
    plan_of,
)
from support_recipients import certificate, certificate_pem, key_pair, opened

from dicomanon_node.config.recipients import read_recipient
from dicomanon_node.deid.plan import Plan
from dicomanon_node.deid.rules import Option
from dicomanon_node.errors import Refused

HOLDER = key_pair()

pytestmark = pytest.mark.tool("openssl")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return encrypting(tmp_path)


def encrypting(directory: Path, **rules: object) -> Plan:
    (directory / "holder.pem").write_bytes(certificate_pem(certificate(HOLDER)))
    recipient, _ = read_recipient(directory, "holder.pem")
    return plan_of(encrypts_for=recipient, **rules)


def rich_dataset() -> Dataset:
    ds = basic_dataset(
        SpecificCharacterSet="ISO_IR 100",
        PatientBirthDate="19410722",
        PatientSex="F",
        AccessionNumber="ACC880317",
        StudyDate="20240229",
        SeriesDescription=f"Head of {NAME.split('^')[0]}",
        InstitutionName="Example Hospital",
        DeidentificationMethod="Somebody else's",
    )
    ds.PatientName = "Quillfeather^Öttoline"
    inner = Dataset()
    inner.ReferencedSOPClassUID = ds.SOPClassUID
    inner.ReferencedSOPInstanceUID = "1.2.826.0.1.3680043.10.543.99"
    ds.ReferencedImageSequence = [inner]
    ds.private_block(0x0029, "EXAMPLE", create=True).add_new(0x10, "OB", PATIENT_ID.encode())
    return ds


def content_of(output: Output, directory: Path) -> Dataset:
    (item,) = output.dataset.EncryptedAttributesSequence
    plain = opened(item.EncryptedContent, HOLDER, directory)
    assert plain is not None
    originals: Dataset
    (originals,) = decode(plain, item.EncryptedContentTransferSyntaxUID).ModifiedAttributesSequence
    return originals


def reidentified(output: Output, directory: Path) -> Dataset:
    ds = deepcopy(output.dataset)
    originals = content_of(output, directory)
    del ds.EncryptedAttributesSequence
    for element in originals:
        ds[element.tag] = element
    return ds


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
def test_the_original_comes_back_with_the_private_key(
    syntax: str, plan: Plan, tmp_path: Path
) -> None:
    ds = rich_dataset()
    back = reidentified(deidentify(ds, plan, syntax), tmp_path)
    for element in ds:
        found = back[element.tag].value
        assert found == element.value, element.tag
    # Beyond the original there is what says that it was de-identified.
    assert {element.tag.group for element in back if element.tag not in ds} <= {0x0012, 0x0028}


def test_without_the_private_key_nothing_of_the_original_is_there(plan: Plan) -> None:
    data = deidentify(rich_dataset(), plan).data
    for word in (b"Quillfeather", b"ttoline", PATIENT_ID.encode(), b"ACC880317", b"19410722"):
        assert word not in data


def test_all_else_is_as_without_it(plan: Plan) -> None:
    output = deidentify(rich_dataset(), plan).dataset
    del output.EncryptedAttributesSequence
    assert output == deidentify(rich_dataset(), plan_of()).dataset


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_the_same_object_gives_the_same_bytes_however_it_arrives(
    syntax: str, plan: Plan, tmp_path: Path
) -> None:
    first = deidentify(rich_dataset(), plan, syntax).data
    again = deidentify(rich_dataset(), encrypting(tmp_path), syntax, cuts=range(0, 2000, 97)).data
    assert first == again


def test_a_name_found_in_kept_text_is_among_the_originals(tmp_path: Path) -> None:
    plan = encrypting(tmp_path, options=frozenset({Option.CLEAN_DESCRIPTORS}))
    ds = rich_dataset()
    output = deidentify(ds, plan)
    assert output.dataset.SeriesDescription != ds.SeriesDescription
    assert content_of(output, tmp_path).SeriesDescription == ds.SeriesDescription


def test_an_incoming_encrypted_attributes_sequence_never_stays(plan: Plan, tmp_path: Path) -> None:
    once = deidentify(rich_dataset(), plan)
    foreign = decode(once.body)
    assert "EncryptedAttributesSequence" not in deidentify(foreign, plan_of()).dataset
    twice = deidentify(foreign, plan)
    kept = content_of(twice, tmp_path).EncryptedAttributesSequence
    assert kept == foreign.EncryptedAttributesSequence


def test_the_node_s_key_in_another_study_gives_another_ciphertext(tmp_path: Path) -> None:
    outputs = [
        deidentify(rich_dataset(), encrypting(tmp_path, random_seed=seed)).dataset
        for seed in ("one", "other")
    ]
    first, second = (each.EncryptedAttributesSequence[0].EncryptedContent for each in outputs)
    assert first[-64:] != second[-64:]


def test_pixel_data_stays_where_it_was(plan: Plan) -> None:
    ds = rich_dataset()
    ds.add_new(0x7FE00010, "OB", bytes(range(256)))
    output = deidentify(ds, plan).dataset
    assert output.PixelData == bytes(range(256))


def test_a_refused_object_is_refused_as_before(plan: Plan) -> None:
    with pytest.raises(Refused):
        deidentify(basic_dataset(BurnedInAnnotation="YES"), plan)


def test_a_deflated_object_has_its_way_back(plan: Plan, tmp_path: Path) -> None:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    body = compressor.compress(encode(rich_dataset())) + compressor.flush()
    back = content_of(deidentify(body, plan, DEFLATED), tmp_path)
    assert back.PatientID == PATIENT_ID
