"""When the medium is made to work, and when only asked to begin."""

import os
from pathlib import Path

import pytest

from dicomanon_node.spool import medium
from dicomanon_node.spool.medium import Medium


@pytest.mark.parametrize(
    ("is_synced", "is_eager", "expected"),
    [(True, False, ["sync"]), (False, True, ["begin"]), (False, False, [])],
)
def test_data_are_synced_begun_or_left_to_the_kernel(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_synced: bool,
    is_eager: bool,
    expected: list[str],
) -> None:
    done: list[str] = []
    monkeypatch.setattr(os, "fdatasync", lambda _file: done.append("sync"))
    monkeypatch.setattr(medium, "_sync_file_range", lambda *_: done.append("begin"))
    with (tmp_path / "file").open("wb") as file:
        Medium(is_synced=is_synced, is_eager=is_eager).sync_data(file.fileno())
    assert done == expected
