"""Key pairs and certificates for tests, made anew in each run; opened by OpenSSL."""

import subprocess
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

TODAY = datetime.now(UTC)
YEAR = timedelta(days=365)


@cache
def key_pair(bits: int = 2048, number: int = 0, exponent: int = 65537) -> RSAPrivateKey:
    """A key pair; within a run the same one for the same size and number."""
    del number  # tells key pairs of one size apart
    return generate_private_key(exponent, bits)


def public_pem(key: RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_pem(key: RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certificate(
    key: RSAPrivateKey,
    *,
    name: str = "Key holder",
    serial_number: int = 0x7FED_CBA9_8765,
    starts: datetime = TODAY - YEAR,
    ends: datetime = TODAY + YEAR,
    encrypts: bool | None = True,
) -> x509.Certificate:
    """A self-signed certificate; `encrypts` None leaves key usage out."""
    subject = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Example"),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, name),
        ]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(serial_number)
        .not_valid_before(starts)
        .not_valid_after(ends)
    )
    if encrypts is not None:
        usage = dict.fromkeys(
            "content_commitment data_encipherment key_agreement key_cert_sign crl_sign "
            "encipher_only decipher_only".split(),
            False,
        )
        builder = builder.add_extension(
            x509.KeyUsage(digital_signature=True, key_encipherment=encrypts, **usage), critical=True
        )
    return builder.sign(key, hashes.SHA256())


def certificate_pem(made: x509.Certificate) -> bytes:
    return made.public_bytes(Encoding.PEM)


def opened(
    envelope: bytes, key: RSAPrivateKey, directory: Path, holder: bytes | None = None
) -> bytes | None:
    """What `openssl cms -decrypt` makes of it; None where it refuses.

    Args:
        envelope: DER, perhaps padded.
        key: The private key.
        directory: For files.
        holder: The holder's certificate, PEM, to look the recipient up by.
    """
    (directory / "private.pem").write_bytes(private_pem(key))
    (directory / "envelope.der").write_bytes(envelope)
    arguments = ["-decrypt", "-inform", "DER", "-in", "envelope.der", "-inkey", "private.pem"]
    if holder is not None:
        (directory / "holder.pem").write_bytes(holder)
        arguments += ["-recip", "holder.pem"]
    done = cms(directory, *arguments)
    return done.stdout if done.returncode == 0 else None


def cms(directory: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run `openssl cms`."""
    command = ["openssl", "cms", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, check=False)
