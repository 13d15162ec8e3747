"""Protocols, XML, JSON, key lines and compressed text: values change, the rest stays."""

import gzip
import json
import struct
import xml.etree.ElementTree as ET
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support_deid import basic_dataset, deidentify, plan_of
from support_vendor import (
    FAMILY,
    GE_PROTOCOL,
    GIVEN,
    MRN,
    NAME,
    SITE,
    UID,
    UNKNOWN,
    Keeps,
    Study,
    ge_block,
    ge_text,
    holds_token,
    mapped_uid,
    phoenix,
)

from dicomanon_node.deid import vendor

GE_LINES = (
    b'POSITION "Supine"\nCOIL "32Ch Head"\nPSEQ "Gradient Echo"\nIOPT "EPI, FMRI"\n'
    b'TE "30.0"\nSLICEORDER "0"\nVIEWORDER "1"\nNOSLC "15"\nDELACQ "Minimum"\n'
    b'GRIP_SLGROUP1 "0.000000 25.219501 17.312536 0.000000"\n'
)


def cleaned(raw: bytes) -> bytes:
    new = vendor.rewritten(UNKNOWN, raw, Study())
    assert new is not None
    return new


# Siemens protocols


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'tPatientName\t = \t"' + NAME + b'"', b'tPatientName\t = \t"ANON^EXAMPLE"'),
        (b'sPatient.tPatientID = "' + MRN + b'"', b'sPatient.tPatientID = "SUBJECT-1"'),
        (b'tBirthDay = "19480213"', b'tBirthDay = ""'),
        (b'tReferringPhysician = "' + NAME + b'"', b'tReferringPhysician = ""'),
        (
            b'tReferenceImage0\t = \t"' + UID + b'"',
            b'tReferenceImage0\t = \t"%s"' % mapped_uid(UID),
        ),
        (
            b'tRef = "1.2.840.10008.5.1.4.1.1.4.1;' + UID + b';48"',
            b'tRef = "1.2.840.10008.5.1.4.1.1.4.1;' + mapped_uid(UID) + b';48"',
        ),
        (b'tFree = "for ' + FAMILY + b' only"', b'tFree = "for  only"'),
        (b'tFree = "first\n' + FAMILY + b' second"', b'tFree = "first\n second"'),
        (b"alFree[3] = 7 # as " + GIVEN + b" said", b"alFree[3] = 7 # as  said"),
        (b'tEmpty = ""', b'tEmpty = ""'),
        (b"adFree[0] = 1.25e-3", b"adFree[0] = 1.25e-3"),
    ],
)
def test_a_line_of_the_ascii_protocol_changes_in_its_value_alone(
    line: bytes, expected: bytes
) -> None:
    raw = phoenix(ascii_lines=line + b"\n")
    want = phoenix(ascii_lines=expected + b"\n")
    assert cleaned(raw).rstrip(b" \0") == want.rstrip(b" \0")


def test_a_number_that_identifies_goes_with_its_line() -> None:
    raw = phoenix(ascii_lines=b"flUsedPatientWeight = 90.0\n")
    assert cleaned(raw).rstrip() == phoenix().rstrip()


