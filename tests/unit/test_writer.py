"""`writer`: a reader that stopped costs lines, never the node."""

import os
import pty
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

import pytest

from dicomanon_node.ops import writer as module
from dicomanon_node.ops.writer import LineWriter, Losses

LINE = "x" * 500 + "\n"
MANY = 10_000  # lines: more than any pipe, terminal or socket buffer holds


@contextmanager
def unread(kind: str) -> Iterator[tuple[IO[str], int]]:
    """A stream of that kind, and the descriptor of the reader."""
    if kind == "pipe":
        reading, writing = os.pipe()
    elif kind == "terminal":
        reading, writing = pty.openpty()
    else:
        one, other = socket.socketpair()
        reading, writing = one.detach(), other.detach()
    with os.fdopen(writing, "w", encoding="ascii") as stream:
        try:
            yield stream, reading
        finally:
            os.close(reading)


def drain(descriptor: int) -> bytes:
    os.set_blocking(descriptor, False)
    received = b""
    with suppress(BlockingIOError):
        while chunk := os.read(descriptor, 65536):
            received += chunk
    return received


def fill(writer: LineWriter) -> int:
    """Write until a line is lost; how many were not."""
    for count in range(MANY):
        if not writer.write(LINE):
            return count
    raise AssertionError("the stream takes everything")


@pytest.fixture(params=["pipe", "terminal", "socket"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.timeout(20)
def test_a_reader_that_stopped_costs_one_short_wait_and_then_none(kind: str) -> None:
    with unread(kind) as (stream, _):
        writer = LineWriter(stream, Losses(is_strict=True))
        fill(writer)
        started = time.monotonic()
        assert not any(writer.write(LINE) for _ in range(1000))
        assert time.monotonic() - started < 10 * module.PATIENCE_S
        assert writer.losses.take()["unwritten"] == 1001


@pytest.mark.timeout(20)
def test_a_reader_that_reads_again_gets_whole_lines_again(kind: str) -> None:
    with unread(kind) as (stream, reading):
        writer = LineWriter(stream, Losses(is_strict=True))
        fill(writer)
        received = drain(reading)
        assert writer.write("again\n")
        received += drain(reading)
        assert received.replace(b"\r", b"").endswith(b"\nagain\n")


@pytest.mark.timeout(20)
def test_the_flags_of_the_shared_stream_stay(kind: str) -> None:
    with unread(kind) as (stream, _):
        fill(LineWriter(stream, Losses(is_strict=True)))
        assert os.get_blocking(stream.fileno())


@pytest.mark.timeout(20)
def test_where_a_pipe_cannot_be_opened_anew_it_is_polled(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    with unread("pipe") as (stream, reading):
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", refuse)
            writer = LineWriter(stream, Losses(is_strict=True))
        kept = fill(writer)
        assert drain(reading) == kept * LINE.encode()


@pytest.mark.timeout(20)
def test_a_reader_that_is_only_slow_loses_nothing() -> None:
    program = (
        "import sys,time\n"
        "from dicomanon_node.ops.writer import LineWriter, Losses\n"
        "writer = LineWriter(sys.stdout, Losses(is_strict=True))\n"
        "sys.exit(not all(writer.write(f'{n:0500}\\n') for n in range(2000)))\n"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        for number in range(2000):
            if number % 200 == 0:
                time.sleep(0.02)  # a reader that is busy otherwise
            assert int(child.stdout.readline()) == number
    assert child.returncode == 0


def test_a_line_that_finds_room_is_one_system_call(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unread(kind) as (stream, reading):
        writer = LineWriter(stream, Losses(is_strict=True))

        def refuse() -> None:
            raise AssertionError("asked for room")

        monkeypatch.setattr(select, "poll", refuse)
        assert writer.write("line\n")
        assert drain(reading).replace(b"\r", b"") == b"line\n"
