"""A real node in a directory of its own, and what other programs make of it.

    with running_node(tmp_path / "node", toml=..., studies=...) as node:
        node.send(*files)
        assert node.outgoing_files()
    assert node.exit_code == 0

It is started as a person starts it, `python -m dicomanon_node serve --config DIR`, on
a port of its own choice. What is checked of it is what can be seen from outside: its
output, its files, its processes, the network.
"""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from click.testing import CliRunner
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicomanon_node.cli import main
from dicomanon_node.network.failures import NotSendableError
from dicomanon_node.network.part10 import DicomFile
from dicomanon_node.network.proposal import contexts_for
from dicomanon_node.network.requestor import Requestor

ROOT = Path(__file__).parent.parent
SMALL = sorted((ROOT / "tests" / "data" / "dicom").glob("*.dcm"))
"""Files of `tests/data/dicom`; the rules as shipped accept each of them."""

CORPUS = ROOT.parent / "shared" / "corpus"
"""Many more real files, where they are."""

START_S = 30.0
STOP_S = 45.0

# What every node of a test has, unless the test says otherwise.
_DEFAULTS = {
    "listener.host": "127.0.0.1",
    "listener.port": "0",
    "listener.processes": "2",
    "storage.low_water_bytes": "0",
    "admin.port": "0",
}


def wait_until(condition: Callable[[], object], deadline_s: float = 15.0) -> None:
    """Poll until the condition holds; fail at the deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.01)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Our own, without anything that would configure a node or change DCMTK's defaults."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("DICOMANON_") and key != "TCP_NODELAY"
    }
    return kept | dict(extra or {})


def run(
    *command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and keep what it says."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def cli(
    *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command of the program under test."""
    return run(sys.executable, "-m", "dicomanon_node", *arguments, cwd=cwd, env=env)


