"""`init`: what it writes can be used, and says what was asked for."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from support_node import environment, files_below, invoke

from dicomanon_node.config import load

PEER = ("--peer", "CT1@192.0.2.7", "--peer", "192.0.2.0/24")
PACS = ("--to", "RESEARCH@pacs.example.org:104")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--case", "folder", *PEER),
        PACS,
        ("--case", "pacs", *PACS, "--ae-title", 'Q"UOTE', "--port", "104"),
        ("--study", "CONNECTOME", "--study", "Kopf^2 Ä"[:6]),
        ("--case", "studies", "--study", "A B", *PACS, *PEER),
    ],
)
def test_what_it_writes_passes_check(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = invoke("init", "site", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(files_below(tmp_path / "site")) == ["node.toml", "stations.json", "studies.json"]
    assert invoke("check", "--config", "site", cwd=tmp_path).returncode == 0


def test_a_folder_gets_what_the_listed_scanners_send(tmp_path: Path) -> None:
    invoke("init", "--case", "folder", *PEER, "--port", "4242", cwd=tmp_path)
    config = load(tmp_path / "config", {})
    assert config.node.listener.port == 4242
    assert [(peer.ae_title, peer.address is not None) for peer in config.node.peers] == [
        ("CT1", True),
        ("", True),
    ]
    assert config.node.storage.outgoing == tmp_path / "var" / "outgoing"
    assert not config.node.destinations


def test_a_pacs_gets_all_and_no_copy_stays(tmp_path: Path) -> None:
    invoke("init", *PACS, cwd=tmp_path)
    config = load(tmp_path / "config", {})
    assert config.node.storage.outgoing is None
    [pacs] = config.node.destinations
    assert pacs.kind == "dicom"
    assert (pacs.ae_title, pacs.host, pacs.port) == ("RESEARCH", "pacs.example.org", 104)


def test_what_is_of_no_study_is_not_passed_on(tmp_path: Path) -> None:
    invoke("init", "--study", "CONNECTOME", *PACS, cwd=tmp_path)
    studies = load(tmp_path / "config", {}).rules.studies
    assert studies["default"].destinations == ()
    assert studies["CONNECTOME"].destinations == ("research-pacs",)
    assert {rules.profile for rules in studies.values()} == {"basic"}


def test_a_configuration_is_replaced_only_by_force(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "studies.json").write_text("{}", encoding="utf-8")
    done = invoke("init", cwd=tmp_path)
    assert done.returncode == 1
    assert "config/studies.json" in done.stderr
    assert files_below(tmp_path) == {"config/studies.json": b"{}"}
    assert invoke("init", "--force", cwd=tmp_path).returncode == 0
    assert invoke("check", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--case", "pacs"), "--to AETITLE@HOST:PORT"),
        (("--case", "studies"), "--study NAME"),
        (("--peer", "CT1@192.0.2.700"), "is no IP address or network"),
        (("--peer", "CT1@scanner"), "expected [AETITLE@]ADDRESS"),
        (("--study", " x"), "has spaces at its ends"),
    ],
)
def test_what_cannot_be_used_is_told_and_nothing_written(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    done = invoke("init", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_it_says_what_comes_next(tmp_path: Path) -> None:
    done = invoke("init", "a site", cwd=tmp_path)
    assert "dicomanon-node check --config 'a site'" in done.stdout
    assert "dicomanon-node serve --config 'a site'" in done.stdout
    assert "Every sender is accepted" in done.stdout


def test_on_a_terminal_it_asks(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, b"studies\nRESEARCH_IN\n\nCT1@192.0.2.7\ny\nR@192.0.2.30:104\nA, B\n")
    done = subprocess.run(
        [sys.executable, "-m", "dicomanon_node", "init"],
        cwd=tmp_path,
        env=environment(),
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 0, done.stderr
    config = load(tmp_path / "config", {})
    assert config.node.listener.ae_title == "RESEARCH_IN"
    assert list(config.rules.studies) == ["default", "A", "B"]
    assert [found.name for found in config.node.destinations] == ["research-pacs"]
