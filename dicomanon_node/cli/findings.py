"""What `doctor` finds: how bad it is, what it is about, what to do."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Weight(IntEnum):
    """How bad a finding is. `doctor`'s exit code follows from the worst."""

    OK = 0
    NOTE = 1
    """Worth knowing; nothing need be done."""
    WARNING = 2
    """The node works, and something should be done."""
    ERROR = 3
    """The node does not start, or takes no objects."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        weight: How bad it is.
        subject: What it is about, one word.
        text: What was found.
        cure: What to do; empty where there is nothing to do.
    """

    weight: Weight
    subject: str
    text: str
    cure: str = ""


def fine(subject: str, text: str) -> Finding:
    """Nothing to do."""
    return Finding(Weight.OK, subject, text)


def note(subject: str, text: str, cure: str = "") -> Finding:
    """Worth knowing."""
    return Finding(Weight.NOTE, subject, text, cure)


def warning(subject: str, text: str, cure: str) -> Finding:
    """Something should be done."""
    return Finding(Weight.WARNING, subject, text, cure)


def error(subject: str, text: str, cure: str) -> Finding:
    """Something must be done."""
    return Finding(Weight.ERROR, subject, text, cure)


def exit_code(found: Iterable[Finding]) -> int:
    """0 if nothing need be done, 1 if something should be, 2 if something must be."""
    worst = max((each.weight for each in found), default=Weight.OK)
    return {Weight.WARNING: 1, Weight.ERROR: 2}.get(worst, 0)
