"""What a connection has to pass before its first PDU: a PROXY header, the TLS handshake.

Done in the connection's own thread, within its time to request an association: who
stays silent here holds a slot and nothing else. Only who listens on a TLS port or has
balancers needs it. It knows nothing of associations and judges no AE title.
"""

import select
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from time import monotonic

from dicomanon_node.errors import NodeError
from dicomanon_node.network import tls
from dicomanon_node.network.peers import PeerCertificate
from dicomanon_node.network.proxy_protocol import HeaderParser, ProxyHeaderError
from dicomanon_node.network.service import Ending
from dicomanon_node.network.waker import Waker


class NoEntryError(NodeError):
    """The connection does not get in; it is closed.

    Attributes:
        how: Why.
    """

    def __init__(self, how: Ending) -> None:
        super().__init__(how)
        self.how = how


@dataclass(frozen=True, slots=True)
class Arrival:
    """A connection that got in.

    Attributes:
        connection: To be used from now on; non-blocking.
        peer_address: The client's IP address.
        tls_version: Such as `TLSv1.3`; empty without TLS.
        certificate: The client's, verified; None if it has shown none.
    """

    connection: socket.socket
    peer_address: str
    tls_version: str = ""
    certificate: PeerCertificate | None = None


class Entrance:
    """The way in through one listening socket. Thread-safe.

    Args:
        context: Of TLS; None: what comes is plain.
        proxies: Networks of balancers, from which a PROXY header must come first. From
            anywhere else it must not: nothing is guessed from what comes.
    """

    def __init__(
        self, context: ssl.SSLContext | None, proxies: Sequence[IPv4Network | IPv6Network]
    ) -> None:
        self._context = context
        self._proxies = proxies

    def admit(
        self, connection: socket.socket, peer_address: str, deadline: float, waker: Waker
    ) -> Arrival:
        """Let a connection in.

        Args:
            connection: Non-blocking; given away, and closed if it does not get in.
            peer_address: IP address it came from.
            deadline: Until when, monotonic seconds.
            waker: Ends it at once.

        Raises:
            NoEntryError: It does not get in.
        """
        wait = _Waiting(connection, deadline, waker)
        try:
            if self._is_proxy(peer_address):
                peer_address = _client_address(connection, wait) or peer_address
            if self._context is None:
                return Arrival(connection, peer_address)
            connection = secured = tls.wrap(self._context, connection)
            tls.shake_hands(secured, wait)
            version, certificate = secured.version(), tls.peer_certificate(secured)
        except NoEntryError:
            connection.close()
            raise
        except (OSError, ValueError) as error:
            connection.close()
            word = tls.failure(error) if isinstance(error, OSError) else "tls-failed"
            raise NoEntryError(Ending(word) if word else Ending.LOST) from None
        return Arrival(secured, peer_address, version or "", certificate)

    def _is_proxy(self, peer_address: str) -> bool:
        if not self._proxies:
            return False
        address = ip_address(peer_address)
        return any(address in network for network in self._proxies)


class _Waiting:
    """Waits for a connection, until the deadline or until it is woken."""

    def __init__(self, connection: socket.socket, deadline: float, waker: Waker) -> None:
        self._descriptor = connection.fileno()  # stays the same when TLS is wrapped around
        self._deadline = deadline
        self._poller = select.poll()
        self._poller.register(waker, select.POLLIN)

    def __call__(self, events: int) -> None:
        """Wait for these events of poll(2).

        Raises:
            NoEntryError: The time is up, or the node ends.
        """
        self._poller.register(self._descriptor, events)
        remaining_s = self._deadline - monotonic()
        found = self._poller.poll(remaining_s * 1000) if remaining_s > 0 else ()
        if not found:
            raise NoEntryError(Ending.TIMEOUT)
        if all(descriptor != self._descriptor for descriptor, _ in found):
            raise NoEntryError(Ending.STOPPED)


def _client_address(connection: socket.socket, wait: _Waiting) -> str | None:
    """Read the PROXY header, and not a byte of what follows it."""
    parser = HeaderParser()
    try:
        while not parser.is_complete:
            try:
                data = connection.recv(parser.wants)
            except BlockingIOError:
                wait(select.POLLIN)
                continue
            if not data:
                raise NoEntryError(Ending.LOST)
            parser.feed(data)
    except ProxyHeaderError:
        raise NoEntryError(Ending.PROXY_HEADER) from None
    return parser.address
