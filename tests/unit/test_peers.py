"""Who may associate."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomanon_node.network import peers
from dicomanon_node.network.peers import Peer, PeerCertificate, judge, judged_ae_title
from dicomanon_node.network.service import AssociationFacts


def requestor(
    calling: str = "CT1", address: str = "10.0.0.5", called: str = "NODE"
) -> AssociationFacts:
    return AssociationFacts("id", calling, called, address)


LIST = (
    Peer("CT1", (ip_network("10.0.0.0/24"),)),
    Peer("PACS"),
    Peer(None, (ip_network("2001:db8::/32"), ip_network("192.168.1.7/32"))),
)


def test_everybody_may_when_nobody_is_listed() -> None:
    assert judge(requestor("ANY", "203.0.113.9"), ("NODE",), ()) is None


@pytest.mark.parametrize("called", ["OTHER", "node", ""])
def test_another_called_title_is_rejected(called: str) -> None:
    rejection = judge(requestor(called=called), ("NODE",), ())
    assert rejection is not None
    assert (rejection.result, rejection.source, rejection.diagnostic) == (1, 1, 7)


@pytest.mark.parametrize("called", ["NODE", "SECOND", "NODE   "])
def test_each_of_our_titles_is_answered_to(called: str) -> None:
    assert judge(requestor(called=called), ("NODE", "SECOND "), ()) is None


@pytest.mark.parametrize(
    ("calling", "address"),
    [
        ("CT1", "10.0.0.255"),
        ("CT1 ", "10.0.0.5"),
        ("CT1", "::ffff:10.0.0.5"),
        ("PACS", "203.0.113.9"),
        ("ANYBODY", "192.168.1.7"),
        ("ANYBODY", "2001:db8::1"),
    ],
)
def test_a_listed_peer_may(calling: str, address: str) -> None:
    assert judge(requestor(calling, address), ("NODE",), LIST) is None


@pytest.mark.parametrize(
    ("calling", "address"),
    [
        ("CT1", "10.0.1.5"),
        ("CT2", "10.0.0.5"),
        ("ct1", "10.0.0.5"),
        ("", "10.0.0.5"),
        ("CT1", "::10.0.0.5"),
        ("ANYBODY", "192.168.1.8"),
    ],
)
def test_anybody_else_may_not(calling: str, address: str) -> None:
    assert judge(requestor(calling, address), ("NODE",), LIST) is peers.CALLING_AE_TITLE
    rejection = peers.CALLING_AE_TITLE
    assert (rejection.result, rejection.source, rejection.diagnostic) == (1, 1, 3)


def test_an_address_that_is_none_is_no_permission() -> None:
    with pytest.raises(ValueError, match="address"):
        judge(requestor("PACS", "unix"), ("NODE",), LIST)


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("CT_ROOM-1.A", "CT_ROOM-1.A"),
        ("  CT 1 ", "CT 1"),
        ('x"\n{"event":', "x????event??"),
        ("\x1b[31m", "??31m"),
        ("A" * 40, "A" * 16),
        ("", ""),
    ],
)
def test_a_title_is_shown_harmless(title: str, shown: str) -> None:
    assert judged_ae_title(title) == shown


@given(st.text())
def test_no_title_can_leave_its_field(title: str) -> None:
    shown = judged_ae_title(title)
    assert len(shown) <= 16
    assert all(c.isascii() and (c.isalnum() or c in " ._-?") for c in shown)


SHOWN = PeerCertificate("ab" * 32, frozenset({"ct1.example.org"}))
BOUND = (
    Peer("CT1", (ip_network("10.0.0.0/24"),), "CT1.example.org"),
    Peer("MR1 ", certificate="sha256:" + "ab" * 32),
    Peer(None, (ip_network("10.0.0.0/8"),)),
)


@pytest.mark.parametrize(
    ("calling", "address", "certificate", "expected"),
    [
        ("CT1", "10.0.0.5", SHOWN, None),
        ("MR1", "203.0.113.9", SHOWN, None),
        ("US1", "10.0.0.5", None, None),
        ("CT1", "10.0.0.5", None, "certificate"),
        # The last entry lets anybody in from there, but nobody as CT1 or MR1.
        ("CT1", "10.1.0.5", SHOWN, "peer-not-allowed"),
        ("MR1", "10.0.0.5", PeerCertificate("cd" * 32, SHOWN.names), "certificate"),
        ("US1", "203.0.113.9", SHOWN, "peer-not-allowed"),
    ],
)
def test_a_bound_ae_title_is_believed_with_its_certificate_only(
    calling: str, address: str, certificate: PeerCertificate | None, expected: str | None
) -> None:
    facts = requestor(calling, address)
    facts.certificate = certificate
    rejection = judge(facts, ("NODE",), BOUND)
    assert (rejection.code if rejection else None) == expected


@given(st.sampled_from([None, SHOWN, PeerCertificate("cd" * 32)]), st.permutations(BOUND))
def test_the_order_of_peers_does_not_matter(
    certificate: PeerCertificate | None, listed: list[Peer]
) -> None:
    facts = requestor()
    facts.certificate = certificate
    assert judge(facts, ("NODE",), listed) == judge(facts, ("NODE",), BOUND)


@pytest.mark.parametrize(
    ("shown", "expected", "is_believed"),
    [
        ("PACS.Example.org", "pacs.example.ORG", True),
        ("pac\u212a", "pack", False),
        ("pacs.example.org\0.evil.example", "pacs.example.org", False),
        ("*.example.org", "pacs.example.org", False),
        ("pacs.example.org ", "pacs.example.org", False),
    ],
    ids=["case", "kelvin", "nul", "wildcard", "space"],
)
def test_a_certificates_name_is_the_one_expected_or_another(
    shown: str, expected: str, is_believed: bool
) -> None:
    certificate = PeerCertificate("00" * 32, frozenset({peers.folded(shown)}))
    assert certificate.is_called(expected) is is_believed
