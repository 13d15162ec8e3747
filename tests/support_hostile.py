"""Peers that mean harm, and what a node's health is while they are at it.

    with attack("slowloris", port):
        ...  # it goes on until the block ends

    python tests/support_hostile.py slowloris 11112 --seconds 10

The command runs an attack against a node of one's own, measures the answer times of an honest
sender beside it, and prints them. Each attack is some threads of this process; attackers
come from another loopback address than the honest sender unless told otherwise.
"""

import argparse
import contextlib
import random
import statistics
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from support_deid import encode
from support_network import (
    CT,
    EXPLICIT,
    IMPLICIT,
    VERIFICATION,
    RawRequestor,
    abort_rq,
    associate_rq,
    command_set,
    encoded,
    message,
    p_data,
    pdv,
    store_rq,
)
from support_objects import ct

ATTACKER = "127.0.0.66"
CALLED = "DICOMANON"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"

PAUSE_S = 0.01
"""Between two connections of one thread that come and go: hundreds a second from all."""

CONTEXTS = (
    (1, CT, (IMPLICIT,)),
    (3, VERIFICATION, (IMPLICIT,)),
    (5, CT, (EXPLICIT,)),
    (7, CT, (DEFLATED,)),
    (9, CT, (BIG_ENDIAN,)),
)
ECHO_RQ = command_set(
    AffectedSOPClassUID=VERIFICATION, CommandField=0x0030, MessageID=3, CommandDataSetType=0x0101
)


class Attacker:
    """One thread of an attack.

    Args:
        port: Of the node, on this machine.
        address: Where the attack comes from.
        over: Set when it is to end.
        seed: Of what is random.
    """

    def __init__(self, port: int, address: str, over: threading.Event, seed: int) -> None:
        self.port = port
        self.address = address
        self.over = over
        self.random = random.Random(seed)  # noqa: S311  (a seed makes an attack repeatable)
        self.request = associate_rq(CONTEXTS, called=CALLED, calling="HOSTILE")

    def connect(self) -> RawRequestor:
        """A connection; time-outs are short, so that an attack ends when it is told to."""
        peer = RawRequestor(self.port, self.address)
        peer.socket.settimeout(2)
        return peer

    def hold(self, count: int, data: bytes) -> None:
        """Keep so many connections on which nothing but `data` was sent; new ones for lost ones."""
        with contextlib.ExitStack() as stack:
            held: list[RawRequestor] = []
            stack.callback(_close_all, held)
            while not self.over.wait(PAUSE_S):
                if len(held) >= count:
                    held.pop(0).socket.close()
                with contextlib.suppress(OSError):
                    held.append(self.connect())
                    held[-1].send(data)

    def again(self, once: Callable[[RawRequestor], object]) -> None:
        """Connect, do something, disconnect; again and again."""
        while not self.over.wait(PAUSE_S):
            with contextlib.suppress(OSError, EOFError, AssertionError), self.connect() as peer:
                once(peer)

    def stream(self, data: bytes, *, reads: bool = False) -> None:
        """Associate and send the same without end; again whenever that ends."""

        def once(peer: RawRequestor) -> None:
            peer.associate(self.request)
            while not self.over.is_set():
                peer.send(data)
                if reads:
                    peer.pdu()

        self.again(once)

    def drip(self, data: bytes, first: bytes = b"") -> None:
        """Send byte by byte, on some connections at a time."""
        while not self.over.is_set():
            with contextlib.ExitStack() as stack:
                peers = []
                with contextlib.suppress(OSError):
                    peers = [stack.enter_context(self.connect()) for _ in range(20)]
                for peer in peers:
                    with contextlib.suppress(OSError):
                        peer.send(first)
                for byte in data:
                    if self.over.wait(0.1):
                        return
                    for peer in peers:
                        with contextlib.suppress(OSError):
                            peer.send(bytes([byte]))


def _close_all(held: Sequence[RawRequestor]) -> None:
    for peer in held:
        peer.socket.close()


def _half(peer: RawRequestor, attacker: Attacker) -> None:
    peer.associate(attacker.request)
    data = encoded(ct("2.25.66", pixel_bytes=60_000))
    peer.send(p_data(pdv(1, 3, store_rq(1, CT, "2.25.66"))) + p_data(pdv(1, 0, data[:50_000])))


def _storm(peer: RawRequestor, attacker: Attacker) -> None:
    peer.associate(attacker.request)
    peer.send(abort_rq())


def _announced(peer: RawRequestor, attacker: Attacker) -> None:
    kind = attacker.random.choice((1, 2, 3, 4, 5, 7, 42))
    if attacker.random.random() < 0.5:
        peer.associate(attacker.request)
    peer.send(struct.pack(">BxL", kind, 0xFFFF_FFFF) + bytes(100_000))


