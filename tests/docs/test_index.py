"""The index of the documents: all can be found from it, and understood without the web."""

import re
from pathlib import Path

import click
import pytest
from support_docs import ROOT, documents, links

from dicomanon_node.cli import main

INDEX = ROOT / "docs" / "README.md"
TEXT = INDEX.read_text(encoding="utf-8")

# Where formats of other people are named: nobody has to look there to understand.
OUTSIDE = {
    "https://keepachangelog.com/en/1.1.0/",
    "https://semver.org/",
}
COMMAND = re.compile(r"\bdicomanon-node ((?:[a-z][a-z-]+ ?)+)((?: ?--?[a-z][a-z-]*)*)")


def reachable(start: Path) -> set[Path]:
    """All documents that links lead to, from one of them."""
    found: set[Path] = set()
    waiting = [start]
    while waiting:
        document = waiting.pop()
        if document in found:
            continue
        found.add(document)
        for link in links(document.read_text(encoding="utf-8")):
            target = link.partition("#")[0]
            if target.endswith(".md") and "://" not in target:
                waiting.append((document.parent / target).resolve())
    return found


def test_every_document_is_reachable_from_the_index() -> None:
    assert set(documents()) - reachable(INDEX) == set()


def test_every_page_of_docs_is_in_the_index_itself() -> None:
    named = {(INDEX.parent / link.partition("#")[0]).resolve() for link in links(TEXT)}
    pages = {path for path in documents() if path.is_relative_to(INDEX.parent)} - {INDEX}
    assert pages - named == set()


def test_the_index_calls_each_decision_by_its_title() -> None:
    for record in sorted((ROOT / "docs" / "adr").glob("*.md")):
        number, _, title = record.read_text(encoding="utf-8").splitlines()[0][2:].partition(". ")
        assert f"- [{int(number):04}](adr/{record.name}) {title}\n" in TEXT


@pytest.mark.parametrize("reader", ["Hospital IT", "Research core", "DICOM engineer"])
def test_each_reader_has_an_order_to_read_in(reader: str) -> None:
    _, _, after = TEXT.partition(f"**{reader}**")
    numbers = re.findall(r"^(\d)\. ", after.split("\n\n**")[0], re.MULTILINE)
    assert numbers[:3] == ["1", "2", "3"]


def test_no_document_needs_the_web_to_be_understood() -> None:
    for document in documents():
        outside = {link for link in links(document.read_text(encoding="utf-8")) if "://" in link}
        assert outside <= OUTSIDE, document


def test_every_command_that_a_document_names_exists_with_its_options() -> None:
    for document in documents():
        for words, options in COMMAND.findall(document.read_text(encoding="utf-8")):
            command: click.Command = main
            for word in words.split():
                if not isinstance(command, click.Group):
                    break
                found = command.get_command(click.Context(command), word)
                assert found is not None, (document.name, words)
                command = found
            known = {option for parameter in command.params for option in parameter.opts}
            assert set(options.split()) <= {*known, "-h", "--help"}, (document.name, words)
