"""`build`: what is made from a configuration, as far as no test of a part says it already."""

import os
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from support_config import configured

from dicomanon_node.config import Config, secrets
from dicomanon_node.errors import ConfigError, Problem
from dicomanon_node.node import build


def _starts(config: Config, directory: Path, barrier: Barrier) -> None:
    barrier.wait(30)
    key, _ = build.key(config)
    (directory / f"id-{os.getpid()}").write_text(key.key_id, encoding="ascii")


def test_nodes_that_start_at_once_have_one_key(tmp_path: Path) -> None:
    config = configured(tmp_path)
    context = get_context("fork")
    barrier = context.Barrier(6)
    processes = [
        context.Process(target=_starts, args=(config, tmp_path, barrier)) for _ in range(6)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert {process.exitcode for process in processes} == {0}
    ids = [path.read_text(encoding="ascii") for path in tmp_path.glob("id-*")]
    assert len(ids) == 6
    assert len(set(ids)) == 1
    assert list(tmp_path.rglob("*.part")) == []


def test_a_key_that_another_start_makes_first_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(tmp_path)

    def other_is_quicker(path: Path) -> None:
        secrets.make_key(path)
        secrets.make_key(path)

    monkeypatch.setattr(build, "make_key", other_is_quicker)
    key, is_new = build.key(config)
    assert not is_new
    assert key.key_id == build.key(config)[0].key_id


def test_a_key_that_cannot_be_made_is_still_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(tmp_path)

    def fails(path: Path) -> None:
        raise ConfigError(Problem(str(path), "", "the key cannot be written: planted"))

    monkeypatch.setattr(build, "make_key", fails)
    with pytest.raises(ConfigError, match="planted"):
        build.key(config)