def _garbage(peer: RawRequestor, attacker: Attacker) -> None:
    data = attacker.random.randbytes(attacker.random.randrange(1, 20_000))
    if attacker.random.random() < 0.5:
        peer.associate(attacker.request)
        peer.send(p_data(data) if attacker.random.random() < 0.5 else data)
    else:
        peer.send(data)
    peer.pdu()


def _large_request(peer: RawRequestor, attacker: Attacker) -> None:
    syntax = struct.pack(">BxH", 0x40, 1) + b"1"
    inner = struct.pack(">BxH", 0x30, 3) + b"1.2" + syntax * 60
    contexts = b"".join(
        struct.pack(">BxHB3x", 0x20, len(inner) + 4, number) + inner for number in range(1, 256, 2)
    )
    # Another one each time, so that no answer is remembered.
    identity = struct.pack(">L", attacker.random.getrandbits(32)).hex().encode()
    item = struct.pack(">BxHBBH", 0x58, 6 + len(identity), 1, 0, len(identity)) + identity + b"\0\0"
    body = attacker.request[6:] + contexts + item
    peer.send(struct.pack(">BxL", 1, len(body)) + body)
    peer.pdu()


HELD = 250
"""Connections that each thread of an attack holds: 1000 in all."""

ATTACKS: Mapping[str, Callable[[Attacker], None]] = {
    "silent": lambda attacker: attacker.hold(HELD, b""),
    "silent associations": lambda attacker: attacker.hold(HELD, attacker.request),
    "slowloris": lambda attacker: attacker.drip(attacker.request),
    "slow PDU": lambda attacker: attacker.drip(
        struct.pack(">BxL", 4, 100_000) + bytes(100_000), attacker.request
    ),
    "half request": lambda attacker: attacker.hold(HELD, attacker.request[:100]),
    "connections": lambda attacker: attacker.again(lambda _: None),
    "4 GiB": lambda attacker: attacker.again(lambda peer: _announced(peer, attacker)),
    "garbage": lambda attacker: attacker.again(lambda peer: _garbage(peer, attacker)),
    "abort storm": lambda attacker: attacker.again(lambda peer: _storm(peer, attacker)),
    "half objects": lambda attacker: attacker.again(lambda peer: _half(peer, attacker)),
    "large requests": lambda attacker: attacker.again(lambda peer: _large_request(peer, attacker)),
    "echo flood": lambda attacker: attacker.stream(message(ECHO_RQ, None, 3), reads=True),
    "deaf": lambda attacker: attacker.stream(message(ECHO_RQ, None, 3) * 100),
    "empty PDUs": lambda attacker: attacker.stream(p_data() * 1000),
    "tiny fragments": lambda attacker: attacker.stream(
        p_data(pdv(1, 3, store_rq())) + p_data(*[pdv(1, 0, b"x")] * 9000) * 100
    ),
}

THREADS = 4


@contextlib.contextmanager
def attack(name: str, port: int, *, address: str = ATTACKER, seed: int = 1) -> Iterator[None]:
    """Attack until the block ends.

    Args:
        name: Of `ATTACKS`.
        port: Of the node, on this machine.
        address: Where it comes from.
        seed: Of what is random.
    """
    over = threading.Event()
    attackers = [Attacker(port, address, over, seed + number) for number in range(THREADS)]
    threads = [
        threading.Thread(target=ATTACKS[name], args=(attacker,), daemon=True)
        for attacker in attackers
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads)


def honest_store(
    port: int, number: int, *, patience_s: float = 60.0, pixel_bytes: int = 50_000
) -> float:
    """Associate, store an object, release, as a scanner does: again if there is no room.

    Returns:
        Seconds from the first try to the answer 0000H.
    """
    uid = f"2.25.{10_000 + number}"
    data = encoded(ct(uid, pixel_bytes=pixel_bytes))
    request = associate_rq(((1, CT, (IMPLICIT,)),), called=CALLED, calling="HONEST")
    start = time.monotonic()
    while True:
        try:
            with RawRequestor(port) as peer:
                peer.associate(request)
                peer.send(message(store_rq(1, CT, uid), data, fragment_bytes=16_000))
                status = peer.response().Status
                taken_s = time.monotonic() - start
                assert status == 0, f"status {status:04X}H"
                peer.release()
                return taken_s
        except (OSError, EOFError, AssertionError):  # lost, rejected or aborted: come again
            if time.monotonic() - start > patience_s:
                raise
            time.sleep(0.05)


def tree_pss_bytes(pid: int) -> int:
    """Proportional set size of a process and all below it."""
    total = 0
    for found in (pid, *_descendants(pid)):
        with contextlib.suppress(OSError, StopIteration):  # it has ended meanwhile
            lines = Path(f"/proc/{found}/smaps_rollup").read_text(encoding="ascii").splitlines()
            total += 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


