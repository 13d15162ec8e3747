"""Parts of the benchmark: byte search, crosswalk, vendors' blobs, what PS3.15 expects."""

import gzip
import struct
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from benchmarks.deid import crosswalk, scoring, standard
from benchmarks.deid.answer_key import Action, Check
from benchmarks.deid.byte_search import Content, holds
from benchmarks.deid.checks import KeyMaker
from benchmarks.deid.expectation import Expectation, Fate
from benchmarks.deid.identity import Population
from benchmarks.deid.paths import Node, walk
from benchmarks.deid.planting import Planted
from benchmarks.deid.scenarios import SCENARIOS, Scenario
from benchmarks.deid.scoring import Judge
from benchmarks.deid.standard import Standard
from benchmarks.deid.vendor_blobs import (
    as_csa1,
    csa_tags,
    csa_values,
    with_packed_line,
    with_protocol_line,
)
from dicomanon_node.deid.rules import Option

REPOSITORY = Path(__file__).resolve().parents[2]
MIDI_B = next(scenario for scenario in SCENARIOS if scenario.name == "midi-b")
BASIC = next(scenario for scenario in SCENARIOS if scenario.name == "basic")


@pytest.fixture(scope="module")
def tables() -> Standard:
    return standard.read(REPOSITORY / "dicomanon_node" / "deid" / "data")


def node(tag: int, vr: str, text: str = "x", creator: str = "") -> Node:
    return Node(f"<{tag:08x}>", tag, creator, vr, text, (), "")


def check(action: Action, text: str, path: str = "<(0008,0018)>") -> Check:
    return Check(action, path, "(0008,0018)", "", text, text, "HIPAA-R", "listed")


def judge(vr: str, text: str, maps: crosswalk.Crosswalk | None = None) -> Judge:
    nodes = {"<(0008,0018)>": Node("<(0008,0018)>", 0x00080018, "", vr, text, (), "")}
    return Judge(nodes, "", maps or crosswalk.Crosswalk({}, {}, is_exported=True))


@pytest.mark.parametrize(
    "codec",
    ["latin-1", "utf-8", "utf-16-le", "utf-16-be", "iso2022_jp", "gb18030", "euc_jp", "shift_jis"],
)
def test_a_name_is_found_in_every_encoding(codec: str) -> None:
    name = "Bröndmond" if codec == "latin-1" else "藺鴇蘆鯖"
    assert holds(b"\1\2" + name.encode(codec) + b"\3", name)


@pytest.mark.parametrize("spelled", ["QUORHAM", "quorham", "Quorham"])
def test_a_name_is_found_whatever_its_case(spelled: str) -> None:
    assert holds(spelled.encode(), "Quorham")


def test_a_name_is_found_in_a_compressed_blob() -> None:
    assert holds(b"\4\0\0\0" + gzip.compress(b"set PATIENT quorham"), "Quorham")


def test_a_name_is_found_in_a_deflated_data_set(tmp_path: Path) -> None:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "2.25.1"
    dataset.PatientComments = "seen Quorham" + " " * 400
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = tmp_path / "deflated.dcm"
    dataset.save_as(path, enforce_file_format=True)
    raw = path.read_bytes()
    assert b"Quorham" not in raw
    assert Content(raw, pydicom.dcmread(path), "deflated.dcm").has("Quorham")


def test_two_characters_in_pixels_are_chance_and_in_a_header_are_not(tmp_path: Path) -> None:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "2.25.1"
    dataset.BitsAllocated = 8
    dataset.PixelData = b"\0" * 50 + "藺鴇".encode("gb18030") + b"\0" * 50
    dataset["PixelData"].VR = "OB"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = tmp_path / "pixels.dcm"
    dataset.save_as(path, enforce_file_format=True)
    content = Content(path.read_bytes(), pydicom.dcmread(path), path.name)
    assert not content.has("藺鴇")
    in_name = Content(path.read_bytes(), pydicom.dcmread(path), "藺鴇.dcm")
    assert in_name.has("藺鴇")


def test_maps_are_read_off_inputs_and_outputs(tmp_path: Path, tables: Standard) -> None:
    pairs = []
    for number in (1, 2):
        for kind, uid, patient in (("in", f"1.2.{number}", "P1"), ("out", f"2.25.{number}", "Q")):
            dataset = Dataset()
            dataset.SOPInstanceUID, dataset.StudyInstanceUID = uid, uid[:-1] + "9"
            dataset.PatientID = patient
            dataset.save_as(tmp_path / f"{kind}{number}.dcm", implicit_vr=True, little_endian=True)
        pairs.append((tmp_path / f"in{number}.dcm", tmp_path / f"out{number}.dcm"))
    maps = crosswalk.derive(pairs, tables)
    assert maps.uids == {"1.2.1": "2.25.1", "1.2.2": "2.25.2", "1.2.9": "2.25.9"}
    assert maps.patients == {"P1": "Q"}
    crosswalk.write(tmp_path, maps)
    written = crosswalk.read(tmp_path)
    assert (written.uids, written.patients) == (maps.uids, maps.patients)
    assert (tmp_path / "uid_mapping.csv").read_text().splitlines()[0] == "id_old,id_new"


