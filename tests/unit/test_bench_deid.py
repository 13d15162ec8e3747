"""The benchmark measures what it says: checked against copies, blanks and its own plants."""

import hashlib
import json
import shutil
import sqlite3
from collections import defaultdict
from pathlib import Path

import pydicom
import pytest

from benchmarks.deid import answer_key, burned_in, crosswalk, report, runners, scoring, standard
from benchmarks.deid.answer_key import Action, Answers
from benchmarks.deid.byte_search import Content
from benchmarks.deid.checks import KeyMaker
from benchmarks.deid.corpus import quiet
from benchmarks.deid.crosswalk import Crosswalk
from benchmarks.deid.planting import Planter
from benchmarks.deid.scenarios import SCENARIOS, Scenario
from benchmarks.deid.scoring import Result, Run
from benchmarks.deid.standard import Standard

REPOSITORY = Path(__file__).resolve().parents[2]
VENDOR_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
# Explicit, implicit, Big Endian, deflated and encapsulated; image, report, plan, segments.
CHOSEN = (
    "CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm",
    "JPEG2000.dcm", "reportsi.dcm", "rtplan.dcm", "liver_1frame.dcm",
)  # fmt: skip
SEED = 7

RETAINING = {
    Action.TAG_RETAINED,
    Action.TEXT_NOTNULL,
    Action.TEXT_RETAINED,
    Action.PIXELS_RETAINED,
}
CONSISTENT = {Action.UID_CONSISTENT, Action.PATID_CONSISTENT}
NOTHING = Crosswalk({}, {}, is_exported=False)


def plant(corpus: Path, output: Path, tables: Standard) -> Planter:
    output.mkdir()
    planter = Planter(tables, SEED, output)
    planter.plant(corpus, sorted(corpus.iterdir()))
    return planter


def make_key(planter: Planter, tree: Path, tables: Standard, scenario: Scenario) -> list[Answers]:
    maker = KeyMaker(tables, scenario, SEED)
    with quiet():
        return [maker.answers(one, pydicom.dcmread(tree / one.name)) for one in planter.planted]


def score_tree(tree: Path, key: Path, tables: Standard) -> list[Result]:
    return scoring.score(key, Run(tree, crosswalk.outputs(tree), NOTHING), tables)


@pytest.fixture(scope="module")
def tables() -> Standard:
    return standard.read(REPOSITORY / "dicomanon_node" / "deid" / "data")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bench") / "corpus"
    directory.mkdir()
    for name in CHOSEN:
        shutil.copy(VENDOR_FILES / name, directory)
    return directory


@pytest.fixture(scope="module")
def tree(corpus: Path) -> Path:
    return corpus.parent / "planted"


@pytest.fixture(scope="module")
def planter(corpus: Path, tree: Path, tables: Standard) -> Planter:
    return plant(corpus, tree, tables)


@pytest.fixture(scope="module", params=SCENARIOS, ids=lambda scenario: scenario.name)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    chosen: Scenario = request.param
    return chosen


@pytest.fixture(scope="module")
def key(planter: Planter, tree: Path, tables: Standard, scenario: Scenario) -> Path:
    path = tree.parent / f"{scenario.name}.db"
    answer_key.write(path, make_key(planter, tree, tables, scenario))
    return path


def test_every_chosen_file_and_its_derived_objects_are_planted(planter: Planter) -> None:
    assert not planter.skipped
    assert {one.source for one in planter.planted} == set(CHOSEN)
    # A key object selection of the first MR; of the first CT a presentation state and a
    # secondary capture with the name in its pixels.
    assert len(planter.planted) == len(CHOSEN) + 3


def test_a_copy_keeps_everything_and_removes_nothing(
    key: Path, tree: Path, tables: Standard
) -> None:
    results = score_tree(tree, key, tables)
    wrong = [
        result
        for result in results
        if bool(result.failure) is (result.check.action in RETAINING | CONSISTENT)
    ]
    # The spellings of a date or a number are many; not each is in every object.
    absent = [result for result in wrong if result.check.action is Action.BYTES_ABSENT]
    total = sum(result.check.action is Action.BYTES_ABSENT for result in results)
    assert [result for result in wrong if result not in absent] == []
    assert len(absent) < total * 0.1


def test_what_is_not_delivered_fails_every_check_unless_refusing_is_asked_for(
    planter: Planter, key: Path, tmp_path: Path, tables: Standard, scenario: Scenario
) -> None:
    results = score_tree(tmp_path, key, tables)
    drawn = {one.number for one in planter.planted if one.box is not None}
    passed = {result.number for result in results if not result.failure}
    assert passed == (drawn if scenario.refuses_burned_in else set())
    assert {result.failure for result in results} - {""} == {"not delivered"}


