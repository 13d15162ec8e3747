"""The documents are run, as a reader would: each command, and what it is said to print.

A directory of its own for each document, with the configuration as shipped and a few
objects to send in `examples/`. What the reader does not do is done by stage directions
(`support_commands`): a node is started as `make serve` starts it, a scanner sends, a PACS
is there or not. Ports are free ones; whoever runs a node under systemd gets a stand-in
for `systemctl` that does to this node what systemd would do.
"""

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from support_commands import Step, is_as_shown, steps
from support_delivery import storescp
from support_docs import ROOT
from support_node import environment, wait_until
from support_orthanc import Orthanc, orthanc

DEADLINE_S = 90.0
DOCUMENTS = (
    "quick-start.md",
    "consoles.md",
    "destinations.md",
    "migration.md",
    "operations.md",
    "security-guide.md",
    "faq.md",
)
TOOLS = ("jq", "storescp", "Orthanc", "dcmdump", "sqlite3", "movescu", "openssl", "findscu", "curl")

PORTS = ("11112", "11113", "4242", "2762", "8042")
TLS = """[tls]
enabled = true
port = 2762
cert_file = "tls/node.pem"
key_file = "tls/node.key"
ca_file = "tls/ca.pem"
client_certificates = "optional"
"""

SYSTEMCTL = """#!/bin/sh
# A stand-in for systemd's: the node of this directory, config/ and var/.
pid="$STAGE/pid"
case "$1" in
stop)
    kill -TERM "$(cat "$pid")"
    while kill -0 "$(cat "$pid")" 2> "$STAGE/told"; do sleep 0.1; done ;;
start)
    touch node.log
    before=$(grep -c node.ready node.log)
    (dicomanon-node serve >> node.log 2>> told.txt & echo $! > "$pid")
    while [ "$(grep -c node.ready node.log)" = "$before" ]; do
        kill -0 "$(cat "$pid")" || exit 1
        sleep 0.1
    done
    until dicomanon-node status > "$STAGE/told"; do sleep 0.1; done ;;
*) exit 2 ;;
esac
"""


def examples(directory: Path) -> None:
    """Objects that nobody was examined for, under the names that documents use."""
    directory.mkdir()
    head = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    head.save_as(directory / "ct.dcm")
    head.SOPInstanceUID = head.file_meta.MediaStorageSOPInstanceUID = head.SOPInstanceUID + ".2"
    head.StationName = "CT-EAST"
    head.StudyDescription = "CONNECTOME^Head"
    head.save_as(directory / "connectome.dcm")
    head.SOPInstanceUID = head.file_meta.MediaStorageSOPInstanceUID = head.SOPInstanceUID + ".1"
    head.BurnedInAnnotation = "YES"
    head.save_as(directory / "dose-report.dcm")
    jpeg2000 = pydicom.dcmread(ROOT / "tests/data/dicom/pynetdicom-mr-jpeg2000.dcm")
    jpeg2000.StudyDescription = "CONNECTOME^Head"
    jpeg2000.save_as(directory / "jpeg2000.dcm")
    uids = f"{head.StudyInstanceUID}\n{jpeg2000.StudyInstanceUID}\n"
    (directory.parent / "uids.txt").write_text(uids, encoding="ascii")
    shutil.copy(ROOT / "tests/data/dicom/dcm_qa_nih-mr-ge-private.dcm", directory / "ge.dcm")


CANDIDATES = iter(random.sample(range(20_000, 32_000), 2_000))
ONE_AT_A_TIME = threading.Lock()


def lasting_ports(count: int) -> list[str]:
    """Ports that are free, and that no connection gets while a node is stopped and started.

    The system gives outgoing connections ports above 32768. No port is given twice.
    """
    found: list[str] = []
    with ONE_AT_A_TIME:
        while len(found) < count:
            port = next(CANDIDATES)
            with socket.socket() as sock, suppress(OSError):
                sock.bind(("0.0.0.0", port))
                found.append(str(port))
    return found


