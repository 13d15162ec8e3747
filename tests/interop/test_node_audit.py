"""The audit of a running node, as a repository hears it: complete, valid, and about nobody."""

import ipaddress
import json
import re
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from pydicom.uid import UID
from support_audit import Repository, Told, parsed
from support_delivery import free_port
from support_node import SMALL, Node, cli, is_alive, read, running_node, start, wait_until
from support_tls import Authority

from dicomanon_node.network import tls
from dicomanon_node.network.failures import AssociationError
from dicomanon_node.network.part10 import DicomFile
from dicomanon_node.network.proposal import contexts_for
from dicomanon_node.network.requestor import Requestor

ACTIVITY, BEGIN, TRANSFERRED, EXPORT, RECORD, ALERT = (
    "110100",
    "110102",
    "110104",
    "110106",
    "110110",
    "110113",
)
IDENTIFYING = (
    "PatientID PatientName PatientBirthDate StudyInstanceUID SeriesInstanceUID SOPInstanceUID"
    " AccessionNumber IssuerOfPatientID"
).split()
PLANTED = "MRN-ZX81-4711", "Zaphodson", "19610307", "ACC-QX-99817", "2.25.88881"


class Site:
    """A repository, and what a node has to be told to send to it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._authority = Authority(directory / "certs")
        there = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        pair = self._authority.issue("repository", names=there)
        context = tls.server_context(pair.cert, pair.key, self._authority.ca)
        context.sslsocket_class = ssl.SSLSocket
        self.repository = Repository(context, free_port())
        self._node = self._authority.issue("node")
        (directory / "share").mkdir()

    def toml(self, more: str = "") -> str:
        return f"""
