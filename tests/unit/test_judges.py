import errno
import json
import math
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from dicomanon_node.errors import Reason, Status
from dicomanon_node.ops import events, judges
from dicomanon_node.ops.judges import INVALID, UNLISTED, Judge

ALL_JUDGES = list(
    {id(key.judge): key.judge for event in events.EVENTS.values() for key in event.keys}.values()
)
FREE_TEXT = (judges.AE_TITLE, judges.SHORT_TEXT, judges.PATH_TEXT, judges.MESSAGE_TEXT)


class Stranger:
    """An object whose text is a patient's."""

    def __str__(self) -> str:
        raise AssertionError("a judge asked a stranger for its text")

    __repr__ = __str__


ANYTHING = st.one_of(
    st.text(max_size=2000),
    st.binary(),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.lists(st.text(), max_size=3),
    st.builds(Stranger),
    st.builds(ValueError, st.text()),
    st.builds(OSError, st.integers(-5, 200), st.text()),
    st.sampled_from(list(Reason)),
    st.sampled_from(list(Status)),
)


@pytest.mark.parametrize("judge", ALL_JUDGES, ids=lambda judge: judge.form)
@given(value=ANYTHING)
def test_whatever_a_judge_is_given_it_returns_something_short_printable_and_plain(
    judge: Judge, value: object
) -> None:
    accepted = judge.accept(value)
    written = json.dumps(accepted, allow_nan=False)
    assert isinstance(accepted, str | int | float | bool)
    assert len(written) <= judge.longest
    assert not isinstance(accepted, str) or accepted.isprintable()


@pytest.mark.parametrize(
    "judge", [judge for judge in ALL_JUDGES if judge not in FREE_TEXT], ids=lambda judge: judge.form
)
@pytest.mark.parametrize(
    "planted",
    ["DOE^JANE", "19610312 DOE", "Doe\x1b[2J", "1.2.840.113619\nX", "Dœ Jane", "DOE JANE"],
)
def test_text_of_an_object_passes_no_judge(judge: Judge, planted: str) -> None:
    assert judge.accept(planted) in {INVALID, UNLISTED}


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("1.2.840.10008.1.1", "1.2.840.10008.1.1"),
        (UID("2.25.1"), "2.25.1"),
        ("2.25." + "1" * 59, "2.25." + "1" * 59),
        ("2.25." + "1" * 60, INVALID),
        ("1.2.840.", INVALID),
        ("1..2", INVALID),
        ("1.2\n", INVALID),
        ("\u0661.\u0662", INVALID),  # digits to Unicode, not to PS3.5 9.1
        ("", INVALID),
        (b"1.2", INVALID),
    ],
)
def test_uids_are_digits_and_dots(value: object, written: str) -> None:
    assert judges.UID.accept(value) == written


def test_registered_uids_are_written_as_keywords() -> None:
    assert judges.KNOWN_UID.accept(CTImageStorage) == "CTImageStorage"
    assert judges.KNOWN_UID.accept(ExplicitVRLittleEndian) == "ExplicitVRLittleEndian"


def test_a_class_uid_that_nobody_has_listed_is_not_written() -> None:
    # A requestor may put the UID of a patient's study there, or digits that are no UID of a class.
    private = "1.3.46.670589.5.0.1"
    assert judges.KNOWN_UID.accept(private) == judges.UNLISTED
    assert judges.KNOWN_UID.accept("1.2.840.10008.5.7741902") == judges.UNLISTED
    judges.known_uids.allow([private, CTImageStorage, "Quillfeather^Ottoline"])
    try:
        assert judges.KNOWN_UID.accept(CTImageStorage) == "CTImageStorage"
        assert judges.KNOWN_UID.accept(private) == private
        assert judges.KNOWN_UID.accept("Quillfeather^Ottoline") == judges.INVALID
    finally:
        judges.known_uids.allow(())


