"""Command sets of N-ACTION and N-EVENT-REPORT, packed and unpacked by hand (PS3.7 10).

Storage Commitment is all they are for. Data sets are not looked at here, and nothing is
checked against anything: who is asked for what is `commitment`.
"""

from typing import Final, NamedTuple

from dicomanon_node.network import command
from dicomanon_node.network.command import CommandError, CommandField

_AFFECTED_SOP_CLASS_UID: Final = 0x0002
_REQUESTED_SOP_CLASS_UID: Final = 0x0003
_COMMAND_FIELD: Final = 0x0100
_MESSAGE_ID: Final = 0x0110
_MESSAGE_ID_RESPONDED_TO: Final = 0x0120
_COMMAND_DATASET_TYPE: Final = 0x0800
_STATUS: Final = 0x0900
_ERROR_COMMENT: Final = 0x0902
_AFFECTED_SOP_INSTANCE_UID: Final = 0x1000
_REQUESTED_SOP_INSTANCE_UID: Final = 0x1001
_EVENT_TYPE_ID: Final = 0x1002
_ACTION_TYPE_ID: Final = 0x1008

_DATASET_PRESENT: Final = 0x0001


class ActionRequest(NamedTuple):
    """An N-ACTION-RQ (PS3.7 10.3.4.1).

    Attributes:
        message_id: (0000,0110).
        sop_class_uid: Requested SOP Class UID; "" when absent. The requestor's text.
        sop_instance_uid: Requested SOP Instance UID; "" when absent. The requestor's text.
        action_type: (0000,1008); None when absent.
    """

    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    action_type: int | None


def decode_action_request(command_set: bytes) -> ActionRequest:
    """Unpack an N-ACTION-RQ.

    Raises:
        CommandError: It is no command set, or has no Message ID.
    """
    values, _ = command.split(command_set)
    message_id = command.unsigned_short(values, _MESSAGE_ID)
    if message_id is None:
        raise CommandError("mandatory command element missing")
    return ActionRequest(
        message_id,
        command.uid(values.get(_REQUESTED_SOP_CLASS_UID, b"")),
        command.uid(values.get(_REQUESTED_SOP_INSTANCE_UID, b"")),
        command.unsigned_short(values, _ACTION_TYPE_ID),
    )


def encode_action_response(request: ActionRequest, status: int, comment: str = "") -> bytes:
    """Pack an N-ACTION-RSP (PS3.7 10.3.4.2).

    Args:
        request: What is answered; its UIDs go back unchanged.
        status: The status word.
        comment: Error Comment, one of our fixed ASCII texts; "" leaves it out.
    """
    action_type = request.action_type
    return command.with_group_length(
        command.pack_uid(_AFFECTED_SOP_CLASS_UID, request.sop_class_uid)
        + command.pack_us(_COMMAND_FIELD, CommandField.N_ACTION_RSP)
        + command.pack_us(_MESSAGE_ID_RESPONDED_TO, request.message_id)
        + command.pack_us(_COMMAND_DATASET_TYPE, command.NO_DATASET)
        + command.pack_us(_STATUS, status)
        + (command.pack_text(_ERROR_COMMENT, comment) if comment else b"")
        + command.pack_uid(_AFFECTED_SOP_INSTANCE_UID, request.sop_instance_uid)
        + (b"" if action_type is None else command.pack_us(_ACTION_TYPE_ID, action_type))
    )


def encode_event_report_request(
    message_id: int, sop_class_uid: str, sop_instance_uid: str, event_type: int
) -> bytes:
    """Pack an N-EVENT-REPORT-RQ that a data set follows (PS3.7 10.3.1.1)."""
    return command.with_group_length(
        command.pack_uid(_AFFECTED_SOP_CLASS_UID, sop_class_uid)
        + command.pack_us(_COMMAND_FIELD, CommandField.N_EVENT_REPORT_RQ)
        + command.pack_us(_MESSAGE_ID, message_id)
        + command.pack_us(_COMMAND_DATASET_TYPE, _DATASET_PRESENT)
        + command.pack_uid(_AFFECTED_SOP_INSTANCE_UID, sop_instance_uid)
        + command.pack_us(_EVENT_TYPE_ID, event_type)
    )
