"""CMS EnvelopedData for one RSA public key, the same bytes for the same content.

Where a CMS library draws random numbers, they are derived here from the content under
the node's key: content-encryption key, initialisation vector and OAEP seed. What that
costs is in docs/adr/0015. Opens nothing: no private key is ever in this process.

Standard: RFC 5652 6.1 (EnvelopedData), RFC 3560 and RFC 8017 7.1.1 (RSAES-OAEP with
SHA-256), RFC 3565 (AES-256-CBC).
"""

import hashlib
import hmac
from dataclasses import dataclass

from dicomanon_node.deid.pseudonyms import Pseudonyms

_HASH_BYTES = 32  # SHA-256
_BLOCK_BYTES = 16  # AES

_LONG_LENGTH = 0x80
_INTEGER, _OCTET_STRING, _OBJECT_IDENTIFIER, _NULL = 0x02, 0x04, 0x06, 0x05
_SEQUENCE, _SET = 0x30, 0x31
_CONTEXT_0, _CONTEXT_1, _CONTEXT_0_PRIMITIVE = 0xA0, 0xA1, 0x80


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whose private key opens an envelope. Nothing of it is secret.

    Attributes:
        modulus: Of the RSA public key.
        exponent: Of the RSA public key.
        fingerprint: SHA-256 of its SubjectPublicKeyInfo, hexadecimal.
        key_identifier: Subject Key Identifier (RFC 5280 4.2.1.2); names the recipient
            where there is no certificate.
        issuer: DER of the certificate's issuer; b"" without a certificate.
        serial_number: The certificate's.
    """

    modulus: int
    exponent: int
    fingerprint: str
    key_identifier: bytes
    issuer: bytes = b""
    serial_number: int = 0

    @property
    def key_bits(self) -> int:
        """Size of the RSA key."""
        return self.modulus.bit_length()


def seal(content: bytes, recipient: Recipient, pseudonyms: Pseudonyms) -> bytes:
    """Encrypt for the recipient.

    Args:
        content: What only the recipient may read (PHI).
        recipient: Whose key encrypts.
        pseudonyms: The study's; derives what would be random otherwise.

    Returns:
        DER of a ContentInfo with EnvelopedData.
    """
    # Imported for who encrypts: hardly anybody does, and it takes its time.
    from cryptography.hazmat.primitives.ciphers import (  # noqa: PLC0415  (slow, rarely needed)
        Cipher,
        algorithms,
        modes,
    )

    # The recipient goes in: one key and seed under two RSA keys would tie them together.
    root = pseudonyms.derive("envelope", bytes.fromhex(recipient.fingerprint) + content)
    content_key = hmac.digest(root, b"content-encryption key", "sha256")
    vector = hmac.digest(root, b"initialisation vector", "sha256")[:_BLOCK_BYTES]
    seed = hmac.digest(root, b"OAEP seed", "sha256")
    padding = _BLOCK_BYTES - len(content) % _BLOCK_BYTES
    encryptor = Cipher(algorithms.AES256(content_key), modes.CBC(vector)).encryptor()
    encrypted = encryptor.update(content + bytes([padding]) * padding) + encryptor.finalize()
    has_certificate = bool(recipient.issuer)
    transported = _der(
        _SEQUENCE,
        _integer(0 if has_certificate else 2),
        _identifier(recipient),
        _RSAES_OAEP_SHA256,
        _der(_OCTET_STRING, _transport(content_key, seed, recipient)),
    )
    enveloped = _der(
        _SEQUENCE,
        _integer(0 if has_certificate else 2),
        _der(_SET, transported),
        _der(
            _SEQUENCE,
            _DATA,
            _der(_SEQUENCE, _AES256_CBC, _der(_OCTET_STRING, vector)),
            _der(_CONTEXT_0_PRIMITIVE, encrypted),
        ),
    )
    return _der(_SEQUENCE, _ENVELOPED_DATA, _der(_CONTEXT_0, enveloped))


def _identifier(recipient: Recipient) -> bytes:
    # RFC 5652 6.2.1: issuerAndSerialNumber, or [0] SubjectKeyIdentifier.
    if recipient.issuer:
        return _der(_SEQUENCE, recipient.issuer, _integer(recipient.serial_number))
    return _der(_CONTEXT_0_PRIMITIVE, recipient.key_identifier)


def _transport(message: bytes, seed: bytes, recipient: Recipient) -> bytes:
    # RFC 8017 7.1.1 with an empty label; the seed is given.
    size = (recipient.key_bits + 7) // 8
    zeros = bytes(size - len(message) - 2 * _HASH_BYTES - 2)
    block = _EMPTY_LABEL_HASH + zeros + b"\x01" + message
    masked_block = _masked(block, seed)
    masked_seed = _masked(seed, masked_block)
    number = int.from_bytes(masked_seed + masked_block)
    return pow(number, recipient.exponent, recipient.modulus).to_bytes(size)


def _masked(data: bytes, seed: bytes) -> bytes:
    # RFC 8017 B.2.1: MGF1 with SHA-256, and the exclusive or that always follows it.
    blocks = range((len(data) + _HASH_BYTES - 1) // _HASH_BYTES)
    mask = b"".join(hashlib.sha256(seed + number.to_bytes(4)).digest() for number in blocks)
    masked = int.from_bytes(data) ^ int.from_bytes(mask[: len(data)])
    return masked.to_bytes(len(data))


def _der(tag: int, *contents: bytes) -> bytes:
    # X.690 8.1: tag, definite length, contents.
    content = b"".join(contents)
    size = len(content)
    if size < _LONG_LENGTH:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, _LONG_LENGTH | len(length))) + length + content


def _integer(number: int) -> bytes:
    # Two's complement: one bit more than the number has.
    return _der(_INTEGER, number.to_bytes(number.bit_length() // 8 + 1, signed=True))


def _object_identifier(dotted: str) -> bytes:
    first, second, *arcs = map(int, dotted.split("."))
    encoded = bytearray((40 * first + second,))
    for arc in arcs:
        digits = [arc & 0x7F]
        while arc := arc >> 7:
            digits.append(arc & 0x7F | 0x80)
        encoded += bytes(reversed(digits))
    return _der(_OBJECT_IDENTIFIER, bytes(encoded))


_EMPTY_LABEL_HASH = hashlib.sha256(b"").digest()
_DATA = _object_identifier("1.2.840.113549.1.7.1")
_ENVELOPED_DATA = _object_identifier("1.2.840.113549.1.7.3")
_AES256_CBC = _object_identifier("2.16.840.1.101.3.4.1.42")
_SHA256 = _der(_SEQUENCE, _object_identifier("2.16.840.1.101.3.4.2.1"), _der(_NULL))
_RSAES_OAEP_SHA256 = _der(
    _SEQUENCE,
    _object_identifier("1.2.840.113549.1.1.7"),
    _der(
        _SEQUENCE,
        _der(_CONTEXT_0, _SHA256),
        _der(_CONTEXT_1, _der(_SEQUENCE, _object_identifier("1.2.840.113549.1.1.8"), _SHA256)),
    ),
)