@pytest.mark.parametrize(
    ("param", "expected"),
    [
        (
            b'<ParamString."PatientName"> { "' + NAME + b'" }',
            b'<ParamString."PatientName"> { "ANON^EXAMPLE" }',
        ),
        (
            b'<ParamString."tPatientName"> { <Label> "Name of the patient" "' + NAME + b'" }',
            b'<ParamString."tPatientName"> { <Label> "Name of the patient" "ANON^EXAMPLE" }',
        ),
        (
            b'<ParamString."InstitutionName"> { <Default> "Elsewhere" }',
            b'<ParamString."InstitutionName"> { <Default> "" }',
        ),
        (
            b'<ParamArray."PatientID"> { <ParamString.""> { } { "' + MRN + b'" } }',
            b'<ParamArray."PatientID"> { <ParamString.""> { } { "SUBJECT-1" } }',
        ),
        (
            b'<ParamDouble."flUsedPatientWeight"> { <Precision> 6  90.0  }',
            b'<ParamDouble."flUsedPatientWeight"> { <Precision> 6 }',
        ),
        (
            b'<ParamString."Frame of reference"> { "' + UID + b'" }',
            b'<ParamString."Frame of reference"> { "' + mapped_uid(UID) + b'" }',
        ),
        (b'<ParamLong."Count"> { 1 }', b'<ParamLong."Count"> { 1 }'),
    ],
)
def test_a_parameter_of_xprotocol_changes_in_its_value_alone(param: bytes, expected: bytes) -> None:
    assert cleaned(phoenix(param)).rstrip(b" \0") == phoenix(expected).rstrip(b" \0")


@pytest.mark.parametrize(
    "raw",
    [
        phoenix()[:-40],
        phoenix(b'<ParamString."x"> { "never closed }'),
        phoenix().replace(b"### ASCCONV END", b"### ASCCONV"),
        b"<XProtocol> " + b"{" * 5_000,
        b"### ASCCONV BEGIN ###\n" * 50_000,
    ],
)
def test_a_protocol_that_does_not_end_is_unreadable(raw: bytes) -> None:
    with pytest.raises(vendor.UnreadableError):
        vendor.rewritten(UNKNOWN, raw, Study())


# GE


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'PATIENT "' + NAME + b'"', b'PATIENT "ANON^EXAMPLE"'),
        (b"set PATIENT " + GIVEN + b" " + FAMILY, b"set PATIENT ANON^EXAMPLE"),
        (b'EXAM "27018"', b'EXAM "27018"'),
        (b'HOSPITAL "' + SITE + b'"', b'HOSPITAL ""'),
        (b'PDGMUID "' + UID + b'"', b'PDGMUID "' + mapped_uid(UID) + b'"'),
        (b'COILCOMPONENT "of ' + FAMILY + b'"', b'COILCOMPONENT "of "'),
        (b'NOTES "ask "' + GIVEN + b'" first"', b"NOTES \"ask '' first\""),
    ],
)
def test_a_line_of_ge_changes_in_its_value_alone(line: bytes, expected: bytes) -> None:
    new = vendor.rewritten(GE_PROTOCOL, ge_block(GE_LINES + line + b"\n"), Study())
    assert new is not None
    assert ge_text(new) == GE_LINES + expected + b"\n"


def test_ges_block_loses_the_name_and_the_time_in_its_gzip_header() -> None:
    new = vendor.rewritten(GE_PROTOCOL, ge_block(GE_LINES), Keeps())
    assert new is not None
    assert ge_text(new) == GE_LINES
    assert b"27018" not in new
    assert new[8:12] == bytes(4)
    assert new == vendor.rewritten(GE_PROTOCOL, new, Keeps())


def test_the_engine_finds_a_name_that_is_in_ges_block_alone() -> None:
    ds = basic_dataset(PatientName=NAME.decode())
    block = ds.private_block(GE_PROTOCOL.group, GE_PROTOCOL.creator, create=True)
    block.add_new(GE_PROTOCOL.element, "OB", ge_block(GE_LINES + b'COMPONENT "of %s"\n' % FAMILY))
    output = deidentify(ds, plan_of(removes_private=False))
    assert not holds_token(output.data)
    value = output.dataset[0x0025, 0x101B].value
    assert ge_text(value) == GE_LINES + b'COMPONENT "of"\n'


def test_ges_block_of_xml_stays_well_formed() -> None:
    text = b'<?xml version="1.0"?><p><set name="PATIENT NAME">%s</set><TE>30</TE></p>' % NAME
    new = vendor.rewritten(GE_PROTOCOL, ge_block(text), Study())
    assert new is not None
    root = ET.fromstring(ge_text(new))  # noqa: S314  (our own text)
    assert [child.text for child in root] == ["ANON^EXAMPLE", "30"]


