"""Command sets of C-STORE and C-ECHO, packed and unpacked by hand.

A command set is Implicit VR Little Endian always (PS3.7 6.3.1), seven elements
for a C-STORE-RQ. It costs pydicom more time than moving the object does, so the
four messages that are exchanged once an instance are handled here. This module
does not fragment into PDVs, does not check UIDs against anything and knows no
other message beyond telling which one it is.
"""

import struct
from enum import IntEnum
from typing import Final, NamedTuple

from dicomanon_node.errors import NodeError, Status
from dicomanon_node.network.service import StoreRequest

MAX_COMMAND_SET_BYTES: Final = 16 * 1024
"""No command set of the Storage and Verification services comes near: ours are below 300
bytes. It bounds what a peer can make an association collect before it is understood."""

NO_DATASET: Final = 0x0101
"""Command Data Set Type (0000,0800): no data set follows (PS3.7 E.1)."""

_DATASET_PRESENT: Final = 0x0001  # any other value says that one follows
_ERROR_COMMENT_CHARS: Final = 64  # VR LO (PS3.5 6.2)

_GROUP_LENGTH: Final = 0x0000
_AFFECTED_SOP_CLASS_UID: Final = 0x0002
_COMMAND_FIELD: Final = 0x0100
_MESSAGE_ID: Final = 0x0110
_MESSAGE_ID_RESPONDED_TO: Final = 0x0120
_PRIORITY: Final = 0x0700
_COMMAND_DATASET_TYPE: Final = 0x0800
_STATUS: Final = 0x0900
_ERROR_COMMENT: Final = 0x0902
_AFFECTED_SOP_INSTANCE_UID: Final = 0x1000

_ELEMENT = struct.Struct("<HHL")  # group, element, length
_ELEMENT_US = struct.Struct("<HHLH")
_ELEMENT_UL = struct.Struct("<HHLL")
_US = struct.Struct("<H")
_UL = struct.Struct("<L")

_KEY_BYTES: Final = 46
"""The group length, and the SOP class with 26 characters of its UID."""

_MOST_PATTERNS: Final = 64

VERIFICATION_SOP_CLASS: Final = "1.2.840.10008.1.1"


class CommandField(IntEnum):
    """The messages packed here and in `normalized` (PS3.7 E.1, Command Field (0000,0100))."""

    C_STORE_RQ = 0x0001
    C_STORE_RSP = 0x8001
    C_ECHO_RQ = 0x0030
    C_ECHO_RSP = 0x8030
    N_EVENT_REPORT_RQ = 0x0100
    N_EVENT_REPORT_RSP = 0x8100
    N_ACTION_RQ = 0x0130
    N_ACTION_RSP = 0x8130


class CommandError(NodeError, ValueError):
    """This is not a command set. The text is fixed: nothing of the peer's bytes is in it."""


class Command(NamedTuple):
    """A command set, as far as Storage and Verification need it.

    Attributes:
        command_field: (0000,0100); a `CommandField` or the number of another message.
        message_id: (0000,0110), of requests.
        responded_to: (0000,0120), of responses.
        sop_class_uid: (0000,0002), without padding; "" when absent.
        sop_instance_uid: (0000,1000), without padding; "" when absent (PHI).
        has_dataset: Whether a data set follows (0000,0800).
        status: (0000,0900), of responses.
        error_comment: (0000,0902), the peer's free text cut to 64 characters: judge it
            before it goes anywhere.
    """

    command_field: int
    has_dataset: bool
    message_id: int | None = None
    responded_to: int | None = None
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    status: int | None = None
    error_comment: str = ""


def decode(command_set: bytes | bytearray) -> Command:
    """Unpack a command set.

    Group 0000 elements it has no use for are skipped. The value of Command Group Length
    (0000,0000) is not compared: the PDVs say where a command set ends, and DCMTK and
    dcm4che do not look at it either.

    Args:
        command_set: All command fragments of one message, joined.

    Returns:
        The command.

    Raises:
        CommandError: It is over 16 KiB, an element's length exceeds the bytes there are,
            an element is of another group, is repeated or has a length its VR does not
            allow, or Command Field or Command Data Set Type is missing.

    Standard: PS3.7 6.3.1, 9.3.1, 9.3.5.
    """
    command_set = bytes(command_set)
    pattern = _patterns.get(command_set[:_KEY_BYTES])
    if pattern is not None:
        command = pattern.match(command_set)
        if command is not None:
            return command
    command, places = _decode(command_set)
    if command.command_field == CommandField.C_STORE_RQ:
        _remember(command_set, command, places)
    return command


