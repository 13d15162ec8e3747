"""The data sets of Storage Commitment: Action Information read, Event Information written.

Both are one UID and lists of pairs of UIDs (PS3.4 Tables J.3-1 and J.3-2), in Implicit or
Explicit VR Little Endian. What is not in those tables is passed over; what cannot be read
is refused as a whole, because a list cut short would commit to less than was asked.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Final, NamedTuple

from dicomanon_node.deid.elements import (
    ITEM_HEADER_BYTES,
    SequenceEnd,
    is_implicit_content,
    top_level,
)
from dicomanon_node.deid.pseudonyms import is_well_formed_uid
from dicomanon_node.errors import NodeError, Refused

TRANSACTION_UID: Final = 0x00081195
FAILED_SOP_SEQUENCE: Final = 0x00081198
REFERENCED_SOP_SEQUENCE: Final = 0x00081199
_SOP_CLASS_UID: Final = 0x00081150
_SOP_INSTANCE_UID: Final = 0x00081155
_FAILURE_REASON: Final = 0x00081197

_SEQUENCE_DELIMITATION: Final = 0xFFFEE0DD
_ITEM: Final = struct.Struct("<HHL")
_ITEM_TAG: Final = (0xFFFE, 0xE000)
_UNDEFINED: Final = 0xFFFFFFFF
_MAX_DEPTH: Final = 64

_IMPLICIT: Final = "1.2.840.10008.1.2"
_ALL_WELL: Final = 1  # Event Type IDs (PS3.4 Table J.3-2)
_FAILURES_EXIST: Final = 2


class Fault(Enum):
    """What is wrong with Action Information: (code for logs, status, Error Comment).

    Status words of PS3.7 Annex C.
    """

    UNREADABLE = ("unparsable", 0x0115, "Action Information cannot be parsed")
    TRANSACTION = ("transaction-uid", 0x0115, "Transaction UID missing or not a UID")
    NOTHING = ("no-instance", 0x0115, "Referenced SOP Sequence missing or empty")
    REFERENCE = ("reference", 0x0115, "A referenced UID is missing or not a UID")
    TOO_MANY = ("too-many-instances", 0x0213, "More instances than the limit")

    def __init__(self, code: str, status: int, comment: str) -> None:
        self.code = code
        self.status = status
        self.comment = comment


class ActionFaultError(NodeError):
    """Action Information is not taken. Its text is the fault's code."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.code)
        self.fault = fault


class Reference(NamedTuple):
    """One instance: SOP Class UID and original SOP Instance UID (PHI)."""

    sop_class_uid: str
    sop_instance_uid: str


class Action(NamedTuple):
    """What is asked for: Transaction UID (the requestor's) and the instances (PHI)."""

    transaction_uid: str
    references: tuple[Reference, ...]


def read_action(dataset: bytes, transfer_syntax_uid: str, max_instances: int) -> Action:
    """Read Action Information.

    Args:
        dataset: Encoded (PHI).
        transfer_syntax_uid: Implicit or Explicit VR Little Endian.
        max_instances: How many instances may be named.

    Raises:
        ActionFaultError: It is not taken; says why.
    """
    implicit = transfer_syntax_uid == _IMPLICIT
    try:
        return _read(dataset, implicit=implicit, max_instances=max_instances)
    except (Refused, struct.error, RecursionError):
        raise ActionFaultError(Fault.UNREADABLE) from None


def _read(dataset: bytes, *, implicit: bool, max_instances: int) -> Action:
    transaction_uid = ""
    references: list[Reference] | None = None
    for tag, vr, start, end in top_level(dataset, implicit=implicit):
        if end > len(dataset):
            raise ActionFaultError(Fault.UNREADABLE)
        if tag == TRANSACTION_UID:
            transaction_uid = _uid(dataset[start:end], Fault.TRANSACTION)
        elif tag == REFERENCED_SOP_SEQUENCE:
            if references is not None or vr not in {"SQ", "UN"}:
                raise ActionFaultError(Fault.UNREADABLE)
            inner = is_implicit_content(vr, implicit=implicit)
            references = []
            for item in _items(dataset, start, end, implicit=inner):
                if len(references) >= max_instances:
                    raise ActionFaultError(Fault.TOO_MANY)
                references.append(_reference(item, implicit=inner))
    if not transaction_uid:
        raise ActionFaultError(Fault.TRANSACTION)
    if not references:
        raise ActionFaultError(Fault.NOTHING)
    return Action(transaction_uid, tuple(references))