def test_a_bomb_is_unreadable_and_is_not_unpacked() -> None:
    bomb = zlib.compress(bytes(17 << 20), wbits=31)
    with pytest.raises(vendor.UnreadableError):
        vendor.rewritten(GE_PROTOCOL, struct.pack("<I", len(bomb)) + bomb, Study())
    with pytest.raises(vendor.UnreadableError):
        vendor.rewritten(UNKNOWN, b"\1\2\3\4\5" + bomb, Study())


@pytest.mark.parametrize(
    "raw",
    [
        ge_block(GE_LINES)[:-40],
        struct.pack("<I", 1 << 31) + ge_block(GE_LINES)[4:],
        b"\1" * 60,
        ge_block(bytes(range(256))),
    ],
)
def test_what_is_no_block_where_ges_must_be_is_unreadable(raw: bytes) -> None:
    with pytest.raises(vendor.UnreadableError):
        vendor.rewritten(GE_PROTOCOL, raw, Study())


# Text of any maker


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (
            b"<a><PatientName>%s</PatientName></a>" % NAME,
            "<a><PatientName>ANON^EXAMPLE</PatientName></a>",
        ),
        (b'<a PatientID="%s" te="30"/>' % MRN, '<a PatientID="SUBJECT-1" te="30"/>'),
        (b'<p name="PatientID" value="%s"/>' % MRN, '<p name="PatientID" value="SUBJECT-1"/>'),
        (
            b"<p><x name='InstitutionName'>Elsewhere</x></p>",
            "<p><x name='InstitutionName'></x></p>",
        ),
        (b"<p>of Quill&#102;eather &amp; sons</p>", "<p>of  &amp; sons</p>"),
        (b"<p><![CDATA[of %s]]></p>" % FAMILY, "<p><![CDATA[of ]]></p>"),
        (b"<p><!-- by %s --><TE>30</TE></p>" % GIVEN, "<p><TE>30</TE></p>"),
        (b"<p><u>%s</u></p>" % UID, f"<p><u>{mapped_uid(UID).decode()}</u></p>"),
        (
            b'<DicomAttribute tag="00100010" vr="PN"><Family>x</Family></DicomAttribute>',
            '<DicomAttribute tag="00100010" vr="PN"><Family>ANON^EXAMPLE</Family></DicomAttribute>',
        ),
    ],
)
def test_xml_changes_in_its_values_alone_and_stays_well_formed(raw: bytes, expected: str) -> None:
    new = cleaned(raw)
    assert new.rstrip(b" \0").decode() == expected
    ET.fromstring(new.rstrip(b" \0"))  # noqa: S314  (our own text)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"<a b='&#81;uill'>&#x51;uill&#252;</a>", '<a b="Quill">Quill\u00fc</a>'.encode()),
        (
            b'<?xml version="1.0" encoding="ISO-8859-1"?><a>M&#252;ller</a>',
            b'<?xml version="1.0" encoding="ISO-8859-1"?><a>M\xfcller</a>',
        ),
        (b'{"a": "\\u0051uill\\u00fc"}', '{"a": "Quill\u00fc"}'.encode()),
        (b"<a b='x&#10;y'>&lt;</a>", b"<a b='x&#10;y'>&lt;</a>"),
    ],
)
def test_characters_given_as_numbers_can_be_searched_for_afterwards(
    raw: bytes, expected: bytes
) -> None:
    new = vendor.rewritten(UNKNOWN, raw, Keeps())
    assert new is not None
    assert new.rstrip(b" ") == expected


def test_ges_block_can_be_searched_as_it_is_written() -> None:
    new = vendor.rewritten(GE_PROTOCOL, ge_block(GE_LINES), Keeps())
    assert new is not None
    assert GE_LINES in new