def split(command_set: bytes) -> tuple[dict[int, bytes], dict[int, int]]:
    """The elements of a command set: values, and where each begins, by element number.

    Raises:
        CommandError: As `decode`, but that no element is asked for.
    """
    end = len(command_set)
    if end > MAX_COMMAND_SET_BYTES:
        raise CommandError("command set over its limit")
    values: dict[int, bytes] = {}
    places: dict[int, int] = {}
    position = 0
    while position < end:
        if end - position < _ELEMENT.size:
            raise CommandError("command set ends in an element")
        group, element, length = _ELEMENT.unpack_from(command_set, position)
        position += _ELEMENT.size
        if group != 0:
            raise CommandError("element of another group in a command set")
        if length > end - position:
            raise CommandError("length of a command element exceeds the command set")
        if element in values:
            raise CommandError("command element repeated")
        values[element] = command_set[position : position + length]
        places[element] = position
        position += length
    return values, places


def _decode(command_set: bytes) -> tuple[Command, dict[int, int]]:
    """The command, and where the value of each element begins."""
    values, places = split(command_set)
    command_field = unsigned_short(values, _COMMAND_FIELD)
    dataset_type = unsigned_short(values, _COMMAND_DATASET_TYPE)
    if command_field is None or dataset_type is None:
        raise CommandError("mandatory command element missing")
    command = Command(
        command_field=command_field,
        has_dataset=dataset_type != NO_DATASET,
        message_id=unsigned_short(values, _MESSAGE_ID),
        responded_to=unsigned_short(values, _MESSAGE_ID_RESPONDED_TO),
        sop_class_uid=uid(values.get(_AFFECTED_SOP_CLASS_UID, b"")),
        sop_instance_uid=uid(values.get(_AFFECTED_SOP_INSTANCE_UID, b"")),
        status=unsigned_short(values, _STATUS),
        error_comment=_text(values, _ERROR_COMMENT),
    )
    return command, places


class _Pattern(NamedTuple):
    """A C-STORE-RQ without what is another in the next: Message ID and instance UID.

    As the lengths of all elements are among the bytes compared, what differs can lie
    nowhere but in those two values.
    """

    command: Command
    message_id_at: int
    uid_at: int
    uid_end: int
    size: int
    head: bytes  # up to the Message ID
    middle: bytes  # from there to the UID
    tail: bytes

    def match(self, command_set: bytes) -> Command | None:
        """The command, if the bytes are those of this pattern."""
        message_id_end = self.message_id_at + _US.size
        if (
            len(command_set) != self.size
            or command_set[: self.message_id_at] != self.head
            or command_set[message_id_end : self.uid_at] != self.middle
            or command_set[self.uid_end :] != self.tail
        ):
            return None
        (message_id,) = _US.unpack_from(command_set, self.message_id_at)
        fixed = self.command
        return Command(
            fixed.command_field,
            fixed.has_dataset,
            message_id,
            fixed.responded_to,
            fixed.sop_class_uid,
            uid(command_set[self.uid_at : self.uid_end]),
            fixed.status,
            fixed.error_comment,
        )


_patterns: dict[bytes, _Pattern] = {}
"""By their first bytes, which hold the group length and the SOP class. Changed by all threads."""


def _remember(command_set: bytes, command: Command, places: dict[int, int]) -> None:
    """Keep what the next C-STORE-RQ will probably have in common with this one."""
    message_id_at = places.get(_MESSAGE_ID, 0)
    uid_at = places.get(_AFFECTED_SOP_INSTANCE_UID, 0)
    if not _KEY_BYTES <= message_id_at < uid_at:  # another order, which nobody is known to use
        return
    (length,) = _UL.unpack_from(command_set, uid_at - _UL.size)
    uid_end = uid_at + length
    if len(_patterns) >= _MOST_PATTERNS:
        _patterns.clear()
    _patterns[command_set[:_KEY_BYTES]] = _Pattern(
        command._replace(message_id=None, sop_instance_uid=""),
        message_id_at,
        uid_at,
        uid_end,
        len(command_set),
        command_set[:message_id_at],
        command_set[message_id_at + _US.size : uid_at],
        command_set[uid_end:],
    )


