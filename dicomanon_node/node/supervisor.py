"""The supervisor: binds, forks, watches, ends. It reads top to bottom.

It holds no thread, so it may fork whenever a child has to be replaced. Nothing an
object's safety depends on happens here: killing it loses counts, never instances.
"""

import os
import select
import selectors
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Final

import dicomanon_node
from dicomanon_node.config import Config
from dicomanon_node.deid.plan import Plan
from dicomanon_node.delivery.doorbell import Doorbell
from dicomanon_node.errors import ConfigError, Problem
from dicomanon_node.holding import Hold
from dicomanon_node.network.ports import Ports
from dicomanon_node.node import build, committing, fixed, process
from dicomanon_node.node.binding import bind
from dicomanon_node.node.children import ABORT, STOP, Child, Closeable, Ready
from dicomanon_node.node.console_place import ConsolePlace
from dicomanon_node.node.control import Control, Document
from dicomanon_node.node.counting import Counting
from dicomanon_node.node.delivering import RingingFacts
from dicomanon_node.node.generation import Generation, Shared, receiver_count
from dicomanon_node.node.notices import configure_logs, tell_warnings
from dicomanon_node.node.queue_watch import QueueWatch
from dicomanon_node.node.readiness import Readiness
from dicomanon_node.node.receiving import ABORT_S, DRAIN_S
from dicomanon_node.node.recording import Recording
from dicomanon_node.node.signals import Signals
from dicomanon_node.node.status import (
    describe_node,
    describe_processes,
    describe_queues,
)
from dicomanon_node.ops import logs
from dicomanon_node.ops.facts import FactChannel
from dicomanon_node.receive import Receiver
from dicomanon_node.spool.spool import Spool

_TICK_S: Final = 0.5
_REST_S: Final = 0.02
"""How long facts may wait for company, seconds; the channel holds some hundred."""

