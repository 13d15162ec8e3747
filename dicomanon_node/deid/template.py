"""What became of one object's header, for the next one that is nearly the same.

The objects of a series differ in a few elements: a UID, a number, a position. A
template holds the bytes of all others with what they became. It is applied only to a
header that has these very bytes, and only elements that vary are rewritten.

What comes out is what `engine` makes of the same header, or None: whatever is not
certain to be the same is left to the engine. What varies may therefore not

* be an element that decides over others (who the patient is, the character set, what
  routes), or one in which an identifier had survived;
* say other names, numbers or places than before, all of which are searched for;
* hold, as a new UID, what is written anywhere else;
* have had, as a UID, anything to do with what became of the rest.

Holds an original header (PHI), in memory only. Which templates there are, and which
elements vary, is learned in `templates`.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from dicomanon_node.deid import labels, leaks
from dicomanon_node.deid.boundaries import HeaderScanner
from dicomanon_node.deid.detector import without_escapes
from dicomanon_node.deid.dictionary import SHORT_VRS, UNDEFINED_LENGTH
from dicomanon_node.deid.elements import Element, Elements, header_reader
from dicomanon_node.deid.engine import Chunk, Deidentified, Deidentifier, written_trailer
from dicomanon_node.deid.guard import uid_runs
from dicomanon_node.deid.identity import Identity
from dicomanon_node.deid.plan import KEPT
from dicomanon_node.deid.rewrite import Rewriter
from dicomanon_node.deid.writing import MANDATORY_UIDS, NAMING_TAGS, Writing
from dicomanon_node.errors import Refused

SOP_INSTANCE_UID = 0x00080018
SERIES_INSTANCE_UID = 0x0020000E
# Names that may vary: nothing else depends on them.
RENAMED_TAGS = frozenset({SOP_INSTANCE_UID, SERIES_INSTANCE_UID, 0x00200011, 0x00200013})

_NO_TAG = 1 << 32
_TAG_BYTES, _TAG_AND_VR_BYTES = 4, 6
# Values that vary may be longer in the next object.
_SLACK_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Unit:
    """What is rewritten on its own: an element, or a private group as a whole.

    Attributes:
        tag: Its tag, or the first one of its group.
        vr: Its VR, or that of the first.
        rows: Its elements.
    """

    tag: int
    vr: str
    rows: tuple[Element, ...]

    @property
    def start(self) -> int:
        """Where it begins in the buffer."""
        return self.rows[0][2]

    @property
    def stop(self) -> int:
        """Where the next one begins."""
        return self.rows[-1][5]


def units(elements: Elements, *, drops_private: bool) -> list[Unit]:
    """The units of a header, in order."""
    found: list[Unit] = []
    group: list[Element] = []
    for row in elements.rows:
        tag = row[0]
        if group and (drops_private or not tag & 0x10000 or tag >> 16 != group[0][0] >> 16):
            found.append(Unit(group[0][0], group[0][1], tuple(group)))
            group = []
        if tag & 0x10000:
            group.append(row)
        else:
            found.append(Unit(tag, row[1], (row,)))
    if group:
        found.append(Unit(group[0][0], group[0][1], tuple(group)))
    return found


@dataclass(frozen=True, slots=True)
class Applied:
    """What a template made of a header.

    Attributes:
        result: As of `Deidentifier.header`.
        sop_instance_uid: The original's (PHI).
        series_instance_uid: The original's (PHI), where it varies; else "".
        start: Where the pixel data element begins.
        value: Where its value begins.
        identity: The identifiers of the object (PHI).
        template: What was applied.
    """

    result: Deidentified
    sop_instance_uid: str
    start: int
    value: int
    identity: Identity
    template: "Template"
    series_instance_uid: str = ""

    def trailer(self, scanner: HeaderScanner) -> list[Chunk]:
        """De-identify the elements after the pixel data: see `Deidentifier.trailer`."""
        return self.template.trailer(scanner, self.identity)


@dataclass(frozen=True, slots=True)
class _Varying:
    # An element that varies. Sources are the identifiers known after it, of all that vary.
    prefix: bytes
    vr: str
    value_at: int
    keyword: str | None
    is_kept: bool
    source_count: int


@dataclass(frozen=True, slots=True)
class _Step:
    # Bytes that have to be there, what they become, and what varies behind them.
    constant: bytes
    written: bytes
    varying: _Varying | None


class Template:
    """A header with gaps, and what it becomes. Immutable, so thread-safe.

    Attributes:
        room: Bytes of an object in which its header should end, pixel data element's header
            included.
        pixel_length: Length of the pixel data's value; may be undefined.
    """

    def __init__(
        self,
        done: Deidentifier,
        result: Deidentified,
        of: Sequence[Unit],
        varying: Collection[int],
        pixel_header: bytes,
    ) -> None:
        elements = done.elements
        self._plan, self._patient, self._limits = done.plan, done.patient, done.limits
        self._transfer_syntax_uid = done.transfer_syntax_uid
        self._implicit = elements.implicit
        self._like = done.rewriter
        self._identity = done.rewriter.learned
        self._element_count = result.element_count
        self._guarded_count = result.guarded_count
        self._names = dict(result.names)
        self._pixel_header = pixel_header
        self.pixel_length = int.from_bytes(pixel_header[-4:], "little")
        self.room = len(elements.buffer) + len(pixel_header) + _SLACK_BYTES
        # What the elements that vary have taught, and the UIDs of all others.
        self._varied = self._rewriter(elements.buffer)
        self._constant = self._rewriter(elements.buffer)
        self._steps = tuple(self._make_steps(done, of, varying))
        # All UIDs that are written somewhere, and what they begin with.
        self._runs = frozenset(_beginnings(result.chunks[-1]))

    @classmethod
    def made(
        cls,
        done: Deidentifier,
        result: Deidentified,
        of: Sequence[Unit],
        varying: Collection[int],
        pixel_header: bytes,
    ) -> "Template | None":
        """The template of a header that has been rewritten.

        Args:
            done: What has rewritten it.
            result: What it gave.
            of: The header's units.
            varying: Numbers of those that vary.
            pixel_header: The pixel data element up to its value.

        Returns:
            None if what it makes of this very header is anything but what the engine made.
        """
        try:
            template = cls(done, result, of, varying, pixel_header)
        except Refused:
            return None
        again = template.apply(done.elements.buffer + pixel_header)
        is_same = again is not None and (again.result.chunks, again.result.names) == (
            result.chunks,
            result.names,
        )
        return template if is_same else None

    def starts(self, head: bytes | memoryview) -> bool:
        """Whether a header may be one of these, by its first bytes."""
        first = self._steps[0].constant
        size = min(len(first), len(head))
        return head[:size] == first[:size]

    def apply(self, head: bytes) -> Applied | None:
        """Rewrite a header, if it is like this one.

        Args:
            head: The beginning of an object, at least up to its pixel data's value (PHI).
        """
        rewriter = self._rewriter(head)
        rewriter.element_count = self._element_count
        names = dict(self._names)
        try:
            rewritten = self._rewritten(head, rewriter, names)
        except Refused:
            return None  # the engine says why
        if rewritten is None:
            return None
        parts, changing, (original, series), pos = rewritten
        if not head.startswith(self._pixel_header, pos) or pos > self._limits.header_bytes:
            return None
        if not self._is_alike(rewriter):
            return None
        identity = self._identity_with(self._constant.learned.uids | rewriter.learned.uids)
        if self._plan.is_guarded and leaks.is_suspected(changing, identity):
            return None
        if not all(names[NAMING_TAGS[tag]] for tag in MANDATORY_UIDS):
            return None
        meta = labels.file_meta(
            names["SOPClassUID"].encode(),
            names["SOPInstanceUID"].encode(),
            self._transfer_syntax_uid,
        )
        result = Deidentified(
            chunks=[meta, b"".join(parts)],
            names=names,
            element_count=self._element_count,
            guarded_count=self._guarded_count,
        )
        value = pos + len(self._pixel_header)
        return Applied(result, original, pos, value, identity, self, series)

    def trailer(self, scanner: HeaderScanner, identity: Identity) -> list[Chunk]:
        """De-identify the elements after the pixel data: see `Deidentifier.trailer`.

        Args:
            scanner: What has collected them.
            identity: The identifiers of the object.
        """
        trailing = Elements(bytes(scanner.buffer), scanner.rows, implicit=self._implicit)
        guarded_by = identity if self._plan.is_guarded else None
        rewriter = self._rewriter(trailing.buffer, guarded_by)
        return written_trailer(trailing, rewriter, guarded_by)

    def _rewritten(  # noqa: C901  (one loop, kept flat for speed)
        self, head: bytes, rewriter: Rewriter, names: dict[str, str]
    ) -> tuple[list[bytes], list[tuple[str, bytes]], tuple[str, str], int] | None:
        read, size, implicit = header_reader(implicit=self._implicit), len(head), self._implicit
        parts: list[bytes] = []
        changing: list[tuple[str, bytes]] = []
        original = series = ""
        pos = 0
        for step in self._steps:
            if not head.startswith(step.constant, pos):
                return None
            pos += len(step.constant)
            parts.append(step.written)
            varying = step.varying
            if varying is None:
                break
            if not head.startswith(varying.prefix, pos):
                return None
            tag, vr, value, length = read(head, pos, size)
            stop = None if length == UNDEFINED_LENGTH else value + length
            if stop is not None and stop > size:
                return None
            if varying.is_kept and stop is not None:
                new, after = None, stop
            else:
                new, after = rewriter.element(tag, vr, pos, value, stop, size, implicit, 0)
            if rewriter.learned.source_count != varying.source_count:
                return None
            written = head[pos:after] if new is None else new
            parts.append(written)
            changing.append((varying.vr, written[varying.value_at :]))
            if varying.keyword is not None:
                names[varying.keyword] = _name(written, implicit=implicit)
                if tag == SOP_INSTANCE_UID:
                    original = head[value:after].decode("ascii", "replace").strip(" \0")
                elif tag in MANDATORY_UIDS and not head[value:after].strip(b" \0"):
                    return None
                elif tag == SERIES_INSTANCE_UID:
                    series = head[value:after].decode("ascii", "replace").strip(" \0")
            pos = after
        return parts, changing, (original, series), pos

    def _is_alike(self, rewriter: Rewriter) -> bool:
        before, learned = self._varied, rewriter.learned
        return (
            not rewriter.has_cleaned
            and not rewriter.blob_texts
            and rewriter.keeps_dates == before.keeps_dates
            and rewriter.shifts_dates == before.shifts_dates
            and learned.has_sources_of(before.learned)
            and not (self._plan.is_guarded and self._runs & learned.uids)
        )

    def _rewriter(self, buffer: bytes, guarded_by: Identity | None = None) -> Rewriter:
        rewriter = Rewriter(buffer, self._plan, self._patient, self._limits, guarded_by)
        like = self._like
        rewriter.character_set = like.character_set
        rewriter.product = like.product
        rewriter.document = like.document
        if guarded_by is None:
            rewriter.identity = self._identity
        return rewriter

    def _make_steps(
        self, done: Deidentifier, of: Sequence[Unit], varying: Collection[int]
    ) -> Iterator[_Step]:
        buffer = done.elements.buffer
        parts = list(_parts(done.elements, of, varying))
        for constant, _ in parts:
            Writing(self._constant, constant, {})  # for what it learns
        # By the UIDs of what is constant only: those that vary say nothing of the next object.
        again = done.again(self._identity_with(self._constant.learned.uids))
        above = -1
        for constant, unit in parts:
            below = _NO_TAG if unit is None else unit.tag
            between = {tag: new for tag, new in done.insertions.items() if above < tag < below}
            rows = constant.rows
            original = buffer[rows[0][2] : rows[-1][5]] if rows else b""
            written = Writing(again, constant, between).written()
            yield _Step(original, written, None if unit is None else self._vary(unit, buffer))
            above = _NO_TAG if unit is None else unit.rows[-1][0]

    def _identity_with(self, uids: set[bytes]) -> Identity:
        identity = self._identity.again()
        identity.uids = uids
        return identity

    def _vary(self, unit: Unit, buffer: bytes) -> _Varying:
        tag, vr, first, value, end, stop = unit.rows[0]
        varied, implicit = self._varied, self._implicit
        is_kept = varied.shortcuts(nested=False, implicit=implicit).get((tag, vr)) is KEPT
        varied.element(tag, vr, first, value, stop if stop == end else None, unit.stop, implicit, 0)
        return _Varying(
            prefix=buffer[first : first + (_TAG_BYTES if implicit else _TAG_AND_VR_BYTES)],
            vr=vr,
            value_at=8 if implicit or vr in SHORT_VRS else 12,
            keyword=NAMING_TAGS.get(tag),
            is_kept=is_kept,
            source_count=varied.learned.source_count,
        )


def _parts(
    elements: Elements, of: Sequence[Unit], varying: Collection[int]
) -> Iterator[tuple[Elements, Unit | None]]:
    """Runs of constant units, each with the one that varies behind it; None behind the last."""
    start = 0
    for number in [*sorted(varying), len(of)]:
        rows = [row for unit in of[start:number] for row in unit.rows]
        constant = Elements(elements.buffer, rows, implicit=elements.implicit)
        yield constant, of[number] if number < len(of) else None
        start = number + 1


def _name(written: bytes, *, implicit: bool) -> str:
    if not written:
        return ""
    _, _, value, _ = header_reader(implicit=implicit)(written, 0, len(written))
    return written[value:].decode("ascii", "replace").strip(" \0")


def _beginnings(written: bytes | memoryview) -> Iterator[bytes]:
    data = bytes(written)
    for run in {*uid_runs(data), *uid_runs(without_escapes(data))}:
        end = len(run)
        while end > 0:
            yield run[:end]
            end = run.rfind(b".", 0, end)
