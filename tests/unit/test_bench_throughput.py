"""The throughput benchmark runs: small, with the node and storescp. Says nothing of speed."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support_node import is_alive

from benchmarks.throughput import processes
from benchmarks.throughput.__main__ import SECTIONS, main
from benchmarks.throughput.workers import environment

pytestmark = pytest.mark.tool("storescp", "dcmsend")

ARMS = {
    ("rates", "a", 1): {"node", "node, no sync", "storescp --fork", "disk alone"},
    ("ceiling", "a", 1): {"null server", "storescp --fork --ignore"},
    ("associations", "a", 1): {"node", "storescp --fork"},
    ("memory", "c", 1): {"node", "storescp --fork"},
    ("memory", "c", 2): {"node", "storescp --fork"},
}


def run(tmp_path: Path, only: str) -> tuple[dict[str, Any], str]:
    """A small run in a directory of its own; its report for programs and for people."""
    work, output = tmp_path / "work", tmp_path / "report"
    arguments = ["--small", "--inputs", "a", "--assoc", "1", "--peers", "storescp"]
    assert main([*arguments, "--only", only, "--work", str(work), "--output", str(output)]) == 0
    assert list(work.iterdir()) == []
    content = json.loads((output / "throughput.json").read_text(encoding="utf-8"))
    assert content["failures"] == []
    return content, (output / "throughput.md").read_text(encoding="utf-8")


def test_receiving_is_measured_and_counted(tmp_path: Path) -> None:
    content, text = run(tmp_path, "rates,ceiling,associations,memory")
    skipped = {line.partition(":")[0] for line in content["skipped"]}
    found: dict[tuple[str, str, int], set[str]] = {}
    for row in content["rows"]:
        found.setdefault((row["section"], row["case"], row["associations"]), set()).add(row["arm"])
    assert found == {key: arms - skipped for key, arms in ARMS.items()}
    for row in content["rows"]:
        assert row["objects"] == (row["associations"] if row["section"] == "memory" else 12) * (
            2 if row["section"] == "ceiling" else 1
        )
        assert 0 < row["rate_min"] <= row["rate"] <= row["rate_max"]
        assert 0 < row["p50"] <= row["p99"]
        if row["arm"] == "disk alone":
            assert 0 < row["sync_p99"] <= row["p99"]
        else:
            assert 0 < row["pss"] <= row["rss"]
            assert row["cpu_ms"] >= 0
    assert {one["is_met"] for one in content["targets"]} <= {True, False}
    assert "a, 1 association: node / disk alone" in {one["text"] for one in content["targets"]}
    assert {"processor", "kernel", "file system", "storescp"} <= set(content["machine"])
    for heading in ("# Throughput", "## Inputs", "## Targets", "## Receiving", "## Multi-frame"):
        assert heading in text
    assert re.search(r"^- a, 1 at a time: [\d.]+ x the fastest server", text, re.MULTILINE)
    assert re.search(r"^\| a +\| 1 +\| node +\| ", text, re.MULTILINE)


def test_sending_forwarding_and_files_are_measured_and_counted(tmp_path: Path) -> None:
    content, text = run(tmp_path, "dcmsend,forwarding,both-ways,batch")
    arms = {(row["section"], row["case"], row["arm"]): row for row in content["rows"]}
    assert {
        ("dcmsend", "as shipped", "dcmsend -> node"),
        ("dcmsend", "as shipped", "dcmsend -> storescp"),
        ("forwarding", "no Nagle", "node -> storescp"),
        ("forwarding", "no Nagle", "dcmsend -> storescp"),
        ("forwarding", "as shipped", "node -> storescp"),
        ("forwarding", "as shipped", "dcmsend -> storescp"),
        ("both ways", "a", "node, nothing forwarded"),
        ("both ways", "a", "node, forwarding"),
        ("batch", "a", "deidentify"),
    } <= set(arms)
    # Between the first of 24 files and the last there are 23.
    assert arms["forwarding", "no Nagle", "node -> storescp"]["objects"] == 23
    assert arms["batch", "a", "deidentify"]["objects"] == 5 * 12
    assert "forwarding, as shipped: node / dcmsend" in {one["text"] for one in content["targets"]}
    assert "## Forwarding" in text


def test_a_run_that_is_ended_leaves_nothing_behind(tmp_path: Path) -> None:
    arguments = ["--small", "--inputs", "a", "--peers", "storescp", "--only", "ceiling"]
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.throughput", *arguments, "--work", str(tmp_path)],
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
    ) as process:
        assert process.stderr is not None
        while "null server" not in process.stderr.readline():
            assert process.poll() is None
        # Servers have sessions of their own: ending its group would not reach them.
        servers = [pid for pid in processes.tree(process.pid) if pid != process.pid]
        assert servers
        process.terminate()
        process.stderr.read()
    assert process.returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
    assert not any(is_alive(pid) for pid in servers)


def test_what_it_is_asked_for_has_to_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "everything"])
    assert "'everything' is none of" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert all(name in said for name in SECTIONS)
