"""Accepts connections on a socket that several processes share.

The supervisor binds, forks, and each process serves its own duplicate of the
socket: whoever comes first accepts, but lets another go first that has less to do
(`loads`). One that is full leaves connections to the others; if all are, what
is asked for is rejected. One connection is one thread. Nothing that a peer could hold up
happens here: reading, a TLS handshake, judging a peer are all done in the
connection's own thread.
"""

import contextlib
import errno
import logging
import select
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Final

from pynetdicom import _config

from dicomanon_node.network.acceptor import Acceptor, application_entity
from dicomanon_node.network.admission import Admission
from dicomanon_node.network.association import AcceptorAssociation
from dicomanon_node.network.commitment import CommitmentService
from dicomanon_node.network.contexts import ContextPolicy
from dicomanon_node.network.entrance import Entrance
from dicomanon_node.network.loads import (
    FULL_PATIENCE_MS,
    LOOK_MS,
    PATIENCE_MS,
    Load,
    loads,
)
from dicomanon_node.network.negotiation import Negotiator
from dicomanon_node.network.registry import Capacity, Registry
from dicomanon_node.network.service import (
    AssociationObserver,
    Ending,
    ListenerSettings,
    StorageService,
)
from dicomanon_node.network.waker import Waker
from dicomanon_node.network.workers import Workers

BACKLOG: Final = 1024
"""Connections the kernel holds until they are accepted; a flood beyond makes it drop what others
ask for, and they ask again after a second."""

KEEPALIVE_IDLE_S: Final = 60
KEEPALIVE_INTERVAL_S: Final = 10
KEEPALIVE_COUNT: Final = 3
"""A peer that is gone without a word is noticed after 90 s, should no timer of DICOM be."""

USER_TIMEOUT_MS: Final = 90_000
"""Milliseconds sent data may stay unacknowledged (RFC 5482)."""

EXHAUSTED_PAUSE_MS: Final = 100
"""Milliseconds to wait when the process has no descriptor left; the peers wait in the backlog."""

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def bind(host: str, port: int) -> socket.socket:
    """Bind and listen; to be done before forking.

    Args:
        host: An address of this machine; "" or "0.0.0.0" for all of IPv4, "::" for all of
            IPv4 and IPv6.
        port: 0 for one that is free.

    Raises:
        OSError: The address is not ours, is taken or may not be used.
    """
    candidates = socket.getaddrinfo(
        host or "0.0.0.0",  # noqa: S104  (what "" means)
        port,
        type=socket.SOCK_STREAM,
        flags=socket.AI_PASSIVE,
    )
    family, _, _, _, address = candidates[0]
    return socket.create_server(
        address,
        family=family,
        backlog=BACKLOG,
        dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6(),
    )


def prepare_socket(connection: socket.socket) -> socket.socket:
    """Make a new connection ready; called in its own thread, where it may block.

    Raises:
        OSError: The peer has gone meanwhile.
    """
    # An answer is one small packet that the peer waits for: never hold it back.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_S),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_S),
        ("TCP_KEEPCNT", KEEPALIVE_COUNT),
        ("TCP_USER_TIMEOUT", USER_TIMEOUT_MS),
    ):
        if hasattr(socket, name):  # not all of them outside Linux
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return connection