def test_a_data_set_in_base64_does_not_stay() -> None:
    # As in Philips' examination records: (0010,0010) of a data set, in characters.
    packed = "EAAQAFBOFgBRdWlsbGZlYXRoZXJeT3R0b2xpbmUg" + "AAgA" * 8
    new = cleaned(f"<r><StudyValue>{packed}</StudyValue><kVp>120</kVp></r>".encode())
    assert new.rstrip() == b"<r><StudyValue></StudyValue><kVp>120</kVp></r>"
    assert json.loads(cleaned(json.dumps({"a": packed, "b": 1}).encode())) == {"a": "", "b": 1}


def test_json_changes_in_its_values_alone() -> None:
    old = {"PatientName": "x", "weight": 1.50, "in": {"note": "of Quillfeather \u00e4"}}
    raw = json.dumps(old).encode().replace(b"1.5", b"1.500")
    new = cleaned(raw).rstrip()
    assert b'"weight": 1.500' in new
    assert json.loads(new) == old | {"PatientName": "ANON^EXAMPLE", "in": {"note": "of  \u00e4"}}


def test_a_number_in_json_that_identifies_is_null() -> None:
    raw = b'{"PatientWeight": 80.5, "EchoTime": 30}'
    assert json.loads(cleaned(raw)) == {"PatientWeight": None, "EchoTime": 30}


def test_named_lines_of_any_text_change_by_their_names() -> None:
    raw = b"Patient ID: x-1\r\nHospital = Elsewhere\r\nTE = 30\r\nfree %s here\r\n" % FAMILY
    assert cleaned(raw).rstrip(b" ") == (
        b"Patient ID: SUBJECT-1\r\nHospital = \r\nTE = 30\r\nfree  here\r\n"
    )


def test_what_becomes_shorter_is_filled_up_because_others_state_its_length() -> None:
    raw = b"free text of %s, and more" % FAMILY
    assert len(cleaned(raw)) == len(raw) + len(raw) % 2


def test_text_in_sixteen_bits_is_text() -> None:
    text = f"<?xml version='1.0' encoding='utf-16'?><p><PatientID>{MRN.decode()}</PatientID></p>"
    raw = text.encode("utf-16")
    new = cleaned(raw)
    assert not holds_token(new)
    assert "SUBJECT-1" in new.decode("utf-16")


# Compressed inside of something else


def test_a_stream_in_a_binary_value_is_cleaned_and_keeps_its_length() -> None:
    text = (b"<r><PatientName>%s</PatientName><kVp>120</kVp></r>" % NAME) * 3
    stream = gzip.compress(text, compresslevel=1, mtime=1)
    raw = b"\0\1\0\0" + struct.pack("<I", len(stream)) + stream + b"\x0b" + bytes(19)
    new = cleaned(raw)
    assert not holds_token(new)
    assert len(new) == len(raw) + len(raw) % 2
    assert new[:8] == raw[:8]
    assert new[8 + len(stream) :].rstrip(b"\0") == b"\x0b"
    assert gzip.decompress(new[8 : 8 + len(stream)]) == text.replace(NAME, b"ANON^EXAMPLE")


def test_a_stream_behind_another_head_than_ges_is_cleaned_as_well() -> None:
    stream = gzip.compress((b"<r><x>%s</x></r>" % FAMILY) * 9)
    new = cleaned(b"HEAD" + stream)
    assert not holds_token(new)
    assert len(new) == len(stream) + 4 + len(stream) % 2


def test_a_compressed_binary_that_says_a_name_does_not_stay() -> None:
    stream = gzip.compress(bytes(range(256)) + NAME)
    assert cleaned(b"\1\2\3" + stream) == b""


def test_an_archive_does_not_stay() -> None:
    assert cleaned(b"PK\3\4" + bytes(60)) == b""


