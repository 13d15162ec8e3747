"""Keyed pseudonyms: the same key, scope and value give the same answer everywhere.

All of them are HMAC-SHA256 under the node's key, so that nobody without the key
can try out guesses (names, dates and medical record numbers are guessable).
Nothing is stored; there is no table to lose, to share or to steal.
"""

import hashlib
import hmac
import random
import re

from dicomanon_node.deid.standard import UID_dictionary

KEY_BYTES = 32

# Consonants and digits: no vowels, so that no word, name or common token appears.
_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ23456789"
_PSEUDONYM_CHARACTERS = 16

# The day shift goes into the past, so that no shifted date lies in the future, and by
# at least a month, so that the shifted date says little about the true one.
_MIN_SHIFT_DAYS, _SHIFT_RANGE_DAYS = 31, 3652

_MAX_UID_CHARACTERS = 64
_SECONDS_PER_DAY = 86_400
_MAX_CACHED = 65_536
_UID = re.compile(rb"[0-9]+(\.[0-9]+)*\Z")


class Key:
    """The node's secret. Its repr shows the key id only.

    Args:
        secret: 32 random bytes.
    """

    __slots__ = ("_keyed", "key_id")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes")
        # Keyed once: each digest goes on with a copy.
        self._keyed = hmac.new(secret, digestmod="sha256")
        # Says which key was used without saying anything about it.
        self.key_id = hmac.digest(secret, b"key id", "sha256").hex()[:8]

    def __repr__(self) -> str:
        return f"Key(key_id={self.key_id!r})"

    def __reduce__(self) -> str:
        raise TypeError("a key is not pickled")

    def digest(self, purpose: str, scope: str, value: bytes) -> bytes:
        """HMAC-SHA256 of a value for one purpose in one scope (32 bytes).

        Purpose and scope are length-prefixed: no two of them can be mistaken for
        others with the delimiter moved.
        """
        scoped = scope.encode()
        prefix = f"{len(purpose)}:{purpose}{len(scoped)}:".encode()
        keyed = self._keyed.copy()
        keyed.update(prefix + scoped + value)
        return keyed.digest()


def is_standard_uid(value: bytes) -> bool:
    """Whether the UID is one of the standard's own, such as a SOP class (PS3.6 A)."""
    return (
        value.startswith(b"1.2.840.10008.") and value.decode("ascii", "replace") in UID_dictionary
    )


def is_well_formed_uid(value: bytes) -> bool:
    """Whether the value is digits and dots, at most 64 (PS3.5 9.1)."""
    return len(value) <= _MAX_UID_CHARACTERS and _UID.match(value) is not None


class Pseudonyms:
    """The pseudonyms of one study's rules. Thread-safe: the caches only ever hold answers.

    Args:
        key: The node's key.
        scope: The study's RandomSeed; two studies with different seeds cannot be linked.
        is_compatible: Hash and UID formulas of DCMAnonymize, which are not keyed.
    """

    __slots__ = ("_days", "_key", "_patients", "_uids", "is_compatible", "scope")

    def __init__(self, key: Key, scope: str = "", *, is_compatible: bool = False) -> None:
        self._key = key
        self.scope = scope
        self.is_compatible = is_compatible
        self._uids: dict[tuple[bytes, str], bytes] = {}
        self._patients: dict[bytes, str] = {}
        self._days: dict[tuple[bytes, str], int] = {}

    def uid(self, value: bytes, scope: str | None = None) -> bytes:
        """The replacement of a UID; the standard's own UIDs come back unchanged.

        Args:
            value: One UID (PHI), padding allowed.
            scope: The rule's own salt, in place of the study's.

        Returns:
            An unpadded UID of at most 64 characters: 2.25. and the decimal of a
            version 8 UUID (PS3.5 B.2, RFC 9562 5.8). Empty for an empty value.
        """
        value = value.rstrip(b"\0 ").lstrip(b" ")
        if not value or is_standard_uid(value):
            return value
        scope = self.scope if scope is None else scope
        cached = self._uids.get((value, scope))
        if cached is not None:
            return cached
        if self.is_compatible:
            made = _compatible_uid(value, scope)
        else:
            digest = bytearray(self._key.digest("uid", scope, value)[:16])
            digest[6] = digest[6] & 0x0F | 0x80
            digest[8] = digest[8] & 0x3F | 0x80
            made = b"2.25.%d" % int.from_bytes(digest)
        if len(self._uids) >= _MAX_CACHED:
            self._uids.clear()
        self._uids[value, scope] = made
        return made

    def patient(self, patient_id: bytes) -> str:
        """The pseudonym of a patient: 16 consonants and digits.

        Args:
            patient_id: Encoded Patient ID, or what stands in for it (PHI).
        """
        cached = self._patients.get(patient_id)
        if cached is not None:
            return cached
        number = int.from_bytes(self._key.digest("patient", self.scope, patient_id))
        letters = []
        for _ in range(_PSEUDONYM_CHARACTERS):
            number, index = divmod(number, len(_ALPHABET))
            letters.append(_ALPHABET[index])
        if len(self._patients) >= _MAX_CACHED:
            self._patients.clear()
        self._patients[patient_id] = made = "".join(letters)
        return made

    def days(self, patient_id: bytes, scope: str | None = None) -> int:
        """The patient's day shift, in days; negative, unless DCMAnonymize's own is asked for."""
        scope = self.scope if scope is None else scope
        if self.is_compatible:
            return compatible_offset_s(scope) // _SECONDS_PER_DAY
        cached = self._days.get((patient_id, scope))
        if cached is not None:
            return cached
        number = int.from_bytes(self._key.digest("days", scope, patient_id)[:8])
        if len(self._days) >= _MAX_CACHED:
            self._days.clear()
        self._days[patient_id, scope] = made = -(_MIN_SHIFT_DAYS + number % _SHIFT_RANGE_DAYS)
        return made

    def text(self, text: str, scope: str | None = None) -> str:
        """The hash of a text: 64 lowercase hexadecimal digits."""
        scope = self.scope if scope is None else scope
        if self.is_compatible:
            return hashlib.sha256(scope.encode() + text.encode()).hexdigest()
        return self._key.digest("text", scope, text.encode()).hex()

    def derive(self, purpose: str, value: bytes) -> bytes:
        """What stands in for random bytes: 32 bytes of the value, keyed in every formula.

        Args:
            purpose: What they are for; no other use may have the same.
            value: What they are made from (PHI).
        """
        return self._key.digest(purpose, self.scope, value)


def compatible_offset_s(seed: str) -> int:
    """DCMAnonymize's offset: one for all patients, in seconds.

    It moves a DA by its whole days, and so do we; its rest, by which DCMAnonymize tears
    TM and DT from their DA, is left out.
    """
    fifty_years = 1_576_800_000
    return random.Random(seed).randint(-fifty_years, fifty_years)  # noqa: S311  (its formula)


def _compatible_uid(value: bytes, seed: str) -> bytes:
    # DCMAnonymize: pydicom's generate_uid(entropy_srcs=[uid, seed]).
    prefix = "1.2.826.0.1.3680043.8.498."
    entropy = hashlib.sha512(value + seed.encode()).hexdigest()
    return (prefix + str(int(entropy, 16)))[:64].encode()
