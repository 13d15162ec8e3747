"""What the campaigns share: many objects with planted identities, senders, and what is promised.

A campaign sends distinct small objects, does something terrible to the node meanwhile, and
asks afterwards what a hospital would ask: is everything that was answered 0000H where it
should be, byte by byte, once; and is there a trace of a patient anywhere. What the bytes
should be is said by `dicomanon-node deidentify` with the node's key in another process,
what is searched for by the list of planted values below: neither by the node under test.
"""

import base64
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest
from pydicom.dataset import Dataset
from support_delivery import encoded_dataset, free_port
from support_network import CT, IMPLICIT, RawRequestor, associate_rq, encoded, message, store_rq
from support_node import Node, cli, is_alive, start, wait_until
from support_objects import ct, write

# Each planted value has one of these in it; they stand for all values in a search.
WORDS = ("Quillfeather", "Ottoline", "Saint Elsewhere")
NUMBERS = ("7741902660", "9044170339")
BIRTH_DATE = "19370204"
UID_ROOT = "2.25.77419026600451"
_MARK = b"OBJECT-%08d."

SHARE_AND_STOCK = """
[[destinations]]
name = "share"
kind = "folder"
path = "share"
[[destinations]]
name = "stock"
kind = "dicom"
ae_title = "STOCK"
host = "127.0.0.1"
port = {port}
"""


def instance_uid(index: int) -> str:
    """The SOP Instance UID that an object is sent with."""
    return f"{UID_ROOT}.3.1{index:08d}"


