"""UIDs of the objects sent: all of one length, so that they can be patched in place."""

from enum import IntEnum
from typing import Final

LENGTH: Final = 44
"""Characters; even, so that no padding is needed (PS3.5 9.1)."""

_MAX_NUMBER: Final = 10**22


class Kind(IntEnum):
    """What a UID names."""

    INSTANCE = 11
    SERIES = 12


def uid(kind: Kind, measure: int, worker: int, number: int) -> str:
    """The UID of one instance or series.

    Under 2.25 (PS3.5 B.2), and below 2**128 as the decimal form of a UUID has to be.

    Args:
        kind: What it names.
        measure: Number of the measurement, unique in a run.
        worker: Number of the association in the measurement.
        number: Of the instance or series in the association.
    """
    return f"2.25.1{kind:02d}{measure:08d}{worker:06d}{number % _MAX_NUMBER:022d}"
