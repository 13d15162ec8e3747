"""HTTP/1.1 for the console, so that whoever connects and says nothing takes nobody's place.

uvicorn waits for a request without end, and answers 503 to all once so many connections
are open: a hundred silent ones would be the end of `/healthz`, and of a node that an
orchestrator restarts when that does not answer. Here a connection has some seconds for
its request, and where there are too many, another one makes room for who has just come.
Decides nothing on requests.
"""

import asyncio
import time
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS: Final = 96
"""Pages that show changes hold one each, `console.MAX_STREAMS` at most; the rest come and go."""

REQUEST_S: Final = 10.0
"""How long a request may take to come, whole, and its answer to be taken, seconds."""

_WHOLE: Final = frozenset({h11.DONE, h11.MUST_CLOSE})


class ConsoleProtocol(H11Protocol):
    """One connection. What its parameters are is uvicorn's."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401  (uvicorn's own)
        super().__init__(*arguments, **options)
        self._idle_since = 0.0
        self._looking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """A client has connected."""
        super().connection_made(transport)
        self._idle_since = time.monotonic()
        self._look_later()
        if len(self.connections) > MAX_CONNECTIONS:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        if self._looking is not None:
            self._looking.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """A request is answered; another one may come."""
        self._idle_since = time.monotonic()
        super().on_response_complete()

    def _is_served(self) -> bool:
        """Whether a request has come as a whole and its answer is under way."""
        return self.conn.their_state in _WHOLE and not self.cycle.response_complete

    def _make_room(self) -> None:
        others = [
            each
            for each in self.connections
            if isinstance(each, ConsoleProtocol) and each is not self
        ]
        if others:
            min(others, key=ConsoleProtocol._worth)._leave()  # noqa: SLF001  (one of us)

    def _worth(self) -> tuple[bool, bool, float]:
        """Who is worth least goes first: who asks nothing, who does not take its answer."""
        is_read = not self.transport.get_write_buffer_size()
        return self._is_served(), is_read, self._idle_since

    def _look_later(self) -> None:
        self._looking = self.loop.call_later(REQUEST_S / 2, self._look)

    def _look(self) -> None:
        if not self._is_served() and time.monotonic() - self._idle_since >= REQUEST_S:
            self._leave()
        else:
            self._look_later()

    def _leave(self) -> None:
        """Close at once: what was written and is not taken is dropped."""
        self.connections.discard(self)  # uvicorn does so later, and again
        self.transport.abort()
