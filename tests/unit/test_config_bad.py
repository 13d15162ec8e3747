"""Each directory of tests/bad_configs holds files that must be refused with that text.

A file that is not there is the shipped one; `environ` and `set` hold one setting a line.
"""

import shutil
from pathlib import Path

import pytest
from support_config import ROOT, SHIPPED

from dicomanon_node.config import load
from dicomanon_node.errors import ConfigError

CASES = sorted((ROOT / "tests" / "bad_configs").iterdir())
FILES = ("node.toml", "stations.json", "studies.json")


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_bad_configuration_is_refused_with_its_expected_error(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = Path("config")
    config.mkdir()
    for name in FILES:
        own = case / name
        shutil.copy(own if own.exists() else SHIPPED / name, config)
    environ = dict(line.split("=", 1) for line in lines(case / "environ"))
    with pytest.raises(ConfigError) as caught:
        load(config, environ, lines(case / "set"))
    expected = (case / "expected-error").read_text(encoding="utf-8")
    assert str(caught.value) == expected.rstrip("\n")


def test_every_case_is_numbered_and_has_an_expected_error() -> None:
    assert len(CASES) >= 30
    for case in CASES:
        assert case.name[:2].isdigit()
        assert (case / "expected-error").is_file()
        assert any((case / name).exists() for name in (*FILES, "environ", "set"))
