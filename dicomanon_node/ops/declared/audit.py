"""Events of the audit."""

from dicomanon_node.ops import keys as k
from dicomanon_node.ops.declaring import Level, declare

AUDIT = (
    declare(
        "audit.behind",
        Level.ERROR,
        "Audit messages cannot be sent; they are kept and sent later.",
        k.UNTOLD,
        k.RETRY_S,
        k.ERROR,
    ),
    declare("audit.available", Level.INFO, "Audit messages are sent again.", k.SECONDS),
    declare(
        "audit.dropped",
        Level.ERROR,
        "Audit messages were dropped: nobody has taken them for `audit.give_up_days`.",
        k.UNTOLD,
    ),
)
