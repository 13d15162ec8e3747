"""Shared by the tests of the spool: small spools, a durability oracle, and a child program.

The oracle knows no file system in particular. It is given the state-changing calls in
their order and asks what POSIX promises: a name outlives a power cut if its
directory was synced after the link, bytes if their file was synced after the write.
"""

import errno
import fcntl
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from unittest import mock

import pytest

from dicomanon_node.spool import Committed, Spool

OUTGOING_PATH = PurePosixPath("study/patient/1.2.3/1.2.3.4/1.2.3.4.5.dcm")
QUEUE_NAME = "1.2.3.4.5.dcm"
DESTINATIONS = ("archive", "research")
ANSWER = b"answered\n"

# Larger than a pipe or a page, so that a torn file would show.
CONTENT = b"".join(hashlib.sha512(bytes([i % 256, i // 256])).digest() for i in range(4000))


def make_spool(base: Path, *, low_water_bytes: int = 0, sync: bool = True) -> Spool:
    """A spool that was prepared, with an outgoing tree beside it."""
    open_spool(base, sync=False).prepare(lock_wait_s=0)
    return open_spool(base, low_water_bytes=low_water_bytes, sync=sync)


def open_spool(base: Path, *, low_water_bytes: int = 0, sync: bool = True) -> Spool:
    """The same spool, as it is before it is prepared or in another process."""
    spool = Spool(
        base / "spool",
        base / "outgoing",
        DESTINATIONS,
        low_water_bytes=low_water_bytes,
        sync=sync,
    )
    _made.append(spool)
    return spool


_made: list[Spool] = []


def close_spools() -> None:
    """Give the descriptors of every spool made here back."""
    while _made:
        _made.pop().close()


@pytest.fixture(autouse=True)
def closes_spools() -> Iterator[None]:
    """Close what a test has made; test modules import this."""
    yield
    close_spools()


def commit(
    spool: Spool,
    content: bytes = CONTENT,
    *,
    outgoing_path: PurePosixPath | None = OUTGOING_PATH,
    queue_name: str = QUEUE_NAME,
    destinations: tuple[str, ...] = DESTINATIONS,
) -> Committed:
    """Write, commit and discard one object, in three fragments."""
    file = spool.open()
    third = len(content) // 3 + 1
    for start in range(0, len(content), third):
        file.write([content[start : start + third]])
    committed = file.commit(
        outgoing_path=outgoing_path, queue_name=queue_name, destinations=destinations
    )
    file.discard()
    return committed


def visible(base: Path) -> dict[str, bytes]:
    """Every file that a courier or a person can see, by its path below `base`."""
    roots = (base / "spool" / "queue", base / "outgoing")
    return {
        str(path.relative_to(base)): path.read_bytes()
        for root in roots
        for path in root.rglob("*")
        if path.is_file()
    }


def everywhere() -> set[str]:
    """The paths at which `commit` leaves its object."""
    return {
        f"outgoing/{OUTGOING_PATH}",
        *(f"spool/queue/{destination}/{QUEUE_NAME}" for destination in DESTINATIONS),
    }


@dataclass(frozen=True)
class Call:
    """A state-changing call that succeeded: link, mkdir, write, sync or answer.

    `path` is what was written or synced, or the new name; `source` the linked file.
    """

    kind: str
    path: str = ""
    source: str = ""


def broken_promises(calls: list[Call], required: set[str]) -> list[str]:
    """What could be lost or torn if the power failed at the worst moment.

    Args:
        calls: In their order.
        required: Paths that must be durable when the answer is given.
    """
    broken: list[str] = []
    dirty_files: set[str] = set()
    names_at_risk: set[str] = set()  # made, and their directory not synced since
    linked: set[str] = set()
    has_answered = False
    for call in calls:
        parents = {str(parent) for parent in PurePosixPath(call.path).parents}
        if call.kind == "write":
            dirty_files.add(call.path)
        elif call.kind == "mkdir":
            names_at_risk.add(call.path)
        elif call.kind == "link":
            if call.source in dirty_files:
                broken.append(f"a name before its data: {call.path}")
            broken += [f"a name before its directory: {call.path}" for _ in parents & names_at_risk]
            names_at_risk.add(call.path)
            linked.add(call.path)
        elif call.kind == "sync":
            dirty_files.discard(call.path)
            names_at_risk = {
                name for name in names_at_risk if str(PurePosixPath(name).parent) != call.path
            }
        elif call.kind == "answer":
            has_answered = True
            broken += [f"an answer before its name: {path}" for path in required - linked]
            broken += [f"an answer before a sync: {path}" for path in names_at_risk]
    if not has_answered:
        broken.append("no answer")
    return broken


CHANGING = ("open", "mkdir", "writev", "write", "fchmod", "fdatasync", "fsync", "link", "unlink")


@contextmanager
def around_calls(after: Callable[[str, tuple[Any, ...], object], None]) -> Iterator[None]:
    """Call `after(name, arguments, result)` after every state-changing call."""

    def wrapped(name: str, function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            result = function(*arguments, **options)
            after(name, (*arguments, *options.values()), result)
            return result

        return call

    with ExitStack() as patches:
        for module, name in [*((os, name) for name in CHANGING), (fcntl, "flock")]:
            function = wrapped(name, getattr(module, name))
            patches.enter_context(mock.patch.object(module, name, function))
        yield


@contextmanager
def recorded() -> Iterator[list[Call]]:
    """Record the state-changing calls of this process, for `broken_promises`."""
    calls: list[Call] = []

    def after(name: str, arguments: tuple[Any, ...], _: object) -> None:
        if name in ("writev", "write"):
            calls.append(Call("write", _path_of(arguments[0])))
        elif name in ("fdatasync", "fsync"):
            calls.append(Call("sync", _path_of(arguments[0])))
        elif name == "mkdir":
            calls.append(Call("mkdir", f"{_path_of(arguments[-1])}/{arguments[0]}"))
        elif name == "link":
            target = f"{_path_of(arguments[-1])}/{arguments[1]}"
            calls.append(Call("link", target, str(arguments[0])))

    with around_calls(after):
        yield calls


def _path_of(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


@contextmanager
def failing(name: str, number: int, code: int = errno.EIO) -> Iterator[None]:
    """Let the `number`-th call (from 1) of `os.<name>` fail with an errno, once."""
    function = getattr(os, name)
    count = 0

    def call(*arguments: object, **options: object) -> object:
        nonlocal count
        count += 1
        if count == number:
            raise OSError(code, os.strerror(code))
        return function(*arguments, **options)

    with mock.patch.object(os, name, call):
        yield


@dataclass(frozen=True)
class Child:
    """A forked process that runs a test's function and writes to a pipe."""

    process_id: int
    output: int

    def wait(self) -> tuple[int, bytes]:
        """Its exit code (negative: the signal it died of) and what it wrote."""
        with open(self.output, "rb") as output:  # noqa: PTH123  (a descriptor)
            written = output.read()
        _, status = os.waitpid(self.process_id, 0)
        return os.waitstatus_to_exitcode(status), written


def fork(function: Callable[[int], None]) -> Child:
    """Run `function(descriptor of the pipe)` in a child process."""
    output, pipe = os.pipe()
    process_id = os.fork()
    if process_id:
        os.close(pipe)
        return Child(process_id, output)
    code = 1
    try:
        function(pipe)
        code = 0
    finally:
        os._exit(code)  # no clean-up of the test run in its copy


if __name__ == "__main__":  # the program that test_commit_order traces
    commit(make_spool(Path(sys.argv[1])))
    os.write(1, ANSWER)
