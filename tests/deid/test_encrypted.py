"""The way back: OpenSSL opens what was encrypted, pydicom reads what was in it."""

import subprocess
from collections.abc import Collection
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from support_deid import (
    EXPLICIT,
    IMPLICIT,
    KEY,
    LIMITS,
    NAME,
    PATIENT_ID,
    basic_dataset,
    decode,
    encode,
)
from support_recipients import certificate, certificate_pem, cms, key_pair, opened, public_pem

from dicomanon_node.config.recipients import read_recipient
from dicomanon_node.deid import encrypted
from dicomanon_node.deid.boundaries import HeaderScanner
from dicomanon_node.deid.elements import Elements
from dicomanon_node.deid.encrypted import MAX_BINARY_BYTES, attributes_element, originals
from dicomanon_node.deid.envelope import Recipient, seal
from dicomanon_node.deid.pseudonyms import Key, Pseudonyms

PSEUDONYMS = Pseudonyms(KEY, "seed of a study")
SYNTAXES = (EXPLICIT, IMPLICIT)
HOLDER = key_pair()

needs_openssl = pytest.mark.tool("openssl")


def recipient_of(pem: bytes, directory: Path) -> Recipient:
    (directory / "recipient.pem").write_bytes(pem)
    recipient, warning = read_recipient(directory, "recipient.pem")
    assert warning is None
    return recipient


@pytest.fixture
def recipient(tmp_path: Path) -> Recipient:
    return recipient_of(certificate_pem(certificate(HOLDER)), tmp_path)


def elements_of(source: Dataset | bytes, syntax: str = EXPLICIT) -> Elements:
    body = encode(source, syntax) if isinstance(source, Dataset) else source
    scanner = HeaderScanner(implicit=syntax == IMPLICIT, limits=LIMITS)
    scanner.feed(memoryview(body))
    scanner.finish()
    return Elements(bytes(scanner.buffer), scanner.rows, implicit=syntax == IMPLICIT)


def collected(
    source: Dataset | bytes, tags: Collection[int] | None = None, syntax: str = EXPLICIT
) -> Dataset:
    """What is collected when these elements were changed; None: all of them."""
    elements = elements_of(source, syntax)
    changes = [(row[2], row[5]) for row in elements.rows if tags is None or row[0] in tags]
    return decode(originals(elements, changes), syntax)


def tags_of(ds: Dataset) -> list[int]:
    return [int(tag) for tag in ds.keys()]  # noqa: SIM118  (a data set iterates over its elements)


# The envelope


@needs_openssl
@pytest.mark.parametrize("bits", [2048, 2050, 3072, 4096])
@pytest.mark.parametrize("form", ["certificate", "public key"])
def test_the_holder_of_the_private_key_opens_it_with_openssl(
    bits: int, form: str, tmp_path: Path
) -> None:
    key = key_pair(bits)
    pem = certificate_pem(certificate(key)) if form == "certificate" else public_pem(key)
    envelope = seal(b"content of an envelope", recipient_of(pem, tmp_path), PSEUDONYMS)
    assert opened(envelope, key, tmp_path) == b"content of an envelope"
    if form == "certificate":  # the recipient is found by issuer and serial number
        assert opened(envelope, key, tmp_path, pem) == b"content of an envelope"