def invoke(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command within this process, which is quicker.

    For commands that change nothing of the process: no logs, signals or limits.
    """
    with chdir(cwd or Path.cwd()), mock.patch.dict(os.environ, environment(), clear=True):
        result = CliRunner().invoke(
            main, [str(word) for word in arguments], prog_name="dicomanon-node"
        )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return subprocess.CompletedProcess([], result.exit_code, result.stdout, result.stderr)


def on_a_terminal(*arguments: str, cwd: Path, until: str = "") -> str:
    """What a person sees who runs a command on a terminal.

    Args:
        arguments: Of the program.
        cwd: Where.
        until: Once that is shown, Ctrl-C is pressed.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "dicomanon_node", *arguments],
        cwd=cwd,
        env=environment({"TERM": "xterm"}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
            if until and until.encode() in shown:
                os.killpg(process.pid, signal.SIGINT)  # as the terminal does
                until = ""
    except OSError:  # EIO: the last process that had it has ended
        pass
    finally:
        os.close(ours)
        process.wait(30)
    return shown.decode().replace("\r\n", "\n")


def read(path: Path) -> Dataset:
    """A file as pydicom sees it, without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dcmread(path, force=True)


def is_alive(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
        return state not in "ZX"
    return False


def write_config(
    directory: Path,
    toml: str = "",
    stations: Mapping[str, object] | None = None,
    studies: Mapping[str, object] | None = None,
) -> Path:
    """A configuration directory; the rules are those shipped where none are given."""
    config = directory / "config"
    config.mkdir(parents=True, exist_ok=True)
    (config / "node.toml").write_text(toml, encoding="utf-8")
    for name, content in (("stations.json", stations), ("studies.json", studies)):
        if content is None:
            shutil.copy(ROOT / "config" / name, config / name)
        else:
            (config / name).write_text(json.dumps(content), encoding="utf-8")
    return config


_STARTED = re.compile(rb"process\.started.*pid\W+(\d+)")
_READY = re.compile(rb"node\.ready.*?port\W+(\d+)")


@dataclass
class Node:
    """A node that was started, or was asked to.

    Attributes:
        directory: Where it runs: config/, var/, and its output.
        process: The supervisor.
        ready: Its node.ready event; empty until it has come, or if it does not log JSON.
    """

    directory: Path
    process: subprocess.Popen[bytes]
    ready: dict[str, Any] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        """Its standard output."""
        return self.directory / "stdout"

    @property
    def errors(self) -> str:
        """Its standard error."""
        return (self.directory / "stderr").read_text(encoding="utf-8")

    @property
    def port(self) -> int:
        """Where it listens."""
        found = _READY.search(self.log.read_bytes())
        assert found is not None, "it is not ready"
        return int(found[1])

    @property
    def target(self) -> str:
        """As `send --to` takes it."""
        return f"{self.ready['ae_title']}@127.0.0.1:{self.port}"

    @property
    def spool(self) -> Path:
        """Its spool."""
        return self.directory / "var" / "spool"

    @property
    def outgoing(self) -> Path:
        """Its outgoing directory."""
        return self.directory / "var" / "outgoing"

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self.process.poll()

    def outgoing_files(self) -> dict[str, bytes]:
        """The objects in its outgoing directory, by path."""
        return files_below(self.outgoing)

    def incoming_files(self) -> list[Path]:
        """What is being received just now."""
        return sorted((self.spool / "incoming").iterdir())

    def queued(self, destination: str, kind: str = "queue") -> list[str]:
        """Names of the objects that wait for a destination, or have failed."""
        return sorted(path.name for path in (self.spool / kind / destination).glob("*.dcm"))

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """What it has logged so far: all events, or those of a name."""
        lines = self.log.read_text(encoding="utf-8").split("\n")[:-1]
        events = [json.loads(line) for line in lines]
        return [event for event in events if name is None or event["event"] == name]

    def wait_for(self, name: str, count: int = 1, deadline_s: float = 15.0) -> list[dict[str, Any]]:
        """Wait until so many events of a name are logged."""
        wait_until(lambda: len(self.events(name)) >= count, deadline_s)
        return self.events(name)

    def started_pids(self) -> list[int]:
        """All processes it has ever started, in whichever format it logs."""
        return [int(pid) for pid in _STARTED.findall(self.log.read_bytes())]

    def children(self, role: str = "receiver") -> list[int]:
        """Its living processes of a role, in the order they were started."""
        started = [
            event["pid"] for event in self.events("process.started") if event["role"] == role
        ]
        return [pid for pid in started if is_alive(pid)]

    def send(self, *paths: Path) -> subprocess.CompletedProcess[str]:
        """Send files as a person does, with `dicomanon-node send`."""
        return cli("send", "--to", self.target, *paths)

    def store(self, *paths: Path) -> dict[Path, str]:
        """Send files one after the other; the new SOP Instance UIDs of those accepted."""
        before = len(self.events("instance.stored"))
        accepted = []
        files = [(path, DicomFile.open(path)) for path in paths]
        for start in range(0, len(files), 100):
            batch = files[start : start + 100]
            with Requestor(
                "127.0.0.1",
                self.port,
                calling_aet="TEST",
                called_aet=self.ready["ae_title"],
                contexts=contexts_for([file for _, file in batch]),
            ) as requestor:
                for path, file in batch:
                    with suppress(NotSendableError):
                        if requestor.store(file).status == 0:
                            accepted.append(path)
        stored = self.wait_for("instance.stored", before + len(accepted))[before:]
        return dict(zip(accepted, [event["sop_instance_uid"] for event in stored], strict=True))

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end and wait for that; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(STOP_S)

    def store_all(self, *paths: Path) -> None:
        """Send files, each of which must be accepted."""
        accepted = self.store(*paths)
        assert [path for path in paths if path not in accepted] == []

    def kill(self, pid: int) -> None:
        """Kill one of its processes."""
        assert pid in [event["pid"] for event in self.events("process.started")]
        os.kill(pid, signal.SIGKILL)

    def restarted(self, **options: Any) -> "Node":  # noqa: ANN401  (those of start)
        """Another one in the same directory, after this one has ended."""
        assert self.exit_code is not None
        return start(self.directory, is_new=False, **options)


def files_below(directory: Path) -> dict[str, bytes]:
    """Every file below a directory, by path."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def start(
    directory: Path,
    *,
    toml: str = "",
    stations: Mapping[str, object] | None = None,
    studies: Mapping[str, object] | None = None,
    settings: Mapping[str, object] | None = None,
    env: Mapping[str, str] | None = None,
    python: Sequence[str] = (),
    is_new: bool = True,
    waits: bool = True,
) -> Node:
    """Start a node.

    Args:
        directory: Made for it; config/ and var/ are in it.
        toml: Content of node.toml.
        stations: Content of stations.json; the one shipped if not given.
        studies: Content of studies.json; the one shipped if not given.
        settings: Given as --set. Those of every test's node come first.
        env: Environment variables.
        python: Options of the interpreter.
        is_new: Write the configuration.
        waits: Until it is ready.
    """
    if is_new:
        write_config(directory, toml, stations, studies)
    chosen = _DEFAULTS | {key: str(value) for key, value in (settings or {}).items()}
    options = [word for key, value in chosen.items() for word in ("--set", f"{key}={value}")]
    for name in ("stdout", "stderr"):
        # A process of a run that was killed may still write to its own.
        (directory / name).unlink(missing_ok=True)
    with (directory / "stdout").open("wb") as out, (directory / "stderr").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, *python, "-m", "dicomanon_node", "serve", *options],
            cwd=directory,
            env=environment(env),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
    node = Node(directory, process)
    if waits:
        wait_until(
            lambda: node.exit_code is not None or _READY.search(node.log.read_bytes()), START_S
        )
        assert node.exit_code is None, f"the node did not start: {node.errors}"
        if chosen.get("log.format") != "console":
            node.ready = node.events("node.ready")[0]
    return node


@contextmanager
def running_node(directory: Path, **options: Any) -> Iterator[Node]:  # noqa: ANN401  (those of start)
    """A node while the context lasts; what `start` takes. Leaves no process behind."""
    node = start(directory, **options)
    try:
        yield node
        node.stop()
        assert "Traceback" not in node.errors
    finally:
        if node.exit_code is None:
            node.process.kill()
            node.process.wait(STOP_S)
        wait_until(lambda: not any(is_alive(pid) for pid in node.started_pids()))
