"""`suspicion`: an instance is blamed only if the destination answers for others."""

from support_delivery import rng

from dicomanon_node.delivery.suspicion import MOST_SUSPECTS, POISON_LOSSES, Suspicion, Verdict


def suspicion() -> Suspicion:
    return Suspicion(rng(1))


def test_an_instance_that_breaks_associations_while_others_arrive_is_poison() -> None:
    suspects = suspicion()
    verdicts = []
    for _ in range(POISON_LOSSES):
        verdicts.append(suspects.lost("poison"))
        suspects.answered()
    assert verdicts == [Verdict.HOLD] * (POISON_LOSSES - 1) + [Verdict.POISON]


def test_one_answer_after_the_first_loss_is_evidence_enough() -> None:
    suspects = suspicion()
    suspects.lost("poison")
    suspects.answered()
    for _ in range(POISON_LOSSES - 2):
        assert suspects.lost("poison") is Verdict.HOLD
    assert suspects.lost("poison") is Verdict.POISON


def test_an_instance_that_is_alone_is_never_blamed() -> None:
    suspects = suspicion()
    suspects.answered()
    assert {suspects.lost("alone") for _ in range(10 * POISON_LOSSES)} == {Verdict.HOLD}
    suspects.answered()
    assert suspects.lost("alone") is Verdict.POISON


def test_a_destination_that_loses_everything_is_blamed_and_no_instance() -> None:
    suspects = suspicion()
    names = [f"instance-{index}" for index in range(50)]
    verdicts = [suspects.lost(name) for _ in range(2 * POISON_LOSSES) for name in names]
    assert verdicts[:MOST_SUSPECTS] == [Verdict.HOLD] * MOST_SUSPECTS
    assert set(verdicts[MOST_SUSPECTS:]) == {Verdict.DESTINATION}
    assert suspects.is_on_destination


def test_losses_while_the_destination_was_to_blame_do_not_count_later() -> None:
    suspects = suspicion()
    names = [f"instance-{index}" for index in range(5)]
    for _ in range(POISON_LOSSES):
        for name in names:
            suspects.lost(name)
    suspects.answered()
    assert not suspects.is_on_destination
    for name in names[:MOST_SUSPECTS]:
        assert suspects.lost(name) is Verdict.HOLD


def test_what_left_the_queue_begins_anew_if_it_comes_again() -> None:
    suspects = suspicion()
    for _ in range(POISON_LOSSES - 1):
        suspects.lost("a")
        suspects.answered()
    suspects.forget("a")
    assert not suspects.is_held("a")
    assert suspects.lost("a") is Verdict.HOLD


def test_an_instance_is_held_longer_each_time_and_others_are_not() -> None:
    suspects = suspicion()
    first_s = suspects.hold("a", 0.0)
    assert suspects.held(0.0) == {"a": first_s}
    assert suspects.held(first_s) == {}
    assert suspects.hold("a", first_s) > first_s / 2
    assert suspects.attempts("a") == 2
    assert suspects.attempts("b") == 0


def test_what_left_the_queue_otherwise_is_forgotten() -> None:
    suspects = suspicion()
    suspects.hold("a", 0.0)
    suspects.hold("b", 0.0)
    suspects.forget_unless(lambda name: name == "b")
    assert [suspects.is_held(name) for name in "ab"] == [False, True]
