"""The fuzz campaign: mutated PDUs to a living node, mutated data sets and configuration files.

Mutators are our own and seeded: the same seed gives the same cases. Some know the structure of what
they change (elements, lengths, PDUs), some only bytes. What counts as a fault is said in
`Findings`. Coverage is that of lines, by `sys.settrace`, and only measured when asked for:
it makes a case ten times slower.
"""

import dis
import random
import re
import shutil
import struct
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from pydicom.filereader import read_dataset
from support_campaign import NUMBERS, WORDS, dataset, instance_uid, leaks, leaks_in, send_one
from support_network import (
    CT,
    IMPLICIT,
    RELEASE_RQ,
    RawRequestor,
    associate_rq,
    encoded,
    message,
    store_rq,
)
from support_node import CORPUS, SMALL, Node, is_alive

import dicomanon_node
from dicomanon_node.config import load
from dicomanon_node.dataset_stream import Announced, DatasetStream
from dicomanon_node.deid.pseudonyms import Key
from dicomanon_node.deid.templates import Templates
from dicomanon_node.errors import ConfigError, Refused
from dicomanon_node.network.part10 import DicomFile, Part10Error
from dicomanon_node.node import build
from dicomanon_node.routing import Route

CASE_S = 10.0
"""A case takes milliseconds; this many seconds only where something is wrong with its cost."""

HONEST_S = 10.0
"""How long an honest sender may wait for its answer meanwhile, seconds."""

