"""Identity in the disguise of another VR, another length or another place is not kept."""

import struct

import pytest
from pydicom.dataset import Dataset
from support_deid import EXPLICIT, basic_dataset, deidentify, encode, plan_of

from dicomanon_node.errors import Reason, Refused

SECRETS = (b"Smithers", b"19500102", b"ACC55512")
LONG = frozenset("OB OW OD OF OL OV SQ SV UC UN UR UT UV".split())


def explicit(tag: int, vr: str, value: bytes, length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    if vr in LONG:
        return head + b"\0\0" + struct.pack("<I", size) + value
    return head + struct.pack("<H", size) + value


def implicit(tag: int, value: bytes) -> bytes:
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value


def item(content: bytes) -> bytes:
    return b"\xfe\xff\x00\xe0" + struct.pack("<I", len(content)) + content


DELIMITER = b"\xfe\xff\xdd\xe0\0\0\0\0"
UNDEFINED = 0xFFFFFFFF
VALUES = ((0x00080050, b"ACC55512"), (0x00100010, b"Smithers^Waylon "), (0x00100030, b"19500102"))
IMPLICIT_ITEM = b"".join(implicit(tag, value) for tag, value in VALUES)
EXPLICIT_ITEM = b"".join(
    explicit(tag, vr, value) for (tag, value), vr in zip(VALUES, ("SH", "PN", "DA"), strict=True)
)


def with_element(tag: int, raw: bytes, **attributes: object) -> bytes:
    """The basic data set with one raw element in its place."""
    dataset = basic_dataset(**attributes)
    parts = []
    for element in dataset:
        if element.tag == tag:
            continue
        alone = Dataset()
        alone.add(element)
        parts.append((int(element.tag), encode(alone, EXPLICIT)))
    parts.append((tag, raw))
    return b"".join(encoded for _, encoded in sorted(parts))


def output(source: bytes) -> bytes | None:
    """What comes out, or None if the object is refused."""
    try:
        return deidentify(source).data
    except Refused:
        return None


@pytest.mark.parametrize(
    ("vr", "content"), [("UN", IMPLICIT_ITEM), ("OB", EXPLICIT_ITEM), ("UT", EXPLICIT_ITEM)]
)
def test_a_value_of_undefined_length_is_walked_whatever_its_tag_is_known_as(
    vr: str, content: bytes
) -> None:
    raw = explicit(0x00181250, vr, item(content) + DELIMITER, UNDEFINED)
    data = output(with_element(0x00181250, raw))
    assert data is None or not any(secret in data for secret in SECRETS)


@pytest.mark.parametrize(
    "tag", [0x00100033, 0x00100034, 0x00181003, 0x00401006, 0x0074100C, 0x0040E001]
)
def test_attributes_that_identify_go_though_the_table_does_not_list_them(tag: int) -> None:
    data = output(with_element(tag, explicit(tag, "LO", b"ACC55512")))
    assert data is None or b"ACC55512" not in data


@pytest.mark.parametrize("vr", ["LO", "SH", "ST", "LT", "UT"])
def test_a_name_is_looked_for_also_where_the_object_calls_it_a_text(vr: str) -> None:
    name = with_element(0x00100010, explicit(0x00100010, vr, b"Smithers^Waylon "))
    software = explicit(0x00181020, "LO", b"for Smithers")
    at = name.index(b"\x20\x00\x0d\x00")
    data = output(name[:at] + software + name[at:])
    assert data is None or b"Smithers" not in data


def test_a_previous_method_that_is_no_text_is_not_taken_over() -> None:
    raw = explicit(0x00120063, "SQ", item(EXPLICIT_ITEM))
    data = output(with_element(0x00120063, raw))
    assert data is None or not any(secret in data for secret in SECRETS)


def test_a_sequence_is_no_private_creator() -> None:
    source = with_element(0x00090010, explicit(0x00090010, "SQ", item(EXPLICIT_ITEM)))
    try:
        data = deidentify(source, plan_of(removes_private=False)).data
    except Refused:
        return
    assert not any(secret in data for secret in SECRETS)


@pytest.mark.parametrize(
    "raw",
    [
        explicit(0x7FE00010, "SQ", item(EXPLICIT_ITEM)),
        explicit(0x7FE00010, "UN", item(IMPLICIT_ITEM) + DELIMITER, UNDEFINED),
        explicit(0x7FE00010, "LT", b"Smithers 19500102"),
    ],
)
def test_what_passes_as_pixel_data_has_to_be_pixels(raw: bytes) -> None:
    with pytest.raises(Refused) as refused:
        deidentify(with_element(0x7FE00010, raw))
    assert refused.value.reason is Reason.UNPARSABLE


def test_an_instance_is_no_class() -> None:
    source = basic_dataset()
    disguised = f"{source.StudyInstanceUID}.55".encode()
    disguised += b"\0" * (len(disguised) % 2)
    data = output(with_element(0x00080117, explicit(0x00080117, "UI", disguised)))
    assert data is None or disguised not in data
