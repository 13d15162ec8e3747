"""The files of TLS, read and judged when the configuration is loaded.

What is wrong with them is told with the rest of the configuration, before anything
listens or connects: a file that is missing, a private key others can read, a
certificate of another key. One that has expired is a warning: its peers refuse it, and
senders without TLS go on. No message has anything of a file's content, and no context
of TLS is made here: see `network.tls`.
"""

import os
import re
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from dicomanon_node.config.model import DicomDestination, NodeConfig
from dicomanon_node.config.shape import Location
from dicomanon_node.errors import Problem

WARN_DAYS: Final = 30
"""Days before its end from which a certificate is warned about."""

_MAX_FILE_BYTES = 4 * 1024 * 1024  # a system's whole list of CAs has about 250 KiB
_MIN_RSA_BITS = 2048  # RFC 9325 4.5
_MIN_CURVE_BITS = 224  # RFC 9325 4.5
_ENCRYPTED = re.compile(rb"BEGIN ENCRYPTED PRIVATE KEY|Proc-Type: 4,ENCRYPTED")

_Key = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey | Ed448PrivateKey


class _Fault(Exception):  # noqa: N818  (a sentence for one setting, never leaves this module)
    pass


def tls_faults(node: NodeConfig) -> Iterator[tuple[Location, str]]:
    """What is wrong with the TLS of a configuration whose paths are resolved."""
    tls = node.tls
    if tls.enabled:
        for name, path in (("cert_file", tls.cert_file), ("key_file", tls.key_file)):
            if path is None:
                yield ("tls", name), "is needed, as tls.enabled is true"
        yield from _pair_faults(("tls",), "", tls.cert_file, tls.key_file)
        if tls.ca_file is not None:
            yield from _ca_faults(("tls", "ca_file"), tls.ca_file)
        elif tls.client_certificates != "none":
            text = (
                "is needed to know senders by: name a file with their CAs, or set "
                'tls.client_certificates = "none"'
            )
            yield ("tls", "ca_file"), text
    for index, entry in enumerate(node.destinations):
        if isinstance(entry, DicomDestination) and entry.tls:
            files = (entry.tls_cert_file, entry.tls_key_file, entry.tls_ca_file)
            yield from _client_faults(("destinations", index), "tls_", *files)
    audit = node.audit
    if audit.enabled and audit.transport == "tls":
        files = (audit.cert_file, audit.key_file, audit.ca_file)
        yield from _client_faults(("audit",), "", *files)


def tls_warnings(node: NodeConfig) -> Iterator[Problem]:
    """Certificates in use that have expired or soon will, as of now."""
    found: list[tuple[str, Path | None]] = []
    if node.tls.enabled:
        found += [("tls.cert_file", node.tls.cert_file), ("tls.ca_file", node.tls.ca_file)]
    for index, entry in enumerate(node.destinations):
        if isinstance(entry, DicomDestination) and entry.tls:
            where = f"destinations[{index}]"
            found += [
                (f"{where}.tls_cert_file", entry.tls_cert_file),
                (f"{where}.tls_ca_file", entry.tls_ca_file),
            ]
    audit = node.audit
    if audit.enabled and audit.transport == "tls":
        found += [("audit.cert_file", audit.cert_file), ("audit.ca_file", audit.ca_file)]
    now = datetime.now(UTC)
    for setting, path in found:
        if path is None:
            continue
        try:
            certificates = read_certificates(path)
        except _Fault:  # it was there a moment ago; the next load tells
            continue
        for number, certificate in enumerate(certificates, start=1):
            text = _validity(certificate, now)
            if text is not None:
                which = f"certificate {number} of {len(certificates)} in it" if number > 1 else "it"
                yield Problem("node.toml", setting, f"{which} {text}")


def read_certificates(path: Path) -> list[x509.Certificate]:
    """The certificates in a PEM file, in their order.

    Raises:
        _Fault: There is no such file, or something else is in it.
    """
    content, _ = _read(path)
    if b"PRIVATE KEY-----" in content:
        raise _Fault("holds a private key: keep that in a file of its own, mode 0600")
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise _Fault(
            'is not PEM (text with "-----BEGIN CERTIFICATE-----"): convert it, with "openssl x509 '
            '-inform DER"'
        )
    try:
        found = x509.load_pem_x509_certificates(content)
        for certificate in found:
            certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise _Fault("is damaged, or of a kind that is not known: take it anew") from None
    return found


