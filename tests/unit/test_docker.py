import json
import re
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from dicomanon_node.config import load
from dicomanon_node.node.receiving import DRAIN_S

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
NODE = COMPOSE["services"]["node"]
PACS = COMPOSE["services"]["research-pacs"]
SYSTEMD_ANALYZE = shutil.which("systemd-analyze")
STATE = "/var/lib/dicomanon"
# Receivers and courier end one after the other (node.supervisor).
LONGEST_STOP_S = DRAIN_S + 5 + 10


def _instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions: comments dropped, continued lines joined."""
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [
        (word, rest.strip())
        for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)
    ]


INSTRUCTIONS = _instructions()


def _all(word: str, instructions: list[tuple[str, str]] = INSTRUCTIONS) -> list[str]:
    return [rest for name, rest in instructions if name == word]


def _final_stage() -> list[tuple[str, str]]:
    last = max(index for index, (word, _) in enumerate(INSTRUCTIONS) if word == "FROM")
    return INSTRUCTIONS[last:]


def _image_environment() -> dict[str, str]:
    pairs = " ".join(_all("ENV", _final_stage())).split()
    return dict(pair.split("=", 1) for pair in pairs)


def _unit() -> dict[str, list[str]]:
    """The unit's settings; one that is given twice keeps both."""
    settings: dict[str, list[str]] = {}
    for line in (DOCKER / "dicomanon-node.service").read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            settings.setdefault(name, []).append(value)
    return settings


def _seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def test_the_image_runs_as_a_numbered_user_that_is_not_root() -> None:
    [user] = _all("USER", _final_stage())
    assert re.fullmatch(r"[1-9]\d{4,}:[1-9]\d{4,}", user)
    assert _final_stage().index(("USER", user)) > max(
        _final_stage().index(("RUN", run)) for run in _all("RUN", _final_stage())
    )


def test_every_package_in_the_image_is_checked_by_its_hash() -> None:
    installs = [
        command
        for run in _all("RUN")
        for command in run.split("&&")
        if re.search(r"\bpip\b.*\binstall\b", command)
    ]
    assert installs
    for command in installs:
        is_our_own_wheel = "--no-deps" in command and "--no-index" in command
        assert "--require-hashes" in command or is_our_own_wheel


def test_the_base_image_has_a_version_and_the_python_the_package_needs() -> None:
    [base] = _all("ARG")
    assert re.fullmatch(r"PYTHON=python:3\.(1[1-9])-slim-\w+", base)
    assert {source.split(" AS ")[0] for source in _all("FROM")} == {"${PYTHON}"}
    assert _all("ADD") == []


