"""SIGKILL after every state-changing call of a commit: nothing half-written is ever seen."""

import os
import signal
from pathlib import Path

import support_spool as support
from support_spool import closes_spools  # noqa: F401  (a fixture)

_MANY_CALLS = 200  # far more than a commit makes


def commit_and_die(base: Path, number: int) -> tuple[int, bytes]:
    """Commit in a process that dies after so many calls. Returns exit code and answer."""

    def child(pipe: int) -> None:
        spool = support.open_spool(base)
        count = 0

        def after(*_: object) -> None:
            nonlocal count
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1

        with support.around_calls(after):
            support.commit(spool)
        os.write(pipe, support.ANSWER)

    base.mkdir()
    support.make_spool(base)
    return support.fork(child).wait()


def test_whenever_a_receiver_is_killed_an_object_is_complete_or_unseen(tmp_path: Path) -> None:
    whole = dict.fromkeys(support.everywhere(), support.CONTENT)
    deaths = 0
    seen: set[int] = set()
    for number in range(_MANY_CALLS):
        base = tmp_path / str(number)
        code, answer = commit_and_die(base, number)
        deaths += code == -signal.SIGKILL
        found = support.visible(base)
        seen.add(len(found))
        assert found.items() <= whole.items()
        if answer == support.ANSWER:
            assert found == whole

        # The next start sweeps, and the requestor sends again what was not answered.
        spool = support.open_spool(base)
        spool.sweep()
        assert list(spool.incoming.iterdir()) == []
        committed = support.commit(spool)
        assert not committed.is_variant
        assert support.visible(base) == whole
        support.close_spools()
        if code == 0:
            break
    assert answer == support.ANSWER
    assert deaths > 30
    assert seen == {0, 1, 2, 3}  # the kill fell between the names, too
