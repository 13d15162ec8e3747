"""Storage Commitment reports on an association that we ask for (PS3.4 J.3.3).

The requestor of the association is then the SCP of the service, which both sides have to
agree on: SCP/SCU Role Selection (PS3.7 D.3.3.4). A peer that does not answer it has
not agreed, and gets no report. This module decides neither what is reported nor when to
try again.
"""

from collections.abc import Callable
from typing import Final

from dicomanon_node.network import normalized, p_data
from dicomanon_node.network.command import CommandField
from dicomanon_node.network.commitment import SOP_CLASS, SOP_INSTANCE, Report
from dicomanon_node.network.outstanding import Request
from dicomanon_node.network.proposal import Context
from dicomanon_node.network.requestor import Requestor
from dicomanon_node.network.supported import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN

_CONTEXTS: Final = (
    Context(SOP_CLASS, (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN), is_scp=True),
)


class Reporter(Requestor):
    """An association on which we report. Not thread-safe, but for `interrupt`.

    Args:
        host: The peer's name or address.
        port: The peer's port.
        calling_aet: Our AE title: the one the request was sent to.
        called_aet: The peer's AE title.
        timeout_s: Seconds to wait for each of its answers.
    """

    def __init__(
        self, host: str, port: int, *, calling_aet: str, called_aet: str, timeout_s: float = 30.0
    ) -> None:
        super().__init__(
            host,
            port,
            calling_aet=calling_aet,
            called_aet=called_aet,
            contexts=_CONTEXTS,
            connect_timeout_s=min(timeout_s, 10.0),
            association_timeout_s=timeout_s,
            response_timeout_s=timeout_s,
        )

    def report(self, make: Callable[[str], Report]) -> int:
        """N-EVENT-REPORT (PS3.7 10.1.1).

        Args:
            make: Makes the report in a transfer syntax.

        Returns:
            The peer's status word.

        Raises:
            AssociationError: Temporary. The association is lost; whether the peer has heard
                is not known.
            ContextNotAcceptedError: The peer takes no reports.
        """
        stream = self._established()
        syntax = self._agreement.accepted_syntax(SOP_CLASS)
        context_id = self._agreement.context_id(SOP_CLASS, syntax)
        report = make(syntax)
        message_id = next(self._message_ids)
        command_set = normalized.encode_event_report_request(
            message_id, SOP_CLASS, SOP_INSTANCE, report.event_type
        )
        # Joined: to a peer that receives small PDUs they are more than one call may send.
        pdus = b"".join(
            (
                *p_data.pack(
                    memoryview(command_set), context_id, p_data.COMMAND, self._fragment_bytes
                ),
                *p_data.pack(memoryview(report.dataset), context_id, 0, self._fragment_bytes),
            )
        )
        with self._ending_on_failure():
            self._outstanding.add(message_id, Request(CommandField.N_EVENT_REPORT_RSP, context_id))
            stream.send([pdus], self._response_timeout_s)
            _, response = self._outstanding.response(self._response_timeout_s)
        return response.status or 0
