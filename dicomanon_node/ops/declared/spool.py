"""Log events of the spool."""

from dicomanon_node.ops import keys as k
from dicomanon_node.ops.declaring import Level, declare

SPOOL = (
    declare(
        "spool.swept",
        Level.INFO,
        "Unfinished files of an earlier run were removed; none of them had been answered.",
        k.REMOVED,
        k.BYTES,
        k.MS,
    ),
    declare(
        "spool.full",
        Level.ERROR,
        "There is no room for another instance; all are refused with A700H until there is.",
        k.REASON,
        k.FREE_BYTES,
        k.ERROR,
    ),
    declare(
        "spool.available", Level.INFO, "There is room again.", k.FREE_BYTES, k.REFUSED, k.SECONDS
    ),
)
