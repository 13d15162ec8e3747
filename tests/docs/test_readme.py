"""The README is run: its commands, its examples, what it says they print."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pydicom
import pytest
from click.testing import CliRunner
from pydicom.data import get_testdata_file
from support_docs import README, ROOT, blocks, code, section, tables

from dicomanon_node.cli import main
from dicomanon_node.config import load
from dicomanon_node.config.model import NodeConfig
from dicomanon_node.ops.events import EVENTS, KEY_NAMES

TEXT = README.read_text(encoding="utf-8")
READY, TRIED, CHECKED, LOGGED = blocks(TEXT, "text")
MAKE, TRY, JQ = blocks(TEXT, "sh")
[ADDED_TO_NODE] = blocks(TEXT, "toml")
STATIONS, STUDIES = blocks(TEXT, "json")
START_S = 30.0


def clean_environment(**settings: str) -> dict[str, str]:
    others = {key: value for key, value in os.environ.items() if not key.startswith("DICOMANON_")}
    return others | settings


@dataclass(frozen=True)
class Node:
    """A node that was started for the first time, as `make serve` starts it."""

    directory: Path
    port: int

    @property
    def told(self) -> str:
        return (self.directory / "told.txt").read_text(encoding="utf-8")

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self.directory,
            env=clean_environment(DICOMANON_LISTENER__PORT=str(self.port)),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def wait_for_port(log: Path, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text(encoding="ascii").splitlines(keepends=True):
            if line.endswith("\n") and json.loads(line)["event"] == "node.ready":
                return int(json.loads(line)["port"])
        time.sleep(0.05)
    raise AssertionError("the node did not become ready")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    directory = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "config", directory / "config")
    (directory / ".venv").symlink_to(sys.prefix)
    with (
        (directory / "node.log").open("wb") as log,
        (directory / "told.txt").open("wb") as told,
        subprocess.Popen(
            [directory / ".venv" / "bin" / "dicomanon-node", "serve"],
            cwd=directory,
            env=clean_environment(DICOMANON_LISTENER__PORT="0", DICOMANON_ADMIN__PORT="0"),
            stdout=log,
            stderr=told,
        ) as process,
    ):
        try:
            yield Node(directory, wait_for_port(directory / "node.log", process))
            process.send_signal(signal.SIGTERM)
            assert process.wait(START_S) == 0
        finally:
            process.kill()


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The shipped configuration with what the README adds to it."""
    config = tmp_path / "config"
    shutil.copytree(ROOT / "config", config)
    with (config / "node.toml").open("a", encoding="utf-8") as file:
        file.write(f"\n{ADDED_TO_NODE}\n")
    (config / "stations.json").write_text(STATIONS, encoding="utf-8")
    (config / "studies.json").write_text(STUDIES, encoding="utf-8")
    return config


def masked(text: str) -> str:
    """Without what differs from run to run: ports, times, amounts."""
    text = re.sub(r"(?<=:)\d+(?=: 0000H|/\n)|(?<=port )\d+", "PORT", text)
    return re.sub(r"\d+(\.\d+)?(?= (ms|s|MB)\b)", "N", text).strip()


