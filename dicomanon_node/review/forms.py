"""Sections of the reference about what commands print and write, and what to do then."""

from collections.abc import Iterator

from dicomanon_node.errors import Reason
from dicomanon_node.review import coverage, explain
from dicomanon_node.review.crosswalk import HEADER, PATIENT_FILE, UID_FILE
from dicomanon_node.review.cures import CURES
from dicomanon_node.review.markdown import fields, table


def refusals_section() -> Iterator[str]:
    """What to do about each reason for a refusal."""
    yield (
        "Whatever cannot be de-identified is refused, and nothing of it is kept. The conditions are"
        " in [status.md](status.md); what to do about them:"
    )
    yield ""
    rows = [(f"`{reason.code}`", f"{reason.status:04X}H", CURES[reason]) for reason in Reason]
    yield from table(("reason", "status", "what to do"), rows)


def explain_section() -> Iterator[str]:
    """The output of `explain`."""
    yield (
        "`dicomanon-node explain FILE` takes a file the way of a received object, writing nothing."
        " It exits with 0 if the object would be accepted, 1 if not. Without `--show-values` its"
        " output has no value of the object; names of private creators that are in no dictionary"
        " are shown as `?1`, `?2`. With `--json`:"
    )
    yield ""
    yield from fields(explain.FIELDS)
    yield ""
    yield "Each of `elements`:"
    yield ""
    yield from fields(explain.ELEMENT_FIELDS)


def coverage_section() -> Iterator[str]:
    """The output of `coverage`."""
    yield (
        "`dicomanon-node coverage` compares each study with Table E.1-1. It exits with 0, or with 1"
        " if `--strict` is given and a study leaves rows uncovered or weaker. With `--json`:"
    )
    yield ""
    yield from fields(coverage.FIELDS)
    yield ""
    yield "Each of `studies`:"
    yield ""
    yield from fields(coverage.STUDY_FIELDS)
    yield ""
    yield "Each of `rows`:"
    yield ""
    yield from fields(coverage.ROW_FIELDS)


def crosswalk_section() -> Iterator[str]:
    """The files of `deidentify --crosswalk`."""
    yield (
        f"`dicomanon-node deidentify IN... --output DIR --crosswalk DIR` writes `{UID_FILE}` and"
        f" `{PATIENT_FILE}`, both with the header `{','.join(HEADER)}`: every UID and every Patient"
        " ID that was replaced, once, sorted. They re-identify: the directory is the user's alone."
        " The values are exact, also those that a spreadsheet would take for formulas: let it read"
        " the columns as text. What earlier runs wrote into the same directory stays in it."
    )