def _is_sent_to_the_builder(source: str) -> bool:
    """Whether docker/Dockerfile.dockerignore lets a path through; the last match decides."""
    is_sent = True
    for line in (DOCKER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.lstrip("!")
        if line and not line.startswith("#") and fnmatch(Path(source).parts[0], pattern):
            is_sent = line.startswith("!")
    return is_sent


def test_everything_the_image_copies_exists_and_is_sent_to_the_builder() -> None:
    copies = [rest.split() for rest in _all("COPY") if not rest.startswith("--from")]
    sources = [source for *sources, _ in copies for source in sources]
    assert {"dicomanon_node", "config"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists()
        assert _is_sent_to_the_builder(source)


@pytest.mark.parametrize("private", ["var", ".venv", ".git", "secret.key"])
def test_keys_spool_and_history_are_not_sent_to_the_builder(private: str) -> None:
    assert not _is_sent_to_the_builder(private)


def test_commands_of_the_image_are_lists_and_commands_of_the_program() -> None:
    [entry], [command] = _all("ENTRYPOINT"), _all("CMD")
    [health] = _all("HEALTHCHECK")
    assert json.loads(entry) == ["dicomanon-node"]
    assert json.loads(command) == ["serve", "--config", "/config"]
    assert json.loads(health.partition("CMD ")[2]) == [
        "dicomanon-node",
        "echo",
        "--config",
        "/config",
    ]
    assert _all("STOPSIGNAL") == ["SIGTERM"]


def _configuration(tmp_path: Path, node_toml: Path) -> Path:
    directory = tmp_path / "config"
    directory.mkdir()
    shutil.copy(node_toml, directory / "node.toml")
    for name in ("stations.json", "studies.json"):
        shutil.copy(ROOT / "config" / name, directory)
    return directory


@pytest.mark.parametrize("node_toml", [ROOT / "config" / "node.toml", DOCKER / "node.toml"])
def test_the_node_writes_only_where_the_image_has_its_volume(
    node_toml: Path, tmp_path: Path
) -> None:
    config = load(_configuration(tmp_path, node_toml), _image_environment(), ())
    written = [
        config.node.storage.spool,
        config.node.storage.outgoing,
        config.node.secrets.key_file,
    ]
    assert all(path is not None and path.is_relative_to(STATE) for path in written)
    assert _all("VOLUME") == [STATE]


def test_the_compose_node_forwards_to_the_compose_pacs(tmp_path: Path) -> None:
    config = load(_configuration(tmp_path, DOCKER / "node.toml"), _image_environment(), ())
    pacs = json.loads((DOCKER / "orthanc.json").read_text(encoding="utf-8"))
    [destination] = config.node.destinations
    assert destination.kind == "dicom"
    assert destination.host in COMPOSE["services"]
    assert (destination.ae_title, destination.port) == (pacs["DicomAet"], pacs["DicomPort"])
    listener, admin = config.node.listener.port, config.node.admin.port
    # The console speaks HTTP: on this machine only, and with a token all the same.
    assert NODE["ports"] == [f"{listener}:{listener}", f"127.0.0.1:{admin}:{admin}"]
    assert config.node.admin.token_file is not None
    assert _all("EXPOSE") == [f"{listener} {admin}"]


def test_a_pacs_without_password_is_reached_from_this_machine_only() -> None:
    pacs = json.loads((DOCKER / "orthanc.json").read_text(encoding="utf-8"))
    assert pacs["AuthenticationEnabled"] is False
    assert all(port.startswith("127.0.0.1:") for port in PACS["ports"])
    assert any(port.endswith(f":{pacs['HttpPort']}") for port in PACS["ports"])


def test_what_compose_mounts_is_there_and_read_only_but_the_volumes() -> None:
    for service in COMPOSE["services"].values():
        for mount in service["volumes"]:
            if mount["type"] == "bind":
                assert (DOCKER / mount["source"]).is_file()
                assert mount["read_only"] is True
            else:
                assert mount["source"] in COMPOSE["volumes"]
    volumes = [mount["target"] for mount in NODE["volumes"] if mount["type"] == "volume"]
    assert volumes == [STATE, f"{STATE}/console"]
    assert (DOCKER / NODE["build"]["context"] / NODE["build"]["dockerfile"]).is_file()


def test_the_compose_node_has_no_privileges_and_leaves_no_memory_on_disk() -> None:
    assert NODE["read_only"] is True
    assert NODE["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in NODE["security_opt"]
    assert NODE["ulimits"]["core"] == 0
    assert NODE["memswap_limit"] == NODE["mem_limit"]
    assert not {"privileged", "cap_add", "devices", "pid", "user"} & NODE.keys()


def test_stopping_waits_until_associations_and_deliveries_have_ended() -> None:
    assert _seconds(NODE["stop_grace_period"]) > LONGEST_STOP_S
    assert _seconds(_unit()["TimeoutStopSec"][0]) > LONGEST_STOP_S


def test_the_unit_is_hardened_and_leaves_no_memory_on_disk() -> None:
    unit = _unit()
    promised = {
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "PrivateTmp": "yes",
        "ReadWritePaths": STATE,
        "StateDirectory": Path(STATE).name,
        "CapabilityBoundingSet": "",
        "KillSignal": "SIGTERM",
        "KillMode": "mixed",
        "LimitCORE": "0",
        "MemorySwapMax": "0",
        "UMask": "0027",
        "User": "dicomanon",
    }
    assert {name: unit[name][0] for name in promised} == promised
    assert int(unit["LimitNOFILE"][0]) >= 65536
    assert "MemoryMax" in unit


def test_the_unit_and_the_image_set_the_same_paths() -> None:
    of_unit = dict(pair.split("=", 1) for pair in _unit()["Environment"])
    of_image = _image_environment()
    assert of_unit == {
        name: value for name, value in of_image.items() if name.startswith("DICOMANON_")
    }


def test_all_that_the_node_writes_lies_where_it_may_write() -> None:
    node = load(ROOT / "config", _image_environment()).node
    written = (
        node.storage.spool,
        node.storage.outgoing,
        node.secrets.key_file,
        node.hold.key_file,
        node.ledger.path,
        node.ledger.crosswalk_key_file,
    )
    assert [path for path in written if not str(path).startswith(f"{STATE}/")] == []


def test_systemd_reloads_by_asking_and_is_told_what_is_wrong() -> None:
    # A signal that comes before the program handles it ends it, and systemd takes that for wanted.
    [command] = _unit()["ExecReload"]
    assert command.split()[1:] == ["reload", "--config", "/etc/dicomanon-node"]


@pytest.mark.skipif(SYSTEMD_ANALYZE is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("command", ["verify", "security --offline=true --threshold=20"])
def test_systemd_finds_nothing_wrong_with_the_unit(command: str, tmp_path: Path) -> None:
    text = (DOCKER / "dicomanon-node.service").read_text(encoding="utf-8")
    # systemd looks for the program, which is not installed here.
    copy = tmp_path / "dicomanon-node.service"
    copy.write_text(re.sub(r"(?m)^(Exec\w+)=\S+", r"\1=/bin/true", text), encoding="utf-8")
    done = subprocess.run(
        [str(SYSTEMD_ANALYZE), *command.split(), str(copy)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
