"""Header bytes in, de-identified header bytes out.

    engine = Deidentifier(elements, plan, transfer_syntax_uid)
    result = engine.header()       # everything up to the pixel data
    tail = engine.trailer(rows)    # what follows it

The pixel data itself is neither read nor copied here. Pure: the same bytes, rules
and key give the same bytes.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dicomanon_node.deid import dummies, labels, leaks
from dicomanon_node.deid.actions import encoded_text
from dicomanon_node.deid.boundaries import HeaderScanner, Limits
from dicomanon_node.deid.decisions import Change
from dicomanon_node.deid.dictionary import PIXEL_DATA_TAGS, TEXT_VRS, vr_of
from dicomanon_node.deid.elements import Elements, header_reader
from dicomanon_node.deid.encoding import element
from dicomanon_node.deid.encrypted import (
    ENCRYPTED_ATTRIBUTES_SEQUENCE,
    attributes_element,
    originals,
)
from dicomanon_node.deid.identity import SOURCE_TAGS, Identity, Role
from dicomanon_node.deid.numeric import NUMERIC_VRS
from dicomanon_node.deid.patient import Patient
from dicomanon_node.deid.plan import Plan, Suspicion
from dicomanon_node.deid.rewrite import Rewriter
from dicomanon_node.deid.rules import BurnedIn
from dicomanon_node.deid.trace import Outcome, Trace
from dicomanon_node.deid.traced import TracedRewriter
from dicomanon_node.deid.writing import MANDATORY_UIDS, Writing
from dicomanon_node.errors import Reason, Refused

Chunk = bytes | memoryview

_SPECIFIC_CHARACTER_SET = 0x00080005
_SOP_CLASS_UID = 0x00080016
_SOP_INSTANCE_UID = 0x00080018
_MODEL_NAME = 0x00081090
_PATIENT_ID = 0x00100020
_STUDY_INSTANCE_UID = 0x0020000D
_BURNED_IN_ANNOTATION = 0x00280301
_MIME_TYPE = 0x00420012
# Patients whose last object is remembered.
_MAX_REMEMBERED = 64
_REMEMBERED_VRS = frozenset({"CS", "LO", "LT", "SH", "ST", "UC", "UT"})
_UID_LIKE = re.compile(rb"[0-9]\.[0-9]")


@dataclass(frozen=True, slots=True)
class Deidentified:
    """A de-identified header.

    Attributes:
        chunks: Preamble, File Meta Information and header, ready to be written in order.
        names: De-identified values by keyword, for layouts and logs; no padding.
        element_count: Elements visited.
        guarded_count: Elements the leak guard cleaned or removed.
    """

    chunks: list[Chunk]
    names: Mapping[str, str]
    element_count: int
    guarded_count: int


class Deidentifier:
    """De-identifies one object. Not thread-safe.

    Args:
        elements: The original's top-level elements (PHI).
        plan: The study's compiled rules.
        transfer_syntax_uid: Of the output; the header's encoding is that of `elements`.
        limits: How much is looked at.
        trace: Told what happens to each element; None: nobody wants to know.
    """

    def __init__(
        self,
        elements: Elements,
        plan: Plan,
        transfer_syntax_uid: str,
        limits: Limits,
        trace: Trace | None = None,
    ) -> None:
        self.elements = elements
        self.plan = plan.for_sop_class(elements.ascii(_SOP_CLASS_UID))
        self.transfer_syntax_uid = transfer_syntax_uid
        self.limits = limits
        self._trace = trace
        self.patient = self._whose()
        self.rewriter = self._make_rewriter(elements, None)

    def header(self) -> Deidentified:
        """De-identify all elements before the pixel data.

        Raises:
            Refused: MISSING_UID, BURNED_IN, ACTION_FAILED, LEAK_FOUND or what the walk finds.
        """
        for tag in MANDATORY_UIDS:
            if not self.elements.ascii(tag):
                raise Refused(Reason.MISSING_UID, tag)
        if self._has_burned_in and self.plan.rules.burned_in is BurnedIn.REFUSE:
            raise Refused(Reason.BURNED_IN, _BURNED_IN_ANNOTATION)
        if self.plan.cleans_text:
            self._learn_first(self.rewriter)
        written, names = self._as_before() or self._guarded()
        written = self._with_originals(written)
        meta = labels.file_meta(
            names["SOPClassUID"].encode(),
            names["SOPInstanceUID"].encode(),
            self.transfer_syntax_uid,
        )
        guard = self.rewriter.guard
        return Deidentified(
            chunks=[meta, written],
            names=names,
            element_count=self.rewriter.element_count,
            guarded_count=guard.removed_count if guard else 0,
        )

    def trailer(self, scanner: HeaderScanner) -> list[Chunk]:
        """De-identify the elements after the pixel data, by the same rules.

        Raises:
            Refused: UNPARSABLE if one of them belongs before the pixel data: what stands
                there has been written already. Or what the walk finds.
        """
        trailing = Elements(bytes(scanner.buffer), scanner.rows, implicit=self.elements.implicit)
        # Always guarded: the whole identity is known by now.
        identity = self.rewriter.learned if self.plan.is_guarded else None
        return written_trailer(trailing, self._make_rewriter(trailing, identity), identity)

    def again(self, identity: Identity) -> Rewriter:
        """A rewriter that would do what has been done once more, element by element.

        Args:
            identity: What it guards by, if it was guarded.
        """
        done = self.rewriter
        rewriter = self._make_rewriter(self.elements, identity if done.guard is not None else None)
        rewriter.suspects = done.suspects
        if self.plan.cleans_text and done.guard is None:
            self._learn_first(rewriter)
        return rewriter

    def _is_found(
        self, search: Callable[[bytes, Identity], bool], written: bytes, identity: Identity
    ) -> bool:
        texts = self.rewriter.blob_texts
        return search(written, identity) or (bool(texts) and search(b"\n".join(texts), identity))

    def _guarded(self) -> tuple[bytes, dict[str, str]]:
        # Once without a guard; where an identifier has survived, once more with it.
        written, names = self._rewrite()
        identity = self.rewriter.learned
        if not self.plan.is_guarded or not self._is_found(leaks.survives, written, identity):
            return written, names
        suspects = self._suspects(written, identity)
        self.rewriter = self._make_rewriter(self.elements, identity)
        self.rewriter.suspects = suspects
        if self._trace is not None:
            self._trace.restart()
        written, names = self._rewrite()
        if self._is_found(leaks.remains, written, identity):
            raise Refused(Reason.LEAK_FOUND)
        self._remember(suspects, identity)
        return written, names

    def _remember(self, suspects: frozenset[int] | None, identity: Identity) -> None:
        # Only texts that name nobody themselves: what is learned of an object stays the same.
        if not suspects or any(
            tag in SOURCE_TAGS or vr_of(tag) not in _REMEMBERED_VRS for tag in suspects
        ):
            return
        suspicions = self.plan.suspicions
        if len(suspicions) >= _MAX_REMEMBERED:
            suspicions.clear()
        suspicions[self.patient.own_id] = Suspicion(identity.again(), suspects)

    def _as_before(self) -> tuple[bytes, dict[str, str]] | None:
        """Rewrite the object as its patient's last one was, in one pass.

        The result is that of `_guarded`, or None: the identifiers turned out to be others, or
        something else is to be cleaned, or one has survived.
        """
        suspicion = self.plan.suspicions.get(self.patient.own_id)
        if suspicion is None or self._trace is not None or self.plan.cleans_text:
            return None
        for tag in suspicion.tags:
            if _UID_LIKE.search(self.elements.value(tag) or b""):
                return None
        rewriter = self.rewriter
        rewriter.take_for_granted(suspicion.identity.again(), suspicion.tags)
        try:
            written, names = self._rewrite()
        except Refused:
            # What is taken for granted refuses nothing: the object itself has to.
            pass
        else:
            if (
                not rewriter.has_cleaned
                and not rewriter.blob_texts
                and rewriter.learned.is_like(rewriter.identity)
                and not leaks.survives(written, rewriter.learned)
            ):
                return written, names
        self.rewriter = self._make_rewriter(self.elements, None)
        return None

    def _suspects(self, written: bytes, identity: Identity) -> frozenset[int] | None:
        # What is compressed is found by its fields, which do not tell where they are.
        if self.rewriter.blob_texts or self._trace is not None:
            return None
        return leaks.suspects(written, identity, implicit=self.elements.implicit)

    @property
    def _has_burned_in(self) -> bool:
        return self.elements.ascii(_BURNED_IN_ANNOTATION).upper() == "YES"

    def _whose(self) -> Patient:
        # An object without a Patient ID still belongs to one patient: that of its study.
        own_id = (self.elements.value(_PATIENT_ID) or b"").strip(b" \0")
        scope = own_id or b"study:" + self.elements.ascii(_STUDY_INSTANCE_UID).encode()
        pseudonyms = self.plan.pseudonyms
        return Patient(own_id, scope, pseudonyms.patient(scope), pseudonyms.days(scope))

    def _make_rewriter(self, elements: Elements, guarded_by: Identity | None) -> Rewriter:
        arguments = (elements.buffer, self.plan, self.patient, self.limits, guarded_by)
        trace = self._trace
        rewriter = Rewriter(*arguments) if trace is None else TracedRewriter(*arguments, trace)
        rewriter.document = dummies.document(self.elements.ascii(_MIME_TYPE).lower())
        model = self.elements.value(_MODEL_NAME) or b""
        rewriter.product = model.strip(b" \0^").lower()
        rewriter.character_set = self.elements.value(_SPECIFIC_CHARACTER_SET) or b""
        return rewriter

    def _learn_first(self, rewriter: Rewriter) -> None:
        # Descriptors come before the names that are to be cleaned out of them.
        buffer = self.elements.buffer
        for tag, encoded_vr, _, value, end, _ in self.elements.rows:
            vr = encoded_vr if encoded_vr != "UN" else vr_of(tag) or "UN"
            is_name = vr == "PN" or vr_of(tag) == "PN"
            if tag & 0x10000 or not (is_name or tag in SOURCE_TAGS):
                continue
            decision = self.plan.decide(tag, vr)
            if decision.change is not Change.CLEAN_TEXT:
                role = Role.SOUGHT if decision.removes else Role.RETAINED
                rewriter.learn(tag, vr, buffer[value:end], role)

    def _rewrite(self) -> tuple[bytes, dict[str, str]]:
        elements, rewriter = self.elements, self.rewriter
        insertions = {
            tag: self._added(tag, rule.value or "")
            for tag, rule in self.plan.added_values()
            if tag not in elements
        }
        if _PATIENT_ID not in elements and _PATIENT_ID not in insertions:
            decision = self.plan.decide(_PATIENT_ID, "LO")
            if decision.change is Change.PATIENT:
                pseudonym = self.patient.pseudonym.encode()
                insertions[_PATIENT_ID] = element(
                    _PATIENT_ID, "LO", pseudonym, implicit=elements.implicit
                )
        insertions |= self._labels()
        if self.plan.rules.encrypts_for is not None:
            # Takes the place of somebody else's, and is made when all is over.
            insertions[ENCRYPTED_ATTRIBUTES_SEQUENCE] = b""
        writing = Writing(rewriter, elements, insertions)
        # Only after all the rest it is known what happened to the dates.
        insertions[labels.LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED] = labels.temporal_element(
            elements.ascii(labels.LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED),
            keeps_dates=rewriter.keeps_dates,
            shifts_dates=rewriter.shifts_dates,
            implicit=elements.implicit,
        )
        if self._trace is not None:
            self._note_insertions(self._trace, insertions)
        self._writing, self.insertions = writing, insertions
        return writing.written(), writing.names()

    def _with_originals(self, written: bytes) -> bytes:
        # After the guard: what is encrypted is not searched.
        recipient = self.plan.rules.encrypts_for
        if recipient is None:
            return written
        implicit = self.elements.implicit
        encrypted = attributes_element(
            originals(self.elements, self._writing.changes),
            recipient=recipient,
            pseudonyms=self.plan.pseudonyms,
            implicit=implicit,
        )
        self.insertions[ENCRYPTED_ATTRIBUTES_SEQUENCE] = encrypted
        if self._trace is not None:
            source = "originals, encrypted for the study's recipient"
            self._trace.note(ENCRYPTED_ATTRIBUTES_SEQUENCE, "SQ", source, Outcome.ADDED)
        return self._writing.written()

    def _note_insertions(self, trace: Trace, insertions: Mapping[int, bytes]) -> None:
        read = header_reader(implicit=self.elements.implicit)
        for tag, encoded in sorted(insertions.items()):
            if encoded:
                _, vr, value, _ = read(encoded, 0, len(encoded))
                is_label = tag in labels.LABEL_TAGS
                source = "label" if is_label else self.plan.decide(tag, vr).source
                old = self.elements.value(tag) or b""
                outcome = Outcome.REPLACED if tag in self.elements else Outcome.ADDED
                trace.note(tag, vr, source, outcome, old, encoded[value:])
        trace.steps.sort(key=lambda step: step.path[0][0])

    def _added(self, tag: int, text: str) -> bytes:
        vr = vr_of(tag)
        if vr is None or vr not in TEXT_VRS | NUMERIC_VRS:
            raise Refused(Reason.ACTION_FAILED, tag)
        value = encoded_text(text, vr, self.rewriter.character_set, tag)
        return element(tag, vr, value, implicit=self.elements.implicit)

    def _labels(self) -> dict[int, bytes]:
        elements, plan, rewriter = self.elements, self.plan, self.rewriter
        implicit = elements.implicit
        row = elements.row(labels.DEIDENTIFICATION_METHOD)
        previous = b""
        if row is not None and row[1] in ("LO", "UN") and row[4] == row[5]:
            previous = labels.printable(elements.value(labels.DEIDENTIFICATION_METHOD) or b"")
        if previous and rewriter.guard is not None:
            previous = (
                rewriter.guard.kept(
                    labels.DEIDENTIFICATION_METHOD, "LO", previous, rewriter.character_set
                )
                or b""
            )
        return {
            labels.PATIENT_IDENTITY_REMOVED: labels.identity_removed_element(
                plan, elements.ascii(labels.PATIENT_IDENTITY_REMOVED), implicit=implicit
            ),
            labels.DEIDENTIFICATION_METHOD: labels.method_element(
                previous, plan, passes_burned_in=self._has_burned_in, implicit=implicit
            ),
            labels.DEIDENTIFICATION_METHOD_CODES: labels.method_codes_element(
                self._previous_codes(), plan, implicit=implicit
            ),
            labels.LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED: b"",
        }

    def _previous_codes(self) -> bytes:
        # The items of the sequence, rewritten like those of any other.
        row = self.elements.row(labels.DEIDENTIFICATION_METHOD_CODES)
        if row is None or row[1] != "SQ":
            return b""
        tag, vr, start, value, end, stop = row
        is_undefined = stop != end
        new, _ = self.rewriter.sequence(
            tag, vr, start, value, None if is_undefined else stop, stop, self.elements.implicit, 0
        )
        if new is None:
            return self.elements.buffer[value:end]
        return new[value - start : len(new) - (8 if is_undefined else 0)]


def written_trailer(
    trailing: Elements, rewriter: Rewriter, identity: Identity | None
) -> list[Chunk]:
    """De-identify the elements after the pixel data.

    Args:
        trailing: The elements (PHI).
        rewriter: One that has rewritten nothing yet; guarded by `identity`.
        identity: The identifiers of the whole object; None where nothing is guarded.

    Raises:
        Refused: As `Deidentifier.trailer`.
    """
    for row in trailing.rows:
        if row[0] <= max(PIXEL_DATA_TAGS):
            raise Refused(Reason.UNPARSABLE, row[0])
    written = Writing(rewriter, trailing, {}).written()
    if identity is not None and leaks.remains(written, identity):
        raise Refused(Reason.LEAK_FOUND)
    return [written]
