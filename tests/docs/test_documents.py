"""All documents: links lead somewhere, names exist, records are in order."""

import re
import tomllib
from pathlib import Path

import pytest
from support_docs import ROOT, anchors, blocks, documents, links, prose, section

import dicomanon_node
from dicomanon_node.config.model import NodeConfig
from dicomanon_node.config.shape import fields
from dicomanon_node.deid.rules import Option
from dicomanon_node.ops.events import EVENTS

DOCUMENTS = documents()
RECORDS = sorted((ROOT / "docs" / "adr").glob("*.md"))

# What looks like a key of node.toml and is the name of something else.
_FILES = re.compile(r"\.(?:toml|json|md|py|dcm|key|txt|yaml|in|service|sh)$")
_TOP = "|".join(NodeConfig.model_fields)
_KEY = re.compile(rf"`((?:{_TOP})(?:\[\])?\.[a-z_.]+)")
_PATH = re.compile(
    r"`((?:config|docs|docker|tests|requirements|dicomanon_node|\.ci)/[\w./-]*)(?=[`\s])"
)


def by_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=by_name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for link in links(document.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        target, _, anchor = link.partition("#")
        path = document.parent / target if target else document
        assert path.exists(), link
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=by_name)
def test_every_file_of_the_repository_that_is_named_exists(document: Path) -> None:
    for named in _PATH.findall(prose(document.read_text(encoding="utf-8"))):
        path = named.replace("NN-name", "").rstrip("/")
        assert (ROOT / path).exists() or any(ROOT.glob(path)), named


@pytest.mark.parametrize("document", DOCUMENTS, ids=by_name)
def test_every_setting_that_is_named_exists(document: Path) -> None:
    for named in _KEY.findall(prose(document.read_text(encoding="utf-8"))):
        name = named.rstrip(".")
        if _FILES.search(name) or name in EVENTS:
            continue
        path: tuple[str | int, ...] = ()
        for step in name.replace("[]", ".0").split("."):
            if step.isdigit():
                path += (int(step),)
                continue
            # Of a list of several kinds, an entry of each.
            kinds = [{"destinations": [{"kind": kind}]} for kind in ("dicom", "folder")]
            assert any(step in fields(NodeConfig, path, kind) for kind in kinds), named
            path += (step,)


@pytest.mark.parametrize("document", DOCUMENTS, ids=by_name)
def test_every_option_that_is_named_exists(document: Path) -> None:
    named = re.findall(
        r"\b(?:Retain|Clean)(?:[A-Z][a-zA-Z]+)+\b", document.read_text(encoding="utf-8")
    )
    assert set(named) <= set(Option)


def test_decisions_are_numbered_without_gaps() -> None:
    assert [int(path.name[:4]) for path in RECORDS] == list(range(1, len(RECORDS) + 1))


@pytest.mark.parametrize("record", RECORDS, ids=by_name)
def test_a_decision_says_its_number_and_status(record: Path) -> None:
    lines = record.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith(f"# {int(record.name[:4])}. ")
    assert re.fullmatch(r"Status: (?:accepted|superseded by \d{4}), \d{4}-\d{2}", lines[2])


@pytest.mark.parametrize("record", RECORDS[1:], ids=by_name)
def test_a_decision_says_why_what_and_what_follows(record: Path) -> None:
    text = record.read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert all(section(text, name).strip() for name in ("Context", "Decision", "Consequences"))


def test_the_changelog_has_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version = dicomanon_node.__version__
    assert f"\n## [{version}]" in text or f"To become {version}," in section(text, "[Unreleased]")


def test_no_document_names_an_index_of_packages() -> None:
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        assert "--index-url" not in text, document
        assert "/simple" not in text, document


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/adr/0001-the-house.md"])
def test_the_layers_that_are_told_are_those_that_are_kept(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    kept = project["tool"]["importlinter"]["contracts"][0]["layers"]
    words = [layer.replace("dicomanon_node.", "").replace(" | ", "|") for layer in kept]
    [told] = [
        text
        for text in blocks((ROOT / name).read_text(encoding="utf-8"), "text")
        if text.startswith("cli > ")
    ]
    assert told.replace("\n", " ").split(" > ") == words
