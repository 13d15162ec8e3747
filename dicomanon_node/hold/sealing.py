"""The encrypted form of a held object: a stream of AES-256-GCM chunks.

    magic (8) | length of the label (4, big endian) | label | chunk | chunk | ...

The STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizar 2015): each chunk but the
last has `CHUNK_BYTES` of plain text, a nonce of prefix, counter and last-chunk flag, and
a tag of 16 bytes. So a chunk that is changed, missing, doubled or in another place is
found out, and so is an end that is cut off. The key of a file is derived from the hold key, a salt
in the label and all bytes before the first chunk (HKDF-SHA256, RFC 5869): a changed
label makes every chunk unreadable.

Nothing here opens, names or removes a file.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from dicomanon_node.errors import NodeError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC: Final = b"DANHOLD1"
CHUNK_BYTES: Final = 64 * 1024
TAG_BYTES: Final = 16
SALT_BYTES: Final = 32
MAX_LABEL_BYTES: Final = 4096

_PREFIX_BYTES: Final = 7  # with a counter of 4 and a flag of 1 the 12 bytes of NIST SP 800-38D
_MAX_CHUNKS: Final = 2**32
_LENGTH_BYTES: Final = 4
_ID_INFO: Final = b"dicomanon-node hold key id"
_FILE_INFO: Final = b"dicomanon-node hold file 1"

Chunk = bytes | bytearray | memoryview


class SealError(NodeError):
    """A held object cannot be opened. The text is one of a few fixed words.

    Attributes:
        code: `not-a-hold-file`, `unknown-key` or `damaged`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class HoldKey:
    """A key of the hold. Shows nothing of itself but `key_id`.

    Args:
        secret: 32 bytes (secret).

    Attributes:
        key_id: Names the key; says nothing about it.
    """

    __slots__ = ("_secret", "key_id")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.key_id = hmac.new(secret, _ID_INFO, hashlib.sha256).hexdigest()[:16]

    def __repr__(self) -> str:
        return f"HoldKey({self.key_id})"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a key is not pickled")

    def cipher(self, salt: bytes, head: bytes) -> "tuple[AESGCM, bytes]":
        """The cipher of one file, and the prefix of its nonces.

        Args:
            salt: Of the file, random.
            head: Its bytes before the first chunk.
        """
        from cryptography.hazmat.primitives.ciphers.aead import (  # noqa: PLC0415  (slow, rarely needed)
            AESGCM,
        )
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415  (as above)
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415  (as above)

        info = _FILE_INFO + hashlib.sha256(head).digest()
        derived = HKDF(SHA256(), 32 + _PREFIX_BYTES, salt, info).derive(self._secret)
        return AESGCM(derived[:32]), derived[32:]


class KeyRing:
    """The key that seals, and those that may still open.

    Args:
        current: Seals, and opens.
        old: Open only.
    """

    def __init__(self, current: HoldKey, old: Sequence[HoldKey] = ()) -> None:
        self.current = current
        self._by_id = {key.key_id: key for key in (*old, current)}

    def __contains__(self, key_id: str) -> bool:
        return key_id in self._by_id

    def find(self, key_id: str) -> HoldKey:
        """The key of this id.

        Raises:
            SealError: There is none.
        """
        found = self._by_id.get(key_id)
        if found is None:
            raise SealError("unknown-key")
        return found


def head_of(label: bytes) -> bytes:
    """What comes before the first chunk."""
    if len(label) > MAX_LABEL_BYTES:
        raise ValueError("label too long")
    return MAGIC + len(label).to_bytes(_LENGTH_BYTES, "big") + label


def plain_bytes(sealed_bytes: int) -> int:
    """Bytes of plain text in so many bytes of chunks."""
    chunks = -(-sealed_bytes // (CHUNK_BYTES + TAG_BYTES))
    return max(sealed_bytes - chunks * TAG_BYTES, 0)


class Sealer:
    """Encrypts one object. Not thread-safe.

    Args:
        key: The hold key.
        salt: Of this file, random, never used before.
        label: What may be read without the key; names key and salt.
        write: Takes what is to be written, in order: never plain text but the label.
    """

    def __init__(
        self, key: HoldKey, salt: bytes, label: bytes, write: Callable[[bytes], None]
    ) -> None:
        head = head_of(label)
        self._cipher, self._prefix = key.cipher(salt, head)
        self._write = write
        self._number = 0
        self._pending = bytearray()
        write(head)

    def feed(self, data: Chunk) -> None:
        """Seal more; raises what `write` raises."""
        view = memoryview(data)
        while view:
            # A full chunk waits for its successor: only then is it known not to be the last.
            if len(self._pending) == CHUNK_BYTES:
                self._seal(is_last=False)
            taken = view[: CHUNK_BYTES - len(self._pending)]
            self._pending += taken
            view = view[len(taken) :]

    def finish(self) -> None:
        """Seal the last chunk."""
        self._seal(is_last=True)

    def forget(self) -> None:
        """Keep no plain text in memory."""
        self._pending = bytearray()

    def _seal(self, *, is_last: bool) -> None:
        nonce = _nonce(self._prefix, self._number, is_last=is_last)
        self._number += 1
        sealed = self._cipher.encrypt(nonce, bytes(self._pending), None)
        self._pending.clear()
        self._write(sealed)


def read_label(read: Callable[[int], bytes]) -> bytes:
    """The label of a sealed object; not authentic before the first chunk was opened.

    Args:
        read: Gives the next bytes, at most so many; fewer only at the end.

    Raises:
        SealError: `not-a-hold-file`.
    """
    start = read(len(MAGIC) + _LENGTH_BYTES)
    size = int.from_bytes(start[len(MAGIC) :], "big")
    if len(start) != len(MAGIC) + _LENGTH_BYTES or start[: len(MAGIC)] != MAGIC:
        raise SealError("not-a-hold-file")
    if size > MAX_LABEL_BYTES or len(label := read(size)) != size:
        raise SealError("not-a-hold-file")
    return label


def unseal(
    key: HoldKey, salt: bytes, label: bytes, read: Callable[[int], bytes]
) -> Iterator[bytes]:
    """Yield the plain text, each chunk authentic; complete only if the iterator ends.

    Args:
        key: The hold key.
        salt: As the label says.
        label: As it was read.
        read: Gives the next bytes after the label, at most so many; fewer only at the end.

    Raises:
        SealError: `damaged`, at the chunk it happens; what came before is authentic, but
            nobody may believe that it is all.
    """
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415  (slow, rarely needed)

    cipher, prefix = key.cipher(salt, head_of(label))
    sealed = read(CHUNK_BYTES + TAG_BYTES)
    number = 0
    while True:
        following = read(CHUNK_BYTES + TAG_BYTES)
        nonce = _nonce(prefix, number, is_last=not following)
        try:
            plain = cipher.decrypt(nonce, sealed, None)
        except InvalidTag:
            raise SealError("damaged") from None
        yield plain
        if not following:
            return
        sealed, number = following, number + 1


def _nonce(prefix: bytes, number: int, *, is_last: bool) -> bytes:
    if number >= _MAX_CHUNKS:
        raise SealError("damaged")  # 256 TiB: a nonce would come again
    return prefix + number.to_bytes(4, "big") + bytes([is_last])
