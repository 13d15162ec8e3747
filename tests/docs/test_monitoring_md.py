import re
from pathlib import Path

import pytest

from dicomanon_node.admin import api, metrics, reference
from dicomanon_node.admin.pages import NAVIGATION

TEXT = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_declarations() -> None:
    assert reference.updated(TEXT) == TEXT


def test_every_metric_and_route_is_in_a_table() -> None:
    tables = TEXT.partition(reference.MARKER)[2]
    first_cells = set(re.findall(r"^\| `([^`]+)` \|", tables, re.MULTILINE))
    assert {metric.name for metric in metrics.DECLARED} <= first_cells
    assert {f"{route.method} {route.path}" for route in api.DECLARED} <= first_cells


def test_every_page_is_described() -> None:
    for _, name in NAVIGATION:
        assert f"\n| {name} | " in TEXT


def test_a_document_without_the_marker_is_not_overwritten() -> None:
    with pytest.raises(ValueError, match="marker"):
        reference.updated("# Monitoring\n")