[ledger]
crosswalk = true
[audit]
enabled = true
host = "127.0.0.1"
port = {self.repository.port}
ca_file = "{self._authority.ca}"
cert_file = "{self._node.cert}"
key_file = "{self._node.key}"
source_id = "node-7"
[[destinations]]
name = "share"
kind = "folder"
path = "{self.directory / "share"}"
{more}"""


@pytest.fixture(name="site")
def _site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def patients(directory: Path, count: int) -> list[Path]:
    """Instances of one series, of a patient whom nobody else is."""
    directory.mkdir()
    dataset = read(SMALL[0])
    dataset.PatientID, dataset.PatientName = "MRN-ZX81-4711", "Zaphodson^Quentin"
    dataset.PatientBirthDate, dataset.AccessionNumber = "19610307", "ACC-QX-99817"
    dataset.StudyInstanceUID = "2.25.888812"
    made = []
    for number in range(count):
        uid = UID(f"2.25.88881{number:06}")
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
        dataset.InstanceNumber = number
        made.append(directory / f"{number}.dcm")
        dataset.save_as(made[-1])
    return made


def transferred(told: list[Told], role: str, party: str) -> Counter[str]:
    """Instances by new Study Instance UID, that came from or went to somebody."""
    counted: Counter[str] = Counter()
    for one in told:
        if one.event == TRANSFERRED and one.outcome == "0" and one.roles[role] == party:
            counted[one.objects["110180"]] += one.count
    return counted


def stored(node: Node) -> Counter[str]:
    return Counter(event["study_uid"] for event in node.events("instance.stored"))


def assert_about_nobody(messages: list[bytes], paths: list[Path]) -> None:
    text = b"\n".join(messages)
    for planted in PLANTED:
        assert planted.encode() not in text
    for path in paths:
        dataset = read(path)
        for keyword in IDENTIFYING:
            value = str(dataset.get(keyword, "")).encode()
            assert len(value) < 5 or value not in text, keyword


def test_start_import_export_and_stop_are_told_and_name_nobody(site: Site, tmp_path: Path) -> None:
    files = [*patients(tmp_path / "files", 12), *SMALL]
    with site.repository.listening() as repository:
        with running_node(tmp_path / "node", toml=site.toml()) as node:
            node.store_all(*files)
            wait_until(lambda: len(repository.of(TRANSFERRED)) > 1, 30)
            new = stored(node)
            log = node.log.read_text()
        told = repository.told
    assert [one.codes("EventTypeCode") for one in told if one.event == ACTIVITY] == [
        ["110120"],
        ["110121"],
    ]
    [calling] = {event["calling_aet"] for event in node.events("association.closed")}
    assert transferred(told, "110153", calling) == new
    assert transferred(told, "110152", "share") == new
    assert {one.objects["110180"] for one in repository.of(BEGIN)} == set(new)
    imports = [one for one in repository.of(TRANSFERRED) if one.roles["110153"] == calling]
    for one in imports:
        assert "127.0.0.1" in one.values("ActiveParticipant", "NetworkAccessPointID")
        assert one.values("AuditSourceIdentification", "AuditSourceID") == ["node-7"]
    out = {read(path).PatientID for path in node.outgoing.rglob("*.dcm")}
    assert {one.objects["2"] for one in imports} == out
    assert_about_nobody(repository.messages, files)
    assert '"audit.behind"' not in log


def test_a_repository_that_is_down_hears_everything_when_it_is_up(
    site: Site, tmp_path: Path
) -> None:
    with running_node(tmp_path / "node", toml=site.toml()) as node:
        node.wait_for("audit.behind", 1, 30)
        node.store_all(*SMALL)
        new = stored(node)
        with site.repository.listening() as repository:
            wait_until(lambda: transferred(repository.told, "110152", "share") == new, 120)
            node.wait_for("audit.available", 1, 30)
            assert repository.told[0].event == ACTIVITY
        assert len(node.events("audit.behind")) == 1
        begun = len(repository.messages)
    # It was down at the stop: that is told after the next start.
    assert len(repository.messages) == begun
    with repository.listening(), running_node(tmp_path / "node", is_new=False):
        wait_until(lambda: len(repository.messages) >= begun + 2, 30)
    kinds = [one.codes("EventTypeCode") for one in repository.told if one.event == ACTIVITY]
    assert kinds == [["110120"], ["110121"], ["110120"], ["110121"]]


def send(node: Node, paths: list[Path], answered: list[Path]) -> None:
    """Send files until the node is gone; note which of them were answered 0000H."""
    files = [(path, DicomFile.open(path)) for path in paths]
    try:
        with Requestor(
            "127.0.0.1",
            node.port,
            calling_aet="TEST",
            called_aet="DICOMANON",
            contexts=contexts_for([files[0][1]]),
        ) as requestor:
            for path, file in files:
                if requestor.store(file).status == 0:
                    answered.append(path)
    except (AssociationError, OSError):
        return


@pytest.mark.timeout(240)
def test_a_node_that_is_killed_owes_the_audit_nothing(site: Site, tmp_path: Path) -> None:
    left, answered = patients(tmp_path / "files", 240), list[Path]()
    with site.repository.listening() as repository:
        node = start(tmp_path / "node", toml=site.toml())
        try:
            for round_number in range(3):
                thread = threading.Thread(target=send, args=(node, left, answered))
                before = len(answered)
                thread.start()
                wait_until(lambda: len(answered) > before + 30 or not thread.is_alive(), 60)  # noqa: B023
                if round_number == 1:
                    for role in ("recorder", "auditor"):
                        for pid in node.children(role):
                            node.kill(pid)
                node.process.kill()
                node.process.wait()
                thread.join()
                pids = node.started_pids()
                wait_until(lambda: not any(map(is_alive, pids)), 30)  # noqa: B023
                left = [path for path in left if path not in answered]
                node = node.restarted()
            wait_until(lambda: not node.queued("share"), 60)
            assert node.stop() == 0
        finally:
            if node.exit_code is None:
                node.process.kill()
                node.process.wait()
        told = repository.told
    assert len(answered) > 90
    # What is sent twice, because the node was killed before it was removed, is word for word
    # the same; time and process of the syslog header aside.
    different = list({one.raw: one for one in told}.values())
    [files] = node.outgoing.iterdir()
    kept = Counter(read(path).StudyInstanceUID for path in files.rglob("*.dcm"))
    received = transferred(different, "110153", "TEST")
    assert received.keys() == kept.keys()
    for study, count in kept.items():
        # An instance that was durable and not answered when the node was killed came again.
        assert count >= len(answered)
        assert received[study] >= count - 3 * 8
        assert received[study] >= len(answered)
        assert transferred(different, "110152", "share")[study] >= count
    assert len([one for one in different if one.event == ACTIVITY]) >= 5


def test_who_is_not_let_in_is_told(site: Site, tmp_path: Path) -> None:
    more = """
