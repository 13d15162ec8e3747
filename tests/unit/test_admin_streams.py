"""Pages that stay open: no more than the console can bear, however they come."""

import asyncio
from pathlib import Path

from starlette.types import Message
from support_console import Desk

from dicomanon_node.admin.console import MAX_STREAMS

CROWD = 3 * MAX_STREAMS
SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/events",
    "raw_path": b"/events",
    "root_path": "",
    "query_string": b"",
    "headers": [(b"host", b"localhost")],
    "client": ("127.0.0.1", 1),
    "server": ("127.0.0.1", 8042),
}


def test_many_who_ask_at_once_are_not_all_taken_and_leave_room_when_they_go(tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    async def ask(over: asyncio.Event, answered: asyncio.Event, statuses: list[int]) -> None:
        is_asked = False

        async def receive() -> Message:
            nonlocal is_asked
            if not is_asked:
                is_asked = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await over.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            await asyncio.sleep(0)  # as a server's does
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
            if len(statuses) == CROWD:
                answered.set()

        await desk.console.app(dict(SCOPE), receive, send)

    async def crowd() -> list[int]:
        over, answered, statuses = asyncio.Event(), asyncio.Event(), list[int]()
        asking = [asyncio.create_task(ask(over, answered, statuses)) for _ in range(CROWD)]
        await asyncio.wait_for(answered.wait(), 30)
        over.set()
        await asyncio.wait_for(asyncio.gather(*asking), 30)
        return statuses

    for _ in range(2):
        statuses = asyncio.run(crowd())
        assert statuses.count(200) == MAX_STREAMS
        assert statuses.count(503) == 2 * MAX_STREAMS
