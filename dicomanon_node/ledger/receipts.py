"""Receipts as the receive path writes them: few microseconds, and never in its way.

The receipt of an instance is in the journal before its sender is told 0000H. Most of it
is the same for all instances of a series and is encoded once. Where the journal cannot be
written, the log says so, once; whether instances are refused for it is the site's choice.
"""

import errno
import json
import threading
import time
from typing import Final, NamedTuple

from dicomanon_node.errors import Reason, Refused
from dicomanon_node.ledger.journal import Journal
from dicomanon_node.ledger.origins import Origins
from dicomanon_node.ledger.records import Delivery, Fact, Link, Note, Refusal, encode
from dicomanon_node.ops import judges
from dicomanon_node.ops.events import TellEvent

_MOST_REMEMBERED: Final = 256
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def now() -> int:
    """The time of day as records have it: microseconds since the epoch."""
    return time.time_ns() // 1000


class Common(NamedTuple):
    """What the receipts of a series have in common; fields as of `records.Stored`."""

    study: str
    study_uid: str
    series_uid: str
    original_study: str
    original_series: str
    sop_class: str
    transfer_syntax: str
    rules: str
    association: str
    calling_aet: str
    destinations: tuple[str, ...]
    is_written: bool
    directory: str | None = None
    patient: str = ""
    peer: str = ""


class ReceiptWriter:
    """Writes the records of one process to its journal. Thread-safe.

    Args:
        journal: The journal.
        origins: Hashes original UIDs.
        log: Told when the journal cannot be written, and when it can again.
        is_required: An instance without a receipt is not answered 0000H.

    Attributes:
        origins: As given.
    """

    def __init__(
        self, journal: Journal, origins: Origins, log: TellEvent, *, is_required: bool = False
    ) -> None:
        self.origins = origins
        self._journal = journal
        self._log = log
        self._is_required = is_required
        self._encoded: dict[Common, str] = {}
        self._lost = threading.Lock()
        self._lost_count = 0

    def stored(
        self,
        common: Common,
        sop_instance_uid: str,
        original: str,
        bytes_count: int,
        *,
        is_duplicate: bool,
        is_variant: bool,
        file_name: str = "",
    ) -> None:
        """Write the receipt of an instance that is durable and not answered yet.

        Args:
            common: What it shares with others.
            sop_instance_uid: New.
            original: Original SOP Instance UID (PHI).
            bytes_count: Encoded data set, bytes.
            is_duplicate: As of `records.Stored`.
            is_variant: As of `records.Stored`.
            file_name: Name of its file, safe (`spool.layout`); "" if it has none.

        Raises:
            Refused: It could not be written, and is required; A700H.
        """
        uid = judges.UID.accept(sop_instance_uid)
        # Nearly always it is this, and need not be said.
        named = "" if file_name in {"", f"{uid}.dcm"} else f'"file_name":"{file_name}",'
        line = (
            f"{self._encoded.get(common) or self._encode_common(common)}"
            f'"at":{now()},"bytes_count":{bytes_count},'
            f'"sop_instance_uid":"{uid}",{named}'
            f'"original_instance":"{self.origins.hash(original)}",'
            f'"is_duplicate":{"true" if is_duplicate else "false"},'
            f'"is_variant":{"true" if is_variant else "false"}}}]\n'
        )
        refusal = self._write(line.encode("ascii"))
        if refusal is not None and self._is_required:
            raise refusal

    def refused(
        self,
        reason: Reason,
        original: str,
        *,
        sop_class: str,
        association: str,
        calling_aet: str,
        study: str,
        rules: str,
        bytes_count: int,
    ) -> None:
        """Write that an instance was answered with a failure.

        Args:
            reason: Why.
            original: SOP Instance UID it was announced with (PHI).
            sop_class: SOP Class UID it was announced with, as sent.
            association: The association's identifier.
            calling_aet: As sent.
            study: Name of the study's rule, or "".
            rules: Digest of the rules in force.
            bytes_count: What had come of it, bytes.
        """
        self.write(
            Refusal(
                at=now(),
                reason=reason.code,
                status=int(reason.status),
                original_instance=self.origins.hash(original),
                sop_class=str(judges.UID.accept(sop_class)),
                association=association,
                calling_aet=str(judges.AE_TITLE.accept(calling_aet)),
                study=study,
                rules=rules,
                bytes_count=bytes_count,
            )
        )

    def ended(
        self,
        destination: str,
        sop_instance_uid: str,
        *,
        is_delivered: bool,
        status: int | None,
        reason: str,
        attempts: int,
    ) -> None:
        """Write that an instance leaves the queue of a destination; see `records.Delivery`."""
        uid = str(judges.UID.accept(sop_instance_uid))
        self.write(Delivery(now(), destination, uid, is_delivered, status, reason, attempts))

    def link(self, link: Link) -> bool:
        """Write an entry of the crosswalk; whether it was written.

        Raises:
            Refused: It could not be written, and is required; A700H.
        """
        refusal = self._write(encode(link))
        if refusal is not None and self._is_required:
            raise refusal
        return refusal is None

    def note(self, kind: str, /, **facts: Fact) -> None:
        """Write what else happened; see `records.Note`."""
        self.write(Note(now(), kind, facts))

    def write(self, record: Refusal | Delivery | Note) -> None:
        """Write a record that nobody waits for."""
        self._write(encode(record))

    def close(self) -> None:
        """This process writes no more."""
        self._journal.close()

    def _encode_common(self, common: Common) -> str:
        values = common._asdict() | {
            "key_id": self.origins.key_id,
            "study_uid": judges.UID.accept(common.study_uid),
            "series_uid": judges.UID.accept(common.series_uid),
            "sop_class": judges.UID.accept(common.sop_class),
            "calling_aet": judges.AE_TITLE.accept(common.calling_aet),
            "patient": judges.SHORT_TEXT.accept(common.patient),
            "peer": judges.ADDRESS.accept(common.peer) if common.peer else "",
        }
        encoded = f'["stored",{_encode(values)[:-1]},'
        if len(self._encoded) >= _MOST_REMEMBERED:
            self._encoded.clear()
        self._encoded[common] = encoded
        return encoded

    def _write(self, line: bytes) -> Refused | None:
        try:
            self._journal.append(line)
        except OSError as error:
            with self._lost:
                self._lost_count += 1
                is_first = self._lost_count == 1
            if is_first:
                self._log.event("journal.failed", error=error)
            full = error.errno in _NO_ROOM
            return Refused(Reason.DISK_FULL if full else Reason.SPOOL_UNAVAILABLE)
        if self._lost_count:
            with self._lost:
                lost_count, self._lost_count = self._lost_count, 0
            if lost_count:
                self._log.event("journal.available", lost=lost_count)
        return None