def test_a_uid_is_consistent_only_as_the_crosswalk_says() -> None:
    maps = crosswalk.Crosswalk({"1.2.3": "2.25.3"}, {}, is_exported=True)
    asked = check(Action.UID_CONSISTENT, "1.2.3")
    assert judge("UI", "2.25.3", maps).failure(asked) == ""
    assert judge("UI", "2.25.4", maps).failure(asked) != ""


@pytest.mark.parametrize(
    ("action", "asked", "found", "passes"),
    [
        (Action.TEXT_REMOVED, "Quorham", "T1 SAG", True),
        (Action.TEXT_REMOVED, "Quorham", "T1 quorham SAG", False),
        (Action.TEXT_REMOVED, "4471 Quorham Lane", "at Quorham", False),
        (Action.TEXT_RETAINED, "T2-TSE SAG", "T2-TSE for SAG", True),
        (Action.TEXT_RETAINED, "T2-TSE SAG", "SAG", False),
        (Action.TEXT_RETAINED, "12", "12.0", True),
        (Action.TEXT_RETAINED, "12", "13", False),
        (Action.TEXT_NOTNULL, "", " ", False),
        (Action.TAG_RETAINED, "", "", True),
        (Action.UID_CHANGED, "1.2.3", "1.2.3", False),
        (Action.UID_CHANGED, "1.2.3\\1.2.4", "2.25.1\\1.2.4", False),
        (Action.DATE_SHIFTED, "20200101", "20200101", False),
        (Action.DATE_SHIFTED, "20200101", "20190101", True),
    ],
)
def test_actions_are_decided_as_midi_b_does(
    action: Action, asked: str, found: str, *, passes: bool
) -> None:
    assert (judge("LO", found).failure(check(action, asked)) == "") is passes


def test_every_spelling_of_a_date_is_looked_for() -> None:
    persona = Population(1).next()
    texts = {token.text for token in persona.tokens()}
    day = persona.birth
    for text in (f"{day:%Y%m%d}", f"{day:%d.%m.%Y}", f"{day:%m/%d/%Y}", f"{day:%Y-%m-%d}"):
        assert text in texts


def test_persons_share_no_identifier() -> None:
    population = Population(1)
    seen: set[str] = set()
    for _ in range(100):
        persona = population.next()
        own = {persona.mrn, persona.accession, persona.serial, persona.maiden, persona.street}
        assert not own & seen
        seen |= own


@pytest.mark.parametrize(
    ("tag", "vr", "scenario", "fate"),
    [
        (0x00080050, "SH", BASIC, Fate.REMOVED),  # Accession Number: Z
        (0x0020000D, "UI", BASIC, Fate.UID),  # Study Instance UID: U
        (0x00080016, "UI", BASIC, Fate.KEPT),  # SOP Class UID: not listed, a class
        (0x00080020, "DA", BASIC, Fate.DATE_REMOVED),
        (0x00080020, "DA", MIDI_B, Fate.DATE),
        (0x00080030, "TM", MIDI_B, Fate.KEPT),
        (0x0008103E, "LO", BASIC, Fate.REMOVED),  # Series Description: X
        (0x0008103E, "LO", MIDI_B, Fate.CLEANED),
        (0x00181000, "LO", BASIC, Fate.REMOVED),  # Device Serial Number: X/Z/D
        (0x00181000, "LO", MIDI_B, Fate.KEPT),
        (0x00181200, "DA", MIDI_B, Fate.OPEN),  # K and C contradict each other
        (0x00280010, "US", BASIC, Fate.KEPT),  # Rows: not listed
        (0x00081140, "SQ", BASIC, Fate.WALKED),  # Referenced Image Sequence: X/Z/U*
        (0x0040A730, "SQ", BASIC, Fate.REMOVED),  # Content Sequence: D
    ],
)
def test_the_table_decides_what_is_expected(
    tag: int, vr: str, scenario: Scenario, fate: Fate, tables: Standard
) -> None:
    assert Expectation(tables, scenario).fate(node(tag, vr)) is fate


def test_ages_over_89_may_be_capped_in_any_attribute(tables: Standard) -> None:
    expected = Expectation(tables, MIDI_B)
    for tag in (0x00101010, 0x0072005F):
        assert expected.fate(node(tag, "AS", "089Y")) is Fate.KEPT
        assert expected.fate(node(tag, "AS", "093Y")) is Fate.OPEN


def test_every_option_belongs_to_a_scenario() -> None:
    options = {option for scenario in SCENARIOS for option in scenario.options}
    # Nothing is planted that only the option for faces and other features would change.
    assert options == {option.value for option in Option} - {"CleanRecognizableVisualFeatures"}