@needs_openssl
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 111, 112, 127, 128, 239, 240, 65519, 65520])
def test_content_of_every_length_comes_back(
    size: int, recipient: Recipient, tmp_path: Path
) -> None:
    content = (bytes(range(256)) * (size // 256 + 1))[:size]
    assert opened(seal(content, recipient, PSEUDONYMS), HOLDER, tmp_path) == content


@needs_openssl
@pytest.mark.parametrize("serial_number", [1, 127, 128, 255, 256, (1 << 159) - 1])
def test_every_serial_number_is_found_by(serial_number: int, tmp_path: Path) -> None:
    pem = certificate_pem(certificate(HOLDER, serial_number=serial_number))
    envelope = seal(b"content", recipient_of(pem, tmp_path), PSEUDONYMS)
    assert opened(envelope, HOLDER, tmp_path, pem) == b"content"


@needs_openssl
def test_nobody_else_opens_it(recipient: Recipient, tmp_path: Path) -> None:
    envelope = seal(b"content of an envelope", recipient, PSEUDONYMS)
    assert opened(envelope, key_pair(2048, 1), tmp_path) is None


@needs_openssl
def test_it_is_der_of_rsa_oaep_and_aes_256(recipient: Recipient, tmp_path: Path) -> None:
    envelope = seal(b"content", recipient, PSEUDONYMS)
    (tmp_path / "envelope.der").write_bytes(envelope)
    given = ("-cmsout", "-inform", "DER", "-in", "envelope.der")
    words = b" ".join(cms(tmp_path, *given, "-print", "-noout").stdout.split())
    assert b"contentType: pkcs7-envelopedData (1.2.840.113549.1.7.3)" in words
    assert b"algorithm: rsaesOaep (1.2.840.113549.1.1.7)" in words
    assert b"algorithm: aes-256-cbc (2.16.840.1.101.3.4.1.42)" in words
    assert cms(tmp_path, *given, "-outform", "DER").stdout == envelope


def test_the_same_content_gives_the_same_bytes(recipient: Recipient) -> None:
    fresh = Pseudonyms(Key(bytes(range(32))), "seed of a study")
    assert seal(b"content", recipient, PSEUDONYMS) == seal(b"content", recipient, fresh)


def test_another_content_key_study_or_recipient_shares_no_part(
    recipient: Recipient, tmp_path: Path
) -> None:
    content = b"content of an envelope, of more than two blocks"
    other_recipient = recipient_of(public_pem(key_pair(2048, 1)), tmp_path)
    made = [
        seal(content, recipient, PSEUDONYMS),
        seal(content[:-1] + b"z", recipient, PSEUDONYMS),
        seal(content, recipient, Pseudonyms(Key(bytes(range(1, 33))), "seed of a study")),
        seal(content, recipient, Pseudonyms(KEY, "seed of another")),
        seal(content, other_recipient, PSEUDONYMS),
    ]
    for parts in zip(*map(parts_of, made), strict=True):
        assert len(set(parts)) == len(made)


def parts_of(envelope: bytes) -> tuple[bytes, ...]:
    # By their DER headers: encrypted key, initialisation vector, three encrypted blocks.
    key = envelope.index(b"\x04\x82\x01\x00") + 4
    vector = envelope.index(b"\x04\x10", key + 256) + 2
    assert vector + 16 + 2 + 48 == len(envelope)
    blocks = [
        envelope[start : start + 16] for start in range(len(envelope) - 48, len(envelope), 16)
    ]
    return envelope[key : key + 256], envelope[vector : vector + 16], *blocks


# The element


@needs_openssl
@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("name", ["Key holder", "Key holder 2"])
def test_pydicom_reads_the_originals_from_the_opened_element(
    syntax: str, name: str, tmp_path: Path
) -> None:
    pem = certificate_pem(certificate(HOLDER, name=name))
    ds = basic_dataset(PatientBirthDate="19410722", SpecificCharacterSet="ISO_IR 100")
    ds.PatientName = "Müller^Ottoline"
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = "2.25.77"
    ds.ReferencedImageSequence = [inner]
    elements = elements_of(ds, syntax)
    encoded = attributes_element(
        originals(elements, [(0, len(elements.buffer))]),
        recipient=recipient_of(pem, tmp_path),
        pseudonyms=PSEUDONYMS,
        implicit=syntax == IMPLICIT,
    )
    assert b"Ottoline" not in encoded
    read = decode(encoded, syntax)
    (item,) = read.EncryptedAttributesSequence
    assert sorted(tags_of(item)) == [0x04000510, 0x04000520]
    assert item.EncryptedContentTransferSyntaxUID == syntax
    assert not len(item.EncryptedContent) % 2
    content = opened(item.EncryptedContent, HOLDER, tmp_path, pem)
    assert content is not None
    back = decode(content, syntax)
    assert tags_of(back) == [0x04000550]
    (restored,) = back.ModifiedAttributesSequence
    assert restored == ds
    assert str(restored.PatientName) == "Müller^Ottoline"


def test_odd_and_even_envelopes_are_both_tested(tmp_path: Path) -> None:
    sizes = {
        len(
            seal(
                b"content",
                recipient_of(certificate_pem(certificate(HOLDER, name=name)), tmp_path),
                PSEUDONYMS,
            )
        )
        % 2
        for name in ("Key holder", "Key holder 2", "Key holder 22")
    }
    assert sizes == {0, 1}


@needs_openssl
def test_an_original_of_odd_length_stays_readable(recipient: Recipient, tmp_path: Path) -> None:
    odd = b"\x10\x00\x20\x00LO\x03\x00ABC"
    encoded = attributes_element(odd, recipient=recipient, pseudonyms=PSEUDONYMS, implicit=False)
    content = decode(encoded).EncryptedAttributesSequence[0].EncryptedContent
    plain = opened(content, HOLDER, tmp_path)
    assert plain is not None
    assert decode(plain).ModifiedAttributesSequence[0].PatientID == "ABC"


@pytest.mark.tool("dcmdump")
@pytest.mark.parametrize(("syntax", "option"), [(EXPLICIT, "-te"), (IMPLICIT, "-ti")])
def test_dcmtk_reads_the_element(
    syntax: str, option: str, recipient: Recipient, tmp_path: Path
) -> None:
    elements = elements_of(basic_dataset(), syntax)
    path = tmp_path / "element"
    path.write_bytes(
        attributes_element(
            originals(elements, [(0, len(elements.buffer))]),
            recipient=recipient,
            pseudonyms=PSEUDONYMS,
            implicit=syntax == IMPLICIT,
        )
    )
    command = ["dcmdump", "-f", option, str(path)]
    dumped = subprocess.run(command, capture_output=True, check=True, text=True)
    assert not dumped.stderr
    assert dumped.stdout.count("EncryptedContent\n") == 1


def test_nothing_changed_gives_no_sequence(recipient: Recipient) -> None:
    assert collected(basic_dataset(), ()) == Dataset()
    assert (
        attributes_element(b"", recipient=recipient, pseudonyms=PSEUDONYMS, implicit=False) == b""
    )


# What goes in


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_stayed_is_not_collected(syntax: str) -> None:
    back = collected(basic_dataset(), {0x00100010, 0x0020000D}, syntax)
    assert tags_of(back) == [0x00080018, 0x00100010, 0x0020000D]
    assert back.PatientName == NAME


def test_no_two_instances_have_the_same_originals() -> None:
    first, second = (basic_dataset(SOPInstanceUID=f"2.25.{number}") for number in (1, 2))
    assert collected(first, {0x00100010}) != collected(second, {0x00100010})


def test_the_character_set_goes_with_the_text() -> None:
    ds = basic_dataset(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Ottoline")
    back = collected(ds, {0x00100010})
    assert tags_of(back) == [0x00080005, 0x00080018, 0x00100010]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_private_elements_come_with_their_creators(syntax: str) -> None:
    ds = basic_dataset()
    ds.private_block(0x0029, "EXAMPLE ONE", create=True).add_new(0x10, "LO", PATIENT_ID)
    ds.private_block(0x0029, "EXAMPLE TWO", create=True).add_new(0x10, "LO", "kept")
    ds.private_block(0x0031, "EXAMPLE ONE", create=True).add_new(0x10, "LO", "kept")
    back = collected(ds, {0x00291010}, syntax)
    assert tags_of(back) == [0x00080018, 0x00290010, 0x00290011, 0x00291010]
    value = back.get_private_item(0x0029, 0x10, "EXAMPLE ONE").value
    assert value in (PATIENT_ID, PATIENT_ID.encode())  # in Implicit VR it is UN


@pytest.mark.parametrize(
    "foreign",
    [
        b"\x02\x00\x10\x00UI\x02\x001\0",
        b"\x04\x00\x30\x11CS\x02\x00A ",
        b"\x08\x00\x00\x00UL\x04\x00\x01\0\0\0",
        b"\x08\x00\x01\x00UL\x04\x00\x01\0\0\0",
    ],
)
def test_what_has_no_place_in_an_item_is_left_out(foreign: bytes) -> None:
    body = foreign + encode(basic_dataset())
    assert collected(body) == basic_dataset()


def test_trailing_padding_is_left_out() -> None:
    body = encode(basic_dataset()) + b"\xfc\xff\xfc\xffOB\0\0\x04\0\0\0\0\0\0\0"
    assert collected(body) == basic_dataset()


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_long_binary_values_are_left_out_and_long_texts_are_not(syntax: str) -> None:
    text = "words " * MAX_BINARY_BYTES
    ds = basic_dataset(TextValue=text)
    ds.EncapsulatedDocument = bytes(MAX_BINARY_BYTES + 2)
    ds.add_new(0x60003000, "OW", bytes(MAX_BINARY_BYTES))
    back = collected(ds, None, syntax)
    assert "EncapsulatedDocument" not in back
    assert len(back[0x60003000].value) == MAX_BINARY_BYTES
    assert back.TextValue == text.rstrip()


def test_what_is_too_much_goes_from_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encrypted, "MAX_TOTAL_BYTES", 4000)
    ds = basic_dataset(TextValue="words " * 1000, UID="2.25.4")
    back = collected(ds)
    assert back.PatientName == NAME
    assert "TextValue" not in back
    assert back.UID == "2.25.4"  # it fits, though what is before it does not


def test_an_earlier_encrypted_attributes_sequence_is_an_original_too(
    recipient: Recipient,
) -> None:
    first = attributes_element(
        encode(basic_dataset()), recipient=recipient, pseudonyms=PSEUDONYMS, implicit=False
    )
    back = collected(first)
    assert tags_of(back) == [0x04000500]
    assert encode(back) == first
