"""Log events of the hold."""

from dicomanon_node.ops import keys as k
from dicomanon_node.ops.declaring import Level, declare

_FROM = (k.ASSOCIATION, k.CALLING_AET)

HOLD = (
    declare(
        "hold.key_created",
        Level.WARNING,
        "There was no hold key, so one was made. Keep a copy: nothing held opens without it.",
        k.KEY_ID,
    ),
    declare(
        "hold.held",
        Level.WARNING,
        "A refused instance is in the hold, encrypted and durable; see `instance.refused`.",
        *_FROM,
        k.ENTRY,
        k.STUDY,
        k.REASON,
        k.TAG,
        k.BYTES,
    ),
    declare(
        "hold.failed",
        Level.ERROR,
        "A refused instance could not be held; its sender was answered the refusal.",
        *_FROM,
        k.STUDY,
        k.REASON,
        k.FAULT,
        k.ERROR,
    ),
    declare(
        "hold.released",
        Level.INFO,
        "A held instance passed today's rules and left the hold; see `instance.stored`.",
        k.ENTRY,
        k.REASON,
    ),
    declare(
        "hold.kept",
        Level.WARNING,
        "A held instance was to be released and is still refused; it stays in the hold.",
        k.ENTRY,
        k.REASON,
        k.STATUS,
        k.TAG,
    ),
    declare(
        "hold.exported",
        Level.WARNING,
        "Somebody has written a held instance to a file as it came, with its identity.",
        k.ENTRY,
        k.REASON,
        k.USER_ID,
    ),
    declare(
        "hold.dropped",
        Level.WARNING,
        "Somebody has deleted a held instance.",
        k.ENTRY,
        k.REASON,
        k.USER_ID,
    ),
    declare(
        "hold.expired",
        Level.WARNING,
        "A held instance was deleted: it lay in the hold for longer than `hold.retention_days`.",
        k.ENTRY,
        k.REASON,
        k.STUDY,
        k.SECONDS,
    ),
    declare(
        "hold.alarm",
        Level.ERROR,
        "The hold has `hold.alarm_count` instances or more: somebody has to look.",
        k.HELD,
        k.ALARM_COUNT,
    ),
    declare(
        "hold.recovered",
        Level.INFO,
        "The hold has less than `hold.alarm_count` instances again.",
        k.HELD,
        k.ALARM_COUNT,
    ),
)
