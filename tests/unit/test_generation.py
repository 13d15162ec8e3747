"""A generation of processes retires once, however often others take over after it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import pytest
from support_config import configured

from dicomanon_node.node.children import RETIRE, Child
from dicomanon_node.node.generation import Generation, Shared
from dicomanon_node.node.queue_watch import QueueWatch
from dicomanon_node.receive import Receiver


@dataclass(slots=True)
class Told(Child):
    """A process that is there, and does nothing but note what it is told."""

    signals: list[int] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)

    def signal(self, number: int) -> None:
        self.signals.append(number)

    def forget(self) -> None:
        pass

    def wait_ready(self, timeout_s: float) -> bool:
        self.waited.append(timeout_s)
        return False


@pytest.fixture
def generation(tmp_path: Path) -> Generation:
    def spec(of: type) -> Any:  # noqa: ANN401  (stands for any of them)
        return create_autospec(of, instance=True)

    return Generation(configured(tmp_path), spec(Receiver), spec(Shared), spec(QueueWatch))


def test_who_has_retired_is_not_told_nor_waited_for_again(generation: Generation) -> None:
    """It would not answer: each reload would take longer while an old association lasts."""
    child = Told("receiver", lambda _ready: None, pid=1)
    generation.children = [child]
    for _ in range(3):
        generation.retire()
    assert child.signals == [RETIRE]
    assert len(child.waited) == 1
