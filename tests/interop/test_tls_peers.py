"""TLS with other makers' programs: DCMTK and Orthanc as senders and as destinations."""

import json
import socket
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from support_delivery import free_port, storescp
from support_node import SMALL, Node, cli, files_below, read, run, wait_until
from support_orthanc import orthanc
from support_tls import DAY, Authority, Pair

Start = Callable[..., Node]

ACCEPTS_ALL = ("--bit-preserving", "--accept-all", "--promiscuous")
HOSTS = [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")]
EXPLICIT = "1.2.840.10008.1.2.1"
# The distinct SOP Instances among the small files: two of them are one, differently encoded.
INSTANCES = [path for path in SMALL if path.name != "pynetdicom-mr-jpeg2000.dcm"]
PLAIN = [path for path in INSTANCES if read(path).file_meta.TransferSyntaxUID == EXPLICIT]


class Site:
    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory)
        self.node = self.authority.issue("node", names=HOSTS)
        self.client = self.authority.issue("scanner", names=HOSTS)
        self.stranger = Authority(directory, "other").issue("stranger")

    def settings(self, **more: object) -> dict[str, object]:
        """Of a node with a TLS port."""
        return {
            "tls.enabled": "true",
            "tls.port": 0,
            "tls.cert_file": self.node.cert,
            "tls.key_file": self.node.key,
            "tls.ca_file": self.authority.ca,
        } | {key.replace("__", "."): value for key, value in more.items()}

    def dcmtk(self, pair: Pair) -> tuple[str | Path, ...]:
        return ("+tls", pair.key, pair.cert, "+cf", self.authority.ca)

    def destination(self, name: str, ae_title: str, port: int, **more: object) -> str:
        entry = {
            "name": name,
            "kind": "dicom",
            "ae_title": ae_title,
            "host": "127.0.0.1",
            "port": port,
            "tls": True,
            "tls_ca_file": str(self.authority.ca),
            "tls_cert_file": str(self.client.cert),
            "tls_key_file": str(self.client.key),
        } | more
        lines = [f"{key} = {json.dumps(value)}" for key, value in entry.items()]
        return "\n".join(["[[destinations]]", *lines, ""])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("certificates"))


def tls_port(node: Node) -> str:
    return str(node.ready["tls_port"])


