"""The processes that serve one configuration.

A node has one generation, and another one after each reload. The new one accepts
associations on the same listening socket before the old one stops to; the old one's
associations go on under the rules they began with. What ends unasked is started again,
until the generation retires. Decides nothing on configurations.
"""

import gc
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from dicomanon_node.config import Config
from dicomanon_node.delivery.doorbell import Doorbell
from dicomanon_node.errors import NodeError
from dicomanon_node.hold.area import Area
from dicomanon_node.ledger.receipts import ReceiptWriter
from dicomanon_node.network.loads import loads
from dicomanon_node.network.ports import Ports
from dicomanon_node.node import build, process
from dicomanon_node.node.children import (
    KILLED_S,
    RETIRE,
    STOP,
    Child,
    Closeable,
    Ready,
    are_running,
)
from dicomanon_node.node.committing import Commitment
from dicomanon_node.node.delivering import deliver
from dicomanon_node.node.keeping import keep
from dicomanon_node.node.queue_watch import QueueWatch
from dicomanon_node.node.receiving import receive
from dicomanon_node.ops import logs
from dicomanon_node.receive import Receiver

_START_S: Final = 30.0
"""How long a process may take until it works, seconds."""

_LOOK_S: Final = 0.05
MAX_RETIRING: Final = 4
"""Generations whose associations may take as long as they take; each holds its processes."""

_RETIRE_S: Final = 1.0
"""How long a receiver may take to accept no connection any more."""


class StartError(NodeError):
    """A process of the node could not be started. The log says more."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all generations of a node have in common.

    Attributes:
        ports: Where associations are accepted.
        doorbell: Rung by receivers when they have queued something.
        lifeline: Reading and writing end of the pipe that tells of the supervisor's death.
        private: What is the supervisor's own and no child keeps.
    """

    ports: Ports
    doorbell: Doorbell
    lifeline: tuple[int, int]
    private: Callable[[], Sequence[Closeable]]


