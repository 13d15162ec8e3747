import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support_ledger import stored

from dicomanon_node.ledger.records import (
    Delivery,
    Note,
    Record,
    RecordError,
    Refusal,
    Stored,
    decode,
    encode,
)

TEXT = st.text(max_size=40)
NUMBER = st.integers(-(2**63), 2**63 - 1)
TEXTS = (
    "study study_uid series_uid sop_instance_uid original_study original_series original_instance"
    " sop_class transfer_syntax rules key_id association calling_aet"
).split()
FACT = TEXT | NUMBER | st.booleans() | st.none()
RECORDS: st.SearchStrategy[Record] = st.one_of(
    st.builds(
        Stored,
        at=NUMBER,
        bytes_count=NUMBER,
        destinations=st.lists(TEXT, max_size=3).map(tuple),
        is_duplicate=st.booleans(),
        is_variant=st.booleans(),
        is_written=st.booleans(),
        **dict.fromkeys(TEXTS, TEXT),
    ),
    st.builds(Refusal, NUMBER, TEXT, NUMBER, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, NUMBER),
    st.builds(Delivery, NUMBER, TEXT, TEXT, st.booleans(), st.none() | NUMBER, TEXT, NUMBER),
    st.builds(Note, NUMBER, TEXT, st.dictionaries(TEXT, FACT, max_size=4)),
)
LINE = encode(stored())


@given(RECORDS)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    assert decode(encode(record)) == record


@given(RECORDS)
def test_a_record_is_one_line_of_ascii(record: Record) -> None:
    line = encode(record)
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert not any(byte < 0x20 for byte in line[:-1])


@given(st.integers(0, len(LINE) - 3))
def test_a_record_cut_short_is_none(size: int) -> None:
    with pytest.raises(RecordError):
        decode(LINE[:size])


@given(st.binary(max_size=200))
def test_random_bytes_are_no_record_and_raise_nothing_else(line: bytes) -> None:
    with pytest.raises(RecordError):
        decode(line)


@pytest.mark.parametrize(
    "changed",
    [
        {"at": "1"},
        {"at": 1.5},
        {"at": True},
        {"at": 2**63},
        {"study": None},
        {"is_variant": 1},
        {"destinations": "pacs"},
        {"destinations": [1]},
        {"surname": "x"},
    ],
)
def test_a_record_of_another_form_is_none(changed: dict[str, object]) -> None:
    name, values = json.loads(LINE)
    with pytest.raises(RecordError):
        decode(json.dumps([name, values | changed]).encode())


@pytest.mark.parametrize("name", ["study", "sop_instance_uid", "at", "association"])
def test_a_record_without_what_it_must_have_is_none(name: str) -> None:
    kind, values = json.loads(LINE)
    del values[name]
    with pytest.raises(RecordError):
        decode(json.dumps([kind, values]).encode())


def test_the_text_of_an_error_has_nothing_of_the_line() -> None:
    with pytest.raises(RecordError) as caught:
        decode(b'["stored",{"DOE^JANE":1}]')
    assert "DOE" not in str(caught.value)
    assert caught.value.__cause__ is None
