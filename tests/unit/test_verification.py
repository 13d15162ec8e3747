"""What `verify` is made of: dates, excuses, residues, pairs, rows."""

import csv
import io
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support_deid import plan_of

from dicomanon_node.deid.decisions import Change, Decision, Verb
from dicomanon_node.deid.rules import ActionKind, Option, RuleAction
from dicomanon_node.review.checks import CHECKS, Pair, Subject, shifted
from dicomanon_node.review.excuses import Excuses
from dicomanon_node.review.pairing import Index, expected_uid, match
from dicomanon_node.review.reading import Element, Item
from dicomanon_node.review.residue import Residue
from dicomanon_node.review.setwide import SetWide
from dicomanon_node.review.signoff import Report, Result, Row, as_csv, as_json

UTF8 = b"ISO_IR 192"
SUBJECT = Subject(b"MRN1", b"MRN1", plan_of().pseudonyms)


def element(tag: int, vr: str, text: str) -> Element:
    value = text.encode()
    return Element(tag, vr, "", value, len(value))


def pair(vr: str, old: str, new: str, tag: int = 0x00081030) -> Pair:
    return Pair(element(tag, vr, old), element(tag, vr, new), UTF8, UTF8)


def item(*elements: Element) -> Item:
    return Item({each.key: each for each in elements}, UTF8)


@given(
    st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.integers(-5000, 5000), st.sampled_from("ymd")
)
def test_a_date_moves_by_days_in_its_own_precision(day: date, days: int, precision: str) -> None:
    length = {"y": 4, "m": 6, "d": 8}[precision]
    text = f"{day:%Y%m%d}"[:length]
    first = day.replace(
        month=day.month if length > 4 else 1, day=day.day if length > 6 else 1
    ) + timedelta(days=days)
    assert shifted(text, days, is_datetime=True) == f"{first:%Y%m%d}"[:length]


@pytest.mark.parametrize("text", ["", "2020", "20201301", "Smith", "2020022", "20200230"])
def test_what_is_no_date_is_to_be_empty(text: str) -> None:
    assert shifted(text, -40, is_datetime=False) == ""


@pytest.mark.parametrize(
    ("change", "vr", "old", "new", "is_right"),
    [
        (Change.EMPTY, "LO", "x", "", True),
        (Change.EMPTY, "LO", "x", "y", False),
        (Change.DUMMY, "LO", "Saint Elsewhere", "-", True),
        (Change.DUMMY, "LO", "Saint Elsewhere", "", False),
        (Change.DUMMY, "LO", "Saint Elsewhere", "Saint Nowhere", False),
        (Change.DUMMY, "LO", "", "", True),
        (Change.HASH, "LO", "ROOM", "0a1b2c", True),
        (Change.HASH, "LO", "ROOM", "ROOM", False),
        (Change.CLEAN_TEXT, "LO", "T1 Smith axial", "T1 axial", True),
        (Change.CLEAN_TEXT, "LO", "T1 Smith axial", "axial T1", False),
        (Change.CLEAN_TEXT, "LO", "T1 Smith axial", "-", True),
        (Change.CLEAN_TEXT, "LO", "T1 Smith axial", "", False),
        (Change.CAP_AGE, "AS", "095Y", "090Y", True),
        (Change.CAP_AGE, "AS", "095Y", "095Y", False),
        (Change.CAP_AGE, "AS", "045Y", "045Y", True),
        (Change.CAP_AGE, "AS", "100M", "100M", True),
        (Change.CAP_YEARS, "DS", "91.5", "90", True),
        (Change.CAP_YEARS, "DS", "89", "89", True),
        (Change.CAP_YEARS, "DS", "89", "88", False),
    ],
)
def test_a_change_is_judged_by_its_values(
    change: Change, vr: str, old: str, new: str, *, is_right: bool
) -> None:
    reason = CHECKS[change](pair(vr, old, new), Decision(Verb.CHANGE, "rule", change), SUBJECT)
    assert (reason == "") is is_right


def test_a_number_is_offset_by_the_rules_amount() -> None:
    rule = RuleAction(ActionKind.OFFSET, amount=3)
    decision = Decision(Verb.CHANGE, "rule", Change.OFFSET, rule)
    assert CHECKS[Change.OFFSET](pair("DS", "1.5\\2", "4.5\\5"), decision, SUBJECT) == ""
    assert CHECKS[Change.OFFSET](pair("DS", "1.5\\2", "4.5\\6"), decision, SUBJECT) != ""


@pytest.mark.parametrize(
    ("old", "new", "is_excused"),
    [
        ("T1 Quillfeather axial", "T1 axial", True),
        ("T1 QUILLFEATHER_2 axial", "T1 2 axial", True),
        ("T1 plain axial", "T1 axial", False),
        ("T1 plain axial", "-", False),
        ("Quillfeather", "-", True),
        ("seen by Dr. Basil", "seen by", False),
    ],
)
def test_only_words_that_identify_may_be_lost(old: str, new: str, *, is_excused: bool) -> None:
    excuses = Excuses(item(element(0x00100010, "PN", "Quillfeather^Ottoline")), plan_of())
    assert (excuses.judge(pair("LO", old, new)) == "") is is_excused