def test_binary_of_no_known_format_is_not_judged_here() -> None:
    assert vendor.rewritten(UNKNOWN, bytes(range(256)), Study()) is None
    assert vendor.rewritten(UNKNOWN, bytes(64), Study()) is None
    assert vendor.rewritten(UNKNOWN, b"", Study()) is None


_PIECES = st.sampled_from(
    [
        b"<a>",
        b"</a>",
        b"<a",
        b"/>",
        b"<!--",
        b"-->",
        b"<![CDATA[",
        b"]]>",
        b"&#x51;",
        b"<?xml ?>",
        b'"',
        b"'",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b"\\",
        b"\n",
        b" ",
        b"=",
        b"PatientName",
        b"<XProtocol>",
        b"### ASCCONV BEGIN ###\n",
        b"### ASCCONV END ###",
        b'<ParamString."x">',
        b"Quill",
        b"30.5",
        b"SV10",
        b"\x1f\x8b\x08",
        b"\0",
        b"\xff\xfe",
        b"1.2.3.4.5.6.7.8.9",
    ]
)


@given(st.lists(_PIECES, max_size=60).map(b"".join))
@settings(deadline=1000)
def test_any_bytes_are_rewritten_or_left_or_unreadable(raw: bytes) -> None:
    try:
        new = vendor.rewritten(UNKNOWN, raw, Study())
    except vendor.UnreadableError:
        return
    assert new is None or len(new) % 2 == 0 or new == raw


@given(st.lists(_PIECES, max_size=30).map(b"".join), _PIECES)
@settings(deadline=1000)
def test_a_study_that_changes_nothing_changes_no_text(raw: bytes, piece: bytes) -> None:
    text = raw.replace(b"\0", b"") + piece.replace(b"\0", b"") + b"text"
    try:
        new = vendor.rewritten(UNKNOWN, text, Keeps())
    except vendor.UnreadableError:
        return
    is_rewritten = text[:4] == b"SV10" or b"\x1f\x8b\x08" in text or b"&#" in text
    assert is_rewritten or new in (text, None)


@pytest.mark.parametrize(
    "piece",
    [
        b'"',
        b"<",
        b"<a",
        b"<a ",
        b'<a b="',
        b"{",
        b"[",
        b"\\",
        b"1.",
        b"1.2.3.4.5.6.",
        b"a=",
        b" ",
        b"<!--",
        b"&#1;",
        b"x ",
        b"<XProtocol>",
        b'<ParamString."',
        b"<a b='c' ",
        b"Name = ",
        b"\x1f\x8b\x08\0",
        b"=\t",
        b"### ASCCONV BEGIN",
        b'a = "',
        b"00990005LO0003eng",
    ],
)
@pytest.mark.timeout(20)
def test_work_grows_with_the_length_alone(piece: bytes) -> None:
    for start in (b"", b"<?xml", b"<XProtocol> ", b'{"a":', b"### ASCCONV BEGIN ###\nx = "):
        raw = start + piece * (100_000 // len(piece))
        try:
            vendor.rewritten(UNKNOWN, raw, Study())
        except vendor.UnreadableError:
            continue


@pytest.mark.parametrize("vr", ["OB", "UN"])
def test_a_name_that_is_only_in_something_compressed_is_found(vr: str) -> None:
    packed = gzip.compress(b"<r><x>Quillfeather</x></r>" * 4, compresslevel=1)
    ds = basic_dataset()
    block = ds.private_block(0x0029, "ACME 1.0", create=True)
    block.add_new(0x01, vr, b"\1\2\3" + packed + b"\0" * (len(packed) % 2 == 0))
    output = deidentify(ds, plan_of(removes_private=False))
    for element in output.dataset.group_dataset(0x0029):
        stream = element.value
        if isinstance(stream, str) or b"\x1f\x8b" not in stream:
            continue
        unpacked = zlib.decompressobj(31).decompress(stream[stream.index(b"\x1f\x8b") :])
        assert b"Quillfeather" not in unpacked