@pytest.mark.tool("storescu")
def test_storescu_stores_over_tls(start_node: Start, site: Site) -> None:
    node = start_node(settings=site.settings())
    done = run(
        "storescu", "-R", "-xe", *site.dcmtk(site.client), "-aec", "DICOMANON",
        "localhost", tls_port(node), *PLAIN,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(node.outgoing_files()) == len(PLAIN)
    [closed] = node.wait_for("association.closed")
    assert closed["how"] == "released"
    assert closed["tls"] == "TLSv1.3"
    assert closed["certificate"] == site.client.fingerprint


@pytest.mark.tool("echoscu")
@pytest.mark.parametrize("profile", ["+px", "+py", "+pz"])
def test_echoscu_is_answered_with_each_profile_of_bcp_195(
    start_node: Start, site: Site, profile: str
) -> None:
    node = start_node(settings=site.settings())
    done = run(
        "echoscu", "-v", profile, *site.dcmtk(site.client), "-aec", "DICOMANON",
        "localhost", tls_port(node),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.tool("echoscu")
@pytest.mark.parametrize(
    ("who", "how"),
    [
        ("stranger", "tls-certificate-unknown"),
        ("expired", "tls-certificate-expired"),
        ("anonymous", "tls-certificate-missing"),
        ("plain", "tls-not-spoken"),
    ],
)
def test_echoscu_is_turned_away_and_the_log_says_why(
    start_node: Start, site: Site, who: str, how: str
) -> None:
    node = start_node(settings=site.settings())
    options: tuple[str | Path, ...] = {
        "stranger": site.dcmtk(site.stranger),
        "expired": site.dcmtk(site.authority.issue("expired", end=-DAY / 2)),
        "anonymous": ("--anonymous-tls", "+cf", site.authority.ca),
        "plain": (),
    }[who]
    done = run("echoscu", *options, "-to", "5", "-aec", "DICOMANON", "localhost", tls_port(node))
    assert done.returncode != 0
    [dropped] = node.wait_for("connection.dropped")
    assert dropped["how"] == how


@pytest.mark.tool("echoscu")
def test_echoscu_needs_no_certificate_where_none_is_asked_for(
    start_node: Start, site: Site
) -> None:
    node = start_node(settings=site.settings(tls__client_certificates="optional"))
    done = run(
        "echoscu", "--anonymous-tls", "+cf", site.authority.ca, "-aec", "DICOMANON",
        "localhost", tls_port(node),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.tool("echoscu")
def test_an_ae_title_bound_to_a_certificate_is_that_scanners_alone(
    start_node: Start, site: Site
) -> None:
    toml = f'[[peers]]\nae_title = "CT1"\ncertificate = "sha256:{site.client.fingerprint}"\n'
    node = start_node(toml=toml, settings=site.settings())
    impostor = site.authority.issue("impostor")
    target = ("-aet", "CT1", "-aec", "DICOMANON", "localhost")
    assert run("echoscu", *site.dcmtk(site.client), *target, tls_port(node)).returncode == 0
    assert run("echoscu", *site.dcmtk(impostor), *target, tls_port(node)).returncode != 0
    assert run("echoscu", *target, str(node.port)).returncode != 0
    rejected = node.wait_for("association.rejected", 2)
    assert [line["reason"] for line in rejected] == ["certificate", "certificate"]
    assert rejected[0]["certificate"] == impostor.fingerprint
    assert "certificate" not in rejected[1]


@pytest.mark.tool("storescp")
def test_storescp_gets_over_tls_exactly_what_was_written(
    start_node: Start, site: Site, tmp_path: Path
) -> None:
    received = tmp_path / "received"
    server = ("+tls", str(site.node.key), str(site.node.cert), "+cf", str(site.authority.ca))
    with storescp(received, *ACCEPTS_ALL, *server) as port:
        node = start_node(toml=site.destination("pacs", "STORESCP", port))
        node.store_all(*INSTANCES)
        node.wait_for("delivery.sent", len(INSTANCES), deadline_s=30)
        wait_until(lambda: not node.queued("pacs"))
    written = {read(node.outgoing / path).SOPInstanceUID for path in node.outgoing_files()}
    assert {read(received / path).SOPInstanceUID for path in files_below(received)} == written


@pytest.mark.tool("storescp")
@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"tls_server_name": "pacs.example.org"}, "tls-certificate-name"),
        ({"tls_ca_file": "other.pem"}, "tls-certificate-unknown"),
    ],
)
def test_a_destination_that_cannot_be_trusted_gets_nothing(
    start_node: Start, site: Site, tmp_path: Path, more: dict[str, str], reason: str
) -> None:
    if "tls_ca_file" in more:
        more = {"tls_ca_file": str(site.stranger.cert)}
    received = tmp_path / "received"
    server = ("+tls", str(site.node.key), str(site.node.cert), "+cf", str(site.authority.ca))
    with storescp(received, *ACCEPTS_ALL, *server) as port:
        node = start_node(toml=site.destination("pacs", "STORESCP", port, **more))
        node.store_all(PLAIN[0])
        [down, *_] = node.wait_for("destination.down")
    assert down["reason"] == reason
    assert len(node.queued("pacs")) == 1
    assert not files_below(received)


ORTHANC_TLS = {
    "DicomTlsEnabled": True,
    "DicomTlsRemoteCertificateRequired": True,
}


@pytest.mark.tool("Orthanc")
def test_orthanc_receives_and_sends_over_tls(start_node: Start, site: Site, tmp_path: Path) -> None:
    port = free_port()
    more = {
        **ORTHANC_TLS,
        "DicomTlsCertificate": str(site.node.cert),
        "DicomTlsPrivateKey": str(site.node.key),
        "DicomTlsTrustedCertificates": str(site.authority.ca),
        "DicomModalities": {
            "node": {"AET": "DICOMANON", "Host": "localhost", "Port": port, "UseDicomTls": True}
        },
    }
    with orthanc(tmp_path / "orthanc", more=more) as pacs:
        node = start_node(
            toml=site.destination("pacs", "ORTHANC", pacs.dicom_port),
            settings=site.settings(tls__port=port),
        )
        node.store_all(*INSTANCES)
        wait_until(lambda: len(pacs.instances()) == len(INSTANCES), deadline_s=30)
        wait_until(lambda: not node.queued("pacs"))
        pacs.post("/modalities/node/store", json.dumps(pacs.instances()))
        wait_until(lambda: came_over_tls(node) == len(INSTANCES))


