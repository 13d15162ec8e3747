"""The little of PS3.7 and PS3.8 that both ends of the load need, without any library.

Independent of the node's own network code, on purpose. Not a DICOM implementation:
it knows well-formed peers and one C-STORE at a time.
"""

import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Final

ASSOCIATE_RQ: Final = 0x01
ASSOCIATE_AC: Final = 0x02
P_DATA: Final = 0x04
RELEASE_RQ: Final = 0x05
RELEASE_RP: Final = 0x06

COMMAND_LAST: Final = 0x03  # message control header: command, last fragment (PS3.8 E.2)
DATA: Final = 0x00
DATA_LAST: Final = 0x02

STORE_RQ: Final = 0x0001
STORE_RSP: Final = 0x8001
NO_DATA_SET: Final = 0x0101

SOP_CLASS: Final = 0x0002  # elements of the command group (PS3.7 E.1)
COMMAND_FIELD: Final = 0x0100
MESSAGE_ID: Final = 0x0110
MESSAGE_ID_RESPONDED: Final = 0x0120
PRIORITY: Final = 0x0700
DATA_SET_TYPE: Final = 0x0800
STATUS: Final = 0x0900
SOP_INSTANCE: Final = 0x1000

_APPLICATION_CONTEXT: Final = b"1.2.840.10008.3.1.1.1"
_IMPLEMENTATION: Final = b"2.25.314159265358979323846"
_PDU: Final = struct.Struct(">BxL")
_ITEM: Final = struct.Struct(">BxH")
_PDV: Final = struct.Struct(">LBB")
_ELEMENT: Final = struct.Struct("<HHL")
PDU_HEADER_BYTES: Final = _PDU.size
PDV_HEADER_BYTES: Final = _PDV.size
_FIXED_BYTES: Final = 74  # A-ASSOCIATE-RQ and -AC before their items, with the PDU header


class ProtocolError(Exception):
    """The peer did what this program does not know. Its text is fixed."""


def receive_exactly(connection: socket.socket, count: int) -> bytes:
    """The next bytes of a connection.

    Raises:
        ProtocolError: It ended before.
    """
    content = bytearray(count)
    view = memoryview(content)
    got = 0
    while got < count:
        acknowledge_at_once(connection)
        size = connection.recv_into(view[got:])
        if not size:
            raise ProtocolError("the connection was closed")
        got += size
    return bytes(content)


def acknowledge_at_once(connection: socket.socket) -> None:
    """Re-arm TCP_QUICKACK, which Linux takes back whenever it likes.

    A peer with Nagle's algorithm on waits for the acknowledgement of its first segment
    before it sends its last: with delayed acknowledgements that is 40 ms an object.
    """
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def receive_pdu(connection: socket.socket) -> tuple[int, bytes]:
    """Type and content of the next PDU."""
    kind, length = _PDU.unpack(receive_exactly(connection, _PDU.size))
    return kind, receive_exactly(connection, length)


def pdu(kind: int, content: bytes = bytes(4)) -> bytes:
    """A whole PDU; without content, one of those that have none."""
    return _PDU.pack(kind, len(content)) + content


def data_header(context_id: int, control: int, size: int) -> bytes:
    """What precedes the bytes of a P-DATA-TF PDU with one PDV."""
    return _PDU.pack(P_DATA, size + 6) + _PDV.pack(size + 2, context_id, control)


