"""Keyed pseudonyms: what they look like, and what they depend on."""

import hashlib
import hmac
import pickle
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import UID

from dicomanon_node.deid.pseudonyms import Key, Pseudonyms

SECRET = bytes(range(32))
KEY = Key(SECRET)
quick = settings(max_examples=100, deadline=None)
UIDS = st.lists(st.integers(0, 10**9), min_size=2, max_size=6).map(
    lambda parts: ("1." + ".".join(map(str, parts)))[:64].rstrip(".").encode()
)


def test_a_key_shows_itself_nowhere() -> None:
    shown = f"{KEY!r} {KEY}"
    assert SECRET.hex() not in shown
    assert KEY.key_id in shown
    with pytest.raises(TypeError):
        pickle.dumps(KEY)
    with pytest.raises(ValueError, match="32 bytes"):
        Key(b"short")


def test_a_digest_is_the_hmac_of_purpose_scope_and_value() -> None:
    expected = hmac.new(SECRET, b"3:uid4:seed" + b"1.2", hashlib.sha256).digest()
    assert KEY.digest("uid", "seed", b"1.2") == expected


@quick
@given(
    parts=st.lists(st.text("ab:1", max_size=4), min_size=2, max_size=2), value=st.binary(max_size=4)
)
def test_moving_the_border_between_scope_and_value_gives_another_digest(
    parts: list[str], value: bytes
) -> None:
    purpose, scope = parts
    moved = KEY.digest(purpose, scope + "a", value)
    assert moved != KEY.digest(purpose, scope, b"a" + value)


@quick
@given(uid=UIDS)
def test_a_new_uid_is_a_version_8_uuid_under_2_25(uid: bytes) -> None:
    new = Pseudonyms(KEY).uid(uid).decode()
    assert UID(new).is_valid
    assert len(new) <= 44
    made = uuid.UUID(int=int(new.removeprefix("2.25.")))
    assert made.version == 8
    assert made.variant == uuid.RFC_4122


@quick
@given(uids=st.lists(UIDS, unique=True, min_size=2, max_size=20))
def test_different_uids_stay_different(uids: list[bytes]) -> None:
    pseudonyms = Pseudonyms(KEY)
    assert len({pseudonyms.uid(uid) for uid in uids}) == len(uids)


def test_everything_depends_on_the_key_and_the_scope() -> None:
    made = {
        (
            pseudonyms.uid(b"1.2.3"),
            pseudonyms.patient(b"P1"),
            pseudonyms.text("text"),
            pseudonyms.days(b"P1"),
        )
        for pseudonyms in (
            Pseudonyms(KEY),
            Pseudonyms(KEY, "scope"),
            Pseudonyms(Key(bytes(32))),
        )
    }
    for column in zip(*made, strict=True):
        assert len(set(column)) == 3


@pytest.mark.parametrize("uid", [b"1.2.840.10008.1.2", b"1.2.840.10008.5.1.4.1.1.2\0", b"", b"\0"])
def test_the_standards_own_uids_and_no_uid_stay(uid: bytes) -> None:
    assert Pseudonyms(KEY).uid(uid) == uid.rstrip(b"\0")


def test_a_uid_that_only_begins_like_the_standards_is_mapped() -> None:
    assert Pseudonyms(KEY).uid(b"1.2.840.10008.999.1").startswith(b"2.25.")


@quick
@given(patient_id=st.binary(min_size=1, max_size=20))
def test_a_pseudonym_has_no_vowels_and_fits_an_lo(patient_id: bytes) -> None:
    made = Pseudonyms(KEY).patient(patient_id)
    assert len(made) == 16
    assert made.isascii()
    assert made.isalnum()
    assert not set(made) & set("AEIOUYaeiouy01")


@quick
@given(patient_id=st.binary(min_size=1, max_size=20))
def test_a_day_shift_lies_between_a_month_and_ten_years_back(patient_id: bytes) -> None:
    assert -3700 < Pseudonyms(KEY).days(patient_id) <= -31


def test_the_cache_is_bounded_and_changes_nothing() -> None:
    pseudonyms = Pseudonyms(KEY)
    first = pseudonyms.uid(b"1.2.3")
    for number in range(70_000):
        pseudonyms.uid(b"1.9.%d" % number)
    assert len(pseudonyms._uids) <= 65_536
    assert pseudonyms.uid(b"1.2.3") == first
