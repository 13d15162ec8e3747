"""Retention killed at any moment removes nothing it must not, and ends its work later."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
from support_ledger import delivered, rows
from support_retention import Site


@pytest.mark.timeout(240)
def test_a_sweep_killed_again_and_again_removes_what_is_over_and_nothing_else(
    tmp_path: Path,
) -> None:
    site, chance = Site(tmp_path), random.Random(11)  # noqa: S311  (when to kill)
    over, kept = set(), set()
    for number in range(240):
        directory = f"ABCD/P{number // 20}/1.2"
        if number % 4 == 0:
            kept.add(site.put(number, directory=directory, destinations=("pacs",)))
        elif number % 4 == 1:  # delivered, as the ledger has it, and the courier was killed
            kept.add(site.put(number, directory=directory, destinations=("pacs",)))
            site.take(delivered(number))
        else:
            over.add(site.put(number, directory=directory))
    killed = 0
    for _ in range(12):
        pid = os.fork()
        if pid == 0:
            try:
                site.sweep()
            finally:
                os._exit(0)
        time.sleep(chance.uniform(0.0, 0.15))  # not to wait for something: when to kill
        os.kill(pid, signal.SIGKILL)
        killed += os.waitpid(pid, 0)[1] == signal.SIGKILL
        assert all(path.exists() for path in kept)
    assert killed
    site.sweep()
    assert [path for path in over if path.exists()] == []
    assert all(path.exists() for path in kept)
    removed = "SELECT count(*) FROM receipts WHERE removed_at IS NOT NULL"
    assert rows(site.ledger_path, removed) == [(len(over),)]
    for path in kept:  # and once they are delivered, these go too
        (site.spool.queue("pacs") / path.name).unlink()
    site.take(*(delivered(number) for number in range(0, 240, 4)))
    site.sweep()
    assert list(site.outgoing.iterdir()) == []