@pytest.mark.parametrize(
    ("title", "written"),
    [
        ("MRC25641", "MRC25641"),
        ("CT 1", "CT 1"),
        ("A" * 40, "A" * 16),
        ("\x1b[31mRED", r"\x1b[31mRED"),
        ("A\r\nB", r"A\r\nB"),
        ("A\\B", r"A\\B"),
        ("Müller", r"M\xfcller"),
        ("\u202eTC", r"\u202eTC"),
        (None, INVALID),
    ],
)
def test_ae_titles_are_cut_and_escaped(title: object, written: str) -> None:
    assert judges.AE_TITLE.accept(title) == written


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("FE80:0:0::1", "fe80::1"),
        ("fe80::1%free text here", "fe80::1"),
        ("scanner1.example", INVALID),
        ("10.1.2", INVALID),
    ],
)
def test_addresses_are_addresses(address: str, written: str) -> None:
    assert judges.ADDRESS.accept(address) == written


def test_numbers_stay_numbers_that_any_json_reader_can_hold() -> None:
    assert judges.COUNT.accept(0) == 0
    assert judges.COUNT.accept(10**40) == 2**63 - 1
    assert judges.COUNT.accept(-1) == INVALID
    assert judges.COUNT.accept(True) == INVALID
    assert judges.INTEGER.accept(-9) == -9
    assert judges.DURATION.accept(3.14159) == 3.1
    assert judges.DURATION.accept(math.nan) == INVALID
    assert judges.DURATION.accept(math.inf) == INVALID


def test_status_words_and_tags_are_written_as_the_standard_writes_them() -> None:
    assert judges.STATUS.accept(Status.PROCESSING_FAILURE) == "0110H"
    assert judges.STATUS.accept(0xA700) == "A700H"
    assert judges.STATUS.accept("0110H") == "0110H"
    assert judges.STATUS.accept(0x10000) == INVALID
    assert judges.TAG.accept(0x0008103E) == "(0008,103E)"
    assert judges.TAG.accept(2**32) == INVALID


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_written_as_its_code(reason: Reason) -> None:
    assert judges.REASON.accept(reason) == reason.code
    assert judges.REASON.accept(reason.code) == reason.code


def test_words_of_an_enumeration_pass() -> None:
    class Ending(StrEnum):
        RELEASED = "released"

    assert judges.WORD.accept(Ending.RELEASED) == "released"


def test_only_configured_names_pass() -> None:
    names = judges.ConfiguredNames()
    assert names("ABCD") == UNLISTED
    names.allow(["ABCD", "Tab\tStudie Ü"])
    assert names("ABCD") == "ABCD"
    assert names("Tab\tStudie Ü") == r"Tab\tStudie Ü"
    assert names("abcd") == UNLISTED
    assert names("DOE^JANE") == UNLISTED
    names.allow(["Other"])
    assert names("ABCD") == UNLISTED


def test_an_error_is_its_class_and_our_own_lines_without_its_text() -> None:
    names = (studies["DOE^JANE"] for studies in [dict[str, str]()])
    with pytest.raises(KeyError) as caught:
        judges.ConfiguredNames().allow(names)
    written = judges.ERROR.accept(caught.value)
    assert isinstance(written, str)
    assert written.startswith("KeyError at ops/judges.py:")
    assert "DOE" not in written
    assert "test_judges" not in written


def test_an_operating_system_error_tells_which() -> None:
    error = OSError(errno.ENOSPC, "No space left", "/var/spool/DOE^JANE")
    assert judges.ERROR.accept(error) == "OSError[ENOSPC]"
    assert judges.ERROR.accept(OSError("DOE^JANE")) == "OSError"
    assert judges.ERROR.accept(OSError(99999, "DOE^JANE")) == f"OSError[{INVALID}]"


def test_an_exception_class_made_from_a_value_is_not_written() -> None:
    made = type("DOE^JANE", (Exception,), {})
    assert judges.ERROR.accept(made()) == INVALID


def test_text_is_cut_by_what_it_takes_in_json() -> None:
    accepted = judges.SHORT_TEXT.accept("Ü" * 500)
    assert isinstance(accepted, str)
    assert accepted.endswith("...")
    assert len(json.dumps(accepted)) <= 120