def _client_faults(
    where: Location,
    prefix: str,
    cert_file: Path | None,
    key_file: Path | None,
    ca_file: Path | None,
) -> Iterator[tuple[Location, str]]:
    if (cert_file is None) != (key_file is None):
        missing = f"{prefix}{'cert_file' if cert_file is None else 'key_file'}"
        yield (*where, missing), "is needed: a certificate and its private key go together"
    yield from _pair_faults(where, prefix, cert_file, key_file)
    if ca_file is not None:
        yield from _ca_faults((*where, f"{prefix}ca_file"), ca_file)


def _pair_faults(
    where: Location, prefix: str, cert_file: Path | None, key_file: Path | None
) -> Iterator[tuple[Location, str]]:
    """Faults of a certificate, of its private key, and of both together."""
    certificate: x509.Certificate | None = None
    key: _Key | None = None
    if cert_file is not None:
        try:
            certificate = read_certificates(cert_file)[0]
        except _Fault as fault:
            yield (*where, f"{prefix}cert_file"), str(fault)
    if key_file is not None:
        try:
            key = _read_key(key_file)
        except _Fault as fault:
            yield (*where, f"{prefix}key_file"), str(fault)
    if certificate is not None and key is not None:
        spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if certificate.public_key().public_bytes(*spki) != key.public_key().public_bytes(*spki):
            text = (
                f"is not the key of {prefix}cert_file's first certificate: the node's own comes "
                "first, then those that lead to its CA"
            )
            yield (*where, f"{prefix}key_file"), text


def _ca_faults(where: Location, path: Path) -> Iterator[tuple[Location, str]]:
    try:
        read_certificates(path)
    except _Fault as fault:
        yield where, str(fault)


def _read_key(path: Path) -> _Key:
    content, status = _read(path)
    mode = stat.S_IMODE(status.st_mode)
    # As PostgreSQL has it: what root owns, its group may read, which is how a certificate
    # manager or Kubernetes hands a key to a service.
    allowed = stat.S_IRGRP if status.st_uid == 0 and os.geteuid() != 0 else 0
    if mode & (stat.S_IRWXG | stat.S_IRWXO) & ~allowed:
        raise _Fault(
            f"is open to other users (mode {mode:04o}): chmod 600 it, and think about who may have "
            "read it"
        )
    if b"PRIVATE KEY-----" not in content:
        raise _Fault('is no PEM file with a private key (text with "-----BEGIN PRIVATE KEY-----")')
    if _ENCRYPTED.search(content):
        raise _Fault(
            "has a passphrase, which nobody could give at a restart: take it off, with "
            '"openssl pkey -in OLD -out NEW", and keep the file at mode 0600'
        )
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _Fault("is damaged, or of a kind that is not known: take it anew") from None
    if not isinstance(key, _Key):
        raise _Fault("is neither RSA nor of an elliptic curve: make another")
    if isinstance(key, RSAPrivateKey) and key.key_size < _MIN_RSA_BITS:
        raise _Fault(f"has {key.key_size} bits, at least {_MIN_RSA_BITS} are needed (RFC 9325 4.5)")
    if isinstance(key, EllipticCurvePrivateKey) and key.curve.key_size < _MIN_CURVE_BITS:
        raise _Fault(f"is of a curve below {_MIN_CURVE_BITS} bits (RFC 9325 4.5): make another")
    return key


def _read(path: Path) -> tuple[bytes, os.stat_result]:
    try:
        # Not blocking: a FIFO by mistake must not hang the start.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise _Fault("must be a regular file")
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _Fault(f"cannot be read: {error.strerror}") from None
    if len(content) > _MAX_FILE_BYTES:
        raise _Fault("is too long for certificates or keys")
    return content, status


def _validity(certificate: x509.Certificate, now: datetime) -> str | None:
    end = certificate.not_valid_after_utc
    if now > end:
        return f"expired on {end.date()}: peers refuse it. Renew it"
    if now < certificate.not_valid_before_utc:
        return f"is valid from {certificate.not_valid_before_utc.date()} only: peers refuse it"
    if end - now < timedelta(days=WARN_DAYS):
        return f"expires on {end.date()}: renew it"
    return None
