"""Configuration directories for tests: the shipped one with other files over it."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from dicomanon_node.config import Config, load

ROOT = Path(__file__).parent.parent
SHIPPED = ROOT / "config"
SEED002 = Path(__file__).parent / "data" / "seed002"


def configured(
    directory: Path,
    *,
    node: str = "",
    stations: object = None,
    studies: object = None,
    environ: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
) -> Config:
    """Load a configuration made of these contents; rules not given are the shipped ones."""
    config = directory / "config"
    config.mkdir(exist_ok=True)
    (config / "node.toml").write_text(node, encoding="utf-8")
    for name, content in (("stations.json", stations), ("studies.json", studies)):
        if content is None:
            shutil.copy(SHIPPED / name, config / name)
        else:
            (config / name).write_text(json.dumps(content), encoding="utf-8")
    return load(config, environ or {}, overrides)
