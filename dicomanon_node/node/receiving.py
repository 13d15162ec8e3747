"""What a receiver process does: accept associations until it is told to stop."""

import gc
import os
import signal
import time
from typing import Final

from dicomanon_node.ledger.receipts import ReceiptWriter
from dicomanon_node.network.commitment import CommitmentService
from dicomanon_node.network.listener import Listener
from dicomanon_node.network.loads import Load
from dicomanon_node.network.ports import Ports
from dicomanon_node.network.service import AssociationFacts, Ending, ListenerSettings
from dicomanon_node.node.alerts import Alerts
from dicomanon_node.node.children import ABORT, RETIRE, STOP, Ready
from dicomanon_node.node.tally import Tally
from dicomanon_node.ops import judges, logs
from dicomanon_node.receive import Receiver

DRAIN_S: Final = 20.0
"""How long associations may go on after `STOP`, seconds."""

ABORT_S: Final = 1.0
"""How long they may take to end once they are aborted, seconds."""


_ALARMING: Final = frozenset(
    {"called-ae-title", "peer-not-allowed", "certificate", "peer-check-failed"}
)
"""Reasons of a rejection by which somebody was not let in; others had no room or no language."""

_LOOK_S: Final = 0.5
"""How often one that retires looks whether it is to hurry, seconds."""


class LoggingObserver:
    """Writes what became of each association to the log. Thread-safe.

    Connections and associations that brought nothing are counted once there are many.

    Args:
        receipts: Where associations that brought something are noted as well; None: nowhere.
        alerts: Where is noted who was not let in; None: nowhere.
    """

    def __init__(self, receipts: ReceiptWriter | None = None, alerts: Alerts | None = None) -> None:
        self._log = logs.get()
        self._tally = Tally(self._log)
        self._receipts = receipts
        self._alerts = alerts

    def flush(self) -> None:
        """Write what was counted so far."""
        self._tally.flush()
        if self._alerts is not None:
            self._alerts.flush()

    def opened(self, association: AssociationFacts) -> None:
        """An association is accepted."""
        self._log.event(
            "association.opened",
            association=association.association_id,
            calling_aet=association.calling_aet,
            called_aet=association.called_aet,
            peer=association.peer_address,
            pid=os.getpid(),
        )

    def rejected(self, reason: str, association: AssociationFacts) -> None:
        """An association was rejected."""
        self._tally.event(
            "association.rejected",
            "reason",
            reason,
            association.peer_address,
            {
                "association": association.association_id,
                "calling_aet": association.calling_aet,
                "called_aet": association.called_aet,
                "tls": association.tls_version or None,
                "certificate": _fingerprint(association),
            },
        )
        if self._alerts is not None and reason in _ALARMING:
            self._alerts.tell(
                "association.rejected",
                reason,
                association.peer_address,
                calling_aet=association.calling_aet,
            )

    def closed(self, association: AssociationFacts, how: Ending) -> None:
        """An established association has ended."""
        keys: dict[str, object] = {
            "association": association.association_id,
            "calling_aet": association.calling_aet,
            "called_aet": association.called_aet,
            "tls": association.tls_version or None,
            "certificate": _fingerprint(association),
            "stored": association.stored_count,
            "refused": association.refused_count,
            "bytes": association.received_bytes,
            "ms": (time.monotonic() - association.opened) * 1000,
        }
        peer = association.peer_address
        if association.stored_count + association.refused_count or association.received_bytes:
            self._log.event("association.closed", peer=peer, how=how, **keys)
        else:
            self._tally.event("association.closed", "how", how, peer, keys)
            # Counted with others or not, whoever shows what is open has to know of this one.
            self._log.event("association.ended", association=association.association_id)
        if self._receipts is not None and association.stored_count + association.refused_count:
            # Not of those that brought nothing: who asks every second whether we live would
            # fill the ledger.
            self._receipts.note(
                "association-closed",
                association=association.association_id,
                calling_aet=str(judges.AE_TITLE.accept(association.calling_aet)),
                called_aet=str(judges.AE_TITLE.accept(association.called_aet)),
                peer=str(judges.ADDRESS.accept(association.peer_address)),
                how=str(how),
                stored=association.stored_count,
                refused=association.refused_count,
                bytes=association.received_bytes,
            )

    def unassociated(self, peer_address: str, how: Ending) -> None:
        """A connection ended without an association."""
        self._tally.event("connection.dropped", "how", how, peer_address, {})
        if self._alerts is not None and (how.startswith("tls-") or how is Ending.PROXY_HEADER):
            self._alerts.tell("connection.dropped", how, peer_address)

    def failed(self, association: AssociationFacts | None, error: Exception) -> None:
        """A fault of ours."""
        self._log.event(
            "internal.error",
            where="association",
            association=association.association_id if association else None,
            error=error,
        )


def _fingerprint(association: AssociationFacts) -> str | None:
    return association.certificate.fingerprint if association.certificate else None


def receive(
    settings: ListenerSettings,
    service: Receiver,
    ports: Ports,
    load: Load,
    ready: Ready,
    *,
    commitment: CommitmentService | None = None,
    is_audited: bool = False,
) -> None:
    """Serve associations until `STOP`, then let open ones end; `ABORT` aborts them.

    After `RETIRE`, open ones may take as long as they take.

    Args:
        settings: What the listener is told.
        service: Where instances go.
        ports: The sockets all receivers share; this process's own copies are closed.
        load: What this receiver has to do, beside the others.
        ready: To be called when associations are accepted, and when they are no more.
        commitment: Where Storage Commitment requests go; None: they are not taken.
        is_audited: The audit is told who was not let in.
    """
    # What there is now stays to the end. Left to the garbage collector, it would be walked
    # through each time, some 70,000 objects, and all associations stand still for 60 ms.
    gc.freeze()
    receipts = service.receipts
    alerts = Alerts(receipts.note) if is_audited and receipts is not None else None
    observer = LoggingObserver(receipts, alerts)
    listener = Listener(settings, service, observer, load, commitment)
    is_patient = False

    def stop(_number: int, _frame: object) -> None:
        nonlocal is_patient
        is_patient = False
        listener.stop_accepting()

    def abort(_number: int, _frame: object) -> None:
        nonlocal is_patient
        is_patient = False
        listener.stop_accepting()
        listener.abort_all()

    def retire(_number: int, _frame: object) -> None:
        nonlocal is_patient
        is_patient = True
        listener.retire()

    signal.signal(RETIRE, retire)
    signal.signal(STOP, stop)
    signal.signal(ABORT, abort)
    # Who connects after the end is refused at once and goes elsewhere, or comes again.
    with ports:
        ready()
        listener.serve(ports.plain, ports.secure)
        ready()
    while is_patient and not listener.wait_empty(_LOOK_S):
        pass
    if not _is_idle_within(DRAIN_S, listener):
        listener.abort_all()
        listener.wait_idle(ABORT_S)
    observer.flush()


def _is_idle_within(seconds: float, listener: Listener) -> bool:
    """Wait for the associations to end, and look up now and then for signals."""
    deadline = time.monotonic() + seconds
    while not listener.wait_idle(_LOOK_S):
        if time.monotonic() >= deadline:
            return False
    return True
