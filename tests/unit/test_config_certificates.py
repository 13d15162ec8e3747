"""The files of TLS are judged with the configuration, and told without their content."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from support_config import configured
from support_tls import DAY, Authority

from dicomanon_node.config.certificates import tls_warnings
from dicomanon_node.errors import ConfigError

PEM = (Encoding.PEM, PrivateFormat.PKCS8)


class Files:
    """Files of a node's TLS in the tree of a configuration, all of them good."""

    def __init__(self, directory: Path) -> None:
        self.root = directory
        self.authority = Authority(directory / "tls")
        pair = self.authority.issue("node")
        self.cert, self.key, self.ca = pair.cert, pair.key, self.authority.ca

    def toml(self, *more: str) -> str:
        # As written by people: relative to the configuration directory's parent.
        named = [
            f'{name}_file = "{getattr(self, name).relative_to(self.root)}"'
            for name in ("cert", "key", "ca")
        ]
        return "\n".join(["[tls]", "enabled = true", *named, *more, ""])

    def problems(self, *more: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            configured(self.root, node=self.toml(*more))
        return [f"{problem.path}: {problem.message}" for problem in caught.value.problems]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def write_key(path: Path, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
    path.write_bytes(key.private_bytes(*PEM, NoEncryption()))


def encrypted(files: Files) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    files.key.write_bytes(key.private_bytes(*PEM, BestAvailableEncryption(b"secret")))


def fifo(files: Files) -> None:
    files.ca.unlink()
    os.mkfifo(files.ca)


def test_good_files_are_taken_and_their_paths_start_from_the_tree(files: Files) -> None:
    config = configured(files.root, node=files.toml())
    assert config.node.tls.cert_file == files.cert
    assert config.node.tls.key_file == files.key
    assert list(tls_warnings(config.node)) == []


def test_files_are_not_looked_at_while_tls_is_off(files: Files) -> None:
    files.cert.unlink()
    configured(files.root, node=files.toml().replace("true", "false"))


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda f: f.cert.unlink(), "tls.cert_file: cannot be read: No such file or directory"),
        (lambda f: f.key.unlink(), "tls.key_file: cannot be read: No such file or directory"),
        (lambda f: f.ca.unlink(), "tls.ca_file: cannot be read: No such file or directory"),
        (lambda f: f.key.chmod(0o640), "tls.key_file: is open to other users (mode 0640)"),
        (lambda f: f.key.chmod(0o604), "tls.key_file: is open to other users (mode 0604)"),
        (encrypted, "tls.key_file: has a passphrase"),
        (
            lambda f: write_key(f.key, ec.generate_private_key(ec.SECP256R1())),
            "tls.key_file: is not the key of cert_file's first certificate",
        ),
        (
            lambda f: write_key(f.key, rsa.generate_private_key(65537, 1024)),  # noqa: S505  (to be refused)
            "tls.key_file: has 1024 bits",
        ),
        (
            lambda f: write_key(f.key, ec.generate_private_key(ec.SECP192R1())),
            "tls.key_file: is of a curve below 224 bits",
        ),
        (lambda f: f.key.write_bytes(f.cert.read_bytes()), "tls.key_file: is no PEM file with a"),
        (lambda f: f.cert.write_bytes(b"\x30\x82"), "tls.cert_file: is not PEM"),
        (
            lambda f: f.cert.write_bytes(f.cert.read_bytes() + f.key.read_bytes()),
            "tls.cert_file: holds a private key",
        ),
        (
            lambda f: f.ca.write_bytes(f.ca.read_bytes()[:200] + f.ca.read_bytes()[260:]),
            "tls.ca_file: is damaged",
        ),
        (lambda f: (f.ca.unlink(), f.ca.mkdir()), "tls.ca_file: cannot be read: Is a directory"),
        (fifo, "tls.ca_file: must be a regular file"),
        (lambda f: f.ca.write_bytes(bytes(5 << 20)), "tls.ca_file: is too long"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_where_it_is_named(
    files: Files, harm: Callable[[Files], object], told: str
) -> None:
    harm(files)
    [problem] = files.problems()
    assert problem.startswith(told)


@pytest.mark.parametrize("name", ["cert", "key", "ca"])
def test_no_message_has_anything_of_a_file(files: Files, name: str) -> None:
    getattr(files, name).write_text(
        f"-----BEGIN CERTIFICATE-----\nSECRET\n-----END CERTIFICATE-----\n"
        f"-----BEGIN {'EC PRIVATE' if name == 'key' else 'PUBLIC'} KEY-----\nSECRET\n",
        encoding="ascii",
    )
    assert "SECRET" not in "".join(files.problems())


@pytest.mark.parametrize(
    ("owner", "mode", "is_taken"),
    [
        (0, 0o440, True),
        (0, 0o640, True),
        (0, 0o660, False),  # the group may write
        (0, 0o444, False),
        (1000, 0o640, False),
    ],
)
def test_the_group_may_read_what_root_owns_and_nothing_else(
    files: Files, monkeypatch: pytest.MonkeyPatch, owner: int, mode: int, is_taken: bool
) -> None:
    real = os.fstat

    def owned(descriptor: int) -> os.stat_result:
        status = list(real(descriptor))
        status[stat.ST_UID] = owner
        return os.stat_result(status)

    files.key.chmod(mode)
    monkeypatch.setattr(os, "fstat", owned)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    if is_taken:
        configured(files.root, node=files.toml())
    else:
        [problem] = files.problems()
        assert problem.startswith(f"tls.key_file: is open to other users (mode {mode:04o})")


@pytest.mark.parametrize(
    ("days", "told"),
    [(-1, "it expired on "), (10, "it expires on ")],
)
def test_a_certificate_near_or_after_its_end_is_a_warning(
    files: Files, days: int, told: str
) -> None:
    pair = files.authority.issue("old", start=-60 * DAY, end=days * DAY)
    files.cert, files.key = pair.cert, pair.key
    config = configured(files.root, node=files.toml())
    [warning] = tls_warnings(config.node)
    assert warning.path == "tls.cert_file"
    assert warning.message.startswith(told)


def test_certificates_of_destinations_are_warned_about_too(files: Files) -> None:
    pair = files.authority.issue("soon", end=5 * DAY)
    config = configured(
        files.root,
        node=(
            '[[destinations]]\nname = "a"\nkind = "dicom"\nae_title = "A"\nhost = "192.0.2.1"\n'
            f'tls = true\ntls_cert_file = "{pair.cert}"\ntls_key_file = "{pair.key}"\n'
        ),
    )
    assert [warning.path for warning in tls_warnings(config.node)] == [
        "destinations[0].tls_cert_file"
    ]


def test_certificates_must_be_asked_for_where_peers_are_bound_to_them(files: Files) -> None:
    bound = '[[peers]]\nae_title = "CT1"\ncertificate = "ct1"'
    assert files.problems('client_certificates = "none"', bound) == [
        'peers[0].certificate: needs tls.enabled, and tls.client_certificates other than "none"'
    ]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("sha256:" + "AB" * 32, "sha256:" + "ab" * 32),
        ("SHA256:" + ":".join(["AB"] * 32), "sha256:" + "ab" * 32),
        ("ct1.example.org", "ct1.example.org"),
        ("urn:example:ct1", "urn:example:ct1"),
    ],
)
def test_a_fingerprint_is_taken_as_openssl_shows_it(files: Files, written: str, kept: str) -> None:
    config = configured(files.root, node=files.toml(f'[[peers]]\ncertificate = "{written}"'))
    assert config.node.peers[0].certificate == kept


@pytest.mark.parametrize("written", ["sha256:ab", "*.example.org", " ct1", "ct\\u0007"])
def test_what_no_certificate_can_match_is_refused(files: Files, written: str) -> None:
    [problem] = files.problems(f'[[peers]]\ncertificate = "{written}"')
    assert problem.startswith("peers[0].certificate: ")
