"""Senders that mean harm: identifiers the guard might overlook, values it might choke on.

What an identity is searched for in is written byte by byte here, as pydicom would not.
"""

import struct
import time

import pytest
from pydicom.dataset import Dataset
from support_deid import PATIENT_ID, basic_dataset, deidentify, encode, plan_of

from dicomanon_node.deid.identity import Identity
from dicomanon_node.deid.rules import Option
from dicomanon_node.errors import Reason, Refused

SOFTWARE = 0x00181020  # kept by the profile
LONG_VRS = ("OB", "OW", "UN", "UT")
# Generous for a busy machine; what is guarded against takes minutes or never ends.
SECONDS = 8.0


def _with(ds: Dataset, vr: str, raw: bytes, tag: int = SOFTWARE) -> bytes:
    raw += b" " * (len(raw) % 2)
    length = struct.pack("<2xI" if vr in LONG_VRS else "<H", len(raw))
    element = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode() + length + raw
    before, after = Dataset(), Dataset()
    for known in ds:
        if known.tag != tag:
            (before if known.tag < tag else after).add(known)
    character_set = ds.get("SpecificCharacterSet")
    if character_set is None:
        return encode(before) + element + encode(after)
    holder = Dataset()
    holder.SpecificCharacterSet = character_set
    after.SpecificCharacterSet = character_set
    return encode(before) + element + encode(after)[len(encode(holder)) :]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("vr", "raw"),
    [
        ("LO", b"a" * 63 + b"b"),
        ("UT", b"aaa aaaa " * 4_000 + b"aaab"),
    ],
)
def test_a_name_of_parts_that_begin_alike_is_searched_for_in_linear_time(
    vr: str, raw: bytes
) -> None:
    ds = basic_dataset(PatientName="Aaa^Aaaa^Aaaaa^Aaaaaa^Aaaaaaa")
    start = time.perf_counter()
    deidentify(_with(ds, vr, raw))
    assert time.perf_counter() - start < SECONDS


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("vr", "raw"),
    [
        ("UT", b"1.2.826.0.x " + b"1" * 65_536),
        ("OB", b"1.2.826.0.x" + b"1." * 200_000),
    ],
)
def test_endless_uids_are_read_in_linear_time(vr: str, raw: bytes) -> None:
    start = time.perf_counter()
    deidentify(_with(basic_dataset(), vr, raw))
    assert time.perf_counter() - start < SECONDS


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", ["a" * 160_000, "a@" * 80_000, "Dr " * 60_000, "1." * 80_000])
def test_descriptors_are_cleaned_in_linear_time(text: str) -> None:
    body = _with(basic_dataset(), "UT", text.encode(), 0x00204000)
    start = time.perf_counter()
    deidentify(body, plan_of(options=frozenset({Option.CLEAN_DESCRIPTORS})))
    assert time.perf_counter() - start < SECONDS


@pytest.mark.timeout(60)
def test_many_names_cost_a_search_through_bulk_data_no_more_than_few() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    names = [f"Nm{a}{b}xq^Gg{a}{b}zz" for a in letters[:15] for b in letters[:20]]
    raw = b"ngabcdefghijklmnopqrstuvwxyz 012" * (4 << 15)
    body = _with(basic_dataset(OtherPatientNames=names), "OB", raw)
    start = time.perf_counter()
    deidentify(body)
    assert time.perf_counter() - start < SECONDS


@pytest.mark.timeout(60)
def test_many_names_cost_a_search_through_long_text_no_more_than_few() -> None:
    names = [f"{'Quux' * 5}{chr(97 + i % 26)}{chr(97 + i // 26)}^Ed" for i in range(100)]
    ds = basic_dataset(OtherPatientNames=names)
    start = time.perf_counter()
    output = deidentify(_with(ds, "UT", b"of Quillfeather " + b"quux " * 60_000))
    assert time.perf_counter() - start < SECONDS
    assert b"uillfeather" not in output.data


@pytest.mark.timeout(60)
def test_more_names_than_any_real_object_has_are_refused() -> None:
    names = [f"Nm{i // 26}{chr(97 + i % 26) * 5}^Gn{chr(97 + i // 26) * 5}" for i in range(2_000)]
    with pytest.raises(Refused) as refused:
        deidentify(encode(basic_dataset(OtherPatientNames=names)))
    assert refused.value.reason is Reason.TOO_MANY_ELEMENTS


