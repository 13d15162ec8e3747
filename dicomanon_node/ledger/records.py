"""What happened, one record a line of JSON. Nothing in a record identifies anybody.

UIDs are those of the de-identified object; an `original_...` is a keyed hash (`origins`);
other text has been judged (`ops.judges`) or comes from the configuration. Times are
microseconds since the epoch, UTC. A record that is not of this form is not read.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from types import MappingProxyType
from typing import Any, Final

from dicomanon_node.errors import NodeError

LONGEST_BYTES: Final = 16_384
"""Of one record, line break included; nothing the node writes comes near it."""

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode

Fact = str | int | bool | None


class RecordError(NodeError):
    """A line that is no record. Its text holds nothing of the line."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An instance is durable and queued, and is answered 0000H next: its receipt.

    Attributes:
        at: When, microseconds.
        study: Name of the study's rule.
        study_uid: New Study Instance UID.
        series_uid: New Series Instance UID.
        sop_instance_uid: New SOP Instance UID.
        original_study: Keyed hash of the original Study Instance UID; "" if it had none.
        original_series: Of the Series Instance UID, likewise.
        original_instance: Of the SOP Instance UID.
        sop_class: SOP Class UID.
        transfer_syntax: As written.
        rules: Digest of the rules in force.
        key_id: Which key the pseudonyms and hashes are made with.
        bytes_count: Encoded data set as received, bytes.
        association: The association's identifier.
        calling_aet: The requestor's AE title, judged.
        is_duplicate: The same bytes were in outgoing before.
        is_variant: Another object of this UID was in outgoing before.
        destinations: Names of the destinations it is queued for.
        is_written: It has a file in the outgoing tree.
        directory: Where in that tree, relative; "" is the tree itself, None is not known.
        file_name: The file's name; "" is `<SOP Instance UID>.dcm`.
        patient: New Patient ID, judged.
        peer: The requestor's address, judged.
    """

    at: int
    study: str
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    original_study: str
    original_series: str
    original_instance: str
    sop_class: str
    transfer_syntax: str
    rules: str
    key_id: str
    bytes_count: int
    association: str
    calling_aet: str
    is_duplicate: bool = False
    is_variant: bool = False
    destinations: tuple[str, ...] = ()
    is_written: bool = True
    directory: str | None = None
    file_name: str = ""
    patient: str = ""
    peer: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An instance was answered with a failure status; nothing of it was kept.

    Attributes:
        at: When, microseconds.
        reason: Code of the `Reason`.
        status: Status word of the answer.
        original_instance: Keyed hash of the SOP Instance UID it was announced with.
        sop_class: SOP Class UID it was announced with, judged.
        association: The association's identifier.
        calling_aet: The requestor's AE title, judged.
        study: Name of the study's rule; "" if none was found.
        rules: Digest of the rules in force.
        bytes_count: What had come of the data set, bytes.
    """

    at: int
    reason: str
    status: int
    original_instance: str
    sop_class: str
    association: str
    calling_aet: str
    study: str = ""
    rules: str = ""
    bytes_count: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """An instance has left the queue of a destination.

    Attributes:
        at: When, microseconds.
        destination: Its name.
        sop_instance_uid: New SOP Instance UID.
        is_delivered: The destination has it; else it lies in failed/.
        status: The destination's status word; None if it gave none.
        reason: Why it failed, a fixed word; "" if it did not.
        attempts: Attempts, this one included.
    """

    at: int
    destination: str
    sop_instance_uid: str
    is_delivered: bool
    status: int | None = None
    reason: str = ""
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Link:
    """Who a pseudonym is, encrypted: see `crosswalk`.

    Attributes:
        at: When, microseconds.
        patient: New Patient ID.
        study_uid: New Study Instance UID.
        mark: Keyed hash of what was encrypted: entries that say the same have the same.
        key_id: Which key opens it.
        sealed: Nonce, ciphertext and tag, base64.
    """

    at: int
    patient: str
    study_uid: str
    mark: str
    key_id: str
    sealed: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something else that is to be known later.

    Attributes:
        at: When, microseconds.
        kind: A fixed word: started, stopped, reloaded, association-closed, reidentified,
            rekeyed, hold-exported, alert, ...
        facts: What is to be known of it: fixed words, judged text, numbers.
    """

    at: int
    kind: str
    facts: Mapping[str, Fact] = field(default_factory=dict)


Record = Stored | Refusal | Delivery | Link | Note
_KINDS: Final[Mapping[str, type[Record]]] = MappingProxyType(
    {"stored": Stored, "refused": Refusal, "delivery": Delivery, "link": Link, "note": Note}
)
_NAMES: Final = {made: name for name, made in _KINDS.items()}
_LONGEST_INTEGER: Final = 2**63


def encode(record: Record) -> bytes:
    """A record as its line: ASCII, one line break, at the end."""
    line = _encode([_NAMES[type(record)], asdict(record)]).encode("ascii")
    return line + b"\n"


def decode(line: bytes) -> Record:
    """The record of a line.

    Raises:
        RecordError: It is none.
    """
    try:
        name, values = json.loads(line)
        made = _KINDS[name]
    except (ValueError, TypeError, KeyError):
        raise RecordError("not a record") from None
    if not isinstance(values, dict) or not values.keys() <= _CHECKS[made].keys():
        raise RecordError("not a record")
    if made is Stored and isinstance(values.get("destinations"), list):
        values["destinations"] = tuple(values["destinations"])
    for key, value in values.items():
        if not _CHECKS[made][key](value):
            raise RecordError("not a record")
    try:
        return made(**values)
    except TypeError:
        raise RecordError("not a record") from None


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_optional_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_number(value: object) -> bool:
    return type(value) is int and -_LONGEST_INTEGER <= value < _LONGEST_INTEGER


def _is_status(value: object) -> bool:
    return value is None or _is_number(value)


def _are_texts(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(entry, str) for entry in value)


def _are_facts(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(fact, str | bool) or fact is None or _is_number(fact) for fact in value.values()
    )


_BY_TYPE: Final[Mapping[Any, Callable[[object], bool]]] = MappingProxyType(
    {
        str: _is_text,
        str | None: _is_optional_text,
        bool: _is_flag,
        int: _is_number,
        int | None: _is_status,
        tuple[str, ...]: _are_texts,
        Mapping[str, Fact]: _are_facts,
    }
)
_CHECKS: Final = {
    made: {entry.name: _BY_TYPE[entry.type] for entry in fields(made)} for made in _KINDS.values()
}
