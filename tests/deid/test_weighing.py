"""The weighing rule (ADR 0013): words of the trade count only beside a name, names always."""

import pytest
from support_deid import basic_dataset, deidentify, plan_of

from dicomanon_node.deid.rules import Option

DESCRIPTIONS = frozenset({Option.CLEAN_DESCRIPTORS})


def left_of(text: str, name: str) -> str:
    """What is left of a text that the profile keeps, and of the same text as a descriptor."""
    ds = basic_dataset(PatientName=name, SoftwareVersions=text, SeriesDescription=text)
    new = deidentify(ds, plan_of(options=DESCRIPTIONS)).dataset
    assert new.SeriesDescription == new.SoftwareVersions
    return str(new.SoftwareVersions)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Head^Tom", "HEAD routine"),
        ("Brain^Ann", "MR BRAIN W/O"),
        ("Chest^Ann", "DR CHEST 2 VIEWS"),
        ("Long^Bo", "long axis 4ch"),
        ("Contrast^Al", "T1 post contrast"),
        ("May^Karl", "may be repeated"),
        ("White^Anna", "white matter WHITE"),
        ("Black^Anna", "black blood"),
        ("Young^Ann", "young adult"),
        ("Hip^Ann", "HIP left"),
        ("Mr^Ann", "MR"),
        ("Dr^Ann", "DR"),
        ("Head^Tom", "MR HEAD"),
        ("Head^Tom", "HEAD T1"),
        ("Head^Tom", "T HEAD"),
        ("Head^Neck", "HEADNECK"),
        ("Smith^John", "Smith fracture"),
        ("Smith^John", "smith's fracture left"),
        ("Baker^John", "Baker cyst"),
        ("Waters^John", "sinus Waters view"),
        ("Parkinson^Ann", "Parkinson's disease"),
        ("Li^Wei", "LI 3mm"),
        ("Siemens^Anna", "SIEMENS Prisma"),
        ("Smith^John", "blacksmith Smithson"),
        ("Lee^Ann", "sleep planning"),
    ],
)
def test_a_word_of_the_trade_stays_on_its_own(name: str, text: str) -> None:
    assert left_of(text, name) == text


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        ("Head^Tom", "HEAD^TOM routine", "routine"),
        ("Head^Tom", "Tom Head, routine", "routine"),
        ("Head^Tom", "routine Mr Head", "routine"),
        ("Head^Tom", "routine MR. HEAD", "routine"),
        ("Head^Tom", "routine T. Head", "routine"),
        ("Head^Tom", "routine Head, T.", "routine"),
        ("Head^Test", "HEAD TEST routine", "routine"),
        ("Head^Test", "routine headtest", "routine"),
        ("White^Young", "brain WHITE, YOUNG", "brain"),
        ("Smith^John", "SMITH^JOHN brain", "brain"),
        ("Smith^John", "brain Mr Smith", "brain"),
        ("Smith^John", "brain Smith", "brain"),
        ("Smith^John", "SMITH", "-"),
        ("Smith^John", "John Smith fracture", "fracture"),
        ("Smith^John", "J. Smith fracture", "fracture"),
        ("Baker^John", "Baker knee", "knee"),
        ("Li^Wei", "LI WEI 3mm", "3mm"),
        ("Lee^Ann", "brain LEE", "brain"),
        ("Ng^Al", "brain Ng, Al", "brain"),
        ("Siemens^Anna", "SIEMENS for Anna Siemens", "SIEMENS for"),
    ],
)
def test_beside_another_part_of_the_name_or_a_title_it_goes(
    name: str, text: str, left: str
) -> None:
    assert left_of(text, name) == left


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("1024", "matrix 0.1024"),
        ("12345", "b=12345.5"),
        ("123", "slice 123"),
        ("00000001", "0.000000 01"),
    ],
)
def test_a_short_number_stays_inside_of_another(number: str, text: str) -> None:
    ds = basic_dataset(PatientID=number, SoftwareVersions=text)
    assert deidentify(ds).dataset.SoftwareVersions == text
