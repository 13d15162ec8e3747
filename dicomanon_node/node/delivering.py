"""What the courier process does: deliver the queues until it is told to stop."""

import os
import signal
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from dicomanon_node.config import Config
from dicomanon_node.delivery.courier import Courier
from dicomanon_node.delivery.doorbell import Doorbell
from dicomanon_node.delivery.observing import Ended
from dicomanon_node.ledger.receipts import ReceiptWriter
from dicomanon_node.node.children import ABORT, RETIRE, STOP, Ready
from dicomanon_node.ops import logs
from dicomanon_node.ops.facts import TellFact
from dicomanon_node.ops.studies import InstanceFact

if TYPE_CHECKING:
    from dicomanon_node.network.tls import ClientTls

_REST_S: Final = 0.05
"""After a ring the next is not listened for this long: a busy receiver rings a thousand times a
second, and instances that go out a few at a time cost nearly twice what they cost together."""

_NICENESS: Final = 5
"""What is received is waited for, what is queued is not: where cores are short, receivers first."""

_LISTEN_S: Final = 1.0


class RingingFacts:
    """Tells facts on, and rings when one says that something was stored.

    Args:
        facts: Where facts go.
        doorbell: What the courier listens to.
    """

    def __init__(self, facts: TellFact, doorbell: Doorbell) -> None:
        self._facts = facts
        self._doorbell = doorbell

    def send(self, fact: InstanceFact) -> None:
        """Tell the fact: it comes after the commit, so what was queued can be found."""
        self._facts.send(fact)
        if fact.is_stored:
            self._doorbell.ring()


def deliver(
    config: Config,
    ready: Ready,
    doorbell: Doorbell | None = None,
    tls: "Mapping[str, ClientTls] | None" = None,
    receipts: ReceiptWriter | None = None,
) -> None:
    """Deliver to all destinations until `STOP`; what is under way may then arrive.

    After `ABORT` nothing is waited for: what was not answered stays queued. After `RETIRE`
    what is under way has all the time it takes.

    Args:
        config: The configuration.
        ready: To be called when delivery has begun.
        doorbell: Rung by receivers when they have queued something.
        tls: How to speak TLS to the destinations that ask for it, as `build.client_tls` says.
        receipts: Where it is written what was delivered; None writes nothing.
    """
    os.nice(_NICENESS)
    stop = threading.Event()
    log = logs.get()

    def observe(event: str, **facts: object) -> None:
        log.event(event, **facts)

    def tell_ended(ended: Ended) -> None:
        if receipts is not None:
            receipts.ended(**ended._asdict())

    courier = Courier(
        config.node.destinations,
        config.node.storage.spool,
        observe,
        calling_aet=config.node.listener.ae_title,
        tls=tls,
        tell_ended=tell_ended,
    )

    def end(number: int, _frame: object) -> None:
        courier.is_patient = number == RETIRE
        stop.set()

    signal.signal(STOP, end)
    signal.signal(RETIRE, end)
    signal.signal(ABORT, lambda _number, _frame: sys.exit(0))
    if doorbell is not None:
        threading.Thread(target=listen, args=(doorbell, courier, stop), daemon=True).start()
    ready()
    courier.run(stop)


def listen(doorbell: Doorbell, courier: Courier, stop: threading.Event) -> None:
    """Wake the lanes when it rings, until told to stop.

    Args:
        doorbell: What to listen to.
        courier: Whose lanes to wake.
        stop: Set from elsewhere; noticed within a second.
    """
    while not stop.is_set():
        if doorbell.wait(_LISTEN_S):
            courier.wake()
            stop.wait(_REST_S)
