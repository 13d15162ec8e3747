"""The listening sockets of a node: one for plain associations, one for TLS, or only one.

Bound once, before forking, and shared by all receivers. It accepts nothing.
"""

import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class Ports:
    """Bound and listening sockets; at least one.

    Attributes:
        plain: For plain associations.
        secure: For associations over TLS.
    """

    plain: socket.socket | None
    secure: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def host(self) -> str:
        """The address they are bound to."""
        sock = self.plain or self.secure
        return str(sock.getsockname()[0]) if sock else ""

    @property
    def plain_port(self) -> int | None:
        """TCP port of plain associations; None: there are none."""
        return _port(self.plain)

    @property
    def secure_port(self) -> int | None:
        """TCP port of associations over TLS; None: there are none."""
        return _port(self.secure)

    def close(self) -> None:
        """Close this process's copies. May be called again."""
        for sock in (self.plain, self.secure):
            if sock is not None:
                sock.close()


def _port(sock: socket.socket | None) -> int | None:
    return None if sock is None else int(sock.getsockname()[1])
