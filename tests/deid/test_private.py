"""Private elements: gone, or kept by their creator, never by the number of their block."""

import struct

import pytest
from pydicom.dataset import Dataset
from support_deid import (
    EXPLICIT,
    IMPLICIT,
    ROOT,
    basic_dataset,
    deidentify,
    encode,
    encode_as_un,
    plan_of,
)

from dicomanon_node.deid.rules import ActionKind, PrivateTag, RuleAction
from dicomanon_node.errors import Reason, Refused

SYNTAXES = pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
KEEP, CLEAR, HASH = (
    RuleAction(kind) for kind in (ActionKind.KEEP, ActionKind.CLEAR, ActionKind.HASH)
)
GROUP = 0x0019


def _with_blocks(*blocks: tuple[int, str, dict[int, tuple[str, object]]]) -> Dataset:
    ds = basic_dataset()
    for block, creator, elements in blocks:
        ds.add_new(GROUP << 16 | block, "LO", creator)
        for element, (vr, content) in elements.items():
            ds.add_new(GROUP << 16 | block << 8 | element, vr, content)
    return ds


def _private(ds: Dataset) -> list[int]:
    return [int(element.tag) for element in ds.iterall() if element.tag.is_private]


def _saving(*tags: tuple[str, int]) -> frozenset[PrivateTag]:
    return frozenset(PrivateTag(GROUP, creator, element) for creator, element in tags)


TWO_BLOCKS: tuple[tuple[int, str, dict[int, tuple[str, object]]], ...] = (
    (0x10, "ACME 1.0", {0x01: ("DS", "1.5"), 0x02: ("LO", "secret")}),
    (0x11, "OTHER", {0x01: ("DS", "2.5")}),
)


@SYNTAXES
def test_all_private_elements_and_creators_go(syntax: str) -> None:
    output = deidentify(_with_blocks(*TWO_BLOCKS), plan_of(), syntax)
    assert _private(output.dataset) == []
    assert b"ACME" not in output.data


@SYNTAXES
def test_a_saved_element_stays_with_its_creator_and_nothing_else(syntax: str) -> None:
    plan = plan_of(saved_private=_saving(("ACME 1.0", 0x01)))
    output = deidentify(_with_blocks(*TWO_BLOCKS), plan, syntax)
    assert _private(output.dataset) == [0x00190010, 0x00191001]
    assert output.dataset[0x00190010].value == "ACME 1.0"
    assert b"OTHER" not in output.data
    assert b"secret" not in output.data


@pytest.mark.parametrize("block", [0x10, 0x11, 0x42, 0xFF])
@SYNTAXES
def test_the_number_of_the_block_does_not_matter(syntax: str, block: int) -> None:
    plan = plan_of(saved_private=_saving(("ACME 1.0", 0x01)))
    ds = _with_blocks((block, "ACME 1.0", {0x01: ("DS", "1.5")}))
    new = deidentify(ds, plan, syntax).dataset
    assert _private(new) == [GROUP << 16 | block, GROUP << 16 | block << 8 | 1]


@SYNTAXES
def test_the_same_number_under_another_creator_goes(syntax: str) -> None:
    plan = plan_of(saved_private=_saving(("ACME 1.0", 0x01)))
    ds = _with_blocks((0x10, "ACME 1.1", {0x01: ("DS", "1.5")}))
    assert _private(deidentify(ds, plan, syntax).dataset) == []


def test_padding_of_a_creator_does_not_count() -> None:
    plan = plan_of(saved_private=_saving(("ACME 1.0", 0x01)))
    ds = _with_blocks((0x10, "ACME 1.0   ", {0x01: ("DS", "1.5")}))
    assert _private(deidentify(ds, plan).dataset) == [0x00190010, 0x00191001]


def test_elements_without_a_creator_go() -> None:
    ds = basic_dataset()
    ds.add_new(0x00191001, "DS", "1.5")
    plan = plan_of(removes_private=False, saved_private=_saving(("ACME 1.0", 0x01)))
    assert _private(deidentify(ds, plan).dataset) == []


@SYNTAXES
def test_a_group_saved_by_number_needs_its_creator_too(syntax: str) -> None:
    plan = plan_of(saved_groups=frozenset({0x00191001}))
    assert _private(deidentify(_with_blocks(*TWO_BLOCKS), plan, syntax).dataset) == [
        0x00190010,
        0x00191001,
    ]


@SYNTAXES
def test_rules_by_creator_act_on_the_element(syntax: str) -> None:
    plan = plan_of(
        private_tags={
            PrivateTag(GROUP, "ACME 1.0", 0x01): KEEP,
            PrivateTag(GROUP, "ACME 1.0", 0x02): CLEAR,
        }
    )
    new = deidentify(_with_blocks(*TWO_BLOCKS), plan, syntax).dataset
    assert _private(new) == [0x00190010, 0x00191001, 0x00191002]
    assert new[0x00191002].is_empty