def test_a_maker_named_as_an_institution_that_goes_need_not_stay(tables: Standard) -> None:
    dataset = Dataset()
    dataset.InstitutionName = "Quorvanham"
    dataset.Manufacturer = "Quorvanham"
    dataset.ManufacturerModelName = "Vexzanwick"
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(dataset, keyword, "2.25.1")
    dataset.PatientID = "MQ1"
    dataset.file_meta = FileMetaDataset()
    planted = Planted("1.dcm", "1", 1, dataset.SOPClassUID, Population(1).next(), {})
    answers = KeyMaker(tables, BASIC, 1).answers(planted, dataset)
    asked = {check.value for check in answers.checks if check.action is Action.TEXT_RETAINED}
    assert "Vexzanwick" in asked
    assert "Quorvanham" not in asked


def test_a_reference_that_is_gone_is_not_consistent() -> None:
    nothing = Judge({}, "", crosswalk.Crosswalk({}, {}, is_exported=True))
    for action in (Action.UID_CONSISTENT, Action.PATID_CONSISTENT):
        assert nothing.failure(check(action, "2.25.1")) == "removed"
    assert nothing.failure(check(Action.UID_CHANGED, "2.25.1")) == ""


def test_private_elements_are_expected_only_where_they_are_safe(tables: Standard) -> None:
    safe = node(0x20011003, "FL", "0.5", "Philips Imaging DD 001")
    unsafe = node(0x200110F0, "FL", "0.5", "Philips Imaging DD 001")
    assert Expectation(tables, BASIC).fate(safe) is Fate.OPEN
    assert Expectation(tables, MIDI_B).fate(safe) is Fate.KEPT
    assert Expectation(tables, MIDI_B).fate(unsafe) is Fate.OPEN


def test_sequences_encoded_as_un_are_walked(tables: Standard) -> None:
    inner = b"\x08\x00\x04\x01\x04\x00\x00\x00TEST"
    item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(inner)) + inner
    dataset = Dataset()
    dataset.add_new(0x00091001, "UN", item)
    assert [found.text for found in walk(dataset, tables)][-1] == "TEST"


def csa_header(*tags: tuple[str, bytes]) -> bytes:
    out = b"SV10\4\3\2\1" + struct.pack("<II", len(tags), 77)
    for name, value in tags:
        out += struct.pack("<64si4siii", name.encode(), 1, b"LO\0\0", 0, 1, 77)
        out += struct.pack("<iiii", len(value), len(value), 77, len(value))
        out += value + b"\0" * (-len(value) % 4)
    return out


def test_a_line_is_added_to_the_protocol_in_a_csa_header() -> None:
    protocol = b"### ASCCONV BEGIN ###\nsSliceArray.lSize = 1\n### ASCCONV END ###\0"
    blob = csa_header(("EchoTrainLength", b"56\0"), ("MrPhoenixProtocol", protocol))
    new = with_protocol_line(blob, b'tPatientName = "X"')
    assert new is not None
    assert [tag.name for tag in csa_tags(new)] == ["EchoTrainLength", "MrPhoenixProtocol"]
    assert b'lSize = 1\ntPatientName = "X"\n### ASCCONV END' in csa_tags(new)[1].items[0][1]
    assert list(csa_values(new)) == [("EchoTrainLength", "56")]


def test_an_older_csa_header_counts_lengths_from_the_items_of_its_first_tag() -> None:
    blob = csa_header(("EchoTrainLength", b"56\0"), ("MrPhoenixProtocol", b"lSize = 1\0"))
    old = as_csa1(blob)
    count, check_word = struct.unpack_from("<II", old)
    assert (count, check_word) == (2, 77)
    position, values = 8, []
    extra = struct.unpack_from("<i", old, position + 76)[0]
    for _ in range(count):
        items = struct.unpack_from("<i", old, position + 76)[0]
        position += 84
        for _ in range(items):
            length = struct.unpack_from("<i", old, position)[0] - extra
            values.append(old[position + 16 : position + 16 + length])
            position += 16 + length + -length % 4
    assert values == [b"56\0", b"lSize = 1\0"]


def test_a_line_is_added_to_the_compressed_protocol_of_ge() -> None:
    packed = gzip.compress(b"set NOPLANES 1\n")
    new = with_packed_line(struct.pack("<I", len(packed)) + packed, b"set PATIENT X")
    assert new is not None
    assert gzip.decompress(new[4 : 4 + struct.unpack("<I", new[:4])[0]]).endswith(
        b"set NOPLANES 1\nset PATIENT X\n"
    )


def test_identifiers_of_many_words_are_found_by_their_long_words() -> None:
    assert scoring.is_found("6072 Quorham Lane", "near QUORHAM")
    assert not scoring.is_found("6072 Quorham Lane", "Lane 6072")