_ROOT = Path(__file__).parent.parent
_PACKAGE = str(Path(dicomanon_node.__file__).parent)
_INTERESTING = (0, 1, 2, 0x7F, 0x80, 0xFF, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_TEXTS = (
    b"\x1b$B", b"\x1b(J", b"\x1b-F", b"\x1b%/I", b"\\ISO 2022 IR 87", b"ISO_IR 192", b"\xff\xfe",
    b"\xed\xa0\x80", b"^^^^", b"====", b"\0", b"\\" * 9, b"{{", b"\xfe\xff\0\xe0\xff\xff\xff\xff",
    b"\xfe\xff\xdd\xe0\0\0\0\0", b"SV10\4\3\2\1", b"### ASCCONV BEGIN", b"PK\3\4", b"\x1f\x8b\x08",
)  # fmt: skip


@dataclass
class Findings:
    """What a campaign did and found.

    Attributes:
        cases: By target.
        outcomes: What became of them, by target and word.
        faults: What should never be, each with the case's number.
        slowest_s: The slowest case.
    """

    cases: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest_s: float = 0.0

    def took(self, name: str, seconds: float) -> None:
        """A case has ended."""
        self.slowest_s = max(self.slowest_s, seconds)
        if seconds > CASE_S:
            self.faults.append(f"{name}: took {seconds:.1f} s")

    def __str__(self) -> str:
        cases = ", ".join(f"{count} of {name}" for name, count in sorted(self.cases.items()))
        outcomes = ", ".join(f"{count} {name}" for name, count in self.outcomes.most_common(16))
        return (
            f"cases: {cases}; outcomes: {outcomes}; slowest {self.slowest_s:.2f} s;"
            f" faults: {len(self.faults)}"
        )


# Mutators of bytes.


def mutated(rng: random.Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Change some bytes, without knowing what they are."""
    result = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        at = rng.randrange(len(result) + 1)
        size = rng.choice((1, 2, 4, 8, rng.randrange(1, 200)))
        match rng.randrange(9):
            case 0 if result:
                result[at % len(result)] ^= 1 << rng.randrange(8)
            case 1:
                result[at : at + size] = rng.randbytes(size)
            case 2:
                del result[at : at + size]
            case 3:
                result[at:at] = result[at : at + size] * rng.choice((1, 2, 50))
            case 4:
                order = rng.choice("<>")
                number = rng.choice(_INTERESTING)
                packed = struct.pack(f"{order}L", number)
                result[at : at + 4] = packed if rng.random() < 0.5 else packed[:2]
            case 5:
                del result[at:]
            case 6:
                result[at:at] = rng.choice(_TEXTS)
            case 7 if others:
                other = rng.choice(others)
                start = rng.randrange(len(other) + 1)
                result[at : at + size] = other[start : start + rng.choice((size, 2000))]
            case _:
                result += rng.randbytes(size)
    return bytes(result[: 1 << 20])


@dataclass(frozen=True)
class Element:
    """Where an element lies in an encoded data set: its header, its value."""

    start: int
    value: int
    end: int


_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR",
                   b"UT", b"UV"))  # fmt: skip


def elements_of(data: bytes, *, is_implicit: bool) -> list[Element]:
    """Top-level elements up to the first of undefined length or the pixel data."""
    found = []
    at = 0
    while at + 8 <= len(data):
        group, number = struct.unpack_from("<HH", data, at)
        vr = data[at + 4 : at + 6]
        if is_implicit:
            value, length = at + 8, struct.unpack_from("<L", data, at + 4)[0]
        elif vr in _LONG:
            if at + 12 > len(data):
                break
            value, length = at + 12, struct.unpack_from("<L", data, at + 8)[0]
        else:
            value, length = at + 8, struct.unpack_from("<H", data, at + 6)[0]
        if length == 0xFFFFFFFF or value + length > len(data) or (group, number) > (0x7FE0, 0):
            break
        found.append(Element(at, value, value + length))
        at = value + length
    return found


def mutated_dataset(  # noqa: C901  (one branch a kind of change)
    rng: random.Random, data: bytes, others: Sequence[bytes], *, is_implicit: bool
) -> bytes:
    """Change a data set, knowing where its elements are."""
    found = elements_of(data, is_implicit=is_implicit)
    if not found or rng.random() < 0.3:
        return mutated(rng, data, others)
    for _ in range(rng.choice((1, 1, 2, 5))):
        one = rng.choice(found)
        whole, header = data[one.start : one.end], data[one.start : one.value]
        value = data[one.value : one.end]
        kind = rng.randrange(9)
        if kind == 0:  # a length that lies
            where = one.value - 4 if is_implicit or one.value - one.start == 12 else one.value - 2
            size = one.value - where
            lie = struct.pack("<L", rng.choice((*_INTERESTING, one.end - one.value + 2)))[:size]
            data = data[:where] + lie + data[one.value :]
        elif kind == 1:  # twice
            data = data[: one.end] + whole + data[one.end :]
        elif kind == 2:  # elsewhere
            other = rng.choice(found)
            data = data[: other.start] + whole + data[other.start :]
        elif kind == 3:  # gone
            data = data[: one.start] + data[one.end :]
        elif kind == 4 and not is_implicit:  # of another VR
            vr = rng.choice((b"UN", b"SQ", b"LT", b"PN", b"DS", b"AT", b"US", b"ZZ", b"OB", b"UT"))
            data = data[: one.start + 4] + vr + data[one.start + 6 :]
        elif kind == 5:  # deep inside
            depth = rng.choice((1, 3, 30, 300))
            opened = (
                header[:4] + b"\xff\xff\xff\xff" if is_implicit
                else header[:4] + b"SQ\0\0\xff\xff\xff\xff"
            ) + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"  # fmt: skip
            closed = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
            inner = opened * depth + whole + closed * rng.choice((depth, depth - 1))
            data = data[: one.end] + inner + data[one.end :]
        elif kind == 6:  # of another tag
            group = rng.choice((8, 0x10, 0x11, 0x20, 0x29, 0x40, 0xFFFE, 0x5000))
            number = rng.choice((0x05, 0x10, 0x16, 0x20, 0x1010, 0xA730, 0xE000))
            tag = struct.pack("<HH", group, number)
            data = data[: one.start] + tag + data[one.start + 4 :]
        else:  # another value of the same length
            changed = mutated(rng, value, others)[: len(value)].ljust(len(value))
            data = data[: one.value] + changed + data[one.end :]
        found = elements_of(data, is_implicit=is_implicit)
        if not found:
            break
    return data[: 1 << 20]


# Target: the engine, in this process.


@dataclass(frozen=True)
class Original:
    """A data set to mutate; `is_planted` where every identity in it is ours."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data: bytes
    is_planted: bool


def originals(limit: int = 200) -> list[Original]:
    """Our own planted objects, those of tests/data and, where it is, of the larger corpus."""
    found = [
        Original(CT, instance_uid(index), IMPLICIT, encoded(dataset(index)), is_planted=True)
        for index in range(8)
    ]
    for path in [*SMALL, *sorted(CORPUS.rglob("*.dcm"))[:limit]]:
        with suppress(Part10Error, OSError):
            file = DicomFile.open(path)
            if file.dataset_bytes < 600_000:
                data = path.read_bytes()[file.dataset_offset :]
                found.append(
                    Original(
                        file.sop_class_uid,
                        file.sop_instance_uid,
                        file.transfer_syntax_uid,
                        data,
                        is_planted=False,
                    )
                )
    return found


class Engine:
    """Data sets through all that happens between the socket and the spool.

    Args:
        directory: For a configuration.
        rng: Decides.
        findings: Where faults go.
    """

    def __init__(self, directory: Path, rng: random.Random, findings: Findings) -> None:
        config = directory / "config"
        shutil.copytree(_ROOT / "config", config)
        loaded = load(config, {}, ())
        plans = build.plans(loaded, Key(bytes(range(7, 39))))
        self._router = build.router(loaded, plans)
        self._settings = build.receive_settings(loaded)
        self._templates: Templates[Route] = Templates()
        self._rng = rng
        self._findings = findings
        self._originals = originals()
        self._others = [original.data for original in self._originals]

    def case(self, number: int) -> None:
        """Mutate a data set and take it through, with short cuts and without."""
        original = self._rng.choice(self._originals)
        if self._rng.random() < 0.3:
            original = self._originals[self._rng.randrange(8)]
        is_implicit = original.transfer_syntax_uid == IMPLICIT
        data = original.data
        if self._rng.random() > 0.05:
            data = mutated_dataset(self._rng, data, self._others, is_implicit=is_implicit)
        name = f"data set {number}"
        started = time.monotonic()
        cuts = sorted(self._rng.randrange(len(data) + 1) for _ in range(self._rng.randrange(4)))
        with_short_cut = self._take(name, original, data, cuts, self._templates)
        without = self._take(name, original, data, [], None)
        self._findings.took(name, time.monotonic() - started)
        self._findings.cases["data sets"] += 1
        self._findings.outcomes[f"data sets {without[0]}"] += 1
        if with_short_cut != without:
            self._findings.faults.append(
                f"{name}: {with_short_cut[0]} by the short cut, {without[0]} without, or other"
                " bytes"
            )
        if original.is_planted and without[0] == "stored":
            for value in _identity(data):
                if value.lower() in without[1].lower():
                    self._findings.faults.append(f"{name}: an identity in the output")

    def _take(
        self,
        name: str,
        original: Original,
        data: bytes,
        cuts: Sequence[int],
        templates: Templates[Route] | None,
    ) -> tuple[str, bytes]:
        output = bytearray()
        stream = DatasetStream(
            Announced(
                original.sop_class_uid,
                original.sop_instance_uid,
                original.transfer_syntax_uid,
                "DICOMANON",
            ),
            self._router,
            self._settings,
            lambda chunks: output.extend(b"".join(chunks)),
            templates=templates,
        )
        try:
            for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
                stream.feed([memoryview(data)[start:end]])
            stream.finish()
        except Refused as refused:
            stream.abandon()
            return refused.reason.code, b""
        except Exception as error:  # noqa: BLE001  (that is what is looked for)
            stream.abandon()
            where = traceback.extract_tb(error.__traceback__)[-1]
            self._findings.faults.append(
                f"{name}: {type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
            )
            return "exception", b""
        stream.release()
        stream.teach()
        return "stored", bytes(output)


def _identity(data: bytes) -> list[bytes]:
    """Planted name and number, where a reader of the standard still finds both in their place.

    An identity that a mutation has moved to where no identity belongs is known to nobody.
    """
    try:
        found: Any = read_dataset(BytesIO(data), is_implicit_VR=True, is_little_endian=True)
        name, number = str(found.PatientName), str(found.PatientID)
    except Exception:  # noqa: BLE001  (pydicom raises what it likes)
        return []
    if re.fullmatch(rf"{WORDS[0]}\d{{8}}\^{WORDS[1]}", name) and re.fullmatch(
        rf"{NUMBERS[0]}-\d", number
    ):
        return [*name.encode().split(b"^"), number.encode()]
    return []


# Target: configuration files, in this process.


class Configurations:
    """Mutated configuration files: loaded, or refused with a `ConfigError`."""

    def __init__(self, directory: Path, rng: random.Random, findings: Findings) -> None:
        self._directory = directory / "mutated"
        self._directory.mkdir()
        self._rng = rng
        self._findings = findings
        names = ("node.toml", "stations.json", "studies.json")
        self._files = {name: [(_ROOT / "config" / name).read_bytes()] for name in names}
        for path in sorted((_ROOT / "tests" / "bad_configs").rglob("*")):
            if path.name in self._files:
                self._files[path.name].append(path.read_bytes())
        seed002 = _ROOT / "tests" / "data" / "seed002"
        for name in names[1:]:
            self._files[name].append((seed002 / name).read_bytes())

    def case(self, number: int) -> None:
        """Mutate one file and load all."""
        changed = self._rng.choice(tuple(self._files))
        for name, contents in self._files.items():
            content = contents[0]
            if name == changed:
                if self._rng.random() < 0.3:
                    content = self._rng.choice(contents)
                content = mutated(self._rng, content, contents)
            (self._directory / name).write_bytes(content)
        name = f"configuration {number}"
        started = time.monotonic()
        try:
            load(self._directory, {}, ())
            outcome = "loaded"
        except ConfigError:
            outcome = "refused"
        except Exception as error:  # noqa: BLE001  (that is what is looked for)
            outcome = "exception"
            where = traceback.extract_tb(error.__traceback__)[-1]
            self._findings.faults.append(
                f"{name}: {type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
            )
            kept = self._directory.parent / f"fault-{number}-{changed}"
            shutil.copy(self._directory / changed, kept)
        self._findings.took(name, time.monotonic() - started)
        self._findings.cases["configurations"] += 1
        self._findings.outcomes[f"configurations {outcome}"] += 1


# Target: a living node.


class Peers:
    """Mutated streams of PDUs to a node, and now and then an honest sender.

    Data sets are left as they are, so that no planted value may come to rest anywhere.
    """

    def __init__(self, node: Node, rng: random.Random, findings: Findings) -> None:
        self._node = node
        self._rng = rng
        self._findings = findings
        self._pids = [node.process.pid, *node.children()]
        self._honest = 0
        self.slowest_answer_s = 0.0

    def case(self, number: int) -> None:
        """Send a stream; every tenth time an honest object as well."""
        rng = self._rng
        data = encoded(dataset(number % 1000))
        syntaxes = [IMPLICIT, "1.2.840.10008.1.2.1"]
        request = associate_rq(((1, CT, syntaxes), (3, CT, syntaxes[:1])), called="DICOMANON")
        command = store_rq(1, CT, instance_uid(number % 1000))
        parts = [
            request,
            message(command, None),
            message(command, data, fragment_bytes=rng.choice((100, 4096)))[len(command) + 12 :],
            RELEASE_RQ,
        ]
        at = rng.choice((0, 0, 1, 1, 3))
        if rng.random() < 0.2 and at == 1:  # a UID that identifies, where a class belongs
            parts[1] = message(store_rq(1, f"1.2.{NUMBERS[0]}", instance_uid(number % 1000)), None)
        else:
            parts[at] = mutated(rng, parts[at], parts)
        if rng.random() < 0.1:
            rng.shuffle(parts)
        outcome = "none"
        started = time.monotonic()
        with suppress(OSError, EOFError), RawRequestor(self._node.port) as requestor:
            requestor.socket.settimeout(0.05)
            for part in parts:
                requestor.send(part)
            while True:
                outcome = f"PDU {requestor.pdu()[0]}"
        self._findings.took(f"peer {number}", time.monotonic() - started)
        self._findings.cases["peers"] += 1
        self._findings.outcomes[f"peers {outcome}"] += 1
        if number % 10 == 0:
            self._ask(number)

    def _ask(self, number: int) -> None:
        index = 1000 + self._honest
        self._honest += 1
        started = time.monotonic()
        status = send_one(self._node.port, index, encoded(dataset(index)))
        seconds = time.monotonic() - started
        self.slowest_answer_s = max(self.slowest_answer_s, seconds)
        if status != 0 or seconds > HONEST_S:
            self._findings.faults.append(f"peer {number}: honest sender got {status} in {seconds}")
        if not all(map(is_alive, self._pids)):
            self._findings.faults.append(f"peer {number}: a process has died")
            self._pids = [self._node.process.pid, *self._node.children()]

    def end(self) -> None:
        """What the node has said and kept of it all."""
        faults, node = self._findings.faults, self._node
        for name in ("internal.error", "process.died", "log.lost"):
            faults += [f"{name}: {event}" for event in node.events(name)]
        faults += [f"in the output: {value}" for value in leaks(node.log.read_bytes())]
        faults += [f"in the errors: {value}" for value in leaks(node.errors.encode())]
        faults += leaks_in(node.directory, excluding=("config",))


# Coverage.


class Lines:
    """Lines of the package that were run, of those there are."""

    def __init__(self) -> None:
        self._seen: dict[CodeType, set[int]] = {}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch this thread."""
        before = sys.gettrace()
        sys.settrace(self._call)
        try:
            yield
        finally:
            sys.settrace(before)

    def _call(self, frame: FrameType, _event: str, _argument: object) -> Any:  # noqa: ANN401  (sys.settrace)
        code = frame.f_code
        if not code.co_filename.startswith(_PACKAGE):
            return None
        seen = self._seen.setdefault(code, {frame.f_lineno})

        def line(inner: FrameType, _event: str, _argument: object) -> Any:  # noqa: ANN401  (as above)
            seen.add(inner.f_lineno)
            return line

        return line

    def report(self, packages: Sequence[str]) -> str:
        """Lines of functions that were run, in percent of those of their package."""
        parts = []
        for package in packages:
            run: set[tuple[str, int]] = set()
            for code, lines in self._seen.items():
                if code.co_filename.startswith(f"{_PACKAGE}/{package}"):
                    run |= {(code.co_filename, line) for line in lines}
            there = set(_lines(Path(_PACKAGE) / package))
            parts.append(f"{package} {100 * len(run & there) / max(1, len(there)):.0f} %")
        return ", ".join(parts)


def _lines(path: Path) -> Iterator[tuple[str, int]]:
    """Lines with code inside functions."""
    for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
        stack = [compile(file.read_text(encoding="utf-8"), str(file), "exec")]
        while stack:
            code = stack.pop()
            inner = [found for found in code.co_consts if isinstance(found, CodeType)]
            stack += inner
            if code.co_flags & 0x02:  # CO_NEWLOCALS: a function, not a module or class body
                yield from ((str(file), line) for _, line in dis.findlinestarts(code) if line)


def campaign(
    targets: Sequence[Callable[[int], None]], *, cases: int = 0, seconds: float = 0.0
) -> None:
    """Run a case of each target in turn, so many or so long."""
    end = time.monotonic() + seconds
    number = 0
    while number < cases or (not cases and time.monotonic() < end):
        for target in targets:
            target(number)
        number += 1
