"""What is told of an instance: its receipt, its one line in the log, and what is counted.

The receipt is written between the commit and the answer; all else is told once the peer has
its answer. Decides nothing: what became of the instance is given.
"""

import time
from dataclasses import dataclass
from typing import Final

from dicomanon_node.dataset_stream import DatasetStream
from dicomanon_node.errors import Refused, Status
from dicomanon_node.hold.area import HoldError
from dicomanon_node.holding import Keeping
from dicomanon_node.ledger.receipts import Common, ReceiptWriter
from dicomanon_node.ledger.telling import CrosswalkWriter
from dicomanon_node.network.service import AssociationFacts, StoreRequest
from dicomanon_node.ops.events import TellEvent
from dicomanon_node.ops.facts import TellFact
from dicomanon_node.ops.studies import InstanceFact
from dicomanon_node.spool.incoming import Committed
from dicomanon_node.spool.watch import SpoolWatch

_STUDY_INSTANCE_UID: Final = 0x0020000D


@dataclass(frozen=True, slots=True)
class Books:
    """Where accounts are kept, the same for all instances.

    Attributes:
        log: Takes the lines.
        facts: Takes the counts.
        spool_watch: Hears whether the spool takes instances.
        rules_digest: Names the rules in force.
        receipts: Takes receipts; None: there are none.
        crosswalk: Takes, encrypted, who is who; None: nobody does.
    """

    log: TellEvent
    facts: TellFact
    spool_watch: SpoolWatch
    rules_digest: str
    receipts: ReceiptWriter | None
    crosswalk: CrosswalkWriter | None


