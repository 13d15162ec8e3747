"""A short soak, of one seed: the node is at its end as it was after its beginning."""

from pathlib import Path

import pytest
from support_soak import soak


@pytest.mark.timeout(400)
@pytest.mark.tool("storescp")
def test_after_a_busy_day_nothing_has_grown_and_all_counts_agree(tmp_path: Path) -> None:
    with soak(tmp_path, 20261120) as running:
        report = running.run(30)
    assert report.wrong == [], f"{report}: {report.wrong}"
    assert report.flaps >= 1
    assert report.aborted
    assert report.answered > report.unique > 100
