"""What the recorder process does: write the ledger until it is told to stop.

A node has one, whatever generation serves: two would count twice. It is not waited for
at the start, and only told to stop when nobody writes any more.
"""

import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Final

from dicomanon_node.config import Config
from dicomanon_node.node.children import ABORT, STOP, Child, Ready
from dicomanon_node.node.generation import Shared
from dicomanon_node.ops import logs

_NICENESS: Final = 10
"""Nobody waits for the ledger: receivers first, then the courier."""

_OTHERS: Final = 0o077


class Lasting:
    """A process that outlives generations, for the supervisor.

    Args:
        children: It, or none if it is not wanted.
        shared: What the processes of a node have in common.

    Attributes:
        children: As given.
    """

    def __init__(self, children: Sequence[Child], shared: Shared) -> None:
        self._shared = shared
        self.children = children

    def start(self) -> None:
        """Start it; if that fails, later."""
        for child in self.children:
            child.start_or_postpone(self._shared.lifeline, self._shared.private)

    def look_after(self, now: float) -> None:
        """Start it again if it has ended.

        Args:
            now: Monotonic seconds.
        """
        for child in self.children:
            child.look_after(now, self._shared.lifeline, self._shared.private)


class Recording(Lasting):
    """The one recorder of a node, for the supervisor. None where no receipts are wanted.

    Args:
        config: The configuration the node was started with; a reload does not change its ledger.
        shared: What the processes of a node have in common.
    """

    def __init__(self, config: Config, shared: Shared) -> None:
        self._config = config
        enabled = config.node.ledger.enabled
        super().__init__([Child("recorder", self._record)] if enabled else [], shared)

    def _record(self, ready: Ready) -> None:
        self._shared.ports.close()
        record(self._config, ready)


def record(config: Config, ready: Ready) -> None:
    """Record until `STOP`, and then what is left; after `ABORT` not even that.

    Args:
        config: The configuration.
        ready: To be called when it works. A ledger that does not is no reason not to start:
            the journals keep what is to go there, and the log says so.
    """
    os.nice(_NICENESS)
    os.umask(_OTHERS)
    stop = threading.Event()
    signal.signal(STOP, lambda _number, _frame: stop.set())
    signal.signal(ABORT, lambda _number, _frame: sys.exit(0))
    # After the handlers: SQLAlchemy takes its time to import, and nobody else needs it.
    from dicomanon_node.ledger.recorder import Recorder  # noqa: PLC0415  (slow)

    recorder = Recorder(
        config.node.storage.spool,
        config.node.ledger.path,
        logs.get(),
        retention_days=config.node.ledger.retention_days,
        tracks_studies=config.node.completion.enabled,
        is_audited=config.node.audit.enabled,
    )
    ready()
    recorder.run(stop)
    recorder.close()
