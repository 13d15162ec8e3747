"""P-DATA-TF PDUs of a requestor: one fragment in each, packed by hand (PS3.8 9.3.5).

Packing copies nothing: what is yielded goes to `sendmsg` as it is. The acceptor's
side, where fragments are understood as they come off the socket, is `transfer`.
"""

import struct
from collections.abc import Iterator
from typing import Final

from dicomanon_node.network.failures import ProtocolError
from dicomanon_node.network.pdus import P_DATA_TF

COMMAND: Final = 0x01  # message control header (PS3.8 E.2)
LAST: Final = 0x02

OVERHEAD_BYTES: Final = 6
"""Of a PDU's length, what is not fragment: PDV length, context ID, control header."""

_PDU_HEADER_BYTES: Final = 6
_PDV_LENGTH_BYTES: Final = 4
_CONTROL_BYTES: Final = 2  # context ID and control header: counted in the PDV's length
_PDU = struct.Struct(">BxLLBB")  # type, PDU length, PDV length, context ID, control
_PDV = struct.Struct(">LBB")  # PDV length, context ID, control


def pack(
    data: memoryview, context_id: int, control: int, fragment_bytes: int, *, is_last: bool = True
) -> Iterator[bytes | memoryview]:
    """Cut data into PDUs.

    Args:
        data: Of a command set or a data set; used, not copied.
        context_id: Presentation context.
        control: `COMMAND`, or 0 for a data set.
        fragment_bytes: The longest fragment; even.
        is_last: Whether the command set or data set ends with these bytes.

    Yields:
        Header, fragment, header, fragment, ...
    """
    for start in range(0, len(data), fragment_bytes):
        fragment = data[start : start + fragment_bytes]
        if is_last and start + len(fragment) == len(data):
            control |= LAST
        length = _CONTROL_BYTES + len(fragment)
        yield _PDU.pack(P_DATA_TF, _PDV_LENGTH_BYTES + length, length, context_id, control)
        yield fragment


def unpack(pdu: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Context ID, control header and fragment of each PDV in a PDU.

    Args:
        pdu: The whole P-DATA-TF, header included.

    Raises:
        ProtocolError: A length says more or less than there is.
    """
    position = _PDU_HEADER_BYTES
    while position < len(pdu):
        start = position + _PDV.size
        if start > len(pdu):
            raise ProtocolError("pdv-malformed")
        length, context_id, control = _PDV.unpack_from(pdu, position)
        position += _PDV_LENGTH_BYTES + length
        if position > len(pdu) or length < _CONTROL_BYTES:
            raise ProtocolError("pdv-malformed")
        yield context_id, control, pdu[start:position]
