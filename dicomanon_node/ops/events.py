"""Every log event, declared once: name, level, meaning and the keys it may have.

What is not declared here is not written (`logs`). The reference for operators,
`docs/logs.md`, is made from these declarations (`reference`). Keys are written in
the order given here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Protocol

from dicomanon_node.ops import keys as k
from dicomanon_node.ops.judges import Value
from dicomanon_node.ops.keys import Key


class Level(IntEnum):
    """How much an event matters. The numbers are those of `logging`."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40

    @property
    def word(self) -> str:
        """As written in a log line."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Event:
    """A log event.

    Attributes:
        name: Stable name, `noun.participle`.
        level: Its level, always the same.
        meaning: One sentence.
        keys: What it may carry, in the order written. A key without a value is left out.
        key_names: Their names.
        judges: Name and judge of each key, in the order written.
    """

    name: str
    level: Level
    meaning: str
    keys: tuple[Key, ...]
    key_names: frozenset[str]
    judges: tuple[tuple[str, Callable[[object], Value]], ...]


class TellEvent(Protocol):
    """Takes events: a log, or what stands in for one."""

    def event(self, name: str, /, **keys: object) -> None:
        """Tell a declared event with its keys; see `logs.Log`."""


class UndeclaredError(LookupError):
    """An event or a key that is not declared. Its text holds names, never values."""


def _declare(name: str, level: Level, meaning: str, *keys: Key) -> Event:
    judges = tuple((key.name, key.judge.accept) for key in keys)
    return Event(name, level, meaning, keys, frozenset(key.name for key in keys), judges)


_FROM = (k.ASSOCIATION, k.CALLING_AET)
_UIDS = (k.STUDY_UID, k.SERIES_UID, k.SOP_INSTANCE_UID)
_OBJECT = (k.SOP_CLASS, k.TRANSFER_SYNTAX)
_QUEUED = (k.DESTINATION, k.SOP_INSTANCE_UID)
_HOOK = (k.HOOK, k.STUDY, k.STUDY_UID, k.REVISION)
_MISSED = (k.REASON, k.EXIT_CODE, k.HTTP_STATUS, k.ERROR, k.ATTEMPT)
_CONFIGURATION = (k.FILE, k.PATH, k.MESSAGE)

_DECLARED = (
    # The node and its processes.
    _declare("node.starting", Level.INFO, "The node starts.", k.VERSION, k.PID),
    _declare(
        "node.key_created",
        Level.WARNING,
        "There was no secret key, so one was made. Keep a copy: pseudonyms depend on it.",
        k.KEY_ID,
    ),
    _declare(
        "node.config_warning",
        Level.WARNING,
        "The configuration is used, but something in it deserves a look.",
        *_CONFIGURATION,
    ),
    _declare(
        "node.config_error",
        Level.ERROR,
        "The configuration cannot be used; the node does not start.",
        *_CONFIGURATION,
    ),
    _declare(
        "node.ready",
        Level.INFO,
        "The node accepts associations.",
        k.HOST,
        k.PORT,
        k.TLS_PORT,
        k.AE_TITLE,
        k.PROCESSES,
        k.PID,
        k.STUDIES,
        k.DESTINATION_COUNT,
        k.RULES,
        k.KEY_ID,
        k.VERSION,
    ),
    _declare(
        "node.not_ready",
        Level.WARNING,
        "The node takes no objects, or not those of all studies; senders are told to try again.",
        k.REASON,
    ),
    _declare("node.ready_again", Level.INFO, "The node takes objects again.", k.SECONDS),
    _declare(
        "node.reloaded",
        Level.INFO,
        "The configuration was read again and is in force; open associations end under the old.",
        k.STUDIES,
        k.DESTINATION_COUNT,
        k.RULES,
        k.SECONDS,
    ),
    _declare(
        "node.reload_failed",
        Level.ERROR,
        "The configuration was read again and cannot be used; the one before stays in force.",
        *_CONFIGURATION,
        k.RULES,
    ),
    _declare(
        "control.unavailable",
        Level.WARNING,
        "The spool's file system has no sockets: `reload` and `status` do not reach this node.",
        k.ERROR,
    ),
    _declare(
        "node.draining",
        Level.INFO,
        "The node was told to stop: no new associations, open ones may end.",
        k.SIGNAL,
        k.ASSOCIATIONS,
        k.DEADLINE_S,
    ),
    _declare("node.stopped", Level.INFO, "The node has stopped.", k.EXIT_CODE, k.SECONDS),
    _declare("process.started", Level.INFO, "A process of the node runs.", k.ROLE, k.PID),
    _declare(
        "process.exited",
        Level.INFO,
        "A process of the node has ended as it was asked to.",
        k.ROLE,
        k.PID,
        k.EXIT_CODE,
        k.SECONDS,
    ),
    _declare(
        "process.died",
        Level.ERROR,
        "A process of the node has ended unasked; another one takes its place.",
        k.ROLE,
        k.PID,
        k.EXIT_CODE,
        k.SECONDS,
        k.RETRY_S,
    ),
    _declare(
        "internal.error",
        Level.ERROR,
        "An exception nobody expected: a fault of this program, please report it.",
        k.WHERE,
        k.ASSOCIATION,
        k.ERROR,
    ),
    # Associations.
    _declare(
        "association.opened",
        Level.DEBUG,
        "An association was asked for and accepted.",
        k.ASSOCIATION,
        k.CALLING_AET,
        k.CALLED_AET,
        k.PEER,
        k.PID,
    ),
    _declare(
        "association.rejected",
        Level.WARNING,
        "An association was asked for and rejected.",
        k.ASSOCIATION,
        k.CALLING_AET,
        k.CALLED_AET,
        k.PEER,
        k.TLS,
        k.CERTIFICATE,
        k.REASON,
        k.ERROR,
        k.COUNT,
    ),
    _declare(
        "association.closed",
        Level.INFO,
        "An association has ended.",
        k.ASSOCIATION,
        k.CALLING_AET,
        k.CALLED_AET,
        k.PEER,
        k.TLS,
        k.CERTIFICATE,
        k.HOW,
        k.STORED,
        k.REFUSED,
        k.BYTES,
        k.MS,
        k.COUNT,
    ),
    _declare(
        "association.ended",
        Level.DEBUG,
        "An association that brought nothing has ended; `association.closed` may have only"
        " counted it.",
        k.ASSOCIATION,
    ),
    _declare(
        "connection.dropped",
        Level.INFO,
        "A TCP connection ended before it became an association: a health check, a port scan.",
        k.PEER,
        k.HOW,
        k.COUNT,
    ),
    # Instances.
    _declare(
        "instance.stored",
        Level.INFO,
        "An instance is de-identified, durable and queued; it was answered 0000H.",
        *_FROM,
        k.STUDY,
        k.BY_DEFAULT,
        k.RULES,
        *_UIDS,
        *_OBJECT,
        k.BYTES,
        k.MS,
        k.DUPLICATE,
        k.VARIANT,
        k.DESTINATION_COUNT,
    ),
    _declare(
        "instance.refused",
        Level.WARNING,
        "An instance was not accepted; nothing of it was kept, but for what `hold.held` names.",
        *_FROM,
        k.STUDY,
        k.STATUS,
        k.REASON,
        k.TAG,
        k.RULES,
        *_OBJECT,
        k.BYTES,
        k.MS,
        k.ERROR,
    ),
    _declare(
        "instance.abandoned",
        Level.WARNING,
        "The association was lost before the last fragment; nothing of the instance was kept.",
        *_FROM,
        k.STUDY,
        k.BYTES,
        k.MS,
    ),
    _declare(
        "study.quiet",
        Level.INFO,
        "Nothing more has come of this study for a while: what came so far.",
        k.STUDY,
        k.STUDY_UID,
        k.SERIES,
        k.INSTANCES,
        k.DUPLICATES,
        k.REFUSED,
        k.BYTES,
        k.SECONDS,
        k.CALLING_AET,
    ),
    # Delivery.
    _declare(
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
    _declare(
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
    _declare(
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
    _declare(
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
    _declare(
        "destination.up",
        Level.INFO,
        "A destination that was down takes instances again.",
        k.DESTINATION,
        k.WAITING,
        k.SECONDS,
    ),
    _declare(
        "queue.full",
        Level.ERROR,
        "A destination's queue is over its high mark: objects for it are refused with A700H.",
        k.DESTINATION,
        k.WAITING,
    ),
    _declare(
        "queue.available",
        Level.INFO,
        "A destination's queue is under its low mark: objects for it are taken again.",
        k.DESTINATION,
        k.WAITING,
    ),
    # The spool.
    _declare(
        "spool.swept",
        Level.INFO,
        "Unfinished files of an earlier run were removed; none of them had been answered.",
        k.REMOVED,
        k.BYTES,
        k.MS,
    ),
    _declare(
        "spool.full",
        Level.ERROR,
        "There is no room for another instance; all are refused with A700H until there is.",
        k.REASON,
        k.FREE_BYTES,
        k.ERROR,
    ),
    _declare(
        "spool.available", Level.INFO, "There is room again.", k.FREE_BYTES, k.REFUSED, k.SECONDS
    ),
    # The hold.
    _declare(
        "hold.key_created",
        Level.WARNING,
        "There was no hold key, so one was made. Keep a copy: nothing held opens without it.",
        k.KEY_ID,
    ),
    _declare(
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
    _declare(
        "hold.failed",
        Level.ERROR,
        "A refused instance could not be held; its sender was answered the refusal.",
        *_FROM,
        k.STUDY,
        k.REASON,
        k.FAULT,
        k.ERROR,
    ),
    _declare(
        "hold.released",
        Level.INFO,
        "A held instance passed today's rules and left the hold; see `instance.stored`.",
        k.ENTRY,
        k.REASON,
    ),
    _declare(
        "hold.kept",
        Level.WARNING,
        "A held instance was to be released and is still refused; it stays in the hold.",
        k.ENTRY,
        k.REASON,
        k.STATUS,
        k.TAG,
    ),
    _declare(
        "hold.exported",
        Level.WARNING,
        "Somebody has written a held instance to a file as it came, with its identity.",
        k.ENTRY,
        k.REASON,
        k.USER_ID,
    ),
    _declare(
        "hold.dropped",
        Level.WARNING,
        "Somebody has deleted a held instance.",
        k.ENTRY,
        k.REASON,
        k.USER_ID,
    ),
    _declare(
        "hold.expired",
        Level.WARNING,
        "A held instance was deleted: it lay in the hold for longer than `hold.retention_days`.",
        k.ENTRY,
        k.REASON,
        k.STUDY,
        k.SECONDS,
    ),
    _declare(
        "hold.alarm",
        Level.ERROR,
        "The hold has `hold.alarm_count` instances or more: somebody has to look.",
        k.HELD,
        k.ALARM_COUNT,
    ),
    _declare(
        "hold.recovered",
        Level.INFO,
        "The hold has less than `hold.alarm_count` instances again.",
        k.HELD,
        k.ALARM_COUNT,
    ),
    # Storage Commitment.
    _declare(
        "commitment.requested",
        Level.INFO,
        "Commitment was asked for; the request is durable and was answered 0000H.",
        *_FROM,
        k.TRANSACTION,
        k.INSTANCES,
    ),
    _declare(
        "commitment.refused",
        Level.WARNING,
        "A request for commitment was not taken.",
        *_FROM,
        k.STATUS,
        k.REASON,
        k.ERROR,
    ),
    _declare(
        "commitment.answered",
        Level.INFO,
        "It is known which instances of a request are committed.",
        k.TRANSACTION,
        k.CALLING_AET,
        k.INSTANCES,
        k.UNCOMMITTED,
        k.SECONDS,
    ),
    _declare(
        "commitment.reported",
        Level.INFO,
        "The requestor has answered the report.",
        k.TRANSACTION,
        k.CALLING_AET,
        k.HOW,
        k.STATUS,
    ),
    _declare(
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
    _declare(
        "commitment.given_up",
        Level.ERROR,
        "A report was not delivered and will not be; the requestor may ask again.",
        k.TRANSACTION,
        k.CALLING_AET,
        k.REASON,
        k.SECONDS,
    ),
    # The ledger.
    _declare(
        "journal.failed",
        Level.ERROR,
        "Receipts cannot be written to the journal; they are lost until it works again.",
        k.ERROR,
    ),
    _declare("journal.available", Level.INFO, "Receipts are written again.", k.LOST),
    _declare(
        "journal.torn",
        Level.WARNING,
        "The last lines of a process that ended, or that had no room, were no records.",
        k.TORN,
    ),
    _declare(
        "ledger.behind",
        Level.ERROR,
        "The ledger cannot be written; the journals keep what is to go there.",
        k.ERROR,
        k.RETRY_S,
    ),
    _declare("ledger.available", Level.INFO, "The ledger is written again.", k.SECONDS),
    _declare(
        "crosswalk.key_created",
        Level.WARNING,
        "There was no key for the crosswalk, so one was made. Keep a copy, apart from the ledger.",
        k.KEY_ID,
    ),
    _declare("ledger.expired", Level.INFO, "Old receipts were removed.", k.REMOVED_ROWS),
    # The console and its API.
    _declare(
        "admin.ready",
        Level.INFO,
        "The console, the API and the metrics are there, over HTTP.",
        k.HOST,
        k.PORT,
        k.WITH_TOKEN,
    ),
    _declare(
        "admin.unavailable",
        Level.ERROR,
        "The console cannot listen; the node receives all the same, and it is tried again.",
        k.HOST,
        k.PORT,
        k.ERROR,
    ),
    _declare(
        "admin.denied",
        Level.WARNING,
        "A request to the console was denied; of many in a row one a second is told.",
        k.PEER,
        k.REASON,
        k.COUNT,
    ),
    _declare(
        "delivery.retried",
        Level.INFO,
        "Somebody put instances that had failed back into the queue, on the console.",
        k.DESTINATION,
        k.COUNT,
    ),
    # Complete studies, and what is old.
    _declare(
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
    _declare(
        "hook.told", Level.INFO, "A hook was told of a complete study.", *_HOOK, k.ATTEMPT, k.MS
    ),
    _declare(
        "hook.failed",
        Level.WARNING,
        "A hook could not be told of a complete study; it is tried again.",
        *_HOOK,
        *_MISSED,
        k.RETRY_S,
    ),
    _declare(
        "hook.given_up",
        Level.ERROR,
        "A hook could not be told of a complete study, and is not tried again.",
        *_HOOK,
        *_MISSED,
    ),
    _declare(
        "completion.failed",
        Level.ERROR,
        "Ledger or journals cannot be used, so no study is completed; it is tried again.",
        k.ERROR,
    ),
    _declare(
        "studylist.failed",
        Level.ERROR,
        "The list of complete studies cannot be written; it is tried again.",
        k.ERROR,
    ),
    _declare(
        "retention.removed",
        Level.INFO,
        "Old objects, all of them delivered, were removed from outgoing.",
        k.FILES,
        k.BYTES,
        k.DIRECTORIES,
        k.KEPT,
    ),
    _declare(
        "retention.failed",
        Level.ERROR,
        "Outgoing, spool or ledger cannot be used, so nothing is removed; it is tried again.",
        k.ERROR,
    ),
    # The log itself.
    _declare(
        "library.message",
        Level.WARNING,
        "A library wrote to its own log; its text is withheld because it may hold values.",
        k.LOGGER,
        k.LIBRARY_LEVEL,
        k.COUNT,
    ),
    _declare(
        "facts.dropped",
        Level.WARNING,
        "Counts by study are too low: the supervisor did not hear of every instance.",
        k.COUNT,
    ),
    _declare(
        "log.dropped",
        Level.WARNING,
        "This log is not complete.",
        k.UNDECLARED,
        k.UNWRITTEN,
    ),
)

EVENTS: Mapping[str, Event] = MappingProxyType({event.name: event for event in _DECLARED})
KEY_NAMES = frozenset(key.name for event in _DECLARED for key in event.keys)
