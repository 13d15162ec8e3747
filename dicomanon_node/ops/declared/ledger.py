"""Log events of receipts: journal, ledger and crosswalk."""

from dicomanon_node.ops import keys as k
from dicomanon_node.ops.declaring import Level, declare

LEDGER = (
    declare(
        "journal.failed",
        Level.ERROR,
        "Receipts cannot be written to the journal; they are lost until it works again.",
        k.ERROR,
    ),
    declare("journal.available", Level.INFO, "Receipts are written again.", k.LOST),
    declare(
        "journal.torn",
        Level.WARNING,
        "The last lines of a process that ended, or that had no room, were no records.",
        k.TORN,
    ),
    declare(
        "ledger.behind",
        Level.ERROR,
        "The ledger cannot be written; the journals keep what is to go there.",
        k.ERROR,
        k.RETRY_S,
    ),
    declare("ledger.available", Level.INFO, "The ledger is written again.", k.SECONDS),
    declare(
        "crosswalk.key_created",
        Level.WARNING,
        "There was no key for the crosswalk, so one was made. Keep a copy, apart from the ledger.",
        k.KEY_ID,
    ),
    declare("ledger.expired", Level.INFO, "Old receipts were removed.", k.REMOVED_ROWS),
)
