"""A Unix socket in the spool, by which commands of the same user talk to the running node.

One connection is one request, a word on a line, and one answer, a JSON document. Only
the node's own user can open it: it lies in a directory of mode 0700. What is asked is
answered by the supervisor between two looks at its processes; nothing of an object
passes here.
"""

import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeAlias

from dicomanon_node.errors import NodeError

_NAME: Final = "control"
_BACKLOG: Final = 8
_MAX_REQUEST_BYTES: Final = 64
_REQUEST_S: Final = 0.5
"""Seconds a client has to say what it wants: the supervisor waits for it meanwhile."""

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

Document: TypeAlias = dict[str, Any]


class NotRunningError(NodeError):
    """No node runs on this spool."""


class NoAnswerError(NodeError):
    """The node does not answer: it is busy, or has just ended."""


class Control:
    """The node's end of the socket. For the main thread.

    Args:
        spool: The spool; this node holds its lock.
        answers: What answers each request.

    Raises:
        OSError: The file system knows no sockets, or cannot be written.
    """

    def __init__(self, spool: Path, answers: Mapping[str, Callable[[], Document]]) -> None:
        self._spool = spool
        self._answers = answers
        self._asking: socket.socket | None = None
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with suppress(FileNotFoundError):  # of a node that was killed
                (spool / _NAME).unlink()
            with _short(spool) as path:
                self._listening.bind(path)
            (spool / _NAME).chmod(0o600)
            self._listening.listen(_BACKLOG)
            self._listening.setblocking(False)
        except OSError:
            self._listening.close()
            raise

    def fileno(self) -> int:
        """Readable when somebody asks."""
        return self._listening.fileno()

    def serve(self) -> None:
        """Answer who has asked. Waits for nobody longer than half a second."""
        try:
            connection, _ = self._listening.accept()
        except OSError:  # nobody has, or is gone already
            return
        self._asking = connection
        with connection:
            connection.settimeout(_REQUEST_S)
            try:
                answer = self._answers.get(_request(connection))
                document = {"error": "unknown-request"} if answer is None else answer()
                connection.sendall(json.dumps(document).encode("ascii") + b"\n")
            except OSError:  # it does not listen any more: what it asked for is done
                pass
        self._asking = None

    def close(self) -> None:
        """Close it in this process; a child does so too, be it started by an answer."""
        self._listening.close()
        if self._asking is not None:
            self._asking.close()

    def remove(self) -> None:
        """Take the name away: the node ends."""
        self.close()
        with suppress(OSError):
            (self._spool / _NAME).unlink()


def ask(spool: Path, request: str, timeout_s: float) -> Document:
    """Ask the node that runs on a spool.

    Args:
        spool: Its spool.
        request: What is asked.
        timeout_s: Seconds to wait for the answer.

    Raises:
        NotRunningError: There is none.
        NoAnswerError: There is one, and it does not answer.
        PermissionError: It belongs to another user.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            with _short(spool) as path:
                connection.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            raise NotRunningError("no node runs on this spool") from None
        try:
            connection.sendall(request.encode("ascii") + b"\n")
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        except OSError:
            raise NoAnswerError("the node does not answer") from None
    try:
        document = json.loads(answer)
    except ValueError:
        raise NoAnswerError("the node has ended meanwhile") from None
    if not isinstance(document, dict):
        raise NoAnswerError("the node gave no answer that can be read")
    return document


@contextmanager
def _short(spool: Path) -> Iterator[str]:
    """A path of the socket that fits: an address has room for 107 bytes (unix(7))."""
    directory = os.open(spool, _DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{_NAME}"
    finally:
        os.close(directory)


def _request(connection: socket.socket) -> str:
    """What is asked: the first word of at most 64 bytes."""
    said = b""
    while b"\n" not in said and len(said) < _MAX_REQUEST_BYTES:
        piece = connection.recv(_MAX_REQUEST_BYTES)
        if not piece:
            break
        said += piece
    return said.partition(b"\n")[0].decode("ascii", "replace")
