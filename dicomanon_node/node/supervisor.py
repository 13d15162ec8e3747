"""The supervisor: binds, forks, watches, ends. It reads top to bottom.

It holds no thread, so it may fork whenever a child has to be replaced. Nothing an
object's safety depends on happens here: killing it loses counts, never instances.
How one configuration follows another is in `succession`.
"""

import os
import select
import selectors
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Final

import dicomanon_node
from dicomanon_node.config import Config
from dicomanon_node.delivery.doorbell import Doorbell
from dicomanon_node.network.ports import Ports
from dicomanon_node.node import build, process
from dicomanon_node.node.auditing import Auditing
from dicomanon_node.node.binding import bind
from dicomanon_node.node.children import ABORT, KILLED_S, STOP, Child, Closeable, Ready, are_running
from dicomanon_node.node.console_place import ConsolePlace
from dicomanon_node.node.control import Control, Document
from dicomanon_node.node.counting import Counting
from dicomanon_node.node.generation import Shared, receiver_count
from dicomanon_node.node.readiness import Readiness
from dicomanon_node.node.receiving import ABORT_S, DRAIN_S
from dicomanon_node.node.recording import Recording
from dicomanon_node.node.signals import Signals
from dicomanon_node.node.status import (
    describe_node,
    describe_processes,
    describe_queues,
)
from dicomanon_node.node.succession import Succession
from dicomanon_node.ops import logs
from dicomanon_node.ops.facts import FactChannel
from dicomanon_node.spool.spool import Spool

_TICK_S: Final = 0.5
_REST_S: Final = 0.02
"""How long facts may wait for company, seconds; the channel holds some hundred."""

# Receivers drain first, then the courier and its like; whoever has not ended by then is killed.
_STOP_RECEIVERS_S: Final = DRAIN_S + 5.0
_STOP_OTHERS_S: Final = 10.0
_STOP_RECORDER_S: Final = 10.0
_STOP_AUDITOR_S: Final = 5.0
_STOP_ABORTED_S: Final = ABORT_S + 2.0

_LOCK_WAIT_S: Final = 3.0
"""How long what is left of a killed node may take to end, seconds."""


@dataclass(frozen=True, slots=True)
class Started:
    """What a start tells a person.

    Attributes:
        host: Address the node listens on.
        port: Port it listens on for plain associations; None: all is TLS.
        has_new_key: The secret key was made just now.
        tls_port: Port it listens on for associations over TLS; None: there is none.
        console: Host and port of the console; None if there is none, or not yet.
    """

    host: str
    port: int | None
    has_new_key: bool
    tls_port: int | None = None
    console: tuple[str, int] | None = None


