"""Whoever it is: planted in any spelling it goes, and the technical words around it stay."""

import string
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from dicomanon_node.deid import leaks
from dicomanon_node.deid.identity import Identity
from dicomanon_node.deid.leaks import Generic
from dicomanon_node.deid.trade import EPONYMS, TITLES, trade_words

UTF_8 = b"ISO_IR 192"
PATIENT_NAME, PATIENT_ID, BIRTH_DATE = 0x00100010, 0x00100020, 0x00100030
TECHNICAL = (
    "MPRAGE SAG FLAIR AXIAL CONTRAST THORAX LUNG ROUTINE ABDOMEN PORTAL VENOUS LOCALIZER "
    "T2-TSE DIXON SPINE LUMBAR KNEE BOLUS KERNEL B31F DWI B1000 EPI PHANTOM RECON 3D-TOF"
).split()
CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"
quick = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))

_known = trade_words() | EPONYMS | TITLES | {word.lower() for word in TECHNICAL}
_consonants, _vowels = "bcdfghjklmnprtvwz", "aiuäöüéøå"
_syllables = st.builds("".join, st.tuples(st.sampled_from(_consonants), st.sampled_from(_vowels)))
words = (
    st.lists(_syllables, min_size=3, max_size=6)
    .map(lambda parts: "".join(parts).capitalize())
    .filter(lambda word: word.lower() not in _known)
)
sentences = st.tuples(
    st.lists(st.sampled_from(TECHNICAL), min_size=1, max_size=3),
    st.lists(st.sampled_from(TECHNICAL), min_size=1, max_size=3),
)
numbers = st.text(string.digits, min_size=7, max_size=10).filter(lambda n: n[0] != "0")
birth_dates = st.dates(date(1925, 1, 1), date(2024, 12, 31))

_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa", "é": "e"})
_PLAIN = str.maketrans("äöüøåé", "aouoae")


def _middle(word: str, sign: str) -> str:
    return word[:3] + sign + word[3:]


NAME_SPELLINGS: list[Callable[[str, str], str]] = [
    lambda family, given: f"{family}^{given}",
    lambda family, given: f"{given} {family}",
    lambda family, given: f"{family}, {given}",
    lambda family, given: f"{given}_{family}".upper(),
    lambda family, given: f"{family}.{given}".lower(),
    lambda family, given: f"{given}{family}",
    lambda family, given: f"{given[0]}. {family}",
    lambda family, given: f"{family} {given[0]}.",
    lambda family, given: f"{given[0]}{family}",
    lambda family, _: f"{family}'s",
    lambda family, _: f"{family}s",
    lambda family, _: _middle(family, "-"),
    lambda family, _: _middle(family, " "),
    lambda family, _: family.lower().translate(_UMLAUTS),
    lambda family, _: family.lower().translate(_PLAIN).upper(),
]
NUMBER_SPELLINGS: list[Callable[[str], str]] = [
    lambda number: number,
    lambda number: "000" + number,
    lambda number: f"MRN{number}",
    lambda number: f"{number}-A",
    *(lambda number, sign=sign: _middle(number, sign) for sign in " -._/"),
]
DAY_SPELLINGS = [
    *"%Y%m%d %Y-%m-%d %d.%m.%Y %m/%d/%Y %d%b%Y %d-%b-%y %Y%b%d %d.%m.%y %m/%d/%y %y-%m-%d".split(),
    *("%d %B %Y", "%B %d, %Y", "%b %d %Y", "%Y %b %d"),
]


def _identity(tag: int, vr: str, value: str) -> Identity:
    identity = Identity()
    identity.add(tag, vr, value.encode(), UTF_8)
    return identity


def _left(text: str, identity: Identity) -> str:
    encoded = b"\x31\x00\x62\x70LT\x00\x00" + text.encode()
    assert leaks.survives(encoded, identity), "the detector misses what the guard finds"
    return leaks.cleaned(text.encode(), "LT", UTF_8, identity, generic=Generic.NONE).decode()


@quick
@given(
    name=st.lists(words, min_size=2, max_size=2, unique=True),
    around=sentences,
    spell=st.sampled_from(NAME_SPELLINGS),
)
def test_a_planted_name_goes_and_the_technical_words_stay(
    name: list[str],
    around: tuple[list[str], list[str]],
    spell: Callable[[str, str], str],
) -> None:
    family, given_name = name
    identity = _identity(PATIENT_NAME, "PN", f"{family}^{given_name}")
    before, after = around
    left = _left(" ".join([*before, "for", spell(family, given_name), "at", *after]), identity)
    folded = left.lower().translate(_UMLAUTS)
    assert family.lower().translate(_UMLAUTS) not in folded
    assert given_name.lower().translate(_UMLAUTS) not in folded
    assert left.split()[: len(before)] == before
    assert left.split()[-len(after) :] == after


@quick
@given(number=numbers, around=sentences, spell=st.sampled_from(NUMBER_SPELLINGS))
def test_a_planted_number_goes_and_the_technical_words_stay(
    number: str, around: tuple[list[str], list[str]], spell: Callable[[str], str]
) -> None:
    before, after = around
    text = " ".join([*before, "for", spell(number), "at", *after])
    left = _left(text, _identity(PATIENT_ID, "LO", number))
    assert number not in "".join(filter(str.isdigit, left))
    assert left.split()[: len(before)] == before
    assert left.split()[-len(after) :] == after


@quick
@given(day=birth_dates, around=sentences, written=st.sampled_from(DAY_SPELLINGS))
def test_a_planted_day_goes_and_the_technical_words_stay(
    day: date, around: tuple[list[str], list[str]], written: str
) -> None:
    before, after = around
    text = " ".join([*before, "on", day.strftime(written), "at", *after])
    left = _left(text, _identity(BIRTH_DATE, "DA", f"{day:%Y%m%d}"))
    assert left.split() == [*before, "on", "at", *after]


def _descriptors() -> list[str]:
    found: set[str] = set()
    for path in CORPUS.rglob("*"):
        if not path.is_file() or path.suffix in (".json", ".md", ".csv", ".txt"):
            continue
        try:
            ds: Dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            values = [ds.get(keyword) for keyword in DESCRIPTORS]
        except Exception:  # noqa: BLE001, S112  (the corpus has files that are broken on purpose)
            continue
        found.update(str(value) for value in values if value)
    return sorted(found)


DESCRIPTORS = ("SeriesDescription", "ProtocolName", "StudyDescription")


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")
def test_descriptors_of_real_objects_stay_under_the_identity_of_another() -> None:
    descriptors = _descriptors()
    assert len(descriptors) > 50

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    @given(family=words, given_name=words, number=numbers, day=birth_dates)
    def stay(family: str, given_name: str, number: str, day: date) -> None:
        identity = _identity(PATIENT_NAME, "PN", f"{family}^{given_name}")
        identity.add(PATIENT_ID, "LO", number.encode(), b"")
        identity.add(BIRTH_DATE, "DA", f"{day:%Y%m%d}".encode(), b"")
        for text in descriptors:
            raw = text.encode()
            assert leaks.cleaned(raw, "LO", UTF_8, identity, generic=Generic.NONE) == raw

    stay()
