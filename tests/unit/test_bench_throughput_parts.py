"""The parts of the throughput benchmark: what is sent, what is counted, what is concluded."""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import UID
from support_throughput import blast, stock_server

from benchmarks.throughput import disk, inputs, processes, workers
from benchmarks.throughput.bench import Bench
from benchmarks.throughput.figures import Figure, percentile_ms, rows
from benchmarks.throughput.outputs import OutputError, Outputs, empty, first_to_last
from benchmarks.throughput.peers import Ctp
from benchmarks.throughput.samples import Input, instances
from benchmarks.throughput.servers import StoreScp
from benchmarks.throughput.targets import targets
from benchmarks.throughput.uids import LENGTH, Kind, uid

VENDOR_FILES = Path(pydicom.__file__).parent / "data" / "test_files"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Input]:
    directory = tmp_path_factory.mktemp("inputs")
    names = ("a", "b35", "b", "j2k", "rle", inputs.BIG)
    return {one.name: one for one in inputs.make(names, directory, inputs.SMALL, None)}


def written(input_: Input, directory: Path, count: int) -> tuple[Outputs, set[str]]:
    """Instances as a server that changes nothing would write them, and their UIDs."""
    instances(input_.samples, directory, count, measure=3)
    return (
        Outputs(directory, is_deidentified=False),
        {uid(Kind.INSTANCE, 3, 0, number) for number in range(count)},
    )


# --- what is sent


def test_uids_are_valid_distinct_and_of_one_even_length() -> None:
    some = [
        uid(kind, measure, worker, number)
        for kind in Kind
        for measure in (0, 99_999_999)
        for worker in (0, 19)
        for number in (0, 1, 10**9)
    ]
    assert all(UID(one).is_valid for one in some)
    assert len(set(some)) == len(some)
    assert {len(one) for one in some} == {LENGTH}
    assert LENGTH % 2 == 0
    assert all(int(one.removeprefix("2.25.")) < 2**128 for one in some)


def test_the_ct_is_half_a_megabyte_with_a_scanners_header(made: dict[str, Input]) -> None:
    dataset = pydicom.dcmread(made["a"].samples[0].path)
    elements = list(dataset.iterall())
    assert (dataset.Rows, dataset.Columns, dataset.BitsAllocated) == (512, 512, 16)
    assert 520_000 < made["a"].mean_bytes < 540_000
    assert 120 <= len(elements) <= 180
    assert 0x10 in dataset.private_block(0x0043, "GEMS_PARM_01")
    protocol = dataset.RequestAttributesSequence[0].ScheduledProtocolCodeSequence[0]
    assert protocol.ProtocolContextSequence[0].TextValue


def test_the_mr_comes_with_and_without_80_kilobytes_of_csa(made: dict[str, Input]) -> None:
    dataset = pydicom.dcmread(made["b"].samples[0].path)
    block = dataset.private_block(0x0029, "SIEMENS CSA HEADER")
    assert block[0x20].value.startswith(b"SV10")
    assert 75_000 < len(block[0x10].value) + len(block[0x20].value) < 85_000
    assert 114_000 < made["b"].mean_bytes < 118_000
    assert 34_000 < made["b35"].mean_bytes < 37_000


def test_the_compressed_are_encapsulated(made: dict[str, Input]) -> None:
    for name, syntax in (("j2k", "1.2.840.10008.1.2.4.90"), ("rle", "1.2.840.10008.1.2.5")):
        dataset = pydicom.dcmread(made[name].samples[0].path)
        assert dataset.file_meta.TransferSyntaxUID == syntax
        (frame,) = pydicom.encaps.generate_frames(dataset.PixelData)
        assert len(frame) >= 200_000


def test_the_multi_frame_has_functional_groups_and_pixels_for_each_frame(
    made: dict[str, Input],
) -> None:
    dataset = pydicom.dcmread(made[inputs.BIG].samples[0].path)
    assert len(dataset.PerFrameFunctionalGroupsSequence) == dataset.NumberOfFrames == 6
    assert len(dataset.PixelData) == 6 * 512 * 512 * 2