class Supervisor:
    """Runs the node in the foreground. `run` it once, from the main thread.

    Args:
        config: The configuration.
        load: Reads it again, for a reload; raises ConfigError.
        tell_started: Called once, when associations are accepted. Must not raise.
    """

    def __init__(
        self,
        config: Config,
        load: Callable[[], Config],
        tell_started: Callable[[Started], None],
    ) -> None:
        self._config = config
        self._load = load
        self._tell_started = tell_started
        self._log = logs.get()
        self._readiness = Readiness(self._log)
        self._address = ("", 0)
        self._control: Control | None = None
        self._console: ConsolePlace | None = None

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; a second one ends at once. SIGHUP reloads.

        Returns:
            The exit code: 0, or 1 if a child had to be killed.

        Raises:
            ConfigError: The node cannot be started as configured.
            StartError: One of its processes does not work.
        """
        self._started = time.monotonic()
        process.forbid_core_dumps()
        process.allow_descriptors(self._config.node.listener.max_associations)
        self._log.event("node.starting", version=dicomanon_node.__version__, pid=os.getpid())
        self._key, has_new_key = build.key(self._config)
        if has_new_key:
            self._log.event("node.key_created", key_id=self._key.key_id)
        plans = build.plans(self._config, self._key)
        with ExitStack() as stack:
            self._open(stack)
            spool = build.spool(self._config)
            stack.callback(spool.close)
            spool.prepare(lock_wait_s=_LOCK_WAIT_S)
            ports = stack.enter_context(bind(self._config.node))
            self._open_control(stack)
            self._shared = Shared(ports, self._doorbell, self._lifeline, self._private)
            self._notes = build.receipts(self._config, self._key, self._log)
            self._recording = Recording(self._config, self._shared)
            self._auditing = Auditing(self._config, self._shared)
            self._succession = stack.enter_context(closing(self._succeed(spool)))
            exit_code = 1
            try:
                self._succession.begin(plans)
                self._recording.start()
                self._auditing.start()
                if not self._signals.asked:
                    self._address = ports.host, ports.plain_port or ports.secure_port or 0
                    if self._console is not None:
                        self._console.start()
                    self._tell_ready(ports)
                    self._note("started", version=dicomanon_node.__version__, port=self._address[1])
                    console = self._console.address if self._console else None
                    self._tell_started(
                        Started(
                            ports.host, ports.plain_port, has_new_key, ports.secure_port, console
                        )
                    )
                self._watch()
                exit_code = 0
            finally:
                ports.close()
                exit_code = max(exit_code, self._end())
                self._counting.close()
                seconds = time.monotonic() - self._started
                self._log.event("node.stopped", exit_code=exit_code, seconds=seconds)
        return exit_code

    @property
    def _children(self) -> list[Child]:
        console = [self._console.child] if self._console else []
        lasting = [*self._recording.children, *self._auditing.children]
        return [*self._succession.children, *lasting, *console]

    def _private(self) -> Sequence[Closeable]:
        """What only the supervisor looks at: a child closes its own copies."""
        control = (self._control,) if self._control else ()
        return (self._selector, self._signals, *control, *self._children)

    def _open(self, stack: ExitStack) -> None:
        """Take what has to be given back, whatever happens."""
        self._facts = stack.enter_context(closing(FactChannel()))
        self._counting = Counting(self._facts, self._config.node.log.study_quiet_s, self._log)
        self._doorbell = stack.enter_context(closing(Doorbell()))
        self._lifeline = os.pipe()
        for end in self._lifeline:
            stack.callback(os.close, end)
        admin = self._config.node.admin
        if admin.enabled:
            self._console = ConsolePlace(
                admin, self._lifeline, self._private, self._administer, stack
            )
        self._signals = stack.enter_context(Signals())
        self._selector = stack.enter_context(selectors.DefaultSelector())
        self._selector.register(self._signals, selectors.EVENT_READ)
        self._selector.register(self._facts, selectors.EVENT_READ)

    def _succeed(self, spool: Spool) -> Succession:
        return Succession(
            self._config,
            self._key,
            spool,
            self._shared,
            self._facts.sender,
            lambda: bool(self._signals.asked),
        )

    def _administer(self, ready: Ready) -> None:
        """What the admin process does; it knows the receivers there are when it is forked."""
        self._shared.ports.close()
        receivers = [child.pid for child in self._children if child.role == "receiver"]
        if self._console is not None:
            self._console.serve(self._succession.config, self._load, receivers, ready)

    def _open_control(self, stack: ExitStack) -> None:
        answers = {"reload": self._reload, "status": self._status}
        try:
            self._control = Control(self._config.node.storage.spool, answers)
        except OSError as error:  # a file system without sockets: signals work nevertheless
            self._log.event("control.unavailable", error=error)
            return
        stack.callback(self._control.remove)
        self._selector.register(self._control, selectors.EVENT_READ)

    def _watch(self) -> None:
        while not self._signals.asked:
            self._wait()
            if self._control is not None:
                self._control.serve()
            if self._signals.is_reload_asked:
                self._signals.is_reload_asked = False
                self._reload()
            now = time.monotonic()
            self._succession.look_after(now)
            self._recording.look_after(now)
            self._auditing.look_after(now)
            if self._console is not None:
                self._console.look_after(now)
            self._look_whether_ready(now)
            self._counting.tell_quiet(now)

    def _look_whether_ready(self, now: float) -> None:
        serving, spool = self._succession.serving, self._succession.spool
        full_queues = serving.queue_watch.pressure.full()
        self._readiness.look(serving.receivers, spool, full_queues, now)

    def _reload(self) -> Document:
        client = None

        def load() -> Config:
            nonlocal client
            config = self._load()
            client = build.audit_tls(config)
            return config

        document = self._succession.reload(load)
        config, is_reloaded = self._succession.config, bool(document["is_reloaded"])
        self._note("reloaded", rules=config.rules.digest, is_refused=not is_reloaded)
        if is_reloaded:
            self._auditing.take(config, client)
        return document

    def _status(self) -> Document:
        """What `dicomanon-node status` shows."""
        now = time.monotonic()
        return {
            **describe_node(self._succession.config, *self._address, self._started, now),
            "key_id": self._key.key_id,
            "is_ready": self._readiness.is_ready,
            "not_ready": self._readiness.reasons,
            "processes": describe_processes(self._children, now),
            "retiring": self._succession.retiring_count,
            "queues": describe_queues(self._succession.config),
            "totals": self._counting.totals.describe(),
        }

    def _wait(self) -> None:
        if self._selector.select(_TICK_S):
            # Facts come by the hundred: taken one by one they cost more than all else here.
            # A signal ends the rest.
            select.select([self._signals], [], [], _REST_S)
        self._signals.clear()
        self._counting.take(time.monotonic())

    def _end(self) -> int:
        if self._signals.asked:
            self._log.event("node.draining", signal=self._signals.asked[0].name, deadline_s=DRAIN_S)
        receivers = [child for child in self._children if child.role == "receiver"]
        others = [
            child
            for child in self._children
            if child.role not in ("receiver", "recorder", "auditor")
        ]
        is_clean = self._end_children(receivers, _STOP_RECEIVERS_S)
        # The courier goes after them, so that what has just been received may still be delivered,
        # and who writes down what all of them did goes last.
        is_clean = self._end_children(others, _STOP_OTHERS_S) and is_clean
        self._note("stopped", clean=is_clean)
        is_clean = self._end_children(self._recording.children, _STOP_RECORDER_S) and is_clean
        # What the audit has not been told by then, it is told after the next start.
        self._end_children(self._auditing.children, _STOP_AUDITOR_S)
        self._counting.take(time.monotonic())
        return 0 if is_clean else 1

    def _end_children(self, children: Sequence[Child], within_s: float) -> bool:
        """Ask, and after a second request insist; whether nobody had to be killed."""
        for child in children:
            child.signal(STOP)
        deadline = time.monotonic() + within_s
        is_aborted = False
        while are_running(children) and time.monotonic() < deadline:
            if len(self._signals.asked) > 1 and not is_aborted:
                is_aborted = True
                deadline = min(deadline, time.monotonic() + _STOP_ABORTED_S)
                for child in children:
                    child.signal(ABORT)
            self._wait()
        is_clean = not are_running(children)
        for child in children:
            child.signal(signal.SIGKILL)
        deadline = time.monotonic() + KILLED_S
        while are_running(children) and time.monotonic() < deadline:
            self._wait()
        return is_clean

    def _tell_ready(self, ports: Ports) -> None:
        self._log.event(
            "node.ready",
            host=ports.host,
            port=ports.plain_port,
            tls_port=ports.secure_port,
            ae_title=self._config.node.listener.ae_title,
            processes=receiver_count(self._config),
            pid=os.getpid(),
            studies=len(self._config.rules.studies),
            destination_count=len(self._config.node.destinations),
            rules=self._config.rules.digest,
            key_id=self._key.key_id,
            version=dicomanon_node.__version__,
        )

    def _note(self, kind: str, **facts: str | int) -> None:
        if self._notes is not None:
            self._notes.note(kind, **facts)
            self._notes.close()  # a journal of ours must not be open in a child forked later
