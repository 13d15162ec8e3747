"""What the admin process does: the console, until it is told to stop.

Nothing waits for it. A port that is taken is no reason not to receive: it is tried again.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import uvicorn

from dicomanon_node.admin.console import Console
from dicomanon_node.admin.history import History
from dicomanon_node.admin.picture import Picture
from dicomanon_node.admin.sessions import Sessions
from dicomanon_node.admin.token import read_or_make
from dicomanon_node.config import Config
from dicomanon_node.config.model import Admin
from dicomanon_node.network import listener
from dicomanon_node.node import build
from dicomanon_node.node.alerts import AlertingLog, Alerts, keyless_notes
from dicomanon_node.node.children import ABORT, STOP, Ready
from dicomanon_node.node.console_protocol import MAX_CONNECTIONS, ConsoleProtocol
from dicomanon_node.node.notices import uncovered_names
from dicomanon_node.ops import logs
from dicomanon_node.ops.events import TellEvent
from dicomanon_node.ops.feed import Feed

_NICENESS: Final = 10
"""Who looks can wait, who sends cannot: where cores are short, this process comes last."""

_RETRY_S: Final = 5.0
_MAX_HEADER_BYTES: Final = 16 * 1024
_KEEP_ALIVE_S: Final = 5
_END_S: Final = 2


def open_console(settings: Admin) -> tuple[str | None, socket.socket | None]:
    """What the console needs from whoever starts the node: its token and its socket.

    Returns:
        The token (secret), or None if nobody is asked; the socket, or None if the port
        cannot be had now, which is logged.

    Raises:
        ConfigError: The token cannot be read or made.
    """
    token = None if settings.token_file is None else read_or_make(settings.token_file)
    return token, _bind(settings, is_told=True)


def administer(
    config: Config,
    load: Callable[[], Config],
    feed: Feed,
    ready: Ready,
    *,
    token: str | None = None,
    listening: socket.socket | None = None,
    receivers: Sequence[int] = (),
) -> None:
    """Serve the console until `STOP`.

    Args:
        config: The configuration.
        load: Reads it again, when the node says that it has; raises ConfigError.
        feed: Where the log's lines come from.
        ready: To be called when it runs, whether or not the port can be had.
        token: What lets people in (secret).
        listening: What it listens on; None: it is tried to bind now and then.
        receivers: Process numbers of the receivers that run, as far as is known.
    """
    os.nice(_NICENESS)
    signal.signal(ABORT, lambda _number, _frame: sys.exit(0))
    asyncio.run(_serve(config, load, feed, ready, token, listening, receivers))


async def _serve(
    config: Config,
    load: Callable[[], Config],
    feed: Feed,
    ready: Ready,
    token: str | None,
    listening: socket.socket | None,
    receivers: Sequence[int],
) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(STOP, stop.set)
    history = History(build.destination_names(config))
    history.receivers.update(receivers)
    settings = config.node.admin
    log: TellEvent = logs.get()
    alerts = None
    if config.node.audit.enabled:
        alerts = Alerts(keyless_notes(config.node.storage.spool, log))
        log = AlertingLog(log, alerts)
    console = Console(
        Picture(config, history, uncovered_names),
        load,
        Sessions(token),
        (settings.host, *settings.hosts),
        log,
    )
    is_port_late = listening is None
    if is_port_late:
        ready()
    keeping = asyncio.create_task(console.keep(feed))
    stopping = asyncio.create_task(stop.wait())
    while listening is None and not stop.is_set():
        await asyncio.wait([stopping, keeping], timeout=_RETRY_S, return_when="FIRST_COMPLETED")
        listening = None if stop.is_set() else _bind(settings, is_told=False)
        if keeping.done():
            keeping.result()
    if listening is not None and not stop.is_set():
        server = _Server(
            uvicorn.Config(
                console.app,
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                http=ConsoleProtocol,
                loop="asyncio",
                proxy_headers=False,
                server_header=False,
                date_header=False,
                limit_concurrency=2 * MAX_CONNECTIONS,
                h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=_END_S,
            )
        )
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        host, port = listening.getsockname()[:2]
        logs.get().event("admin.ready", host=host, port=port, with_token=token is not None)
        if not is_port_late:
            ready()
        await asyncio.wait([stopping, keeping, serving], return_when="FIRST_COMPLETED")
        console.is_closing = True
        server.should_exit = True
        await serving
    if keeping.done():
        keeping.result()  # a fault of ours: the process ends with it, and another takes its place
    keeping.cancel()
    with suppress(asyncio.CancelledError):
        await keeping
    stopping.cancel()
    if alerts is not None:
        alerts.flush()


class _Server(uvicorn.Server):
    """Leaves signals to us."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _bind(settings: Admin, *, is_told: bool) -> socket.socket | None:
    try:
        return listener.bind(settings.host, settings.port)
    except OSError as error:
        if is_told:
            logs.get().event(
                "admin.unavailable", host=settings.host, port=settings.port, error=error
            )
        return None
