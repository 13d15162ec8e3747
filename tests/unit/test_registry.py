"""Places for connections and associations: who gets one, who has to go."""

import pytest

from dicomanon_node.network import peers, registry
from dicomanon_node.network.registry import Capacity, Registry
from dicomanon_node.network.service import Ending


class Place:
    def __init__(self, silent_s: float = 0.0) -> None:
        self.silent_s = silent_s
        self.told: list[Ending] = []

    @property
    def is_stop_wanted(self) -> bool:
        return bool(self.told)

    def stop(self, how: Ending = Ending.STOPPED) -> None:
        self.told.append(how)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "ROOM_WAIT_S", 0.0)
    monkeypatch.setattr(registry, "MAX_UNASSOCIATED", 3)
    monkeypatch.setattr(registry, "MAX_LEAVING", 2)


def places(associations: int = 4, per_peer: int = 2) -> Registry:
    return Registry(Capacity(associations, per_peer, 10.0), lambda: None, lambda *_: None)


def added(to: Registry, peer: str, silent_s: float = 0.0) -> Place:
    place = Place(silent_s)
    to.add(place, peer)
    return place


def associated(to: Registry, peer: str, silent_s: float = 0.0) -> Place:
    place = added(to, peer, silent_s)
    assert to.establish(place, peer) is None
    return place


def test_the_oldest_of_the_address_with_most_connections_goes() -> None:
    ours = places()
    honest, first, second, third = (added(ours, peer) for peer in "haaa")
    assert [one.told for one in (honest, first, second, third)] == [[], [Ending.LIMIT], [], []]


def test_an_association_is_never_told_to_go_for_a_connection() -> None:
    ours = places()
    association = associated(ours, "a")
    for _ in range(5):
        added(ours, "a")
    assert association.told == []


def test_no_connection_is_taken_while_those_told_to_go_are_still_there() -> None:
    ours = places()
    connections = [added(ours, "a") for _ in range(5)]
    assert ours.is_full
    ours.remove(connections[0])
    assert not ours.is_full


def test_an_association_that_ended_is_a_connection_that_may_have_to_go() -> None:
    ours = places()
    over = associated(ours, "a")
    ours.end(over)
    assert ours.active_count == 0
    for _ in range(3):
        added(ours, "b" if not over.told else "a")
    assert ours.connection_count == 4


def test_an_address_has_its_part_and_others_theirs() -> None:
    ours = places()
    for _ in range(2):
        associated(ours, "a")
    assert ours.establish(added(ours, "a"), "a") is peers.PEER_LIMIT
    for _ in range(2):
        associated(ours, "b")
    assert ours.establish(added(ours, "c"), "c") is peers.LOCAL_LIMIT


def test_who_was_silent_longest_makes_room_first_of_the_address_with_most() -> None:
    ours = places(associations=3, per_peer=3)
    quiet = associated(ours, "a", silent_s=99.0)
    brief, long = (associated(ours, "b", silent_s=silent_s) for silent_s in (11.0, 12.0))
    assert ours.establish(added(ours, "c"), "c") is peers.LOCAL_LIMIT
    assert [one.told for one in (quiet, brief, long)] == [[], [], [Ending.YIELDED]]


def test_nobody_makes_room_who_is_at_work() -> None:
    ours = places(associations=1, per_peer=1)
    busy = associated(ours, "a", silent_s=9.9)
    ours.establish(added(ours, "a"), "a")
    assert busy.told == []


def test_counts_of_addresses_that_are_gone_are_forgotten() -> None:
    ours = places()
    for number in range(100):
        one = associated(ours, str(number))
        ours.end(one)
        ours.remove(one)
    assert not ours._associations_of
    assert not ours._waiting
    assert ours.connection_count == 0
