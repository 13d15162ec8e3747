"""Whose object it is, as far as pseudonyms need it."""

from dataclasses import dataclass


@dataclass(slots=True)
class Patient:
    """Whose object it is, as far as pseudonyms need it.

    Attributes:
        own_id: Encoded Patient ID; b"" where the object has none (PHI).
        scope: What its pseudonyms are made from: the Patient ID, or what stands in for it
            (PHI).
        pseudonym: The patient's pseudonym.
        days: The patient's day shift.
    """

    own_id: bytes
    scope: bytes
    pseudonym: str
    days: int