class Stage:
    """Where one document is run: its directory, its ports, who else is there."""

    def __init__(self, directory: Path, others: ExitStack) -> None:
        self.directory = directory
        self.others = others
        self.away = directory.parent / "stage"
        self.away.mkdir()
        self.ports = dict(zip(PORTS, lasting_ports(len(PORTS)), strict=True))
        self.pacs: dict[str, ExitStack] = {}
        self.archive: Orthanc | None = None
        shutil.copytree(ROOT / "config", directory / "config")
        shutil.copytree(ROOT / "docker", directory / "docker")
        shutil.copytree(ROOT / "tests/data/seed002", directory / "old")
        (directory / ".venv").symlink_to(sys.prefix)
        examples(directory / "examples")
        self._localise()
        programs = self.away / "bin"
        programs.mkdir()
        (programs / "dicomanon-node").symlink_to(Path(sys.executable).parent / "dicomanon-node")
        (programs / "systemctl").write_text(SYSTEMCTL, encoding="utf-8")
        (programs / "systemctl").chmod(0o755)
        others.callback(self.end)

    def environment(self) -> dict[str, str]:
        """That of commands: programs of the system first, and enough room on any disk."""
        path = f"{self.away / 'bin'}:/usr/local/bin:/usr/bin:/bin:/usr/sbin"
        return environment(
            {
                "PATH": path,
                "STAGE": str(self.away),
                "TERM": "dumb",
                "DICOMANON_STORAGE__LOW_WATER_BYTES": "0",
                "DICOMANON_LISTENER__PROCESSES": "2",
                "DICOMANON_LOG__STUDY_QUIET_S": "1",
            }
        )

    def here(self, text: str) -> str:
        """With the ports of this run for those of the document."""
        found = "|".join(self.ports)
        return re.sub(rf"\b({found})\b", lambda port: self.ports[port[0]], text)

    def there(self, text: str) -> str:
        """With the ports of the document for those of this run."""
        shown = {free: port for port, free in self.ports.items()}
        text = re.sub(rf"\b({'|'.join(shown)})\b", lambda free: shown[free[0]], text)
        return text.replace(str(self.directory), "/srv/dicomanon_node")

    def _localise(self) -> None:
        for path in (self.directory / "config").glob("*.toml"):
            path.write_text(self.here(path.read_text(encoding="utf-8")), encoding="utf-8")

    def shell(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run commands as a reader does who pastes them."""
        return subprocess.run(
            ["/bin/sh", "-e", "-c", self.here(command)],
            cwd=self.directory,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )

    def log(self) -> str:
        """What the node has logged."""
        with suppress(FileNotFoundError):
            return (self.directory / "node.log").read_text(encoding="utf-8")
        return ""

    def direct(self, words: list[str]) -> None:
        """Follow a stage direction."""
        if words[0] in {"storescp", "orthanc", "gone"}:
            self.have(words[0], words[1], *words[2:])
            return
        match words:
            case ["node"]:
                assert self.shell("systemctl start dicomanon-node").returncode == 0
            case ["sent", *paths]:
                self.shell(f"dicomanon-node send --from EAST1 {' '.join(paths)}")
            case ["logged", event, count]:
                wait_until(lambda: self.log().count(f'"{event}"') >= int(count), DEADLINE_S)
            case ["recorded", count]:
                wait_until(lambda: self.receipts() >= int(count), DEADLINE_S)
            case ["archived", count]:
                assert self.archive is not None
                held = self.archive.instances
                wait_until(lambda: len(held()) == int(count), DEADLINE_S)
            case ["tls"]:
                self.make_certificates("tls")
                self.speak_tls()
            case ["newcerts"]:
                self.make_certificates("tls/new")
            case _:
                raise AssertionError(f"no such direction: {words}")

    def have(self, kind: str, port: str, *options: str) -> None:
        """Have a PACS of a kind at a port, or none."""
        self.close(port)
        if kind == "gone":
            return
        self.pacs[port] = ExitStack()
        number = int(self.ports[port])
        if kind == "storescp":
            peer = storescp(self.away / f"pacs{port}", *options, port=number)
            self.pacs[port].enter_context(peer)
        else:
            said = json.loads((self.directory / "orthanc.json").read_text(encoding="utf-8"))
            archive = orthanc(self.away / "orthanc", number, said)
            with ONE_AT_A_TIME:  # it takes a free port of its own, and then starts
                self.archive = self.pacs[port].enter_context(archive)

    def receipts(self) -> int:
        """How many receipts there are."""
        return self.shell("dicomanon-node receipts list").stdout.count("\n")

    def speak_tls(self) -> None:
        """Put the certificates into node.toml."""
        path = self.directory / "config/node.toml"
        before, _, rest = path.read_text(encoding="utf-8").partition("[tls]\n")
        _, heading, after = rest.partition("\n# More AE titles")
        path.write_text(before + self.here(TLS) + heading + after, encoding="utf-8")

    def make_certificates(self, name: str) -> None:
        """A certificate of the node and its key, as a site's CA would hand them out."""
        directory = self.directory / name
        made = self.shell(f"dicomanon-node certs {name}/made --host localhost --host 127.0.0.1")
        assert made.returncode == 0, made.stdout
        for made_as, used_as in (("server.pem", "node.pem"), ("server.key", "node.key")):
            (directory / "made" / made_as).rename(directory / used_as)
        (directory / "made" / "ca.pem").rename(directory / "ca.pem")

    def close(self, port: str) -> None:
        """End whoever listens there."""
        if port in self.pacs:
            self.pacs.pop(port).close()

    def end(self) -> None:
        """End the PACS and the node."""
        for port in list(self.pacs):
            self.close(port)
        with suppress(FileNotFoundError, ProcessLookupError):
            pid = int((self.away / "pid").read_text(encoding="ascii"))
            os.kill(pid, signal.SIGTERM)
            end = time.monotonic() + DEADLINE_S
            while time.monotonic() < end:
                os.kill(pid, 0)
                time.sleep(0.05)

    def take(self, step: Step) -> str:
        """Do one step; what was printed, as the document would have it."""
        path = self.directory / step.value
        match step.kind:
            case "write":
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self.here(step.content), encoding="utf-8")
            case "append":
                with path.open("a", encoding="utf-8") as file:
                    file.write("\n" + self.here(step.content))
            case "test":
                self.direct(step.value.split())
            case _:
                done = self.shell(step.content)
                printed = self.there(done.stdout)
                assert done.returncode == step.exit_code, f"line {step.line}:\n{printed}"
                return printed
        return ""


def run(name: str, directory: Path) -> None:
    """Run one document from its first line to its last."""
    directory.mkdir(parents=True)
    with ExitStack() as others:
        stage = Stage(directory, others)
        for step in steps((ROOT / "docs" / name).read_text(encoding="utf-8")):
            printed = stage.take(step)
            if step.printed is not None:
                where = f"{name}:{step.line}"
                assert is_as_shown(step.printed, printed), f"{where} printed\n{printed}"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[None]]]:
    """All documents, run at once: most of the time goes into starting programs."""
    root = tmp_path_factory.mktemp("documents")
    with ThreadPoolExecutor(len(DOCUMENTS)) as pool:
        yield {
            name: pool.submit(run, name, root / Path(name).stem / "dicomanon_node")
            for name in DOCUMENTS
        }


@pytest.mark.timeout(400)
@pytest.mark.tool(*TOOLS)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_commands_of_a_document_do_what_it_shows(
    runs: dict[str, Future[None]], name: str
) -> None:
    runs[name].result()