def dataset(index: int, *, pixel_bytes: int = 200, studies: int = 7) -> Dataset:
    """An object with an identity of its own, of fixed lengths: alike to a scanner's series.

    Args:
        index: Its number.
        pixel_bytes: How large its pixel data is.
        studies: So many studies share all objects.
    """
    made = ct(
        instance_uid(index),
        pixel_bytes=pixel_bytes,
        StationName="EXAMPLE-CT1",
        PatientName=f"{WORDS[0]}{index:08d}^{WORDS[1]}",
        PatientID=f"{NUMBERS[0]}-{index % studies}",
        OtherPatientIDs=NUMBERS[1],
        PatientBirthDate=BIRTH_DATE,
        InstitutionName=WORDS[2],
        ReferringPhysicianName=f"{WORDS[0]}^Referrer",
        AccessionNumber=f"{NUMBERS[1]}{index % 100:02d}",
        StudyInstanceUID=f"{UID_ROOT}.1.{index % studies}",
        SeriesInstanceUID=f"{UID_ROOT}.2.{index % studies}",
        StudyDescription=f"of {WORDS[1]} {WORDS[0]}",
        PatientComments=f"{WORDS[1]}, record {NUMBERS[0]}",
        InstanceNumber=str(index),
    )
    pixels = (_MARK % index) * (pixel_bytes // len(_MARK % index) + 1)
    made.PixelData = pixels[:pixel_bytes]
    return made


def send_one(port: int, index: int, data: bytes) -> int | None:
    """Send an object over an association of its own; the status, or None if there was none."""
    try:
        with RawRequestor(port) as requestor:
            requestor.associate(associate_rq(((1, CT, (IMPLICIT,)),), called="DICOMANON"))
            requestor.send(message(store_rq(1, CT, instance_uid(index)), data))
            status: int = requestor.response().Status
            with suppress(OSError, EOFError):
                requestor.release()
            return status
    except (OSError, EOFError):
        return None


@dataclass
class Objects:
    """So many objects, and what the node has to make of each.

    Attributes:
        sent: Data sets as they are sent, by index.
        paths: Below outgoing, by index.
        files: What has to be there, by index.
    """

    sent: list[bytes]
    paths: dict[int, str] = field(default_factory=dict)
    files: dict[int, bytes] = field(default_factory=dict)

    @classmethod
    def make(
        cls, count: int, directory: Path, node_directory: Path, *, studies: int = 7
    ) -> "Objects":
        """Make objects, and have the node's key and rules applied to them beside the node.

        Args:
            count: How many.
            directory: For the originals and the result; not the node's.
            node_directory: Where the node runs; its key is made if there is none.
            studies: Of so many studies.
        """
        originals, result = directory / "originals", directory / "expected"
        originals.mkdir(parents=True)
        made = cls([])
        for index in range(count):
            found = dataset(index, studies=studies)
            made.sent.append(encoded(found))
            write(originals / f"{index}.dcm", found)
        done = cli("deidentify", originals, "--output", result, cwd=node_directory)
        assert done.returncode == 0, done.stderr
        for path in result.rglob("*.dcm"):
            content = path.read_bytes()
            index = int(content[-200:].partition(b"OBJECT-")[2][:8])
            made.paths[index] = str(path.relative_to(result))
            made.files[index] = content
        assert sorted(made.files) == list(range(count))
        assert leaks_in(originals)
        assert leaks_in(result) == []
        return made

    @property
    def names(self) -> dict[int, str]:
        """File names in queues and in destinations of kind "folder", by index."""
        return {index: Path(path).name for index, path in self.paths.items()}

    def uid(self, index: int) -> str:
        """The new SOP Instance UID."""
        return Path(self.paths[index]).stem

    def body(self, index: int) -> bytes:
        """The data set without File Meta Information, as a Storage SCP gets it."""
        content = self.files[index]
        length: int = struct.unpack_from("<L", content, 140)[0]
        return content[144 + length :]


class Senders:
    """Associations that send objects until each was answered 0000H. Threads.

    What is not answered is sent again, as every modality does. `attempts` counts how often
    an object was sent whole, so that what arrives twice can be explained.
    """

    def __init__(
        self, objects: Objects, port: int, count: int, *, seed: int = 1, pause_s: float = 0.0
    ) -> None:
        self._objects = objects
        self._port = port
        self._count = count
        self._rng = random.Random(seed)  # noqa: S311  (a campaign that can be repeated)
        self._pause_s = pause_s
        self._lock = threading.Lock()
        self._left = list(range(len(objects.sent)))
        self._rng.shuffle(self._left)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.answered: set[int] = set()
        self.attempts: Counter[int] = Counter()
        self.statuses: Counter[int] = Counter()
        self.aborted = 0
        self.errors: list[BaseException] = []

    def start(self) -> None:
        """Begin."""
        for number in range(self._count):
            rng = random.Random(self._rng.random())  # noqa: S311  (as above)
            self._threads.append(threading.Thread(target=self._run, args=(rng, number)))
            self._threads[-1].start()

    def is_done(self) -> bool:
        """Whether everything was answered 0000H; raises what a sender raised."""
        if self.errors:
            raise self.errors[0]
        return len(self.answered) == len(self._objects.sent)

    def stop(self) -> None:
        """End after what is under way."""
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, rng: random.Random, number: int) -> None:
        try:
            while not self._stop.is_set() and not self.is_done():
                with suppress(OSError, EOFError):
                    self._association(rng, number)
                self._stop.wait(0.02)
        except BaseException as error:  # noqa: BLE001  (told by `is_done`)
            self.errors.append(error)

    def _association(self, rng: random.Random, number: int) -> None:
        with RawRequestor(self._port) as requestor:
            requestor.send(
                associate_rq(
                    ((1, CT, (IMPLICIT,)),), called="DICOMANON", calling=f"CAMPAIGN{number}"
                )
            )
            if requestor.pdu()[0] != 2:  # A-ASSOCIATE-AC
                return
            for _ in range(rng.randrange(5, 60)):
                index = self._take()
                if index is None or self._stop.is_set():
                    break
                is_answered = False
                try:
                    is_answered = self._store(requestor, rng, index)
                finally:
                    if not is_answered:
                        self._give_back(index)
            with suppress(OSError, EOFError):
                requestor.release()

    def _store(self, requestor: RawRequestor, rng: random.Random, index: int) -> bool:
        whole = message(
            store_rq(1, CT, instance_uid(index)),
            self._objects.sent[index],
            fragment_bytes=rng.choice((300, 4096, 1 << 20)),
        )
        if rng.random() < 0.01:  # goes away in the middle of an object
            requestor.send(whole[: rng.randrange(len(whole) - 1)])
            with self._lock:
                self.aborted += 1
            raise EOFError
        with self._lock:
            self.attempts[index] += 1
        requestor.send(whole)
        status: int = requestor.response().Status
        with self._lock:
            self.statuses[status] += 1
            if status == 0:
                self.answered.add(index)
        if self._pause_s:
            time.sleep(self._pause_s)
        return status == 0

    def _take(self) -> int | None:
        with self._lock:
            return self._left.pop() if self._left else None

    def _give_back(self, index: int) -> None:
        with self._lock:
            self._left.insert(0, index)


# What is searched for, in every file and stream of a node.