def encode_store_request(
    message_id: int, sop_class_uid: str, sop_instance_uid: str, priority: int = 0
) -> bytes:
    """Pack a C-STORE-RQ (PS3.7 9.3.1.1).

    Args:
        message_id: 0 to 65535; not the ID of another outstanding request.
        sop_class_uid: Affected SOP Class UID.
        sop_instance_uid: Affected SOP Instance UID.
        priority: 0 medium, 1 high, 2 low.
    """
    return with_group_length(
        pack_uid(_AFFECTED_SOP_CLASS_UID, sop_class_uid)
        + pack_us(_COMMAND_FIELD, CommandField.C_STORE_RQ)
        + pack_us(_MESSAGE_ID, message_id)
        + pack_us(_PRIORITY, priority)
        + pack_us(_COMMAND_DATASET_TYPE, _DATASET_PRESENT)
        + pack_uid(_AFFECTED_SOP_INSTANCE_UID, sop_instance_uid)
    )


def encode_store_response(request: StoreRequest, status: Status, comment: str = "") -> bytes:
    """Pack a C-STORE-RSP (PS3.7 9.3.1.2).

    Args:
        request: What is answered; its UIDs go back unchanged.
        status: The status word.
        comment: Error Comment, one of our fixed ASCII texts; "" leaves it out.
    """
    return with_group_length(
        pack_uid(_AFFECTED_SOP_CLASS_UID, request.sop_class_uid)
        + pack_us(_COMMAND_FIELD, CommandField.C_STORE_RSP)
        + pack_us(_MESSAGE_ID_RESPONDED_TO, request.message_id)
        + pack_us(_COMMAND_DATASET_TYPE, NO_DATASET)
        + pack_us(_STATUS, status)
        + (pack_text(_ERROR_COMMENT, comment) if comment else b"")
        + pack_uid(_AFFECTED_SOP_INSTANCE_UID, request.sop_instance_uid)
    )


def encode_echo_request(message_id: int) -> bytes:
    """Pack a C-ECHO-RQ (PS3.7 9.3.5.1)."""
    return with_group_length(
        pack_uid(_AFFECTED_SOP_CLASS_UID, VERIFICATION_SOP_CLASS)
        + pack_us(_COMMAND_FIELD, CommandField.C_ECHO_RQ)
        + pack_us(_MESSAGE_ID, message_id)
        + pack_us(_COMMAND_DATASET_TYPE, NO_DATASET)
    )


def encode_echo_response(message_id: int, status: Status = Status.SUCCESS) -> bytes:
    """Pack a C-ECHO-RSP (PS3.7 9.3.5.2) to the request of that Message ID."""
    return with_group_length(
        pack_uid(_AFFECTED_SOP_CLASS_UID, VERIFICATION_SOP_CLASS)
        + pack_us(_COMMAND_FIELD, CommandField.C_ECHO_RSP)
        + pack_us(_MESSAGE_ID_RESPONDED_TO, message_id)
        + pack_us(_COMMAND_DATASET_TYPE, NO_DATASET)
        + pack_us(_STATUS, status)
    )


def unsigned_short(values: dict[int, bytes], element: int) -> int | None:
    """The number of an element of VR US; None if it is absent.

    Raises:
        CommandError: It has another length.
    """
    value = values.get(element)
    if value is None:
        return None
    if len(value) != _US.size:
        raise CommandError("command element of VR US with another length than 2")
    return int.from_bytes(value, "little")


def uid(value: bytes) -> str:
    """The UID without its padding: NUL by PS3.5 9.1, a space from some senders."""
    try:
        return value.rstrip(b"\0 ").decode("ascii")
    except UnicodeDecodeError:
        raise CommandError("command element of VR UI that is not ASCII") from None


def _text(values: dict[int, bytes], element: int) -> str:
    return values.get(element, b"").decode("latin-1").strip("\0 ")[:_ERROR_COMMENT_CHARS]


def with_group_length(elements: bytes) -> bytes:
    """A command set of these elements (PS3.7 6.3.1)."""
    return _ELEMENT_UL.pack(0, _GROUP_LENGTH, 4, len(elements)) + elements


def pack_us(element: int, value: int) -> bytes:
    """An element of VR US."""
    return _ELEMENT_US.pack(0, element, 2, value)


def pack_uid(element: int, uid: str) -> bytes:
    """An element of VR UI."""
    value = uid.encode("ascii")
    if len(value) % 2:
        value += b"\0"
    return _ELEMENT.pack(0, element, len(value)) + value


def pack_text(element: int, text: str) -> bytes:
    """An element of VR LO: ASCII, cut to 64 characters."""
    value = text.encode("ascii")[:_ERROR_COMMENT_CHARS]
    if len(value) % 2:
        value += b" "
    return _ELEMENT.pack(0, element, len(value)) + value