def _items(dataset: bytes, start: int, end: int, *, implicit: bool) -> Iterator[bytes]:
    """The content of each item of a sequence that lies between two offsets."""
    while start < end:
        group, element, length = _ITEM.unpack_from(dataset, start)
        tag = group << 16 | element
        if tag == _SEQUENCE_DELIMITATION:
            return
        if (group, element) != _ITEM_TAG:
            raise ActionFaultError(Fault.UNREADABLE)
        content = start + ITEM_HEADER_BYTES
        if length == _UNDEFINED:
            scan = SequenceEnd(start, implicit=implicit, max_depth=_MAX_DEPTH)
            start = scan.item(dataset, end)
            yield dataset[content : start - ITEM_HEADER_BYTES]
        else:
            start = content + length
            if start > end:
                raise ActionFaultError(Fault.UNREADABLE)
            yield dataset[content:start]


def _reference(item: bytes, *, implicit: bool) -> Reference:
    found: dict[int, str] = {}
    for tag, _, start, end in top_level(item, implicit=implicit):
        if end > len(item):
            raise ActionFaultError(Fault.UNREADABLE)
        if tag in (_SOP_CLASS_UID, _SOP_INSTANCE_UID):
            found[tag] = _uid(item[start:end], Fault.REFERENCE)
    if len(found) != 2:  # noqa: PLR2004  (both of them)
        raise ActionFaultError(Fault.REFERENCE)
    return Reference(found[_SOP_CLASS_UID], found[_SOP_INSTANCE_UID])


def _uid(value: bytes, fault: Fault) -> str:
    value = value.rstrip(b"\0 ")
    if not is_well_formed_uid(value):
        raise ActionFaultError(fault)
    return value.decode("ascii")


def write_event(
    transaction_uid: str,
    references: Sequence[Reference],
    failures: Mapping[int, int],
    transfer_syntax_uid: str,
) -> tuple[int, bytes]:
    """Write Event Information (PS3.4 Table J.3-2).

    Args:
        transaction_uid: As requested.
        references: All instances of the request (PHI).
        failures: Failure Reason (PS3.3 C.14.1.1) of those that are not committed, by their
            place in `references`.
        transfer_syntax_uid: Implicit or Explicit VR Little Endian.

    Returns:
        Event Type ID and the encoded data set (PHI).
    """
    write = _Writer(implicit=transfer_syntax_uid == _IMPLICIT)
    committed, failed = [], []
    for index, reference in enumerate(references):
        item = write.uid(_SOP_CLASS_UID, reference.sop_class_uid)
        item += write.uid(_SOP_INSTANCE_UID, reference.sop_instance_uid)
        if index in failures:
            failed.append(item + write.unsigned_short(_FAILURE_REASON, failures[index]))
        else:
            committed.append(item)
    dataset = write.uid(TRANSACTION_UID, transaction_uid)
    if failed:
        dataset += write.sequence(FAILED_SOP_SEQUENCE, failed)
    if committed:
        dataset += write.sequence(REFERENCED_SOP_SEQUENCE, committed)
    return (_FAILURES_EXIST if failed else _ALL_WELL), dataset


class _Writer:
    """Encodes the few elements there are (PS3.5 7.1)."""

    def __init__(self, *, implicit: bool) -> None:
        self._implicit = implicit

    def uid(self, tag: int, uid: str) -> bytes:
        value = uid.encode("ascii")
        return self._element(tag, b"UI", value + b"\0" * (len(value) % 2))

    def unsigned_short(self, tag: int, number: int) -> bytes:
        return self._element(tag, b"US", struct.pack("<H", number))

    def sequence(self, tag: int, items: Sequence[bytes]) -> bytes:
        value = b"".join(_ITEM.pack(*_ITEM_TAG, len(item)) + item for item in items)
        if self._implicit:
            return _ITEM.pack(tag >> 16, tag & 0xFFFF, len(value)) + value
        return struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, b"SQ", 0, len(value)) + value

    def _element(self, tag: int, vr: bytes, value: bytes) -> bytes:
        if self._implicit:
            return _ITEM.pack(tag >> 16, tag & 0xFFFF, len(value)) + value
        return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value
