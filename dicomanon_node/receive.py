"""The way of an instance: the one place where its order can be read.

    fragments -> header -> route -> de-identify -> spool -> durable -> receipt -> 0000H

An instance is de-identified while it comes in. Only de-identified bytes ever reach
the spool; the original header lives in memory until it has been rewritten. Whatever
goes wrong, wherever, ends in a refusal, and nothing of the instance is kept: unless
there is a hold (`holding`), and then it is kept encrypted. What is told of it is in
`account`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dicomanon_node.account import Account, Books
from dicomanon_node.budget import Budget
from dicomanon_node.dataset_stream import Announced, DatasetStream
from dicomanon_node.deid.boundaries import Limits
from dicomanon_node.deid.rules import StudyRules
from dicomanon_node.deid.templates import Templates
from dicomanon_node.errors import Reason, Refused, Status
from dicomanon_node.hold.label import Contents
from dicomanon_node.holding import Hold, Keeping
from dicomanon_node.ledger.receipts import ReceiptWriter
from dicomanon_node.ledger.telling import CrosswalkWriter
from dicomanon_node.network.service import AssociationFacts, Instance, Outcome, StoreRequest
from dicomanon_node.ops.events import TellEvent
from dicomanon_node.ops.facts import TellFact
from dicomanon_node.routing import Route, Router
from dicomanon_node.spool.incoming import Committed, IncomingFile
from dicomanon_node.spool.layout import Layout
from dicomanon_node.spool.pressure import Pressure
from dicomanon_node.spool.spool import Spool
from dicomanon_node.spool.watch import SpoolWatch

_STORED = Outcome(Status.SUCCESS)


@dataclass(frozen=True, slots=True)
class ReceiveSettings:
    """What receiving needs besides its collaborators.

    Attributes:
        limits: How much of one object is looked at.
        deflated_bytes: Inflated size at which a deflated object is refused, in bytes.
        converted_bytes: Size at which a Big Endian object is refused, in bytes.
        destinations: Names of all configured destinations.
        layout: Where objects go in the outgoing tree; None if there is none.
        rules_digest: Names the rules in force, for the log.
        held_bytes: What all objects under way may hold in memory together: see `budget`.
        is_batch: Everything is written to the outgoing tree and nothing is forwarded,
            whatever the study says.
    """

    limits: Limits
    deflated_bytes: int
    converted_bytes: int
    destinations: tuple[str, ...]
    layout: Layout | None
    rules_digest: str
    held_bytes: int = 512 << 20
    is_batch: bool = False

    def is_written(self, rules: StudyRules) -> bool:
        """Whether a study's objects go to the outgoing tree."""
        return self.layout is not None and (self.is_batch or rules.writes_outgoing)

    def forwarded_to(self, rules: StudyRules) -> tuple[str, ...]:
        """Names of the destinations a study's objects go to."""
        if self.is_batch:
            return ()
        return self.destinations if rules.destinations is None else rules.destinations


class Receiver:
    """Takes instances from associations. Thread-safe.

    Args:
        router: Finds the study.
        spool: Makes durable.
        settings: The rest.
        log: Where each instance's one line goes.
        facts: Where counts by study are kept.
        pressure: Which queues are full; None if nobody watches them.
        hold: Where refused instances are held; None holds none.
        receipts: Where receipts are written; None writes none.
        crosswalk: Where it is written, encrypted, who is who; None: nowhere.
    """

    def __init__(
        self,
        router: Router,
        spool: Spool,
        settings: ReceiveSettings,
        log: TellEvent,
        facts: TellFact,
        pressure: Pressure | None = None,
        hold: Hold | None = None,
        receipts: ReceiptWriter | None = None,
        crosswalk: CrosswalkWriter | None = None,
    ) -> None:
        self.hold = hold
        self.router = router
        self.spool = spool
        self.settings = settings
        self.pressure = pressure or Pressure(settings.destinations)
        self.receipts = receipts
        self.books = Books(
            log, facts, SpoolWatch(spool, log), settings.rules_digest, receipts, crosswalk
        )
        self.templates: Templates[Route] = Templates()
        self.budget = Budget(settings.held_bytes)

    def begin(self, request: StoreRequest, association: AssociationFacts) -> Instance:
        """Start to take one instance."""
        return ReceivedInstance(self, request, association)