class Account:
    """The account of one instance. Not thread-safe.

    Args:
        books: Where it is kept.
        request: With which the instance was announced.
        association: Over which it comes.

    Attributes:
        bytes_count: What has come of its data set, bytes; somebody has to add it up.
    """

    __slots__ = ("_answered_ms", "_association", "_books", "_request", "_started", "bytes_count")

    def __init__(self, books: Books, request: StoreRequest, association: AssociationFacts) -> None:
        self._books = books
        self._request = request
        self._association = association
        self._started = time.monotonic()
        self._answered_ms = 0.0
        self.bytes_count = 0

    def receipt(
        self,
        stream: DatasetStream,
        committed: Committed,
        destinations: tuple[str, ...],
        *,
        is_written: bool,
    ) -> None:
        """Write the receipt of an instance that is durable.

        Args:
            stream: The way it came.
            committed: Where it is.
            destinations: Where it is queued.
            is_written: It is in the outgoing tree.

        Raises:
            Refused: It could not be written, and is required; A700H.
        """
        receipts, crosswalk = self._books.receipts, self._books.crosswalk
        route, result, like = stream.route, stream.result, stream.like
        if receipts is None or route is None or result is None or like is None:
            return
        names = result.names
        if crosswalk is not None:
            is_new = stream.elements is not None
            crosswalk.tell(names["PatientID"], names["StudyInstanceUID"], like, is_new=is_new)
        hashed = receipts.origins.hash_often
        path = committed.outgoing_path
        directory, _, file_name = str(path).rpartition("/") if path is not None else (None, "", "")
        receipts.stored(
            Common(
                study=route.plan.rules.name,
                study_uid=names["StudyInstanceUID"],
                series_uid=names["SeriesInstanceUID"],
                original_study=hashed(like.elements.ascii(_STUDY_INSTANCE_UID)),
                original_series=hashed(stream.original_series_uid),
                sop_class=self._request.sop_class_uid,
                transfer_syntax=stream.transfer_syntax_uid,
                rules=self._books.rules_digest,
                association=self._association.association_id,
                calling_aet=self._association.calling_aet,
                destinations=destinations,
                is_written=is_written,
                directory=directory,
                patient=names["PatientID"],
                peer=self._association.peer_address,
            ),
            names["SOPInstanceUID"],
            self._request.sop_instance_uid,
            self.bytes_count,
            is_duplicate=committed.is_duplicate,
            is_variant=committed.is_variant,
            file_name=file_name,
        )

    def answered(self) -> None:
        """The answer is known: what it took is what is told."""
        self._answered_ms = self._elapsed_ms

    def stored(
        self, stream: DatasetStream, committed: Committed, destinations: tuple[str, ...]
    ) -> None:
        """It was answered 0000H, and is where `receipt` says."""
        route, result = stream.route, stream.result
        if route is None or result is None:
            return
        books, names, study = self._books, result.names, route.plan.rules.name
        books.spool_watch.stored()
        books.log.event(
            "instance.stored",
            association=self._association.association_id,
            calling_aet=self._association.calling_aet,
            study=study,
            by_default=route.is_by_default,
            rules=books.rules_digest,
            study_uid=names["StudyInstanceUID"],
            series_uid=names["SeriesInstanceUID"],
            sop_instance_uid=names["SOPInstanceUID"],
            sop_class=self._request.sop_class_uid,
            transfer_syntax=stream.transfer_syntax_uid,
            bytes=self.bytes_count,
            ms=self._answered_ms,
            duplicate=committed.is_duplicate,
            variant=committed.is_variant,
            destination_count=len(destinations),
        )
        books.facts.send(
            InstanceFact(
                study=study,
                study_uid=names["StudyInstanceUID"],
                series_uid=names["SeriesInstanceUID"],
                calling_aet=self._association.calling_aet,
                bytes_count=self.bytes_count,
                is_stored=True,
                is_duplicate=committed.is_duplicate,
            )
        )

    def refused(
        self,
        stream: DatasetStream,
        refusal: Refused,
        keeping: Keeping | None,
        *,
        is_accepted: bool,
    ) -> None:
        """It was refused.

        Args:
            stream: The way it came, as far as it came.
            refusal: Why.
            keeping: What was to be held of it; None: nothing.
            is_accepted: It is held, and was answered 0000H.
        """
        books, reason, study = self._books, refusal.reason, _study(stream)
        books.spool_watch.refused(refusal)
        if keeping is not None:
            self._held(keeping, refusal, study)
        books.log.event(
            "instance.refused",
            association=self._association.association_id,
            calling_aet=self._association.calling_aet,
            study=study,
            status=int(Status.SUCCESS if is_accepted else reason.status),
            reason=reason.code,
            tag=refusal.tag,
            rules=books.rules_digest,
            sop_class=self._request.sop_class_uid,
            transfer_syntax=self._request.transfer_syntax_uid,
            bytes=self.bytes_count,
            ms=self._answered_ms,
        )
        if books.receipts is not None:
            books.receipts.refused(
                reason,
                self._request.sop_instance_uid,
                sop_class=self._request.sop_class_uid,
                association=self._association.association_id,
                calling_aet=self._association.calling_aet,
                study=study or "",
                rules=books.rules_digest,
                bytes_count=self.bytes_count,
            )
        names = stream.result.names if stream.result else {}
        books.facts.send(
            InstanceFact(
                study=study,
                study_uid=names.get("StudyInstanceUID"),
                series_uid=names.get("SeriesInstanceUID"),
                calling_aet=self._association.calling_aet,
                bytes_count=self.bytes_count,
                is_stored=False,
            )
        )

    def abandoned(self, stream: DatasetStream) -> None:
        """Its association was lost before the last fragment."""
        self._books.log.event(
            "instance.abandoned",
            association=self._association.association_id,
            calling_aet=self._association.calling_aet,
            study=_study(stream),
            bytes=self.bytes_count,
            ms=self._elapsed_ms,
        )

    def fault(self, error: Exception) -> None:
        """A fault of ours. Its text may hold a value: its kind and our own lines are told."""
        self._books.log.event(
            "internal.error",
            where="receive",
            association=self._association.association_id,
            error=error,
        )

    @property
    def _elapsed_ms(self) -> float:
        return round((time.monotonic() - self._started) * 1000, 3)

    def _held(self, keeping: Keeping, refusal: Refused, study: str | None) -> None:
        entry, failure = keeping.entry, keeping.failure
        if entry is None and failure is None:
            return
        told: dict[str, object] = {
            "association": self._association.association_id,
            "calling_aet": self._association.calling_aet,
            "study": study,
            "reason": refusal.reason.code,
        }
        if entry is not None:
            told |= {"entry": entry, "bytes": self.bytes_count, "tag": refusal.tag}
            self._books.log.event("hold.held", **told)
        else:
            code = failure.code if isinstance(failure, HoldError) else "internal"
            self._books.log.event("hold.failed", **told, fault=code, error=failure)


def _study(stream: DatasetStream) -> str | None:
    route = stream.route
    return route.plan.rules.name if route else None
