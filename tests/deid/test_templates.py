"""What takes the short cut comes out as by the long way, byte for byte."""

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from support_deid import (
    CT,
    EXPLICIT,
    IMPLICIT,
    INSTANCE_UID,
    LIMITS,
    ROOT,
    basic_dataset,
    encode,
    plan_of,
    read_file,
)
from support_strategies import datasets

from dicomanon_node.dataset_stream import Announced, DatasetStream
from dicomanon_node.deid.boundaries import HeaderScanner, Limits
from dicomanon_node.deid.plan import Plan
from dicomanon_node.deid.rules import Option, StationRule
from dicomanon_node.deid.templates import Templates
from dicomanon_node.errors import Refused
from dicomanon_node.routing import Route, Router

SOP_CLASS_UID, SOP_INSTANCE_UID = 0x00080016, 0x00080018

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"
FILES = sorted(path for path in CORPUS.rglob("*") if path.is_file()) if CORPUS.is_dir() else []

PLANS: dict[str, dict[str, Any]] = {
    "basic": {},
    "private": {"removes_private": False},
    "safe private": {"options": frozenset({Option.RETAIN_SAFE_PRIVATE})},
    "clean": {"options": frozenset({Option.CLEAN_DESCRIPTORS, Option.RETAIN_DEVICE_IDENTITY})},
    "dates": {"options": frozenset({Option.RETAIN_LONGITUDINAL_MODIFIED_DATES})},
    "no profile": {"profile": None},
}


class Bounds:
    limits = LIMITS
    deflated_bytes = converted_bytes = 1 << 26


def passed(
    body: bytes,
    uid: str,
    plan: Plan,
    templates: Templates[Route] | None,
    syntax: str = EXPLICIT,
    *,
    sop_class: str = CT,
    step: int = 1 << 16,
) -> tuple[bytes, bool]:
    """What comes out, or the refusal's reason; and whether the short cut was taken."""
    rule = StationRule(name="default", tag_for_study=0x00081030, split="", split_index=0)
    out: list[bytes] = []
    stream = DatasetStream(
        Announced(sop_class, uid, syntax, "NODE"),
        Router({"default": rule}, {"study": plan}, "study"),
        Bounds(),
        lambda chunks: out.extend(map(bytes, chunks)),
        templates=templates,
    )
    try:
        for start in range(0, len(body), step):
            stream.feed([memoryview(body)[start : start + step]])
        stream.finish()
    except Refused as refused:
        return repr((refused.reason, refused.tag)).encode(), False
    stream.teach()
    return b"".join(out), stream.elements is None


def both_ways(
    series: Sequence[Dataset], name: str = "basic", syntax: str = EXPLICIT, step: int = 1 << 16
) -> int:
    """How many objects of a series take the short cut; all come out as by the long way."""
    templates: Templates[Route] = Templates()
    shared = plan_of(**PLANS[name])
    taken = 0
    for ds in series:
        body, uid = encode(ds, syntax), str(ds.SOPInstanceUID)
        sop_class = str(ds.SOPClassUID)
        short, is_short = passed(
            body, uid, shared, templates, syntax, sop_class=sop_class, step=step
        )
        long, _ = passed(body, uid, plan_of(**PLANS[name]), None, syntax, sop_class=sop_class)
        assert short == long
        taken += is_short
    return taken


def slices(count: int = 8, **extra: Callable[[int], Any]) -> Iterator[Dataset]:
    """A series as a scanner sends it; what varies besides is told by number."""
    for number in range(count):
        ds = basic_dataset(SOPInstanceUID=f"{ROOT}13.{number}", InstanceNumber=number)
        ds.SliceLocation = str(number * 2.5)
        ds.ImagePositionPatient = [-100, -100.5, number * 2.5]
        ds.AcquisitionTime = f"1030{number:02d}.123"
        ds.ContentTime = f"1031{number:02d}"
        ds.PixelData = bytes(4096)
        ds["PixelData"].VR = "OW"
        for keyword, value in extra.items():
            if value(number) is not None:
                setattr(ds, keyword, value(number))
        yield ds


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("name", sorted(PLANS))
def test_the_third_object_of_a_series_takes_the_short_cut(name: str, syntax: str) -> None:
    assert both_ways(list(slices()), name, syntax) == 6


