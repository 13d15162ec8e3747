"""Log events of Storage Commitment."""

from dicomanon_node.ops import keys as k
from dicomanon_node.ops.declaring import Level, declare

_FROM = (k.ASSOCIATION, k.CALLING_AET)

COMMITMENT = (
    declare(
        "commitment.requested",
        Level.INFO,
        "Commitment was asked for; the request is durable and was answered 0000H.",
        *_FROM,
        k.TRANSACTION,
        k.INSTANCES,
    ),
    declare(
        "commitment.refused",
        Level.WARNING,
        "A request for commitment was not taken.",
        *_FROM,
        k.STATUS,
        k.REASON,
        k.ERROR,
    ),
    declare(
        "commitment.answered",
        Level.INFO,
        "It is known which instances of a request are committed.",
        k.TRANSACTION,
        k.CALLING_AET,
        k.INSTANCES,
        k.UNCOMMITTED,
        k.SECONDS,
    ),
    declare(
        "commitment.reported",
        Level.INFO,
        "The requestor has answered the report.",
        k.TRANSACTION,
        k.CALLING_AET,
        k.HOW,
        k.STATUS,
    ),
    declare(
        "commitment.deferred",
        Level.WARNING,
        "A request could not be answered or its report not delivered; it is tried again.",
        k.TRANSACTION,
        k.CALLING_AET,
        k.REASON,
        k.STATUS,
        k.ERROR,
        k.RETRY_S,
    ),
    declare(
        "commitment.given_up",
        Level.ERROR,
        "A report was not delivered and will not be; the requestor may ask again.",
        k.TRANSACTION,
        k.CALLING_AET,
        k.REASON,
        k.SECONDS,
    ),
)
