"""TLS after BCP 195 (RFC 8996, RFC 9325), for both sides; PS3.15 B.12.

TLS 1.2 and 1.3, ephemeral keys and authenticated encryption only. No compression, no
renegotiation, no resumption: every association proves anew who is there, so that a
certificate that was withdrawn ends with its last association.

An `ssl.SSLSocket` differs from a socket in ways that would break those who use one; `TlsSocket`
makes up for them. This module reads the files it is given and judges neither their
permissions nor their dates (`config.certificates`), and nobody's AE title (`peers`).
"""

import hashlib
import select
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from dicomanon_node.errors import NodeError
from dicomanon_node.network.peers import PeerCertificate, folded

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL"
"""Of TLS 1.2 (RFC 9325 4.2); those of TLS 1.3 all are of this kind."""

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_REQUIRED: Final = {
    "required": ssl.CERT_REQUIRED,
    "optional": ssl.CERT_OPTIONAL,
    "none": ssl.CERT_NONE,
}

# What OpenSSL calls what went wrong; everything else is "tls-failed".
_NO_TLS: Final = ("HTTP_REQUEST", "WRONG_VERSION_NUMBER", "UNEXPECTED_MESSAGE", "BAD_RECORD_TYPE")
_NOTHING_IN_COMMON: Final = (
    "NO_PROTOCOLS_AVAILABLE",
    "NO_SHARED_CIPHER",
    "NO_SUITABLE_SIGNATURE_ALGORITHM",
    "TLSV1_ALERT_PROTOCOL_VERSION",
    "UNSUPPORTED_PROTOCOL",
    "VERSION_TOO_LOW",
)
# X509_V_ERR_... of OpenSSL's x509_vfy.h
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN: Final = (2, 18, 19, 20, 21)  # no issuer, or self-signed
_OTHER_NAME: Final = (62, 64)  # host name, IP address


class CredentialsError(NodeError):
    """OpenSSL does not take a file. The text is fixed.

    Attributes:
        role: Which: `certificate`, with its key, or `ca`.
    """

    def __init__(self, role: Literal["certificate", "ca"]) -> None:
        super().__init__(role)
        self.role = role


@dataclass(frozen=True, slots=True)
class ClientTls:
    """How to speak TLS to one peer.

    Attributes:
        context: Made by `client_context`.
        server_name: Name or address its certificate must have, if names are looked at.
    """

    context: ssl.SSLContext
    server_name: str


class TlsSocket(ssl.SSLSocket):
    """An `ssl.SSLSocket` that behaves as sockets do, where its users rely on that."""

    def recv_into(
        self, buffer: "WriteableBuffer", nbytes: int | None = None, flags: int = 0
    ) -> int:
        """Fill the buffer as far as anything has come.

        What OpenSSL has already taken from the kernel wakes nobody who polls the socket, so
        none of it is left there unless the buffer is full.

        Raises:
            BlockingIOError: There is nothing yet.
            OSError: The connection is lost.
        """
        if nbytes is not None or flags or self.gettimeout() != 0.0:
            return super().recv_into(buffer, nbytes, flags)
        room = memoryview(buffer)
        filled = 0
        try:
            while filled < len(room):
                count = super().recv_into(room[filled:])
                if not count:
                    break
                filled += count
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if not filled:
                raise BlockingIOError from None
        return filled

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Receive; on a non-blocking socket BlockingIOError says that there is nothing yet."""
        try:
            return super().recv(buflen, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def send(self, data: "ReadableBuffer", flags: int = 0) -> int:
        """Send one record; on a non-blocking socket BlockingIOError says that there is no room."""
        try:
            return super().send(data, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def sendmsg(  # type: ignore[override]  # that of ssl raises
        self, buffers: Iterable["ReadableBuffer"]
    ) -> int:
        """Send all of the buffers, of a socket with a time-out, which holds for each record."""
        rest = memoryview(b"".join(buffers))  # small buffers share records
        total = len(rest)
        while rest:
            rest = rest[self.send(rest) :]
        return total

    def shutdown(self, how: int) -> None:
        """Shut the connection down.

        `ssl`'s own would first forget that there is TLS: what another thread sends then
        would go out in clear.
        """
        socket.socket.shutdown(self, how)

    def close(self) -> None:
        """Tell the peer that nothing follows (RFC 8446 6.1), without waiting, and close."""
        if self.fileno() >= 0 and self.version() is not None:
            with suppress(OSError, ValueError):  # the peer is gone: nobody is left to be told
                self.settimeout(0.0)
                self.unwrap()
        super().close()


def server_context(
    cert_file: Path,
    key_file: Path,
    ca_file: Path | None = None,
    *,
    client_certificates: Literal["required", "optional", "none"] = "required",
    min_version: Literal["1.2", "1.3"] = "1.2",
) -> ssl.SSLContext:
    """What an acceptor needs to speak TLS; shared by all of its connections.

    Args:
        cert_file: PEM, the node's certificate first.
        key_file: PEM, its private key, not encrypted.
        ca_file: PEM, whom certificates of peers must come from.
        client_certificates: Whether a peer must, may or need not show one.
        min_version: The oldest version of TLS.

    Raises:
        CredentialsError: A file cannot be used.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, min_version)
    # Tickets let a peer come again unproved, and those that a peer never reads make the
    # kernel reset the connection, with our last answer in it.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 0
    _load_pair(context, cert_file, key_file)
    context.verify_mode = _REQUIRED[client_certificates]
    if ca_file is not None:
        _load_authorities(context, ca_file)
    return context


