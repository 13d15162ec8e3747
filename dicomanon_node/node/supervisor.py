"""The supervisor: binds, forks, watches, ends. It reads top to bottom.

It holds no thread, so it may fork whenever a child has to be replaced. Nothing an
object's safety depends on happens here: killing it loses counts, never instances.
"""

import gc
import os
import select
import selectors
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from typing import Final

import dicomanon_node
from dicomanon_node.config import Config
from dicomanon_node.deid.pseudonyms import Key
from dicomanon_node.delivery.doorbell import Doorbell
from dicomanon_node.errors import NodeError
from dicomanon_node.network.loads import loads
from dicomanon_node.node import build, process
from dicomanon_node.node.binding import bind
from dicomanon_node.node.children import ABORT, STOP, Child, Closeable
from dicomanon_node.node.delivering import RingingFacts, deliver
from dicomanon_node.node.receiving import ABORT_S, DRAIN_S, receive
from dicomanon_node.node.signals import Signals
from dicomanon_node.ops import logs
from dicomanon_node.ops.facts import FactChannel
from dicomanon_node.ops.studies import QuietStudy, StudyTracker
from dicomanon_node.receive import Receiver

_TICK_S: Final = 0.5
_REST_S: Final = 0.02
"""How long facts may wait for company, seconds; the channel holds some hundred."""

_START_S: Final = 30.0
"""How long a process may take until it works, seconds."""

# Receivers drain first, then the courier; whoever has not ended by then is killed.
_STOP_RECEIVERS_S: Final = DRAIN_S + 5.0
_STOP_COURIER_S: Final = 10.0
_STOP_ABORTED_S: Final = ABORT_S + 2.0
# A process that waits for a disk that does not answer cannot even be killed.
_STOP_KILLED_S: Final = 2.0

_LOCK_WAIT_S: Final = 3.0
"""How long what is left of a killed node may take to end, seconds."""


class StartError(NodeError):
    """A process of the node could not be started. The log says more."""


@dataclass(frozen=True, slots=True)
class Started:
    """What a start tells a person.

    Attributes:
        host: Address the node listens on.
        port: Port it listens on.
        has_new_key: The secret key was made just now.
    """

    host: str
    port: int
    has_new_key: bool


