"""Requests at rest: sealed, whole or not there, and never worked on by two."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dicomanon_node.commitment.information import Action, Reference
from dicomanon_node.commitment.transactions import (
    TooManyError,
    Transaction,
    Transactions,
    UnreadableError,
)
from dicomanon_node.deid.pseudonyms import Key
from dicomanon_node.spool.medium import Medium

CT = "1.2.840.10008.5.1.4.1.1.2"
ORIGINAL = "1.2.826.0.1.999.20010203.7654321"
ACTION = Action("1.2.826.0.1.999.55", (Reference(CT, ORIGINAL), Reference(CT, "2.25.2")))
OTHER = Action(ACTION.transaction_uid, (Reference(CT, "2.25.3"),))


def transactions(spool: Path, secret: bytes = b"k" * 32, max_open: int = 10) -> Transactions:
    made = Transactions(spool, Key(secret), max_open=max_open, medium=Medium())
    made.prepare()
    return made


def asked(kept: Transactions, action: Action = ACTION, calling: str = "SCU") -> Transaction:
    return kept.make(action, calling, "NODE", "127.0.0.1")


def test_a_request_survives_and_is_read_as_it_was_asked(tmp_path: Path) -> None:
    first = transactions(tmp_path)
    transaction = asked(first)
    hold = first.add(transaction)
    assert hold is not None
    hold.release()
    assert transactions(tmp_path).read(transaction.name) == transaction


def test_nothing_of_a_request_can_be_read_on_the_disk(tmp_path: Path) -> None:
    kept = transactions(tmp_path)
    transaction = asked(kept)
    kept.add(transaction)
    kept.answer(transaction, {0: 0x0112})
    for path in (tmp_path / "commitment").iterdir():
        content = path.read_bytes() + path.name.encode()
        for secret in (ORIGINAL, ACTION.transaction_uid, "SCU", "2.25.2"):
            assert secret.encode() not in content
        assert path.stat().st_mode & 0o077 == 0


def test_the_name_is_keyed_so_nobody_can_try_out_transactions(tmp_path: Path) -> None:
    one, two = transactions(tmp_path / "a"), transactions(tmp_path / "b", b"x" * 32)
    assert asked(one).name != asked(two).name
    assert asked(one).name == asked(one).name


def test_one_at_a_time_works_on_a_transaction(tmp_path: Path) -> None:
    kept = transactions(tmp_path)
    transaction = asked(kept)
    hold = kept.add(transaction)
    assert hold is not None
    assert kept.hold(transaction.name) is None
    hold.release()
    again = kept.hold(transaction.name)
    assert again is not None


def test_what_a_killed_process_worked_on_is_free_at_once(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; sys.path.insert(0, 'tests/unit');"
        "from pathlib import Path; from test_commitment_transactions import *;"
        "kept = transactions(Path(sys.argv[1])); hold = kept.add(asked(kept));"
        "assert hold is not None; print('held', flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "held\n", done.stderr
    kept = transactions(tmp_path)
    [name] = kept.open()
    assert kept.hold(name) is not None


def test_the_same_request_again_is_one_request(tmp_path: Path) -> None:
    kept = transactions(tmp_path)
    hold = kept.add(asked(kept))
    assert hold is not None
    assert kept.add(asked(kept)) is None
    assert len(kept.open()) == 1


def test_another_request_of_the_same_transaction_uid_is_a_duplicate(tmp_path: Path) -> None:
    kept = transactions(tmp_path)
    kept.add(asked(kept))
    other = asked(kept, OTHER)
    kept.add(other)
    read = kept.read(other.name)
    assert read is not None
    assert read.is_duplicate
    stranger = asked(kept, OTHER, calling="ELSE")
    kept.add(stranger)
    read = kept.read(stranger.name)
    assert read is not None
    assert not read.is_duplicate


def test_no_more_than_so_many_are_open(tmp_path: Path) -> None:
    kept = transactions(tmp_path, max_open=1)
    transaction = asked(kept)
    kept.add(transaction)
    with pytest.raises(TooManyError):
        kept.add(asked(kept, OTHER))
    kept.close(transaction.name)
    assert kept.add(asked(kept, OTHER)) is not None


def test_a_request_whose_name_is_not_durable_is_refused_and_never_reported_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: Medium, _directories: object) -> None:
        raise OSError(errno.EIO, "planted")

    kept = transactions(tmp_path)
    monkeypatch.setattr(Medium, "sync_names", fail)
    with pytest.raises(OSError, match="planted"):
        kept.add(asked(kept))
    assert list((tmp_path / "commitment").iterdir()) == []


def test_with_another_key_or_name_it_cannot_be_read(tmp_path: Path) -> None:
    kept = transactions(tmp_path)
    transaction = asked(kept)
    kept.add(transaction)
    with pytest.raises(UnreadableError) as raised:
        transactions(tmp_path, b"x" * 32).read(transaction.name)
    assert ORIGINAL not in str(raised.value)
    directory = tmp_path / "commitment"
    swapped = "0" * 32 + "-" + "0" * 16
    (directory / f"{transaction.name}.request").rename(directory / f"{swapped}.request")
    with pytest.raises(UnreadableError):
        kept.read(swapped)


def test_a_torn_answer_is_no_answer(tmp_path: Path) -> None:
    kept = transactions(tmp_path)
    transaction = asked(kept)
    kept.add(transaction)
    assert kept.answer_to(transaction) is None
    path = tmp_path / "commitment" / f"{transaction.name}.answer"
    path.write_bytes(b"")
    assert kept.answer_to(transaction) is None
    assert kept.open() == {transaction.name: False}
    kept.answer(transaction, {1: 0x0110})
    assert kept.answer_to(transaction) == {1: 0x0110}
    assert json.loads(path.read_bytes())["failures"] == {"1": 0x0110}


def test_the_answer_to_one_that_was_closed_is_none_to_the_next_of_its_name(tmp_path: Path) -> None:
    kept = transactions(tmp_path)
    first = asked(kept)
    kept.add(first)
    kept.answer(first, {})
    path = tmp_path / "commitment" / f"{first.name}.answer"
    left = path.read_bytes()
    kept.close(first.name)
    second = asked(kept)
    kept.add(second)
    path.write_bytes(left)  # by a process that was slower than the one that closed it
    assert second.name == first.name
    assert kept.answer_to(second) is None


def test_a_reload_leaves_alone_what_is_being_written(tmp_path: Path) -> None:
    kept = transactions(tmp_path)
    half = tmp_path / "commitment" / ".4711-0"
    half.write_bytes(b"half")
    kept.prepare(is_first=False)
    assert half.exists()


def test_what_is_closed_leaves_nothing_and_is_worked_on_by_nobody(tmp_path: Path) -> None:
    kept = transactions(tmp_path)
    transaction = asked(kept)
    hold = kept.add(transaction)
    assert hold is not None
    kept.answer(transaction, {})
    kept.close(transaction.name)
    hold.release()
    assert list((tmp_path / "commitment").iterdir()) == []
    assert kept.hold(transaction.name) is None
    assert kept.read(transaction.name) is None


def test_a_start_removes_what_a_killed_process_left(tmp_path: Path) -> None:
    kept = transactions(tmp_path)
    transaction = asked(kept)
    kept.add(transaction)
    directory = tmp_path / "commitment"
    (directory / ".4711-0").write_bytes(b"half")
    (directory / "deadbeef-00.answer").write_bytes(b"{}")
    assert list(transactions(tmp_path).open()) == [transaction.name]
    assert [path.name for path in directory.iterdir()] == [f"{transaction.name}.request"]


def test_a_full_disk_leaves_no_request_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = transactions(tmp_path)

    def fail(_self: Medium, _file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Medium, "sync_data", fail)
    with pytest.raises(OSError, match="No space"):
        kept.add(asked(kept))
    assert list((tmp_path / "commitment").iterdir()) == []
