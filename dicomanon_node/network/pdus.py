"""The PDUs of an acceptor that say little: packed by hand (PS3.8 9.3).

Types of all PDUs, A-ASSOCIATE-RJ, A-RELEASE-RP and A-ABORT. P-DATA-TF is `p_data`'s
and `transfer`'s, A-ASSOCIATE-AC is `negotiation`'s.
"""

import struct
from enum import IntEnum
from typing import Final

SERVICE_USER: Final = 0x00  # abort sources (PS3.8 Table 9-26)
SERVICE_PROVIDER: Final = 0x02

NO_REASON: Final = 0x00  # abort reasons of the service provider (PS3.8 Table 9-26)
UNRECOGNIZED_PDU: Final = 0x01
UNEXPECTED_PDU: Final = 0x02
INVALID_PARAMETER_VALUE: Final = 0x06

_LENGTH: Final = 4  # of all three
_REJECT = struct.Struct(">BxLxBBB")
_SHORT = struct.Struct(">BxLxxBB")


class PduType(IntEnum):
    """PS3.8 9.3."""

    A_ASSOCIATE_RQ = 0x01
    A_ASSOCIATE_AC = 0x02
    A_ASSOCIATE_RJ = 0x03
    P_DATA_TF = 0x04
    A_RELEASE_RQ = 0x05
    A_RELEASE_RP = 0x06
    A_ABORT = 0x07


P_DATA_TF: Final = PduType.P_DATA_TF.value
"""Apart: a plain number, for where it is looked at for each PDU."""

RELEASE_RP: Final = _SHORT.pack(PduType.A_RELEASE_RP, _LENGTH, 0, 0)
"""The A-RELEASE-RP (PS3.8 9.3.7)."""


def reject(result: int, source: int, diagnostic: int) -> bytes:
    """An A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
    return _REJECT.pack(PduType.A_ASSOCIATE_RJ, _LENGTH, result, source, diagnostic)


def abort(source: int, reason: int) -> bytes:
    """An A-ABORT (PS3.8 9.3.8)."""
    return _SHORT.pack(PduType.A_ABORT, _LENGTH, source, reason)
