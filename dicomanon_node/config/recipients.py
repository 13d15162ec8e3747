"""The certificate or public key of `EncryptOriginals`, read and judged once.

Who holds its private key can open the originals of a study; the node must not. A file
with a private key in it is refused before anything else is said about it. No message
has anything of a file's content.
"""

import hashlib
import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from dicomanon_node.config.problems import show
from dicomanon_node.deid.envelope import Recipient

_MAX_FILE_BYTES = 65_536
_MIN_KEY_BITS = 2048  # NIST SP 800-57 part 1, table 2: 112 bits of security
_MAX_KEY_BITS = 8192  # each object costs one operation with it
_MIN_EXPONENT = 65_537  # NIST SP 800-56B 6.2
_LABEL = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
# DER that begins with a version: PKCS #1 and #8 private keys, PKCS #12. What is public
# begins with another sequence, or with the modulus.
_DER_PRIVATE_KEY = re.compile(rb"0(?:[\0-\x7f]|\x81.|\x82..|\x83...)\x02\x01[\0-\x03]", re.DOTALL)
_CERTIFICATE = b"CERTIFICATE"
_PUBLIC_KEYS = (b"PUBLIC KEY", b"RSA PUBLIC KEY")

_HOLDS_PRIVATE_KEY = (
    "holds a PRIVATE KEY: with it, everybody who gets at this machine can open the originals. "
    "Remove it from here, make a new key pair elsewhere, and name its certificate or public key"
)


class RecipientError(ValueError):
    """A file cannot be used for encryption; says why and the cure, safe to show."""


def read_recipient(directory: Path, file_name: str) -> tuple[Recipient, str | None]:
    """Read who the originals are encrypted for.

    Args:
        directory: The configuration directory.
        file_name: As configured, from there.

    Returns:
        The recipient, and what an operator should know though it can be used.

    Raises:
        RecipientError: The file is missing or is not what it should be.
    """
    if "-----BEGIN" in file_name:
        if "PRIVATE KEY" in file_name:
            raise RecipientError(_HOLDS_PRIVATE_KEY)
        raise RecipientError("must be the name of a file, not what is in it")
    if not file_name or not file_name.isprintable():
        raise RecipientError("must be the name of a PEM file in the configuration directory")
    shown = show(file_name)
    try:
        pem = _read(directory / file_name)
        return _recipient(pem, _only_label(pem))
    except OSError as error:
        raise RecipientError(
            f"{shown} cannot be read: {error.strerror}. The name starts from the configuration "
            "directory"
        ) from None
    except _Fault as fault:
        raise RecipientError(f"{shown} {fault}") from None


class _Fault(Exception):  # noqa: N818  (the second half of a sentence, never leaves this module)
    pass


def _read(path: Path) -> bytes:
    # Not blocking: a FIFO by mistake must not hang the start.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _Fault("is no regular file")
        pem = file.read(_MAX_FILE_BYTES + 1)
    if len(pem) > _MAX_FILE_BYTES:
        raise _Fault("is too long for a certificate or public key")
    return pem


def _only_label(pem: bytes) -> bytes:
    labels = _LABEL.findall(pem)
    if b"PRIVATE KEY-----" in pem or _DER_PRIVATE_KEY.match(pem):
        raise _Fault(_HOLDS_PRIVATE_KEY)
    if not labels:
        raise _Fault(
            'is not PEM (text that begins with "-----BEGIN CERTIFICATE-----" or "-----BEGIN PUBLIC '
            'KEY-----"): convert it, with "openssl x509 -inform DER" or "openssl pkey -pubin '
            '-inform DER"'
        )
    if len(labels) > 1:
        raise _Fault(f"holds {len(labels)} certificates or keys: keep the recipient's own only")
    label: bytes = labels[0]
    if label != _CERTIFICATE and label not in _PUBLIC_KEYS:
        raise _Fault("is PEM of another kind: an X.509 certificate or an RSA public key is needed")
    return label


def _recipient(pem: bytes, label: bytes) -> tuple[Recipient, str | None]:
    certificate: x509.Certificate | None = None
    key: object
    try:
        if label == _CERTIFICATE:
            certificate = x509.load_pem_x509_certificate(pem)
            key = certificate.public_key()
        else:
            key = load_pem_public_key(pem)
        issuer = certificate.issuer.public_bytes() if certificate else b""
    except (ValueError, UnsupportedAlgorithm):
        raise _Fault("is damaged, or of a kind that is not known: take it anew") from None
    if not isinstance(key, RSAPublicKey):
        raise _Fault("is not RSA, which PS3.15 E.1.1 asks for: make an RSA key pair")
    _check_key(key)
    if certificate is not None:
        _check_usage(certificate)
    public_key_info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    numbers = key.public_numbers()
    recipient = Recipient(
        modulus=numbers.n,
        exponent=numbers.e,
        fingerprint=hashlib.sha256(public_key_info).hexdigest(),
        key_identifier=x509.SubjectKeyIdentifier.from_public_key(key).digest,
        issuer=issuer,
        serial_number=certificate.serial_number if certificate else 0,
    )
    return recipient, _validity(certificate) if certificate else None


def _check_key(key: RSAPublicKey) -> None:
    if key.key_size < _MIN_KEY_BITS:
        raise _Fault(f"has {key.key_size} bits, at least {_MIN_KEY_BITS} are needed: make a longer")
    if key.key_size > _MAX_KEY_BITS:
        raise _Fault(f"has {key.key_size} bits, at most {_MAX_KEY_BITS} can be used")
    if key.public_numbers().e < _MIN_EXPONENT:
        raise _Fault(f"has a public exponent below {_MIN_EXPONENT}: make a new key pair")


def _check_usage(certificate: x509.Certificate) -> None:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    except ValueError:
        raise _Fault("is damaged in its extensions: take it anew") from None
    if not usage.key_encipherment:
        raise _Fault("is not for encryption: its key usage lacks keyEncipherment (RFC 5280)")


def _validity(certificate: x509.Certificate) -> str | None:
    # A warning: originals that nobody can open in time are lost, expired papers are not.
    now = datetime.now(UTC)
    if now > certificate.not_valid_after_utc:
        day = certificate.not_valid_after_utc.date()
        return f"its certificate expired on {day}: it is used; ask its holder for a new one"
    if now < certificate.not_valid_before_utc:
        return f"its certificate is valid from {certificate.not_valid_before_utc.date()} only"
    return None