def values(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Context ID, message control header and bytes of each PDV."""
    position = 0
    while position < len(content):
        size, context_id, control = _PDV.unpack_from(content, position)
        yield context_id, control, content[position + 6 : position + 4 + size]
        position += 4 + size


def command(elements: dict[int, int | bytes]) -> bytes:
    """A command set: Implicit VR Little Endian, group length first (PS3.7 6.3.1)."""
    parts = []
    for element, value in sorted(elements.items()):
        encoded = value if isinstance(value, bytes) else struct.pack("<H", value)
        if len(encoded) % 2:
            encoded += b"\0"
        parts.append(_ELEMENT.pack(0, element, len(encoded)) + encoded)
    body = b"".join(parts)
    return _ELEMENT.pack(0, 0, 4) + struct.pack("<L", len(body)) + body


def command_elements(encoded: bytes) -> dict[int, bytes]:
    """The elements of a command set by element number."""
    found = {}
    position = 0
    while position < len(encoded):
        _, element, size = _ELEMENT.unpack_from(encoded, position)
        position += _ELEMENT.size
        found[element] = encoded[position : position + size]
        position += size
    return found


def associate_rq(
    called: str, calling: str, contexts: Sequence[tuple[str, str]], max_pdu: int
) -> bytes:
    """An A-ASSOCIATE-RQ. The contexts get the IDs 1, 3, 5 ... in order.

    Args:
        called: Called AE title.
        calling: Calling AE title.
        contexts: Abstract syntax and transfer syntax of each, as UIDs.
        max_pdu: The largest P-DATA-TF we take, bytes.
    """
    items = [_item(0x10, _APPLICATION_CONTEXT)]
    for number, (abstract, transfer) in enumerate(contexts):
        syntaxes = _item(0x30, abstract.encode()) + _item(0x40, transfer.encode())
        items.append(_item(0x20, bytes((2 * number + 1, 0, 0, 0)) + syntaxes))
    items.append(_user_information(max_pdu))
    titles = called.encode().ljust(16) + calling.encode().ljust(16)
    return pdu(ASSOCIATE_RQ, struct.pack(">HH", 1, 0) + titles + bytes(32) + b"".join(items))


def associate_ac(request: bytes, max_pdu: int) -> bytes:
    """The A-ASSOCIATE-AC that accepts all contexts with their first transfer syntax.

    Args:
        request: Content of the A-ASSOCIATE-RQ.
        max_pdu: The largest P-DATA-TF we take, bytes.
    """
    items = [_item(0x10, _APPLICATION_CONTEXT)]
    for kind, content in _items(request[_FIXED_BYTES - PDU_HEADER_BYTES :]):
        if kind == 0x20:  # noqa: PLR2004  (presentation context, PS3.8 9.3.2.2)
            transfer = next(value for sub, value in _items(content[4:]) if sub == 0x40)  # noqa: PLR2004  (PS3.8 9.3.2.2.2)
            items.append(_item(0x21, bytes((content[0], 0, 0, 0)) + _item(0x40, transfer)))
    items.append(_user_information(max_pdu))
    fixed = request[: _FIXED_BYTES - PDU_HEADER_BYTES]
    return pdu(ASSOCIATE_AC, fixed + b"".join(items))


def accepted(content: bytes) -> tuple[dict[int, int], int]:
    """Result by context ID and the peer's largest PDU (0: no limit) of an A-ASSOCIATE-AC."""
    results = {}
    max_pdu = 0
    for kind, value in _items(content[_FIXED_BYTES - PDU_HEADER_BYTES :]):
        if kind == 0x21:  # noqa: PLR2004  (PS3.8 9.3.3.2)
            results[value[0]] = value[2]
        elif kind == 0x50:  # noqa: PLR2004  (PS3.8 9.3.3.3)
            for sub, subvalue in _items(value):
                if sub == 0x51:  # noqa: PLR2004  (PS3.8 D.1)
                    (max_pdu,) = struct.unpack(">L", subvalue)
    return results, max_pdu


def _user_information(max_pdu: int) -> bytes:
    return _item(0x50, _item(0x51, struct.pack(">L", max_pdu)) + _item(0x52, _IMPLEMENTATION))


def _item(kind: int, content: bytes) -> bytes:
    return _ITEM.pack(kind, len(content)) + content


def _items(content: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(content):
        kind, size = _ITEM.unpack_from(content, position)
        position += _ITEM.size
        yield kind, content[position : position + size]
        position += size
