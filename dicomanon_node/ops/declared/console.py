"""Log events of the console and its API."""

from dicomanon_node.ops import keys as k
from dicomanon_node.ops.declaring import Level, declare

CONSOLE = (
    declare(
        "admin.ready",
        Level.INFO,
        "The console, the API and the metrics are there, over HTTP.",
        k.HOST,
        k.PORT,
        k.WITH_TOKEN,
    ),
    declare(
        "admin.unavailable",
        Level.ERROR,
        "The console cannot listen; the node receives all the same, and it is tried again.",
        k.HOST,
        k.PORT,
        k.ERROR,
    ),
    declare(
        "admin.denied",
        Level.WARNING,
        "A request to the console was denied; of many in a row one a second is told.",
        k.PEER,
        k.REASON,
        k.COUNT,
    ),
    declare(
        "delivery.retried",
        Level.INFO,
        "Somebody put instances that had failed back into the queue, on the console.",
        k.DESTINATION,
        k.COUNT,
    ),
)