# Receivers drain first, then the courier; whoever has not ended by then is killed.
_STOP_RECEIVERS_S: Final = DRAIN_S + 5.0
_STOP_COURIER_S: Final = 10.0
_STOP_RECORDER_S: Final = 10.0
_STOP_ABORTED_S: Final = ABORT_S + 2.0
# A process that waits for a disk that does not answer cannot even be killed.
_STOP_KILLED_S: Final = 2.0

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
        self._generations: list[Generation] = []  # the last one serves, the others retire
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
            self._spool = build.spool(self._config)
            stack.callback(lambda: self._spool.close())  # noqa: PLW0108  (the one of that time)
            self._spool.prepare(lock_wait_s=_LOCK_WAIT_S)
            self._sweep()
            ports = stack.enter_context(bind(self._config.node))
            self._open_control(stack)
            self._shared = Shared(ports, self._doorbell, self._lifeline, self._private)
            self._notes = build.receipts(self._config, self._key, self._log)
            self._recording = Recording(self._config, self._shared)
            exit_code = 1
            try:
                generation = self._generate(self._config, plans, self._spool)
                self._generations.append(generation)
                generation.start(lambda: bool(self._signals.asked))
                self._recording.start()
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
        serving = [child for generation in self._generations for child in generation.children]
        console = [self._console.child] if self._console else []
        return [*serving, *self._recording.children, *console]

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

    def _administer(self, ready: Ready) -> None:
        """What the admin process does; it knows the receivers there are when it is forked."""
        self._shared.ports.close()
        receivers = [child.pid for child in self._children if child.role == "receiver"]
        if self._console is not None:
            self._console.serve(self._config, self._load, receivers, ready)

    def _open_control(self, stack: ExitStack) -> None:
        answers = {"reload": self._reload, "status": self._status}
        try:
            self._control = Control(self._config.node.storage.spool, answers)
        except OSError as error:  # a file system without sockets: signals work nevertheless
            self._log.event("control.unavailable", error=error)
            return
        stack.callback(self._control.remove)
        self._selector.register(self._control, selectors.EVENT_READ)

    def _generate(self, config: Config, plans: Mapping[str, Plan], spool: Spool) -> Generation:
        storage = config.node.storage
        queue_watch = QueueWatch(
            storage.spool,
            build.destination_names(config),
            storage.queue_high_water,
            storage.queue_low_water,
            self._log,
        )
        hold = self._hold(config) if config.node.hold.enabled else None
        has_couriers = bool(config.node.destinations)
        receipts = build.receipts(config, self._key, self._log)
        sender = self._facts.sender
        receiver = Receiver(
            build.router(config, plans),
            spool,
            build.receive_settings(config),
            self._log,
            RingingFacts(sender, self._doorbell) if has_couriers else sender,
            queue_watch.pressure,
            hold,
            receipts,
            build.crosswalk(config, self._key, receipts, self._log),
        )
        held = hold.area if hold is not None else None
        commitment = committing.prepare(
            config, self._key, self._log, is_first=not self._generations
        )
        return Generation(config, receiver, self._shared, queue_watch, held, receipts, commitment)

    def _hold(self, config: Config) -> Hold:
        hold, has_new_key = build.hold(config, self._key, makes_key=True)
        if has_new_key:
            self._log.event("hold.key_created", key_id=hold.area.keys.current.key_id)
        hold.area.prepare()
        return hold

    def _sweep(self, process_id: int | None = None) -> None:
        try:
            removed = self._spool.sweep(process_id)
        except OSError:
            # Leftovers take room and do no harm; receivers tell what is wrong with the spool.
            return
        if removed:
            self._log.event("spool.swept", removed=removed)

    def _watch(self) -> None:
        while not self._signals.asked:
            self._wait()
            if self._control is not None:
                self._control.serve()
            if self._signals.is_reload_asked:
                self._signals.is_reload_asked = False
                self._reload()
            now = time.monotonic()
            for generation in self._generations:
                for process_id in generation.look_after(now):
                    self._sweep(process_id)
                generation.queue_watch.look(now)
            self._recording.look_after(now)
            if self._console is not None:
                self._console.look_after(now)
            self._look_whether_ready(now)
            *retired, serving = self._generations
            self._generations = [*(one for one in retired if one.is_running), serving]
            self._counting.tell_quiet(now)

    def _look_whether_ready(self, now: float) -> None:
        serving = self._generations[-1]
        full_queues = serving.queue_watch.pressure.full()
        self._readiness.look(serving.receivers, self._spool, full_queues, now)

    def _reload(self) -> Document:
        """Let another generation take over; what is wrong with it leaves things as they are."""
        started = time.monotonic()
        try:
            config = self._load()
            fixed.check(self._config, config, self._key)
            self._take_over(config)
        except ConfigError as error:
            problems = error.problems
        except Exception as error:  # noqa: BLE001  (whatever it is: the node goes on as it was)
            self._log.event("internal.error", where="supervisor", error=error)
            problems = (Problem("", "", "it could not be put to use; the log says more"),)
        else:
            self._log.event(
                "node.reloaded",
                studies=len(config.rules.studies),
                destination_count=len(config.node.destinations),
                rules=config.rules.digest,
                seconds=time.monotonic() - started,
            )
            return {"is_reloaded": True, "rules": config.rules.digest}
        for problem in problems:
            self._log.event(
                "node.reload_failed",
                file=problem.file,
                path=problem.path,
                message=problem.message,
                rules=self._config.rules.digest,
            )
        told = [[problem.file, problem.path, problem.message] for problem in problems]
        return {"is_reloaded": False, "rules": self._config.rules.digest, "problems": told}

    def _take_over(self, config: Config) -> None:
        """Start a generation; only when it works the one before retires.

        Raises:
            ConfigError: The configuration cannot be used.
            StartError: Its processes do not work. None of them is left.
            OSError: There are no descriptors left.
        """
        plans = build.plans(config, self._key)
        spool = build.spool(config)
        generation = self._generate(config, plans, spool)
        with ExitStack() as undo:
            undo.callback(spool.close)
            spool.prepare(is_locked=True)
            # Processes write the log as it was configured when they were started.
            undo.callback(configure_logs, self._config)
            configure_logs(config, *(one.config for one in self._generations))
            self._generations.append(generation)
            undo.callback(self._discard, generation)
            generation.start(lambda: bool(self._signals.asked))
            undo.pop_all()
        for earlier in self._generations[:-1]:
            earlier.retire()
        spool.take_lock(self._spool)
        self._spool.close()
        self._config, self._spool = config, spool
        tell_warnings(config)

    def _discard(self, generation: Generation) -> None:
        """A generation does not work: nothing of it stays."""
        for child in generation.children:
            child.signal(signal.SIGKILL)
        deadline = time.monotonic() + _STOP_KILLED_S
        while self._are_running(generation.children) and time.monotonic() < deadline:
            time.sleep(_REST_S)
        self._generations.remove(generation)

    def _status(self) -> Document:
        """What `dicomanon-node status` shows."""
        now = time.monotonic()
        return {
            **describe_node(self._config, *self._address, self._started, now),
            "key_id": self._key.key_id,
            "is_ready": self._readiness.is_ready,
            "not_ready": self._readiness.reasons,
            "processes": describe_processes(self._children, now),
            "retiring": sum(one.is_running for one in self._generations[:-1]),
            "queues": describe_queues(self._config),
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
        couriers = [child for child in self._children if child.role in {"courier", "finisher"}]
        is_clean = self._end_children(receivers, _STOP_RECEIVERS_S)
        # The courier goes after them, so that what has just been received may still be delivered,
        # and who writes down what they did goes last.
        is_clean = self._end_children(couriers, _STOP_COURIER_S) and is_clean
        self._note("stopped", clean=is_clean)
        is_clean = self._end_children(self._recording.children, _STOP_RECORDER_S) and is_clean
        self._counting.take(time.monotonic())
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
