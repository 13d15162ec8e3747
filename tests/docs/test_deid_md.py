import json
import re

import pytest
from support_docs import ROOT, code, section, tables

from dicomanon_node.deid.plan import AVAILABLE_OPTIONS
from dicomanon_node.deid.rules import Option
from dicomanon_node.errors import Reason
from dicomanon_node.review import reference

DOCUMENT = ROOT / "docs" / "deid.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
DATA = ROOT / "dicomanon_node" / "deid" / "data"
STANDARD = json.loads((DATA / "ps3.15-table-e1-1.json").read_text(encoding="utf-8"))["rows"]
[ATTRIBUTES] = tables(section(TEXT, "Every attribute of Table E.1-1"))
COLUMNS = {
    "Private": "retain_safe_private",
    "UIDs": "retain_uids",
    "Device": "retain_device_identity",
    "Institution": "retain_institution_identity",
    "Patient": "retain_patient_characteristics",
    "Full": "retain_longitudinal_full_dates",
    "Modified": "retain_longitudinal_modified_dates",
    "Descriptors": "clean_descriptors",
    "Structured": "clean_structured_content",
    "Graphics": "clean_graphics",
}


def test_the_page_is_what_the_program_says() -> None:
    assert reference.updated(TEXT) == TEXT, (
        "run: python -m dicomanon_node.review.reference docs/deid.md"
    )


def test_a_document_without_the_marker_is_not_overwritten() -> None:
    with pytest.raises(ValueError, match="marker"):
        reference.updated("# De-identification\n")


def test_every_attribute_of_the_standard_has_a_line_with_its_codes() -> None:
    documented = {row[0].upper(): row for row in ATTRIBUTES}
    expected = {row["tag"].upper(): row for row in STANDARD if "odd" not in row["tag"]}
    assert documented.keys() == expected.keys()
    for tag, (_, name, _, profile, done, options) in documented.items():
        row = expected[tag]
        assert (name, profile) == (row["name"], row["basic_profile"])
        assert done, tag
        told = dict(re.findall(r"(\w+) ([KC])\b", options))
        codes = {short: row["options"][column] for short, column in COLUMNS.items()}
        assert told == {short: said for short, said in codes.items() if said}, tag


def test_what_an_available_option_does_is_said_of_each_of_its_attributes() -> None:
    for row in ATTRIBUTES:
        for cell in filter(None, row[5].split("; ")):
            assert re.fullmatch(r"\w+ [KC]: .+", cell) or "Private" in cell, row


def test_the_options_are_all_there_with_what_is_available() -> None:
    [rows] = tables(section(TEXT, "Profile and options"))
    available = {code(name): said for name, _, said, *_ in rows}
    assert available == {
        str(option): "yes" if option in AVAILABLE_OPTIONS else "no" for option in Option
    }


def test_every_reason_is_told_with_its_status_and_what_to_do() -> None:
    [rows] = tables(section(TEXT, "Refusals"))
    documented = {code(reason): status for reason, status, _ in rows}
    assert documented == {reason.code: f"{reason.status:04X}H" for reason in Reason}
    assert all(cure for *_, cure in rows)


def test_identifying_attributes_are_never_said_to_be_kept_by_the_profile() -> None:
    kept = [row[0] for row in ATTRIBUTES if row[4] == "kept"]
    assert kept == []
