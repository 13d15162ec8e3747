"""The null server: takes C-STOREs, keeps nothing, answers 0000H at once.

What the load generator reaches against it is the generator's own ceiling. A process
an association, so that it is not one core that is measured.
"""

import os
import socket
import sys
from contextlib import suppress
from typing import Final

from benchmarks.throughput import dimse

_MAX_PDU: Final = 131072


def serve(port: int) -> None:
    """Accept associations until killed."""
    with socket.create_server(("127.0.0.1", port), backlog=128) as listening:
        while True:
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                _take(connection)
                os._exit(0)
            connection.close()
            with suppress(ChildProcessError):  # waited for, so that their time is ours
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def _take(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    buffer = memoryview(bytearray(_MAX_PDU + 6))
    kind, request = dimse.receive_pdu(connection)
    if kind != dimse.ASSOCIATE_RQ:
        return
    connection.sendall(dimse.associate_ac(request, _MAX_PDU))
    answer = b""
    while True:
        dimse.acknowledge_at_once(connection)
        header = connection.recv(6, socket.MSG_WAITALL)
        if len(header) < dimse.PDU_HEADER_BYTES or header[0] == dimse.RELEASE_RQ:
            break
        size = int.from_bytes(header[2:6], "big")
        if connection.recv_into(buffer[:size], size, socket.MSG_WAITALL) != size:
            return
        # The load generator puts one PDV into a PDU: only its first bytes matter.
        context_id, control = buffer[4], buffer[5]
        if control == dimse.COMMAND_LAST:
            answer = _answer(context_id, bytes(buffer[6:size]))
        elif control == dimse.DATA_LAST:
            connection.sendall(answer)
    connection.sendall(dimse.pdu(dimse.RELEASE_RP))


def _answer(context_id: int, request: bytes) -> bytes:
    asked = dimse.command_elements(request)
    answer = dimse.command(
        {
            dimse.SOP_CLASS: asked[dimse.SOP_CLASS],
            dimse.COMMAND_FIELD: dimse.STORE_RSP,
            dimse.MESSAGE_ID_RESPONDED: asked[dimse.MESSAGE_ID],
            dimse.DATA_SET_TYPE: dimse.NO_DATA_SET,
            dimse.STATUS: 0,
            dimse.SOP_INSTANCE: asked[dimse.SOP_INSTANCE],
        }
    )
    return dimse.data_header(context_id, dimse.COMMAND_LAST, len(answer)) + answer


if __name__ == "__main__":
    serve(int(sys.argv[1]))
