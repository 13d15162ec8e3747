"""Forwarding to DCMTK's storescp as shipped, and to Orthanc."""

import contextlib
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import UID
from support_delivery import (
    Facts,
    SpoolFolders,
    encoded_dataset,
    free_port,
    rng,
    storescp,
    wait_until,
)
from support_orthanc import orthanc

from dicomanon_node.config.model import DicomDestination
from dicomanon_node.delivery import lane
from dicomanon_node.delivery.courier import DRAIN_S, Courier
from dicomanon_node.network.contexts import VERIFICATION_SOP_CLASS
from dicomanon_node.network.part10 import DicomFile
from dicomanon_node.network.proposal import Context, contexts_for
from dicomanon_node.network.requestor import Requestor

NAMES = (
    "CT_small.dcm",
    "MR_small.dcm",
    "MR_small_RLE.dcm",
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "JPEG2000.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "image_dfl.dcm",
    "liver_1frame.dcm",
    "reportsi.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "GDCMJ2K_TextGBR.dcm",
    "rtdose.dcm",
    "rtplan.dcm",
)


@pytest.fixture
def samples(tmp_path: Path) -> dict[str, Path]:
    """Files of pydicom's own test set, each with a SOP Instance UID of its own."""
    directory = tmp_path / "samples"
    directory.mkdir()
    found = {}
    for index, name in enumerate(NAMES, 1):
        uid = UID(f"2.25.{index}")
        original = get_testdata_file(name, download=False)
        assert isinstance(original, str)
        dataset = dcmread(original)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
        dataset.save_as(directory / name)
        found[str(uid)] = directory / name
    assert len({DicomFile.open(path).transfer_syntax_uid for path in found.values()}) > 6
    return found


@pytest.fixture
def folders(tmp_path: Path, samples: dict[str, Path]) -> SpoolFolders:
    folders = SpoolFolders(tmp_path / "spool").make()
    for uid, path in samples.items():
        shutil.copyfile(path, folders.waiting / f"{uid}.dcm")
    return folders


@contextlib.contextmanager
def courier(folders: SpoolFolders, port: int, ae_title: str) -> Iterator[Facts]:
    settings = {"name": "pacs", "kind": "dicom", "host": "127.0.0.1"}
    destination = DicomDestination.model_validate(settings | {"ae_title": ae_title, "port": port})
    facts, stop = Facts(), threading.Event()
    runner = Courier([destination], folders.root, facts, calling_aet="NODE", rng=rng())
    thread = threading.Thread(target=runner.run, args=(stop,))
    thread.start()
    try:
        yield facts
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


@pytest.mark.tool("storescp")
@pytest.mark.parametrize("pdu", ["4096", "16384", "131072"])
def test_storescp_receives_the_very_bytes_of_every_transfer_syntax(
    tmp_path: Path, folders: SpoolFolders, samples: dict[str, Path], pdu: str
) -> None:
    received = tmp_path / "received"
    options = ("--bit-preserving", "--accept-all", "--promiscuous", "--max-pdu", pdu)
    with storescp(received, *options) as port, courier(folders, port, "STORESCP") as facts:
        wait_until(lambda: not folders.names())
    assert folders.failed_names() == []
    assert len(facts.of("delivery.sent")) == len(samples)
    arrived = {DicomFile.open(path).sop_instance_uid: path for path in received.iterdir()}
    assert arrived.keys() == samples.keys()
    for uid, path in samples.items():
        dataset = path.read_bytes()[DicomFile.open(path).dataset_offset :]
        assert encoded_dataset(arrived[uid]) == dataset + b"\0" * (len(dataset) % 2)  # deflated
        sent, got = DicomFile.open(path), DicomFile.open(arrived[uid])
        assert (sent.sop_class_uid, sent.transfer_syntax_uid) == (
            got.sop_class_uid,
            got.transfer_syntax_uid,
        )


