"""TLS on both sides, against Python's own TLS and stock pynetdicom."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self

import pytest
from cryptography import x509
from pynetdicom import AE, evt
from support_network import (
    ABORT_TYPE,
    CT,
    EXPLICIT,
    RJ_TYPE,
    VERIFICATION,
    Node,
    RawRequestor,
    abort_rq,
    associate_rq,
    message,
    running_node,
    store_rq,
    wait_until,
)
from support_tls import DAY, Authority, Pair

from dicomanon_node.config.model import DicomDestination
from dicomanon_node.delivery.dicom import DicomTransport
from dicomanon_node.network import tls
from dicomanon_node.network.failures import (
    AssociationError,
    ConnectionFailedError,
    ConnectionLostError,
)
from dicomanon_node.network.peers import Peer, PeerCertificate
from dicomanon_node.network.proposal import Context
from dicomanon_node.network.requestor import Requestor
from dicomanon_node.network.service import Ending
from dicomanon_node.network.tls import ClientTls, TlsSocket

LOOPBACK = [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")]
BIG = bytes(range(256)) * 12_000  # some 190 records of TLS


class Site:
    """A CA, a server's and a client's certificate, and somebody else's CA and client."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory)
        self.server = self.authority.issue("server", names=LOOPBACK)
        self.client = self.authority.issue("ct1.example.org")
        self.other = Authority(directory, "other")
        self.stranger = self.other.issue("stranger")

    def context(self, **options: Any) -> ssl.SSLContext:  # noqa: ANN401  (those of the context)
        """Of a listener under test."""
        return tls.server_context(self.server.cert, self.server.key, self.authority.ca, **options)

    def stock_client(self, pair: Pair | None = None) -> ssl.SSLContext:
        """Python's own, as a peer."""
        context = ssl.create_default_context(cafile=str(self.authority.ca))
        if pair is not None:
            context.load_cert_chain(pair.cert, pair.key)
        return context

    def stock_server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server.cert, self.server.key)
        context.load_verify_locations(self.authority.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def node(site: Site) -> Iterator[Node]:
    with running_node(tls=site.context()) as running:
        yield running


class SecureRequestor(RawRequestor):
    """A raw requestor over Python's own TLS."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__(port)
        try:
            self.secured = self.socket = context.wrap_socket(
                self.socket, server_hostname="localhost", suppress_ragged_eofs=False
            )
        except OSError:
            self.socket.close()
            raise

    def __enter__(self) -> Self:
        return self


def turned_away(node: Node) -> Ending:
    wait_until(lambda: node.observer.strangers)
    [(how, address)] = node.observer.strangers
    assert address == "127.0.0.1"
    assert not node.observer.failures
    return how


def assert_refused(node: Node, context: ssl.SSLContext) -> None:
    """TLS 1.3 lets a client learn at its first read what the server thinks of it."""
    # Reset, alert or end: as the kernel has it.
    with contextlib.suppress(OSError), SecureRequestor(node.tls_port, context) as requestor:
        requestor.send(associate_rq())
        assert requestor.socket.recv(1) == b""


# The listener.


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_instances_come_over_tls_as_they_were_sent(
    site: Site, node: Node, version: ssl.TLSVersion
) -> None:
    context = site.stock_client(site.client)
    context.minimum_version = context.maximum_version = version
    with SecureRequestor(node.tls_port, context) as requestor:
        requestor.associate()
        for number, data in enumerate((b"\x08\x00", BIG, BIG[:16_384]), start=1):
            requestor.send(message(store_rq(number), data, fragment_bytes=16_000))
            assert requestor.response().Status == 0x0000
        requestor.release()
    assert node.service.received == [b"\x08\x00", BIG, BIG[:16_384]]
    assert node.observer.ending() is Ending.RELEASED
    facts = node.observer.endings[0][1]
    assert facts.tls_version == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
    assert facts.certificate == PeerCertificate(
        site.client.fingerprint, frozenset({"ct1.example.org"})
    )


def test_plain_associations_go_on_beside(node: Node) -> None:
    with RawRequestor(node.port) as requestor:
        requestor.associate()
        requestor.release()
    assert node.observer.ending() is Ending.RELEASED
    assert not node.observer.endings[0][1].tls_version


def test_what_comes_with_the_last_of_the_handshake_is_not_left_lying(
    site: Site, node: Node
) -> None:
    # OpenSSL may have taken it from the kernel with the handshake: then no poll tells of it.
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = site.stock_client(site.client).wrap_bio(
        incoming, outgoing, server_hostname="localhost"
    )
    with RawRequestor(node.tls_port) as requestor:
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                if outgoing.pending:
                    requestor.send(outgoing.read())
                incoming.write(requestor.socket.recv(65536))
        client.write(associate_rq())
        client.write(message(store_rq(), b"\x08\x00" * 40_000) + abort_rq())
        requestor.send(outgoing.read())  # the end of the handshake and all the rest at once
        assert node.observer.ending() is Ending.ABORTED
    assert node.service.received == [b"\x08\x00" * 40_000]


def test_messages_that_share_a_record_are_answered_each(site: Site, node: Node) -> None:
    with SecureRequestor(node.tls_port, site.stock_client(site.client)) as requestor:
        requestor.associate()
        requestor.send(b"".join(message(store_rq(number), b"ab") for number in range(1, 9)))
        answered = [requestor.response().MessageIDBeingRespondedTo for _ in range(8)]
        requestor.release()
    assert answered == list(range(1, 9))


def test_the_end_of_an_association_is_told_in_tls_too(site: Site, node: Node) -> None:
    with SecureRequestor(node.tls_port, site.stock_client(site.client)) as requestor:
        requestor.associate()
        requestor.send(b"\x63" + bytes(9))  # no PDU
        assert requestor.pdu()[0] == ABORT_TYPE
        # Without a close_notify this would raise: somebody could have cut the rest off.
        requestor.socket.settimeout(10)
        assert requestor.socket.recv(1) == b""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_cipher_is_authenticated_with_ephemeral_keys(
    site: Site, node: Node, version: ssl.TLSVersion
) -> None:
    context = site.stock_client(site.client)
    context.maximum_version = version
    with SecureRequestor(node.tls_port, context) as requestor:
        chosen = requestor.secured.cipher()
    assert chosen is not None
    name, _, bits = chosen
    assert name.startswith(("TLS_AES", "TLS_CHACHA20", "ECDHE-"))
    assert "GCM" in name or "POLY1305" in name
    assert bits >= 128


def test_every_association_proves_anew_who_is_there(site: Site, node: Node) -> None:
    context = site.stock_client(site.client)
    with SecureRequestor(node.tls_port, context) as requestor:
        requestor.associate()
        requestor.release()
        session = requestor.secured.session
    assert session is None or not session.has_ticket


@pytest.mark.parametrize(
    ("pair", "how"),
    [
        (lambda _: None, Ending.TLS_CERTIFICATE_MISSING),
        (lambda site: site.stranger, Ending.TLS_CERTIFICATE_UNKNOWN),
        (lambda site: site.authority.issue("old", end=-DAY / 2), Ending.TLS_CERTIFICATE_EXPIRED),
        (lambda site: site.authority.issue("new", start=DAY), Ending.TLS_CERTIFICATE_NOT_YET),
    ],
    ids=["none", "from another CA", "expired", "not yet valid"],
)
@pytest.mark.parametrize("asked", ["required", "optional"])
def test_a_certificate_that_proves_nothing_does_not_get_in(
    site: Site, asked: str, pair: Callable[[Site], Pair | None], how: Ending
) -> None:
    shown = pair(site)
    with running_node(tls=site.context(client_certificates=asked)) as node:
        if shown is None and asked == "optional":
            with SecureRequestor(node.tls_port, site.stock_client()) as requestor:
                requestor.associate()
                requestor.release()
            assert node.observer.ending() is Ending.RELEASED
            return
        assert_refused(node, site.stock_client(shown))
        assert turned_away(node) is how
        assert not node.observer.endings


def test_without_asking_for_certificates_nobody_has_one(site: Site) -> None:
    with running_node(tls=site.context(client_certificates="none")) as node:
        with SecureRequestor(node.tls_port, site.stock_client(site.client)) as requestor:
            requestor.associate()
            requestor.release()
        node.observer.ending()
        assert node.observer.endings[0][1].certificate is None


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
@pytest.mark.parametrize(
    ("version", "ciphers", "minimum"),
    [
        (ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0", "1.2"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-SHA384", "1.2"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE+AESGCM", "1.3"),
    ],
    ids=["TLS 1.1", "CBC", "older than the site wants"],
)
def test_what_bcp_195_has_given_up_is_not_spoken(
    site: Site, version: ssl.TLSVersion, ciphers: str, minimum: str
) -> None:
    context = site.stock_client(site.client)
    context.set_ciphers(ciphers)
    context.minimum_version = context.maximum_version = version
    with running_node(tls=site.context(min_version=minimum)) as node:
        assert_refused(node, context)
        assert turned_away(node) is Ending.TLS_VERSION


def test_plain_dicom_on_the_tls_port_is_named_in_the_log(node: Node) -> None:
    with RawRequestor(node.tls_port) as requestor:
        requestor.send(associate_rq())
        assert turned_away(node) is Ending.TLS_NOT_SPOKEN


def test_tls_on_the_plain_port_is_a_protocol_error(site: Site, node: Node) -> None:
    with pytest.raises(OSError):  # noqa: PT011  (as OpenSSL words it)
        SecureRequestor(node.port, site.stock_client(site.client))
    assert turned_away(node) is Ending.PROTOCOL_ERROR


def client_hello(site: Site) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = site.stock_client().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("part", [0, 1, 40, -1, None], ids=str)
def test_who_stays_silent_in_the_handshake_is_closed_in_time(site: Site, part: int | None) -> None:
    hello = client_hello(site)
    sent = hello if part is None else hello[:part]
    with running_node(tls=site.context(), acse_timeout_s=0.3) as node:
        with RawRequestor(node.tls_port) as requestor:
            requestor.send(sent)
            assert turned_away(node) is Ending.TIMEOUT
        assert node.listener.active_count == 0


def test_who_sends_a_byte_now_and_then_is_closed_in_time_as_well(site: Site) -> None:
    with running_node(tls=site.context(), acse_timeout_s=0.5) as node:
        with RawRequestor(node.tls_port) as requestor:
            requestor.socket.settimeout(0.05)
            for byte in client_hello(site):
                if node.observer.strangers:
                    break
                with contextlib.suppress(TimeoutError, ConnectionError):
                    requestor.send(bytes([byte]))
                    requestor.socket.recv(1)
        assert turned_away(node) is Ending.TIMEOUT


def test_time_for_the_handshake_is_time_for_the_request(site: Site) -> None:
    with (
        running_node(tls=site.context(), acse_timeout_s=0.5) as node,
        SecureRequestor(node.tls_port, site.stock_client(site.client)) as requestor,
    ):
        assert turned_away(node) is Ending.TIMEOUT
        requestor.socket.settimeout(10)
        assert requestor.socket.recv(1) == b""


@pytest.mark.parametrize("following", [b"\x17\x03\x03\x00\x10" + bytes(16), b"\xff" * 400, b""])
def test_garbage_in_the_middle_of_the_handshake_ends_it(site: Site, following: bytes) -> None:
    with running_node(tls=site.context()) as node:
        with RawRequestor(node.tls_port) as requestor:
            requestor.send(client_hello(site))
            requestor.exactly(5)
            requestor.send(following)
            requestor.socket.shutdown(socket.SHUT_WR)
            how = turned_away(node)
        expected = {Ending.TLS_FAILED, Ending.TLS_NOT_SPOKEN} if following else {Ending.LOST}
        assert how in expected


def test_a_node_that_ends_does_not_wait_for_a_handshake(site: Site, node: Node) -> None:
    with RawRequestor(node.tls_port) as requestor:
        requestor.send(client_hello(site))
        wait_until(lambda: node.listener.connection_count)
        requestor.exactly(5)
        node.listener.abort_all()
        assert turned_away(node) is Ending.STOPPED


def test_silent_peers_hold_their_slots_and_nobody_up(site: Site, node: Node) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(RawRequestor(node.tls_port))
        wait_until(lambda: node.listener.connection_count == 20)
        with SecureRequestor(node.tls_port, site.stock_client(site.client)) as requestor:
            requestor.associate()
            requestor.release()
        assert node.observer.ending() is Ending.RELEASED


# Certificates bound to AE titles.


def bound(site: Site) -> tuple[Peer, ...]:
    return (
        Peer("CT1", certificate="CT1.example.org"),
        Peer("MR1", certificate=f"sha256:{site.client.fingerprint}"),
        Peer("US1"),
        Peer(None, certificate="gateway"),
    )


@pytest.mark.parametrize(
    ("calling", "shown", "reason"),
    [
        ("CT1", "ct1.example.org", None),
        ("MR1", "ct1.example.org", None),
        ("US1", "ct1.example.org", None),
        ("US1", None, None),
        ("ANY", "gateway", None),
        ("CT1", "gateway", "certificate"),  # any AE title, but not one that is bound
        ("CT1", "mr2.example.org", "certificate"),
        ("MR1", "mr2.example.org", "certificate"),
        ("MR1", None, "certificate"),
        ("ANY", "mr2.example.org", "certificate"),
    ],
)
def test_an_ae_title_that_is_bound_is_believed_with_its_certificate_only(
    site: Site, calling: str, shown: str | None, reason: str | None
) -> None:
    pair = None
    if shown is not None:
        pair = site.client if shown == "ct1.example.org" else site.authority.issue(shown)
    context = site.context(client_certificates="optional")
    with running_node(tls=context, peers=bound(site)) as node:
        with SecureRequestor(node.tls_port, site.stock_client(pair)) as requestor:
            requestor.send(associate_rq(calling=calling))
            kind, body = requestor.pdu()
        if reason is None:
            assert kind == 0x02
            return
        assert (kind, body[1:]) == (RJ_TYPE, b"\x01\x01\x03")
        wait_until(lambda: node.observer.rejections)
        assert [code for code, _ in node.observer.rejections] == [reason]


def test_an_ae_title_that_is_bound_is_not_believed_on_the_plain_port(site: Site) -> None:
    with running_node(tls=site.context(), peers=bound(site)) as node:
        with RawRequestor(node.port) as requestor:
            requestor.send(associate_rq(calling="CT1"))
            assert requestor.pdu()[0] == RJ_TYPE
        wait_until(lambda: node.observer.rejections)
        assert [code for code, _ in node.observer.rejections] == ["certificate"]


def test_a_common_name_counts_where_there_is_no_alternative_name(site: Site) -> None:
    with running_node(tls=site.context()) as node:
        for name, names in (("OldScanner", []), ("new", [x509.DNSName("other")])):
            pair = site.authority.issue(name, names=names)
            with SecureRequestor(node.tls_port, site.stock_client(pair)) as requestor:
                requestor.associate()
                requestor.release()
        wait_until(lambda: len(node.observer.endings) == 2)
        shown = [facts.certificate for _, facts in node.observer.endings]
    assert [sorted(certificate.names) for certificate in shown if certificate] == [
        ["oldscanner"],
        ["other"],
    ]


# The requestor.


@contextlib.contextmanager
def stock_scp(context: ssl.SSLContext | None) -> Iterator[int]:
    """A Verification SCP by stock pynetdicom; its port."""
    entity = AE("STOCK")
    entity.add_supported_context(VERIFICATION)
    server = entity.start_server(
        ("127.0.0.1", 0),
        block=False,
        ssl_context=context,
        evt_handlers=[(evt.EVT_C_ECHO, lambda _: 0)],
    )
    assert server is not None
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def requestor(port: int, settings: ClientTls | None, **options: Any) -> Requestor:  # noqa: ANN401  (those of Requestor)
    return Requestor(
        "127.0.0.1",
        port,
        calling_aet="US",
        called_aet="STOCK",
        contexts=(Context(VERIFICATION, ("1.2.840.10008.1.2",)),),
        tls=settings,
        **options,
    )


def known(site: Site, name: str = "127.0.0.1", **options: Any) -> ClientTls:  # noqa: ANN401  (those of the context)
    pair = (site.client.cert, site.client.key)
    return ClientTls(tls.client_context(site.authority.ca, *pair, **options), name)


def test_we_are_answered_over_tls_by_a_stock_peer(site: Site) -> None:
    with stock_scp(site.stock_server()) as port, requestor(port, known(site)) as association:
        assert association.echo() == 0x0000
        assert association.is_usable()
        assert association.echo() == 0x0000


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        (
            lambda site: ClientTls(tls.client_context(site.other.ca), "127.0.0.1"),
            "tls-certificate-unknown",
        ),
        (lambda site: known(site, "pacs.example.org"), "tls-certificate-name"),
    ],
    ids=["of another CA", "of another name"],
)
def test_a_peer_that_cannot_be_trusted_gets_no_association(
    site: Site, settings: Callable[[Site], ClientTls], code: str
) -> None:
    with stock_scp(site.stock_server()) as port:
        association = requestor(port, settings(site))
        with pytest.raises(AssociationError) as caught:
            association.associate()
        assert caught.value.code == code
        assert not association.is_established


@pytest.mark.parametrize(
    ("version", "codes"),
    [
        (ssl.TLSVersion.TLSv1_2, {"tls-refused"}),
        # We learn it after our request only; the connection may be reset before we read why.
        (ssl.TLSVersion.TLSv1_3, {"tls-refused", "connection-lost"}),
    ],
)
def test_a_peer_that_wants_our_certificate_and_gets_none_gives_no_association(
    site: Site, version: ssl.TLSVersion, codes: set[str]
) -> None:
    context = site.stock_server()
    context.maximum_version = version
    with stock_scp(context) as port:
        association = requestor(port, ClientTls(tls.client_context(site.authority.ca), "127.0.0.1"))
        with pytest.raises(AssociationError) as caught:
            association.associate()
    assert caught.value.code in codes


def test_the_name_of_a_peer_may_be_left_aside_but_not_its_ca(site: Site) -> None:
    with stock_scp(site.stock_server()) as port:
        with requestor(port, known(site, "pacs.example.org", verify="ca")) as association:
            assert association.echo() == 0x0000
        strange = ClientTls(tls.client_context(site.other.ca, verify="ca"), "127.0.0.1")
        with pytest.raises(ConnectionFailedError):
            requestor(port, strange).associate()


def test_an_expired_peer_is_told_as_such(site: Site) -> None:
    old = site.authority.issue("expired", names=LOOPBACK, end=-DAY / 2)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(old.cert, old.key)
    with stock_scp(context) as port, pytest.raises(ConnectionFailedError) as caught:
        requestor(port, known(site)).associate()
    assert caught.value.code == "tls-certificate-expired"


def answering(data: bytes) -> contextlib.AbstractContextManager[int]:
    """A server that says this to whoever comes, and keeps the connection."""

    @contextlib.contextmanager
    def serve() -> Iterator[int]:
        with socket.create_server(("127.0.0.1", 0)) as server:
            done = threading.Event()

            def run() -> None:
                connection, _ = server.accept()
                with connection:
                    connection.sendall(data)
                    done.wait(30)

            thread = threading.Thread(target=run)
            thread.start()
            try:
                yield server.getsockname()[1]
            finally:
                done.set()
                thread.join()

    return serve()


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"", "tls-timed-out"),
        (b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00", "tls-not-spoken"),
        (b"\x16\x03\x03\x00\x04\x02\xff\xff\xff", "tls-failed"),
    ],
    ids=["silent", "plain", "garbage"],
)
def test_a_peer_that_does_not_speak_tls_is_not_waited_for(
    site: Site, said: bytes, code: str
) -> None:
    with answering(said) as port, pytest.raises(ConnectionFailedError) as caught:
        requestor(port, known(site), connect_timeout_s=1.0).associate()
    assert caught.value.code == code


def test_our_own_sides_understand_each_other(site: Site, node: Node) -> None:
    association = Requestor(
        "127.0.0.1",
        node.tls_port,
        calling_aet="US",
        called_aet="NODE",
        contexts=(Context(VERIFICATION, (EXPLICIT,)), Context(CT, (EXPLICIT,))),
        tls=known(site),
    )
    with association:
        assert association.echo() == 0x0000
    assert node.observer.ending() is Ending.RELEASED


def test_an_association_that_the_peer_ends_is_noticed_over_tls(site: Site, node: Node) -> None:
    association = Requestor(
        "127.0.0.1",
        node.tls_port,
        calling_aet="US",
        called_aet="NODE",
        contexts=(Context(VERIFICATION, (EXPLICIT,)),),
        tls=known(site),
    )
    association.associate()
    assert association.is_usable()
    node.listener.abort_all()
    wait_until(lambda: not association.is_usable())
    assert not association.is_established


def connected(site: Site) -> tuple[TlsSocket, ssl.SSLSocket, socket.socket]:
    """A client's `TlsSocket`, Python's own server, and what is on the wire for it."""
    ours, theirs = socket.socketpair()
    server_context = site.stock_server()
    server: list[ssl.SSLSocket] = []
    thread = threading.Thread(
        target=lambda: server.append(server_context.wrap_socket(theirs, server_side=True))
    )
    thread.start()
    client = tls.wrap(known(site, "localhost").context, ours, "localhost")
    client.settimeout(10)
    client.do_handshake()
    thread.join()
    return client, server[0], theirs


def test_what_is_sent_after_a_shutdown_never_goes_out_in_clear(site: Site) -> None:
    client, server, _ = connected(site)
    with client, server:
        client.shutdown(socket.SHUT_RD)  # what still lets data out
        client.sendall(b"a secret")
        server.settimeout(10)
        assert server.recv(100) == b"a secret"  # TLS, or it would not be understood


def test_all_buffers_are_sent_in_their_order(site: Site) -> None:
    client, server, _ = connected(site)
    buffers: list[bytes | memoryview] = [b"head", memoryview(BIG), b"", BIG[:70_000]]
    expected = b"".join(buffers)
    received = bytearray()

    def drain() -> None:
        while len(received) < len(expected):
            received.extend(server.recv(65536))

    with client, server:
        thread = threading.Thread(target=drain)
        thread.start()
        assert client.sendmsg(buffers) == len(expected)
        thread.join(30)
    assert received == expected


def test_a_peer_that_takes_nothing_is_not_waited_for_over_tls(site: Site) -> None:
    client, server, _ = connected(site)
    with client, server:
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.sendmsg([BIG] * 4)


def test_a_destination_with_tls_is_never_spoken_to_without() -> None:
    settings = DicomDestination(
        name="pacs", kind="dicom", ae_title="PACS", host="127.0.0.1", tls=True
    )
    with pytest.raises(ValueError, match="never spoken to without"):
        DicomTransport(settings, "NODE")


@pytest.mark.parametrize("broken", ["cert", "key", "ca"])
def test_files_that_openssl_does_not_take_are_told_without_their_content(
    site: Site, tmp_path: Path, broken: str
) -> None:
    files = {"cert": site.server.cert, "key": site.server.key, "ca": site.authority.ca}
    files[broken] = tmp_path / "broken"
    files[broken].write_text("-----BEGIN CERTIFICATE-----\nSECRET\n", encoding="ascii")
    with pytest.raises(tls.CredentialsError) as caught:
        tls.server_context(files["cert"], files["key"], files["ca"])
    assert str(caught.value) in {"certificate", "ca"}
    assert caught.value.__cause__ is None


def test_a_lost_connection_is_nothing_of_tls() -> None:
    assert tls.failure(ConnectionResetError()) == ""
    assert str(ConnectionLostError("")) == "connection-lost"
