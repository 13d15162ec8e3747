"""One file on the way of an instance, up to the spool and no further.

    header -> route -> de-identify, with a trace

The way is that of `dataset_stream`, so what is refused there is refused here, for the same
reason. Nothing is written: what comes out of the engine is let go.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from dicomanon_node.dataset_stream import Announced, DatasetStream, Write
from dicomanon_node.deid.elements import Elements
from dicomanon_node.deid.trace import Trace
from dicomanon_node.errors import Reason, Refused, Status
from dicomanon_node.network.part10 import DicomFile
from dicomanon_node.network.supported import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES
from dicomanon_node.receive import ReceiveSettings
from dicomanon_node.routing import Route, Router

_READ_BYTES: Final = 1 << 20
_SPECIFIC_CHARACTER_SET: Final = 0x00080005


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
        names: What files of the object are named by, of the de-identified object; empty if
            it was refused before.
    """

    trace: Trace = field(default_factory=Trace)
    route: Route | None = None
    refusal: Refusal | None = None
    elements: Elements | None = None
    has_pixel_data: bool = False
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def character_set(self) -> bytes:
        """Specific Character Set of the object, encoded."""
        return (self.elements.value(_SPECIFIC_CHARACTER_SET) if self.elements else None) or b""


def taken(file: DicomFile, way: Way, write: Write | None = None) -> Passage:
    """Take a file the way of an instance and see what happens.

    Args:
        file: The file.
        way: Its way.
        write: Takes the de-identified bytes, for who wants to look into them.

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
            _take(file, way, passage, write)
        except Refused as refused:
            passage.refusal = Refusal.of(refused)
        except OSError:
            raise
        except Exception:  # noqa: BLE001  (whatever it is, receiving refuses it)
            passage.refusal = Refusal.of(Refused(Reason.INTERNAL))
    return passage


def _take(file: DicomFile, way: Way, passage: Passage, write: Write | None) -> None:
    settings = way.settings
    if file.dataset_bytes > settings.limits.object_bytes:
        raise Refused(Reason.OBJECT_TOO_LARGE)
    stream = DatasetStream(
        Announced(
            file.sop_class_uid, file.sop_instance_uid, file.transfer_syntax_uid, way.called_aet
        ),
        way.router,
        settings,
        write or (lambda _: None),
        trace=passage.trace,
    )
    try:
        with file.path.open("rb", buffering=0) as source:
            source.seek(file.dataset_offset)
            while piece := source.read(_READ_BYTES):
                stream.feed([memoryview(piece)])
        stream.finish()
    finally:
        passage.elements, passage.route = stream.elements, stream.route
        passage.has_pixel_data = stream.has_pixel_data
        if stream.result is not None:
            passage.names = stream.result.names
