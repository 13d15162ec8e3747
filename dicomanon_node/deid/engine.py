"""Header bytes in, de-identified header bytes out.

    engine = Deidentifier(elements, plan, transfer_syntax_uid)
    result = engine.header()       # everything up to the pixel data
    tail = engine.trailer(rows)    # what follows it

The pixel data itself is neither read nor copied here. Pure: the same bytes, rules
and key give the same bytes.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dicomanon_node.deid import dummies, labels, leaks
from dicomanon_node.deid.actions import encoded_text
from dicomanon_node.deid.boundaries import HeaderScanner, Limits
from dicomanon_node.deid.dictionary import TEXT_VRS, vr_of
from dicomanon_node.deid.elements import Elements
from dicomanon_node.deid.encoding import element
from dicomanon_node.deid.identity import SOURCE_TAGS, Identity
from dicomanon_node.deid.numeric import NUMERIC_VRS
from dicomanon_node.deid.plan import Plan, Verb
from dicomanon_node.deid.rewrite import Patient, Rewriter
from dicomanon_node.deid.rules import BurnedIn
from dicomanon_node.errors import Reason, Refused

Chunk = bytes | memoryview

_SPECIFIC_CHARACTER_SET = 0x00080005
_SOP_CLASS_UID = 0x00080016
_SOP_INSTANCE_UID = 0x00080018
_PATIENT_ID = 0x00100020
_STUDY_INSTANCE_UID = 0x0020000D
_SERIES_INSTANCE_UID = 0x0020000E
_BURNED_IN_ANNOTATION = 0x00280301
_MIME_TYPE = 0x00420012
_MANDATORY_UIDS = (_SOP_CLASS_UID, _SOP_INSTANCE_UID, _STUDY_INSTANCE_UID, _SERIES_INSTANCE_UID)

# What an output file may be named by; all of them de-identified values.
NAMING_TAGS = {
    _SOP_CLASS_UID: "SOPClassUID",
    _SOP_INSTANCE_UID: "SOPInstanceUID",
    0x00080060: "Modality",
    _PATIENT_ID: "PatientID",
    _STUDY_INSTANCE_UID: "StudyInstanceUID",
    _SERIES_INSTANCE_UID: "SeriesInstanceUID",
    0x00200011: "SeriesNumber",
    0x00200013: "InstanceNumber",
}


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
    """

    def __init__(
        self, elements: Elements, plan: Plan, transfer_syntax_uid: str, limits: Limits
    ) -> None:
        self._elements = elements
        self._plan = plan
        self._transfer_syntax_uid = transfer_syntax_uid
        self._limits = limits
        self._rewriter = self._make_rewriter()

    def header(self) -> Deidentified:
        """De-identify all elements before the pixel data.

        Raises:
            Refused: MISSING_UID, BURNED_IN, ACTION_FAILED, LEAK_FOUND or what the walk finds.
        """
        for tag in _MANDATORY_UIDS:
            if not self._elements.ascii(tag):
                raise Refused(Reason.MISSING_UID, tag)
        if self._has_burned_in and self._plan.rules.burned_in is BurnedIn.REFUSE:
            raise Refused(Reason.BURNED_IN, _BURNED_IN_ANNOTATION)
        chunks, names = self._rewrite()
        rewriter = self._rewriter
        if leaks.survives(chunks, rewriter.identity):
            rewriter = self._rewriter = self._make_rewriter(guarded_by=rewriter.identity)
            chunks, names = self._rewrite()
        meta = labels.file_meta(
            names["SOPClassUID"].encode(),
            names["SOPInstanceUID"].encode(),
            self._transfer_syntax_uid,
        )
        guard = rewriter.guard
        return Deidentified(
            chunks=[meta, *chunks],
            names=names,
            element_count=rewriter.element_count,
            guarded_count=guard.removed_count if guard else 0,
        )

    def trailer(self, scanner: HeaderScanner) -> list[Chunk]:
        """De-identify the elements after the pixel data, by the same rules."""
        trailing = Elements(scanner.buffer, scanner.rows, implicit=self._elements.implicit)
        rewriter = self._make_rewriter(guarded_by=self._rewriter.identity)
        rewriter.buffer = trailing.buffer
        return list(_rewritten_rows(rewriter, trailing, {}))

    @property
    def _has_burned_in(self) -> bool:
        return self._elements.ascii(_BURNED_IN_ANNOTATION).upper() == "YES"

    def _make_rewriter(self, guarded_by: Identity | None = None) -> Rewriter:
        elements, plan = self._elements, self._plan
        # An object without a Patient ID still belongs to one patient: that of its study.
        own_id = (elements.value(_PATIENT_ID) or b"").strip(b" \0")
        patient_id = own_id or b"study:" + elements.ascii(_STUDY_INSTANCE_UID).encode()
        pseudonyms = plan.pseudonyms
        patient = Patient(own_id, pseudonyms.patient(patient_id), pseudonyms.days(patient_id))
        rewriter = Rewriter(elements.buffer, plan, patient, self._limits)
        rewriter.document = dummies.document(elements.ascii(_MIME_TYPE).lower())
        rewriter.character_set = elements.value(_SPECIFIC_CHARACTER_SET) or b""
        if guarded_by is not None:
            rewriter.identity = guarded_by
            rewriter.guard = leaks.Guard()
            return rewriter
        for tag, vr, _, value, end, _ in elements.rows:
            # Names first: descriptors come before them in the data set.
            if (vr == "PN" or tag in SOURCE_TAGS) and not tag & 0x10000:
                known = vr if vr != "UN" else vr_of(tag) or "UN"
                if plan.decide(tag, known).verb in (Verb.DROP, Verb.CHANGE):
                    raw = bytes(elements.buffer[value:end])
                    rewriter.identity.add(tag, known, raw, rewriter.character_set)
        return rewriter

    def _rewrite(self) -> tuple[list[Chunk], dict[str, str]]:
        elements, plan, rewriter = self._elements, self._plan, self._rewriter
        implicit = elements.implicit
        insertions: dict[int, bytes] = {}
        for tag, rule in plan.added_values():
            if tag not in elements:
                insertions[tag] = self._added(tag, rule.value or "")
        if _PATIENT_ID not in elements:
            pseudonym = rewriter.patient.pseudonym.encode()
            insertions.setdefault(
                _PATIENT_ID, element(_PATIENT_ID, "LO", pseudonym, implicit=implicit)
            )
        insertions.update(self._labels())
        chunks = list(_rewritten_rows(rewriter, elements, insertions))
        # Only now is it known what happened to the dates.
        placeholder = insertions[labels.LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED]
        chunks[chunks.index(placeholder)] = labels.temporal_element(
            keeps_dates=rewriter.keeps_dates, shifts_dates=rewriter.shifts_dates, implicit=implicit
        )
        return chunks, _names(chunks, implicit=implicit)

    def _added(self, tag: int, text: str) -> bytes:
        vr = vr_of(tag)
        if vr is None or vr not in TEXT_VRS | NUMERIC_VRS:
            raise Refused(Reason.ACTION_FAILED, tag)
        value = encoded_text(text, vr, self._rewriter.character_set, tag)
        return element(tag, vr, value, implicit=self._elements.implicit)

    def _labels(self) -> dict[int, bytes]:
        elements, plan, rewriter = self._elements, self._plan, self._rewriter
        implicit = elements.implicit
        previous_method = elements.value(labels.DEIDENTIFICATION_METHOD)
        return {
            labels.PATIENT_IDENTITY_REMOVED: element(
                labels.PATIENT_IDENTITY_REMOVED, "CS", b"YES", implicit=implicit
            ),
            labels.DEIDENTIFICATION_METHOD: labels.method_element(
                previous_method, plan, passes_burned_in=self._has_burned_in, implicit=implicit
            ),
            labels.DEIDENTIFICATION_METHOD_CODES: labels.method_codes_element(
                self._previous_codes(rewriter), plan, implicit=implicit
            ),
            # A placeholder of its own, replaced once the dates have been seen.
            labels.LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED: b"\0\0temporal placeholder",
        }

    def _previous_codes(self, rewriter: Rewriter) -> bytes:
        row = self._elements.row(labels.DEIDENTIFICATION_METHOD_CODES)
        if row is None or row[1] != "SQ":
            return b""
        tag, vr, start, value, end, stop = row
        implicit = self._elements.implicit
        is_undefined = stop != end
        new, _ = rewriter.sequence(
            tag, vr, start, value, None if is_undefined else stop, stop, implicit, 0
        )
        if new is None:
            return bytes(self._elements.buffer[value:end])
        return new[value - start : len(new) - (8 if is_undefined else 0)]