class Listener:
    """A Storage and Verification SCP on a listening socket; to be made after forking.

    Methods may be called from any thread.

    Args:
        settings: What it is told.
        service: Where instances go.
        observer: Is told what became of each connection.
        load: What this process has to do beside its siblings; None: there are none.
        commitment: Where Storage Commitment requests go; None: they are not taken.
    """

    def __init__(
        self,
        settings: ListenerSettings,
        service: StorageService,
        observer: AssociationObserver,
        load: Load | None = None,
        commitment: CommitmentService | None = None,
    ) -> None:
        # pynetdicom's handlers cost four calls a PDU, and its log texts quote the peer.
        _config.LOG_HANDLER_LEVEL = "none"
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
        self._waker = Waker(takes_signals=True)
        self._is_retired = False
        self._load = load or loads(1)[0]
        self._load.show(0)
        half = (settings.max_associations + 1) // 2
        capacity = Capacity(
            settings.max_associations,
            settings.max_associations_per_peer or half,
            yields_after_s=settings.acse_timeout_s,
        )
        self._registry = Registry(capacity, self._waker.wake, self._load.show)
        self._observer = observer
        self._workers = Workers()
        self._plain = Entrance(None, settings.proxies) if settings.proxies else None
        self._secure = Entrance(settings.tls, settings.proxies)
        contexts = ContextPolicy(
            settings.extra_sop_classes, takes_commitment=commitment is not None
        )
        self._acceptor = Acceptor(
            application_entity(settings),
            settings,
            Admission(settings, Negotiator(settings, contexts)),
            service,
            observer,
            self._registry,
            prepare_socket,
            commitment,
        )

    @property
    def active_count(self) -> int:
        """Established associations."""
        return self._registry.active_count

    @property
    def connection_count(self) -> int:
        """Connections, with or without an association."""
        return self._registry.connection_count

    def serve(self, listening: socket.socket | None, secure: socket.socket | None = None) -> None:
        """Accept connections until `stop_accepting` or `retire`; call it once.

        Args:
            listening: Bound and listening, for plain associations. The duplicate of a socket
                is used and closed; the socket itself stays the caller's.
            secure: The same, for associations over TLS. One of the two may be None.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.closing(self._waker))
            stack.enter_context(self._woken_by_signals())
            entrances: dict[int, tuple[socket.socket, Entrance | None]] = {}
            if_full = select.poll()
            if_full.register(self._waker, select.POLLIN)
            if_room = select.poll()
            if_room.register(self._waker, select.POLLIN)
            for given, entrance in ((listening, self._plain), (secure, self._secure)):
                if given is not None:
                    sock = stack.enter_context(given.dup())
                    # Several processes wait; all but one find nothing there.
                    sock.setblocking(False)
                    if_room.register(sock, select.POLLIN)
                    entrances[sock.fileno()] = sock, entrance
            while not (self._registry.is_draining or self._is_retired):
                poller = if_full if self._registry.is_full else if_room
                found = {descriptor for descriptor, _ in poller.poll()}
                self._waker.clear()
                # One connection a turn: the next goes to whoever has less to do.
                for descriptor in found & entrances.keys():
                    is_full = self._registry.has_all_associations
                    patience_ms = FULL_PATIENCE_MS if is_full else PATIENCE_MS
                    for _ in range(0, patience_ms, LOOK_MS):
                        if not self._load.is_above_others or if_full.poll(LOOK_MS):
                            break
                    if not self._registry.is_full:
                        self._accept(*entrances[descriptor])

    def stop_accepting(self) -> None:
        """Accept no connection and no association any more; established ones go on.

        A connection whose A-ASSOCIATE-RQ comes now is rejected, transient. May be called by
        a signal handler.
        """
        self._registry.drain()
        self._waker.wake()

    def retire(self) -> None:
        """Accept no connection any more; those there are may still become associations.

        May be called by a signal handler.
        """
        self._is_retired = True
        self._waker.wake()

    def wait_empty(self, deadline_s: float) -> bool:
        """Wait up to `deadline_s` seconds for all connections to end; whether they have."""
        return self._registry.wait_empty(deadline_s)

    def wait_idle(self, deadline_s: float) -> bool:
        """Wait up to `deadline_s` seconds for the associations to end; whether they have."""
        return self._registry.wait_idle(deadline_s)

    def abort_all(self) -> None:
        """Abort every association, close every connection. Returns at once."""
        self._registry.stop_all()

    @contextlib.contextmanager
    def _woken_by_signals(self) -> Iterator[None]:
        """Let a signal end the wait, whenever it comes.

        A handler runs between two steps of Python: that of a signal that comes when the last
        step before the wait is done would run only after the next connection.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.set_wakeup_fd(self._waker.writing_fileno, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)

    def _accept(self, sock: socket.socket, entrance: Entrance | None) -> None:
        try:
            connection, address = sock.accept()
        except OSError as error:
            # Another process was quicker, the peer has gone already, or:
            if error.errno in _EXHAUSTED:
                select.poll().poll(EXHAUSTED_PAUSE_MS)
            return
        # What a dual-stack socket makes of an IPv4 address (RFC 4291 2.5.5.2).
        peer_address = address[0].removeprefix("::ffff:")
        try:
            association = AcceptorAssociation(self._acceptor, connection, peer_address, entrance)
        except (OSError, MemoryError):  # no descriptor or memory left for it
            connection.close()
            self._observer.unassociated(peer_address, Ending.LIMIT)
            return
        self._registry.add(association, peer_address)
        try:
            self._workers.start(association.run)
        except RuntimeError:  # no thread left for it
            association.dismiss(Ending.LIMIT)
