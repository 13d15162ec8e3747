"""The servers that are measured: how each is started, where it listens and writes.

Every one gets what makes it fast and can be switched on: large PDUs, TCP_NODELAY,
memory. What a peer does when it is not told so is measured where a section says so.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.throughput.outputs import Outputs
from benchmarks.throughput.workers import REPOSITORY, environment

_START_S: Final = 60
_STOP_S: Final = 40
NODELAY: Final = {"TCP_NODELAY": "1"}
FAST: Final = ("-pdu", "131072", "+xa")

# Where the option that switches syncing off may be; without one, the arm is left out.
_SYNC_KEYS: Final = ("spool.sync", "storage.sync")


class UnavailableError(Exception):
    """A server cannot be measured here; the text says why."""


class ServerError(Exception):
    """A server that is there does not do what it should; the text says what."""


class Server:
    """A program that takes associations. Started by `start`, ended by `stop`.

    Args:
        name: As the report calls it.
        called: Its AE title.
        outputs: Where it writes; None if it writes nothing.

    Attributes:
        warm_up_count: Objects it gets before the first measurement; for those that compile
            themselves while they run.
    """

    warm_up_count = 0

    def __init__(self, name: str, called: str, outputs: Outputs | None) -> None:
        self.name = name
        self.called = called
        self.outputs = outputs
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def written(self) -> Outputs:
        """Where it writes.

        Raises:
            ServerError: It writes nothing.
        """
        if self.outputs is None:
            raise ServerError("writes nothing")
        return self.outputs

    @property
    def pid(self) -> int:
        """Its first process.

        Raises:
            ServerError: It does not run.
        """
        if self._process is None:
            raise ServerError("does not run")
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        raise NotImplementedError

    def stop(self) -> None:
        """Ask it to end, and see to it."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(_STOP_S)
        self._process = None

    def _run(
        self, command: Sequence[str], directory: Path, env: Mapping[str, str] | None = None
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / "stdout").open("wb") as out, (directory / "stderr").open("wb") as err:
            self._process = subprocess.Popen(
                list(command),
                cwd=directory,
                env=environment(env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def _is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _wait_listening(self) -> None:
        end = time.monotonic() + _START_S
        while not is_listening(self.port):
            if not self._is_running():
                raise ServerError("ended while it was started")
            if time.monotonic() > end:
                raise ServerError("does not listen")
            time.sleep(0.02)


class StoreScp(Server):
    """DCMTK's storescp.

    Args:
        directory: Where it may write.
        name: As the report calls it.
        options: Of the program.
        writes: Whether it keeps what it gets.
        env: Environment variables.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        options: Sequence[str] = ("--fork", *FAST),
        *,
        writes: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._received = directory / "received"
        super().__init__(
            name, "STORESCP", Outputs(self._received, is_deidentified=False) if writes else None
        )
        self._directory = directory
        self._options = (*options, *(() if writes else ("--ignore",)))
        self._env = NODELAY if env is None else env

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        self._received.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        where = ("-od", str(self._received), str(self.port))
        self._run((installed("storescp"), "-q", *self._options, *where), self._directory, self._env)
        self._wait_listening()


class Null(Server):
    """Our own null server.

    Args:
        directory: For what it says.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__("null server", "NULL", None)
        self._directory = directory

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        self.port = free_port()
        module = ("-m", "benchmarks.throughput.sink", str(self.port))
        self._run((sys.executable, *module), self._directory)
        self._wait_listening()


class Node(Server):
    """The node, as a user starts it.

    Args:
        directory: Gets config/ and var/.
        name: As the report calls it.
        settings: Of node.toml, by dotted key.
        toml: More of it, at its end.
    """

    def __init__(
        self,
        directory: Path,
        name: str = "node",
        settings: Mapping[str, object] | None = None,
        toml: str = "",
    ) -> None:
        self._outgoing = directory / "var" / "outgoing"
        super().__init__(name, "DICOMANON", Outputs(self._outgoing, is_deidentified=True))
        self._directory = directory
        self._settings = dict(settings or {})
        self._toml = toml

    @property
    def queue(self) -> Path:
        """Where instances wait for destinations."""
        return self._directory / "var" / "spool" / "queue"

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        config = configure(self._directory, self._toml)
        self._outgoing.mkdir(parents=True, exist_ok=True)
        options = [f"{key}={json.dumps(value)}" for key, value in self._settings.items()]
        words = [word for option in options for word in ("--set", option)]
        command = (sys.executable, "-m", "dicomanon_node", "serve", "--config", str(config))
        self._run((*command, *words), self._directory)
        end = time.monotonic() + _START_S
        while not (port := self._ready_port()):
            if not self._is_running() or time.monotonic() > end:
                said = (self._directory / "stderr").read_text(encoding="utf-8")[-300:]
                raise ServerError(f"did not start: {said}")
            time.sleep(0.02)
        self.port = port

    def _ready_port(self) -> int:
        log = (self._directory / "stdout").read_text(encoding="utf-8")
        for line in log.splitlines():
            event = json.loads(line) if line.endswith("}") else {}
            if event.get("event") == "node.ready":
                return int(event["port"])
        return 0


def configure(directory: Path, toml: str = "") -> Path:
    """Write a configuration for one run: the rules as shipped, a key of its own.

    Args:
        directory: Gets config/; what the node writes is in var/ beside it.
        toml: More of node.toml.
    """
    config = directory / "config"
    config.mkdir(parents=True, exist_ok=True)
    for name in ("stations.json", "studies.json"):
        shutil.copy(REPOSITORY / "config" / name, config / name)
    (config / "node.toml").write_text(
        f'[listener]\nhost = "127.0.0.1"\nport = 0\n\n[admin]\nport = 0\n\n{toml}',
        encoding="utf-8",
    )
    return config


def sync_option(directory: Path) -> str:
    """The key of node.toml that switches syncing off.

    Args:
        directory: For a configuration to try it with.

    Raises:
        UnavailableError: This version has none.
    """
    config = configure(directory)
    for key in _SYNC_KEYS:
        command = (sys.executable, "-m", "dicomanon_node", "check", "--config", str(config))
        done = subprocess.run(
            [*command, "--set", f"{key}=false"], env=environment(), capture_output=True, check=False
        )
        if done.returncode == 0:
            return key
    raise UnavailableError("this version of the node always syncs")


def installed(program: str) -> str:
    """Where a program is.

    Raises:
        UnavailableError: It is not installed.
    """
    found = shutil.which(program)
    if found is None:
        raise UnavailableError(f"{program} is not installed")
    return found


def free_port() -> int:
    """A TCP port that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def is_listening(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as trying:
        trying.settimeout(1)
        return trying.connect_ex(("127.0.0.1", port)) == 0