@pytest.mark.parametrize("step", [1, 7, 100, 4096])
def test_it_does_not_matter_in_which_pieces_an_object_comes(step: int) -> None:
    assert both_ways(list(slices(4)), step=step) == 2


def reference(number: int) -> Items:
    item = Dataset()
    item.ReferencedSOPClassUID = CT
    item.ReferencedSOPInstanceUID = f"{ROOT}77.{number % 3}"
    return Items([item] * (number % 3))


def names(number: int) -> str:
    return f"Example^{number % 3}"


VARIANTS: dict[str, Callable[[int], Any]] = {
    "SeriesInstanceUID": lambda number: f"{ROOT}12.{number % 2}",
    "SeriesNumber": lambda number: number % 3,
    "FrameOfReferenceUID": lambda number: f"{ROOT}14.{number}",
    "ReferencedImageSequence": reference,
    "PatientName": names,
    "OperatorsName": names,
    "PatientID": lambda number: f"ID{number % 2}",
    "PatientBirthDate": lambda number: f"1950010{number % 3 + 1}",
    "StudyInstanceUID": lambda number: f"{ROOT}11.{number % 2}",
    "StudyDescription": lambda number: f"study {number % 2}",
    "SpecificCharacterSet": lambda number: ("ISO_IR 100", "ISO_IR 192")[number % 2],
    "ManufacturerModelName": lambda number: ("Scanner 5", "Quillfeather 5")[number % 2],
    "AcquisitionDateTime": lambda number: f"2026010{number % 2 + 1}1030{number:02d}",
    "AcquisitionDate": lambda number: f"2026010{number // 4 + 1}",
    "ImageComments": lambda number: ("", "Quillfeather", "seen by Oona", "nobody")[number % 4],
    "ScanningSequence": lambda number: ("SE", None, "GR")[number % 3],
    "KVP": lambda number: ("120", "", "120.5")[number % 3],
    "LossyImageCompressionRatio": lambda number: ("2", "19610417", "3")[number % 3],
    "BurnedInAnnotation": lambda number: ("NO", "NO", "YES")[number % 3],
    "StationName": lambda number: ("STATION", "")[number % 2],
    "ContentDate": lambda number: ("20260101", "")[number % 2],
    "ProtocolName": lambda number: (f"{ROOT}13.{number}", "", f"see {ROOT}13.{number}")[number % 3],
    "FrameType": lambda number: ["ORIGINAL", ("PRIMARY", "QUILLFEATHER")[number % 2]],
    "PositionReferenceIndicator": lambda number: ("\xe9tage", "Quillf\xe9ther", "SN")[number % 3],
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(PLANS))
@pytest.mark.parametrize("keyword", sorted(VARIANTS))
def test_whatever_varies_the_output_is_that_of_the_engine(keyword: str, name: str) -> None:
    both_ways(list(slices(12, **{keyword: VARIANTS[keyword]})), name)


@pytest.mark.parametrize(
    "keyword",
    ["SeriesInstanceUID", "SeriesNumber", "FrameOfReferenceUID", "ReferencedImageSequence"],
)
def test_what_varies_in_real_series_takes_the_short_cut(keyword: str) -> None:
    assert both_ways(list(slices(12, **{keyword: VARIANTS[keyword]}))) >= 8


def test_an_identifier_in_what_varies_does_not_pass() -> None:
    plan, templates = plan_of(), Templates[Route]()
    for number, ds in enumerate(slices(8)):
        ds.LossyImageCompressionMethod = "QUILLFEATHER" if number == 7 else f"METHOD{number}"
        body, uid = encode(ds), str(ds.SOPInstanceUID)
        output, is_short = passed(body, uid, plan, templates)
        assert b"QUILLFEATHER" not in output
        assert b"METHOD6" in output or number != 6
        assert is_short == (2 <= number < 7)