@SYNTAXES
def test_kept_private_elements_lose_names_dates_and_uids(syntax: str) -> None:
    ds = _with_blocks(
        (
            0x10,
            "ACME 1.0",
            {
                0x01: ("PN", "Marrowby^Tib"),
                0x02: ("DA", "19700203"),
                0x03: ("UI", ROOT + "13"),
                0x04: ("DS", "1.5"),
                0x05: ("LO", "for Quillfeather"),
                0x06: ("AE", "STATION9"),
            },
        )
    )
    # In Implicit VR nobody knows these VRs: the guard alone looks at them.
    output = deidentify(ds, plan_of(removes_private=False), syntax)
    assert b"uillfeather" not in output.data
    assert f"{ROOT}13".encode() not in output.data
    assert output.dataset[0x00191004].value in (1.5, b"1.5 ")
    if syntax == EXPLICIT:
        assert b"Marrowby" not in output.data
        assert b"STATION9" not in output.data
        assert b"19700203" not in output.data
        assert output.dataset[0x00191003].value == output.dataset.SOPInstanceUID
        assert output.dataset[0x00191005].value == "for"


def test_known_creators_tell_the_vr_in_implicit_vr() -> None:
    ds = basic_dataset()
    ds.add_new(0x00190010, "LO", "GEMS_ACQU_01")
    ds.add_new(0x0019100F, "DS", "12.5")  # pydicom's dictionary: horizontal frame of reference
    output = deidentify(ds, plan_of(removes_private=False), IMPLICIT)
    assert float(output.dataset[0x0019100F].value) == 12.5


def _sequence(inner: Dataset) -> Dataset:
    return _with_blocks((0x10, "ACME 1.0", {0x01: ("SQ", [inner]), 0x02: ("DS", "1.5")}))


@pytest.mark.parametrize("encoding", ["SQ", "UN", "OB", "implicit"])
@pytest.mark.parametrize("is_undefined", [False, True])
def test_kept_private_sequences_are_looked_into(encoding: str, is_undefined: bool) -> None:
    inner = basic_dataset(PatientName="Marrowby^Tib", EchoTime="5")
    inner.is_undefined_length_sequence_item = is_undefined
    ds = _sequence(inner)
    ds[0x00191001].is_undefined_length = is_undefined and encoding != "OB"
    plan = plan_of(removes_private=False)
    if encoding == "implicit":
        output = deidentify(ds, plan, IMPLICIT)
    else:
        body = encode(ds) if encoding == "SQ" else encode_as_un(ds, {0x00191001})
        tag = struct.pack("<HH", 0x0019, 0x1001)
        output = deidentify(body.replace(tag + b"UN", tag + encoding.encode()), plan)
    assert b"Marrowby" not in output.data
    assert f"{ROOT}13".encode() not in output.data
    assert _private(output.dataset)[:3] == [0x00190010, 0x00191001, 0x00191002]
    assert output.dataset[0x00191002].value in (1.5, b"1.5 ")
    # What nobody asked to change is still in it.
    assert b"\x18\x00\x81\x00" in output.data


_FRAGMENT = b"\xfe\xff\x00\xe0" + struct.pack("<I", 16) + b"TUSREMEASUREMENT"


def _kept(vr: bytes, value: bytes, length: int | None = None) -> bytes:
    ds = basic_dataset()
    ds.add_new(0x00290010, "LO", "ACME 1.0")
    length = len(value) if length is None else length
    header: bytes = struct.pack("<HH2sxxI", 0x0029, 0x1001, vr, length)
    return encode(ds) + header + value


def test_a_kept_un_that_looks_like_items_and_is_none_is_refused() -> None:
    body = _kept(b"UN", _FRAGMENT)
    with pytest.raises(Refused) as refused:
        deidentify(body, plan_of(removes_private=False))
    assert refused.value.reason is Reason.PRIVATE_UNREADABLE
    assert deidentify(body).dataset.PatientIdentityRemoved == "YES"


def test_a_kept_ob_of_fragments_is_a_blob() -> None:
    """A real file of Toshiba has such measurements in (0029,xx10)."""
    delimiter = b"\xfe\xff\xdd\xe0\0\0\0\0"
    for body in (_kept(b"OB", _FRAGMENT), _kept(b"OB", _FRAGMENT + delimiter, 0xFFFFFFFF)):
        assert _FRAGMENT in deidentify(body, plan_of(removes_private=False)).data
        named = body.replace(b"TUSREMEASUREMENT", b"FOR QUILLFEATHER")
        output = deidentify(named, plan_of(removes_private=False))
        assert b"QUILLFEATHER" not in output.data


def test_a_delimiter_left_over_in_a_defined_length_is_no_fault() -> None:
    """Real files of Philips have it where an archive made UN of a sequence."""
    inner = encode(basic_dataset(PatientName="Marrowby^Tib"), IMPLICIT)
    items = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(inner)) + inner
    body = _kept(b"UN", items + b"\xfe\xff\xdd\xe0\0\0\0\0")
    output = deidentify(body, plan_of(removes_private=False))
    assert b"Marrowby" not in output.data
    assert _private(output.dataset) == [0x00290010, 0x00291001]


