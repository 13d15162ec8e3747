"""Syslog messages are what RFC 5424 and PS3.15 A.6 say."""

import pytest
from support_audit import SOURCE, event, parsed

from dicomanon_node.audit import syslog
from dicomanon_node.audit.messages import message

TEXT = message(event("started"), SOURCE)


def test_the_header_says_who_when_and_what() -> None:
    made = syslog.encode(TEXT, 1_700_000_000_000_001, "host-1", 42)
    head = b"<85>1 2023-11-14T22:13:20.000001Z host-1 dicomanon-node 42 DICOM+RFC3881 - "
    assert made == head + b"\xef\xbb\xbf" + TEXT.encode()
    assert parsed(made).event == "110100"


@pytest.mark.parametrize(
    ("name", "written"), [("", b"-"), ("a b\n", b"ab"), ("x" * 300, b"x" * 255)]
)
def test_a_host_name_is_made_fit_for_the_header(name: str, written: bytes) -> None:
    assert syslog.encode(TEXT, 0, name, 1).split(b" ")[2] == written


def test_a_frame_counts_bytes_not_characters() -> None:
    assert syslog.frame("ü".encode()) == b"2 \xc3\xbc"