def test_a_name_in_pixels_is_hidden_only_when_its_box_is_blank(
    planter: Planter, tree: Path
) -> None:
    (one,) = (one for one in planter.planted if one.box is not None)
    box = one.box
    assert box is not None
    dataset = pydicom.dcmread(tree / one.name)
    pixels, columns = bytearray(dataset.PixelData), dataset.Columns
    assert not burned_in.is_hidden(dataset, str(box))
    for blank_to, hides in ((box.right - 8, False), (box.right, True)):
        for row in range(box.top, box.bottom):
            start = row * columns + box.left
            pixels[start : row * columns + blank_to] = bytes(blank_to - box.left)
        dataset.PixelData = bytes(pixels)
        assert burned_in.is_hidden(dataset, str(box)) is hides
    assert set(pixels) == {0, 16}, "nothing is drawn outside of the box"


def test_an_object_without_content_leaks_nothing_and_keeps_nothing(
    planter: Planter, key: Path, tmp_path: Path, tables: Standard
) -> None:
    for one in planter.planted:
        blank = pydicom.Dataset()
        blank.SOPClassUID = one.sop_class_uid
        blank.SOPInstanceUID = "2.25.1"
        blank.InstanceNumber = str(one.number)
        blank.save_as(tmp_path / one.name, implicit_vr=True, little_endian=True)
    by_action: dict[Action, set[bool]] = defaultdict(set)
    for result in score_tree(tmp_path, key, tables):
        # The Instance Number is how an output is found, the SOP class what it is.
        if result.check.tag not in ("(0020,0013)", "(0008,0016)"):
            by_action[result.check.action].add(bool(result.failure))
    assert all(by_action[action] == {True} for action in RETAINING)
    removing = set(by_action) - RETAINING - CONSISTENT
    assert removing
    assert all(by_action[action] == {False} for action in removing)


def test_identifiers_are_not_in_vendor_files_by_chance(corpus: Path, key: Path) -> None:
    found = []
    for answers in answer_key.read(key):
        path = corpus / answers.source
        with quiet():
            content = Content(path.read_bytes(), pydicom.dcmread(path, force=True), path.name)
        found += [
            check.action_text
            for check in answers.checks
            if check.action is Action.BYTES_ABSENT and content.has(check.action_text)
        ]
    assert found == []


@pytest.mark.usefixtures("planter")
def test_the_same_seed_gives_the_same_bytes(
    corpus: Path, tree: Path, tmp_path: Path, tables: Standard
) -> None:
    plant(corpus, tmp_path / "again", tables)

    def digests(directory: Path) -> dict[str, str]:
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()
        }

    assert digests(tmp_path / "again") == digests(tree)


def test_the_key_is_as_midi_b_reads_it(key: Path) -> None:
    with sqlite3.connect(key) as database:
        cursor = database.execute("SELECT * FROM answer_data")
        columns = [column[0] for column in cursor.description]
        rows = cursor.fetchall()
    database.close()
    assert columns == [
        "index", "group", "Modality", "SOPClassUID", "PatientID", "StudyInstanceUID",
        "SeriesInstanceUID", "SOPInstanceUID", "Digest", "AnswerData",
    ]  # fmt: skip
    assert rows
    wanted = {
        "scope", "tag", "tag_ds", "tag_name", "value", "action", "action_text", "answer_category",
    }  # fmt: skip
    for check in (check for row in rows for check in json.loads(row[-1]).values()):
        assert wanted <= set(check)
        assert check["scope"] == "<Instance>"
        assert check["action"][1:-1] in set(Action)


def test_reading_the_key_gives_what_was_written(
    planter: Planter, tree: Path, key: Path, tables: Standard, scenario: Scenario
) -> None:
    assert list(answer_key.read(key)) == make_key(planter, tree, tables, scenario)


def test_ours_takes_every_planted_object(planter: Planter, tree: Path, tmp_path: Path) -> None:
    basic = next(scenario for scenario in SCENARIOS if scenario.name == "basic")
    classes = frozenset(one.sop_class_uid for one in planter.planted)
    data = REPOSITORY / "dicomanon_node" / "deid" / "data"
    task = runners.Task(tree, classes, basic, SEED, data)
    finished = runners.run(runners.OURS, task, tmp_path / "ours")
    assert set(crosswalk.outputs(finished.output)) == {one.number for one in planter.planted}
    assert "refused  " not in finished.said


@pytest.mark.parametrize(
    ("passed", "total", "text"),
    [(99_999, 100_000, "99.99 %"), (100, 100, "100.00 %"), (0, 3, "0.00 %"), (0, 0, "n/a")],
)
def test_a_single_failure_is_never_rounded_to_all_passed(
    passed: int, total: int, text: str
) -> None:
    assert report.percentage(passed, total) == text