def _rewritten_rows(  # noqa: C901  (one loop, kept flat for speed)
    rewriter: Rewriter, elements: Elements, insertions: Mapping[int, bytes]
) -> Iterator[Chunk]:
    # Runs of kept elements are slices of the input; insertions replace what has their tag.
    buffer = memoryview(elements.buffer)
    rows, implicit = elements.rows, elements.implicit
    inserted = sorted(insertions)
    next_insertion = 0
    run_start = run_end = 0
    skip_until = -1
    for tag, vr, start, value, end, stop in rows:
        if start < skip_until:
            continue
        if next_insertion < len(inserted) and inserted[next_insertion] <= tag:
            if run_end > run_start:
                yield buffer[run_start:run_end]
            upto = bisect_left(inserted, tag + 1, next_insertion)
            for wanted in inserted[next_insertion:upto]:
                yield insertions[wanted]
            next_insertion = upto
            run_start = run_end = start
        if tag in insertions:
            run_start = run_end = stop
            continue
        new, after = rewriter.element(
            tag, vr, start, value, stop if stop == end else None, len(buffer), implicit, 0
        )
        if new is None:
            if run_end != start:
                run_start = start
            run_end = after
            continue
        if run_end > run_start:
            yield buffer[run_start:run_end]
        if new:
            yield new
        run_start = run_end = skip_until = after
    if run_end > run_start:
        yield buffer[run_start:run_end]
    for wanted in inserted[next_insertion:]:
        yield insertions[wanted]


def _names(chunks: list[Chunk], *, implicit: bool) -> dict[str, str]:
    # Read back from the output itself, so that a name can only be what is in the file.
    scanner = HeaderScanner(implicit=implicit, limits=Limits(header_bytes=1 << 40))
    scanner.feed(b"".join(chunks))
    scanner.finish()
    written = Elements(scanner.buffer, scanner.rows, implicit=implicit)
    names = {}
    for tag, keyword in NAMING_TAGS.items():
        names[keyword] = written.ascii(tag)
    for tag in _MANDATORY_UIDS:
        if not names[NAMING_TAGS[tag]]:
            raise Refused(Reason.ACTION_FAILED, tag)
    return names
