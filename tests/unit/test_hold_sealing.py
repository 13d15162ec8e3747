"""The encrypted form, against a reader of its own that knows nothing but the description."""

import hashlib
import io
import json
import struct

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomanon_node.hold import sealing
from dicomanon_node.hold.sealing import HoldKey, KeyRing, Sealer, SealError, read_label, unseal

SECRET = bytes(range(100, 132))
SALT = bytes(range(32))
LABEL = json.dumps({"salt": SALT.hex()}).encode()
CHUNK = 64 * 1024
TAG = 16


def sealed(plain: bytes, step: int = 0, label: bytes = LABEL) -> bytes:
    out = bytearray()
    sealer = Sealer(HoldKey(SECRET), SALT, label, out.extend)
    step = step or max(len(plain), 1)
    for start in range(0, len(plain), step):
        sealer.feed(plain[start : start + step])
    sealer.finish()
    return bytes(out)


def opened(data: bytes, secret: bytes = SECRET) -> bytes:
    stream = io.BytesIO(data)
    label = read_label(stream.read)
    return b"".join(unseal(HoldKey(secret), SALT, label, stream.read))


def opened_by_the_description(data: bytes) -> bytes:
    """Not one line of the program: only the module's description and the libraries."""
    assert data[:8] == b"DANHOLD1"
    (size,) = struct.unpack(">L", data[8:12])
    head, body = data[: 12 + size], data[12 + size :]
    salt = bytes.fromhex(json.loads(head[12:])["salt"])
    info = b"dicomanon-node hold file 1" + hashlib.sha256(head).digest()
    derived = HKDF(algorithm=SHA256(), length=39, salt=salt, info=info).derive(SECRET)
    pieces = [body[start : start + CHUNK + TAG] for start in range(0, len(body), CHUNK + TAG)]
    plain = b""
    for number, piece in enumerate(pieces):
        flag = b"\1" if number == len(pieces) - 1 else b"\0"
        nonce = derived[32:] + struct.pack(">L", number) + flag
        plain += AESGCM(derived[:32]).decrypt(nonce, piece, None)
    return plain


SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", [0, 1000, CHUNK])
def test_what_is_sealed_opens_by_the_description(size: int, step: int) -> None:
    plain = bytes(number % 251 for number in range(size))
    data = sealed(plain, step)
    assert opened_by_the_description(data) == plain
    assert opened(data) == plain
    assert sealing.plain_bytes(len(data) - 12 - len(LABEL)) == size


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200_000), st.integers(1, 70_000))
def test_however_it_comes_it_is_sealed_alike(plain: bytes, step: int) -> None:
    data = sealed(plain, step)
    assert data == sealed(plain)
    assert opened_by_the_description(data) == plain


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_single_changed_bit_is_found_out(data: st.DataObject) -> None:
    plain = bytes(2 * CHUNK + 500)
    whole = bytearray(sealed(plain))
    position = data.draw(st.integers(0, len(whole) - 1))
    whole[position] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(SealError):
        opened(bytes(whole))


@pytest.mark.parametrize("cut", [1, TAG, 500, 500 + TAG, CHUNK + 500 + 2 * TAG])
def test_an_end_that_is_cut_off_is_found_out(cut: int) -> None:
    with pytest.raises(SealError, match="damaged"):
        opened(sealed(bytes(2 * CHUNK + 500))[:-cut])


def test_nothing_but_a_head_is_found_out() -> None:
    with pytest.raises(SealError, match="damaged"):
        opened(sealed(b"")[:-TAG])


def test_chunks_in_another_order_doubled_or_left_out_are_found_out() -> None:
    data = sealed(bytes(3 * CHUNK + 5))
    head = 12 + len(LABEL)
    pieces = [data[at : at + CHUNK + TAG] for at in range(head, len(data), CHUNK + TAG)]
    for order in ([1, 0, 2, 3], [0, 0, 1, 2, 3], [0, 2, 3], [0, 1, 2], [0, 1, 2, 3, 3], [3]):
        with pytest.raises(SealError, match="damaged"):
            opened(data[:head] + b"".join(pieces[number] for number in order))


def test_more_after_the_end_is_found_out() -> None:
    with pytest.raises(SealError, match="damaged"):
        opened(sealed(b"something") + b"x")


def test_another_label_does_not_open_it() -> None:
    other = LABEL.replace(b"salt", b"SALT")
    data = sealed(b"something")
    with pytest.raises(SealError, match="damaged"):
        opened(data.replace(LABEL, other))
    with pytest.raises((InvalidTag, KeyError)):
        opened_by_the_description(data.replace(LABEL, other))


def test_another_key_does_not_open_it() -> None:
    with pytest.raises(SealError, match="damaged"):
        opened(sealed(b"something"), bytes(32))


def test_two_files_share_no_key_stream() -> None:
    one = sealed(bytes(5000))
    out = bytearray()
    other = Sealer(HoldKey(SECRET), bytes(32), LABEL, out.extend)
    other.feed(bytes(5000))
    other.finish()
    assert one[12 + len(LABEL) :][:4000] != bytes(out)[12 + len(LABEL) :][:4000]


@pytest.mark.parametrize("data", [b"", b"DANHOLD1", b"DANHOLD1\0\0\0\5abc", b"x" * 50,
                                  b"DANHOLD1\xff\xff\xff\xff" + bytes(9000)])  # fmt: skip
def test_what_is_no_hold_file_is_told_apart(data: bytes) -> None:
    with pytest.raises(SealError, match="not-a-hold-file"):
        opened(data)


def test_a_key_ring_finds_old_keys_and_no_others() -> None:
    old, new = HoldKey(bytes(32)), HoldKey(SECRET)
    ring = KeyRing(new, [old])
    assert ring.current is new
    assert ring.find(old.key_id) is old
    with pytest.raises(SealError, match="unknown-key"):
        ring.find("0" * 16)


def test_a_key_shows_nothing_of_itself() -> None:
    key = HoldKey(SECRET)
    assert SECRET.hex() not in repr(key)
    assert key.key_id not in SECRET.hex()
    with pytest.raises(TypeError):
        key.__reduce__()