class ReceivedInstance:
    """One instance while it comes in. Not thread-safe; its association owns it."""

    def __init__(
        self, receiver: Receiver, request: StoreRequest, association: AssociationFacts
    ) -> None:
        self._receiver = receiver
        self._request = request
        self._association = association
        self._account = Account(receiver.books, request, association)
        self._stream = DatasetStream(
            Announced(
                request.sop_class_uid,
                request.sop_instance_uid,
                request.transfer_syntax_uid,
                association.called_aet,
            ),
            receiver.router,
            receiver.settings,
            self._write_out,
            budget=receiver.budget,
            templates=receiver.templates,
        )
        self._file: IncomingFile | None = None
        self._committed: Committed | None = None
        self._refusal: Refused | None = None
        self._is_accepted = False  # refused, held, and answered 0000H
        self._keeping = self._kept(receiver.hold) if receiver.hold is not None else None

    def write(self, fragments: Sequence[memoryview]) -> None:
        """Take the next fragments; what is wrong with them is told by `finish`."""
        account = self._account
        for fragment in fragments:
            account.bytes_count += len(fragment)
        keeping = self._keeping
        if keeping is not None:
            keeping.take(fragments)
        if self._refusal is not None:
            self._bound_keeping(self._refusal)
            return
        try:
            self._check_size()
            self._stream.feed(fragments)
        except Exception as error:  # noqa: BLE001  (promise 3: whatever it is, it refuses)
            self._refuse(error, fragments)
        else:
            if keeping is not None:
                keeping.went(fragments, self._file)

    def finish(self) -> Outcome:
        """Complete the instance; 0000H only if it is durable and queued."""
        if self._refusal is None:
            try:
                self._stream.finish()
                committed = self._commit()
                # Before the answer: whoever was told 0000H has a receipt.
                self._write_receipt(committed)
                self._committed = committed
            except Exception as error:  # noqa: BLE001  (promise 3)
                self._refuse(error)
        if self._refusal is not None:
            return self._refused_outcome(self._refusal)
        self._account.answered()
        return _STORED

    def answered(self) -> None:
        """The peer has its answer. Now what it need not wait for: tidy up, tell, learn."""
        self._stream.release()
        if self._file is not None:
            self._file.discard()
        if self._keeping is not None:
            self._keeping.forget()
        if self._committed is None:
            refusal = self._refusal or Refused(Reason.INTERNAL)
            self._account.refused(
                self._stream, refusal, self._keeping, is_accepted=self._is_accepted
            )
        else:
            self._tell_stored(self._committed)
            self._stream.teach()

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._stream.abandon()
        if self._file is not None:
            self._file.discard()
        if self._keeping is not None:
            self._keeping.forget()
        self._account.abandoned(self._stream)

    # The steps, in their order; those before the spool are in `dataset_stream`.

    def _check_size(self) -> None:
        if self._account.bytes_count > self._receiver.settings.limits.object_bytes:
            raise Refused(Reason.OBJECT_TOO_LARGE)

    def _bound_keeping(self, refusal: Refused) -> None:
        # What a site wants to hold for its size has the hold's own bound, `hold.max_bytes`.
        if self._keeping is None or refusal.reason is Reason.OBJECT_TOO_LARGE:
            return
        if self._account.bytes_count > self._receiver.settings.limits.object_bytes:
            self._keeping.give_up()

    def _write_out(self, chunks: list[bytes | memoryview]) -> None:
        if self._file is None:
            self._check_queues()
            self._file = self._receiver.spool.open()
        self._file.write(chunks)

    def _check_queues(self) -> None:
        route, settings = self._stream.route, self._receiver.settings
        if route is not None:
            destinations = settings.forwarded_to(route.plan.rules)
            if self._receiver.pressure.is_any_full(destinations):
                raise Refused(Reason.QUEUE_FULL)

    def _commit(self) -> Committed:
        route, result = self._stream.route, self._stream.result
        if self._file is None or result is None or route is None:
            raise Refused(Reason.INTERNAL)
        settings, rules = self._receiver.settings, route.plan.rules
        names = result.names
        outgoing_path = None
        if settings.layout is not None and settings.is_written(rules):
            outgoing_path = settings.layout.render({"study": rules.name, **names})
        return self._file.commit(
            outgoing_path=outgoing_path,
            queue_name=f"{names['SOPInstanceUID']}.dcm",
            destinations=settings.forwarded_to(rules),
        )

    def _kept(self, hold: Hold) -> Keeping:
        request, association = self._request, self._association
        contents = Contents(
            request.sop_class_uid,
            request.sop_instance_uid,
            request.transfer_syntax_uid,
            association.calling_aet,
            association.called_aet,
        )
        return Keeping(hold, contents, self._stream, self._receiver.budget)

    def _refused_outcome(self, refusal: Refused) -> Outcome:
        """The refusal; or 0000H for what is held, where the site has said so."""
        hold, keeping = self._receiver.hold, self._keeping
        if keeping is not None:
            keeping.commit()
        self._account.answered()
        if hold is not None and hold.accepts and keeping is not None and keeping.entry is not None:
            self._is_accepted = True
            return _STORED
        return Outcome.refused(refusal.reason)

    def _write_receipt(self, committed: Committed) -> None:
        route, settings = self._stream.route, self._receiver.settings
        if route is not None and self._receiver.receipts is not None:
            rules = route.plan.rules
            self._account.receipt(
                self._stream,
                committed,
                settings.forwarded_to(rules),
                is_written=settings.is_written(rules),
            )

    def _refuse(self, error: Exception, fragments: Sequence[memoryview] = ()) -> None:
        if isinstance(error, Refused):
            self._refusal = error
        else:
            self._refusal = Refused(Reason.INTERNAL)
            self._account.fault(error)
        if self._keeping is not None:
            calling_aet = self._association.calling_aet
            self._keeping.refused(self._refusal, fragments, self._file, calling_aet)
        if self._file is not None:
            self._file.discard()
            self._file = None
        self._stream.abandon()

    def _tell_stored(self, committed: Committed) -> None:
        route, settings = self._stream.route, self._receiver.settings
        if route is not None:
            self._account.stored(self._stream, committed, settings.forwarded_to(route.plan.rules))
