"""Processes that commit the same names at the same time: nothing is lost or overwritten."""

import hashlib
import json
import os
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import support_spool as support
from support_spool import closes_spools  # noqa: F401  (a fixture)

COUNT = 120


def race(base: Path, *writers: str) -> list[list[dict[str, Any]]]:
    """Let one process for each writer commit the same names; what each was told."""
    support.make_spool(base)
    gate, opener = os.pipe()

    def child(pipe: int, writer: str) -> None:
        spool = support.open_spool(base)
        os.close(opener)
        os.read(gate, 1)  # until the parent closes its end
        for number in range(COUNT):
            committed = support.commit(
                spool,
                support.CONTENT[number:] + writer.encode(),
                outgoing_path=PurePosixPath(f"study/{number // 10}/{number}.dcm"),
                queue_name=f"{number}.dcm",
            )
            answer = {
                "path": str(committed.outgoing_path),
                "is_duplicate": committed.is_duplicate,
                "is_variant": committed.is_variant,
            }
            os.write(pipe, json.dumps(answer).encode() + b"\n")

    children = [support.fork(partial(child, writer=writer)) for writer in writers]
    os.close(gate)
    os.close(opener)
    answers = []
    for process in children:
        code, output = process.wait()
        assert code == 0
        answers.append([json.loads(line) for line in output.splitlines()])
    return answers


def expected(paths: dict[str, bytes]) -> dict[str, bytes]:
    """Each outgoing path, and the queue entries that belong to it."""
    whole = {}
    for path, content in paths.items():
        whole[f"outgoing/{path}"] = content
        for destination in support.DESTINATIONS:
            whole[f"spool/queue/{destination}/{Path(path).name}"] = content
    return whole


def test_the_same_object_from_two_processes_is_stored_once_and_answered_twice(
    tmp_path: Path,
) -> None:
    first, second = race(tmp_path, "same", "same")
    paths = [f"study/{number // 10}/{number}.dcm" for number in range(COUNT)]
    assert [answer["path"] for answer in first] == paths
    assert [answer["path"] for answer in second] == paths
    for one, other in zip(first, second, strict=True):
        assert one["is_duplicate"] != other["is_duplicate"]  # exactly one made the name
    contents = [support.CONTENT[number:] + b"same" for number in range(COUNT)]
    assert support.visible(tmp_path) == expected(dict(zip(paths, contents, strict=True)))
    assert list((tmp_path / "spool" / "incoming").iterdir()) == []


def test_different_objects_of_one_name_are_both_kept_everywhere(tmp_path: Path) -> None:
    answers = race(tmp_path, "one", "two")
    whole: dict[str, set[bytes]] = {}
    for writer, told in zip((b"one", b"two"), answers, strict=True):
        for number, answer in enumerate(told):
            content = support.CONTENT[number:] + writer
            plain = f"study/{number // 10}/{number}.dcm"
            variant = plain.replace(".dcm", f"~{hashlib.sha256(content).hexdigest()[:8]}.dcm")
            assert answer["path"] in (plain, variant)
            assert (tmp_path / "outgoing" / answer["path"]).read_bytes() == content
            assert not answer["is_duplicate"]
            whole.setdefault(plain, set()).add(content)
    assert all(len(contents) == 2 for contents in whole.values())
    for directory in (
        tmp_path / "outgoing",
        *(tmp_path / "spool" / "queue" / destination for destination in support.DESTINATIONS),
    ):
        found: dict[str, set[bytes]] = {}
        for path in directory.rglob("*.dcm"):
            found.setdefault(path.stem.split("~")[0], set()).add(path.read_bytes())
        assert found == {Path(plain).stem: contents for plain, contents in whole.items()}
