"""`EncryptOriginals`: what is taken for a recipient, and how the rest is refused."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from support_config import ROOT, configured
from support_recipients import (
    TODAY,
    YEAR,
    certificate,
    certificate_pem,
    key_pair,
    private_pem,
    public_pem,
)

from dicomanon_node.config.describe import describe
from dicomanon_node.config.recipients import RecipientError, read_recipient
from dicomanon_node.deid.envelope import seal
from dicomanon_node.deid.pseudonyms import Key, Pseudonyms
from dicomanon_node.errors import ConfigError

KEY = key_pair()
SMALL = key_pair(1024)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
STUDIES = {"default": {"EncryptOriginals": "holder.pem"}}


def refusal(content: bytes, directory: Path) -> str:
    (directory / "holder.pem").write_bytes(content)
    with pytest.raises(RecipientError) as caught:
        read_recipient(directory, "holder.pem")
    return str(caught.value)


@pytest.mark.parametrize(
    "pem",
    [
        public_pem(KEY),
        KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        certificate_pem(certificate(KEY)),
        certificate_pem(certificate(KEY, encrypts=None)),
        b"Subject: CN=Key holder\r\n" + certificate_pem(certificate(KEY)).replace(b"\n", b"\r\n"),
    ],
    ids=["public key", "PKCS 1", "certificate", "no key usage", "text before, CRLF"],
)
def test_a_certificate_or_public_key_is_taken(pem: bytes, tmp_path: Path) -> None:
    (tmp_path / "holder.pem").write_bytes(pem)
    recipient, warning = read_recipient(tmp_path, "holder.pem")
    assert warning is None
    assert recipient.modulus == KEY.public_key().public_numbers().n
    assert recipient.key_bits == 2048


def test_the_fingerprint_is_that_of_the_public_key_whatever_it_comes_in(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_bytes(public_pem(KEY))
    (tmp_path / "b.pem").write_bytes(certificate_pem(certificate(KEY)))
    first, second = (read_recipient(tmp_path, name)[0] for name in ("a.pem", "b.pem"))
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize(
    "content",
    [
        private_pem(KEY),
        KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
        KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")),
        KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        KEY.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        private_pem(SMALL),
        private_pem(KEY)[:200],
        certificate_pem(certificate(KEY)) + private_pem(KEY),
    ],
    ids="pkcs8 pkcs1 openssh encrypted der der1 small cut with-certificate".split(),
)
def test_a_private_key_is_refused_loudly_and_not_shown(content: bytes, tmp_path: Path) -> None:
    message = refusal(content, tmp_path)
    assert message.startswith('"holder.pem" holds a PRIVATE KEY: ')
    assert "make a new key pair elsewhere" in message
    assert len(message) < 250


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not PEM"),
        (certificate(KEY).public_bytes(Encoding.DER), "is not PEM"),
        (
            KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            "is not PEM",
        ),
        (KEY.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1), "is not PEM"),
        (public_pem(KEY) * 2, "holds 2 certificates or keys"),
        (public_pem(KEY)[:200], "is damaged"),
        (certificate_pem(certificate(KEY)).replace(b"\nMII", b"\nAII"), "is damaged"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\n", "is PEM of another kind"),
        (
            EC_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "is not RSA",
        ),
        (public_pem(SMALL), "has 1024 bits, at least 2048 are needed"),
        (certificate_pem(certificate(SMALL)), "has 1024 bits, at least 2048 are needed"),
        (public_pem(key_pair(2048, exponent=3)), "has a public exponent below 65537"),
        (certificate_pem(certificate(KEY, encrypts=False)), "is not for encryption"),
        (b"-" * 70_000, "is too long"),
    ],
)
def test_anything_else_is_refused_with_what_is_wrong(
    content: bytes, words: str, tmp_path: Path
) -> None:
    assert refusal(content, tmp_path).startswith(f'"holder.pem" {words}')


@pytest.mark.parametrize("name", ["missing.pem", "directory", "pipe"])
def test_what_is_no_file_is_refused_at_once(name: str, tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RecipientError, match=f'^"{name}" (cannot be read|is no regular file)'):
        read_recipient(tmp_path, name)


def test_the_content_in_place_of_the_name_is_refused_and_not_shown(tmp_path: Path) -> None:
    for written, words in (
        (private_pem(KEY).decode(), "holds a PRIVATE KEY"),
        (public_pem(KEY).decode(), "must be the name of a file"),
        ("", "must be the name of a PEM file"),
        ("a\nb", "must be the name of a PEM file"),
    ):
        with pytest.raises(RecipientError, match=f"^{words}") as caught:
            read_recipient(tmp_path, written)
        assert "BEGIN" not in str(caught.value)


@pytest.mark.parametrize(
    ("starts", "ends", "words"),
    [
        (TODAY - 2 * YEAR, TODAY - YEAR, "its certificate expired on"),
        (TODAY + YEAR, TODAY + 2 * YEAR, "its certificate is valid from"),
    ],
)
def test_a_certificate_out_of_its_time_is_used_with_a_warning(
    starts: object, ends: object, words: str, tmp_path: Path
) -> None:
    made = certificate(KEY, starts=starts, ends=ends)  # type: ignore[arg-type]  # datetimes above
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "holder.pem").write_bytes(certificate_pem(made))
    config = configured(tmp_path, studies=STUDIES)
    (warning,) = config.rules.warnings
    assert warning.path == "default.EncryptOriginals"
    assert warning.message.startswith(words)
    assert config.rules.studies["default"].encrypts_for is not None


def test_the_name_starts_from_the_configuration_directory_and_check_names_the_key(
    tmp_path: Path,
) -> None:
    (tmp_path / "config" / "keys").mkdir(parents=True)
    (tmp_path / "config" / "keys" / "holder.pem").write_bytes(public_pem(KEY))
    studies = {"default": {"EncryptOriginals": "keys/holder.pem"}}
    config = configured(tmp_path, studies=studies)
    recipient = config.rules.studies["default"].encrypts_for
    assert recipient is not None
    said = " ".join(" ".join(describe(config, lambda _: [])).split())
    assert (
        f"ENCRYPTED for the holder of: RSA 2048 key, SHA-256 {recipient.fingerprint[:16]}" in said
    )


def test_another_key_under_the_same_name_gives_another_digest(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    digests = set()
    for key in (KEY, key_pair(2048, 1)):
        (tmp_path / "config" / "holder.pem").write_bytes(public_pem(key))
        digests.add(configured(tmp_path, studies=STUDIES).rules.digest)
    assert len(digests) == 2


def test_a_bad_recipient_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "holder.pem").write_bytes(private_pem(KEY))
    with pytest.raises(ConfigError, match=r"studies\.json: default\.EncryptOriginals: .*PRIVATE"):
        configured(tmp_path, studies=STUDIES)


@pytest.mark.tool("openssl")
def test_the_commands_of_the_documentation_make_a_key_pair_and_open_an_object(
    tmp_path: Path,
) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    make, fingerprint, open_it = re.findall(r"^openssl .+$", text, re.MULTILINE)
    password = ["pass:word"]
    run(tmp_path, [*shlex.split(make), "-passout", *password])
    recipient, warning = read_recipient(tmp_path, "holder.pem")
    assert warning is None
    encode, digest = (shlex.split(part) for part in fingerprint.split("|"))
    public = run(tmp_path, [*encode, "-passin", *password])
    assert recipient.fingerprint in run(tmp_path, digest, public).decode()
    content = seal(b"content", recipient, Pseudonyms(Key(bytes(32))))
    (tmp_path / "content.der").write_bytes(content)
    run(tmp_path, [*shlex.split(open_it), "-passin", *password])
    assert (tmp_path / "originals").read_bytes() == b"content"


def run(directory: Path, command: list[str], given: bytes = b"") -> bytes:
    return subprocess.run(
        command, cwd=directory, input=given, capture_output=True, check=True
    ).stdout