def _forms() -> dict[str, bytes]:
    forms: dict[str, bytes] = {}
    for value in (*WORDS, *NUMBERS, BIRTH_DATE, UID_ROOT):
        for codec in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"):
            forms[f"{value} {codec}"] = value.lower().encode(codec)
        if value in (*WORDS, *NUMBERS):
            raw = value.encode()
            forms[f"{value} hex"] = raw.hex().encode()
            forms[f"{value} reversed"] = value.lower()[::-1].encode()
            # Whatever the offset in the text that was encoded, one of three is there.
            for offset in range(3):
                text = base64.b64encode(bytes(offset) + raw)[(offset * 8 + 5) // 6 : -4]
                forms[f"{value} base64 +{offset}"] = text.lower()
    return forms


_FORMS = _forms()


def leaks(data: bytes) -> list[str]:
    """Which planted values are in the bytes, in the encodings and letter cases they may have."""
    lowered = data.lower()
    return [name for name, form in _FORMS.items() if form in lowered]


def leaks_in(directory: Path, *, excluding: Iterable[str] = ()) -> list[str]:
    """Planted values in any file below a directory or in its name, hidden files too."""
    found = []
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if any(name.startswith(prefix) for prefix in excluding):
            continue
        found += [f"name of {name}: {value}" for value in leaks(name.encode(errors="replace"))]
        if path.is_file() and not path.is_symlink():
            with suppress(FileNotFoundError):  # delivered by now
                found += [f"{name}: {value}" for value in leaks(path.read_bytes())]
    return found


# The node, which is killed and comes back on the same port.


@dataclass
class Site:
    """A node in a directory, that can be killed as a whole and started again.

    Attributes:
        directory: Where it runs.
        settings: As `support_node.start` takes them.
        port: Always the same.
        node: The one that runs now, or has ended last.
        logs: What earlier ones have said.
    """

    directory: Path
    toml: str
    settings: dict[str, object] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    port: int = 0
    node: Node | None = None
    logs: list[bytes] = field(default_factory=list)
    starts: int = 0

    def start(self) -> Node:
        """Start it; again, if it was there before."""
        self.port = self.port or free_port()
        self.keep_logs()
        chosen = {"listener.port": self.port, **self.settings}
        self.node = start(
            self.directory, toml=self.toml, settings=chosen, env=self.env, is_new=not self.starts
        )
        self.starts += 1
        return self.node

    def keep_logs(self) -> None:
        """Keep what it has said before the next start empties the files."""
        for name in ("stdout", "stderr"):
            with suppress(FileNotFoundError):
                self.logs.append((self.directory / name).read_bytes())

    def processes(self) -> list[int]:
        """Everything of it that lives: children and grandchildren, too."""
        assert self.node is not None
        found = [self.node.process.pid]
        for pid in found:
            with suppress(OSError):
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
                found += [int(child) for child in children.split()]
        return [pid for pid in found if is_alive(pid)]

    def kill_all(self) -> None:
        """SIGKILL to every process of it, and wait until they are gone."""
        assert self.node is not None
        pids = self.processes()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.node.process.wait(30)
        wait_until(lambda: not any(map(is_alive, (*pids, *self.node_pids()))), 30)

    def kill_supervisor(self) -> None:
        """SIGKILL to the supervisor; its children end by themselves."""
        assert self.node is not None
        pids = self.processes()
        self.node.process.kill()
        self.node.process.wait(30)
        wait_until(lambda: not any(map(is_alive, pids)), 30)

    def node_pids(self) -> list[int]:
        """All it has ever started, this time."""
        return self.node.started_pids() if self.node is not None else []

    def close(self) -> None:
        """Leave no process behind."""
        if self.node is not None:
            if self.node.exit_code is None:
                self.kill_all()
            self.keep_logs()

    def stop(self) -> None:
        """End it in order."""
        assert self.node is not None
        assert self.node.stop() == 0, self.node.errors
        assert "Traceback" not in self.node.errors


def half_written(site: Site, objects: Objects, queues: Sequence[str]) -> list[str]:
    """What can be seen in outgoing and in queues that is not a whole object under its name."""
    wanted = {objects.paths[index]: content for index, content in objects.files.items()}
    names = {objects.names[index]: content for index, content in objects.files.items()}
    outgoing = site.directory / "var" / "outgoing"
    found = [
        f"outgoing: {path.name}"
        for path in outgoing.rglob("*")
        if path.is_file() and wanted.get(str(path.relative_to(outgoing))) != path.read_bytes()
    ]
    for queue in queues:
        for path in (site.directory / "var" / "spool" / "queue" / queue).iterdir():
            if path.name == ".lane":  # who delivers it holds a lock on that
                continue
            with suppress(FileNotFoundError):  # delivered by now
                if names.get(path.name) != path.read_bytes():
                    found.append(f"queue {queue}: {path.name}")
    return found


def missing(
    site: Site,
    objects: Objects,
    answered: Iterable[int],
    delivered: dict[str, Callable[[int], bool]],
) -> list[str]:
    """Promises that are broken: what was answered and is in neither queue nor destination.

    Args:
        site: The node; nothing moves meanwhile, or what is asked of it is too early.
        objects: All of them.
        answered: Indices of those answered 0000H.
        delivered: For each destination, whether it has an object.
    """
    found = []
    for index in answered:
        path = site.directory / "var" / "outgoing" / objects.paths[index]
        if not path.is_file() or path.read_bytes() != objects.files[index]:
            found.append(f"object {index} is not in outgoing")
        for name, has in delivered.items():
            queued = site.directory / "var" / "spool" / "queue" / name / objects.names[index]
            # In this order: what is in the queue now may be delivered before we look there.
            if not (queued.exists() or has(index)):
                found.append(f"object {index} is neither in queue {name} nor delivered")
    return found


def wait_for_empty_queues(site: Site, queues: Sequence[str], deadline_s: float = 120.0) -> None:
    """Wait until everything was delivered."""
    assert site.node is not None
    node = site.node
    wait_until(lambda: not any(node.queued(queue) for queue in queues), deadline_s)


def stored_bodies(directory: Path) -> dict[str, bytes]:
    """What DCMTK's storescp has written: data sets by SOP Instance UID."""
    return {
        path.name.partition(".")[2]: encoded_dataset(path)
        for path in directory.iterdir()
        if path.is_file()
    }


class Strace:
    """strace on living processes, to see their system calls or to make some of them fail.

    Args:
        pids: The processes; their threads, and those to come, are meant too.
        options: What to do with their calls.
        output: Where it writes what it saw.
    """

    def __init__(self, pids: Iterable[int], options: Sequence[str], output: Path) -> None:
        self.output = output
        self._pids = pids = list(pids)
        command = ["strace", "-f", *options, "-o", str(output)]
        command += [word for pid in pids for word in ("-p", str(pid))]
        self._messages = output.with_suffix(".messages")
        with self._messages.open("wb") as messages:
            self._process = subprocess.Popen(command, stderr=messages, stdin=subprocess.DEVNULL)
        wait_until(
            lambda: (
                self._process.poll() is not None
                or all(_tracer(pid) == self._process.pid for pid in pids)
            ),
            30,
        )
        assert self._process.poll() is None, self._messages.read_text(encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let them go on without. What it saw may be cut short if it has killed one of them."""
        self._process.send_signal(signal.SIGTERM)
        try:
            # It may wait for a thread that is no more; where all live, it is to let go in order.
            self._process.wait(10 if all(map(is_alive, self._pids)) else 1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)


def _tracer(pid: int) -> int:
    """Who traces every thread of a process; 0 if one is not traced."""
    tracers = set()
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            found = re.search(r"TracerPid:\t(\d+)", (thread / "status").read_text("ascii"))
            tracers.add(int(found[1]) if found else 0)
    return tracers.pop() if len(tracers) == 1 else 0


def require_strace() -> None:
    """Skip where processes may not be traced; with CI=true that is a failure."""
    if (
        shutil.which("strace")
        and not subprocess.run(
            ["strace", "-o", "/dev/null", "true"],  # noqa: S607  (whichever is installed)
            check=False,
            capture_output=True,
        ).returncode
    ):
        return
    assert os.environ.get("CI") != "true", "strace is missing or may not trace"
    pytest.skip("strace is missing or may not trace here")


@contextmanager
def campaign_site(directory: Path, toml: str, processes: int) -> Iterator[Site]:
    """A site with a node that runs, and with a folder "share".

    Args:
        directory: Made for it.
        toml: Content of node.toml.
        processes: How many receive.
    """
    site = Site(directory, toml, {"listener.processes": processes})
    directory.mkdir()
    (directory / "share").mkdir()
    try:
        site.start()
        yield site
    finally:
        site.close()
