"""Runs de-identifiers over the planted tree, each as a program of its own.

Ours through its command line, as a hospital would; the others through `adapters`, with
what they offer towards the scenario. All get the same files and leave them as they are.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks.deid.crosswalk import UID_FILE
from benchmarks.deid.expectation import is_standard_uid
from benchmarks.deid.scenarios import Scenario

OURS = "dicomanon_node"
# Name in the report -> the module whose presence says that it is installed. As they come,
# and with what they offer towards the scenario.
OTHERS = {
    "dicognito": "dicognito",
    "dicom-anonymizer": "dicomanonymizer",
    "dicom-anonymizer, best": "dicomanonymizer",
    "deid": "deid",
    "deid, best": "deid",
}

_REPOSITORY = Path(__file__).resolve().parents[2]
_TIMEOUT_S = 1800
_MAX_SAID = 4000  # characters of what a program said that are kept


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that has run.

    Attributes:
        name: Of the de-identifier.
        output: Directory of its outputs.
        crosswalk: Directory of the maps it exported, None if it has none.
        seconds: How long it ran, start included.
        said: The end of what it said; identities in it are made up.
    """

    name: str
    output: Path
    crosswalk: Path | None
    seconds: float
    said: str


def available() -> list[str]:
    """The de-identifiers that can run here, ours first."""
    return [OURS, *(name for name, module in OTHERS.items() if find_spec(module) is not None)]


@dataclass(frozen=True, slots=True)
class Task:
    """What every de-identifier gets.

    Attributes:
        planted: Directory of the planted files.
        sop_classes: What they are; private classes have to be allowed by name.
        scenario: What is asked.
        seed: Makes keys and seeds, so that a run can be repeated.
        standard: Directory of the tables, for configurations that are written from them.
    """

    planted: Path
    sop_classes: frozenset[str]
    scenario: Scenario
    seed: int
    standard: Path


def run(name: str, task: Task, work: Path) -> Finished:
    """Run one de-identifier.

    Args:
        name: One of `available()`.
        task: What it gets.
        work: New directory for outputs and configuration.
    """
    output = work / "output"
    output.mkdir(parents=True)
    if name == OURS:
        return _run_ours(task, output, work)
    request = {
        "options": sorted(task.scenario.options),
        "keeps_private": task.scenario.keeps_private,
        "seed": task.seed,
        "work": str(work),
        "standard": str(task.standard),
    }
    command = [sys.executable, "-m", "benchmarks.deid.adapters", name]
    command += [str(task.planted), str(output), json.dumps(request)]
    seconds, said = _call(command)
    return Finished(name, output, None, seconds, said)


def _run_ours(task: Task, output: Path, work: Path) -> Finished:
    config = work / "config"
    config.mkdir()
    _configure(config, task)
    command = [sys.executable, "-m", OURS, "deidentify"]
    crosswalk = work / "crosswalk"
    exports = "--crosswalk" in _call([*command, "--help"])[1]
    if exports:
        command += ["--crosswalk", str(crosswalk)]
    command += [str(task.planted), "--output", str(output), "--config", str(config)]
    seconds, said = _call(command)
    # A program that failed has exported nothing.
    has_maps = exports and (crosswalk / UID_FILE).is_file()
    return Finished(OURS, output, crosswalk if has_maps else None, seconds, said)


def _configure(directory: Path, task: Task) -> None:
    study = {
        "Profile": "basic",
        "Options": sorted(task.scenario.options),
        "RemovePrivateTags": not task.scenario.keeps_private,
        "BurnedIn": "refuse" if task.scenario.refuses_burned_in else "pass",
        # Refusing them is right in a hospital, and says nothing here.
        "AcceptPhoenix": True,
    }
    station = {"TagForStudy": "StudyDescription", "Split": None}
    (directory / "studies.json").write_text(json.dumps({"default": study}), encoding="utf-8")
    (directory / "stations.json").write_text(json.dumps({"default": station}), encoding="utf-8")
    key = directory / "secret.key"
    key.write_text(hashlib.sha256(f"bench {task.seed}".encode()).hexdigest(), encoding="ascii")
    key.chmod(0o600)
    private = sorted(uid for uid in task.sop_classes if not is_standard_uid(uid))
    (directory / "node.toml").write_text(
        f"[listener]\nextra_sop_classes = {json.dumps(private)}\n"
        f"[storage]\nlow_water_bytes = 0\n[secrets]\nkey_file = {json.dumps(str(key))}\n",
        encoding="utf-8",
    )


def _call(command: Sequence[str]) -> tuple[float, str]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(
            filter(None, [str(_REPOSITORY), os.environ.get("PYTHONPATH", "")])
        ),
        "COLUMNS": "200",
    }
    start = time.perf_counter()
    finished = subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_TIMEOUT_S,
        check=False,
        env=environment,
    )
    seconds = time.perf_counter() - start
    lines = (finished.stdout + finished.stderr).splitlines()
    return seconds, "\n".join(line for line in lines if line.strip())[-_MAX_SAID:]
