"""The crash campaign: SIGKILL at random times to a node under load of many associations.

What is killed and when is drawn from a seed; when the kernel lets it happen is not, so a
campaign with the same seed is alike, not the same. See `tests/crash/campaign.py`.
"""

import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from support_campaign import (
    Objects,
    Senders,
    Site,
    half_written,
    leaks,
    leaks_in,
    missing,
    stored_bodies,
    wait_for_empty_queues,
)
from support_delivery import StockPeer, storescp

QUEUES = ("share", "stock", "dcmtk")
ASSOCIATIONS = 2  # to each DICOM destination; none of the two peers grants a window

_TOML = """
[[destinations]]
name = "share"
kind = "folder"
path = "share"
[[destinations]]
name = "stock"
kind = "dicom"
ae_title = "STOCK"
host = "127.0.0.1"
port = {stock}
associations = {associations}
[[destinations]]
name = "dcmtk"
kind = "dicom"
ae_title = "DCMTK"
host = "127.0.0.1"
port = {dcmtk}
associations = {associations}
"""

_STARTED = re.compile(rb'"process\.started".*?"pid":(\d+)')
_LOCKS = (".lock", ".lane")
_VICTIMS = ("receiver", "receiver", "receiver", "courier", "courier", "supervisor", "all")


@dataclass
class Report:
    """What a round did, and what it found wrong.

    Attributes:
        objects: How many were sent.
        kills: By victim.
        statuses: Answers by status.
        aborted: Objects that a sender left in the middle.
        resent_by_sender: Arrived again at a destination because the sender sent them again.
        resent_by_courier: Arrived again because the courier was killed before its unlink.
        courier_deaths: How often that may have been.
        seconds: How long it took.
        wrong: Everything that should not be.
    """

    objects: int
    kills: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    aborted: int = 0
    resent_by_sender: int = 0
    resent_by_courier: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    @property
    def courier_deaths(self) -> int:
        """Kills that ended a courier."""
        return self.kills["courier"] + self.kills["supervisor"] + self.kills["all"]

    def __str__(self) -> str:
        kills = ", ".join(f"{count} {victim}" for victim, count in sorted(self.kills.items()))
        statuses = ", ".join(f"{count} x {status:04X}H" for status, count in self.statuses.items())
        return (
            f"{self.objects} objects in {self.seconds:.0f} s; answers: {statuses}; left in the"
            f" middle: {self.aborted}; killed: {kills}; arrived again: {self.resent_by_sender} that"
            f" were sent again unanswered, {self.resent_by_courier} under way in"
            f" {self.courier_deaths} deaths of a courier; wrong: {len(self.wrong)}"
        )