@pytest.mark.tool("storescp")
def test_storescp_with_nagle_s_algorithm_does_not_make_us_wait(
    tmp_path: Path, samples: dict[str, Path]
) -> None:
    # It holds the rest of each response back until the beginning is acknowledged, which Linux
    # delays by 40 ms: 250 instances would take 10 s and more.
    file = DicomFile.open(next(iter(samples.values())))
    with storescp(tmp_path / "received", "--ignore", "--accept-all") as port:
        requestor = Requestor(
            "127.0.0.1", port, calling_aet="A", called_aet="B", contexts=contexts_for([file])
        )
        with requestor:
            start = time.monotonic()
            statuses = {requestor.store(file).status for _ in range(250)}
            elapsed_s = time.monotonic() - start
    assert statuses == {0}
    assert elapsed_s < 250 * 0.020


@pytest.mark.tool("storescp")
def test_storescp_answers_our_echo(tmp_path: Path) -> None:
    verification = Context(VERIFICATION_SOP_CLASS, ("1.2.840.10008.1.2",))
    with storescp(tmp_path / "received") as port:
        requestor = Requestor(
            "127.0.0.1", port, calling_aet="A", called_aet="B", contexts=[verification]
        )
        with requestor:
            assert requestor.echo() == 0


@pytest.mark.tool("storescp")
def test_storescp_that_aborts_in_the_middle_loses_nothing(
    tmp_path: Path, folders: SpoolFolders, samples: dict[str, Path]
) -> None:
    received = tmp_path / "received"
    port = free_port()
    common = ("--bit-preserving", "--accept-all", "--promiscuous")
    with courier(folders, port, "STORESCP") as facts:
        with storescp(received, *common, "--abort-during", port=port):
            wait_until(lambda: facts.of("destination.down") or facts.of("delivery.deferred"))
        with storescp(received, *common, port=port):
            wait_until(lambda: not folders.names(), deadline_s=30)
    assert folders.failed_names() == []
    arrived = {DicomFile.open(path).sop_instance_uid for path in received.iterdir()}
    assert arrived == samples.keys()


@pytest.mark.tool("storescp")
@pytest.mark.parametrize("options", [(), ("--fork",)])
def test_storescp_that_serves_one_association_at_a_time_gets_everything_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.setattr(lane, "EXTRA_PACE_S", 0.0)  # ask for more, though it is quick
    queue = SpoolFolders(tmp_path / "many").make()
    expected = {queue.add(f"2.25.{index}").stem for index in range(1, 301)}
    received = tmp_path / "received"
    with storescp(received, "--bit-preserving", "--accept-all", *options) as port:
        with courier(queue, port, "STORESCP") as facts:
            wait_until(lambda: not queue.names(), deadline_s=30)
            start = time.monotonic()
        assert time.monotonic() - start < DRAIN_S / 2
    arrived = [DicomFile.open(path).sop_instance_uid for path in received.iterdir()]
    assert sorted(arrived) == sorted(expected)
    assert {event for event, _ in facts.told} == {"delivery.sent"}
    assert len(facts.told) == len(expected)


def values(path: Path) -> dict[int, object]:
    """Values by tag: Orthanc writes the data set anew and mends wrong VRs."""
    return {int(element.tag): element.value for element in dcmread(path)}


@pytest.mark.tool("Orthanc")
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")  # in pydicom's rtplan.dcm
def test_orthanc_stores_every_instance(
    tmp_path: Path, folders: SpoolFolders, samples: dict[str, Path]
) -> None:
    with orthanc(tmp_path / "orthanc") as pacs:
        with courier(folders, pacs.dicom_port, "ORTHANC"):
            wait_until(lambda: not folders.names(), deadline_s=30)
        stored = {}
        for instance in pacs.instances():
            path = tmp_path / f"{instance}.dcm"
            path.write_bytes(pacs.ask(f"/instances/{instance}/file"))
            stored[str(dcmread(path).SOPInstanceUID)] = path
    assert folders.failed_names() == []
    assert stored.keys() == samples.keys()
    for uid, path in samples.items():
        assert values(stored[uid]) == values(path)