def test_text_that_a_maker_calls_numbers_is_looked_at() -> None:
    """Real files of Philips have the institution's name as UTF-16 in a US."""
    text = "Klinik Hinterzarten"
    ds = _with_blocks((0x10, "ACME 1.0", {0x01: ("US", [ord(letter) for letter in text])}))
    ds.InstitutionName = text
    output = deidentify(ds, plan_of(removes_private=False))
    assert "Hinterzarten".encode("utf-16-le") not in output.data


@SYNTAXES
def test_private_blocks_in_items_have_their_own_creators(syntax: str) -> None:
    inner = Dataset()
    inner.add_new(0x00190010, "LO", "OTHER")
    inner.add_new(0x00191001, "DS", "3.5")
    item = Dataset()
    item.add_new(0x00190010, "LO", "ACME 1.0")
    item.add_new(0x00191001, "DS", "4.5")
    ds = basic_dataset(ReferencedInstanceSequence=[inner, item])
    plan = plan_of(saved_private=_saving(("ACME 1.0", 0x01)))
    first, second = deidentify(ds, plan, syntax).dataset.ReferencedInstanceSequence
    assert _private(first) == []
    assert _private(second) == [0x00190010, 0x00191001]


@SYNTAXES
def test_a_hashed_private_sequence_has_its_texts_hashed(syntax: str) -> None:
    inner = Dataset()
    inner.CodeMeaning = "words"
    plan = plan_of(private_tags={PrivateTag(GROUP, "ACME 1.0", 0x01): HASH})
    body = encode(_sequence(inner), syntax)
    output = deidentify(body, plan, syntax)
    assert b"words" not in output.data
    assert _private(output.dataset) == [0x00190010, 0x00191001]


def test_a_creator_that_names_the_patient_goes_with_its_block() -> None:
    ds = _with_blocks((0x10, "QUILLFEATHER", {0x01: ("DS", "1.5")}))
    output = deidentify(ds, plan_of(removes_private=False))
    assert b"QUILLFEATHER" not in output.data
    assert _private(output.dataset) == []


@pytest.mark.parametrize("vr", ["OB", "UN"])
def test_a_kept_blob_that_is_text_loses_the_name_of_the_patient(vr: str) -> None:
    blob = b"tPatientName = Quillfeather^Ottoline\n" + bytes(50)
    ds = _with_blocks((0x10, "ACME 1.0", {0x01: (vr, blob)}))
    output = deidentify(ds, plan_of(removes_private=False))
    assert b"Quillfeather" not in output.data
    assert output.dataset[0x00191001].value.startswith(b"tPatientName")


@pytest.mark.parametrize(
    "blob",
    [
        "Quillfeather".encode("utf-16-le") + bytes(50),
        b"\0" * 9 + b"MRN7741902" + b"\0" * 9,
        b"\0\0" + f"{ROOT}11".encode() + b"\0\0",
    ],
)
@pytest.mark.parametrize("vr", ["OB", "UN"])
def test_a_kept_blob_that_names_the_patient_goes(vr: str, blob: bytes) -> None:
    ds = _with_blocks((0x10, "ACME 1.0", {0x01: (vr, blob), 0x02: (vr, b"harmless")}))
    output = deidentify(ds, plan_of(removes_private=False))
    assert _private(output.dataset) == [0x00190010, 0x00191002]
    assert output.header.guarded_count == 1


def test_private_elements_after_the_pixel_data_keep_their_creators() -> None:
    ds = basic_dataset()
    ds.add_new(0x7FE00010, "OW", bytes(4))
    ds.add_new(0x7FE10010, "LO", "ACME 1.0")
    ds.add_new(0x7FE11001, "LO", "for Quillfeather")
    ds.add_new(0x7FE11002, "DS", "1.5")
    output = deidentify(ds, plan_of(removes_private=False))
    assert output.dataset[0x7FE11002].value == 1.5
    assert output.dataset[0x7FE10010].value == "ACME 1.0"
    assert b"uillfeather" not in output.data


def test_private_sequences_after_the_pixel_data_are_looked_into() -> None:
    inner = basic_dataset(PatientName="Marrowby^Tib")
    inner.is_undefined_length_sequence_item = True
    ds = basic_dataset()
    ds.add_new(0x7FE00010, "OW", bytes(4))
    ds.add_new(0x7FE10010, "LO", "ACME 1.0")
    ds.add_new(0x7FE11001, "SQ", [inner, inner])
    ds[0x7FE11001].is_undefined_length = True
    output = deidentify(ds, plan_of(removes_private=False))
    assert b"Marrowby" not in output.data
    items = output.dataset[0x7FE11001].value
    assert [item.SOPInstanceUID for item in items] == [output.dataset.SOPInstanceUID] * 2
    assert _private(deidentify(ds).dataset) == []


def test_a_block_whose_creator_is_a_maker_stays_although_somebody_has_that_name() -> None:
    ds = _with_blocks((0x10, "SIEMENS MR HEADER", {0x0C: ("IS", "1000")}))
    ds.ReferringPhysicianName = "SIEMENS^HEADER"
    output = deidentify(ds, plan_of(removes_private=False))
    assert _private(output.dataset) == [0x00190010, 0x0019100C]
