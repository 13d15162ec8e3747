"""The PROXY header, and the connections that bring it."""

import socket
import struct
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support_network import (
    ABORT_TYPE,
    RJ_TYPE,
    RawRequestor,
    associate_rq,
    running_node,
    wait_until,
)

from dicomanon_node.network.peers import Peer
from dicomanon_node.network.proxy_protocol import (
    MAX_HEADER_BYTES,
    HeaderParser,
    ProxyHeaderError,
)
from dicomanon_node.network.service import Ending

LOOPBACK = (ip_network("127.0.0.0/8"),)
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def v1(text: str) -> bytes:
    return f"PROXY {text}\r\n".encode("ascii")


def v2(command: int, family: int, body: bytes) -> bytes:
    return SIGNATURE + struct.pack(">BBH", command, family, len(body)) + body


def v2_tcp(source: IPv4Address | IPv6Address, tlvs: bytes = b"") -> bytes:
    family = 0x11 if source.version == 4 else 0x21
    return v2(0x21, family, source.packed + source.packed + struct.pack(">HH", 4000, 104) + tlvs)


def parse(stream: bytes, sizes: list[int] | None = None) -> tuple[str | None, int]:
    """The address, and how many bytes were taken; the stream comes in pieces of these sizes."""
    parser = HeaderParser()
    taken = 0
    pieces = iter(sizes or [])
    while not parser.is_complete:
        assert parser.wants > 0
        piece = stream[taken : taken + min(parser.wants, next(pieces, 1 << 20))]
        assert piece, "the stream ended before the header did"
        taken += len(piece)
        parser.feed(piece)
    return parser.address, taken


def plain(address: IPv4Address | IPv6Address) -> str:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))
SIZES = st.lists(st.integers(1, 20), max_size=120)


@given(address=ADDRESSES, sizes=SIZES, following=st.binary(max_size=40))
def test_version_1_is_read_however_it_is_cut_and_not_a_byte_of_what_follows(
    address: IPv4Address | IPv6Address, sizes: list[int], following: bytes
) -> None:
    header = v1(f"TCP{address.version} {address} {address} 4000 104")
    assert parse(header + following, sizes) == (plain(address), len(header))


@given(
    address=ADDRESSES,
    sizes=SIZES,
    tlvs=st.binary(max_size=300),
    following=st.binary(max_size=40),
)
def test_version_2_is_read_however_it_is_cut_and_not_a_byte_of_what_follows(
    address: IPv4Address | IPv6Address, sizes: list[int], tlvs: bytes, following: bytes
) -> None:
    header = v2_tcp(address, tlvs)
    assert parse(header + following, sizes) == (plain(address), len(header))


@given(st.binary(max_size=300))
def test_anything_else_is_refused_or_waited_for_within_the_limit(noise: bytes) -> None:
    parser = HeaderParser()
    taken = 0
    try:
        while taken < len(noise) and not parser.is_complete:
            piece = noise[taken : taken + parser.wants]
            taken += len(piece)
            parser.feed(piece)
    except ProxyHeaderError:
        return
    assert taken + parser.wants <= MAX_HEADER_BYTES


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(v1("UNKNOWN"), id="unknown"),
        pytest.param(v1("UNKNOWN 2001:db8::1 ::1 1 2"), id="unknown with what is to be ignored"),
        pytest.param(v2(0x20, 0x00, b""), id="health check"),
        pytest.param(v2(0x20, 0x11, bytes(12)), id="health check with addresses"),
        pytest.param(v2(0x21, 0x00, b""), id="unspecified"),
    ],
)
def test_a_header_without_a_client_leaves_the_connections_own_address(header: bytes) -> None:
    assert parse(header) == (None, len(header))


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"GET / HTTP/1.1\r\n", id="http"),
        pytest.param(associate_rq(), id="plain dicom"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00", id="tls"),
        pytest.param(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n" + bytes(99), id="no CR"),
        pytest.param(b"PROXY " + b"A" * 200, id="no end"),
        pytest.param(v1("TCP4 2001:db8::1 ::1 1 2"), id="other family"),
        pytest.param(v1("TCP6 fe80::1%eth0 ::1 1 2"), id="scope"),
        pytest.param(v1("TCP4 192.0.2.1 192.0.2.2 1"), id="too few words"),
        pytest.param(v1("TCP4 192.0.2.1 192.0.2.2 1 65536"), id="port beyond"),
        pytest.param(v1("TCP4 192.0.2.1 192.0.2.2 01 2"), id="port with a zero"),
        pytest.param(v1("TCP4  192.0.2.1 192.0.2.2 1 2"), id="two spaces"),
        pytest.param(v1("UDP4 192.0.2.1 192.0.2.2 1 2"), id="other protocol"),
        pytest.param(b"PROXY TCP4 \xff 192.0.2.2 1 2\r\n", id="not ASCII"),
        pytest.param(v2(0x22, 0x11, bytes(12)), id="other command"),
        pytest.param(v2(0x11, 0x11, bytes(12)), id="other version"),
        pytest.param(v2(0x21, 0x12, bytes(12)), id="datagrams"),
        pytest.param(v2(0x21, 0x31, bytes(216)), id="local sockets"),
        pytest.param(v2(0x21, 0x11, bytes(11)), id="too short for addresses"),
        pytest.param(v2(0x21, 0x11, bytes(MAX_HEADER_BYTES)), id="too long"),
    ],
)
def test_what_is_no_header_for_tcp_is_refused(stream: bytes) -> None:
    with pytest.raises(ProxyHeaderError):
        parse(stream)


