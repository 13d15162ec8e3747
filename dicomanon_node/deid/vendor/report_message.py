"""Siemens' report messages (SrMsgBuffer): elements as text, without anything between them.

Each is a tag number of eight hexadecimal digits, a VR, the value's length in four decimal
digits, and the value: `00990005LO0003eng`. The tag numbers are Siemens' own.
"""

import re

from dicomanon_node.deid.vendor.values import Cleaner

_HEAD = re.compile(rb"([0-9A-Fa-f]{8}([A-Z]{2}))([0-9]{4})")
_MAX_VALUE_BYTES = 9_999


def rewritten(text: bytes, cleaner: Cleaner) -> bytes | None:
    """The message with its values changed; None if it is none."""
    out: list[bytes] = []
    position = 0
    while position < len(text):
        head = _HEAD.match(text, position)
        if head is None:
            # Padding may follow, and nothing else.
            if not out or text[position:].strip(b"\0 "):
                return None
            out.append(text[position:])
            break
        end = head.end() + int(head[3])
        if end > len(text):
            return None
        value = text[head.end() : end]
        new = cleaner.unnamed(head[2].decode("ascii"), value)[:_MAX_VALUE_BYTES]
        out += (head[1], b"%04d" % len(new), new)
        position = end
    return b"".join(out) if out else None
