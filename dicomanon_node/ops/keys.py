"""Every key a log line may have, declared once: meaning, unit and judge.

Which event has which keys is declared in `declared`. Nothing here has state.
"""

from dataclasses import dataclass

from dicomanon_node.ops import judges
from dicomanon_node.ops.judges import Judge


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a log line.

    Attributes:
        name: As written.
        meaning: One phrase for the reference.
        judge: What its value must look like.
        unit: Unit of the value; empty if it has none.
    """

    name: str
    meaning: str
    judge: Judge
    unit: str = ""


# The node and its processes.
VERSION = Key("version", "version of the node", judges.VERSION)
PID = Key("pid", "process id", judges.COUNT)
HOST = Key("host", "address that is listened on", judges.HOST)
PORT = Key("port", "TCP port for plain associations", judges.COUNT)
TLS_PORT = Key("tls_port", "TCP port for associations over TLS", judges.COUNT)
AE_TITLE = Key("ae_title", "our first AE title", judges.AE_TITLE)
PROCESSES = Key("processes", "receiver processes", judges.COUNT)
STUDIES = Key("studies", "configured studies", judges.COUNT)
DESTINATION_COUNT = Key("destination_count", "number of destinations", judges.COUNT)
KEY_ID = Key("key_id", "which secret key is in use; says nothing about it", judges.HEX)
RULES = Key("rules", "digest of the rules in force", judges.HEX)
FILE = Key("file", "configuration file", judges.SHORT_TEXT)
PATH = Key("path", "place in the configuration file", judges.PATH_TEXT)
MESSAGE = Key("message", "what is wrong with the configuration", judges.MESSAGE_TEXT)
SIGNAL = Key("signal", "name of the signal, such as SIGTERM", judges.IDENTIFIER)
ROLE = Key(
    "role",
    "what the process does: receiver, courier, keeper, recorder, committer, finisher, auditor,"
    " admin",
    judges.WORD,
)
EXIT_CODE = Key("exit_code", "exit code; negative: ended by that signal", judges.INTEGER)
WHERE = Key(
    "where", "part of the program: receive, association, courier, main, thread, ...", judges.WORD
)
ERROR = Key("error", "exception class and our own source lines, innermost first", judges.ERROR)

# Associations.
ASSOCIATION = Key("association", "the association's identifier", judges.IDENTIFIER)
ASSOCIATIONS = Key("associations", "associations that are open", judges.COUNT)
CALLING_AET = Key("calling_aet", "the requestor's AE title, as it sent it", judges.AE_TITLE)
CALLED_AET = Key("called_aet", "AE title the requestor asked for, as it sent it", judges.AE_TITLE)
PEER = Key("peer", "the requestor's address", judges.ADDRESS)
TLS = Key("tls", "version of TLS; left out if the association is plain", judges.IDENTIFIER)
CERTIFICATE = Key(
    "certificate",
    "SHA-256 fingerprint of the requestor's certificate, if it has shown one",
    judges.HEX,
)
HOW = Key("how", "how it ended: released, aborted, lost, timeout, ...", judges.WORD)
REASON = Key("reason", "reason code", judges.REASON)

# Instances. Every UID is that of the de-identified object.
STUDY = Key("study", "study whose rules apply", judges.STUDY)
BY_DEFAULT = Key("by_default", "true: no rule named the study, the default was taken", judges.FLAG)
STUDY_UID = Key("study_uid", "new Study Instance UID", judges.UID)
SERIES_UID = Key("series_uid", "new Series Instance UID", judges.UID)
SOP_INSTANCE_UID = Key("sop_instance_uid", "new SOP Instance UID", judges.UID)
SOP_CLASS = Key("sop_class", "SOP class", judges.KNOWN_UID)
TRANSFER_SYNTAX = Key("transfer_syntax", "transfer syntax as written", judges.KNOWN_UID)
DUPLICATE = Key("duplicate", "true: the very same object was here before", judges.FLAG)
VARIANT = Key("variant", "true: same UID as an object here, other content", judges.FLAG)
STATUS = Key(
    "status",
    "status word of a response (PS3.4 B.2.3, PS3.7 C), ours or a peer's",
    judges.STATUS,
)
TAG = Key("tag", "element at which it happened", judges.TAG)

# Counts and measures.
STORED = Key("stored", "instances answered 0000H", judges.COUNT)
REFUSED = Key("refused", "instances answered with a failure", judges.COUNT)
INSTANCES = Key("instances", "different instances stored", judges.COUNT)
DUPLICATES = Key("duplicates", "instances that came once more", judges.COUNT)
SERIES = Key("series", "different series", judges.COUNT)
BYTES = Key("bytes", "encoded data sets", judges.COUNT, "bytes")
FREE_BYTES = Key("free_bytes", "room left on the spool's file system", judges.COUNT, "bytes")
MS = Key("ms", "from first to last step", judges.DURATION, "milliseconds")
SECONDS = Key("seconds", "from first to last step", judges.DURATION, "seconds")
RETRY_S = Key("retry_s", "until the next attempt", judges.DURATION, "seconds")
DEADLINE_S = Key("deadline_s", "until what is left is aborted", judges.DURATION, "seconds")
COUNT = Key("count", "how many since the last such line", judges.COUNT)
REMOVED = Key("removed", "unfinished files removed", judges.COUNT)
LOST = Key("lost", "records that could not be written", judges.COUNT)
TORN = Key("torn", "lines that were no records", judges.COUNT)
REMOVED_ROWS = Key("rows", "rows of the ledger that were removed", judges.COUNT)
UNDECLARED = Key("undeclared", "events or keys that are not declared", judges.COUNT)
UNWRITTEN = Key("unwritten", "lines that could not be written", judges.COUNT)

# Delivery.
DESTINATION = Key("destination", "where it goes", judges.DESTINATION)
ATTEMPT = Key("attempt", "which attempt, from 1", judges.COUNT)
WAITING = Key("waiting", "instances in its queue", judges.COUNT)

# The hold.
ENTRY = Key("entry", "random name of an object in the hold", judges.HEX)
FAULT = Key("fault", "why it could not be held: hold-full, disk-full, ...", judges.WORD)
HELD = Key("held", "objects in the hold", judges.COUNT)
USER_ID = Key("user_id", "number of the user at the node's machine who did it", judges.COUNT)
ALARM_COUNT = Key("alarm_count", "how many are too many, as configured", judges.COUNT)

# The console.
WITH_TOKEN = Key("with_token", "true: nobody gets in without the token", judges.FLAG)

# Storage Commitment.
TRANSACTION = Key("transaction", "the request: a keyed hash of its Transaction UID", judges.HEX)
UNCOMMITTED = Key("uncommitted", "instances that are not committed", judges.COUNT)

# Complete studies.
REVISION = Key(
    "revision", "how often the study has been complete, with more each time", judges.COUNT
)
HOOK = Key("hook", "command or url", judges.WORD)
HTTP_STATUS = Key("http_status", "status of the web server's answer", judges.COUNT)
FILES = Key("files", "files removed from outgoing", judges.COUNT)
DIRECTORIES = Key("directories", "directories removed that were left empty", judges.COUNT)
KEPT = Key("kept", "files that are old enough and in use, so that they stay", judges.COUNT)

# The audit.
UNTOLD = Key("untold", "audit messages that nobody has taken", judges.COUNT)

# Other libraries.
LOGGER = Key("logger", "the library's logger", judges.LOGGER)
LIBRARY_LEVEL = Key("library_level", "level the library gave", judges.WORD)
