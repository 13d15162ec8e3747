"""Whom a command talks to, as a person writes it."""

import click
import pytest

from dicomanon_node.cli.target import AETitle, Target, TargetType, explain
from dicomanon_node.network.failures import (
    AssociationRejectedError,
    ConnectionFailedError,
    PeerTimeoutError,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NODE@127.0.0.1:104", Target("NODE", "127.0.0.1", 104)),
        ("A B@pacs.example.org:11112", Target("A B", "pacs.example.org", 11112)),
        ("NODE@[::1]:11112", Target("NODE", "::1", 11112)),
        ("A@B@host:1", Target("A@B", "host", 1)),
    ],
)
def test_a_target_is_an_ae_title_a_host_and_a_port(text: str, expected: Target) -> None:
    assert TargetType().convert(text, None, None) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    "text",
    ["", "NODE", "NODE@host", "@host:1", "NODE@host:0", "NODE@host:65536", "NODE@:1",
     "SEVENTEEN_CHARS_X@host:1", "A\\B@host:1", "NODE@::1:104", "NODE@ho st:1", "NODE@host:1x",
     "NÖDE@host:1", "NODE@host:1\n"],
)  # fmt: skip
def test_what_is_no_target_is_told_what_one_looks_like(text: str) -> None:
    with pytest.raises(click.BadParameter, match="such as DICOMANON@127"):
        TargetType().convert(text, None, None)


@pytest.mark.parametrize("text", ["", " A", "A\\B", "A\nB", "X" * 17])
def test_what_is_no_ae_title_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="1 to 16"):
        AETitle().convert(text, None, None)


def test_errors_say_what_to_do() -> None:
    assert "Is the node running?" in explain(ConnectionFailedError("connection-refused"))
    assert "does not answer to this AE title" in explain(AssociationRejectedError(1, 1, 7))
    assert "--from" in explain(AssociationRejectedError(1, 1, 3))
    assert "(rejected: 1, 1, 1)" in explain(AssociationRejectedError(1, 1, 1))
    assert explain(PeerTimeoutError()) == "timed-out"
