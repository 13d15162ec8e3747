"""The way of an instance: the one place where its order can be read.

    fragments -> header -> route -> de-identify -> spool -> durable -> 0000H

An instance is de-identified while it comes in. Only de-identified bytes ever reach
the spool; the original header lives in memory until it has been rewritten. Whatever
goes wrong, wherever, ends in a refusal, and nothing of the instance is kept.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dicomanon_node.deid.boundaries import HeaderScanner, Limits, PixelTail
from dicomanon_node.deid.convert import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    ByteSwapper,
    Inflater,
    output_transfer_syntax,
)
from dicomanon_node.deid.elements import Elements
from dicomanon_node.deid.engine import Deidentified, Deidentifier
from dicomanon_node.deid.rules import StudyRules
from dicomanon_node.errors import Reason, Refused, Status
from dicomanon_node.network.service import AssociationFacts, Instance, Outcome, StoreRequest
from dicomanon_node.ops.logs import Log
from dicomanon_node.ops.studies import InstanceFact
from dicomanon_node.routing import Route, Router
from dicomanon_node.spool.incoming import Committed, IncomingFile
from dicomanon_node.spool.layout import Layout
from dicomanon_node.spool.spool import Spool
from dicomanon_node.spool.watch import SpoolWatch

_SOP_CLASS_UID = 0x00080016
_SOP_INSTANCE_UID = 0x00080018


class TellFact(Protocol):
    """Takes a fact about an instance; never blocks, never raises."""

    def send(self, fact: InstanceFact) -> None:
        """Tell the fact."""


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
        is_batch: Everything is written to the outgoing tree and nothing is forwarded,
            whatever the study says.
    """

    limits: Limits
    deflated_bytes: int
    converted_bytes: int
    destinations: tuple[str, ...]
    layout: Layout | None
    rules_digest: str
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
    """Takes instances from associations. Thread-safe: what it holds never changes.

    Args:
        router: Finds the study.
        spool: Makes durable.
        settings: The rest.
        log: Where each instance's one line goes.
        facts: Where counts by study are kept.
    """

    def __init__(
        self, router: Router, spool: Spool, settings: ReceiveSettings, log: Log, facts: TellFact
    ) -> None:
        self.router = router
        self.spool = spool
        self.settings = settings
        self.log = log
        self.facts = facts
        self.spool_watch = SpoolWatch(spool, log)

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
        self._started = time.monotonic()
        self._transfer_syntax_uid = output_transfer_syntax(request.transfer_syntax_uid)
        self._implicit = request.transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN
        self._converter = self._make_converter()
        self._header = HeaderScanner(implicit=self._implicit, limits=receiver.settings.limits)
        self._pixels: PixelTail | None = None
        self._trailer = HeaderScanner(implicit=self._implicit, limits=receiver.settings.limits)
        self._pending: list[bytes | memoryview] = []
        self._file: IncomingFile | None = None
        self._route: Route | None = None
        self._deidentifier: Deidentifier | None = None
        self._result: Deidentified | None = None
        self._received_bytes = 0
        self._refusal: Refused | None = None

    def write(self, fragments: Sequence[memoryview]) -> None:
        """Take the next fragments; what is wrong with them is told by `finish`."""
        for fragment in fragments:
            self._received_bytes += len(fragment)
        if self._refusal is not None:
            return
        try:
            self._check_size()
            for fragment in fragments:
                self._convert_and_take(fragment)
            self._flush()
        except Exception as error:  # noqa: BLE001  (promise 3: whatever it is, it refuses)
            self._refuse(error)

    def finish(self) -> Outcome:
        """Complete the instance; 0000H only if it is durable and queued."""
        if self._refusal is None:
            try:
                committed = self._complete()
            except Exception as error:  # noqa: BLE001  (promise 3)
                self._refuse(error)
            else:
                self._tell_stored(committed)
                return Outcome(Status.SUCCESS)
        return self._tell_refused()

    def abandon(self) -> None:
        """Leave nothing behind."""
        if self._file is not None:
            self._file.discard()
        self._receiver.log.event(
            "instance.abandoned",
            association=self._association.association_id,
            calling_aet=self._association.calling_aet,
            study=self._study,
            bytes=self._received_bytes,
            ms=self._elapsed_ms,
        )

    # The steps, in their order.

    def _make_converter(self) -> Inflater | ByteSwapper | None:
        settings = self._receiver.settings
        if self._request.transfer_syntax_uid == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
            return Inflater(settings.deflated_bytes)
        if self._request.transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN:
            return ByteSwapper(settings.converted_bytes, settings.limits.nesting)
        return None

    def _check_size(self) -> None:
        if self._received_bytes > self._receiver.settings.limits.object_bytes:
            raise Refused(Reason.OBJECT_TOO_LARGE)

    def _convert_and_take(self, fragment: memoryview) -> None:
        if self._converter is None:
            self._take(fragment)
            return
        for piece in self._converter.feed(fragment):
            self._take(memoryview(piece))
            self._flush()

    def _take(self, fragment: memoryview) -> None:
        if self._pixels is None:
            if not self._header.feed(fragment):
                return
            fragment = self._pass_header()
        pixels = self._pixels
        if pixels is None:
            raise Refused(Reason.INTERNAL)
        taken = pixels.take(fragment)
        if taken:
            self._pending.append(fragment[:taken])
        if taken < len(fragment):
            self._trailer.feed(fragment[taken:])

    def _pass_header(self) -> memoryview:
        # The header is complete: from here on the instance has rules and a file.
        element = self._header.pixel_element
        if element is None:
            raise Refused(Reason.INTERNAL)
        _, _, start, value, length = element
        collected = bytes(self._header.buffer)
        self._deidentify(collected[:start])
        self._pixels = PixelTail(length)
        rest = memoryview(collected)
        self._pending.append(rest[start:value])
        return rest[value:]

    def _deidentify(self, header: bytes) -> None:
        receiver = self._receiver
        elements = Elements(header, self._header.rows, implicit=self._implicit)
        self._check_command(elements)
        self._route = receiver.router.route(elements, self._association.called_aet)
        self._deidentifier = Deidentifier(
            elements, self._route.plan, self._transfer_syntax_uid, receiver.settings.limits
        )
        self._result = self._deidentifier.header()
        self._file = receiver.spool.open()
        self._pending.extend(self._result.chunks)

    def _check_command(self, elements: Elements) -> None:
        # PS3.4 B.2.3: a data set that is not what the command announced is A900H.
        for tag, announced in (
            (_SOP_CLASS_UID, self._request.sop_class_uid),
            (_SOP_INSTANCE_UID, self._request.sop_instance_uid),
        ):
            found = elements.ascii(tag)
            if not found:
                raise Refused(Reason.MISSING_UID, tag)
            if found != announced:
                raise Refused(Reason.UID_MISMATCH, tag)

    def _flush(self) -> None:
        # The pending views point into the socket buffer: they are written before it is reused.
        if self._pending and self._file is not None:
            self._file.write(self._pending)
            self._pending.clear()

    def _complete(self) -> Committed:
        if self._converter is not None:
            for piece in self._converter.finish():
                self._take(memoryview(piece))
                self._flush()
        if self._pixels is None:
            self._header.finish()
            self._deidentify(bytes(self._header.buffer))
        elif not self._pixels.is_complete:
            raise Refused(Reason.TRUNCATED)
        else:
            self._trailer.finish()
            if self._deidentifier is not None and self._trailer.rows:
                self._pending.extend(self._deidentifier.trailer(self._trailer))
        self._flush()
        return self._commit()

    def _commit(self) -> Committed:
        if self._file is None or self._result is None or self._route is None:
            raise Refused(Reason.INTERNAL)
        settings, rules = self._receiver.settings, self._route.plan.rules
        names = self._result.names
        outgoing_path = None
        if settings.layout is not None and settings.is_written(rules):
            outgoing_path = settings.layout.render({"study": rules.name, **names})
        return self._file.commit(
            outgoing_path=outgoing_path,
            queue_name=f"{names['SOPInstanceUID']}.dcm",
            destinations=settings.forwarded_to(rules),
        )

    # What is told of it.

    @property
    def _study(self) -> str | None:
        return self._route.plan.rules.name if self._route else None

    @property
    def _elapsed_ms(self) -> float:
        return round((time.monotonic() - self._started) * 1000, 3)

    def _refuse(self, error: Exception) -> None:
        if isinstance(error, Refused):
            self._refusal = error
        else:
            self._refusal = Refused(Reason.INTERNAL)
            # Its text may hold a value: only its kind and our own lines are told.
            self._receiver.log.event(
                "internal.error",
                where="receive",
                association=self._association.association_id,
                error=error,
            )
        if self._file is not None:
            self._file.discard()
            self._file = None
        # The original header is not kept longer than it is needed.
        self._pending.clear()
        self._header.buffer.clear()
        self._trailer.buffer.clear()

    def _tell_stored(self, committed: Committed) -> None:
        route, result = self._route, self._result
        if route is None or result is None:
            return
        self._receiver.spool_watch.stored()
        names, rules, settings = result.names, route.plan.rules, self._receiver.settings
        self._receiver.log.event(
            "instance.stored",
            association=self._association.association_id,
            calling_aet=self._association.calling_aet,
            study=rules.name,
            by_default=route.is_by_default,
            rules=settings.rules_digest,
            study_uid=names["StudyInstanceUID"],
            series_uid=names["SeriesInstanceUID"],
            sop_instance_uid=names["SOPInstanceUID"],
            sop_class=self._request.sop_class_uid,
            transfer_syntax=self._transfer_syntax_uid,
            bytes=self._received_bytes,
            ms=self._elapsed_ms,
            duplicate=committed.is_duplicate,
            variant=committed.is_variant,
            destination_count=len(settings.forwarded_to(rules)),
        )
        self._receiver.facts.send(
            InstanceFact(
                study=rules.name,
                study_uid=names["StudyInstanceUID"],
                series_uid=names["SeriesInstanceUID"],
                calling_aet=self._association.calling_aet,
                bytes_count=self._received_bytes,
                is_stored=True,
                is_duplicate=committed.is_duplicate,
            )
        )

    def _tell_refused(self) -> Outcome:
        refusal = self._refusal or Refused(Reason.INTERNAL)
        self._receiver.spool_watch.refused(refusal)
        names = self._result.names if self._result else {}
        self._receiver.log.event(
            "instance.refused",
            association=self._association.association_id,
            calling_aet=self._association.calling_aet,
            study=self._study,
            status=int(refusal.reason.status),
            reason=refusal.reason.code,
            tag=refusal.tag,
            rules=self._receiver.settings.rules_digest,
            sop_class=self._request.sop_class_uid,
            transfer_syntax=self._request.transfer_syntax_uid,
            bytes=self._received_bytes,
            ms=self._elapsed_ms,
        )
        self._receiver.facts.send(
            InstanceFact(
                study=self._study,
                study_uid=names.get("StudyInstanceUID"),
                series_uid=names.get("SeriesInstanceUID"),
                calling_aet=self._association.calling_aet,
                bytes_count=self._received_bytes,
                is_stored=False,
            )
        )
        return Outcome.refused(refusal.reason)
