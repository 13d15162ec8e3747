"""The console as one ASGI application, and what keeps it up to date.

One event loop reads the feed, answers requests and, in a thread, looks at the spool. It
binds nothing and knows no process: `node` does.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from dicomanon_node.admin.api import Api
from dicomanon_node.admin.guard import Guard
from dicomanon_node.admin.metrics import NodeCollector
from dicomanon_node.admin.pages import Pages
from dicomanon_node.admin.picture import Picture
from dicomanon_node.admin.sessions import Sessions
from dicomanon_node.admin.shelves import Shelves
from dicomanon_node.config import Config
from dicomanon_node.errors import ConfigError
from dicomanon_node.ops.events import TellEvent
from dicomanon_node.ops.feed import Feed

_STATIC: Final = Path(__file__).parent / "static"

FEED_REST_S: Final = 0.02
"""How long lines may wait for company: taken one by one they cost the receivers' cores more."""

LOOK_EVERY_S: Final = 2.0
LOOK_SHARE: Final = 0.05
"""Looking at queues of a million entries takes seconds; it is done for this share of the time."""

MAX_STREAMS: Final = 32
_STREAM_EVERY_S: Final = 1.0
_HEARTBEAT_S: Final = 15.0


class Console:
    """The application. `keep` runs beside it in the same loop.

    Args:
        picture: What is known.
        load: Reads the configuration again; raises ConfigError.
        sessions: Who may come in.
        hosts: Names by which it may be asked.
        log: Where it tells what it did.
    """

    def __init__(
        self,
        picture: Picture,
        load: Callable[[], Config],
        sessions: Sessions,
        hosts: Collection[str],
        log: TellEvent,
    ) -> None:
        self._picture = picture
        self._load = load
        node = picture.config.node
        names = [entry.name for entry in node.destinations]
        self._shelves = Shelves(node.storage.spool, names)
        self._log = log
        self._stream_count = 0
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(NodeCollector(picture))
        api = Api(picture, self._shelves, log, self.look)
        pages = Pages(api, sessions)
        application = Starlette(
            routes=[
                *pages.routes(),
                *api.routes(),
                Route("/metrics", self._metrics),
                Route("/events", self._events),
                Mount("/static", StaticFiles(directory=_STATIC)),
            ],
            exception_handlers={404: pages.not_found, Exception: self._failed},
        )
        guard = pages.guard = Guard(application, sessions, hosts, log)
        self.app: ASGIApp = _Quiet(guard, log)
        self.is_closing = False

    async def look(self) -> None:
        """Look at the spool now."""
        self._picture.stock = await asyncio.to_thread(self._shelves.look)
        self._picture.looked_at = time.monotonic()

    async def keep(self, feed: Feed) -> None:
        """Read the feed and look at the spool, until cancelled."""
        await asyncio.gather(self._keep_looking(), self._keep_reading(feed))

    async def _keep_looking(self) -> None:
        while True:
            begun = time.monotonic()
            await self.look()
            took_s = time.monotonic() - begun
            await asyncio.sleep(max(LOOK_EVERY_S, took_s / LOOK_SHARE))

    async def _keep_reading(self, feed: Feed) -> None:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        while True:
            readable.clear()
            loop.add_reader(feed.fileno(), readable.set)
            await readable.wait()
            loop.remove_reader(feed.fileno())
            now = time.monotonic()
            for line in feed.drain():
                self._picture.history.add(line, now)
                if line["event"] == "node.reloaded":
                    await self._reload(line.get("rules"))
            self._picture.lost_count = feed.lost_count
            await asyncio.sleep(FEED_REST_S)

    async def _reload(self, rules: object) -> None:
        """The node has read its configuration again: show that one."""
        try:
            config = await asyncio.to_thread(self._load)
        except ConfigError:  # somebody is at it again, and the node has what it has
            return
        if config.rules.digest == rules:
            self._picture.follow(config)
            self._shelves.follow([entry.name for entry in config.node.destinations])

    async def _metrics(self, _request: Request) -> Response:
        return PlainTextResponse(
            generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def _events(self, _request: Request) -> Response:
        """Server-Sent Events: one whenever there is something new, at most one a second."""
        if self._stream_count >= MAX_STREAMS:
            return PlainTextResponse("Too many pages are open.", 503)
        # Counted here, not where it begins to send: a hundred may ask before one of them does.
        self._stream_count += 1
        return _Stream(self._changes(), self._stream_ended)

    def _stream_ended(self) -> None:
        self._stream_count -= 1

    async def _changes(self) -> AsyncIterator[str]:
        seen, told_at = -1.0, 0.0
        yield "retry: 3000\n\n"
        while not self.is_closing:
            version = self._picture.history.version + (self._picture.looked_at or 0.0)
            now = time.monotonic()
            if version != seen:
                seen, told_at = version, now
                yield f"data: {self._picture.history.version}\n\n"
            elif now - told_at > _HEARTBEAT_S:
                told_at = now
                yield ": still here\n\n"
            await asyncio.sleep(_STREAM_EVERY_S)

    async def _failed(self, _request: Request, _error: Exception) -> Response:
        # Starlette raises it again after that: `_Quiet` tells it.
        return JSONResponse({"error": "A fault of the console: see internal.error."}, 500)


class _Stream(StreamingResponse):
    """Server-Sent Events; tells when they end, however that is."""

    def __init__(self, content: AsyncIterator[str], ended: Callable[[], None]) -> None:
        super().__init__(content, media_type="text/event-stream")
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()


class _Quiet:
    """Tells what went wrong as class and source lines; the server would print its text."""

    def __init__(self, app: ASGIApp, log: TellEvent) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # noqa: BLE001  (whatever it is, its text may hold values)
            self._log.event("internal.error", where="admin", error=error)
