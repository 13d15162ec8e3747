"""The supervisor: binds, forks, watches, ends. It reads top to bottom.

It holds no thread, so it may fork whenever a child has to be replaced. Nothing an
object's safety depends on happens here: killing it loses counts, never instances.
"""

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import dicomanon_node
from dicomanon_node.config import Config
from dicomanon_node.errors import ConfigError, Problem
from dicomanon_node.network import listener
from dicomanon_node.node import build
from dicomanon_node.node.children import Child
from dicomanon_node.node.delivering import deliver
from dicomanon_node.node.receiving import DRAIN_S, receive
from dicomanon_node.ops import logs
from dicomanon_node.ops.facts import FactChannel
from dicomanon_node.ops.studies import QuietStudy, StudyTracker
from dicomanon_node.receive import Receiver
from dicomanon_node.spool.spool import Spool

_TICK_S = 0.5
# Receivers drain first, then the courier; whoever has not ended by then is killed.
_STOP_RECEIVERS_S = DRAIN_S + 5.0
_STOP_COURIER_S = 10.0


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
    """Runs the node in the foreground.

    Args:
        config: The configuration.
        tell_started: Called once, when associations are accepted.
    """

    def __init__(self, config: Config, tell_started: Callable[[Started], None]) -> None:
        self._config = config
        self._tell_started = tell_started
        self._log = logs.get()
        self._facts = FactChannel()
        self._studies = StudyTracker(config.node.log.study_quiet_s)
        self._children: list[Child] = []
        self._signals: list[int] = []
        self._lifeline = os.pipe()

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT.

        Returns:
            The exit code: 0, or 1 if a child had to be killed.

        Raises:
            ConfigError: The node cannot be started as configured.
        """
        started = time.monotonic()
        self._log.event("node.starting", version=dicomanon_node.__version__, pid=os.getpid())
        key, has_new_key = build.key(self._config)
        if has_new_key:
            self._log.event("node.key_created", key_id=key.key_id)
        plans = build.plans(self._config, key)
        spool = build.spool(self._config)
        self._prepare(spool)
        listening = self._bind()
        receiver = Receiver(
            build.router(self._config, plans),
            spool,
            build.receive_settings(self._config),
            self._log,
            self._facts.sender,
        )
        with self._watched_signals() as selector:
            self._start_children(receiver, listening)
            host, port = listening.getsockname()[:2]
            self._log.event(
                "node.ready",
                host=host,
                port=port,
                ae_title=self._config.node.listener.ae_title,
                processes=self._receiver_count,
                pid=os.getpid(),
                studies=len(plans),
                destination_count=len(self._config.node.destinations),
                rules=self._config.rules.digest,
                key_id=key.key_id,
                version=dicomanon_node.__version__,
            )
            self._tell_started(Started(host, port, has_new_key))
            self._watch(selector, spool)
            exit_code = self._end(selector, listening)
        for quiet in self._studies.close():
            self._tell_quiet(quiet)
        spool.close()
        self._log.event(
            "node.stopped", exit_code=exit_code, seconds=round(time.monotonic() - started, 3)
        )
        return exit_code

    @property
    def _receiver_count(self) -> int:
        return self._config.node.listener.processes or os.cpu_count() or 1

    def _prepare(self, spool: Spool) -> None:
        spool.prepare()
        removed = spool.sweep()
        if removed:
            self._log.event("spool.swept", removed=removed)

    def _bind(self) -> socket.socket:
        where = self._config.node.listener
        try:
            return listener.bind(where.host, where.port)
        except OSError as error:
            raise ConfigError(
                Problem(
                    "node.toml",
                    "listener.port",
                    f"cannot listen on {where.host} port {where.port}: "
                    f"{os.strerror(error.errno or 0)};"
                    " is another node running? Choose another port with --set listener.port=N",
                )
            ) from None

    def _watched_signals(self) -> selectors.DefaultSelector:
        # Signals are noted by their handlers; the wake-up descriptor ends the wait.
        selector = selectors.DefaultSelector()
        wake_read, wake_write = socket.socketpair()
        wake_read.setblocking(False)
        wake_write.setblocking(False)
        signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda got, _frame: self._signals.append(got))
        # A handler, though it does nothing: an ignored signal does not wake.
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        selector.register(wake_read, selectors.EVENT_READ, wake_write)
        selector.register(self._facts, selectors.EVENT_READ)
        return selector

    def _start_children(self, receiver: Receiver, listening: socket.socket) -> None:
        self._children = [
            Child("receiver", lambda ready: receive(self._config, receiver, listening, ready))
            for _ in range(self._receiver_count)
        ]
        if self._config.node.destinations:
            self._children.append(Child("courier", lambda ready: deliver(self._config, ready)))
        for child in self._children:
            child.start(self._lifeline)
        for child in self._children:
            child.wait_ready()

    def _watch(self, selector: selectors.DefaultSelector, spool: Spool) -> None:
        while not self._signals:
            self._wait(selector)
            now = time.monotonic()
            for child in self._reap(now, is_expected=False):
                if child.role == "receiver":
                    spool.sweep(child.last_pid)
            for child in self._children:
                if child.restart_at is not None and now >= child.restart_at:
                    child.start(self._lifeline)
            for quiet in self._studies.due(now):
                self._tell_quiet(quiet)

    def _wait(self, selector: selectors.DefaultSelector) -> None:
        for key, _ in selector.select(_TICK_S):
            if key.fileobj is self._facts:
                continue
            source = key.fileobj
            if isinstance(source, socket.socket):
                source.recv(4096)
        now = time.monotonic()
        for fact in self._facts.drain():
            self._studies.add(fact, now)
        dropped = self._facts.take_dropped()
        if dropped:
            self._log.event("facts.dropped", count=dropped)

    def _reap(self, now: float, *, is_expected: bool) -> list[Child]:
        ended = []
        for child in self._children:
            if not child.is_running:
                continue
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                child.ended(os.waitstatus_to_exitcode(status), now, is_expected=is_expected)
                ended.append(child)
        return ended

    def _end(self, selector: selectors.DefaultSelector, listening: socket.socket) -> int:
        self._log.event(
            "node.draining", signal=signal.Signals(self._signals[0]).name, deadline_s=DRAIN_S
        )
        listening.close()
        receivers = [child for child in self._children if child.role == "receiver"]
        couriers = [child for child in self._children if child.role != "receiver"]
        is_clean = self._end_children(selector, receivers, _STOP_RECEIVERS_S)
        # The courier goes last, so that what has just been received may still be delivered.
        return 0 if self._end_children(selector, couriers, _STOP_COURIER_S) and is_clean else 1

    def _end_children(
        self, selector: selectors.DefaultSelector, children: list[Child], deadline_s: float
    ) -> bool:
        deadline = time.monotonic() + deadline_s
        seen = len(self._signals)
        for child in children:
            child.signal(signal.SIGTERM)
        while any(child.is_running for child in children) and time.monotonic() < deadline:
            self._wait(selector)
            self._reap(time.monotonic(), is_expected=True)
            if len(self._signals) > seen:
                # Asked a second time: associations and deliveries are aborted.
                seen = len(self._signals)
                for child in children:
                    child.signal(signal.SIGTERM)
        left = [child for child in children if child.is_running]
        for child in left:
            child.signal(signal.SIGKILL)
        while any(child.is_running for child in left):
            self._wait(selector)
            self._reap(time.monotonic(), is_expected=True)
        return not left

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
            seconds=round(quiet.seconds, 3),
            calling_aet=quiet.calling_aet,
        )
