"""SIGKILL at every step of the way of an object, in receivers and couriers of a living node.

strace kills the process at its first, second, third ... call of each kind that changes or tells
something, until an object gets through. After each kill it is looked at what can be seen, the
sender sends again, and at the end everything has to be where it was promised to be, once.
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from support_campaign import (
    SHARE_AND_STOCK,
    Objects,
    Site,
    Strace,
    campaign_site,
    half_written,
    leaks,
    leaks_in,
    missing,
    require_strace,
    send_one,
    wait_for_empty_queues,
)
from support_delivery import StockPeer
from support_node import Node, is_alive, wait_until

# Stock pynetdicom leaves the socket of an aborted association to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

_RECEIVER_CALLS = "openat mkdirat fchmod writev write fdatasync flock linkat fsync sendto unlink"
# Without openat: an idle lane looks at its queue four times a second.
_COURIER_CALLS = "flock connect sendmsg recvfrom pread64 preadv write fsync rename unlink"
_MANY = 90  # more steps than an object has
_QUEUES = ("share", "stock")


@pytest.fixture
def peer() -> Iterator[StockPeer]:
    with StockPeer().serving() as serving:
        yield serving


@pytest.fixture
def site(tmp_path: Path, peer: StockPeer) -> Iterator[Site]:
    require_strace()
    toml = SHARE_AND_STOCK.format(port=peer.port) + "associations = 1\n"
    with campaign_site(tmp_path / "node", toml, 5) as running:
        yield running


class Steps:
    """Each call of each kind that an object takes, one after the other.

    Args:
        kinds: System calls.
    """

    def __init__(self, kinds: str) -> None:
        self._kinds = kinds.split()
        self._number = 1
        self.deaths: Counter[str] = Counter()

    @property
    def options(self) -> list[str]:
        """Of strace, which counts each kind by itself, in each thread."""
        kind = self._kinds[0]
        return ["-e", f"trace={kind}", "-e", f"inject={kind}:signal=KILL:when={self._number}"]

    def is_last(self, *, has_died: bool) -> bool:
        """Go to the next; whether there is none."""
        if has_died:
            self.deaths[self._kinds[0]] += 1
            self._number += 1
        else:
            del self._kinds[0]
            self._number = 1
        return not self._kinds


def renew(site: Site, role: str, count: int) -> None:
    """Wait until all processes of a role are back; start the node anew where that takes long."""
    assert site.node is not None
    died = [event for event in site.node.events("process.died") if event["role"] == role]
    if len(died) > 2 * count:  # each is started again later and later
        site.kill_all()
        site.start()
    node = site.node
    wait_until(lambda: len(node.children(role)) == count, 30)


def is_over(node: Node, role: str, pids: list[int], closed: int) -> bool:
    """One of the processes has died, or one more association has ended."""
    return len(node.children(role)) < len(pids) or len(node.events("association.closed")) > closed


def is_dead_or_done(node: Node) -> bool:
    """The courier has died, or delivered everything."""
    return not node.children("courier") or not any(node.queued(queue) for queue in _QUEUES)


def send_again(site: Site, objects: Objects, index: int) -> None:
    """Send what was not answered; to the end of its association, which is told late."""
    assert site.node is not None
    node, closed = site.node, len(site.node.events("association.closed"))
    assert send_one(site.port, index, objects.sent[index]) == 0
    wait_until(lambda: len(node.events("association.closed")) > closed)


def assert_all_is_well(
    site: Site, peer: StockPeer, objects: Objects, count: int, most_again: int
) -> None:
    wait_for_empty_queues(site, _QUEUES)
    site.stop()
    site.keep_logs()
    done = range(count)
    share = {path.name: path.read_bytes() for path in (site.directory / "share").iterdir()}
    assert share == {objects.names[index]: objects.files[index] for index in done}
    assert peer.received == {objects.uid(index): objects.body(index) for index in done}
    assert half_written(site, objects, _QUEUES) == []
    assert missing(site, objects, done, {}) == []
    assert list((site.directory / "var" / "spool" / "incoming").iterdir()) == []
    assert leaks_in(site.directory, excluding=("config",)) == []
    assert [leaks(log) for log in site.logs if leaks(log)] == []
    assert len(peer.order) <= count + most_again


@pytest.mark.timeout(300)
def test_a_receiver_killed_at_any_step_loses_nothing_it_answered(
    site: Site, peer: StockPeer, tmp_path: Path
) -> None:
    assert site.node is not None
    # A study each: every object makes its directories.
    objects = Objects.make(_MANY, tmp_path / "made", site.directory, studies=_MANY)
    share, names = site.directory / "share", objects.names
    delivered = {
        "share": lambda index: (share / names[index]).exists(),
        "stock": lambda index: objects.uid(index) in peer.received,
    }
    answered_and_died = died = 0
    steps = Steps(_RECEIVER_CALLS)
    for number in range(_MANY):
        node = site.node
        receivers, closed = node.children("receiver"), len(node.events("association.closed"))
        with Strace(receivers, steps.options, tmp_path / "trace"):
            status = send_one(site.port, number, objects.sent[number])
            # After the answer there is more to do: tidy up, tell, release.
            wait_until(partial(is_over, node, "receiver", receivers, closed))
        has_died = not all(map(is_alive, receivers))
        died += has_died
        answered_and_died += has_died and status == 0
        assert status in (0, None)
        assert half_written(site, objects, _QUEUES) == []
        if status == 0:
            assert missing(site, objects, [number], delivered) == []
        if steps.is_last(has_died=has_died):
            break
        renew(site, "receiver", 5)
        if status is None:
            send_again(site, objects, number)
    else:
        pytest.fail("there is no end to the steps")
    assert died > 20, steps.deaths
    assert steps.deaths["linkat"] == 3
    assert answered_and_died
    # Killed between its names and its answer: delivered, sent again, delivered again.
    assert_all_is_well(site, peer, objects, number + 1, most_again=died)


@pytest.mark.timeout(300)
def test_a_courier_killed_at_any_step_delivers_each_object(
    site: Site, peer: StockPeer, tmp_path: Path
) -> None:
    assert site.node is not None
    objects = Objects.make(_MANY, tmp_path / "made", site.directory)
    died = 0
    steps = Steps(_COURIER_CALLS)
    for number in range(_MANY):
        node = site.node
        couriers = node.children("courier")
        with Strace(couriers, steps.options, tmp_path / "trace"):
            assert send_one(site.port, number, objects.sent[number]) == 0
            wait_until(partial(is_dead_or_done, node))
        has_died = not all(map(is_alive, couriers))
        died += has_died
        assert half_written(site, objects, _QUEUES) == []
        renew(site, "courier", 1)
        wait_for_empty_queues(site, _QUEUES)
        if steps.is_last(has_died=has_died):
            break
    else:
        pytest.fail("there is no end to the steps")
    assert died > 8, steps.deaths
    assert steps.deaths["unlink"] == 1
    arrived = Counter(peer.order)
    assert max(arrived.values()) <= 2  # one death an object, so at most once more
    assert_all_is_well(site, peer, objects, number + 1, most_again=died)
