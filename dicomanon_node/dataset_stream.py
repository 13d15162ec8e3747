"""A data set on its way through: original bytes in, de-identified bytes out.

    fragments -> header -> route -> de-identify -> | pixel data, untouched | -> trailer

Pixel data is neither collected nor copied; of everything else nothing leaves before it has
been rewritten. A header like one that came before takes a short cut that gives the same
bytes (`deid.templates`). This module writes to no file and answers nobody.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from dicomanon_node.budget import Budget, Share
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
from dicomanon_node.deid.template import Applied
from dicomanon_node.deid.templates import Templates
from dicomanon_node.deid.trace import Trace
from dicomanon_node.errors import Reason, Refused
from dicomanon_node.routing import Route, Router

ELEMENT_BYTES = 400
"""What an element of the top level takes in memory besides its own bytes, while it is known and
rewritten: some objects of Python's."""

_SOP_CLASS_UID = 0x00080016
_SOP_INSTANCE_UID = 0x00080018
_SERIES_INSTANCE_UID = 0x0020000E

Chunk = bytes | memoryview
Write = Callable[[list[Chunk]], None]


class Announced(NamedTuple):
    """What is said of an object before it comes.

    Attributes:
        sop_class_uid: Affected SOP Class UID.
        sop_instance_uid: Affected SOP Instance UID (PHI).
        transfer_syntax_uid: Of the data set as it comes.
        called_aet: The AE title it is sent to.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    called_aet: str


class Bounds(Protocol):
    """How much of one object is looked at.

    Attributes:
        limits: Of all objects.
        deflated_bytes: Inflated size at which a deflated object is refused, in bytes.
        converted_bytes: Size at which a Big Endian object is refused, in bytes.
    """

    @property
    def limits(self) -> Limits: ...  # noqa: D102  (told above)

    @property
    def deflated_bytes(self) -> int: ...  # noqa: D102  (told above)

    @property
    def converted_bytes(self) -> int: ...  # noqa: D102  (told above)


class DatasetStream:
    """One data set. Not thread-safe. After an exception it is of no more use.

    Args:
        announced: What it is said to be.
        router: Finds its study.
        bounds: How much is looked at.
        write: Takes the de-identified bytes, in order; views are valid during the call only.
            The first call comes after the header has passed.
        budget: What all data sets together may hold in memory; None knows no bound.
        templates: Short cuts, shared by all data sets; None takes none.
        trace: Told what happens to each element, up to the pixel data; goes without templates.

    Attributes:
        transfer_syntax_uid: Of the output.
        elements: The original's top-level elements (PHI); None before the header is complete,
            or where a short cut was taken.
        like: What has rewritten it, or an object before it that differs in nothing that says
            whose it is or of which study (PHI); None before.
        route: Its study; None before it is known.
        result: Its de-identified header; None before.
    """

    def __init__(
        self,
        announced: Announced,
        router: Router,
        bounds: Bounds,
        write: Write,
        *,
        budget: Budget | None = None,
        templates: Templates[Route] | None = None,
        trace: Trace | None = None,
    ) -> None:
        syntax = announced.transfer_syntax_uid
        self.transfer_syntax_uid = output_transfer_syntax(syntax)
        self.elements: Elements | None = None
        self.like: Deidentifier | None = None
        self.route: Route | None = None
        self.result: Deidentified | None = None
        self._announced = announced
        self._router = router
        self._limits = bounds.limits
        self._write = write
        self._templates = templates
        self._trace = trace
        self._implicit = syntax == IMPLICIT_VR_LITTLE_ENDIAN
        self._converter: Inflater | ByteSwapper | None = None
        if syntax == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
            self._converter = Inflater(bounds.deflated_bytes)
        elif syntax == EXPLICIT_VR_BIG_ENDIAN:
            self._converter = ByteSwapper(bounds.converted_bytes, bounds.limits.nesting)
        self._share = Share(budget) if budget is not None else None
        self._pending: list[Chunk] = []
        # The beginning, while it is not complete: held back for a template, or scanned.
        self._held: bytearray | None = None
        self._wanted = -1
        self._scanner: HeaderScanner | None = None
        self._deidentifier: Deidentifier | None = None
        self._applied: Applied | None = None  # where the short cut was taken
        self._pinned: frozenset[int] = frozenset()
        self._pixel_header = b""
        self._pixels: PixelTail | None = None
        self._trailer: HeaderScanner | None = None
        self._passed_from: int | None = None

    @property
    def passed_from(self) -> int | None:
        """Where in the original begins what is passed on as it is, bytes.

        From there to the trailer the output is the original, after the header's chunks.
        None: nothing is, or not yet, or not as it came.
        """
        return None if self._converter is not None else self._passed_from

    @property
    def has_pixel_data(self) -> bool:
        """Whether pixel data has been passed on as it is."""
        return self._pixels is not None

    @property
    def original_series_uid(self) -> str:
        """The original's Series Instance UID (PHI); "" before it is known."""
        applied = self._applied.series_instance_uid if self._applied is not None else ""
        if applied or self.like is None:
            return applied
        return self.like.elements.ascii(_SERIES_INSTANCE_UID)

    def feed(self, fragments: Sequence[memoryview]) -> None:
        """Take the next fragments; they are done with when this returns.

        Raises:
            Refused: Whatever is wrong with the object. Or what `write` raises.
        """
        for fragment in fragments:
            if self._converter is None:
                self._take(fragment)
                continue
            for piece in self._converter.feed(fragment):
                self._take(memoryview(piece))
                self._flush()
            self._hold(self._converter.held_bytes)
        self._flush()

    def finish(self) -> None:
        """The last fragment has come.

        Raises:
            Refused: Whatever is wrong with the object. Or what `write` raises.
        """
        if self._converter is not None:
            for piece in self._converter.finish():
                self._take(memoryview(piece))
                self._flush()
        if self._held is not None:
            self._wanted = 0
            self._take(memoryview(b""))
        if self._pixels is None:
            scanner = self._scanner or self._new_scanner()
            scanner.finish()
            self._deidentify(bytes(scanner.buffer), scanner)
        elif not self._pixels.is_complete:
            raise Refused(Reason.TRUNCATED)
        elif self._trailer is not None:
            self._trailer.finish()
            if self._trailer.rows:
                header = self._applied or self._deidentifier
                if header is None:
                    raise Refused(Reason.INTERNAL)
                self._pending.extend(header.trailer(self._trailer))
        self._flush()

    def abandon(self) -> None:
        """Keep nothing of the original, for whatever reason."""
        self.release()
        self.elements = self.like = self._deidentifier = None
        self._scanner = self._trailer = self._held = None
        self._applied = None
        self._pending.clear()

    def release(self) -> None:
        """Nothing more comes: what was held of the budget is free for others."""
        if self._share is not None:
            self._share.release()

    def teach(self) -> None:
        """Let objects like this one take a short cut; for when nobody waits any more."""
        if self._templates is None or self._deidentifier is None or not self._pixel_header:
            return
        if self.result is not None and self.route is not None:
            self._templates.learn(
                self._kind,
                self._deidentifier,
                self.result,
                self._pixel_header,
                self._pinned,
                self.route,
            )

    @property
    def _kind(self) -> tuple[str, str, str]:
        # What decides about an object besides its bytes.
        announced = self._announced
        return announced.transfer_syntax_uid, announced.sop_class_uid, announced.called_aet

    def _flush(self) -> None:
        # The pending views point into the socket buffer: they are written before it is reused.
        if self._pending:
            self._write(self._pending)
            self._pending.clear()

    def _take(self, fragment: memoryview) -> None:
        if self._pixels is None:
            rest = self._take_header(fragment)
            if rest is None:
                return
            fragment = rest
        pixels = self._pixels
        if pixels is None:
            raise Refused(Reason.INTERNAL)
        taken = pixels.take(fragment)
        if taken == len(fragment):
            self._pending.append(fragment)
            return
        if taken:
            self._pending.append(fragment[:taken])
        if self._trailer is None:
            self._trailer = self._new_scanner()
        self._trailer.feed(fragment[taken:])
        header = len(self.elements.buffer) if self.elements is not None else 0
        self._hold(header + len(self._trailer.buffer) + ELEMENT_BYTES * len(self._trailer.rows))

    # The header: by a template if there is one, by the engine otherwise.

    def _take_header(self, fragment: memoryview) -> memoryview | None:
        """What follows the header in the fragment; None if it has not ended yet."""
        if self._scanner is None:
            whole = self._collect(fragment)
            if whole is None:
                return None
            rest = self._take_short_cut(whole) if self._wanted else None
            if rest is not None:
                return rest
            fragment = whole
            self._scanner = self._new_scanner()
        is_complete = self._scanner.feed(fragment)
        collected = self._converter.held_bytes if self._converter is not None else 0
        known = ELEMENT_BYTES * len(self._scanner.rows)
        self._hold(len(self._scanner.buffer) + known + collected)
        return self._pass_header(self._scanner) if is_complete else None

    def _collect(self, fragment: memoryview) -> memoryview | None:
        # As much as the templates want, if there are any that may fit.
        if self._wanted < 0:
            templates = self._templates
            self._wanted = 0 if templates is None else templates.wanted(self._kind, fragment)
        if self._held is None:
            if len(fragment) >= self._wanted:
                return fragment
            self._held = bytearray()
        self._held += fragment
        if len(self._held) < self._wanted:
            return None
        held, self._held = bytes(self._held), None
        return memoryview(held)

    def _take_short_cut(self, whole: memoryview) -> memoryview | None:
        if self._templates is None:
            return None
        head = bytes(whole[: self._wanted])
        for entry in self._templates.candidates(self._kind):
            template = entry.template
            applied = template.apply(head) if template is not None else None
            if template is None or applied is None:
                continue
            if applied.sop_instance_uid != self._announced.sop_instance_uid:
                return None  # the engine's way ends in a refusal
            self._applied, self._passed_from = applied, applied.start
            self.like = entry.done
            self.route, self.result = entry.payload, applied.result
            self._pixels = PixelTail(template.pixel_length)
            self._pending.extend(applied.result.chunks)
            self._pending.append(head[applied.start : applied.value])
            return whole[applied.value :]
        return None

    def _pass_header(self, scanner: HeaderScanner) -> memoryview:
        # The header is complete: from here on the object has rules.
        element = scanner.pixel_element
        if element is None:
            raise Refused(Reason.INTERNAL)
        _, _, start, value, length = element
        with memoryview(scanner.buffer) as collected:
            header, rest = bytes(collected[:start]), bytes(collected[value:])
            self._pixel_header = bytes(collected[start:value])
        self._deidentify(header, scanner)
        self._pending.append(self._pixel_header)
        self._passed_from = start
        self._pixels = PixelTail(length)
        return memoryview(rest)

    def _deidentify(self, header: bytes, scanner: HeaderScanner) -> None:
        scanner.buffer = bytearray()  # the original is not kept twice
        elements = self.elements = Elements(header, scanner.rows, implicit=self._implicit)
        self._check_announced(elements)
        elements.asked.clear()
        self.route = self._router.route(elements, self._announced.called_aet)
        self._pinned = frozenset(elements.asked)
        self._deidentifier = self.like = Deidentifier(
            elements, self.route.plan, self.transfer_syntax_uid, self._limits, self._trace
        )
        self.result = self._deidentifier.header()
        self._pending.extend(self.result.chunks)

    def _check_announced(self, elements: Elements) -> None:
        # PS3.4 B.2.3: a data set that is not what the command announced is A900H.
        for tag, announced in (
            (_SOP_CLASS_UID, self._announced.sop_class_uid),
            (_SOP_INSTANCE_UID, self._announced.sop_instance_uid),
        ):
            found = elements.ascii(tag)
            if not found:
                raise Refused(Reason.MISSING_UID, tag)
            if found != announced:
                raise Refused(Reason.UID_MISMATCH, tag)

    def _hold(self, size: int) -> None:
        if self._share is not None:
            self._share.cover(size)

    def _new_scanner(self) -> HeaderScanner:
        return HeaderScanner(implicit=self._implicit, limits=self._limits)
