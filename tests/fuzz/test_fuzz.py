"""The fuzz campaign, short and of one seed: what is sent or written wrong is refused, no more."""

import random
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from support_fuzz import HONEST_S, Configurations, Engine, Findings, Peers, campaign
from support_node import Node

_SEED = 20261120
_MOST_MEMORY_KB = 400_000  # more than the largest header times what is done to it


def rng() -> random.Random:
    return random.Random(_SEED)  # noqa: S311  (a campaign that can be repeated)


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, about what we did to its objects
def test_a_mutated_data_set_is_stored_de_identified_or_refused(tmp_path: Path) -> None:
    findings = Findings()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    campaign([Engine(tmp_path, rng(), findings).case], cases=1000)
    assert findings.faults == [], str(findings)
    assert findings.outcomes["data sets stored"] > 50
    assert len(findings.outcomes) > 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < _MOST_MEMORY_KB


def test_a_mutated_configuration_is_loaded_or_refused_with_its_place(tmp_path: Path) -> None:
    findings = Findings()
    campaign([Configurations(tmp_path, rng(), findings).case], cases=400)
    assert findings.faults == [], str(findings)
    assert findings.outcomes["configurations loaded"]
    assert findings.outcomes["configurations refused"] > 100


def test_mutated_pdus_harm_nobody_and_leave_no_identity(start_node: Callable[..., Node]) -> None:
    node = start_node(settings={"listener.processes": "1", "listener.acse_timeout_s": "2"})
    findings = Findings()
    peers = Peers(node, rng(), findings)
    campaign([peers.case], cases=120)
    peers.end()
    assert findings.faults == [], str(findings)
    assert peers.slowest_answer_s < HONEST_S
