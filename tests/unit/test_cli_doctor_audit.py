"""What `doctor` says of the audit."""

import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from support_audit import Repository
from support_config import SHIPPED
from support_delivery import free_port
from support_tls import Authority

from dicomanon_node.cli.examine_audit import audit
from dicomanon_node.cli.findings import Finding, Weight
from dicomanon_node.config import Config, load
from dicomanon_node.network import tls


def configured(directory: Path, text: str = "", *, is_enabled: bool = True) -> Config:
    config = directory / "config"
    config.mkdir()
    for name in ("stations.json", "studies.json"):
        (config / name).write_bytes((SHIPPED / name).read_bytes())
    (config / "node.toml").write_text(f"[audit]\nenabled = {str(is_enabled).lower()}\n{text}")
    return load(config, {})


def found(config: Config) -> Finding:
    [finding] = audit(config)
    return finding


def test_without_an_audit_nothing_is_said(tmp_path: Path) -> None:
    assert list(audit(configured(tmp_path, is_enabled=False))) == []


@pytest.mark.parametrize("knows_ca", [True, False])
def test_a_repository_is_connected_to_and_told_nothing(tmp_path: Path, knows_ca: bool) -> None:
    authority = Authority(tmp_path / "theirs")
    other = Authority(tmp_path / "other")
    there = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    pair = authority.issue("repository", names=there)
    context = tls.server_context(pair.cert, pair.key, client_certificates="none")
    context.sslsocket_class = ssl.SSLSocket
    with Repository(context).listening() as repository:
        ca = authority.ca if knows_ca else other.ca
        text = f'host = "127.0.0.1"\nport = {repository.port}\nca_file = "{ca}"\n'
        finding = found(configured(tmp_path, text))
    assert repository.messages == []
    if knows_ca:
        assert finding.weight is Weight.OK
    else:
        assert finding.weight is Weight.WARNING
        assert "audit.ca_file" in finding.cure


def test_a_repository_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    finding = found(configured(tmp_path, f'host = "127.0.0.1"\nport = {free_port()}\n'))
    assert finding.weight is Weight.WARNING
    assert "wait in the ledger" in finding.cure


def test_over_udp_nobody_knows(tmp_path: Path) -> None:
    text = f'host = "127.0.0.1"\nport = {free_port()}\ntransport = "udp"\n'
    finding = found(configured(tmp_path, text))
    assert (finding.weight, "tls" in finding.cure) == (Weight.NOTE, True)


def test_a_file_is_not_made_only_because_somebody_looks(tmp_path: Path) -> None:
    finding = found(configured(tmp_path, 'transport = "file"\npath = "audit.log"\n'))
    assert finding.weight is Weight.OK
    assert not (tmp_path / "audit.log").exists()


def test_a_file_without_its_directory_is_a_warning(tmp_path: Path) -> None:
    finding = found(configured(tmp_path, 'transport = "file"\npath = "gone/audit.log"\n'))
    assert finding.weight is Weight.WARNING
