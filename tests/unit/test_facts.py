import os
import select
import threading
from collections.abc import Iterator

import pytest

from dicomanon_node.ops.facts import FactChannel
from dicomanon_node.ops.studies import InstanceFact

FACT = InstanceFact("ABCD", "2.25.1", "2.25.11", "CT1", 524_288, is_stored=True)


@pytest.fixture
def channel() -> Iterator[FactChannel]:
    channel = FactChannel()
    yield channel
    channel.close()


def test_facts_arrive_as_they_were_sent_and_in_order(channel: FactChannel) -> None:
    facts = [
        FACT,
        InstanceFact(None, None, None, "\x1b\ud800 \"'", 0, is_stored=False),
        InstanceFact("Ünïcode", "2.25.1", None, "", 2**40, is_stored=True, is_duplicate=True),
    ]
    for fact in facts:
        channel.sender.send(fact)
    assert list(channel.drain()) == facts
    assert list(channel.drain()) == []
    assert channel.take_dropped() == 0


def test_the_channel_can_be_waited_for(channel: FactChannel) -> None:
    assert select.select([channel], [], [], 0)[0] == []
    channel.sender.send(FACT)
    assert select.select([channel], [], [], 0)[0] == [channel]


def test_sending_never_waits_and_what_is_dropped_is_told(channel: FactChannel) -> None:
    sent_count = 200_000  # more than any socket buffer holds
    for _ in range(sent_count):
        channel.sender.send(FACT)
    received_count = _drain_all(channel)
    assert 0 < received_count < sent_count
    channel.sender.send(FACT)  # carries the count
    assert list(channel.drain()) == [FACT]
    assert channel.take_dropped() == sent_count - received_count
    assert channel.take_dropped() == 0


def _drain_all(channel: FactChannel) -> int:
    count = 0
    while batch := sum(1 for _ in channel.drain()):
        count += batch
    return count


def test_a_burst_of_a_few_hundred_facts_needs_no_reader(channel: FactChannel) -> None:
    for _ in range(200):
        channel.sender.send(FACT)
    assert sum(1 for _ in channel.drain()) == 200


def test_many_threads_may_send(channel: FactChannel) -> None:
    def send_fifty() -> None:
        for _ in range(50):
            channel.sender.send(FACT)

    threads = [threading.Thread(target=send_fifty) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(1 for _ in channel.drain()) == 200


def test_a_forked_process_sends_to_the_one_that_made_the_channel(channel: FactChannel) -> None:
    pid = os.fork()
    if pid == 0:
        channel.sender.send(FACT)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert list(channel.drain()) == [FACT]


def test_a_fact_too_long_for_a_datagram_is_dropped_and_counted(channel: FactChannel) -> None:
    channel.sender.send(InstanceFact("A" * 5000, None, None, "CT1", 1, is_stored=True))
    channel.sender.send(FACT)
    assert list(channel.drain()) == [FACT]
    assert channel.take_dropped() == 1


def test_facts_of_many_series_in_turn_arrive_as_they_are(channel: FactChannel) -> None:
    facts = [
        InstanceFact("ABCD", "2.25.1", f"2.25.{number % 300}", "CT1", number, is_stored=True)
        for number in range(900)
    ]
    arrived: list[InstanceFact] = []
    for fact in facts:
        channel.sender.send(fact)
        arrived += channel.drain()
    assert arrived == facts


def test_a_sender_outlives_the_supervisor() -> None:
    channel = FactChannel()
    channel._receiving.close()
    channel.sender.send(FACT)
    channel.close()
