"""Whether the node takes objects just now, and if not, why.

Looked at by the supervisor, told once at each change. Senders that come nevertheless
get A700H or a transient rejection from the receivers, who look for themselves.
"""

from collections.abc import Sequence
from typing import Final

from dicomanon_node.node.children import Child
from dicomanon_node.ops.events import TellEvent
from dicomanon_node.spool.spool import Spool

LOOK_S: Final = 1.0
"""How often it is looked, seconds."""


class Readiness:
    """The state, and since when.

    Args:
        log: Where changes are told.

    Attributes:
        reasons: Why the node is not ready: fixed words; none if it is.
    """

    def __init__(self, log: TellEvent) -> None:
        self._log = log
        self._since = 0.0
        self._look_at = 0.0
        self.reasons: tuple[str, ...] = ("starting",)

    @property
    def is_ready(self) -> bool:
        """Whether objects are taken."""
        return not self.reasons

    def look(
        self, receivers: Sequence[Child], spool: Spool, full_queues: Sequence[str], now: float
    ) -> None:
        """Look, if it is time to.

        Args:
            receivers: Those that serve, not those that retire.
            spool: Where instances go.
            full_queues: Names of destinations whose queue is over its mark.
            now: Monotonic seconds.
        """
        if now < self._look_at:
            return
        self._look_at = now + LOOK_S
        self._change(tuple(_reasons(receivers, spool, full_queues)), now)

    def _change(self, reasons: tuple[str, ...], now: float) -> None:
        before, self.reasons = self.reasons, reasons
        if reasons and reasons != before:
            if not before:
                self._since = now
            for reason in reasons:
                if reason not in before:
                    self._log.event("node.not_ready", reason=reason)
        elif before and not reasons and self._since:
            self._log.event("node.ready_again", seconds=now - self._since)
            self._since = 0.0


def _reasons(receivers: Sequence[Child], spool: Spool, full_queues: Sequence[str]) -> list[str]:
    reasons = []
    if not any(child.is_running for child in receivers):
        reasons.append("no-receiver")
    try:
        if spool.is_low:
            reasons.append("disk-full")
    except OSError:
        reasons.append("spool-unavailable")
    if full_queues:
        reasons.append("queue-full")
    return reasons
