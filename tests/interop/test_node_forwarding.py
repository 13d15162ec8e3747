"""A node forwards: to DCMTK, to Orthanc, to another node, to a folder; later, or not at all."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from support_delivery import free_port, storescp
from support_node import SMALL, Node, cli, files_below, read, wait_until
from support_orthanc import orthanc

Start = Callable[..., Node]

ACCEPTS_ALL = ("--bit-preserving", "--accept-all", "--promiscuous")
# The distinct SOP Instances among the small files: two of them are one, differently encoded.
INSTANCES = [path for path in SMALL if path.name != "pynetdicom-mr-jpeg2000.dcm"]


def destination(name: str, ae_title: str, port: int) -> str:
    return (
        f'[[destinations]]\nname = "{name}"\nkind = "dicom"\nae_title = "{ae_title}"\n'
        f'host = "127.0.0.1"\nport = {port}\n'
    )


def uids(directory: Path) -> list[str]:
    return sorted(str(read(directory / path).SOPInstanceUID) for path in files_below(directory))


def queue(node: Node, *arguments: str) -> str:
    done = cli("queue", *arguments, "--config", node.directory / "config")
    assert done.returncode == 0, done.stderr
    return done.stdout


def bytes_by_uid(directory: Path) -> Mapping[str, bytes]:
    found = {}
    for path in files_below(directory):
        dataset = read(directory / path)
        found[str(dataset.SOPInstanceUID)] = dataset.get("PixelData", b"")
    return found


@pytest.mark.tool("storescp")
def test_storescp_gets_exactly_what_was_written(start_node: Start, tmp_path: Path) -> None:
    received = tmp_path / "received"
    with storescp(received, *ACCEPTS_ALL) as port:
        node = start_node(toml=destination("pacs", "STORESCP", port))
        node.store_all(*INSTANCES)
        node.wait_for("delivery.sent", len(INSTANCES))
        wait_until(lambda: not node.queued("pacs"))
    assert uids(received) == uids(node.outgoing)
    assert bytes_by_uid(received) == bytes_by_uid(node.outgoing)


@pytest.mark.tool("Orthanc")
def test_orthanc_gets_every_instance(start_node: Start, tmp_path: Path) -> None:
    with orthanc(tmp_path / "orthanc") as pacs:
        node = start_node(toml=destination("pacs", "ORTHANC", pacs.dicom_port))
        node.store_all(*INSTANCES)
        node.wait_for("delivery.sent", len(INSTANCES), deadline_s=30)
        assert json.loads(pacs.ask("/statistics"))["CountInstances"] == len(INSTANCES)
        assert pacs.sop_instance_uids() == uids(node.outgoing)


def test_a_second_node_de_identifies_what_it_is_forwarded(start_node: Start) -> None:
    second = start_node("second")
    first = start_node("first", toml=destination("second", "DICOMANON", second.port))
    first.store_all(*INSTANCES)
    second.wait_for("instance.stored", len(INSTANCES))
    assert len(second.outgoing_files()) == len(INSTANCES)
    assert {event["calling_aet"] for event in second.events("instance.stored")} == {"DICOMANON"}
    assert set(uids(second.outgoing)).isdisjoint(uids(first.outgoing))


@pytest.mark.tool("storescp")
def test_what_came_while_a_destination_was_down_arrives_later_and_nothing_else(
    start_node: Start, tmp_path: Path
) -> None:
    port = free_port()
    received = tmp_path / "received"
    node = start_node(toml=destination("pacs", "STORESCP", port))
    node.store_all(*INSTANCES[:4])
    node.wait_for("destination.down")
    listed = queue(node, "list")
    assert "4 waiting" in listed
    assert "0 failed" in listed
    # Nor does it matter that the node ends and starts meanwhile.
    assert node.stop() == 0
    again = node.restarted()
    try:
        again.store_all(*INSTANCES[4:])
        with storescp(received, *ACCEPTS_ALL, port=port):
            again.wait_for("destination.up", deadline_s=40)
            wait_until(lambda: not again.queued("pacs"), deadline_s=40)
    finally:
        assert again.stop() == 0
    assert uids(received) == uids(node.outgoing)
    assert len(again.events("delivery.sent")) == len(INSTANCES)


@pytest.mark.tool("storescp")
def test_a_permanent_refusal_waits_for_somebody_who_retries_or_drops(
    start_node: Start, tmp_path: Path
) -> None:
    # Without --accept-all and --promiscuous, storescp takes uncompressed objects only.
    received, port = tmp_path / "received", free_port()
    compressed = next(path for path in SMALL if "jpeg2000" in path.name)
    others = [path for path in INSTANCES if "deflated" not in path.name][:2]
    node = start_node(toml=destination("pacs", "STORESCP", port))
    with storescp(received, port=port):
        node.store_all(compressed, *others)
        node.wait_for("delivery.failed", deadline_s=30)
        wait_until(lambda: not node.queued("pacs"))
    [name] = node.queued("pacs", "failed")
    listed = queue(node, "list", "--failed")
    assert name in listed
    assert "transfer-syntax-not-accepted" in listed
    with storescp(tmp_path / "more", *ACCEPTS_ALL, port=port):
        assert "1 object" in queue(node, "retry", "--destination", "pacs", name)
        wait_until(lambda: uids(tmp_path / "more"), deadline_s=40)
    assert node.queued("pacs", "failed") == []
    # The same once more, and now nobody wants it.
    with storescp(received, port=port):
        node.store_all(compressed)
        wait_until(lambda: node.queued("pacs", "failed"), deadline_s=40)
    assert "1 object dropped" in queue(node, "drop", "--destination", "pacs", "--all", "--yes")
    assert node.queued("pacs", "failed") == []
    assert len(node.outgoing_files()) == 3


@pytest.mark.tool("storescp")
def test_a_study_goes_to_the_destinations_it_names_and_to_no_other(
    start_node: Start, tmp_path: Path
) -> None:
    stations = {"default": {"TagForStudy": "PatientName"}}
    studies = {
        "default": {"Profile": "basic", "Destinations": []},
        "CompressedSamples^MR1": {"Profile": "basic", "Destinations": ["one"]},
    }
    with (
        storescp(tmp_path / "one", *ACCEPTS_ALL) as one,
        storescp(tmp_path / "two", *ACCEPTS_ALL) as two,
    ):
        node = start_node(
            toml=destination("one", "ONE", one) + destination("two", "TWO", two),
            stations=stations,
            studies=studies,
        )
        node.store_all(*INSTANCES)
        stored = node.wait_for("instance.stored", len(INSTANCES))
        named = [event for event in stored if event["study"] != "default"]
        assert named
        node.wait_for("delivery.sent", len(named))
        wait_until(lambda: not node.queued("one"))
        assert node.stop() == 0
    assert uids(tmp_path / "one") == sorted(event["sop_instance_uid"] for event in named)
    assert uids(tmp_path / "two") == []
    assert {event["destination_count"] for event in stored} == {0, 1}
    assert len(node.outgoing_files()) == len(INSTANCES)


def test_a_folder_gets_every_instance(start_node: Start, tmp_path: Path) -> None:
    folder = tmp_path / "share"
    folder.mkdir()
    node = start_node(
        toml=f'[[destinations]]\nname = "share"\nkind = "folder"\npath = "{folder}"\n'
    )
    node.store_all(*INSTANCES)
    node.wait_for("delivery.sent", len(INSTANCES))
    assert uids(folder) == uids(node.outgoing)
    assert sorted(files_below(folder).values()) == sorted(node.outgoing_files().values())


def test_without_an_outgoing_directory_objects_are_only_forwarded(
    start_node: Start, tmp_path: Path
) -> None:
    folder = tmp_path / "share"
    folder.mkdir()
    node = start_node(
        toml=f'[[destinations]]\nname = "share"\nkind = "folder"\npath = "{folder}"\n',
        settings={"storage.outgoing": '""'},
    )
    node.store_all(*INSTANCES)
    node.wait_for("delivery.sent", len(INSTANCES))
    assert len(uids(folder)) == len(INSTANCES)
    assert not node.outgoing.exists()


def test_a_courier_that_dies_is_replaced_and_delivers(start_node: Start, tmp_path: Path) -> None:
    folder = tmp_path / "share"
    folder.mkdir()
    node = start_node(
        toml=f'[[destinations]]\nname = "share"\nkind = "folder"\npath = "{folder}"\n'
    )
    [courier] = node.children("courier")
    node.kill(courier)
    node.wait_for("process.died")
    node.store_all(*INSTANCES)
    node.wait_for("delivery.sent", len(INSTANCES))
    assert len(uids(folder)) == len(INSTANCES)
