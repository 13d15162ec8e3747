"""`certs` makes what OpenSSL and the node accept, and overwrites nothing."""

import re
import stat
from pathlib import Path

import pytest
from cryptography import x509
from support_config import configured
from support_node import invoke, run

from dicomanon_node.cli.certs import ORGANIZATION
from dicomanon_node.node import build


@pytest.mark.tool("openssl")
def test_the_certificates_are_what_they_are_for(tmp_path: Path) -> None:
    done = invoke("certs", tmp_path / "made", "--host", "node.example.org", "--host", "192.0.2.1")
    assert done.returncode == 0, done.stderr
    made = tmp_path / "made"
    authority = ("-CAfile", made / "ca.pem", "-x509_strict")
    for purpose, name, options in (
        ("sslserver", "server", ("-verify_hostname", "node.example.org")),
        ("sslserver", "server", ("-verify_ip", "192.0.2.1")),
        ("sslclient", "client", ()),
        ("sslserver", "client", ()),
    ):
        verified = run(
            "openssl", "verify", *authority, "-purpose", purpose, *options, made / f"{name}.pem"
        )
        assert verified.returncode == 0, verified.stdout + verified.stderr


def test_what_it_says_is_a_configuration_that_loads(tmp_path: Path) -> None:
    done = invoke("certs", tmp_path / "made")
    toml = re.search(r"\[tls\].*?ca_file[^\n]*\n", done.stdout, re.DOTALL)
    assert toml
    config = configured(tmp_path, node=toml[0])
    assert build.listener_settings(config).tls is not None


def test_keys_are_the_users_alone_and_every_certificate_says_what_it_is(tmp_path: Path) -> None:
    invoke("certs", tmp_path, "--client", "ct1", "--client", "mr1")
    keys = sorted(tmp_path.glob("*.key"))
    assert [path.name for path in keys] == ["ct1.key", "mr1.key", "server.key"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}
    for path in tmp_path.glob("*.pem"):
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        assert ORGANIZATION in certificate.subject.rfc4514_string()
    assert "TEST ONLY" in ORGANIZATION
    assert not (tmp_path / "ca.key").exists()


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "server.key").write_text("mine", encoding="ascii")
    done = invoke("certs", tmp_path)
    assert done.returncode == 2
    assert "server.key is there already" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["server.key"]


@pytest.mark.parametrize("name", ["a/b", "", "ca", "x" * 65, "\u00e4"])
def test_a_name_that_makes_no_file_is_refused(tmp_path: Path, name: str) -> None:
    done = invoke("certs", tmp_path / "made", "--client", name)
    assert done.returncode == 2
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--insecure",),
        ("--tls", "--cert", "{file}"),
        ("--tls", "--insecure", "--ca", "{file}"),
        ("--tls", "--ca", "{file}"),
    ],
)
def test_options_of_tls_that_do_not_fit_are_named(tmp_path: Path, options: list[str]) -> None:
    file = tmp_path / "file"
    file.write_text("no certificate", encoding="ascii")
    words = [word.format(file=file) for word in options]
    done = invoke("echo", "--to", "A@127.0.0.1:1", *words)
    assert done.returncode == 2
    assert "Error: --" in done.stderr


def test_the_configured_node_is_asked_on_its_tls_port(tmp_path: Path) -> None:
    configured(tmp_path, node="")
    done = invoke("echo", "--tls", "--config", tmp_path / "config")
    assert done.returncode == 2
    assert "has no TLS port" in done.stderr
