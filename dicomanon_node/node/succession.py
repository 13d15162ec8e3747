"""The generations of a node, one after another: how one takes over from the one before.

A reload makes a generation of the configuration as it is now. Only when all of its processes
work the one before retires; what is wrong with it leaves things as they are. Knows neither
signals nor sockets.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from dicomanon_node.config import Config
from dicomanon_node.deid.plan import Plan
from dicomanon_node.deid.pseudonyms import Key
from dicomanon_node.errors import ConfigError, Problem
from dicomanon_node.holding import Hold
from dicomanon_node.node import build, committing, fixed
from dicomanon_node.node.children import Child
from dicomanon_node.node.control import Document
from dicomanon_node.node.delivering import RingingFacts
from dicomanon_node.node.generation import Generation, Shared, hurry_oldest
from dicomanon_node.node.notices import configure_logs, tell_warnings
from dicomanon_node.node.queue_watch import QueueWatch
from dicomanon_node.ops import logs
from dicomanon_node.ops.facts import TellFact
from dicomanon_node.receive import Receiver
from dicomanon_node.spool.spool import Spool


class Succession:
    """The generation that serves, and those before it that retire.

    Args:
        config: The configuration the node starts with.
        key: The node's key; a reload does not change it.
        spool: Prepared, and locked for this node; closed here.
        shared: What all generations have in common.
        facts: Where receivers tell what came of instances.
        is_cancelled: Whether a start is to be waited for no longer.

    Attributes:
        config: The configuration in force.
        spool: The spool in use.
    """

    def __init__(
        self,
        config: Config,
        key: Key,
        spool: Spool,
        shared: Shared,
        facts: TellFact,
        is_cancelled: Callable[[], bool],
    ) -> None:
        self.config = config
        self.spool = spool
        self._key = key
        self._shared = shared
        self._facts = facts
        self._is_cancelled = is_cancelled
        self._log = logs.get()
        self._generations: list[Generation] = []  # the last one serves, the others retire

    @property
    def children(self) -> list[Child]:
        """The processes of all generations."""
        return [child for generation in self._generations for child in generation.children]

    @property
    def serving(self) -> Generation:
        """The generation whose receivers accept associations."""
        return self._generations[-1]

    @property
    def retiring_count(self) -> int:
        """How many generations before it still have a process."""
        return sum(one.is_running for one in self._generations[:-1])

    def begin(self, plans: Mapping[str, Plan]) -> None:
        """Start the first generation.

        Args:
            plans: The compiled rules of its configuration.

        Raises:
            ConfigError: The configuration cannot be used.
            StartError: One of its processes does not work. Others may run.
        """
        self._sweep()
        generation = self._generate(self.config, plans, self.spool)
        self._generations.append(generation)
        generation.start(self._is_cancelled)

    def look_after(self, now: float) -> None:
        """Take note of processes that have ended, and of queues that fill.

        Args:
            now: Monotonic seconds.
        """
        for generation in self._generations:
            for process_id in generation.look_after(now):
                self._sweep(process_id)
            generation.queue_watch.look(now)
        *retired, serving = self._generations
        self._generations = [*(one for one in retired if one.is_running), serving]

    def reload(self, load: Callable[[], Config]) -> Document:
        """Let another generation take over; what is wrong with it leaves things as they are.

        Args:
            load: Reads the configuration; raises ConfigError.
        """
        started = time.monotonic()
        try:
            config = load()
            fixed.check(self.config, config, self._key)
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
                rules=self.config.rules.digest,
            )
        told = [[problem.file, problem.path, problem.message] for problem in problems]
        return {"is_reloaded": False, "rules": self.config.rules.digest, "problems": told}

    def close(self) -> None:
        """Give the spool back. The processes have ended."""
        self.spool.close()

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
            before = [one.config for one in self._generations]
            undo.callback(configure_logs, self.config, *before)
            configure_logs(config, *before)
            self._generations.append(generation)
            undo.callback(self._discard, generation)
            generation.start(self._is_cancelled)
            undo.pop_all()
        for earlier in self._generations[:-1]:
            earlier.retire()
        hurry_oldest(self._generations[:-1])
        spool.take_lock(self.spool)
        self.spool.close()
        self.config, self.spool = config, spool
        tell_warnings(config)

    def _discard(self, generation: Generation) -> None:
        """A generation does not work: nothing of it stays."""
        generation.kill()
        self._generations.remove(generation)

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
        receiver = Receiver(
            build.router(config, plans),
            spool,
            build.receive_settings(config),
            self._log,
            RingingFacts(self._facts, self._shared.doorbell) if has_couriers else self._facts,
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
            removed = self.spool.sweep(process_id)
        except OSError:
            # Leftovers take room and do no harm; receivers tell what is wrong with the spool.
            return
        if removed:
            self._log.event("spool.swept", removed=removed)