class Round:
    """One node, so many objects, and kills until all of them are answered.

    Args:
        directory: For everything.
        seed: Decides what is killed, and roughly when.
        count: Objects.
        associations: Senders at a time.
        kills: At least so many kills.
        stack: Ends what is started.
    """

    def __init__(
        self,
        directory: Path,
        seed: int,
        stack: ExitStack,
        *,
        count: int = 1000,
        associations: int = 8,
        kills: int = 12,
    ) -> None:
        self._rng = random.Random(seed)  # noqa: S311  (a campaign that can be repeated)
        self._kills = kills
        directory.mkdir(parents=True, exist_ok=True)
        self._dcmtk = directory / "dcmtk"
        self._peer = StockPeer()
        stack.enter_context(self._peer.serving())
        port = stack.enter_context(storescp(self._dcmtk, "--bit-preserving", "--fork"))
        toml = _TOML.format(stock=self._peer.port, dcmtk=port, associations=ASSOCIATIONS)
        self.site = Site(directory / "node", toml)
        self.site.directory.mkdir()
        (self.site.directory / "share").mkdir()
        self.site.start()
        stack.callback(self.site.close)
        self.objects = Objects.make(count, directory / "made", self.site.directory)
        self.senders = Senders(self.objects, self.site.port, associations, seed=seed)
        self.report = Report(count)

    def run(self) -> Report:
        """Send, kill, check; what was found."""
        started = time.monotonic()
        self.senders.start()
        try:
            while not self.senders.is_done() or self.report.kills.total() < self._kills:
                time.sleep(self._rng.uniform(0.05, 0.9))
                self._kill(self._rng.choice(_VICTIMS))
                if time.monotonic() - started > 600:
                    self.report.wrong.append("not all objects were taken within 10 minutes")
                    break
        finally:
            self.senders.stop()
        wait_for_empty_queues(self.site, QUEUES)
        self.site.stop()
        self.site.keep_logs()
        self._check_all()
        self.report.seconds = time.monotonic() - started
        self.report.statuses = self.senders.statuses
        self.report.aborted = self.senders.aborted
        return self.report

    def _kill(self, victim: str) -> None:
        node = self.site.node
        assert node is not None
        if victim in ("receiver", "courier"):
            pids = node.children(victim)
            if not pids:
                return
            with suppress(ProcessLookupError):
                os.kill(self._rng.choice(pids), signal.SIGKILL)
            self.report.kills[victim] += 1
            return
        if victim == "all":
            self.site.kill_all()
        else:
            self.site.kill_supervisor()
        self.report.kills[victim] += 1
        self._check_at_rest()
        self.site.start()
        incoming = self.site.directory / "var" / "spool" / "incoming"
        old = [path for path in incoming.iterdir() if int(path.name.partition("-")[0]) in self._old]
        self.report.wrong += [f"left in incoming: {path.name}" for path in old]

    @property
    def _old(self) -> set[int]:
        """Processes that are no more; numbers that are in use again are not counted."""
        assert self.site.node is not None
        new = set(self.site.node.started_pids())
        return {pid for log in self.site.logs for pid in _started(log)} - new

    def _check_at_rest(self) -> None:
        """Right after a kill, before anybody has tidied up: no process of the node lives."""
        answered = set(self.senders.answered)
        self.report.wrong += half_written(self.site, self.objects, QUEUES)
        self.report.wrong += missing(self.site, self.objects, answered, self._delivered())
        self.report.wrong += leaks_in(self.site.directory, excluding=("config",))

    def _delivered(self) -> dict[str, Callable[[int], bool]]:
        share = self.site.directory / "share"
        dcmtk = stored_names(self._dcmtk)
        return {
            "share": lambda index: (share / self.objects.names[index]).exists(),
            "stock": lambda index: self.objects.uid(index) in self._peer.received,
            "dcmtk": lambda index: self.objects.uid(index) in dcmtk,
        }

    def _check_all(self) -> None:
        wrong, objects = self.report.wrong, self.objects
        self._check_at_rest()
        var = self.site.directory / "var"
        for directory in ("incoming", *(f"{kind}/{name}" for kind in ("queue", "failed")
                                        for name in QUEUES)):  # fmt: skip
            left = [path.name for path in (var / "spool" / directory).iterdir()]
            wrong += [f"left in {directory}: {name}" for name in left if name not in _LOCKS]
        outgoing = {
            str(path.relative_to(var / "outgoing"))
            for path in (var / "outgoing").rglob("*")
            if path.is_file()
        }
        if outgoing != set(objects.paths.values()):
            wrong.append(f"outgoing has {len(outgoing)} files, not {len(objects.paths)}")
        share = {path.name: path.read_bytes() for path in (self.site.directory / "share").iterdir()}
        if share != {objects.names[index]: content for index, content in objects.files.items()}:
            wrong.append("the share has not exactly what was promised")
        bodies = {objects.uid(index): objects.body(index) for index in objects.files}
        if self._peer.received != bodies:
            wrong.append("the stock destination has not exactly what was promised")
        if stored_bodies(self._dcmtk) != bodies:
            wrong.append("DCMTK has not exactly what was promised")
        self._check_resent()
        for log in self.site.logs:
            wrong += [f"in the output: {value}" for value in leaks(log)]

    def _check_resent(self) -> None:
        """Once to each destination, but for two cases that are counted."""
        arrived = Counter(self._peer.order)
        for index in self.objects.files:
            again = arrived[self.objects.uid(index)] - 1
            by_sender = min(again, self.senders.attempts[index] - 1)
            self.report.resent_by_sender += by_sender
            self.report.resent_by_courier += again - by_sender
        most = self.report.courier_deaths * ASSOCIATIONS
        if self.report.resent_by_courier > most:
            self.report.wrong.append(
                f"{self.report.resent_by_courier} arrived again; deaths explain {most}"
            )


def stored_names(directory: Path) -> set[str]:
    """SOP Instance UIDs of what DCMTK's storescp has written."""
    return {path.name.partition(".")[2] for path in directory.iterdir()}


def _started(log: bytes) -> set[int]:
    return {int(pid) for pid in _STARTED.findall(log)}


def run_round(directory: Path, seed: int, **options: int) -> Report:
    """A round in a directory of its own; leaves no process behind."""
    with ExitStack() as stack:
        return Round(directory, seed, stack, **options).run()