def test_a_uid_of_the_object_elsewhere_in_it_does_not_pass() -> None:
    plan, templates = plan_of(), Templates[Route]()
    for number, ds in enumerate(slices(8)):
        # In the same place in all of them, and the SOP Instance UID of the last one only.
        ds.OriginalSpecializedSOPClassUID = f"{ROOT}13.7"
        output, is_short = passed(encode(ds), str(ds.SOPInstanceUID), plan, templates)
        assert (f"{ROOT}13.7".encode() in output) == (number != 7)
        assert is_short == (2 <= number < 7)


@pytest.mark.parametrize("keyword", ["ImageComments", "ManufacturerModelName", "ImageType"])
@pytest.mark.parametrize("name", sorted(PLANS))
@pytest.mark.parametrize("number", [0, 1, 2, 5])
def test_a_uid_of_one_object_says_nothing_of_the_next(name: str, keyword: str, number: int) -> None:
    """In all of them stands what is the SOP Instance UID of one, and of a name of them all."""
    series = list(slices(8))
    for ds in series:
        if keyword == "ImageType":
            ds.OriginalSpecializedSOPClassUID = f"{ROOT}13.{number}"
            ds.ManufacturerModelName = "Quillfeather"
        else:
            setattr(ds, keyword, f"{ROOT}13.{number} Quillfeather")
    both_ways(series, name)


def test_another_patient_takes_the_long_way_first() -> None:
    plan, templates = plan_of(), Templates[Route]()
    first = list(slices(4))
    second = list(slices(4, PatientID=lambda _: "OTHER", PatientName=lambda _: "Other^One"))
    ways = [
        passed(encode(ds), str(ds.SOPInstanceUID), plan, templates)[1] for ds in [*first, *second]
    ]
    assert ways == [False, False, True, True, False, False, True, True]


def test_two_series_at_a_time_keep_their_short_cuts() -> None:
    first = slices(10)
    second = slices(10, PatientID=lambda _: "OTHER", PatientName=lambda _: "Other^One")
    assert both_ways([ds for pair in zip(first, second, strict=True) for ds in pair]) == 16


def test_a_uid_that_the_command_did_not_announce_is_refused() -> None:
    plan, templates = plan_of(), Templates[Route]()
    for number, ds in enumerate(slices(4)):
        announced = f"{ROOT}99" if number == 3 else str(ds.SOPInstanceUID)
        output, _ = passed(encode(ds), announced, plan, templates)
    assert b"UID_MISMATCH" in output


def test_elements_after_the_pixel_data_are_judged_as_ever() -> None:
    series = list(slices(5))
    for ds in series:
        ds.add_new(0xFFFCFFFC, "OB", b"Quillfeather\0")
    assert both_ways(series) == 3


def test_the_limit_of_elements_holds_on_the_short_cut() -> None:
    class Small(Bounds):
        limits = Limits(elements=60)

    series = list(slices(4))
    for item_count, ds in zip((1, 2, 1, 200), series, strict=True):
        ds.ReferencedImageSequence = Items([reference(1)[0]] * item_count)
    templates = Templates[Route]()
    rule = StationRule(name="default", tag_for_study=0x00081030, split="", split_index=0)
    for ds, is_refused in zip(series, (False, False, False, True), strict=True):
        stream = DatasetStream(
            Announced(CT, str(ds.SOPInstanceUID), EXPLICIT, "NODE"),
            Router({"default": rule}, {"study": plan_of()}, "study"),
            Small(),
            lambda _: None,
            templates=templates,
        )
        body = memoryview(encode(ds))
        if is_refused:
            with pytest.raises(Refused):
                stream.feed([body])
        else:
            stream.feed([body])
            stream.finish()
            stream.teach()


