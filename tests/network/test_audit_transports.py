"""How audit messages leave: over TLS, over UDP, into a file."""

import ipaddress
import socket
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from support_audit import Repository
from support_node import wait_until
from support_tls import Authority

from dicomanon_node.audit.transports import FileTransport, TlsTransport, UdpTransport
from dicomanon_node.network import tls
from dicomanon_node.network.tls import ClientTls

MESSAGES = [b"<85>1 one", "<85>1 zw\u00f6lf".encode(), b"<85>1 " + b"x" * 40_000]
ADDRESS = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]


def repository(authority: Authority, *, asks: bool = True) -> Repository:
    pair = authority.issue("repository", names=ADDRESS)
    context = tls.server_context(
        pair.cert, pair.key, authority.ca, client_certificates="required" if asks else "none"
    )
    context.sslsocket_class = ssl.SSLSocket
    return Repository(context)


def transport(authority: Authority, port: int, *, name: str = "node") -> TlsTransport:
    pair = authority.issue(name)
    context = tls.client_context(authority.ca, pair.cert, pair.key)
    return TlsTransport("127.0.0.1", port, ClientTls(context, "127.0.0.1"))


def test_messages_arrive_over_tls_on_one_connection(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with repository(authority).listening() as found:
        sending = transport(authority, found.port)
        sending.send(MESSAGES)
        sending.send(MESSAGES[:1])
        wait_until(lambda: len(found.messages) == 4)
        assert found.messages == [*MESSAGES, MESSAGES[0]]
        assert found.connections == 1
        sending.close()


def test_a_connection_that_was_closed_is_made_anew(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    found = repository(authority)
    with found.listening():
        sending = transport(authority, found.port)
        sending.send(MESSAGES[:1])
        wait_until(lambda: found.messages)
    with pytest.raises(OSError, match="refused"):
        sending.send(MESSAGES[1:2])
    with found.listening():
        sending.send(MESSAGES[1:2])
        wait_until(lambda: found.messages == MESSAGES[:2])
        sending.close()


def test_nothing_is_told_to_a_repository_of_another_ca(tmp_path: Path) -> None:
    theirs, ours = Authority(tmp_path / "theirs"), Authority(tmp_path / "ours")
    with repository(theirs, asks=False).listening() as found:
        with pytest.raises(ssl.SSLCertVerificationError):
            transport(ours, found.port).send(MESSAGES)
        assert found.messages == []


def test_a_repository_that_refuses_our_certificate_has_taken_nothing(tmp_path: Path) -> None:
    theirs, ours = Authority(tmp_path / "theirs"), Authority(tmp_path / "ours")
    with repository(theirs).listening() as found:
        pair = ours.issue("node")
        context = tls.client_context(theirs.ca, pair.cert, pair.key)
        sending = TlsTransport("127.0.0.1", found.port, ClientTls(context, "127.0.0.1"))
        with pytest.raises(OSError, match=r"(?i)alert|reset|closed"):
            sending.send(MESSAGES)
        assert found.messages == []


def test_each_message_is_a_datagram_over_udp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        sending = UdpTransport("127.0.0.1", receiver.getsockname()[1])
        sending.send(MESSAGES)
        assert [receiver.recv(65536) for _ in MESSAGES] == MESSAGES
        sending.close()


def test_a_file_has_a_message_a_line_and_may_be_renamed(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    sending = FileTransport(path)
    sending.send(MESSAGES[:2])
    path.rename(tmp_path / "audit.log.1")
    sending.send(MESSAGES[2:])
    assert (tmp_path / "audit.log.1").read_bytes().splitlines() == MESSAGES[:2]
    assert path.read_bytes().splitlines() == MESSAGES[2:]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_is_a_link_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "audit.log").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic"):
        FileTransport(tmp_path / "audit.log").send(MESSAGES)
    assert not (tmp_path / "other").exists()
