"""Alerts for the audit: who was not let in, by a receiver or by the console.

They go to the journal of the process that knows, as notes of kind `alert`, so few that
nobody can fill the ledger with them. This module sends nothing.
"""

from pathlib import Path
from typing import Final, Protocol

from dicomanon_node.ledger.journal import Journal
from dicomanon_node.ledger.receipts import now
from dicomanon_node.ledger.records import Fact, Note, encode
from dicomanon_node.node.tally import Tally
from dicomanon_node.ops import judges
from dicomanon_node.ops.events import TellEvent

INTERVAL_S: Final = 60.0
MOST_ADDRESSES: Final = 100
"""Kinds and addresses told apart in an interval."""


class WriteNote(Protocol):
    """Writes a note; see `records.Note`."""

    def __call__(self, kind: str, /, **facts: Fact) -> None:
        """Write it; must not raise."""


class Alerts:
    """Notes of what is alarming, for the audit: few of each kind and address. Thread-safe.

    Args:
        note: Writes a note of this kind, with these facts, to the journal.
    """

    def __init__(self, note: WriteNote) -> None:
        self._note = note
        # The first of a minute as it comes, the others as a count at its end.
        self._tally = Tally(self, lines=1, interval_s=INTERVAL_S, most_addresses=MOST_ADDRESSES)

    def tell(self, name: str, reason: str, peer: str, **keys: object) -> None:
        """Note an alert, or count it.

        Args:
            name: The event of the log that says the same.
            reason: Why, a fixed word.
            peer: Address of whoever caused it.
            keys: What else is told of it.
        """
        self._tally.event(name, "reason", reason, peer, keys)

    def flush(self) -> None:
        """Note what was counted so far."""
        self._tally.flush()

    def event(self, name: str, /, **keys: object) -> None:
        """Note one, or how many more there were: what `Tally` tells."""
        calling_aet, count = keys.get("calling_aet"), keys.get("count")
        self._note(
            "alert",
            event=name,
            reason=str(judges.REASON.accept(keys.get("reason"))),
            peer=str(judges.ADDRESS.accept(keys.get("peer"))),
            calling_aet=str(judges.AE_TITLE.accept(calling_aet)) if calling_aet else "",
            count=count if isinstance(count, int) else 1,
        )


class AlertingLog:
    """A log that notes alerts as well: what the console denies.

    Args:
        log: The log.
        alerts: Where they are noted.
    """

    def __init__(self, log: TellEvent, alerts: Alerts) -> None:
        self._log = log
        self._alerts = alerts

    def event(self, name: str, /, **keys: object) -> None:
        """Log an event, and note it if it is an alert."""
        self._log.event(name, **keys)
        if name == "admin.denied":
            self._alerts.tell(name, str(keys.get("reason")), str(keys.get("peer")))


def keyless_notes(spool: Path, log: TellEvent) -> WriteNote:
    """What writes notes in a process that has no key and writes no receipts.

    Args:
        spool: The spool.
        log: Told when a note cannot be written.
    """
    journal = Journal(spool)

    def write(kind: str, /, **facts: Fact) -> None:
        try:
            journal.append(encode(Note(now(), kind, facts)))
        except OSError as error:
            log.event("journal.failed", error=error)

    return write
