"""CSA headers: what identifies goes, what describes the acquisition stays byte for byte."""

import struct
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support_vendor import (
    CSA_IMAGE,
    CSA_SERIES,
    FAMILY,
    MRN,
    NAME,
    SERIAL,
    UID,
    UNKNOWN,
    Keeps,
    Study,
    Tag,
    csa_header,
    holds_token,
    mapped_uid,
    phoenix,
    read_csa,
)

from dicomanon_node.deid import vendor

TIMES = [b"%d.50000000" % (number * 90) for number in range(60)]
ACQUISITION = [
    Tag(b"EchoLinePosition", b"IS", [b"32      "]),
    Tag(b"MosaicRefAcqTimes", b"FD", TIMES),
    Tag(b"SliceNormalVector", b"FD", [b"0.17880235", b"-0.0", b"1.0e-05"]),
    Tag(b"CoilString", b"LO", [b"t:HEA;HEP"]),
    Tag(b"ImageHistory", b"LO", [b"CC:SoS", b"ACC1"]),
]


def cleaned(raw: bytes, study: vendor.Fields | None = None) -> bytes:
    new = vendor.rewritten(CSA_IMAGE, raw, study or Study())
    assert new is not None
    return new


@pytest.mark.parametrize("is_csa1", [False, True], ids=["csa2", "csa1"])
@pytest.mark.parametrize(
    ("name", "vr", "value", "expected"),
    [
        (b"PatientName", b"PN", NAME, b"ANON^EXAMPLE"),
        (b"PatientsName", b"PN", NAME, b"ANON^EXAMPLE"),
        (b"PatientID", b"LO", MRN, b"SUBJECT-1"),
        (b"PatientBirthDate", b"DA", b"19480213", b""),
        (b"UsedPatientWeight", b"IS", b"90      ", b""),
        (b"DeviceSerialNumber", b"LO", SERIAL, b""),
        (b"ReferringPhysiciansName", b"PN", NAME, b""),
        (b"RepresentativeImage", b"UI", UID, mapped_uid(UID)),
        (b"AutoAlignData", b"UT", b"FOR=" + UID + b";x", b"FOR=" + mapped_uid(UID) + b";x"),
        (b"DataFileName", b"LO", b"scan of " + FAMILY, b"scan of "),
        (b"ScanDate", b"DA", b"20170920", b""),
        (b"ICE_Dims", b"IS", b"not a number but " + FAMILY, b"not a number but "),
    ],
)
def test_a_tag_that_identifies_is_changed_by_its_name_or_vr(
    name: bytes, vr: bytes, value: bytes, expected: bytes, *, is_csa1: bool
) -> None:
    raw = csa_header([*ACQUISITION, Tag(name, vr, [value])], is_csa1=is_csa1)
    new = read_csa(cleaned(raw))
    assert new.pop(name.decode())[0].strip() == expected.strip()
    old = read_csa(csa_header(ACQUISITION, is_csa1=is_csa1))
    assert new == old


@pytest.mark.parametrize("is_csa1", [False, True], ids=["csa2", "csa1"])
def test_a_header_that_identifies_nobody_stays_byte_for_byte(*, is_csa1: bool) -> None:
    raw = csa_header(ACQUISITION, is_csa1=is_csa1)
    assert cleaned(raw) == raw


def test_memory_behind_names_and_values_and_at_the_end_is_zeroed() -> None:
    tags = [
        Tag(b"ProtocolCodeMeaning", b"LO", [b"value\0" + FAMILY], slack=SERIAL),
        *ACQUISITION,
    ]
    raw = csa_header(tags, tail=b"\0" + FAMILY + b"\0\0\0")
    new = cleaned(raw)
    assert holds_token(raw)
    assert not holds_token(new)
    assert len(new) == len(raw)
    assert read_csa(new)["ProtocolCodeMeaning"][0] == b"value"


def test_control_words_say_nothing_but_lengths() -> None:
    raw = bytearray(csa_header(ACQUISITION))
    start = 16 + 84  # the words of the first item
    raw[4:8] = b"Otto"
    raw[start + 12 : start + 16] = b"line"
    new = cleaned(bytes(raw))
    assert new == csa_header(ACQUISITION)


def test_a_header_is_recognised_under_any_creator() -> None:
    raw = csa_header([Tag(b"PatientName", b"PN", [NAME]), *ACQUISITION])
    new = vendor.rewritten(UNKNOWN, raw, Study())
    assert new is not None
    assert not holds_token(new)


def test_the_registered_weight_and_age_in_the_position_go() -> None:
    raw = csa_header([Tag(b"PatReinPattern", b"ST", [b"1;HFS;90.00;48.00;3;0;2;-2048984740"])])
    new = read_csa(cleaned(raw))["PatReinPattern"][0]
    assert new == b"1;HFS;;;3;0;2;-2048984740"
    assert vendor.rewritten(CSA_IMAGE, raw, Keeps()) == raw


