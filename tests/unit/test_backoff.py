"""`backoff`: waits that double up to a limit, the same for the same seed."""

import pytest
from support_delivery import rng

from dicomanon_node.delivery.backoff import FIRST_S, LEAST_SHARE, LIMIT_S, Backoff


def waits(seed: int, count: int) -> list[float]:
    backoff = Backoff(rng(seed))
    return [backoff.fail(0.0) for _ in range(count)]


def test_the_first_attempt_need_not_wait() -> None:
    assert Backoff(rng(1)).remaining_s(0.0) == 0


def test_waits_double_up_to_the_limit_and_stay_there() -> None:
    for index, wait_s in enumerate(waits(1, 2000)):
        step_s = min(FIRST_S * 2 ** min(index, 50), LIMIT_S)
        assert LEAST_SHARE * step_s <= wait_s <= step_s


def test_the_same_seed_waits_the_same_and_another_does_not() -> None:
    assert waits(1, 10) == waits(1, 10)
    assert waits(1, 10) != waits(2, 10)


def test_the_wait_passes_with_the_clock() -> None:
    backoff = Backoff(rng(1))
    wait_s = backoff.fail(100.0)
    assert backoff.remaining_s(100.0) == pytest.approx(wait_s)
    assert backoff.remaining_s(100.0 + wait_s) == 0


def test_success_begins_anew() -> None:
    backoff = Backoff(rng(1))
    for _ in range(10):
        backoff.fail(0.0)
    backoff.succeed()
    assert backoff.remaining_s(0.0) == 0
    assert backoff.fail(0.0) <= FIRST_S
