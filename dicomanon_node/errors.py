"""The exception tree, the DIMSE status words and the reasons for a refusal.

    NodeError
    ├── ConfigError        the configuration cannot be used; carries every problem found
    ├── Refused            this object is not accepted; carries one `Reason`
    └── DeliveryError      a destination did not take an object
        ├── DeferredError  temporary: the queue tries again
        └── RejectedError  permanent: the object goes to failed/

What this module does not do: format anything that came from an object, a key or
a peer. Every text here is fixed when the program is written, so it may be sent
to a peer, logged and shown.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum


class Status(IntEnum):
    """C-STORE status words (PS3.4 B.2.3, PS3.7 C).

    Warnings (Bxxx) are never used: many senders delete their copy on them.
    """

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    NOT_AUTHORISED = 0x0124
    OUT_OF_RESOURCES = 0xA700
    DATASET_MISMATCH = 0xA900
    CANNOT_UNDERSTAND = 0xC000


class Reason(Enum):
    """Why an object is refused: (code for logs, status, Error Comment for the peer).

    The comment is an LO of at most 64 characters (PS3.7 C.4.2).
    """

    # The data set cannot be understood (permanent).
    UNPARSABLE = ("unparsable", Status.CANNOT_UNDERSTAND, "Data set cannot be parsed")
    TRUNCATED = ("truncated", Status.CANNOT_UNDERSTAND, "Data set ends in an element")
    NESTED_TOO_DEEP = ("nested-too-deep", Status.CANNOT_UNDERSTAND, "Sequences nested too deep")
    TOO_MANY_ELEMENTS = ("too-many-elements", Status.CANNOT_UNDERSTAND, "Too many elements")
    HEADER_TOO_LARGE = ("header-too-large", Status.CANNOT_UNDERSTAND, "Header over the limit")
    OBJECT_TOO_LARGE = ("object-too-large", Status.CANNOT_UNDERSTAND, "Object over the limit")
    MISSING_UID = ("missing-uid", Status.CANNOT_UNDERSTAND, "A mandatory UID is missing")
    DEFLATE_LIMIT = ("deflate-limit", Status.CANNOT_UNDERSTAND, "Deflated data over the limit")
    CHARACTER_SET = ("character-set", Status.CANNOT_UNDERSTAND, "Character set not supported")
    UID_MISMATCH = ("uid-mismatch", Status.DATASET_MISMATCH, "UIDs differ from the command")

    # The rules do not let it pass (permanent until somebody changes the rules).
    NO_STATION = ("no-station", Status.PROCESSING_FAILURE, "Not routed: no station rule applies")
    NO_STUDY = ("no-study", Status.PROCESSING_FAILURE, "Not routed: no study rule applies")
    PHOENIX_REPORT = ("phoenix-report", Status.PROCESSING_FAILURE, "Phoenix reports are refused")
    BURNED_IN = ("burned-in", Status.PROCESSING_FAILURE, "Burned in annotation is refused")
    ACTION_FAILED = ("action-failed", Status.PROCESSING_FAILURE, "A rule cannot be applied")
    LEAK_FOUND = ("leak-found", Status.PROCESSING_FAILURE, "De-identification not complete")
    PRIVATE_UNREADABLE = (
        "private-unreadable",
        Status.PROCESSING_FAILURE,
        "A private element to keep cannot be read",
    )
    INTERNAL = ("internal", Status.PROCESSING_FAILURE, "Internal error, object not accepted")

    # Who sends what (permanent).
    PEER_NOT_ALLOWED = ("peer-not-allowed", Status.NOT_AUTHORISED, "Not authorised")
    SOP_CLASS = ("sop-class", Status.SOP_CLASS_NOT_SUPPORTED, "SOP class not supported")

    # Resources (temporary: the sender may send again).
    SPOOL_UNAVAILABLE = ("spool-unavailable", Status.OUT_OF_RESOURCES, "Storage unavailable")
    DISK_FULL = ("disk-full", Status.OUT_OF_RESOURCES, "Storage is full")
    QUEUE_FULL = ("queue-full", Status.OUT_OF_RESOURCES, "Queue is full, send again later")
    MEMORY_BUDGET = ("memory-budget", Status.OUT_OF_RESOURCES, "Busy, send again later")
    DRAINING = ("draining", Status.OUT_OF_RESOURCES, "Shutting down, send again later")

    def __init__(self, code: str, status: Status, comment: str) -> None:
        self.code = code
        self.status = status
        self.comment = comment

    @property
    def is_temporary(self) -> bool:
        """Whether sending the same object again may succeed."""
        return self.status is Status.OUT_OF_RESOURCES


class NodeError(Exception):
    """Everything this package raises on purpose."""


class Refused(NodeError):  # noqa: N818  (a verdict about an object, not a fault of ours)
    """This object is not accepted. Its text is the reason's code, nothing else.

    Args:
        reason: Why; decides the status and the Error Comment the peer gets.
        tag: Tag number of the element it happened at, if one is known. A tag number
            carries no identity.
    """

    def __init__(self, reason: Reason, tag: int | None = None) -> None:
        super().__init__(reason.code)
        self.reason = reason
        self.tag = tag


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the configuration: where, what, and what is allowed."""

    file: str
    path: str
    message: str

    def __str__(self) -> str:
        return (
            f"{self.file}: {self.path}: {self.message}"
            if self.path
            else (f"{self.file}: {self.message}")
        )


class ConfigError(NodeError):
    """The configuration cannot be used; names every problem found, never a secret."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class DeliveryError(NodeError):
    """A destination did not take an object. `code` is a fixed word for logs and failed/."""

    def __init__(self, code: str, status: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


class DeferredError(DeliveryError):
    """Temporary: the destination is down or asks to be tried again."""


class RejectedError(DeliveryError):
    """Permanent: the destination refused this object and would refuse it again."""