@pytest.mark.parametrize(
    ("old", "new"),
    [("seen by Dr. Basil", "seen by"), ("scan 2020-02-29 late", "scan late"), ("a@b.org x", "x")],
)
def test_a_cleaned_text_may_lose_what_identifies_anybody(old: str, new: str) -> None:
    assert Excuses(Item(), plan_of()).judge(pair("LO", old, new), generic=True) == ""


def residue() -> Residue:
    found = Residue()
    found.add(element(0x00100010, "PN", "Quillfeather^Ottoline^Ä"), UTF8)
    found.add(element(0x00081070, "PN", "Head^Käsebier"), UTF8)
    found.add(element(0x00100020, "LO", "MRN7741902"), UTF8)
    found.add(element(0x00100030, "DA", "19610312"), UTF8)
    found.add_uid(b"1.2.826.0.1.3680043.10.543.11")
    return found


@pytest.mark.parametrize("codec", ["latin-1", "utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "text",
    ["quillfeather", "x QUILLFEATHER_1", "käsebier", "mrn7741902", "12.03.1961", "1961-03-12"],
)
def test_identity_is_found_in_every_encoding(text: str, codec: str) -> None:
    data = b"\x01\x02" + text.encode(codec) + b"\x03\x04"
    assert residue().search().finds(data) == "identity of the original is left"


def test_a_uid_is_found() -> None:
    data = b"..\0 1.2.826.0.1.3680043.10.543.11\0"
    assert residue().search().finds(data) == "a UID of the original is left"


@pytest.mark.parametrize(
    "text", ["head", "Quillfeathers", "196103121", "1.2.826.0.1.3680043.10.543.111", "ottolinear"]
)
def test_what_is_something_else_is_not_found(text: str) -> None:
    assert residue().search().finds(text.encode()) == ""


def test_what_stays_on_purpose_is_no_residue_but_the_patients_name_is() -> None:
    found = residue()
    found.excuse(element(0x00080090, "PN", "Käsebier^Quillfeather"), UTF8)
    search = found.search()
    assert search.finds("käsebier".encode()) == ""
    assert search.finds(b"quillfeather") != ""


def test_identity_across_the_pieces_of_a_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes((1 << 20) - 5) + b"Quillfeather" + bytes(100))
    search = residue().search()
    assert search.finds_in_file(path, (1 << 30, 1 << 30)) != ""
    assert search.finds_in_file(path, (0, 1 << 21)) == "identity of the original is in pixel data"


def test_originals_are_paired_through_key_and_rules() -> None:
    plan = plan_of()
    uid = b"1.2.3.4"
    index = Index()
    index.add_original(Path("in/1"), uid, plan)
    index.add_output(Path("out/1"), plan.pseudonyms.uid(uid))
    index.add_output(Path("out/2"), b"2.25.1")
    assert list(index.groups()) == [([Path("in/1")], [Path("out/1")])]
    assert list(index.without_original()) == [Path("out/2")]
    assert expected_uid(uid, plan_of(options=frozenset({Option.RETAIN_UIDS}))) == uid


def test_of_variants_the_pairs_with_the_fewest_faults_are_taken() -> None:
    originals, outputs = [Path("in/a"), Path("in/b"), Path("in/b2")], [Path("x"), Path("y")]
    faults = {("a", "x"): 3, ("a", "y"): 0, ("b", "x"): 0, ("b", "y"): 4}
    matched = match(originals, outputs, lambda o, p: faults[o.name[0], p.name])
    assert dict(matched.pairs) == {Path("in/a"): Path("y"), Path("in/b"): Path("x")}
    assert (matched.again, matched.missing, matched.foreign) == ([Path("in/b2")], [], [])


def test_a_uid_that_becomes_two_and_two_that_become_one_are_told() -> None:
    whole = SetWide(frozenset({b"1.1"}), frozenset())
    for old, new in ((b"1.1", b"2.1"), (b"1.1", b"2.2"), (b"1.3", b"2.2")):
        whole.uid("", old, new)
    failed = {demand: failed for demand, _, failed, _ in whole.verdicts()}
    assert failed["the same UID becomes the same UID"] == 1
    assert failed["different UIDs become different UIDs"] == 1
    assert failed["references lead to objects of the set"] == 2


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    report = Report(objects=[Row("object", Result.PASS, original=text, output=text)])
    rows = list(csv.reader(io.StringIO(as_csv(report), newline="")))
    assert rows[1].count(f"'{text}") == 2
    assert text not in rows[1]


def test_nothing_to_judge_is_no_pass() -> None:
    assert not Report().has_passed
    assert '"result": "FAIL"' in as_json(Report())
