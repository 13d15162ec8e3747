"""The crosswalk: who a pseudonym is, encrypted for whoever holds the crosswalk's key.

    plaintext   JSON of a `Person`
    ciphertext  AES-256-GCM (NIST SP 800-38D), 12 random bytes before it, 16 of tag behind it
    bound to    key id, new Patient ID and new Study Instance UID, as associated data

The key is a file of its own, apart from the node's: who has one of them has not the
other. From it two keys are derived, one to encrypt and one for the keyed hash by which
entries that say the same are known without being opened. This module reads no file and
tells nobody.
"""

import base64
import binascii
import json
import os
from dataclasses import asdict, dataclass, fields
from typing import Final

from dicomanon_node.deid.pseudonyms import Key
from dicomanon_node.errors import NodeError
from dicomanon_node.ledger.records import Link

_NONCE_BYTES: Final = 12
_MARK_BYTES: Final = 16
_ENCRYPTING, _MARKING = "crosswalk encryption", "crosswalk mark"


class UnreadableError(NodeError):
    """An entry that this key does not open: another key's, or changed."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whose study it is (PHI). Its repr shows nothing.

    Attributes:
        patient_id: Original Patient ID.
        patient_name: Original Patient's Name.
        issuer: Original Issuer of Patient ID.
        birth_date: Original Patient's Birth Date.
        study_uid: Original Study Instance UID.
        accession_number: Original Accession Number.
        days: The patient's day shift, days.
    """

    patient_id: str
    patient_name: str
    issuer: str
    birth_date: str
    study_uid: str
    accession_number: str
    days: int

    def __repr__(self) -> str:
        return "Person(...)"


class CrosswalkKey:
    """One key of the crosswalk. Thread-safe; its repr shows the key id only.

    Args:
        secret: 32 random bytes.
    """

    __slots__ = ("_aead", "_marking", "key_id")

    def __init__(self, secret: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import (  # noqa: PLC0415  (slow, rarely needed)
            AESGCM,
        )

        key = Key(secret)
        self.key_id = key.key_id
        self._aead = AESGCM(key.digest(_ENCRYPTING, "", b""))
        self._marking = Key(key.digest(_MARKING, "", b""))

    def __repr__(self) -> str:
        return f"CrosswalkKey(key_id={self.key_id!r})"

    def __reduce__(self) -> str:
        raise TypeError("a key is not pickled")

    def seal(self, person: Person, patient: str, study_uid: str, at: int) -> Link:
        """Encrypt who somebody is.

        Args:
            person: Who (PHI).
            patient: New Patient ID.
            study_uid: New Study Instance UID.
            at: When, microseconds.
        """
        plain = _plain(person)
        nonce = os.urandom(_NONCE_BYTES)
        bound = self._bound(patient, study_uid)
        sealed = nonce + self._aead.encrypt(nonce, plain, bound)
        text = base64.b64encode(sealed).decode("ascii")
        return Link(at, patient, study_uid, self.mark(person, patient), self.key_id, text)

    def mark(self, person: Person, patient: str) -> str:
        """What two entries have in common that say the same: a keyed hash.

        Args:
            person: Who (PHI).
            patient: New Patient ID.
        """
        return self._marking.digest("entry", patient, _plain(person))[:_MARK_BYTES].hex()

    def open(self, link: Link) -> Person:
        """Decrypt who it is (PHI).

        Raises:
            UnreadableError: The key is another, or the entry was changed.
        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415  (as above)

        try:
            sealed = base64.b64decode(link.sealed, validate=True)
            bound = self._bound(link.patient, link.study_uid)
            plain = self._aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound)
            values = json.loads(plain)
            return Person(**{entry.name: values[entry.name] for entry in fields(Person)})
        except (InvalidTag, ValueError, KeyError, TypeError, binascii.Error):
            raise UnreadableError("the entry cannot be opened") from None

    def _bound(self, patient: str, study_uid: str) -> bytes:
        return json.dumps([self.key_id, patient, study_uid]).encode()


def _plain(person: Person) -> bytes:
    return json.dumps(asdict(person), sort_keys=True).encode()
