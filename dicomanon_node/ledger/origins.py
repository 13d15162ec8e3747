"""Keyed hashes of original UIDs: what a receipt holds in their place.

Under a key of their own, derived from the node's: with the ledger alone nobody can
try out UIDs, and no hash is found in any object. Whoever has a UID and the key file can
ask for its receipt.
"""

from typing import Final

from dicomanon_node.deid.pseudonyms import Key

_HASH_BYTES: Final = 16
_MOST_REMEMBERED: Final = 4096


class Origins:
    """Hashes original UIDs. Thread-safe: what is remembered is only ever an answer.

    Args:
        key: The node's key.
    """

    __slots__ = ("_key", "_remembered", "key_id")

    def __init__(self, key: Key) -> None:
        self._key = Key(key.digest("ledger key", "", b""))
        self._remembered: dict[str, str] = {}
        self.key_id = key.key_id

    def hash(self, uid: str) -> str:
        """128 bits of HMAC-SHA256, hexadecimal; "" for no UID.

        Args:
            uid: Study, Series or SOP Instance UID (PHI), unpadded.
        """
        if not uid:
            return ""
        raw = uid.encode("utf-8", "surrogatepass")
        return self._key.digest("original uid", "", raw)[:_HASH_BYTES].hex()

    def hash_often(self, uid: str) -> str:
        """The same, for UIDs of which many instances have the same one (PHI)."""
        found = self._remembered.get(uid)
        if found is None:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[uid] = found = self.hash(uid)
        return found
