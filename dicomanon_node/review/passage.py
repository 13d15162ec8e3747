"""One file on the way of an instance, up to the spool and no further.

    header -> route -> de-identify, with a trace

The order is that of `receive`, so what is refused there is refused here, for the same
reason. Nothing is written: what comes out of the engine is let go.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from dicomanon_node.deid.boundaries import HeaderScanner, PixelTail
from dicomanon_node.deid.convert import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    ByteSwapper,
    Inflater,
    output_transfer_syntax,
)
from dicomanon_node.deid.elements import Elements
from dicomanon_node.deid.engine import Deidentifier
from dicomanon_node.deid.trace import Trace
from dicomanon_node.errors import Reason, Refused, Status
from dicomanon_node.network.contexts import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES
from dicomanon_node.network.part10 import DicomFile
from dicomanon_node.receive import ReceiveSettings
from dicomanon_node.routing import Route, Router

_READ_BYTES: Final = 1 << 20
_SPECIFIC_CHARACTER_SET: Final = 0x00080005
_SOP_CLASS_UID: Final = 0x00080016
_SOP_INSTANCE_UID: Final = 0x00080018


@dataclass(frozen=True, slots=True)
class Way:
    """What the node does with an object, whoever sends it. Immutable.

    Attributes:
        router: Finds the study.
        settings: Limits.
        called_aet: The AE title the object is taken to be sent to.
        extra_sop_classes: SOP classes accepted besides those of the standard.
    """

    router: Router
    settings: ReceiveSettings
    called_aet: str
    extra_sop_classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the object is refused.

    Attributes:
        code: As the log has it.
        status: As the sender gets it.
        comment: As the sender gets it.
        tag: Where it happened, if that is known.
        reason: The declared reason; None where the object is not even negotiated.
    """

    code: str
    status: Status
    comment: str
    tag: int | None = None
    reason: Reason | None = None

    @classmethod
    def of(cls, refused: Refused) -> "Refusal":
        """What the engine says."""
        reason = refused.reason
        return cls(reason.code, reason.status, reason.comment, refused.tag, reason)


NO_TRANSFER_SYNTAX: Final = Refusal(
    "transfer-syntax", Reason.SOP_CLASS.status, "Transfer syntax not supported"
)


@dataclass(slots=True)
class Passage:
    """What happened to one object (PHI).

    Attributes:
        trace: What happened to each element.
        route: Its study; None if it was refused before.
        refusal: Why it is refused; None if it is accepted.
        elements: The original's top-level elements; None if it was refused before.
        has_pixel_data: Whether pixel data was passed on as it is.
    """

    trace: Trace = field(default_factory=Trace)
    route: Route | None = None
    refusal: Refusal | None = None
    elements: Elements | None = None
    has_pixel_data: bool = False

    @property
    def character_set(self) -> bytes:
        """Specific Character Set of the object, encoded."""
        return (self.elements.value(_SPECIFIC_CHARACTER_SET) if self.elements else None) or b""


def taken(file: DicomFile, way: Way) -> Passage:
    """Take a file the way of an instance and see what happens.

    Raises:
        OSError: The file cannot be read.
    """
    passage = Passage()
    if file.sop_class_uid not in STORAGE_SOP_CLASSES | set(way.extra_sop_classes):
        passage.refusal = Refusal.of(Refused(Reason.SOP_CLASS))
    elif file.transfer_syntax_uid not in TRANSFER_SYNTAXES:
        passage.refusal = NO_TRANSFER_SYNTAX
    else:
        try:
            _Taking(file, way, passage).run()
        except Refused as refused:
            passage.refusal = Refusal.of(refused)
        except OSError:
            raise
        except Exception:  # noqa: BLE001  (whatever it is, receiving refuses it)
            passage.refusal = Refusal.of(Refused(Reason.INTERNAL))
    return passage


class _Taking:
    # One file while it is read.

    def __init__(self, file: DicomFile, way: Way, passage: Passage) -> None:
        self._file = file
        self._way = way
        self._passage = passage
        self._implicit = file.transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN
        limits = way.settings.limits
        self._header = HeaderScanner(implicit=self._implicit, limits=limits)
        self._trailer = HeaderScanner(implicit=self._implicit, limits=limits)
        self._pixels: PixelTail | None = None
        self._deidentifier: Deidentifier | None = None

    def run(self) -> None:
        """Read it to its end.

        Raises:
            Refused: As `receive` would.
        """
        if self._file.dataset_bytes > self._way.settings.limits.object_bytes:
            raise Refused(Reason.OBJECT_TOO_LARGE)
        for piece in self._pieces():
            self._take(memoryview(piece))
        if self._pixels is None:
            self._header.finish()
            self._deidentify(bytes(self._header.buffer))
        elif not self._pixels.is_complete:
            raise Refused(Reason.TRUNCATED)
        else:
            self._trailer.finish()
            if self._deidentifier is not None and self._trailer.rows:
                self._deidentifier.trailer(self._trailer)

    def _pieces(self) -> Iterable[bytes]:
        converter = self._converter()
        with self._file.path.open("rb", buffering=0) as source:
            source.seek(self._file.dataset_offset)
            while piece := source.read(_READ_BYTES):
                if converter is None:
                    yield piece
                else:
                    yield from converter.feed(memoryview(piece))
        if converter is not None:
            yield from converter.finish()

    def _converter(self) -> Inflater | ByteSwapper | None:
        settings = self._way.settings
        if self._file.transfer_syntax_uid == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
            return Inflater(settings.deflated_bytes)
        if self._file.transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN:
            return ByteSwapper(settings.converted_bytes, settings.limits.nesting)
        return None

    def _take(self, piece: memoryview) -> None:
        if self._pixels is None:
            if not self._header.feed(piece):
                return
            element = self._header.pixel_element
            if element is None:
                raise Refused(Reason.INTERNAL)
            _, _, start, value, length = element
            collected = bytes(self._header.buffer)
            self._deidentify(collected[:start])
            self._pixels = PixelTail(length)
            self._passage.has_pixel_data = True
            piece = memoryview(collected)[value:]
        passed = self._pixels.take(piece)
        if passed < len(piece):
            self._trailer.feed(piece[passed:])

    def _deidentify(self, header: bytes) -> None:
        passage, way = self._passage, self._way
        elements = Elements(header, self._header.rows, implicit=self._implicit)
        passage.elements = elements
        for tag, announced in (
            (_SOP_CLASS_UID, self._file.sop_class_uid),
            (_SOP_INSTANCE_UID, self._file.sop_instance_uid),
        ):
            found = elements.ascii(tag)
            if not found:
                raise Refused(Reason.MISSING_UID, tag)
            if found != announced:
                raise Refused(Reason.UID_MISMATCH, tag)
        passage.route = way.router.route(elements, way.called_aet)
        self._deidentifier = Deidentifier(
            elements,
            passage.route.plan,
            output_transfer_syntax(self._file.transfer_syntax_uid),
            way.settings.limits,
            trace=passage.trace,
        )
        self._deidentifier.header()
