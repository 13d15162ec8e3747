import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support_logs import Captured

from dicomanon_node.ops import logs, reference
from dicomanon_node.ops.events import EVENTS, KEY_NAMES

DOCUMENT = Path(__file__).parents[2] / "docs" / "logs.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
COMMANDS = re.findall(r"```sh\n(.*?)\n```", TEXT, re.DOTALL)
[SAMPLE] = [json.loads(block) for block in re.findall(r"```json\n(.*?)\n```", TEXT, re.DOTALL)]


def test_the_tables_are_those_of_the_declarations() -> None:
    assert reference.updated(TEXT) == TEXT


def test_every_event_and_key_is_in_a_table() -> None:
    tables = TEXT.partition(reference.MARKER)[2]
    first_cells = re.findall(r"^\| `([^`]+)` \|", tables, re.MULTILINE)
    assert sorted(first_cells) == sorted([*EVENTS, *KEY_NAMES])


def test_a_document_without_the_marker_is_not_overwritten() -> None:
    with pytest.raises(ValueError, match="marker"):
        reference.updated("# Logs\n")


def test_every_event_and_key_the_text_speaks_of_exists() -> None:
    introduction = TEXT.partition(reference.MARKER)[0]
    spoken = set(re.findall(r"`([a-z]+\.[a-z_]+)`", introduction)) - {"node.toml"}
    assert spoken <= EVENTS.keys()
    in_commands = set(re.findall(r"(?<![\w\"])\.([a-z_]+)", "\n".join(COMMANDS)))
    assert in_commands - {"log"} <= KEY_NAMES | {"timestamp", "level", "event"}


def test_the_line_shown_is_one_the_node_writes() -> None:
    event = EVENTS[SAMPLE["event"]]
    keys = list(SAMPLE)
    assert keys[:3] == ["timestamp", "level", "event"]
    assert keys[3:] == [key.name for key in event.keys]
    assert SAMPLE["level"] == event.level.word


@pytest.fixture
def node_log(tmp_path: Path) -> Path:
    """A log that has something for each of the documented commands."""
    stream = Captured()
    logs.configure(
        format="json", stream=stream, strict=True, studies=["ABCD"], destinations=["pacs"]
    )
    log = logs.get().bind(association="1-7", calling_aet="SCANNER1", peer="10.1.2.3")
    stored: dict[str, Any] = {
        key: SAMPLE[key] for key in ("study", "study_uid", "series_uid", "sop_instance_uid")
    }
    log.event("instance.stored", **stored, by_default=True, destination_count=1)
    log.event("instance.refused", reason="no-study", status=0x0110, ms=1)
    log.event("delivery.sent", destination="pacs", sop_instance_uid=stored["sop_instance_uid"])
    log.event("study.quiet", study="ABCD", study_uid=stored["study_uid"], instances=1)
    log.event("association.rejected", reason="called-ae-title", called_aet="NOBODY")
    log.event("association.closed", how="released")
    log.event("spool.full", free_bytes=0)
    logs.configure(strict=True)
    path = tmp_path / "node.log"
    path.write_text(stream.getvalue(), encoding="ascii")
    return path


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
@pytest.mark.parametrize("command", COMMANDS)
def test_the_documented_commands_find_something(command: str, node_log: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=node_log.parent,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.strip()