def test_the_first_two_commands_are_targets_of_the_makefile() -> None:
    targets = re.findall(
        r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert TEXT.index("```sh\nmake serve") < TEXT.index("\n## ")
    assert [line.split()[1] for line in MAKE.splitlines()] == ["serve", "test"]
    assert set(re.findall(r"\bmake ([a-z]+)", TEXT)) <= {*targets, "a"}


def test_the_first_start_says_what_is_shown(node: Node) -> None:
    deadline = time.monotonic() + 15  # it is written after the log has said that it is ready
    while masked(READY) not in masked(node.told) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert masked(READY) in masked(node.told)


def test_the_commands_to_try_do_what_is_shown(node: Node) -> None:
    echo, send, find = TRY.splitlines()
    printed = ""
    for command in (echo, send):
        done = node.run(command)
        assert (done.returncode, done.stderr) == (0, ""), command
        printed += done.stdout
    assert masked(printed) == masked(TRIED)
    [found] = node.run(find).stdout.splitlines()
    dataset = pydicom.dcmread(node.directory / found)
    assert Path(found) == Path(
        "var/outgoing/default",
        dataset.PatientID,
        dataset.StudyInstanceUID,
        dataset.SeriesInstanceUID,
        f"{dataset.SOPInstanceUID}.dcm",
    )


def test_what_is_written_is_what_the_table_says(node: Node) -> None:
    assert node.run(TRY.splitlines()[1]).returncode == 0
    [path] = (node.directory / "var" / "outgoing").rglob("*.dcm")
    original = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    dataset = pydicom.dcmread(path)
    assert dataset.PatientID == dataset.PatientName
    assert len(dataset.PatientID) == 16
    assert dataset.PatientID != original.PatientID
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        assert dataset[keyword].value.startswith("2.25.")
    assert not [element for element in dataset if element.tag.is_private]
    assert dataset.PixelData == original.PixelData
    assert dataset.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID
    assert dataset.PatientIdentityRemoved == "YES"
    assert dataset.preamble == bytes(128)


def test_modes_are_as_described(node: Node) -> None:
    assert node.run(TRY.splitlines()[1]).returncode == 0
    [path] = (node.directory / "var" / "outgoing").rglob("*.dcm")
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.parent.stat().st_mode & 0o777 == 0o750
    assert (node.directory / "var" / "spool").stat().st_mode & 0o077 == 0
    assert (node.directory / "var" / "secret.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
@pytest.mark.parametrize("command", JQ.splitlines())
def test_the_log_can_be_read_as_described(node: Node, command: str) -> None:
    done = node.run(command)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_commands_for_the_log_name_what_exists() -> None:
    spoken = set(re.findall(r'"([a-z]+\.[a-z_]+)"', JQ))
    assert spoken <= EVENTS.keys()
    keys = set(re.findall(r"(?<=[.{ ])([a-z_]+)(?=[,} \]])", re.sub(r'"[^"]*"', "", JQ)))
    assert {"calling_aet", "study_uid", "refused"} <= keys
    assert set(re.findall(r"(?<= )\.([a-z_]+)", JQ)) <= KEY_NAMES | {"event", "level"}


def test_the_log_lines_shown_are_of_events_that_exist() -> None:
    for line in LOGGED.splitlines():
        assert re.match(r"\d\d:\d\d:\d\d [ !=E] [a-z]+\.[a-z_]+ ", line)
        assert line.split()[1 if line[9] == " " else 2] in EVENTS


def test_the_example_loads_and_routes_as_described(example: Path) -> None:
    config = load(example, {})
    assert [found.name for found in config.node.destinations] == ["research-pacs"]
    assert config.rules.default_study == "default"
    assert config.rules.studies["default"].destinations == ()
    assert config.rules.studies["CONNECTOME"].destinations == ("research-pacs",)
    assert not config.rules.warnings


def test_check_says_of_the_example_what_is_shown(example: Path) -> None:
    done = CliRunner().invoke(main, ["check", "--config", str(example)])
    assert done.exit_code == 0
    assert f"\n{CHECKED}\n" in done.output


def test_an_object_of_the_study_comes_out_under_its_name(example: Path, tmp_path: Path) -> None:
    dataset = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    dataset.StudyDescription = "CONNECTOME^Head"
    dataset.StationName = "SCANNER1"
    dataset.save_as(tmp_path / "in.dcm")
    output = tmp_path / "out"
    arguments = ["deidentify", str(tmp_path / "in.dcm"), "--output", str(output)]
    done = CliRunner().invoke(main, [*arguments, "--config", str(example)])
    assert done.exit_code == 0, done.output
    [path] = (output / "CONNECTOME").rglob("*.dcm")
    written = pydicom.dcmread(path)
    assert written.StudyDescription == "CONNECTOME"
    assert re.fullmatch("[0-9a-f]{16}", written.StationName)
    assert written.LongitudinalTemporalInformationModified == "MODIFIED"


def commands(group: click.Group) -> dict[str, click.Command]:
    context = click.Context(group)
    found = {name: group.get_command(context, name) for name in group.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def command_named(words: list[str]) -> click.Command:
    command: click.Command = main
    for word in words:
        if not isinstance(command, click.Group) or word not in commands(command):
            break
        command = commands(command)[word]
    assert command is not main, words
    return command


def test_every_command_and_option_that_is_named_exists() -> None:
    [rows] = tables(section(TEXT, "Commands"))
    assert {code(row[0]).split()[1] for row in rows} == set(commands(main))
    lines = [code(row[0]) + " " + row[1] for row in rows]
    lines += re.findall(r"`?dicomanon-node [^`\n]+", TEXT)
    for line in lines:
        command = command_named(line.replace("`", "").split("dicomanon-node ")[1].split())
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]*[a-z]", line)) <= known, line


def test_commands_take_the_options_that_all_are_said_to_take() -> None:
    for name, command in commands(main).items():
        known = {option for parameter in command.params for option in parameter.opts}
        own = ("init", "schema", "queue", "hold", "receipts", "diff", "logs", "rules")
        if name not in (*own, "completion", "certs"):
            assert {"--config", "--set"} <= known, name


def test_every_table_and_key_of_node_toml_that_is_named_exists() -> None:
    sections = NodeConfig.model_fields
    assert set(re.findall(r"`\[+([a-z_]+)\]+`", TEXT)) <= sections.keys()
    assert "low_water_bytes" in type(NodeConfig().storage).model_fields