def came_over_tls(node: Node) -> int:
    closed = node.events("association.closed")
    return sum(line["stored"] for line in closed if line.get("tls"))


def test_a_node_delivers_to_a_node_that_speaks_tls_only(start_node: Start, site: Site) -> None:
    port = free_port()
    with_tls_only = site.settings(tls__port=port, listener__port=port)
    behind = start_node("behind", settings=with_tls_only)
    assert "port" not in behind.ready
    assert behind.ready["tls_port"] == port
    before = start_node(toml=site.destination("next", "DICOMANON", port))
    before.store_all(PLAIN[0])
    before.wait_for("delivery.sent")
    assert len(behind.outgoing_files()) == 1


def test_what_make_certs_makes_is_all_that_is_needed(start_node: Start, tmp_path: Path) -> None:
    made = tmp_path / "made"
    assert cli("certs", made).returncode == 0
    node = start_node(
        settings={
            "tls.enabled": "true",
            "tls.port": 0,
            "tls.cert_file": made / "server.pem",
            "tls.key_file": made / "server.key",
            "tls.ca_file": made / "ca.pem",
        }
    )
    credentials = ("--cert", made / "client.pem", "--key", made / "client.key")
    target = ("--to", f"DICOMANON@127.0.0.1:{tls_port(node)}")
    done = cli("send", "--tls", "--ca", made / "ca.pem", *credentials, *target, PLAIN[0])
    assert done.returncode == 0, done.stderr
    assert cli("echo", "--tls", "--insecure", *credentials, *target).returncode == 0
    refused = cli("echo", "--tls", *credentials, *target)  # of no CA that the system knows
    assert refused.returncode == 1
    assert "its certificate is from none of the CAs" in refused.stderr


def test_an_invalid_certificate_keeps_the_node_from_starting_and_says_which(
    site: Site, start_node: Start, tmp_path: Path
) -> None:
    key = tmp_path / "open.key"
    key.write_bytes(site.node.key.read_bytes())
    key.chmod(0o644)
    node = start_node(settings=site.settings(tls__key_file=key), waits=False)
    wait_until(lambda: node.exit_code is not None, 30)
    assert node.exit_code == 2
    assert "tls.key_file: is open to other users (mode 0644)" in node.errors
    assert "PRIVATE KEY" not in node.errors + node.log.read_text(encoding="utf-8")


def serial_number_shown(node: Node) -> int:
    """Of the certificate that a new connection gets to see."""
    with (
        socket.create_connection(("127.0.0.1", int(tls_port(node))), timeout=10) as connection,
        ssl._create_unverified_context().wrap_socket(connection) as secured,  # noqa: S323  (only looked at)
    ):
        shown = secured.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


def test_a_renewed_certificate_is_in_use_after_a_reload_and_a_broken_one_never(
    start_node: Start, site: Site
) -> None:
    first = site.authority.issue("renewed", names=HOSTS)
    expected = x509.load_pem_x509_certificate(first.cert.read_bytes()).serial_number
    # What a client is asked for comes after the node's own certificate was seen.
    node = start_node(
        settings=site.settings(
            tls__cert_file=first.cert, tls__key_file=first.key, tls__client_certificates="optional"
        )
    )
    assert serial_number_shown(node) == expected
    renewed = site.authority.issue("renewed", names=HOSTS)  # the same files
    number = x509.load_pem_x509_certificate(renewed.cert.read_bytes()).serial_number
    assert serial_number_shown(node) == expected
    done = cli("reload", "--config", node.directory / "config")
    assert done.returncode == 0, done.stderr
    assert serial_number_shown(node) == number != expected
    renewed.key.chmod(0o644)
    done = cli("reload", "--config", node.directory / "config")
    assert done.returncode != 0
    [failed] = node.events("node.reload_failed")
    assert failed["path"].endswith("tls.key_file")
    assert serial_number_shown(node) == number
