"""Log events of the log itself: what is withheld or missing."""

from dicomanon_node.ops import keys as k
from dicomanon_node.ops.declaring import Level, declare

LOG = (
    declare(
        "library.message",
        Level.WARNING,
        "A library wrote to its own log; its text is withheld because it may hold values.",
        k.LOGGER,
        k.LIBRARY_LEVEL,
        k.COUNT,
    ),
    declare(
        "facts.dropped",
        Level.WARNING,
        "Counts by study are too low: the supervisor did not hear of every instance.",
        k.COUNT,
    ),
    declare(
        "log.dropped",
        Level.WARNING,
        "This log is not complete.",
        k.UNDECLARED,
        k.UNWRITTEN,
    ),
)
