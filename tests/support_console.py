"""A console to ask, without a network: a picture that lines and a spool are put into."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
from support_node import write_config

from dicomanon_node.admin.console import Console
from dicomanon_node.admin.history import History
from dicomanon_node.admin.picture import Picture
from dicomanon_node.admin.sessions import Sessions
from dicomanon_node.config import load
from dicomanon_node.delivery.queue import Failure, QueueDirectory

TOKEN = "a-token-that-nobody-guesses-0123456789"  # noqa: S105  (of a test)

TOML = """
[storage]
low_water_bytes = 0
[[destinations]]
name = "pacs"
kind = "dicom"
ae_title = "PACS"
host = "192.0.2.1"
[[destinations]]
name = "share"
kind = "folder"
path = "share"
"""

STORED: dict[str, Any] = {
    "timestamp": "2026-11-20T13:03:29.540Z",
    "level": "info",
    "event": "instance.stored",
    "association": "1-7",
    "calling_aet": "SCANNER1",
    "study": "default",
    "by_default": False,
    "rules": "8c1d0e44",
    "study_uid": "2.25.136498",
    "series_uid": "2.25.200628",
    "sop_instance_uid": "2.25.803483",
    "sop_class": "MRImageStorage",
    "bytes": 1000,
    "ms": 2.5,
    "duplicate": False,
    "destination_count": 2,
}


class Told:
    """A log that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def event(self, name: str, /, **keys: object) -> None:
        self.events.append((name, keys))


class Browser:
    """A client that keeps cookies, follows nothing and needs no network.

    Args:
        console: What it asks.
        headers: Sent with every request.
    """

    def __init__(self, console: Console, headers: dict[str, str]) -> None:
        self._console = console
        self._headers = headers
        self._cookies = httpx.Cookies()

    def get(self, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401  (those of httpx)
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401  (those of httpx)
        return self.request("POST", path, **options)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401  (those of httpx)
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(self._console.app),
                base_url="http://localhost:8042",
                headers=self._headers,
                cookies=self._cookies,
            ) as client:
                answer = await client.request(method, path, **options)
                self._cookies = client.cookies
                return answer

        return asyncio.run(ask())


class Desk:
    """A console, what it knows, and a client of it.

    Args:
        directory: Empty; its configuration and spool are made there.
        token: What it asks for.
    """

    def __init__(self, directory: Path, token: str | None = None) -> None:
        self.config = load(write_config(directory, TOML), {})
        self.spool = directory / "var" / "spool"
        for name in ("pacs", "share"):
            for place in ("queue", "failed"):
                (self.spool / place / name).mkdir(parents=True)
        self.history = History(("pacs", "share"))
        self.picture = Picture(self.config, self.history, lambda _rules: [])
        self.log = Told()
        self.console = Console(
            self.picture,
            lambda: self.config,
            Sessions(token),
            ("console.example",),
            self.log,
        )
        self.client = self.browser()
        self.look()

    def browser(self, **headers: str) -> Browser:
        """Another client, without cookies."""
        return Browser(self.console, headers)

    def look(self) -> None:
        """The spool is looked at."""
        asyncio.run(self.console.look())

    def tell(self, **line: object) -> None:
        """A line of the log comes; what is not said is as in `STORED`."""
        self.history.add(STORED | line, time.monotonic())

    def fail(self, name: str = "2.25.1.dcm", reason: str = "not-authorised") -> Path:
        """An entry of the queue fails."""
        waiting = self.spool / "queue" / "pacs" / name
        waiting.write_bytes(b"x" * 10)
        queue = QueueDirectory(self.spool, "pacs")
        [entry], _ = queue.waiting(1)
        failed = queue.fail(entry, Failure(reason, 0x0124, 1))
        self.look()
        return failed.path
