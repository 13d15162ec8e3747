"""How syslog messages leave the machine: TLS (RFC 5425), UDP (RFC 5426), or a file.

Syslog has no answers. Over TLS messages count as sent when the receiver's machine has
acknowledged every byte and the connection still stands; in a file, when they are on the disk;
over UDP, when they have left. Not thread-safe.
"""

import array
import errno
import fcntl
import os
import select
import socket
import ssl
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from dicomanon_node.audit import syslog
from dicomanon_node.network import tls
from dicomanon_node.network.tls import ClientTls, TlsSocket

TIMEOUT_S: Final = 10.0
"""For a connection, a handshake, and for the acknowledgement of what was sent, seconds."""

_LOOK_S: Final = 0.01
_VERDICT_S: Final = 0.3
"""With TLS 1.3 a receiver refuses our certificate after the handshake (RFC 8446 4.6): how long
that is listened for, seconds."""

_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class Transport(Protocol):
    """Takes syslog messages away."""

    def send(self, messages: Sequence[bytes]) -> None:
        """Send messages; when this returns they count as sent.

        Raises:
            OSError: Perhaps none of them has arrived, perhaps all.
        """

    def close(self) -> None:
        """Nothing more is sent for now."""


class TlsTransport:
    """One connection that is kept.

    Args:
        host: Of the receiver.
        port: Its port.
        client: How TLS is spoken to it.
    """

    def __init__(self, host: str, port: int, client: ClientTls) -> None:
        self._address = (host, port)
        self._client = client
        self._connection: TlsSocket | None = None

    def send(self, messages: Sequence[bytes]) -> None:
        """See `Transport`."""
        try:
            connection = self._connected()
            connection.sendall(b"".join(map(syslog.frame, messages)))
            _wait_acknowledged(connection)
            _look_alive(connection, 0.0)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """See `Transport`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> TlsSocket:
        if self._connection is not None:
            try:
                _look_alive(self._connection, 0.0)
            except OSError:  # it was closed since; that costs nothing, so try again at once
                self.close()
            else:
                return self._connection
        plain = socket.create_connection(self._address, TIMEOUT_S)
        try:
            connection = tls.wrap(self._client.context, plain, self._client.server_name)
        except BaseException:
            plain.close()
            raise
        self._connection = connection
        connection.settimeout(TIMEOUT_S)
        connection.do_handshake()
        _look_alive(connection, _VERDICT_S)
        return connection


class UdpTransport:
    """One datagram a message. Nobody knows whether it arrives.

    Args:
        host: Of the receiver.
        port: Its port.
    """

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._socket: socket.socket | None = None

    def send(self, messages: Sequence[bytes]) -> None:
        """See `Transport`."""
        try:
            if self._socket is None:
                self._socket = self._connected()
            for message in messages:
                self._socket.send(message)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """See `Transport`."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        family, kind, protocol, _, address = socket.getaddrinfo(
            *self._address, type=socket.SOCK_DGRAM
        )[0]
        made = socket.socket(family, kind, protocol)
        try:
            made.connect(address)  # so that "port unreachable" comes back to us
        except BaseException:
            made.close()
            raise
        return made


class FileTransport:
    """A file, one message a line, opened for each batch: whoever rotates it may rename it.

    Args:
        path: The file; made with mode 0600.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, messages: Sequence[bytes]) -> None:
        """See `Transport`."""
        file = os.open(self._path, _APPEND, 0o600)
        try:
            content = memoryview(b"".join(message + b"\n" for message in messages))
            while content:
                written = os.write(file, content)
                if not written:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                content = content[written:]
            os.fsync(file)
        finally:
            os.close(file)

    def close(self) -> None:
        """See `Transport`."""


def _look_alive(connection: TlsSocket, wait_s: float) -> None:
    """Take what the receiver says, which is nothing unless it refuses or ends.

    Raises:
        OSError: The connection is over.
    """
    poller = select.poll()
    poller.register(connection, select.POLLIN)
    if not poller.poll(wait_s * 1000):
        return
    connection.settimeout(0.0)
    try:
        if not connection.recv(1024):
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
    except BlockingIOError:  # a session ticket, say
        return
    finally:
        connection.settimeout(TIMEOUT_S)


def _wait_acknowledged(connection: ssl.SSLSocket) -> None:
    """Wait until nothing is left that the receiver's machine has not acknowledged (TCP)."""
    deadline = time.monotonic() + TIMEOUT_S
    left = array.array("i", [0])
    while True:
        fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, left)
        if not left[0]:
            return
        if time.monotonic() >= deadline:
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        time.sleep(_LOOK_S)
