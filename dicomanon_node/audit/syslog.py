"""An audit message as a syslog message: RFC 5424, as PS3.15 A.6 asks for it. Pure."""

import re
from typing import Final

from dicomanon_node.audit.messages import moment

PRIORITY: Final = 10 * 8 + 5
"""Facility 10, security/authorization; severity 5, notice (PS3.15 A.6.1)."""

MESSAGE_ID: Final = "DICOM+RFC3881"
"""MSGID of messages after the schema of PS3.15 A.5.1 (PS3.15 A.6.1)."""

APP_NAME: Final = "dicomanon-node"
_BOM: Final = b"\xef\xbb\xbf"  # RFC 5424 6.4: what follows is UTF-8
_LONGEST_HOST: Final = 255  # RFC 5424 6
_NOT_PRINTABLE: Final = re.compile(r"[^!-~]")


def encode(text: str, at: int, host_name: str, process_id: int) -> bytes:
    """A syslog message, without framing.

    Args:
        text: The audit message.
        at: When it happened, microseconds.
        host_name: Of our machine.
        process_id: Ours.
    """
    host = _NOT_PRINTABLE.sub("", host_name)[:_LONGEST_HOST] or "-"
    header = f"<{PRIORITY}>1 {moment(at)} {host} {APP_NAME} {process_id} {MESSAGE_ID} - "
    return header.encode("ascii") + _BOM + text.encode("utf-8")


def frame(message: bytes) -> bytes:
    """A message as it goes over TLS: its length before it (RFC 5425 4.3)."""
    return b"%d %b" % (len(message), message)
