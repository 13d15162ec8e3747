"""What the courier process does: deliver the queues until it is told to stop."""

import signal
import sys
import threading

from dicomanon_node.config import Config
from dicomanon_node.delivery.courier import Courier
from dicomanon_node.node.children import ABORT, STOP, Ready
from dicomanon_node.ops import logs


def deliver(config: Config, ready: Ready) -> None:
    """Deliver to all destinations until `STOP`; what is under way may then arrive.

    After `ABORT` nothing is waited for: what was not answered stays queued.

    Args:
        config: The configuration.
        ready: To be called when delivery has begun.
    """
    stop = threading.Event()
    signal.signal(STOP, lambda _number, _frame: stop.set())
    signal.signal(ABORT, lambda _number, _frame: sys.exit(0))
    log = logs.get()

    def observe(event: str, **facts: object) -> None:
        log.event(event, **facts)

    courier = Courier(
        config.node.destinations,
        config.node.storage.spool,
        observe,
        calling_aet=config.node.listener.ae_title,
    )
    ready()
    courier.run(stop)
