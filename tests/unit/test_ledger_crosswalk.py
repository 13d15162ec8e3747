import base64
import hashlib
import hmac
import json
import pickle
import secrets
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from support_ledger import opened, reading, rows

from dicomanon_node.ledger.crosswalk import CrosswalkKey, Person, UnreadableError
from dicomanon_node.ledger.records import Link, decode, encode
from dicomanon_node.ledger.store import Ledger

SECRET = bytes(range(32))
JANE = Person("MRN-4711", "DOE^JANE", "HOSPITAL", "19700101", "1.2.3", "ACC-9", -77)
TEXT = st.text(max_size=30)


def link(number: int = 0, key: CrosswalkKey | None = None) -> Link:
    person = replace(JANE, accession_number=f"ACC-{number}")
    return (key or CrosswalkKey(SECRET)).seal(person, "BCDFGHJKLMNPQRST", "2.25.1", 5)


@given(st.builds(Person, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, st.integers()), TEXT, TEXT)
def test_who_it_is_comes_back(person: Person, patient: str, study_uid: str) -> None:
    key = CrosswalkKey(SECRET)
    made = key.seal(person, patient, study_uid, 1)
    assert key.open(decode_link(encode(made))) == person


def decode_link(line: bytes) -> Link:
    record = decode(line)
    assert isinstance(record, Link)
    return record


def test_an_entry_is_opened_as_documented_without_this_program() -> None:
    """HMAC-SHA256 as `Key.digest` frames it, then AES-256-GCM."""
    made = link(9)
    framed = b"20:crosswalk encryption0:"
    key = hmac.new(SECRET, framed, hashlib.sha256).digest()
    sealed = base64.b64decode(made.sealed)
    bound = json.dumps([made.key_id, made.patient, made.study_uid]).encode()
    plain = json.loads(AESGCM(key).decrypt(sealed[:12], sealed[12:], bound))
    assert plain["patient_name"] == "DOE^JANE"
    assert plain["accession_number"] == "ACC-9"
    assert plain["days"] == -77


def test_an_entry_shows_nothing_and_no_two_look_alike() -> None:
    first, second = link(), link()
    assert first.sealed != second.sealed
    assert first.mark == second.mark
    assert link(1).mark != first.mark
    for line in (encode(first), base64.b64decode(first.sealed)):
        assert b"DOE" not in line
        assert b"4711" not in line


@pytest.mark.parametrize(
    "changed",
    [{"patient": "ANOTHER"}, {"study_uid": "2.25.2"}, {"sealed": "AAAA"}, {"sealed": "?"}],
)
def test_an_entry_that_was_changed_is_not_opened(changed: dict[str, str]) -> None:
    with pytest.raises(UnreadableError) as caught:
        CrosswalkKey(SECRET).open(replace(link(), **changed))  # type: ignore[arg-type]
    assert caught.value.__cause__ is None


def test_another_key_opens_nothing() -> None:
    with pytest.raises(UnreadableError):
        CrosswalkKey(secrets.token_bytes(32)).open(link())


def test_neither_key_nor_person_is_shown_or_pickled() -> None:
    key = CrosswalkKey(SECRET)
    assert repr(key) == f"CrosswalkKey(key_id='{key.key_id}')"
    assert "DOE" not in repr(JANE)
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_what_is_told_twice_is_one_entry(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with opened(path) as ledger:
        ledger.ingest([link(1), link(1), link(2)], {})
        ledger.ingest([link(1)], {})
    found = reading(path).links("BCDFGHJKLMNPQRST")
    assert len(found) == 2
    assert reading(path).links("2.25.1") == found
    assert reading(path).links("2.25.77") == []


class StoppedError(Exception):
    """As a kill would."""


def reseal(ledger: Ledger, old: CrosswalkKey, new: CrosswalkKey, stop_after: int) -> int:
    count = 0

    def again(entry: Link) -> Link:
        nonlocal count
        count += 1
        if count > stop_after:
            raise StoppedError
        return new.seal(old.open(entry), entry.patient, entry.study_uid, entry.at)

    done = 0
    while moved := ledger.reseal(old.key_id, again):
        done += moved
    return done


def test_a_new_key_takes_over_however_often_it_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    old, new = CrosswalkKey(SECRET), CrosswalkKey(secrets.token_bytes(32))
    with opened(path) as ledger:
        ledger.ingest([link(number, old) for number in range(1200)], {})
        for _ in range(2):
            with pytest.raises(StoppedError):
                reseal(ledger, old, new, 510)
            keys = {old.key_id: old, new.key_id: new}
            names = {
                keys[entry.key_id].open(entry).accession_number
                for entry in reading(path).links("BCDFGHJKLMNPQRST")
            }
            assert len(names) == 1200  # all of them readable at any time
        reseal(ledger, old, new, 10_000)
        # What a receiver with the old key tells now is one more to do, and no second entry after.
        ledger.ingest([link(3, old)], {})
        reseal(ledger, old, new, 10_000)
    assert reading(path).link_counts() == {new.key_id: 1200}
    assert rows(path, "SELECT count(*) FROM links WHERE at = 5") == [(1200,)]
