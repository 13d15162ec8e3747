"""Data before name before answer: the order of a commit, seen by strace and by the oracle."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import support_spool as support
from support_spool import closes_spools  # noqa: F401  (a fixture)

TRACED = "openat,write,writev,fdatasync,fsync,link,linkat,rename,renameat,renameat2,mkdir,mkdirat"

_PATTERNS = {
    "write": re.compile(r"writev?\(\d+<(?P<path>[^>]+)>"),
    "sync": re.compile(r"f(?:data)?sync\(\d+<(?P<path>[^>]+)>"),
    "mkdir": re.compile(r'mkdirat\(\d+<(?P<parent>[^>]+)>, "(?P<name>[^"]+)"'),
    "link": re.compile(
        r'linkat\([^"]*"(?P<source>[^"]+)", \d+<(?P<parent>[^>]+)>, "(?P<name>[^"]+)"'
    ),
}


def parse(line: str) -> support.Call | None:
    if support.ANSWER.decode().strip() in line:
        return support.Call("answer")
    for kind, pattern in _PATTERNS.items():
        found = pattern.search(line)
        if found:
            groups = found.groupdict()
            path = groups.get("path") or f"{groups['parent']}/{groups['name']}"
            return support.Call(kind, path, groups.get("source", ""))
    return None


def required(base: Path) -> set[str]:
    return {str(base / path) for path in support.everywhere()}


@pytest.mark.tool("strace")
def test_the_kernel_sees_data_then_names_then_the_answer(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-y", "-s", "256", "-o", str(trace), "-e", f"trace={TRACED}"]
    if subprocess.run([*strace, "true"], check=False, capture_output=True).returncode:
        assert not os.environ.get("CI")
        pytest.skip("strace may not trace here")
    base = tmp_path / "node"
    base.mkdir()
    subprocess.run([*strace, sys.executable, support.__file__, str(base)], check=True)

    lines = [line for line in trace.read_text().splitlines() if " = -1 " not in line]
    assert not [line for line in lines if "rename" in line]
    first = next(i for i, line in enumerate(lines) if "/incoming/" in line and "0600" in line)
    calls = [call for call in map(parse, lines[first:]) if call]
    assert support.broken_promises(calls, required(base)) == []
    assert [call.kind for call in calls if call.kind in ("link", "answer")] == [
        *["link"] * 3,
        "answer",
    ]


def test_the_order_holds_for_a_first_commit_into_new_directories(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    with support.recorded() as calls:
        support.commit(spool)
        calls.append(support.Call("answer"))
    assert support.broken_promises(calls, required(tmp_path)) == []
    assert sum(call.kind == "mkdir" for call in calls) == 4


def test_a_duplicate_is_synced_again_before_it_is_answered(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    support.commit(spool)
    with support.recorded() as calls:
        assert support.commit(spool).is_duplicate
    synced = {call.path for call in calls if call.kind == "sync"}
    paths = {Path(path) for path in required(tmp_path)}
    assert {str(path) for path in paths} <= synced
    assert {str(path.parent) for path in paths} <= synced


def test_a_directory_another_process_has_just_made_is_not_trusted(tmp_path: Path) -> None:
    spool = support.make_spool(tmp_path)
    parent = tmp_path / "outgoing" / support.OUTGOING_PATH.parent
    parent.mkdir(parents=True)  # and whoever did has not synced it
    with support.recorded() as calls:
        support.commit(spool)
    first_link = next(i for i, call in enumerate(calls) if call.path.startswith(str(parent)))
    synced = {call.path for call in calls[:first_link] if call.kind == "sync"}
    above = [path for path in parent.parents if path.is_relative_to(tmp_path / "outgoing")]
    assert {str(path) for path in above} <= synced


@pytest.mark.parametrize(
    ("calls", "fault"),
    [
        ("write link sync-dir answer", "a name before its data"),
        ("write sync link answer", "an answer before a sync"),
        ("write sync mkdir link sync-dir answer", "a name before its directory"),
        ("write sync answer link sync-dir", "an answer before its name"),
        ("write sync link sync-dir", "no answer"),
    ],
)
def test_the_oracle_finds_each_broken_promise(calls: str, fault: str) -> None:
    known = {
        "write": support.Call("write", "/in/1"),
        "sync": support.Call("sync", "/in/1"),
        "mkdir": support.Call("mkdir", "/out/dir"),
        "link": support.Call("link", "/out/dir/a", "/in/1"),
        "sync-dir": support.Call("sync", "/out/dir"),
        "answer": support.Call("answer"),
    }
    broken = support.broken_promises([known[word] for word in calls.split()], {"/out/dir/a"})
    assert any(fault in text for text in broken)