@pytest.mark.filterwarnings("ignore")  # names that the character set cannot say
@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data(), name=st.sampled_from(sorted(PLANS)), seed=st.integers(0, 1 << 30))
def test_any_series_comes_out_as_by_the_long_way(data: st.DataObject, name: str, seed: int) -> None:
    """Objects of which each differs from the one before in a few elements of any kind."""
    chance = random.Random(seed)  # noqa: S311  (no secret)
    pool = data.draw(st.lists(datasets(), min_size=2, max_size=4))
    current = basic_dataset(SOPInstanceUID=INSTANCE_UID)
    series = []
    for number in range(10):
        ds = Dataset()
        ds.update(current)
        for donor in pool:
            elements = list(donor)
            if elements and chance.random() < 0.5:
                element = chance.choice(elements)
                if element.tag.group not in (2, 0x7FE0) and element.tag != 0x00080005:
                    ds[element.tag] = element
        ds.SOPInstanceUID = f"{ROOT}13.{number}"
        ds.InstanceNumber = number
        ds.SOPClassUID = CT
        ds.PixelData = bytes(2048)
        ds["PixelData"].VR = "OW"
        if chance.random() < 0.5:
            current = ds
        series.append(ds)
    both_ways(series, name)


class Scan:
    """The top-level values of a real object, to be changed where they stand."""

    def __init__(self, body: bytes, syntax: str) -> None:
        self._body = body
        scanner = HeaderScanner(implicit=syntax == IMPLICIT, limits=LIMITS)
        self.has_pixels = scanner.feed(body)
        self._rows = {row[0]: row for row in scanner.rows}
        self.values = [row for row in scanner.rows if row[4] - row[3] > 1 and row[1] != "SQ"]

    def text(self, tag: int, body: bytes | None = None) -> str:
        row = self._rows.get(tag)
        raw = (body or self._body)[row[3] : row[4]] if row else b""
        return raw.decode("ascii", "replace").strip(" \0")

    def changed(self, chance: random.Random, favourites: Sequence[Any], number: int) -> bytes:
        body = bytearray(self._body)
        for tag, _, _, value, end, _ in chance.sample(favourites, min(2, len(favourites))):
            if tag != SOP_CLASS_UID:
                at = chance.randrange(value, end)
                body[at : at + 1] = bytes([chance.choice(b"0123456789ABCabc \\^")])
        row = self._rows[SOP_INSTANCE_UID]
        body[row[4] - 2 : row[4] - 1] = b"%d" % (number % 10)
        return bytes(body)


@pytest.mark.skipif(not FILES, reason=f"no corpus of real files at {CORPUS}")
def test_series_made_of_real_files_come_out_as_by_the_long_way() -> None:
    """Bytes of values are changed where they stand, as often as not in several elements."""
    short_cuts = 0
    for path in FILES:
        try:
            body, syntax = read_file(path)
        except Exception:  # noqa: BLE001, S112  (test_corpus says which files are none)
            continue
        try:
            scan = Scan(body, syntax)
        except Refused:
            continue
        if not scan.has_pixels or len(body) > 2 << 20 or len(scan.text(SOP_INSTANCE_UID)) < 4:
            continue
        chance = random.Random(path.name)  # noqa: S311  (no secret)
        name = chance.choice(["basic", "private", "safe private", "clean"])
        plan, fresh = plan_of(**PLANS[name]), plan_of(**PLANS[name])
        templates = Templates[Route]()
        favourites = chance.sample(scan.values, min(6, len(scan.values)))
        for number in range(6):
            changed = scan.changed(chance, favourites, number)
            uid = scan.text(SOP_INSTANCE_UID, changed)
            of_class = scan.text(SOP_CLASS_UID)
            short, is_short = passed(
                changed, uid, plan, templates, syntax, sop_class=of_class, step=1 << 20
            )
            long, _ = passed(changed, uid, fresh, None, syntax, sop_class=of_class, step=1 << 20)
            assert short == long, path
            short_cuts += is_short
    assert short_cuts > 100
