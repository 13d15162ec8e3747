"""Log events of queues and destinations."""

from dicomanon_node.ops import keys as k
from dicomanon_node.ops.declaring import Level, declare

_OBJECT = (k.SOP_CLASS, k.TRANSFER_SYNTAX)
_QUEUED = (k.DESTINATION, k.SOP_INSTANCE_UID)

DELIVERY = (
    declare(
        "delivery.sent",
        Level.INFO,
        "A destination has taken an instance; it left the queue.",
        *_QUEUED,
        *_OBJECT,
        k.BYTES,
        k.MS,
        k.STATUS,
        k.ATTEMPT,
        k.WAITING,
    ),
    declare(
        "delivery.deferred",
        Level.WARNING,
        "A destination did not take an instance now; it stays in the queue.",
        *_QUEUED,
        k.REASON,
        k.STATUS,
        k.ERROR,
        k.ATTEMPT,
        k.RETRY_S,
        k.WAITING,
    ),
    declare(
        "delivery.failed",
        Level.ERROR,
        "A destination refused an instance for good; it waits in failed/ for somebody.",
        *_QUEUED,
        *_OBJECT,
        k.REASON,
        k.STATUS,
        k.ATTEMPT,
        k.WAITING,
    ),
    declare(
        "destination.down",
        Level.WARNING,
        "A destination cannot be reached; its queue waits.",
        k.DESTINATION,
        k.REASON,
        k.ERROR,
        k.ATTEMPT,
        k.RETRY_S,
        k.WAITING,
    ),
    declare(
        "destination.up",
        Level.INFO,
        "A destination that was down takes instances again.",
        k.DESTINATION,
        k.WAITING,
        k.SECONDS,
    ),
    declare(
        "queue.full",
        Level.ERROR,
        "A destination's queue is over its high mark: objects for it are refused with A700H.",
        k.DESTINATION,
        k.WAITING,
    ),
    declare(
        "queue.available",
        Level.INFO,
        "A destination's queue is under its low mark: objects for it are taken again.",
        k.DESTINATION,
        k.WAITING,
    ),
)
