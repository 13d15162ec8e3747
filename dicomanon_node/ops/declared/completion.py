"""Log events of complete studies, their hooks, and what is old."""

from dicomanon_node.ops import keys as k
from dicomanon_node.ops.declaring import Level, declare

_HOOK = (k.HOOK, k.STUDY, k.STUDY_UID, k.REVISION)
_MISSED = (k.REASON, k.EXIT_CODE, k.HTTP_STATUS, k.ERROR, k.ATTEMPT)

COMPLETION = (
    declare(
        "study.completed",
        Level.INFO,
        "A study is complete; with a revision above 1, complete again with more.",
        k.STUDY,
        k.STUDY_UID,
        k.REVISION,
        k.SERIES,
        k.INSTANCES,
        k.BYTES,
        k.DESTINATION_COUNT,
    ),
    declare(
        "hook.told", Level.INFO, "A hook was told of a complete study.", *_HOOK, k.ATTEMPT, k.MS
    ),
    declare(
        "hook.failed",
        Level.WARNING,
        "A hook could not be told of a complete study; it is tried again.",
        *_HOOK,
        *_MISSED,
        k.RETRY_S,
    ),
    declare(
        "hook.given_up",
        Level.ERROR,
        "A hook could not be told of a complete study, and is not tried again.",
        *_HOOK,
        *_MISSED,
    ),
    declare(
        "completion.failed",
        Level.ERROR,
        "Ledger or journals cannot be used, so no study is completed; it is tried again.",
        k.ERROR,
    ),
    declare(
        "studylist.failed",
        Level.ERROR,
        "The list of complete studies cannot be written; it is tried again.",
        k.ERROR,
    ),
    declare(
        "retention.removed",
        Level.INFO,
        "Old objects, all of them delivered, were removed from outgoing.",
        k.FILES,
        k.BYTES,
        k.DIRECTORIES,
        k.KEPT,
    ),
    declare(
        "retention.failed",
        Level.ERROR,
        "Outgoing, spool or ledger cannot be used, so nothing is removed; it is tried again.",
        k.ERROR,
    ),
)
