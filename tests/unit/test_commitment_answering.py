"""Which instances are committed, and which wait."""

from collections.abc import Mapping, Sequence

from dicomanon_node.commitment.answering import Holding, answer
from dicomanon_node.commitment.information import Reference
from dicomanon_node.commitment.settings import CommitmentSettings, Mode
from dicomanon_node.commitment.transactions import Transaction

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
NODE = CommitmentSettings(settle_s=10, wait_s=100)
DESTINATION = CommitmentSettings(mode=Mode.DESTINATION, settle_s=10, wait_s=100)


class Held(dict[str, list[Holding]]):
    """Receipts by original UID."""

    def find(self, sop_instance_uids: Sequence[str]) -> Mapping[str, Sequence[Holding]]:
        return {uid: self[uid] for uid in sop_instance_uids if uid in self}


def asked(*references: tuple[str, str], is_duplicate: bool = False) -> Transaction:
    made = tuple(Reference(*pair) for pair in references)
    return Transaction("n", "2.25.9", made, "SCU", "NODE", "127.0.0.1", 1000.0, is_duplicate)


def test_what_has_a_receipt_is_committed_delivered_or_not() -> None:
    held = Held(a=[Holding(CT, is_delivered=False)])
    assert answer(asked((CT, "a")), held, NODE, 1000.0) == {}


def test_what_is_not_known_waits_and_then_is_not_committed() -> None:
    held = Held(a=[Holding(CT, is_delivered=True)])
    transaction = asked((CT, "a"), (CT, "b"))
    assert answer(transaction, held, NODE, 1009.9) is None
    assert answer(transaction, held, NODE, 1010.0) == {1: 0x0112}


def test_another_sop_class_is_a_conflict() -> None:
    held = Held(a=[Holding(MR, is_delivered=True)])
    assert answer(asked((CT, "a")), held, NODE, 1000.0) == {0: 0x0119}


def test_deliveries_are_waited_for_only_where_they_count_and_not_for_ever() -> None:
    held = Held(a=[Holding(CT, is_delivered=False)], b=[Holding(CT, is_delivered=True)])
    transaction = asked((CT, "a"), (CT, "b"))
    assert answer(transaction, held, DESTINATION, 1099.0) is None
    assert answer(transaction, held, DESTINATION, 1100.0) == {0: 0x0110}
    held["a"] = [Holding(CT, is_delivered=True)]
    assert answer(transaction, held, DESTINATION, 1001.0) == {}


def test_of_several_objects_of_a_uid_each_has_to_be_delivered() -> None:
    held = Held(a=[Holding(CT, is_delivered=True), Holding(CT, is_delivered=False)])
    assert answer(asked((CT, "a")), held, DESTINATION, 1001.0) is None


def test_a_duplicate_transaction_commits_nothing() -> None:
    held = Held(a=[Holding(CT, is_delivered=True)])
    assert answer(asked((CT, "a"), is_duplicate=True), held, NODE, 1000.0) == {0: 0x0131}
