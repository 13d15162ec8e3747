"""Reason codes in plain words, each with its cure. What `docs/status.md` says, for a page.

A test holds these equal to the codes there are: every `errors.Reason`, and every reason
with which a delivery fails.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Words:
    """What a code means.

    Attributes:
        meaning: What happened.
        cure: What to do about it.
    """

    meaning: str
    cure: str


_RULES: Final = "Change the study's rules if that is meant; then have the sender send again."
_LIMIT: Final = "If such objects are regular, raise the limit in node.toml; the log has the size."
_BROKEN: Final = "The object is damaged or its encoder is at fault: have it exported anew."
_ROOM: Final = "Make room on the spool's file system. The sender keeps it and sends again."

REFUSED: Final[Mapping[str, Words]] = {
    "unparsable": Words("The data set cannot be parsed.", _BROKEN),
    "truncated": Words("The data set ends in the middle of an element.", _BROKEN),
    "nested-too-deep": Words("Sequences are nested deeper than limits.nesting.", _LIMIT),
    "too-many-elements": Words("It has more elements than limits.elements.", _LIMIT),
    "header-too-large": Words("Its header is larger than limits.header_bytes.", _LIMIT),
    "object-too-large": Words(
        "It is larger than limits.object_bytes, or limits.converted_bytes if Big Endian.", _LIMIT
    ),
    "missing-uid": Words("A UID that every object needs is missing.", _BROKEN),
    "deflate-limit": Words("It inflates to more than limits.deflated_bytes.", _LIMIT),
    "character-set": Words("Its character set cannot be handled.", _BROKEN),
    "uid-mismatch": Words("UIDs in the data set are not those of the command.", _BROKEN),
    "no-station": Words(
        "No station rule applies, and routing.on_missing is refuse.",
        "Add the station to stations.json, or a default.",
    ),
    "no-study": Words(
        "No study rule applies, and routing.on_missing is refuse.",
        "Add the study to studies.json, or a default.",
    ),
    "phoenix-report": Words("It is a Phoenix report, and the study refuses those.", _RULES),
    "burned-in": Words("It declares text burned into its pixels.", _RULES),
    "action-failed": Words(
        "A rule cannot be applied to an element as this object has it.",
        "See the element's tag; `dicomanon-node explain FILE` names the rule.",
    ),
    "leak-found": Words(
        "An identifier would have been left in an element that may not be changed.",
        "See the element's tag: let the study remove it, or do not send such objects.",
    ),
    "private-unreadable": Words(
        "A private element that the study keeps cannot be looked into.",
        "Do not keep that element, or do not send such objects.",
    ),
    "internal": Words(
        "A fault of the node itself.",
        "Look for internal.error in the log and report it; the sender keeps the object.",
    ),
    "peer-not-allowed": Words("This sender may not send this.", "List it under [[peers]]."),
    "sop-class": Words(
        "Its SOP class is not that of its presentation context.", "The sender is at fault."
    ),
    "spool-unavailable": Words(
        "The spool cannot be read or written.", "See to the disk. The sender sends again."
    ),
    "disk-full": Words("Less room than storage.low_water_bytes.", _ROOM),
    "queue-full": Words(
        "The queue of a destination of its study is over storage.queue_high_water.",
        "See why the destination takes nothing. The sender keeps it and sends again.",
    ),
    "memory-budget": Words(
        "More than limits.held_bytes would be held of all objects under way.",
        "The sender sends again later. If it is frequent, raise the limit.",
    ),
    "draining": Words("The node was ending.", "The sender sends again."),
}

_SENDERS: Final = "Ask who runs the destination; then try again."

FAILED: Final[Mapping[str, Words]] = {
    "dataset-mismatch": Words("The destination says UIDs do not match its SOP class.", _SENDERS),
    "cannot-understand": Words("The destination cannot understand the object.", _SENDERS),
    "processing-failure": Words("The destination could not process it.", _SENDERS),
    "duplicate-instance": Words(
        "The destination has an object of this UID already.", "Drop it, if it is the same."
    ),
    "invalid-instance": Words("The destination does not take its SOP Instance UID.", _SENDERS),
    "sop-class-not-supported": Words(
        "The destination does not support its SOP class.", "Enable it there, then try again."
    ),
    "not-authorised": Words(
        "The destination does not let us send this.", "Allow our AE title there, then try again."
    ),
    "refused": Words("The destination refused it.", _SENDERS),
    "breaks-association": Words(
        "The destination ends the association whenever this object comes.",
        "Ask who runs the destination what is wrong with it; then try again, or drop it.",
    ),
    "unexpected-status": Words("The destination answered what PS3.4 does not know.", _SENDERS),
    "unknown": Words("The reason file beside it is missing.", "Try again; the log says more."),
}
_NOT_LISTED: Final = Words("No more is known than this word.", "The log says more; try again.")


def of_refusal(code: str) -> Words:
    """Words for the reason of a refused instance."""
    return REFUSED.get(code, _NOT_LISTED)


def of_failure(code: str) -> Words:
    """Words for the reason of a failed delivery."""
    return FAILED.get(code, _NOT_LISTED)