class Generation:
    """Receivers, courier, keeper, committer and finisher of one configuration.

    Args:
        config: The configuration.
        service: Where instances go.
        shared: What it has in common with others.
        queue_watch: Tells its receivers which queues are full.
        hold: Where refused objects are held; None if they are not.
        receipts: Where its courier writes what it has delivered; None: nowhere.
        commitment: Storage Commitment; None: its requests are not taken.

    Raises:
        ConfigError: The files of TLS cannot be used. They are read here, before any process
            is made, so that one that takes another's place has the same.

    Attributes:
        config: The configuration.
        queue_watch: As given; somebody has to let it look.
        children: Its processes.
    """

    def __init__(
        self,
        config: Config,
        service: Receiver,
        shared: Shared,
        queue_watch: QueueWatch,
        hold: Area | None = None,
        receipts: ReceiptWriter | None = None,
        commitment: Commitment | None = None,
    ) -> None:
        self.config = config
        self.queue_watch = queue_watch
        self._shared = shared
        self._receipts = receipts
        self._is_retired = False
        self._is_hurried = False
        self._client_tls = build.client_tls(config)
        settings = build.listener_settings(config)
        intake = commitment.intake if commitment is not None else None
        self.children = [
            Child(
                "receiver",
                partial(
                    receive,
                    settings,
                    service,
                    shared.ports,
                    load,
                    commitment=intake,
                    is_audited=config.node.audit.enabled,
                ),
            )
            for load in loads(receiver_count(config))
        ]
        if config.node.destinations:
            self.children.append(Child("courier", self._deliver))
        if hold is not None:
            self.children.append(Child("keeper", partial(self._keep, hold)))
        if commitment is not None:
            self.children.append(Child("committer", partial(self._commit, commitment)))
        hook_key = build.hook_key(config)
        if config.node.completion.enabled or config.node.retention.outgoing_days:
            self.children.append(Child("finisher", partial(self._finish, hook_key)))

    @property
    def receivers(self) -> list[Child]:
        """Who receives."""
        return [child for child in self.children if child.role == "receiver"]

    @property
    def is_running(self) -> bool:
        """Whether there still is a process."""
        return any(child.is_running for child in self.children)

    def start(self, is_cancelled: Callable[[], bool]) -> None:
        """Start all processes and wait until they work.

        Args:
            is_cancelled: Whether to wait no longer.

        Raises:
            StartError: One of them does not work. Others may run.
        """
        gc.collect()
        gc.freeze()  # what exists now is shared with the children, page by page, until touched
        deadline = time.monotonic() + _START_S
        for child in self.children:
            try:
                child.start(self._shared.lifeline, self._shared.private())
            except OSError as error:
                logs.get().event("internal.error", where="supervisor", error=error)
                raise StartError(f"{child.role}: no process could be started") from None
        for child in self.children:
            while not child.wait_ready(_LOOK_S):
                if is_cancelled():
                    return
                if child.reap(time.monotonic(), is_expected=False):
                    raise StartError(f"{child.role}: ended at once, exit code {child.exit_code}")
                if time.monotonic() > deadline:
                    raise StartError(f"{child.role}: does not work after {_START_S:.0f} s")

    def look_after(self, now: float) -> list[int]:
        """Take note of who has ended, and start again who is due.

        Args:
            now: Monotonic seconds.

        Returns:
            Process numbers of receivers that ended unasked: their files may be swept.
        """
        ended = []
        for child in self.children:
            has_ended = child.look_after(
                now, self._shared.lifeline, self._shared.private, is_expected=self._is_retired
            )
            if has_ended and child.role == "receiver":
                ended.append(child.last_pid)
        return ended

    def retire(self) -> None:
        """Let every process end what it is at, however long that takes, and begin nothing.

        Only the first time: who accepts nothing any more does not say so again.
        """
        if self._is_retired:
            return
        self._is_retired = True
        retiring = [child for child in self.children if child.is_running]
        for child in self.children:
            child.restart_at = None
        for child in retiring:
            child.forget()
            child.signal(RETIRE)
        # From here on nobody who connects gets the rules of before.
        for child in retiring:
            if child.role == "receiver":
                child.wait_ready(_RETIRE_S)

    def hurry(self) -> None:
        """Let those that retire end as at the end of the node: its associations have 20 s."""
        if self._is_hurried:
            return
        self._is_hurried = True
        for child in self.children:
            child.signal(STOP)
        logs.get().event("generation.hurried")

    def kill(self) -> None:
        """End every process at once: the generation does not work."""
        for child in self.children:
            child.signal(signal.SIGKILL)
        deadline = time.monotonic() + KILLED_S
        while are_running(self.children) and time.monotonic() < deadline:
            time.sleep(_LOOK_S)

    def _deliver(self, ready: Ready) -> None:
        self._shared.ports.close()
        deliver(self.config, ready, self._shared.doorbell, self._client_tls, self._receipts)

    def _finish(self, hook_key: bytes | None, ready: Ready) -> None:
        self._shared.ports.close()
        # SQLAlchemy takes its time to import, and no other process of a generation needs it.
        from dicomanon_node.node.finishing import finish  # noqa: PLC0415  (as above)

        finish(self.config, hook_key, ready)

    def _keep(self, hold: Area, ready: Ready) -> None:
        self._shared.ports.close()
        keep(self.config, hold, ready)

    def _commit(self, commitment: Commitment, ready: Ready) -> None:
        self._shared.ports.close()
        commitment.run(ready)


def hurry_oldest(retiring: Sequence[Generation]) -> None:
    """Reloaded more often than associations end: the oldest processes have waited enough.

    Args:
        retiring: Generations that retire, the oldest first.
    """
    running = [one for one in retiring if one.is_running]
    for one in running[: max(0, len(running) - MAX_RETIRING)]:
        one.hurry()


def receiver_count(config: Config) -> int:
    """How many receivers a configuration wants."""
    return config.node.listener.processes or process.core_count()
