"""`certs`: a CA and certificates for trying out TLS. Not for patients."""

import ipaddress
import os
import socket
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NoReturn

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dicomanon_node.cli.common import EXIT_USAGE

ORGANIZATION: Final = "TEST ONLY dicomanon_node"
"""In every certificate made here, so that nobody takes it for a real one."""

_KEY_BITS: Final = 2048  # RSA, which every modality understands
_EARLIER: Final = timedelta(minutes=5)  # clocks of peers differ
_USAGES: Final = (
    "digital_signature content_commitment key_encipherment data_encipherment key_agreement"
    " key_cert_sign crl_sign encipher_only decipher_only"
).split()


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Name or address that senders reach the node by. May be repeated."
    "  [default: localhost, 127.0.0.1, ::1 and this machine's name]",
)
@click.option(
    "--client",
    "clients",
    multiple=True,
    metavar="NAME",
    help="Name of a client to make a certificate for. May be repeated.  [default: client]",
)
@click.option(
    "--days",
    type=click.IntRange(1, 825),
    default=90,
    show_default=True,
    help="How long they are valid.",
)
def certs(directory: Path, hosts: tuple[str, ...], clients: tuple[str, ...], days: int) -> None:
    """Make certificates for trying out TLS.

    Writes ca.pem, server.pem and server.key, and client.pem and client.key, into DIR.
    For tests only: the site's own CA makes those that are used with patients. The CA's
    key is not kept, so nobody can make more. Files that are there are not overwritten.
    """
    names = hosts or ("localhost", "127.0.0.1", "::1", socket.gethostname())
    clients = clients or ("client",)
    for name in (*names, *clients):
        if not name.isascii() or not name.isprintable() or "/" in name or not 0 < len(name) <= 64:  # noqa: PLR2004  (ub-common-name of RFC 5280)
            raise click.UsageError("a name has 1 to 64 printable ASCII characters, and no slash")
    if len({"ca", "server", *clients}) < 2 + len(clients):
        raise click.UsageError("names of clients differ, and are neither ca nor server")
    authority = _Authority(days)
    server_key, server = authority.issue(names[0], names, ExtendedKeyUsageOID.SERVER_AUTH)
    files = {
        "ca.pem": _pem(authority.certificate),
        "server.pem": _pem(server),
        "server.key": _pem(server_key),
    }
    fingerprints = {}
    for name in clients:
        # Peers that are called as well, such as a destination, show the same one.
        key, certificate = authority.issue(
            name, (name,), ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
        )
        files |= {f"{name}.pem": _pem(certificate), f"{name}.key": _pem(key)}
        fingerprints[name] = certificate.fingerprint(hashes.SHA256()).hex()
    _write(directory, files)
    click.echo("For tests only, until " + str((datetime.now(UTC) + timedelta(days=days)).date()))
    click.echo('In node.toml, in place of what its section "tls" has:')
    click.echo("[tls]\nenabled = true")
    for key_name, file in (("cert", "server.pem"), ("key", "server.key"), ("ca", "ca.pem")):
        click.echo(f'{key_name}_file = "{(directory / file).absolute()}"')
    for name, fingerprint in fingerprints.items():
        click.echo(
            f'In [[peers]], for who shows {name}.pem: certificate = "{name}",'
            f' or "sha256:{fingerprint}"'
        )


class _Authority:
    """A CA that lasts as long as this command."""

    def __init__(self, days: int) -> None:
        self._key = _new_key()
        self._end = datetime.now(UTC) + timedelta(days=days)
        name = _name("CA")
        self.certificate = (
            self._builder(name, name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def issue(
        self, name: str, names: Sequence[str], *purposes: x509.ObjectIdentifier
    ) -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
        """A new key and its certificate."""
        key = _new_key()
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            self._builder(_name(name), self.certificate.subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage("digital_signature", "key_encipherment"), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(x509.SubjectAlternativeName(map(_general_name, names)), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return key, certificate

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, key: rsa.RSAPublicKey
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.now(UTC) - _EARLIER)
            .not_valid_after(self._end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _usage(*usages: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in usages for usage in _USAGES})


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _pem(item: rsa.RSAPrivateKey | x509.Certificate) -> bytes:
    if isinstance(item, x509.Certificate):
        return item.public_bytes(Encoding.PEM)
    return item.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(directory: Path, files: dict[str, bytes]) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        taken = [name for name in files if (directory / name).exists()]
        for name, content in () if taken else files.items():
            mode = 0o600 if name.endswith(".key") else 0o644
            descriptor = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
    except OSError as error:
        _refuse(f"{directory} cannot be written: {error.strerror}")
    if taken:
        _refuse(f"{taken[0]} is there already and is not overwritten: take an empty directory.")


def _refuse(text: str) -> NoReturn:
    click.secho(text, fg="red", err=True)
    sys.exit(EXIT_USAGE)