[[peers]]
ae_title = "CT1"
"""
    settings = {"admin.token_file": "var/admin.token"}
    with (
        site.repository.listening() as repository,
        running_node(tmp_path / "node", toml=site.toml(more), settings=settings) as node,
    ):
        for _ in range(20):
            with pytest.raises(AssociationError):
                Requestor(
                    "127.0.0.1",
                    node.port,
                    calling_aet="STRANGER",
                    called_aet="DICOMANON",
                    contexts=contexts_for([DicomFile.open(SMALL[0])]),
                ).__enter__()
        port = node.wait_for("admin.ready")[0]["port"]
        assert httpx.get(f"http://127.0.0.1:{port}/api/v1/status").status_code == 401
        wait_until(lambda: len(repository.of(ALERT)) >= 2, 30)
        node.stop()
        alerts = repository.of(ALERT)
    strangers = [one for one in alerts if "STRANGER" in one.values("ActiveParticipant", "UserID")]
    assert strangers[0].codes("EventTypeCode") == ["110126"]
    assert "peer-not-allowed" in strangers[0].description
    assert {one.objects["110182"] for one in strangers} == {"127.0.0.1"}
    counts = [
        int(found[1])
        for one in alerts
        if (found := re.search(r"peer-not-allowed, count (\d+)", one.description))
    ]
    assert sum(counts) == 20
    assert len(counts) <= 4  # one as it comes and one count, of each receiver
    [denied] = [one for one in alerts if "admin.denied" in one.description]
    assert denied.codes("EventTypeCode") == ["110132"]
    assert repository.of(TRANSFERRED) == []


def test_a_connection_without_tls_to_the_tls_port_is_told(site: Site, tmp_path: Path) -> None:
    pair = Authority(tmp_path / "own").issue("own")
    settings = {
        "tls.enabled": "true",
        "tls.port": "0",
        "tls.cert_file": pair.cert,
        "tls.key_file": pair.key,
        "tls.client_certificates": "none",
    }
    with (
        site.repository.listening() as repository,
        running_node(tmp_path / "node", toml=site.toml(), settings=settings) as node,
        socket.create_connection(("127.0.0.1", node.ready["tls_port"])) as plain,
    ):
        plain.sendall(b"\x01\x00\x00\x00\x00\x10" + bytes(16))
        wait_until(lambda: repository.of(ALERT), 30)
    [alert] = repository.of(ALERT)
    assert alert.description == "connection.dropped: tls-not-spoken, count 1"


def test_reidentification_is_told_with_who_asked_and_never_whom_it_was(
    site: Site, tmp_path: Path
) -> None:
    files = patients(tmp_path / "files", 2)
    with (
        site.repository.listening() as repository,
        running_node(tmp_path / "node", toml=site.toml()) as node,
    ):
        node.store_all(*files)
        wait_until(lambda: repository.of(TRANSFERRED), 30)
        name = repository.of(TRANSFERRED)[0].objects["2"]
        why = "--reason", "call Zaphodson back"
        shown = cli("reidentify", name, *why, cwd=node.directory)
        assert "Zaphodson" in shown.stdout, shown.stderr
        assert cli("reidentify", "MRN-ZX81-4711", *why, cwd=node.directory).returncode == 1
        wait_until(lambda: len(repository.of(RECORD)) == 2, 30)
    found, vain = repository.of(RECORD)
    assert (found.outcome, found.objects) == ("0", {"2": name})
    assert (vain.outcome, vain.objects) == ("4", {"2": "unknown"})
    assert re.fullmatch(r"[^@]+@.+", found.values("ActiveParticipant", "UserID")[0])
    assert_about_nobody(repository.messages, files)


def test_an_export_from_the_hold_is_told_before_it_is_done(site: Site, tmp_path: Path) -> None:
    more = '[hold]\nenabled = true\n[routing]\non_missing = "refuse"\n'
    dataset = read(SMALL[0])
    dataset.StationName = "NOBODY-KNOWS"
    dataset.save_as(tmp_path / "strange.dcm")
    (tmp_path / "to").mkdir()
    with (
        site.repository.listening() as repository,
        running_node(tmp_path / "node", toml=site.toml(more)) as node,
    ):
        node.send(tmp_path / "strange.dcm")
        listed = cli("hold", "list", "--json", cwd=node.directory).stdout.splitlines()
        entry = json.loads(listed[0])["entry"]
        target = "--to", str(tmp_path / "to"), "--i-am-authorised"
        done = cli("hold", "export", entry, *target, cwd=node.directory)
        assert done.returncode == 0, done.stderr
        wait_until(lambda: repository.of(EXPORT), 30)
    [told] = repository.of(EXPORT)
    assert told.objects == {"2": f"held:{entry}"}
    assert str(tmp_path).encode() not in told.raw
    # What was refused is told as well, with the end of its association.
    [refused] = [one for one in repository.of(TRANSFERRED) if one.outcome == "4"]
    assert (refused.count, refused.objects["110180"]) == (1, "unknown")
    assert_about_nobody(repository.messages, [tmp_path / "strange.dcm"])


def test_a_reload_is_told_and_the_auditor_knows_the_new_destinations(
    site: Site, tmp_path: Path
) -> None:
    with (
        site.repository.listening() as repository,
        running_node(tmp_path / "node", toml=site.toml()) as node,
    ):
        [auditor] = node.children("auditor")
        (node.directory / "config" / "node.toml").write_text("[nonsense]\n")
        assert cli("reload", cwd=node.directory).returncode != 0
        (tmp_path / "more").mkdir()
        more = f'[[destinations]]\nname = "m"\nkind = "folder"\npath = "{tmp_path / "more"}"\n'
        (node.directory / "config" / "node.toml").write_text(site.toml(more))
        done = cli("reload", cwd=node.directory)
        assert done.returncode == 0, done.stderr
        wait_until(lambda: node.children("auditor") not in ([], [auditor]), 30)
        node.store_all(*SMALL)
        new = stored(node)
        wait_until(lambda: transferred(repository.told, "110152", "m") == new, 60)
    alerts = [one for one in repository.of(ALERT) if one.codes("EventTypeCode") == ["110129"]]
    assert [one.outcome for one in alerts][-1] == "0"


@pytest.fixture(name="udp")
def _udp() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(30)
        yield receiver


def test_over_udp_each_message_is_a_datagram(udp: socket.socket, tmp_path: Path) -> None:
    toml = f"""
[audit]
enabled = true
transport = "udp"
host = "127.0.0.1"
port = {udp.getsockname()[1]}
"""
    with running_node(tmp_path / "node", toml=toml):
        assert parsed(udp.recv(65536)).codes("EventTypeCode") == ["110120"]
    assert parsed(udp.recv(65536)).codes("EventTypeCode") == ["110121"]


def test_into_a_file_each_message_is_a_line(tmp_path: Path) -> None:
    toml = '[audit]\nenabled = true\ntransport = "file"\npath = "var/audit.log"\n'
    with running_node(tmp_path / "node", toml=toml) as node:
        node.store_all(*SMALL)
        new = stored(node)
    lines = (node.directory / "var" / "audit.log").read_bytes().splitlines()
    told = [parsed(line) for line in lines]
    kinds = Counter(one.event for one in told)
    assert kinds[ACTIVITY] == 2
    assert kinds[BEGIN] == kinds[TRANSFERRED] == len(new)
    assert sum(one.count for one in told if one.event == TRANSFERRED) == sum(new.values())
    assert_about_nobody(lines, list(SMALL))


def test_a_node_without_an_audit_has_no_auditor(tmp_path: Path) -> None:
    with running_node(tmp_path / "node") as node:
        assert node.children("auditor") == []