def client_context(
    ca_file: Path | None = None,
    cert_file: Path | None = None,
    key_file: Path | None = None,
    *,
    verify: Literal["name", "ca", "none"] = "name",
) -> ssl.SSLContext:
    """What a requestor needs to speak TLS.

    Args:
        ca_file: PEM, whom the peer's certificate must come from; None: the system's list.
        cert_file: PEM, our certificate first; None: none is shown.
        key_file: PEM, its private key, not encrypted.
        verify: Whether the peer's certificate must have its name, or only come from the CA;
            "none" takes any, which proves nothing.

    Raises:
        CredentialsError: A file cannot be used.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, "1.2")
    context.check_hostname = verify == "name"
    context.verify_mode = ssl.CERT_NONE if verify == "none" else ssl.CERT_REQUIRED
    if cert_file is not None and key_file is not None:
        _load_pair(context, cert_file, key_file)
    if ca_file is not None:
        _load_authorities(context, ca_file)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


def wrap(
    context: ssl.SSLContext, connection: socket.socket, server_name: str | None = None
) -> TlsSocket:
    """A TLS socket over a connection, before the handshake; the connection is given away."""
    is_server = server_name is None
    wrapped = context.wrap_socket(
        connection,
        server_side=is_server,
        do_handshake_on_connect=False,
        server_hostname=server_name or None,
    )
    if not isinstance(wrapped, TlsSocket):
        raise TypeError("a context that this module has not made")
    return wrapped


def shake_hands(connection: TlsSocket, wait: Callable[[int], None]) -> None:
    """Do the handshake on a non-blocking socket.

    Args:
        connection: From `wrap`.
        wait: Waits for these events of poll(2) on it; raises when it is to end.

    Raises:
        OSError: It failed; see `failure`.
        Exception: What `wait` raises.
    """
    while True:
        try:
            connection.do_handshake()
        except ssl.SSLWantReadError:
            wait(select.POLLIN)
        except ssl.SSLWantWriteError:
            wait(select.POLLOUT)
        else:
            return


def peer_certificate(connection: TlsSocket) -> PeerCertificate | None:
    """The peer's certificate, which has been verified; None if it has shown none."""
    encoded = connection.getpeercert(binary_form=True)
    if encoded is None:
        return None
    return PeerCertificate(hashlib.sha256(encoded).hexdigest(), _names(connection.getpeercert()))


def failure(error: OSError) -> str:
    """A fixed word for what ended a TLS connection; "" if it was nothing of TLS."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _verification_failure(error.verify_code)
    if not isinstance(error, ssl.SSLError) or isinstance(
        error, ssl.SSLEOFError | ssl.SSLZeroReturnError
    ):
        return ""
    reason = error.reason or ""
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "tls-certificate-missing"
    if reason in _NOTHING_IN_COMMON:
        return "tls-version"
    if reason in _NO_TLS:
        return "tls-not-spoken"
    if "_ALERT_" in reason:
        return "tls-refused"
    return "tls-failed"


def _verification_failure(code: int) -> str:
    if code in (_EXPIRED, _NOT_YET_VALID):
        return "tls-certificate-expired" if code == _EXPIRED else "tls-certificate-not-yet"
    if code in _UNKNOWN:
        return "tls-certificate-unknown"
    return "tls-certificate-name" if code in _OTHER_NAME else "tls-certificate"


def _context(protocol: int, min_version: str) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.sslsocket_class = TlsSocket
    context.minimum_version = _VERSIONS[min_version]
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    # A certificate in the file of CAs is trusted though its issuer is not there.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _load_pair(context: ssl.SSLContext, cert_file: Path, key_file: Path) -> None:
    try:
        # Asked for a passphrase OpenSSL would wait for somebody at the terminal.
        context.load_cert_chain(cert_file, key_file, password="")
    except (OSError, ValueError):
        raise CredentialsError("certificate") from None


def _load_authorities(context: ssl.SSLContext, ca_file: Path) -> None:
    try:
        context.load_verify_locations(ca_file)
    except (OSError, ValueError):
        raise CredentialsError("ca") from None


def _names(certificate: Mapping[str, Any] | None) -> frozenset[str]:
    """The names in what `getpeercert` says: the alternative ones, or the Common Names."""
    if not certificate:
        return frozenset()
    found = [str(value) for _, value in certificate.get("subjectAltName", ())]
    if not found:
        parts = [part for group in certificate.get("subject", ()) for part in group]
        found = [str(value) for key, value in parts if key == "commonName"]
    return frozenset(map(folded, found))