def _descendants(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text(encoding="ascii").split():
                yield int(child)
                yield from _descendants(int(child))


# Objects made to harm.

_NOISE = random.Random(5).randbytes(100_000)  # noqa: S311  (the same each time)


def _body(syntax: str = EXPLICIT, **elements: object) -> bytes:
    """A CT image's header, as pydicom encodes it."""
    dataset = ct("2.25.67", pixel_bytes=8, **elements)
    del dataset.PixelData
    return encode(dataset, syntax)


def _long(tag: tuple[int, int], vr: bytes, length: int, value: bytes = b"") -> bytes:
    return struct.pack("<HH2sHL", *tag, vr, 0, length) + value


def deflate_bomb(size: int) -> bytes:
    """A Deflated data set that inflates to so many bytes more than a header."""
    squeeze = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    pieces = [squeeze.compress(_body() + _long((0x7FE0, 0x0010), b"OW", size))]
    block = bytes(1 << 20)
    pieces += [squeeze.compress(block) for _ in range(size >> 20)]
    return b"".join((*pieces, squeeze.flush()))


def harmful_objects() -> dict[str, tuple[int, bytes, Sequence[int]]]:
    """By what they do: presentation context of `CONTEXTS`, data set, statuses that are right."""
    refused = (0xC000,)
    sequence = _long((0x0040, 0xA730), b"SQ", 0xFFFF_FFFF) + struct.pack(
        "<HHL", 0xFFFE, 0xE000, 0xFFFF_FFFF
    )
    defined = b""
    for _ in range(2000):
        item = struct.pack("<HHL", 0xFFFE, 0xE000, len(defined)) + defined
        defined = _long((0x0040, 0xA730), b"SQ", len(item), item)
    many = b"".join(
        struct.pack("<HH2sH", 0x0011 + 2 * (n >> 15), 0x1000 + (n & 0x7FFF), b"SH", 0)
        for n in range(200_000)
    )
    group = _long((0x0009, 0x1001), b"OB", 0xFFFF_FFF0, bytes(64))
    return {
        "deflate bomb": (7, deflate_bomb(600 << 20), refused),
        "10,000 sequences in each other": (5, _body() + sequence * 10_000, refused),
        "2,000 sequences of defined length": (5, _body() + defined, (0x0000, 0xC000)),
        "an element of 4 GiB": (5, _body() + group, refused),
        "a length beyond the end": (
            5,
            _body() + _long((0x0040, 0xA730), b"SQ", 1000, bytes(8)),
            refused,
        ),
        "a sequence without end": (5, _body() + sequence, refused),
        "65535 x 65535 pixels, two of them there": (
            5,
            _body(Rows=65535, Columns=65535) + _long((0x7FE0, 0x0010), b"OW", 4, bytes(4)),
            (0x0000, 0xC000),
        ),
        "pixel data that says 4 GiB": (
            5,
            _body(Rows=65535, Columns=65535) + _long((0x7FE0, 0x0010), b"OW", 0xFFFF_FFF0, b"1234"),
            refused,
        ),
        "200,000 empty private elements": (5, _body() + many, refused),
        "no data set at all": (5, b"", refused),
        "random bytes": (5, _NOISE, refused),
    }


def store_harmful(port: int, context_id: int, data: bytes) -> int:
    """Send a data set as it is; the status of the answer."""
    with RawRequestor(port, ATTACKER) as peer:
        peer.socket.settimeout(60)
        peer.associate(associate_rq(CONTEXTS, called=CALLED, calling="HOSTILE"))
        command = store_rq(1, CT, "2.25.67")
        peer.send(message(command, data, context_id, fragment_bytes=100_000))
        status: int = peer.response().Status
        peer.release()
        return status


def main() -> None:
    """Attack from a process of its own, measure from another one."""
    parser = argparse.ArgumentParser(description="Attack a node, measure an honest sender.")
    parser.add_argument("attack", choices=[*ATTACKS, "none"])
    parser.add_argument("port", type=int)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--address", default=ATTACKER)
    parser.add_argument("--attack-only", action="store_true")
    arguments = parser.parse_args()
    if arguments.attack_only:
        with attack(arguments.attack, arguments.port, address=arguments.address):
            time.sleep(arguments.seconds)
        return
    attacking = None
    if arguments.attack != "none":
        attacking = subprocess.Popen(
            [
                *(sys.executable, __file__, arguments.attack, str(arguments.port)),
                *("--attack-only", "--address", arguments.address),
                *("--seconds", str(arguments.seconds + 2)),
            ]
        )
        time.sleep(1.5)  # until it is at it
    try:
        times: list[float] = []
        end = time.monotonic() + arguments.seconds
        while time.monotonic() < end:
            times.append(honest_store(arguments.port, len(times)))
            time.sleep(0.02)
    finally:
        if attacking is not None:
            attacking.wait()
    times.sort()
    print(  # noqa: T201  (a command)
        f"{arguments.attack}: {len(times)} objects,"
        f" median {statistics.median(times) * 1000:.0f} ms,"
        f" p99 {times[int(len(times) * 0.99)] * 1000:.0f} ms, longest {times[-1] * 1000:.0f} ms"
    )


if __name__ == "__main__":
    main()
