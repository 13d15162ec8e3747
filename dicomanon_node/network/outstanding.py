"""Requests that wait for their response, by Message ID; a response finds its request here.

Responses may come in any order (PS3.7 D.3.3.3). A PDU may end one message and begin
the next. This module opens no connection and ends none: what breaks the protocol is
a `ProtocolError`.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dicomanon_node.network import command, p_data
from dicomanon_node.network.command import Command, CommandError, CommandField
from dicomanon_node.network.failures import ProtocolError
from dicomanon_node.network.part10 import DicomFile

_MAX_SKIPPED_BYTES: Final = 1024 * 1024  # of data sets where a response has none


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was sent.

    Attributes:
        response: What has to answer it.
        context_id: The presentation context it went out in.
        file: What it stores, if it is a C-STORE-RQ.
    """

    response: CommandField
    context_id: int
    file: DicomFile | None = None


class Outstanding:
    """The requests of one association. Not thread-safe.

    Args:
        next_pdu: Waits so many seconds for the next P-DATA-TF PDU.
    """

    def __init__(self, next_pdu: Callable[[float], bytes]) -> None:
        self._next_pdu = next_pdu
        self._requests: dict[int, Request] = {}
        self._values: deque[tuple[int, int, bytes]] = deque()  # received and not looked at

    def __len__(self) -> int:
        """Requests without a response."""
        return len(self._requests)

    def add(self, message_id: int, request: Request) -> None:
        """A request goes out."""
        self._requests[message_id] = request

    def clear(self) -> None:
        """The association has ended."""
        self._requests.clear()
        self._values.clear()

    def response(self, timeout_s: float) -> tuple[Request, Command]:
        """Wait for the next response.

        Args:
            timeout_s: Seconds to the end of it.

        Returns:
            The request it answers, and the response.

        Raises:
            ProtocolError: It answers none, or is no response.
            AssociationError: As `next_pdu` raises it.
        """
        context_id, command_set = self._command_set(timeout_s)
        try:
            response = command.decode(command_set)
        except CommandError:
            raise ProtocolError("response-malformed") from None
        request = self._requests.pop(response.responded_to or 0, None)
        if request is None or response.command_field != request.response:
            raise ProtocolError("response-to-something-else")
        if context_id != request.context_id:
            raise ProtocolError("response-in-other-context")
        if response.status is None:
            raise ProtocolError("response-without-status")
        return request, response

    def _command_set(self, timeout_s: float) -> tuple[int, bytearray]:
        """Wait for a command set; the presentation context it came in, and its bytes."""
        # One deadline for the whole: each PDU of a peer that never comes to an end is in time.
        deadline = time.monotonic() + timeout_s
        command_set = bytearray()
        expected_id: int | None = None
        skipped_bytes = 0
        while True:
            while not self._values:
                self._values.extend(p_data.unpack(self._next_pdu(timeout_s)))
                timeout_s = deadline - time.monotonic()
            context_id, control, value = self._values.popleft()
            if not control & p_data.COMMAND:
                # C-STORE-RSP and C-ECHO-RSP have no data set; some send one.
                skipped_bytes += len(value)
            elif expected_id not in {None, context_id}:
                raise ProtocolError("response-in-other-context")
            else:
                expected_id = context_id
                command_set += value
                if control & p_data.LAST:
                    return context_id, command_set
            too_long = len(command_set) > command.MAX_COMMAND_SET_BYTES
            if too_long or skipped_bytes > _MAX_SKIPPED_BYTES:
                raise ProtocolError("response-too-long")