def test_a_peer_behind_a_balancer_is_judged_by_its_own_address() -> None:
    peers = (Peer(None, (ip_network("192.0.2.7/32"),)),)
    with running_node(proxies=LOOPBACK, peers=peers) as node:
        with RawRequestor(node.port) as requestor:
            # In one segment with what follows, as balancers do.
            requestor.associate(v2_tcp(IPv4Address("192.0.2.7")) + associate_rq())
            requestor.release()
        with RawRequestor(node.port) as requestor:
            requestor.send(v1("TCP4 192.0.2.8 192.0.2.1 4000 104") + associate_rq())
            assert requestor.pdu()[0] == RJ_TYPE
        [(_, facts)] = node.observer.endings
        [(reason, refused)] = node.observer.rejections
        assert facts.peer_address == "192.0.2.7"
        assert (reason, refused.peer_address) == ("peer-not-allowed", "192.0.2.8")


def test_a_health_check_of_the_balancer_has_the_balancers_address() -> None:
    with running_node(proxies=LOOPBACK) as node, RawRequestor(node.port) as requestor:
        requestor.associate(v2(0x20, 0, b"") + associate_rq())
        requestor.release()
        wait_until(lambda: node.observer.endings)
        assert node.observer.endings[0][1].peer_address == "127.0.0.1"


def test_a_balancers_connection_without_header_is_closed_unanswered() -> None:
    with running_node(proxies=LOOPBACK) as node, RawRequestor(node.port) as requestor:
        requestor.send(associate_rq())
        assert requestor.is_closed()
        wait_until(lambda: node.observer.strangers)
        assert node.observer.strangers == [(Ending.PROXY_HEADER, "127.0.0.1")]


@pytest.mark.parametrize("proxies", [(), (ip_network("192.0.2.0/24"),)])
def test_a_header_from_anywhere_else_is_not_believed_and_ends_the_connection(
    proxies: tuple[object, ...],
) -> None:
    with running_node(proxies=proxies) as node, RawRequestor(node.port) as requestor:
        requestor.send(v1("TCP4 192.0.2.7 192.0.2.1 4000 104") + associate_rq())
        assert requestor.pdu()[0] == ABORT_TYPE
        wait_until(lambda: node.observer.strangers)
        assert node.observer.strangers == [(Ending.PROTOCOL_ERROR, "127.0.0.1")]


def test_who_is_not_behind_the_balancer_needs_no_header() -> None:
    with running_node(proxies=(ip_network("192.0.2.0/24"),)) as node:
        with RawRequestor(node.port) as requestor:
            requestor.associate()
            requestor.release()
        assert node.observer.ending() is Ending.RELEASED


@pytest.mark.parametrize("beginning", [b"", b"PROXY TC", SIGNATURE + b"\x21\x11\x00\x40abc"])
def test_a_header_that_does_not_come_to_its_end_is_not_waited_for_longer(beginning: bytes) -> None:
    with running_node(proxies=LOOPBACK, acse_timeout_s=0.2) as node:
        with RawRequestor(node.port) as requestor:
            requestor.send(beginning)
            assert requestor.is_closed()
        wait_until(lambda: node.observer.strangers)
        assert node.observer.strangers == [(Ending.TIMEOUT, "127.0.0.1")]


def test_a_balancer_that_goes_away_before_its_header_is_noticed_at_once() -> None:
    with running_node(proxies=LOOPBACK) as node:
        with RawRequestor(node.port) as requestor:
            requestor.send(b"PROXY ")
            requestor.socket.shutdown(socket.SHUT_WR)
            assert requestor.is_closed()
        wait_until(lambda: node.observer.strangers)
        assert node.observer.strangers == [(Ending.LOST, "127.0.0.1")]
