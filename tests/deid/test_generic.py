"""What identifies in any text goes, codes and figures of the trade stay."""

import time

import pytest

from dicomanon_node.deid import leaks
from dicomanon_node.deid.identity import Identity
from dicomanon_node.deid.leaks import Generic

NOBODY = Identity()


def left_of(text: str, generic: Generic, *, keeps_dates: bool = False) -> str:
    raw = leaks.cleaned(
        text.encode(), "LO", b"ISO_IR 192", NOBODY, generic=generic, keeps_dates=keeps_dates
    )
    return raw.decode()


@pytest.mark.parametrize("generic", [Generic.UNLISTED, Generic.DESCRIPTOR])
@pytest.mark.parametrize(
    "identifying",
    [
        "2019-03-04",
        "20190304",
        "4.3.2019",
        "04.03.19",
        "5 Apr 2023",
        "Apr 5, 2023",
        "April 5th, 2023",
        "05APR2023",
        "3. März 2023",
        "a.b@example.org",
        "https://jo@example.org/x",
        "617-555-0123",
        "617.555.0123",
        "(617) 555-0123",
        "+49 911 84-0123",
        "+49 761 270 3801",
        "+1 (617) 555 0123",
        "0049 30 1234567",
        "030 / 12345678",
        "030/1234567",
        "123-45-6789",
        "Dr. Zaunrith",
        "Dr Anna Smithers",
        "Dr. med. Anna Smithers",
        "Prof. Dr. Smithers",
        "Dr. van Smithers",
        "DR. SMITHERS",
        "dr. smithers",
        "Mrs Smithers",
        "Mr Young",
        "Frau Müller-Lüdenscheid",
        "Schwester Smithers",
        "Smithers MD",
        "Smithers, M.D.",
    ],
)
def test_what_identifies_whoever_it_is_about_goes(generic: Generic, identifying: str) -> None:
    text = f"brain {identifying} T2"
    assert left_of(text, generic) == "brain T2"
    assert leaks.has_generic(text.encode(), generic)
    assert left_of(text, Generic.NONE) == text


@pytest.mark.parametrize(
    "text",
    [
        "BY DR SMITHERS",
        "REF: DR SMITHERS",
    ],
)
def test_capitals_are_a_person_where_somebody_asked_for_it(text: str) -> None:
    assert "SMITHERS" not in left_of(f"brain {text}", Generic.UNLISTED)


PLAIN = [
    "MR Brain W/O contrast",
    "DR CHEST 2 VIEWS",
    "DR PORTABLE",
    "MR UROGRAM",
    "MS protocol",
    "FOV 256 256 1000",
    "TR 2000 5 10",
    "b=0,1000,2000 120kV 250mAs",
    "software 3.0.10 release 2.1.7",
    "syngo MR E11 4.0.6.21",
    "VA20A.1.2.3",
    "Knee left 1/2",
    "t1_mprage_sag_p2_iso 1.0mm",
    "2 Marker 12",
    "A-12345-B 99-1",
    "+10 -20 mm",
    "5 May",
    "Dr Brain",
]


@pytest.mark.parametrize("generic", list(Generic))
@pytest.mark.parametrize("text", PLAIN)
def test_words_and_figures_of_the_trade_stay(generic: Generic, text: str) -> None:
    assert left_of(text, generic) == text


@pytest.mark.parametrize("text", ["MRN 12345678", "0301234567", "uid 1.2.840.113619.2.5"])
def test_bare_numbers_and_uids_go_from_descriptors_only(text: str) -> None:
    assert left_of(text, Generic.UNLISTED) == text
    assert not leaks.has_generic(text.encode(), Generic.UNLISTED)
    assert left_of(text, Generic.DESCRIPTOR) in ("MRN", "-", "uid")
    assert leaks.has_generic(text.encode(), Generic.DESCRIPTOR)


@pytest.mark.parametrize("generic", [Generic.UNLISTED, Generic.DESCRIPTOR])
@pytest.mark.parametrize("day", ["20190304", "2019-03-04", "5 Apr 2023"])
def test_dates_stay_where_dates_are_kept(generic: Generic, day: str) -> None:
    text = f"scan of {day}"
    assert left_of(text, generic, keeps_dates=True) == text
    assert not leaks.has_generic(text.encode(), generic, keeps_dates=True)


def test_the_old_call_still_means_what_it_did() -> None:
    text = b"MRN 12345678"
    for generic, left in ((True, b"MRN"), (False, text)):
        assert leaks.cleaned(text, "LO", b"", NOBODY, generic=generic) == left


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        "1." * 80_000,
        "1-" * 80_000,
        "+1" * 80_000,
        "+1 " * 60_000,
        "00 " * 60_000,
        "Dr " * 60_000,
        "Dr van " * 30_000,
        "A MD " * 40_000,
        "a@" * 80_000,
        "x://" * 40_000,
        "1 of " * 40_000,
        "mar " * 40_000,
        "(" * 160_000,
        "A" * 160_000,
        "1" * 160_000,
    ],
)
def test_all_of_it_takes_linear_time(text: str) -> None:
    start = time.perf_counter()
    leaks.cleaned(text.encode(), "UT", b"", NOBODY, generic=Generic.DESCRIPTOR)
    assert time.perf_counter() - start < 8.0