def test_a_protocol_in_a_tag_is_cleaned_and_its_numbers_stay() -> None:
    lines = b'tPatientName\t = \t"' + NAME + b'"\n'
    raw = csa_header([Tag(b"MrPhoenixProtocol", b"UN", [phoenix(ascii_lines=lines)]), *ACQUISITION])
    new = vendor.rewritten(CSA_SERIES, raw, Study())
    assert new is not None
    expected = read_csa(raw)["MrPhoenixProtocol"][0].replace(NAME, b"ANON^EXAMPLE")
    assert read_csa(new)["MrPhoenixProtocol"][0] == expected


def test_what_is_no_text_in_a_tag_without_vr_goes() -> None:
    raw = csa_header([*ACQUISITION, Tag(b"PixelFile", b"UN", [b"\1\2\3" + FAMILY])])
    assert read_csa(cleaned(raw))["PixelFile"][0] == b""


def test_report_messages_keep_their_lengths_right() -> None:
    message = b"00990005LO0003eng01000110LO%04d%s01000102LO000800:00:09" % (len(NAME), NAME)
    raw = csa_header([Tag(b"SrMsgBuffer", b"UN", [message])])
    new = read_csa(cleaned(raw))["SrMsgBuffer"][0]
    assert new == b"00990005LO0003eng01000110LO0001^01000102LO000800:00:09"


@pytest.mark.parametrize(
    "raw",
    [
        b"SV10",
        b"SV10\4\3\2\1",
        b"SV10\4\3\2\1" + struct.pack("<II", 0, 77),
        b"SV10\4\3\2\1" + struct.pack("<II", 0xFFFFFFFF, 77),
        csa_header(ACQUISITION)[:-200],
        csa_header([Tag(b"X\1", b"LO")]),
        csa_header([Tag(b"X", b"\1\2")]),
        struct.pack("<II", 3, 77) + b"Name\0".ljust(200, b"\0"),
    ],
)
def test_what_claims_to_be_a_header_and_is_none_is_unreadable(raw: bytes) -> None:
    with pytest.raises(vendor.UnreadableError):
        vendor.rewritten(UNKNOWN, raw, Study())


def test_binary_where_a_header_must_be_is_unreadable() -> None:
    with pytest.raises(vendor.UnreadableError):
        vendor.rewritten(CSA_SERIES, bytes(range(1, 200)), Study())


_NAMES = st.from_regex(rb"[A-Za-z][A-Za-z0-9_]{0,40}", fullmatch=True)
_VALUES = st.one_of(
    st.from_regex(rb"-?[0-9]{1,8}(\.[0-9]{1,8})?", fullmatch=True),
    st.binary(max_size=60).map(lambda raw: raw.replace(b"\0", b"")),
    st.sampled_from([NAME, MRN, UID, phoenix()]),
)
_TAGS = st.builds(
    Tag,
    _NAMES,
    st.sampled_from([b"LO", b"UT", b"FD", b"IS", b"PN", b"DA", b"UI", b"UN", b"TM", b"AS"]),
    st.lists(_VALUES, max_size=8),
    st.binary(max_size=20),
)


@given(st.lists(_TAGS, min_size=1, max_size=8), st.booleans())
def test_any_header_is_valid_afterwards_and_a_second_time_stays(
    tags: list[Tag], is_csa1: bool
) -> None:
    raw = csa_header(tags, is_csa1=is_csa1)
    new = cleaned(raw)
    assert not holds_token(new)
    before, after = read_csa(raw), read_csa(new)
    assert list(before) == list(after)
    assert {name: len(values) for name, values in before.items()} == {
        name: len(values) for name, values in after.items()
    }
    assert cleaned(new, Keeps()) == new
    assert len(new) % 2 == 0


@given(st.data())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=2000)
def test_a_damaged_header_is_rewritten_or_unreadable_and_nothing_else(data: st.DataObject) -> None:
    raw = bytearray(
        csa_header(
            [
                Tag(b"PatientName", b"PN", [NAME]),
                *ACQUISITION,
                Tag(b"MrPhoenixProtocol", b"UN", [phoenix()]),
            ]
        )
    )
    for _ in range(data.draw(st.integers(1, 6))):
        position = data.draw(st.integers(0, len(raw) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=4))
        raw[position : position + len(piece)] = piece
    cut = data.draw(st.integers(0, len(raw)))
    with suppress(vendor.UnreadableError):
        vendor.rewritten(CSA_SERIES, bytes(raw[:cut]), Study())
