"""What is said of a held object: the label anybody may read, and what lies with the object.

A label holds nothing of the object: a random id, words of this program, the study
rule's name, and the AE title as the log has it. Everything that the object or its
sender said besides is `Contents`, and is encrypted.
"""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from dicomanon_node.hold.sealing import SALT_BYTES, SealError
from dicomanon_node.ops import judges

CONTENTS_BYTES: Final = 1024
"""Of the encoded contents, filled with spaces: so the size of a file tells that of its data set."""

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Label:
    """What may be read without the key.

    Attributes:
        entry: Random id, 16 hexadecimal digits.
        held: When it was held; entries are released in this order.
        reason: Reason code of the refusal.
        status: The status word of that reason.
        tag: Tag number it happened at, if known.
        calling_aet: Who sent it, judged.
        study: Name of the study rule; None if none was found.
        key_id: Names the hold key.
        salt: Of the file.
    """

    entry: str
    held: datetime
    reason: str
    status: int
    tag: int | None
    calling_aet: str
    study: str | None
    key_id: str
    salt: bytes

    def encode(self) -> bytes:
        """As it is written."""
        fields = asdict(self) | {
            "version": _VERSION,
            "held": self.held.astimezone(UTC).isoformat(timespec="microseconds"),
            "salt": self.salt.hex(),
            "calling_aet": judges.AE_TITLE.accept(self.calling_aet),
        }
        return json.dumps(fields).encode("ascii")

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a label; nothing in it is believed before a chunk has been opened.

        Raises:
            SealError: `not-a-hold-file`.
        """
        try:
            fields: dict[str, Any] = json.loads(data)
            if fields.pop("version") != _VERSION:
                raise SealError("not-a-hold-file")
            fields["held"] = datetime.fromisoformat(fields["held"])
            fields["salt"] = bytes.fromhex(fields["salt"])
            label = cls(**fields)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise SealError("not-a-hold-file") from None
        if len(label.salt) != SALT_BYTES or not _is_well_formed(label):
            raise SealError("not-a-hold-file")
        return label


@dataclass(frozen=True, slots=True)
class Contents:
    """What came with the data set; identifies the instance (PHI).

    Attributes:
        sop_class_uid: Affected SOP Class UID.
        sop_instance_uid: Affected SOP Instance UID.
        transfer_syntax_uid: Of the data set.
        calling_aet: As it was sent.
        called_aet: As it was sent: it may choose the rules.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_aet: str
    called_aet: str

    def encode(self) -> bytes:
        """In exactly `CONTENTS_BYTES`.

        Raises:
            ValueError: It does not fit.
        """
        data = json.dumps(asdict(self)).encode("ascii").ljust(CONTENTS_BYTES)
        if len(data) > CONTENTS_BYTES:
            raise ValueError("contents too long")
        return data

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what `encode` wrote.

        Raises:
            SealError: `damaged`.
        """
        try:
            return cls(**json.loads(data))
        except (ValueError, TypeError):
            raise SealError("damaged") from None


def _is_well_formed(label: Label) -> bool:
    judged: tuple[tuple[judges.Judge, object], ...] = (
        (judges.HEX, label.entry),
        (judges.REASON, label.reason),
        (judges.HEX, label.key_id),
        (judges.STATUS, label.status),
    )
    return (
        label.held.tzinfo is not None
        and _is_text(label.calling_aet)
        and (label.study is None or _is_text(label.study))
        and (label.tag is None or judges.TAG.accept(label.tag) != judges.INVALID)
        and all(judge.accept(value) != judges.INVALID for judge, value in judged)
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str)
