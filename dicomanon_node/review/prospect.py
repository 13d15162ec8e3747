"""What would become of a file if it were sent: its study, its name, where it would go.

Nothing of the original's values is in it; UIDs and Patient ID are the new ones. The JSON
form is stable.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from dicomanon_node.deid.dictionary import format_tag
from dicomanon_node.review.explain import cure
from dicomanon_node.review.passage import Passage, Refusal
from dicomanon_node.spool.layout import Layout

FORM_VERSION: Final = 1
"""Of the JSON form; grows when a key changes its meaning or goes."""

FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "file": "The file, as it was found",
        "outcome": "`stored`, `refused`, `skipped` (not DICOM) or `unusable`",
        "why": "In words, unless stored",
        "study": "The study whose rules hold; null if that was not known",
        "by_default": "Whether a value that routes was missing and the default was taken",
        "reason": "The reason's code, as in the log; null unless refused",
        "status": "As the sender would get it; null if it were not sent",
        "tag": "Where it was refused; null if that is not known",
        "cure": "What to do about it; null unless refused",
        "path": "The file it would become; null if none is written",
        "destinations": "Names of the destinations it would be forwarded to",
        "patient_id": "New Patient ID",
        "study_uid": "New Study Instance UID",
        "series_uid": "New Series Instance UID",
        "sop_instance_uid": "New SOP Instance UID",
    }
)
"""Keys of each file's object in the JSON form, with their meaning."""

STORED: Final = "stored"
REFUSED: Final = "refused"
SKIPPED: Final = "skipped"
UNUSABLE: Final = "unusable"


@dataclass(frozen=True, slots=True)
class Places:
    """Where objects of all studies go.

    Attributes:
        outgoing: The outgoing tree; None if none is written.
        layout: Its layout; None likewise.
    """

    outgoing: Path | None
    layout: Layout | None


@dataclass(frozen=True, slots=True)
class Prospect:
    """What would become of one file.

    Attributes:
        file: The file.
        outcome: One of the four words.
        why: In words, unless stored.
        study: Its study.
        is_by_default: A value that routes was missing.
        refusal: Why it would be refused.
        path: The file it would become.
        destinations: Where it would be forwarded to.
        names: What its files are named by, of the de-identified object.
    """

    file: Path
    outcome: str
    why: str = ""
    study: str | None = None
    is_by_default: bool = False
    refusal: Refusal | None = None
    path: Path | None = None
    destinations: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)


def prospect(
    file: Path, passage: Passage, places: Places, destinations: tuple[str, ...]
) -> Prospect:
    """What would become of a file that went the way of an instance.

    Args:
        file: The file.
        passage: What happened to it.
        places: Where objects go.
        destinations: Where those of its study are forwarded to.
    """
    route, refusal = passage.route, passage.refusal
    study = route.plan.rules.name if route else None
    is_by_default = route.is_by_default if route else False
    if refusal is not None:
        return Prospect(file, REFUSED, refusal.comment, study, is_by_default, refusal)
    path = None
    if route and route.plan.rules.writes_outgoing and places.outgoing and places.layout:
        path = places.outgoing / places.layout.render({"study": study or "", **passage.names})
    return Prospect(
        file,
        STORED,
        "",
        study,
        is_by_default,
        path=path,
        destinations=destinations,
        names=passage.names,
    )


def as_json(found: Prospect) -> dict[str, Any]:
    """The JSON form of one file; its keys are `FIELDS`."""
    refusal, names = found.refusal, found.names
    status = None
    if found.outcome in (STORED, REFUSED):
        status = f"{0 if refusal is None else int(refusal.status):04X}H"
    return {
        "file": str(found.file),
        "outcome": found.outcome,
        "why": found.why or None,
        "study": found.study,
        "by_default": found.is_by_default,
        "reason": refusal.code if refusal else None,
        "status": status,
        "tag": format_tag(refusal.tag) if refusal and refusal.tag is not None else None,
        "cure": cure(refusal) if refusal else None,
        "path": str(found.path) if found.path else None,
        "destinations": list(found.destinations),
        "patient_id": names.get("PatientID"),
        "study_uid": names.get("StudyInstanceUID"),
        "series_uid": names.get("SeriesInstanceUID"),
        "sop_instance_uid": names.get("SOPInstanceUID"),
    }
