"""The three files of a new configuration, with comments, for the common cases.

Pure: answers in, texts out. What is not said has its default; docs/configuration.md has
every key.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from dicomanon_node.config.loading import NODE_FILE, STATIONS_FILE, STUDIES_FILE

DESTINATION: Final = "research-pacs"


class Case(StrEnum):
    """What a node is set up for."""

    FOLDER = "folder"
    """Scanners send, objects go to a folder."""
    PACS = "pacs"
    """Objects are passed on to a research PACS, and stay nowhere else."""
    STUDIES = "studies"
    """Several studies, each with rules of its own."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who may send: an AE title, an address, or both."""

    ae_title: str
    address: str


@dataclass(frozen=True, slots=True)
class Answers:
    """What a configuration is made of.

    Attributes:
        case: What for.
        ae_title: The node's AE title.
        port: Its TCP port.
        senders: Who may send; empty is everybody.
        pacs: AE title, host and port of the research PACS; None for none.
        studies: Names of the studies.
    """

    case: Case
    ae_title: str
    port: int
    senders: tuple[Sender, ...] = ()
    pacs: tuple[str, str, int] | None = None
    studies: tuple[str, ...] = ()


def texts(answers: Answers) -> dict[str, str]:
    """The text of each file, by its name."""
    return {
        NODE_FILE: "\n".join(_node(answers)) + "\n",
        STATIONS_FILE: _json(_STATIONS),
        STUDIES_FILE: _json(_studies(answers)),
    }


_STATIONS: Final = {"default": {"TagForStudy": "StudyDescription", "Split": "^", "SplitIndex": 0}}


def _node(answers: Answers) -> Iterator[str]:
    yield "# dicomanon_node: how the node listens, where it writes, to whom it forwards."
    yield "# Keys that are not here have their defaults; docs/configuration.md has all of them."
    yield "# Relative paths start from the parent of this file's directory."
    yield "# After a change: dicomanon-node check"
    yield ""
    yield "[listener]"
    yield "# What is entered at the scanner: this AE title (upper and lower case matter) and port."
    yield f"ae_title = {_quoted(answers.ae_title)}"
    yield f"port = {answers.port}"
    yield ""
    yield from _senders(answers)
    yield "[storage]"
    yield "# The node's own directory: what is being received, and what waits to be forwarded."
    yield 'spool = "var/spool"'
    if answers.case is Case.PACS:
        yield "# No copy stays here. A directory would keep one of each de-identified object:"
        yield '# outgoing = "var/outgoing"'
        yield 'outgoing = ""'
    else:
        yield "# De-identified objects, by study. On the same file system as the spool."
        yield 'outgoing = "var/outgoing"'
    yield ""
    yield "[secrets]"
    yield "# Made at the first start. Keep a copy: with another key, patients get other names."
    yield 'key_file = "var/secret.key"'
    yield from _destination(answers)


def _senders(answers: Answers) -> Iterator[str]:
    if not answers.senders:
        yield "# EVERY sender is accepted. Before identified data comes in, list who may send:"
        yield "#[[peers]]"
        yield '#ae_title = "CT1"'
        yield '#address = "192.0.2.7"'
        yield ""
        return
    yield "# Who may send; all others are rejected."
    for sender in answers.senders:
        yield "[[peers]]"
        if sender.ae_title:
            yield f"ae_title = {_quoted(sender.ae_title)}"
        if sender.address:
            yield f"address = {_quoted(sender.address)}"
        yield ""


def _destination(answers: Answers) -> Iterator[str]:
    if answers.pacs is None:
        return
    ae_title, host, port = answers.pacs
    yield ""
    yield "# Where de-identified objects are forwarded to, by C-STORE. They wait in the spool until"
    yield "# delivered. Its administrator must know our AE title and address."
    yield "[[destinations]]"
    yield f"name = {_quoted(DESTINATION)}"
    yield 'kind = "dicom"'
    yield f"ae_title = {_quoted(ae_title)}"
    yield f"host = {_quoted(host)}"
    yield f"port = {port}"


def _studies(answers: Answers) -> dict[str, Any]:
    found: dict[str, Any] = {"default": {"Profile": "basic", "Options": []}}
    if answers.studies and answers.pacs is not None:
        found["default"]["Destinations"] = []  # what belongs to no study is not passed on
    for study in answers.studies:
        found[study] = {
            "Profile": "basic",
            "Options": [],
            **({"Destinations": [DESTINATION]} if answers.pacs is not None else {}),
            "AnonymizeTag": {"StudyDescription": {"action": "value", "value": study}},
        }
    return found


def _json(content: object) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _quoted(text: str) -> str:
    # JSON's strings are TOML's basic strings (TOML 1.0, String).
    return json.dumps(text)