def test_more_text_than_any_real_object_has_is_refused() -> None:
    identity = Identity()
    identity.add(0x00100010, "PN", b"Quillfeather^Ottoline", b"")
    identity.spend(1 << 20)
    with pytest.raises(Refused) as refused:
        identity.spend(1 << 30)
    assert refused.value.reason is Reason.TOO_MANY_ELEMENTS


def test_an_identity_of_nobody_is_never_spent() -> None:
    nobody = Identity()
    for _ in range(100):
        nobody.spend(1 << 20)


@pytest.mark.timeout(60)
def test_the_largest_real_objects_are_within_the_budget() -> None:
    frames = []
    for number in range(1_000):
        frame = Dataset()
        frame.FrameComments = f"frame {number} of Quillfeather"
        frame.FrameLaterality = "R"
        frame.add_new(0x00204000, "LT", f"cardiac phase {number} T1 TSE fs sag")
        frame.add_new(SOFTWARE, "LO", "syngo MR E11 Quillfeather")
        frames.append(frame)
    ds = basic_dataset(PerFrameFunctionalGroupsSequence=frames)
    ds.add_new(0x0040A160, "UT", "The report of Quillfeather says: no finding. " * 10_000)
    output = deidentify(ds)
    assert b"uillfeather" not in output.data
    assert len(output.dataset.PerFrameFunctionalGroupsSequence) == len(frames)


@pytest.mark.parametrize("vr", ["LO", "UT", "CS"])
@pytest.mark.parametrize(
    "raw",
    [
        "Quillfeather".encode("utf-16-le"),
        b"Quill\0feather ",
        b"xOttolineQuillfeather ",
        b"MRQuillfeatherHead ",
        b"Quill\x1b(Bfeather",
    ],
)
def test_a_name_in_disguise_goes_with_its_whole_value(vr: str, raw: bytes) -> None:
    output = deidentify(_with(basic_dataset(), vr, raw))
    assert raw.strip() not in output.data
    assert b"feather" not in output.data


@pytest.mark.parametrize(
    ("declared", "written"), [("ISO_IR 100", "utf-8"), ("ISO_IR 192", "latin-1")]
)
@pytest.mark.parametrize("vr", ["LO", "UT", "CS"])
def test_a_name_in_another_character_set_than_declared_goes(
    vr: str, declared: str, written: str
) -> None:
    ds = basic_dataset(SpecificCharacterSet=declared, PatientName="Müllerström^Anna")
    raw = "Müllerström".encode(written)
    assert raw not in deidentify(_with(ds, vr, raw)).data


@pytest.mark.parametrize("keyword", ["Manufacturer", "ManufacturerModelName"])
@pytest.mark.parametrize("said", ["Quillfeather", PATIENT_ID])
def test_a_maker_called_like_the_patient_excuses_nothing(keyword: str, said: str) -> None:
    ds = basic_dataset(SoftwareVersions=f"for {said}", **{keyword: said})
    assert said.encode() not in deidentify(ds).data


@pytest.mark.parametrize(
    "keyword", ["StationName", "DeviceSerialNumber", "InstitutionName", "InstitutionAddress"]
)
@pytest.mark.parametrize("said", ["Quillfeather", "OTTOLINE", PATIENT_ID])
def test_what_an_option_retains_never_excuses_the_patient(keyword: str, said: str) -> None:
    options = frozenset({Option.RETAIN_DEVICE_IDENTITY, Option.RETAIN_INSTITUTION_IDENTITY})
    ds = basic_dataset(SoftwareVersions=f"for {said}", **{keyword: said})
    output = deidentify(ds, plan_of(options=options))
    assert said.encode() not in output.data
    assert b"uillfeather" not in output.data


@pytest.mark.parametrize("keyword", ["SeriesNumber", "SliceThickness"])
@pytest.mark.parametrize("figures", ["77419021", "19620403"])
def test_a_number_that_is_the_patients_is_emptied(keyword: str, figures: str) -> None:
    ds = basic_dataset(PatientID="77419021", PatientBirthDate="19620403", **{keyword: figures})
    output = deidentify(ds)
    assert output.dataset[keyword].is_empty
    assert figures.encode() not in output.data


def test_what_follows_the_pixel_data_is_looked_at_for_disguises_too() -> None:
    ds = basic_dataset()
    ds.add_new(0x7FE00010, "OW", bytes(4))
    ds.add_new(0x7FE10010, "LO", "ACME 1.0")
    ds.add_new(0x7FE11001, "LO", "MRQuillfeatherHead")
    assert b"uillfeather" not in deidentify(ds, plan_of(removes_private=False)).data