class Supervisor:
    """Runs the node in the foreground. `run` it once, from the main thread.

    Args:
        config: The configuration.
        tell_started: Called once, when associations are accepted. Must not raise.
    """

    def __init__(self, config: Config, tell_started: Callable[[Started], None]) -> None:
        self._config = config
        self._tell_started = tell_started
        self._log = logs.get()
        self._studies = StudyTracker(config.node.log.study_quiet_s)
        self._children: list[Child] = []

    def run(self) -> int:
        """Serve until SIGTERM, SIGINT or SIGHUP; a second one ends at once.

        Returns:
            The exit code: 0, or 1 if a child had to be killed.

        Raises:
            ConfigError: The node cannot be started as configured.
            StartError: One of its processes does not work.
        """
        started = time.monotonic()
        process.forbid_core_dumps()
        process.allow_descriptors(self._config.node.listener.max_associations)
        self._log.event("node.starting", version=dicomanon_node.__version__, pid=os.getpid())
        key, has_new_key = build.key(self._config)
        if has_new_key:
            self._log.event("node.key_created", key_id=key.key_id)
        plans = build.plans(self._config, key)
        with ExitStack() as stack:
            self._open(stack)
            self._spool.prepare(lock_wait_s=_LOCK_WAIT_S)
            self._sweep()
            listening = stack.enter_context(bind(self._config.node.listener))
            receiver = Receiver(
                build.router(self._config, plans),
                self._spool,
                build.receive_settings(self._config),
                self._log,
                RingingFacts(self._facts.sender, self._doorbell)
                if self._config.node.destinations
                else self._facts.sender,
            )
            exit_code = 1
            try:
                self._start_children(receiver, listening)
                if not self._signals.asked:
                    host, port = listening.getsockname()[:2]
                    self._tell_ready(host, port, key)
                    self._tell_started(Started(host, port, has_new_key))
                self._watch()
                exit_code = 0
            finally:
                listening.close()
                exit_code = max(exit_code, self._end())
                for quiet in self._studies.close():
                    self._tell_quiet(quiet)
                seconds = time.monotonic() - started
                self._log.event("node.stopped", exit_code=exit_code, seconds=seconds)
        return exit_code

    @property
    def _receiver_count(self) -> int:
        return self._config.node.listener.processes or process.core_count()

    @property
    def _private(self) -> Sequence[Closeable]:
        """What only the supervisor looks at: a child closes its own copies."""
        return (self._selector, self._signals, *self._children)

    def _open(self, stack: ExitStack) -> None:
        """Take what has to be given back, whatever happens."""
        self._spool = build.spool(self._config)
        stack.callback(self._spool.close)
        self._facts = stack.enter_context(closing(FactChannel()))
        self._doorbell = stack.enter_context(closing(Doorbell()))
        self._lifeline = os.pipe()
        for end in self._lifeline:
            stack.callback(os.close, end)
        self._signals = stack.enter_context(Signals())
        self._selector = stack.enter_context(selectors.DefaultSelector())
        self._selector.register(self._signals, selectors.EVENT_READ)
        self._selector.register(self._facts, selectors.EVENT_READ)

    def _sweep(self, process_id: int | None = None) -> None:
        try:
            removed = self._spool.sweep(process_id)
        except OSError:
            # Leftovers take room and do no harm; receivers tell what is wrong with the spool.
            return
        if removed:
            self._log.event("spool.swept", removed=removed)

    def _start_children(self, receiver: Receiver, listening: socket.socket) -> None:
        self._children = [
            Child("receiver", partial(receive, self._config, receiver, listening, load))
            for load in loads(self._receiver_count)
        ]
        if self._config.node.destinations:

            def deliver_only(ready: Callable[[], None]) -> None:
                listening.close()
                deliver(self._config, ready, self._doorbell)

            self._children.append(Child("courier", deliver_only))
        gc.collect()
        gc.freeze()  # what exists now is shared with the children, page by page, until touched
        deadline = time.monotonic() + _START_S
        for child in self._children:
            try:
                child.start(self._lifeline, self._private)
            except OSError as error:
                self._log.event("internal.error", where="supervisor", error=error)
                raise StartError(f"{child.role}: no process could be started") from None
        for child in self._children:
            while not child.wait_ready(_TICK_S / 10):
                if self._signals.asked:
                    return
                if child.reap(time.monotonic(), is_expected=False):
                    raise StartError(f"{child.role}: ended at once, exit code {child.exit_code}")
                if time.monotonic() > deadline:
                    raise StartError(f"{child.role}: does not work after {_START_S:.0f} s")

    def _watch(self) -> None:
        while not self._signals.asked:
            self._wait()
            now = time.monotonic()
            for child in self._children:
                if child.reap(now, is_expected=False) and child.role == "receiver":
                    self._sweep(child.last_pid)
                if child.restart_at is not None and now >= child.restart_at:
                    self._restart(child, now)
            for quiet in self._studies.due(now):
                self._tell_quiet(quiet)

    def _restart(self, child: Child, now: float) -> None:
        try:
            child.start(self._lifeline, self._private)
        except OSError as error:
            child.postpone(now)
            self._log.event("internal.error", where="supervisor", error=error)

    def _wait(self) -> None:
        if self._selector.select(_TICK_S):
            # Facts come by the hundred: taken one by one they cost more than all else here.
            # A signal ends the rest.
            select.select([self._signals], [], [], _REST_S)
        self._signals.clear()
        self._take_facts()

    def _take_facts(self) -> None:
        now = time.monotonic()
        for fact in self._facts.drain():
            self._studies.add(fact, now)
        dropped = self._facts.take_dropped()
        if dropped:
            self._log.event("facts.dropped", count=dropped)

    def _end(self) -> int:
        if self._signals.asked:
            self._log.event("node.draining", signal=self._signals.asked[0].name, deadline_s=DRAIN_S)
        receivers = [child for child in self._children if child.role == "receiver"]
        others = [child for child in self._children if child.role != "receiver"]
        is_clean = self._end_children(receivers, _STOP_RECEIVERS_S)
        # The courier goes last, so that what has just been received may still be delivered.
        is_clean = self._end_children(others, _STOP_COURIER_S) and is_clean
        self._take_facts()
        return 0 if is_clean else 1

    def _end_children(self, children: Sequence[Child], within_s: float) -> bool:
        """Ask, and after a second request insist; whether nobody had to be killed."""
        for child in children:
            child.signal(STOP)
        deadline = time.monotonic() + within_s
        is_aborted = False
        while self._are_running(children) and time.monotonic() < deadline:
            if len(self._signals.asked) > 1 and not is_aborted:
                is_aborted = True
                deadline = min(deadline, time.monotonic() + _STOP_ABORTED_S)
                for child in children:
                    child.signal(ABORT)
            self._wait()
        is_clean = not self._are_running(children)
        for child in children:
            child.signal(signal.SIGKILL)
        deadline = time.monotonic() + _STOP_KILLED_S
        while self._are_running(children) and time.monotonic() < deadline:
            self._wait()
        return is_clean

    def _are_running(self, children: Sequence[Child]) -> bool:
        now = time.monotonic()
        for child in children:
            child.reap(now, is_expected=True)
        return any(child.is_running for child in children)

    def _tell_ready(self, host: str, port: int, key: Key) -> None:
        self._log.event(
            "node.ready",
            host=host,
            port=port,
            ae_title=self._config.node.listener.ae_title,
            processes=self._receiver_count,
            pid=os.getpid(),
            studies=len(self._config.rules.studies),
            destination_count=len(self._config.node.destinations),
            rules=self._config.rules.digest,
            key_id=key.key_id,
            version=dicomanon_node.__version__,
        )

    def _tell_quiet(self, quiet: QuietStudy) -> None:
        self._log.event(
            "study.quiet",
            study=quiet.study,
            study_uid=quiet.study_uid,
            series=quiet.series_count,
            instances=quiet.instance_count,
            duplicates=quiet.duplicate_count,
            refused=quiet.refused_count,
            bytes=quiet.bytes_count,
            seconds=quiet.seconds,
            calling_aet=quiet.calling_aet,
        )
