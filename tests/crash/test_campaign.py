"""SIGKILL at random times to a node under load: a round of the campaign, short and of one seed."""

from pathlib import Path

import pytest
from support_campaign import leaks
from support_crash import run_round

# Stock pynetdicom leaves the socket of an aborted association to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.timeout(300)
@pytest.mark.tool("storescp")
def test_whatever_is_killed_nothing_answered_is_lost_torn_or_told(tmp_path: Path) -> None:
    report = run_round(tmp_path / "round", 20261120, count=350, associations=10, kills=6)
    assert report.wrong == [], str(report)
    assert report.statuses[0] >= 350
    # It did what its name says.
    assert report.kills.total() >= 6
    assert report.kills["receiver"]
    assert report.courier_deaths


@pytest.mark.parametrize(
    "trace",
    [
        b"{'name': 'QUILLFEATHER00000001'}",
        "Ottoline".encode("utf-16-le"),
        "Saint Elsewhere".encode("utf-32-be"),
        b"7741902660".hex().encode(),
        b"x" + b"eFF1aWxsZmVhdGhlcng=",  # of "xQuillfeatherx", as `base64` writes it
        b"2.25.77419026600451.3.100000007",
    ],
)
def test_the_search_finds_a_planted_value_however_it_is_written(trace: bytes) -> None:
    assert leaks(b"before " + trace + b" after")
    assert leaks(b"before  after") == []