def test_vendor_files_keep_their_headers(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for name in ("CT_small.dcm", "MR_small_implicit.dcm", "reportsi.dcm", "rtplan.dcm"):
        shutil.copy(VENDOR_FILES / name, corpus)
    (corpus / "README.md").write_text("x" * 30_000, encoding="utf-8")
    (one,) = inputs.make(["vendor"], tmp_path, inputs.SMALL, corpus)
    theirs = pydicom.dcmread(VENDOR_FILES / "CT_small.dcm")
    ours = next(
        dataset
        for dataset in (pydicom.dcmread(sample.path) for sample in one.samples)
        if dataset.Manufacturer == theirs.Manufacturer
    )
    ours.SOPInstanceUID, ours.SeriesInstanceUID = theirs.SOPInstanceUID, theirs.SeriesInstanceUID
    assert ours == theirs


# --- the load generator, against pynetdicom


@pytest.mark.parametrize(("name", "max_pdu"), [("a", 16382), ("a", 131072), ("b35", 4096)])
def test_the_server_gets_the_sample_under_new_uids(
    made: dict[str, Input], tmp_path: Path, name: str, max_pdu: int
) -> None:
    with stock_server(made[name], tmp_path / "got", max_pdu) as port:
        (result,) = blast(made[name], port, tmp_path)
    assert result["statuses"] == {"0000": 4}
    assert len(result["answer_ns"]) == 3
    assert result["max_pdu"] == max_pdu
    received = [pydicom.dcmread(path) for path in (tmp_path / "got").iterdir()]
    assert {one.SOPInstanceUID for one in received} == {
        uid(Kind.INSTANCE, 7, 0, number) for number in range(4)
    }
    sent = pydicom.dcmread(made[name].samples[0].path)
    for one in received:
        assert one.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
        assert one.SeriesInstanceUID == uid(Kind.SERIES, 7, 0, 0)
        one.SOPInstanceUID, one.SeriesInstanceUID = sent.SOPInstanceUID, sent.SeriesInstanceUID
        assert one == sent


def test_several_samples_are_sent_in_turn_by_several_processes(
    made: dict[str, Input], tmp_path: Path
) -> None:
    mixed = replace(made["b35"], samples=(*made["b35"].samples, *made["j2k"].samples))
    with stock_server(mixed, tmp_path / "got") as port:
        results = blast(mixed, port, tmp_path, workers_count=2)
    assert [result["statuses"] for result in results] == [{"0000": 4}] * 2
    received = [pydicom.dcmread(path) for path in (tmp_path / "got").iterdir()]
    assert sorted(one.Modality for one in received) == ["CT"] * 4 + ["MR"] * 4


def test_an_association_for_each_object(made: dict[str, Input], tmp_path: Path) -> None:
    with stock_server(made["b35"], tmp_path / "got") as port:
        (result,) = blast(made["b35"], port, tmp_path, is_association_each=True)
    assert result["statuses"] == {"0000": 4}
    assert len(list((tmp_path / "got").iterdir())) == 4


def test_a_server_that_takes_another_sop_class_only_fails_the_measurement(
    made: dict[str, Input], tmp_path: Path
) -> None:
    with (
        stock_server(made["b35"], tmp_path / "got") as port,
        pytest.raises(workers.WorkerError, match="presentation context was rejected"),
    ):
        blast(made["a"], port, tmp_path)


def test_the_disk_writes_each_file_whole(made: dict[str, Input], tmp_path: Path) -> None:
    for name in ("incoming", "final"):
        (tmp_path / name).mkdir()
    source = made["b35"].samples[0].path
    task = disk.Task(
        [source], str(tmp_path / "incoming"), str(tmp_path / "final"), "x", count=3, warm_count=1
    )
    with workers.started([task], tmp_path) as go:
        (result,) = go(lambda: None)
    assert list((tmp_path / "incoming").iterdir()) == []
    contents = [path.read_bytes() for path in (tmp_path / "final").iterdir()]
    assert contents == [Path(source).read_bytes()] * 4
    assert len(result["answer_ns"]) == len(result["sync_ns"]) == 3
    pairs = zip(result["sync_ns"], result["answer_ns"], strict=True)
    assert all(0 < sync < whole for sync, whole in pairs)


# --- what is counted


def test_untouched_files_pass_as_untouched_only(made: dict[str, Input], tmp_path: Path) -> None:
    found, sent = written(made["a"], tmp_path / "out", 3)
    found.check(found.paths(), sent, made["a"].samples)
    with pytest.raises(OutputError, match="came out as it went in"):
        replace(found, is_deidentified=True).check(found.paths(), sent, made["a"].samples)


def test_a_missing_file_is_noticed(made: dict[str, Input], tmp_path: Path) -> None:
    found, sent = written(made["a"], tmp_path / "out", 3)
    (tmp_path / "out" / "000001.dcm").unlink()
    with pytest.raises(OutputError, match="2 files instead of 3"):
        found.check(found.paths(), sent, made["a"].samples)


def test_a_file_that_is_there_twice_is_noticed(made: dict[str, Input], tmp_path: Path) -> None:
    found, sent = written(made["a"], tmp_path / "out", 3)
    shutil.copy(tmp_path / "out" / "000000.dcm", tmp_path / "out" / "000001.dcm")
    with pytest.raises(OutputError, match="2 different"):
        found.check(found.paths(), sent, made["a"].samples)


@pytest.mark.parametrize("size", [100, 5_000, 500_000])
def test_a_file_that_is_cut_short_is_noticed(
    made: dict[str, Input], tmp_path: Path, size: int
) -> None:
    found, sent = written(made["a"], tmp_path / "out", 3)
    os.truncate(tmp_path / "out" / "000002.dcm", size)
    with pytest.raises(OutputError, match=r"cut short|do not end"):
        found.check(found.paths(), sent, made["a"].samples)


def test_other_pixels_are_noticed(made: dict[str, Input], tmp_path: Path) -> None:
    found, sent = written(made["a"], tmp_path / "out", 1)
    with (tmp_path / "out" / "000000.dcm").open("r+b") as file:
        file.seek(-100_000, 2)
        file.write(b"something else")
    with pytest.raises(OutputError, match="pixels"):
        found.check(found.paths(), sent, made["a"].samples)


def test_the_patients_name_is_noticed(made: dict[str, Input], tmp_path: Path) -> None:
    found, _ = written(made["a"], tmp_path / "out", 1)
    with pytest.raises(OutputError, match="patient's name"):
        replace(found, is_deidentified=True).check(found.paths(), {"2.25.1"}, made["a"].samples)


def test_unfinished_files_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name in ("one.dcm", "below/two.dcm", "three.dcm.tmp", ".four"):
        (tmp_path / name).touch()
    assert Outputs(tmp_path, is_deidentified=True).paths() == {
        str(tmp_path / "one.dcm"),
        str(tmp_path / "below/two.dcm"),
    }


def test_emptied_files_stay_and_take_no_space(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(bytes(1_000_000))
    empty([str(tmp_path / "one")])
    assert (tmp_path / "one").stat().st_blocks == 0


def test_first_to_last_is_the_file_systems_own_time(tmp_path: Path) -> None:
    paths = [tmp_path / "one", tmp_path / "two"]
    paths[0].touch()
    end = time.monotonic() + 5
    while True:  # until the clock of the file system has moved
        paths[1].touch()
        apart = first_to_last([str(path) for path in paths])
        if apart > 0 or time.monotonic() > end:
            break
    assert 0 < apart < 5


def test_the_time_and_memory_of_children_count() -> None:
    before = processes.cpu_s(os.getpid())
    busy = "import time\nwhile time.process_time() < 0.2: pass\ninput()"
    child = subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE)
    try:
        end = time.monotonic() + 20
        while processes.cpu_s(os.getpid()) - before < 0.2:
            assert time.monotonic() < end
        assert child.pid in processes.tree(os.getpid())
        mine, both = processes.memory(child.pid), processes.memory(os.getpid())
        assert 0 < mine.pss <= mine.rss < both.rss
    finally:
        child.communicate(b"\n", timeout=10)
    assert child.pid not in processes.tree(os.getpid())


# --- what is concluded


def figure(
    rate: float,
    arm: str = "node",
    *,
    section: str = "rates",
    case: str = "a",
    associations: int = 1,
    pss: float | None = None,
) -> Figure:
    return Figure(section, case, associations, arm, 100, 10**6, 100 / rate, pss=pss)


def test_rounds_become_medians_with_their_spread_and_the_highest_peak() -> None:
    rounds = [figure(10, pss=50.0), figure(40, pss=90.0), figure(20, pss=60.0)]
    (row,) = rows(rounds).values()
    assert (row.rate, row.rate_min, row.rate_max) == pytest.approx((20, 10, 40))
    assert (row.pss, row.rounds, row.p99) == (90.0, 3, None)


@pytest.mark.parametrize(
    ("count", "percent", "expected"), [(100, 99, 99), (100, 50, 50), (1, 99, 1), (10, 99, 10)]
)
def test_percentiles_are_by_nearest_rank(count: int, percent: int, expected: int) -> None:
    assert percentile_ms([10**6 * n for n in range(count, 0, -1)], percent) == expected


def test_a_target_is_met_at_its_bound_and_missed_beside_it() -> None:
    def found(node: float) -> dict[str, bool]:
        measured = [figure(node), figure(100, arm="Orthanc"), figure(1000, arm="disk alone")]
        return {target.text: target.is_met for target in targets(rows(measured))}

    assert found(800) == {
        "a, 1 association: node / Orthanc": True,
        "a, 1 association: node / disk alone": True,
    }
    assert found(500) == {
        "a, 1 association: node / Orthanc": True,
        "a, 1 association: node / disk alone": False,
    }
    assert not any(found(499).values())


def test_memory_has_to_be_below_its_bound() -> None:
    def is_met(pss: float) -> bool:
        one = figure(1, section="memory", case="c", associations=8, pss=pss)
        return targets(rows([one]))[0].is_met

    assert is_met(399)
    assert not is_met(401)


@pytest.mark.tool("storescp")
def test_a_server_that_cannot_be_started_is_a_failure_and_one_that_is_not_there_is_not(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path)
    broken = StoreScp(tmp_path / "broken", "broken", ("--no-such-option",))
    missing = Ctp(tmp_path / "ctp", tmp_path / "nothing")
    with bench.running(broken, missing) as ready:
        assert ready == []
    assert [text.partition(":")[0] for text in bench.skipped] == ["CTP"]
    assert bench.failures == ["broken: ended while it was started"]
