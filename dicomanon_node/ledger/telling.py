"""The crosswalk as the receive path writes it: once for each study of a patient.

What was told is remembered, within bounds; for what is told twice there is one entry in
the ledger. Without a crosswalk there is nothing of this in the way of an object.
"""

import threading
from typing import Final

from dicomanon_node.deid import charset
from dicomanon_node.deid.engine import Deidentifier
from dicomanon_node.ledger.crosswalk import CrosswalkKey, Person
from dicomanon_node.ledger.receipts import ReceiptWriter, now

_SPECIFIC_CHARACTER_SET: Final = 0x00080005
_ACCESSION_NUMBER: Final = 0x00080050
_PATIENT_NAME: Final = 0x00100010
_PATIENT_ID: Final = 0x00100020
_ISSUER_OF_PATIENT_ID: Final = 0x00100021
_BIRTH_DATE: Final = 0x00100030
_STUDY_INSTANCE_UID: Final = 0x0020000D

_MOST_REMEMBERED: Final = 65_536
_LONGEST: Final = 256
"""Characters kept of a value, four times what PS3.5 6.2 allows: an entry has to fit a record."""


class CrosswalkWriter:
    """Writes who each patient of each study is, encrypted. Thread-safe.

    Args:
        receipts: Writes it to the journal.
        key: Encrypts.
    """

    def __init__(self, receipts: ReceiptWriter, key: CrosswalkKey) -> None:
        self._receipts = receipts
        self._key = key
        self._told: dict[tuple[str, str], set[str]] = {}
        self._told_count = 0
        self._lock = threading.Lock()

    def tell(self, patient: str, study_uid: str, like: Deidentifier, *, is_new: bool) -> None:
        """Write whose study it is, if that has not been written.

        Args:
            patient: New Patient ID.
            study_uid: New Study Instance UID.
            like: What has rewritten the object, or one that says the same of its patient and
                study (PHI).
            is_new: It has rewritten this very object, which may say something else than others
                of the study.

        Raises:
            Refused: It could not be written, and receipts are required; A700H.
        """
        known = self._told.get((patient, study_uid))
        if known is not None and not is_new:
            return
        person = _person(like)
        mark = self._key.mark(person, patient)
        if known is not None and mark in known:
            return
        if not self._receipts.link(self._key.seal(person, patient, study_uid, now())):
            return
        with self._lock:
            # Marks are counted, not studies: a sender may say something else in each object.
            if self._told_count >= _MOST_REMEMBERED:
                self._told, self._told_count = {}, 0
            self._told.setdefault((patient, study_uid), set()).add(mark)
            self._told_count += 1


def _person(like: Deidentifier) -> Person:
    # What is asked of the elements here is pinned: a template is made only of objects in which
    # it does not vary.
    elements = like.elements
    character_set = elements.value(_SPECIFIC_CHARACTER_SET) or b""

    def text(tag: int) -> str:
        raw, is_name = elements.value(tag) or b"", tag == _PATIENT_NAME
        return charset.decode(raw, character_set, is_name=is_name).strip(" \0")[:_LONGEST]

    return Person(
        patient_id=text(_PATIENT_ID),
        patient_name=text(_PATIENT_NAME),
        issuer=text(_ISSUER_OF_PATIENT_ID),
        birth_date=text(_BIRTH_DATE),
        study_uid=elements.ascii(_STUDY_INSTANCE_UID)[:_LONGEST],
        accession_number=text(_ACCESSION_NUMBER),
        days=like.patient.days,
    )
